//! Kills at random moments, until the run is through.

use std::{env, fs, time::Duration};

use fastrand::Rng;
use sigbox_engine::MINUTE_MS;

use crate::support::{
    Configuration, Running, Workplace, audit, first_difference, of_traders, plugin, recipe, repository, slow_tests,
};

/// Simulated seconds a second: a minute takes a millisecond.
const MINUTE_A_MILLISECOND: f64 = 60_000.0;

/// The same, and short enough for a few kills: three minutes a millisecond.
const FASTER: f64 = 180_000.0;

/// How many kills a test is about, and how fast the run goes meanwhile.
fn ambition() -> (usize, f64) {
    if slow_tests() { (100, MINUTE_A_MILLISECOND) } else { (15, FASTER) }
}

#[expect(clippy::print_stdout, reason = "shown when the test fails, to repeat it")]
pub(crate) fn dice() -> Rng {
    let seed = match env::var("SIGBOX_CRASH_SEED") {
        Ok(seed) => seed.parse().expect("SIGBOX_CRASH_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("SIGBOX_CRASH_SEED={seed}");
    Rng::with_seed(seed)
}

/// A run that nobody disturbs.
pub(crate) fn undisturbed(configuration: &Configuration) -> Workplace {
    let workplace = Workplace::new(configuration);
    workplace.succeed(&["live"]);
    workplace
}

/// Asserts that `disturbed` has come to what `undisturbed` has.
pub(crate) fn assert_same_in_the_end(disturbed: &Workplace, undisturbed: &Workplace) {
    let (found, expected) = (disturbed.live_events().of_pairs(), undisturbed.live_events().of_pairs());
    if let Some(difference) = first_difference(&found, &expected) {
        panic!("{difference}");
    }
    audit(&found);
    // A document that says "nothing here" says the same as none.
    let documents = |workplace: &Workplace| {
        let mut documents = workplace.documents();
        documents.retain(|_, document| !["null", "{}", "[]"].contains(&document.as_str()));
        documents
    };
    assert_eq!(documents(disturbed), documents(undisturbed));
    let reached = |workplace: &Workplace| workplace.read("dump/data/events.jsonl.reached");
    assert_eq!(reached(disturbed), reached(undisturbed));
}

/// Every stored document is whole, at any moment.
fn assert_documents_are_whole(workplace: &Workplace) {
    let documents = workplace.documents();
    // A write that was under way has its own name.
    for (name, document) in documents.iter().filter(|(name, _)| !name.contains("/.tmp-")) {
        assert!(serde_json::from_str::<serde_json::Value>(document).is_ok(), "{name}: {document:?}");
    }
}

/// Kills the run at random moments, again and again, until one gets to the end. Returns the kills.
fn kill_until_done(workplace: &Workplace, dice: &mut Rng) -> usize {
    let mut kills = 0;
    loop {
        match workplace.start(&["live"]).wait_for(Duration::from_millis(dice.u64(20..250))) {
            Ok(finished) => {
                assert_eq!(finished.code(), Some(0), "after {kills} kills: {finished:?}");
                return kills;
            }
            Err(running) => {
                running.kill();
                kills += 1;
                assert_documents_are_whole(workplace);
            }
        }
    }
}

fn survives_kills(configuration: &Configuration) {
    let (wanted, speed) = ambition();
    let undisturbed = undisturbed(configuration);
    assert!(undisturbed.live_events().of("closed").len() > 10, "there is something to lose");
    let mut dice = dice();
    let mut kills = 0;
    while kills < wanted {
        let disturbed = Workplace::new(&configuration.clone().speed(speed));
        kills += kill_until_done(&disturbed, &mut dice);
        assert_same_in_the_end(&disturbed, &undisturbed);
    }
}

#[test]
fn a_run_killed_again_and_again_comes_to_the_same_events_byte_for_byte() {
    let configuration = Configuration::sma_cross(6);
    survives_kills(&configuration);

    // With one strategy on one symbol even the order is fixed, so the files are equal.
    let disturbed = Workplace::new(&configuration.clone().speed(MINUTE_A_MILLISECOND));
    kill_until_done(&disturbed, &mut dice());
    let file = |workplace: &Workplace| of_traders(&workplace.read("dump/data/events.jsonl"));
    assert!(file(&disturbed) == file(&undisturbed(&configuration)), "the event files differ");
}

#[test]
fn strategies_that_share_a_limit_of_positions_survive_kills() {
    let sma_cross = plugin("strategies/sma-cross");
    let symbols = ["BTCUSDT", "ETHUSDT"];
    let configuration = Configuration::new()
        .generated("BTCUSDT", 3, 4)
        .generated("ETHUSDT", 4, 4)
        .strategy("quick", &sma_cross, &symbols, "risk = [\"shared\"]\nsettings = { fast = 5, slow = 20 }")
        .strategy("calm", &sma_cross, &symbols, "risk = [\"shared\", \"calm\"]\ninterval = \"5m\"")
        .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 2 }]")
        .section("[[risk]]\nname = \"calm\"\nrules = [{ max-active = 1 }]");
    let rejections = undisturbed(&configuration).live_events().of("risk_rejection").len();
    assert!(rejections > 5, "the limit is met: {rejections}");
    survives_kills(&configuration);
}

