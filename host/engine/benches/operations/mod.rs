//! What is measured of the rules: in time by `step.rs`, in instructions by `tests/benches/instructions.rs`.

use std::{hint::black_box, sync::Arc};

use sigbox_engine::{
    Candle, Interval, MINUTE_MS, Outcome, Outcomes, Proposal, Settings, Side, Trader,
    price::average_price,
    risk::NoRisk,
    signal::Pair,
    trader::{Answer, Bar, Memory},
};

/// How many minutes [`hold`] judges.
pub(crate) const MINUTES: u32 = 1020;

/// Candles in an average price.
const AVERAGE_OF: u32 = 5;

/// Hears what a backtest wants to know, which is not that nothing happened.
struct Listener;

impl Outcomes for Listener {
    fn add(&mut self, outcome: Outcome) {
        black_box(outcome);
    }

    fn tick(&mut self, _: &Outcome) {}
}

/// Judges a stretch of candles, none of which ends what is held: a position, or an order at `limit` that waits.
pub(crate) fn hold(limit: Option<f64>) -> impl FnMut() {
    let candles = candles();
    let mut trader = trader();
    let held = trader.admit(0, 100.0, long(limit), &mut NoRisk, &mut Listener);
    trader.commit(held);
    move || {
        for window in candles.windows(AVERAGE_OF as usize) {
            let average = average_price(window).unwrap_or(100.0);
            let bar = Bar { candle: &window[window.len() - 1], average, frame_end_ms: None };
            black_box(trader.step(black_box(bar), &mut NoRisk, &mut Listener));
        }
    }
}

/// Takes in what the strategy of a flat trader answers.
pub(crate) fn admit(answer: impl Fn() -> Answer) -> impl FnMut() {
    let trader = trader();
    move || {
        black_box(trader.admit(black_box(MINUTE_MS), 100.0, answer(), &mut NoRisk, &mut Listener));
    }
}

/// A long position that is far from its ends, at `limit` or at once.
pub(crate) fn long(limit: Option<f64>) -> Answer {
    Answer::Trade(Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: limit,
        price_take_profit: 110.0,
        price_stop_loss: 90.0,
        minute_estimated_time: None,
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    })
}

/// Candles that wander a little around 100, never far enough to end anything.
fn candles() -> Vec<Candle> {
    (0..MINUTES + AVERAGE_OF - 1)
        .map(|minute| Candle {
            open_time_ms: i64::from(minute) * MINUTE_MS,
            open: 100.0,
            high: 100.1,
            low: 99.9,
            close: 100.0 + f64::from(minute % 7) * 0.01,
            volume: 1.0 + f64::from(minute % 3),
        })
        .collect()
}

fn trader() -> Trader {
    let pair = Pair { symbol: "S".into(), strategy: "s".into(), exchange: "x".into(), frame: String::new() };
    Trader::new(pair, Interval::MINUTE, Arc::new(Settings::default()), Memory::default())
}
