//! Section 13.2: what keeps money safe.

use std::io::{self, Write};

use sigbox::{
    events::{Event, EventWriter},
    trading::{RunError, Sink},
};
use sigbox_engine::{Outcome, signal::Pair};

use super::scene::{BTC, Scene, at, check, story};
use crate::support::Events;

/// Specification: S-DEF-01, S-DEF-02.
#[test]
fn a_limit_is_filled_on_the_way_to_its_stop_and_never_cancelled() {
    check(
        "42000 | to 39800 in 11 | flat 5",
        "long open=41000 tp=43000 sl=40000",
        &["0 scheduled 41000", "4 opened 41000", "9 stop_loss 40000 -2.83 %"],
    );
    check(
        "42000 | to 44200 in 11 | flat 5",
        "short open=43000 tp=41000 sl=44000",
        &["0 scheduled 43000", "4 opened 43000", "9 stop_loss 44000 -2.73 %"],
    );
}

/// Specification: S-DEF-03.
#[test]
fn a_limit_may_be_filled_and_its_target_reached_a_minute_later() {
    let scene = Scene::new("42000 | to 41000 in 5 | gap 43500 | flat 5").trades("long open=41000 tp=41500 sl=40000");
    let events = scene.events();
    let expected = ["0 scheduled 41000", "4 opened 41000", "5 take_profit 41500 +0.82 %"];
    assert_eq!(story(&events, false), expected);
    let closed = &events.of("closed")[0]["signal"];
    assert_eq!((&closed["scheduledAt"], &closed["pendingAt"]), (&at(0).into(), &at(4).into()));
}

/// Specification: S-DEF-04, S-SCH-02, S-TIM-04.
#[test]
fn an_order_that_is_never_filled_waits_two_hours() {
    check("42000 | flat 130", "long open=41000 tp=43000 sl=40000", &["0 scheduled 41000", "120 timeout"]);
    check("42000 | flat 130", "short open=43000 tp=41000 sl=44000", &["0 scheduled 43000", "120 timeout"]);
}

/// Specification: S-DEF-05, S-DEF-06, S-DEF-07, S-DEF-08, S-DEF-09, S-DEF-10, S-DEF-11.
#[test]
fn a_signal_that_makes_no_sense_is_never_traded() {
    let cases = [
        ("long  open=41000 tp=40500 sl=40000", "long_tp_wrong_side long_tp_too_close"),
        ("short open=43000 tp=43500 sl=44000", "short_tp_wrong_side short_tp_too_close"),
        ("long  open=41000 tp=43000 sl=41000", "long_sl_wrong_side long_sl_too_close"),
        ("long  open=41000 tp=43000 sl=41500", "long_sl_wrong_side long_sl_too_close"),
        ("long  open=41000 tp=43000 sl=0", "priceStopLoss_not_positive long_sl_too_far"),
        (
            "short open=43000 tp=44000 sl=41000",
            "short_tp_wrong_side short_sl_wrong_side short_tp_too_close short_sl_too_close",
        ),
        ("long  open=41000 tp=43000 sl=40000 life=0", "lifetime_not_positive"),
        ("long  open=41000 tp=41000 sl=40000", "long_tp_wrong_side long_tp_too_close"),
    ];
    // The market comes by every price of theirs.
    let chart = "42000 | to 39000 in 10 | to 45000 in 20 | flat 3";
    for (signal, rules) in cases {
        check(chart, signal, &[&format!("0 refused {rules}")]);
    }
}

/// Specification: S-DEF-12, S-SCH-03, S-OTH-01.
#[test]
fn orders_at_the_same_price_are_filled_one_after_the_other() {
    // The auditor of the events allows one order or position at a time.
    check(
        "42000 | to 41000 in 5 | to 42500 in 10 | to 41000 in 5 | to 42500 in 10 | flat 5",
        "always long open=41000 tp=42000 sl=40000",
        &[
            "0 scheduled 41000",
            "4 opened 41000",
            "13 take_profit 42000 +2.03 %",
            "14 scheduled 41000",
            "19 opened 41000",
            "28 take_profit 42000 +2.03 %",
            "29 scheduled 41000",
            "34 timeout",
        ],
    );
}

