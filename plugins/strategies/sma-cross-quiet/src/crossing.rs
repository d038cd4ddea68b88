//! Two averages of closes: how far the fast one is above the slow one, and how long they cannot cross.

/// Part of a price that is more than all rounding errors of an average. Those are a few parts in 10^16 for each close.
const MARGIN: f64 = 1e-9;

/// A time in which the averages cannot cross, as long as no close is below or above a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Calm {
    pub(crate) minutes: u64,
    /// Negative infinity: there is no bound.
    pub(crate) below: f64,
    /// Infinity: there is no bound.
    pub(crate) above: f64,
}

/// How far the average of the last `fast` closes is above the average of all closes.
pub(crate) fn gap(closes: &[f64], fast: usize) -> f64 {
    average(&closes[closes.len() - fast..]) - average(closes)
}

fn average(closes: &[f64]) -> f64 {
    closes.iter().sum::<f64>() / number(closes.len())
}

/// How long the averages cannot cross. `None`: they may cross with the next close.
///
/// With each minute a known close leaves each average, and a close that nobody knows yet enters both. In the first `fast`
/// minutes no unknown close leaves again, so each counts 1/fast in the fast average and 1/slow in the slow one. A higher
/// close therefore only raises the gap. While the gap is above zero, only low closes can bring it down to zero: after n
/// minutes it is
///
/// ```text
/// what is known + n * (1/fast - 1/slow) * the average of the n unknown closes
/// ```
///
/// and that stays above zero if none of them is below the level at which it would be zero. While the gap is below zero,
/// only high closes count, and the same holds the other way round.
///
/// A longer time needs a level nearer to the price, which the price leaves sooner. So the time is the longest one whose
/// level is further away than the price usually goes in it: the usual change in a minute, times the root of the minutes.
pub(crate) fn calm(closes: &[f64], fast: usize) -> Option<Calm> {
    let slow = closes.len();
    let newest = *closes.last()?;
    let gap = gap(closes, fast);
    let margin = MARGIN * closes.iter().fold(0.0, |most: f64, close| most.max(close.abs()));
    if gap.abs() <= margin {
        // Which average is above is a matter of rounding.
        return None;
    }
    let up = gap.signum();
    let usual = closes.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / number(slow - 1);

    let weight = 1.0 / number(fast) - 1.0 / number(slow);
    let leaving = closes[slow - fast..].iter().zip(closes);
    let (mut known, mut room, mut calm) = (gap, f64::INFINITY, None);
    for (minutes, (leaves_fast, leaves_slow)) in (1..).zip(leaving) {
        known += leaves_slow / number(slow) - leaves_fast / number(fast);
        let level = (up * margin - known) / (number(minutes) * weight);
        // How far the newest close is from the level. The time until then needs the levels before, too.
        room = room.min(up * (newest - level));
        if room <= usual * number(minutes).sqrt() {
            break;
        }
        calm = Some((minutes as u64, newest - up * room));
    }
    calm.map(|(minutes, level)| match up {
        1.0 => Calm { minutes, below: level, above: f64::INFINITY },
        _ => Calm { minutes, below: f64::NEG_INFINITY, above: level },
    })
}

#[expect(clippy::cast_precision_loss, reason = "a window has a few hundred candles")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random numbers from 0 to 1, the same for the same seed.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / f64::from(u32::MAX)
        }
    }

    /// Closes of a market of its own kind for each seed.
    fn walk(seed: u64, length: usize) -> Vec<f64> {
        let mut random = Random(seed);
        let mut price = [0.000_02, 1.1, 42_000.0, 3e9][usize::try_from(seed % 4).unwrap()];
        // Some markets know few prices, so averages are often equal.
        let tick = price * [0.0, 1e-3, 1e-2][usize::try_from(seed / 4 % 3).unwrap()];
        let volatility = [0.0005, 0.005, 0.05][usize::try_from(seed / 12 % 3).unwrap()];
        let (mut drift, mut asleep) = (0.0, false);
        let closes = (0..length).map(|_| {
            if random.next() < 0.01 {
                drift = volatility * (random.next() - 0.5);
                asleep = random.next() < 0.3;
            }
            let jump = if random.next() < 0.003 { random.next() - 0.5 } else { 0.0 };
            if !asleep {
                price *= (volatility * (random.next() - 0.5) + drift + jump).exp();
            }
            if tick == 0.0 { price } else { (price / tick).round().max(1.0) * tick }
        });
        closes.collect()
    }

    /// The minutes at which the averages cross.
    fn crossings(closes: &[f64], fast: usize, slow: usize) -> Vec<bool> {
        let is_above: Vec<bool> = closes.windows(slow).map(|window| gap(window, fast) > 0.0).collect();
        is_above.windows(2).map(|pair| pair[0] != pair[1]).collect()
    }

    #[test]
    fn no_crossing_is_slept_through_in_any_market() {
        let (mut minutes, mut asked, mut trades) = (0, 0, 0);
        for (fast, slow) in [(1, 2), (1, 60), (3, 7), (20, 60), (59, 60), (37, 150), (50, 1000)] {
            for seed in 0..144 {
                let closes = walk(seed, 3000);
                let crosses = crossings(&closes, fast, slow);
                let mut promise: Option<(usize, Calm)> = None;
                for (minute, crosses) in crosses.iter().enumerate() {
                    let window = &closes[minute + 1..=minute + slow];
                    let close = window[slow - 1];
                    minutes += 1;
                    trades += usize::from(*crosses);
                    let is_calm = promise.is_some_and(|(made, Calm { minutes, below, above })| {
                        (minute - made) as u64 <= minutes && (below..=above).contains(&close)
                    });
                    if is_calm {
                        assert!(!crosses, "seed {seed}, {fast} and {slow}, minute {minute}: {promise:?} was wrong");
                        continue;
                    }
                    asked += 1;
                    promise = calm(window, fast).filter(|_| !crosses).map(|calm| (minute, calm));
                }
            }
        }
        assert!(trades > 10_000, "{trades} crossings");
        assert!(asked * 2 < minutes, "asked {asked} of {minutes} minutes");
    }

    #[test]
    fn the_bound_is_the_price_at_which_they_cross() {
        // With one more close x, the average of two is (110 + x) / 2, and that of four (100 + 110 + 110 + x) / 4: they are
        // equal if x is 100.
        let Calm { minutes, below, above } = calm(&[100.0, 100.0, 110.0, 110.0], 2).unwrap();
        assert_eq!((minutes, above), (1, f64::INFINITY));
        assert!((100.0..100.000_001).contains(&below), "{below}");
        let Calm { minutes, below, above } = calm(&[110.0, 110.0, 100.0, 100.0], 2).unwrap();
        assert_eq!((minutes, below), (1, f64::NEG_INFINITY));
        assert!((109.999_999..110.0).contains(&above), "{above}");
    }

    #[test]
    fn nothing_is_promised_where_rounding_decides() {
        assert_eq!(calm(&[1.1; 60], 20), None);
        let mut closes = [0.1; 60];
        closes[3] = 0.1 + 1e-17;
        assert_eq!(calm(&closes, 20), None);
    }
}
