//! Section 13.5, second part: how runs begin, go on, stop and end, who is told what, and endless positions.

use std::{sync::Arc, thread};

use serde_json::Value;
use sigbox::{
    market::candles::{Series, SeriesError},
    trading::{
        RunError, Stop,
        store::{Domain, MemoryStore, Store, Stores},
        stored_state,
    },
};
use sigbox_engine::{Candle, Outcome, Settings, State, candle::CandleFault};

use super::stage::{BTC, ETH, Scene, World, at, row, scene};

const SOL: &str = "SOLUSDT";

/// Minutes enough for a backtest to say more than once how far it is.
const LONG: usize = 9000;

/// Somebody who wants the next position as soon as the last one has closed, which is every third minute.
fn eager() -> Scene {
    let script: Vec<String> = (1..40).map(|number| format!("{number}: long tp=102 sl=99 id={number}")).collect();
    scene(&["100 * 2 | 102"; 12].join(" | ")).trades(&script.join("; "))
}

fn endless(settings: &mut Settings) {
    settings.max_signal_lifetime_minutes = f64::INFINITY;
}

/// Specification: S-SHU-01.
#[test]
fn what_is_held_when_a_run_is_to_stop_runs_to_its_end() {
    let scene = scene("100 * 30 | 102 | 100 * 10").trades("1..: long tp=102 sl=99");
    let world = World::new();
    let told = world.live(&scene.stopped(5, Stop::WhenFlat));
    assert_eq!(told.story(), ["1 opened 100", "30 take_profit 102"]);
    assert_eq!((told.asked("a", BTC), world.document(Domain::Signal)), (vec![1], Value::Null));
}

/// Specification: S-SHU-02, S-SHU-04.
#[test]
fn after_a_close_a_run_that_is_to_stop_opens_nothing_more() {
    for minute in [2, 3] {
        let told = World::new().live(&eager().stopped(minute, Stop::WhenFlat));
        assert_eq!(told.story(), ["1 opened 100", "2 take_profit 102"], "told to stop at {minute}");
        assert_eq!(told.asked("a", BTC), [1]);
    }
}

/// Specification: S-SHU-03.
#[test]
fn an_idle_run_that_is_to_stop_ends() {
    for how in [Stop::Now, Stop::WhenFlat] {
        let told = World::new().live(&scene("100 * 30").trades("20: long tp=102 sl=99").stopped(5, how));
        assert_eq!(told.asked("a", BTC), [1, 2, 3, 4], "{how:?}");
        assert!(told.lines().is_empty(), "{how:?}: {told:?}");
    }
}

/// Specification: S-SHU-07.
#[test]
fn a_backtest_in_which_nobody_trades_can_be_broken_off() {
    let (told, ended) = scene(&format!("100 * {LONG}")).trades("").backtest_while(|done, _| done == 0);
    ended.unwrap();
    let asked = told.asked("a", BTC).len();
    assert!(0 < asked && asked < LONG - 2, "{asked}");
    assert!(told.story().is_empty());
}

/// Specification: S-SHU-10, S-SHU-13.
#[test]
fn backtests_run_beside_each_other_and_each_ends() {
    let answers = [("long tp=102 sl=99", "2 take_profit 102"), ("short tp=98 sl=101", "2 stop_loss 101")];
    thread::scope(|scope| {
        let runs = answers.into_iter().cycle().take(3).map(|(answer, end)| {
            let scene = scene(&format!("100 * 2 | 102 | 100 * {LONG}")).trades(&format!("1: {answer}"));
            (scope.spawn(move || scene.backtest().story()), end)
        });
        for (run, end) in runs.collect::<Vec<_>>() {
            assert_eq!(run.join().expect("it ends"), ["1 opened 100", end]);
        }
    });
}

