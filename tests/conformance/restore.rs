//! Section 13.1: what a run stores, and what the next one makes of it.
//!
//! A callback of the reference is an event here, and `onWrite` is a document that reaches the store: a row in `signal`
//! when a position opens, `null` when it has closed.

use std::sync::Arc;

use serde_json::{Value, json};
use sigbox::trading::{
    RunError,
    store::{Address, Domain, MemoryStore, Store, Stores},
};
use sigbox_engine::risk::Rule;

use super::stage::{BTC, ETH, Scene, World, at, pair, row, scene};

/// What becomes of a stored position while these prices pass; strategy `a` has nothing to say.
fn from_row(words: &str, scene: Scene) -> Vec<String> {
    World::with(Domain::Signal, &row(words)).live(&scene.trades("")).story()
}

/// Specification: S-PER-01, S-PER-02, S-SEQ-09.
#[test]
fn a_stored_position_is_traded_on() {
    let cases = [
        ("long  open=100 tp=102 sl=99", "100 * 4 | 103", "4 take_profit 102"),
        ("short open=100 tp=98 sl=101", "100 * 4 | 101.5", "4 stop_loss 101"),
    ];
    for (words, prices, end) in cases {
        assert_eq!(from_row(words, scene(prices)), ["1 opened 100", end], "{words}");
    }
}

/// Specification: S-PER-04, S-PER-05.
#[test]
fn what_happened_while_nobody_looked_counts_when_it_happened() {
    let cases = [
        ("long  open=100 tp=102 sl=99 life=5", "100 * 20", "6 time_expired 100"),
        ("short open=100 tp=98 sl=101", "100 * 9 | 97 | 100 * 10", "9 take_profit 98"),
        // It was touched before the target was reached, and the price the run comes back to says nothing of it.
        ("long  open=100 tp=102 sl=99", "100 * 5 | 100 98 100 | 103 * 14", "5 stop_loss 99"),
    ];
    for (words, prices, end) in cases {
        assert_eq!(from_row(words, scene(prices).back_at(19)), ["1 opened 100", end], "{words}");
    }
}

/// Specification: S-PER-06.
#[test]
fn a_store_of_ones_own_is_read_and_what_it_has_is_used() {
    let own = MemoryStore::new();
    let world = World::on(Arc::new(own));
    world.put(Domain::Signal, &row("long open=100 tp=102 sl=99"));
    let told = world.live(&scene("100 | 100 | 103").trades(""));
    assert_eq!(told.read(), ["signal", "schedule", "partial", "memory"], "once, at the start");
    assert_eq!(told.story(), ["1 opened 100", "2 take_profit 102"]);
}

/// Specification: S-PER-03, S-PER-14.
#[test]
fn an_order_is_kept_apart_until_it_is_a_position() {
    let waits = scene("100 * 4").trades("1: long open=98 tp=101 sl=97");
    let told = World::new().live(&waits);
    assert_eq!(told.lines(), ["schedule long 98", "1 scheduled 98"]);

    let filled = scene("100 * 3 | 99 98 99 | 99 * 3").trades("1: long open=98 tp=101 sl=97");
    let told = World::new().live(&filled);
    let expected = ["schedule long 98", "1 scheduled 98", "signal long 98", "schedule null", "3 opened 98"];
    assert_eq!(told.lines()[..5], expected);
    assert!(told.written("signal").iter().all(|row| row["_isScheduled"] == false));
}

/// Specification: S-PER-07, S-PER-10, S-PER-11, S-PER-12, S-PER-13.
#[test]
fn each_beginning_and_each_end_is_one_write() {
    let prices = "100 * 2 | 103 | 100 | 100 98 98 | 100 * 10";
    let told = World::new().live(
        &scene(prices)
            .settings(|settings| settings.schedule_await_minutes = 2)
            .trades("1: long tp=102 sl=99; 4: long tp=102 sl=99 id=second; 7: long open=95 tp=97 sl=94"),
    );
    // A position is stored before it is told, and told to be over before it is cleared.
    let expected = [
        "signal long 100",
        "1 opened 100",
        "2 take_profit 102",
        "signal null",
        "signal long 100",
        "4 opened 100",
        "4 stop_loss 99",
        "signal null",
        // An order that ends leaves no trace among the positions.
        "schedule long 95",
        "7 scheduled 95",
        "9 timeout 100",
        "schedule null",
    ];
    assert_eq!(told.lines(), expected);
    assert_eq!(
        (told.written("signal")[0]["position"].as_str(), &told.written("signal")[1]),
        (Some("long"), &Value::Null)
    );
}

