//! Sweeps as a host sees them that embeds sigbox: progress, order, and being stopped.

use std::{
    fs,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sigbox::{
    assemble,
    config::Config,
    market::{
        Market,
        candles::{Series, generate},
    },
    sandbox::{Deterministic, Limits, Sandbox},
    sweep::{Progress, Row, Sweep, best_first},
    trading::{Backtest, Native, SeatSetup, Setup, Silence},
};
use sigbox_engine::{Interval, Settings, trader::Answer};

use super::sma_cross;
use crate::support::{Configuration, plugin, recipe};

/// A folder for results, and a sandbox whose compiled plugins are kept between tests.
fn place() -> (tempfile::TempDir, Sandbox<Deterministic>) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins");
    let sandbox = Sandbox::new(Limits::default(), Some(cache)).unwrap();
    (tempfile::tempdir().unwrap(), sandbox)
}

/// Runs the sweep that `configuration` describes.
fn walk(
    configuration: &Configuration,
    (dir, sandbox): &(tempfile::TempDir, Sandbox<Deterministic>),
    jobs: usize,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Option<Vec<Row>> {
    let config = Config::parse(&configuration.to_toml(), "sigbox.toml").unwrap();
    let market = Market::new(assemble::candles(&config).unwrap());
    let sweep = Sweep::new(&config, sandbox, market, &mut |plugin, _| Ok(plugin.into())).unwrap();
    sweep.run(&dir.path().join("results.jsonl"), NonZeroUsize::new(jobs).unwrap(), progress).unwrap()
}

fn lines((dir, _): &(tempfile::TempDir, Sandbox<Deterministic>)) -> usize {
    fs::read_to_string(dir.path().join("results.jsonl")).unwrap().lines().count()
}

fn grid_of(runs: usize) -> String {
    format!("[walk.grid.sma-cross]\nfast = {{ from = 1, to = {runs}, step = 1 }}\nslow = [1000]\n")
}

/// A strategy that is asked every minute of a year and never trades, with as many names as there are to be runs.
fn never_trades(runs: usize) -> Configuration {
    let ids: Vec<String> = (0..runs).map(|at| format!("[{{ at = {at} }}]")).collect();
    Configuration::new()
        .generated("BTCUSDT", 3, 365)
        .strategy("idle", &plugin("strategies/scripted"), &["BTCUSDT"], "")
        .section(&format!("[walk.grid.idle]\nsignals = [{}]\n", ids.join(", ")))
}

/// Specification: S-WLK-01.
#[test]
fn progress_is_told_of_every_run_and_only_grows() {
    let place = place();
    let mut told: Vec<Progress> = Vec::new();
    let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(12)), &place, 2, |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    });
    assert_eq!(rows.unwrap().len(), 12);
    let mut done: Vec<usize> = told.iter().map(|progress| progress.done).collect();
    assert!(done.is_sorted(), "{done:?}");
    done.dedup();
    assert_eq!(done, (0..=12).collect::<Vec<_>>());
    assert!(told.iter().all(|progress| progress.total == 12 && progress.kept == 0 && progress.failed == 0));
}

/// Specification: S-WLK-02.
#[test]
fn a_run_is_counted_once_however_often_the_sweep_is_started() {
    let place = place();
    for kept in [0, 12, 12] {
        let mut last = None;
        let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(12)), &place, 2, |progress| {
            last = Some(progress);
            ControlFlow::Continue(())
        });
        assert_eq!((rows.unwrap().len(), lines(&place)), (12, 12));
        let last = last.unwrap();
        assert_eq!((last.done, last.kept), (12, kept));
    }
}

/// Specification: S-WLK-03.
#[test]
fn the_end_is_told_with_the_best() {
    let mut last = None;
    let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(6)), &place(), 2, |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    let (rows, last) = (rows.unwrap(), last.unwrap());
    let metric = sigbox_engine::stats::Metric::named("sharpeRatio").unwrap();
    let best = best_first(metric, &rows)[0].value(metric);
    assert!(best.is_some());
    assert_eq!((last.done, last.total, last.best), (6, 6, best));
}

