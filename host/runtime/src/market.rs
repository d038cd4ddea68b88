//! The candles a run has seen so far, shared by everything that looks at them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use sigbox_engine::{Candle, price::average_price};

use crate::candles::{Series, SeriesError};

/// Candles by symbol. Cheap to clone: clones look at the same candles.
///
/// A backtest fills it once; a live run adds each candle as it closes. What may be *seen* at a given time is decided by
/// [`Series::closed_before`] alone, so that neither can show a candle too early (hazard H-01).
#[derive(Clone, Debug, Default)]
pub struct Market {
    series: Arc<BTreeMap<String, SharedSeries>>,
}

/// The candles of one symbol. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedSeries(Arc<RwLock<Arc<Series>>>);

impl SharedSeries {
    fn new(series: Arc<Series>) -> Self {
        Self(Arc::new(RwLock::new(series)))
    }

    /// Looks at the candles. Do not hold on to the guard: a live run has to add to them.
    pub fn read(&self) -> RwLockReadGuard<'_, Arc<Series>> {
        // A reader cannot leave a series half changed, and `push` changes it in one step.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the next candle.
    ///
    /// # Errors
    /// When it is not the next one.
    pub fn push(&self, candle: Candle) -> Result<(), SeriesError> {
        Arc::make_mut(&mut self.0.write().unwrap_or_else(PoisonError::into_inner)).push(candle)
    }

    /// Lets go of old candles, but for the last `count` of each interval and those that opened from `from_ms` on.
    pub(crate) fn let_go(&self, count: usize, from_ms: i64) {
        Arc::make_mut(&mut self.0.write().unwrap_or_else(PoisonError::into_inner)).let_go(count, from_ms);
    }

    /// Average price of the last `count` candles closed at `now_ms`; `None` when there are fewer.
    #[must_use]
    pub fn average_price(&self, now_ms: i64, count: usize) -> Option<f64> {
        average_price(self.read().last_closed(now_ms, count)?)
    }
}

impl Market {
    /// A market of these series.
    #[must_use]
    pub fn new(series: impl IntoIterator<Item = (String, Series)>) -> Self {
        let series = series.into_iter().map(|(symbol, series)| (symbol, SharedSeries::new(Arc::new(series))));
        Self { series: Arc::new(series.collect()) }
    }

    /// A market of its own over the same candles in memory, for runs side by side: a lock that every core takes at every
    /// minute costs each of them eight times as much.
    #[must_use]
    pub fn fork(&self) -> Self {
        let series = self.series.iter();
        let series = series.map(|(symbol, series)| (symbol.clone(), SharedSeries::new(Arc::clone(&series.read()))));
        Self { series: Arc::new(series.collect()) }
    }

    /// The candles of `symbol`, if it is traded here.
    #[must_use]
    pub fn series(&self, symbol: &str) -> Option<&SharedSeries> {
        self.series.get(symbol)
    }

    /// Every symbol, ascending.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }
}
