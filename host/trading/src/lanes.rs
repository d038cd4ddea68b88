//! A backtest on several cores: each trader runs ahead on its own, in a lane.
//!
//! Traders meet only in the risk rules. A trader that wants to enter, or whose order is about to be filled, must know
//! what the others hold at that moment. So a lane runs until it needs to know that. Then it waits until every lane
//! under the same risk profiles has reached the moment.
//!
//! Every step of a run has a moment, and all moments have one order: by boundary; at a boundary, candles are judged
//! before answers are admitted; then by seats. It is the order in which one thread does everything. Outcomes are told in
//! it, so the sink hears the same, whatever the number of threads.
//!
//! Nothing locks, because the lane with the least moment never waits for another lane: all others have reached its
//! moment. It may wait until what came before has been told, and telling waits for nobody.

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    num::NonZeroUsize,
    ops::ControlFlow,
    panic,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use sigbox_engine::{
    MINUTE_MS, Outcome, Outcomes, State,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    trader::Answer,
};

use crate::{
    desk::Seat,
    risk::Profile,
    row::{Ahead, Asking, Promise},
    strategy::{Question, Strategy},
};

/// How many candles a lane judges before the others learn how far it is. That takes some microseconds. Fewer would cost
/// more than they are worth, and with more the others would wait longer.
const JUDGED_AT_ONCE: usize = 64;

/// How many minutes all lanes together may be ahead of what has been told: outcomes that are not told yet take memory.
/// A minute seldom has more than one outcome, of some 500 bytes at most.
const MINUTES_AHEAD: i64 = 32 * 1024;

/// How many minutes one lane may be ahead. The first number keeps slices of work long where there are many lanes. The
/// second makes progress even where there are few.
const LANE_MINUTES_AHEAD: [i64; 2] = [64, 1024];

/// The place of a step in the order of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// The boundary.
    now_ms: i64,
    part: Part,
    /// Whose step it is.
    pub(crate) seat: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A candle is judged.
    Judge,
    /// An answer is admitted.
    Admit,
}

impl Moment {
    /// After every step.
    const END: Self = Self { now_ms: i64::MAX, part: Part::Admit, seat: usize::MAX };
}

/// What all lanes have in common, and does not change.
pub(crate) struct Course<'a> {
    pub(crate) profiles: &'a [Profile],
    /// Candles in the average price.
    pub(crate) average_of: usize,
    /// The last boundary of the period being tested.
    pub(crate) frame_end_ms: Option<i64>,
    pub(crate) asking: Asking,
    /// The first boundary that is not part of the course.
    pub(crate) stop_ms: i64,
}

/// One trader on its way.
struct Lane<S> {
    number: usize,
    seat: Seat<S>,
    /// Its next step. Everything before it is done.
    next: Moment,
    /// The next step needs to know what other lanes hold.
    waits: bool,
    /// From when on it may be asked, while it is flat.
    free_from_ms: i64,
    /// What the others do not know yet.
    news: News,
    /// A buffer for questions.
    row: Vec<Question>,
}

/// What has happened in a lane since the others last learned of it. It begins to hold something at most once in that
/// time, and then ends at most once: whoever is flat is asked, and the others learn of that.
#[derive(Default)]
struct News {
    begun: bool,
    ended: Option<Moment>,
    outcomes: Vec<(Moment, Outcome)>,
}

/// What came of a step.
enum Step {
    Made,
    /// Other lanes have not come so far. Nothing has changed.
    TooEarly,
    /// There is no candle to judge.
    Impossible,
}

impl<S: Strategy> Lane<S> {
    fn new(number: usize, seat: Seat<S>, course: &Course<'_>) -> Self {
        let free_from_ms = course.asking.first;
        // It holds nothing, so at its first step it has nothing to judge.
        let next = Moment { now_ms: free_from_ms, part: Part::Judge, seat: number };
        Self { number, seat, next, waits: false, free_from_ms, news: News::default(), row: Vec::new() }
    }

