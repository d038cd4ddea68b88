//! What a series of closed trades amounts to. Incremental: nothing is kept per trade (hazard H-18).

use crate::outcome::{CloseReason, Outcome};

/// Totals over closed positions and ended orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Closed positions.
    pub trades: u64,
    /// Closed with a result above zero.
    pub wins: u64,
    /// Closed with a result below zero; a result of exactly zero is neither.
    pub losses: u64,
    /// Sum of the results, percent.
    pub total_pnl_percent: f64,
    /// Sum of the results, quote currency.
    pub total_pnl_cost: f64,
    /// The best result, percent.
    pub best_percent: Option<f64>,
    /// The worst result, percent.
    pub worst_percent: Option<f64>,
    /// Time in positions, milliseconds.
    pub held_ms: i64,
    /// Closed positions by reason, in the order of [`CloseReason::ALL`].
    pub closed_by: [u64; 4],
    /// Limit orders accepted.
    pub scheduled: u64,
    /// Limit orders that ended without being filled.
    pub cancelled: u64,
    /// Proposals and fills refused by the risk rules.
    pub rejected: u64,
    /// Proposals that broke a rule.
    pub invalid: u64,
    /// Answers that failed.
    pub failed: u64,
    /// Equity after every trade so far when each stakes all of it, starting from 1.
    equity: Equity,
}

/// The equity curve's present, its peak and its deepest fall (specification 11.3, equity walk).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Equity {
    now: f64,
    peak: f64,
    drawdown_percent: f64,
}

impl Default for Equity {
    fn default() -> Self {
        Self { now: 1.0, peak: 1.0, drawdown_percent: 0.0 }
    }
}

impl Equity {
    /// One trade: it first fell to `fall_percent`, then ended at `result_percent`. Once blown, an account stays blown.
    fn trade(&mut self, fall_percent: f64, result_percent: f64) {
        for (percent, settles) in [(fall_percent.min(0.0), false), (result_percent, true)] {
            let equity = self.now * (1.0 + percent / 100.0);
            if self.now <= 0.0 || equity <= 0.0 {
                *self = Self { now: 0.0, drawdown_percent: 100.0, ..*self };
                return;
            }
            if settles {
                self.now = equity;
                self.peak = self.peak.max(equity);
            }
            self.drawdown_percent = self.drawdown_percent.max((self.peak - equity) / self.peak * 100.0);
        }
    }
}

impl Summary {
    /// Adds one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Closed { position, reason, at_ms, price } => {
                let pnl = position.terms.at(*price);
                self.trades += 1;
                self.wins += u64::from(pnl.percentage > 0.0);
                self.losses += u64::from(pnl.percentage < 0.0);
                self.total_pnl_percent += pnl.percentage;
                self.total_pnl_cost += pnl.cost;
                self.best_percent = Some(self.best_percent.map_or(pnl.percentage, |best| best.max(pnl.percentage)));
                self.worst_percent = Some(self.worst_percent.map_or(pnl.percentage, |worst| worst.min(pnl.percentage)));
                self.held_ms += at_ms - position.pending_at_ms;
                for (count, listed) in self.closed_by.iter_mut().zip(CloseReason::ALL) {
                    *count += u64::from(listed == *reason);
                }
                self.equity.trade(position.fall.pnl.percentage, pnl.percentage);
            }
            Outcome::Scheduled { .. } => self.scheduled += 1,
            Outcome::Cancelled { .. } => self.cancelled += 1,
            Outcome::Rejected { .. } => self.rejected += 1,
            Outcome::Invalid { .. } | Outcome::SymbolMismatch { .. } => self.invalid += 1,
            Outcome::StrategyFailed { .. } => self.failed += 1,
            Outcome::Idle { .. }
            | Outcome::Waiting { .. }
            | Outcome::Active { .. }
            | Outcome::Opened { .. }
            | Outcome::HighestProfit { .. }
            | Outcome::MaxDrawdown { .. }
            | Outcome::Breakeven { .. }
            | Outcome::Level { .. } => {}
        }
    }

    /// Share of decided trades that won, percent; `None` while none is decided.
    #[must_use]
    pub fn win_rate_percent(&self) -> Option<f64> {
        let decided = self.wins + self.losses;
        #[expect(clippy::cast_precision_loss, reason = "counts of trades stay far below 2^52")]
        (decided > 0).then(|| self.wins as f64 / decided as f64 * 100.0)
    }

    /// Mean result, percent; `None` without trades.
    #[must_use]
    pub fn average_pnl_percent(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of trades stay far below 2^52")]
        (self.trades > 0).then(|| self.total_pnl_percent / self.trades as f64)
    }

    /// Deepest fall of the equity below its peak so far, percent, falls inside trades included; `None` without trades.
    #[must_use]
    pub fn max_drawdown_percent(&self) -> Option<f64> {
        (self.trades > 0).then_some(self.equity.drawdown_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawdown_counts_the_fall_inside_a_trade_and_a_blown_account_stays_blown() {
        let mut equity = Equity::default();
        equity.trade(-10.0, 10.0);
        assert!((equity.now - 1.1).abs() < 1e-12 && (equity.drawdown_percent - 10.0).abs() < 1e-9);
        equity.trade(-5.0, -20.0);
        assert!((equity.drawdown_percent - 20.0).abs() < 1e-9, "{equity:?}");
        equity.trade(-100.0, 50.0);
        equity.trade(0.0, 50.0);
        assert_eq!((equity.now, equity.drawdown_percent), (0.0, 100.0));
    }
}
