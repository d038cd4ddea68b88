//! The setup of a run: its market, its settings, its risk profiles and its seats.

use std::{collections::BTreeMap, sync::Arc};

use sigbox_engine::{Interval, Settings, Trader, signal::Pair, trader::Memory};
use sigbox_market::Market;

use crate::{Frame, RunError, StrategyMemory, Trades, desk, risk::Profile, row::RowLength};

/// What trades in a run: a market, the settings of the engine, and a seat for each strategy and symbol.
///
/// ```
/// use sigbox_engine::{Interval, Settings, trader::Answer};
/// use sigbox_market::Market;
/// use sigbox_trading::{Native, SeatSetup, Setup};
///
/// let setup = Setup::new("binance", Market::default(), Settings::default());
/// let strategy = Native(|_now_ms: i64, _price: f64| Answer::Nothing);
/// let seat = SeatSetup::new(setup.assign("patient", "BTCUSDT"), Interval::MINUTE, strategy);
/// let setup = setup.seat(seat);
/// # let _ = setup;
/// ```
pub struct Setup<S> {
    exchange: String,
    frame: Frame,
    settings: Settings,
    market: Market,
    profiles: Vec<Profile>,
    seats: Vec<SeatSetup<S>>,
    watched: Vec<Watched>,
}

/// A trader without a strategy. What it holds is watched to its end.
struct Watched {
    pair: Pair,
    /// Names of the risk profiles that have a slot of it.
    risk: Vec<String>,
}

/// What a strategy is told about its seat: its pair, the candles, the window of the average price, its last trades and
/// what it has remembered. Only [`Setup::assign`] makes one, so the strategy and the run use the same values.
#[derive(Clone, Debug)]
pub struct Assignment {
    pair: Pair,
    market: Market,
    average_of: usize,
    trades: Trades,
    memory: StrategyMemory,
}

impl Assignment {
    fn new(pair: Pair, market: Market, average_of: usize) -> Self {
        Self { pair, market, average_of, trades: Trades::default(), memory: StrategyMemory::default() }
    }

    /// Strategy, symbol, exchange and the name of the period being tested.
    #[must_use]
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The candles of the run.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// Candles in the average price.
    #[must_use]
    pub const fn average_of(&self) -> usize {
        self.average_of
    }

    /// The last trades of the pair.
    #[must_use]
    pub const fn trades(&self) -> &Trades {
        &self.trades
    }

    /// What the strategy has asked the host to remember.
    #[must_use]
    pub const fn memory(&self) -> &StrategyMemory {
        &self.memory
    }
}

/// One strategy on one symbol.
pub struct SeatSetup<S> {
    /// Which strategy on which symbol.
    pub assignment: Assignment,
    /// How often it is asked.
    pub interval: Interval,
    /// The strategy that is asked.
    pub strategy: S,
    /// Names of the risk profiles it is subject to.
    pub risk: Vec<String>,
}

impl<S> SeatSetup<S> {
    /// A seat under no risk profile.
    #[must_use]
    pub const fn new(assignment: Assignment, interval: Interval, strategy: S) -> Self {
        Self { assignment, interval, strategy, risk: Vec::new() }
    }
}

