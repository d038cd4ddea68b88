//! The persistence plugins that are shipped, each over what it keeps its documents in.

mod binding;
mod directory;
mod durable;
mod encrypt;
#[cfg(unix)]
mod fence;
#[cfg(unix)]
mod guide;
mod killed;
#[cfg(target_os = "linux")]
mod look_up;
#[cfg(unix)]
mod measured;
#[cfg(unix)]
mod mongodb;
#[cfg(unix)]
mod pgbouncer;
#[cfg(unix)]
mod postgres;
mod redb;
#[cfg(unix)]
mod redis;
#[cfg(unix)]
mod s3;
#[cfg(unix)]
mod served;
