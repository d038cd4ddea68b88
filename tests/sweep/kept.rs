//! What a sweep has found is kept: when it is interrupted or killed, and for as long as nothing it follows from changes.

use std::{fs, time::Duration};

use fastrand::Rng;
use sigbox::market::candles::{generate, write_csv};

use super::{RESULTS, ran, results, sma_cross, sweep};
use crate::support::{Configuration, Workplace, plugin, recipe, slow_tests};

/// Sixty runs.
const GRID: &str = "[walk.grid.sma-cross]\nfast = { from = 1, to = 30, step = 1 }\nslow = [60, 90]\n";

#[test]
fn killed_at_random_moments_and_started_again_it_comes_to_the_same() {
    let configuration = sma_cross(&["BTCUSDT"], GRID);
    let undisturbed = Workplace::new(&configuration);
    let (_, expected) = sweep(&undisturbed);
    let mut dice = crate::crash::chaos::dice();
    let (wanted, mut kills) = (if slow_tests() { 100 } else { 15 }, 0);
    while kills < wanted {
        let disturbed = Workplace::new(&configuration);
        // Longer from time to time, so that the sweep gets to its end on any machine.
        for patience in 0.. {
            let before = if disturbed.path(RESULTS).exists() { disturbed.read(RESULTS) } else { String::new() };
            let time = Duration::from_millis(dice.u64(20..250 + 20 * patience));
            match disturbed.start(&["walk", "--json"]).wait_for(time) {
                Ok(finished) => {
                    assert_eq!((finished.code(), &finished.stdout), (Some(0), &expected), "after {kills} kills");
                    break;
                }
                Err(running) => running.kill(),
            }
            kills += 1;
            // Nothing that was finished is lost: what there was is still there, but for half a line at its end.
            let whole = before.rfind('\n').map_or("", |end| &before[..=end]);
            let after = if disturbed.path(RESULTS).exists() { disturbed.read(RESULTS) } else { String::new() };
            assert!(after.starts_with(whole), "a kill lost results");
            tear(&disturbed, &mut dice);
        }
        assert!(results(&disturbed) == results(&undisturbed), "no run was run twice, and none is missing");
    }
}

