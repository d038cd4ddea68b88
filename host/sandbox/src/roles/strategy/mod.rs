//! Strategies: plugins that are asked when to trade, and for nothing else.

mod answer;
mod context;
mod counted;
mod deterministic;
mod join;
mod market;
mod memory;
mod session;

use sigbox_engine::{Interval, trader::Answer};
use sigbox_trading::{Assignment, LiveStrategy, Question, SeatSetup, Strategy};
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, Linker, TypedFunc};

use self::{
    answer::{Said, understand},
    context::{StrategyContext, link},
    session::Settings,
};
use crate::{
    PluginError, Program, Sandbox,
    bindings::strategy::exports::sigbox::strategy::strategy as wit,
    contract,
    error::Breakdown,
    limits::{ID_BYTES, STRATEGY_HOSTCALL_BYTES},
    mode::{Deterministic, Live, Mode},
    sandbox::{TimeLimit, set_up},
    text::{message, one_line, printable, words},
};

/// A compiled strategy component, ready to make instances. Cheap to clone.
#[derive(Clone)]
pub struct StrategyPlugin<M> {
    sandbox: Sandbox<M>,
    program: Program,
    sha256: String,
    pre: InstancePre<StrategyContext>,
    exports: Exports,
}

/// Where the functions of `sigbox:strategy/strategy` are.
#[derive(Clone, Copy)]
struct Exports {
    describe: ComponentExportIndex,
    start: ComponentExportIndex,
    get_signal: ComponentExportIndex,
    /// The function that asks a row of questions, in a component that is joined with the module that asks.
    ask: Option<ComponentExportIndex>,
}

/// One strategy on one symbol. After a breakdown the next question goes to a fresh instance, so a breakdown costs the
/// strategy only its memory.
pub struct StrategyInstance<M> {
    plugin: StrategyPlugin<M>,
    assignment: Assignment,
    settings: Settings,
    interval: Interval,
    running: Option<Running>,
    retired: bool,
}

type Store = wasmtime::Store<StrategyContext>;

/// An instance that has been described and started.
struct Running {
    store: Store,
    get_signal: GetSignal,
    ask: Option<Ask>,
}

/// The functions of one instance.
struct Functions {
    describe: TypedFunc<(), (wit::Descriptor,)>,
    start: TypedFunc<(), (Result<(), wit::Failure>,)>,
    get_signal: GetSignal,
    ask: Option<Ask>,
}

/// `get-signal: func(when-ms: u64, price: f64, open: f64, high: f64, low: f64, close: f64, volume: f64)`
type GetSignal = TypedFunc<(u64, f64, f64, f64, f64, f64, f64), ()>;

/// The function of the module that asks: it takes the numbers of a row of questions.
type Ask = TypedFunc<(Vec<f64>,), ()>;

impl<M: Mode> StrategyPlugin<M> {
    /// Compiles the component of `program`, or loads its compiled code, and checks that it is a strategy.
    ///
    /// # Errors
    /// When the file cannot be read, is not a component or does not fit `sigbox:strategy`.
    pub fn load(sandbox: &Sandbox<M>, program: impl Into<Program>) -> Result<Self, PluginError> {
        let program = program.into();
        let path = program.component.as_path();
        let (component, sha256) = if M::DETERMINISTIC {
            let interface = contract::STRATEGY.full_name();
            sandbox.component_with(path, &join::variant(), |component| join::join(component, &interface))?
        } else {
            sandbox.component(path)?
        };
        let mismatch = |mismatch| PluginError::Contract { path: path.to_path_buf(), mismatch };
        let engine = sandbox.engine();
        let export = |function| contract::export(&component, engine, contract::STRATEGY, function).map_err(mismatch);
        let exports = Exports {
            describe: export("describe")?,
            start: export("start")?,
            get_signal: export("get-signal")?,
            ask: component.get_export_index(None, join::ASK).filter(|_| M::DETERMINISTIC),
        };
        let mut linker = Linker::new(engine);
        link::<M>(&mut linker).map_err(set_up)?;
        let pre = linker.instantiate_pre(&component);
        let pre = pre.map_err(|error| {
            mismatch(contract::explain_imports(&component, engine, contract::STRATEGY, &one_line(&error)))
        })?;
        let sha256 = program.sha256(sha256);
        Ok(Self { sandbox: sandbox.clone(), program, sha256, pre, exports })
    }

    fn store(&self, assignment: &Assignment, settings: &Settings) -> Result<Store, PluginError> {
        // The memory of the module that asks is not the strategy's.
        let own_bytes = if self.exports.ask.is_some() { join::MEMORY_BYTES } else { 0 };
        let limits = self.sandbox.limits().clone();
        let context =
            StrategyContext::new::<M>(assignment, settings.clone(), self.program.text.clone(), limits, own_bytes);
        self.sandbox.store(context, STRATEGY_HOSTCALL_BYTES)
    }

