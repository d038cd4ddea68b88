//! Runs: the same traders over recorded candles, or over candles as they close.
//!
//! [`Backtest`] and [`Live`] differ in the parts they put together: where candles come from, whether state is kept, who
//! is told. What happens at a boundary is one piece of code (`desk.rs`), and what a candle does is the engine's.

mod aside;
mod backtest;
mod desk;
mod event;
mod journal;
mod keeper;
mod live;
mod number;
mod restore;
mod risk;
mod rows;
mod sink;
mod strategy;
mod timed;

use std::collections::BTreeMap;

use sigbox_engine::{Interval, Settings, Trader, signal::Pair, trader::Memory};

pub(crate) use self::keeper::profile_address;
pub use self::{
    aside::Aside,
    backtest::{Backtest, Frame, Progress},
    event::{Event, EventWriter},
    journal::{Journal, JournalError, Recall},
    keeper::{Domain, Stores, pair_address},
    live::{Live, LiveOptions, Stop, StoredState, stored_state},
    risk::Profile,
    sink::{Notice, Silence, Sink},
    strategy::{Native, Strategy},
    timed::{Stopwatch, Timed},
};
pub use crate::store::OnCorrupt;
use crate::{
    candles::{AnomalousCandle, iso_8601},
    feed::FeedError,
    market::Market,
    store::StoreError,
};

/// What trades in a run.
pub struct Setup<S> {
    /// `exchangeName` of rows and events.
    pub exchange: String,
    /// Fees, limits and distances.
    pub settings: Settings,
    /// The candles.
    pub market: Market,
    /// The risk profiles seats refer to.
    pub profiles: Vec<Profile>,
    /// One a strategy and symbol, in the order they are asked and admitted.
    pub seats: Vec<SeatSetup<S>>,
}

/// One strategy on one symbol.
pub struct SeatSetup<S> {
    /// `strategyName` of rows and events.
    pub strategy_name: String,
    /// The symbol.
    pub symbol: String,
    /// How often it is asked.
    pub interval: Interval,
    /// Who is asked.
    pub strategy: S,
    /// Names of the risk profiles it is subject to.
    pub risk: Vec<String>,
}

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A candle that is needed is not there.
    #[error("there is no candle of {symbol} that opens at {}; the candles end or have a gap there", iso_8601(*open_ms))]
    MissingCandle {
        /// The symbol.
        symbol: String,
        /// When it would open.
        open_ms: i64,
    },
    /// A price of a candle is absurdly far below its neighbours.
    #[error("candles of {symbol}: {candle}")]
    AnomalousCandle {
        /// The symbol.
        symbol: String,
        /// Which candle.
        candle: AnomalousCandle,
    },
    /// The period does not fit the candles.
    #[error("{0}")]
    Frame(String),
    /// The setup contradicts itself.
    #[error("{0}")]
    Setup(String),
    /// A store cannot be used.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A stored row belongs to another exchange, strategy or symbol. It is left as it is.
    #[error(
        "{document} belongs to {found}, but {expected} would use it; rename the strategy or the exchange, or choose \
         another [persistence] data-dir. Nothing was changed"
    )]
    ForeignRow {
        /// Which document.
        document: String,
        /// Whose it is.
        found: String,
        /// Who wanted it.
        expected: String,
    },
    /// A stored document cannot be understood, and the run is set to halt then.
    #[error(
        "{document} cannot be understood: {reason}; put it right, or move it away to go on as flat \
         ([persistence] on-corrupt = \"halt\")"
    )]
    CorruptState {
        /// Which document.
        document: String,
        /// Why.
        reason: String,
    },
    /// The feed cannot go on.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// Events could not be recorded.
    #[error("the event record cannot be written: {0}")]
    Record(#[from] std::io::Error),
}

impl<S> Setup<S> {
    /// The seats of a run and who they are, with what each remembers. `frame`: the name of the period.
    fn into_seats(
        self,
        frame: &str,
        mut memories: BTreeMap<Pair, Memory>,
    ) -> Result<(Vec<desk::Seat<S>>, Vec<Profile>), RunError> {
        for (index, Profile { name, .. }) in self.profiles.iter().enumerate() {
            if self.profiles[..index].iter().any(|other| other.name == *name) {
                return Err(RunError::Setup(format!("there are two risk profiles {name:?}; give one another name")));
            }
        }
        let settings = std::sync::Arc::new(self.settings);
        let mut seats: Vec<desk::Seat<S>> = Vec::new();
        for setup in self.seats {
            let pair = Pair {
                symbol: setup.symbol,
                strategy: setup.strategy_name,
                exchange: self.exchange.clone(),
                frame: frame.to_owned(),
            };
            if seats.iter().any(|seat| *seat.pair() == pair) {
                return Err(RunError::Setup(format!("{pair} is there twice; give one of the strategies another name")));
            }
            let series = self.market.series(&pair.symbol).cloned();
            let series =
                series.ok_or_else(|| RunError::Setup(format!("{pair}: there are no candles of the symbol")))?;
            let profile = |name: &String| {
                let index = self.profiles.iter().position(|profile| profile.name == *name);
                index.ok_or_else(|| RunError::Setup(format!("{pair}: there is no risk profile {name:?}")))
            };
            let profiles = setup.risk.iter().map(profile).collect::<Result<_, _>>()?;
            let memory = memories.remove(&pair).unwrap_or_default();
            seats.push(desk::Seat {
                trader: Trader::new(pair, setup.interval, std::sync::Arc::clone(&settings), memory),
                strategy: Some(setup.strategy),
                series,
                profiles,
                next_open_ms: 0,
                ask_from_ms: i64::MIN,
                unsettled: false,
            });
        }
        Ok((seats, self.profiles))
    }

    /// Everyone who trades, in the order of the seats.
    fn pairs(&self, frame: &str) -> Vec<Pair> {
        let pair = |seat: &SeatSetup<S>| Pair {
            symbol: seat.symbol.clone(),
            strategy: seat.strategy_name.clone(),
            exchange: self.exchange.clone(),
            frame: frame.to_owned(),
        };
        self.seats.iter().map(pair).collect()
    }
}
