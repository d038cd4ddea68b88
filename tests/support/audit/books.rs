//! What the candles say must be in an event file: from each entry on, every event of an order or a position, with its
//! time, its price and its result. Entries are the strategy's, and only checked for whether they were allowed.
//!
//! Results are worked out as money: units bought or sold, what they are worth, what is charged. That is the same in
//! exact arithmetic as the formulas of the specification (6.2) and differs in the last bits, so results and liquidation
//! prices may be off by that much; times, reasons, levels and averages may not be off at all.

use std::collections::BTreeMap;

use serde_json::Value;
use sigbox_engine::{Candle, MINUTE_MS};

use super::Known;
use crate::support::{Events, events::PairName, pair_of};

/// How far a result may be off, as a share of the numbers it is made from: some dozen roundings.
const TOLERANCE: f64 = 1e-14;

/// How far a liquidation price may be off, as a share of it: the engine finds it by way of differences of results.
const LIQUIDATION_TOLERANCE: f64 = 1e-12;

/// Follows everything that was entered through the candles, strategy by strategy.
pub(super) fn follow_the_candles(events: &Events, known: &Known) -> Result<(), String> {
    let mut pairs: BTreeMap<PairName, Vec<&Value>> = BTreeMap::new();
    for event in events.iter() {
        if let Some(pair) = pair_of(event) {
            pairs.entry(pair).or_default().push(event);
        }
    }
    for ((_, symbol), events) in pairs {
        let candles = known.candles.iter().find(|(name, _)| *name == symbol);
        let (_, candles) = candles.ok_or_else(|| format!("there are no candles of {symbol}"))?;
        let mut log = Log { events: &events, next: 0 };
        let market = Market { candles, known };
        while let Some(event) = log.take() {
            match event["action"].as_str() {
                Some("scheduled") => market.follow_order(event, &mut log)?,
                Some("opened") => {
                    let at_ms = whole(&event["timestamp"])?;
                    market.check_entry(event, true)?;
                    market.follow_position(event, at_ms, &mut log)?;
                }
                _ => market.check_asked(event)?,
            }
        }
    }
    Ok(())
}

/// The events of one strategy on one symbol, read one by one.
struct Log<'a> {
    events: &'a [&'a Value],
    next: usize,
}

impl<'a> Log<'a> {
    fn peek(&self) -> Option<&'a Value> {
        self.events.get(self.next).copied()
    }

    fn take(&mut self) -> Option<&'a Value> {
        let event = self.peek()?;
        self.next += 1;
        Some(event)
    }

    /// The next event must be this one.
    fn expect(&mut self, action: &str, at_ms: i64, price: f64) -> Result<&'a Value, String> {
        let expected = || format!("{action} at {at_ms}, price {price}");
        let Some(event) = self.take() else {
            let last = self.events.last().map(ToString::to_string).unwrap_or_default();
            return Err(format!("{} is missing after {last}", expected()));
        };
        if event["action"] != action || event["timestamp"] != at_ms {
            return Err(format!("{} is expected where there is {event}", expected()));
        }
        same(event, &event["currentPrice"], price, "currentPrice")?;
        Ok(event)
    }
}

/// One symbol's candles, and the terms of trading.
struct Market<'a> {
    candles: &'a [Candle],
    known: &'a Known,
}

