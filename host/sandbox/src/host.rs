//! What an instance can reach: the host's side of `sigbox:host`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use sigbox_engine::{Candle, Interval, MINUTE_MS};
use sigbox_market::{Market, SharedSeries};
use sigbox_trading::store::Store;
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    bindings::{
        persistence::sigbox::host::secrets,
        strategy::sigbox::host::{clock, config, logging, market},
    },
    error::PluginError,
    growth::GrowthLimit,
    http::{Hooks, Http},
    limits::{FUEL_PER_CANDLE, ID_BYTES, LOG_LINE_BYTES, LOG_PART_BYTES, Limits, RESOURCES},
    network::Network,
    probe::Probe,
    secret::{Secrets, hide},
    text::printable,
    wasi::{self, Dice, Now},
};

/// What the instances of one binding share: who they are and what they were given.
#[derive(Clone, Default)]
pub(crate) struct Grant {
    /// Name of the plugin in log lines.
    pub(crate) plugin: String,
    /// What tells this instance from others of the plugin, such as the symbol.
    pub(crate) instance: String,
    /// Settings, for `sigbox:host/config`.
    pub(crate) config: BTreeMap<String, String>,
    /// Secrets granted by name.
    pub(crate) secrets: Arc<Secrets>,
    /// Where it may connect to.
    pub(crate) network: Arc<Network>,
    /// Sends its requests; without it they are denied.
    pub(crate) http: Option<Arc<Http>>,
    /// Folders it may read and write, by the path it finds them at.
    pub(crate) directories: BTreeMap<String, PathBuf>,
    /// The store it wraps.
    pub(crate) over: Option<Arc<dyn Store>>,
    /// What looks at it from inside.
    pub(crate) probe: Option<Arc<Probe>>,
    /// Candles, and the symbol whose candles `next-candle` walks.
    pub(crate) market: Market,
    /// See `market`.
    pub(crate) symbol: String,
    /// Candles in the average price.
    pub(crate) average_of: usize,
}

/// The data of one instance's wasmtime store.
pub(crate) struct Host {
    grant: Grant,
    own_series: Option<SharedSeries>,
    now: Now,
    dice: Dice,
    limits: Limits,
    growth: GrowthLimit,
    /// See [`Host::spend`].
    work_per_call: u64,
    work_left: u64,
    log_lines_left: u32,
    log_lines_dropped: u64,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: Hooks,
    table: ResourceTable,
}

impl Host {
    /// A host for one instance. `deterministic`: the clocks show the engine's time, the dice are the same each run, and
    /// what the host does for the guest counts like the guest's own work.
    ///
    /// # Errors
    /// When a granted folder cannot be opened.
    pub(crate) fn new(grant: Grant, limits: Limits, deterministic: bool) -> Result<Self, PluginError> {
        let now = Now::default();
        let dice = Dice::of(&grant.plugin, &grant.instance);
        let wasi = if deterministic { wasi::deterministic(&now, &dice) } else { wasi::live(&grant)? };
        let http = grant.http.clone().unwrap_or_else(|| Http::new(Arc::clone(&grant.network)));
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let work_per_call = if deterministic { limits.fuel_per_call } else { u64::MAX };
        Ok(Self {
            own_series: grant.market.series(&grant.symbol).cloned(),
            grant,
            now,
            dice,
            growth: GrowthLimit::new(limits.memory_bytes),
            work_per_call,
            work_left: work_per_call,
            log_lines_left: limits.log_lines_per_call,
            log_lines_dropped: 0,
            limits,
            wasi,
            http: WasiHttpCtx::new(),
            http_hooks: Hooks(http),
            table,
        })
    }

    pub(super) const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Sets the engine's time and gives a fresh allowance for one call.
    pub(crate) fn begin_call(&mut self, now_ms: i64) {
        self.now.set(now_ms);
        self.work_left = self.work_per_call;
        self.growth.refused = false;
        self.log_lines_left = self.limits.log_lines_per_call;
        self.report_dropped_lines();
    }

    fn report_dropped_lines(&mut self) {
        if self.log_lines_dropped > 0 {
            let dropped = std::mem::take(&mut self.log_lines_dropped);
            let Grant { plugin, instance, .. } = &self.grant;
            tracing::warn!(target: "plugin", plugin, instance, dropped, "log lines beyond the limit were dropped");
        }
    }

    /// Whether the guest was refused memory during this call.
    pub(crate) const fn memory_was_refused(&self) -> bool {
        self.growth.refused
    }

