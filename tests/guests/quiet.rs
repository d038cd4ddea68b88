//! Strategies that promise silence: they are asked less, and trade the same.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use sigbox::{
    sandbox::{Deterministic, Limits, StrategyInstance, StrategyPlugin},
    trading::{Question, Strategy},
};
use sigbox_engine::trader::Answer;

use super::field::{assignment, backtest_of, deterministic};
use crate::support::{Configuration, Workplace, plugin};

/// A strategy whose questions are counted.
struct Counted {
    strategy: StrategyInstance<Deterministic>,
    questions: Arc<AtomicUsize>,
}

impl Strategy for Counted {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let answered = self.strategy.answer(row);
        let asked = answered.as_ref().map_or(row.len(), |(index, _)| index + 1);
        self.questions.fetch_add(asked, Ordering::Relaxed);
        answered
    }
}

/// The samples that promise silence, each with settings with which it trades often.
const SAMPLES: [(&str, &str); 2] =
    [("dips", "dip-percent = 0.3, candles = 30, minutes = 20"), ("sma-cross-quiet", "minutes = 20")];

/// The settings of a sample as a line of the configuration.
fn with(quiet: bool, settings: &str) -> String {
    format!("settings = {{ quiet = {quiet}, {settings} }}")
}

#[test]
fn a_strategy_that_promises_silence_is_asked_seldom_and_trades_the_same() {
    for (sample, settings) in SAMPLES {
        let component = plugin(&format!("strategies/{sample}"));
        let plugin = StrategyPlugin::load(&deterministic(Limits::default()), &component).unwrap();
        let run = |quiet: bool| {
            let settings: toml::Table = with(quiet, settings).parse().unwrap();
            let strategy = plugin.start(assignment(sample), &json!(settings["settings"]).to_string()).unwrap();
            let questions = Arc::new(AtomicUsize::new(0));
            let record = backtest_of(sample, Counted { strategy, questions: Arc::clone(&questions) });
            (record, questions.load(Ordering::Relaxed))
        };
        let ((always, asked_always), (seldom, asked_seldom)) = (run(false), run(true));
        assert!(always.of(sample).iter().filter(|outcome| outcome.starts_with("Opened")).count() > 3, "{always:?}");
        assert_eq!(seldom, always);
        assert!(asked_seldom * 2 < asked_always, "{sample}: asked {asked_seldom} times instead of {asked_always}");
    }
}

#[test]
fn a_live_run_keeps_to_promises_as_a_backtest_does() {
    for (sample, settings) in SAMPLES {
        let configuration = |quiet: bool| {
            let (component, settings) = (plugin(&format!("strategies/{sample}")), with(quiet, settings));
            Configuration::new()
                .generated("BTCUSDT", 7, 2)
                .strategy(sample, &component, &["BTCUSDT"], &settings)
                .strategy("seldom", &component, &["BTCUSDT"], &format!("interval = \"5m\"\n{settings}"))
        };
        let events = |quiet: bool| {
            let workplace = Workplace::new(&configuration(quiet));
            workplace.succeed(&["live"]);
            workplace.succeed(&["backtest"]);
            let backtest = fs::read_to_string(workplace.path("dump/backtest/events.jsonl")).unwrap();
            (workplace.live_events().of_pairs(), backtest)
        };
        let (always, seldom) = (events(false), events(true));
        assert!(always.0.of("closed").len() > 5, "{sample}: {:?}", always.0);
        assert!(seldom == always, "{sample}");
    }
}
