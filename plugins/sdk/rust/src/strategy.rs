//! The strategy world.
//!
//! ```ignore
//! use sigbox_sdk::strategy::{Descriptor, Failure, Session, Signal, Strategy, Tick};
//!
//! struct AlwaysLong;
//!
//! impl Strategy for AlwaysLong {
//!     type Settings = ();
//!     fn describe() -> Descriptor { Descriptor::new("always-long", "0.1.0", "1h") }
//!     fn new(_: &Session, (): ()) -> Result<Self, Failure> { Ok(Self) }
//!     fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure> {
//!         Ok(Some(Signal::long(tick.price * 1.02, tick.price * 0.99)))
//!     }
//! }
//! sigbox_sdk::export_strategy!(AlwaysLong);
//! ```

mod window;

use serde::{Serialize, de::DeserializeOwned};

#[expect(missing_docs, reason = "generated from the WIT, where the documentation is")]
#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/0.1",
        world: "strategy",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "sigbox_sdk::strategy::bindings",
        generate_all,
    });
}

pub use bindings::{
    exports::sigbox::strategy::strategy::{Descriptor, Failure},
    sigbox::{
        host::{
            clock, config, logging,
            market::{self, Candle, Unavailable},
            memory, source,
            trades::{self, Trade},
        },
        strategy::answer::{Position, Signal},
    },
};
pub use window::Candles;

/// Who is trading what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The symbol that is traded.
    pub symbol: String,
    /// The name of the strategy in the configuration.
    pub strategy: String,
    /// The name of the exchange.
    pub exchange: String,
    /// The name of the period that is being replayed; `None`: there is no period, or it has no name.
    pub frame: Option<String>,
}

/// A promise to have nothing to say for a while; see `answer.quiet` in the WIT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quiet {
    /// When the promise ends, milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// It ends earlier when a closed candle has a price or a low below this one.
    pub below: f64,
    /// It ends earlier when a closed candle has a price or a high above this one.
    pub above: f64,
}

/// A strategy on one symbol. One value lives for a whole run, unless it traps.
pub trait Strategy: Sized + 'static {
    /// What the operator can set; parsed from the strategy's settings. Derive `Deserialize` with
    /// `#[serde(deny_unknown_fields)]`, so that a misspelt setting is refused by name.
    type Settings: DeserializeOwned;

    /// Name, version and the interval to be asked at.
    fn describe() -> Descriptor;

    /// Called once, before the first question.
    ///
    /// # Errors
    /// When these settings cannot be traded with; keeps the run from starting.
    fn new(session: &Session, settings: Self::Settings) -> Result<Self, Failure>;

    /// Whether to trade now. Called once per due interval while the symbol is flat. What must not be forgotten has to
    /// follow from the candles: after a trap or a restart a fresh value answers.
    ///
    /// # Errors
    /// When there is no answer; the strategy is asked again at the next due time if the failure is retryable.
    fn get_signal(&mut self, tick: &mut Tick<'_>) -> Result<Option<Signal>, Failure>;

    /// After a question without a trade: how long the strategy has nothing to say. `None`: it is to be asked at every
    /// due time. A strategy that promises is asked far less often, and one whose promise was wrong misses a trade:
    /// `sigbox backtest --check-promises` names such promises.
    fn quiet(&self) -> Option<Quiet> {
        None
    }
}

/// One question.
pub struct Tick<'a> {
    /// The minute boundary being decided, milliseconds since the Unix epoch.
    pub when_ms: u64,
    /// Average price of the last closed candles.
    pub price: f64,
    /// The symbol's own one-minute candles up to `when_ms`.
    pub candles: &'a mut Candles,
}

impl Tick<'_> {
    /// At most the last `count` trades of this strategy on this symbol, oldest first. The host keeps the last 32, also
    /// across a restart.
    #[must_use]
    pub fn trades(&self, count: u32) -> Vec<Trade> {
        trades::last(count)
    }

    /// What was kept under `name`; `None`: nothing. It outlives this value: a fresh one after a trap or a restart finds
    /// what the last question left.
    ///
    /// # Errors
    /// When it is not a `T`: an earlier version of the strategy kept something else.
    pub fn remembered<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |value: Vec<u8>| serde_json::from_slice(&value);
        memory::get(name)
            .map(parse)
            .transpose()
            .map_err(|error| Failure::retry("memory", format!("what is kept under {name:?} cannot be read: {error}")))
    }

    /// Keeps `value` under `name`, as JSON.
    ///
    /// # Errors
    /// When it cannot be written as JSON, or does not fit: all names and values together may have 16 KiB.
    pub fn remember<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Failure> {
        let value = serde_json::to_vec(value).map_err(|error| Failure::retry("memory", error.to_string()))?;
        memory::set(name, &value).map_err(|refused| Failure::retry(&refused.code, refused.message))
    }

    /// Removes what is kept under `name`.
    pub fn forget(&self, name: &str) {
        memory::remove(name);
    }
}

impl Descriptor {
    /// A descriptor without settings schema or features.
    #[must_use]
    pub fn new(name: &str, version: &str, interval: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            interval: interval.to_owned(),
            settings_schema: None,
            features: Vec::new(),
            extra: None,
        }
    }
}

