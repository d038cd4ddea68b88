//! `[limits]`: how much a plugin may use.

use std::{path::PathBuf, time::Duration};

use sigbox_engine::Settings;
use sigbox_sandbox::Limits;

use super::reader::Section;

/// The whole address space of 32-bit WebAssembly.
const MEMORY_MIB_MAX: u64 = 4096;

/// The sandbox counts fuel with a signed 64-bit integer.
const FUEL_MAX: u64 = i64::MAX.unsigned_abs();

/// An hour. A pair opens nothing new while it waits for a store.
const STORE_TIMEOUT_MS_MAX: u64 = 3_600_000;

/// With more lines each minute, a plugin could fill a disk within a day.
const LOG_LINES_MAX: u64 = 100_000;

/// Two years of minutes.
const CANDLES_MAX: u64 = 2 * 366 * 24 * 60;

/// The limits, and the folder where compiled plugins are kept, if any.
pub(super) fn read(root: &Section<'_>, engine: &Settings) -> (Limits, Option<PathBuf>) {
    let default = Limits::default();
    root.section("limits", "[limits]", |section| {
        let memory_mib = section.whole("memory-mib", 1..=MEMORY_MIB_MAX);
        let memory_bytes = memory_mib.and_then(|mebibytes| usize::try_from(mebibytes << 20).ok());
        let store_timeout = section.whole("store-timeout-ms", 1..=STORE_TIMEOUT_MS_MAX);
        let small = |key, range| section.whole(key, range).and_then(|number| u32::try_from(number).ok());
        let limits = Limits {
            memory_bytes: memory_bytes.unwrap_or(default.memory_bytes),
            fuel_per_call: section.whole("fuel-per-call", 1..=FUEL_MAX).unwrap_or(default.fuel_per_call),
            // The engine's settings have this limit already, under the reference's name.
            strategy_timeout: Duration::from_secs(engine.max_signal_generation_seconds.into()),
            store_timeout: store_timeout.map_or(default.store_timeout, Duration::from_millis),
            log_lines_per_call: small("log-lines-per-call", 0..=LOG_LINES_MAX).unwrap_or(default.log_lines_per_call),
            candles_per_call: small("candles-per-call", 1..=CANDLES_MAX).unwrap_or(default.candles_per_call),
        };
        (limits, section.path("cache-dir"))
    })
}
