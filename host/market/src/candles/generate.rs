//! Generated candles, so that sigbox can be tried without market data.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sigbox_engine::{Candle, MINUTE_MS};

/// What candles are generated from. The same recipe gives the same candles on every platform, and in every version
/// whose change log does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Selects one of the possible markets.
    pub seed: u64,
    /// When the first candle opens, milliseconds since the Unix epoch, on a whole minute, from 1970 to 9998.
    pub start_ms: i64,
    /// How many candles, at most [`Recipe::MOST_MINUTES`].
    pub minutes: usize,
    /// The first price, quote currency, from [`Recipe::LOWEST_PRICE`] to [`Recipe::HIGHEST_PRICE`]. Prices have two
    /// decimals and stay within these bounds.
    pub price: f64,
    /// Standard deviation of the price's change in a minute, percent of the price, from 0 to
    /// [`Recipe::MOST_VOLATILE_PERCENT`]. Bitcoin has about 0.05.
    pub volatility_percent: f64,
}

/// Why a recipe cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The start is not on a whole minute, or is outside of the calendar.
    #[error("start_ms must be a whole minute from 1970 to 9998, not {0}")]
    Start(i64),
    /// There are too many minutes.
    #[error("minutes must be at most {most}, not {0}", most = Recipe::MOST_MINUTES)]
    Minutes(usize),
    /// The price leaves no room for two decimals, or is no price.
    #[error("price must be from {low} to {high}, not {0}", low = Recipe::LOWEST_PRICE, high = Recipe::HIGHEST_PRICE)]
    Price(f64),
    /// The volatility is negative or too high.
    #[error("volatility_percent must be from 0 to {most}, not {0}", most = Recipe::MOST_VOLATILE_PERCENT)]
    Volatility(f64),
}

impl Recipe {
    /// Twenty years. All these candles are in memory at once, half a gigabyte.
    pub const MOST_MINUTES: usize = 20 * 366 * 24 * 60;
    /// Below it, two decimals would be too coarse.
    pub const LOWEST_PRICE: f64 = 1.0;
    /// Above it, two decimals would come close to the precision of a double.
    pub const HIGHEST_PRICE: f64 = 1e9;
    /// With it, a minute changes the price by at most 16 %.
    pub const MOST_VOLATILE_PERCENT: f64 = 5.0;

    fn check(&self) -> Result<(), RecipeError> {
        if self.start_ms % MINUTE_MS != 0 || !(0..FIRST_START_TOO_LATE_MS).contains(&self.start_ms) {
            Err(RecipeError::Start(self.start_ms))
        } else if self.minutes > Self::MOST_MINUTES {
            Err(RecipeError::Minutes(self.minutes))
        } else if !(Self::LOWEST_PRICE..=Self::HIGHEST_PRICE).contains(&self.price) {
            Err(RecipeError::Price(self.price))
        } else if !(0.0..=Self::MOST_VOLATILE_PERCENT).contains(&self.volatility_percent) {
            Err(RecipeError::Volatility(self.volatility_percent))
        } else {
            Ok(())
        }
    }
}

/// Generates consecutive candles, each one possible. The price moves at random and also follows a trend that changes
/// every few hours. So a strategy that follows trends both wins and loses.
///
/// Only `+ - * /`, comparisons and conversions are used, because their results are the same everywhere. The logarithms
/// and cosines of the usual bell curve differ in the last bit from one platform to another.
///
/// # Errors
/// When a field of the recipe is outside of the range its documentation gives.
pub fn generate(recipe: &Recipe) -> Result<Vec<Candle>, RecipeError> {
    recipe.check()?;
    let volatility = recipe.volatility_percent / 100.0;
    let mut dice = Dice::new(recipe.seed);
    let mut open_time_ms = recipe.start_ms;
    let mut open = to_cents(recipe.price);
    let mut trend = 0.0;
    let mut trend_minutes_left = 0;

    let mut candles = Vec::with_capacity(recipe.minutes);
    for _ in 0..recipe.minutes {
        if trend_minutes_left == 0 {
            trend = dice.either_way() * STRONGEST_TREND;
            trend_minutes_left = dice.between(SHORTEST_TREND_MINUTES, LONGEST_TREND_MINUTES);
        }
        trend_minutes_left -= 1;

        let surprise = dice.bell();
        let close = to_cents(open * (1.0 + (trend + surprise) * volatility));
        let (lower, upper) = if open < close { (open, close) } else { (close, open) };
        let high = to_cents(upper * (1.0 + dice.one_way() * LONGEST_WICK * volatility));
        let low = to_cents(lower * (1.0 - dice.one_way() * LONGEST_WICK * volatility));
        // The volume is higher in minutes in which the price changes more.
        let volume = to_thousandths(dice.one_way() * 10.0 + surprise * surprise * 5.0);

        candles.push(Candle { open_time_ms, open, high, low, close, volume });
        open_time_ms += MINUTE_MS;
        open = close;
    }
    Ok(candles)
}

