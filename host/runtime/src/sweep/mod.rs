//! Sweeps: every strategy with every combination of its settings, on every symbol, in every period.
//!
//! ```text
//! [walk] ─► cases ─┬─ in the results file already ──────────────┬─► rows, in the order of the cases
//!                  └─ run, on all cores ─► a line of that file ─┘      └─► best_first, candidates
//! ```
//!
//! 1. A run is alone: one strategy on one symbol, a fresh instance, risk profiles of its own. Its result depends only
//!    on what its key digests, so neither the order of runs nor the number of jobs changes a result.
//! 2. A run whose key is in the results file is not run again. A result under another key is never used.
//! 3. A plugin is compiled once, and candles are in memory once.

mod cases;
mod key;
mod ranking;
mod results;

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    ops::ControlFlow,
    path::Path,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use sigbox_engine::{Outcome, signal::Pair, stats::Summary};
use sigbox_market::Market;
use sigbox_sandbox::{Deterministic, PluginError, Sandbox, StrategyPlugin};
use sigbox_trading::{Backtest, RunError, Sink};

use self::{
    cases::{Planned, plan},
    key::Keys,
    results::ResultsFile,
};
use crate::{
    assemble::{self, AssembleError, Resolve},
    config::{Config, Strategy},
};

pub use self::{
    cases::Case,
    ranking::{Candidate, best_first, candidates},
    results::{Measured, ResultsError},
};

/// A sweep, ready to run: cases planned, plugins compiled, candles in memory.
pub struct Sweep<'c> {
    config: &'c Config,
    market: Market,
    plugins: BTreeMap<&'c Path, StrategyPlugin<Deterministic>>,
    runs: Vec<Planned<'c>>,
}

/// One run of a sweep, and its outcome.
#[derive(Debug)]
pub struct Row {
    /// Which run it is.
    pub case: Case,
    /// Its numbers, or why it has none.
    pub outcome: Result<Measured, Failure>,
}

/// Why a run failed. The other runs are not affected. The next sweep tries it again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The strategy could not be started.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The period does not fit the candles, or a candle is missing.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The progress of a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Runs that are done, failed ones included.
    pub done: usize,
    /// Runs in all.
    pub total: usize,
    /// Of those done, the ones that an earlier sweep ran.
    pub kept: usize,
    /// Of those done, the ones that failed.
    pub failed: usize,
    /// The best value of the metric so far.
    pub best: Option<f64>,
}