    /// Makes steps, until the others should learn of it or it has to wait for them.
    fn advance(&mut self, course: &Course<'_>, board: &Mutex<Board<S>>) {
        for _ in 0..JUDGED_AT_ONCE {
            let step = self.step(course, board);
            self.waits = matches!(step, Step::TooEarly);
            self.next = match step {
                Step::Made => self.next_step(course).unwrap_or(Moment::END),
                Step::TooEarly => self.next,
                Step::Impossible => Moment::END,
            };
            // Whoever was asked has come a long way, and may just have become flat.
            if self.waits || self.next.part == Part::Admit {
                return;
            }
        }
    }

    /// Its next step; `None`: it is through. Asks the strategy, if the trader is flat.
    fn next_step(&mut self, course: &Course<'_>) -> Option<Moment> {
        let Course { average_of, asking, stop_ms, .. } = *course;
        let (now_ms, part) = match self.seat.trader.state() {
            State::Idle => {
                self.seat.ask_ahead(self.free_from_ms, asking, average_of, false, &mut self.row);
                (self.seat.ahead.as_ref()?.at_ms, Part::Admit)
            }
            State::Scheduled(_) | State::Open(_) => (self.seat.next_open_ms + MINUTE_MS, Part::Judge),
        };
        (now_ms < stop_ms).then_some(Moment { now_ms, part, seat: self.number })
    }

    fn step(&mut self, course: &Course<'_>, board: &Mutex<Board<S>>) -> Step {
        let Self { seat, next: moment, news, .. } = self;
        let held = !matches!(seat.trader.state(), State::Idle);
        let before = news.outcomes.len();
        let mut out = Kept { moment: *moment, outcomes: &mut news.outcomes };
        let profiles = &seat.profiles;
        let mut risk = Gate { course, board, profiles, holds: held, moment: *moment, too_early: false };
        let (next, judged_open_ms) = match moment.part {
            Part::Judge if !held => return Step::Made,
            Part::Judge => match seat.judge(course.average_of, course.frame_end_ms, &mut risk, &mut out) {
                Some((next, open_ms)) => (next, Some(open_ms)),
                None => return Step::Impossible,
            },
            Part::Admit => {
                let Some(Ahead { price, answer, .. }) = &seat.ahead else { return Step::Impossible };
                (seat.trader.admit(moment.now_ms, *price, answer.clone(), &mut risk, &mut out), None)
            }
        };
        if risk.too_early {
            news.outcomes.truncate(before);
            return Step::TooEarly;
        }
        // A trader that has become flat is asked at the same boundary; one that was asked, at the next.
        self.free_from_ms = moment.now_ms;
        if moment.part == Part::Admit {
            self.free_from_ms += MINUTE_MS;
            if let Some(Ahead { answer: Answer::Quiet(quiet), .. }) = seat.ahead.take() {
                seat.promise = Some(Promise::new(quiet, moment.now_ms));
            }
        }
        seat.commit(next, judged_open_ms);
        match (held, !matches!(seat.trader.state(), State::Idle)) {
            (false, true) => news.begun = true,
            (true, false) => news.ended = Some(*moment),
            (false, false) | (true, true) => {}
        }
        Step::Made
    }
}

/// Keeps what a step does, without the ticks.
struct Kept<'a> {
    moment: Moment,
    outcomes: &'a mut Vec<(Moment, Outcome)>,
}

impl Outcomes for Kept<'_> {
    fn add(&mut self, outcome: Outcome) {
        self.outcomes.push((self.moment, outcome));
    }

    fn tick(&mut self, _: &Outcome) {}
}

/// The risk rules of a lane at a moment.
struct Gate<'a, S> {
    course: &'a Course<'a>,
    board: &'a Mutex<Board<S>>,
    profiles: &'a [usize],
    /// The lane itself holds an order that is about to be filled. It is not counted against itself.
    holds: bool,
    moment: Moment,
    /// Another lane has not come so far, so the answer has no meaning.
    too_early: bool,
}

