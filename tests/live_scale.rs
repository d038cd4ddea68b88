//! Live runs of a thousand pairs of strategy and symbol, and of many days.

#[cfg(target_os = "linux")]
mod measured;

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::Value;
use sigbox::{
    events::{Event, EventWriter},
    market::{
        Market,
        candles::{Recipe, Series, generate, write_csv},
    },
    trading::{
        Backtest, Live, LiveOptions, Native, Profile, SeatSetup, Setup, Stop,
        feed::ReplayFeed,
        store::{Address, Domain, MemoryStore, OnCorrupt, Store, StoreError, Stores},
    },
};
use sigbox_engine::{
    Candle, Interval, MINUTE_MS, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    signal::Pair,
    trader::Answer,
};
use tokio::sync::watch;

use crate::support::{Configuration, Events, LATER_MS, Workplace, audit, first_difference, journal, plugin};

const START_MS: i64 = 1_704_067_200_000;

/// How far strategies of [`Run`] may look back.
const LOOKBACK: usize = 300;

/// What is run once as a backtest and once live.
struct Run {
    symbols: Vec<(String, Vec<Candle>)>,
    strategies: usize,
    /// Positions and orders all of them may have together.
    limit: usize,
    /// What one of them answers, by its number, the candles it can see, the time and the price.
    answer: fn(usize, &Series, i64, f64) -> Answer,
}

impl Run {
    fn setup(&self, market: &Market) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + use<>>> {
        let answer = self.answer;
        let rule = NamedRule { rule: Rule::MaxActive(self.limit), id: None, note: "no".to_owned() };
        let settings = Settings { max_signal_lifetime_minutes: f64::INFINITY, ..Settings::default() };
        let setup = Setup::new("made-up", market.clone(), settings);
        let mut setup = setup.profile(Profile::new("shared".to_owned(), vec![rule]));
        for strategy in 0..self.strategies {
            for (place, (symbol, _)) in self.symbols.iter().enumerate() {
                let series = market.series(symbol).expect("it is traded").clone();
                let number = strategy * self.symbols.len() + place;
                let asked = Native(move |now_ms, price| answer(number, &series.read(), now_ms, price));
                let assignment = setup.assign(format!("strategy-{strategy}"), symbol);
                let seat = SeatSetup::new(assignment, Interval::MINUTE, asked);
                setup = setup.seat(SeatSetup { risk: vec!["shared".to_owned()], ..seat });
            }
        }
        setup
    }

    fn series(&self) -> impl Iterator<Item = (String, Series)> {
        self.symbols
            .iter()
            .map(|(symbol, candles)| (symbol.clone(), Series::new(candles.clone()).expect("they are sound")))
    }

    fn backtest(&self) -> Events {
        let mut written = Vec::new();
        let mut events = EventWriter::new(&mut written);
        let run = Backtest::new(self.setup(&Market::new(self.series()))).expect("candles cover it");
        run.run(&mut events, |_| ControlFlow::Continue(())).expect("no candle is missing");
        events.finish().expect("memory takes everything");
        Events::parse(&String::from_utf8(written).expect("events are text"))
    }

    /// The events, and the candles that are left in the end.
    async fn live(&self) -> (Events, Market) {
        self.live_in(Arc::new(MemoryStore::new())).await
    }

    async fn live_in(&self, store: Arc<dyn Store>) -> (Events, Market) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("events.jsonl");
        let mut journal = journal(&path, |_: &Event| {}).await;
        let market = Market::growing(self.symbols.iter().map(|(symbol, _)| symbol.clone()));
        let setup = self.setup(&market);
        let feed = ReplayFeed::new(self.series().collect(), 0.0, None, setup.settings().clone());
        let options = LiveOptions {
            on_corrupt: OnCorrupt::Halt,
            lookback_minutes: u32::try_from(LOOKBACK).expect("it is small"),
            ..LiveOptions::at(LATER_MS)
        };
        let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut journal).await.expect("it starts");
        let (_sender, stop) = watch::channel(Stop::No);
        live.run(&mut journal, stop).await.expect("the feed does not fail");
        drop(journal);
        (Events::parse(&std::fs::read_to_string(&path).expect("the run wrote events")), market)
    }

    /// The candle after the last boundary ends what a backtest still holds; a live run goes on.
    fn compared_until_ms(&self) -> i64 {
        self.symbols[0].1.last().expect("there are candles").open_time_ms - MINUTE_MS
    }
}

