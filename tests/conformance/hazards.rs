//! What nothing else shows of the hazards in `docs/hazards.md`.

use std::{
    fs,
    process::Stdio,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use sigbox::trading::{
    RunError, Stop,
    store::{Address, Domain, MemoryStore, Store, StoreError, Stores},
};
use sigbox_engine::{Outcome, Side, risk::Rule};

use super::stage::{BTC, ETH, World, at, pair, row, scene};
use crate::support::{Configuration, Events, Workplace, plugin};

const EVENTS: &str = "dump/data/events.jsonl";

#[test]
fn two_who_ask_at_the_same_minute_do_not_both_get_the_last_place() {
    let (markets, script) = (scene("100 * 5").market(ETH, "100 * 5"), "1..3: long tp=102 sl=99");
    let scene = markets.trader("a", BTC, script).trader("b", ETH, script).risk("shared", Rule::MaxActive(1));
    for told in [scene.backtest(), World::new().live(&scene)] {
        assert_eq!(told.story_of("a", BTC)[..1], ["1 opened 100"]);
        assert_eq!(told.story_of("b", ETH), ["1 refused by shared", "2 refused by shared"]);
    }
}

#[test]
fn an_order_that_is_filled_does_not_count_against_itself() {
    let scene = scene("100 * 3 | 99 98 99 | 102 | 100 * 2").trades("1: long open=98 tp=101 sl=97");
    let story = scene.risk("shared", Rule::MaxActive(1)).story();
    assert_eq!(story, ["1 scheduled 98", "3 opened 98", "4 take_profit 101"]);
}

#[test]
fn a_refusal_by_the_second_profile_takes_no_place_in_the_first() {
    let markets = scene("100 * 5").market(ETH, "100 * 5");
    let scene = markets.trader("a", BTC, "1: short tp=98 sl=101").trader("b", ETH, "1: long tp=102 sl=99");
    let scene = scene.risk("shared", Rule::MaxActive(1)).risk("no shorts", Rule::RejectSide(Side::Short));
    for told in [scene.backtest(), World::new().live(&scene)] {
        assert_eq!(told.story_of("a", BTC), ["1 refused by no shorts"]);
        assert_eq!(told.story_of("b", ETH)[..1], ["1 opened 100"]);
    }
}

#[test]
fn an_opening_that_cannot_be_told_is_an_opening_all_the_same() {
    let scene = scene("100 * 4 | 102 | 100").trades("1: long tp=102 sl=99");
    let world = World::new();
    let refuses = |outcome: &Outcome| matches!(outcome, Outcome::Opened { .. });
    let (told, ended) = world.live_with(&scene.clone().only(3), |store| Stores::all_in(&store), refuses);
    let Err(RunError::NotKept(what)) = ended else { panic!("{ended:?}") };
    assert!(what[0].ends_with("and its event record does not have it"), "{what:?}");
    assert_eq!(told.lines(), ["signal long 100"]);
    assert_eq!(world.live(&scene).story(), ["1 opened 100", "4 take_profit 102"], "it is told when it can be");
}

#[test]
fn a_close_that_cannot_be_told_is_told_later_and_clears_nothing_before() {
    let scene = scene("100 * 2 | 102 | 100 * 6").trades("1: long tp=102 sl=99");
    let (world, mut refusals) = (World::new(), 0);
    let refuses = |outcome: &Outcome| {
        refusals += i32::from(matches!(outcome, Outcome::Closed { .. }));
        matches!(outcome, Outcome::Closed { .. }) && refusals <= 3
    };
    let (told, ended) = world.live_with(&scene, |store| Stores::all_in(&store), refuses);
    ended.unwrap();
    assert_eq!(told.story(), ["1 opened 100", "2 take_profit 102"]);
    assert_eq!(told.lines().iter().filter(|line| *line == "signal null").count(), 1);
    assert_eq!(told.lines().last().map(String::as_str), Some("signal null"));
    assert_eq!(told.asked("a", BTC), [1, 6, 7, 8, 9], "nobody is asked while it is not told");
    let failures = world.events();
    assert_eq!(failures.of("store_failed").len(), 3);
    let message = failures.of("store_failed")[0]["message"].as_str().expect("a message");
    assert!(message.ends_with("the event record: the disk is full"), "{message}");
}

#[test]
fn a_quiet_minute_writes_nothing_though_the_extremes_move() {
    let rising: Vec<String> = (0..100).map(|step| format!("{}", 100.5 + f64::from(step) / 100.0)).collect();
    let scene = scene(&format!("100 * 2 | {}", rising.join(" | "))).trades("1: long tp=119 sl=90 life=1000");
    let told = World::new().live(&scene);
    assert!(told.events("highest_profit").len() > 90);
    assert_eq!(told.lines(), ["signal long 100", "1 opened 100"]);
}

#[test]
fn a_row_that_says_something_impossible_is_set_aside() {
    let cases = [
        ("priceOpen", json!(-1), "priceOpen_not_positive"),
        ("priceOpen", Value::Null, "priceOpen_not_finite"),
        ("priceTakeProfit", json!(99.5), "long_tp_wrong_side"),
        ("priceStopLoss", json!(100), "long_sl_wrong_side"),
        ("minuteEstimatedTime", json!(0.5), "lifetime_not_integer"),
        ("multiplier", json!(0), "multiplier_not_positive"),
        ("cost", json!(-1), "cost_not_positive"),
        ("position", json!("up"), "unknown variant `up`"),
        ("pendingAt", json!(0), "pendingAt is 0, but the position is open"),
        ("pendingAt", json!(-5), "scheduledAt or pendingAt is not a time"),
        ("scheduledAt", json!(0), "scheduledAt or pendingAt is not a time"),
        ("_judgedFrom", json!(at(0)), "_judgedFrom is not a minute at or after pendingAt"),
        ("_isScheduled", json!(true), "it is an order that waits, where positions are kept"),
    ];
    for (field, value, reason) in cases {
        let mut impossible = row("long open=100 tp=102 sl=99");
        impossible[field] = value;
        let world = World::with(Domain::Signal, &impossible);
        let told = world.live(&scene("100 * 4").trades("2: long tp=102 sl=99"));
        assert_eq!(told.story(), ["2 opened 100"], "{field}: it goes on as flat");
        let events = world.events();
        let message = events.of("state_quarantined")[0]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(reason), "{field}: {message}");
    }
    let world = World::with(Domain::Schedule, &row("long open=98 tp=101 sl=97"));
    world.live(&scene("100 * 4").trades(""));
    let events = world.events();
    let message = events.of("state_quarantined")[0]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("it is a position, where orders that wait are kept"), "{message}");
}

