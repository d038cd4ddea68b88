use std::{
    cell::Cell,
    fmt::Write as _,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::{
    collection::vec,
    option,
    prelude::{Just, TestCaseError, any, prop_assert, prop_oneof},
    sample::subsequence,
    strategy::Strategy as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sigbox_engine::{
    Interval, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    signal::Pair,
    stats::Tally,
    trader::{Answer, Quiet},
};
use sigbox_market::{
    Market,
    candles::{Recipe, Series, generate},
};

use super::*;
use crate::{
    Backtest, Frame, Native, Progress, SeatSetup, Setup, Trades,
    sink::Sink,
    testing::{at, minute_of, settings},
};

// The parts.

fn moment(words: &str) -> Moment {
    let [minute, part, seat] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words:?} is no moment") };
    let part = match part {
        "judge" => Part::Judge,
        "admit" => Part::Admit,
        _ => panic!("{part:?} is no part of a boundary"),
    };
    Moment { now_ms: at(minute.parse().unwrap()), part, seat: seat.parse().unwrap() }
}

#[test]
fn moments_are_in_the_order_in_which_one_thread_does_everything() {
    let inputs = ["1 judge 0", "1 judge 1", "1 admit 0", "1 admit 1", "2 judge 0", "2 admit 0", "3 judge 7"];
    let moments: Vec<Moment> = inputs.map(moment).into_iter().chain([Moment::END]).collect();
    assert!(moments.is_sorted_by(|first, second| first < second), "{moments:?}");
}

fn nothing(_: i64, _: f64) -> Answer {
    Answer::Nothing
}

/// A function that answers.
type Answers = fn(i64, f64) -> Answer;

/// A board of lanes, each under one or both of two profiles.
fn board(profiles: &[&[usize]]) -> Board<Native<Answers>> {
    let names = ["first", "second"];
    let market = market(&[(3, 10, None)]);
    let setup = names.iter().fold(Setup::new("ex", market, settings()), |setup, name| {
        setup.profile(Profile::new((*name).to_owned(), Vec::new()))
    });
    let setup = (0..).zip(profiles).fold(setup, |setup, (number, profiles)| {
        let strategy = Native(nothing as Answers);
        let seat = SeatSetup::new(setup.assign(format!("s{number}"), symbol(0)), Interval::MINUTE, strategy);
        setup.seat(SeatSetup { risk: profiles.iter().map(|profile| names[*profile].to_owned()).collect(), ..seat })
    });
    let (seats, profiles) = setup.into_seats(std::collections::BTreeMap::new()).unwrap();
    let asking = Asking { first: at(0), step: MINUTE_MS, last: at(9) };
    let course = Course { profiles: &profiles, average_of: 1, frame_end_ms: None, asking, stop_ms: at(10) };
    Board::new(seats.into_iter().enumerate().map(|(number, seat)| Lane::new(number, seat, &course)).collect(), &course)
}

/// The lane of `next` comes as far as that, and has begun and ended to hold something on the way.
fn comes_to<S>(board: &mut Board<S>, next: &str, begun: bool, ended: Option<&str>) {
    let next = moment(next);
    let mut lane = board.lanes[next.seat].take().unwrap();
    lane.next = next;
    lane.news = News { turns: Turns { begun, ended: ended.map(moment) }, outcomes: Vec::new() };
    board.put(lane);
}

#[test]
fn a_lane_learns_what_the_others_hold_when_all_have_come_to_its_moment() {
    let mut board = board(&[&[0], &[0, 1], &[0], &[]]);
    let holding = |board: &mut Board<_>, profile, at: &str| board.holding(profile, moment(at));
    comes_to(&mut board, "5 admit 0", false, None);
    assert_eq!(holding(&mut board, 0, "5 admit 0"), None, "nobody else has come so far");
    comes_to(&mut board, "5 admit 1", false, None);
    comes_to(&mut board, "5 judge 2", false, None);
    assert_eq!(holding(&mut board, 0, "5 admit 0"), None, "seat 2 judges before seat 0 is admitted");
    comes_to(&mut board, "5 admit 2", false, None);
    // Seat 3 is under no profile, so nobody waits for it.
    assert_eq!(holding(&mut board, 0, "5 admit 0"), Some(0));
    assert_eq!(holding(&mut board, 0, "5 admit 1"), None);
    // Seat 0 holds something from minute 5 on, and ends when minute 7 is judged.
    comes_to(&mut board, "7 admit 0", true, Some("7 judge 0"));
    assert_eq!(holding(&mut board, 0, "5 admit 1"), Some(1));
    assert_eq!(holding(&mut board, 1, "5 admit 1"), Some(0), "seat 0 is not under that profile");
    comes_to(&mut board, "7 judge 1", true, None);
    assert_eq!(holding(&mut board, 0, "5 admit 2"), Some(2));
    comes_to(&mut board, "7 admit 2", false, None);
    // Seat 1 judges an order that it holds itself. Seat 0 was judged before.
    assert_eq!(holding(&mut board, 0, "7 judge 1"), Some(1));
}

#[test]
fn the_least_lane_can_always_go_on() {
    let mut board = board(&[&[0], &[0], &[0], &[]]);
    let far = board.ahead_ms / MINUTE_MS;
    for seat in 0..4 {
        comes_to(&mut board, &format!("{} admit {seat}", 3 + seat), false, None);
        board.lanes[seat].as_mut().unwrap().waits = true;
    }
    assert_eq!(board.choose(None), Some(0));
    assert_eq!(board.choose(Some(1)), Some(0), "1 needs to know what 0 does");
    assert_eq!(board.choose(Some(3)), Some(3), "3 needs to know nothing of the others");
    // Somebody works on 0, so 1 and 2 wait.
    let first = board.lanes[0].take().unwrap();
    assert_eq!(board.choose(None), Some(3));
    comes_to(&mut board, &format!("{far} admit 3"), false, None);
    assert_eq!(board.choose(Some(3)), Some(3), "the thread that is at it may go to the end");
    assert_eq!(board.choose(None), None, "nobody else begins so far ahead");
    comes_to(&mut board, &format!("{} admit 3", far + 1), false, None);
    assert_eq!(board.choose(Some(3)), None, "so far ahead of what was told");
    // What is told opens the way again.
    board.put(first);
    for seat in 0..3 {
        comes_to(&mut board, &format!("{} admit {seat}", 2 * far), false, None);
    }
    assert_eq!(board.choose(None), None);
    assert!(board.task(None, false).is_none(), "only the teller tells");
    assert!(
        matches!(board.task(None, true), Some(Task::Tell(until, _)) if until == moment(&format!("{} admit 3", far + 1)))
    );
    assert_eq!(board.choose(None), Some(3));
}

#[test]
fn outcomes_of_all_lanes_are_told_in_order() {
    let lanes: [&[&str]; 3] = [
        &["1 judge 0", "1 judge 0", "1 admit 0", "4 judge 0"],
        &["1 judge 1", "3 judge 1", "3 judge 1", "3 admit 1"],
        &["2 admit 2", "3 judge 2", "5 judge 2"],
    ];
    let mut merge = Merge::new(lanes.len());
    let mut told = Vec::new();
    // All lanes have come to the third number; what is added is cut in two.
    for (from, to, until) in [(0, 2, "2 judge 0"), (2, 9, "3 judge 2"), (9, 9, "9 judge 0")] {
        for lane in lanes {
            let part = &lane[from.min(lane.len())..to.min(lane.len())];
            let of = |at: &&str| (moment(at), Outcome::StrategyFailed { message: (*at).to_owned(), at_ms: 0 });
            merge.add(part.iter().map(of).collect());
        }
        while let Some((seat, outcome)) = merge.next_before(moment(until)) {
            let Outcome::StrategyFailed { message, .. } = outcome else { panic!("{outcome:?} was not added") };
            assert!(message.ends_with(&seat.to_string()));
            told.push(message);
        }
        told.push("and then".to_owned());
    }
    assert_eq!(
        told.join(", "),
        "1 judge 0, 1 judge 0, 1 judge 1, and then, 1 admit 0, 2 admit 2, 3 judge 1, 3 judge 1, and then, 3 judge 2, \
         3 admit 1, 4 judge 0, 5 judge 2, and then"
    );
}

// The whole.

/// What trades in a run, on which terms.
#[derive(Clone, Debug)]
struct Portfolio {
    /// The candles of each symbol: a seed, how many, and the one whose low is absurd.
    charts: Vec<(u64, usize, Option<usize>)>,
    average_of: u32,
    /// What may be held at once under each profile; and after so many minutes, nothing may begin for so many.
    profiles: Vec<(usize, [usize; 2])>,
    seats: Vec<Pairing>,
    every: &'static str,
    /// Minutes before the end of the candles at which the frame ends.
    frame_ends: Option<i64>,
}

#[derive(Clone, Debug)]
struct Pairing {
    symbol: usize,
    profiles: Vec<usize>,
    every: &'static str,
    seed: u64,
    /// How many of a hundred answers are trades.
    eager: u64,
}

fn symbol(number: usize) -> String {
    format!("S{number}")
}

fn market(charts: &[(u64, usize, Option<usize>)]) -> Market {
    Market::new(charts.iter().enumerate().map(|(number, (seed, minutes, absurd))| {
        let recipe = Recipe { seed: *seed, start_ms: at(0), minutes: *minutes, price: 100.0, volatility_percent: 0.3 };
        let mut candles = generate(&recipe).unwrap();
        if let Some(candle) = absurd.and_then(|absurd| candles.get_mut(absurd)) {
            candle.low = 1e-9;
        }
        (symbol(number), Series::new(candles).unwrap())
    }))
}

fn portfolio() -> impl proptest::strategy::Strategy<Value = Portfolio> {
    let charts = (0_u64..1000, prop_oneof![200_usize..600, 1000_usize..2500], option::weighted(0.1, 100_usize..1000));
    let profile = (1_usize..5, [5_usize..60, 1_usize..8]);
    let trades = (
        0_usize..4,
        prop_oneof![3 => Just(vec![0]), 1 => subsequence(vec![0, 1, 2], 0..=3)],
        prop_oneof![4 => Just("1m"), 1 => Just("5m")],
        any::<u64>(),
        prop_oneof![1 => Just(0), 2 => Just(2), 4 => Just(20), 3 => Just(80)],
    );
    let trades =
        trades.prop_map(|(symbol, profiles, every, seed, eager)| Pairing { symbol, profiles, every, seed, eager });
    (
        vec(charts, 4),
        1_u32..5,
        vec(profile, 3),
        vec(trades, 2..=12),
        prop_oneof![4 => Just("1m"), 1 => Just("5m"), 1 => Just("1h")],
        option::of(prop_oneof![-3_i64..3, 3_i64..100]),
    )
        .prop_map(|(charts, average_of, profiles, seats, every, frame_ends)| Portfolio {
            charts,
            average_of,
            profiles,
            seats,
            every,
            frame_ends,
        })
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn percent(&mut self, bound: u32) -> f64 {
        f64::from(u32::try_from(self.below(u64::from(bound))).unwrap()) / 100.0
    }

    /// An answer that follows from all that was asked before, and from the last trades.
    fn answer(&mut self, eager: u64, trades: &Trades, now_ms: i64, price: f64) -> Answer {
        for trade in trades.last(3) {
            self.0 ^= trade.closed_ms.unsigned_abs();
        }
        if self.below(100) == 0 {
            // Others get their turn at any time.
            thread::yield_now();
        }
        if self.below(100) >= eager {
            return Answer::Nothing;
        }
        match self.below(20) {
            0 => Answer::Failed("no idea".to_owned()),
            1 => Answer::Quiet(Quiet {
                until_ms: now_ms + i64::try_from(self.below(40)).unwrap() * MINUTE_MS,
                below: price * 0.995,
                above: f64::INFINITY,
            }),
            _ => {
                let (side, towards) = if self.below(2) == 0 { (Side::Long, 1.0) } else { (Side::Short, -1.0) };
                let away = |from: f64, percent: f64| from * (1.0 + towards * percent / 100.0);
                // Some of them the market has reached already.
                let price_open = (self.below(2) == 0).then(|| away(price, 0.1 - self.percent(60)));
                let entry = price_open.unwrap_or(price);
                Answer::Trade(Proposal {
                    id: (self.below(6) == 0).then(|| "the same".to_owned()),
                    symbol: (self.below(30) == 0).then(|| "ELSEWHERE".to_owned()),
                    side,
                    price_open,
                    price_take_profit: away(entry, self.percent(300)),
                    price_stop_loss: away(entry, -self.percent(300)),
                    minute_estimated_time: Some(f64::from(1 + u32::try_from(self.below(60)).unwrap())),
                    cost: None,
                    multiplier: None,
                    isolated: None,
                    note: None,
                })
            }
        }
    }
}

/// What a run told its sink, and how it ended.
#[derive(Default)]
struct Told {
    outcomes: Vec<(Pair, Outcome)>,
    tally: Tally,
    progress: Vec<u64>,
    end: String,
}

impl Sink for Told {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        self.outcomes.push((pair.clone(), outcome.clone()));
        self.tally.tell(pair, outcome)
    }

    fn hears_ticks(&self) -> bool {
        false
    }
}

