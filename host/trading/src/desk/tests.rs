//! What happens at a minute boundary, in which order, with a store and a record of events that may fail.
//!
//! A scene has a line for each symbol and each trader, and for what goes wrong; a story has what happened, step by
//! step.
//!
//! ```text
//! BTC: 100 | 101 98 100 | -  | 99 & 98   closes, or high low close; none in time; two at once
//! a: 0 long tp=110; 3.. short            strategy a on BTC: answers at minute 0, and from minute 3 on
//! b on ETH every 5m has waiting open=99: what it is asked every five minutes; what an earlier run left
//! limit: 1                               everybody is under one profile that allows so many positions
//! others: z on ETH                       slots of traders that are not in the run
//! fails 2: write signal                  at boundary 2 such calls fail; `2..4` at 2 and 3
//! late: 2                                at boundary 2 it is too late to enter; `stopped: 2..` nothing more begins
//! patience: 30                           strategies are not waited for, and may enter for so many seconds
//! end: 2                                 the last boundary of the period
//! ```
//!
//! The first price is that before minute 0; each one after it is of a candle that closes at the next boundary. Words of
//! an answer besides those of a proposal: `fails`; `slow=2`, others answer first; `until=3`, it takes until boundary 3;
//! `sets=1`, it wants x to be remembered.
//!
//! A story names each boundary at which anything happened (`at 2`), who was asked, and what was written, told and
//! noticed. Each boundary ends with what has changed in memory: `a: open 100`, `a: flat, unsettled`.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::FutureExt as _;
use sigbox_engine::{
    Candle, Interval,
    risk::{NamedRule, Rule},
    trader::{Memory, Quiet},
};
use sigbox_market::Market;
use tokio::sync::watch;

use super::*;
use crate::{
    SeatSetup, Setup,
    store::{Store, Stores},
    testing::{EXCHANGE, Recorder, at, held, minute_of, number, pair, proposal, run, settings, slots, state, steps},
};

#[derive(Default)]
struct Scene {
    /// Candles that come at each boundary, by symbol.
    charts: BTreeMap<String, Vec<Vec<Candle>>>,
    traders: Vec<Trades>,
    limit: Option<usize>,
    others: String,
    faults: Vec<(Range<i64>, String)>,
    late: Range<i64>,
    stopped: Range<i64>,
    late_after: Option<Duration>,
    frame_end_ms: Option<i64>,
}

struct Trades {
    pair: Pair,
    interval: Interval,
    has: State,
    ask_from_ms: i64,
    script: Vec<Line>,
}

/// What a strategy answers at some boundaries.
#[derive(Clone)]
struct Line {
    minutes: Range<i64>,
    /// How many turns the others have before.
    slow: usize,
    /// The boundary after which it answers.
    until: Option<i64>,
    /// What it wants to be remembered.
    sets: Option<String>,
    answer: Answer,
}

/// `2`, `2..4` or `2..`
fn minutes(text: &str) -> Range<i64> {
    match text.trim().split_once("..") {
        None => number(text)..number::<i64>(text) + 1,
        Some((from, "")) => number(from)..i64::MAX,
        Some((from, to)) => number(from)..number(to),
    }
}

/// `3`: until minute 3; `3:90:110`: as long as prices stay between 90 and 110.
fn quiet(text: &str) -> Quiet {
    let (until, below, above) = match text.split(':').collect::<Vec<_>>()[..] {
        [until] => (until, f64::NEG_INFINITY, f64::INFINITY),
        [until, below, above] => (until, number(below), number(above)),
        _ => panic!("{text:?} is no promise"),
    };
    Quiet { until_ms: at(number(until)), below, above }
}

fn candles(chart: &str) -> Vec<Vec<Candle>> {
    let mut open_time_ms = at(-1);
    let mut candle = |prices: &str| {
        let (high, low, close) = match prices.split_whitespace().map(number).collect::<Vec<f64>>()[..] {
            [price] => (price, price, price),
            [high, low, close] => (high, low, close),
            _ => panic!("{prices:?} is neither a price nor high, low and close"),
        };
        let candle = Candle { open_time_ms, open: close, high, low, close, volume: 0.0 };
        open_time_ms += MINUTE_MS;
        candle
    };
    let mut of_boundary = |text: &str| match text.trim() {
        "-" => Vec::new(),
        prices => prices.split('&').map(&mut candle).collect(),
    };
    chart.split('|').map(&mut of_boundary).collect()
}

impl Line {
    fn read(text: &str) -> Self {
        let (minutes, words) = text.trim().split_once(' ').unwrap_or_else(|| panic!("{text:?} answers nothing"));
        let mut line =
            Self { minutes: self::minutes(minutes), slow: 0, until: None, sets: None, answer: Answer::Nothing };
        let (mut said, mut trades) = (String::new(), false);
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("slow", turns)) => line.slow = number(turns),
                Some(("until", minute)) => line.until = Some(number(minute)),
                Some(("sets", value)) => line.sets = Some(value.to_owned()),
                Some(("quiet", promise)) => line.answer = Answer::Quiet(quiet(promise)),
                None if word == "fails" => line.answer = Answer::Failed("trap".to_owned()),
                None if word == "nothing" => {}
                _ => {
                    trades = true;
                    said = format!("{said} {word}");
                }
            }
        }
        if trades {
            line.answer = Answer::Trade(proposal(&said));
        }
        line
    }
}

impl Scene {
    fn read(text: &str) -> Self {
        let mut scene = Self { late: 0..0, stopped: 0..0, ..Self::default() };
        for line in text.lines().map(str::trim) {
            let (who, what) = line.split_once(':').unwrap_or_else(|| panic!("{line:?} says nothing"));
            let what = what.trim();
            match who.split_once(' ') {
                Some(("fails", when)) => scene.faults.push((minutes(when), what.to_owned())),
                _ => match who {
                    "limit" => scene.limit = Some(number(what)),
                    "others" => what.clone_into(&mut scene.others),
                    "late" => scene.late = minutes(what),
                    "stopped" => scene.stopped = minutes(what),
                    "patience" => scene.late_after = Some(Duration::from_secs(number(what))),
                    "end" => scene.frame_end_ms = Some(at(number(what))),
                    _ if who.starts_with(char::is_uppercase) => {
                        scene.charts.insert(who.to_owned(), candles(what));
                    }
                    _ => scene.traders.push(Trades::read(who, what)),
                },
            }
        }
        scene
    }