/// The strongest drift of a trend, in standard deviations a minute. Over the hours of a trend the drift grows with the
/// number of minutes, and the noise with its square root. So some trends are clear, and others stay in the noise.
const STRONGEST_TREND: f64 = 0.2;
const SHORTEST_TREND_MINUTES: u64 = 2 * 60;
const LONGEST_TREND_MINUTES: u64 = 8 * 60;

/// How far the high and the low reach beyond open and close at most, in standard deviations.
const LONGEST_WICK: f64 = 1.0;

/// 9999-01-01T00:00:00Z.
const FIRST_START_TOO_LATE_MS: i64 = 253_370_764_800_000;

/// The price to two decimals, within the bounds of a recipe.
fn to_cents(price: f64) -> f64 {
    let bounded = price.clamp(Recipe::LOWEST_PRICE, Recipe::HIGHEST_PRICE);
    rounded(bounded * 100.0) / 100.0
}

fn to_thousandths(amount: f64) -> f64 {
    rounded(amount * 1000.0) / 1000.0
}

/// The whole number that is nearest to `number`, which must be at least 0 and below 2^52.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "cutting off the fraction is how it rounds, and whole numbers of this size are exact"
)]
fn rounded(number: f64) -> f64 {
    (number + 0.5) as i64 as f64
}

/// Random numbers that depend only on the seed.
struct Dice {
    stream: ChaCha8Rng,
}

impl Dice {
    fn new(seed: u64) -> Self {
        // Not `seed_from_u64`: another crate decides how that function makes a key from the number.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self { stream: ChaCha8Rng::from_seed(key) }
    }