impl Market<'_> {
    /// The candle that opens at `open_ms`.
    fn place(&self, open_ms: i64) -> Result<usize, String> {
        let first_ms = self.candles.first().ok_or("there are no candles")?.open_time_ms;
        let place = usize::try_from((open_ms - first_ms).div_euclid(MINUTE_MS));
        place.map_err(|_| format!("{open_ms} is before the candles"))
    }

    /// The average price of the window that ends with the candle at `place` (specification 3.1).
    fn average(&self, place: usize) -> Result<f64, String> {
        let first = (place + 1).checked_sub(self.known.average_of).ok_or("there is no window before the candles")?;
        let window = self.candles.get(first..=place).ok_or("there is no window after the candles")?;
        let (mut turnover, mut volume, mut closes, mut count) = (0.0, 0.0, 0.0, 0.0);
        for candle in window {
            turnover += (candle.high + candle.low + candle.close) / 3.0 * candle.volume;
            volume += candle.volume;
            closes += candle.close;
            count += 1.0;
        }
        Ok(if volume == 0.0 { closes / count } else { turnover / volume })
    }

    /// Something a strategy was asked for, at a boundary of the frame.
    fn check_asked(&self, event: &Value) -> Result<(), String> {
        let at_ms = whole(&event["timestamp"])?;
        let asked = self.known.frame.is_none_or(|frame| {
            (frame.first_ms..=frame.last_ms).contains(&at_ms)
                && (at_ms - frame.first_ms) % (frame.step_minutes * MINUTE_MS) == 0
        });
        ensure(event, asked && at_ms % MINUTE_MS == 0, "nobody is asked then")?;
        if event["action"] == "risk_rejection" {
            same(event, &event["currentPrice"], self.average(self.place(at_ms - MINUTE_MS)?)?, "currentPrice")?;
        }
        Ok(())
    }

    /// Whether this could be entered: at once, or as an order (specification 2.1 and 2.3).
    fn check_entry(&self, event: &Value, at_once: bool) -> Result<(), String> {
        self.check_asked(event)?;
        let at_ms = whole(&event["timestamp"])?;
        let average = self.average(self.place(at_ms - MINUTE_MS)?)?;
        let Signal { side, open, take_profit, stop_loss, minutes, cost, multiplier, .. } = Signal::read(event)?;
        let row = &event["signal"];
        ensure(event, row["scheduledAt"] == at_ms && row["timestamp"] == at_ms, "it was accepted at another time")?;

        let is_reached = side.beyond(open, average) >= 0.0;
        ensure(event, is_reached == at_once, "the market is not where it would have to be")?;
        same(event, &event["currentPrice"], if at_once { open } else { average }, "currentPrice")?;

        let known = self.known;
        let (to_profit, to_loss) = (side.beyond(take_profit, open), side.beyond(open, stop_loss));
        ensure(event, to_profit > 0.0 && to_loss > 0.0, "a level is on the wrong side")?;
        ensure(event, to_profit / open * 100.0 >= known.min_take_profit_percent, "the take-profit is too close")?;
        ensure(event, to_loss / open * 100.0 >= known.min_stop_loss_percent, "the stop-loss is too close")?;
        ensure(event, to_loss / open * 100.0 <= known.max_stop_loss_percent, "the stop-loss is too far")?;
        let between = side.beyond(average, stop_loss) > 0.0 && side.beyond(take_profit, average) > 0.0;
        ensure(event, !at_once || between, "the market is beyond a level")?;
        ensure(event, minutes > 0.0 && minutes <= known.max_lifetime_minutes, "the lifetime is out of bounds")?;
        ensure(event, minutes.fract() == 0.0 || minutes.is_infinite(), "the lifetime is no whole number")?;
        ensure(event, cost > 0.0 && multiplier > 0.0, "an amount is not positive")
    }

    /// From an order's event to its end, and on to that of its position.
    fn follow_order(&self, scheduled: &Value, log: &mut Log<'_>) -> Result<(), String> {
        self.check_entry(scheduled, false)?;
        let signal = Signal::read(scheduled)?;
        let since_ms = whole(&scheduled["timestamp"])?;
        check_waiting_row(scheduled, signal.open)?;
        for place in self.place(since_ms)?..self.candles.len() {
            let candle = &self.candles[place];
            let at_ms = candle.open_time_ms;
            let reason = if self.frame_is_over(at_ms) || at_ms - since_ms >= self.known.await_minutes * MINUTE_MS {
                "timeout"
            } else if signal.side.touches(candle, signal.stop_loss) {
                "price_reject"
            } else if !signal.side.touches(candle, signal.open) {
                continue;
            } else if log.peek().is_some_and(|event| event["action"] == "risk_rejection") {
                log.expect("risk_rejection", at_ms, signal.open)?;
                "user"
            } else {
                let opened = log.expect("opened", at_ms, signal.open)?;
                check_same_signal(scheduled, opened)?;
                return self.follow_position(opened, at_ms + MINUTE_MS, log);
            };
            let cancelled = log.expect("cancelled", at_ms, self.average(place)?)?;
            ensure(cancelled, cancelled["reason"] == reason, &format!("the reason is {reason}"))?;
            ensure(cancelled, cancelled["closeTimestamp"] == at_ms, "it ended at another time")?;
            check_same_signal(scheduled, cancelled)?;
            return check_waiting_row(cancelled, signal.open);
        }
        no_more(log)
    }

    /// From a position's first event to its last. `from_ms`: the first candle it is judged on.
    fn follow_position(&self, opened: &Value, from_ms: i64, log: &mut Log<'_>) -> Result<(), String> {
        let signal = Signal::read(opened)?;
        let mut book = Book::open(signal, whole(&opened["timestamp"])?, self.known);
        book.check(opened, opened, signal.open)?;
        for place in self.place(from_ms)?..self.candles.len() {
            let candle = &self.candles[place];
            let (at_ms, average) = (candle.open_time_ms, self.average(place)?);
            let held_minutes = (at_ms - book.since_ms).div_euclid(MINUTE_MS);
            let (stop, stop_reason) = book.stop;
            #[expect(clippy::cast_precision_loss, reason = "minutes are few")]
            let expired = held_minutes as f64 >= signal.minutes;
            let end = if self.frame_is_over(at_ms) || expired {
                Some((average, "time_expired"))
            } else if signal.side.touches(candle, stop) {
                Some((stop, stop_reason))
            } else if signal.side.beyond(average, signal.take_profit) >= 0.0 {
                Some((signal.take_profit, "take_profit"))
            } else {
                None
            };
            if let Some((mut price, reason)) = end {
                if let ("liquidation", Some(found)) =
                    (reason, log.peek().and_then(|event| event["currentPrice"].as_f64()))
                {
                    ensure(
                        opened,
                        (found - price).abs() <= LIQUIDATION_TOLERANCE * price,
                        &format!("it is liquidated at {price}"),
                    )?;
                    price = found;
                }
                book.meet(price, at_ms);
                let closed = log.expect("closed", at_ms, price)?;
                ensure(closed, closed["closeReason"] == reason, &format!("the reason is {reason}"))?;
                ensure(closed, closed["closeTimestamp"] == at_ms, "it ended at another time")?;
                return book.check(opened, closed, price);
            }
            for (action, level) in book.watch(average, at_ms) {
                let event = log.expect(action, at_ms, average)?;
                ensure(event, event["level"].as_u64() == level, &format!("the level is {level:?}"))?;
                book.check(opened, event, average)?;
            }
        }
        no_more(log)
    }

    fn frame_is_over(&self, at_ms: i64) -> bool {
        self.known.frame.is_some_and(|frame| at_ms > frame.last_ms)
    }
}

