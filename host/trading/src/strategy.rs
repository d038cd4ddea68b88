//! Strategies: they are asked whether to trade.

use sigbox_engine::trader::Answer;

/// A strategy on one symbol that answers at once. A backtest asks such strategies: plugins in a deterministic sandbox,
/// and native code.
///
/// Every question gets an answer; a failure is [`Answer::Failed`].
pub trait Strategy: Send + 'static {
    /// Whether to trade at `now_ms`, when the average price is `price`. Asked once per due interval while flat.
    fn answer(&mut self, now_ms: i64, price: f64) -> Answer;
}

/// A strategy on one symbol that may answer later. A live run asks such strategies.
///
/// Every question gets an answer; a failure is [`Answer::Failed`]. An implementation that may take long must end by
/// itself, for example at a time limit.
pub trait LiveStrategy: Send + 'static {
    /// Whether to trade at `now_ms`, when the average price is `price`. Asked once per due interval while flat.
    fn answer_in_time(&mut self, now_ms: i64, price: f64) -> impl Future<Output = Answer> + Send;
}

/// Native code as a strategy: for embedding, for tests, and as the fastest strategy to compare plugins with.
pub struct Native<F>(pub F);

impl<F: FnMut(i64, f64) -> Answer + Send + 'static> Strategy for Native<F> {
    fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        (self.0)(now_ms, price)
    }
}

impl<F: FnMut(i64, f64) -> Answer + Send + 'static> LiveStrategy for Native<F> {
    async fn answer_in_time(&mut self, now_ms: i64, price: f64) -> Answer {
        (self.0)(now_ms, price)
    }
}
