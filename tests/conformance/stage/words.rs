//! Prices, answers and stored rows in words.

use std::ops::Range;

use serde_json::{Value, json};
use sigbox_engine::{Candle, Proposal, trader::Answer};

use super::{
    super::scene::{self, number},
    BTC, EXCHANGE, at,
};

/// What a strategy answers at which minutes; the first that fits counts.
#[derive(Clone, Debug)]
pub(super) struct Script(Vec<(Range<i64>, Proposal)>);

impl Script {
    /// `1: long tp=102 sl=99; 5..9: short tp=98 sl=101; 20..: long tp=102 sl=99`
    pub(super) fn parse(text: &str) -> Self {
        let entries = text.split(';').filter(|entry| !entry.trim().is_empty());
        Self(
            entries
                .map(|entry| {
                    let (minutes, words) = entry.split_once(':').unwrap_or_else(|| panic!("{entry:?} names no minute"));
                    (self::minutes(minutes.trim()), proposal(words))
                })
                .collect(),
        )
    }

    pub(super) fn answer(&self, minute: i64) -> Answer {
        let said = self.0.iter().find(|(minutes, _)| minutes.contains(&minute));
        said.map_or(Answer::Nothing, |(_, proposal)| Answer::Trade(proposal.clone()))
    }
}

fn minutes(text: &str) -> Range<i64> {
    let minute = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} is not a minute"));
    match text.split_once("..") {
        None => minute(text)..minute(text) + 1,
        Some((from, "")) => minute(from)..i64::MAX,
        Some((from, until)) => minute(from)..minute(until),
    }
}

/// `long tp=102 sl=99`
pub(in super::super) fn answer(words: &str) -> Answer {
    Answer::Trade(proposal(words))
}

/// The words of a scene, but an hour is the usual life.
fn proposal(words: &str) -> Proposal {
    let proposal = scene::proposal(words);
    Proposal { minute_estimated_time: proposal.minute_estimated_time.or(Some(60.0)), ..proposal }
}

/// `100 | 101 98 100 | 100 * 20`: a price, or high, low and close, and how many minutes in a row.
pub(in super::super) fn candles(prices: &str) -> Vec<Candle> {
    let mut candles = Vec::new();
    for segment in prices.split('|') {
        let (prices, minutes) = segment.split_once('*').map_or((segment, 1), |(prices, minutes)| {
            (prices, minutes.trim().parse().unwrap_or_else(|_| panic!("{segment:?} lasts for no number of minutes")))
        });
        let prices: Vec<f64> = prices.split_whitespace().map(number).collect();
        let (high, low, close) = match prices[..] {
            [price] => (price, price, price),
            [high, low, close] => (high, low, close),
            _ => panic!("{segment:?} is neither a price nor high, low and close"),
        };
        let bar = Candle { open_time_ms: 0, open: close, high, low, close, volume: 0.0 };
        candles.extend(std::iter::repeat_n(bar, minutes));
    }
    for (open_time_ms, candle) in (at(0)..).step_by(60_000).zip(&mut candles) {
        candle.open_time_ms = open_time_ms;
    }
    candles
}

/// A stored row of strategy `a` on `BTCUSDT` with the fields of the reference: `long open=100 tp=102 sl=99 at=5`, opened
/// at minute 5; with `scheduled`, an order that waits since then.
pub(in super::super) fn row(words: &str) -> Value {
    let (mut at_ms, mut is_scheduled, mut answer) = (at(1), false, Vec::new());
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("at", minute)) => at_ms = at(minutes(minute).start),
            None if word == "scheduled" => is_scheduled = true,
            _ => answer.push(word),
        }
    }
    let Proposal { id, side, price_open, price_take_profit, price_stop_loss, minute_estimated_time, .. } =
        proposal(&answer.join(" "));
    // Whole numbers have no ".0".
    #[expect(clippy::cast_possible_truncation, reason = "prices in words are small")]
    let written = |number: f64| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) };
    json!({
        "id": id.unwrap_or_else(|| "stored".to_owned()),
        "priceOpen": written(price_open.expect("a row has an entry price")),
        "position": side.name(),
        "note": "",
        "priceTakeProfit": written(price_take_profit),
        "priceStopLoss": written(price_stop_loss),
        // An endless lifetime is stored as null.
        "minuteEstimatedTime": minute_estimated_time.filter(|minutes| minutes.is_finite()).map(written),
        "symbol": BTC,
        "exchangeName": EXCHANGE,
        "strategyName": "a",
        "frameName": "",
        "scheduledAt": at_ms,
        "pendingAt": at_ms,
        "_isScheduled": is_scheduled,
    })
}
