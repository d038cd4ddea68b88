//! What a plugin may use. Every limit is a setting; the constants are the defaults, each with its reason.

use std::time::Duration;

/// Linear memory of one instance. A Rust strategy needs about 1.2 MiB; interpreters of scripting languages carry
/// 10 to 40 MiB of their own.
pub const MEMORY_BYTES: usize = 64 << 20;

/// Fuel of one call in a backtest, about one unit an instruction. An answer of a compiled strategy costs some thousand;
/// this is around a second of work, and the same on every machine.
pub const FUEL_PER_CALL: u64 = 1_000_000_000;

/// Time for one call of a persistence plugin: longer than a busy database takes, shorter than the minute it has.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for one answer of a live strategy; the reference's `CC_MAX_SIGNAL_GENERATION_SECONDS`.
pub const STRATEGY_TIMEOUT: Duration = Duration::from_secs(180);

/// Log lines of one call; the rest is dropped and counted. A strategy that logs each decision needs one.
pub const LOG_LINES_PER_CALL: u32 = 64;

/// Bytes of one log line, longer ones are cut. Long enough for a sentence with its numbers.
pub const LOG_LINE_BYTES: usize = 4096;

/// Candles one call of `market.candles` may ask for: a week of minutes, half a megabyte across the boundary.
pub const CANDLES_PER_CALL: u32 = 10_080;

/// Bytes one call may hand to the host, returned lists and texts included. Rows are some kilobytes.
pub const HOSTCALL_BYTES: usize = 8 << 20;

/// Host resources (files, sockets, streams) one instance may hold.
pub const RESOURCES: usize = 1000;

/// What the plugins of a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, bytes.
    pub memory_bytes: usize,
    /// Fuel of one call in a backtest.
    pub fuel_per_call: u64,
    /// Time for one answer of a live strategy.
    pub strategy_timeout: Duration,
    /// Time for one call of a persistence plugin.
    pub store_timeout: Duration,
    /// Log lines of one call.
    pub log_lines_per_call: u32,
    /// Candles one call of `market.candles` may ask for.
    pub candles_per_call: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: MEMORY_BYTES,
            fuel_per_call: FUEL_PER_CALL,
            strategy_timeout: STRATEGY_TIMEOUT,
            store_timeout: STORE_TIMEOUT,
            log_lines_per_call: LOG_LINES_PER_CALL,
            candles_per_call: CANDLES_PER_CALL,
        }
    }
}
