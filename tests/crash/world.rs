//! A live run inside the test, whose store and event file can be made to die or to fail at any step.

use std::{
    any::Any,
    cell::Cell,
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use sigbox::{
    events::{Event, Notice},
    market::{
        Market,
        candles::{Series, generate},
    },
    trading::{
        Assignment, Journal, Live, LiveOptions, Native, Profile, SeatSetup, Setup, Sink, Stop,
        feed::ReplayFeed,
        store::{Address, MemoryStore, OnCorrupt, Store, StoreError, Stores},
    },
};
use sigbox_engine::{
    Interval, MINUTE_MS, Outcome, Proposal, Settings, Side,
    risk::{NamedRule, Rule},
    signal::Pair,
    trader::Answer,
};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::{Events, Known, LATER_MS, journal, recipe};

/// How long an order waits.
const AWAIT_MINUTES: u32 = 20;

const EXCHANGE: &str = "binance";

/// One strategy on one symbol: proposes every so often, whatever the market does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trades {
    pub(super) name: &'static str,
    pub(super) symbol: &'static str,
    /// Minutes between proposals.
    pub(super) every: i64,
    /// How far below the price (above it, for a short one) it wants to enter, percent; `None`: at once.
    pub(super) limit: Option<f64>,
    /// Counts its proposals in its memory, and says in each how many there were and how its last trades ended.
    pub(super) remembers: bool,
}

impl Trades {
    fn answer(&self, now_ms: i64, price: f64, seat: &Assignment) -> Answer {
        let minute = now_ms / MINUTE_MS;
        if minute % self.every != 0 {
            return Answer::Nothing;
        }
        let note = self.remembers.then(|| {
            let count = seat.memory().get("count").map_or(0, |count| count[0]) + 1;
            seat.memory().set("count".to_owned(), vec![count]).expect("it is small");
            seat.memory().commit(now_ms);
            let ends: Vec<String> = seat.trades().last(3).iter().map(|trade| format!("{trade:?}")).collect();
            format!("{count}: {}", ends.join(", "))
        });
        let (side, towards) = if minute / self.every % 2 == 0 { (Side::Long, 1.0) } else { (Side::Short, -1.0) };
        let open = price * (1.0 - towards * self.limit.unwrap_or_default() / 100.0);
        let away = |percent: f64| open * (1.0 + towards * percent / 100.0);
        Answer::Trade(Proposal {
            id: None,
            symbol: None,
            side,
            price_open: self.limit.map(|_| open),
            price_take_profit: away(0.6),
            price_stop_loss: away(-0.6),
            minute_estimated_time: Some(50.0),
            cost: None,
            multiplier: None,
            isolated: None,
            note,
        })
    }
}

/// Everything of a live run that outlives a process: what is stored and the event file.
pub(super) struct World {
    dir: TempDir,
    documents: Arc<MemoryStore>,
    traders: &'static [Trades],
    /// How many positions all of them may hold together.
    limit: u64,
}

/// What happens at which step. A step is one change of what outlives the process.
pub(super) struct Fate {
    /// Steps so far.
    steps: AtomicU64,
    /// At this step the process dies.
    dies_at: u64,
    /// At these steps the store fails, half of the time after it has done what it was asked.
    fails_at: std::ops::Range<u64>,
    /// In which order writes that are under way together come about.
    order: u64,
}

impl Fate {
    /// Nothing happens.
    pub(super) fn kind() -> Self {
        Self { steps: AtomicU64::new(0), dies_at: u64::MAX, fails_at: 0..0, order: 0 }
    }

    pub(super) fn dies_at(step: u64, order: u64) -> Self {
        Self { dies_at: step, order, ..Self::kind() }
    }

    pub(super) fn fails_at(steps: std::ops::Range<u64>) -> Self {
        Self { fails_at: steps, ..Self::kind() }
    }

    /// How many steps there were.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// One step further.
    fn step(&self) -> u64 {
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        if step == self.dies_at {
            // As sudden as a kill, for everything that is not on the disk.
            resume_unwind(Box::new(Died));
        }
        step
    }
}

/// The panic of a process that died.
struct Died;

fn is_death(panic: &(dyn Any + Send)) -> bool {
    panic.is::<Died>()
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The candles did.
    Through,
    Died,
}