/// Specification: S-DEF-13, S-SCH-04, S-SAN-10, S-EDG-01.
#[test]
fn an_order_whose_stop_is_touched_first_is_never_filled() {
    let (long, short) = ("long open=41000 tp=43000 sl=40000", "short open=43000 tp=41000 sl=44000");
    // In one candle that comes by the limit as well, and in a gap beyond both.
    for fall in ["to 39000 in 1", "to 40000 in 1", "high 42000 low 39000", "gap 39000"] {
        let chart = format!("42000 | flat 2 | {fall} | flat 5");
        check(&chart, long, &["0 scheduled 41000", "2 price_reject"]);
    }
    for rise in ["to 45000 in 1", "to 44000 in 1", "high 45000 low 42000", "gap 45000"] {
        let chart = format!("42000 | flat 2 | {rise} | flat 5");
        check(&chart, short, &["0 scheduled 43000", "2 price_reject"]);
    }
}

/// Specification: S-DEF-14, S-OTH-03.
#[test]
fn a_candle_that_crosses_both_levels_closes_at_the_stop() {
    let chart = "42000 | flat 3 | high 43500 low 40500 | flat 5";
    check(chart, "long tp=43000 sl=41000", &["0 opened 42000", "3 stop_loss 41000 -2.77 %"]);
    check(chart, "short tp=41000 sl=43000", &["0 opened 42000", "3 stop_loss 43000 -2.79 %"]);
    // Even when it takes the average beyond the target.
    let chart = "42000 | flat 3 | high 60000 low 40500 | flat 5";
    check(chart, "long tp=43000 sl=41000", &["0 opened 42000", "3 stop_loss 41000 -2.77 %"]);
}

/// Specification: S-DEF-15.
#[test]
fn a_backtest_without_its_candles_ends_with_an_error_that_names_the_first() {
    let scene = Scene::new("42000 | flat 10").trades("2 long tp=43000 sl=41000 life=3");
    let (told, ended) = scene.run_until(Some(20));
    let error = ended.unwrap_err();
    assert!(matches!(&error, RunError::MissingCandle { symbol, open_ms } if symbol == BTC && *open_ms == at(10)));
    let message =
        "there is no candle of BTCUSDT that opens at 2024-01-01T00:10:00Z; the candles end or have a gap there";
    assert_eq!(error.to_string(), message);
    assert_eq!(story(&told, false), ["2 opened 42000", "5 time_expired 42000 -0.40 %"], "what came before is told");
}

/// Takes one event and then nothing more, as a full disk does.
struct Full {
    taken: Vec<u8>,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.contains(&b'\n') {
            return Err(io::Error::other("no room"));
        }
        let end_of_line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        self.taken.extend_from_slice(&bytes[..end_of_line]);
        Ok(end_of_line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails at every event, and counts them.
#[derive(Default)]
struct Failing {
    told: usize,
}

impl Sink for Failing {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.told += usize::from(Event::of(pair, outcome).is_some());
        Err(io::Error::other("no room"))
    }
}

/// Specification: S-DEF-16.
#[test]
fn who_listens_and_fails_stops_nothing_and_the_failure_is_not_lost() {
    let scene = Scene::new("42000 | to 44000 in 10 | flat 5").trades("long tp=43000 sl=41000");
    let mut failing = Failing::default();
    scene.tell(None, &mut failing).unwrap();
    assert_eq!(failing.told, scene.events().lines().len(), "it is told all the rest as well");

    let mut disk = Full { taken: Vec::new() };
    let mut writer = EventWriter::new(&mut disk);
    scene.tell(None, &mut writer).unwrap();
    assert_eq!(writer.finish().map(drop).unwrap_err().to_string(), "no room");
    let told = Events::parse(&String::from_utf8(disk.taken).unwrap());
    assert_eq!(story(&told, false), ["0 opened 42000"]);
}
