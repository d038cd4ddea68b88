//! The strategy, its fills and its result as a trader would write them for a single use: one pass, running sums, nothing
//! kept but what the next candle needs.
//!
//! The rules are sigbox's, so the trades are too: entry at the average price of the last five candles, stop touched by
//! a candle's extreme, take-profit reached by the average price, expiry at the average price. The end-to-end test
//! `peers` holds that.

use super::Candle;

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Result {
    pub trades: u32,
    /// Sum of the results of all trades, percent, after costs.
    pub pnl_percent: f64,
}

const MINUTE_MS: i64 = 60_000;
const FAST: usize = 20;
const SLOW: usize = 60;
/// Candles in the average price.
const AVERAGE_OF: usize = 5;
const TAKE_PROFIT: f64 = 0.01;
const STOP_LOSS: f64 = 0.005;
const LONGEST: usize = 240;
const FEE_PERCENT: f64 = 0.1;
const SLIPPAGE: f64 = 0.001;

struct Position {
    long: bool,
    entry: f64,
    take_profit: f64,
    stop_loss: f64,
    /// Index of the candle it does not outlive.
    expires: usize,
}

/// Trades `candles`, looking for an entry once in `every_minutes`. They must be consecutive, and in any five of them
/// somebody must have traded.
pub fn run(candles: &[Candle], every_minutes: i64) -> Result {
    let every_ms = every_minutes * MINUTE_MS;
    let mut result = Result::default();
    let mut position: Option<Position> = None;
    let mut ask_from_ms = i64::MIN;
    let (mut fast, mut slow, mut weighted, mut volume) = (0.0, 0.0, 0.0, 0.0);
    let mut was_above = false;
    let typical = |candle: &Candle| (candle.high + candle.low + candle.close) / 3.0 * candle.volume;

    for (index, candle) in candles.iter().enumerate() {
        fast += candle.close;
        slow += candle.close;
        weighted += typical(candle);
        volume += candle.volume;
        if index >= AVERAGE_OF {
            weighted -= typical(&candles[index - AVERAGE_OF]);
            volume -= candles[index - AVERAGE_OF].volume;
        }
        if index >= FAST {
            fast -= candles[index - FAST].close;
        }
        if index >= SLOW {
            slow -= candles[index - SLOW].close;
        }
        let above = fast / FAST as f64 > slow / SLOW as f64;

        if let Some(held) = &position {
            let average = weighted / volume;
            let (stopped, taken) = if held.long {
                (candle.low <= held.stop_loss, average >= held.take_profit)
            } else {
                (candle.high >= held.stop_loss, average <= held.take_profit)
            };
            let exit = if index >= held.expires || index + 1 == candles.len() {
                Some(average)
            } else if stopped {
                Some(held.stop_loss)
            } else if taken {
                Some(held.take_profit)
            } else {
                None
            };
            if let Some(exit) = exit {
                result.trades += 1;
                result.pnl_percent += pnl_percent(held, exit);
                position = None;
            }
        }

        let now_ms = candle.open_time_ms + MINUTE_MS;
        // The last two candles only end what is held.
        if position.is_none() && now_ms >= ask_from_ms && index >= SLOW && index + 2 < candles.len() {
            ask_from_ms = now_ms - now_ms % every_ms + every_ms;
            if above != was_above {
                let entry = weighted / volume;
                let towards_profit = if above { 1.0 } else { -1.0 };
                position = Some(Position {
                    long: above,
                    entry,
                    take_profit: entry * (1.0 + towards_profit * TAKE_PROFIT),
                    stop_loss: entry * (1.0 - towards_profit * STOP_LOSS),
                    expires: index + 1 + LONGEST,
                });
            }
        }
        was_above = above;
    }
    result
}

fn pnl_percent(held: &Position, exit: f64) -> f64 {
    let (open, close, gross) = if held.long {
        let (open, close) = (held.entry * (1.0 + SLIPPAGE), exit * (1.0 - SLIPPAGE));
        (open, close, (close - open) / open)
    } else {
        let (open, close) = (held.entry * (1.0 - SLIPPAGE), exit * (1.0 + SLIPPAGE));
        (open, close, (open - close) / open)
    };
    gross * 100.0 - FEE_PERCENT * (1.0 + close / open)
}