impl<S> Setup<S> {
    /// A setup without seats. `settings` are the fees, limits and distances. `exchange` is the `exchangeName` of rows
    /// and events.
    #[must_use]
    pub fn new(exchange: impl Into<String>, market: Market, settings: Settings) -> Self {
        let exchange = exchange.into();
        Self {
            exchange,
            frame: Frame::default(),
            settings,
            market,
            profiles: Vec::new(),
            seats: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// The same setup over the period `frame`, which only a backtest has. Call it before [`Setup::assign`]: an
    /// assignment has the name of the period, and the run refuses an assignment with another name.
    #[must_use]
    pub fn over(self, frame: Frame) -> Self {
        Self { frame, ..self }
    }

    /// The same setup with one more risk profile, which seats may name.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profiles.push(profile);
        self
    }

    /// The assignment of `strategy` to `symbol` in this run. The names are `strategyName` and `symbol` of rows and
    /// events.
    #[must_use]
    pub fn assign(&self, strategy: impl Into<String>, symbol: impl Into<String>) -> Assignment {
        let pair = self.pair(strategy.into(), symbol.into());
        Assignment::new(pair, self.market.clone(), self.settings.avg_price_candles_count as usize)
    }

    /// The same setup with one more seat. Seats are asked and admitted in the order in which they are added.
    #[must_use]
    pub fn seat(mut self, seat: SeatSetup<S>) -> Self {
        self.seats.push(seat);
        self
    }

    /// The seats, in their order.
    #[must_use]
    pub fn seats(&self) -> &[SeatSetup<S>] {
        &self.seats
    }

    /// The candles.
    pub(crate) const fn market(&self) -> &Market {
        &self.market
    }

    /// Fees, limits and distances.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The exchange that the run trades on.
    pub(crate) fn exchange(&self) -> &str {
        &self.exchange
    }

    /// The risk profiles.
    pub(crate) fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Adds a seat without a strategy for a trader that holds something.
    pub(crate) fn watch(&mut self, pair: Pair, risk: Vec<String>) {
        self.watched.push(Watched { pair, risk });
    }

    /// Takes out the seat of a trader that must not trade.
    pub(crate) fn leave_out(&mut self, pair: &Pair) {
        self.seats.retain(|seat| seat.assignment.pair != *pair);
        self.watched.retain(|watched| watched.pair != *pair);
    }

    /// The period.
    pub(crate) const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The same setup with each strategy replaced by what `change` makes of its seat: the assignment, the interval and the
    /// strategy.
    pub(crate) fn map<T>(self, mut change: impl FnMut(&Assignment, Interval, S) -> T) -> Setup<T> {
        let Self { exchange, frame, settings, market, profiles, seats, watched } = self;
        let seats = seats.into_iter().map(|SeatSetup { assignment, interval, strategy, risk }| {
            let strategy = change(&assignment, interval, strategy);
            SeatSetup { assignment, interval, strategy, risk }
        });
        let seats = seats.collect();
        Setup { exchange, frame, settings, market, profiles, seats, watched }
    }

    fn pair(&self, strategy: String, symbol: String) -> Pair {
        Pair { symbol, strategy, exchange: self.exchange.clone(), frame: self.frame.name.clone() }
    }

    /// The seats of a run, each with its memory from `memories`, and the risk profiles.
    pub(crate) fn into_seats(
        self,
        mut memories: BTreeMap<Pair, Memory>,
    ) -> Result<(Vec<desk::Seat<S>>, Vec<Profile>), RunError> {
        for (index, Profile { name, .. }) in self.profiles.iter().enumerate() {
            if self.profiles[..index].iter().any(|other| other.name == *name) {
                return Err(RunError::Setup(format!("there are two risk profiles {name:?}; give one another name")));
            }
        }
        let average_of = self.settings.avg_price_candles_count as usize;
        let mut traders: Vec<(Assignment, Interval, Option<S>, Vec<String>)> = Vec::new();
        for SeatSetup { assignment, interval, strategy, risk } in self.seats {
            let pair = &assignment.pair;
            let is_ours = pair.exchange == self.exchange
                && pair.frame == self.frame.name
                && assignment.average_of == average_of
                && assignment.market.is(&self.market);
            if !is_ours {
                return Err(RunError::Setup(format!("{pair} was assigned in another setup; assign it in this one")));
            }
            if traders.iter().any(|(other, ..)| other.pair == *pair) {
                return Err(RunError::Setup(format!("{pair} is there twice; give one of the strategies another name")));
            }
            traders.push((assignment, interval, Some(strategy), risk));
        }
        let market = &self.market;
        traders.extend(self.watched.into_iter().map(|Watched { pair, risk }| {
            (Assignment::new(pair, market.clone(), average_of), Interval::MINUTE, None, risk)
        }));

        let settings = Arc::new(self.settings);
        let mut seats = Vec::new();
        for (Assignment { pair, trades, memory: remembered, .. }, interval, strategy, risk) in traders {
            let series = self.market.series(&pair.symbol).cloned();
            let series =
                series.ok_or_else(|| RunError::Setup(format!("{pair}: there are no candles of the symbol")))?;
            let profile = |name: &String| {
                let index = self.profiles.iter().position(|profile| profile.name == *name);
                index.ok_or_else(|| RunError::Setup(format!("{pair}: there is no risk profile {name:?}")))
            };
            let profiles = risk.iter().map(profile).collect::<Result<_, _>>()?;
            let memory = memories.remove(&pair).unwrap_or_default();
            seats.push(desk::Seat {
                trader: Trader::new(pair, interval, Arc::clone(&settings), memory),
                strategy,
                series,
                profiles,
                next_open_ms: 0,
                ask_from_ms: i64::MIN,
                ahead: None,
                row_length: RowLength::new(),
                promise: None,
                trades,
                memory: remembered,
                unsettled: false,
                is_restored_order: false,
                owed: Vec::new(),
            });
        }
        Ok((seats, self.profiles))
    }

    /// The pairs of the seats, in the order of the seats.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.seats.iter().map(|seat| seat.assignment.pair.clone()).collect()
    }
}
