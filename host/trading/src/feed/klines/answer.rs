//! The checks of an answer: which of its candles are accepted.

use std::ops::Range;

use serde_json::Value;
use sigbox_engine::{Candle, MINUTE_MS, candle::CandleFault};
use sigbox_market::candles::{Gaps, SeriesError, anomaly, iso_8601};

use super::error::excerpt;

/// The rules by which the candles of an answer are accepted.
pub(super) struct Rules {
    /// How long after its minute a candle is final.
    pub(super) settle_ms: i64,
    pub(super) gaps: Gaps,
    pub(super) anomaly_factor: f64,
    pub(super) anomaly_min_for_median: usize,
}

/// The candles of an answer that are accepted.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// Those that have closed, and flat ones in the place of those that the exchange does not have.
    pub(super) candles: Vec<Candle>,
    /// The gaps that were filled: how many minutes, and when each ended.
    pub(super) filled: Vec<(i64, i64)>,
}

/// Why an answer is refused as a whole. Klines are counted from 1.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is not a list of klines ({problem}): {body}")]
    NotKlines { problem: String, body: String },
    #[error("kline {number} has {found} fields, and the first {FIELDS} are needed")]
    TooShort { number: usize, found: usize },
    #[error("the {field} of kline {number} is {found}, which is not {wanted}")]
    Field { number: usize, field: &'static str, found: String, wanted: &'static str },
    #[error("it begins with the candle of {}, and the first one asked for is that of {}", iso_8601(*found_ms), iso_8601(*from_ms))]
    NotAskedFor { found_ms: i64, from_ms: i64 },
    #[error("it has the candle of {} twice", iso_8601(*open_ms))]
    Twice { open_ms: i64 },
    #[error("it has the candle of {} after that of {}", iso_8601(*open_ms), iso_8601(*before_ms))]
    Disorder { open_ms: i64, before_ms: i64 },
    #[error("the candle of {} is impossible: {fault}", iso_8601(*open_ms))]
    Impossible { open_ms: i64, fault: CandleFault },
    #[error("{minutes} min of candles are missing, from {} to {}; {advice}", iso_8601(*from_ms), iso_8601(*until_ms))]
    Gap { minutes: i64, from_ms: i64, until_ms: i64, advice: String },
    #[error(
        "a price of the candle of {} is {factor} times below the usual one; if it is real, raise [engine] \
         get-candles-price-anomaly-threshold-factor",
        iso_8601(*open_ms)
    )]
    Anomaly { open_ms: i64, factor: f64 },
    #[error(transparent)]
    Series(#[from] SeriesError),
}

/// The fields of a kline that are used, in their order.
const FIELDS: usize = 6;
const PRICES_AND_VOLUME: [&str; FIELDS - 1] = ["open", "high", "low", "close", "volume"];

/// Opening times are below this, so that no sum of times overflows. It is in the year 5138.
const OPEN_MS_MAX: i64 = 100_000_000_000_000;

/// The `Date` of an answer has no fractions of a second.
const DATE_ROUNDING_MS: i64 = 1000;

/// If the exchange does not have a minute this long after a later one opened, it will never have it.
const GAP_IS_FINAL_MS: i64 = 5 * MINUTE_MS;

/// The longest gap that is filled, as in candle files: a week.
const GAP_MINUTES_MAX: i64 = 7 * 24 * 60;

impl Rules {
    /// Checks an answer and returns its candles that have closed. `span_ms`: the first candle that was asked for, and
    /// the time from which candles are ignored. `recent`: the candles before the span; if there are none, the answer
    /// may begin later. `date_ms`: the time of the answer, by the exchange's clock.
    pub(super) fn accept(
        &self,
        klines: &[Candle],
        span_ms: Range<i64>,
        recent: &[Candle],
        date_ms: Option<i64>,
    ) -> Result<Accepted, Refusal> {
        let from_ms = span_ms.start;
        check_order(klines, from_ms)?;
        let closed = &klines[..self.closed(klines, date_ms)];
        let closed = &closed[..closed.partition_point(|candle| candle.open_time_ms < span_ms.end)];
        // Without a date, the newest candle tells the time.
        let at_ms = date_ms.or(klines.last().map(|last| last.open_time_ms)).unwrap_or(from_ms);
        let accepted = self.without_gaps(closed, recent.last(), at_ms)?;
        self.check_prices(&accepted.candles, recent)?;
        Ok(accepted)
    }

    /// How many of `klines` have closed.
    ///
    /// A candle has closed when the exchange's clock is past its end by the time that the exchange needs to finish it.
    /// A second less is enough, because the date may have lost it in rounding. If the exchange does not send its time,
    /// it has finished all candles but the newest.
    fn closed(&self, klines: &[Candle], date_ms: Option<i64>) -> usize {
        let Some(date_ms) = date_ms else { return klines.len().saturating_sub(1) };
        let unsettled_ms = self.settle_ms.saturating_sub(DATE_ROUNDING_MS).max(0);
        klines.partition_point(|kline| kline.close_time_ms().saturating_add(unsettled_ms) <= date_ms)
    }