/// The way a signal gains.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Long,
    Short,
}

impl Side {
    /// How far `price` lies from `from` towards profit.
    fn beyond(self, price: f64, from: f64) -> f64 {
        if self == Self::Long { price - from } else { from - price }
    }

    /// Whether the candle trades at `level` or beyond it towards loss.
    fn touches(self, candle: &Candle, level: f64) -> bool {
        if self == Self::Long { candle.low <= level } else { candle.high >= level }
    }
}

/// What was ordered.
#[derive(Clone, Copy)]
struct Signal {
    side: Side,
    open: f64,
    take_profit: f64,
    stop_loss: f64,
    /// Infinite for a position without end.
    minutes: f64,
    cost: f64,
    multiplier: f64,
    isolated: bool,
}

impl Signal {
    fn read(event: &Value) -> Result<Self, String> {
        let row = &event["signal"];
        let number = |key: &str| row[key].as_f64().ok_or_else(|| format!("{key} is not a number: {event}"));
        for level in ["priceTakeProfit", "priceStopLoss"] {
            let original = &row[&format!("originalP{}", &level[1..])];
            ensure(event, *original == row[level], "a level is not the original one")?;
        }
        Ok(Self {
            side: match row["position"].as_str() {
                Some("long") => Side::Long,
                Some("short") => Side::Short,
                _ => return Err(format!("it is neither long nor short: {event}")),
            },
            open: number("originalPriceOpen")?,
            take_profit: number("priceTakeProfit")?,
            stop_loss: number("priceStopLoss")?,
            minutes: if row["minuteEstimatedTime"].is_null() { f64::INFINITY } else { number("minuteEstimatedTime")? },
            cost: number("cost")?,
            multiplier: number("multiplier")?,
            isolated: row["isolated"].as_bool().ok_or_else(|| format!("isolated is not a boolean: {event}"))?,
        })
    }
}

