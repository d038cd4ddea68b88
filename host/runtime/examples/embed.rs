//! The whole host in one page: a sandboxed strategy, candles, a backtest, and what happened.
//!
//! ```sh
//! cargo run --release -p sigbox --example embed -- plugins/target/wasm32-wasip2/release/sma_cross.wasm
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{env, error::Error, io, ops::ControlFlow, path::PathBuf};

use futures_util::FutureExt as _;
use sigbox::{
    events::EventWriter,
    market::{
        Market,
        candles::{Recipe, Series, generate},
    },
    sandbox::{Limits, Mode, Sandbox, Session, StrategyPlugin},
    trading::{Backtest, Frame, SeatSetup, Setup},
};
use sigbox_engine::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    let plugin = PathBuf::from(env::args().nth(1).ok_or("name a strategy component")?);

    let recipe = Recipe {
        seed: 7,
        start_ms: 1_704_067_200_000,
        minutes: 7 * 24 * 60,
        price: 42_000.0,
        volatility_percent: 0.05,
    };
    let market = Market::new([("BTCUSDT".to_owned(), Series::new(generate(&recipe)?)?)]);

    let sandbox = Sandbox::new(Mode::Deterministic, Limits::default(), None)?;
    let session = Session {
        strategy: "sma-cross".to_owned(),
        symbol: "BTCUSDT".to_owned(),
        exchange: "made-up".to_owned(),
        frame: None,
        settings: "{}".to_owned(),
        market: market.clone(),
        average_of: Settings::default().avg_price_candles_count as usize,
    };
    // In this mode nothing waits, so the future is ready at once.
    let strategy = StrategyPlugin::load(&sandbox, &plugin)?.start(session).now_or_never().ok_or("it waited")??;

    let seat = SeatSetup {
        strategy_name: "sma-cross".to_owned(),
        symbol: "BTCUSDT".to_owned(),
        interval: strategy.interval(),
        strategy,
        risk: Vec::new(),
    };
    let setup = Setup {
        exchange: "made-up".to_owned(),
        settings: Settings::default(),
        market,
        profiles: Vec::new(),
        seats: vec![seat],
    };
    let mut events = EventWriter::new(io::stdout().lock());
    let outcome = Backtest::new(setup, &Frame::default())?.run(&mut events, |_| ControlFlow::Continue(()));
    events.finish()?;
    Ok(outcome?)
}
