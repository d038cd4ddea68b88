//! What hot paths cost in instructions, against a budget. Unlike time, that is the same on a busy machine.
//!
//! Each operation is run once to warm up, and once more under valgrind's callgrind, which counts from the beginning to
//! the end of [`under_valgrind`]. See `bench/README.md`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is what this is for")]

#[path = "../../host/engine/benches/operations/mod.rs"]
mod engine;
#[path = "../../host/runtime/benches/operations/mod.rs"]
mod runtime;

use std::{
    collections::BTreeMap,
    env::{self, consts::ARCH},
    fs,
    hint::black_box,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use serde::{Deserialize, Serialize};
use sigbox_engine::{Interval, trader::Answer};
use sigbox_files::{At, Disk, Documents};

const BUDGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/instructions.toml");

const BUDGET_HEAD: &str = "\
# Instructions an operation may take. `cargo bench --bench instructions` compares, and fails beyond the tolerance;
# `cargo bench --bench instructions -- --write` makes what it counts the budget. Counts depend on the compiler, and a
# little on what the processor and libc have to offer.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_given = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // `cargo bench -- --test` only wants to see it run.
    if is_given("--count") || is_given("--test") {
        for Operation { name, mut run, times } in operations() {
            run();
            under_valgrind(&mut run);
            println!("{times} {name}");
        }
        return ExitCode::SUCCESS;
    }
    let found = count();
    if is_given("--write") {
        let budget = toml::to_string(&found).expect("it can be written down");
        fs::write(BUDGET, format!("{BUDGET_HEAD}{budget}")).expect("the budget can be written");
        return ExitCode::SUCCESS;
    }
    let budget = fs::read_to_string(BUDGET).expect("there is a budget");
    let budget: Budget = toml::from_str(&budget).expect("the budget can be understood");
    compare(&budget, &found)
}

/// Something whose instructions are counted.
struct Operation {
    name: &'static str,
    run: Box<dyn FnMut()>,
    /// How many times it does what its name says.
    times: u32,
}

fn operations() -> Vec<Operation> {
    let operation = |name, times, run: Box<dyn FnMut()>| Operation { name, run, times };
    let (plugin, market) = (runtime::plugin(), runtime::market());
    let ask = runtime::get_signal(runtime::instance(&plugin, &market));
    let native = market.clone();
    let crossing = market.clone();
    let sandboxed = move || runtime::backtest(&market, Interval::MINUTE, runtime::instance(&plugin, &market));
    vec![
        operation("step, open position", engine::MINUTES, Box::new(engine::hold(None))),
        operation("step, waiting order", engine::MINUTES, Box::new(engine::hold(Some(95.0)))),
        operation("admit, nothing", 100, Box::new(repeat(100, engine::admit(|| Answer::Nothing)))),
        operation("admit, market entry", 100, Box::new(repeat(100, engine::admit(|| engine::long(None))))),
        operation("question, sma-cross", runtime::QUESTIONS, Box::new(ask)),
        operation(
            "backtest minute, native",
            runtime::MINUTES,
            Box::new(move || runtime::backtest(&native, Interval::MINUTE, runtime::idle())),
        ),
        operation(
            "backtest minute, native sma-cross",
            runtime::MINUTES,
            Box::new(move || runtime::backtest(&crossing, Interval::MINUTE, runtime::sma_cross(&crossing))),
        ),
        operation("backtest minute, sma-cross", runtime::MINUTES, Box::new(sandboxed)),
        operation("live minute, opens or closes", 200, Box::new(runtime::live(200))),
        operation("write, document as a file", 20, Box::new(repeat(20, write()))),
    ]
}

fn repeat(times: u32, mut run: impl FnMut()) -> impl FnMut() {
    move || (0..times).for_each(|_| run())
}

/// Writes a document as long as the row of an open position. The kernel's part of it is not counted.
fn write() -> impl FnMut() {
    let folder = tempfile::tempdir().expect("a temp directory");
    let documents = Documents::open(Disk, folder.path().to_owned()).expect("it is a folder");
    let at = At { domain: "signal", entity_name: "BTCUSDT_a", entity_id: "BTCUSDT" };
    move || {
        let _until_the_last = &folder;
        documents.write(at, &[b'x'; 600]).expect("it is written");
    }
}

/// What valgrind is told to look for.
#[inline(never)]
fn under_valgrind(run: &mut dyn FnMut()) {
    run();
    // Without anything after it, the call would be a jump, and valgrind would not see it end.
    black_box(());
}

/// Counts found, or counts allowed.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Budget {
    architecture: String,
    rustc: String,
    valgrind: String,
    tolerance_percent: f64,
    instructions: BTreeMap<String, f64>,
}

/// Runs this program under valgrind.
fn count() -> Budget {
    let folder = tempfile::tempdir().expect("a temp directory");
    let dump = folder.path().join("count");
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--toggle-collect=*::under_valgrind", "--dump-after=*::under_valgrind"])
        .arg(format!("--callgrind-out-file={}", dump.display()))
        .arg(env::current_exe().expect("this program is a file"))
        .arg("--count")
        .stderr(Stdio::inherit())
        .output()
        .expect("valgrind must be installed; on Debian: apt-get install valgrind");
    assert!(counted.status.success(), "valgrind: {}", counted.status);
    let counted = String::from_utf8(counted.stdout).expect("it prints text");
    let instructions = counted.lines().zip(1..).map(|(operation, number)| {
        let (times, name) = operation.split_once(' ').expect("it prints a number and a name");
        let times: f64 = times.parse().expect("it prints a number");
        let total = total(&dump.with_extension(number.to_string()));
        (name.to_owned(), (total / times * 10.0).round() / 10.0)
    });
    Budget {
        architecture: ARCH.to_owned(),
        rustc: version("rustc"),
        valgrind: version("valgrind"),
        tolerance_percent: 2.0,
        instructions: instructions.collect(),
    }
}

/// The instructions of a dump.
fn total(dump: &Path) -> f64 {
    let dump = fs::read_to_string(dump).expect("valgrind writes a dump for each operation");
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).expect("a dump has a total")
}

fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output().expect("it says its version");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Prints what has changed; fails when something costs too much.
fn compare(budget: &Budget, found: &Budget) -> ExitCode {
    for (here, there) in [
        (&found.architecture, &budget.architecture),
        (&found.rustc, &budget.rustc),
        (&found.valgrind, &budget.valgrind),
    ] {
        if here != there {
            println!("The budget was counted with {there}, and this is {here}.");
        }
    }
    println!("{:<30} {:>10} {:>10} {:>9}", "instructions", "budget", "now", "change");
    let mut over = Vec::new();
    for (name, now) in &found.instructions {
        let Some(allowed) = budget.instructions.get(name) else {
            println!("{name:<30} {:>10} {now:>10.1}", "none");
            over.push(name);
            continue;
        };
        let change = (now / allowed - 1.0) * 100.0;
        println!("{name:<30} {allowed:>10.1} {now:>10.1} {change:>+8.2} %");
        if change > budget.tolerance_percent {
            over.push(name);
        }
    }
    if over.is_empty() || found.architecture != budget.architecture {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "More than {} % over the budget: {over:?}. If it has to be, `cargo bench --bench instructions -- --write` makes \
         it the budget.",
        budget.tolerance_percent
    );
    ExitCode::FAILURE
}
