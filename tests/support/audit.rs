//! An auditor of event files. It reads the events as a program does, and where it is given the candles it works out on
//! its own what must be in them; it shares no arithmetic with the engine.

mod books;
mod order;

use sigbox_engine::Candle;

use self::books::follow_the_candles;
use super::Events;

/// What an auditor knows besides the events. The defaults are those of the specification (1.7), not of the engine.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The candles the run has seen, by symbol, each gapless.
    pub candles: Vec<(String, Vec<Candle>)>,
    /// `None`: a live run.
    pub frame: Option<Period>,
    /// How many orders and positions there may be at a time, over everything that trades.
    pub max_active: Option<usize>,
    pub average_of: usize,
    pub await_minutes: i64,
    pub slippage_percent: f64,
    pub fee_percent: f64,
    pub breakeven_percent: f64,
    pub min_take_profit_percent: f64,
    pub min_stop_loss_percent: f64,
    pub max_stop_loss_percent: f64,
    /// May be infinite.
    pub max_lifetime_minutes: f64,
}

/// When a backtest asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    pub first_ms: i64,
    pub last_ms: i64,
    pub step_minutes: i64,
}

impl Known {
    pub(crate) const fn new(candles: Vec<(String, Vec<Candle>)>) -> Self {
        Self {
            candles,
            frame: None,
            max_active: None,
            average_of: 5,
            await_minutes: 120,
            slippage_percent: 0.1,
            fee_percent: 0.1,
            breakeven_percent: 0.2,
            min_take_profit_percent: 0.5,
            min_stop_loss_percent: 0.5,
            max_stop_loss_percent: 20.0,
            max_lifetime_minutes: 1440.0,
        }
    }
}

/// Panics at the first event that cannot follow from those before it.
pub(crate) fn audit(events: &Events) {
    order::check(events, None).unwrap_or_else(|fault| panic!("{fault}"));
}

/// Panics at the first event that cannot follow from those before it, or not from the candles.
pub(crate) fn audit_with(events: &Events, known: &Known) {
    fault(events, known).unwrap_or_else(|fault| panic!("{fault}"));
}

/// The first event that cannot follow from those before it, or not from the candles.
pub(crate) fn fault(events: &Events, known: &Known) -> Result<(), String> {
    order::check(events, known.max_active)?;
    follow_the_candles(events, known)
}
