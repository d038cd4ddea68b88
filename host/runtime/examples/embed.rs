//! The whole host in one page: a sandboxed strategy, candles, a backtest, and what happened.
//!
//! ```sh
//! cargo run --release -p sigbox --example embed -- plugins/target/wasm32-wasip2/release/sma_cross.wasm
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{env, error::Error, io, ops::ControlFlow, path::PathBuf};

use sigbox::{
    engine::Settings,
    events::EventWriter,
    market::{
        Market,
        candles::{Recipe, Series, generate},
    },
    sandbox::{Deterministic, Limits, Sandbox, StrategyPlugin},
    trading::{Backtest, Setup},
};

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

    let setup = Setup::new("made-up", market, Settings::default());

    let sandbox = Sandbox::<Deterministic>::new(Limits::default(), None)?;
    let strategy = StrategyPlugin::load(&sandbox, &plugin)?.start(setup.assign("sma-cross", "BTCUSDT"), "{}")?;
    let setup = setup.seat(strategy.seat());

    let mut events = EventWriter::new(io::stdout().lock());
    let outcome = Backtest::new(setup)?.run(&mut events, |_| ControlFlow::Continue(()));
    drop(events.finish()?);
    Ok(outcome?)
}
