//! The parts of a run: everything, each strategy, each symbol, each strategy on each symbol.

use std::fmt;

use sigbox_engine::stats::{Summary, Tally};

use crate::TradeRow;

/// A part of a run, and its totals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// The strategy of the part; `None`: all strategies.
    pub(crate) strategy: Option<&'a str>,
    /// The symbol of the part; `None`: all symbols.
    pub(crate) symbol: Option<&'a str>,
    /// Its totals.
    pub(crate) summary: &'a Summary,
}

/// The parts of a run, everything first. If there is only one strategy, or one symbol, the run is not divided by it.
pub(crate) fn parts(tally: &Tally) -> Vec<Part<'_>> {
    let Tally { total, pairs, strategies, symbols } = tally;
    let mut parts = vec![Part { strategy: None, symbol: None, summary: total }];
    if strategies.len() > 1 {
        for (strategy, summary) in strategies {
            parts.push(Part { strategy: Some(strategy), symbol: None, summary });
        }
    }
    if symbols.len() > 1 {
        for (symbol, part) in symbols {
            parts.push(Part { strategy: None, symbol: Some(symbol), summary: &part.summary });
        }
    }
    if strategies.len() > 1 && symbols.len() > 1 {
        for (strategy, symbols) in pairs {
            for (symbol, part) in symbols {
                parts.push(Part { strategy: Some(strategy), symbol: Some(symbol), summary: &part.summary });
            }
        }
    }
    parts
}

impl Part<'_> {
    /// Whether a trade belongs to it.
    pub(crate) fn has(&self, row: &TradeRow) -> bool {
        self.strategy.is_none_or(|strategy| strategy == row.strategy)
            && self.symbol.is_none_or(|symbol| symbol == row.symbol)
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.strategy, self.symbol) {
            (None, None) => f.write_str("Everything"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (Some(strategy), Some(symbol)) => write!(f, "{strategy} on {symbol}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up;

    fn names(pairs: &[(&str, &str)]) -> Vec<String> {
        let mut tally = Tally::default();
        let rows = made_up::trades(1, 40, pairs);
        for row in &rows {
            tally.close(&row.strategy, &row.symbol, &row.trade);
        }
        for part in parts(&tally) {
            let trades = rows.iter().filter(|row| part.has(row)).count() as u64;
            assert_eq!(part.summary.returns.trades(), trades, "{part}");
        }
        parts(&tally).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_part_once() {
        assert_eq!(names(&[("a", "X")]), ["Everything"]);
        assert_eq!(names(&[("a", "X"), ("b", "X")]), ["Everything", "a", "b"]);
        assert_eq!(names(&[("a", "X"), ("a", "Y")]), ["Everything", "X", "Y"]);
        assert_eq!(names(&[("a", "X"), ("b", "Y")]), ["Everything", "a", "b", "X", "Y", "a on X", "b on Y"]);
    }
}