/// Specification: S-PER-08.
#[test]
fn a_row_says_everything_about_its_position() {
    let told = World::new().live(&scene("100 * 3").trades("1: long tp=102 sl=99 life=30 id=mine"));
    let expected = json!({
        "id": "mine", "position": "long", "note": "", "priceOpen": 100, "priceTakeProfit": 102, "priceStopLoss": 99,
        "minuteEstimatedTime": 30, "symbol": BTC, "strategyName": "a", "exchangeName": "ex", "frameName": "",
        "scheduledAt": at(1), "pendingAt": at(1), "_isScheduled": false,
        "cost": 100, "multiplier": 1, "isolated": true, "_judgedFrom": at(1),
    });
    assert_eq!(told.written("signal"), [expected]);
}

/// Specification: S-PER-09.
#[test]
fn a_short_one_is_written_and_cleared() {
    let told = World::new().live(&scene("100 * 2 | 97").trades("1: short tp=98 sl=101"));
    assert_eq!(told.lines(), ["signal short 100", "1 opened 100", "2 take_profit 98", "signal null"]);
}

/// Specification: S-RES-01.
#[test]
fn a_restored_position_is_announced_once() {
    let world = World::with(Domain::Signal, &row("long open=100 tp=102 sl=99 id=kept"));
    let scene = scene("100 * 5").trades("");
    let first = world.live(&scene.clone().only(3));
    let opened = first.events("opened");
    assert_eq!(opened.len(), 1);
    let signal = &opened[0]["signal"];
    assert_eq!(signal["id"], "kept");
    for (field, value) in [("priceOpen", 100), ("priceTakeProfit", 102), ("priceStopLoss", 99)] {
        assert_eq!(signal[field], value, "{field}");
    }
    assert!(world.live(&scene).story().is_empty(), "the next restart knows that it was");
}

/// Specification: S-RES-02.
#[test]
fn a_restored_order_is_announced_once() {
    let order = row("scheduled long open=98 tp=101 sl=97 id=kept");
    let world = World::with(Domain::Schedule, &order);
    let scene = scene("100 * 5").trades("");
    let first = world.live(&scene.clone().only(3));
    let scheduled = first.events("scheduled");
    assert_eq!(scheduled.len(), 1);
    for field in ["id", "position", "priceOpen", "priceTakeProfit", "priceStopLoss", "scheduledAt"] {
        assert_eq!(scheduled[0]["signal"][field], order[field], "{field}");
    }
    assert!(world.live(&scene).story().is_empty());
}

/// Specification: S-RES-03, S-RES-04, L-HRD-03.
#[test]
fn a_row_of_somebody_else_stops_the_start_and_stays() {
    let order = row("scheduled long open=98 tp=101 sl=97");
    let names = [("exchangeName", "kraken"), ("strategyName", "b"), ("symbol", ETH)];
    for (domain, (field, name)) in
        [Domain::Signal, Domain::Schedule].iter().flat_map(|domain| names.map(|name| (*domain, name)))
    {
        let mut foreign = match domain {
            Domain::Signal => row("long open=100 tp=102 sl=99"),
            _ => order.clone(),
        };
        foreign[field] = name.into();
        let world = World::with(domain, &foreign);
        if domain == Domain::Signal {
            // An order of one's own does not help.
            world.put(Domain::Schedule, &order);
        }
        let (told, ended) = world.try_live(&scene("100 * 3").trades("1..: long tp=102 sl=99"));
        let Err(RunError::ForeignRow { found, .. }) = ended else { panic!("{field}: {ended:?}") };
        assert!(found.contains(name), "{found}");
        assert!(told.lines().is_empty() && told.asked("a", BTC).is_empty(), "{field}: {told:?}");
        assert_eq!(world.document(domain), foreign, "{field}");
    }
}

/// Specification: S-RES-05.
#[test]
fn without_anything_stored_a_run_begins_flat() {
    let told = World::new().live(&scene("100 * 3").trades("1: long tp=102 sl=99"));
    assert_eq!(told.asked("a", BTC), [1]);
    assert_eq!(told.lines(), ["signal long 100", "1 opened 100"]);
}

/// Specification: S-RES-06.
#[test]
fn the_time_left_counts_from_the_opening() {
    let story = from_row("long open=100 tp=102 sl=99 life=1440 at=10", scene("100 * 1500").back_at(730));
    assert_eq!(story, ["10 opened 100", "1450 time_expired 100"]);
}