/// Specification: S-WLK-04.
#[test]
fn a_row_has_all_statistics_of_its_run() {
    let rows = walk(&sma_cross(&["BTCUSDT"], ""), &place(), 1, |_| ControlFlow::Continue(())).unwrap();
    let measured = rows[0].outcome.as_ref().unwrap();
    let statistics = &measured.statistics;
    assert!(statistics.trades > 10 && statistics.sharpe.is_some() && statistics.win_rate.is_some(), "{measured:?}");
    assert_eq!(statistics.trades, statistics.wins + statistics.losses);
}

/// Specification: S-WLK-05.
#[test]
fn rows_come_in_the_order_of_the_configuration() {
    let walk_section = "[walk]\nsymbols = [\"ETHUSDT\", \"BTCUSDT\"]\n[walk.grid.sma-cross]\nslow = [60, 30]\nfast = [9, 5]\n\
                        [[walk.frames]]\nname = \"b\"\n[[walk.frames]]\nname = \"a\"\n";
    let rows = walk(&sma_cross(&["BTCUSDT", "ETHUSDT"], walk_section), &place(), 3, |_| ControlFlow::Continue(()));
    let found: Vec<String> = rows
        .unwrap()
        .iter()
        .map(|Row { case, .. }| {
            let varying: serde_json::Value = serde_json::from_str(&case.varying).unwrap();
            format!("{} {} {} {}", varying["slow"], varying["fast"], case.symbol, case.frame)
        })
        .collect();
    let mut expected = Vec::new();
    for slow in [60, 30] {
        for fast in [9, 5] {
            for symbol in ["ETHUSDT", "BTCUSDT"] {
                expected.extend(["b", "a"].map(|frame| format!("{slow} {fast} {symbol} {frame}")));
            }
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn the_best_so_far_never_gets_worse() {
    let mut best = Vec::new();
    walk(&sma_cross(&["BTCUSDT"], &grid_of(12)), &place(), 2, |progress| {
        best.extend(progress.best);
        ControlFlow::Continue(())
    });
    assert!(!best.is_empty() && best.is_sorted(), "{best:?}");
}

/// Specification: L-STA-10.
#[test]
fn of_five_hundred_runs_none_is_dropped() {
    let configuration = Configuration::new()
        .generated("BTCUSDT", 11, 1)
        .strategy("sma-cross", &plugin("strategies/sma-cross"), &["BTCUSDT"], "settings = { minutes = 90 }")
        .section(
            "[walk.grid.sma-cross]\nfast = { from = 1, to = 50, step = 1 }\nslow = { from = 41, to = 50, step = 1 }",
        );
    let place = place();
    let rows = walk(&configuration, &place, 2, |_| ControlFlow::Continue(())).unwrap();
    // Fast ones that are not below the slow one: ten of 50, nine of 49 …
    let refused: usize = (1..=10).sum();
    assert_eq!((rows.len(), lines(&place)), (500, 500 - refused));
    assert_eq!(rows.iter().filter(|row| row.outcome.is_err()).count(), refused);
    let metric = sigbox_engine::stats::Metric::named("sharpeRatio").unwrap();
    let values: Vec<Option<f64>> = best_first(metric, &rows).iter().map(|row| row.value(metric)).collect();
    assert_eq!(values.len(), 500);
    let numbers = values.iter().take_while(|value| value.is_some()).count();
    assert!(numbers > 100 && numbers < 500, "some have ten trades, some do not: {numbers}");
    assert!(values[numbers..].iter().all(Option::is_none), "nothing without a number is before one that has it");
}

/// Specification: S-SHU-05.
#[test]
fn a_stopped_sweep_starts_fewer_runs_than_it_lists() {
    let place = place();
    let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(400)), &place, 2, |progress| {
        if progress.done >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(rows.is_none(), "it was not done");
    let done = lines(&place);
    assert!((3..400).contains(&done), "{done}");
}

/// Specification: S-SHU-06.
#[test]
fn of_two_sweeps_one_is_stopped_and_the_other_goes_on() {
    // Both are under way when one is stopped.
    let together = Barrier::new(2);
    let wait_for_the_other = |waited: &mut bool, progress: Progress| {
        if progress.done > 0 && !std::mem::replace(waited, true) {
            together.wait();
        }
    };
    let (stopped, other) = (place(), place());
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            let mut waited = false;
            walk(&sma_cross(&["BTCUSDT"], &grid_of(400)), &stopped, 1, |progress| {
                wait_for_the_other(&mut waited, progress);
                if waited { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let mut waited = false;
        let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(30)), &other, 1, |progress| {
            wait_for_the_other(&mut waited, progress);
            ControlFlow::Continue(())
        });
        assert!(one.join().unwrap().is_none());
        assert_eq!(rows.unwrap().len(), 30);
    });
    assert!(lines(&stopped) < 400);
    assert_eq!(lines(&other), 30);
}

#[test]
fn a_backtest_whose_strategy_never_trades_can_be_stopped() {
    let candles = generate(&recipe(3, 30)).unwrap();
    let minutes = candles.len() as u64;
    let asked = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&asked);
    let market = Market::new([("BTCUSDT".to_owned(), Series::new(candles).unwrap())]);
    let setup = Setup::new("x", market, Settings::default());
    let idle = Native(move |_, _| {
        counting.fetch_add(1, Ordering::Relaxed);
        Answer::Nothing
    });
    let seat = SeatSetup::new(setup.assign("idle", "BTCUSDT"), Interval::MINUTE, idle);
    let run = Backtest::new(setup.seat(seat)).unwrap();
    run.run(
        &mut Silence,
        |progress| if progress.done == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) },
    )
    .unwrap();
    let asked = asked.load(Ordering::Relaxed);
    assert!((1..minutes / 10).contains(&asked), "{asked} of {minutes}");
}

