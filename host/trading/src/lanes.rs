//! A backtest on several cores: each trader runs ahead on its own, in a lane.
//!
//! Traders meet only in the risk rules. A trader that wants to enter, or whose order is about to be filled, must know
//! what the others hold at that moment. So a lane runs until it needs to know that, and then waits until every lane that
//! shares a risk profile has reached the moment. The lane with the least moment never waits, so the lanes never all wait.
//!
//! Every moment of a run has its place in one order: by time, then candles are judged before answers are admitted, then by
//! seats. It is the order in which one thread does everything. Outcomes are told in it, so the sink hears the same
//! whatever the number of threads.

#[cfg(test)]
mod tests;

use std::{
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use sigbox_engine::{
    MINUTE_MS, Outcome, Outcomes, State,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    signal::Pair,
    trader::{Answer, Bar},
};

use crate::{
    desk::Seat,
    risk::Profile,
    row::{Ahead, Asking, Promise},
    sink::Sink,
    strategy::{Question, Strategy},
};

/// How many steps a lane makes before others learn how far it is. Few enough that nobody waits long for it, and enough
/// that learning costs little.
const STEPS: usize = 256;

/// The place of a step in the order of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    /// The boundary.
    now_ms: i64,
    part: Part,
    seat: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A candle is judged.
    Judge,
    /// An answer is admitted.
    Admit,
}

impl Moment {
    /// After everything.
    const END: Self = Self { now_ms: i64::MAX, part: Part::Admit, seat: usize::MAX };
}

/// What all lanes have in common, and does not change.
pub(crate) struct Course {
    pub(crate) profiles: Vec<Profile>,
    /// Candles in the average price.
    pub(crate) average_of: usize,
    /// The last boundary of the period being tested.
    pub(crate) frame_end_ms: Option<i64>,
    pub(crate) asking: Asking,
    /// Candles that close later are not judged.
    pub(crate) judged_until_ms: i64,
}

/// What others know of a lane.
struct Known {
    /// Everything before this moment is done.
    until: Moment,
    /// When it began to hold something, and when it held nothing again, in turns.
    turns: Vec<Moment>,
}

impl Known {
    /// Whether it holds something at `moment`, which is not after `until`.
    fn holds(&self, moment: Moment) -> bool {
        self.turns.partition_point(|turn| *turn < moment) % 2 == 1
    }
}

/// The lanes as they see each other.
struct Others {
    known: Vec<Mutex<Known>>,
    /// The seats under each profile.
    subject: Vec<Vec<usize>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is written under these locks cannot panic half way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Others {
    /// How many lanes but that of `moment` hold something then under `profile`; `None`: some have not come so far.
    fn holding(&self, profile: usize, moment: Moment) -> Option<usize> {
        let others = self.subject[profile].iter().filter(|seat| **seat != moment.seat);
        others.map(|seat| lock(&self.known[*seat])).try_fold(0, |count, known| {
            (known.until >= moment).then(|| count + usize::from(known.holds(moment)))
        })
    }

    /// Whether every lane under one of `profiles` has come to `moment`.
    fn have_come_to(&self, moment: Moment, profiles: &[usize]) -> bool {
        profiles.iter().all(|profile| self.holding(*profile, moment).is_some())
    }

    fn until(&self, seat: usize) -> Moment {
        lock(&self.known[seat]).until
    }
}

/// One trader on its way.
struct Lane<S> {
    seat: Seat<S>,
    number: usize,
    /// From when on it may be asked, while it is flat.
    free_from_ms: i64,
    /// The moment of its next step.
    until: Moment,
    /// It cannot make that step before the others have come to it.
    waits: bool,
    /// Turns that the others do not know of yet.
    turns: Vec<Moment>,
    /// What is not yet handed over.
    told: Vec<(Moment, Outcome)>,
    row: Vec<Question>,
}

/// The risk rules of a lane at a moment.
struct Gate<'a> {
    course: &'a Course,
    others: &'a Others,
    profiles: &'a [usize],
    moment: Moment,
    /// Some other lane has not come so far, so the answer means nothing.
    too_early: bool,
}

impl RiskGate for Gate<'_> {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        for index in self.profiles {
            let Profile { rules, others, .. } = &self.course.profiles[*index];
            let Some(holding) = self.others.holding(*index, self.moment) else {
                self.too_early = true;
                return Err(Rejection { id: None, note: String::new(), active_positions: 0 });
            };
            check_rules(rules, request, holding + others.len())?;
        }
        Ok(())
    }
}