/// One position's account.
struct Book {
    signal: Signal,
    since_ms: i64,
    /// What one unit was bought or sold for, as events show it.
    entry: f64,
    units: f64,
    slip: f64,
    fee: f64,
    /// The price a touch of which ends it, and what that is called.
    stop: (f64, &'static str),
    breakeven: f64,
    breakeven_told: bool,
    /// Price, time and result of the best and of the worst point.
    best: (f64, i64, Money),
    worst: (f64, i64, Money),
    /// Tenths of the way that were told, to the take-profit and to the stop-loss.
    tenths: [u8; 2],
}

/// A result.
#[derive(Clone, Copy, Default)]
struct Money {
    invested: f64,
    kept: f64,
    entry: f64,
    price: f64,
    /// How large the numbers are that it was made from.
    size: f64,
}

impl Book {
    fn open(signal: Signal, since_ms: i64, known: &Known) -> Self {
        let Signal { side, open, cost, .. } = signal;
        let (slip, fee) = (known.slippage_percent / 100.0, known.fee_percent / 100.0);
        // Twice rounded, as the reference does it (specification 1.4).
        let entry = cost / (cost / open);
        let towards_loss = if side == Side::Long { slip } else { -slip };
        let covered = (known.slippage_percent + known.fee_percent) * 2.0 + known.breakeven_percent;
        let towards_profit = if side == Side::Long { covered } else { -covered };
        let mut book = Self {
            signal,
            since_ms,
            entry,
            units: cost / (entry * (1.0 + towards_loss)),
            slip: towards_loss,
            fee,
            stop: (signal.stop_loss, "stop_loss"),
            breakeven: entry * (1.0 + towards_profit / 100.0),
            breakeven_told: false,
            best: (open, since_ms, Money::default()),
            worst: (open, since_ms, Money::default()),
            tenths: [0; 2],
        };
        book.worst.2 = book.result(open);
        let ruin = book.ruin();
        // Whichever of the two comes first.
        if signal.isolated && ruin > 0.0 && side.beyond(ruin, signal.stop_loss) > 0.0 {
            book.stop = (ruin, "liquidation");
        }
        book
    }

    /// What is left over when everything is sold, or bought back, at `price`.
    fn result(&self, price: f64) -> Money {
        let Signal { side, cost, multiplier, .. } = self.signal;
        let worth = self.units * price * (1.0 - self.slip);
        let gain = if side == Side::Long { worth - cost } else { cost - worth };
        let kept = (gain - self.fee * cost - self.fee * worth) * multiplier;
        Money { invested: cost, kept, entry: self.entry, price, size: (worth + cost) * multiplier.max(1.0) }
    }

    /// The price at which everything invested is lost.
    fn ruin(&self) -> f64 {
        let Signal { side, cost, multiplier, .. } = self.signal;
        let worth = if side == Side::Long {
            (cost + self.fee * cost - cost / multiplier) / (1.0 - self.fee)
        } else {
            (cost - self.fee * cost + cost / multiplier) / (1.0 + self.fee)
        };
        worth / (self.units * (1.0 - self.slip))
    }

    /// Moves the best or the worst point, and says whether.
    fn meet(&mut self, price: f64, at_ms: i64) -> Option<&'static str> {
        let side = self.signal.side;
        let result = self.result(price);
        if side.beyond(price, self.entry) > 0.0 && side.beyond(price, self.best.0) > 0.0 && result.kept > 0.0 {
            self.best = (price, at_ms, result);
            Some("highest_profit")
        } else if side.beyond(price, self.entry) < 0.0 && side.beyond(price, self.worst.0) < 0.0 {
            self.worst = (price, at_ms, result);
            Some("max_drawdown")
        } else {
            None
        }
    }

