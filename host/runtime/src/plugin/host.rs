//! What an instance can reach: the host's side of `sigbox:host`, and harmless WASI.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use sigbox_engine::{Candle, Interval, MINUTE_MS};
use wasmtime::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

use super::{
    bindings::{
        persistence::sigbox::host::secrets,
        strategy::sigbox::host::{clock, config, logging, market},
    },
    limits::{LOG_LINE_BYTES, Limits, RESOURCES},
};
use crate::market::{Market, SharedSeries};

/// What the instances of one binding share: who they are and what they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grant {
    /// Name of the plugin in log lines.
    pub(crate) plugin: String,
    /// What tells this instance from others of the plugin, such as the symbol.
    pub(crate) instance: String,
    /// Settings, for `sigbox:host/config`.
    pub(crate) config: BTreeMap<String, String>,
    /// Secrets granted by name.
    pub(crate) secrets: BTreeMap<String, String>,
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
    now_ms: Now,
    limits: Limits,
    memory: MemoryLimit,
    log_lines_left: u32,
    log_lines_dropped: u64,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// The engine's time, shared with the clocks WASI shows.
#[derive(Clone, Debug, Default)]
struct Now(Arc<AtomicI64>);

impl Now {
    fn ms(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl HostWallClock for Now {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.ms())
    }
}

impl HostMonotonicClock for Now {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.ms().saturating_mul(1_000_000)
    }
}

/// Bytes of the random stream a deterministic guest sees before it repeats: long enough that no rejection loop meets
/// its end.
const RANDOM_STREAM_BYTES: usize = 64 << 10;