    /// Whether a run that keeps nothing has the same story.
    fn is_plain(&self) -> bool {
        let has_nothing = |trades: &Trades| matches!(trades.has, State::Idle);
        let nothing_late = self.late.is_empty() && self.stopped.is_empty() && self.late_after.is_none();
        // A backtest knows all candles, so none of them may come late.
        let in_time = |(minute, candles): (i64, &Vec<Candle>)| {
            candles.last().is_some_and(|candle| candle.close_time_ms() == at(minute))
        };
        let all_in_time = self.charts.values().all(|chart| (0..).zip(chart).all(in_time));
        self.faults.is_empty() && nothing_late && all_in_time && self.traders.iter().all(has_nothing)
    }

    fn entries(&self, minute: i64) -> Entries {
        if self.stopped.contains(&minute) {
            Entries::Stopped
        } else if self.late.contains(&minute) {
            Entries::Late
        } else {
            Entries::Open
        }
    }

    fn boundaries(&self) -> i64 {
        self.charts.values().map(Vec::len).max().and_then(|longest| longest.try_into().ok()).expect("a chart")
    }
}

impl Trades {
    fn read(who: &str, script: &str) -> Self {
        let (who, has) = who.split_once(" has ").unwrap_or((who, "flat"));
        let (who, from) = who.split_once(" from ").map_or((who, None), |(who, from)| (who, Some(from)));
        let (who, every) = who.split_once(" every ").unwrap_or((who, "1m"));
        let pair = pair(who);
        let script = script.split(';').filter(|line| !line.trim().is_empty()).map(Line::read).collect();
        Self {
            interval: every.parse().expect("an interval"),
            has: state(&pair, has),
            ask_from_ms: from.map_or(i64::MIN, |from| at(number(from))),
            script,
            pair,
        }
    }
}

/// Answers by its script.
struct Scripted {
    name: String,
    script: Vec<Line>,
    memory: StrategyMemory,
    log: Recorder,
    /// The boundary that is over.
    clock: watch::Receiver<i64>,
}

impl Scripted {
    fn line(&self, now_ms: i64) -> Option<Line> {
        let remembered = self.memory.get("x").map(|value| format!(" x={}", String::from_utf8(value).expect("a text")));
        self.log.note(format!("ask {}{}", self.name, remembered.unwrap_or_default()));
        let line = self.script.iter().find(|line| line.minutes.contains(&minute_of(now_ms))).cloned();
        if let Some(value) = line.as_ref().and_then(|line| line.sets.as_ref()) {
            self.memory.set("x".to_owned(), value.as_bytes().to_vec()).expect("it is small");
            self.memory.commit(now_ms);
        }
        line
    }
}

impl Strategy for Scripted {
    fn answer(&mut self, row: &[Question]) -> Option<(usize, Answer)> {
        let line = |(index, question): (usize, &Question)| Some((index, self.line(question.now_ms)?.answer));
        row.iter().enumerate().find_map(line)
    }
}

impl LiveStrategy for Scripted {
    async fn answer_in_time(&mut self, Question { now_ms, .. }: Question) -> Answer {
        let Some(Line { slow, until, answer, .. }) = self.line(now_ms) else { return Answer::Nothing };
        for _ in 0..slow {
            tokio::task::yield_now().await;
        }
        if let Some(until) = until {
            self.clock.wait_for(|over| *over >= until).await.expect("the scene goes on");
        }
        if slow > 0 || until.is_some() {
            self.log.note(format!("{} answers", self.name));
        }
        answer
    }
}

/// The desk of a scene, and what it is played with.
struct Play {
    scene: Scene,
    market: Market,
    desk: Desk<Scripted>,
    log: Recorder,
    over: watch::Sender<i64>,
    /// What each trader held last, in words.
    held: Vec<String>,
}

impl Play {
    /// `keeps`: a live run, whose documents are kept; else a backtest.
    fn new(text: &str, keeps: bool) -> Self {
        let scene = Scene::read(text);
        let log = Recorder::default();
        let (over, clock) = watch::channel(-1);
        let mut setup = Setup::new(EXCHANGE, Market::growing(scene.charts.keys().cloned()), settings());
        let risk: Vec<String> = scene.limit.iter().map(|_| "limit".to_owned()).collect();
        if let Some(limit) = scene.limit {
            let rule = NamedRule { rule: Rule::MaxActive(limit), id: None, note: "full".to_owned() };
            setup = setup.profile(Profile::new("limit".to_owned(), vec![rule]));
        }
        let mut memories = BTreeMap::new();
        for Trades { pair, interval, has, script, .. } in &scene.traders {
            let assignment = setup.assign(&pair.strategy, &pair.symbol);
            let strategy = Scripted {
                name: pair.strategy.clone(),
                script: script.clone(),
                memory: assignment.memory().clone(),
                log: log.clone(),
                clock: clock.clone(),
            };
            setup = setup.seat(SeatSetup { assignment, interval: *interval, strategy, risk: risk.clone() });
            memories.insert(pair.clone(), Memory { state: has.clone(), ..Memory::default() });
        }
        let (market, pairs) = (setup.market().clone(), setup.pairs());
        let (mut seats, mut profiles) = setup.into_seats(memories).expect("a setup");
        for (seat, trades) in seats.iter_mut().zip(&scene.traders) {
            seat.next_open_ms = seat.held_from_ms().unwrap_or_default();
            seat.ask_from_ms = trades.ask_from_ms;
        }
        if !scene.others.is_empty() {
            profiles[0].others = slots(&scene.others);
        }
        let store: Arc<dyn Store> = Arc::new(log.clone());
        let keeper = keeps.then(|| Keeper::new(Stores::all_in(&store), pairs));
        let mut desk = Desk::new(seats, profiles, keeper, 1, scene.frame_end_ms);
        desk.late_after = scene.late_after;
        desk.patience = scene.late_after.map(|_| Duration::ZERO);
        let held = desk.seats.iter().map(words).collect();
        Self { scene, market, desk, log, over, held }
    }

    /// The candles of boundary `minute`, and what fails from now on.
    fn begin(&self, minute: i64) {
        for (symbol, chart) in &self.scene.charts {
            let series = self.market.series(symbol).expect("a symbol of the scene");
            let candles = usize::try_from(minute).ok().and_then(|minute| chart.get(minute));
            candles.into_iter().flatten().for_each(|candle| series.push(*candle).expect("the next candle"));
        }
        self.log.mend();
        for (minutes, call) in &self.scene.faults {
            if minutes.contains(&minute) {
                self.log.fail(call);
            }
        }
    }

