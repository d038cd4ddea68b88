//! Whatever goes wrong at whichever operation on a file, the record's own included: real processes, a real disk, and
//! between them `faulty_disk.c`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;
use sigbox::market::candles::{Recipe, generate};
use sigbox_engine::{Candle, MINUTE_MS};

use super::chaos::assert_same_in_the_end;
use crate::support::{Configuration, Workplace, audit, plugin, recipe, repository, slow_tests};

/// Where everything is that a run keeps.
const DATA: &str = "dump/data";

const CANDLES: &str = "candles.csv";

/// The candles of the run in which something goes wrong: few, because every operation is tried with every fault.
const MINUTES: usize = 32;

/// The candles of the run after it: some more, so that it can tell what it owes.
const MINUTES_AGAIN: usize = 38;

/// What goes wrong at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The process is killed instead of it.
    Killed,
    /// The process is killed when it is done.
    KilledAfter,
    /// Half of a write is done, then the process is killed.
    Torn,
    /// Half of a write is done, then the disk is full.
    Short,
    /// It fails with this error.
    Fails(Error),
    /// It fails with this error, and so does everything after it.
    FailsForEver(Error),
}

/// Linux numbers of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Error {
    Eio = 5,
    Enospc = 28,
    Erofs = 30,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::Killed,
        Self::KilledAfter,
        Self::Torn,
        Self::Short,
        Self::Fails(Error::Eio),
        Self::Fails(Error::Enospc),
        Self::Fails(Error::Erofs),
        Self::FailsForEver(Error::Eio),
        Self::FailsForEver(Error::Enospc),
        Self::FailsForEver(Error::Erofs),
    ];

    /// Every operation meets every kind of fault. The three errors take turns, because the same code deals with them.
    const fn is_due(self, operation: usize) -> bool {
        let turn = match self {
            Self::Killed | Self::KilledAfter | Self::Torn | Self::Short => return true,
            Self::Fails(Error::Eio) | Self::FailsForEver(Error::Enospc) => 0,
            Self::Fails(Error::Enospc) | Self::FailsForEver(Error::Erofs) => 1,
            Self::Fails(Error::Erofs) | Self::FailsForEver(Error::Eio) => 2,
        };
        operation % 3 == turn
    }

    /// The process learns nothing of it.
    const fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::KilledAfter | Self::Torn)
    }

    fn set(self, command: &mut Command) {
        let fault = match self {
            Self::Killed => "kill".to_owned(),
            Self::KilledAfter => "killed".to_owned(),
            Self::Torn => "torn".to_owned(),
            Self::Short => "short".to_owned(),
            Self::Fails(error) | Self::FailsForEver(error) => (error as i32).to_string(),
        };
        command.env("FAULTY_DISK_FAULT", fault);
        if matches!(self, Self::FailsForEver(_)) {
            command.env("FAULTY_DISK_ALL", "1");
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(error) => write!(f, "{error:?}"),
            Self::FailsForEver(error) => write!(f, "{error:?} for ever"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Operation {
    name: String,
    path: String,
    outcome: String,
}

impl Operation {
    /// Of the file that only saves work after a restart, or of the lock that a dead process no longer holds. A run that
    /// cannot write them has lost nothing.
    fn may_fail(&self) -> bool {
        [".reached", ".lock"].iter().any(|end| self.path.ends_with(end))
    }
}

/// `faulty_disk.c`, compiled once.
fn faulty_disk() -> &'static Path {
    static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faulty_disk.{}.so", process::id()));
        let source = repository().join("tests/crash/faulty_disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
        let status = compiler.status().expect("Rust itself links with cc");
        assert!(status.success(), "{compiler:?}: {status}");
        library
    });
    &LIBRARY
}

/// Two strategies on one symbol with room for two positions: entries at the market, an order that is filled and one that
/// runs out, partial levels, and positions that end by their prices and by their time.
fn configuration() -> Configuration {
    let scripted = plugin("strategies/scripted");
    let strategy = |first, away| format!("risk = [\"shared\"]\nsettings = {{ signals = [{}] }}", signals(first, away));
    Configuration::new()
        .file("BTCUSDT", Path::new(CANDLES))
        .strategy("early", &scripted, &["BTCUSDT"], &strategy(6, 0.05))
        .strategy("late", &scripted, &["BTCUSDT"], &strategy(8, 3.0))
        .section("[[risk]]\nname = \"shared\"\nrules = [{ max-active = 2 }]")
        .section("[engine]\nschedule-await-minutes = 4")
}

/// An entry at the market, then an order `away` percent from the price.
fn signals(first: usize, away: f64) -> String {
    let candles = candles();
    let one = |number: usize, side: &str, towards: f64, limit: Option<f64>| {
        let Candle { open_time_ms, open, .. } = candles[first + number * 12];
        let entry = limit.map_or(open, |percent| open * (1.0 - towards * percent / 100.0));
        let at = |percent: f64| entry * (1.0 + towards * percent / 100.0);
        format!(
            "{{ at = {open_time_ms}, until = {}, dto = {{ position = \"{side}\", {}priceTakeProfit = {:.2}, \
             priceStopLoss = {:.2}, minuteEstimatedTime = 8 }} }}",
            open_time_ms + 3 * MINUTE_MS,
            limit.map(|_| format!("priceOpen = {entry:.2}, ")).unwrap_or_default(),
            at(0.8),
            at(-0.9)
        )
    };
    [one(0, "long", 1.0, None), one(1, "short", -1.0, Some(away))].join(", ")
}

fn candles() -> Vec<Candle> {
    generate(&Recipe { minutes: MINUTES_AGAIN, volatility_percent: 0.25, ..recipe(11, 1) }).unwrap()
}

/// Writes the file of the first `minutes` candles.
fn write_candles(workplace: &Workplace, minutes: usize) {
    let mut csv = "open_time,open,high,low,close,volume\n".to_owned();
    for Candle { open_time_ms, open, high, low, close, volume } in &candles()[..minutes] {
        writeln!(csv, "{open_time_ms},{open},{high},{low},{close},{volume}").expect("a text grows");
    }
    workplace.write(CANDLES, csv);
}

/// The world in which every run is tried, and what comes out of it when nothing goes wrong.
struct Trial {
    undisturbed: Workplace,
    configuration: Configuration,
    /// What is in the data directory when the run in question begins.
    begins_with: Option<Workplace>,
    /// What that run does when nothing goes wrong.
    operations: Vec<Operation>,
}

impl Trial {
    fn new() -> Self {
        let configuration = configuration();
        let undisturbed = about_to_run(&configuration);
        let operations = live(&undisturbed, None).1;
        write_candles(&undisturbed, MINUTES_AGAIN);
        undisturbed.succeed(&["live"]);
        let events = undisturbed.live_events();
        for action in ["opened", "closed", "scheduled", "cancelled", "partial_profit"] {
            assert!(!events.of(action).is_empty(), "nothing is {action}: {events:?}");
        }
        Self { undisturbed, configuration, begins_with: None, operations }
    }

    /// The same, with a run in question that begins where one was killed with a position.
    fn after_a_crash() -> Self {
        let mut trial = Self::new();
        let first_position = trial.operations.iter().position(|operation| {
            operation.name == "rename"
                && operation.path.contains("/signal/")
                && operation.path.ends_with("BTCUSDT.json")
        });
        let killed = about_to_run(&trial.configuration);
        let (code, _) = live(&killed, Some((first_position.unwrap() + 1, Fault::KilledAfter)));
        assert_eq!(code, None, "it was killed");
        trial.begins_with = Some(killed);
        trial.operations = live(&trial.workplace(), None).1;
        trial
    }

    /// Where a run is about to begin.
    fn workplace(&self) -> Workplace {
        let workplace = about_to_run(&self.configuration);
        if let Some(left) = &self.begins_with {
            copy(&left.path(DATA), &workplace.path(DATA));
        }
        workplace
    }

    /// Makes operation `at` go wrong, and starts again with a sound disk.
    fn endures(&self, at: usize, fault: Fault) -> Operation {
        let workplace = self.workplace();
        let (code, operations) = live(&workplace, Some((at, fault)));
        let wrong: Vec<_> = operations.iter().filter(|operation| operation.outcome != "done").collect();
        let Some(first) = wrong.first() else {
            panic!("{fault} at operation {at} of {}: it never came", operations.len())
        };
        let what = format!("{fault} at operation {at}, {} {}", first.name, first.path);
        assert_eq!(code.is_none(), fault.kills(), "{what}: {code:?}");
        if matches!(fault, Fault::FailsForEver(_)) && !wrong.iter().all(|operation| operation.may_fail()) {
            assert_ne!(code, Some(0), "{what}: it ended as if all were well");
        }

        write_candles(&workplace, MINUTES_AGAIN);
        let again = workplace.run(&["live"]);
        assert_eq!(again.code(), Some(0), "{what}, then started again: {again:?}");
        // What it did not do while its files failed was not its choice: then other trades are right as well.
        if fault.kills() {
            assert_same_in_the_end(&workplace, &self.undisturbed);
        }
        let events = workplace.live_events();
        audit(&events);
        let begins = |event: &&Value| event["action"] == "opened";
        for event in events.of("closed") {
            let id = &event["signal"]["id"];
            let beginnings = events.iter().filter(begins).filter(|opened| &opened["signal"]["id"] == id).count();
            assert_eq!(beginnings, 1, "{what}: {id} was closed and opened {beginnings} times");
        }
        for (name, document) in workplace.documents() {
            assert!(serde_json::from_str::<Value>(&document).is_ok(), "{what}: {name} has {document:?}");
        }
        assert_holds_what_the_events_say(&workplace, &what);
        (*first).clone()
    }

    /// Tries every operation with every fault, and says how often what was tried.
    fn try_everything(&self, about: &str) {
        let tries: Vec<(usize, Fault)> = (1..=self.operations.len())
            .flat_map(|at| Fault::ALL.map(|fault| (at, fault)))
            // Each fault meets each kind of operation in a short test too.
            .enumerate()
            .filter(|(number, (at, fault))| if slow_tests() { fault.is_due(*at) } else { number.is_multiple_of(17) })
            .map(|(_, tried)| tried)
            .collect();
        let (next, counts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<(String, Fault), usize>::new()));
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some((at, fault)) = tries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let operation = self.endures(*at, *fault);
                        *counts.lock().unwrap().entry((operation.name, *fault)).or_default() += 1;
                    }
                });
            }
        });
        let counts = counts.into_inner().unwrap();
        let mut said = format!("{about}: {} runs of {} operations went wrong\n", tries.len(), self.operations.len());
        for ((operation, fault), runs) in &counts {
            writeln!(said, "  {operation:<10} {fault:<16} {runs}").expect("a text grows");
        }
        // Not `print`, which is only shown of tests that fail.
        io::stderr().write_all(said.as_bytes()).unwrap();
        let faults: BTreeSet<_> = counts.keys().map(|(_, fault)| fault).collect();
        assert_eq!(faults.len(), Fault::ALL.len(), "every fault was tried");
    }
}

