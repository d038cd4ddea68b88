//! A backtest of a configuration.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sigbox_engine::{MINUTE_MS, stats::Tally};
use sigbox_events::{Behind, Component, EventWriter, Kind, Source};
use sigbox_market::Market;
use sigbox_sandbox::{Deterministic, Sandbox, StrategyInstance};
use sigbox_trading::{Aside, Backtest, CheckedPromises, Progress, Setup, Stopwatch, Strategy};

use super::{JobError, record};
use crate::{
    assemble::{self, Resolve},
    config::Config,
};

/// A backtest of a configuration, ready to run.
pub struct BacktestJob<'c> {
    config: &'c Config,
    market: Market,
    setup: Setup<StrategyInstance<Deterministic>>,
    components: Vec<Component>,
    sources: Vec<Source>,
    threads: NonZeroUsize,
}

/// What else a backtest finds out. Each costs time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// How long answers take: a clock is read twice for each answer.
    pub timed: bool,
    /// Which promises of silence are wrong: strategies are asked in spite of them. The events stay the same.
    pub promises: bool,
}

/// The result of a backtest, besides its events.
pub struct BacktestDone {
    /// The totals, by part.
    pub tally: Tally,
    /// The first and the last boundary at which strategies could be asked, milliseconds.
    pub period_ms: (i64, i64),
    /// Duration of the run itself, without reading candles and building and compiling plugins.
    pub took: Duration,
    /// How long answers took, by strategy; empty if the run was not timed.
    pub answers: BTreeMap<String, Stopwatch>,
    /// What is known of the promises of the strategies; `None` if they were not checked.
    pub promises: Option<CheckedPromises>,
}

impl BacktestDone {
    /// Boundaries in the period, one a minute.
    #[must_use]
    pub const fn minutes(&self) -> i64 {
        (self.period_ms.1 - self.period_ms.0) / MINUTE_MS + 1
    }
}

impl<'c> BacktestJob<'c> {
    /// Reads the candles and starts the strategies of `config`.
    ///
    /// # Errors
    /// When candles that the backtest needs are missing, or the parts of the run cannot be made.
    pub fn new(
        config: &'c Config,
        sandbox: &Sandbox<Deterministic>,
        resolve: &mut Resolve<'_>,
    ) -> Result<Self, JobError> {
        config.check_backtest()?;
        let candles = assemble::candles(config)?;
        let sources = record::sources(config, &candles);
        let market = Market::new(candles);
        let setup = assemble::backtest_setup(config, sandbox, market.clone(), resolve)?;
        let components = record::components(config, &setup);
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self { config, market, setup, components, sources, threads })
    }

    /// The same backtest on so many threads; without this, on every core that the process may use. The result is the
    /// same.
    #[must_use]
    pub fn threads(self, threads: NonZeroUsize) -> Self {
        Self { threads, ..self }
    }

    /// The candles of the run.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// Runs to the end, or until `progress` breaks. `events`: the file for every event; a record of the run is written
    /// beside it. A wrong promise is not an error here: the caller looks at [`BacktestDone::promises`].
    ///
    /// # Errors
    /// When the period does not fit the candles, the events cannot be written, or the run stops before its end.
    pub fn run(
        self,
        events: Option<&Path>,
        extras: Extras,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BacktestDone, JobError> {
        let Self { config, market: _, setup, components, sources, threads } = self;
        let begin = |period_ms, events: &Path| {
            let run = record::describe(config, Kind::Backtest, Some(period_ms), components, sources, events);
            run.keep(events)
        };
        if extras.timed {
            let (setup, answers) = setup.timed();
            let done = check_and_execute(setup, extras.promises, threads, events, begin, progress)?;
            Ok(BacktestDone { answers, ..done })
        } else {
            check_and_execute(setup, extras.promises, threads, events, begin, progress)
        }
    }
}

/// Runs `setup` on `threads` threads, and checks the promises of its strategies if `promises` says so.
fn check_and_execute<S: Strategy>(
    setup: Setup<S>,
    promises: bool,
    threads: NonZeroUsize,
    events: Option<&Path>,
    begin: impl FnOnce((i64, i64), &Path) -> io::Result<()>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<BacktestDone, JobError> {
    if promises {
        let (setup, promises) = setup.checked();
        let backtest = Backtest::new(setup)?.threads(threads);
        promises.end_at(backtest.period_ms().1);
        let done = execute(backtest, events, begin, progress)?;
        Ok(BacktestDone { promises: Some(promises.found()), ..done })
    } else {
        execute(Backtest::new(setup)?.threads(threads), events, begin, progress)
    }
}

/// Runs `backtest`. `begin` is called with the period and the event file, once the file has been made.
fn execute<S: Strategy>(
    backtest: Backtest<S>,
    events: Option<&Path>,
    begin: impl FnOnce((i64, i64), &Path) -> io::Result<()>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<BacktestDone, JobError> {
    let period_ms = backtest.period_ms();
    let unwritable = |source| JobError::Events { file: events.map(Path::to_path_buf).unwrap_or_default(), source };
    let open = |file: &Path| {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let writer = EventWriter::new(Behind::new(File::create(file)?)?);
        begin(period_ms, file)?;
        Aside::new(writer)
    };
    let mut sink = (Tally::default(), events.map(open).transpose().map_err(unwritable)?);

    let started = Instant::now();
    let outcome = backtest.run(&mut sink, progress);
    let (tally, writer) = sink;
    if let Some(writer) = writer {
        writer.finish().and_then(EventWriter::finish).and_then(Behind::finish).map_err(unwritable)?;
    }
    let took = started.elapsed();
    outcome.map_err(|source| JobError::Stopped { events: events.map(Path::to_path_buf), source })?;
    Ok(BacktestDone { tally, period_ms, took, answers: BTreeMap::new(), promises: None })
}