impl Portfolio {
    fn setup(&self) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + 'static + use<>>> {
        let market = market(&self.charts);
        let settings = Settings { avg_price_candles_count: self.average_of, schedule_await_minutes: 15, ..settings() };
        let covered = self.charts.iter().map(|(_, minutes, _)| *minutes).min().unwrap();
        let end_ms = self.frame_ends.map(|minutes| at(i64::try_from(covered).unwrap() - minutes));
        let frame = Frame { end_ms, interval: self.every.parse().unwrap(), ..Frame::default() };
        let setup = Setup::new("ex", market, settings).over(frame);
        let setup = self.profiles.iter().enumerate().fold(setup, |setup, (number, (limit, [open, closed]))| {
            let rule = |rule, note: &str| NamedRule { rule, id: None, note: note.to_owned() };
            let starts = (*open..1500).step_by(open + closed).map(|minute| i64::try_from(minute).unwrap());
            let length = i64::try_from(*closed).unwrap();
            let windows = starts.map(|minute| rule(Rule::RejectWindow(at(minute), at(minute + length)), "closed"));
            let rules = [rule(Rule::MaxActive(*limit), "full")].into_iter().chain(windows);
            setup.profile(Profile::new(format!("p{number}"), rules.collect()))
        });
        self.seats.iter().enumerate().fold(setup, |setup, (number, trades)| {
            let (mut dice, eager) = (Dice(trades.seed), trades.eager);
            let assignment = setup.assign(format!("s{number}"), symbol(trades.symbol));
            let last = assignment.trades().clone();
            let strategy = Native(move |now_ms, price| dice.answer(eager, &last, now_ms, price));
            let seat = SeatSetup::new(assignment, trades.every.parse().unwrap(), strategy);
            setup
                .seat(SeatSetup { risk: trades.profiles.iter().map(|profile| format!("p{profile}")).collect(), ..seat })
        })
    }

    /// Runs on so many threads, and stops when so many reports of progress have been made.
    fn run(&self, threads: usize, reports: usize) -> Told {
        let mut told = Told::default();
        let backtest = match Backtest::new(self.setup()) {
            Ok(backtest) => backtest.threads(NonZeroUsize::new(threads).unwrap()),
            Err(error) => return Told { end: error.to_string(), ..told },
        };
        let mut progress = Vec::new();
        let ended = backtest.run(&mut told, |Progress { done, total }| {
            assert!(done <= total);
            progress.push(done);
            if progress.len() == reports { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        told.progress = progress;
        told.end = ended.map_or_else(|error| error.to_string(), |()| "the end".to_owned());
        told
    }
}

/// The first outcome that differs, with the one before it.
fn difference(found: &Told, expected: &Told) -> Option<String> {
    let mut text = String::new();
    let differs = |place: &usize| found.outcomes.get(*place) != expected.outcomes.get(*place);
    if let Some(place) = (0..found.outcomes.len().max(expected.outcomes.len())).find(differs) {
        for (what, told) in [("found", found), ("expected", expected)] {
            let around = told.outcomes.iter().skip(place.saturating_sub(1)).take(2);
            writeln!(text, "{what} from outcome {place} of {}: {:#?}", told.outcomes.len(), around.collect::<Vec<_>>())
                .unwrap();
        }
    }
    if found.end != expected.end {
        writeln!(text, "it ended with {:?}, not with {:?}", found.end, expected.end).unwrap();
    }
    if format!("{:?}", found.tally) != format!("{:?}", expected.tally) {
        text += "the totals differ\n";
    }
    (!text.is_empty()).then_some(text)
}

#[test]
fn a_portfolio_does_the_same_on_any_number_of_threads() {
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let (cases, bitten, stopped) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let fills_refused = Cell::new(0);
    // Always the same cases, so that how often something happens in them is the same.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ran = runner.run(&portfolio(), |portfolio| {
        let alone = portfolio.run(1, usize::MAX);
        for threads in [2, 3, 8] {
            let together = portfolio.run(threads, usize::MAX);
            if let Some(difference) = difference(&together, &alone) {
                return Err(TestCaseError::fail(format!("{threads} threads: {difference}")));
            }
            prop_assert!(together.progress.is_sorted());
        }
        let full = |(_, outcome): &&(Pair, Outcome)| {
            matches!(outcome, Outcome::Rejected { rejection, .. } if rejection.note == "full")
        };
        cases.set(cases.get() + 1);
        bitten.set(bitten.get() + usize::from(alone.outcomes.iter().filter(full).count() > 20));
        stopped.set(stopped.get() + usize::from(alone.end != "the end"));
        let refused = |pair: &[(Pair, Outcome)]| {
            matches!(pair, [(_, Outcome::Rejected { .. }), (_, Outcome::Cancelled { .. })])
        };
        fills_refused.set(fills_refused.get() + usize::from(alone.outcomes.windows(2).any(refused)));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
    let (cases, bitten, stopped, refused) = (cases.get(), bitten.get(), stopped.get(), fills_refused.get());
    assert!(3 * bitten > cases, "the rules refused little: in {bitten} cases of {cases}");
    assert!(10 * stopped > cases, "few runs ended early: {stopped} of {cases}");
    assert!(10 * refused > cases, "few orders were refused when they were about to be filled: in {refused} of {cases}");
}

/// Twelve traders on four symbols, of whom three may hold something.
fn crowd(minutes: usize) -> Portfolio {
    let trades = |number: usize| Pairing {
        symbol: number % 4,
        profiles: vec![0],
        every: "1m",
        seed: u64::try_from(number).unwrap(),
        eager: 20,
    };
    Portfolio {
        charts: (0..4).map(|seed| (seed, minutes, None)).collect(),
        average_of: 2,
        profiles: vec![(3, [5000, 0])],
        seats: (0..12).map(trades).collect(),
        every: "1m",
        frame_ends: None,
    }
}

#[test]
fn a_run_that_is_stopped_has_told_the_beginning() {
    let portfolio = crowd(6000);
    let whole = portfolio.run(1, usize::MAX);
    for reports in [1, 2, 5, 9] {
        let begun = portfolio.run(4, reports);
        assert_eq!((begun.progress.len(), begun.end.as_str()), (reports, "the end"));
        let count = begun.outcomes.len();
        assert!(count > 0 && count < whole.outcomes.len(), "{count} of {}", whole.outcomes.len());
        assert!(begun.outcomes[..] == whole.outcomes[..count]);
    }
}

#[test]
fn reports_of_progress_are_even() {
    let told = crowd(6000).run(2, usize::MAX);
    let steps: Vec<u64> = told.progress.windows(2).map(|reports| reports[1] - reports[0]).collect();
    assert!(steps.len() > 8 && steps.iter().all(|step| *step < 1500), "{:?}", told.progress);
}

#[test]
fn a_panic_of_a_strategy_ends_the_run() {
    for threads in [2, 3, 8] {
        let portfolio = crowd(3000);
        let setup = portfolio.setup().map(|assignment, _, mut strategy| {
            let panics = assignment.pair().strategy == "s7";
            Native(move |now_ms, price| {
                assert!(!panics || minute_of(now_ms) < 2000, "s7 has had enough");
                (strategy.0)(now_ms, price)
            })
        });
        let backtest = Backtest::new(setup).unwrap().threads(NonZeroUsize::new(threads).unwrap());
        let run = || backtest.run(&mut Told::default(), |_| ControlFlow::Continue(()));
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("the strategy panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"s7 has had enough"), "{threads} threads");
    }
}
