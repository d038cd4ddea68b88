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
    hint,
    num::NonZeroUsize,
    ops::ControlFlow,
    panic,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread,
};

use sigbox_engine::{
    MINUTE_MS, Outcome, Outcomes, State,
    risk::{Rejection, RiskGate, RiskRequest, check_rules},
    trader::Answer,
};
use sigbox_events::Trade;

use crate::{
    desk::Seat,
    risk::Profile,
    row::{Ahead, Asking, Promise},
    strategy::{Question, Strategy},
};

/// How often a thread without work looks whether there is some, before it sleeps. That takes some 20 µs. What it waits
/// for mostly takes less, and to sleep and be woken takes more.
const LOOKS: usize = 500;

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

/// What has happened in a lane since the others last learned of it.
#[derive(Default)]
struct News {
    turns: Turns,
    outcomes: Vec<(Moment, Outcome)>,
}

/// Whether a lane under a profile has begun to hold something, and when it has ended. Each happens at most once before the
/// others learn of it: they learn of it before the lane asks the risk rules again.
#[derive(Default)]
struct Turns {
    begun: bool,
    ended: Option<Moment>,
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

    /// Makes steps up to the boundary `limit_ms`, until it has to wait for others or others wait for it. `tells`: this
    /// thread tells what has happened, and others may wait for that.
    fn advance(&mut self, lanes: &Lanes<'_, S>, limit_ms: i64, tells: bool) {
        let known_ms = self.next.now_ms;
        loop {
            let step = self.step(lanes);
            self.waits = matches!(step, Step::TooEarly);
            self.next = match step {
                Step::Made => self.next_step(lanes.course).unwrap_or(Moment::END),
                Step::TooEarly => self.next,
                Step::Impossible => Moment::END,
            };
            let wanted_ms = lanes.wanted_ms.load(Ordering::Relaxed);
            let is_wanted = known_ms < wanted_ms && wanted_ms <= self.next.now_ms;
            let is_to_tell = || tells && lanes.is_to_tell.load(Ordering::Relaxed);
            if self.waits || is_wanted || self.next.now_ms > limit_ms || is_to_tell() {
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

    fn step(&mut self, lanes: &Lanes<'_, S>) -> Step {
        let Lanes { course, board, .. } = lanes;
        let Self { seat, next: moment, news: News { turns, outcomes }, .. } = self;
        let held = !matches!(seat.trader.state(), State::Idle);
        let before = outcomes.len();
        let mut out = Kept { moment: *moment, outcomes };
        let profiles = &seat.profiles;
        let mut risk = Gate { course, board, profiles, turns, holds: held, moment: *moment, too_early: false };
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
            outcomes.truncate(before);
            return Step::TooEarly;
        }
        for trade in outcomes[before..].iter().filter_map(|(_, outcome)| Trade::of(outcome)) {
            seat.trades.add(trade);
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
            (false, true) => turns.begun = true,
            (true, false) => turns.ended = Some(*moment),
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
    /// What the others do not know of the lane yet.
    turns: &'a mut Turns,
    /// The lane itself holds an order that is about to be filled. It is not counted against itself.
    holds: bool,
    moment: Moment,
    /// Another lane has not come so far, so the answer has no meaning.
    too_early: bool,
}

impl<S> RiskGate for Gate<'_, S> {
    fn check(&mut self, request: &RiskRequest<'_>) -> Result<(), Rejection> {
        if self.profiles.is_empty() {
            return Ok(());
        }
        let mut board = lock(self.board);
        board.count(self.profiles, std::mem::take(self.turns));
        for index in self.profiles {
            let Profile { rules, others, .. } = &self.course.profiles[*index];
            let Some(holding) = board.holding(*index, self.moment) else {
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
    /// How many threads have nothing to do.
    idle: usize,
    /// How many of them are to be woken when there is something to do.
    asleep: usize,
    /// The teller is one of those.
    teller_sleeps: bool,
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
    /// To work on a lane, up to this boundary.
    Advance(Box<Lane<S>>, i64),
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
            idle: 0,
            asleep: 0,
            teller_sleeps: false,
            is_stopped: false,
        }
    }

    /// The least moment of all lanes. Everything before it is done.
    fn horizon(&self) -> Moment {
        self.known.iter().min().copied().unwrap_or(Moment::END)
    }

    /// Whether all other lanes under `profile` have come to `moment`.
    fn have_come_to(&self, moment: Moment, profile: usize) -> bool {
        self.shared[profile].seats.iter().all(|seat| *seat == moment.seat || self.known[*seat] >= moment)
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

    /// Counts what a lane under `profiles` has begun and ended. Nobody asks about a moment that is later than the lane is
    /// known to be.
    fn count(&mut self, profiles: &[usize], Turns { begun, ended }: Turns) {
        for (_, shared) in self.shared.iter_mut().enumerate().filter(|(index, _)| profiles.contains(index)) {
            shared.held += usize::from(begun);
            shared.ends.extend(ended.map(Reverse));
        }
    }

    /// Takes back a lane, and lets the others learn of it.
    fn put(&mut self, mut lane: Box<Lane<S>>) {
        let News { turns, outcomes } = std::mem::take(&mut lane.news);
        if !outcomes.is_empty() {
            self.outcomes.push(outcomes);
        }
        let number = lane.number;
        self.count(&lane.seat.profiles, turns);
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
        let can_go_on = |lane: &&Lane<S>| self.can_go_on(lane, self.ahead_ms / 2);
        self.lanes
            .iter()
            .flatten()
            .map(Box::as_ref)
            .filter(can_go_on)
            .min_by_key(|lane| lane.next)
            .map(|lane| lane.number)
    }

    /// From which horizon on there is much to tell. It is nearer than what a lane may be ahead to be chosen, so a lane that
    /// waits for the teller does not wait for long.
    const fn tell_from_ms(&self) -> i64 {
        self.told_ms.saturating_add(self.ahead_ms / 4)
    }

    /// The boundary that a thread without work waits for: as soon as all lanes have come to it, there is some.
    fn wanted_ms(&self) -> i64 {
        if self.idle == 0 {
            return i64::MAX;
        }
        // A lane that has come to a later boundary has passed all moments of this one.
        let waiting = self.lanes.iter().flatten().filter(|lane| lane.waits).map(|lane| lane.next.now_ms + 1).min();
        waiting.map_or(self.tell_from_ms(), |waiting_ms| waiting_ms.min(self.tell_from_ms()))
    }

    /// Whether a thread without work may wait for what is told.
    fn is_to_tell(&self) -> bool {
        self.idle > 0 && self.horizon().now_ms >= self.tell_from_ms()
    }

    /// What a thread is to do that has worked on `last`; `None`: nothing now.
    fn task(&mut self, last: Option<usize>, tells: bool) -> Option<Task<S>> {
        if self.is_stopped {
            return Some(Task::Done);
        }
        let horizon = self.horizon();
        if tells && self.told_ms < i64::MAX && horizon.now_ms >= self.tell_from_ms() {
            self.told_ms = horizon.now_ms;
            return Some(Task::Tell(horizon, std::mem::take(&mut self.outcomes)));
        }
        if horizon == Moment::END {
            return Some(Task::Done);
        }
        let number = self.choose(last)?;
        self.lanes[number].take().map(|lane| Task::Advance(lane, self.told_ms + self.ahead_ms))
    }

    /// Whether one of the sleeping threads has something to do.
    fn is_to_wake(&self) -> bool {
        let is_over = || self.is_stopped || self.horizon() == Moment::END;
        self.asleep > 0 && (is_over() || self.teller_sleeps && self.is_to_tell() || self.choose(None).is_some())
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
    /// There may be something to do for one that sleeps.
    changed: Condvar,
    /// How often lanes have been put back, or something was told. Whoever has no work looks at this, and not at the board,
    /// which others use.
    changes: AtomicU64,
    /// A lane that comes to this boundary is put back, because somebody waits for that.
    wanted_ms: AtomicI64,
    /// Somebody waits for the teller.
    is_to_tell: AtomicBool,
}

impl<S: Strategy> Lanes<'_, S> {
    /// Works until nothing is left to do. With `tell`, this thread also tells what has happened.
    fn work(&self, mut tell: Option<Tell<'_>>) {
        let _alarm = Alarm(self);
        let mut done = None;
        loop {
            match self.task(done.take(), tell.is_some()) {
                Task::Advance(mut lane, limit_ms) => {
                    lane.advance(self, limit_ms, tell.is_some());
                    done = Some(lane);
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

    /// Puts back the lane that this thread has worked on, and waits until there is something to do.
    fn task(&self, done: Option<Box<Lane<S>>>, tells: bool) -> Task<S> {
        let last = done.as_ref().map(|lane| lane.number);
        let mut board = lock(&self.board);
        if let Some(lane) = done {
            board.put(lane);
            self.changes.fetch_add(1, Ordering::Release);
        }
        let task = loop {
            if let Some(task) = board.task(last, tells) {
                break task;
            }
            board.idle += 1;
            // The lane that was put back may be what the teller waits for, and only that thread tells.
            if board.is_to_wake() {
                self.changed.notify_all();
            }
            board = self.wait(board, tells);
            board.idle -= 1;
        };
        if matches!(task, Task::Tell(..)) {
            self.changes.fetch_add(1, Ordering::Release);
        }
        self.show(&board);
        if board.is_to_wake() {
            self.changed.notify_all();
        }
        task
    }

    /// Lets those who work on lanes know what others wait for.
    fn show(&self, board: &Board<S>) {
        self.wanted_ms.store(board.wanted_ms(), Ordering::Relaxed);
        self.is_to_tell.store(board.is_to_tell(), Ordering::Relaxed);
    }

    /// Waits until something has changed.
    fn wait<'b>(&'b self, board: MutexGuard<'b, Board<S>>, tells: bool) -> MutexGuard<'b, Board<S>> {
        self.show(&board);
        let before = self.changes.load(Ordering::Acquire);
        drop(board);
        let has_changed = || self.changes.load(Ordering::Acquire) != before;
        for _ in 0..LOOKS {
            if has_changed() {
                return lock(&self.board);
            }
            hint::spin_loop();
        }
        let mut board = lock(&self.board);
        if !has_changed() && !board.is_stopped {
            board.asleep += 1;
            board.teller_sleeps |= tells;
            board = self.changed.wait(board).unwrap_or_else(PoisonError::into_inner);
            board.asleep -= 1;
            board.teller_sleeps &= !tells;
        }
        board
    }

    fn stop(&self) {
        lock(&self.board).is_stopped = true;
        self.changed.notify_all();
    }
}

/// Tells what came before a moment, and adds outcomes to those that are not told yet.
type Tell<'a> = &'a mut dyn FnMut(Moment, Vec<Vec<(Moment, Outcome)>>) -> ControlFlow<()>;

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
    let lanes = Lanes {
        course,
        board: Mutex::new(Board::new(lanes, course)),
        changed: Condvar::new(),
        changes: AtomicU64::new(0),
        wanted_ms: AtomicI64::new(i64::MAX),
        is_to_tell: AtomicBool::new(false),
    };
    let mut tell = |until: Moment, outcomes: Vec<Vec<(Moment, Outcome)>>| {
        for outcomes in outcomes {
            merge.add(outcomes);
        }
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
