//! What the check says of promises, as tables. A scene has a price for each minute from minute 0 on, and a script for each
//! strategy: `1 quiet=5:90:110` promises at minute 1 to be silent until minute 5 as long as prices stay between 90 and
//! 110, and `3..6 long` trades from minute 3 to 5.

use std::{io, ops::ControlFlow, ops::Range};

use sigbox_engine::{Candle, Outcome};
use sigbox_market::{Market, candles::Series};

use super::*;
use crate::{
    Backtest, Frame, SeatSetup, Sink,
    testing::{at, minute_of, number, proposal, settings},
};

/// What happened, without the ticks at which nothing did. `each`: it hears of every question, so each is asked alone.
struct Events {
    each: bool,
    told: Vec<String>,
}

impl Sink for Events {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        if !outcome.is_uneventful() {
            self.told.push(format!("{pair}: {outcome:?}"));
        }
        Ok(())
    }

    fn hears_ticks(&self) -> bool {
        self.each
    }
}

/// Answers by its script.
struct Scripted(Vec<(Range<i64>, Answer)>);

impl Scripted {
    fn read(script: &str) -> Self {
        Self(script.split(';').map(|line| entry(line.trim())).collect())
    }
}

fn entry(line: &str) -> (Range<i64>, Answer) {
    let (minutes, words) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} answers nothing"));
    let minutes = match minutes.split_once("..") {
        None => number(minutes)..number::<i64>(minutes) + 1,
        Some((from, to)) => number(from)..number(to),
    };
    let answer = match (words, words.strip_prefix("quiet=")) {
        ("fails", _) => Answer::Failed("trap".to_owned()),
        (_, Some(promise)) => match promise.split(':').collect::<Vec<_>>()[..] {
            [until] => quiet(until, f64::NEG_INFINITY, f64::INFINITY),
            [until, below, above] => quiet(until, number(below), number(above)),
            _ => panic!("{promise:?} is no promise"),
        },
        _ => Answer::Trade(proposal(words)),
    };
    (minutes, answer)
}

fn quiet(until: &str, below: f64, above: f64) -> Answer {
    Answer::Quiet(Quiet { until_ms: at(number(until)), below, above })
}

impl Strategy for Scripted {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        row.iter().enumerate().find_map(|(index, question)| {
            let minute = minute_of(question.now_ms);
            let (_, answer) = self.0.iter().find(|(minutes, _)| minutes.contains(&minute))?;
            Some((index, answer.clone()))
        })
    }
}

/// A price, or high, low and close with slashes. The last price stays for two more candles, which end what is held.
fn market(chart: &str) -> Market {
    let prices: Vec<&str> = chart.split_whitespace().collect();
    let last = prices.last().copied().expect("a price");
    let candles = prices.into_iter().chain([last; 2]).zip(-1..).map(|(prices, minute)| {
        let (high, low, close) = match prices.split('/').map(number).collect::<Vec<f64>>()[..] {
            [price] => (price, price, price),
            [high, low, close] => (high, low, close),
            _ => panic!("{prices:?} is neither a price nor high, low and close"),
        };
        Candle { open_time_ms: at(minute), open: close, high, low, close, volume: 0.0 }
    });
    Market::new([("BTC".to_owned(), Series::new(candles.collect()).expect("candles without gaps"))])
}

/// `1m`, or `3m of 5m`: a strategy that is asked every three minutes in a run that asks every five.
fn setup(chart: &str, every: &str, scripts: &[&str]) -> Setup<Scripted> {
    let (every, step) = every.split_once(" of ").unwrap_or((every, "1m"));
    let frame = Frame { interval: step.parse().expect("an interval"), ..Frame::default() };
    let setup = Setup::new("ex", market(chart), settings()).over(frame);
    scripts.iter().zip(["a", "b"]).fold(setup, |setup, (script, name)| {
        let interval = every.parse().expect("an interval");
        let seat = SeatSetup::new(setup.assign(name, "BTC"), interval, Scripted::read(script));
        setup.seat(seat)
    })
}

fn events<S: Strategy>(backtest: Backtest<S>, each: bool) -> Vec<String> {
    let mut events = Events { each, told: Vec::new() };
    backtest.run(&mut events, |_| ControlFlow::Continue(())).expect("the candles are there");
    events.told
}

fn check(chart: &str, every: &str, scripts: &[&str]) -> CheckedPromises {
    let [rows, each] = [false, true].map(|each| {
        let plain = events(Backtest::new(setup(chart, every, scripts)).expect("a setup"), each);
        let (setup, promises) = setup(chart, every, scripts).checked();
        let backtest = Backtest::new(setup).expect("a setup");
        promises.end_at(backtest.period_ms().1);
        assert_eq!(events(backtest, each), plain, "the check changed what happened: {scripts:?}");
        promises.found()
    });
    assert_eq!(rows, each, "{scripts:?}");
    rows
}

fn in_words(wrong: &WrongPromise) -> String {
    let WrongPromise { pair, made_ms, promise, at_ms, price, answer } = wrong;
    let answer = match answer {
        Answer::Trade(proposal) => proposal.side.name(),
        Answer::Failed(message) => message,
        Answer::Nothing | Answer::Quiet(_) => panic!("{answer:?} breaks no promise"),
    };
    let (made, until, at) = (minute_of(*made_ms), minute_of(promise.until_ms), minute_of(*at_ms));
    format!("{}: {made} to {until}, {answer} at {at} for {price}", pair.strategy)
}

