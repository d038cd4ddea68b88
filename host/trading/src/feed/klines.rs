//! A feed of candles as they close, from an exchange that speaks Binance's `/api/v3/klines`.
//!
//! ```text
//! Clock ─► a minute has ended and settled ─► Exchange ─► Answer ─► closed ─► checked ─► Market ─► Boundary
//!                                                       or, for past candles ─► fetch ─► a file
//! ```
//!
//! What holds:
//!
//! 1. A candle is added when the exchange's own clock says that it has closed. If the exchange does not send its time,
//!    a candle is added when the exchange sends a later one. This machine's clock only decides when to ask (hazard
//!    H-02).
//! 2. An answer is used as a whole or refused as a whole. A candle that was added never changes, because it is not
//!    asked for again.
//! 3. A symbol that cannot be fetched does not stop the others. They wait while it is retried, but not so long that it
//!    would be too late for them to open trades.
//! 4. No candle is skipped: for each symbol, the feed asks for what follows its last candle, however old that candle is
//!    (hazard H-55).

mod answer;
mod clock;
mod error;
mod exchange;
mod fetch;

#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use sigbox_engine::{Candle, MINUTE_MS};

pub use self::fetch::{FetchFileError, FetchOrder, FetchProgress, Fetched, fetch_file};
use sigbox_events::Notice;
use sigbox_market::{
    Market, SharedSeries,
    candles::{Gaps, iso_8601},
};

use self::{
    answer::{Accepted, Rules},
    clock::{Clock, SystemClock},
    error::FetchError,
    exchange::Exchange,
};
use super::{Boundary, Feed, FeedError};

/// How a [`KlinesFeed`] asks, and which answers it accepts.
#[derive(Clone, Debug, PartialEq)]
pub struct KlinesSettings {
    /// `http://` or `https://`, host, and path if any: what comes before `/api/v3/klines`.
    pub base_url: String,
    /// How long one request may take, from looking up the host to the last byte.
    pub request_timeout: Duration,
    /// How long after the end of a minute its candle is first asked for.
    pub settle: Duration,
    /// How far back the candles go at the first decision. If this is less than `average_of`, `average_of` counts.
    pub history_minutes: u32,
    /// A boundary that is older than this when it is reached is not [fresh](Boundary::fresh).
    pub max_entry_delay: Duration,
    /// How many attempts are made for one boundary, or for one page of a file; 0 counts as 1.
    pub retry_count: u32,
    /// Pause between two attempts.
    pub retry_delay: Duration,
    /// What to do about minutes that the exchange still does not have a few minutes after they have passed.
    pub gaps: Gaps,
    /// A price this many times below the usual one is an error of the exchange.
    pub anomaly_factor: f64,
    /// The usual price is the median of this many candles or more, and the mean of fewer.
    pub anomaly_min_for_median: usize,
    /// Candles in the average price.
    pub average_of: usize,
}

impl KlinesSettings {
    fn rules(&self) -> Rules {
        Rules {
            settle_ms: millis(self.settle),
            gaps: self.gaps,
            anomaly_factor: self.anomaly_factor,
            anomaly_min_for_median: self.anomaly_min_for_median,
        }
    }
}

/// Candles of an exchange, as they close.
///
/// Dropping the future of [`next`](Feed::next) loses nothing: the next call goes on from there.
pub struct KlinesFeed {
    settings: KlinesSettings,
    symbols: Vec<String>,
    exchange: Exchange,
    /// What `prepare` was told to fetch. A symbol that had no candles then is still asked for all of them.
    wanted: Vec<(String, Option<i64>)>,
    /// The last boundary that `next` returned. Before the first one, the boundary before it.
    given_ms: i64,
}

/// How long a boundary waits for the answers of strategies. An answer takes some milliseconds, and the strategies that
/// have answered should not enter late.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many symbols are asked for at the same time.
const CONCURRENT_REQUESTS: usize = 8;

/// How many earlier candles tell the usual price. It is an hour, in which no price falls a thousandfold.
const RECENT: usize = 60;