/// The slots of a profile.
fn slots(world: &World, profile: &str) -> Value {
    let at = Address::of_pair(Domain::Risk, &pair("a", BTC));
    world.document_at(&Address { entity_name: profile.to_owned(), ..at })
}

fn keys(slots: &Value) -> Vec<&str> {
    slots.as_array().expect("slots are a list").iter().map(|slot| slot[0].as_str().expect("a key")).collect()
}

/// Specification: S-RSK-P1.
#[test]
fn without_slots_there_are_none() {
    let world = World::new();
    assert_eq!(slots(&world, "shared"), Value::Null);
    let told = world.live(&scene("100 * 3").trades("1: long tp=102 sl=99").risk("shared", Rule::MaxActive(1)));
    assert_eq!(told.lines()[..2], ["risk []", "signal long 100"]);
    assert_eq!(told.story(), ["1 opened 100"]);
}

/// Specification: S-RSK-P2, S-RSK-P4.
#[test]
fn slots_are_pairs_of_key_and_position_and_read_back_as_they_were() {
    let world = World::new();
    let both = |scene: Scene| scene.trades("1: long tp=102 sl=99").trader("b", ETH, "2: short tp=98 sl=101");
    let markets = scene("100 * 10").market(ETH, "100 * 10");
    world.live(&both(markets.clone().only(4)).risk("shared", Rule::MaxActive(3)));
    let position = |strategy: &str, symbol: &str, side: &str, minute, levels: (i64, i64)| {
        json!([format!("{strategy}_ex_{symbol}"), {
            "strategyName": strategy, "exchangeName": "ex", "openTimestamp": at(minute), "symbol": symbol,
            "position": side, "priceOpen": 100, "priceStopLoss": levels.0, "priceTakeProfit": levels.1,
            "minuteEstimatedTime": 60,
        }])
    };
    let kept = json!([position("a", BTC, "long", 1, (99, 102)), position("b", ETH, "short", 2, (101, 98))]);
    assert_eq!(slots(&world, "shared"), kept);

    // A run without `b` finds what that one holds, counts it and writes it again as it was.
    let alone = markets.trader("c", BTC, "4..: long tp=102 sl=99").risk("shared", Rule::MaxActive(2));
    let told = world.live(&alone);
    assert!(told.story().iter().all(|line| line.ends_with("refused by shared")), "{told:?}");
    assert_eq!(slots(&world, "shared"), kept);
}

/// Specification: S-RSK-P3.
#[test]
fn slots_go_to_the_store_they_are_bound_to() {
    let (world, own) = (World::new(), Arc::new(MemoryStore::new()));
    let scene = scene("100 * 3").trades("1: long tp=102 sl=99").risk("shared", Rule::MaxActive(1));
    let risk = Arc::clone(&own) as Arc<dyn Store>;
    let (told, ended) = world.live_with(
        &scene,
        |rest| {
            let mut stores = Stores::all_in(&rest);
            stores.by_domain.risk = risk;
            stores
        },
        |_| false,
    );
    ended.unwrap();
    assert_eq!(told.lines(), ["signal long 100", "1 opened 100"]);
    assert_eq!(slots(&world, "shared"), Value::Null);
    assert_eq!(keys(&slots(&World::on(own), "shared")), ["a_ex_BTCUSDT"]);
}

/// Specification: S-RSK-P5, L-REC-29.
#[test]
fn slots_are_replaced_and_given_back_before_the_position_is_cleared() {
    let world = World::new();
    let told = world.live(&scene("100 * 2 | 103").trades("1: long tp=102 sl=99").risk("shared", Rule::MaxActive(1)));
    let expected = [
        "risk []",
        "signal long 100",
        "risk [a_ex_BTCUSDT]",
        "1 opened 100",
        "2 take_profit 102",
        "risk []",
        "signal null",
    ];
    assert_eq!(told.lines(), expected);
}

/// Specification: S-RSK-P6.
#[test]
fn profiles_have_slots_of_their_own() {
    let world = World::new();
    let markets = scene("100 * 4").market(ETH, "100 * 4");
    let scene = markets
        .trades("1: long tp=102 sl=99")
        .risk("both", Rule::MaxActive(9))
        .trader("b", ETH, "1: long tp=102 sl=99")
        .risk("one", Rule::MaxActive(9));
    world.live(&scene);
    assert_eq!(keys(&slots(&world, "both")), ["a_ex_BTCUSDT"]);
    assert_eq!(keys(&slots(&world, "one")), ["a_ex_BTCUSDT", "b_ex_ETHUSDT"]);
}