    /// What happened at boundary `minute`, and what changed in memory.
    fn end(&mut self, minute: i64, story: &mut Vec<String>) {
        let mut steps = self.log.take();
        for (seat, before) in self.desk.seats.iter().zip(&mut self.held) {
            let now = words(seat);
            if now != *before {
                steps.push(format!("{}: {now}", seat.pair().strategy));
                *before = now;
            }
        }
        if !steps.is_empty() {
            story.push(format!("at {minute}"));
            story.append(&mut steps);
        }
    }

    async fn live(&mut self) -> Vec<String> {
        let mut story = Vec::new();
        for minute in 0..self.scene.boundaries() {
            self.begin(minute);
            let entries = self.scene.entries(minute);
            let mut sink = self.log.clone();
            self.desk.boundary(at(minute), entries, &mut sink).await;
            self.over.send_replace(minute);
            while let Some(answered) = self.desk.late_answer().now_or_never() {
                self.desk.admit_late(answered, entries, &mut sink).await;
            }
            self.end(minute, &mut story);
        }
        story
    }

    fn backtest(&mut self) -> Vec<String> {
        let mut story = Vec::new();
        let boundaries = self.scene.boundaries();
        (0..boundaries).for_each(|minute| self.begin(minute));
        let asking = Asking { first: at(0), step: MINUTE_MS, last: at(boundaries - 1) };
        for minute in 0..boundaries {
            let mut sink = self.log.clone();
            self.desk.boundary_at_once(at(minute), asking, &mut sink);
            self.end(minute, &mut story);
        }
        story
    }
}

fn words(seat: &Seat<Scripted>) -> String {
    held(seat.trader.state()) + if seat.unsettled { ", unsettled" } else { "" }
}

/// What a trader does and is told of, with its boundary. What is kept and when somebody is asked is left out: a backtest
/// keeps nothing, and asks ahead. Traders of one boundary decide one after the other, and a live run tells what ends
/// first, so the order within a boundary has no meaning.
fn of_traders(story: &[String]) -> Vec<(i64, &str)> {
    let mut boundary = 0;
    let mut steps = Vec::new();
    for step in story {
        if let Some(minute) = step.strip_prefix("at ") {
            boundary = minute.parse().unwrap();
        } else if !["write ", "ask "].iter().any(|start| step.starts_with(start))
            && step != "sync"
            && !step.ends_with(" answers")
        {
            steps.push((boundary, step.as_str()));
        }
    }
    steps.sort_unstable();
    steps
}

/// What happens in a live run. Where nothing goes wrong, a backtest must have the same story without what is kept.
#[track_caller]
fn check(text: &str, story: &str) {
    let mut play = Play::new(text, true);
    let found = run(play.live());
    assert_eq!(found, steps(story), "{text}");
    if play.scene.is_plain() {
        let tested = Play::new(text, false).backtest();
        assert_eq!(of_traders(&tested), of_traders(&found), "{text}\na backtest differs");
    }
}

#[test]
fn what_begins_is_told_once_it_is_kept_and_what_ends_is_told_and_synced_before_it_is_cleared() {
    check(
        "limit: 1
         BTC: 100 | 100 | 100 40 100 | 100
         a: 0 long sl=50",
        "at 0
         ask a
         write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC]
         tell a opened 100 at 0
         a: open 100
         at 2
         tell a closed stop_loss 50 at 1
         sync
         write risk limit/positions []
         write signal BTC_a/BTC null
         ask a
         a: flat
         at 3 | ask a",
    );
    // So is an order that is filled, and one that is not. That it was accepted is in the record before its document
    // goes.
    check(
        "limit: 1
         BTC: 100 | 100 | 100 99 99 | 99
         a: 0 long open=99",
        "at 0 | ask a
         write schedule BTC_a/BTC waiting 99
         tell a scheduled 100 at 0
         a: waiting 99
         at 2
         sync
         write signal BTC_a/BTC open 99
         write risk limit/positions [a on BTC]
         write schedule BTC_a/BTC null
         tell a opened 99 at 1
         a: open 99",
    );
    for (minute, reason, candles) in [(0, "price_reject", "100 40 100"), (3, "timeout", "100 | 100 | 100 | 100")] {
        check(
            &format!("BTC: 100 | {candles}\n a every 1h: 0 long open=99"),
            &format!(
                "at 0 | ask a
                 write schedule BTC_a/BTC waiting 99
                 tell a scheduled 100 at 0
                 a: waiting 99
                 at {}
                 tell a cancelled {reason} 100 at {minute}
                 sync
                 write schedule BTC_a/BTC null
                 a: flat",
                minute + 1
            ),
        );
    }
}

#[test]
fn a_level_is_told_and_synced_before_it_is_written_and_its_end_clears_it() {
    check(
        "BTC: 100 | 101.5 | 101 | 96 | 100 80 100
         a every 1h: 0 long tp=110 sl=90",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 1
         tell a highest_profit 101.5 at 0
         tell a breakeven 101.5 at 0
         tell a partial_profit 10% 101.5 at 0
         sync
         write partial BTC_a/levels +10
         a: open 100 +10
         at 3
         tell a max_drawdown 96 at 2
         tell a partial_loss 10% 96 at 2
         tell a partial_loss 20% 96 at 2
         tell a partial_loss 30% 96 at 2
         tell a partial_loss 40% 96 at 2
         sync
         write partial BTC_a/levels +10 -10 -20 -30 -40
         a: open 100 +10 -10 -20 -30 -40
         at 4
         tell a closed stop_loss 90 at 3
         sync
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         a: flat",
    );
}

#[test]
fn what_can_be_computed_again_is_told_and_not_kept() {
    // A new best or worst result changes no document, so nothing has to be durable before it.
    check(
        "BTC: 100 | 100.1 | 99.9 | 100 | 100
         a every 1h: 0 long",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 1 | tell a highest_profit 100.1 at 0
         at 2 | tell a max_drawdown 99.9 at 1",
    );
    // Quiet minutes leave no trace at all.
    check(
        "BTC: 100 | 100 | 100 | 100
         a every 1h: 0 long
         b every 1h: 0 long open=99
         c every 1h: 0 nothing",
        "at 0 | ask a | ask b | ask c
         write signal BTC_a/BTC open 100
         write schedule BTC_b/BTC waiting 99
         tell a opened 100 at 0
         tell b scheduled 100 at 0
         a: open 100 | b: waiting 99",
    );
}

