//! Candles for a strategy: the host's side of `sigbox:host/market`. Nothing here shows a candle that closes later than
//! the engine's time.

use sigbox_engine::{Candle, Interval, MINUTE_MS};
use sigbox_market::SharedSeries;

use super::context::StrategyContext;
use crate::{
    bindings::strategy::sigbox::host::market,
    limits::{FUEL_PER_CANDLE, FUEL_PER_NUMBER, ID_BYTES},
    text::printable,
};

type Available<T> = Result<T, market::Unavailable>;

impl market::Host for StrategyContext {
    fn candles(
        &mut self,
        symbol: String,
        interval: String,
        limit: u32,
    ) -> wasmtime::Result<Available<Vec<market::Candle>>> {
        self.guest.spend(symbol.len() + interval.len())?;
        let candles = self.last_candles(&symbol, &interval, limit);
        self.spend_on(&candles)?;
        Ok(candles)
    }

    fn candles_after(
        &mut self,
        symbol: String,
        interval: String,
        after_ms: u64,
        limit: u32,
    ) -> wasmtime::Result<Available<Vec<market::Candle>>> {
        self.guest.spend(symbol.len() + interval.len())?;
        let candles = self.newer_candles(&symbol, &interval, after_ms, limit);
        self.spend_on(&candles)?;
        Ok(candles)
    }

    fn columns(
        &mut self,
        symbol: String,
        interval: String,
        fields: Vec<String>,
        limit: u32,
    ) -> wasmtime::Result<Available<Vec<f64>>> {
        self.guest.spend(symbol.len() + interval.len() + fields.iter().map(String::len).sum::<usize>())?;
        let numbers = self.last_columns(&symbol, &interval, &fields, limit);
        self.guest.spend(numbers.as_ref().map_or(0, Vec::len).saturating_mul(FUEL_PER_NUMBER))?;
        Ok(numbers)
    }

    #[inline]
    fn next_candle(&mut self, after_ms: u64) -> wasmtime::Result<Option<market::Candle>> {
        Ok(self.following(after_ms, 1, |candles| candles.first().map(lend)))
    }

    fn next_candles(&mut self, after_ms: u64, limit: u32) -> wasmtime::Result<Vec<f64>> {
        let limit = limit.min(self.guest.limits().candles_per_call) as usize;
        let numbers = self.following(after_ms, limit, |candles| {
            let mut numbers = Vec::with_capacity(5 * candles.len());
            for Candle { open, high, low, close, volume, .. } in candles {
                numbers.extend_from_slice(&[*open, *high, *low, *close, *volume]);
            }
            numbers
        });
        self.guest.spend(numbers.len() / 5 * FUEL_PER_CANDLE)?;
        Ok(numbers)
    }

    fn average_price(&mut self, symbol: String) -> wasmtime::Result<Available<f64>> {
        self.guest.spend(symbol.len())?;
        let count = self.average_of;
        Ok(self.series(&symbol).and_then(|series| {
            series.average_price(self.guest.now().get(), count).ok_or_else(|| {
                unavailable("not-enough-history", format!("fewer than {count} candles of {symbol} have closed"))
            })
        }))
    }
}

/// The answers of the market. They are read from the candles that all strategies of the run share.
impl StrategyContext {
    fn series(&self, symbol: &str) -> Result<&SharedSeries, market::Unavailable> {
        self.market.series(symbol).ok_or_else(|| {
            let known = self.market.symbols().collect::<Vec<_>>().join(", ");
            let symbol = printable(symbol, ID_BYTES);
            unavailable("unknown-symbol", format!("there are no candles of {symbol}; there are candles of {known}"))
        })
    }

    fn check_limit(&self, limit: u32) -> Result<usize, market::Unavailable> {
        let most = self.guest.limits().candles_per_call;
        if limit > most {
            let message = format!("{limit} candles asked for; one call may ask for {most} ([limits] candles-per-call)");
            return Err(unavailable("too-many", message));
        }
        Ok(limit as usize)
    }

    /// Calls `take` with at most `limit` minutes of its own symbol. The first of them is the minute after the one that
    /// opened at `after_ms`; if that minute is not there, the result is the default.
    #[inline]
    fn following<T: Default>(&self, after_ms: u64, limit: usize, take: impl FnOnce(&[Candle]) -> T) -> T {
        let (Ok(after_ms), Some(series)) = (i64::try_from(after_ms), &self.own_series) else { return T::default() };
        let series = series.read();
        let candles = series.after(after_ms, self.guest.now().get(), limit);
        let follows = |first: &Candle| first.open_time_ms == after_ms + MINUTE_MS;
        if candles.first().is_some_and(follows) { take(candles) } else { T::default() }
    }