impl Feed for KlinesFeed {
    async fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> Result<Vec<FeedError>, FeedError> {
        self.wanted = wanted.to_vec();
        let mut lanes = self.lanes(market)?;
        self.fetch_all(&mut lanes, None).await;
        let missing: Vec<FeedError> = lanes.iter().filter_map(|lane| lane.check_prepared().err()).collect();
        // The newest minute is the first boundary, so what an earlier run left behind is judged now, and not a minute
        // later.
        let newest_ms = lanes.iter().filter_map(Lane::end_ms).max();
        self.given_ms = newest_ms.unwrap_or_else(|| minute_of(self.exchange.now_ms())) - MINUTE_MS;
        let never = |symbol: &String| {
            missing.iter().any(|missing| matches!(missing, FeedError::Never { symbol: other, .. } if other == symbol))
        };
        self.symbols.retain(|symbol| !never(symbol));
        Ok(missing)
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }

    async fn next(&mut self, market: &Market, notices: &mut Vec<Notice>) -> Result<Option<Boundary>, FeedError> {
        let mut catching_up = 0;
        let mut asked_for_time = false;
        loop {
            let due_ms = self.wait_for_minute().await;
            let mut lanes = self.lanes(market)?;
            self.fetch_all(&mut lanes, Some(due_ms)).await;

            catching_up = lanes.iter().map(|lane| lane.added).fold(catching_up, i64::max);
            // A closed candle proves better than a clock that its minute is over.
            let now_ms = lanes.iter().filter_map(Lane::end_ms).fold(self.exchange.now_ms(), i64::max);
            if now_ms < due_ms && !asked_for_time {
                // This machine's clock was fast or was set back, and the answers of the exchange have just corrected
                // it. So wait again, but only once: the exchange's own clock may stand still, and that has to be
                // reported.
                asked_for_time = true;
                continue;
            }
            if catching_up > 1 {
                notices.push(Notice::CatchingUp { minutes: catching_up });
            }
            notices.extend(lanes.iter().filter_map(Lane::failed));
            self.given_ms = due_ms;
            return Ok(Some(Boundary { now_ms: due_ms, fresh: self.is_fresh(due_ms, now_ms) }));
        }
    }
}

impl KlinesFeed {
    /// A feed of `symbols`, as the exchange names them.
    #[must_use]
    pub fn new(settings: KlinesSettings, symbols: Vec<String>) -> Self {
        Self::with_clock(settings, symbols, Arc::new(SystemClock))
    }

    fn with_clock(settings: KlinesSettings, symbols: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        let exchange = Exchange::new(&settings.base_url, settings.request_timeout, clock);
        Self { settings, symbols, exchange, wanted: Vec::new(), given_ms: i64::MIN }
    }

    /// Waits until a minute has ended and settled that was not returned yet. Returns the time when it ended. If several
    /// minutes have ended, returns the newest.
    async fn wait_for_minute(&self) -> i64 {
        let settle_ms = millis(self.settings.settle);
        loop {
            let now_ms = self.exchange.now_ms();
            let due_ms = minute_of(now_ms).max(self.given_ms.saturating_add(MINUTE_MS));
            // The wait is only longer than that if the clock was set back. Then the exchange is asked early, because
            // its answer tells the time.
            let longest_ms = now_ms + MINUTE_MS + settle_ms;
            self.exchange.sleep_until_ms((due_ms + settle_ms).min(longest_ms)).await;
            if self.exchange.now_ms() < due_ms + MINUTE_MS {
                return due_ms;
            }
        }
    }