impl<S> RiskGate for Gate<'_, S> {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        for index in self.profiles {
            let Profile { rules, others, .. } = &self.course.profiles[*index];
            let Some(holding) = lock(self.board).holding(*index, self.moment) else {
                self.too_early = true;
                return Err(Rejection { id: None, note: String::new(), active_positions: 0 });
            };
            check_rules(rules, request, holding - usize::from(self.holds) + others.len())?;
        }
        Ok(())
    }
}

/// What the lanes know of each other, and those of them that nobody is working on.
struct Board<S> {
    lanes: Vec<Option<Box<Lane<S>>>>,
    /// The next step of each lane, as far as the others know. Everything before it is done.
    known: Vec<Moment>,
    shared: Vec<Shared>,
    /// Outcomes that the teller does not have yet. Each list is of one lane, and in order.
    outcomes: Vec<Vec<(Moment, Outcome)>>,
    /// The teller has everything before this boundary.
    told_ms: i64,
    /// How far a lane may be ahead of that.
    ahead_ms: i64,
    /// How many threads wait until there is something to do.
    waiting: usize,
    /// The teller is one of them.
    teller_waits: bool,
    /// Nothing more is to be done.
    is_stopped: bool,
}

/// What the lanes under one profile hold.
#[derive(Default)]
struct Shared {
    seats: Vec<usize>,
    /// How many hold something. Those whose end is in `ends` count as well.
    held: usize,
    /// Ends that an entry may still come before.
    ends: BinaryHeap<Reverse<Moment>>,
}

/// What a thread is to do.
enum Task<S> {
    Advance(Box<Lane<S>>),
    /// To tell what came before this moment, and to add these outcomes to what is not told yet.
    Tell(Moment, Vec<Vec<(Moment, Outcome)>>),
    /// Nothing more.
    Done,
}

impl<S> Board<S> {
    fn new(lanes: Vec<Lane<S>>, course: &Course<'_>) -> Self {
        let under = |profile| lanes.iter().filter(move |lane| lane.seat.profiles.contains(&profile));
        let shared = |profile| Shared { seats: under(profile).map(|lane| lane.number).collect(), ..Shared::default() };
        let shared = (0..course.profiles.len()).map(shared).collect();
        let known = lanes.iter().map(|lane| lane.next).collect();
        let each = MINUTES_AHEAD / i64::try_from(lanes.len()).unwrap_or(i64::MAX).max(1);
        let [least, most] = LANE_MINUTES_AHEAD;
        Self {
            lanes: lanes.into_iter().map(|lane| Some(Box::new(lane))).collect(),
            known,
            shared,
            outcomes: Vec::new(),
            told_ms: course.asking.first,
            ahead_ms: each.clamp(least, most) * MINUTE_MS,
            waiting: 0,
            teller_waits: false,
            is_stopped: false,
        }
    }

    /// The least moment of all lanes. Everything before it is done.
    fn horizon(&self) -> Moment {
        self.known.iter().min().copied().unwrap_or(Moment::END)
    }

    /// Whether all lanes under `profile` have come to `moment`.
    fn have_come_to(&self, moment: Moment, profile: usize) -> bool {
        self.shared[profile].seats.iter().all(|seat| self.known[*seat] >= moment)
    }

    /// How many lanes under `profile` hold something at `moment`; `None`: some have not come so far. `moment` is that of
    /// one of them. So nobody can ask about an earlier moment afterwards, and what has ended before is forgotten.
    fn holding(&mut self, profile: usize, moment: Moment) -> Option<usize> {
        if !self.have_come_to(moment, profile) {
            return None;
        }
        let Shared { held, ends, .. } = &mut self.shared[profile];
        while ends.peek().is_some_and(|Reverse(end)| *end < moment) {
            ends.pop();
            *held -= 1;
        }
        Some(*held)
    }

