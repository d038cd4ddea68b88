//! Documents as files, one each, at `{root}/{domain}/{entity_name}/{entity_id}.json`.
//!
//! The host's file store and the plugin `directory` are both this crate, so either reads what the other wrote. It has
//! no lock, thread or clock: whoever uses it sees to it that nobody else changes the directory.
//!
//! A write goes to a temp file in the same directory, which is fsynced, renamed over the document, and followed by an
//! fsync of the directory (hazard H-33). So a document is always whole, and an acknowledged write survives the death of
//! the process and of the power.
//!
//! Assumed of the file system: a rename within a directory is atomic; fsync of a file keeps its content and fsync of a
//! directory keeps its names. Nothing is assumed about the order or the fate of what was not fsynced. A disk that
//! acknowledges an fsync and forgets it is beyond help. Outside of Unix and WASI, directories cannot be fsynced.
//!
//! | below `root` | |
//! |---|---|
//! | `{domain}/{entity_name}/{entity_id}.json` | a document: its bytes, nothing added |
//! | `{domain}/{entity_name}/.tmp-{12 hex}-{entity_id}.json` | a write under way, or one that never ended |
//! | `.quarantine/{domain}/{entity_name}/{entity_id}.{unix ms}.json` | a document nobody could understand |

mod atomic;
mod documents;
mod error;
mod layer;
mod name;
mod quarantine;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod faulty_layer;
#[cfg(test)]
mod power_loss;

pub use documents::{Documents, make_dir};
pub use error::FileError;
pub use layer::{DirSyncError, Disk, FileLayer};
pub use name::NameError;

/// Where one document lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// The first folder.
    pub domain: &'a str,
    /// The second folder.
    pub entity_name: &'a str,
    /// The file.
    pub entity_id: &'a str,
}
