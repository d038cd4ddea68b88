//! Strategies as components.

use std::path::{Path, PathBuf};

use sigbox_engine::{Interval, Proposal, Side, trader::Answer};
use sigbox_market::Market;
use sigbox_trading::Strategy;
use wasmtime::component::{ComponentExportIndex, InstancePre, TypedFunc};

use crate::{
    PluginError, Sandbox,
    bindings::strategy::exports::sigbox::strategy::guest,
    call::{TimeLimit, call, instantiate},
    contract,
    error::Breakdown,
    host::{Grant, Host},
    limits::{ID_BYTES, NOTE_BYTES, STRATEGY_HOSTCALL_BYTES},
    sandbox::Mode,
    text::{message, one_line, printable},
};

/// A compiled strategy component, ready to make instances. Cheap to clone.
#[derive(Clone)]
pub struct StrategyPlugin {
    sandbox: Sandbox,
    path: PathBuf,
    sha256: String,
    pre: InstancePre<Host>,
    exports: Exports,
}

/// Where the functions of `sigbox:strategy/guest` are.
#[derive(Clone, Copy)]
struct Exports {
    describe: ComponentExportIndex,
    init: ComponentExportIndex,
    get_signal: ComponentExportIndex,
}

/// Who an instance trades for, and with what.
#[derive(Clone, Debug)]
pub struct Session {
    /// The strategy's name in the configuration.
    pub strategy: String,
    /// The symbol.
    pub symbol: String,
    /// The exchange's name.
    pub exchange: String,
    /// The name of the period being tested, if there is one.
    pub frame: Option<String>,
    /// The strategy's settings, a JSON object.
    pub settings: String,
    /// The candles it can see.
    pub market: Market,
    /// Candles in the average price.
    pub average_of: usize,
}

impl StrategyPlugin {
    /// Compiles the component at `path`, or finds its compiled code, and checks that it is a strategy.
    ///
    /// # Errors
    /// When the file cannot be read, is not a component or does not fit `sigbox:strategy`.
    pub fn load(sandbox: &Sandbox, path: &Path) -> Result<Self, PluginError> {
        let (component, sha256) = sandbox.component(path)?;
        let export = |function| {
            contract::export(&component, &sandbox.engine, contract::STRATEGY, function)
                .map_err(|mismatch| PluginError::Contract { path: path.to_path_buf(), mismatch })
        };
        let exports =
            Exports { describe: export("describe")?, init: export("init")?, get_signal: export("get-signal")? };
        let pre = sandbox.linker.instantiate_pre(&component).map_err(|error| PluginError::Contract {
            path: path.to_path_buf(),
            mismatch: contract::explain_imports(&component, &sandbox.engine, &one_line(&error)),
        })?;
        Ok(Self { sandbox: sandbox.clone(), path: path.to_path_buf(), sha256, pre, exports })
    }

    /// SHA-256 of the component, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Starts a strategy on one symbol: instantiates, describes and initialises it.
    ///
    /// # Errors
    /// When it breaks down or refuses its settings.
    pub async fn start(&self, session: Session) -> Result<StrategyInstance, PluginError> {
        let (descriptor, running) = self.instantiate(&session).await?;
        let interval = descriptor.interval.parse().ok().filter(|interval: &Interval| interval.is_signal_interval());
        let Some(interval) = interval else {
            return Err(PluginError::Refused {
                plugin: session.strategy.clone(),
                function: "describe",
                code: "interval".to_owned(),
                message: format!(
                    "wants to be asked every \"{}\"; a strategy can be asked every {}",
                    printable(&descriptor.interval, ID_BYTES),
                    Interval::SIGNAL.join(", ")
                ),
                retryable: false,
            });
        };
        Ok(StrategyInstance { plugin: self.clone(), session, interval, running: Some(running), retired: false })
    }

    async fn instantiate(&self, session: &Session) -> Result<(guest::Descriptor, Running), PluginError> {
        let Session { strategy, symbol, exchange, frame, settings, market, average_of } = session.clone();
        let grant = Grant {
            plugin: strategy.clone(),
            instance: symbol.clone(),
            market,
            symbol: symbol.clone(),
            average_of,
            ..Grant::default()
        };
        let deterministic = self.sandbox.mode == Mode::Deterministic;
        let host = Host::new(grant, self.sandbox.limits.clone(), deterministic)?;
        let mut store = self.sandbox.store(host, STRATEGY_HOSTCALL_BYTES)?;

        let broke = |function, breakdown| PluginError::Broke { plugin: strategy.clone(), function, breakdown };
        let time = self.time_limit();
        let instance = instantiate(&self.sandbox, &mut store, &self.pre, time).await;
        let instance = instance.map_err(|breakdown| broke("instantiate", breakdown))?;
        let mismatch = |error: wasmtime::Error| PluginError::Contract {
            path: self.path.clone(),
            mismatch: contract::explain_export(contract::STRATEGY, &one_line(&error)),
        };
        let describe: TypedFunc<(), (guest::Descriptor,)> =
            instance.get_typed_func(&mut store, self.exports.describe).map_err(mismatch)?;
        let init: TypedFunc<(guest::Session, String), (Result<(), guest::Failure>,)> =
            instance.get_typed_func(&mut store, self.exports.init).map_err(mismatch)?;
        let get_signal = instance.get_typed_func(&mut store, self.exports.get_signal).map_err(mismatch)?;

        let descriptor = call(&self.sandbox, &mut store, describe, (), 0, time, |(descriptor,)| descriptor)
            .await
            .map_err(|breakdown| broke("describe", breakdown))?;
        let guest_session = guest::Session { symbol, strategy: strategy.clone(), exchange, frame };
        let settings = (guest_session, settings);
        let initialised = call(&self.sandbox, &mut store, init, settings, 0, time, |(initialised,)| initialised)
            .await
            .map_err(|breakdown| broke("init", breakdown))?;
        initialised.map_err(|failure| PluginError::Refused {
            plugin: strategy.clone(),
            function: "init",
            code: message(&failure.code),
            message: message(&failure.message),
            retryable: false,
        })?;
        Ok((descriptor, Running { store, get_signal }))
    }

