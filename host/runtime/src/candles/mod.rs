//! Candles: where they come from and how they are kept.
//!
//! ```text
//! read_csv | generate | an exchange ─► Series, one a symbol ─► Market ─► windows of closed candles
//! ```
//!
//! Everything is one-minute candles; higher intervals are made from them on the way out. What holds:
//!
//! 1. A [`Series`] has no gap, no duplicate, no disorder and no impossible bar, because it cannot be built with one.
//!    Sources report these faults where they stand in the file; nothing repairs them unasked.
//! 2. What is visible at a time is decided by [`Series::closed_before`] and nowhere else. No function hands out a
//!    candle that is still forming.
//! 3. A window of exact length is all there or not there: nobody gets an older one in its place (specification 3.2).

mod series;

mod csv;
mod time;

mod anomaly;
mod generate;

use std::collections::BTreeMap;

pub use self::{
    anomaly::anomaly,
    csv::{CandleFileError, Gaps, RowProblem, read_csv, write_csv},
    generate::{Recipe, RecipeError, generate},
    series::{Series, SeriesError},
};

/// The candles of every symbol of a run. Symbols come in alphabetical order, so that runs repeat exactly.
#[derive(Clone, Debug, Default)]
pub struct Market {
    series: BTreeMap<String, Series>,
}

impl Market {
    /// A market without symbols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The candles of `symbol`; `None` when the market does not have the symbol at all.
    #[must_use]
    pub fn get(&self, symbol: &str) -> Option<&Series> {
        self.series.get(symbol)
    }

    /// The candles of `symbol`, to append what has just closed or to forget what is old.
    pub fn get_mut(&mut self, symbol: &str) -> Option<&mut Series> {
        self.series.get_mut(symbol)
    }

    /// Adds a symbol, or replaces its candles and returns the ones it had.
    pub fn insert(&mut self, symbol: impl Into<String>, series: Series) -> Option<Series> {
        self.series.insert(symbol.into(), series)
    }

    /// The symbols, in alphabetical order.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sigbox_engine::{Candle, MINUTE_MS};

    fn flat(open_time_ms: i64) -> Candle {
        Candle { open_time_ms, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 0.0 }
    }

    #[test]
    fn a_market_knows_its_symbols_in_order_and_nothing_else() {
        let mut market = Market::new();
        assert!(market.insert("ETHUSDT", Series::empty()).is_none());
        assert!(market.insert("BTCUSDT", Series::new(vec![flat(0)]).unwrap()).is_none());

        assert_eq!(market.symbols().collect::<Vec<_>>(), ["BTCUSDT", "ETHUSDT"]);
        assert_eq!(market.get("BTCUSDT").unwrap().len(), 1);
        assert!(market.get("btcusdt").is_none());

        market.get_mut("BTCUSDT").unwrap().push(flat(MINUTE_MS)).unwrap();
        let replaced = market.insert("BTCUSDT", Series::empty());
        assert_eq!(replaced.unwrap().len(), 2);
    }
}