/// The longest time between two calls of `progress`: short enough for an interrupt to seem to act at once.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl<'c> Sweep<'c> {
    /// Plans the sweep that `config` describes over the candles of `market`.
    ///
    /// # Errors
    /// When a plugin cannot be built or loaded.
    pub fn new(
        config: &'c Config,
        sandbox: &Sandbox<Deterministic>,
        market: Market,
        resolve: &mut Resolve<'_>,
    ) -> Result<Self, AssembleError> {
        let plugins = assemble::strategy_plugins(config, sandbox, resolve)?;
        let keys = Keys::new(config, sandbox.limits(), &market);
        let runs = plan(config, |strategy, case, frame| {
            keys.of(plugins[strategy.plugin.as_path()].sha256(), strategy, case, frame)
        });
        Ok(Self { config, market, plugins, runs })
    }

    /// The candles of every run.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// SHA-256 of the component of `strategy`, in hexadecimal; `None` if no strategy of the configuration has this
    /// plugin.
    #[must_use]
    pub fn component_sha256(&self, strategy: &Strategy) -> Option<&str> {
        self.plugins.get(strategy.plugin.as_path()).map(StrategyPlugin::sha256)
    }

    /// Runs every case that the file at `results` does not have yet, `jobs` at a time, and appends each successful run
    /// to the file. `progress` is called when a run ends, and about ten times a second. When it breaks, the runs in
    /// progress are given up. Must not be called inside an async runtime.
    ///
    /// A run that is done is in the file before `progress` is told of it, so a killed process loses only the runs in
    /// progress. The file is synced about once a second. A power failure may lose more runs, which are then run again.
    ///
    /// The rows are in the order of the cases; `None`: `progress` broke before all were done.
    ///
    /// # Errors
    /// When the results file cannot be read or written, is no results file, or is in use.
    pub fn run(
        &self,
        results: &Path,
        jobs: NonZeroUsize,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Row>>, ResultsError> {
        let wanted = self.runs.iter().enumerate().map(|(index, run)| (run.key.as_str(), index)).collect();
        let (mut file, kept) = ResultsFile::open(results, &wanted)?;
        let mut outcomes: Vec<Option<Result<Measured, Failure>>> = Vec::new();
        outcomes.resize_with(self.runs.len(), || None);
        let mut so_far = Progress { done: 0, total: self.runs.len(), kept: 0, failed: 0, best: None };
        for (index, measured) in kept {
            outcomes[index] = Some(Ok(measured));
        }
        for outcome in outcomes.iter().flatten() {
            so_far.kept += 1;
            self.count(&mut so_far, outcome);
        }
        let todo: Vec<usize> = (0..self.runs.len()).filter(|index| outcomes[*index].is_none()).collect();

        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            let (sender, finished) = mpsc::channel();
            for _ in 0..jobs.get().min(todo.len()) {
                let (sender, todo, next, stop) = (sender.clone(), &todo, &next, &stop);
                scope.spawn(move || {
                    while let Some(index) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some(outcome) = self.measure(&self.runs[*index], stop) else { return };
                        // Sending fails only after the results could not be written. Then this outcome is not needed.
                        let _ = sender.send((*index, outcome));
                    }
                });
            }
            drop(sender);
            loop {
                if progress(so_far).is_break() {
                    stop.store(true, Ordering::Relaxed);
                }
                let (index, outcome) = match finished.recv_timeout(TELL_EVERY) {
                    Ok(finished) => finished,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return file.sync(),
                };
                let run = &self.runs[index];
                if let Ok(measured) = &outcome
                    && let Err(error) = file.append(&run.key, &run.case, measured)
                {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                self.count(&mut so_far, &outcome);
                outcomes[index] = Some(outcome);
            }
        })?;
        let rows = self.runs.iter().zip(outcomes);
        Ok(rows.map(|(run, outcome)| Some(Row { case: run.case.clone(), outcome: outcome? })).collect())
    }

    /// One run, from a fresh instance to its numbers; `None` when it was stopped.
    fn measure(&self, run: &Planned<'c>, stop: &AtomicBool) -> Option<Result<Measured, Failure>> {
        let mut totals = Totals::default();
        match self.backtest(run, &mut totals, stop) {
            Ok(()) if stop.load(Ordering::Relaxed) => None,
            Ok(()) => Some(Ok(Measured::of(&totals.0))),
            Err(failure) => Some(Err(failure)),
        }
    }

    fn backtest(&self, run: &Planned<'c>, totals: &mut Totals, stop: &AtomicBool) -> Result<(), Failure> {
        let Planned { strategy, frame, case, .. } = run;
        let strategy = Strategy { settings: case.settings.clone(), ..(*strategy).clone() };
        let plugin = &self.plugins[run.strategy.plugin.as_path()];
        let setup = assemble::empty_setup(self.config, self.market.clone()).over((*frame).clone());
        let instance = plugin.start(setup.assign(&strategy.name, &case.symbol), &strategy.settings)?;
        let setup = setup.seat(assemble::seat(&strategy, instance));
        let on = |_| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        Ok(Backtest::new(setup)?.run(totals, on)?)
    }

    fn count(&self, so_far: &mut Progress, outcome: &Result<Measured, Failure>) {
        so_far.done += 1;
        match outcome {
            Ok(measured) => {
                let metric = self.config.sweep.metric;
                let value = metric.of(&measured.statistics);
                so_far.best = if metric.rank(value, so_far.best).is_lt() { value } else { so_far.best };
            }
            Err(_) => so_far.failed += 1,
        }
    }
}

/// A sink that adds up the outcomes of a run.
#[derive(Default)]
struct Totals(Summary);

impl Sink for Totals {
    fn tell(&mut self, _: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.0.add(outcome);
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}
