//! Who is asked when to trade.

use sigbox_engine::trader::Answer;

/// A strategy on one symbol that answers at once: what a backtest asks. Sandboxed plugins of a deterministic sandbox are
/// such, and native code is.
///
/// There is always an answer.
pub trait Strategy: Send + 'static {
    /// Whether to trade at `now_ms`, when the average price is `price`. Asked once per due interval while flat.
    fn answer(&mut self, now_ms: i64, price: f64) -> Answer;
}

/// A strategy on one symbol that may take its time: what a live run asks.
///
/// There is always an answer. An implementation that takes its time must end by itself.
pub trait LiveStrategy: Send + 'static {
    /// Whether to trade at `now_ms`, when the average price is `price`. Asked once per due interval while flat.
    fn answer_in_time(&mut self, now_ms: i64, price: f64) -> impl Future<Output = Answer> + Send;
}

/// Native code as a strategy, for embedding, for tests and as the limit plugins are measured against.
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