    /// What a minute in which it goes on has to tell, with the levels (specification 4.4 and 7).
    fn watch(&mut self, price: f64, at_ms: i64) -> Vec<(&'static str, Option<u64>)> {
        let Signal { side, take_profit, stop_loss, .. } = self.signal;
        let mut told: Vec<(&'static str, Option<u64>)> =
            self.meet(price, at_ms).map(|met| (met, None)).into_iter().collect();
        let gain = side.beyond(price, self.entry);
        if gain > 0.0 && !self.breakeven_told && side.beyond(price, self.breakeven) >= 0.0 {
            self.breakeven_told = true;
            told.push(("breakeven", None));
        }
        let (level, name, tenths) = match gain {
            gain if gain > 0.0 => (take_profit, "partial_profit", &mut self.tenths[0]),
            gain if gain < 0.0 => (stop_loss, "partial_loss", &mut self.tenths[1]),
            _ => return told,
        };
        let distance = (level - self.entry).abs();
        let covered = gain.abs() / distance * 100.0;
        while *tenths < 10 && f64::from(*tenths + 1) * 10.0 <= covered {
            *tenths += 1;
            told.push((name, Some(u64::from(*tenths) * 10)));
        }
        told
    }

    /// Whether `event`, about `price`, says of the position what the book says.
    fn check(&self, opened: &Value, event: &Value, price: f64) -> Result<(), String> {
        check_same_signal(opened, event)?;
        let row = &event["signal"];
        ensure(event, row["_isScheduled"] == false && row["pendingAt"] == self.since_ms, "it was opened differently")?;
        same(event, &row["priceOpen"], self.entry, "priceOpen")?;
        let result = self.result(price);
        for pnl in [&event["pnl"], &row["pnl"]] {
            result.check(event, pnl)?;
        }
        for (key, (price, at_ms, result)) in [("peakProfit", self.best), ("maxDrawdown", self.worst)] {
            same(event, &row[key]["price"], price, key)?;
            ensure(event, row[key]["timestamp"] == at_ms, &format!("{key} is of {at_ms}"))?;
            result.check(event, &row[key])?;
        }
        Ok(())
    }
}

impl Money {
    fn check(&self, event: &Value, pnl: &Value) -> Result<(), String> {
        let percent = if self.invested == 0.0 { 0.0 } else { self.kept / self.invested * 100.0 };
        let percent_size = if self.invested == 0.0 { 0.0 } else { self.size / self.invested * 100.0 };
        near(event, &pnl["pnlCost"], self.kept, self.size, "pnlCost")?;
        near(event, &pnl["pnlPercentage"], percent, percent_size, "pnlPercentage")?;
        same(event, &pnl["pnlEntries"], self.invested, "pnlEntries")?;
        same(event, &pnl["priceOpen"], self.entry, "priceOpen")?;
        same(event, &pnl["priceClose"], self.price, "priceClose")
    }
}

/// The row of an order has no result yet.
fn check_waiting_row(event: &Value, open: f64) -> Result<(), String> {
    let row = &event["signal"];
    ensure(event, row["_isScheduled"] == true && row["pendingAt"] == 0, "an order has not been opened")?;
    same(event, &row["priceOpen"], open, "priceOpen")?;
    ["pnl", "peakProfit", "maxDrawdown"].iter().try_for_each(|key| Money::default().check(event, &row[key]))
}

/// What was ordered does not change.
fn check_same_signal(first: &Value, event: &Value) -> Result<(), String> {
    const FIXED: [&str; 12] = [
        "id",
        "position",
        "note",
        "priceTakeProfit",
        "priceStopLoss",
        "originalPriceOpen",
        "minuteEstimatedTime",
        "cost",
        "multiplier",
        "isolated",
        "scheduledAt",
        "timestamp",
    ];
    let changed = FIXED.iter().find(|key| first["signal"][key] != event["signal"][key]);
    ensure(event, changed.is_none(), &format!("{changed:?} has changed"))
}

fn no_more(log: &Log<'_>) -> Result<(), String> {
    match log.peek() {
        None => Ok(()),
        Some(event) => Err(format!("the candles end before this: {event}")),
    }
}

fn whole(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{value} is not a time"))
}

fn ensure(event: &Value, holds: bool, fault: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{fault}: {event}")) }
}

/// The same number, to the bit.
fn same(event: &Value, found: &Value, expected: f64, what: &str) -> Result<(), String> {
    ensure(event, found.as_f64() == Some(expected), &format!("{what} is {expected}"))
}

/// The same number, but for rounding.
fn near(event: &Value, found: &Value, expected: f64, size: f64, what: &str) -> Result<(), String> {
    let is_near = found.as_f64().is_some_and(|found| (found - expected).abs() <= TOLERANCE * size);
    ensure(event, is_near, &format!("{what} is about {expected}"))
}
