//! The limits of plugins: what a plugin may use. Those in [`Limits`] are settings, and the constants are their
//! defaults; the other constants are fixed. Each constant says why it has its value.

use std::time::Duration;

/// Bytes of linear memory of one instance, all its memories together. A Rust strategy needs about 1.2 MiB; interpreters
/// of scripting languages carry 10 to 40 MiB of their own.
pub const MEMORY_BYTES: usize = 64 << 20;

/// Fuel of one call in a backtest, about one unit for each instruction. One answer of a compiled strategy costs some
/// thousand units. This limit is about a second of work, and it is the same on every machine.
pub const FUEL_PER_CALL: u64 = 1_000_000_000;

/// Time for one call of a persistence plugin: longer than a busy database takes, and shorter than the minute between
/// two boundaries.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for one answer of a live strategy; the reference's `CC_MAX_SIGNAL_GENERATION_SECONDS`.
pub const STRATEGY_TIMEOUT: Duration = Duration::from_secs(180);

/// Log lines of one call; further lines are dropped and counted. A strategy that logs each decision needs one line.
pub const LOG_LINES_PER_CALL: u32 = 64;

/// Bytes of one log line; longer lines are cut. This is enough for a sentence with its numbers.
pub const LOG_LINE_BYTES: usize = 4096;

/// Bytes of the name of the part of a plugin that logs; longer names are cut.
pub const LOG_PART_BYTES: usize = 64;

/// Candles one call of `market.candles` may ask for: a week of minutes, half a megabyte that is copied to the guest.
pub const CANDLES_PER_CALL: u32 = 10_080;

/// Bytes a strategy may hand to the host at once: as the arguments of one of the host's functions, or as its answer. A
/// signal has some hundred bytes, and log lines are cut at far fewer.
pub const STRATEGY_HOSTCALL_BYTES: usize = 1 << 20;

/// Bytes a persistence plugin may hand to the host at once. A page of a thousand ids has some ten thousand bytes, a
/// document some thousand.
pub const STORE_HOSTCALL_BYTES: usize = 8 << 20;

/// Bytes of a message from a plugin; longer messages are cut. This is enough for a paragraph or a backtrace.
pub const TEXT_BYTES: usize = 2048;

/// Bytes of a signal's id or symbol; longer ones are refused, because they are in every row and event of the signal.
pub const ID_BYTES: usize = 256;

/// Bytes of a signal's note; longer notes are refused, because the note is kept verbatim in every row and event of the
/// signal.
pub const NOTE_BYTES: usize = 4096;

/// Pages one listing of a persistence plugin may have. With [`LISTING_PAGE`] ids each, they hold far more symbols than
/// exist.
pub const LISTING_PAGES: usize = 1000;

/// Ids asked for per page of a listing.
pub const LISTING_PAGE: u32 = 1000;

/// Host resources (files, sockets, streams) one instance may hold.
pub const RESOURCES: usize = 1000;

/// How many linear memories, and how many tables, one instance may have. A compiled language needs one of each, a
/// linked component a few. [`Limits::memory_bytes`] bounds all the memories together.
pub const MEMORIES_AND_TABLES: u32 = 20;

/// Elements of one table. Interpreters have some ten thousand functions.
pub const TABLE_ELEMENTS: usize = 60_000;

/// Bytes of the host for the globals and functions of one instance, all its core modules together. The largest
/// interpreters need about one MiB.
pub const INSTANCE_BYTES: usize = 32 << 20;

/// Random bytes one call of WASI may ask for. A key has 32 bytes.
pub const RANDOM_BYTES: u64 = 64 << 10;

/// Fuel for each candle that the host copies for a guest in a backtest: about what the copy would cost the guest
/// itself.
pub const FUEL_PER_CANDLE: usize = 32;

/// Fuel for each trade that the host copies for a guest in a backtest. A trade is ten fields, two of them texts.
pub const FUEL_PER_TRADE: usize = 256;

/// Fuel for each number of `market.columns` in a backtest, in proportion to [`FUEL_PER_CANDLE`].
pub const FUEL_PER_NUMBER: usize = 6;

/// What the plugins of a run may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together, bytes.
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
