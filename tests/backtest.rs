//! Backtests with the command: results that add up, the same bytes each time, and the same events as a live run.
//!
//! `SIGBOX_REAL_CANDLES=<file.csv>` repeats every test of this file on recorded one-minute candles. A month of Bitcoin
//! takes a few seconds.

use std::{
    env, fs,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sigbox::{
    config::Config,
    events::EventWriter,
    job::{BacktestJob, Extras},
    market::{
        Market,
        candles::{Gaps, Series, generate, read_csv, write_csv},
    },
    sandbox::{Deterministic, Limits, Sandbox},
    trading::{Backtest, Native, SeatSetup, Setup},
};
use sigbox_engine::{Candle, Interval, MINUTE_MS, Proposal, Settings, Side, trader::Answer};

use crate::support::{Configuration, Events, Known, Period, Workplace, audit_with, plugin, recipe};

const BACKTEST_EVENTS: &str = "dump/backtest/events.jsonl";

/// Candles in a file, and a place to work with them.
struct Recorded {
    file: PathBuf,
    candles: Vec<Candle>,
    workplace: Workplace,
}

impl Recorded {
    fn configuration(&self) -> Configuration {
        sma_cross(&self.file)
    }

    /// The same, but for candles from the `first`th on.
    fn only_first(&self, count: usize) -> Configuration {
        let file = self.workplace.path("first.csv");
        write_csv(&file, &self.candles[..count]).unwrap();
        sma_cross(&file)
    }

    /// What an auditor of a live run is told.
    fn known(&self) -> Known {
        Known::new(vec![("BTCUSDT".to_owned(), self.candles.clone())])
    }

    /// What an auditor of a backtest is told.
    fn known_of_backtest(&self) -> Known {
        let [first_ms, last_ms] = [4, self.candles.len() - 3].map(|place| self.candles[place].close_time_ms());
        Known { frame: Some(Period { first_ms, last_ms, step_minutes: 1 }), ..self.known() }
    }
}

fn sma_cross(file: &Path) -> Configuration {
    let settings = "settings = { fast = 20, slow = 60 }";
    Configuration::new().file("BTCUSDT", file).strategy("sma-cross", &component(), &["BTCUSDT"], settings)
}

fn component() -> PathBuf {
    plugin("strategies/sma-cross")
}

/// Runs `test` on generated candles, and on recorded ones where there are any.
fn on_each_market(test: impl Fn(&Recorded)) {
    let made_up = Workplace::empty();
    let file = made_up.path("candles.csv");
    let candles = generate(&recipe(11, 8)).unwrap();
    write_csv(&file, &candles).unwrap();
    test(&Recorded { file, candles, workplace: made_up });
    if let Some(file) = env::var_os("SIGBOX_REAL_CANDLES").map(PathBuf::from) {
        let file = fs::canonicalize(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let candles = read_csv(&file, Gaps::Refuse).unwrap();
        test(&Recorded { file, candles, workplace: Workplace::empty() });
    }
}

fn backtest(workplace: &Workplace, configuration: &Configuration) -> Events {
    workplace.configure(configuration);
    workplace.succeed(&["backtest"]);
    Events::parse(&workplace.read(BACKTEST_EVENTS))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn the_result_adds_up_from_the_events() {
    on_each_market(|recorded| {
        let workplace = &recorded.workplace;
        workplace.configure(&recorded.configuration());
        let said = workplace.succeed(&["backtest", "--json"]).stdout;
        let result: Value = serde_json::from_str(&said).unwrap();
        let events = Events::parse(&workplace.read(BACKTEST_EVENTS));
        audit_with(&events, &recorded.known_of_backtest());

        let closed = events.of("closed");
        let pnls: Vec<f64> = closed.iter().map(|event| number(&event["pnl"]["pnlPercentage"])).collect();
        let total = &result["total"];
        assert!(pnls.len() > 20, "there are trades enough to add up: {}", pnls.len());
        assert_eq!(events.of("opened").len(), pnls.len(), "the end of the frame closes what is open");
        let wins = pnls.iter().filter(|pnl| **pnl > 0.0).count();
        let losses = pnls.iter().filter(|pnl| **pnl < 0.0).count();
        assert!(wins > 0 && losses > 0, "{wins} wins and {losses} losses");
        assert_eq!(total["trades"], pnls.len());
        assert_eq!(total["wins"], wins);
        assert_eq!(total["losses"], losses);
        let sum: f64 = pnls.iter().sum();
        let near = |found: &Value, expected: f64| (number(found) - expected).abs() < 1e-9;
        assert!(near(&total["totalPnl"], sum), "{total}, expected {sum}");
        #[expect(clippy::cast_precision_loss, reason = "a few hundred trades")]
        let (average, win_rate) = (sum / pnls.len() as f64, wins as f64 / (wins + losses) as f64 * 100.0);
        assert!(near(&total["averagePnl"], average), "{total}, expected {average}");
        assert!(near(&total["winRate"], win_rate), "{total}, expected {win_rate}");
        assert!(near(&total["bestPnl"], pnls.iter().copied().fold(f64::MIN, f64::max)), "{total}");
        assert!(near(&total["worstPnl"], pnls.iter().copied().fold(f64::MAX, f64::min)), "{total}");
        for reason in ["take_profit", "stop_loss", "time_expired", "liquidation"] {
            let count = closed.iter().filter(|event| event["closeReason"] == reason).count();
            assert_eq!(total["closedBy"][reason], count, "{reason}");
        }
        assert_eq!(result["pairs"].as_array().unwrap().len(), 1);
        assert_eq!(result["pairs"][0]["symbol"], "BTCUSDT");
        assert_eq!(result["pairs"][0]["totalPnl"], total["totalPnl"]);
        assert_eq!(result["events"], BACKTEST_EVENTS);

        // Every number a person sees is one a program gets.
        let table = workplace.succeed(&["backtest"]).stdout;
        let row = table.lines().find(|line| line.contains("sma-cross")).unwrap_or_else(|| panic!("{table}"));
        let cells: Vec<&str> = row.split(['│', '┆', '|']).map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let expected =
            ["sma-cross", "BTCUSDT", &pnls.len().to_string(), &format!("{win_rate:.2} %"), &format!("{sum:+.2} %")];
        assert_eq!(cells[..5], expected, "{table}");
        assert!(table.contains(&format!("Every event: {BACKTEST_EVENTS}")), "{table}");
    });
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    on_each_market(|recorded| {
        let first = backtest(&recorded.workplace, &recorded.configuration());
        let second = backtest(&Workplace::empty(), &recorded.configuration());
        assert!(first.lines().len() > 100);
        assert_eq!(first, second);
    });
}

#[test]
fn candles_from_a_file_and_from_their_recipe_give_the_same_events() {
    let generated = Configuration::new().generated("BTCUSDT", 11, 8).strategy(
        "sma-cross",
        &component(),
        &["BTCUSDT"],
        "settings = { fast = 20, slow = 60 }",
    );
    let workplace = Workplace::empty();
    let file = workplace.path("candles.csv");
    write_csv(&file, &generate(&recipe(11, 8)).unwrap()).unwrap();
    assert_eq!(backtest(&workplace, &generated), backtest(&workplace, &sma_cross(&file)));
}

#[test]
fn a_plugin_and_the_same_rules_as_native_code_give_the_same_events() {
    on_each_market(|recorded| {
        let market = Market::new([("BTCUSDT".to_owned(), Series::new(recorded.candles.clone()).unwrap())]);
        let setup = Setup::new("binance", market.clone(), Settings::default());
        let strategy = Native(move |now_ms, price| native_sma_cross(&market, now_ms, price));
        let seat = SeatSetup::new(setup.assign("sma-cross", "BTCUSDT"), Interval::MINUTE, strategy);
        let mut written = Vec::new();
        let mut events = EventWriter::new(&mut written);
        let run = Backtest::new(setup.seat(seat)).unwrap();
        run.run(&mut events, |_| ControlFlow::Continue(())).unwrap();
        events.finish().unwrap();
        let native = Events::parse(&String::from_utf8(written).unwrap());
        assert_eq!(native, backtest(&recorded.workplace, &recorded.configuration()));
    });
}

/// The rules of `plugins/strategies/sma-cross`, with its defaults.
fn native_sma_cross(market: &Market, now_ms: i64, price: f64) -> Answer {
    let series = market.series("BTCUSDT").unwrap().read();
    let Some(candles) = series.last_closed(now_ms, 61) else { return Answer::Nothing };
    let is_above = |candles: &[Candle]| mean(&candles[40..]) > mean(candles);
    let (side, take_profit, stop_loss) = match (is_above(&candles[..60]), is_above(&candles[1..])) {
        (false, true) => (Side::Long, 1.0, -0.6),
        (true, false) => (Side::Short, -1.0, 0.6),
        (true, true) | (false, false) => return Answer::Nothing,
    };
    let away = |percent: f64| price * (1.0 + percent / 100.0);
    Answer::Trade(Proposal {
        id: None,
        symbol: None,
        side,
        price_open: None,
        price_take_profit: away(take_profit),
        price_stop_loss: away(stop_loss),
        minute_estimated_time: Some(240.0),
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    })
}

/// Added in the order in which the plugin does, so that equal averages are equal in both.
fn mean(candles: &[Candle]) -> f64 {
    let mut lanes = [0.0; 4];
    for (index, candle) in candles.iter().enumerate() {
        lanes[index % 4] += candle.close;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 60")]
    let count = candles.len() as f64;
    ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) / count
}

#[test]
fn a_live_run_over_the_same_candles_gives_the_same_events() {
    on_each_market(|recorded| {
        let tested = backtest(&recorded.workplace, &recorded.configuration());
        recorded.workplace.succeed(&["live"]);
        let traded = recorded.workplace.live_events();
        audit_with(&traded, &recorded.known());
        // The candle that opens at the last boundary ends what a backtest still holds; a live run goes on.
        let last_candle_ms = recorded.candles.last().unwrap().open_time_ms;
        let frame_end_ms = last_candle_ms - MINUTE_MS;
        let (tested, traded) = (tested.before(frame_end_ms), traded.before(frame_end_ms));
        assert!(tested.of("closed").len() > 20);
        assert_eq!(tested, traded.of_pairs());
    });
}

#[test]
fn what_happens_later_changes_nothing_before() {
    on_each_market(|recorded| {
        let whole = backtest(&recorded.workplace, &recorded.configuration());
        for share in [3, 5, 8] {
            // Uneven, so that the cut falls into positions and between them.
            let count = recorded.candles.len() * share / 9 + share;
            let first = backtest(&recorded.workplace, &recorded.only_first(count));
            let frame_end_ms = recorded.candles[count - 2].open_time_ms;
            assert!(first.of("closed").len() > 5);
            assert_eq!(first.before(frame_end_ms), whole.before(frame_end_ms));
            let at_the_end: Vec<_> = first.lines()[first.before(frame_end_ms).lines().len()..].to_vec();
            assert!(at_the_end.len() <= 3, "nothing but the end itself comes after: {at_the_end:#?}");
        }
    });
}

#[test]
fn a_frame_only_asks_between_its_times() {
    let workplace = Workplace::empty();
    let frame = "[frame]\nname = \"third day\"\nstart = \"2024-01-03T00:00:00Z\"\nend = \"2024-01-03T23:59:00Z\"";
    let file = workplace.path("candles.csv");
    write_csv(&file, &generate(&recipe(11, 8)).unwrap()).unwrap();
    let events = backtest(&workplace, &sma_cross(&file).section(frame));
    let start_ms = recipe(11, 8).start_ms + 2 * 1440 * MINUTE_MS;
    let opened: Vec<i64> = events.of("opened").iter().map(|event| event["timestamp"].as_i64().unwrap()).collect();
    assert!(opened.len() > 3, "{opened:?}");
    assert!(opened.iter().all(|at_ms| (start_ms..start_ms + 1440 * MINUTE_MS).contains(at_ms)), "{opened:?}");
    assert!(events.iter().all(|event| event["frameName"] == "third day"));
    assert_eq!(events.of("closed").len(), opened.len());
}

/// Ten symbols, of which three may be held at once, with two strategies on each. The command uses every core.
#[test]
fn a_portfolio_gives_the_same_bytes_on_any_number_of_threads() {
    let symbols: Vec<String> = (0..10).map(|number| format!("S{number}USDT")).collect();
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let portfolio = (0..)
        .zip(&names)
        .fold(Configuration::new(), |portfolio, (seed, symbol)| portfolio.generated(symbol, 40 + seed, 10));
    let shared = "[[risk]]\nname = \"shared\"\nrules = [{ max-active = 3, note = \"at most three positions\" }]";
    let portfolio = portfolio
        .strategy("calm", &component(), &names, "risk = [\"shared\"]\nsettings = { fast = 20, slow = 60 }")
        .strategy("nervous", &component(), &names[..5], "risk = [\"shared\"]\nsettings = { fast = 3, slow = 8 }")
        .section(shared);
    let workplace = Workplace::new(&portfolio);
    workplace.succeed(&["backtest"]);
    let events = workplace.read(BACKTEST_EVENTS);
    let (refused, opened) = {
        let events = Events::parse(&events);
        (events.of("risk_rejection").len(), events.of("opened").len())
    };
    assert!(refused > 100 && opened > 100, "{opened} positions, and {refused} refused");

    let config = Config::load(workplace.path("sigbox.toml")).unwrap();
    let sandbox = Sandbox::<Deterministic>::new(Limits::default(), config.cache_dir.clone()).unwrap();
    let mut totals = Vec::new();
    for threads in [1, 2, 3, 8] {
        let file = workplace.path(&format!("{threads}.jsonl"));
        let job = BacktestJob::new(&config, &sandbox, &mut |plugin, _| Ok(plugin.into())).unwrap();
        let job = job.threads(NonZeroUsize::new(threads).unwrap());
        let done = job
            .run(Some(&file), Extras { timed: threads == 3, promises: threads == 2 }, |_| ControlFlow::Continue(()))
            .unwrap();
        assert!(fs::read_to_string(&file).unwrap() == events, "{threads} threads write other events");
        totals.push(format!("{:?}", done.tally));
    }
    assert!(totals.iter().all(|of_some| *of_some == totals[0]));
}
