//! The price decisions are made at.

use alloc::vec::Vec;

use crate::candle::Candle;

/// Volume-weighted average of the typical prices of `window`, oldest first; the plain mean of the closes when nobody
/// traded (specification 3.1). `None` for an empty window.
///
/// Both sums run left to right from zero: another order gives another last bit.
#[must_use]
#[inline]
pub fn average_price(window: &[Candle]) -> Option<f64> {
    if window.is_empty() {
        return None;
    }
    let mut weighted = 0.0;
    let mut volume = 0.0;
    for candle in window {
        weighted += (candle.high + candle.low + candle.close) / 3.0 * candle.volume;
        volume += candle.volume;
    }
    if volume == 0.0 {
        let mut closes = 0.0;
        for candle in window {
            closes += candle.close;
        }
        #[expect(clippy::cast_precision_loss, reason = "a window has a few dozen candles")]
        return Some(closes / window.len() as f64);
    }
    Some(weighted / volume)
}

/// The [`average_price`] of each window of `count` candles, to the bit: the first is that of the first `count`. Empty where
/// there is no window.
///
/// What a candle adds to a sum is computed once and not once for each window it is in.
#[must_use]
pub fn average_prices(candles: &[Candle], count: usize) -> Vec<f64> {
    if count == 0 {
        return Vec::new();
    }
    let weighted: Vec<f64> =
        candles.iter().map(|candle| (candle.high + candle.low + candle.close) / 3.0 * candle.volume).collect();
    let windows = candles.windows(count).zip(weighted.windows(count));
    windows
        .map(|(window, weighted)| {
            let (mut sum, mut volume) = (0.0, 0.0);
            for (weighted, candle) in weighted.iter().zip(window) {
                sum += weighted;
                volume += candle.volume;
            }
            if volume == 0.0 { average_price(window).unwrap_or_default() } else { sum / volume }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// High, low, close, volume.
    type Row = (f64, f64, f64, f64);

    fn window(rows: &[Row]) -> Vec<Candle> {
        rows.iter()
            .map(|&(high, low, close, volume)| Candle { open_time_ms: 0, open: close, high, low, close, volume })
            .collect()
    }

    /// Specification 3.1, to the bit.
    #[test]
    fn average_price_matches_the_recorded_values() {
        let cases: [(&[Row], f64); 3] = [
            (
                &[
                    (101.0, 99.0, 100.0, 10.0),
                    (102.0, 100.0, 101.0, 20.0),
                    (103.0, 101.0, 102.0, 30.0),
                    (104.0, 102.0, 103.0, 40.0),
                    (105.0, 103.0, 104.0, 50.0),
                ],
                102.666_666_666_666_67,
            ),
            (
                &[
                    (42100.0, 41900.0, 42000.0, 1.1),
                    (42110.5, 41950.25, 42033.1, 2.2),
                    (42080.0, 41990.0, 42001.0, 3.3),
                    (42250.0, 42010.0, 42200.7, 0.4),
                    (42300.1, 42150.2, 42222.2, 5.5),
                ],
                42_115.301_333_333_33,
            ),
            (
                &[(101.0, 99.0, 100.0, 0.0), (102.0, 100.0, 101.0, 0.0), (103.0, 101.0, 102.5, 0.0)],
                101.166_666_666_666_67,
            ),
        ];
        for (rows, expected) in cases {
            assert_eq!(average_price(&window(rows)), Some(expected));
        }
        assert_eq!(average_price(&[]), None);
    }

    #[test]
    fn averages_of_all_windows_are_those_of_each() {
        // Every third minute and then a stretch without volume.
        let rows = (0..60_u8).map(|minute| {
            let (price, volume) = (100.0 + f64::from(minute % 7) / 3.0, f64::from(minute % 3) / 7.0);
            (price + 0.3, price - 0.1, price, if minute > 40 { 0.0 } else { volume })
        });
        let candles = window(&rows.collect::<Vec<_>>());
        for count in [1, 2, 5, 60] {
            let each = candles.windows(count).map(average_price).collect::<Option<Vec<_>>>();
            assert_eq!(Some(average_prices(&candles, count)), each, "{count}");
        }
        assert!(average_prices(&candles, 61).is_empty() && average_prices(&candles, 0).is_empty());
    }
}
