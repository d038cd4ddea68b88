//! The exchange: what it answers, and what time it is there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use ::http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Collected, Empty, LengthLimitError, Limited};
use hyper_util::client::legacy::{Client, connect::dns::GaiResolver};
use jiff::fmt::rfc2822;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sigbox_engine::MINUTE_MS;
use tokio::time::timeout;

use super::{
    clock::Clock,
    error::{FetchError, excerpt},
};
use crate::http::{self, Connector};

/// Most candles of one answer; the exchange allows no more.
pub(super) const PAGE: usize = 1000;

/// Most bytes of one answer: twenty times what a page takes.
const BODY_MAX: usize = 4 << 20;

/// Longest that a `Retry-After` is believed: three days, the longest ban of Binance.
const QUIET_MAX: Duration = Duration::from_hours(3 * 24);

/// The clock of this machine is fine when it is off by less.
const CLOCK_OFF_MS: i64 = 2000;

/// An exchange with a REST interface like Binance's. No key is needed for what is asked.
pub(super) struct Exchange {
    client: Client<Connector<GaiResolver>, Empty<&'static [u8]>>,
    base_url: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    /// How far the clock of this machine is ahead of the exchange's, as far as its answers have shown.
    ahead_ms: AtomicI64,
    /// The exchange is not to be asked before; by the clock of this machine.
    quiet_until_ms: AtomicI64,
}

/// What was answered, with a status of success.
pub(super) struct Answer {
    /// What was asked.
    pub(super) url: String,
    /// Not read yet: anything.
    pub(super) body: Vec<u8>,
    /// When it was answered by the exchange's clock, in whole seconds rounded down; `None` when it does not say.
    pub(super) date_ms: Option<i64>,
}

impl Exchange {
    pub(super) fn new(base_url: &str, timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: http::client(GaiResolver::new()),
            base_url: base_url.trim_end_matches('/').to_owned(),
            timeout,
            clock,
            ahead_ms: AtomicI64::new(0),
            quiet_until_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// The time at the exchange, milliseconds since the Unix epoch: that of this machine, corrected by what the answers
    /// have shown. Good enough to know when to ask, not to know what has closed.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms() - self.ahead_ms.load(Ordering::Relaxed)
    }

    /// When the exchange may be asked again; in the past, if it did not complain.
    pub(super) fn quiet_until_ms(&self) -> i64 {
        self.quiet_until_ms.load(Ordering::Relaxed).saturating_sub(self.ahead_ms.load(Ordering::Relaxed))
    }

    pub(super) async fn sleep_until_ms(&self, at_ms: i64) {
        if let Ok(wait_ms @ 1..) = u64::try_from(at_ms.saturating_sub(self.now_ms())) {
            self.clock.sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// Asks for the first [`PAGE`] one-minute candles that opened at `from_ms` or later, forming ones included.
    pub(super) async fn klines(&self, symbol: &str, from_ms: i64) -> Result<Answer, FetchError> {
        let until_ms = self.quiet_until_ms();
        if self.now_ms() < until_ms {
            return Err(FetchError::Quiet { until_ms });
        }
        let symbol = utf8_percent_encode(symbol, NON_ALPHANUMERIC);
        let url =
            format!("{}/api/v3/klines?symbol={symbol}&interval=1m&startTime={from_ms}&limit={PAGE}", self.base_url);
        let sent_ms = self.clock.now_ms();
        let answer = self.get(url).await.inspect_err(|error| self.heed(error))?;
        if let Some(date_ms) = answer.date_ms {
            self.learn_time(sent_ms, self.clock.now_ms(), date_ms);
        }
        Ok(answer)
    }

    /// One request. A redirect is not followed: no address of the interface needs one, and it may lead to where
    /// connections are not protected.
    async fn get(&self, url: String) -> Result<Answer, FetchError> {
        let failed = |reason: String| FetchError::Unreachable { url: url.clone(), reason };
        let timed_out = |_| FetchError::Timeout { url: url.clone(), timeout: self.timeout };
        let request = Request::get(&url)
            .header(header::USER_AGENT, concat!("sigbox/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "*/*")
            .body(Empty::new())
            .map_err(|error| failed(error.to_string()))?;

        let started = Instant::now();
        let response = timeout(self.timeout, self.client.request(request)).await.map_err(timed_out)?;
        let (head, body) = response.map_err(|error| failed(http::reason(&error)))?.into_parts();
        let left = self.timeout.saturating_sub(started.elapsed());
        let body = timeout(left, Limited::new(body, BODY_MAX).collect()).await;
        if !head.status.is_success() {
            // What the status says is worth more than a body that broke off.
            let body = body.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
            return Err(refusal(url, head.status.as_u16(), &head.headers, &body));
        }
        let body = body.map_err(timed_out)?.map_err(|error| match error.downcast_ref() {
            Some(LengthLimitError { .. }) => failed(format!("the answer is longer than {BODY_MAX} bytes")),
            None => failed(http::reason(&*error)),
        })?;
        Ok(Answer { body: body.to_bytes().into(), date_ms: date_ms(&head.headers), url })
    }

    /// Remembers to leave the exchange alone if that is what it asks for.
    fn heed(&self, error: &FetchError) {
        if let FetchError::TooMany { retry_after: Some(wait), .. } = error {
            let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(MINUTE_MS);
            self.quiet_until_ms.fetch_max(self.clock.now_ms() + wait_ms, Ordering::Relaxed);
        }
    }

    /// The exchange's clock showed `date_ms`, and a part of a second, at some time from `sent_ms` to `received_ms` of
    /// ours. What is known is corrected as little as that allows, so that the rounding does not make it swing.
    fn learn_time(&self, sent_ms: i64, received_ms: i64, date_ms: i64) {
        let (least, most) = (sent_ms - date_ms - 999, received_ms - date_ms);
        let before = self.ahead_ms.load(Ordering::Relaxed);
        // If not, our clock was set back meanwhile.
        if least <= most {
            let ahead_ms = before.clamp(least, most);
            self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
            if (ahead_ms - before).abs() > CLOCK_OFF_MS {
                tracing::warn!(ahead_ms, "the clock of this machine is not that of the exchange; going by the latter");
            }
        }
    }
}

/// What a status other than success means.
fn refusal(url: String, status: u16, headers: &HeaderMap, body: &[u8]) -> FetchError {
    #[derive(serde::Deserialize)]
    struct Complaint {
        code: i64,
    }
    const INVALID_SYMBOL: i64 = -1121;

    let shown = excerpt(body);
    match status {
        300..=399 if let Some(to) = headers.get(header::LOCATION) => {
            FetchError::Moved { url, status, to: excerpt(to.as_bytes()) }
        }
        403 | 451 => FetchError::Location { url, status, body: shown },
        418 | 429 => FetchError::TooMany { url, status, body: shown, retry_after: retry_after(headers) },
        400 if serde_json::from_slice(body).is_ok_and(|Complaint { code }| code == INVALID_SYMBOL) => {
            FetchError::UnknownSymbol { url, body: shown }
        }
        _ => FetchError::Status { url, status, body: shown },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(QUIET_MAX))
}

fn date_ms(headers: &HeaderMap) -> Option<i64> {
    static HTTP_DATE: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();
    let date = headers.get(header::DATE)?;
    Some(HTTP_DATE.parse_timestamp(date.as_bytes()).ok()?.as_millisecond())
}