    fn last_candles(&self, symbol: &str, interval: &str, limit: u32) -> Available<Vec<market::Candle>> {
        self.last(symbol, interval, limit, |candles| candles.iter().map(lend).collect())
    }

    fn last_columns(&self, symbol: &str, interval: &str, fields: &[String], limit: u32) -> Available<Vec<f64>> {
        // The list is made for the guest, so its size is bounded like that of a list of candles.
        if fields.len() > FIELDS.len() {
            let message = format!("{} fields asked for; there are {}", fields.len(), FIELDS.len());
            return Err(unavailable("too-many", message));
        }
        let fields: Vec<Field> = fields.iter().map(|name| field(name)).collect::<Result<_, _>>()?;
        self.last(symbol, interval, limit, |candles| {
            fields.iter().flat_map(|field| candles.iter().map(field)).collect()
        })
    }

    /// What `take` makes of the last `limit` closed candles.
    fn last<T>(&self, symbol: &str, interval: &str, limit: u32, take: impl FnOnce(&[Candle]) -> T) -> Available<T> {
        let series = self.series(symbol)?.read();
        let interval = parse_interval(interval)?;
        let limit = self.check_limit(limit)?;
        let now_ms = self.guest.now().get();
        let candles = series.last_closed_of(interval, now_ms, limit).ok_or_else(|| {
            let known = series.closed_before(now_ms).len();
            let let_go = if series.is_cut() {
                "; older ones were let go (how many are kept: [live] history-minutes, [limits] candles-per-call)"
            } else {
                ""
            };
            let message =
                format!("{limit} candles of {interval} asked for; {known} one-minute candles are known{let_go}");
            unavailable("not-enough-history", message)
        })?;
        Ok(take(candles))
    }

    fn newer_candles(&self, symbol: &str, interval: &str, after_ms: u64, limit: u32) -> Available<Vec<market::Candle>> {
        let series = self.series(symbol)?.read();
        let interval = parse_interval(interval)?;
        let limit = self.check_limit(limit)?;
        let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
        Ok(series.after_of(interval, after_ms, self.guest.now().get(), limit).iter().map(lend).collect())
    }

    fn spend_on(&mut self, candles: &Available<Vec<market::Candle>>) -> wasmtime::Result<()> {
        let count = candles.as_ref().map_or(0, Vec::len);
        self.guest.spend(count.saturating_mul(FUEL_PER_CANDLE))
    }
}

fn lend(candle: &Candle) -> market::Candle {
    let Candle { open_time_ms, open, high, low, close, volume } = *candle;
    market::Candle { open_time_ms: open_time_ms.unsigned_abs(), open, high, low, close, volume }
}

/// A number of a candle.
type Field = fn(&Candle) -> f64;

/// The fields of `market.columns`.
const FIELDS: [(&str, Field); 6] = [
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of the next hundred thousand years are exact")]
    ("open-time-ms", |candle| candle.open_time_ms as f64),
    ("open", |candle| candle.open),
    ("high", |candle| candle.high),
    ("low", |candle| candle.low),
    ("close", |candle| candle.close),
    ("volume", |candle| candle.volume),
];

fn field(name: &str) -> Result<Field, market::Unavailable> {
    FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field).ok_or_else(|| {
        let known = FIELDS.map(|(known, _)| known).join(", ");
        unavailable("unknown-field", format!("a candle has no \"{}\"; it has {known}", printable(name, ID_BYTES)))
    })
}

fn parse_interval(name: &str) -> Result<Interval, market::Unavailable> {
    name.parse()
        .map_err(|error| unavailable("unknown-interval", format!("\"{}\" is {error}", printable(name, ID_BYTES))))
}

