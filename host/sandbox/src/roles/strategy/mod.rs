//! Strategies: plugins that are asked when to trade, and for nothing else.

mod answer;
mod context;
mod counted;
mod deterministic;
mod market;

use std::path::{Path, PathBuf};

use sigbox_engine::{Interval, trader::Answer};
use sigbox_trading::{Assignment, LiveStrategy, SeatSetup, Strategy};
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, Linker, TypedFunc};

use self::{
    answer::{Returned, understand},
    context::{StrategyContext, link},
};
use crate::{
    PluginError, Sandbox,
    bindings::strategy::exports::sigbox::strategy::guest,
    contract,
    error::Breakdown,
    limits::{ID_BYTES, STRATEGY_HOSTCALL_BYTES},
    mode::{Deterministic, Live, Mode},
    sandbox::{TimeLimit, set_up},
    text::{message, one_line, printable},
};

/// A compiled strategy component, ready to make instances. Cheap to clone.
#[derive(Clone)]
pub struct StrategyPlugin<M> {
    sandbox: Sandbox<M>,
    path: PathBuf,
    sha256: String,
    pre: InstancePre<StrategyContext>,
    exports: Exports,
}

/// Where the functions of `sigbox:strategy/guest` are.
#[derive(Clone, Copy)]
struct Exports {
    describe: ComponentExportIndex,
    init: ComponentExportIndex,
    get_signal: ComponentExportIndex,
}

/// One strategy on one symbol. After a breakdown the next question goes to a fresh instance, so a breakdown costs the
/// strategy only its memory.
pub struct StrategyInstance<M> {
    plugin: StrategyPlugin<M>,
    assignment: Assignment,
    /// A JSON object.
    settings: String,
    interval: Interval,
    running: Option<Running>,
    retired: bool,
}

type Store = wasmtime::Store<StrategyContext>;

/// An instance that has been described and initialised.
struct Running {
    store: Store,
    get_signal: GetSignal,
}

/// The functions of one instance.
struct Functions {
    describe: TypedFunc<(), (guest::Descriptor,)>,
    init: TypedFunc<(guest::Session, String), (Result<(), guest::Failure>,)>,
    get_signal: GetSignal,
}

/// `get-signal: func(when-ms: u64, price: f64) -> result<option<signal>, failure>`
type GetSignal = TypedFunc<(u64, f64), (Result<Option<guest::Signal>, guest::Failure>,)>;

impl<M: Mode> StrategyPlugin<M> {
    /// Compiles the component at `path`, or loads its compiled code, and checks that it is a strategy.
    ///
    /// # Errors
    /// When the file cannot be read, is not a component or does not fit `sigbox:strategy`.
    pub fn load(sandbox: &Sandbox<M>, path: &Path) -> Result<Self, PluginError> {
        let (component, sha256) = sandbox.component(path)?;
        let mismatch = |mismatch| PluginError::Contract { path: path.to_path_buf(), mismatch };
        let engine = sandbox.engine();
        let export = |function| contract::export(&component, engine, contract::STRATEGY, function).map_err(mismatch);
        let exports =
            Exports { describe: export("describe")?, init: export("init")?, get_signal: export("get-signal")? };
        let mut linker = Linker::new(engine);
        link::<M>(&mut linker).map_err(set_up)?;
        let pre = linker.instantiate_pre(&component);
        let pre = pre.map_err(|error| {
            mismatch(contract::explain_imports(&component, engine, contract::STRATEGY, &one_line(&error)))
        })?;
        Ok(Self { sandbox: sandbox.clone(), path: path.to_path_buf(), sha256, pre, exports })
    }

    fn store(&self, assignment: &Assignment) -> Result<Store, PluginError> {
        let context = StrategyContext::new::<M>(assignment, self.sandbox.limits().clone());
        self.sandbox.store(context, STRATEGY_HOSTCALL_BYTES)
    }

    fn instance(
        &self,
        started: Started,
        assignment: Assignment,
        settings: &str,
    ) -> Result<StrategyInstance<M>, PluginError> {
        let Started { descriptor, running } = started;
        let interval = interval(&descriptor, &assignment)?;
        let (plugin, settings) = (self.clone(), settings.to_owned());
        Ok(StrategyInstance { plugin, assignment, settings, interval, running: Some(running), retired: false })
    }
}

impl<M> StrategyPlugin<M> {
    /// SHA-256 of the component, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn functions(&self, store: &mut Store, instance: Instance) -> Result<Functions, PluginError> {
        let mismatch = |error: wasmtime::Error| PluginError::Contract {
            path: self.path.clone(),
            mismatch: contract::explain_export(contract::STRATEGY, &one_line(&error)),
        };
        Ok(Functions {
            describe: instance.get_typed_func(&mut *store, self.exports.describe).map_err(mismatch)?,
            init: instance.get_typed_func(&mut *store, self.exports.init).map_err(mismatch)?,
            get_signal: instance.get_typed_func(&mut *store, self.exports.get_signal).map_err(mismatch)?,
        })
    }
}

/// An instance that was started, and how it described itself.
struct Started {
    descriptor: guest::Descriptor,
    running: Running,
}

impl StrategyPlugin<Deterministic> {
    /// Starts a strategy: instantiates, describes and initialises it. `settings` is a JSON object.
    ///
    /// # Errors
    /// When it breaks down or refuses its settings.
    pub fn start(
        &self,
        assignment: Assignment,
        settings: &str,
    ) -> Result<StrategyInstance<Deterministic>, PluginError> {
        let started = self.begin(&assignment, settings)?;
        self.instance(started, assignment, settings)
    }

