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
    /// How often the oldest were dropped. A column that was made before begins with other candles.
    dropped: u64,
    columns: [Column; Field::ALL],
}

/// One number of each candle that is kept, as far as it was asked for.
#[derive(Default)]
struct Column {
    numbers: Vec<f64>,
    dropped: u64,
}

/// A number of a candle that makes a column.
#[derive(Clone, Copy)]
enum Field {
    Open,
    High,
    Low,
    Close,
    Volume,
}

impl Field {
    const ALL: usize = 5;

    const fn of(self, candle: &Candle) -> f64 {
        match self {
            Self::Open => candle.open,
            Self::High => candle.high,
            Self::Low => candle.low,
            Self::Close => candle.close,
            Self::Volume => candle.volume,
        }
    }
}

impl Candles {
    pub(crate) fn new(symbol: String) -> Self {
        let newest = Candle { open_time_ms: 0, open: 0.0, high: 0.0, low: 0.0, close: 0.0, volume: 0.0 };
        Self { symbol, when_ms: 0, newest, kept: Vec::new(), dropped: 0, columns: Default::default() }
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
        Ok(if self.reach(count)? { Some(newest(&self.kept, count)) } else { None })
    }

    /// The last `count` opening prices, oldest first; `None` while the market is younger than that.
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn opens(&mut self, count: usize) -> Result<Option<&[f64]>, Failure> {
        self.column(Field::Open, count)
    }

    /// The last `count` highest prices, as [`opens`](Self::opens).
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn highs(&mut self, count: usize) -> Result<Option<&[f64]>, Failure> {
        self.column(Field::High, count)
    }

    /// The last `count` lowest prices, as [`opens`](Self::opens).
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn lows(&mut self, count: usize) -> Result<Option<&[f64]>, Failure> {
        self.column(Field::Low, count)
    }

    /// The last `count` closing prices, as [`opens`](Self::opens). Sums over them take half the time of sums over whole
    /// candles, because the numbers lie side by side.
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn closes(&mut self, count: usize) -> Result<Option<&[f64]>, Failure> {
        self.column(Field::Close, count)
    }

    /// The last `count` volumes, as [`opens`](Self::opens).
    ///
    /// # Errors
    /// As [`last`](Self::last).
    pub fn volumes(&mut self, count: usize) -> Result<Option<&[f64]>, Failure> {
        self.column(Field::Volume, count)
    }

    fn column(&mut self, field: Field, count: usize) -> Result<Option<&[f64]>, Failure> {
        if !self.reach(count)? {
            return Ok(None);
        }
        let Column { numbers, dropped } = &mut self.columns[field as usize];
        if *dropped != self.dropped {
            numbers.clear();
            *dropped = self.dropped;
        }
        let known = numbers.len();
        numbers.extend(self.kept[known..].iter().map(|candle| field.of(candle)));
        Ok(Some(newest(numbers, count)))
    }

    /// Makes the window reach up to the question, with at least `count` candles. False: there are not so many.
    fn reach(&mut self, count: usize) -> Result<bool, Failure> {
        Ok(self.catch_up(count) || self.refill(count)?)
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
            self.dropped += 1;
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
        self.dropped += 1;
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

fn newest<T>(kept: &[T], count: usize) -> &[T] {
    &kept[kept.len() - count..]
}
