//! Anomalies: prices absurdly far below the usual one. An exchange sends them for a candle that it has not finished
//! writing.

use std::fmt;

use sigbox_engine::{Candle, Settings};

use super::time::iso_8601;

/// The index of the first of `candles` with a price below the usual price divided by `factor` (specification 3.4).
///
/// The usual price is the upper median of all positive opens, highs, lows and closes of the batch, or their mean when
/// it has fewer than `min_for_median` candles. A batch without a positive price is anomalous from its first candle; an
/// empty one is not. There is no bound above.
///
/// `candles` should be one answer of an exchange, minutes to hours long. Over months a price may well fall that far.
#[must_use]
pub fn anomaly(candles: &[Candle], factor: f64, min_for_median: usize) -> Option<usize> {
    anomalies(candles, factor, min_for_median).next()
}

/// The indices of all anomalous candles; [`anomaly`] returns the first of them.
pub(super) fn anomalies(candles: &[Candle], factor: f64, min_for_median: usize) -> impl Iterator<Item = usize> {
    let threshold = usual(candles, min_for_median).map(|usual| usual / factor);
    let is_anomalous =
        move |candle: &Candle| threshold.is_none_or(|threshold| prices(candle).iter().any(|price| *price < threshold));
    candles.iter().enumerate().filter(move |(_, candle)| is_anomalous(candle)).map(|(index, _)| index)
}

/// The usual price; `None` when no price is positive.
fn usual(candles: &[Candle], min_for_median: usize) -> Option<f64> {
    let mut positive: Vec<f64> = candles.iter().flat_map(prices).filter(|price| *price > 0.0).collect();
    if positive.is_empty() {
        return None;
    }
    Some(if candles.len() >= min_for_median {
        let middle = positive.len() / 2;
        *positive.select_nth_unstable_by(middle, f64::total_cmp).1
    } else {
        #[expect(clippy::cast_precision_loss, reason = "an answer of an exchange has a few thousand prices")]
        let count = positive.len() as f64;
        positive.iter().sum::<f64>() / count
    })
}

const fn prices(candle: &Candle) -> [f64; 4] {
    [candle.open, candle.high, candle.low, candle.close]
}

/// A recorded candle that no average price may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnomalousCandle {
    /// When it opens.
    pub open_ms: i64,
    /// The first boundary whose average price contains it.
    pub reached_ms: i64,
}

impl fmt::Display for AnomalousCandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a price of the candle that opens at {} is absurdly far below its neighbours; put it right, or raise [engine] \
             get-candles-price-anomaly-threshold-factor",
            iso_8601(self.open_ms)
        )
    }
}

impl AnomalousCandle {
    /// The first candle that is an [`anomaly`] among the candles it is averaged with. All of `candles` must be
    /// possible. This looks at each candle once, unless the lowest and the highest price really are so far apart.
    pub fn first(candles: &[Candle], settings: &Settings) -> Option<Self> {
        let window = settings.avg_price_candles_count as usize;
        let factor = settings.get_candles_price_anomaly_threshold_factor;
        let lowest = candles.iter().map(|candle| candle.low).fold(f64::INFINITY, f64::min);
        let highest = candles.iter().map(|candle| candle.high).fold(0.0, f64::max);
        // The usual price of a window is never above the highest price of all candles.
        if window == 0 || lowest >= highest / factor {
            return None;
        }
        candles.windows(window).find_map(|held| {
            let found = anomaly(held, factor, settings.get_candles_min_candles_for_median as usize)?;
            let reached_ms = held[window - 1].close_time_ms();
            Some(Self { open_ms: held[found].open_time_ms, reached_ms })
        })
    }
}

#[cfg(test)]
mod tests {
    use sigbox_engine::MINUTE_MS;

    use super::*;

    /// One flat candle for each price.
    fn flat(prices: &[f64]) -> Vec<Candle> {
        prices
            .iter()
            .map(|&price| Candle { open_time_ms: 0, open: price, high: price, low: price, close: price, volume: 0.0 })
            .collect()
    }

    #[test]
    fn a_price_far_below_the_usual_one_is_found() {
        // prices, factor, min_for_median, the anomalous one
        let cases: [(&[f64], f64, usize, Option<usize>); 12] = [
            (&[], 1000.0, 5, None),
            (&[100.0], 1000.0, 5, None),
            // Median 100, threshold 0.1: the threshold itself is fine.
            (&[100.0, 100.0, 100.0, 100.0, 0.1], 1000.0, 5, None),
            (&[100.0, 100.0, 100.0, 100.0, 0.099], 1000.0, 5, Some(4)),
            (&[0.099, 100.0, 100.0, 100.0, 0.05], 1000.0, 5, Some(0)),
            (&[100.0, 100.0, 100.0, 100.0, -1.0], 1000.0, 5, Some(4)),
            // No bound above.
            (&[100.0, 100.0, 100.0, 100.0, 1e9], 1000.0, 5, None),
            // Few candles: the usual price is the mean, 25025; the median would be 50.
            (&[50.0, 50.0, 50.0, 99_950.0], 10.0, 5, Some(0)),
            (&[50.0, 50.0, 50.0, 99_950.0], 10.0, 4, None),
            // Upper median of an even count: 200, not 100 or 150.
            (&[100.0, 100.0, 200.0, 200.0], 1.5, 4, Some(0)),
            (&[0.0, 0.0], 1000.0, 5, Some(0)),
            (&[f64::NAN, -3.0], 1000.0, 1, Some(0)),
        ];
        for (prices, factor, min_for_median, expected) in cases {
            assert_eq!(anomaly(&flat(prices), factor, min_for_median), expected, "{prices:?} {factor}");
        }
    }

    #[test]
    fn an_anomaly_is_found_with_the_first_window_it_is_in() {
        // The minute at which the anomaly opens, and the minute of the first boundary whose average price contains it.
        let found = |prices: &[f64], avg_price_candles_count| {
            let mut candles = flat(prices);
            for (minute, candle) in (0..).zip(&mut candles) {
                candle.open_time_ms = minute * MINUTE_MS;
            }
            let settings = Settings { avg_price_candles_count, ..Settings::default() };
            let found = AnomalousCandle::first(&candles, &settings)?;
            Some((found.open_ms / MINUTE_MS, found.reached_ms / MINUTE_MS))
        };
        assert_eq!(found(&[], 3), None);
        assert_eq!(found(&[100.0, 0.01], 3), None);
        assert_eq!(found(&[100.0, 100.0, 0.2], 3), None);
        assert_eq!(found(&[100.0, 100.0, 0.01, 100.0], 3), Some((2, 3)));
        assert_eq!(found(&[0.01, 100.0, 100.0, 100.0], 3), Some((0, 3)));
        assert_eq!(found(&[100.0, 100.0, 100.0, 0.01], 3), Some((3, 4)));
        // The prices are far apart, but not those of one window.
        assert_eq!(found(&[10_000.0, 5000.0, 100.0, 50.0, 9.0, 3.0, 1.0], 2), None);
        assert_eq!(found(&[100.0, 0.01], 0), None);
    }

    #[test]
    fn each_of_the_four_prices_counts() {
        let good = flat(&[100.0; 5]);
        let broken: [fn(&mut Candle); 4] = [|c| c.open = 0.01, |c| c.high = 0.01, |c| c.low = 0.01, |c| c.close = 0.01];
        for (which, break_it) in broken.into_iter().enumerate() {
            let mut candles = good.clone();
            break_it(&mut candles[3]);
            assert_eq!(anomaly(&candles, 1000.0, 5), Some(3), "price {which}");
        }
    }
}
