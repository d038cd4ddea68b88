//! A closed one-minute bar.

use core::fmt;

/// Length of a one-minute bar, from which everything else is made, milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// One OHLCV bar, keyed by its opening time. It covers `[open_time_ms, open_time_ms + 60 s)` and is only ever seen
/// after that span has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candle {
    /// When the bar opened, milliseconds since the Unix epoch.
    pub open_time_ms: i64,
    /// First price, quote currency.
    pub open: f64,
    /// Highest price, quote currency.
    pub high: f64,
    /// Lowest price, quote currency.
    pub low: f64,
    /// Last price, quote currency.
    pub close: f64,
    /// Traded amount, base currency. Zero is legal: nobody traded.
    pub volume: f64,
}

/// Why a bar cannot have happened (specification 3.4). In order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandleFault {
    /// A price or the volume is NaN or infinite.
    NotFinite,
    /// A price is zero or negative.
    PriceNotPositive,
    /// The volume is negative.
    VolumeNegative,
    /// The high is below the low.
    HighBelowLow,
    /// The open or the close lies outside the low and the high.
    OutsideRange,
    /// The opening time is not on a minute.
    Unaligned,
}

impl fmt::Display for CandleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a price or the volume is not a finite number",
            Self::PriceNotPositive => "a price is zero or negative",
            Self::VolumeNegative => "the volume is negative",
            Self::HighBelowLow => "the high is below the low",
            Self::OutsideRange => "the open or the close lies outside the low and the high",
            Self::Unaligned => "the opening time is not on a whole minute",
        })
    }
}

impl Candle {
    /// When the bar closed and became visible, milliseconds since the Unix epoch.
    #[must_use]
    #[inline]
    pub const fn close_time_ms(&self) -> i64 {
        self.open_time_ms + MINUTE_MS
    }

    /// The first reason why this bar is impossible, if there is one.
    #[inline]
    #[must_use]
    pub fn fault(&self) -> Option<CandleFault> {
        let prices = [self.open, self.high, self.low, self.close];
        if prices.iter().any(|price| !price.is_finite()) || !self.volume.is_finite() {
            Some(CandleFault::NotFinite)
        } else if prices.iter().any(|price| *price <= 0.0) {
            Some(CandleFault::PriceNotPositive)
        } else if self.volume < 0.0 {
            Some(CandleFault::VolumeNegative)
        } else if self.high < self.low {
            Some(CandleFault::HighBelowLow)
        } else if [self.open, self.close].iter().any(|price| *price < self.low || *price > self.high) {
            Some(CandleFault::OutsideRange)
        } else if self.open_time_ms.rem_euclid(MINUTE_MS) != 0 {
            Some(CandleFault::Unaligned)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn each_impossible_bar_has_its_reason_and_the_first_one_wins() {
        let good = Candle { open_time_ms: 0, open: 10.0, high: 12.0, low: 9.0, close: 11.0, volume: 0.0 };
        let cases = [
            (good, None),
            (Candle { close: f64::NAN, high: -1.0, ..good }, Some(CandleFault::NotFinite)),
            (Candle { volume: f64::INFINITY, ..good }, Some(CandleFault::NotFinite)),
            (Candle { low: 0.0, ..good }, Some(CandleFault::PriceNotPositive)),
            (Candle { volume: -0.1, ..good }, Some(CandleFault::VolumeNegative)),
            (Candle { high: 8.0, ..good }, Some(CandleFault::HighBelowLow)),
            (Candle { open: 8.0, ..good }, Some(CandleFault::OutsideRange)),
            (Candle { close: 13.0, ..good }, Some(CandleFault::OutsideRange)),
            (Candle { open_time_ms: 1, ..good }, Some(CandleFault::Unaligned)),
            // The price did not move.
            (Candle { open: 10.0, high: 10.0, low: 10.0, close: 10.0, ..good }, None),
        ];
        for (candle, expected) in cases {
            assert_eq!(candle.fault(), expected, "{candle:?}");
        }
        assert_eq!(CandleFault::HighBelowLow.to_string(), "the high is below the low");
    }

    #[test]
    fn a_bar_closes_a_minute_after_it_opened() {
        let bar = Candle { open_time_ms: 120_000, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 0.0 };
        assert_eq!(bar.close_time_ms(), 180_000);
    }
}
