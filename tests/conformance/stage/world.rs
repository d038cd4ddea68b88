//! What outlives a process, and live runs in it.

use std::{cell::RefCell, fs, io, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use serde_json::Value;
use sigbox::{
    events::{Event, Notice},
    market::Market,
    trading::{
        Frame, Journal, Live, LiveOptions, RunError, Sink, Stop,
        feed::{Boundary, Feed, FeedError, ReplayFeed},
        store::{Address, Domain, MemoryStore, Store, StoreError, Stores},
    },
};
use sigbox_engine::{Outcome, signal::Pair};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{
    BTC, Scene, Told, pair,
    told::{Entry, Log},
};
use crate::support::{Events, LATER_MS, journal};

/// Everything that outlives a process: what is stored and what was announced.
pub(in super::super) struct World {
    dir: TempDir,
    documents: Arc<dyn Store>,
    market: RefCell<Market>,
}

impl World {
    /// One in which nothing has happened.
    pub(in super::super) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()))
    }

    /// One that is kept in `documents`.
    pub(in super::super) fn on(documents: Arc<dyn Store>) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory can be made"),
            documents,
            market: RefCell::default(),
        }
    }

    /// One with a document of strategy `a` on `BTCUSDT`, as an earlier run left it.
    pub(in super::super) fn with(domain: Domain, document: &Value) -> Self {
        let world = Self::new();
        world.put(domain, document);
        world
    }

    /// Puts a document of strategy `a` on `BTCUSDT` there; for `risk`, of the profile `shared`.
    pub(in super::super) fn put(&self, domain: Domain, document: &Value) {
        let at = address(domain);
        let written = self.documents.write_value(&at, document.to_string().as_bytes(), 0).now_or_never();
        written.expect("memory does not wait").expect("memory takes it");
    }

    /// The document of strategy `a` on `BTCUSDT`; for `risk`, of the profile `shared`. Null when there is none.
    pub(in super::super) fn document(&self, domain: Domain) -> Value {
        self.document_at(&address(domain))
    }

    /// The document at `at`; null when there is none.
    pub(in super::super) fn document_at(&self, at: &Address) -> Value {
        let found = self.documents.read_value(at).now_or_never().expect("memory does not wait");
        let found = found.expect("memory answers");
        found.map_or(Value::Null, |document| serde_json::from_slice(&document).expect("documents are JSON"))
    }

    /// The candles of the last run.
    pub(in super::super) fn market(&self) -> Market {
        self.market.borrow().clone()
    }

    fn events_file(&self) -> PathBuf {
        self.dir.path().join("events.jsonl")
    }

    /// Every event so far, and what the host said of itself.
    pub(in super::super) fn events(&self) -> Events {
        Events::parse(&fs::read_to_string(self.events_file()).expect("a run wrote events"))
    }

    /// One process, to the end of the candles: what it asked, read, wrote and announced.
    pub(in super::super) fn live(&self, scene: &Scene) -> Told {
        let (told, ended) = self.try_live(scene);
        ended.unwrap_or_else(|error| panic!("{error}"));
        told
    }

    /// The same, when it may not get far.
    pub(in super::super) fn try_live(&self, scene: &Scene) -> (Told, Result<(), RunError>) {
        self.live_with(scene, |store| Stores::all_in(&store), |_| false)
    }

    /// The same, on the stores that `bind` makes of the one that is watched, and with an event file that takes no
    /// outcome that it `refuses`.
    pub(in super::super) fn live_with(
        &self,
        scene: &Scene,
        bind: impl FnOnce(Arc<dyn Store>) -> Stores,
        refuses: impl FnMut(&Outcome) -> bool,
    ) -> (Told, Result<(), RunError>) {
        let log = Log::default();
        let watched = Arc::new(WatchedStore { documents: Arc::clone(&self.documents), log: log.clone() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
        let ended = runtime.block_on(self.process(scene, bind(watched), &log, refuses));
        (log.told(), ended)
    }

    async fn process(
        &self,
        scene: &Scene,
        stores: Stores,
        log: &Log,
        refuses: impl FnMut(&Outcome) -> bool,
    ) -> Result<(), RunError> {
        let announced = log.clone();
        let mut journal = journal(&self.events_file(), move |event: &Event| {
            announced.add(Entry::Event(serde_json::from_str(&event.to_json()).expect("events are JSON")));
        })
        .await;
        let pairs = scene.pairs();
        let since = pairs.iter().map(|pair| journal.recall(pair).ask_from_ms).min();
        let since = scene.back_ms.or(since.flatten());

        let candles = scene.series();
        let market = Market::growing(candles.iter().map(|(symbol, _)| symbol.clone()));
        self.market.replace(market.clone());
        let (sender, stop) = watch::channel(Stop::No);
        let feed = ReplayFeed::new(candles, 0.0, since, scene.settings.clone());
        let feed = StoppedFeed { feed, stop: scene.stop, sender };
        let options = LiveOptions { lookback_minutes: 10_080, ..LiveOptions::at(LATER_MS) };
        let setup = scene.setup(market, Frame::default(), log);
        let live = Live::start(setup, stores, feed, options, &mut journal).await?;
        live.run(&mut FussySink { journal, refuses }, stop).await
    }
}

/// Where a document of strategy `a` on `BTCUSDT` is; for `risk`, of the profile `shared`.
fn address(domain: Domain) -> Address {
    let at = Address::of_pair(domain, &pair("a", BTC));
    match domain {
        Domain::Risk => Address { entity_name: "shared".to_owned(), ..at },
        Domain::Signal | Domain::Schedule | Domain::Partial | Domain::Memory => at,
    }
}

/// A feed at one of whose boundaries the run is told to stop.
struct StoppedFeed {
    feed: ReplayFeed,
    stop: Option<(i64, Stop)>,
    sender: watch::Sender<Stop>,
}

impl Feed for StoppedFeed {
    async fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> Result<Vec<FeedError>, FeedError> {
        self.feed.prepare(market, wanted).await
    }

    fn patience(&self) -> Option<Duration> {
        self.feed.patience()
    }

    async fn next(&mut self, market: &Market, notices: &mut Vec<Notice>) -> Result<Option<Boundary>, FeedError> {
        let next = self.feed.next(market, notices).await?;
        if let (Some(Boundary { now_ms, .. }), Some((stop_ms, how))) = (next, self.stop)
            && now_ms == stop_ms
        {
            self.sender.send_replace(how);
        }
        Ok(next)
    }
}

/// A store of one's own that writes down what it is asked for.
struct WatchedStore {
    documents: Arc<dyn Store>,
    log: Log,
}

#[async_trait]
impl Store for WatchedStore {
    fn describe(&self) -> String {
        self.documents.describe()
    }

    async fn wait_for_init(&self, domain: &str, entity_name: &str, initial: bool) -> Result<(), StoreError> {
        self.documents.wait_for_init(domain, entity_name, initial).await
    }

    async fn read_value(&self, at: &Address) -> Result<Option<Vec<u8>>, StoreError> {
        if !is_index(at) {
            self.log.add(Entry::Read { domain: at.domain.clone() });
        }
        self.documents.read_value(at).await
    }

    async fn has_value(&self, at: &Address) -> Result<bool, StoreError> {
        self.documents.has_value(at).await
    }

    async fn write_value(&self, at: &Address, value: &[u8], when_ms: i64) -> Result<(), StoreError> {
        self.documents.write_value(at, value, when_ms).await?;
        if is_index(at) {
            return Ok(());
        }
        let document = serde_json::from_slice(value).expect("documents are JSON");
        self.log.add(Entry::Written { domain: at.domain.clone(), document });
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

/// Whether the document is the list of traders, which is read and written once at each start.
fn is_index(at: &Address) -> bool {
    at.entity_name == "traders"
}

/// An event file that does not take everything.
struct FussySink<L, R> {
    journal: Journal<L>,
    refuses: R,
}

impl<L: FnMut(&Event), R: FnMut(&Outcome) -> bool> Sink for FussySink<L, R> {
    fn tell(&mut self, pair: &Pair, outcome: &Outcome) -> io::Result<()> {
        if (self.refuses)(outcome) {
            return Err(io::Error::other("the disk is full"));
        }
        self.journal.tell(pair, outcome)
    }

    // Nobody pulls the plug here, so nothing has to be waited for.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reached(&mut self, now_ms: i64) {
        self.journal.reached(now_ms);
    }

    fn notice(&mut self, at_ms: i64, pair: Option<&Pair>, notice: &Notice) {
        self.journal.notice(at_ms, pair, notice);
    }
}
