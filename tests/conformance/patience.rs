//! A strategy that thinks past its minute, beside one that does not.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sigbox::{
    events::{Event, Notice},
    market::{Market, candles::Series},
    trading::{
        Live, LiveOptions, LiveStrategy, Question, SeatSetup, Setup, Stop,
        feed::{Boundary, Feed, FeedError, ReplayFeed},
        store::{MemoryStore, OnCorrupt, Store, Stores},
    },
};
use sigbox_engine::{Interval, Settings, trader::Answer};
use tokio::sync::{Notify, watch};

use super::stage::{BTC, EXCHANGE, answer, at, candles};
use crate::support::{LATER_MS, journal};

enum Thinker {
    /// Notes when it is asked.
    Quick(Arc<Mutex<Vec<i64>>>),
    /// Answers when it may.
    Slow(Arc<Notify>),
}

impl LiveStrategy for Thinker {
    async fn answer_in_time(&mut self, Question { now_ms, .. }: Question) -> Answer {
        match self {
            Self::Quick(asked) => {
                asked.lock().unwrap().push(now_ms);
                Answer::Nothing
            }
            Self::Slow(may_answer) => {
                may_answer.notified().await;
                answer("long tp=102 sl=99")
            }
        }
    }
}

/// A replay that waits for nobody, and lets the slow one answer after the third boundary.
struct Impatient {
    feed: ReplayFeed,
    given: u32,
    may_answer: Arc<Notify>,
}

impl Feed for Impatient {
    async fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> Result<Vec<FeedError>, FeedError> {
        self.feed.prepare(market, wanted).await
    }

    fn patience(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    async fn next(&mut self, market: &Market, notices: &mut Vec<Notice>) -> Result<Option<Boundary>, FeedError> {
        if self.given == 3 {
            self.may_answer.notify_one();
        }
        let next = self.feed.next(market, notices).await?;
        self.given += 1;
        Ok(next)
    }
}

/// What became of the slow one's answer, and when the quick one was asked.
async fn told(max_entry_delay: Duration) -> (Vec<(&'static str, i64)>, Vec<i64>) {
    let (may_answer, asked, events) = (Arc::new(Notify::new()), Arc::default(), Arc::new(Mutex::new(Vec::new())));
    let market = Market::growing([BTC.to_owned()]);
    let settings = Settings { avg_price_candles_count: 1, ..Settings::default() };
    let setup = Setup::new(EXCHANGE, market, settings.clone());
    let thinkers = [("slow", Thinker::Slow(Arc::clone(&may_answer))), ("quick", Thinker::Quick(Arc::clone(&asked)))];
    let setup = thinkers.into_iter().fold(setup, |setup, (name, thinker)| {
        let seat = SeatSetup::new(setup.assign(name, BTC), Interval::MINUTE, thinker);
        setup.seat(seat)
    });
    let series = Series::new(candles("100 * 2 | 102 | 100 * 7")).unwrap();
    let feed = ReplayFeed::new(vec![(BTC.to_owned(), series)], 0.0, None, settings);
    let feed = Impatient { feed, given: 0, may_answer };

    let dir = tempfile::tempdir().unwrap();
    let heard = Arc::clone(&events);
    let mut journal = journal(&dir.path().join("events.jsonl"), move |event: &Event| {
        heard.lock().unwrap().push((event.action.name(), event.timestamp));
    })
    .await;
    let options = LiveOptions {
        on_corrupt: OnCorrupt::Halt,
        max_entry_delay,
        lookback_minutes: 10_080,
        ..LiveOptions::at(LATER_MS)
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut journal).await.unwrap();
    let (_sender, stop) = watch::channel(Stop::No);
    live.run(&mut journal, stop).await.unwrap();
    let (events, asked) = (events.lock().unwrap().clone(), asked.lock().unwrap().clone());
    (events, asked)
}

#[tokio::test]
async fn a_slow_strategy_holds_nobody_up_and_enters_only_while_it_is_time() {
    // It was asked at the first minute; the price that ended its position passed while it thought.
    for (max_entry_delay, expected) in [
        (Duration::ZERO, vec![("strategy_failed", at(1))]),
        (Duration::from_secs(3600), vec![("opened", at(1)), ("closed", at(2))]),
    ] {
        let (events, asked) = told(max_entry_delay).await;
        assert_eq!(events, expected, "{max_entry_delay:?}");
        assert_eq!(asked, (1..=10).map(at).collect::<Vec<_>>(), "each minute");
    }
}
