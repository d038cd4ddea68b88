//! Strategies: they are asked whether to trade.

use sigbox_engine::{Candle, trader::Answer};

/// A question to a strategy: whether to trade at a boundary. It is asked once per due interval while flat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// The boundary, milliseconds.
    pub now_ms: i64,
    /// The average price of the last closed candles.
    pub price: f64,
    /// The one-minute candle that closed at the boundary.
    pub candle: Candle,
}

/// A strategy on one symbol that answers at once. A backtest asks such strategies: plugins in a deterministic sandbox,
/// and native code.
///
/// Every question gets an answer; a failure is [`Answer::Failed`].
pub trait Strategy: Send + 'static {
    /// Asks the questions of `row`, in order, until one is answered by something else than [`Answer::Nothing`]. Returns
    /// the index of that question with its answer; `None`: all of them were answered by nothing.
    ///
    /// A row is a way to ask, and has no meaning: whether questions come in one row or in many, the answers are the
    /// same. What is asked later depends on no other trader, so a row may be asked before the others reach its time.
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)>;
}

/// A strategy on one symbol that may answer later. A live run asks such strategies.
///
/// Every question gets an answer; a failure is [`Answer::Failed`]. An implementation that may take long must end by
/// itself, for example at a time limit.
pub trait LiveStrategy: Send + 'static {
    /// The answer to `question`.
    fn answer_in_time(&mut self, question: Question) -> impl Future<Output = Answer> + Send;
}

/// Native code as a strategy: for embedding, for tests, and as the fastest strategy to compare plugins with. It gets
/// the time and the average price.
pub struct Native<F>(pub F);

impl<F: FnMut(i64, f64) -> Answer + Send + 'static> Strategy for Native<F> {
    #[inline]
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        row.iter().enumerate().find_map(|(index, question)| match (self.0)(question.now_ms, question.price) {
            Answer::Nothing => None,
            answer => Some((index, answer)),
        })
    }
}

impl<F: FnMut(i64, f64) -> Answer + Send + 'static> LiveStrategy for Native<F> {
    async fn answer_in_time(&mut self, question: Question) -> Answer {
        (self.0)(question.now_ms, question.price)
    }
}