fn candles(seed: u64, minutes: usize, volatility_percent: f64) -> Vec<Candle> {
    let recipe = Recipe { seed, start_ms: START_MS, minutes, price: 100.0, volatility_percent };
    generate(&recipe).expect("the recipe is sound")
}

fn symbols(count: usize, minutes: usize, volatility_percent: f64) -> Vec<(String, Vec<Candle>)> {
    let symbol = |number: usize| {
        let seed = u64::try_from(number).expect("there are few");
        (format!("S{number:03}USDT"), candles(seed, minutes, volatility_percent))
    };
    (0..count).map(symbol).collect()
}

fn long(price: f64, away: f64, open: Option<f64>, minutes: f64) -> Answer {
    Answer::Trade(Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: open,
        price_take_profit: price * (1.0 + away * 1.2),
        price_stop_loss: price * (1.0 - away),
        minute_estimated_time: Some(minutes),
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    })
}

/// Each number has its own minute of seven; orders and positions at the market take turns.
fn in_turn(number: usize, _: &Series, now_ms: i64, price: f64) -> Answer {
    let minute = usize::try_from(now_ms / MINUTE_MS).expect("times are after the epoch");
    match (minute + number) % 7 {
        0 => long(price, 0.01, None, 3.0),
        3 => long(price * 0.999, 0.01, Some(price * 0.999), 5.0),
        _ => Answer::Nothing,
    }
}

#[tokio::test]
async fn a_thousand_pairs_with_one_profile_are_their_backtest() {
    let run = Run { symbols: symbols(100, 40, 0.3), strategies: 10, limit: 400, answer: in_turn };
    let (tested, (traded, _)) = (run.backtest(), run.live().await);
    let until_ms = run.compared_until_ms();
    let (tested, traded) = (tested.before(until_ms), traded.before(until_ms));
    for (action, at_least) in [("opened", 2000), ("closed", 1500), ("scheduled", 1000), ("risk_rejection", 1000)] {
        assert!(tested.of(action).len() > at_least, "{} {action}", tested.of(action).len());
    }
    assert_eq!(tested.by_pair().len(), 1000);
    assert_eq!(first_difference(&traded, &tested), None);
}

/// Memory that takes nothing for some minutes.
struct Down {
    memory: MemoryStore,
    minutes: Range<i64>,
}

#[async_trait]
impl Store for Down {
    fn describe(&self) -> String {
        "down".to_owned()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        self.memory.wait_for_init(domain, entity_name, initial).await
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.read_value(at).await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.memory.has_value(at).await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        // So that whoever else is ready comes in between.
        tokio::task::yield_now().await;
        if self.minutes.contains(&((when_ms - START_MS) / MINUTE_MS)) {
            return Err(StoreError::unavailable(self.describe(), at.clone(), "it is gone".to_owned()));
        }
        self.memory.write_value(at, value, when_ms).await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.memory.remove_value(at).await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        self.memory.keys(domain, entity_name).await
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        self.memory.quarantine(at).await
    }

    async fn close(&self) {
        self.memory.close().await;
    }
}

#[tokio::test]
async fn a_store_that_is_gone_for_a_thousand_pairs_has_what_they_hold_when_it_is_back() {
    let run = Run { symbols: symbols(100, 40, 0.3), strategies: 10, limit: 400, answer: in_turn };
    let store = Arc::new(Down { memory: MemoryStore::new(), minutes: 10..20 });
    let (events, _) = run.live_in(Arc::clone(&store) as Arc<dyn Store>).await;
    audit(&events);
    let (failed, recovered) = (events.of("store_failed").len(), events.of("store_recovered").len());
    assert!(failed > 500, "{failed} pairs noticed");
    assert_eq!(recovered, failed);

    let mut open = 0;
    for ((strategy, symbol), lines) in events.by_pair() {
        let pair = Pair { symbol, strategy, exchange: "made-up".to_owned(), frame: String::new() };
        let stored = async |domain| {
            let document = store.read_value(&Address::of_pair(domain, &pair)).await.expect("memory answers");
            document.map_or(Value::Null, |document| serde_json::from_slice(&document).expect("documents are JSON"))
        };
        let last = lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).expect("events are JSON"));
        let mut last =
            last.filter(|event| ["opened", "closed", "scheduled", "cancelled"].iter().any(|a| event["action"] == *a));
        let last = last.next().unwrap_or_default();
        let held = |action: &str| if last["action"] == action { last["signal"]["id"].clone() } else { Value::Null };
        assert_eq!(stored(Domain::Signal).await["id"], held("opened"), "{pair}: {last}");
        assert_eq!(stored(Domain::Schedule).await["id"], held("scheduled"), "{pair}: {last}");
        open += usize::from(last["action"] == "opened");
    }
    let slots =
        Address { domain: "risk".to_owned(), entity_name: "shared".to_owned(), entity_id: "positions".to_owned() };
    let slots = store.read_value(&slots).await.expect("memory answers").expect("there are slots");
    let slots: Vec<Value> = serde_json::from_slice(&slots).expect("slots are a list");
    assert_eq!(slots.len(), open);
    assert!(open > 100, "{open} are open");
}