impl World {
    pub(super) fn new(traders: &'static [Trades], limit: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        Self { dir, documents: Arc::default(), traders, limit }
    }

    fn events_file(&self) -> PathBuf {
        self.dir.path().join("events.jsonl")
    }

    pub(super) fn events(&self) -> Events {
        Events::parse(&fs::read_to_string(self.events_file()).expect("the run wrote events"))
    }

    fn pairs(&self) -> impl Iterator<Item = Pair> {
        self.traders.iter().map(|trades| Pair {
            symbol: trades.symbol.to_owned(),
            strategy: trades.name.to_owned(),
            exchange: EXCHANGE.to_owned(),
            frame: String::new(),
        })
    }

    /// Every document, by its address.
    pub(super) fn documents(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for pair in self.pairs() {
            let entity_name = format!("{}_{}", pair.symbol, pair.strategy);
            for (domain, entity_id) in [
                ("signal", pair.symbol.as_str()),
                ("schedule", &pair.symbol),
                ("partial", "levels"),
                ("memory", "values"),
            ] {
                found.push(self.document(domain, &entity_name, entity_id));
            }
        }
        found.push(self.document("risk", "shared", "positions"));
        found
    }

    fn document(&self, domain: &str, entity_name: &str, entity_id: &str) -> (String, String) {
        let [domain, entity_name, entity_id] = [domain, entity_name, entity_id].map(str::to_owned);
        let name = format!("{domain}/{entity_name}/{entity_id}");
        let at = Address { domain, entity_name, entity_id };
        let document = self.documents.read_value(&at).now_or_never().expect("memory does not wait");
        // A document that was never written says the same as one that was cleared.
        let empty = match at.domain.as_str() {
            "partial" => "{}",
            "risk" => "[]",
            _ => "null",
        };
        let document = document.expect("memory does not fail").map(|bytes| String::from_utf8(bytes).expect("JSON"));
        (name, document.unwrap_or_else(|| empty.to_owned()))
    }

    /// One process: from its start to the end of the candles, or to its death.
    pub(super) fn live(&self, fate: &Arc<Fate>) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
        match runtime.block_on(AssertUnwindSafe(self.process(fate)).catch_unwind()) {
            Ok(()) => End::Through,
            Err(panic) if is_death(&*panic) => End::Died,
            Err(panic) => resume_unwind(panic),
        }
    }

    async fn process(&self, fate: &Arc<Fate>) {
        let store: Arc<dyn Store> =
            Arc::new(FatefulStore { documents: Arc::clone(&self.documents), fate: Arc::clone(fate) });
        let mut journal = journal(&self.events_file(), |_: &Event| {}).await;
        let since = self.pairs().map(|pair| journal.recall(&pair).ask_from_ms).min();
        let candles = self.candles();
        let market = Market::growing(candles.iter().map(|(symbol, _)| symbol.clone()));
        let feed = ReplayFeed::new(candles, 0.0, since.flatten(), Settings::default());
        let options =
            LiveOptions { on_corrupt: OnCorrupt::Halt, lookback_minutes: 10_080, ..LiveOptions::at(LATER_MS) };
        let setup = self.setup(market);
        let live = Live::start(setup, Stores::all_in(&store), feed, options, &mut journal).await.expect("it starts");
        let mut sink = FatefulSink { journal, fate, quiet: Cell::new(true) };
        let (_sender, stop) = watch::channel(Stop::No);
        live.run(&mut sink, stop).await.expect("the feed does not fail");
    }

    fn candles(&self) -> Vec<(String, Series)> {
        let mut symbols: Vec<&str> = self.traders.iter().map(|trades| trades.symbol).collect();
        symbols.sort_unstable();
        symbols.dedup();
        (31..).zip(symbols).map(|(seed, symbol)| (symbol.to_owned(), one_day(seed))).collect()
    }

    /// What an auditor is told.
    pub(super) fn known(&self) -> Known {
        let candles = self.candles().into_iter();
        let candles = candles.map(|(symbol, series)| (symbol, series.closed_before(i64::MAX).to_vec()));
        Known {
            await_minutes: AWAIT_MINUTES.into(),
            max_active: usize::try_from(self.limit).ok(),
            ..Known::new(candles.collect())
        }
    }

    fn setup(&self, market: Market) -> Setup<Native<impl FnMut(i64, f64) -> Answer + Send + use<>>> {
        // Orders count as well, so what refuses one that is about to be filled is the time.
        let start_ms = recipe(0, 0).start_ms;
        let closed_hours = (6..18).map(|number| {
            let from_ms = start_ms + number * 45 * MINUTE_MS;
            Rule::RejectWindow(from_ms + MINUTE_MS, from_ms + 12 * MINUTE_MS)
        });
        let limit = Rule::MaxActive(usize::try_from(self.limit).expect("a small number"));
        let rules = [limit].into_iter().chain(closed_hours);
        let rules = rules.map(|rule| NamedRule { rule, id: None, note: "no".to_owned() }).collect();
        let settings = Settings { schedule_await_minutes: AWAIT_MINUTES, ..Settings::default() };
        let setup = Setup::new(EXCHANGE, market, settings).profile(Profile::new("shared".to_owned(), rules));
        self.traders.iter().copied().fold(setup, |setup, trades| {
            let assignment = setup.assign(trades.name, trades.symbol);
            let own = assignment.clone();
            let strategy = Native(move |now_ms, price| trades.answer(now_ms, price, &own));
            let seat = SeatSetup::new(assignment, Interval::MINUTE, strategy);
            setup.seat(SeatSetup { risk: vec!["shared".to_owned()], ..seat })
        })
    }
}