#[test]
fn a_candle_older_than_the_position_does_not_touch_it() {
    let mut opened_late_in_its_minute = row("long open=100 tp=102 sl=99 at=2");
    for time in ["scheduledAt", "pendingAt"] {
        opened_late_in_its_minute[time] = (at(2) + 11_949).into();
    }
    let scene = scene("100 * 2 | 100 98 100 | 100 * 3 | 103").trades("");
    let story = World::with(Domain::Signal, &opened_late_in_its_minute).live(&scene).story();
    assert_eq!(story, ["2 opened 100", "6 take_profit 102"]);
}

#[test]
fn levels_are_those_of_the_position_and_of_nobody_else() {
    let passed = |id: &str| json!({ (id): { "profitLevels": [10, 20], "lossLevels": [] } });
    let cases = [
        (Value::Null, vec![10, 20, 30, 40, 50]),
        (json!({}), vec![10, 20, 30, 40, 50]),
        (passed("another"), vec![10, 20, 30, 40, 50]),
        (passed("stored"), vec![30, 40, 50]),
    ];
    for (document, expected) in cases {
        let world = World::with(Domain::Signal, &row("long open=100 tp=102 sl=99"));
        world.put(Domain::Partial, &document);
        let told = world.live(&scene("100 * 3 | 101").trades(""));
        let levels: Vec<_> = told.events("partial_profit").iter().map(|event| event["level"].clone()).collect();
        assert_eq!(levels, expected, "{document}");
        assert!(world.document(Domain::Partial)["another"].is_null(), "left-overs go with the next write");
    }
}