/// Keeps outcomes without the ticks.
struct Eventful<'a>(&'a mut Vec<Outcome>);

impl Outcomes for Eventful<'_> {
    fn add(&mut self, outcome: Outcome) {
        self.0.push(outcome);
    }

    fn tick(&mut self, _: &Outcome) {}
}

impl<S: Strategy> Lane<S> {
    /// Makes some steps, until it is through or has to wait.
    fn advance(&mut self, course: &Course, others: &Others) {
        let mut outcomes = Vec::new();
        for _ in 0..STEPS {
            self.until = self.next(course);
            if self.until == Moment::END {
                break;
            }
            self.waits = !self.step(course, others, &mut outcomes);
            if self.waits {
                break;
            }
            self.told.extend(outcomes.drain(..).map(|outcome| (self.until, outcome)));
        }
        if self.waits {
            return;
        }
        // What was done last is done; the next step may be far away.
        self.until = self.next(course);
    }

    /// The moment of the next step.
    fn next(&mut self, course: &Course) -> Moment {
        let Course { average_of, asking, judged_until_ms, .. } = *course;
        let step = match self.seat.trader.state() {
            State::Idle => {
                self.seat.ask_ahead(self.free_from_ms, asking, average_of, false, &mut self.row);
                self.seat.ahead.as_ref().map(|ahead| (ahead.at_ms, Part::Admit))
            }
            State::Scheduled(_) | State::Open(_) => Some((self.seat.next_open_ms + MINUTE_MS, Part::Judge)),
        };
        let possible = step.filter(|(now_ms, part)| match part {
            Part::Judge => *now_ms <= judged_until_ms && self.seat.series.read().bar(*now_ms, average_of).is_some(),
            Part::Admit => *now_ms < i64::MAX,
        });
        possible.map_or(Moment::END, |(now_ms, part)| Moment { now_ms, part, seat: self.number })
    }

    /// Makes the step at `until`. False: the others have not come so far, and nothing has changed.
    fn step(&mut self, course: &Course, others: &Others, outcomes: &mut Vec<Outcome>) -> bool {
        let Self { seat, until: moment, .. } = self;
        let Moment { now_ms, part, .. } = *moment;
        let held = !matches!(seat.trader.state(), State::Idle);
        let profiles = &seat.profiles;
        let mut gate = Gate { course, others, profiles, moment: *moment, too_early: false };
        let mut told = Eventful(outcomes);
        let (next, judged_open_ms, answer) = match part {
            Part::Judge => {
                let series = seat.series.read();
                let Some((candle, average)) = series.bar(now_ms, course.average_of) else { return true };
                let bar = Bar { candle, average, frame_end_ms: course.frame_end_ms };
                let (next, open_ms) = (seat.trader.step(bar, &mut gate, &mut told), candle.open_time_ms);
                (next, Some(open_ms), None)
            }
            Part::Admit => {
                let Some(ahead) = seat.ahead.take() else { return true };
                let next = seat.trader.admit(now_ms, ahead.price, ahead.answer.clone(), &mut gate, &mut told);
                (next, None, Some(ahead))
            }
        };
        if gate.too_early {
            outcomes.clear();
            seat.ahead = answer;
            return false;
        }
        if let Some(Ahead { answer: Answer::Quiet(quiet), .. }) = answer {
            seat.promise = Some(Promise::new(quiet, now_ms));
        }
        seat.commit(next, judged_open_ms);
        // A trader that has become flat is asked at the same boundary; one that was asked, at the next.
        self.free_from_ms = if part == Part::Judge { now_ms } else { now_ms + MINUTE_MS };
        if held == matches!(self.seat.trader.state(), State::Idle) {
            self.turns.push(self.until);
        }
        true
    }
}

/// The lanes that nobody is working on, and what came of all of them.
struct Board<S> {
    lanes: Vec<Option<Lane<S>>>,
    told: Vec<(Moment, Outcome)>,
    /// Nothing more is to be done.
    is_stopped: bool,
}

/// What there is to do.
enum Task<S> {
    Advance(Lane<S>),
    /// Somebody else must come further first.
    Wait,
    /// All lanes are through.
    Done,
}

