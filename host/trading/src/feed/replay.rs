//! A feed of recorded candles, which close at a chosen pace: for paper trading and tests.

use std::time::Duration;

use sigbox_engine::{Candle, MINUTE_MS, Settings};
use sigbox_events::Notice;
use sigbox_market::{
    Market,
    candles::{AnomalousCandle, Series, iso_8601},
};
use tokio::time::{Instant, sleep_until};

use super::{Boundary, Feed, FeedError, since};

/// Replays candles as if they closed now. The time is that of the candles. So a run that was interrupted goes on at the
/// minute it had reached, and misses nothing.
pub struct ReplayFeed {
    symbols: Vec<(String, Series)>,
    /// How long a candle's minute takes in real time; zero: as fast as possible.
    minute: Duration,
    /// The first boundary to decide. It is later if a symbol does not have enough candles for an average price by then.
    from_ms: Option<i64>,
    settings: Settings,
    /// The next candle that no average price may contain, and its symbol.
    anomaly: Option<(String, AnomalousCandle)>,
    now_ms: i64,
    due: Option<Instant>,
}

impl ReplayFeed {
    /// A feed of `symbols`. `speed`: simulated seconds per second; 0: as fast as possible. `from_ms`: the first
    /// boundary that a flat trader has not decided yet; `None`: the first one that has an average price. `settings` say
    /// how many candles the average price has, and which candle it may not contain.
    #[must_use]
    pub fn new(symbols: Vec<(String, Series)>, speed: f64, from_ms: Option<i64>, settings: Settings) -> Self {
        let minute = if speed > 0.0 { Duration::from_secs_f64(60.0 / speed) } else { Duration::ZERO };
        Self { symbols, minute, from_ms, settings, anomaly: None, now_ms: 0, due: None }
    }

    fn average_of(&self) -> usize {
        self.settings.avg_price_candles_count as usize
    }

    /// The first boundary at which every symbol has enough candles for an average price.
    fn earliest_ms(&self) -> Result<i64, FeedError> {
        let mut earliest = i64::MIN;
        for (symbol, series) in &self.symbols {
            let candles = all(series);
            let Some(last_of_window) = candles.get(self.average_of().saturating_sub(1)) else {
                return Err(FeedError::Candles {
                    symbol: symbol.clone(),
                    problem: format!(
                        "there are {}, and the average price alone needs {}; give more of them",
                        candles.len(),
                        self.average_of()
                    ),
                });
            };
            earliest = earliest.max(last_of_window.close_time_ms());
        }
        Ok(earliest)
    }
}

impl Feed for ReplayFeed {
    async fn prepare(
        &mut self,
        market: &Market,
        wanted: &[(String, Option<i64>)],
    ) -> Result<Vec<FeedError>, FeedError> {
        let earliest = self.earliest_ms()?;
        let mut missing = Vec::new();
        for (symbol, open_ms) in wanted {
            let series = self.symbols.iter().find(|(name, _)| name == symbol);
            let first_ms = series.and_then(|(_, series)| series.first_open_ms());
            if let (Some(open_ms), Some(first_ms)) = (*open_ms, first_ms)
                && open_ms < first_ms + window_ms(self.average_of())
            {
                missing.push(FeedError::Candles {
                    symbol: symbol.clone(),
                    problem: format!(
                        "what an earlier run left behind is judged from {} on, but they begin at {}; give older ones, \
                         or choose another [persistence] data-dir",
                        iso_8601(open_ms),
                        iso_8601(first_ms)
                    ),
                });
            }
        }
        // The candles before this boundary are added now, so that positions and orders are judged on them without
        // waiting.
        let first = self.from_ms.map_or(earliest, |from_ms| from_ms.max(earliest));
        if let Some(end_ms) = self.symbols.iter().filter_map(|(_, series)| series.end_ms()).max()
            && first > end_ms
        {
            tracing::warn!(
                "nothing is left to replay: an earlier run has reached {}, where the candles end; to replay them again, \
                 choose another [persistence] data-dir or --events file",
                iso_8601(end_ms)
            );
        }
        for (symbol, series) in &self.symbols {
            push_all(market, symbol, series.closed_before(first - 1))?;
        }
        let in_window_ms = first - MINUTE_MS - window_ms(self.average_of());
        let anomalies = self.symbols.iter().filter_map(|(symbol, series)| {
            Some((symbol.clone(), AnomalousCandle::first(since(all(series), in_window_ms), &self.settings)?))
        });
        self.anomaly = anomalies.min_by_key(|(_, candle)| candle.reached_ms);
        self.now_ms = first - MINUTE_MS;
        Ok(missing)
    }

    fn patience(&self) -> Option<Duration> {
        None
    }

    async fn next(&mut self, market: &Market, _: &mut Vec<Notice>) -> Result<Option<Boundary>, FeedError> {
        // The replay does not advance before the only wait, so a caller may stop waiting and call again.
        if !self.minute.is_zero() {
            let due = *self.due.get_or_insert_with(Instant::now);
            sleep_until(due).await;
            self.due = Some(due + self.minute);
        }
        self.now_ms += MINUTE_MS;
        let now_ms = self.now_ms;
        if let Some((symbol, candle)) = self.anomaly.take_if(|(_, candle)| candle.reached_ms <= now_ms) {
            return Err(FeedError::Candles { symbol, problem: candle.to_string() });
        }
        let mut any = false;
        for (symbol, series) in &self.symbols {
            if let Some(candle) = series.at(now_ms - MINUTE_MS) {
                push_all(market, symbol, std::slice::from_ref(candle))?;
                any = true;
            }
        }
        Ok(any.then_some(Boundary { now_ms, fresh: true }))
    }
}

fn all(series: &Series) -> &[Candle] {
    series.closed_before(i64::MAX)
}

/// The time between the first and the last candle of an average price, milliseconds.
fn window_ms(average_of: usize) -> i64 {
    i64::try_from(average_of.saturating_sub(1)).unwrap_or(i64::MAX / MINUTE_MS) * MINUTE_MS
}

fn push_all(market: &Market, symbol: &str, candles: &[Candle]) -> Result<(), FeedError> {
    let series = market.series(symbol).ok_or_else(|| FeedError::Candles {
        symbol: symbol.to_owned(),
        problem: "the run does not trade it".to_owned(),
    })?;
    for candle in candles {
        series
            .push(*candle)
            .map_err(|error| FeedError::Candles { symbol: symbol.to_owned(), problem: error.to_string() })?;
    }
    Ok(())
}