/// Looks as far back as it may, in minutes, hours and days, and answers by what it sees.
fn looking_back(number: usize, series: &Series, now_ms: i64, price: f64) -> Answer {
    let mean = |interval: &str, count: usize| {
        let window = series.last_closed_of(interval.parse().expect("an interval"), now_ms, count)?;
        #[expect(clippy::cast_precision_loss, reason = "windows are short")]
        let count = count as f64;
        Some(window.iter().map(|candle| candle.close).sum::<f64>() / count)
    };
    let means = [mean("1m", LOOKBACK), mean("15m", LOOKBACK), mean("1h", 100), mean("1d", 5)];
    let below = means.iter().flatten().filter(|mean| price < **mean).count();
    let seen = means.iter().flatten().count();
    // With four windows the answer differs from that with three, so a window that is missing is noticed.
    let minute = usize::try_from(now_ms / MINUTE_MS).expect("times are after the epoch");
    if (minute + number) % 50 == below * 10 + seen { long(price, 0.02, None, 200.0) } else { Answer::Nothing }
}

#[tokio::test]
async fn candles_that_were_let_go_are_missed_by_nobody() {
    const DAY: usize = 24 * 60;
    let run = Run { symbols: symbols(2, 12 * DAY, 0.05), strategies: 2, limit: 4, answer: looking_back };
    let (tested, (traded, market)) = (run.backtest(), run.live().await);
    for symbol in market.symbols() {
        let series = market.series(symbol).unwrap().read();
        assert!(series.is_cut(), "{} candles of {symbol} are left", series.len());
        assert!((LOOKBACK..LOOKBACK + 2 * DAY + 1).contains(&series.len()), "{} candles are left", series.len());
    }
    let until_ms = run.compared_until_ms();
    let (tested, traded) = (tested.before(until_ms), traded.before(until_ms));
    assert!(tested.of("closed").len() > 50, "{}", tested.of("closed").len());
    assert_eq!(first_difference(&traded, &tested), None);
}

/// Components whose share of changes can be chosen: a pair opens once in `period` minutes, and the next candle closes
/// it, because each one falls far.
fn metronomes(
    workplace: &Workplace,
    symbols: usize,
    strategies: usize,
    minutes: usize,
    period: usize,
) -> Configuration {
    let component = plugin("strategies/metronome");
    let mut configuration = Configuration::new();
    let mut names = Vec::new();
    for number in 0..symbols {
        let name = format!("S{number:03}USDT");
        let mut candles = candles(u64::try_from(number).expect("there are few"), minutes, 0.05);
        for candle in &mut candles {
            candle.low *= 0.97;
        }
        let file = workplace.path(&format!("{name}.csv"));
        write_csv(&file, &candles).expect("a file can be written");
        configuration = configuration.file(&name, &file);
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let more = format!("risk = [\"shared\"]\nsettings = {{ period = {period}, candles = 20 }}");
    for number in 0..strategies {
        configuration = configuration.strategy(&format!("beat-{number}"), &component, &names, &more);
    }
    configuration.section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 5000 }]")
}

#[test]
fn a_hundred_components_are_their_backtest() {
    let workplace = Workplace::empty();
    workplace.configure(&metronomes(&workplace, 10, 10, 60, 4));
    workplace.succeed(&["backtest"]);
    workplace.succeed(&["live"]);
    let tested = Events::parse(&workplace.read("dump/backtest/events.jsonl"));
    let until_ms = START_MS + 58 * MINUTE_MS;
    let (tested, traded) = (tested.before(until_ms), workplace.live_events().before(until_ms));
    assert_eq!(tested.by_pair().len(), 100);
    assert!(tested.of("closed").len() > 1000, "{}", tested.of("closed").len());
    assert_eq!(first_difference(&traded, &tested), None);
}
