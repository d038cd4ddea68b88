//! Results by month.

use std::collections::BTreeMap;

use sigbox_engine::stats::Trade;

use crate::clock;

/// The sums over the trades that were closed in a month or a year.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// How many trades.
    pub(crate) trades: u64,
    /// Their results, percent of what each staked.
    pub(crate) percent: f64,
    /// The same in the quote currency.
    pub(crate) cost: f64,
}

/// The results of a year, by month (UTC). A month without a closed trade is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Year {
    /// The months, from January.
    pub(crate) months: [Option<Sum>; 12],
    /// The whole year.
    pub(crate) total: Sum,
}

/// The results of `trades` by the year and the month in which each was closed.
pub(crate) fn years<'a>(trades: impl IntoIterator<Item = &'a Trade>) -> BTreeMap<i16, Year> {
    let mut years: BTreeMap<i16, Year> = BTreeMap::new();
    for trade in trades {
        let (number, month) = clock::month(trade.closed_ms);
        let year = years.entry(number).or_default();
        year.total.add(trade);
        year.months[month].get_or_insert_default().add(trade);
    }
    years
}

impl Sum {
    fn add(&mut self, trade: &Trade) {
        self.trades += 1;
        self.percent += trade.result_percent;
        self.cost += trade.result_cost;
    }
}

#[cfg(test)]
mod tests {
    use sigbox_engine::stats::Returns;

    use super::*;
    use crate::made_up;

    #[test]
    fn months_add_up_to_the_years_and_years_to_everything() {
        let rows = made_up::trades(5, 5000, &[("s", "BTCUSDT")]);
        let mut returns = Returns::default();
        for row in &rows {
            returns.add(&row.trade);
        }
        let statistics = returns.statistics();
        let years = years(rows.iter().map(|row| &row.trade));
        assert!(years.len() > 1, "{years:?}");
        let (mut trades, mut percent, mut cost) = (0, 0.0, 0.0);
        for year in years.values() {
            let of_months: f64 = year.months.iter().flatten().map(|sum| sum.percent).sum();
            assert!((of_months - year.total.percent).abs() < 1e-9, "{year:?}");
            trades += year.months.iter().flatten().map(|sum| sum.trades).sum::<u64>();
            percent += year.total.percent;
            cost += year.total.cost;
        }
        assert_eq!(trades, statistics.trades);
        assert!((percent - statistics.total_pnl.unwrap()).abs() < 1e-9);
        assert!((cost - statistics.total_pnl_cost.unwrap()).abs() < 1e-9);
    }

    #[test]
    fn a_trade_belongs_to_the_month_it_was_closed_in() {
        let mut trade = made_up::trades(5, 1, &[("s", "BTCUSDT")])[0].trade;
        // 2024-02-29T23:59:59.999Z and the millisecond after it.
        for (closed_ms, month) in [(1_709_251_199_999, 1), (1_709_251_200_000, 2)] {
            trade.closed_ms = closed_ms;
            let years = years([&trade]);
            assert_eq!(years[&2024].months[month].map(|sum| sum.trades), Some(1));
        }
    }
}
