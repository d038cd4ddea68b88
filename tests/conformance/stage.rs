//! Runs in a few words: the prices, what strategies answer and when, and what came of it.
//!
//! ```text
//! scene("100 | 101 98 100 | 100 * 20").trades("1: long tp=102 sl=99; 5..: short tp=98 sl=101 life=5")
//! minute 0 | high low close | again        at minute 1                from minute 5 on, whenever it is asked
//! ```
//!
//! Nobody trades in these candles and the average price is that of one of them, so the price at a minute is the close
//! of the one before. Words of an answer: `long` or `short`, `open=` a limit, `tp=`, `sl=`, `life=` minutes and `id=`.
//! A story is what began, ended or was refused, each with its minute: `1 opened 100`, `3 stop_loss 99`.

mod told;
mod words;
mod world;

use std::ops::ControlFlow;

use sigbox::{
    events::EventWriter,
    market::{Market, candles::Series},
    trading::{Backtest, Frame, Native, Profile, RunError, SeatSetup, Setup, Stop},
};
use sigbox_engine::{
    Candle, MINUTE_MS, Settings,
    risk::{NamedRule, Rule},
    signal::Pair,
    trader::Answer,
};

pub(super) use self::{
    told::Told,
    words::{answer, candles, row},
    world::World,
};
use self::{
    told::{Entry, Log},
    words::Script,
};
use crate::support::{Events, recipe};

pub(super) const EXCHANGE: &str = "ex";
pub(super) const BTC: &str = "BTCUSDT";
pub(super) const ETH: &str = "ETHUSDT";

/// When minute `minute` opens, milliseconds.
pub(super) fn at(minute: i64) -> i64 {
    recipe(0, 0).start_ms + minute * MINUTE_MS
}

fn minute_of(at_ms: i64) -> i64 {
    (at_ms - at(0)) / MINUTE_MS
}

/// Strategy `name` on `symbol` in live trading.
pub(super) fn pair(name: &str, symbol: &str) -> Pair {
    Pair { symbol: symbol.into(), strategy: name.into(), exchange: EXCHANGE.into(), frame: String::new() }
}

/// What trades, and on which prices.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) settings: Settings,
    pub(super) frame: Frame,
    markets: Vec<(&'static str, Vec<Candle>)>,
    traders: Vec<Trader>,
    profiles: Vec<Profile>,
    /// The boundary at which a live run is told to stop, and how.
    stop: Option<(i64, Stop)>,
    /// The first boundary of a live run; the candles before it closed while it was away.
    back_ms: Option<i64>,
}

/// One strategy on one symbol.
#[derive(Clone)]
struct Trader {
    name: &'static str,
    symbol: &'static str,
    script: Script,
    interval: &'static str,
    risk: Vec<String>,
}

/// A scene with these prices of `BTCUSDT`.
pub(super) fn scene(prices: &str) -> Scene {
    Scene {
        settings: Settings { avg_price_candles_count: 1, ..Settings::default() },
        frame: Frame::default(),
        markets: vec![(BTC, candles(prices))],
        traders: Vec::new(),
        profiles: Vec::new(),
        stop: None,
        back_ms: None,
    }
}

impl Scene {
    /// Prices of one more symbol.
    pub(super) fn market(mut self, symbol: &'static str, prices: &str) -> Self {
        self.markets.push((symbol, candles(prices)));
        self
    }

    /// Strategy `a` on `BTCUSDT`.
    pub(super) fn trades(self, script: &str) -> Self {
        self.trader("a", BTC, script)
    }

    pub(super) fn trader(mut self, name: &'static str, symbol: &'static str, script: &str) -> Self {
        let script = Script::parse(script);
        self.traders.push(Trader { name, symbol, script, interval: "1m", risk: Vec::new() });
        self
    }

    /// How often everyone who was named so far is asked.
    pub(super) fn every(mut self, interval: &'static str) -> Self {
        self.traders.iter_mut().for_each(|trader| trader.interval = interval);
        self
    }