#[test]
fn names_that_are_the_same_when_joined_are_kept_apart() {
    const UNDERSCORED: &str = "BTCUSDT_a";
    let (one, other) = (pair("x", UNDERSCORED), pair("a_x", BTC));
    for domain in [Domain::Signal, Domain::Schedule, Domain::Partial] {
        assert_ne!(Address::of_pair(domain, &one), Address::of_pair(domain, &other));
    }
    assert_ne!(one.signal_id(0), other.signal_id(0));
    let scene = scene("100 * 4 | 102 | 100")
        .market(UNDERSCORED, "100 * 4 | 100 98 100 | 100")
        .trader("x", UNDERSCORED, "1: long tp=102 sl=99")
        .trader("a_x", BTC, "1: long tp=102 sl=99")
        .risk("shared", Rule::MaxActive(2));
    let world = World::new();
    world.live(&scene.clone().only(3));
    let told = world.live(&scene);
    assert_eq!(told.story_of("x", UNDERSCORED), ["4 stop_loss 99"]);
    assert_eq!(told.story_of("a_x", BTC), ["4 take_profit 102"]);
}

#[test]
fn on_a_coarse_frame_no_tick_is_lost_after_a_close() {
    let five_minutes = "5m".parse().expect("an interval");
    let scene = scene("100 * 6 | 102 | 100 * 20").frame(|frame| {
        // Off the minute, which is where it begins.
        (frame.start_ms, frame.interval) = (Some(at(5) + 17_000), five_minutes);
    });
    let scene = scene.trades("5: long tp=102 sl=99; 10: long tp=102 sl=99 id=2");
    assert_eq!(scene.period_ms(), (at(5), at(25)));
    let told = scene.backtest();
    assert_eq!(told.story()[..3], ["5 opened 100", "6 take_profit 102", "10 opened 100"]);
    assert_eq!(told.asked("a", BTC), [5, 10]);
}

#[test]
fn an_order_that_waits_when_a_run_stops_waits_on() {
    // Its price comes while the run only waits for the position of the other to close.
    let scene = scene("100 * 4 | 99 98 99 | 100 * 2 | 102 | 100")
        .market(ETH, "100 * 6 | 102 | 100 * 2")
        .trader("a", BTC, "1: long open=98 tp=101 sl=97")
        .trader("b", ETH, "1: long tp=102 sl=99");
    let world = World::new();
    let told = world.live(&scene.clone().stopped(3, Stop::WhenFlat));
    assert_eq!(told.story_of("a", BTC), ["1 scheduled 98"]);
    assert_eq!(told.story_of("b", ETH), ["1 opened 100", "6 take_profit 102"]);
    assert_eq!(told.asked("b", ETH), [1], "nor is anybody asked");
    assert_eq!(world.live(&scene).story_of("a", BTC), ["4 opened 98", "7 take_profit 101"]);
}

#[test]
fn statistics_leave_no_trade_out() {
    let component = plugin("strategies/sma-cross");
    let settings = "settings = { fast = 5, slow = 20 }";
    let configuration = Configuration::new().generated(BTC, 7, 90).strategy("quick", &component, &[BTC], settings);
    let workplace = Workplace::new(&configuration);
    let said = workplace.succeed(&["backtest", "--json"]).stdout;
    let result: Value = serde_json::from_str(&said).expect("the result is JSON");
    let closed = Events::parse(&workplace.read("dump/backtest/events.jsonl")).of("closed").len();
    assert!(closed > 300, "{closed}");
    assert_eq!(result["total"]["trades"], closed);
}

/// A store in which something is wrong.
struct Wrong {
    documents: MemoryStore,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Nothing can be read.
    Unreadable,
    /// All domains are one.
    ForgetsDomains,
}

