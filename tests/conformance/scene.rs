//! Scenes: a market, strategies on it, and the story of what happened, as a trader would tell it.
//!
//! A chart is a price and the minutes after it, separated by `|`; a script is what a strategy answers.
//!
//! ```text
//! 42000 | flat 3 | to 41000 in 5 | high 43500 low 40500 | gap 39000
//! long open=41000 tp=43000 sl=40000 life=60
//! ```
//!
//! Minute 0 is the first at which strategies can be asked: five candles at the first price come before it. `flat` and
//! `to` begin where the price is; `high … low …` is one candle that ends where it began; `gap` is one candle wholly at
//! a price, which nobody traded on the way to.
//!
//! Words of a signal: `long` or `short`; `open=` a limit (else at the market), `tp=`, `sl=`, `life=` minutes, `id=`,
//! `symbol=`. A script may hold several, separated by `|`, each after the minute at which it is the answer, or after
//! `always`; without either it is minute 0. The first that fits is given.
//!
//! The story has a line for each event that begins, ends or refuses something, with the minute it happened in; a scene
//! with several strategies says whose it is. What is reported on the way (extremes, levels, breakeven) is left out.

use std::ops::ControlFlow;

use serde_json::Value;
use sigbox::{
    events::EventWriter,
    market::{Market, candles::Series},
    trading::{Backtest, Frame, Native, Profile, RunError, SeatSetup, Setup, Sink},
};
use sigbox_engine::{
    Candle, Interval, MINUTE_MS, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    trader::Answer,
};

use crate::support::{Events, audit, recipe};

/// The symbol of a scene that needs only one.
pub(super) const BTC: &str = "BTCUSDT";

/// Candles in the average price, and so before minute 0.
const BEFORE: i64 = 5;

/// When minute `minute` begins, milliseconds.
pub(super) fn at(minute: i64) -> i64 {
    recipe(0, 0).start_ms + minute * MINUTE_MS
}

/// A market and who trades on it.
pub(super) struct Scene {
    charts: Vec<(String, Vec<Candle>)>,
    traders: Vec<Trades>,
    profiles: Vec<Profile>,
    settings: Settings,
    ask_every: Interval,
}

/// A strategy that answers by its script.
struct Trades {
    name: String,
    symbol: String,
    script: Vec<(When, Proposal)>,
    risk: Vec<String>,
}

/// When an answer is given.
#[derive(Clone, Copy)]
enum When {
    Always,
    Minute(i64),
}

impl Scene {
    /// The market of one symbol, and nobody who trades yet.
    pub(super) fn new(chart: &str) -> Self {
        Self {
            charts: vec![(BTC.to_owned(), candles(chart))],
            traders: Vec::new(),
            profiles: Vec::new(),
            settings: Settings::default(),
            ask_every: Interval::MINUTE,
        }
    }

    /// One more symbol.
    pub(super) fn symbol(mut self, symbol: &str, chart: &str) -> Self {
        self.charts.push((symbol.to_owned(), candles(chart)));
        self
    }

    /// Nobody traded in any of the candles so far.
    pub(super) fn without_volume(mut self) -> Self {
        for candle in self.charts.iter_mut().flat_map(|(_, candles)| candles) {
            candle.volume = 0.0;
        }
        self
    }

    /// One strategy on Bitcoin, under no risk rules.
    pub(super) fn trades(self, script: &str) -> Self {
        self.trader("s", script, &[])
    }

    /// A strategy on Bitcoin, under these risk profiles.
    pub(super) fn trader(self, name: &str, script: &str, risk: &[&str]) -> Self {
        self.trader_on(BTC, name, script, risk)
    }

    pub(super) fn trader_on(mut self, symbol: &str, name: &str, script: &str, risk: &[&str]) -> Self {
        self.traders.push(Trades {
            name: name.to_owned(),
            symbol: symbol.to_owned(),
            script: read_script(script),
            risk: risk.iter().map(|name| (*name).to_owned()).collect(),
        });
        self
    }

