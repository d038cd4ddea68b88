//! The parts of a run as rows of tables, and the few numbers that every such table shows.

use sigbox_engine::stats::{Part, Statistics, Summary, Tally, Trend};

/// The metrics of a table that has no room for all: each with its name, and a heading short enough for a table.
pub const KEY_METRICS: [(&str, &str); 9] = [
    ("totalSignals", "trades"),
    ("winRate", "win rate"),
    ("totalPnl", "PnL"),
    ("avgPnl", "average"),
    ("bestPnl", "best"),
    ("worstPnl", "worst"),
    ("maxDrawdown", "drawdown"),
    ("sharpeRatio", "Sharpe"),
    ("profitFactor", "profit factor"),
];

/// One part of a run, and its numbers.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The strategy of the part; `None`: all strategies.
    pub strategy: Option<&'a str>,
    /// The symbol of the part; `None`: all symbols.
    pub symbol: Option<&'a str>,
    /// The totals.
    pub summary: &'a Summary,
    /// The statistics of its closed trades.
    pub statistics: Statistics,
    /// The prices at its closes, for a part on one symbol.
    pub trend: Option<&'a Trend>,
}

/// Every part of a run.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// Everything.
    pub total: Row<'a>,
    /// Each strategy on all its symbols, by name.
    pub strategies: Vec<Row<'a>>,
    /// Each symbol by all its strategies, by name.
    pub symbols: Vec<Row<'a>>,
    /// Each strategy on each symbol: by strategy, then by symbol.
    pub pairs: Vec<Row<'a>>,
}

impl<'a> Rows<'a> {
    /// The parts of `tally`, as rows.
    #[must_use]
    pub fn of(tally: &'a Tally) -> Self {
        let row = |strategy, symbol, summary: &'a Summary, trend| Row {
            strategy,
            symbol,
            summary,
            statistics: summary.returns.statistics(),
            trend,
        };
        let on_one_symbol = |strategy: Option<&'a String>,
                             (symbol, Part { summary, trend }): (&'a String, &'a Part)| {
            row(strategy.map(String::as_str), Some(symbol.as_str()), summary, Some(trend))
        };
        let pairs = tally
            .pairs
            .iter()
            .flat_map(|(strategy, symbols)| symbols.iter().map(move |symbol| on_one_symbol(Some(strategy), symbol)));
        Self {
            total: row(None, None, &tally.total, None),
            strategies: tally
                .strategies
                .iter()
                .map(|(strategy, summary)| row(Some(strategy.as_str()), None, summary, None))
                .collect(),
            symbols: tally.symbols.iter().map(|symbol| on_one_symbol(None, symbol)).collect(),
            pairs: pairs.collect(),
        }
    }

    /// Each strategy on each symbol, and everything at the end. If there is only one row, everything is left out,
    /// because it is the same.
    pub fn table(&self) -> impl Iterator<Item = &Row<'a>> {
        let total = (self.pairs.len() != 1).then_some(&self.total);
        self.pairs.iter().chain(total)
    }
}