impl Signal {
    /// Buy now; closed at the higher `take_profit` or the lower `stop_loss`.
    #[must_use]
    pub fn long(take_profit: f64, stop_loss: f64) -> Self {
        Self::at_market(Position::Long, take_profit, stop_loss)
    }

    /// Sell now; closed at the lower `take_profit` or the higher `stop_loss`.
    #[must_use]
    pub fn short(take_profit: f64, stop_loss: f64) -> Self {
        Self::at_market(Position::Short, take_profit, stop_loss)
    }

    /// Enter only when a candle touches `price`.
    #[must_use]
    pub fn limit(self, price: f64) -> Self {
        Self { price_open: Some(price), ..self }
    }

    /// Close as expired after so many whole minutes.
    #[must_use]
    pub fn minutes(self, minutes: u32) -> Self {
        Self { minute_estimated_time: Some(f64::from(minutes)), ..self }
    }

    fn at_market(position: Position, price_take_profit: f64, price_stop_loss: f64) -> Self {
        Self {
            id: None,
            symbol: None,
            position,
            price_open: None,
            price_take_profit,
            price_stop_loss,
            minute_estimated_time: None,
            cost: None,
            multiplier: None,
            isolated: None,
            note: None,
            extra: None,
        }
    }
}

impl Failure {
    /// No answer this time; ask again.
    #[must_use]
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: true, extra: None }
    }

    /// No answer, now or ever: the settings are wrong, or something is missing that will not come.
    #[must_use]
    pub fn give_up(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, extra: None }
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self::retry(&unavailable.code, unavailable.message)
    }
}

/// Exports a type that implements [`Strategy`] as the component's strategy.
#[macro_export]
macro_rules! export_strategy {
    ($strategy:ty) => {
        const _: () = {
            use $crate::strategy::{Descriptor, Failure, bindings, instance};

            std::thread_local! {
                static INSTANCE: instance::Slot<$strategy> = const { instance::Slot::empty() };
            }

            struct Component;

            impl bindings::exports::sigbox::strategy::strategy::Guest for Component {
                fn describe() -> Descriptor {
                    <$strategy as $crate::strategy::Strategy>::describe()
                }
                fn start() -> Result<(), Failure> {
                    INSTANCE.with(instance::Slot::start)
                }
                fn get_signal(when_ms: u64, price: f64, open: f64, high: f64, low: f64, close: f64, volume: f64) {
                    let newest = instance::newest(when_ms, [open, high, low, close, volume]);
                    INSTANCE.with(|slot| slot.get_signal(when_ms, price, newest));
                }
            }

    $crate::strategy::bindings::export_world!(Component with_types_in $crate::strategy::bindings);
        };
    };
}

#[doc(hidden)]
pub mod instance {
    //! The one strategy of a component's instance. Used by the export macro only.
    use std::cell::RefCell;

    use super::{
        Candle, Candles, Failure, Session, Strategy, Tick,
        bindings::sigbox::{host::session, strategy::answer},
        window::MINUTE_MS,
    };

    pub struct Slot<S>(RefCell<Option<(S, Candles)>>);

    impl<S: Strategy> Slot<S> {
        #[must_use]
        pub const fn empty() -> Self {
            Self(RefCell::new(None))
        }

        pub fn start(&self) -> Result<(), Failure> {
            let session = Session {
                symbol: session::symbol(),
                strategy: session::strategy(),
                exchange: session::exchange(),
                frame: session::frame(),
            };
            let settings = parse::<S>(&session::settings());
            let settings = settings.map_err(|error| Failure::give_up("settings", error.to_string()))?;
            let strategy = S::new(&session, settings)?;
            *self.0.borrow_mut() = Some((strategy, Candles::new(session.symbol)));
            Ok(())
        }

        #[inline]
        pub fn get_signal(&self, when_ms: u64, price: f64, newest: Candle) {
            let mut slot = self.0.borrow_mut();
            let Some((strategy, candles)) = slot.as_mut() else {
                return answer::fail("order", "get-signal was called before start", false);
            };
            candles.move_to(when_ms, newest);
            match strategy.get_signal(&mut Tick { when_ms, price, candles }) {
                Ok(None) => {
                    if let Some(quiet) = strategy.quiet() {
                        answer::quiet(quiet.until_ms, quiet.below, quiet.above);
                    }
                }
                Ok(Some(signal)) => answer::trade(&signal),
                Err(Failure { code, message, retryable, .. }) => answer::fail(&code, &message, retryable),
            }
        }
    }

    /// The one-minute candle that closed at `when_ms`.
    #[must_use]
    #[inline]
    pub const fn newest(when_ms: u64, [open, high, low, close, volume]: [f64; 5]) -> Candle {
        Candle { open_time_ms: when_ms.saturating_sub(MINUTE_MS), open, high, low, close, volume }
    }

    /// `{}` also stands for "no settings at all", so that `type Settings = ()` works.
    fn parse<S: Strategy>(settings: &str) -> Result<S::Settings, serde_json::Error> {
        serde_json::from_str(settings).or_else(|error| {
            if settings.trim() == "{}" { serde_json::from_str("null").map_err(|_| error) } else { Err(error) }
        })
    }
}