/// Specification: L-REC-17.
#[test]
fn after_a_restart_the_extremes_are_what_they_were() {
    let scene = scene("100 * 2 | 101.5 | 99.3 | 100 * 4 | 103").trades("1: long tp=102.5 sl=99");
    let (disturbed, undisturbed) = (World::new(), World::new());
    undisturbed.live(&scene);
    disturbed.live(&scene.clone().only(6));
    disturbed.live(&scene);
    let closed = disturbed.events();
    let closed = closed.of("closed")[0];
    assert_eq!(
        (&closed["signal"]["peakProfit"]["timestamp"], &closed["signal"]["maxDrawdown"]["timestamp"]),
        (&at(8).into(), &at(3).into())
    );
    assert_eq!(disturbed.events().of_pairs(), undisturbed.events().of_pairs());
}

/// Specification: L-REC-21.
#[test]
fn a_slot_that_was_lost_is_taken_again() {
    let world = World::with(Domain::Signal, &row("long open=100 tp=102 sl=99"));
    world.put(Domain::Risk, &json!([]));
    let markets = scene("100 * 5").market(ETH, "100 * 5");
    let told =
        world.live(&markets.trades("").trader("b", ETH, "2..: long tp=102 sl=99").risk("shared", Rule::MaxActive(1)));
    assert_eq!(told.lines()[..2], ["1 opened 100", "risk [a_ex_BTCUSDT]"]);
    assert_eq!(
        told.story_of("b", ETH),
        ["2 refused by shared", "3 refused by shared", "4 refused by shared", "5 refused by shared"]
    );
}

/// Specification: L-REC-26.
#[test]
fn an_order_counts_but_takes_no_stored_slot() {
    let world = World::new();
    let markets = scene("100 * 5").market(ETH, "100 * 5");
    let cast = markets.trades("1: long open=98 tp=101 sl=97").trader("b", ETH, "2: long tp=102 sl=99").trader(
        "c",
        ETH,
        "3: long tp=102 sl=99",
    );
    world.live(&cast.risk("shared", Rule::MaxActive(2)));
    assert_eq!(keys(&slots(&world, "shared")), ["b_ex_ETHUSDT"]);
    let events = world.events();
    assert_eq!(events.of("risk_rejection").len(), 1, "the order and the position are two: {events:?}");
}

/// Specification: L-HRD-01.
#[test]
fn an_endless_position_has_no_end_after_a_restart_either() {
    let scene = scene("100 * 3000 | 103")
        .settings(|settings| settings.max_signal_lifetime_minutes = f64::INFINITY)
        .trades("1: long tp=102 sl=99 life=inf");
    let world = World::new();
    let told = world.live(&scene.clone().only(10));
    assert_eq!(told.written("signal")[0]["minuteEstimatedTime"], Value::Null, "as the reference writes infinity");
    assert_eq!(world.live(&scene).story(), ["3000 take_profit 102"]);
}

/// Specification: L-HRD-02, L-FIL-01.
#[test]
fn the_id_opened_last_is_refused_after_a_restart_too() {
    let cases = [
        ("1..: long tp=102 sl=99 id=same", "100 * 2 | 103 | 100 * 6", "1 opened 100"),
        ("1..: long open=98 tp=101 sl=97 id=same", "100 * 2 | 99 98 99 | 102 | 100 * 6", "2 opened 98"),
    ];
    for (script, prices, opened) in cases {
        let scene = scene(prices).trades(script);
        let world = World::new();
        let first = world.live(&scene.clone().only(5));
        assert!(first.story().contains(&opened.to_owned()) && world.document(Domain::Signal).is_null(), "{first:?}");
        let second = world.live(&scene);
        assert!(!second.asked("a", BTC).is_empty() && second.story().is_empty(), "{second:?}");
    }
}

/// Specification: L-FIL-02.
#[test]
fn the_last_id_is_that_of_the_restored_position() {
    // The events tell of `old` only: the crash came before `new` was told.
    let scene = scene("100 * 2 | 103 | 100 * 2 | 103 | 100 * 6")
        .trades("1: long tp=102 sl=99 id=old; 6..8: long tp=102 sl=99 id=new; 8: long tp=102 sl=99 id=old");
    let world = World::new();
    world.live(&scene.clone().only(4));
    world.put(Domain::Signal, &row("long open=100 tp=102 sl=99 at=4 id=new"));
    let told = world.live(&scene);
    assert_eq!(told.story(), ["4 opened 100", "5 take_profit 102", "8 opened 100"]);
    assert_eq!(told.events("opened")[1]["signal"]["id"], "old");
}