#[test]
fn what_comes_of_an_answer_that_begins_nothing_is_told() {
    check(
        "BTC: 100 | 100 | 100 | 100
         a: 0 long tp=90; 1 fails; 2 long symbol=ETH; 3 nothing",
        "at 0 | ask a | tell a invalid_signal long_tp_wrong_side at 0
         at 1 | ask a | tell a strategy_failed (trap) at 1
         at 2 | ask a | tell a symbol_mismatch (the strategy proposed a trade on ETH; it runs on BTC) at 2
         at 3 | ask a",
    );
}

#[test]
fn several_traders_are_judged_together_and_what_ends_is_told_before_anything_is_written() {
    check(
        "limit: 9
         BTC: 100 | 100 60 60
         a every 1h has open: 0 nothing
         b every 1h has waiting open=70: 0 nothing
         c every 1h has open sl=65: 0 nothing",
        "at 1
         tell a max_drawdown 60 at 0
         tell a partial_loss 10% 60 at 0
         tell a partial_loss 20% 60 at 0
         tell a partial_loss 30% 60 at 0
         tell a partial_loss 40% 60 at 0
         tell a partial_loss 50% 60 at 0
         tell a partial_loss 60% 60 at 0
         tell a partial_loss 70% 60 at 0
         tell a partial_loss 80% 60 at 0
         tell c closed stop_loss 65 at 0
         sync
         write partial BTC_a/levels -10 -20 -30 -40 -50 -60 -70 -80
         write signal BTC_b/BTC open 70
         write risk limit/positions [a on BTC, b on BTC]
         write schedule BTC_b/BTC null
         write signal BTC_c/BTC null
         tell b opened 70 at 0
         ask c
         a: open 100 -10 -20 -30 -40 -50 -60 -70 -80
         b: open 70
         c: flat",
    );
}

#[test]
fn a_beginning_that_is_not_kept_has_not_happened_and_the_strategy_is_asked_again() {
    check(
        "fails 0: write 1
         limit: 1
         BTC: 100 | 100
         a every 1h: 0.. long",
        "at 0 | ask a
         write signal BTC_a/BTC open 100 fails
         write risk limit/positions []
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: flat, unsettled
         at 1
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write schedule BTC_a/BTC null
         write risk limit/positions []
         notice a store_recovered
         ask a
         write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC]
         tell a opened 100 at 1
         a: open 100",
    );
    // A row that may be there after all is cleared before the question.
    for fails in ["fails 0: write 2", "fails 0: landing write 2"] {
        check(
            &format!("{fails}\n limit: 1\n BTC: 100 | 100\n a: 0 long"),
            "at 0 | ask a
             write signal BTC_a/BTC open 100
             write risk limit/positions [a on BTC] fails
             notice a store_failed: disk: risk limit/positions: away
             a: flat, unsettled
             at 1
             write partial BTC_a/levels {}
             write signal BTC_a/BTC null
             write schedule BTC_a/BTC null
             write risk limit/positions []
             notice a store_recovered
             ask a
             a: flat",
        );
    }
    check(
        "fails 0: write schedule
         BTC: 100
         a: 0 long open=99",
        "at 0 | ask a
         write schedule BTC_a/BTC waiting 99 fails
         notice a store_failed: disk: schedule BTC_a/BTC: away
         a: flat, unsettled",
    );
}

#[test]
fn an_order_whose_fill_is_not_kept_waits_on_and_is_filled_by_the_same_candle() {
    check(
        "fails 2: write signal
         BTC: 100 | 100 | 100 99 99 | 99
         a every 1h: 0 long open=99",
        "at 0 | ask a | write schedule BTC_a/BTC waiting 99 | tell a scheduled 100 at 0 | a: waiting 99
         at 2
         sync
         write signal BTC_a/BTC open 99 fails
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: waiting 99, unsettled
         at 3
         write schedule BTC_a/BTC waiting 99
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         notice a store_recovered
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null
         tell a opened 99 at 1
         a: open 99",
    );
    // Though it was in its new home already.
    check(
        "fails 1: write 2
         BTC: 100 | 100 99 99 | 99
         a every 1h: 0 long open=99",
        "at 0 | ask a | write schedule BTC_a/BTC waiting 99 | tell a scheduled 100 at 0 | a: waiting 99
         at 1
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null fails
         notice a store_failed: disk: schedule BTC_a/BTC: away
         a: waiting 99, unsettled
         at 2
         write schedule BTC_a/BTC waiting 99
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         notice a store_recovered
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null
         tell a opened 99 at 0
         a: open 99",
    );
}

