//! `[live]`: where a live run gets its candles, and how long it waits.

use std::time::Duration;

use http::Uri;
use serde_json::json;
use sigbox_trading::{Orphans, SEGMENT_BYTES};

use super::{reader::Section, schema::Expected};

/// Where a live run gets its candles, and how long it waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Where candles come from.
    pub feed: Feed,
    /// For [`Feed::Replay`]: simulated seconds per second; 0 is as fast as possible.
    pub speed: f64,
    /// For [`Feed::Klines`]: `http://` or `https://`, host, and path if any, without a slash at the end.
    pub base_url: String,
    /// For [`Feed::Klines`]: how long one request may take.
    pub request_timeout: Duration,
    /// For [`Feed::Klines`]: the time from the end of a minute to the first request for its candle.
    pub settle: Duration,
    /// Minutes of candles that are fetched before the first decision, so that strategies can look back.
    pub history_minutes: u32,
    /// After a minute that ended longer ago than this, no strategy is asked, so nothing is entered late.
    pub max_entry_delay: Duration,
    /// What a start does when a strategy or symbol that is not in the configuration any more still holds something.
    pub orphans: Orphans,
    /// The event file is full when it has so many bytes; the record goes on in a new file.
    pub segment_bytes: u64,
}

/// Where the candles of a live run come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The candles of [`Config::candles`](super::Config::candles), as if each of them had just closed.
    Replay,
    /// An exchange with a REST interface like Binance's `/api/v3/klines`.
    Klines,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            feed: Feed::Replay,
            // A minute a second: slow enough to watch.
            speed: 60.0,
            base_url: "https://api.binance.com".into(),
            // Ten times what a slow answer takes. A minute has room for a few attempts.
            request_timeout: Duration::from_secs(10),
            // Exchanges finish a candle a moment after its minute. An earlier request gets an unfinished candle.
            settle: Duration::from_secs(2),
            // A day, and an hour for the day's first averages.
            history_minutes: 1500,
            // Half a minute late, the price is still current. Later, the strategy would trade at an old price.
            max_entry_delay: Duration::from_secs(30),
            orphans: Orphans::default(),
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// Two years. The history of every symbol is in memory.
const HISTORY_MINUTES_MAX: u64 = 2 * 366 * 24 * 60;

/// A candle must be asked for before the candle of the next minute is due.
const SETTLE_MS_MAX: u64 = 59_999;

/// Ten minutes. After a longer wait, the price is no longer current.
const REQUEST_TIMEOUT_MS_MAX: u64 = 600_000;

/// A start reads the whole file.
const SEGMENT_MEGABYTES_MAX: u64 = 4096;

/// An hour, the longest interval of a strategy.
const ENTRY_DELAY_SECONDS_MAX: u64 = 3600;

pub(super) fn read(root: &Section<'_>) -> Live {
    let default = Live::default();
    root.section("live", "[live]", |section| {
        let from_0 = Expected::new("a number from 0", json!({ "type": "number", "minimum": 0 }));
        let speed = section.get_if("speed", from_0, |speed: &f64| speed.is_finite() && *speed >= 0.0);
        let url = Expected::new(
            "a URL such as \"https://api.binance.com\"",
            json!({ "type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://." }),
        );
        let base_url = section.get_if("base-url", url, |url: &String| is_base_url(url));
        let history_minutes = section.whole("history-minutes", 1..=HISTORY_MINUTES_MAX);
        let request_timeout = section.whole("request-timeout-ms", 1..=REQUEST_TIMEOUT_MS_MAX);
        let max_entry_delay = section.whole("max-entry-delay-seconds", 1..=ENTRY_DELAY_SECONDS_MAX);
        Live {
            feed: section.or("feed", default.feed),
            speed: speed.unwrap_or(default.speed),
            base_url: base_url.map_or(default.base_url, |url| url.trim_end_matches('/').to_owned()),
            request_timeout: request_timeout.map_or(default.request_timeout, Duration::from_millis),
            settle: section.whole("settle-ms", 0..=SETTLE_MS_MAX).map_or(default.settle, Duration::from_millis),
            history_minutes: history_minutes
                .and_then(|minutes| u32::try_from(minutes).ok())
                .unwrap_or(default.history_minutes),
            max_entry_delay: max_entry_delay.map_or(default.max_entry_delay, Duration::from_secs),
            orphans: section.or("orphans", default.orphans),
            segment_bytes: section
                .whole("events-segment-megabytes", 1..=SEGMENT_MEGABYTES_MAX)
                .map_or(default.segment_bytes, |megabytes| megabytes << 20),
        }
    })
}

/// Whether `text` can be a [`Live::base_url`]. Slashes at its end are allowed here and removed later.
#[must_use]
pub fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    matches!(uri.scheme_str(), Some("http" | "https")) && has_host && uri.query().is_none()
}