    fn instance(
        &self,
        started: Started,
        assignment: Assignment,
        settings: Settings,
    ) -> Result<StrategyInstance<M>, PluginError> {
        let Started { descriptor, running } = started;
        let interval = interval(&descriptor, &assignment)?;
        let plugin = self.clone();
        let running = Some(running);
        Ok(StrategyInstance { plugin, assignment, settings, interval, running, retired: false })
    }
}

impl<M> StrategyPlugin<M> {
    /// SHA-256 of the component, or of the interpreter and its text, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn functions(&self, store: &mut Store, instance: Instance) -> Result<Functions, PluginError> {
        let mismatch = |error: wasmtime::Error| PluginError::Contract {
            path: self.program.component.clone(),
            mismatch: contract::explain_export(
                self.pre.component(),
                self.pre.engine(),
                contract::STRATEGY,
                &one_line(&error),
            ),
        };
        let ask = self.exports.ask.map(|ask| instance.get_typed_func(&mut *store, ask)).transpose();
        Ok(Functions {
            describe: instance.get_typed_func(&mut *store, self.exports.describe).map_err(mismatch)?,
            start: instance.get_typed_func(&mut *store, self.exports.start).map_err(mismatch)?,
            get_signal: instance.get_typed_func(&mut *store, self.exports.get_signal).map_err(mismatch)?,
            ask: ask.map_err(mismatch)?,
        })
    }
}

/// An instance that was started, and how it described itself.
struct Started {
    descriptor: wit::Descriptor,
    running: Running,
}

impl StrategyPlugin<Deterministic> {
    /// Starts a strategy: instantiates, describes and starts it. `settings` is a JSON object.
    ///
    /// # Errors
    /// When it breaks down or refuses its settings.
    pub fn start(
        &self,
        assignment: Assignment,
        settings: &str,
    ) -> Result<StrategyInstance<Deterministic>, PluginError> {
        let settings = Settings::new(settings);
        let started = self.begin(&assignment, &settings)?;
        self.instance(started, assignment, settings)
    }

    fn begin(&self, assignment: &Assignment, settings: &Settings) -> Result<Started, PluginError> {
        let broke = |function| move |breakdown| broke(assignment, function, breakdown);
        let (sandbox, mut store) = (&self.sandbox, self.store(assignment, settings)?);
        let instance = sandbox.instantiate(&mut store, &self.pre).map_err(broke("instantiate"))?;
        let Functions { describe, start, get_signal, ask } = self.functions(&mut store, instance)?;
        let descriptor = sandbox.call(&mut store, describe, (), 0, |(descriptor,)| descriptor);
        let descriptor = descriptor.map_err(broke("describe"))?;
        let started = sandbox.call(&mut store, start, (), 0, |(started,)| started);
        started.map_err(broke("start"))?.map_err(|failure| refused(assignment, &failure))?;
        Ok(Started { descriptor, running: Running { store, get_signal, ask } })
    }
}

impl StrategyPlugin<Live> {
    /// Starts a strategy: instantiates, describes and starts it. `settings` is a JSON object.
    ///
    /// # Errors
    /// When it breaks down or refuses its settings.
    pub async fn start(&self, assignment: Assignment, settings: &str) -> Result<StrategyInstance<Live>, PluginError> {
        let settings = Settings::new(settings);
        let started = self.begin(&assignment, &settings).await?;
        self.instance(started, assignment, settings)
    }

    async fn begin(&self, assignment: &Assignment, settings: &Settings) -> Result<Started, PluginError> {
        let broke = |function| move |breakdown| broke(assignment, function, breakdown);
        let (sandbox, time, mut store) = (&self.sandbox, self.time_limit(), self.store(assignment, settings)?);
        let instance = sandbox.instantiate(&mut store, &self.pre, time).await.map_err(broke("instantiate"))?;
        let Functions { describe, start, get_signal, ask } = self.functions(&mut store, instance)?;
        let descriptor = sandbox.call(&mut store, describe, (), 0, time, |(descriptor,)| descriptor).await;
        let descriptor = descriptor.map_err(broke("describe"))?;
        let started = sandbox.call(&mut store, start, (), 0, time, |(started,)| started).await;
        started.map_err(broke("start"))?.map_err(|failure| refused(assignment, &failure))?;
        Ok(Started { descriptor, running: Running { store, get_signal, ask } })
    }

    fn time_limit(&self) -> TimeLimit {
        let limit = self.sandbox.limits().strategy_timeout;
        TimeLimit { limit, setting: "[engine] max-signal-generation-seconds" }
    }
}

impl<M> StrategyInstance<M> {
    /// How often the strategy itself wants to be asked.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// As [`StrategyPlugin::sha256`].
    #[must_use]
    pub fn sha256(&self) -> &str {
        self.plugin.sha256()
    }

    /// Its seat in the setup that assigned it. The seat is asked at the strategy's own interval and has no risk
    /// profile.
    #[must_use]
    pub fn seat(self) -> SeatSetup<Self> {
        SeatSetup::new(self.assignment.clone(), self.interval, self)
    }

    /// The answer to what was said, or to a breakdown.
    fn conclude(&mut self, said: Result<Said, PluginError>) -> Answer {
        let (answer, retired) = match said {
            Ok(said) => understand(&self.assignment.pair().strategy, said),
            Err(error) => (Answer::Failed(error.to_string()), false),
        };
        self.retired |= retired;
        answer
    }
}

