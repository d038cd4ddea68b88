//! A feed of one's own: candles from wherever they come, here made up minute by minute. It hands out each candle once, in
//! order, and none before it has closed.
//!
//! ```sh
//! cargo run --release -p sigbox --example own_feed
//! ```

#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::{error::Error, sync::Arc, time::Duration};

use sigbox::{
    engine::{Candle, Interval, MINUTE_MS, Settings, trader::Answer},
    events::{Event, Notice},
    market::Market,
    trading::{
        Journal, Live, LiveOptions, Native, SEGMENT_BYTES, SeatSetup, Setup, Stop,
        feed::{Boundary, Feed, FeedError},
        store::{MemoryStore, Store, Stores},
    },
};
use tokio::sync::watch;

const SYMBOL: &str = "BTCUSDT";

/// A price that goes up and down between two bounds, for an hour.
struct Swing {
    /// When the next candle opens.
    open_ms: i64,
    end_ms: i64,
}

impl Swing {
    fn close_next(&mut self, market: &Market) -> Result<(), FeedError> {
        let failed = |problem: String| FeedError::Candles { symbol: SYMBOL.to_owned(), problem };
        let minute = (self.open_ms / MINUTE_MS).rem_euclid(20);
        #[expect(clippy::cast_precision_loss, reason = "it is below 20")]
        let price = 100.0 + (minute - 10).abs() as f64;
        let candle = Candle {
            open_time_ms: self.open_ms,
            open: price,
            high: price + 0.5,
            low: price - 0.5,
            close: price,
            volume: 1.0,
        };
        let series = market.series(SYMBOL).ok_or_else(|| failed("the market does not have the symbol".to_owned()))?;
        series.push(candle).map_err(|error| failed(error.to_string()))?;
        self.open_ms += MINUTE_MS;
        Ok(())
    }
}

impl Feed for Swing {
    async fn prepare(
        &mut self,
        market: &Market,
        _wanted: &[(String, Option<i64>)],
    ) -> Result<Vec<FeedError>, FeedError> {
        // The average price of the first boundary is made of five candles.
        for _ in 0..5 {
            self.close_next(market)?;
        }
        Ok(Vec::new())
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    async fn next(&mut self, market: &Market, _notices: &mut Vec<Notice>) -> Result<Option<Boundary>, FeedError> {
        if self.open_ms >= self.end_ms {
            return Ok(None);
        }
        self.close_next(market)?;
        Ok(Some(Boundary { now_ms: self.open_ms, fresh: true }))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(trade())
}

async fn trade() -> Result<(), Box<dyn Error>> {
    let start_ms = 1_704_067_200_000;
    let feed = Swing { open_ms: start_ms, end_ms: start_ms + 60 * MINUTE_MS };
    let setup = Setup::new("made-up", Market::growing([SYMBOL.to_owned()]), Settings::default());
    let strategy = Native(|now_ms: i64, price: f64| {
        println!("{now_ms}: {price}");
        Answer::Nothing
    });
    let seat = SeatSetup::new(setup.assign("watcher", SYMBOL), Interval::MINUTE, strategy);

    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let folder = tempfile::tempdir()?;
    // The time at which the candles end.
    let options = LiveOptions::at(feed.end_ms);
    let events = folder.path().join("events.jsonl");
    let mut journal = Journal::open(&events, SEGMENT_BYTES, options.now_ms, |_: &Event<'_>| {})?;
    let live = Live::start(setup.seat(seat), Stores::all_in(&store), feed, options, &mut journal).await?;
    let (_stop, stopped) = watch::channel(Stop::No);
    Ok(live.run(&mut journal, stopped).await?)
}
