//! Section 13.3: limit orders, times and ends.

use std::{fs, io, sync::Arc};

use serde_json::Value;
use sigbox::{
    events::{Event, Notice},
    market::Market,
    trading::{
        Journal, Live, LiveOptions, SEGMENT_BYTES, Sink, Stop,
        feed::ReplayFeed,
        store::{MemoryStore, OnCorrupt, Store, Stores},
    },
};
use sigbox_engine::{MINUTE_MS, Outcome, Settings, signal::Pair, stats::Summary};
use tokio::sync::watch;

use super::scene::{BTC, Scene, at, check, story};
use crate::support::{Configuration, Events, LATER_MS, Workplace, first_difference, plugin};

/// Specification: S-SCH-01, S-SCH-05.
#[test]
fn an_order_is_scheduled_filled_and_closed() {
    let scene =
        Scene::new("42000 | to 40800 in 6 | to 44000 in 10 | flat 5").trades("long open=41000 tp=43000 sl=40000");
    let events = scene.events();
    assert_eq!(story(&events, false), ["0 scheduled 41000", "4 opened 41000", "15 take_profit 43000 +4.46 %"]);
    // Between these three there is only what is reported on the way.
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!((actions[0], actions[1], actions[actions.len() - 1]), ("scheduled", "opened", "closed"));
}

/// Specification: S-SCH-06.
#[test]
fn orders_are_counted_with_how_they_ended() {
    #[derive(Default)]
    struct Counted(Summary);
    impl Sink for Counted {
        fn tell(&mut self, _: &Pair, outcome: &Outcome) -> io::Result<()> {
            self.0.add(outcome);
            Ok(())
        }
    }
    let count = |script: &str| {
        let mut counted = Counted::default();
        let chart = "42000 | to 40800 in 6 | to 44000 in 10 | flat 20";
        let scene = Scene::new(chart).trades(script).settings(|settings| settings.schedule_await_minutes = 5);
        scene.tell(None, &mut counted).unwrap();
        let orders = counted.0.orders;
        (orders.scheduled, orders.activated, orders.cancelled(), orders.cancellation_rate())
    };
    assert_eq!(count(""), (0, 0, 0, None));
    assert_eq!(count("long tp=43000 sl=41000"), (0, 0, 0, None));
    let filled = "long open=41000 tp=42000 sl=40000";
    assert_eq!(count(filled), (1, 1, 0, Some(0.0)));
    // A timeout, and the end of the period.
    let script = format!("{filled} | 20 long open=41000 tp=45000 sl=40000 | 33 long open=42000 tp=45000 sl=40000");
    assert_eq!(count(&script), (3, 1, 2, Some(2.0 / 3.0 * 100.0)));
}

/// Specification: S-TIM-01.
#[test]
fn a_lifetime_counts_from_the_fill_and_not_from_the_order() {
    check(
        "42000 | flat 100 | high 42000 low 41000 | flat 1500",
        "long open=41000 tp=43000 sl=40000 life=1440",
        &["0 scheduled 41000", "100 opened 41000", "1540 time_expired 42000 +2.03 %"],
    );
}

/// Specification: S-TIM-02, S-TIM-03.
#[test]
fn a_row_says_when_it_was_accepted_and_when_it_was_opened() {
    let times = |script: &str| {
        let events = Scene::new("42000 | flat 3 | high 42000 low 41000 | flat 5").trades(script).events();
        let time = |event: &Value| {
            let signal = &event["signal"];
            let [scheduled, pending] = ["scheduledAt", "pendingAt"].map(|key| signal[key].as_i64().unwrap());
            (event["action"].as_str().unwrap().to_owned(), scheduled, pending)
        };
        events.iter().filter(|event| event["action"] != "max_drawdown").map(time).collect::<Vec<_>>()
    };
    let row = |action: &str, scheduled, pending| (action.to_owned(), scheduled, pending);
    assert_eq!(times("1 long tp=43000 sl=40000"), [row("opened", at(1), at(1)), row("closed", at(1), at(1))]);
    let filled = times("1 long open=41000 tp=43000 sl=40000");
    // Nothing is pending while the order waits.
    assert_eq!(filled[..2], [row("scheduled", at(1), 0), row("opened", at(1), at(3))]);
    assert_eq!(filled.last(), Some(&row("closed", at(1), at(3))));
}

