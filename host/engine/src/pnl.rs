//! Profit and loss (specification 6.2, as version 19.5 computes it).

use crate::{settings::Settings, signal::Side};

/// A result at one price. All zero for an order that has not been filled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pnl {
    /// Result in percent of what was invested, after slippage and fees, times the leverage.
    pub percentage: f64,
    /// The same in the quote currency.
    pub cost: f64,
    /// What was invested, quote currency.
    pub entries: f64,
    /// Effective entry price.
    pub price_open: f64,
    /// The price the result is taken at.
    pub price_close: f64,
}

/// The terms of one position that its result depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Direction.
    pub side: Side,
    /// Effective entry price, see [`effective_price`].
    pub entry: f64,
    /// Amount invested, quote currency.
    pub cost: f64,
    /// Leverage.
    pub multiplier: f64,
    /// Percent of the price, charged adversely at both ends.
    pub slippage_percent: f64,
    /// Percent of the traded amount, charged at both ends.
    pub fee_percent: f64,
}

/// What one unit was bought for: the invested amount over the units it bought. It can differ from `price_open` in the
/// last bit, and results are computed from it (specification 1.4).
#[must_use]
pub fn effective_price(cost: f64, price_open: f64) -> f64 {
    cost / (cost / price_open)
}

impl Terms {
    /// Terms of a position under `settings`.
    #[must_use]
    pub fn new(side: Side, price_open: f64, cost: f64, multiplier: f64, settings: &Settings) -> Self {
        Self {
            side,
            entry: effective_price(cost, price_open),
            cost,
            multiplier,
            slippage_percent: settings.percent_slippage,
            fee_percent: settings.percent_fee,
        }
    }

    /// Result in percent when closed at `price`.
    #[must_use]
    pub fn percentage(&self, price: f64) -> f64 {
        let slip = self.slippage_percent / 100.0;
        let (open, close, gross) = match self.side {
            Side::Long => {
                let (open, close) = (self.entry * (1.0 + slip), price * (1.0 - slip));
                (open, close, (close - open) / open * 100.0)
            }
            Side::Short => {
                let (open, close) = (self.entry * (1.0 - slip), price * (1.0 + slip));
                (open, close, (open - close) / open * 100.0)
            }
        };
        (gross - self.fee_percent * (1.0 + close / open)) * self.multiplier
    }

    /// The whole result when closed at `price`.
    #[must_use]
    pub fn at(&self, price: f64) -> Pnl {
        let percentage = self.percentage(price);
        Pnl {
            percentage,
            cost: percentage / 100.0 * self.cost,
            entries: self.cost,
            price_open: self.entry,
            price_close: price,
        }
    }

    /// The price at which everything invested is lost; `None` when no positive price does that. The result is linear
    /// in the price, so two points of it decide (specification 0.3, row 4).
    #[must_use]
    pub fn liquidation_price(&self, price_open: f64) -> Option<f64> {
        let second = 0.9 * price_open;
        let at_open = self.percentage(price_open);
        let slope = (self.percentage(second) - at_open) / (second - price_open);
        if !slope.is_finite() || slope.abs() < f64::EPSILON {
            return None;
        }
        let price = price_open + (-100.0 - at_open) / slope;
        (price.is_finite() && price > 0.0).then_some(price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Specification 6.3, the column of the latest version, to the bit.
    #[test]
    fn percentage_matches_the_recorded_values() {
        let cases = [
            (Side::Long, 100.0, 110.0, 9.570_439_560_439_567),
            (Side::Long, 100.0, 95.0, -5.384_620_379_620_373),
            (Side::Long, 100.0, 100.0, -0.399_600_399_600_388_23),
            (Side::Long, 42000.0, 43000.0, 1.974_218_638_504_370_3),
            (Side::Long, 42000.0, 41000.0, -2.773_419_437_705_135_3),
            (Side::Long, 42000.0, 42210.0, 0.098_901_598_401_617_77),
            (Side::Long, 50000.0, 51000.0, 1.594_407_592_407_607),
            (Side::Long, 0.1, 0.21, 109.270_839_160_839_19),
            (Side::Short, 100.0, 90.0, 9.629_639_639_639_656),
            (Side::Short, 100.0, 105.0, -5.415_420_420_420_404),
            (Side::Short, 42000.0, 41000.0, 1.987_704_371_037_722),
            (Side::Short, 42000.0, 43000.0, -2.788_505_171_838_488),
        ];
        for (side, open, close, expected) in cases {
            let terms =
                Terms { side, entry: open, cost: 100.0, multiplier: 1.0, slippage_percent: 0.1, fee_percent: 0.1 };
            assert_eq!(terms.percentage(close), expected, "{side:?} {open} to {close}");
        }
    }

    /// Terms of 200 at a price of 100.
    fn terms(side: Side, multiplier: f64, cost_percent: f64) -> Terms {
        let (slippage_percent, fee_percent) = (cost_percent, cost_percent);
        Terms { side, entry: 100.0, cost: 200.0, multiplier, slippage_percent, fee_percent }
    }

    #[test]
    fn a_result_is_a_percentage_of_what_was_invested() {
        let expected = Pnl { percentage: 30.0, cost: 60.0, entries: 200.0, price_open: 100.0, price_close: 110.0 };
        assert_eq!(terms(Side::Long, 3.0, 0.0).at(110.0), expected);
    }

    #[test]
    fn everything_is_lost_at_one_price_if_it_is_a_positive_one() {
        let cases = [
            (Side::Long, 10.0, 0.0, Some(90.0)),
            (Side::Short, 10.0, 0.0, Some(110.0)),
            (Side::Short, 0.5, 0.0, Some(300.0)),
            // A long position with a leverage of 1 is lost at a price of 0, and with a smaller leverage at no price.
            (Side::Long, 1.0, 0.0, None),
            (Side::Long, 0.5, 0.0, None),
            // Costs bring the price nearer to the entry.
            (Side::Long, 10.0, 0.1, Some(90.370_751_131_511_9)),
            (Side::Short, 10.0, 0.1, Some(109.570_848_731_687_9)),
            // A result that does not depend on the price.
            (Side::Short, 0.0, 0.0, None),
            (Side::Short, f64::EPSILON, 0.0, Some(100.0 + 100.0 / f64::EPSILON)),
            (Side::Short, f64::EPSILON / 2.0, 0.0, None),
        ];
        for (side, multiplier, cost_percent, expected) in cases {
            let found = terms(side, multiplier, cost_percent).liquidation_price(100.0);
            assert_eq!(found, expected, "{side} times {multiplier}, costs {cost_percent}");
        }
    }

    #[test]
    fn effective_price_can_differ_in_the_last_bit() {
        assert_eq!(effective_price(100.0, 29.938_658_333_333_336), 29.938_658_333_333_333);
    }
}
