//! What trades in a run.

use std::{collections::BTreeMap, sync::Arc};

use sigbox_engine::{Interval, Settings, Trader, signal::Pair, trader::Memory};
use sigbox_market::Market;

use crate::{RunError, desk, risk::Profile};

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

impl<S> Setup<S> {
    /// The seats of a run and who they are, with what each remembers. `frame`: the name of the period.
    pub(crate) fn into_seats(
        self,
        frame: &str,
        mut memories: BTreeMap<Pair, Memory>,
    ) -> Result<(Vec<desk::Seat<S>>, Vec<Profile>), RunError> {
        for (index, Profile { name, .. }) in self.profiles.iter().enumerate() {
            if self.profiles[..index].iter().any(|other| other.name == *name) {
                return Err(RunError::Setup(format!("there are two risk profiles {name:?}; give one another name")));
            }
        }
        let settings = Arc::new(self.settings);
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
                trader: Trader::new(pair, setup.interval, Arc::clone(&settings), memory),
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
    pub(crate) fn pairs(&self, frame: &str) -> Vec<Pair> {
        let pair = |seat: &SeatSetup<S>| Pair {
            symbol: seat.symbol.clone(),
            strategy: seat.strategy_name.clone(),
            exchange: self.exchange.clone(),
            frame: frame.to_owned(),
        };
        self.seats.iter().map(pair).collect()
    }
}