impl StrategyInstance<Deterministic> {
    /// Asks the questions of `row` until something is said. Returns how many were asked, and what was said to the last of
    /// them. A breakdown belongs to the question at which it happened.
    fn ask(&mut self, row: &[Question]) -> (usize, Result<Option<Said>, PluginError>) {
        let Self { plugin, assignment, settings, running, .. } = self;
        let mut asked = match running.take() {
            Some(running) => running,
            None => match plugin.begin(assignment, settings) {
                Ok(started) => started.running,
                // The first question finds nobody to ask.
                Err(error) => return (1, Err(error)),
            },
        };
        let Running { store, get_signal, ask } = &mut asked;
        let called = match ask {
            Some(ask) => {
                let numbers: Vec<f64> = row.iter().take(join::MOST_QUESTIONS).flat_map(numbers_of).collect();
                plugin.sandbox.call(store, *ask, (numbers,), row[0].now_ms, |()| ())
            }
            None => row.iter().take(1).try_for_each(|question| {
                store.data_mut().await_answer();
                plugin.sandbox.call(store, *get_signal, params(question), question.now_ms, |()| ())
            }),
        };
        let (begun, said) = store.data_mut().end_row();
        if let Err(breakdown) = called {
            return (begun, Err(broke(assignment, "get-signal", breakdown)));
        }
        store.data_mut().end_question();
        *running = Some(asked);
        (begun, Ok(said))
    }
}

impl StrategyInstance<Live> {
    async fn ask(&mut self, question: &Question) -> Result<Option<Said>, PluginError> {
        let Self { plugin, assignment, settings, running, .. } = self;
        // The instance is taken out. If the caller stops waiting in the middle of the call, the instance in the middle
        // of its work is dropped.
        let mut asked = match running.take() {
            Some(running) => running,
            None => plugin.begin(assignment, settings).await?.running,
        };
        let Running { store, get_signal, .. } = &mut asked;
        store.data_mut().await_answer();
        let (time, now_ms) = (plugin.time_limit(), question.now_ms);
        let called = plugin.sandbox.call(store, *get_signal, params(question), now_ms, time, |()| ()).await;
        let (_, said) = store.data_mut().end_row();
        called.map_err(|breakdown| broke(assignment, "get-signal", breakdown))?;
        store.data_mut().end_question();
        *running = Some(asked);
        Ok(said)
    }
}

impl Strategy for StrategyInstance<Deterministic> {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let mut done = 0;
        while done < row.len() && !self.retired {
            let (begun, said) = self.ask(&row[done..]);
            done += begun;
            match said {
                Ok(None) => {}
                Ok(Some(said)) => return Some((done - 1, self.conclude(Ok(said)))),
                Err(error) => return Some((done - 1, self.conclude(Err(error)))),
            }
        }
        None
    }
}

impl LiveStrategy for StrategyInstance<Live> {
    async fn answer_in_time(&mut self, question: Question) -> Answer {
        if self.retired {
            return Answer::Nothing;
        }
        match self.ask(&question).await.transpose() {
            None => Answer::Nothing,
            Some(said) => self.conclude(said),
        }
    }
}

/// The arguments of `get-signal`.
fn params(question: &Question) -> (u64, f64, f64, f64, f64, f64, f64) {
    let Question { now_ms, price, candle } = question;
    (now_ms.unsigned_abs(), *price, candle.open, candle.high, candle.low, candle.close, candle.volume)
}

/// A question as numbers, in the order of the arguments.
#[inline]
fn numbers_of(question: &Question) -> [f64; join::NUMBERS] {
    let Question { now_ms, price, candle } = question;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of the next hundred thousand years are exact")]
    let when_ms = *now_ms as f64;
    [when_ms, *price, candle.open, candle.high, candle.low, candle.close, candle.volume]
}

fn broke(assignment: &Assignment, function: &'static str, breakdown: Breakdown) -> PluginError {
    PluginError::Broke { plugin: assignment.pair().strategy.clone(), function, breakdown }
}

fn refused(assignment: &Assignment, failure: &wit::Failure) -> PluginError {
    PluginError::Refused {
        plugin: assignment.pair().strategy.clone(),
        function: "start",
        code: message(&failure.code),
        message: words(&failure.message),
        retryable: false,
    }
}

/// How often a strategy wants to be asked. An error if a strategy cannot be asked that often.
fn interval(descriptor: &wit::Descriptor, assignment: &Assignment) -> Result<Interval, PluginError> {
    let interval = descriptor.interval.parse().ok().filter(|interval: &Interval| interval.is_signal_interval());
    interval.ok_or_else(|| PluginError::Refused {
        plugin: assignment.pair().strategy.clone(),
        function: "describe",
        code: "interval".to_owned(),
        message: format!(
            "wants to be asked every \"{}\"; a strategy can be asked every {}",
            printable(&descriptor.interval, ID_BYTES),
            Interval::SIGNAL.join(", ")
        ),
        retryable: false,
    })
}
