//! One simulation: markets, strategies and settings, all from one seed.

use std::{fs, io, ops::ControlFlow, sync::Arc};

use fastrand::Rng;
use sigbox::{
    events::{Event, EventWriter},
    market::{Market as Candles, candles::Series},
    trading::{
        Backtest, Frame, Journal, Live, LiveOptions, Native, Profile, SEGMENT_BYTES, SeatSetup, Setup, Sink, Stop,
        feed::ReplayFeed,
        store::{MemoryStore, OnCorrupt, Store, Stores},
    },
};
use sigbox_engine::{
    Interval, MINUTE_MS, Outcome, Settings,
    risk::{NamedRule, Rule},
    signal::Pair,
    trader::Answer,
};
use tokio::sync::watch;

use super::{
    ideas::Ideas,
    market::{Market, START_MS},
};
use crate::support::{Events, Known, LATER_MS, Period};

pub(super) struct Simulation {
    pub seed: u64,
    pub markets: Vec<Market>,
    settings: Settings,
    /// What trades: an interval, a strategy and the market it is on.
    seats: Vec<(Interval, Ideas)>,
    rules: Vec<Rule>,
    /// How many orders and positions all of them may have together.
    limit: usize,
}

impl Simulation {
    pub(super) fn new(seed: u64, days: usize) -> Self {
        let mut dice = Rng::with_seed(seed);
        let minutes = days * 24 * 60;
        let markets: Vec<Market> =
            ["BTCUSDT", "ETHUSDT", "PEPEUSDT"].iter().map(|symbol| Market::new(symbol, minutes, &mut dice)).collect();
        let seat = |number: usize| {
            let Market { symbol, tick, .. } = markets[number % markets.len()];
            let interval = Interval::SIGNAL[dice.usize(0..Interval::SIGNAL.len())];
            let ideas = Ideas { seed: dice.u64(..), symbol, tick };
            (interval.parse().expect("an interval"), ideas)
        };
        let seats = (0..7).map(seat).collect();
        let (slippage, fee) = (dice.f64() * 0.15, dice.f64() * 0.15);
        let settings = Settings {
            schedule_await_minutes: dice.u32(5..150),
            avg_price_candles_count: dice.u32(1..8),
            percent_slippage: slippage,
            percent_fee: fee,
            max_signal_lifetime_minutes: if dice.u32(0..4) == 0 {
                f64::INFINITY
            } else {
                f64::from(dice.u32(300..2000))
            },
            breakeven_threshold: dice.f64() * 0.4,
            signal_leverage_multiplier: if dice.bool() { 1.0 } else { 5.0 },
            signal_isolated_margin: dice.bool(),
            min_takeprofit_distance_percent: 0.6,
            ..Settings::default()
        };
        assert!(settings.problems().is_empty(), "{:?}", settings.problems());
        let limit = dice.usize(2..6);
        // When the doors are shut, orders are refused that are about to be filled.
        let mut rules = vec![Rule::MaxActive(limit), Rule::MinRewardRisk(0.2)];
        for hour in (0..i64::try_from(days * 24).expect("a few days")).step_by(5) {
            let from_ms = START_MS + (hour * 60 + dice.i64(0..200)) * MINUTE_MS;
            rules.push(Rule::RejectWindow(from_ms, from_ms + dice.i64(1..40) * MINUTE_MS));
        }
        Self { seed, markets, settings, seats, rules, limit }
    }

    /// The same, but the candles end earlier.
    pub(super) fn first(self, minutes: usize) -> Self {
        Self { markets: self.markets.iter().map(|market| market.first(minutes)).collect(), ..self }
    }

    /// The last boundary at which a backtest of everything asks: the candle after it ends what is held.
    pub(super) fn last_asked_ms(&self) -> i64 {
        self.markets[0].end_ms() - 2 * MINUTE_MS
    }

    fn first_asked_ms(&self) -> i64 {
        START_MS + i64::from(self.settings.avg_price_candles_count) * MINUTE_MS
    }

