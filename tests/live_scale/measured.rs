//! What a minute of a thousand pairs takes, in time and memory. How to run it, and what came out, is in
//! bench/README.md.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _, stderr},
    path::{Path, PathBuf},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use sigbox::{
    events::Event,
    market::{Market, candles::Series},
    trading::{
        Journal, Live, LiveOptions, Sink, Stop,
        feed::ReplayFeed,
        store::{FileStore, OnCorrupt, Store, Stores},
    },
};
use sigbox_engine::{MINUTE_MS, Outcome, signal::Pair, trader::Answer};
use tokio::{runtime::Builder, sync::watch};

use super::{Run, long, metronomes, symbols};
use crate::{
    servers::{Redis, RedisSetup},
    support::{Configuration, LATER_MS, Workplace, journal, plugin},
};

/// Boundaries of a run, one a second.
const MINUTES: usize = 100;

#[test]
#[ignore = "a measurement: see bench/README.md"]
fn a_thousand_pairs_a_minute_a_second() {
    say(
        "| pairs | changing | store | p50 ms | p99 ms | most ms | changes | peak MiB |\n|---|---|---|---|---|---|---|---|\n",
    );
    let few = Measured::of(100, 1, 0, None);
    let all = Measured::of(100, 10, 0, None);
    for period in [20, 2] {
        Measured::of(100, 10, period, None);
    }
    if let Some(redis) = Redis::start(RedisSetup::default()) {
        for period in [0, 20, 2] {
            Measured::of(100, 10, period, Some(&redis));
            redis.ask(&["FLUSHALL"]);
        }
    }
    let pair = (all.peak_kib - few.peak_kib) / 900;
    say(&format!("\nmemory of one more pair: {pair} KiB\n"));
}

/// What a run of the command told.
struct Measured {
    peak_kib: u64,
}

impl Measured {
    /// A run where each pair changes twice in `period` minutes, or never. With Redis all state is kept there.
    fn of(symbols: usize, strategies: usize, period: usize, redis: Option<&Redis>) -> Self {
        let workplace = Workplace::empty();
        let configuration = metronomes(&workplace, symbols, strategies, MINUTES + 6, period);
        workplace.configure(&in_redis(configuration.speed(60.0), redis));
        let mut running = workplace.start(&["live", "--report", "json"]);
        let status = PathBuf::from(format!("/proc/{}/status", running.id()));
        let mut peak_kib = 0;
        let finished = loop {
            // Of a process that has ended there is nothing left to read.
            peak_kib = most_resident_kib(&status).unwrap_or(peak_kib).max(peak_kib);
            match running.wait_for(Duration::from_millis(200)) {
                Ok(finished) => break finished,
                Err(still) => running = still,
            }
        };
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        let report: Value = serde_json::from_str(&workplace.read("dump/data/report.json")).expect("it is JSON");
        let boundaries = &report["timings"][0];
        assert_eq!(boundaries["of"], "a boundary until its last decision");
        let [p50, p99, most] = ["medianMs", "p99Ms", "maxMs"].map(|name| boundaries[name].as_f64().expect("a number"));
        let events = workplace.live_events();
        let changes = events.of("opened").len() + events.of("closed").len();
        let share = match period {
            0 => "none".to_owned(),
            period => format!("{} %", 200 / period),
        };
        let store = if redis.is_some() { "Redis" } else { "files" };
        let (pairs, peak) = (symbols * strategies, peak_kib / 1024);
        say(&format!("| {pairs} | {share} | {store} | {p50:.1} | {p99:.1} | {most:.1} | {changes} | {peak} |\n"));
        Self { peak_kib }
    }
}

fn in_redis(configuration: Configuration, redis: Option<&Redis>) -> Configuration {
    let Some(redis) = redis else { return configuration };
    let (component, port) = (plugin("persistence/redis"), redis.port());
    configuration.section(&format!(
        "[persistence]\nsignal = \"redis\"\nschedule = \"redis\"\nrisk = \"redis\"\npartial = \"redis\"\n[stores.redis]\n\
         plugin = '{}'\nsettings = {{ url = \"redis://localhost:{port}/0\" }}\nnetwork = [\"localhost:{port}\"]",
        component.display()
    ))
}

fn most_resident_kib(status: &Path) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Threads that write, of the loop as of the command.
const THREADS: usize = 64;

#[test]
#[ignore = "a measurement: see bench/README.md"]
fn the_writes_of_a_minute_and_a_bare_loop_of_as_many() {
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(THREADS).build();
    runtime.expect("a runtime starts").block_on(compare_writes());
}