    /// From 0 to 1, without 1 itself, in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds exactly")]
    fn one_way(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.stream.next_u64() >> 11) as f64 / STEPS
    }

    /// From -1 to 1.
    fn either_way(&mut self) -> f64 {
        self.one_way() * 2.0 - 1.0
    }

    /// Roughly a bell curve, never beyond 3. Each of the three numbers has a variance of one third, so their sum has
    /// one of 1.
    fn bell(&mut self) -> f64 {
        self.either_way() + self.either_way() + self.either_way()
    }

    /// A whole number from `least` to `most`, both included. The remainder prefers some numbers, too slightly to matter
    /// here.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.stream.next_u64() % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::candles::Series;

    const RECIPE: Recipe =
        Recipe { seed: 7, start_ms: 1_677_628_800_000, minutes: 4, price: 23_140.48, volatility_percent: 0.05 };

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let rows: Vec<_> = generate(&RECIPE)
            .unwrap()
            .iter()
            .map(|c| (c.open_time_ms, c.open, c.high, c.low, c.close, c.volume))
            .collect();
        assert_eq!(
            rows,
            [
                (1_677_628_800_000, 23_140.48, 23_144.38, 23_118.93, 23_123.03, 14.958),
                (1_677_628_860_000, 23_123.03, 23_147.32, 23_118.39, 23_139.79, 11.079),
                (1_677_628_920_000, 23_139.79, 23_148.98, 23_138.03, 23_148.5, 9.251),
                (1_677_628_980_000, 23_148.5, 23_150.89, 23_119.14, 23_127.35, 28.44),
            ]
        );
    }

    #[test]
    fn a_longer_run_begins_like_a_shorter_one_and_another_seed_does_not() {
        let short = generate(&RECIPE).unwrap();
        let long = generate(&Recipe { minutes: 2000, ..RECIPE }).unwrap();
        let other = generate(&Recipe { seed: 8, ..RECIPE }).unwrap();
        assert_eq!(short, long[..4]);
        assert_ne!(short, other);
    }

    #[test]
    fn candles_are_possible_and_consecutive_even_at_the_ends_of_the_ranges() {
        let prices = [Recipe::LOWEST_PRICE, 3.33, 23_140.48, Recipe::HIGHEST_PRICE];
        let volatilities = [0.0, 0.05, Recipe::MOST_VOLATILE_PERCENT];
        for price in prices {
            for volatility_percent in volatilities {
                for seed in [0, 1, u64::MAX] {
                    let recipe = Recipe { seed, price, volatility_percent, minutes: 3000, ..RECIPE };
                    let made = Series::new(generate(&recipe).unwrap());
                    assert_eq!(made.map(|series| series.len()), Ok(3000), "{recipe:?}");
                }
            }
        }
    }

    #[test]
    fn each_candle_opens_where_the_last_one_closed_and_has_two_decimals() {
        let candles = generate(&Recipe { minutes: 3000, ..RECIPE }).unwrap();
        for pair in candles.windows(2) {
            assert_eq!(pair[0].close.to_bits(), pair[1].open.to_bits());
        }
        for candle in candles {
            for price in [candle.open, candle.high, candle.low, candle.close] {
                assert_eq!(format!("{price:.2}").parse(), Ok(price));
            }
        }
    }

    #[test]
    fn the_price_changes_as_much_as_the_recipe_says() {
        let candles = generate(&Recipe { minutes: 50_000, ..RECIPE }).unwrap();
        let squares: f64 = candles.iter().map(|c| ((c.close / c.open - 1.0) * 100.0).powi(2)).sum();
        let deviation = (squares / 50_000.0).sqrt();
        assert!((0.045..0.055).contains(&deviation), "{deviation}");
    }

    /// Buy when the fast average is above the slow one, sell when it falls below.
    #[test]
    fn following_the_trend_both_wins_and_loses() {
        for seed in 0..5 {
            let candles = generate(&Recipe { seed, minutes: 7 * 1440, ..RECIPE }).unwrap();
            let sum = |minutes: &[Candle]| minutes.iter().map(|c| c.close).sum::<f64>();
            let (mut won, mut lost, mut entry) = (0, 0, None);
            for end in 120..candles.len() {
                let (fast, slow) = (sum(&candles[end - 30..end]) / 30.0, sum(&candles[end - 120..end]) / 120.0);
                let price = candles[end].open;
                match entry {
                    None if fast > slow => entry = Some(price),
                    Some(paid) if fast < slow => {
                        entry = None;
                        if price > paid { won += 1 } else { lost += 1 }
                    }
                    _ => {}
                }
            }
            assert!(won >= 5 && lost >= 5, "seed {seed}: {won} won, {lost} lost");
        }
    }

    #[test]
    fn a_recipe_that_cannot_be_followed_says_which_field_is_wrong() {
        let cases = [
            (Recipe { start_ms: 1, ..RECIPE }, "start_ms must be a whole minute from 1970 to 9998, not 1"),
            (
                Recipe { start_ms: i64::MAX / 60_000 * 60_000, ..RECIPE },
                "start_ms must be a whole minute from 1970 to 9998, not 9223372036854720000",
            ),
            (Recipe { minutes: usize::MAX, ..RECIPE }, "minutes must be at most 10540800, not 18446744073709551615"),
            (Recipe { price: 0.99, ..RECIPE }, "price must be from 1 to 1000000000, not 0.99"),
            (Recipe { price: f64::NAN, ..RECIPE }, "price must be from 1 to 1000000000, not NaN"),
            (Recipe { volatility_percent: -0.1, ..RECIPE }, "volatility_percent must be from 0 to 5, not -0.1"),
            (Recipe { volatility_percent: f64::NAN, ..RECIPE }, "volatility_percent must be from 0 to 5, not NaN"),
        ];
        for (recipe, expected) in cases {
            assert_eq!(generate(&recipe).unwrap_err().to_string(), expected);
        }
        assert_eq!(generate(&Recipe { minutes: 0, ..RECIPE }), Ok(vec![]));
    }
}