    /// A risk profile whose rules refuse in these words.
    pub(super) fn profile(mut self, name: &str, rules: &[(Rule, &str)]) -> Self {
        let rules = rules.iter().map(|(rule, note)| NamedRule { rule: rule.clone(), id: None, note: (*note).into() });
        self.profiles.push(Profile::new(name.to_owned(), rules.collect()));
        self
    }

    /// Other settings than the defaults.
    pub(super) fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// How far apart the backtest's decisions are.
    pub(super) fn ask_every(mut self, interval: &str) -> Self {
        self.ask_every = interval.parse().expect("an interval");
        self
    }

    /// The candles of the symbol that was given first.
    pub(super) fn candles(&self) -> &[Candle] {
        &self.charts[0].1
    }

    /// Candles by symbol.
    pub(super) fn series(&self) -> Vec<(String, Series)> {
        let series = |(symbol, candles): &(String, Vec<Candle>)| {
            (symbol.clone(), Series::new(candles.clone()).expect("a chart has no gaps"))
        };
        self.charts.iter().map(series).collect()
    }

    /// Everything that trades, on `market`.
    pub(super) fn setup(&self, market: Market) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + use<>>> {
        let setup = Setup::new("binance", market, self.settings.clone());
        let setup = self.profiles.iter().cloned().fold(setup, Setup::profile);
        self.traders.iter().fold(setup, |setup, trades| {
            let strategy = Native(scripted(trades.script.clone()));
            let seat = SeatSetup::new(setup.assign(&trades.name, &trades.symbol), Interval::MINUTE, strategy);
            setup.seat(SeatSetup { risk: trades.risk.clone(), ..seat })
        })
    }

    /// The whole backtest, told to `sink`; strategies are asked until minute `end`, or as long as there are candles.
    pub(super) fn tell(&self, end: Option<i64>, sink: &mut dyn Sink) -> Result<(), RunError> {
        let frame = Frame { end_ms: end.map(at), interval: self.ask_every, ..Frame::default() };
        let backtest = Backtest::new(self.setup(Market::new(self.series())).over(frame))?;
        backtest.run(sink, |_| ControlFlow::Continue(()))
    }

    /// Every event of a backtest, and how it ended.
    pub(super) fn run_until(&self, end: Option<i64>) -> (Events, Result<(), RunError>) {
        let mut written = Vec::new();
        let mut writer = EventWriter::new(&mut written);
        let ended = self.tell(end, &mut writer);
        writer.finish().expect("memory takes everything");
        let events = Events::parse(&String::from_utf8(written).expect("events are text"));
        audit(&events);
        (events, ended)
    }

    /// Every event of a backtest that must end well.
    pub(super) fn events(&self) -> Events {
        let (events, ended) = self.run_until(None);
        ended.unwrap_or_else(|error| panic!("{error}"));
        events
    }

    /// What happened in the backtest.
    pub(super) fn story(&self) -> Vec<String> {
        story(&self.events(), self.traders.len() > 1)
    }

    #[track_caller]
    pub(super) fn check(&self, expected: &[&str]) {
        assert_eq!(self.story(), expected);
    }
}

/// One strategy on Bitcoin at the default settings, and what happens to it.
#[track_caller]
pub(super) fn check(chart: &str, script: &str, expected: &[&str]) {
    assert_eq!(Scene::new(chart).trades(script).story(), expected, "{script} on {chart}");
}

/// The lines of `events`; with `names`, each says whose it is.
pub(super) fn story(events: &Events, names: bool) -> Vec<String> {
    let name = |event: &Value| if names { format!("{} ", text(&event["strategyName"])) } else { String::new() };
    events.iter().filter_map(|event| Some(name(event) + &line(event)?)).collect()
}