async fn compare_writes() {
    // A thousand pairs that all change at every boundary, and after each one the bare loop, in the same process.
    let run = Run { symbols: wide(100, 66), strategies: 10, limit: 5000, answer: every_other_minute };
    let workplace = Workplace::empty();
    let journal = journal(&workplace.path("events.jsonl"), |_: &Event| {}).await;
    let market = Market::growing(run.symbols.iter().map(|(symbol, _)| symbol.clone()));
    let setup = run.setup(&market);
    let feed = ReplayFeed::new(run.series().collect(), 0.0, None, setup.settings().clone());
    let store: Arc<dyn Store> = Arc::new(FileStore::open(workplace.path("data")).expect("it is new"));
    let options = LiveOptions { on_corrupt: OnCorrupt::Halt, lookback_minutes: 10_080, ..LiveOptions::at(LATER_MS) };
    let mut sink = InTurn { journal, bare: Bare::new(&workplace.path("bare"), 1000), changes: 0, took: Vec::new() };
    let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut sink.journal).await.expect("it starts");
    let (_sender, stop) = watch::channel(Stop::No);
    live.run(&mut sink, stop).await.expect("the feed does not fail");

    let InTurn { took, .. } = sink;
    // The first minutes make every folder.
    let took = &took[4..];
    let median = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = median(took.iter().map(|(rate, _)| *rate).collect());
    let bare = median(took.iter().map(|(_, rate)| *rate).collect());
    let ratio = median(took.iter().map(|(ours, bare)| ours / bare).collect());
    say(&format!(
        "durable writes a second, medians of {} minutes: {ours:.0} in a live run, {bare:.0} in a bare loop; median of the \
         ratios {ratio:.2}\n",
        took.len()
    ));
}

/// Candles that close a long position at once.
fn wide(count: usize, minutes: usize) -> Vec<(String, Vec<sigbox_engine::Candle>)> {
    let mut symbols = symbols(count, minutes, 0.05);
    for candle in symbols.iter_mut().flat_map(|(_, candles)| candles) {
        candle.low *= 0.97;
    }
    symbols
}

fn every_other_minute(number: usize, _: &Series, now_ms: i64, price: f64) -> Answer {
    let minute = usize::try_from(now_ms / MINUTE_MS).expect("times are after the epoch");
    if (minute + number).is_multiple_of(2) { long(price, 0.01, None, 5.0) } else { Answer::Nothing }
}

/// Writes, after each boundary, as many documents as it has changed.
struct InTurn<L> {
    journal: Journal<L>,
    bare: Bare,
    changes: usize,
    /// Writes a second: ours, and the loop's.
    took: Vec<(f64, f64)>,
}

impl<L: FnMut(&Event)> Sink for InTurn<L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.changes += usize::from(matches!(outcome, Outcome::Opened { .. } | Outcome::Closed { .. }));
        self.journal.tell(pair, outcome)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.journal.sync()
    }

    fn reached(&mut self, now_ms: i64) {
        self.journal.reached(now_ms);
    }

    fn decided(&mut self, _: i64, took: Duration) {
        // One document a change; the slots of the profile and the record of events come on top.
        let changes = std::mem::take(&mut self.changes);
        if changes > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a thousand")]
            let rate = |took: Duration| changes as f64 / took.as_secs_f64();
            self.took.push((rate(took), rate(self.bare.write(changes))));
        }
    }
}

/// Temp file, fsync, rename, fsync of the folder, and nothing else.
struct Bare {
    folders: Vec<PathBuf>,
    rounds: usize,
}

impl Bare {
    fn new(root: &Path, folders: usize) -> Self {
        let folders: Vec<PathBuf> = (0..folders).map(|number| root.join(format!("folder-{number}"))).collect();
        for folder in &folders {
            fs::create_dir_all(folder).expect("a folder can be made");
        }
        Self { folders, rounds: 0 }
    }

    fn write(&mut self, count: usize) -> Duration {
        self.rounds += 1;
        let temp = format!(".tmp-{}", self.rounds);
        let document = [b'x'; 600];
        let write = |folder: &Path| -> io::Result<()> {
            let (temp, target) = (folder.join(&temp), folder.join("document.json"));
            let mut file = OpenOptions::new().write(true).create_new(true).open(&temp)?;
            file.write_all(&document)?;
            file.sync_all()?;
            fs::rename(&temp, &target)?;
            File::open(folder)?.sync_all()
        };
        let (next, ready) = (AtomicUsize::new(0), Barrier::new(THREADS + 1));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    ready.wait();
                    while let Some(folder) = self.folders[..count].get(next.fetch_add(1, Ordering::Relaxed)) {
                        write(folder).expect("a disk takes it");
                    }
                });
            }
            ready.wait();
            Instant::now()
        })
        .elapsed()
    }
}

/// Not `println`, which a test that passes keeps to itself.
fn say(text: &str) {
    stderr().write_all(text.as_bytes()).expect("somebody listens");
}