#[test]
fn a_promise_is_wrong_if_the_strategy_would_have_said_something_in_its_time() {
    let flat = "100 101 102 103 104 105 106 107";
    let dip = "100 100 100 100/89/100 100 100 100 100";
    // The chart, how often it is asked, what it says, and what is wrong of it.
    for (chart, every, script, wrong) in [
        // In the time of the promise.
        (flat, "1m", "1 quiet=5", ""),
        (flat, "1m", "1 quiet=5; 3 long", "a: 1 to 5, long at 3 for 103"),
        (flat, "1m", "1 quiet=5; 2..5 short", "a: 1 to 5, short at 2 for 102"),
        (flat, "1m", "1 quiet=5; 4 long", "a: 1 to 5, long at 4 for 104"),
        (flat, "1m", "1 quiet=5; 5 long", ""),
        (flat, "1m", "1 quiet=1; 2 long", ""),
        // As long as the market stays in the band. The low of minute 3 leaves it.
        (dip, "1m", "1 quiet=7:90:110; 2 long", "a: 1 to 7, long at 2 for 100"),
        (dip, "1m", "1 quiet=7:90:110; 3 long", ""),
        (dip, "1m", "1 quiet=7:90:110; 4 long", ""),
        (dip, "1m", "1 quiet=7:89:110; 3 long", "a: 1 to 7, long at 3 for 100"),
        (flat, "1m", "1 quiet=7:90:103; 3 long", "a: 1 to 7, long at 3 for 103"),
        (flat, "1m", "1 quiet=7:90:103; 4 long", ""),
        // Where the strategy is due. The band is left in between, and then it is asked at once.
        (dip, "5m", "0 quiet=7:90:110; 1..3 long", ""),
        (dip, "5m", "0 quiet=7:90:110; 3 long", ""),
        (dip, "5m", "0 quiet=7; 4 long", ""),
        (dip, "5m", "0 quiet=7; 5 long", "a: 0 to 7, long at 5 for 100"),
        (flat, "1m of 3m", "0 quiet=7; 1..3 long", ""),
        (flat, "1m of 3m", "0 quiet=7; 2..4 long", "a: 0 to 7, long at 3 for 103"),
        // A promise in the time of another one replaces nothing.
        (flat, "1m", "1 quiet=5; 2 quiet=3; 3 long", "a: 1 to 5, long at 3 for 103"),
        (flat, "1m", "1 quiet=3; 2 quiet=7; 5 long", ""),
        (flat, "1m", "1 quiet=3; 3 quiet=7; 5 long", "a: 3 to 7, long at 5 for 105"),
        // A failure leaves open what the strategy would have said.
        (flat, "1m", "1 quiet=5; 2 fails; 3 long", "a: 1 to 5, trap at 2 for 102"),
        (flat, "1m", "1 quiet=5; 5 fails", ""),
        // The run ends at minute 7.
        (flat, "1m", "1 quiet=99; 8 long", ""),
        (flat, "1m", "1 quiet=99; 7 long", "a: 1 to 99, long at 7 for 107"),
    ] {
        let found = check(chart, every, &[script]);
        let named: Vec<String> = found.named.iter().map(in_words).collect();
        assert_eq!(named.join("; "), wrong, "{every}, {script}");
        assert_eq!(found.wrong, u64::from(!wrong.is_empty()), "{every}, {script}");
    }
}

#[test]
fn what_promises_save_are_the_questions_in_their_time() {
    let chart = "100 100 100 100/89/100 100 100 100 100";
    for (every, script, (made, asked, saved)) in [
        ("1m", "9 long", (0, 8, 0)),
        ("1m", "1 quiet=5", (1, 5, 3)),
        ("1m", "1 quiet=99", (1, 2, 6)),
        ("1m", "1 quiet=99:90:110", (1, 7, 1)),
        ("1m", "0..9 quiet=99", (1, 1, 7)),
        ("1m", "0..9 quiet=99:90:110", (2, 2, 6)),
        ("3m", "0 quiet=99", (1, 1, 2)),
        ("1m of 3m", "0 quiet=99", (1, 1, 2)),
    ] {
        let found = check(chart, every, &[script]);
        assert_eq!((found.made, found.asked, found.saved), (made, asked, saved), "{every}, {script}");
    }
}

#[test]
fn the_first_wrong_promises_of_each_strategy_are_named_and_all_are_counted() {
    let chart = vec!["100"; 20].join(" ");
    let wrong = (0..8).map(|each| format!("{} quiet={}; {} long", 2 * each, 2 * each + 2, 2 * each + 1));
    let found = check(&chart, "1m", &[&wrong.collect::<Vec<_>>().join("; "), "17 quiet=20; 18 short"]);
    let expected = [
        "a: 0 to 2, long at 1 for 100",
        "a: 2 to 4, long at 3 for 100",
        "a: 4 to 6, long at 5 for 100",
        "a: 6 to 8, long at 7 for 100",
        "a: 8 to 10, long at 9 for 100",
        "b: 17 to 20, short at 18 for 100",
    ];
    assert_eq!((found.made, found.wrong), (9, 9));
    let mut named: Vec<String> = found.named.iter().map(in_words).collect();
    named.sort();
    assert_eq!(named, expected);
}