    pub(crate) fn growth_limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.growth
    }

    /// The engine's time.
    pub(super) const fn time(&self) -> &Now {
        &self.now
    }

    /// What deterministic guests roll.
    pub(super) const fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    /// Counts work the host does for the guest, about one unit a byte it reads. Ends the call when that alone is more
    /// than the fuel of a call: the guest's own fuel is hardly used while the host works.
    pub(super) fn spend(&mut self, units: usize) -> wasmtime::Result<()> {
        self.work_left = self.work_left.checked_sub(units as u64).ok_or(wasmtime::Trap::OutOfFuel)?;
        Ok(())
    }

    fn series(&self, symbol: &str) -> Result<&SharedSeries, market::Unavailable> {
        self.grant.market.series(symbol).ok_or_else(|| {
            let known = self.grant.market.symbols().collect::<Vec<_>>().join(", ");
            let symbol = printable(symbol, ID_BYTES);
            unavailable("unknown-symbol", format!("there are no candles of {symbol}; there are candles of {known}"))
        })
    }

    fn check_limit(&self, limit: u32) -> Result<usize, market::Unavailable> {
        let most = self.limits.candles_per_call;
        if limit > most {
            let message = format!("{limit} candles asked for; one call may ask for {most} ([limits] candles-per-call)");
            return Err(unavailable("too-many", message));
        }
        Ok(limit as usize)
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, hooks: &mut self.http_hooks, table: &mut self.table }
    }
}

impl logging::Host for Host {
    fn log(&mut self, level: logging::Level, target: String, message: String) -> wasmtime::Result<()> {
        self.spend(target.len() + message.len())?;
        if let Some(probe) = &self.grant.probe {
            probe.hear(format!("{target}: {message}"));
        }
        let Some(left) = self.log_lines_left.checked_sub(1) else {
            self.log_lines_dropped += 1;
            return Ok(());
        };
        self.log_lines_left = left;
        let Grant { plugin, instance, .. } = &self.grant;
        let now_ms = self.now.get();
        let printed = |text: &str, most_bytes| hide(printable(text, most_bytes), &self.grant.secrets);
        let (part, line) = (printed(&target, LOG_PART_BYTES), printed(&message, LOG_LINE_BYTES));
        match level {
            logging::Level::Trace => tracing::trace!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Debug => tracing::debug!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Info => tracing::info!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Warn => tracing::warn!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Error => tracing::error!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
        }
        Ok(())
    }
}

impl Drop for Host {
    /// An instance that broke down has no next call to tell of the lines it lost.
    fn drop(&mut self) {
        self.report_dropped_lines();
    }
}

impl clock::Host for Host {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now.unsigned_ms())
    }
}

impl config::Host for Host {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.spend(name.len())?;
        Ok(self.grant.config.get(&name).cloned())
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.grant.config.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl secrets::Host for Host {
    fn get(&mut self, name: String) -> Option<String> {
        self.grant.secrets.get(&name).map(|secret| secret.reveal().to_owned())
    }
}

type Available<T> = Result<T, market::Unavailable>;

impl market::Host for Host {
    fn candles(
        &mut self,
        symbol: String,
        interval: String,
        limit: u32,
    ) -> wasmtime::Result<Available<Vec<market::Candle>>> {
        self.spend(symbol.len() + interval.len())?;
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
        self.spend(symbol.len() + interval.len())?;
        let candles = self.newer_candles(&symbol, &interval, after_ms, limit);
        self.spend_on(&candles)?;
        Ok(candles)
    }

    #[inline]
    fn next_candle(&mut self, after_ms: u64) -> wasmtime::Result<Option<market::Candle>> {
        Ok(self.following(after_ms, 1, |candles| candles.first().map(lend)))
    }

    fn next_candles(&mut self, after_ms: u64, limit: u32) -> wasmtime::Result<Vec<f64>> {
        let limit = limit.min(self.limits.candles_per_call) as usize;
        let numbers = self.following(after_ms, limit, |candles| {
            let mut numbers = Vec::with_capacity(5 * candles.len());
            for Candle { open, high, low, close, volume, .. } in candles {
                numbers.extend_from_slice(&[*open, *high, *low, *close, *volume]);
            }
            numbers
        });
        self.spend(numbers.len() / 5 * FUEL_PER_CANDLE)?;
        Ok(numbers)
    }