/// Specification: S-CLO-01, V-SCH-04.
#[test]
fn a_position_that_lives_ten_minutes_expires_in_the_tenth() {
    check("42000 | flat 20", "long tp=43000 sl=41000 life=10", &["0 opened 42000", "10 time_expired 42000 -0.40 %"]);
    check("42000 | flat 20", "short tp=41000 sl=43000 life=1", &["0 opened 42000", "1 time_expired 42000 -0.40 %"]);
}

/// Specification: S-CLO-03, S-CLO-06.
#[test]
fn a_price_that_goes_the_wrong_way_closes_at_the_stop() {
    let expected = ["0 opened 42000", "4 stop_loss 43000 -2.79 %"];
    check("42000 | to 43200 in 6 | flat 5", "short tp=41000 sl=43000", &expected);
    let expected = ["0 opened 42000", "4 stop_loss 41000 -2.77 %"];
    check("42000 | to 40800 in 6 | flat 5", "long tp=43000 sl=41000", &expected);
}

/// Specification: S-CLO-04.
#[test]
fn a_candle_that_touches_the_limit_fills_it() {
    let script = "long open=42000 tp=44000 sl=41000";
    let touched = ["0 scheduled 42000", "2 opened 42000", "8 time_expired 43000 +1.97 %"];
    check("43000 | flat 2 | high 43000 low 42000 | flat 6", script, &touched);
    let nearly = ["0 scheduled 42000", "8 timeout"];
    check("43000 | flat 2 | high 43000 low 42000.01 | flat 6", script, &nearly);
}

/// Specification: S-CLO-05, S-OTH-02.
#[test]
fn the_nearest_target_allowed_still_pays_its_costs() {
    // The fees and slippage of both ends take 0.4 %.
    let chart = "42000 | to 43000 in 10 | flat 5";
    check(chart, "long tp=42210 sl=41000", &["0 opened 42000", "4 take_profit 42210 +0.10 %"]);
    check(chart, "long tp=42209 sl=41000", &["0 refused long_tp_too_close"]);
    let scene = Scene::new(chart).trades("long tp=42168 sl=41000");
    scene
        .settings(|settings| settings.min_takeprofit_distance_percent = 0.4)
        .check(&["0 opened 42000", "3 take_profit 42168 -0.00 %"]);
}

/// Specification: V-SCH-01.
#[test]
fn a_stop_is_watched_from_the_minute_after_the_fill() {
    for quiet in 0..4 {
        let chart = format!("42000 | flat 2 | high 42000 low 41000 | flat {quiet} | high 42000 low 40000 | flat 3");
        let stopped = format!("{} stop_loss 40000 -2.83 %", quiet + 3);
        check(&chart, "long open=41000 tp=43000 sl=40000", &["0 scheduled 41000", "2 opened 41000", &stopped]);
    }
}

/// Specification: V-SCH-05.
#[test]
fn on_a_coarse_grid_the_first_boundary_after_a_close_is_not_missed() {
    Scene::new("42000 | flat 25").ask_every("5m").trades("always long tp=43000 sl=41000 life=6").check(&[
        "0 opened 42000",
        "6 time_expired 42000 -0.40 %",
        "10 opened 42000",
        "16 time_expired 42000 -0.40 %",
        "20 opened 42000",
        "21 time_expired 42000 -0.40 %",
    ]);
}

/// A live run's event record, and a stop that comes while an order waits for the third minute.
struct Interrupted<'a, L> {
    journal: &'a mut Journal<L>,
    waiting: usize,
    stop: watch::Sender<Stop>,
    with: Stop,
}

impl<L: FnMut(&Event)> Sink for Interrupted<'_, L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        if matches!(outcome, Outcome::Waiting { .. }) {
            self.waiting += 1;
            if self.waiting == 3 {
                self.stop.send_replace(self.with);
            }
        }
        self.journal.tell(pair, outcome)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.journal.sync()
    }

    fn reached(&mut self, now_ms: i64) {
        self.journal.reached(now_ms);
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        self.journal.notice(at_ms, pair, notice);
    }
}

