//! Live runs that are killed: what is left of them, and what the next start makes of it.
//!
//! Kills come at random moments. `SIGBOX_CRASH_SEED=<number>` repeats the moments of an earlier run as far as the
//! machine allows; `SIGBOX_SLOW_TESTS=1` kills a hundred times instead of fifteen.

pub(crate) mod chaos;
#[cfg(target_os = "linux")]
mod every_operation;
mod every_step;
#[cfg(unix)]
mod four_backends;
mod left_behind;
#[cfg(unix)]
mod record_file;
mod restored;
mod store_failure;
mod world;
