//! A world in words for the unit tests of this crate: prices, proposals and what traders hold, and one recorder that is
//! both their store and their sink. It notes in one log, in order, what it was asked, so that tables show which write
//! came before which event.
//!
//! ```text
//! write signal BTC_a/BTC open 100      the document at this address; `fails` at the end: the store did not take it
//! write partial BTC_a/levels +10 -20
//! write risk limit/positions [a on BTC, z on ETH]
//! tell a closed stop_loss 90 at 3      an event of minute 3
//! sync                                 the events so far are to be durable
//! notice a store_recovered
//! ```

use std::{
    fmt::Write as _,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sigbox_engine::{
    MINUTE_MS, Order, Outcome, Position, Proposal, Settings, Side, Signal, State,
    outcome::{CancelReason, CloseReason, Direction},
    risk::Rejection,
    signal::{Pair, SharedSignal},
    validate::Violation,
};
use sigbox_events::{Event, Notice};

use crate::{
    rows::{SlotEntry, parse_slots},
    sink::Sink,
    store::{Address, MemoryStore, Store, StoreError},
};

pub(crate) const EXCHANGE: &str = "ex";

/// When minute `minute` begins: from minute 0 on it is 2024-01-01.
pub(crate) const fn at(minute: i64) -> i64 {
    1_704_067_200_000 + minute * MINUTE_MS
}

/// The minute that begins at `at_ms`.
pub(crate) const fn minute_of(at_ms: i64) -> i64 {
    (at_ms - at(0)) / MINUTE_MS
}

/// `a`: strategy a on BTC; `a on ETH`.
pub(crate) fn pair(words: &str) -> Pair {
    let (strategy, symbol) = words.split_once(" on ").unwrap_or((words, "BTC"));
    Pair { symbol: symbol.into(), strategy: strategy.into(), exchange: EXCHANGE.into(), frame: String::new() }
}

/// No costs, prices may be as near or as far as one likes, and the average price is that of one candle.
pub(crate) fn settings() -> Settings {
    Settings {
        avg_price_candles_count: 1,
        percent_fee: 0.0,
        percent_slippage: 0.0,
        min_takeprofit_distance_percent: 0.0,
        min_stoploss_distance_percent: 0.0,
        max_stoploss_distance_percent: 0.0,
        schedule_await_minutes: 3,
        ..Settings::default()
    }
}

pub(crate) fn number<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

/// `short open=101 tp=50 sl=200 life=5 id=x symbol=ETH`. What is not said: long, at the market, take-profit and
/// stop-loss at 200 and 50 (a short one: at 50 and 200), for an hour.
pub(crate) fn proposal(words: &str) -> Proposal {
    let mut proposal = Proposal {
        id: None,
        symbol: None,
        side: Side::Long,
        price_open: None,
        price_take_profit: 200.0,
        price_stop_loss: 50.0,
        minute_estimated_time: Some(60.0),
        cost: None,
        multiplier: None,
        isolated: None,
        note: None,
    };
    for word in words.split_whitespace() {
        match word.split_once('=') {
            None if word == "long" => {}
            None if word == "short" => {
                proposal.side = Side::Short;
                (proposal.price_take_profit, proposal.price_stop_loss) = (50.0, 200.0);
            }
            Some(("open", price)) => proposal.price_open = Some(number(price)),
            Some(("tp", price)) => proposal.price_take_profit = number(price),
            Some(("sl", price)) => proposal.price_stop_loss = number(price),
            Some(("life", minutes)) => proposal.minute_estimated_time = Some(number(minutes)),
            Some(("id", id)) => proposal.id = Some(id.to_owned()),
            Some(("symbol", symbol)) => proposal.symbol = Some(symbol.to_owned()),
            _ => panic!("{word:?} is not a word of a proposal"),
        }
    }
    proposal
}

/// What `pair` holds: `flat`, `waiting open=99`, `open +10 -20 @3`, with the words of a proposal. It began at minute 0,
/// or at that after the `@`; the entry price is 100, unless it says another one.
pub(crate) fn state(pair: &Pair, words: &str) -> State {
    let (mut began, mut profit, mut loss, mut said) = (0, Vec::new(), Vec::new(), String::new());
    let mut all = words.split_whitespace();
    let kind = all.next().unwrap_or_else(|| panic!("{words:?} does not say what is held"));
    for word in all {
        match word.as_bytes()[0] {
            b'@' => began = number(&word[1..]),
            b'+' => profit.push(number(&word[1..])),
            b'-' => loss.push(number(&word[1..])),
            _ => write!(said, "{word} ").expect("a text takes more text"),
        }
    }
    let settings = settings();
    let signal = || -> SharedSignal {
        let proposal = proposal(&said);
        let proposal = Proposal { price_open: proposal.price_open.or(Some(100.0)), ..proposal };
        Arc::new(Signal::restore(proposal, pair, at(began), &settings).expect("a state that can be"))
    };
    match kind {
        "flat" => State::Idle,
        "waiting" => State::Scheduled(Order { signal: signal() }),
        "open" => {
            let mut position = Position::open(signal(), at(began), at(began), &settings);
            position.profit_levels = profit.into_iter().collect();
            position.loss_levels = loss.into_iter().collect();
            State::Open(Arc::new(position))
        }
        _ => panic!("{kind:?} is nothing a trader can hold"),
    }
}

/// What is held: `flat`, `waiting 99`, `open 100 +10 -20`.
pub(crate) fn held(state: &State) -> String {
    match state {
        State::Idle => "flat".to_owned(),
        State::Scheduled(order) => format!("waiting {}", order.signal.price_open),
        State::Open(position) => {
            let profit = position.profit_levels.iter().map(|level| format!(" +{level}"));
            let loss = position.loss_levels.iter().map(|level| format!(" -{level}"));
            let levels: String = profit.chain(loss).collect();
            format!("open {}{levels}", position.signal.price_open)
        }
    }
}

/// A step of an event record: `b opened x@0 at 3`.
pub(crate) fn outcome(step: &str) -> (Pair, Outcome) {
    let words: Vec<&str> = step.split_whitespace().collect();
    let (who, words) = if words[0].len() == 1 { (words[0], &words[1..]) } else { ("a", &words[..]) };
    let pair = pair(who);
    let (what, id, minute) = match *words {
        [what, "at", minute] => (what, "none", minute),
        [what, id, "at", minute] => (what, id, minute),
        _ => panic!("{step:?} is no step of a scene"),
    };
    let at_ms = at(number(minute));
    let (id, accepted) = id.split_once('@').unwrap_or((id, minute));
    let price = 100.0;
    let order =
        || -> Order { state(&pair, &format!("waiting id={id} @{accepted}")).order().cloned().expect("it waits") };
    let position = || {
        let opened = state(&pair, &format!("open id={id} @{accepted}"));
        let mut position = opened.position().cloned().expect("it is open");
        (position.pending_at_ms, position.peak.at_ms) = (at_ms, at_ms);
        Arc::new(position)
    };
    let outcome = match what {
        "idle" => Outcome::Idle { at_ms, price },
        "scheduled" => Outcome::Scheduled { order: order(), price },
        "opened" => Outcome::Opened { position: position() },
        "peak" => Outcome::HighestProfit { position: position() },
        "level10" | "level20" => {
            let level = number(&what["level".len()..]);
            Outcome::Level { position: position(), direction: Direction::Profit, level, at_ms, price }
        }
        "closed" => Outcome::Closed { position: position(), reason: CloseReason::StopLoss, at_ms, price },
        "cancelled" => Outcome::Cancelled { order: order(), reason: CancelReason::Timeout, at_ms, price },
        "invalid" => Outcome::Invalid { violations: vec![Violation::LifetimeInfinite], at_ms },
        "failed" => Outcome::StrategyFailed { message: "trap".into(), at_ms },
        "mismatch" => Outcome::SymbolMismatch { symbol: "ETH".into(), at_ms },
        "refused" => {
            let rejection = Rejection { id: None, note: "full".into(), active_positions: 1 };
            Outcome::Rejected { rejection, at_ms, price }
        }
        _ => panic!("{what:?} is nothing that happens"),
    };
    (pair, outcome)
}

/// Slots of strategies that are not in the run: `z on ETH, y on BTC`, as the seed writes them.
pub(crate) fn slots(owners: &str) -> Vec<SlotEntry> {
    parse_slots(slots_text(owners).as_bytes()).expect("slots")
}

/// The document of them.
pub(crate) fn slots_text(owners: &str) -> String {
    let slot = |owner: &str| {
        let Pair { symbol, strategy, exchange, .. } = pair(owner.trim());
        let key = format!("{strategy}_{exchange}_{symbol}");
        format!(r#"["{key}",{{"strategyName":"{strategy}","exchangeName":"{exchange}","openTimestamp":7}}]"#)
    };
    format!("[{}]", owners.split(',').map(slot).collect::<Vec<_>>().join(","))
}

/// One step of a log or a story a line; `|` separates as well.
pub(crate) fn steps(story: &str) -> Vec<&str> {
    story.split(['|', '\n']).map(str::trim).filter(|step| !step.is_empty()).collect()
}

/// Runs `future` to its end on this thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    runtime.block_on(future)
}

/// A store and a sink with one log. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Shared>);

#[derive(Default)]
struct Shared {
    documents: MemoryStore,
    log: Mutex<Vec<String>>,
    fate: Mutex<Fate>,
}

#[derive(Default)]
struct Fate {
    /// Calls whose line begins so fail.
    failing: Vec<String>,
    /// This write fails, from 1.
    failing_write: Option<u64>,
    /// Writes since it was said which one fails.
    writes: u64,
    /// Whether a write that fails comes about all the same.
    lands: bool,
    /// Calls whose line begins so come about later than others that begin with them.
    slow: Vec<String>,
    /// Calls that are not noted.
    passed_over: Vec<String>,
}

impl Recorder {
    fn log(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.0.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on calls fail whose line in the log begins with `call`. `write 2`: the second write from now on.
    /// `landing write signal`: such writes come about, and nobody learns that they did.
    pub(crate) fn fail(&self, call: &str) {
        let mut fate = self.fate();
        let (lands, call) = call.strip_prefix("landing ").map_or((false, call), |call| (true, call));
        fate.lands = lands;
        match call.strip_prefix("write ").map(str::parse) {
            Some(Ok(number)) => (fate.failing_write, fate.writes) = (Some(number), 0),
            Some(Err(_)) | None => fate.failing.push(call.to_owned()),
        }
    }

    /// From now on nothing fails.
    pub(crate) fn mend(&self) {
        let mut fate = self.fate();
        fate.failing.clear();
        fate.failing_write = None;
    }

    /// Calls whose line begins with `call` are overtaken by others.
    pub(crate) fn slow(&self, call: &str) {
        self.fate().slow.push(call.to_owned());
    }

    /// Calls whose line begins with `call` are not noted.
    pub(crate) fn pass_over(&self, call: &str) {
        self.fate().passed_over.push(call.to_owned());
    }

    /// Notes a line.
    pub(crate) fn note(&self, line: impl Into<String>) {
        let line = line.into();
        if !self.fate().passed_over.iter().any(|call| line.starts_with(call)) {
            self.log().push(line);
        }
    }

    /// The log since it was last taken.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.log())
    }

    /// Notes a call. True when it is to fail.
    fn call(&self, line: &str) -> bool {
        let mut fate = self.fate();
        let mut fails = fate.failing.iter().any(|call| line.starts_with(call));
        if line.starts_with("write ") {
            fate.writes += 1;
            fails |= fate.failing_write == Some(fate.writes);
        }
        drop(fate);
        self.note(if fails { format!("{line} fails") } else { line.to_owned() });
        fails
    }

    async fn wait_if_slow(&self, line: &str) {
        let slow = self.fate().slow.iter().any(|call| line.starts_with(call));
        for _ in 0..if slow { 3 } else { 0 } {
            tokio::task::yield_now().await;
        }
    }

    /// Puts a document in its place without a note.
    pub(crate) fn put(&self, at: &Address, document: &[u8]) {
        run(self.0.documents.write_value(at, document, 0)).expect("memory does not fail");
    }

    fn error(&self, at: &Address) -> StoreError {
        StoreError::unavailable(self.describe(), at.clone(), "away".to_owned())
    }
}

fn named(at: &Address) -> String {
    format!("{} {}/{}", at.domain, at.entity_name, at.entity_id)
}

/// A document in words.
fn summary(at: &Address, document: &[u8]) -> String {
    let value: Value = serde_json::from_slice(document).expect("what is written is JSON");
    match at.domain.as_str() {
        _ if value.is_null() => "null".to_owned(),
        "risk" => {
            let slots = parse_slots(document).expect("slots are slots");
            let owners: Vec<String> = slots.iter().map(|(key, slot)| slot.owner(key).to_string()).collect();
            format!("[{}]", owners.join(", "))
        }
        "partial" => {
            let levels = value.as_object().expect("levels by signal").values();
            let levels = levels.flat_map(|levels| {
                let signed = |field: &str, sign: char| {
                    let levels = levels[field].as_array().expect("a list of levels");
                    levels.iter().map(move |level| format!("{sign}{level}")).collect::<Vec<_>>()
                };
                [signed("profitLevels", '+'), signed("lossLevels", '-')].concat()
            });
            let levels = levels.collect::<Vec<_>>().join(" ");
            if levels.is_empty() { "{}".to_owned() } else { levels }
        }
        "memory" => {
            let text = |value: &Value| value.as_str().map_or("nothing".to_owned(), decoded);
            let values = value["values"].as_object().expect("values by name");
            let values = values.iter().map(|(name, value)| format!("{name}={}", text(value)));
            let undo = value["undo"].as_object().expect("values by name");
            let undo = undo.iter().map(|(name, value)| format!("({name} was {})", text(value)));
            let words = values.chain(undo).collect::<Vec<_>>().join(" ");
            if words.is_empty() { "nothing".to_owned() } else { words }
        }
        _ => format!("{} {}", if value["_isScheduled"] == true { "waiting" } else { "open" }, value["priceOpen"]),
    }
}

fn decoded(base64: &str) -> String {
    let bytes = BASE64_STANDARD.decode(base64).expect("Base64");
    String::from_utf8(bytes).expect("a text")
}

#[async_trait]
impl Store for Recorder {
    fn describe(&self) -> String {
        "disk".to_owned()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        let at = Address { domain: domain.to_owned(), entity_name: entity_name.to_owned(), entity_id: String::new() };
        let use_of = if initial { "ready" } else { "glance" };
        if self.call(&format!("{use_of} {domain} {entity_name}")) { Err(self.error(&at)) } else { Ok(()) }
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        let line = format!("read {}", named(at));
        self.wait_if_slow(&line).await;
        if self.call(&line) { Err(self.error(at)) } else { self.0.documents.read_value(at).await }
    }

    async fn has_value(&self, _: &Address) -> Result<bool, StoreError> {
        unreachable!("the loop asks for documents, not whether they are there")
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        let line = format!("write {} {}", named(at), summary(at, value));
        self.wait_if_slow(&line).await;
        let fails = self.call(&line);
        if !fails || self.fate().lands {
            self.0.documents.write_value(at, value, when_ms).await?;
        }
        if fails { Err(self.error(at)) } else { Ok(()) }
    }

    async fn remove_value(&self, _: &Address) -> Result<bool, StoreError> {
        unreachable!("the loop removes nothing")
    }

    async fn keys(&self, _: &str, _: &str) -> Result<Vec<String>, StoreError> {
        unreachable!("the loop lists nothing")
    }

    async fn quarantine(&self, at: &Address) -> Result<String, StoreError> {
        if self.call(&format!("set aside {}", named(at))) {
            return Err(self.error(at));
        }
        self.0.documents.quarantine(at).await
    }

    async fn close(&self) {
        self.note("close");
    }
}

impl Sink for Recorder {
    /// Ticks at which nothing happened are not noted.
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        let Some(event) = Event::of(pair, outcome) else { return Ok(()) };
        let mut line = format!("tell {} {}", pair.strategy, event.action);
        let level = event.level.map(|level| format!("{level}%"));
        let reason = event.close_reason.or(event.reason).map(str::to_owned);
        let refused = event.rejection_note.zip(event.active_position_count);
        let refused = refused.map(|(note, count)| format!("{note} beside {count}"));
        let price = event.current_price.map(|price| price.0.to_string()).filter(|_| refused.is_none());
        let rules = event.rules.map(|rules| rules.join(" "));
        let message = event.message.map(|message| format!("({message})"));
        for part in [level, reason, refused, price, rules, message].into_iter().flatten() {
            write!(line, " {part}").expect("a text takes more text");
        }
        write!(line, " at {}", minute_of(event.timestamp)).expect("a text takes more text");
        if self.call(&line) { Err(io::Error::other("full")) } else { Ok(()) }
    }

    fn hears_ticks(&self) -> bool {
        false
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.call("sync") { Err(io::Error::other("full")) } else { Ok(()) }
    }

    fn notice(&mut self, _: i64, pair: Option<&Pair>, notice: &Notice) {
        let who = pair.map_or("the run", |pair| &pair.strategy);
        let what = match notice {
            Notice::StoreFailed { error } => format!("{}: {error}", notice.action()),
            Notice::Quarantined { document, moved_to, reason } => {
                format!("{}: {document} ({reason}), moved to {moved_to}", notice.action())
            }
            Notice::SlotDropped { profile, key } => format!("{}: {key} of {profile}", notice.action()),
            _ => notice.action().to_string(),
        };
        self.note(format!("notice {who} {what}"));
    }
}