    /// Fetches the candles that the lanes do not have yet, in several attempts. `due_ms`: the end of the minute that
    /// each lane has to reach; `None`: as far as there are candles.
    async fn fetch_all(&self, lanes: &mut [Lane<'_>], due_ms: Option<i64>) {
        for attempt in 1..=self.settings.retry_count.max(1) {
            if attempt > 1 {
                // The pause is between two attempts, and not after the last one (hazard H-32).
                self.exchange.sleep_until_ms(self.next_attempt_ms()).await;
            }
            stream::iter(lanes.iter_mut().filter(|lane| !lane.has_reached(due_ms)))
                .for_each_concurrent(CONCURRENT_REQUESTS, |lane| async move {
                    lane.outcome = Some(self.fetch(lane, due_ms).await);
                })
                .await;
            // There is no attempt more than a minute after the boundary (at the start: more than a minute from now),
            // whatever pause the exchange asks for. Otherwise the next boundary would have to wait.
            let patience_ms = due_ms.unwrap_or_else(|| self.exchange.now_ms()).saturating_add(MINUTE_MS);
            let worth_it = lanes.iter().any(|lane| lane.error().is_some_and(|error| !error.is_lasting()));
            if !worth_it || self.next_attempt_ms() > patience_ms || self.others_would_miss(lanes, due_ms) {
                break;
            }
        }
    }

    /// Fetches the candles that one lane does not have yet, in one attempt.
    async fn fetch(&self, lane: &mut Lane<'_>, due_ms: Option<i64>) -> Result<(), FetchError> {
        loop {
            let recent = lane.recent();
            let from_ms = recent.last().map_or_else(|| self.oldest_ms(lane.wanted_ms), Candle::close_time_ms);
            let page = page(&self.exchange, &self.settings.rules(), lane.symbol, from_ms..i64::MAX, &recent).await?;
            for candle in &page.candles {
                let refused = |error| FetchError::Refused { url: page.url.clone(), refusal: error };
                lane.series.push(*candle).map_err(|error| refused(error.into()))?;
                lane.added += 1;
            }
            if !page.has_next {
                break;
            }
        }
        let at_ms = self.exchange.now_ms();
        match (lane.end_ms(), due_ms) {
            (None, _) => Err(FetchError::NoCandles { from_ms: self.oldest_ms(lane.wanted_ms), at_ms }),
            (Some(end_ms), Some(due_ms)) if end_ms < due_ms => Err(FetchError::Late { open_ms: end_ms, at_ms }),
            (Some(_), _) => Ok(()),
        }
    }

    /// When the next attempt can be made, after one that has just failed.
    fn next_attempt_ms(&self) -> i64 {
        (self.exchange.now_ms() + millis(self.settings.retry_delay)).max(self.exchange.quiet_until_ms())
    }

    /// Whether it would be too late to open trades on the symbols that have their candle, if they waited for one more
    /// attempt.
    fn others_would_miss(&self, lanes: &[Lane<'_>], due_ms: Option<i64>) -> bool {
        let Some(due_ms) = due_ms else { return false };
        let answered_ms = self.next_attempt_ms() + millis(self.settings.request_timeout);
        lanes.iter().any(|lane| lane.has_reached(Some(due_ms)))
            && self.is_fresh(due_ms, self.exchange.now_ms())
            && !self.is_fresh(due_ms, answered_ms)
    }

    fn is_fresh(&self, due_ms: i64, now_ms: i64) -> bool {
        now_ms - due_ms <= millis(self.settings.max_entry_delay)
    }

    /// Opening time of the first candle that is asked for when a symbol has none yet.
    fn oldest_ms(&self, wanted_ms: Option<i64>) -> i64 {
        let average_of = i64::try_from(self.settings.average_of).unwrap_or(i64::MAX);
        let history = i64::from(self.settings.history_minutes).max(average_of);
        let before = |ms: i64, minutes: i64| minute_of(ms).saturating_sub(minutes.saturating_mul(MINUTE_MS));
        let oldest_ms = before(self.exchange.now_ms(), history);
        wanted_ms.map_or(oldest_ms, |wanted_ms| oldest_ms.min(before(wanted_ms, average_of))).max(0)
    }

    fn lanes<'a>(&'a self, market: &'a Market) -> Result<Vec<Lane<'a>>, FeedError> {
        let lane = |symbol: &'a String| {
            let series = market.series(symbol).ok_or_else(|| FeedError::Candles {
                symbol: symbol.clone(),
                problem: "the run does not trade it".to_owned(),
            })?;
            let wanted_ms = self.wanted.iter().filter(|(name, _)| name == symbol).filter_map(|(_, ms)| *ms).min();
            Ok(Lane { symbol, series, wanted_ms, added: 0, outcome: None })
        };
        self.symbols.iter().map(lane).collect()
    }
}

/// The candles in one answer of the exchange.
struct Page {
    url: String,
    /// The candles that have closed, checked.
    candles: Vec<Candle>,
    /// Whether more candles must have closed after them.
    has_next: bool,
}

/// Asks once for the candles of `span_ms`. `recent`: the candles before them, as far as they are known.
async fn page(
    exchange: &Exchange,
    rules: &Rules,
    symbol: &str,
    span_ms: Range<i64>,
    recent: &[Candle],
) -> Result<Page, FetchError> {
    let answer = exchange.klines(symbol, span_ms.start).await?;
    let accepted =
        answer::parse(&answer.body).and_then(|klines| rules.accept(&klines, span_ms, recent, answer.date_ms));
    match accepted {
        Ok(Accepted { candles, filled }) => {
            for (minutes, until_ms) in filled {
                tracing::warn!(
                    "candles of {symbol}: the exchange has none of the {minutes} min before {}; flat ones take their \
                     place",
                    iso_8601(until_ms)
                );
            }
            // How many candles an exchange puts into an answer is its own affair, whatever limit was asked for. So the
            // time tells whether the next one has closed too, and not the length of the answer.
            let now_ms = answer.date_ms.unwrap_or_else(|| exchange.now_ms());
            let has_next = candles
                .last()
                .is_some_and(|last| last.close_time_ms().saturating_add(MINUTE_MS + rules.settle_ms) <= now_ms);
            Ok(Page { url: answer.url, candles, has_next })
        }
        Err(refusal) => Err(FetchError::Refused { url: answer.url, refusal }),
    }
}

/// The work on one symbol at one boundary.
struct Lane<'a> {
    symbol: &'a str,
    series: &'a SharedSeries,
    /// Opening time of the oldest candle that is needed to judge what an earlier run left behind.
    wanted_ms: Option<i64>,
    /// How many candles were added.
    added: i64,
    /// How the last attempt ended; `None` before the first.
    outcome: Option<Result<(), FetchError>>,
}