impl<S> Board<S> {
    /// The lane with the least moment of those that can go on.
    fn take(&mut self, others: &Others) -> Task<S> {
        if self.is_stopped || self.is_done() {
            return Task::Done;
        }
        let can_go_on = |lane: &&Lane<S>| {
            lane.until != Moment::END && (!lane.waits || others.have_come_to(lane.until, &lane.seat.profiles))
        };
        let next = self.lanes.iter().flatten().filter(can_go_on).min_by_key(|lane| lane.until).map(|lane| lane.number);
        next.and_then(|number| self.lanes[number].take()).map_or(Task::Wait, Task::Advance)
    }

    fn is_done(&self) -> bool {
        self.lanes.iter().all(|lane| lane.as_ref().is_some_and(|lane| lane.until == Moment::END))
    }

    /// What was told before `moment`, in order. What comes later stays.
    fn told_before(&mut self, moment: Moment) -> Vec<(Moment, Outcome)> {
        // What one lane tells is in order, and the moments of two lanes are never the same.
        self.told.sort_by_key(|(moment, _)| *moment);
        let rest = self.told.split_off(self.told.partition_point(|(told, _)| *told < moment));
        std::mem::replace(&mut self.told, rest)
    }
}

/// Runs all seats to their end on `threads` threads, or until `progress` breaks; it is told the boundary that all have
/// reached. Returns the seats as they are then; `None`: it was stopped.
pub(crate) fn run<S: Strategy>(
    seats: Vec<Seat<S>>,
    course: &Course,
    threads: usize,
    sink: &mut dyn Sink,
    mut progress: impl FnMut(i64) -> ControlFlow<()>,
) -> Option<Vec<Seat<S>>> {
    let first = |seat| Moment { now_ms: i64::MIN, part: Part::Judge, seat };
    let pairs: Vec<Pair> = seats.iter().map(|seat| seat.pair().clone()).collect();
    let known = (0..seats.len()).map(|seat| Mutex::new(Known { until: first(seat), turns: Vec::new() })).collect();
    let under = |profile: usize| (0..seats.len()).filter(move |seat| seats[*seat].profiles.contains(&profile));
    let subject = (0..course.profiles.len()).map(|profile| under(profile).collect()).collect();
    let others = Others { known, subject };
    let lanes = seats.into_iter().enumerate().map(|(number, seat)| {
        let (row, turns, told) = (Vec::new(), Vec::new(), Vec::new());
        let (free_from_ms, until) = (i64::MIN, first(number));
        Some(Lane { seat, number, free_from_ms, until, waits: false, turns, told, row })
    });
    let board = Mutex::new(Board { lanes: lanes.collect(), told: Vec::new(), is_stopped: false });
    let changed = Condvar::new();

    let work = || {
        let _alarm = Alarm(|| {
            lock(&board).is_stopped = true;
            changed.notify_all();
        });
        loop {
            let mut free = lock(&board);
            let mut lane = loop {
                match free.take(&others) {
                    Task::Advance(lane) => break lane,
                    Task::Wait => free = changed.wait(free).unwrap_or_else(PoisonError::into_inner),
                    Task::Done => return,
                }
            };
            drop(free);
            lane.advance(course, &others);
            let mut free = lock(&board);
            free.told.append(&mut lane.told);
            let mut known = lock(&others.known[lane.number]);
            known.turns.append(&mut lane.turns);
            known.until = lane.until;
            drop(known);
            let number = lane.number;
            free.lanes[number] = Some(lane);
            drop(free);
            changed.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
        let mut reached = first(0);
        loop {
            let mut free = lock(&board);
            let is_over = loop {
                let horizon = (0..pairs.len()).map(|seat| others.until(seat)).min().unwrap_or(Moment::END);
                let is_over = free.is_stopped || free.is_done();
                if is_over || horizon > reached {
                    reached = horizon;
                    break is_over;
                }
                free = changed.wait(free).unwrap_or_else(PoisonError::into_inner);
            };
            let told = free.told_before(reached);
            drop(free);
            for (moment, outcome) in told {
                if let Err(error) = sink.tell(&pairs[moment.seat], &outcome) {
                    tracing::error!("an event could not be recorded: {error}");
                }
            }
            if is_over {
                break;
            }
            if progress(reached.now_ms).is_break() {
                lock(&board).is_stopped = true;
                changed.notify_all();
                break;
            }
        }
    });
    let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
    if board.is_stopped {
        return None;
    }
    Some(board.lanes.into_iter().flatten().map(|lane| lane.seat).collect())
}

/// Rings when a thread panics: the others would wait for it.
struct Alarm<F: FnMut()>(F);

impl<F: FnMut()> Drop for Alarm<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            (self.0)();
        }
    }
}