    fn time_limit(&self) -> TimeLimit {
        let limit = self.sandbox.limits.strategy_timeout;
        TimeLimit { limit, setting: "[engine] max-signal-generation-seconds" }
    }
}

/// One strategy on one symbol. A breakdown costs it its memory, not its life: the next question goes to a fresh
/// instance.
pub struct StrategyInstance {
    plugin: StrategyPlugin,
    session: Session,
    interval: Interval,
    running: Option<Running>,
    retired: bool,
}

/// `get-signal: func(when-ms: u64, price: f64) -> result<option<signal>, failure>`
type GetSignal = TypedFunc<(u64, f64), (Result<Option<guest::Signal>, guest::Failure>,)>;

struct Running {
    store: wasmtime::Store<Host>,
    get_signal: GetSignal,
}

impl StrategyInstance {
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

    async fn ask(
        &mut self,
        now_ms: i64,
        price: f64,
    ) -> Result<Result<Option<Box<guest::Signal>>, guest::Failure>, PluginError> {
        let Self { plugin, session, running, .. } = self;
        // Taken out, so that a caller who gives up in the middle leaves no instance in the middle of its work.
        let mut asked = match running.take() {
            Some(running) => running,
            None => Box::pin(plugin.instantiate(session)).await?.1,
        };
        let time = plugin.time_limit();
        let broke = |breakdown: Breakdown| PluginError::Broke {
            plugin: session.strategy.clone(),
            function: "get-signal",
            breakdown,
        };
        let params = (now_ms.unsigned_abs(), price);
        let Running { store, get_signal } = &mut asked;
        let small = |(answer,): (Result<Option<_>, _>,)| answer.map(|signal| signal.map(Box::new));
        let answer = call(&plugin.sandbox, store, *get_signal, params, now_ms, time, small).await.map_err(broke)?;
        *running = Some(asked);
        Ok(answer)
    }
}

impl Strategy for StrategyInstance {
    /// Whatever the guest does, there is an answer.
    async fn answer(&mut self, now_ms: i64, price: f64) -> Answer {
        if self.retired {
            return Answer::Nothing;
        }
        match self.ask(now_ms, price).await {
            Ok(Ok(None)) => Answer::Nothing,
            Ok(Ok(Some(signal))) => match excess(&signal) {
                None => Answer::Trade(proposal(*signal)),
                Some(excess) => Answer::Failed(format!("plugin {}: get-signal: {excess}", self.session.strategy)),
            },
            Ok(Err(failure)) => {
                self.retired = !failure.retryable;
                let retired = if self.retired { "; it asked to be retired for the rest of the run" } else { "" };
                let (code, message) = (message(&failure.code), message(&failure.message));
                Answer::Failed(format!("get-signal failed: {code}: {message}{retired}"))
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

/// What is wrong with the texts of a signal, if anything is; its numbers are judged by the engine.
fn excess(signal: &guest::Signal) -> Option<String> {
    let bounded =
        [("id", &signal.id, ID_BYTES), ("symbol", &signal.symbol, ID_BYTES), ("note", &signal.note, NOTE_BYTES)];
    for (field, text, most) in bounded {
        if let Some(bytes) = text.as_ref().map(String::len).filter(|bytes| *bytes > most) {
            return Some(format!("answered with {bytes} bytes of {field}; at most {most} are accepted"));
        }
    }
    // A note is kept verbatim; the other two name things, in lines of logs and on terminals too.
    for (field, text) in [("id", &signal.id), ("symbol", &signal.symbol)] {
        if let Some(text) = text.as_ref().filter(|text| printable(text, ID_BYTES) != **text) {
            return Some(format!("answered with control characters in {field} \"{}\"", printable(text, ID_BYTES)));
        }
    }
    None
}

/// The guest's signal in the engine's words. `extra` has no fields the engine knows yet.
fn proposal(signal: guest::Signal) -> Proposal {
    let guest::Signal {
        id,
        symbol,
        position,
        price_open,
        price_take_profit,
        price_stop_loss,
        minute_estimated_time,
        cost,
        multiplier,
        isolated,
        note,
        extra: _,
    } = signal;
    Proposal {
        id,
        symbol,
        side: match position {
            guest::Position::Long => Side::Long,
            guest::Position::Short => Side::Short,
        },
        price_open,
        price_take_profit,
        price_stop_loss,
        minute_estimated_time,
        cost,
        multiplier,
        isolated,
        note,
    }
}