    fn average_price(&mut self, symbol: String) -> wasmtime::Result<Available<f64>> {
        self.spend(symbol.len())?;
        let count = self.grant.average_of;
        Ok(self.series(&symbol).and_then(|series| {
            series.average_price(self.now.get(), count).ok_or_else(|| {
                unavailable("not-enough-history", format!("fewer than {count} candles of {symbol} have closed"))
            })
        }))
    }
}

/// The market's answers, borrowed from what all strategies of the run share.
impl Host {
    /// The minutes of its own symbol that follow the one opened at `after_ms`, at most `limit`; none when the first of
    /// them is not there.
    #[inline]
    fn following<T: Default>(&self, after_ms: u64, limit: usize, take: impl FnOnce(&[Candle]) -> T) -> T {
        let (Ok(after_ms), Some(series)) = (i64::try_from(after_ms), &self.own_series) else { return T::default() };
        let series = series.read();
        let candles = series.after(after_ms, self.now.get(), limit);
        let follows = |first: &Candle| first.open_time_ms == after_ms + MINUTE_MS;
        if candles.first().is_some_and(follows) { take(candles) } else { T::default() }
    }

    fn last_candles(&self, symbol: &str, interval: &str, limit: u32) -> Available<Vec<market::Candle>> {
        let series = self.series(symbol)?.read();
        let interval = parse_interval(interval)?;
        let limit = self.check_limit(limit)?;
        let now_ms = self.now.get();
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
        Ok(candles.iter().map(lend).collect())
    }

    fn newer_candles(&self, symbol: &str, interval: &str, after_ms: u64, limit: u32) -> Available<Vec<market::Candle>> {
        let series = self.series(symbol)?.read();
        let interval = parse_interval(interval)?;
        let limit = self.check_limit(limit)?;
        let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
        Ok(series.after_of(interval, after_ms, self.now.get(), limit).iter().map(lend).collect())
    }

    fn spend_on(&mut self, candles: &Available<Vec<market::Candle>>) -> wasmtime::Result<()> {
        let count = candles.as_ref().map_or(0, Vec::len);
        self.spend(count.saturating_mul(FUEL_PER_CANDLE))
    }
}

fn lend(candle: &Candle) -> market::Candle {
    let Candle { open_time_ms, open, high, low, close, volume } = *candle;
    market::Candle { open_time_ms: open_time_ms.unsigned_abs(), open, high, low, close, volume }
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
    use sigbox_market::candles::{Recipe, Series, generate};

    use super::*;

    const HOUR_MS: i64 = 60 * MINUTE_MS;

    /// A host that knows a day of candles from 00:30 on, at 10:30.
    fn host() -> (Host, i64) {
        let midnight_ms = 1_704_067_200_000;
        let start_ms = midnight_ms + 30 * MINUTE_MS;
        let recipe = Recipe { seed: 1, start_ms, minutes: 1440, price: 100.0, volatility_percent: 0.05 };
        let series = Series::new(generate(&recipe).unwrap()).unwrap();
        let market = Market::new([("BTCUSDT".to_owned(), series)]);
        let grant = Grant { market, symbol: "BTCUSDT".to_owned(), average_of: 5, ..Grant::default() };
        let mut host = Host::new(grant, Limits { fuel_per_call: 100_000, ..Limits::default() }, true).unwrap();
        host.begin_call(midnight_ms + 10 * HOUR_MS + 30 * MINUTE_MS);
        (host, midnight_ms)
    }

    #[test]
    fn newer_candles_of_a_higher_interval_are_the_oldest_known_ones_after_the_asked_time() {
        let (host, midnight_ms) = host();
        let hours = |after_ms: i64, limit: u32| -> Vec<i64> {
            let candles = host.newer_candles("BTCUSDT", "1h", after_ms.unsigned_abs(), limit).unwrap();
            candles.iter().map(|candle| (candle.open_time_ms.cast_signed() - midnight_ms) / HOUR_MS).collect()
        };
        // The hour from 00:00 is not known from its start, and the one from 10:00 has not closed.
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
    fn what_the_host_does_for_a_guest_counts_in_a_backtest() {
        use market::Host as _;
        let (mut host, _) = host();
        let ask =
            |host: &mut Host| host.candles("BTCUSDT".to_owned(), "1h".to_owned(), 9).map(|candles| candles.is_ok());
        for _ in 0..100_000 / (9 * FUEL_PER_CANDLE + 9) {
            assert!(ask(&mut host).unwrap());
        }
        let error = ask(&mut host).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(wasmtime::Trap::OutOfFuel)), "{error}");
        host.begin_call(host.time().get());
        assert!(ask(&mut host).unwrap(), "the next call has an allowance of its own");
    }
}