/// A live run over the scene's candles, told to stop `with` in the third minute an order waits.
async fn live(scene: &Scene, store: &Arc<dyn Store>, file: &std::path::Path, with: Stop) {
    let mut journal = Journal::open(file, SEGMENT_BYTES, LATER_MS, |_: &Event| {}).unwrap();
    let pair = |strategy: &str| Pair {
        symbol: BTC.to_owned(),
        strategy: strategy.to_owned(),
        exchange: "binance".to_owned(),
        frame: String::new(),
    };
    let from_ms = ["a", "b"].into_iter().map(|name| journal.recall(&pair(name)).ask_from_ms).min().flatten();
    let market = Market::growing([BTC.to_owned()]);
    let feed = ReplayFeed::new(scene.series(), 0.0, from_ms, Settings::default());
    let options = LiveOptions { on_corrupt: OnCorrupt::Halt, lookback_minutes: 10_080, ..LiveOptions::at(LATER_MS) };
    let stores = Stores::all_in(store);
    let live = Live::start(scene.setup(market), stores, feed, options, &mut journal).await.unwrap();
    let (stop, stopped) = watch::channel(Stop::No);
    let mut sink = Interrupted { journal: &mut journal, waiting: 0, stop, with };
    live.run(&mut sink, stopped).await.unwrap();
}

/// Specification: V-SCH-03, L-STP-09.
#[tokio::test]
async fn an_order_that_waits_when_a_run_is_stopped_is_kept_and_traded_on_with() {
    // The limit is touched in minute 6, while the other position is held.
    let scene = Scene::new("42000 | flat 6 | high 42000 low 41000 | flat 8 | to 44000 in 5 | flat 12")
        .trader("a", "long open=41000 tp=43000 sl=40000 | 26 long tp=46000 sl=43000 life=2", &[])
        .trader("b", "long tp=43000 sl=40000 life=12 | 14 short tp=41000 sl=46000 life=3", &[]);
    let undisturbed = scene.events();
    let (order, position) = ("a 0 scheduled 41000", "b 0 opened 42000");
    let until_flat = [order, position, "b 12 time_expired 42000 -0.40 %"];
    for (with, expected) in [(Stop::Now, &until_flat[..2]), (Stop::WhenFlat, &until_flat)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.jsonl");
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let told = || Events::parse(&fs::read_to_string(&file).unwrap());

        live(&scene, &store, &file, with).await;
        assert_eq!(story(&told(), true), expected, "{with:?}: neither filled nor cancelled");
        live(&scene, &store, &file, Stop::No).await;
        assert_eq!(first_difference(&told(), &undisturbed), None, "{with:?}");
        assert_eq!(undisturbed.of("closed").len(), 4);
    }
}

/// Specification: S-CLO-02, S-CFG-31.
#[test]
fn what_the_configuration_says_holds_from_the_first_order_on() {
    let workplace = Workplace::empty();
    let file = workplace.path("candles.csv");
    sigbox::market::candles::write_csv(&file, Scene::new("42000 | flat 20").candles()).unwrap();
    let order = "{ position = \"long\", priceOpen = 41000, priceTakeProfit = 43000, priceStopLoss = 40000 }";
    let settings = format!("settings = {{ signals = [{{ at = {}, dto = {order} }}] }}", at(0));
    let scripted = plugin("strategies/scripted");
    let configuration = Configuration::new().file(BTC, &file).strategy("s", &scripted, &[BTC], &settings);
    workplace.configure(&configuration.section("[engine]\nschedule-await-minutes = 10"));
    workplace.succeed(&["backtest"]);
    let events = Events::parse(&workplace.read("dump/backtest/events.jsonl"));
    assert_eq!(story(&events, false), ["0 scheduled 41000", "10 timeout"]);
    assert_eq!(events.of("cancelled")[0]["timestamp"], at(0) + 10 * MINUTE_MS);
}