impl Host {
    /// A host for one instance. `deterministic`: the clocks show the engine's time and the dice are the same each run.
    pub(crate) fn new(grant: Grant, limits: Limits, deterministic: bool) -> Self {
        let now_ms = Now::default();
        let mut wasi = WasiCtxBuilder::new();
        if deterministic {
            let mut dice = ChaCha8Rng::seed_from_u64(0);
            let mut stream = || {
                let mut bytes = vec![0; RANDOM_STREAM_BYTES];
                dice.fill_bytes(&mut bytes);
                Deterministic::new(bytes)
            };
            wasi.secure_random(stream()).insecure_random(stream()).insecure_random_seed(0);
            wasi.wall_clock(now_ms.clone()).monotonic_clock(now_ms.clone());
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        Self {
            own_series: grant.market.series(&grant.symbol).cloned(),
            grant,
            now_ms,
            memory: MemoryLimit::new(limits.memory_bytes),
            log_lines_left: limits.log_lines_per_call,
            log_lines_dropped: 0,
            limits,
            wasi: wasi.build(),
            table,
        }
    }

    /// Sets the engine's time and gives a fresh allowance for one call.
    pub(crate) fn begin_call(&mut self, now_ms: i64) {
        self.now_ms.0.store(now_ms, Ordering::Relaxed);
        self.log_lines_left = self.limits.log_lines_per_call;
        if self.log_lines_dropped > 0 {
            let dropped = std::mem::take(&mut self.log_lines_dropped);
            let Grant { plugin, instance, .. } = &self.grant;
            tracing::warn!(target: "plugin", plugin, instance, dropped, "log lines beyond the limit were dropped");
        }
    }

    /// Whether the last thing that failed was a request for memory beyond the limit.
    pub(crate) fn memory_was_refused(&self) -> bool {
        self.memory.refused
    }

    pub(crate) fn memory_limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    fn visible(&self) -> i64 {
        self.now_ms.0.load(Ordering::Relaxed)
    }

    fn series(&self, symbol: &str) -> Result<&SharedSeries, market::Unavailable> {
        self.grant.market.series(symbol).ok_or_else(|| {
            let known = self.grant.market.symbols().collect::<Vec<_>>().join(", ");
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

/// The store's limits, and whether they were what stopped the guest.
struct MemoryLimit {
    limits: StoreLimits,
    refused: bool,
}

impl MemoryLimit {
    fn new(bytes: usize) -> Self {
        Self { limits: StoreLimitsBuilder::new().memory_size(bytes).build(), refused: false }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = self.limits.memory_growing(current, desired, maximum)?;
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl logging::Host for Host {
    fn log(&mut self, level: logging::Level, target: String, message: String) {
        let Some(left) = self.log_lines_left.checked_sub(1) else {
            self.log_lines_dropped += 1;
            return;
        };
        self.log_lines_left = left;
        let Grant { plugin, instance, .. } = &self.grant;
        let now_ms = self.visible();
        let (part, line) = (printable(&target), printable(&message));
        match level {
            logging::Level::Trace => tracing::trace!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Debug => tracing::debug!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Info => tracing::info!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Warn => tracing::warn!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Error => tracing::error!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
        }
    }
}

/// A guest's text as one printable line of bounded length, so that it cannot forge lines or colour a terminal.
fn printable(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars() {
        if line.len() >= LOG_LINE_BYTES {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

impl clock::Host for Host {
    fn now_ms(&mut self) -> u64 {
        self.now_ms.ms()
    }
}

impl config::Host for Host {
    fn get(&mut self, name: String) -> Option<String> {
        self.grant.config.get(&name).cloned()
    }

    fn all(&mut self) -> Vec<(String, String)> {
        self.grant.config.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl secrets::Host for Host {
    fn get(&mut self, name: String) -> Option<String> {
        self.grant.secrets.get(&name).cloned()
    }
}

impl market::Host for Host {
    fn candles(
        &mut self,
        symbol: String,
        interval: String,
        limit: u32,
    ) -> Result<Vec<market::Candle>, market::Unavailable> {
        let series = self.series(&symbol)?.read();
        let interval = parse_interval(&interval)?;
        let limit = self.check_limit(limit)?;
        let now_ms = self.visible();
        let candles = if interval == Interval::MINUTE {
            series.last_closed(now_ms, limit).map(|candles| candles.iter().map(lend).collect())
        } else {
            series.resample(interval, now_ms, limit).map(|candles| candles.iter().map(lend).collect())
        };
        candles.ok_or_else(|| {
            let known = series.closed_before(now_ms).len();
            let message = format!("{limit} candles of {interval} asked for; {known} one-minute candles are known");
            unavailable("not-enough-history", message)
        })
    }

    fn candles_after(
        &mut self,
        symbol: String,
        interval: String,
        after_ms: u64,
        limit: u32,
    ) -> Result<Vec<market::Candle>, market::Unavailable> {
        let series = self.series(&symbol)?.read();
        let interval = parse_interval(&interval)?;
        let limit = self.check_limit(limit)?;
        let now_ms = self.visible();
        let after_ms = i64::try_from(after_ms).unwrap_or(i64::MAX);
        if interval == Interval::MINUTE {
            return Ok(series.after(after_ms, now_ms, limit).iter().map(lend).collect());
        }
        // Closed buckets that opened after the asked time; the newest `limit` of them end at `now`.
        let first = interval.slot(after_ms.saturating_add(interval.ms()));
        let buckets = usize::try_from((interval.slot(now_ms) - first) / interval.ms()).unwrap_or(0);
        let known = series.resample(interval, now_ms, buckets).unwrap_or_default();
        Ok(known.iter().take(limit).map(lend).collect())
    }

    fn next_candle(&mut self, after_ms: u64) -> Option<market::Candle> {
        let open_ms = i64::try_from(after_ms).ok()?.checked_add(MINUTE_MS)?;
        if open_ms.checked_add(MINUTE_MS)? > self.visible() {
            return None;
        }
        self.own_series.as_ref()?.read().at(open_ms).map(lend)
    }

    fn average_price(&mut self, symbol: String) -> Result<f64, market::Unavailable> {
        let count = self.grant.average_of;
        self.series(&symbol)?.average_price(self.visible(), count).ok_or_else(|| {
            unavailable("not-enough-history", format!("fewer than {count} candles of {symbol} have closed"))
        })
    }
}

fn lend(candle: &Candle) -> market::Candle {
    let Candle { open_time_ms, open, high, low, close, volume } = *candle;
    market::Candle { open_time_ms: open_time_ms.unsigned_abs(), open, high, low, close, volume }
}

fn parse_interval(name: &str) -> Result<Interval, market::Unavailable> {
    name.parse().map_err(|error| unavailable("unknown-interval", format!("{name:?} is {error}")))
}

fn unavailable(code: &str, message: String) -> market::Unavailable {
    market::Unavailable { code: code.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_printable_line_of_bounded_length() {
        assert_eq!(printable("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert!(printable(&"x".repeat(LOG_LINE_BYTES * 2)).len() < LOG_LINE_BYTES + 8);
    }
}