/// Specification: S-SHU-11.
#[tokio::test]
async fn what_three_live_pairs_hold_can_be_listed() {
    let documents: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let markets = scene("100 * 5").market(ETH, "100 * 5").market(SOL, "100 * 5");
    let scene = markets
        .trader("a", BTC, "1: long tp=102 sl=99")
        .trader("a", ETH, "2: long open=98 tp=101 sl=97")
        .trader("b", SOL, "");
    let (world, run) = (World::on(Arc::clone(&documents)), scene.clone());
    thread::spawn(move || world.live(&run)).join().expect("it ends");

    let stores = Stores::all_in(&documents);
    let listed = stored_state(&stores, &scene.settings, &scene.pairs()).await.unwrap();
    assert!(listed.iter().map(|held| &held.pair).eq(&scene.pairs()), "{listed:?}");
    let states: Vec<_> = listed.into_iter().map(|held| held.state).collect();
    assert!(matches!(states[..], [State::Open(_), State::Scheduled(_), State::Idle]), "{states:?}");
}

/// Specification: S-BT-01, S-BT-05.
#[test]
fn a_closed_position_is_told_with_all_its_results() {
    let told = eager().frame(|frame| frame.name = "an hour".to_owned()).backtest();
    let closed = told.events("closed");
    assert_eq!(closed.len(), 12);
    let first = closed[0];
    for (field, value) in [
        ("action", "closed"),
        ("closeReason", "take_profit"),
        ("symbol", BTC),
        ("strategyName", "a"),
        ("exchangeName", "ex"),
        ("frameName", "an hour"),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!((&first["closeTimestamp"], &first["currentPrice"]), (&at(2).into(), &102.into()));
    assert_eq!((&first["signal"]["id"], &first["signal"]["pendingAt"]), (&"1".into(), &at(1).into()));
    // 2 % less the fee and the slippage at both ends.
    let pnl = first["pnl"]["pnlPercentage"].as_f64().expect("a result");
    assert!((1.59..1.60).contains(&pnl), "{pnl}");
    assert_eq!((&first["pnl"]["priceOpen"], &first["pnl"]["priceClose"]), (&100.into(), &102.into()));
}

/// Specification: S-BT-02, S-BT-04.
#[test]
fn progress_goes_from_nothing_to_all_and_says_so_once() {
    let mut told = Vec::new();
    let scene = scene(&format!("100 * {LONG}")).trades("");
    let (_, ended) = scene.backtest_while(|done, total| {
        told.push((done, total));
        true
    });
    ended.unwrap();
    // The first candle is history and the last one only ends what is held.
    let total = LONG as u64 - 2;
    assert!(told.iter().all(|(_, of)| *of == total), "{told:?}");
    let done: Vec<u64> = told.iter().map(|(done, _)| *done).collect();
    assert!(done.len() > 3 && done.is_sorted(), "{done:?}");
    assert_eq!((done[0], done.iter().filter(|done| **done == total).count()), (0, 1));
    assert_eq!(done.last(), Some(&total));
}

/// Specification: S-BT-03.
#[test]
fn who_breaks_a_backtest_off_has_the_beginning_of_the_whole() {
    let swings = ["100 * 2 | 102 | 100 * 1500"; 6].join(" | ");
    let scene = scene(&swings).trades("1..: long tp=102 sl=99");
    let (broken_off, ended) = scene.backtest_while(|done, _| done == 0);
    ended.unwrap();
    let (begun, whole) = (broken_off.story(), scene.backtest().story());
    assert!(!begun.is_empty() && begun.len() < whole.len(), "{begun:?}");
    assert_eq!(begun, whole[..begun.len()]);
}

/// Specification: S-CB-01, S-CB-02, S-CB-03, S-CB-04, S-CB-05, S-CB-06.
#[test]
fn a_backtest_tells_its_period_and_each_opening_and_close() {
    let scene = scene("100 * 2 | 102 | 100 * 10")
        .frame(|frame| frame.name = "tested".to_owned())
        .trades("1: long tp=102 sl=99 life=30 id=mine");
    assert_eq!(scene.period_ms(), (at(1), at(11)));
    let told = scene.backtest();
    for (action, count) in [("opened", 1), ("closed", 1)] {
        let events = told.events(action);
        assert_eq!(events.len(), count, "{action}");
        assert_eq!(events[0]["frameName"], "tested", "which a live run has not");
        let signal = &events[0]["signal"];
        assert_eq!((&signal["id"], &signal["position"]), (&"mine".into(), &"long".into()));
        let prices =
            ["priceOpen", "priceTakeProfit", "priceStopLoss", "minuteEstimatedTime"].map(|field| &signal[field]);
        assert_eq!(prices, [100, 102, 99, 30].map(Value::from).each_ref(), "{action}");
    }
}

/// Specification: S-CB-07, S-CB-08.
#[test]
fn a_live_run_tells_what_it_restored_and_each_idle_minute() {
    let world = World::with(Domain::Signal, &row("long open=100 tp=102 sl=99 id=kept"));
    let mut idle = Vec::new();
    let scene = scene("100 * 3 | 102 | 100 * 3").trades("");
    let (told, ended) = world.live_with(
        &scene,
        |store| Stores::all_in(&store),
        |outcome| {
            if let Outcome::Idle { at_ms, .. } = outcome {
                idle.push(*at_ms);
            }
            false
        },
    );
    ended.unwrap();
    assert_eq!(told.events("opened")[0]["signal"]["id"], "kept");
    assert_eq!(told.events("opened")[0]["frameName"], "");
    assert_eq!(told.story(), ["1 opened 100", "3 take_profit 102"]);
    assert_eq!(idle, [at(4), at(5), at(6), at(7)], "from the minute it is flat");
}

/// Specification: S-EVT-01, S-EVT-02.
#[test]
fn who_listens_is_told_each_event_once() {
    let (world, scene) = (World::new(), scene("100 * 5 | 102 | 100 * 5").trades("1: long tp=102 sl=99"));
    let first = world.live(&scene.clone().only(4));
    let second = world.live(&scene);
    assert_eq!((first.events("opened").len(), first.events("closed").len()), (1, 0));
    assert_eq!((second.events("opened").len(), second.events("closed").len()), (0, 1), "it was told before");
}

/// Specification: L-LIV-01.
#[test]
fn live_every_end_is_decided_by_the_candle_that_brings_it() {
    let cases = [
        ("1: long tp=102 sl=99 life=3", "100 * 10", vec!["1 opened 100", "4 time_expired 100"]),
        ("1: long open=98 tp=101 sl=97", "100 * 10", vec!["1 scheduled 98", "6 timeout 100"]),
        ("1: long tp=102 sl=99", "100 * 4 | 102", vec!["1 opened 100", "4 take_profit 102"]),
        ("1: long tp=102 sl=99", "100 * 4 | 100 98 100", vec!["1 opened 100", "4 stop_loss 99"]),
        ("1: long open=98 tp=101 sl=97", "100 * 4 | 100 97 100", vec!["1 scheduled 98", "4 price_reject 100"]),
    ];
    for (script, prices, story) in cases {
        let scene = scene(prices).settings(|settings| settings.schedule_await_minutes = 5).trades(script);
        assert_eq!(World::new().live(&scene).story(), story, "{script}");
    }
}

/// Specification: L-LIV-02.
#[test]
fn live_a_strategy_is_asked_once_in_each_slot_of_its_interval() {
    let scene = scene("100 * 22").trades("").every("5m");
    let world = World::new();
    assert_eq!(world.live(&scene.clone().only(12)).asked("a", BTC), [1, 5, 10]);
    assert_eq!(world.live(&scene).asked("a", BTC), [15, 20], "a restart in the middle of a slot does not ask again");
}

/// Specification: L-LIV-03.
#[test]
fn the_newest_price_and_time_can_be_had_from_outside() {
    let world = World::new();
    world.live(&scene("100 * 4 | 101 | 103").trades(""));
    let market = world.market();
    let series = market.series(BTC).expect("it is traded");
    assert_eq!(series.read().end_ms(), Some(at(6)));
    assert_eq!((series.average_price(at(6), 1), series.average_price(at(6), 2)), (Some(103.0), Some(102.0)));
}

/// A position without an end, and the price that closes it after so many minutes.
fn endless_until(minutes: usize, closing: &str) -> Vec<String> {
    let prices = format!("100 * {minutes} | {closing} | 100 * 3");
    scene(&prices).settings(endless).trades("1: long tp=102 sl=99 life=inf").story()
}

/// Specification: L-HLD-01, L-HLD-02, L-HLD-03, L-HLD-04, L-HLD-05, L-HLD-06, L-HLD-07.
#[test]
fn an_endless_position_ends_at_its_candle_however_late() {
    for minutes in [10, 999, 1000, 1500, 2001, 2500, 10 * 1440] {
        assert_eq!(endless_until(minutes, "102"), ["1 opened 100".to_owned(), format!("{minutes} take_profit 102")]);
        assert_eq!(
            endless_until(minutes, "100 98 100"),
            ["1 opened 100".to_owned(), format!("{minutes} stop_loss 99")]
        );
    }
}

/// Specification: L-HLD-12.
#[test]
fn an_endless_position_ends_with_the_candles() {
    let told = scene("100 * 50").settings(endless).trades("1: long tp=102 sl=99 life=inf").backtest();
    assert_eq!(told.story(), ["1 opened 100", "49 time_expired 100"]);
}

/// Specification: L-HLD-13, L-HLD-14, L-HLD-15.
#[test]
fn candles_that_are_too_few_double_or_shifted_are_an_error() {
    let beyond = scene("100 * 50").settings(endless).frame(|frame| frame.end_ms = Some(at(60)));
    let (told, ended) = beyond.trades("1: long tp=102 sl=99 life=inf").backtest_while(|_, _| true);
    let Err(RunError::MissingCandle { symbol, open_ms }) = ended else { panic!("{ended:?}") };
    assert_eq!((symbol.as_str(), open_ms), (BTC, at(50)));
    assert_eq!(told.story(), ["1 opened 100"], "what happened before has been told");

    let candle = |open_time_ms| Candle { open_time_ms, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 0.0 };
    let twice = Series::new(vec![candle(at(1)), candle(at(1))]);
    assert_eq!(twice, Err(SeriesError::NotNext { expected_ms: at(2), found_ms: at(1) }));
    let shifted = Series::new(vec![candle(at(1) + 1)]);
    let fault = CandleFault::Unaligned;
    assert_eq!(shifted, Err(SeriesError::Impossible { open_time_ms: at(1) + 1, fault }));
}

#[test]
fn minutes_at_which_nobody_is_due_are_left_out_but_not_what_is_wrong_with_the_candles() {
    // Asked at minutes 0 and 30; the candles end in between, or go mad there.
    let never = "90: long tp=102 sl=99";
    let ends = scene("100 * 40").trades(never).every("30m").frame(|frame| frame.end_ms = Some(at(50)));
    let (_, ended) = ends.backtest_while(|_, _| true);
    assert!(matches!(ended, Err(RunError::MissingCandle { open_ms, .. }) if open_ms == at(40)), "{ended:?}");
    let mad = scene("100 * 40 | 0.001 * 5").settings(|settings| settings.avg_price_candles_count = 5);
    let mad = mad.trades(never).every("30m");
    let (_, ended) = mad.backtest_while(|_, _| true);
    assert!(matches!(&ended, Err(RunError::AnomalousCandle { candle, .. }) if candle.open_ms == at(40)), "{ended:?}");
    let sound = scene("100 * 100").trades("30: long tp=102 sl=99 life=3; 33: long tp=102 sl=99 life=3").every("30m");
    assert_eq!(sound.story(), ["30 opened 100", "33 time_expired 100"], "the slot that has begun is used up");
}

/// Specification: L-HLD-16, L-HLD-17, L-HLD-18, L-HLD-19, L-HLD-20.
#[test]
fn the_end_of_the_frame_comes_before_everything_later() {
    let cases = [
        ("long tp=102 sl=99", "100 * 7 | 102 | 100", "1 opened 100", "6 time_expired 100"),
        ("long tp=102 sl=99", "100 * 7 | 100 98 100 | 100", "1 opened 100", "6 time_expired 100"),
        ("long open=98 tp=101 sl=97", "100 * 7 | 98 | 98", "1 scheduled 98", "6 timeout 100"),
        ("long tp=102 sl=99 life=8", "100 * 20", "1 opened 100", "6 time_expired 100"),
        ("long tp=102 sl=99 life=inf", "100 * 20", "1 opened 100", "6 time_expired 100"),
    ];
    for (answer, prices, begins, ends) in cases {
        let scene = scene(prices).settings(endless).frame(|frame| frame.end_ms = Some(at(5)));
        assert_eq!(scene.trades(&format!("1: {answer}")).backtest().story(), [begins, ends], "{answer}");
    }
}