    /// Takes back a lane, and lets the others learn of it.
    fn put(&mut self, mut lane: Box<Lane<S>>) {
        let News { begun, ended, outcomes } = std::mem::take(&mut lane.news);
        for (_, shared) in self.shared.iter_mut().enumerate().filter(|(index, _)| lane.seat.profiles.contains(index)) {
            shared.held += usize::from(begun);
            shared.ends.extend(ended.map(Reverse));
        }
        if !outcomes.is_empty() {
            self.outcomes.push(outcomes);
        }
        let number = lane.number;
        self.known[number] = lane.next;
        self.lanes[number] = Some(lane);
    }

    /// Whether `lane` can make its next step, which is at most `ahead_ms` ahead of what has been told.
    fn can_go_on(&self, lane: &Lane<S>, ahead_ms: i64) -> bool {
        let has_all = || lane.seat.profiles.iter().all(|profile| self.have_come_to(lane.next, *profile));
        lane.next != Moment::END && lane.next.now_ms <= self.told_ms + ahead_ms && (!lane.waits || has_all())
    }

    /// Which lane is to go on: `last`, on which the thread has worked, if it can, and else the one with the least moment.
    fn choose(&self, last: Option<usize>) -> Option<usize> {
        let last = last.and_then(|number| self.lanes[number].as_ref());
        if let Some(lane) = last.filter(|lane| self.can_go_on(lane, self.ahead_ms)) {
            return Some(lane.number);
        }
        // Another one must be able to go on for a while.
        let can_go_on = |lane: &&Box<Lane<S>>| self.can_go_on(lane, self.ahead_ms / 2);
        self.lanes.iter().flatten().filter(can_go_on).min_by_key(|lane| lane.next).map(|lane| lane.number)
    }

    /// Whether there is much to tell. It is less than what a lane may be ahead to be chosen, so a lane that waits for the
    /// teller does not wait for long.
    fn has_much_to_tell(&self) -> bool {
        self.horizon().now_ms > self.told_ms + self.ahead_ms / 4
    }

    /// What a thread is to do that has worked on `last`; `None`: nothing now.
    fn task(&mut self, last: Option<usize>, tells: bool) -> Option<Task<S>> {
        if self.is_stopped {
            return Some(Task::Done);
        }
        if tells && self.told_ms < i64::MAX && self.has_much_to_tell() {
            let horizon = self.horizon();
            self.told_ms = horizon.now_ms;
            return Some(Task::Tell(horizon, std::mem::take(&mut self.outcomes)));
        }
        if self.horizon() == Moment::END {
            return Some(Task::Done);
        }
        let number = self.choose(last)?;
        self.lanes[number].take().map(Task::Advance)
    }

    /// Whether one of the waiting threads has something to do.
    fn is_to_wake(&self) -> bool {
        let is_over = || self.is_stopped || self.horizon() == Moment::END;
        let is_told = || self.teller_waits && self.has_much_to_tell();
        self.waiting > 0 && (is_over() || is_told() || self.choose(None).is_some())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only a defect panics while it holds the lock, and then the run ends.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lanes of a run, and the threads that work on them.
struct Lanes<'a, S> {
    course: &'a Course<'a>,
    board: Mutex<Board<S>>,
    /// There may be something to do for one that waits.
    changed: Condvar,
}

impl<S: Strategy> Lanes<'_, S> {
    /// Works until nothing is left to do. With `tell`, this thread also tells what has happened.
    fn work(&self, mut tell: Option<&mut dyn FnMut(Moment, Vec<Vec<(Moment, Outcome)>>) -> ControlFlow<()>>) {
        let _alarm = Alarm(self);
        let mut last = None;
        loop {
            match self.task(last, tell.is_some()) {
                Task::Advance(mut lane) => {
                    lane.advance(self.course, &self.board);
                    last = Some(lane.number);
                    lock(&self.board).put(lane);
                }
                Task::Tell(until, outcomes) => {
                    if tell.as_mut().is_some_and(|tell| tell(until, outcomes).is_break()) {
                        self.stop();
                    }
                }
                Task::Done => return,
            }
        }
    }

