//! A store of one's own: documents in memory, each write printed. What a run keeps, and in which order, is seen on the
//! terminal.
//!
//! ```sh
//! cargo run --release -p sigbox --example own_store
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
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
        store::{Address, Store, StoreError, Stores},
    },
};
use tokio::sync::watch;

const SYMBOL: &str = "BTCUSDT";

/// Documents by address. A real store would be durable when `write_value` returns.
#[derive(Default)]
struct Printed(Mutex<BTreeMap<Address, Vec<u8>>>);

impl Printed {
    fn documents(&self) -> MutexGuard<'_, BTreeMap<Address, Vec<u8>>> {
        // A map is never left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Printed {
    fn describe(&self) -> String {
        "the terminal".to_owned()
    }

    async fn wait_for_init(&self, _: &str, _: &str, _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.documents().get(at).cloned())
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        Ok(self.documents().contains_key(at))
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        println!("{when_ms} {} {}/{}: {}", at.domain, at.entity_name, at.entity_id, String::from_utf8_lossy(value));
        self.documents().insert(at.clone(), value.to_owned());
        Ok(())
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        Ok(self.documents().remove(at).is_some())
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        let documents = self.documents();
        let here = documents.keys().filter(|at| at.domain == domain && at.entity_name == entity_name);
        Ok(here.map(|at| at.entity_id.clone()).collect())
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        Err(StoreError::new(self.describe(), at.clone(), "nothing can be set aside here".to_owned()))
    }

    async fn close(&self) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(trade())
}

async fn trade() -> Result<(), Box<dyn Error>> {
    let recipe =
        Recipe { seed: 7, start_ms: 1_704_067_200_000, minutes: 60, price: 42_000.0, volatility_percent: 0.05 };
    let candles = vec![(SYMBOL.to_owned(), Series::new(generate(&recipe)?)?)];

    let setup = Setup::new("made-up", Market::growing([SYMBOL.to_owned()]), Settings::default());
    // Enters at the market and is closed ten minutes later.
    let strategy = Native(|_now_ms: i64, price: f64| {
        Answer::Trade(Proposal {
            id: None,
            symbol: None,
            side: Side::Long,
            price_open: None,
            price_take_profit: price * 1.1,
            price_stop_loss: price * 0.9,
            minute_estimated_time: Some(10.0),
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
        })
    });
    let seat = SeatSetup::new(setup.assign("patient", SYMBOL), Interval::MINUTE, strategy);
    let feed = ReplayFeed::new(candles, 0.0, None, setup.settings().clone());

    let store: Arc<dyn Store> = Arc::new(Printed::default());
    let folder = tempfile::tempdir()?;
    // The time at which the candles end.
    let options = LiveOptions::at(recipe.start_ms + 60 * MINUTE_MS);
    let events = folder.path().join("events.jsonl");
    let mut journal = Journal::open(&events, SEGMENT_BYTES, options.now_ms, |_: &Event<'_>| {})?;
    let live = Live::start(setup.seat(seat), Stores::all_in(&store), feed, options, &mut journal).await?;
    let (_stop, stopped) = watch::channel(Stop::No);
    Ok(live.run(&mut journal, stopped).await?)
}
