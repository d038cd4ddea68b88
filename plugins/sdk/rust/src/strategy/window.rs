//! The symbol's own one-minute candles, kept on this side of the boundary.

use super::{
    Failure,
    market::{self, Candle, Unavailable},
};

pub(super) const MINUTE_MS: u64 = 60_000;

/// Closed one-minute candles up to the question being answered. Only what is new since the last question is fetched
/// from the host, so a window costs what is new in it and not what it is long.
pub struct Candles {
    symbol: String,
    when_ms: u64,
    /// The one that closed at `when_ms`.
    newest: Candle,
    /// Contiguous, oldest first. The oldest are dropped in bulk, so that the rest stays one slice.
    kept: Vec<Candle>,
}

impl Candles {
    pub(crate) fn new(symbol: String) -> Self {
        let newest = Candle { open_time_ms: 0, open: 0.0, high: 0.0, low: 0.0, close: 0.0, volume: 0.0 };
        Self { symbol, when_ms: 0, newest, kept: Vec::new() }
    }

    pub(crate) fn move_to(&mut self, when_ms: u64, newest: Candle) {
        self.when_ms = when_ms;
        self.newest = newest;
    }

    /// The last `count` closed candles, oldest first; `None` while the market is younger than that.
    ///
    /// # Errors
    /// When the host refuses for another reason than too short a history.
    pub fn last(&mut self, count: usize) -> Result<Option<&[Candle]>, Failure> {
        if self.catch_up(count) || self.refill(count)? {
            Ok(Some(&self.kept[self.kept.len() - count..]))
        } else {
            Ok(None)
        }
    }

    /// Appends the candles that closed since the last question. False when the window has to be fetched anew: it is
    /// too short, or more is missing than it holds.
    fn catch_up(&mut self, count: usize) -> bool {
        let Some(newest) = self.kept.last() else { return false };
        let newest_ms = newest.open_time_ms;
        let missing = self.when_ms.saturating_sub(newest_ms + MINUTE_MS) / MINUTE_MS;
        if missing > count as u64 {
            return false;
        }
        if self.kept.len() >= 4 * count.max(64) {
            self.kept.drain(..self.kept.len() - count);
        }
        let before = self.kept.len();
        if missing == 1 {
            self.kept.push(self.newest);
        } else if missing > 1 {
            self.extend(newest_ms, u32::try_from(missing).unwrap_or(u32::MAX));
        }
        (self.kept.len() - before) as u64 == missing && self.kept.len() >= count
    }

    /// Appends the minutes that follow the one opened at `after_ms`, at most `limit` of them.
    fn extend(&mut self, after_ms: u64, limit: u32) {
        let mut open_time_ms = after_ms;
        let numbers = market::next_candles(after_ms, limit);
        self.kept.extend(numbers.as_chunks().0.iter().map(|&[open, high, low, close, volume]| {
            open_time_ms += MINUTE_MS;
            Candle { open_time_ms, open, high, low, close, volume }
        }));
    }

    /// Fetches the whole window. False when there are not so many candles yet.
    fn refill(&mut self, count: usize) -> Result<bool, Failure> {
        let limit = u32::try_from(count)
            .map_err(|_| Failure::give_up("too-many", format!("a window of {count} candles cannot be asked for")))?;
        self.kept.clear();
        if let Some(after_ms) = self.when_ms.checked_sub((u64::from(limit) + 1) * MINUTE_MS) {
            self.extend(after_ms, limit);
        }
        if self.kept.len() == count {
            return Ok(true);
        }
        // As records they cost more, but then the host says why there are not so many.
        match market::candles(&self.symbol, "1m", limit) {
            Ok(candles) => {
                self.kept = candles;
                Ok(true)
            }
            Err(Unavailable { code, .. }) if code == "not-enough-history" => Ok(false),
            Err(unavailable) => Err(unavailable.into()),
        }
    }
}