/// Everything is there, and nothing has run.
fn about_to_run(configuration: &Configuration) -> Workplace {
    let workplace = Workplace::new(configuration);
    write_candles(&workplace, MINUTES);
    workplace
}

/// A live run; `wrong` is the operation that goes wrong, counted from 1. Returns its exit code and what it did.
fn live(workplace: &Workplace, wrong: Option<(usize, Fault)>) -> (Option<i32>, Vec<Operation>) {
    let log = workplace.path("operations");
    let mut command = workplace.command(&["live"]);
    command.env("LD_PRELOAD", faulty_disk()).env("FAULTY_DISK_FOLDER", DATA).env("FAULTY_DISK_LOG", &log);
    if let Some((at, fault)) = wrong {
        command.env("FAULTY_DISK_AT", at.to_string());
        fault.set(&mut command);
    }
    let finished = Workplace::spawn(command).wait();
    if wrong.is_none() {
        assert_eq!(finished.code(), Some(0), "{finished:?}");
    }
    let text = fs::read_to_string(&log).expect("it says what it does");
    let operations = text.lines().map(|line| {
        let words: [&str; 3] = line.split(' ').collect::<Vec<_>>().try_into().expect("three words a line");
        Operation { name: words[0].to_owned(), path: words[1].to_owned(), outcome: words[2].to_owned() }
    });
    (finished.code(), operations.collect())
}