    /// Waits until there is something to do.
    fn task(&self, last: Option<usize>, tells: bool) -> Task<S> {
        let mut board = lock(&self.board);
        let task = loop {
            if let Some(task) = board.task(last, tells) {
                break task;
            }
            board.waiting += 1;
            board.teller_waits |= tells;
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            board.waiting -= 1;
            board.teller_waits &= !tells;
        };
        if board.is_to_wake() {
            self.changed.notify_all();
        }
        task
    }

    fn stop(&self) {
        lock(&self.board).is_stopped = true;
        self.changed.notify_all();
    }
}

/// Stops the others when a thread panics. Otherwise they would wait for its lane forever.
struct Alarm<'a, 'b, S: Strategy>(&'a Lanes<'b, S>);

impl<S: Strategy> Drop for Alarm<'_, '_, S> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

/// Puts the outcomes of all lanes in order.
struct Merge {
    lanes: Vec<VecDeque<(Moment, Outcome)>>,
    /// The first moment of each lane that has outcomes.
    first: BinaryHeap<Reverse<Moment>>,
}

impl Merge {
    fn new(lanes: usize) -> Self {
        Self { lanes: (0..lanes).map(|_| VecDeque::new()).collect(), first: BinaryHeap::new() }
    }

    /// Adds outcomes of one lane, which come after those that it has.
    fn add(&mut self, outcomes: Vec<(Moment, Outcome)>) {
        let Some((moment, _)) = outcomes.first() else { return };
        let lane = &mut self.lanes[moment.seat];
        if lane.is_empty() {
            self.first.push(Reverse(*moment));
        }
        lane.extend(outcomes);
    }

    /// Takes out the first outcome, if it came before `until`, and whose it is.
    fn next_before(&mut self, until: Moment) -> Option<(usize, Outcome)> {
        let Reverse(first) = *self.first.peek()?;
        if first >= until {
            return None;
        }
        let lane = &mut self.lanes[first.seat];
        let (_, outcome) = lane.pop_front()?;
        // An outcome of the same step comes next.
        match lane.front() {
            Some((next, _)) if *next == first => {}
            next => {
                self.first.pop();
                self.first.extend(next.map(|(next, _)| Reverse(*next)));
            }
        }
        Some((first.seat, outcome))
    }
}

/// Runs all seats over the course on `threads` threads, of which this is one. They hold nothing at its beginning.
/// `tell` is called with what happens, in order, and `progress` with the boundary up to which all is told. If that breaks,
/// the run stops.
///
/// Returns the seats as they are at the end of the course; `None`: it was stopped.
pub(crate) fn run<S: Strategy>(
    seats: Vec<Seat<S>>,
    course: &Course<'_>,
    threads: NonZeroUsize,
    mut tell: impl FnMut(usize, &Outcome),
    mut progress: impl FnMut(i64) -> ControlFlow<()>,
) -> Option<Vec<Seat<S>>> {
    let mut merge = Merge::new(seats.len());
    let helpers = threads.get().min(seats.len()) - 1;
    let lanes = seats.into_iter().enumerate().map(|(number, seat)| Lane::new(number, seat, course)).collect();
    let lanes = Lanes { course, board: Mutex::new(Board::new(lanes, course)), changed: Condvar::new() };
    let mut tell = |until: Moment, outcomes: Vec<Vec<(Moment, Outcome)>>| {
        outcomes.into_iter().for_each(|outcomes| merge.add(outcomes));
        while let Some((seat, outcome)) = merge.next_before(until) {
            tell(seat, &outcome);
        }
        progress(until.now_ms)
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().name("sigbox-lanes".to_owned()).spawn_scoped(scope, || lanes.work(None));
        // If no more threads can be started, those that there are do the work.
        let helpers: Vec<_> = (0..helpers).map_while(|helper| start(helper).ok()).collect();
        lanes.work(Some(&mut tell));
        for helper in helpers {
            helper.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        }
    });
    let board = lanes.board.into_inner().unwrap_or_else(PoisonError::into_inner);
    (!board.is_stopped).then(|| board.lanes.into_iter().flatten().map(|lane| lane.seat).collect())
}
