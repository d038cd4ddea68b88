//! An exchange on this machine, for tests: a real HTTP server with Binance's klines of a made-up market, which answers
//! otherwise when it is told to.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::Ipv4Addr,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Query, State},
    http::Response,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use serde_json::{Value, json};
use sigbox_engine::{Candle, MINUTE_MS};
use tokio::net::TcpListener;

/// 2024-01-01T00:00:00Z, when tests begin.
pub const START_MS: i64 = 1_704_067_200_000;

/// What is about to be sent.
pub struct Reply {
    /// Of HTTP.
    pub status: u16,
    /// The header of this name.
    pub date: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body, unless there is another one.
    pub klines: Vec<Value>,
    /// Instead of the klines.
    pub body: Option<Vec<u8>>,
    /// Real time before anything is sent.
    pub delay: Duration,
    /// Whether the body is announced and never sent.
    pub breaks_off: bool,
}

type Change = Box<dyn FnOnce(&mut Reply) + Send>;

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The symbol.
    pub symbol: String,
    /// `startTime`.
    pub from_ms: i64,
    /// By the exchange's clock.
    pub at_ms: i64,
}

/// The exchange.
pub struct LocalExchange {
    /// What comes before `/api/v3/klines`.
    pub url: String,
    clock: Box<dyn Fn() -> i64 + Send + Sync>,
    /// How far the exchange's clock is ahead of the test's.
    pub ahead_ms: AtomicI64,
    /// When the first candle opened.
    pub listed_ms: AtomicI64,
    lost: Mutex<Vec<Range<i64>>>,
    asked: Mutex<Vec<Asked>>,
    script: Mutex<BTreeMap<String, VecDeque<Change>>>,
    at_once: AtomicUsize,
    /// The most requests that were under way at the same time.
    pub most_at_once: AtomicUsize,
}

impl LocalExchange {
    /// Starts it on a free port. `clock` tells the test's time, milliseconds since the Unix epoch. It ends with the runtime
    /// it was started in.
    pub async fn start(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Arc<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let exchange = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            clock: Box::new(clock),
            ahead_ms: AtomicI64::new(0),
            listed_ms: AtomicI64::new(0),
            lost: Mutex::default(),
            asked: Mutex::default(),
            script: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let router = Router::new().route("/api/v3/klines", get(serve)).with_state(Arc::clone(&exchange));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let connection =
                    http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        exchange
    }

    /// What happens to the next answer about `symbol` that is not scripted yet.
    pub fn then(&self, symbol: &str, change: impl FnOnce(&mut Reply) + Send + 'static) {
        self.script.lock().unwrap().entry(symbol.to_owned()).or_default().push_back(Box::new(change));
    }

    /// Forgets the candles that opened in this time.
    pub fn lose(&self, opened_ms: Range<i64>) {
        self.lost.lock().unwrap().push(opened_ms);
    }

    /// Takes back what was to happen to answers about `symbol`.
    pub fn script_done(&self, symbol: &str) {
        self.script.lock().unwrap().remove(symbol);
    }

    /// The time of the exchange.
    pub fn now_ms(&self) -> i64 {
        (self.clock)() + self.ahead_ms.load(Ordering::SeqCst)
    }

    /// The requests since the last call.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn reply(&self, from_ms: i64, limit: usize) -> Reply {
        let now_ms = self.now_ms();
        let first_ms = from_ms.max(self.listed_ms.load(Ordering::SeqCst));
        let first_ms = first_ms + (-first_ms).rem_euclid(MINUTE_MS);
        let lost = self.lost.lock().unwrap();
        let opens =
            (first_ms..=now_ms).step_by(60_000).filter(|open_ms| !lost.iter().any(|lost| lost.contains(open_ms)));
        let opens = opens.take(limit);
        let klines = opens.map(|open_ms| if open_ms + MINUTE_MS <= now_ms { kline(open_ms) } else { forming(open_ms) });
        Reply {
            status: 200,
            date: Some(http_date(now_ms)),
            headers: Vec::new(),
            klines: klines.collect(),
            body: None,
            delay: Duration::ZERO,
            breaks_off: false,
        }
    }
}

/// A time as HTTP writes it.
#[must_use]
pub fn http_date(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap();
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap()
}

/// How the candle of a minute ends up.
#[must_use]
pub fn candle(open_time_ms: i64) -> Candle {
    let open = 100.0 + f64::from(i8::try_from(open_time_ms / MINUTE_MS % 50).unwrap());
    Candle { open_time_ms, open, high: open + 3.0, low: open - 2.0, close: open + 1.0, volume: 0.5 }
}

/// In the words of the exchange.
#[must_use]
pub fn words(candle: &Candle) -> Value {
    let text = |number: f64| format!("{number:.8}");
    json!([
        candle.open_time_ms,
        text(candle.open),
        text(candle.high),
        text(candle.low),
        text(candle.close),
        text(candle.volume),
        candle.open_time_ms + 59_999,
        "50.0",
        7,
        "0.1",
        "10.0",
        "0"
    ])
}

/// A candle that has ended up.
#[must_use]
pub fn kline(open_ms: i64) -> Value {
    words(&candle(open_ms))
}

/// A candle that will end up otherwise.
#[must_use]
pub fn forming(open_ms: i64) -> Value {
    words(&Candle { high: candle(open_ms).open, close: candle(open_ms).open - 1.0, volume: 0.1, ..candle(open_ms) })
}

async fn serve(
    State(exchange): State<Arc<LocalExchange>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response<Body> {
    assert_eq!(query["interval"], "1m");
    let symbol = query["symbol"].clone();
    let from_ms = query["startTime"].parse().unwrap();
    let at_ms = exchange.now_ms();
    exchange.asked.lock().unwrap().push(Asked { symbol: symbol.clone(), from_ms, at_ms });

    let mut reply = exchange.reply(from_ms, query["limit"].parse().unwrap());
    let change = exchange.script.lock().unwrap().get_mut(&symbol).and_then(VecDeque::pop_front);
    if let Some(change) = change {
        change(&mut reply);
    }
    let at_once = exchange.at_once.fetch_add(1, Ordering::SeqCst) + 1;
    exchange.most_at_once.fetch_max(at_once, Ordering::SeqCst);
    tokio::time::sleep(reply.delay).await;
    exchange.at_once.fetch_sub(1, Ordering::SeqCst);

    let body = reply.body.unwrap_or_else(|| serde_json::to_vec(&reply.klines).unwrap());
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers.into_iter().chain(reply.date.map(|date| ("date", date))) {
        response = response.header(name, value);
    }
    if reply.breaks_off {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        return response.body(Body::from_stream(never)).unwrap();
    }
    response.body(Body::from(body)).unwrap()
}
