//! Interrupts: a live run that is asked to stop, and the next one that goes on.

use std::fs;

use rustix::process::Signal;

use crate::support::{Configuration, Running, Workplace, audit, of_traders};

const POSITION: &str = "dump/data/signal/BTCUSDT_sma-cross/BTCUSDT.json";
const EVENTS: &str = "dump/data/events.jsonl";

/// Simulated seconds a second: slow enough that a position is held for a while, tens of milliseconds at least.
const SPEED: f64 = 30_000.0;

fn holds(workplace: &Workplace) -> bool {
    fs::read_to_string(workplace.path(POSITION)).is_ok_and(|row| row.starts_with('{'))
}

/// A live run at a moment when it holds a position.
fn holding(workplace: &Workplace, arguments: &[&str]) -> Running {
    let mut running = workplace.start_live(arguments);
    running.until("a position", || holds(workplace));
    running
}

/// Events of the same run when nobody disturbs it.
fn undisturbed(configuration: &Configuration) -> String {
    let workplace = Workplace::new(configuration);
    workplace.succeed(&["live"]);
    of_traders(&workplace.read(EVENTS))
}

#[test]
fn an_interrupted_run_ends_well_and_the_next_one_goes_on() {
    let configuration = Configuration::sma_cross(3);
    let expected = undisturbed(&configuration);
    for signal in [Signal::INT, Signal::TERM] {
        let workplace = Workplace::new(&configuration.clone().speed(SPEED));
        for _ in 0..3 {
            let running = holding(&workplace, &["live"]);
            running.signal(signal);
            let finished = running.wait();
            assert_eq!(finished.code(), Some(0), "{signal:?}: {finished:?}");
            let said = "stopping: what is held stays in the store, and the next start resumes it";
            assert!(finished.stderr.contains(said), "{signal:?}: {finished:?}");
            let told = of_traders(&workplace.read(EVENTS));
            assert!(expected.starts_with(&told), "it stopped half way");
            assert!(told.len() < expected.len(), "it stopped before the end");
        }
        workplace.configure(&configuration);
        workplace.succeed(&["live"]);
        assert!(of_traders(&workplace.read(EVENTS)) == expected, "{signal:?}: the events differ");
    }
}

#[test]
fn what_an_interrupted_run_holds_can_be_looked_at() {
    let workplace = Workplace::new(&Configuration::sma_cross(3).speed(SPEED));
    for _ in 0..20 {
        let running = holding(&workplace, &["live"]);
        running.signal(Signal::INT);
        assert_eq!(running.wait().code(), Some(0));
        if !holds(&workplace) {
            continue; // It closed in the very minute of the interrupt.
        }
        let events = workplace.live_events();
        let opened = *events.of("opened").last().unwrap();
        let table = workplace.succeed(&["state", "show"]).stdout;
        let shown: serde_json::Value =
            serde_json::from_str(&workplace.succeed(&["state", "show", "--json"]).stdout).unwrap();
        let shown = &shown[0];
        assert_eq!((&shown["strategyName"], &shown["symbol"]), (&opened["strategyName"], &opened["symbol"]));
        assert_eq!((&shown["state"], &shown["exchangeName"]), (&"open".into(), &"binance".into()));
        let signal = &opened["signal"];
        for field in ["id", "position", "priceOpen", "priceTakeProfit", "priceStopLoss", "pendingAt", "scheduledAt"] {
            assert_eq!(shown["row"][field], signal[field], "{field}");
        }
        for part in ["sma-cross", "BTCUSDT", "open", signal["position"].as_str().unwrap()] {
            assert!(table.contains(part), "{part:?} is not in\n{table}");
        }
        for price in ["priceOpen", "priceTakeProfit", "priceStopLoss"] {
            assert!(table.contains(&signal[price].to_string()), "{price} is not in\n{table}");
        }
        return;
    }
    panic!("every position closed in the minute of the interrupt");
}

#[test]
fn draining_opens_nothing_and_ends_when_flat() {
    let configuration = Configuration::sma_cross(6);
    let expected = undisturbed(&configuration);
    let workplace = Workplace::new(&configuration.clone().speed(SPEED));
    for round in 0..3 {
        let running = holding(&workplace, &["live", "--drain"]);
        running.signal(Signal::TERM);
        let finished = running.wait();
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        let said = "stopping: nothing new is opened; ends when no position is open. Interrupt again to end now";
        assert!(finished.stderr.contains(said), "{finished:?}");

        let events = workplace.live_events();
        audit(&events);
        assert_eq!(workplace.read(POSITION), "null", "round {round}");
        assert_eq!(events.of("opened").len(), events.of("closed").len(), "round {round}");
        assert_eq!(events.iter().last().unwrap()["action"], "closed", "nothing follows the last close");
        assert!(expected.starts_with(&workplace.read(EVENTS)), "round {round}");
        assert!(workplace.read(EVENTS).len() < expected.len(), "it stopped before the end");
    }
    // The minutes of draining are decided when trading goes on, as nobody was asked in them.
    workplace.configure(&configuration);
    workplace.succeed(&["live"]);
    assert!(workplace.read(EVENTS) == expected, "the events differ");
}

#[test]
fn a_second_interrupt_ends_draining_at_once() {
    // A minute takes 50 ms, and a position lives for hours.
    let slow = Configuration::sma_cross(6).speed(1200.0);
    let workplace = Workplace::new(&Configuration::sma_cross(6).speed(SPEED));
    holding(&workplace, &["live"]).kill();
    workplace.configure(&slow);
    let mut running = holding(&workplace, &["live", "--drain"]);
    running.signal(Signal::INT);
    let said = running.said_file();
    running.until("draining", || fs::read_to_string(&said).is_ok_and(|text| text.contains("nothing new is opened")));
    assert!(holds(&workplace));
    running.signal(Signal::INT);
    let finished = running.wait();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    assert!(holds(&workplace), "the position is kept, not closed");
}
