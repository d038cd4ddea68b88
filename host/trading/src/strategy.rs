//! Who is asked when to trade.

use sigbox_engine::trader::Answer;

/// A strategy on one symbol: a sandboxed plugin, or native code.
///
/// There is always an answer. One that takes its time must be cancelled by the implementation itself.
pub trait Strategy: Send + 'static {
    /// Whether to trade at `now_ms`, when the average price is `price`. Asked once per due interval while flat.
    fn answer(&mut self, now_ms: i64, price: f64) -> impl Future<Output = Answer> + Send;
}

/// Native code as a strategy, for embedding, for tests and as the limit plugins are measured against.
pub struct Native<F>(pub F);

impl<F: FnMut(i64, f64) -> Answer + Send + 'static> Strategy for Native<F> {
    async fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        (self.0)(now_ms, price)
    }
}