#[test]
fn a_strategy_that_remembers_and_reads_its_trades_survives_kills() {
    let settings = "settings = { candles = 5, exit-percent = 0.6, minutes = 45, rest-minutes = 20 }";
    let rests = plugin("strategies/rests");
    let configuration =
        Configuration::new().generated("BTCUSDT", 7, 4).strategy("rests", &rests, &["BTCUSDT"], settings);
    let events = undisturbed(&configuration).live_events();
    let opened = events.of("opened");
    let rested = opened.iter().filter(|event| !event["signal"]["note"].to_string().contains("rested 0 minutes"));
    assert!(rested.count() > 10, "it rests: {opened:?}");
    survives_kills(&configuration);
}

/// One strategy with a limit order every two hours.
pub(super) fn limit_orders() -> Configuration {
    // A proposal every two hours, with the limit below or above the price: some are filled, some run out.
    let candles = sigbox::market::candles::generate(&recipe(5, 6)).unwrap();
    let signals: Vec<String> = (1..70)
        .map(|number: usize| {
            let candle = &candles[number * 120];
            let (side, towards) = if number.is_multiple_of(2) { ("long", 1.0) } else { ("short", -1.0) };
            let away = |percent: f64| candle.open * (1.0 + towards * percent / 100.0);
            format!(
                "{{ at = {}, until = {}, dto = {{ position = \"{side}\", priceOpen = {:.2}, priceTakeProfit = {:.2}, \
                 priceStopLoss = {:.2}, minuteEstimatedTime = 60 }} }}",
                candle.open_time_ms,
                candle.open_time_ms + 10 * MINUTE_MS,
                away(-0.2),
                away(0.9),
                away(-1.0)
            )
        })
        .collect();
    let settings = format!("risk = [\"shared\"]\nsettings = {{ signals = [{}] }}", signals.join(", "));
    Configuration::new()
        .generated("BTCUSDT", 5, 6)
        .strategy("scripted", &plugin("strategies/scripted"), &["BTCUSDT"], &settings)
        .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 1 }]")
}

#[test]
fn limit_orders_survive_kills() {
    let configuration = limit_orders();
    let events = undisturbed(&configuration).live_events();
    let (scheduled, cancelled) = (events.of("scheduled").len(), events.of("cancelled").len());
    assert!(scheduled > cancelled && cancelled > 3, "{scheduled} orders, {cancelled} of them cancelled");
    survives_kills(&configuration);
}

#[test]
fn a_run_killed_while_it_starts_has_lost_nothing() {
    let configuration = Configuration::sma_cross(2);
    let undisturbed = undisturbed(&configuration);
    let disturbed = Workplace::new(&configuration.clone().speed(MINUTE_A_MILLISECOND));
    let mut dice = dice();
    kill_with_a_position(&disturbed);
    for _ in 0..30 {
        match disturbed.start(&["live"]).wait_for(Duration::from_micros(dice.u64(0..60_000))) {
            Ok(finished) => panic!("two days do not pass in a moment: {finished:?}"),
            Err(running) => running.kill(),
        }
        assert_documents_are_whole(&disturbed);
    }
    disturbed.configure(&configuration);
    disturbed.succeed(&["live"]);
    assert_same_in_the_end(&disturbed, &undisturbed);
}

/// Where the position of `sma-cross` on `BTCUSDT` is kept.
pub(crate) const POSITION: &str = "dump/data/signal/BTCUSDT_sma-cross/BTCUSDT.json";

/// Starts a live run of `sma-cross` and kills it while it holds a position.
pub(crate) fn kill_with_a_position(workplace: &Workplace) {
    let holds = || fs::read_to_string(workplace.path(POSITION)).is_ok_and(|row| row.starts_with('{'));
    // It may close between the look and the kill.
    for _ in 0..20 {
        let mut running: Running = workplace.start(&["live"]);
        running.until("a position", holds);
        running.kill();
        if holds() {
            return;
        }
    }
    panic!("no position was held for long enough");
}

#[test]
fn the_instructions_name_what_the_tests_listen_to() {
    let instructions = fs::read_to_string(repository().join("tests/README.md")).unwrap();
    for variable in ["SIGBOX_SLOW_TESTS", "SIGBOX_CRASH_SEED", "SIGBOX_REAL_CANDLES"] {
        assert!(instructions.contains(variable), "{variable} is not in tests/README.md");
    }
}