fn line(event: &Value) -> Option<String> {
    let minute = (event["timestamp"].as_i64().expect("every event has a time") - at(0)) / MINUTE_MS;
    let what = match text(&event["action"]) {
        action @ ("scheduled" | "opened") => format!("{action} {}", event["signal"]["originalPriceOpen"]),
        "closed" => {
            let percent = event["pnl"]["pnlPercentage"].as_f64().expect("a result is a number");
            format!("{} {} {percent:+.2} %", text(&event["closeReason"]), event["currentPrice"])
        }
        "cancelled" => text(&event["reason"]).to_owned(),
        "invalid_signal" => {
            let rules = event["rules"].as_array().expect("it names the rules");
            format!("refused {}", rules.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        "risk_rejection" => {
            format!("risk: {}, {} held", text(&event["rejectionNote"]), event["activePositionCount"])
        }
        "partial_profit" | "partial_loss" | "breakeven" | "highest_profit" | "max_drawdown" => return None,
        action => format!("{action} {}", text(&event["message"])),
    };
    Some(format!("{minute} {what}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}

pub(super) fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// The candles of a chart.
fn candles(chart: &str) -> Vec<Candle> {
    let mut parts = chart.split('|').map(str::trim);
    let mut price = number(parts.next().expect("a chart begins with a price"));
    let mut drawn: Vec<Candle> = Vec::new();
    let mut draw = |open: f64, high: f64, low: f64, close: f64| {
        let open_time_ms = drawn.last().map_or(at(-BEFORE), Candle::close_time_ms);
        drawn.push(Candle { open_time_ms, open, high, low, close, volume: 1.0 });
    };
    (0..BEFORE).for_each(|_| draw(price, price, price, price));
    for part in parts {
        match part.split_whitespace().collect::<Vec<_>>()[..] {
            ["flat", minutes] => (0..whole(minutes)).for_each(|_| draw(price, price, price, price)),
            ["to", target, "in", minutes] => {
                let (from, target, minutes) = (price, number(target), whole(minutes));
                for minute in 1..=minutes {
                    let close = from + (target - from) * f64::from(minute) / f64::from(minutes);
                    draw(price, price.max(close), price.min(close), close);
                    price = close;
                }
            }
            ["high", high, "low", low] => draw(price, number(high), number(low), price),
            ["gap", to] => {
                price = number(to);
                draw(price, price, price, price);
            }
            _ => panic!("{part:?} is not a part of a chart"),
        }
    }
    drawn
}

fn whole(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number of minutes"))
}

fn read_script(text: &str) -> Vec<(When, Proposal)> {
    text.split('|').map(str::trim).filter(|entry| !entry.is_empty()).map(read_entry).collect()
}

fn read_entry(entry: &str) -> (When, Proposal) {
    let (first, rest) = entry.split_once(' ').unwrap_or((entry, ""));
    match (first, first.parse()) {
        ("always", _) => (When::Always, proposal(rest)),
        (_, Ok(minute)) => (When::Minute(minute), proposal(rest)),
        (_, Err(_)) => (When::Minute(0), proposal(entry)),
    }
}

/// The signal some words stand for.
pub(super) fn proposal(words: &str) -> Proposal {
    let mut proposal = Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: None,
        price_take_profit: f64::NAN,
        price_stop_loss: f64::NAN,
        minute_estimated_time: None,
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    };
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "long" => proposal.side = Side::Long,
            "short" => proposal.side = Side::Short,
            "open" => proposal.price_open = Some(number(value)),
            "tp" => proposal.price_take_profit = number(value),
            "sl" => proposal.price_stop_loss = number(value),
            "life" => proposal.minute_estimated_time = Some(number(value)),
            "id" => proposal.id = Some(value.into()),
            "symbol" => proposal.symbol = Some(value.into()),
            _ => panic!("{word:?} is not a word of a signal"),
        }
    }
    proposal
}

/// Answers as `script` says.
fn scripted(script: Vec<(When, Proposal)>) -> impl FnMut(i64, f64) -> Answer + Send {
    move |now_ms, _| {
        let fits = |(when, _): &&(When, Proposal)| match when {
            When::Always => true,
            When::Minute(minute) => at(*minute) == now_ms,
        };
        script.iter().find(fits).map_or(Answer::Nothing, |(_, proposal)| Answer::Trade(proposal.clone()))
    }
}