    /// Returns `closed` with no minute missing, neither inside nor between `last` and its first candle.
    fn without_gaps(&self, closed: &[Candle], last: Option<&Candle>, at_ms: i64) -> Result<Accepted, Refusal> {
        let mut filled = Vec::new();
        let mut gapless: Vec<Candle> = Vec::with_capacity(closed.len());
        for candle in closed {
            if let Some(fault) = candle.fault() {
                return Err(Refusal::Impossible { open_ms: candle.open_time_ms, fault });
            }
            if let Some(before) = gapless.last().or(last).copied() {
                let missing = self.check_gap(before.close_time_ms(), candle.open_time_ms, at_ms)?;
                gapless.extend((0..missing).map(|minute| untraded(&before, minute)));
                if missing > 0 {
                    filled.push((missing, candle.open_time_ms));
                }
            }
            gapless.push(*candle);
        }
        Ok(Accepted { candles: gapless, filled })
    }

    /// Returns how many minutes are missing from `from_ms` to `until_ms`. It is an error if the settings refuse gaps,
    /// or if it is too many minutes or too early to fill them.
    fn check_gap(&self, from_ms: i64, until_ms: i64, at_ms: i64) -> Result<i64, Refusal> {
        let minutes = (until_ms - from_ms) / MINUTE_MS;
        let final_ms = until_ms + GAP_IS_FINAL_MS;
        let advice = match self.gaps {
            _ if minutes == 0 => return Ok(0),
            Gaps::Refuse => "if the exchange will never have them, set [candles] gaps = \"fill\"".to_owned(),
            Gaps::Fill if minutes > GAP_MINUTES_MAX => "that is more than a week, too much to fill".to_owned(),
            Gaps::Fill if at_ms < final_ms => {
                format!("if they have not come by {}, flat ones take their place", iso_8601(final_ms))
            }
            Gaps::Fill => return Ok(minutes),
        };
        Err(Refusal::Gap { minutes, from_ms, until_ms, advice })
    }

    fn check_prices(&self, closed: &[Candle], recent: &[Candle]) -> Result<(), Refusal> {
        let together = [recent, closed].concat();
        let found = anomaly(&together, self.anomaly_factor, self.anomaly_min_for_median);
        let found = found.and_then(|index| match index.checked_sub(recent.len()) {
            Some(index) => Some(index),
            // A candle that was accepted is not refused now because the price has risen since. But it must not hide an
            // anomaly among the new candles.
            None => anomaly(closed, self.anomaly_factor, self.anomaly_min_for_median),
        });
        found.map_or(Ok(()), |index| {
            Err(Refusal::Anomaly { open_ms: closed[index].open_time_ms, factor: self.anomaly_factor })
        })
    }
}

/// Reads `[[openTime, "open", "high", "low", "close", "volume", …], …]`. Numbers may be sent as texts, and texts as
/// numbers.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Candle>, Refusal> {
    let klines: Vec<Vec<Value>> = serde_json::from_slice(body)
        .map_err(|error| Refusal::NotKlines { problem: error.to_string(), body: excerpt(body) })?;
    klines.iter().zip(1..).map(|(fields, number)| parse_kline(fields, number)).collect()
}

fn parse_kline(fields: &[Value], number: usize) -> Result<Candle, Refusal> {
    let [open_time, values @ ..] = fields else { return Err(Refusal::TooShort { number, found: 0 }) };
    let Some(values) = values.first_chunk::<{ FIELDS - 1 }>() else {
        return Err(Refusal::TooShort { number, found: fields.len() });
    };
    let refused = |field, found: &Value, wanted| Refusal::Field {
        number,
        field,
        found: excerpt(found.to_string().as_bytes()),
        wanted,
    };
    let open_time_ms = integer(open_time)
        .filter(|open_ms| (0..OPEN_MS_MAX).contains(open_ms))
        .ok_or_else(|| refused("opening time", open_time, "a time in milliseconds"))?;
    let mut read = [0.0; FIELDS - 1];
    for ((read, value), field) in read.iter_mut().zip(values).zip(PRICES_AND_VOLUME) {
        *read = float(value).ok_or_else(|| refused(field, value, "a number"))?;
    }
    let [open, high, low, close, volume] = read;
    Ok(Candle { open_time_ms, open, high, low, close, volume })
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn check_order(klines: &[Candle], from_ms: i64) -> Result<(), Refusal> {
    if let Some(first) = klines.first().filter(|first| first.open_time_ms < from_ms) {
        return Err(Refusal::NotAskedFor { found_ms: first.open_time_ms, from_ms });
    }
    for pair in klines.windows(2) {
        let (before_ms, open_ms) = (pair[0].open_time_ms, pair[1].open_time_ms);
        if open_ms == before_ms {
            return Err(Refusal::Twice { open_ms });
        }
        if open_ms < before_ms {
            return Err(Refusal::Disorder { open_ms, before_ms });
        }
    }
    Ok(())
}

/// The flat candle of a minute without trades, `minute` minutes after the candle that follows `before`.
const fn untraded(before: &Candle, minute: i64) -> Candle {
    let price = before.close;
    Candle {
        open_time_ms: before.close_time_ms() + minute * MINUTE_MS,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 0.0,
    }
}