fn unavailable(code: &str, message: String) -> market::Unavailable {
    market::Unavailable { code: code.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use sigbox_engine::Settings;
    use sigbox_market::{
        Market,
        candles::{Recipe, Series, generate},
    };
    use sigbox_trading::Setup;

    use super::*;
    use crate::{limits::Limits, mode::Deterministic, roles::strategy::session};

    const HOUR_MS: i64 = 60 * MINUTE_MS;

    /// A strategy at 10:30 that knows a day of candles from 00:30 on.
    fn context() -> (StrategyContext, i64) {
        let midnight_ms = 1_704_067_200_000;
        let start_ms = midnight_ms + 30 * MINUTE_MS;
        let recipe = Recipe { seed: 1, start_ms, minutes: 1440, price: 100.0, volatility_percent: 0.05 };
        let series = Series::new(generate(&recipe).unwrap()).unwrap();
        let market = Market::new([("BTCUSDT".to_owned(), series)]);
        let assignment = Setup::<()>::new("x", market, Settings::default()).assign("s", "BTCUSDT");
        let limits = Limits { fuel_per_call: 100_000, ..Limits::default() };
        let mut context =
            StrategyContext::new::<Deterministic>(&assignment, session::Settings::new("{}"), None, limits, 0);
        context.guest.begin_call(midnight_ms + 10 * HOUR_MS + 30 * MINUTE_MS);
        (context, midnight_ms)
    }

    #[test]
    fn newer_candles_of_a_higher_interval_are_the_oldest_known_ones_after_the_asked_time() {
        let (context, midnight_ms) = context();
        let hours = |after_ms: i64, limit: u32| -> Vec<i64> {
            let candles = context.newer_candles("BTCUSDT", "1h", after_ms.unsigned_abs(), limit).unwrap();
            candles.iter().map(|candle| (candle.open_time_ms.cast_signed() - midnight_ms) / HOUR_MS).collect()
        };
        // The hour from 00:00 is not known from its start, and the hour from 10:00 has not closed.
        assert_eq!(hours(0, 100), (1..10).collect::<Vec<_>>());
        assert_eq!(hours(0, 2), [1, 2]);
        assert_eq!(hours(midnight_ms + 4 * HOUR_MS, 2), [5, 6]);
        assert_eq!(hours(midnight_ms + 4 * HOUR_MS + 1, 1), [5]);
        assert_eq!(hours(midnight_ms + 8 * HOUR_MS, 100), [9]);
        for nothing in [midnight_ms + 9 * HOUR_MS, midnight_ms + 30 * HOUR_MS, i64::MAX] {
            assert!(hours(nothing, 100).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn columns_are_the_fields_of_the_same_candles_one_after_the_other() {
        type Field = fn(&market::Candle) -> f64;
        let (context, _) = context();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let candles = context.last_candles("BTCUSDT", "1h", 3).unwrap();
        let fields = ["open-time-ms", "open", "high", "low", "close", "volume"];
        #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
        let time: Field = |candle| candle.open_time_ms as f64;
        let rest: [Field; 5] = [
            |candle| candle.open,
            |candle| candle.high,
            |candle| candle.low,
            |candle| candle.close,
            |candle| candle.volume,
        ];
        let expected: Vec<f64> = [time].iter().chain(&rest).flat_map(|field| candles.iter().map(field)).collect();
        assert_eq!(context.last_columns("BTCUSDT", "1h", &names(&fields), 3).unwrap(), expected);
        assert_eq!(context.last_columns("BTCUSDT", "1h", &names(&["close"]), 3).unwrap(), expected[12..15]);
        assert!(context.last_columns("BTCUSDT", "1h", &[], 3).unwrap().is_empty());
        let refused = |fields: &[&str], limit| {
            let unavailable = context.last_columns("BTCUSDT", "1m", &names(fields), limit).unwrap_err();
            (unavailable.code, unavailable.message)
        };
        assert_eq!(refused(&["close\n"], 3).0, "unknown-field");
        assert_eq!(
            refused(&["close\n"], 3).1,
            "a candle has no \"close\\n\"; it has open-time-ms, open, high, low, close, volume"
        );
        assert_eq!(refused(&["close"; 7], 3).0, "too-many");
        assert_eq!(refused(&["close"], 1000).0, "not-enough-history");
        assert_eq!(refused(&["close"], u32::MAX).0, "too-many");
    }

    #[test]
    fn what_the_host_does_for_a_guest_counts_in_a_backtest() {
        use market::Host as _;
        let (mut context, _) = context();
        let ask = |context: &mut StrategyContext| {
            context.candles("BTCUSDT".to_owned(), "1h".to_owned(), 9).map(|candles| candles.is_ok())
        };
        for _ in 0..100_000 / (9 * FUEL_PER_CANDLE + 9) {
            assert!(ask(&mut context).unwrap());
        }
        let error = ask(&mut context).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(wasmtime::Trap::OutOfFuel)), "{error}");
        let now_ms = context.guest.now().get();
        context.guest.begin_call(now_ms);
        assert!(ask(&mut context).unwrap(), "the next call has an allowance of its own");
    }
}
