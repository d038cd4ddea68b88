//! A live run: a strategy in Rust, candles that close as fast as they can be read, state in files. Run it twice: the second
//! run finds what the first one held.
//!
//! ```sh
//! cargo run --release -p sigbox --example live -- state
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{env, error::Error, path::PathBuf, sync::Arc};

use sigbox::{
    engine::{Interval, MINUTE_MS, Proposal, Settings, Side, trader::Answer},
    events::Event,
    market::{
        Market,
        candles::{Recipe, Series, generate},
    },
    trading::{
        Journal, Live, LiveOptions, Native, SEGMENT_BYTES, SeatSetup, Setup, Stop,
        feed::ReplayFeed,
        store::{FileStore, Store, Stores},
    },
};
use tokio::sync::watch;

const SYMBOL: &str = "BTCUSDT";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("name a folder for what the run keeps")?);
    tokio::runtime::Runtime::new()?.block_on(trade(folder))
}

async fn trade(folder: PathBuf) -> Result<(), Box<dyn Error>> {
    let recipe =
        Recipe { seed: 7, start_ms: 1_704_067_200_000, minutes: 1440, price: 42_000.0, volatility_percent: 0.05 };
    let candles = vec![(SYMBOL.to_owned(), Series::new(generate(&recipe)?)?)];

    // The market is empty at first: the feed adds each candle when it has closed.
    let setup = Setup::new("made-up", Market::growing([SYMBOL.to_owned()]), Settings::default());
    let seat = SeatSetup::new(setup.assign("always-long", SYMBOL), Interval::MINUTE, Native(always_long));
    let feed = ReplayFeed::new(candles, 0.0, None, setup.settings().clone());
    let setup = setup.seat(seat);

    let store: Arc<dyn Store> = Arc::new(FileStore::open(folder.join("data"))?);
    // The time at which the candles end.
    let options = LiveOptions::at(recipe.start_ms + 1440 * MINUTE_MS);
    let print = |event: &Event<'_>| println!("{}", event.headline());
    let mut journal = Journal::open(&folder.join("events.jsonl"), SEGMENT_BYTES, options.now_ms, print)?;
    let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut journal).await?;
    // Sending `Stop::Now` ends the run after the boundary being decided.
    let (_stop, stopped) = watch::channel(Stop::No);
    Ok(live.run(&mut journal, stopped).await?)
}

/// Buys whenever it is flat.
fn always_long(_now_ms: i64, price: f64) -> Answer {
    Answer::Trade(Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: None,
        price_take_profit: price * 1.01,
        price_stop_loss: price * 0.99,
        minute_estimated_time: Some(240.0),
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    })
}
