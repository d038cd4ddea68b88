//! Errors of fetching candles, written for the person who has to do something about them.

use std::time::Duration;

use sigbox_market::candles::iso_8601;

use super::answer::Refusal;

/// Why one symbol did not get its candles.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// There is no connection, or it broke.
    #[error("cannot get {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The answer takes too long.
    #[error("{url} was not answered within {} ms ([live] request-timeout-ms)", timeout.as_millis())]
    Timeout { url: String, timeout: Duration },
    /// 3xx: somewhere else.
    #[error(
        "{url} was answered with HTTP {status}, a redirect to {to}. Redirects are not followed; if the exchange has \
         moved there, change [live] base-url"
    )]
    Moved { url: String, status: u16, to: String },
    /// 451 and 403: the exchange refuses requests from this location.
    #[error(
        "{url} was answered with HTTP {status}: {body}. The exchange refuses requests from this location; [live] \
         base-url can name another one that speaks the same protocol"
    )]
    Location { url: String, status: u16, body: String },
    /// Code -1121 of the exchange.
    #[error(
        "the exchange does not know this symbol; correct it on the command line, or in `symbols` of [[strategies]] \
         ({url}: {body})"
    )]
    UnknownSymbol { url: String, body: String },
    /// 429 and 418: too many requests.
    #[error(
        "{url} was answered with HTTP {status}: {body}. The exchange takes no more requests{}; it also counts those of \
         other programs on this address",
        retry_after.map_or_else(String::new, |wait| format!(" for {} s", wait.as_secs()))
    )]
    TooMany { url: String, status: u16, body: String, retry_after: Option<Duration> },
    /// The exchange said 429 or 418 a moment ago, so it was not asked.
    #[error("the exchange takes no more requests until {}; it was not asked", iso_8601(*until_ms))]
    Quiet { until_ms: i64 },
    /// Any other status.
    #[error("{url} was answered with HTTP {status}: {body}")]
    Status { url: String, status: u16, body: String },
    /// An answer that cannot be used.
    #[error("the answer to {url} is refused: {refusal}")]
    Refused { url: String, refusal: Refusal },
    /// Good answers, in which the newest candle is missing.
    #[error(
        "the candle of {} has not closed yet at {}, by the exchange's clock; it is asked for again in the next minute",
        iso_8601(*open_ms),
        iso_8601(*at_ms)
    )]
    Late { open_ms: i64, at_ms: i64 },
    /// Good answers without a candle.
    #[error(
        "none has closed between {} and {}, by the exchange's clock; is it still traded there?",
        iso_8601(*from_ms),
        iso_8601(*at_ms)
    )]
    NoCandles { from_ms: i64, at_ms: i64 },
}

impl FetchError {
    /// Whether the same request will most likely fail again a few seconds later.
    pub(super) const fn is_lasting(&self) -> bool {
        match self {
            Self::Moved { .. } | Self::Location { .. } | Self::UnknownSymbol { .. } => true,
            // The exchange refuses the request itself; 408 only says that it took too long.
            Self::Status { status, .. } => *status >= 400 && *status < 500 && *status != 408,
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::TooMany { .. }
            | Self::Quiet { .. }
            | Self::Refused { .. }
            | Self::Late { .. }
            | Self::NoCandles { .. } => false,
        }
    }
}

/// The beginning of what a server sent, fit to be shown: no line breaks, no control characters.
pub(super) fn excerpt(sent: &[u8]) -> String {
    const LENGTH: usize = 200;
    // A character takes at most 4 bytes; the rest need not be decoded.
    let beginning = String::from_utf8_lossy(&sent[..sent.len().min(4 * LENGTH + 4)]);
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    let mut text: String = beginning.chars().take(LENGTH).map(shown).collect();
    if beginning.chars().count() > LENGTH {
        text.push('…');
    }
    if text.trim().is_empty() { "nothing".to_owned() } else { text }
}
