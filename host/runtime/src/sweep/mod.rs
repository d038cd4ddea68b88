//! Sweeps: every strategy with every combination of its settings, on every symbol, in every period.
//!
//! ```text
//! [walk] ─► cases ─┬─ in the results file already ──────────────┬─► rows, in the order of the cases
//!                  └─ run, on all cores ─► a line of that file ─┘      └─► best_first, candidates
//! ```
//!
//! 1. A run is alone: one strategy on one symbol, a fresh instance, risk profiles of its own. What comes of it follows
//!    from what its key digests, so neither the order of runs nor the number of jobs can be seen in a result.
//! 2. What the results file has is never run again, and what it has under another key is never used.
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

/// One run of a sweep, and what came of it.
#[derive(Debug)]
pub struct Row {
    /// Which run.
    pub case: Case,
    /// What it amounted to, or why there is nothing to measure.
    pub outcome: Result<Measured, Failure>,
}

/// Why a run came to nothing. The others are not affected; it is tried again by the next sweep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The strategy could not be started.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The period does not fit the candles, or one is missing.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Runs that are done, well or not.
    pub done: usize,
    /// Runs in all.
    pub total: usize,
    /// Of those done, the ones an earlier sweep did.
    pub kept: usize,
    /// Of those done, the ones that failed.
    pub failed: usize,
    /// The best value of the metric so far.
    pub best: Option<f64>,
}

/// How often whoever watches is told, at least: often enough for an interrupt to seem to act at once.
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

    /// SHA-256 of the component of `strategy`, one of the configuration's, in hexadecimal.
    #[must_use]
    pub fn component_sha256(&self, strategy: &Strategy) -> Option<&str> {
        self.plugins.get(strategy.plugin.as_path()).map(StrategyPlugin::sha256)
    }

    /// Runs what the file at `results` does not have yet, `jobs` at a time, and appends each run that ends well to it.
    /// `progress` is called at every end of a run, and about ten times a second; when it breaks, what is under way is
    /// given up. Must not be called inside an async runtime.
    ///
    /// A run that is done is in the file before its progress is told: killing the process loses only what was under
    /// way. The file is synced about once a second; what a machine that loses power forgets is run again.
    ///
    /// The rows are in the order of the cases; `None`: `progress` broke before all were done.
    ///
    /// # Errors
    /// When the results file cannot be read or written, is something else, or is in use.
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
                        // Nobody listens after the results could not be written.
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

/// Adds up what it is told.
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