/// The candles of a day, made once.
fn one_day(seed: u64) -> Series {
    static MADE: Mutex<BTreeMap<u64, Series>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let day = made.entry(seed).or_insert_with(|| {
        Series::new(generate(&recipe(seed, 1)).expect("the recipe is one")).expect("generated candles are whole")
    });
    day.clone()
}

/// A store that outlives the process. Each write is two steps, before and after it comes about.
struct FatefulStore {
    documents: Arc<MemoryStore>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Store for FatefulStore {
    fn describe(&self) -> String {
        "a fateful store".to_owned()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        self.documents.wait_for_init(domain, entity_name, initial).await
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        self.documents.read_value(at).await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.documents.has_value(at).await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        if self.fate.order > 0 {
            // Writes that are under way together overtake each other.
            let places = (self.fate.order + at.entity_name.len() as u64 + u64::from(at.entity_name.as_bytes()[0])) % 3;
            for _ in 0..places {
                tokio::task::yield_now().await;
            }
        }
        let step = self.fate.step();
        let fails = self.fate.fails_at.contains(&step);
        if !fails || step.is_multiple_of(4) {
            self.documents.write_value(at, value, when_ms).await?;
        }
        self.fate.step();
        if fails {
            let message = "out of order".to_owned();
            return Err(StoreError::unavailable(self.describe(), at.clone(), message));
        }
        Ok(())
    }

    async fn remove_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.documents.remove_value(at).await
    }

    async fn keys(&self, domain: &str, entity_name: &str) -> Result<Vec<String>, StoreError> {
        self.documents.keys(domain, entity_name).await
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        self.documents.quarantine(at).await
    }

    async fn close(&self) {}
}

/// The event file. Each event is two steps, and so is the note of a boundary at which something happened.
struct FatefulSink<'a, L> {
    journal: Journal<L>,
    fate: &'a Fate,
    quiet: Cell<bool>,
}

impl<L: FnMut(&Event)> Sink for FatefulSink<'_, L> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        // Extremes are many, and no step: nothing is stored with them, and they follow from the candles again.
        let extreme = matches!(outcome, Outcome::HighestProfit { .. } | Outcome::MaxDrawdown { .. });
        if extreme || Event::of(pair, outcome).is_none() {
            return self.journal.tell(pair, outcome);
        }
        self.quiet.set(false);
        self.fate.step();
        self.journal.tell(pair, outcome)?;
        self.fate.step();
        Ok(())
    }

    // Nobody pulls the plug here, so nothing has to be waited for.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reached(&mut self, now_ms: i64) {
        let quiet = self.quiet.replace(true);
        if !quiet {
            self.fate.step();
        }
        self.journal.reached(now_ms);
        if !quiet {
            self.fate.step();
        }
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        self.journal.notice(at_ms, pair, notice);
    }
}