#[test]
fn an_end_that_is_not_kept_leaves_the_position_and_ends_it_by_the_same_candle() {
    // It is told again, with the minute it had: that is its id, by which the journal knows it.
    check(
        "fails 1: write signal
         BTC: 100 | 100 40 100 | 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 1
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null fails
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: open 100, unsettled
         at 2
         write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         notice a store_recovered
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
}

#[test]
fn while_the_store_fails_nothing_is_judged_or_asked_and_then_every_candle_is_in_order() {
    check(
        "fails 1..4: write
         BTC: 100 | 101.5 | 102.5 | 100 40 100 | 100
         a every 1h: 0 long tp=110 sl=50",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 1
         tell a highest_profit 101.5 at 0
         tell a breakeven 101.5 at 0
         tell a partial_profit 10% 101.5 at 0
         sync
         write partial BTC_a/levels +10 fails
         notice a store_failed: disk: partial BTC_a/levels: away
         a: open 100, unsettled
         at 2 | write signal BTC_a/BTC open 100 fails
         at 3 | write signal BTC_a/BTC open 100 fails
         at 4
         write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         notice a store_recovered
         tell a highest_profit 101.5 at 0
         tell a breakeven 101.5 at 0
         tell a partial_profit 10% 101.5 at 0
         sync
         write partial BTC_a/levels +10
         tell a highest_profit 102.5 at 1
         tell a partial_profit 20% 102.5 at 1
         sync
         write partial BTC_a/levels +10 +20
         tell a closed stop_loss 50 at 2
         sync
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         a: flat",
    );
    // A rewrite that comes half through is one that failed.
    check(
        "fails 0..3: write schedule
         BTC: 100 | 100 | 100 | 100
         a: 0 long open=99; 3 nothing",
        "at 0 | ask a
         write schedule BTC_a/BTC waiting 99 fails
         notice a store_failed: disk: schedule BTC_a/BTC: away
         a: flat, unsettled
         at 1 | write partial BTC_a/levels {} | write signal BTC_a/BTC null | write schedule BTC_a/BTC null fails
         at 2 | write partial BTC_a/levels {} | write signal BTC_a/BTC null | write schedule BTC_a/BTC null fails
         at 3 | write partial BTC_a/levels {} | write signal BTC_a/BTC null | write schedule BTC_a/BTC null
         notice a store_recovered
         ask a
         a: flat",
    );
}

#[test]
fn a_trader_whose_store_fails_holds_nobody_up() {
    check(
        "fails 0..2: write signal BTC_a
         BTC: 100 | 100
         a: 0.. long
         b: 0 nothing; 1 long",
        "at 0 | ask a | ask b
         write signal BTC_a/BTC open 100 fails
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: flat, unsettled
         at 1
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null fails
         ask b
         write signal BTC_b/BTC open 100
         tell b opened 100 at 1
         b: open 100",
    );
}

#[test]
fn a_position_stays_while_its_end_cannot_be_recorded() {
    check(
        "fails 1: tell a closed
         BTC: 100 | 100 40 100 | 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 1
         tell a closed stop_loss 50 at 0 fails
         notice a store_failed: the event record: full
         a: open 100, unsettled
         at 2
         write signal BTC_a/BTC open 100
         write partial BTC_a/levels {}
         write schedule BTC_a/BTC null
         notice a store_recovered
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
    // What is told and perhaps not durable is not either, and then nothing of the boundary is written.
    check(
        "fails 1: sync
         BTC: 100 | 100 40 100
         a every 1h has open sl=50: 0 nothing
         b every 1h has waiting open=70 sl=30: 0 nothing",
        "at 1
         tell a closed stop_loss 50 at 0
         sync fails
         notice a store_failed: the event record: full
         notice b store_failed: the event record: full
         a: open 100, unsettled
         b: waiting 70, unsettled",
    );
    // One trader's events keep nobody else from ending.
    check(
        "fails 1: tell a closed
         BTC: 100 | 100 40 100
         a every 1h has open sl=50: 0 nothing
         b every 1h has open sl=50: 0 nothing",
        "at 1
         tell a closed stop_loss 50 at 0 fails
         tell b closed stop_loss 50 at 0
         sync
         write signal BTC_b/BTC null
         notice a store_failed: the event record: full
         ask b
         a: open 100, unsettled
         b: flat",
    );
    // A trader is judged on all or nothing of a candle: without the last event there is no level.
    check(
        "fails 1: tell a partial_profit
         BTC: 100 | 101.5
         a has open tp=110: 0 nothing",
        "at 1
         tell a highest_profit 101.5 at 0
         tell a breakeven 101.5 at 0
         tell a partial_profit 10% 101.5 at 0 fails
         notice a store_failed: the event record: full
         a: open 100, unsettled",
    );
}

#[test]
fn a_beginning_that_cannot_be_recorded_is_kept_all_the_same() {
    // It is in its store, and owed: told at the next boundary, before anything else.
    check(
        "fails 0: tell
         BTC: 100 | 100 40 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a
         write signal BTC_a/BTC open 100
         tell a opened 100 at 0 fails
         notice a store_failed: the event record: full
         a: open 100
         at 1
         tell a opened 100 at 0
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
    // Until it is told, nothing is judged: an end would be told without its beginning.
    check(
        "fails 0..2: tell
         BTC: 100 | 100 40 100 | 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a
         write signal BTC_a/BTC open 100
         tell a opened 100 at 0 fails
         notice a store_failed: the event record: full
         a: open 100
         at 1
         tell a opened 100 at 0 fails
         notice a store_failed: the event record: full
         at 2
         tell a opened 100 at 0
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
    check(
        "fails 1: tell
         BTC: 100 | 100 99 99 | 99
         a has waiting open=99: 0 nothing",
        "at 1
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null
         tell a opened 99 at 0 fails
         notice a store_failed: the event record: full
         a: open 99
         at 2
         tell a opened 99 at 0",
    );
    // A beginning of somebody who was flat has nothing to be synced before it.
    check(
        "fails 0: sync
         BTC: 100
         a: 0 long",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100",
    );
}

#[test]
fn a_refusal_that_cannot_be_recorded_is_decided_again() {
    check(
        "fails 0: tell
         BTC: 100 | 100
         a every 1h: 0 long tp=90; 1 long",
        "at 0 | ask a
         tell a invalid_signal long_tp_wrong_side at 0 fails
         notice a store_failed: the event record: full
         a: flat, unsettled
         at 1
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write schedule BTC_a/BTC null
         notice a store_recovered
         ask a
         write signal BTC_a/BTC open 100
         tell a opened 100 at 1
         a: open 100",
    );
}

#[test]
fn strategies_are_asked_together_and_admitted_in_their_order_whoever_answers_first() {
    let story = |answers: &str| {
        format!(
            "at 0 | ask a | ask b | ask c
             {answers}
             tell c risk_rejection full beside 2 at 0
             write signal BTC_a/BTC open 100
             write schedule BTC_b/BTC waiting 99
             write risk limit/positions [a on BTC]
             tell a opened 100 at 0
             tell b scheduled 100 at 0
             a: open 100 | b: waiting 99"
        )
    };
    for (turns, answers) in [
        ([1, 2, 3], "a answers | b answers | c answers"),
        ([3, 2, 1], "c answers | b answers | a answers"),
        ([2, 3, 1], "c answers | a answers | b answers"),
    ] {
        let [a, b, c] = turns;
        check(
            &format!("limit: 2\n BTC: 100\n a: 0 slow={a} long\n b: 0 slow={b} long open=99\n c: 0 slow={c} long"),
            &story(answers),
        );
    }
}

#[test]
fn risk_limits_count_what_is_held_and_what_is_about_to_be() {
    // An order that waits counts, and so do slots of traders that are not in the run.
    check(
        "limit: 1
         BTC: 100 | 100
         a every 1h: 0 long open=99
         b every 1h: 0.. long",
        "at 0 | ask a | ask b
         tell b risk_rejection full beside 1 at 0
         write schedule BTC_a/BTC waiting 99
         tell a scheduled 100 at 0
         a: waiting 99
         at 1 | ask b | tell b risk_rejection full beside 1 at 1",
    );
    check(
        "limit: 2
         others: z on ETH, y on BTC
         BTC: 100
         a: 0 long",
        "at 0 | ask a | tell a risk_rejection full beside 2 at 0",
    );
    // An order that is about to be filled is not counted against itself.
    check(
        "limit: 1
         BTC: 100 | 100 99 99
         a every 1h: 0 long open=99",
        "at 0 | ask a | write schedule BTC_a/BTC waiting 99 | tell a scheduled 100 at 0 | a: waiting 99
         at 1
         sync
         write signal BTC_a/BTC open 99
         write risk limit/positions [a on BTC]
         write schedule BTC_a/BTC null
         tell a opened 99 at 0
         a: open 99",
    );
    check(
        "limit: 1
         others: z on ETH
         BTC: 100 | 100 99 99
         a every 1h has waiting open=99: 0 nothing",
        "at 1
         tell a risk_rejection full beside 1 at 0
         tell a cancelled user 99 at 0
         sync
         write schedule BTC_a/BTC null
         ask a
         a: flat",
    );
    // A place that is given up at a boundary is free at the same one, for strategies that are asked then.
    check(
        "limit: 1
         BTC: 100 | 100 40 100
         a: 1 long
         b every 1h: 0 long sl=50",
        "at 0 | ask a | ask b
         write signal BTC_b/BTC open 100
         write risk limit/positions [b on BTC]
         tell b opened 100 at 0
         b: open 100
         at 1
         tell b closed stop_loss 50 at 0
         sync
         write risk limit/positions []
         write signal BTC_b/BTC null
         ask a
         write signal BTC_a/BTC open 100
         write risk limit/positions [a on BTC]
         tell a opened 100 at 1
         a: open 100 | b: flat",
    );
    // It is free for an order that the same candle fills, if its trader comes later in the configuration.
    check(
        "limit: 1
         BTC: 100 | 100 40 70
         a has open sl=50: 0 nothing
         b has waiting open=70 sl=30: 0 nothing",
        "at 1
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_b/BTC open 70
         write risk limit/positions [b on BTC]
         write signal BTC_a/BTC null
         write schedule BTC_b/BTC null
         tell b opened 70 at 0
         ask a
         a: flat | b: open 70",
    );
    check(
        "limit: 1
         BTC: 100 | 100 40 70
         b has waiting open=70 sl=30: 0 nothing
         a has open sl=50: 0 nothing",
        "at 1
         tell b risk_rejection full beside 1 at 0
         tell b cancelled user 70 at 0
         tell a closed stop_loss 50 at 0
         sync
         write risk limit/positions []
         write schedule BTC_b/BTC null
         write signal BTC_a/BTC null
         ask b | ask a
         b: flat | a: flat",
    );
    // What could not be kept has no place.
    check(
        "fails 0: write signal BTC_a
         fails 1: write signal BTC_a
         limit: 1
         BTC: 100 | 100
         a: 0 long
         b: 1 long",
        "at 0 | ask a | ask b
         write signal BTC_a/BTC open 100 fails
         write risk limit/positions []
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: flat, unsettled
         at 1
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null fails
         ask b
         write signal BTC_b/BTC open 100
         write risk limit/positions [b on BTC]
         tell b opened 100 at 1
         b: open 100",
    );
}

#[test]
fn a_strategy_is_asked_once_a_slot_while_it_is_flat() {
    check("BTC: 100 | 100 | 100 | 100 | 100\n a every 3m: 0 nothing", "at 0 | ask a\n at 3 | ask a");
    // A refusal by the risk rules does not use the slot up, any other answer does.
    check(
        "limit: 0
         BTC: 100 | 100 | 100
         a every 1h: 0.. long",
        "at 0 | ask a | tell a risk_rejection full beside 0 at 0
         at 1 | ask a | tell a risk_rejection full beside 0 at 1
         at 2 | ask a | tell a risk_rejection full beside 0 at 2",
    );
    check(
        "BTC: 100 | 100
         a every 1h: 0.. long tp=90",
        "at 0 | ask a | tell a invalid_signal long_tp_wrong_side at 0",
    );
    // Before a restart it was asked already.
    check("BTC: 100 | 100 | 100 | 100\n a from 2: 0 nothing", "at 2 | ask a\n at 3 | ask a");
}

#[test]
fn nobody_is_asked_or_judged_before_the_candle_is_there_and_then_each_in_turn() {
    check("BTC: 100 | 100\n ETH: 100 | -\n a on ETH: 0 nothing\n b: 0 nothing", "at 0 | ask a | ask b\n at 1 | ask b");
    check(
        "BTC: 100 | - | 100 & 100 40 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 2
         tell a closed stop_loss 50 at 1
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
    // An order filled and stopped out meanwhile: each step is kept and told before the next candle is judged.
    check(
        "BTC: 100 | - | - | 100 99 99 & 100 & 99 40 99
         a every 1h: 0 long open=99 sl=50",
        "at 0 | ask a | write schedule BTC_a/BTC waiting 99 | tell a scheduled 100 at 0 | a: waiting 99
         at 3
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null
         tell a opened 99 at 0
         tell a highest_profit 100 at 1
         tell a breakeven 100 at 1
         tell a closed stop_loss 50 at 2
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
}

#[test]
fn when_it_is_too_late_to_enter_nobody_is_asked_but_what_is_held_goes_on() {
    check(
        "late: 1..3
         BTC: 100 | 100 99 99 | 99 40 99 | 99
         a every 1h: 0 long open=99 sl=50
         b: 0 nothing",
        "at 0 | ask a | ask b | write schedule BTC_a/BTC waiting 99 | tell a scheduled 100 at 0 | a: waiting 99
         at 1
         sync
         write signal BTC_a/BTC open 99
         write schedule BTC_a/BTC null
         tell a opened 99 at 0
         a: open 99
         at 2
         tell a closed stop_loss 50 at 1
         sync
         write signal BTC_a/BTC null
         a: flat
         at 3 | ask b",
    );
}

#[test]
fn while_a_run_is_stopping_orders_are_left_alone_and_positions_end() {
    check(
        "stopped: 1..
         BTC: 100 | 100 40 70 | 70 | 70 | 70
         a every 1h: 0 long sl=50
         b every 1h: 0 long open=70 sl=30
         c: 0 nothing",
        "at 0 | ask a | ask b | ask c
         write signal BTC_a/BTC open 100
         write schedule BTC_b/BTC waiting 70
         tell a opened 100 at 0
         tell b scheduled 100 at 0
         a: open 100 | b: waiting 70
         at 1
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
}

#[test]
fn a_strategy_that_takes_its_time_holds_nobody_up_and_is_not_asked_meanwhile() {
    check(
        "patience: 3600
         BTC: 100 | 101 | 102 | 103
         a: 0 until=2 nothing
         b: 0 nothing",
        "at 0 | ask a | ask b
         at 1 | ask b
         at 2 | ask b | a answers
         at 3 | ask a | ask b",
    );
}

#[test]
fn a_late_answer_is_entered_as_of_its_question_and_judged_on_the_candles_since() {
    check(
        "patience: 3600
         BTC: 100 | 100 | 100 | 100
         a every 1h: 0 until=2 long",
        "at 0 | ask a
         at 2 | a answers | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100",
    );
    check(
        "patience: 3600
         BTC: 100 | 100 40 100 | 100 | 100
         a every 1h: 0 until=2 long sl=50",
        "at 0 | ask a
         at 2 | a answers | write signal BTC_a/BTC open 100 | tell a opened 100 at 0 | a: open 100
         at 3
         tell a closed stop_loss 50 at 0
         sync
         write signal BTC_a/BTC null
         a: flat",
    );
    // The price is that of the question, too.
    check(
        "patience: 3600
         BTC: 100 | 120 | 120
         a every 1h: 0 until=1 long open=110",
        "at 0 | ask a
         at 1 | a answers | write signal BTC_a/BTC open 110 | tell a opened 110 at 0 | a: open 110
         at 2
         tell a highest_profit 120 at 0
         tell a breakeven 120 at 0
         tell a partial_profit 10% 120 at 0
         sync
         write partial BTC_a/levels +10
         a: open 110 +10",
    );
}

#[test]
fn a_late_answer_opens_nothing_once_the_run_is_to_end() {
    check(
        "patience: 3600
         stopped: 2..
         BTC: 100 | 100 | 100 | 100
         a every 1h: 0 until=2 long",
        "at 0 | ask a
         at 2 | a answers",
    );
}

#[test]
fn a_trade_that_is_answered_too_late_is_a_failure_and_no_trade_is_none() {
    let too_late = "answered 0 s after it was asked, when it was too late to enter ([live] max-entry-delay-seconds)";
    check(
        "patience: 0
         BTC: 100 | 100 | 100
         a every 1h: 0 until=1 long",
        &format!("at 0 | ask a\n at 1 | a answers\n tell a strategy_failed ({too_late}) at 0"),
    );
    check(
        "patience: 0
         BTC: 100 | 100 | 100
         a: 0 until=1 nothing
         b every 1h: 0 until=2 fails",
        "at 0 | ask a | ask b
         at 1 | a answers
         at 2 | ask a | b answers | tell b strategy_failed (trap) at 0",
    );
}

#[test]
fn a_late_answer_finds_the_places_the_others_have_left() {
    check(
        "patience: 3600
         limit: 1
         BTC: 100 | 100 | 100
         a every 1h: 0 until=1 long
         b: 1 long",
        "at 0 | ask a | ask b
         at 1 | ask b
         write signal BTC_b/BTC open 100
         write risk limit/positions [b on BTC]
         tell b opened 100 at 1
         a answers
         tell a risk_rejection full beside 1 at 0
         b: open 100
         at 2 | ask a",
    );
    // And it needs a store as well.
    check(
        "patience: 3600
         fails 1: write
         BTC: 100 | 100 | 100
         a every 1h: 0 until=1 long; 2 nothing",
        "at 0 | ask a
         at 1 | a answers
         write signal BTC_a/BTC open 100 fails
         notice a store_failed: disk: signal BTC_a/BTC: away
         a: flat, unsettled
         at 2
         write partial BTC_a/levels {}
         write signal BTC_a/BTC null
         write schedule BTC_a/BTC null
         notice a store_recovered
         ask a
         a: flat",
    );
}

#[test]
fn what_is_held_when_the_period_is_over_ends_with_the_candle_after_its_last_boundary() {
    check(
        "end: 1
         BTC: 100 | 100 | 100 | 100
         a every 1h: 0 long
         b every 1h: 0 long open=99",
        "at 0 | ask a | ask b
         write signal BTC_a/BTC open 100
         write schedule BTC_b/BTC waiting 99
         tell a opened 100 at 0
         tell b scheduled 100 at 0
         a: open 100 | b: waiting 99
         at 3
         tell a closed time_expired 100 at 2
         tell b cancelled timeout 100 at 2
         sync
         write signal BTC_a/BTC null
         write schedule BTC_b/BTC null
         a: flat | b: flat",
    );
}

#[test]
fn a_strategy_that_promises_to_be_quiet_is_asked_when_the_promise_ends() {
    // At the time it named.
    check(
        "BTC: 100 | 100 | 100 | 100 | 100
         a: 0 quiet=3; 1.. fails",
        "at 0 | ask a
         at 3 | ask a | tell a strategy_failed (trap) at 3
         at 4 | ask a | tell a strategy_failed (trap) at 4",
    );
    // When a low, a high or a price leaves the band; on its edge is in it.
    for (chart, ends) in [
        ("100 | 110 90 100 | 100 89 100 | 100", 2),
        ("100 | 110 90 100 | 111 100 100 | 100", 2),
        ("100 | 100 | 100 | 112", 3),
        ("100 | 89 | 100 | 100", 1),
    ] {
        let asked: String = (ends..4)
            .map(|minute| format!("\nat {minute} | ask a | tell a strategy_failed (trap) at {minute}"))
            .collect();
        check(&format!("BTC: {chart}\na: 0 quiet=9:90:110; 1.. fails"), &format!("at 0 | ask a{asked}"));
    }
    // A promise that has ended by its time is no promise, and one without end lasts.
    check("BTC: 100 | 100\na: 0 quiet=0; 1 fails", "at 0 | ask a\nat 1 | ask a | tell a strategy_failed (trap) at 1");
    check("BTC: 100 | 100 | 100\na: 0 quiet=1000000; 1.. fails", "at 0 | ask a");
    // An interval is kept to when it ends.
    check(
        "BTC: 100 | 100 | 100 | 100 | 100 | 100 | 100\na every 3m: 0 quiet=2; 1.. fails",
        "at 0 | ask a
         at 3 | ask a | tell a strategy_failed (trap) at 3
         at 6 | ask a | tell a strategy_failed (trap) at 6",
    );
    check(
        "BTC: 100 | 100 | 100 | 100 | 100 | 100 | 100\na every 3m: 0 quiet=4; 1.. fails",
        "at 0 | ask a
         at 6 | ask a | tell a strategy_failed (trap) at 6",
    );
    // Candles that came while nobody was looking count.
    check(
        "BTC: 100 | - | 80 & 100 | 100\na: 0 quiet=9:90:110; 1.. fails",
        "at 0 | ask a
         at 2 | ask a | tell a strategy_failed (trap) at 2
         at 3 | ask a | tell a strategy_failed (trap) at 3",
    );
}

#[test]
fn a_backtest_writes_nothing_and_tells_at_once() {
    let backtest = |text: &str, story: &str| assert_eq!(Play::new(text, false).backtest(), steps(story), "{text}");
    backtest(
        "limit: 1
         BTC: 100 | 100 40 100
         a: 0 long sl=50
         b: 0.. long sl=50",
        // After its rejection, b is asked ahead about the next minute.
        "at 0 | ask a | tell a opened 100 at 0 | ask b | tell b risk_rejection full beside 1 at 0 | ask b | a: open 100
         at 1 | tell a closed stop_loss 50 at 0 | ask a | tell b opened 100 at 1 | a: flat | b: open 100",
    );
    // A record that fails reports it at the end.
    backtest(
        "fails 0..: tell
         BTC: 100 | 100 40 100
         a every 1h: 0 long sl=50",
        "at 0 | ask a | tell a opened 100 at 0 fails | a: open 100
         at 1 | tell a closed stop_loss 50 at 0 fails | a: flat",
    );
}

/// When something can happen next after the last boundary of a scene, from when on candles of BTC are needed, and
/// whether anything is held.
#[track_caller]
fn check_next(text: &str, expected: &str) {
    let mut play = Play::new(text, true);
    run(play.live());
    let desk = &play.desk;
    let due = match desk.due_ms() {
        i64::MIN => "at once".to_owned(),
        i64::MAX => "never".to_owned(),
        due_ms => format!("at {}", minute_of(due_ms)),
    };
    let needed_ms = desk.needed_from_ms("BTC");
    let needed = if needed_ms > at(1_000_000) { "none".to_owned() } else { format!("from {}", minute_of(needed_ms)) };
    let holds = match (desk.holds_anything(), desk.holds_positions()) {
        (false, false) => "nothing",
        (true, false) => "orders",
        (true, true) => "positions",
        (false, true) => "positions and nothing",
    };
    assert_eq!(format!("due {due}, needs {needed}, holds {holds}"), expected, "{text}");
}

#[test]
fn what_comes_next_follows_from_what_is_held_and_when_strategies_were_asked() {
    // Whoever is flat is due when its slot is over, and needs no candles of the past.
    check_next("BTC: 100\n a: 0 nothing", "due at 1, needs none, holds nothing");
    check_next("BTC: 100\n a every 5m: 0 nothing", "due at 5, needs none, holds nothing");
    check_next("BTC: 100\n a every 5m: 0 nothing\n b every 3m: 0 nothing", "due at 3, needs none, holds nothing");
    check_next("BTC: 100\n a from 4: 0 nothing", "due at 4, needs none, holds nothing");
    check_next("BTC: 100 | 100\n a every 5m from 1: 0 nothing", "due at 5, needs none, holds nothing");
    check_next("BTC: 100\n ETH: -\n a on ETH: 0 nothing", "due at once, needs none, holds nothing");
    check_next("limit: 0\n BTC: 100\n a every 5m: 0 long", "due at once, needs none, holds nothing");
    check_next("BTC: 100", "due never, needs none, holds nothing");
    // Whatever is held may end at any minute. It needs the next candle to judge, and one before it for the average.
    check_next("BTC: 100\n a: 0 long", "due at once, needs from -1, holds positions");
    check_next("BTC: 100 | 100 | 100\n a: 0 long", "due at once, needs from 1, holds positions");
    check_next("BTC: 100 | 100\n a: 0 long open=99", "due at once, needs from 0, holds orders");
    check_next(
        "BTC: 100 | 100 | 100\n a: 0 long open=99\n b every 5m: 0 nothing; 2 long",
        "due at once, needs from 1, holds orders",
    );
    check_next("BTC: 100 | - | -\n a: 0 long", "due at once, needs from -1, holds positions");
    check_next(
        "BTC: 100\n a has open @-7: 0 nothing\n b has waiting @-9: 0 nothing",
        "due at once, needs from -10, holds positions",
    );
    check_next("BTC: 100\n ETH: 100\n a on ETH: 0 long\n b: 0 nothing", "due at once, needs none, holds positions");
    // A store that fails is behind, and its candles are needed.
    check_next(
        "fails 1..: write\n BTC: 100 | 101.5 | 100\n a: 0 long tp=110",
        "due at once, needs from -1, holds positions",
    );
}

#[test]
fn what_a_strategy_remembers_is_written_before_its_answer_counts() {
    check(
        "BTC: 100 | 100 | 100 | 100
         a: 0 sets=1 nothing; 1 nothing; 2 sets=2 long",
        "at 0 | ask a
         write memory BTC_a/values x=1 (x was nothing)
         at 1 | ask a x=1
         at 2 | ask a x=1
         write memory BTC_a/values x=2 (x was 1)
         write signal BTC_a/BTC open 100
         tell a opened 100 at 2
         a: open 100",
    );
}

#[test]
fn a_question_whose_memory_cannot_be_kept_has_changed_nothing() {
    for fails in ["fails 1: write memory", "fails 1: landing write memory"] {
        check(
            &format!(
                "{fails}
                 BTC: 100 | 100 | 100 | 100
                 a: 0 sets=1 nothing; 1 sets=2 long; 3 sets=3 nothing"
            ),
            "at 0 | ask a
             write memory BTC_a/values x=1 (x was nothing)
             at 1 | ask a x=1
             write memory BTC_a/values x=2 (x was 1) fails
             tell a strategy_failed (what it remembers could not be kept: disk: memory BTC_a/values: away) at 1
             at 2 | write memory BTC_a/values x=1
             ask a x=1
             at 3 | ask a x=1
             write memory BTC_a/values x=3 (x was 1)",
        );
    }
}

#[test]
fn a_late_answer_counts_with_what_it_remembers_or_not_at_all() {
    check(
        "BTC: 100 | 100 | 100
         patience: 3600
         a every 1h: 0 until=1 sets=1 nothing",
        "at 0 | ask a
         at 1 | a answers
         write memory BTC_a/values x=1 (x was nothing)",
    );
    check(
        "BTC: 100 | 100 | 100 | 100
         patience: 3600
         stopped: 1..2
         a: 0 until=1 sets=1 nothing",
        "at 0 | ask a
         at 1 | a answers
         at 2 | write memory BTC_a/values nothing
         ask a
         at 3 | ask a",
    );
}
