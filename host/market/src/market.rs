//! A market: the candles that a run has seen so far, shared by all code that reads them.

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard},
};

use sigbox_engine::{
    Candle,
    price::{average_price, average_prices},
};

use crate::candles::{Series, SeriesError};

/// Candles by symbol. Cheap to clone: clones share the same candles.
///
/// A backtest has all its candles from the beginning; a live run adds each candle when it closes. In both,
/// [`Series::closed_before`] alone decides what may be *seen* at a given time, so neither can show a candle too early
/// (hazard H-01).
#[derive(Clone, Debug, Default)]
pub struct Market {
    series: Arc<BTreeMap<String, SharedSeries>>,
}

/// The candles of one symbol. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedSeries(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Recorded candles do not change, so reading them takes no lock, on however many cores.
    Recorded(Arc<Recorded>),
    Growing(Arc<RwLock<Series>>),
}

#[derive(Debug)]
struct Recorded {
    series: Series,
    /// The average price of each window of candles, computed when one is first asked for.
    averages: OnceLock<Averages>,
}

/// The average prices of all windows of `of` candles, the oldest window first.
#[derive(Debug)]
struct Averages {
    of: usize,
    prices: Vec<f64>,
}

/// Read access to the candles of one symbol. Do not keep it: a live run cannot add candles meanwhile.
pub struct Look<'a>(Looking<'a>);

enum Looking<'a> {
    Recorded(&'a Recorded),
    Growing(RwLockReadGuard<'a, Series>),
}

impl Deref for Look<'_> {
    type Target = Series;

    #[inline]
    fn deref(&self) -> &Series {
        match &self.0 {
            Looking::Recorded(recorded) => &recorded.series,
            Looking::Growing(series) => series,
        }
    }
}

impl Look<'_> {
    /// The last candle that has closed at `now_ms`, and the average price of the last `count` candles. `None` when
    /// there are fewer than `count`, or when the minute that closed last is not here.
    #[inline]
    #[must_use]
    pub fn bar(&self, now_ms: i64, count: usize) -> Option<(&Candle, f64)> {
        let minutes = self.up_to(now_ms)?;
        let first = minutes.len().checked_sub(count)?;
        let average = match &self.0 {
            Looking::Recorded(recorded) => recorded.average(first, count),
            Looking::Growing(_) => None,
        };
        Some((minutes.last()?, average.or_else(|| average_price(&minutes[first..]))?))
    }
}

impl SharedSeries {
    /// Gives read access to the candles.
    #[must_use]
    #[inline]
    pub fn read(&self) -> Look<'_> {
        Look(match &self.0 {
            Kind::Recorded(recorded) => Looking::Recorded(recorded),
            // A poisoned lock is used too: readers change nothing, and writers do not panic between two changes.
            Kind::Growing(series) => Looking::Growing(series.read().unwrap_or_else(PoisonError::into_inner)),
        })
    }

    /// Adds the next candle.
    ///
    /// # Errors
    /// When it is not the next minute, when it is impossible, or when the candles are recorded.
    pub fn push(&self, candle: Candle) -> Result<(), SeriesError> {
        match &self.0 {
            Kind::Recorded(_) => Err(SeriesError::Recorded),
            Kind::Growing(series) => series.write().unwrap_or_else(PoisonError::into_inner).push(candle),
        }
    }

    /// Lets go of old candles. The last `count` candles of each interval and the minutes that opened at `from_ms` or
    /// later stay. Recorded candles all stay.
    pub fn let_go(&self, count: usize, from_ms: i64) {
        if let Kind::Growing(series) = &self.0 {
            series.write().unwrap_or_else(PoisonError::into_inner).let_go(count, from_ms);
        }
    }

    /// The average price of the last `count` candles that have closed at `now_ms`; `None` as in [`Look::bar`].
    #[must_use]
    #[inline]
    pub fn average_price(&self, now_ms: i64, count: usize) -> Option<f64> {
        self.read().bar(now_ms, count).map(|(_, average)| average)
    }
}

impl Recorded {
    /// The average price of the `count` candles that begin at index `first`. `None` if the averages that are kept are
    /// those of another count.
    #[inline]
    fn average(&self, first: usize, count: usize) -> Option<f64> {
        let make = || Averages { of: count, prices: average_prices(self.series.closed_before(i64::MAX), count) };
        let Averages { of, prices } = self.averages.get_or_init(make);
        if *of == count { prices.get(first).copied() } else { None }
    }
}

impl Market {
    /// A market of recorded candles.
    #[must_use]
    pub fn new(series: impl IntoIterator<Item = (String, Series)>) -> Self {
        Self::of(
            series.into_iter().map(|(symbol, series)| {
                (symbol, Kind::Recorded(Arc::new(Recorded { series, averages: OnceLock::new() })))
            }),
        )
    }

    /// A market that has no candles yet. A feed adds them.
    #[must_use]
    pub fn growing(symbols: impl IntoIterator<Item = String>) -> Self {
        Self::of(symbols.into_iter().map(|symbol| (symbol, Kind::Growing(Arc::default()))))
    }

    fn of(series: impl Iterator<Item = (String, Kind)>) -> Self {
        Self { series: Arc::new(series.map(|(symbol, kind)| (symbol, SharedSeries(kind))).collect()) }
    }

    /// Whether `other` is this market. It must share the same candles; equal candles are not enough.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.series, &other.series)
    }

    /// The candles of `symbol`; `None` if the market does not have that symbol.
    #[must_use]
    pub fn series(&self, symbol: &str) -> Option<&SharedSeries> {
        self.series.get(symbol)
    }

    /// All symbols, in ascending order.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candles::{Recipe, generate};

    #[test]
    fn recorded_and_growing_candles_give_the_same_bars() {
        let recipe = Recipe { seed: 5, start_ms: 0, minutes: 300, price: 10.0, volatility_percent: 2.0 };
        let candles = generate(&recipe).unwrap();
        let recorded = Market::new([("S".to_owned(), Series::new(candles.clone()).unwrap())]);
        let growing = Market::growing(["S".to_owned()]);
        for candle in candles {
            growing.series("S").unwrap().push(candle).unwrap();
        }
        // The averages of the first count that is asked for are kept, those of the others are not.
        for count in [5, 1, 7, 300, 301] {
            for now_ms in (0..=310).map(|minute| minute * 60_000 + 1) {
                let bar = |market: &Market| {
                    let look = market.series("S").unwrap().read();
                    look.bar(now_ms, count).map(|(candle, average)| (*candle, average))
                };
                assert_eq!(bar(&recorded), bar(&growing), "{count} at {now_ms}");
            }
        }
    }

    #[test]
    fn recorded_candles_do_not_grow() {
        let candle = Candle { open_time_ms: 0, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0 };
        let market = Market::new([("S".to_owned(), Series::empty())]);
        assert_eq!(market.series("S").unwrap().push(candle), Err(SeriesError::Recorded));
    }
}