/// Specification: S-SHU-08.
#[test]
fn a_sweep_whose_strategy_never_trades_can_be_stopped_in_the_middle_of_a_run() {
    let place = place();
    let mut told = 0;
    let rows = walk(&never_trades(50), &place, 1, |_| {
        told += 1;
        // The second time is a tenth of a second later, or when a run is done.
        if told < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(rows.is_none());
    assert!(lines(&place) < 50, "{}", lines(&place));
}

/// Specification: S-SHU-09.
#[test]
fn a_stopped_sweep_goes_on_where_it_was_and_comes_to_the_same() {
    let configuration = sma_cross(&["BTCUSDT"], &grid_of(20));
    let stopped = place();
    let mut starts = 0;
    let rows = loop {
        starts += 1;
        let kept = if starts == 1 { 0 } else { lines(&stopped) };
        let rows = walk(&configuration, &stopped, 2, |progress| {
            assert!(progress.kept == kept && progress.done >= kept, "{progress:?}");
            if progress.done > kept + 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some(rows) = rows {
            break rows;
        }
    };
    assert!(starts > 2, "it was stopped again and again: {starts}");
    let expected = walk(&configuration, &place(), 1, |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(format!("{rows:?}"), format!("{expected:?}"));
    assert_eq!(lines(&stopped), 20);
}

/// Specification: S-SHU-12.
#[test]
fn a_sweep_under_way_says_that_it_is() {
    let mut first = None;
    let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(3)), &place(), 1, |progress| {
        first.get_or_insert(progress);
        ControlFlow::Continue(())
    });
    assert!(rows.is_some());
    assert_eq!(first.unwrap(), Progress { done: 0, total: 3, kept: 0, failed: 0, best: None });
}

/// Specification: S-SHU-14.
#[test]
fn a_finished_sweep_says_that_it_is() {
    let mut last = None;
    let rows = walk(&sma_cross(&["BTCUSDT"], &grid_of(3)), &place(), 1, |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    let last = last.unwrap();
    assert!(rows.is_some() && last.done == last.total, "{last:?}");
}