    fn begin(&self, assignment: &Assignment, settings: &str) -> Result<Started, PluginError> {
        let broke = |function| move |breakdown| broke(assignment, function, breakdown);
        let (sandbox, mut store) = (&self.sandbox, self.store(assignment)?);
        let instance = sandbox.instantiate(&mut store, &self.pre).map_err(broke("instantiate"))?;
        let Functions { describe, init, get_signal } = self.functions(&mut store, instance)?;
        let descriptor = sandbox.call(&mut store, describe, (), 0, |(descriptor,)| descriptor);
        let descriptor = descriptor.map_err(broke("describe"))?;
        let session = (session(assignment), settings.to_owned());
        let initialised = sandbox.call(&mut store, init, session, 0, |(initialised,)| initialised);
        initialised.map_err(broke("init"))?.map_err(|failure| refused(assignment, &failure))?;
        Ok(Started { descriptor, running: Running { store, get_signal } })
    }
}

impl StrategyPlugin<Live> {
    /// Starts a strategy: instantiates, describes and initialises it. `settings` is a JSON object.
    ///
    /// # Errors
    /// When it breaks down or refuses its settings.
    pub async fn start(&self, assignment: Assignment, settings: &str) -> Result<StrategyInstance<Live>, PluginError> {
        let started = self.begin(&assignment, settings).await?;
        self.instance(started, assignment, settings)
    }

    async fn begin(&self, assignment: &Assignment, settings: &str) -> Result<Started, PluginError> {
        let broke = |function| move |breakdown| broke(assignment, function, breakdown);
        let (sandbox, time, mut store) = (&self.sandbox, self.time_limit(), self.store(assignment)?);
        let instance = sandbox.instantiate(&mut store, &self.pre, time).await.map_err(broke("instantiate"))?;
        let Functions { describe, init, get_signal } = self.functions(&mut store, instance)?;
        let descriptor = sandbox.call(&mut store, describe, (), 0, time, |(descriptor,)| descriptor).await;
        let descriptor = descriptor.map_err(broke("describe"))?;
        let session = (session(assignment), settings.to_owned());
        let initialised = sandbox.call(&mut store, init, session, 0, time, |(initialised,)| initialised).await;
        initialised.map_err(broke("init"))?.map_err(|failure| refused(assignment, &failure))?;
        Ok(Started { descriptor, running: Running { store, get_signal } })
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

    /// SHA-256 of its component, in hexadecimal.
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

    fn conclude(&mut self, asked: Result<Returned, PluginError>) -> Answer {
        let (answer, retired) = understand(&self.assignment.pair().strategy, asked);
        self.retired |= retired;
        answer
    }
}

impl StrategyInstance<Deterministic> {
    fn ask(&mut self, now_ms: i64, price: f64) -> Result<Returned, PluginError> {
        let Self { plugin, assignment, settings, running, .. } = self;
        let mut asked = match running.take() {
            Some(running) => running,
            None => plugin.begin(assignment, settings)?.running,
        };
        let Running { store, get_signal } = &mut asked;
        let answer = plugin.sandbox.call(store, *get_signal, (now_ms.unsigned_abs(), price), now_ms, boxed);
        let answer = answer.map_err(|breakdown| broke(assignment, "get-signal", breakdown))?;
        *running = Some(asked);
        Ok(answer)
    }
}

impl StrategyInstance<Live> {
    async fn ask(&mut self, now_ms: i64, price: f64) -> Result<Returned, PluginError> {
        let Self { plugin, assignment, settings, running, .. } = self;
        // The instance is taken out. If the caller stops waiting in the middle of the call, the instance in the middle
        // of its work is dropped.
        let mut asked = match running.take() {
            Some(running) => running,
            None => plugin.begin(assignment, settings).await?.running,
        };
        let Running { store, get_signal } = &mut asked;
        let (params, time) = ((now_ms.unsigned_abs(), price), plugin.time_limit());
        let answer = plugin.sandbox.call(store, *get_signal, params, now_ms, time, boxed).await;
        let answer = answer.map_err(|breakdown| broke(assignment, "get-signal", breakdown))?;
        *running = Some(asked);
        Ok(answer)
    }
}

impl Strategy for StrategyInstance<Deterministic> {
    fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        if self.retired {
            return Answer::Nothing;
        }
        let asked = self.ask(now_ms, price);
        self.conclude(asked)
    }
}

impl LiveStrategy for StrategyInstance<Live> {
    async fn answer_in_time(&mut self, now_ms: i64, price: f64) -> Answer {
        if self.retired {
            return Answer::Nothing;
        }
        let asked = self.ask(now_ms, price).await;
        self.conclude(asked)
    }
}

fn boxed((answer,): (Result<Option<guest::Signal>, guest::Failure>,)) -> Returned {
    answer.map(|signal| signal.map(Box::new))
}

fn session(assignment: &Assignment) -> guest::Session {
    let pair = assignment.pair();
    guest::Session {
        symbol: pair.symbol.clone(),
        strategy: pair.strategy.clone(),
        exchange: pair.exchange.clone(),
        frame: Some(pair.frame.clone()).filter(|frame| !frame.is_empty()),
    }
}

fn broke(assignment: &Assignment, function: &'static str, breakdown: Breakdown) -> PluginError {
    PluginError::Broke { plugin: assignment.pair().strategy.clone(), function, breakdown }
}

fn refused(assignment: &Assignment, failure: &guest::Failure) -> PluginError {
    PluginError::Refused {
        plugin: assignment.pair().strategy.clone(),
        function: "init",
        code: message(&failure.code),
        message: message(&failure.message),
        retryable: false,
    }
}

/// How often a strategy wants to be asked. An error if a strategy cannot be asked that often.
fn interval(descriptor: &guest::Descriptor, assignment: &Assignment) -> Result<Interval, PluginError> {
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