impl Wrong {
    fn world(how: How) -> World {
        World::on(Arc::new(Self { documents: MemoryStore::new(), how }))
    }

    fn at(&self, at: &Address) -> Address {
        match self.how {
            How::Unreadable => at.clone(),
            How::ForgetsDomains => Address { domain: String::new(), ..at.clone() },
        }
    }
}

#[async_trait]
impl Store for Wrong {
    fn describe(&self) -> String {
        "a store with a fault".to_owned()
    }

    async fn wait_for_init(&self, _: &str, _: &str, _: bool) -> Result<(), StoreError> {
        Ok(())
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        match self.how {
            How::Unreadable => {
                let message = "the connection was refused".to_owned();
                Err(StoreError::unavailable(self.describe(), at.clone(), message))
            }
            How::ForgetsDomains => self.documents.read_value(&self.at(at)).await,
        }
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.documents.has_value(&self.at(at)).await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        self.documents.write_value(&self.at(at), value, when_ms).await
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.documents.remove_value(&self.at(at)).await
    }

    async fn keys(&self, _: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        self.documents.keys("", entity_name).await
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        self.documents.quarantine(&self.at(at)).await
    }

    async fn close(&self) {}
}

#[test]
fn a_store_that_cannot_be_read_keeps_a_run_from_starting() {
    let (told, ended) = Wrong::world(How::Unreadable).try_live(&scene("100 * 4").trades("1..: long tp=102 sl=99"));
    let Err(RunError::Store(error)) = ended else { panic!("{ended:?}") };
    let expected = "a store with a fault: signal BTCUSDT_a/BTCUSDT: the connection was refused";
    assert_eq!(error.to_string(), expected);
    assert!(told.lines().is_empty() && told.asked("a", BTC).is_empty(), "unknown is not flat: {told:?}");
}

#[test]
fn an_order_handed_out_as_a_position_is_not_one() {
    let world = Wrong::world(How::ForgetsDomains);
    let scene = scene("100 * 9").trades("1: long open=98 tp=101 sl=97");
    assert_eq!(world.live(&scene.clone().only(4)).story(), ["1 scheduled 98"]);
    assert!(world.live(&scene).story().is_empty());
    // The run tells it: it sets the row aside, or finds that its own order is lost.
    let events = world.events();
    assert!(events.of("state_quarantined").len() + events.of("state_rebuilt").len() > 0, "{events:?}");
}

/// Waits until `condition` holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "no sign of {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn readers_that_go_away_or_do_not_read_hold_up_no_trading() {
    let component = plugin("strategies/sma-cross");
    let settings = "settings = { fast = 5, slow = 20 }";
    let configuration = Configuration::new().generated(BTC, 7, 3).strategy("quick", &component, &[BTC], settings);
    let undisturbed = Workplace::new(&configuration);
    let said = undisturbed.succeed(&["live"]).stdout;
    assert!(said.len() > 64 << 10, "more than a pipe holds: {}", said.len());
    let all = undisturbed.live_events();
    let is_done = |workplace: &Workplace| {
        fs::read_to_string(workplace.path(EVENTS)).is_ok_and(|text| text.lines().count() == all.lines().len())
    };

    let workplace = Workplace::new(&configuration);
    let live = workplace.command(&["live"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut live = live.expect("the command starts");
    drop((live.stdout.take(), live.stderr.take()));
    until("the end", || live.try_wait().expect("a child can be waited for").is_some());
    assert!(live.wait().expect("it has ended").success(), "nobody reads");
    assert_eq!(workplace.live_events(), all);

    let workplace = Workplace::new(&configuration);
    let live = workplace.command(&["live"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let live = live.expect("the command starts");
    until("the last event", || is_done(&workplace));
    let finished = live.wait_with_output().expect("a child can be waited for");
    assert!(finished.status.success());
    assert_eq!(String::from_utf8(finished.stdout).expect("text"), said, "nothing is lost on who reads late");
}