    /// A risk profile for everyone who was named so far. What it refuses, it refuses with its name.
    pub(super) fn risk(mut self, profile: &str, rule: Rule) -> Self {
        let rules = vec![NamedRule { rule, id: None, note: profile.to_owned() }];
        self.profiles.push(Profile::new(profile.to_owned(), rules));
        self.traders.iter_mut().for_each(|trader| trader.risk.push(profile.to_owned()));
        self
    }

    pub(super) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    pub(super) fn frame(mut self, change: impl FnOnce(&mut Frame)) -> Self {
        change(&mut self.frame);
        self
    }

    /// The same, with the candles of only so many minutes.
    pub(super) fn only(mut self, minutes: usize) -> Self {
        self.markets.iter_mut().for_each(|(_, candles)| candles.truncate(minutes));
        self
    }

    /// At this boundary a live run is told to stop.
    pub(super) fn stopped(mut self, minute: i64, how: Stop) -> Self {
        self.stop = Some((at(minute), how));
        self
    }

    /// A live run begins at this boundary.
    pub(super) fn back_at(mut self, minute: i64) -> Self {
        self.back_ms = Some(at(minute));
        self
    }

    pub(super) fn pairs(&self) -> Vec<Pair> {
        self.traders.iter().map(|trader| pair(trader.name, trader.symbol)).collect()
    }

    fn series(&self) -> Vec<(String, Series)> {
        let series = |candles: &Vec<Candle>| Series::new(candles.clone()).expect("the prices make candles");
        self.markets.iter().map(|(symbol, candles)| ((*symbol).to_owned(), series(candles))).collect()
    }

    fn setup(
        &self,
        market: Market,
        frame: Frame,
        log: &Log,
    ) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + use<>>> {
        let setup = Setup::new(EXCHANGE, market, self.settings.clone()).over(frame);
        let setup = self.profiles.iter().cloned().fold(setup, Setup::profile);
        self.traders.iter().fold(setup, |setup, trader| {
            let Trader { name, symbol, script, interval, risk } = trader.clone();
            let log = log.clone();
            let strategy = Native(move |now_ms, _| {
                let minute = minute_of(now_ms);
                log.add(Entry::Asked { name, symbol, minute });
                script.answer(minute)
            });
            let seat = SeatSetup::new(setup.assign(name, symbol), interval.parse().expect("an interval"), strategy);
            setup.seat(SeatSetup { risk, ..seat })
        })
    }

    /// A backtest: what was asked and what came of it.
    pub(super) fn backtest(&self) -> Told {
        let (told, ended) = self.backtest_while(|_, _| true);
        ended.unwrap_or_else(|error| panic!("{error}"));
        told
    }

    /// A backtest that goes on while `progress` says so, which is told how many minutes are done and how many there are.
    pub(super) fn backtest_while(&self, mut progress: impl FnMut(u64, u64) -> bool) -> (Told, Result<(), RunError>) {
        let log = Log::default();
        let mut written = Vec::new();
        let mut events = EventWriter::new(&mut written);
        let setup = self.setup(Market::new(self.series()), self.frame.clone(), &log);
        let ended = Backtest::new(setup).and_then(|backtest| {
            backtest.run(&mut events, |now| {
                if progress(now.done, now.total) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
        });
        events.finish().expect("memory takes events");
        let events = Events::parse(&String::from_utf8(written).expect("events are text"));
        events.iter().for_each(|event| log.add(Entry::Event(event.clone())));
        (log.told(), ended)
    }

    /// The first and the last boundary of a backtest.
    pub(super) fn period_ms(&self) -> (i64, i64) {
        let setup = self.setup(Market::new(self.series()), self.frame.clone(), &Log::default());
        Backtest::new(setup).unwrap_or_else(|error| panic!("{error}")).period_ms()
    }

    /// The story of a backtest, which must be that of a live run as well.
    pub(super) fn story(&self) -> Vec<String> {
        let tested = self.backtest().story();
        assert_eq!(World::new().live(self).story(), tested, "a live run differs");
        tested
    }
}
