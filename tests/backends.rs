//! The persistence plugins that are shipped, each over what it keeps its documents in.

mod binding;
mod directory;
mod durable;
mod encrypt;
mod killed;
mod redb;
#[cfg(unix)]
mod s3;
#[cfg(unix)]
mod served;