    /// A backtest, asking every so often from the first boundary on that has its average price.
    pub(super) fn backtest(&self, interval: Interval) -> Events {
        let frame = Frame { interval, ..Frame::default() };
        let mut written = Vec::new();
        let mut events = EventWriter::new(&mut written);
        let run = Backtest::new(self.setup(Candles::new(self.series())).over(frame)).expect("the candles cover it");
        run.run(&mut events, |_| ControlFlow::Continue(())).expect("no candle is missing");
        events.finish().expect("memory takes everything");
        Events::parse(&String::from_utf8(written).expect("events are text"))
    }

    /// A live run over the same candles as they close.
    pub(super) fn live(&self) -> Events {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let path = dir.path().join("events.jsonl");
        let journal = Journal::open(&path, SEGMENT_BYTES, LATER_MS, |_: &Event| {}).expect("the file is new");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
        runtime.block_on(self.trade(journal));
        Events::parse(&fs::read_to_string(&path).expect("the run wrote events"))
    }

    async fn trade<L: FnMut(&Event)>(&self, mut journal: Journal<L>) {
        let market = Candles::growing(self.markets.iter().map(|market| market.symbol.to_owned()));
        let feed = ReplayFeed::new(self.series().collect(), 0.0, None, self.settings.clone());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let options =
            LiveOptions { on_corrupt: OnCorrupt::Halt, lookback_minutes: 10_080, ..LiveOptions::at(LATER_MS) };
        let stores = Stores::all_in(&store);
        let live = Live::start(self.setup(market), stores, feed, options, &mut journal).await.expect("it starts");
        let (_sender, stop) = watch::channel(Stop::No);
        live.run(&mut Unsynced(journal), stop).await.expect("the feed does not fail");
    }

    fn series(&self) -> impl Iterator<Item = (String, Series)> {
        let made = |market: &Market| {
            let series = Series::new(market.candles.clone()).expect("the candles are sound");
            (market.symbol.to_owned(), series)
        };
        self.markets.iter().map(made)
    }

    fn setup(&self, market: Candles) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + use<>>> {
        let named = |rule: &Rule| NamedRule { rule: rule.clone(), id: None, note: "no".to_owned() };
        let setup = Setup::new("made-up", market, self.settings.clone());
        let setup = setup.profile(Profile::new("shared".to_owned(), self.rules.iter().map(named).collect()));
        self.seats.iter().enumerate().fold(setup, |setup, (number, (interval, ideas))| {
            let ideas = *ideas;
            let strategy = Native(move |now_ms, price| ideas.answer(now_ms, price));
            let seat = SeatSetup::new(setup.assign(format!("ideas-{number}"), ideas.symbol), *interval, strategy);
            setup.seat(SeatSetup { risk: vec!["shared".to_owned()], ..seat })
        })
    }

    /// What an auditor of a live run is told.
    pub(super) fn known(&self) -> Known {
        let settings = &self.settings;
        Known {
            max_active: Some(self.limit),
            average_of: settings.avg_price_candles_count as usize,
            await_minutes: settings.schedule_await_minutes.into(),
            slippage_percent: settings.percent_slippage,
            fee_percent: settings.percent_fee,
            breakeven_percent: settings.breakeven_threshold,
            min_take_profit_percent: settings.min_takeprofit_distance_percent,
            max_lifetime_minutes: settings.max_signal_lifetime_minutes,
            ..Known::new(self.markets.iter().map(|market| (market.symbol.to_owned(), market.candles.clone())).collect())
        }
    }

    /// What an auditor of a backtest is told.
    pub(super) fn known_of_backtest(&self, interval: Interval) -> Known {
        let (first_ms, step_ms) = (self.first_asked_ms(), interval.ms());
        let last_ms = self.last_asked_ms() - (self.last_asked_ms() - first_ms) % step_ms;
        Known { frame: Some(Period { first_ms, last_ms, step_minutes: interval.minutes().into() }), ..self.known() }
    }
}

/// A journal that does not wait for the disk: nobody pulls the plug here.
struct Unsynced<L>(Journal<L>);

impl<L: FnMut(&Event)> Sink for Unsynced<L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.0.tell(pair, outcome)
    }

    fn reached(&mut self, now_ms: i64) {
        self.0.reached(now_ms);
    }
}