impl Lane<'_> {
    fn end_ms(&self) -> Option<i64> {
        self.series.read().end_ms()
    }

    fn recent(&self) -> Vec<Candle> {
        let series = self.series.read();
        let candles = series.closed_before(i64::MAX);
        candles[candles.len().saturating_sub(RECENT)..].to_vec()
    }

    fn has_reached(&self, due_ms: Option<i64>) -> bool {
        match due_ms {
            Some(due_ms) => self.end_ms().is_some_and(|end_ms| end_ms >= due_ms),
            None => matches!(self.outcome, Some(Ok(()))),
        }
    }

    fn error(&self) -> Option<&FetchError> {
        self.outcome.as_ref()?.as_ref().err()
    }

    fn failed(&self) -> Option<Notice> {
        let error = self.error()?.to_string();
        Some(Notice::FeedFailed { symbol: self.symbol.to_owned(), error })
    }

    fn check_prepared(&self) -> Result<(), FeedError> {
        let first_ms = self.series.read().first_open_ms();
        let symbol = self.symbol.to_owned();
        match (self.error(), first_ms, self.wanted_ms) {
            (Some(error), _, _) if error.is_lasting() => Err(FeedError::Never { symbol, problem: error.to_string() }),
            (Some(error), _, _) => Err(FeedError::Candles { symbol, problem: error.to_string() }),
            (None, Some(first_ms), Some(wanted_ms)) if first_ms > wanted_ms => {
                let problem = format!(
                    "the exchange has none before {}, and what an earlier run left behind is judged from {} on; without \
                     them it cannot be resumed",
                    iso_8601(first_ms),
                    iso_8601(wanted_ms)
                );
                Err(FeedError::Never { symbol, problem })
            }
            _ => Ok(()),
        }
    }
}

/// The beginning of the minute that contains `at_ms`, which is also the end of the minute before.
const fn minute_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