/// Asserts that the store holds the position and the order that the events say are held, and no other.
fn assert_holds_what_the_events_say(workplace: &Workplace, what: &str) {
    let events = workplace.live_events();
    let documents = workplace.documents();
    for (pair, lines) in events.by_pair() {
        let (strategy, symbol) = &pair;
        let (mut position, mut order) = (None, None);
        for line in lines {
            let event: Value = serde_json::from_str(line).unwrap();
            let id = event["signal"]["id"].as_str().map(ToOwned::to_owned);
            match event["action"].as_str().unwrap() {
                "scheduled" => order = id,
                "opened" => (order, position) = (None, id),
                "cancelled" => order = None,
                "closed" => position = None,
                _ => {}
            }
        }
        for (domain, held) in [("signal", position), ("schedule", order)] {
            let stored = documents.get(&format!("{domain}/{symbol}_{strategy}/{symbol}.json"));
            let stored = stored.map(|document| serde_json::from_str::<Value>(document).unwrap());
            let stored = stored.as_ref().and_then(|document| document["id"].as_str());
            assert_eq!(stored, held.as_deref(), "{what}: {domain} of {pair:?}");
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_first_run_endures_a_fault_at_every_operation() {
    Trial::new().try_everything("a first run");
}

#[test]
fn a_restart_endures_a_fault_at_every_operation() {
    Trial::after_a_crash().try_everything("a restart");
}