/// Tears the last line now and then: a kill can, but hardly ever does.
fn tear(workplace: &Workplace, dice: &mut Rng) {
    let path = workplace.path(RESULTS);
    let Ok(text) = fs::read_to_string(&path) else { return };
    if dice.bool() {
        let last = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
        fs::write(&path, &text[..dice.usize(last..=text.len())]).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn interrupted_it_stops_says_how_to_go_on_and_goes_on() {
    use rustix::process::Signal;
    // Enough runs for nobody to finish before the signal comes.
    let grid = GRID.replace("to = 30", "to = 3000").replace("[60, 90]", "[4000]");
    let configuration = sma_cross(&["BTCUSDT"], &grid);
    for signal in [Signal::INT, Signal::TERM] {
        let workplace = Workplace::new(&configuration);
        let file = workplace.path(RESULTS);
        let mut running = workplace.start(&["walk"]);
        running.until("a result", || fs::read_to_string(&file).is_ok_and(|text| text.contains('\n')));
        running.signal(signal);
        let finished = running.wait();
        assert_eq!((finished.code(), finished.stdout.as_str()), (Some(130), ""), "{signal:?}: {finished:?}");
        let done = results(&workplace).len();
        let said = format!(
            "error: interrupted after {done} of 3000 runs; they are kept in {RESULTS}, and the same command goes on from \
             there\n"
        );
        assert_eq!(finished.stderr, said, "{signal:?}");

        // A smaller sweep of the same goes on with what fits: the first values come first.
        workplace.configure(&sma_cross(&["BTCUSDT"], &grid.replace("to = 3000", &format!("to = {}", done + 5))));
        let finished = workplace.succeed(&["walk"]);
        assert!(ran(&finished.stderr) <= 7, "{done}: {}", finished.stderr);
    }
}

#[test]
fn a_second_sweep_on_the_same_file_is_refused() {
    let grid = GRID.replace("to = 30", "to = 3000").replace("[60, 90]", "[4000]");
    let workplace = Workplace::new(&sma_cross(&["BTCUSDT"], &grid));
    let file = workplace.path(RESULTS);
    let mut running = workplace.start(&["walk"]);
    running.until("a result", || fs::read_to_string(&file).is_ok_and(|text| text.contains('\n')));
    let finished = workplace.run(&["walk"]);
    assert_eq!((finished.code(), finished.stdout.as_str()), (Some(5), ""), "{finished:?}");
    let said =
        format!("error: results {RESULTS}: another process writes to this file; wait for it, or choose another one\n");
    assert_eq!(finished.stderr, said);
    running.kill();

    // Another file is another sweep.
    workplace.configure(&sma_cross(&["BTCUSDT"], "[walk.grid.sma-cross]\nfast = [5]\n"));
    let other = workplace.succeed(&["walk", "--results", "other.jsonl"]);
    assert_eq!((ran(&other.stderr), workplace.read("other.jsonl").lines().count()), (1, 1));
}

#[test]
fn another_metric_or_table_needs_no_run() {
    let workplace = Workplace::new(&sma_cross(&["BTCUSDT"], GRID));
    assert_eq!(ran(&workplace.succeed(&["walk"]).stderr), 60);
    for arguments in [&["--metric", "totalPnl"][..], &["--json"], &["--report", "csv"], &["--jobs", "1"]] {
        assert_eq!(ran(&workplace.succeed(&[&["walk"], arguments].concat()).stderr), 0, "{arguments:?}");
    }
    // A larger sweep runs what is new.
    workplace.configure(&sma_cross(&["BTCUSDT"], &GRID.replace("[60, 90]", "[60, 75, 90]")));
    assert_eq!(ran(&workplace.succeed(&["walk"]).stderr), 30);
    assert_eq!(results(&workplace).len(), 90);
}

#[test]
fn another_component_or_other_candles_are_run_anew() {
    let workplace = Workplace::empty();
    let (component, candles) = (workplace.path("it.wasm"), workplace.path("candles.csv"));
    let generated = generate(&recipe(11, 4)).unwrap();
    let mut wasm = fs::read(plugin("strategies/sma-cross")).unwrap();
    fs::write(&component, &wasm).unwrap();
    write_csv(&candles, &generated).unwrap();
    let configuration = Configuration::new()
        .file("BTCUSDT", &candles)
        .file("ETHUSDT", &workplace.path("other.csv"))
        .strategy("s", &component, &["BTCUSDT"], "")
        .section("[walk.grid.s]\nfast = [5, 10, 20]");
    write_csv(&workplace.path("other.csv"), &generated).unwrap();
    workplace.configure(&configuration);
    let (_, expected) = sweep(&workplace);

    // A custom section changes nothing but the bytes: its id, its length, the length of its name, and the name.
    wasm.extend([0, 3, 2, b'h', b'i']);
    fs::write(&component, &wasm).unwrap();
    let finished = workplace.succeed(&["walk", "--json"]);
    assert_eq!((ran(&finished.stderr), &finished.stdout), (3, &expected));

    let mut changed = generated.clone();
    changed[2000].volume *= 2.0;
    for (file, candles) in [("candles.csv", &changed), ("other.csv", &changed)] {
        write_csv(&workplace.path(file), candles).unwrap();
        assert_eq!(ran(&workplace.succeed(&["walk"]).stderr), 3, "{file}");
    }
    // With everything as it was first, the first results are still there.
    wasm.truncate(wasm.len() - 5);
    fs::write(&component, &wasm).unwrap();
    for file in ["candles.csv", "other.csv"] {
        write_csv(&workplace.path(file), &generated).unwrap();
    }
    let finished = workplace.succeed(&["walk", "--json"]);
    assert_eq!((ran(&finished.stderr), &finished.stdout), (0, &expected));
    assert_eq!(results(&workplace).len(), 12);
}
