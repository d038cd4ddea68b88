//! The equity curve (specification 11.3, equity walk).

/// The equity of an account that starts with 1 and stakes all of it on every trade, one after another: its present
/// value, its peak and the deepest fall below a peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equity {
    now: f64,
    peak: f64,
    drawdown_percent: f64,
    last_drawdown_percent: f64,
}

impl Default for Equity {
    fn default() -> Self {
        Self { now: 1.0, peak: 1.0, drawdown_percent: 0.0, last_drawdown_percent: 0.0 }
    }
}

impl Equity {
    /// One trade: it first fell to `fall_percent`, then ended at `result_percent`. Once blown, an account stays blown.
    pub fn trade(&mut self, fall_percent: f64, result_percent: f64) {
        self.last_drawdown_percent = 0.0;
        for (percent, settles) in [(fall_percent.min(0.0), false), (result_percent, true)] {
            let equity = self.now * (1.0 + percent / 100.0);
            if self.is_blown() || equity <= 0.0 {
                *self = Self { now: 0.0, drawdown_percent: 100.0, last_drawdown_percent: 100.0, ..*self };
                return;
            }
            if settles {
                self.now = equity;
                self.peak = self.peak.max(equity);
            }
            let below_percent = (self.peak - equity) / self.peak * 100.0;
            self.last_drawdown_percent = self.last_drawdown_percent.max(below_percent);
            self.drawdown_percent = self.drawdown_percent.max(below_percent);
        }
    }

    /// The present value.
    #[must_use]
    pub const fn now(&self) -> f64 {
        self.now
    }

    /// How far it lies below its peak, percent.
    #[must_use]
    pub fn below_peak_percent(&self) -> f64 {
        (self.peak - self.now) / self.peak * 100.0
    }

    /// The deepest fall below a peak so far, percent, falls inside trades included.
    #[must_use]
    pub const fn drawdown_percent(&self) -> f64 {
        self.drawdown_percent
    }

    /// How far it lay below its peak at the lowest point of the last trade, percent.
    #[must_use]
    pub const fn last_drawdown_percent(&self) -> f64 {
        self.last_drawdown_percent
    }

    /// Whether everything was lost.
    #[must_use]
    pub const fn is_blown(&self) -> bool {
        self.now <= 0.0
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
        assert!((equity.below_peak_percent() - 20.0).abs() < 1e-9, "{equity:?}");
        equity.trade(0.0, 15.0);
        assert!(
            (equity.last_drawdown_percent() - 20.0).abs() < 1e-9 && equity.below_peak_percent() < 10.0,
            "{equity:?}"
        );
        equity.trade(-100.0, 50.0);
        equity.trade(0.0, 50.0);
        assert_eq!((equity.now(), equity.drawdown_percent(), equity.last_drawdown_percent()), (0.0, 100.0, 100.0));
    }
}
