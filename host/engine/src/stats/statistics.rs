//! What closed trades amount to, in numbers.

/// What closed trades amount to, in numbers. [`super::METRICS`] lists them with names and units.
///
/// Results are percent of what a trade invested, after costs; `None`: the sample does not give the number, for example
/// because it is too small.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Closed trades.
    pub trades: u64,
    /// Closed with a result above zero.
    pub wins: u64,
    /// Closed with a result below zero; a result of exactly zero is neither.
    pub losses: u64,
    /// Share of the decided trades that won, percent; 0 when none is decided.
    pub win_rate: Option<f64>,
    /// Sum of the results.
    pub total_pnl: Option<f64>,
    /// The same in the quote currency.
    pub total_pnl_cost: Option<f64>,
    /// Mean result.
    pub average_pnl: Option<f64>,
    /// The result in the middle.
    pub median_pnl: Option<f64>,
    /// The best result.
    pub best_pnl: Option<f64>,
    /// The worst result.
    pub worst_pnl: Option<f64>,
    /// Mean result of the winning trades.
    pub average_win: Option<f64>,
    /// Mean result of the losing trades, negative.
    pub average_loss: Option<f64>,
    /// What the winning trades made, divided by what the losing ones lost.
    pub profit_factor: Option<f64>,
    /// The expected result of a trade: share of wins times their mean, plus the same of losses.
    pub expectancy: Option<f64>,
    /// Mean win divided by mean loss.
    pub certainty: Option<f64>,
    /// Standard deviation of the results.
    pub deviation: Option<f64>,
    /// Mean over standard deviation, per trade.
    pub sharpe: Option<f64>,
    /// Mean over the deviation of the losses alone, per trade.
    pub sortino: Option<f64>,
    /// Trades a year at the rate so far, where that can be extrapolated.
    pub trades_a_year: Option<f64>,
    /// The Sharpe ratio over a year.
    pub annualized_sharpe: Option<f64>,
    /// What a year at this rate would return, percent.
    pub yearly: Option<f64>,
    /// Deepest fall of the equity below its peak, percent, falls inside trades included.
    pub max_drawdown: Option<f64>,
    /// Yearly return over the deepest fall.
    pub calmar: Option<f64>,
    /// Return over the deepest fall.
    pub recovery: Option<f64>,
    /// What 1 became, all of it staked on every trade in turn; 0 once blown.
    pub equity: Option<f64>,
    /// Mean of the best results on the way.
    pub average_peak: Option<f64>,
    /// Mean of the worst results on the way.
    pub average_fall: Option<f64>,
    /// Mean time in a trade, minutes.
    pub average_minutes: Option<f64>,
    /// The same of the winning ones.
    pub average_win_minutes: Option<f64>,
    /// The same of the losing ones.
    pub average_loss_minutes: Option<f64>,
    /// Mean of what uninterrupted runs of wins made.
    pub average_win_streak: Option<f64>,
    /// Mean of what uninterrupted runs of losses lost, negative.
    pub average_loss_streak: Option<f64>,
    /// The longest run of wins.
    pub longest_win_streak: Option<u64>,
    /// The longest run of losses.
    pub longest_loss_streak: Option<u64>,
}

impl Statistics {
    /// The same without NaN and infinities, which absurd results can lead to.
    pub(super) fn finite(mut self) -> Self {
        for number in [
            &mut self.win_rate,
            &mut self.total_pnl,
            &mut self.total_pnl_cost,
            &mut self.average_pnl,
            &mut self.median_pnl,
            &mut self.best_pnl,
            &mut self.worst_pnl,
            &mut self.average_win,
            &mut self.average_loss,
            &mut self.profit_factor,
            &mut self.expectancy,
            &mut self.certainty,
            &mut self.deviation,
            &mut self.sharpe,
            &mut self.sortino,
            &mut self.trades_a_year,
            &mut self.annualized_sharpe,
            &mut self.yearly,
            &mut self.max_drawdown,
            &mut self.calmar,
            &mut self.recovery,
            &mut self.equity,
            &mut self.average_peak,
            &mut self.average_fall,
            &mut self.average_minutes,
            &mut self.average_win_minutes,
            &mut self.average_loss_minutes,
            &mut self.average_win_streak,
            &mut self.average_loss_streak,
        ] {
            *number = number.filter(|number| number.is_finite());
        }
        self
    }
}
