//! Files that no fault spoils: documents, each replaced all or nothing, and records, a file that is appended to.
//!
//! Each document is the file `{root}/{domain}/{entity_name}/{entity_id}.json`. For records, see [`Records`].
//!
//! The host's file store and the plugin `directory` both use this crate, so each reads what the other wrote. Documents
//! have no lock, thread or clock: the caller ensures that no other process changes the directory.
//!
//! A write goes to a temp file in the same directory. The temp file is fsynced and renamed over the document, then the
//! directory is fsynced (hazard H-33). So a document is always whole, and an acknowledged write survives a killed
//! process and a power failure.
//!
//! The crate assumes of the file system: a rename within a directory is atomic; fsync of a file keeps its content and
//! fsync of a directory keeps its names. It assumes nothing about changes that were not fsynced. A disk that
//! acknowledges an fsync and then loses the data defeats it. Outside of Unix and WASI, directories cannot be fsynced.
//!
//! | below `root` | |
//! |---|---|
//! | `{domain}/{entity_name}/{entity_id}.json` | a document: its bytes, nothing added |
//! | `{domain}/{entity_name}/.tmp-{12 hex}-{entity_id}.json` | a write in progress, or one that was never finished |
//! | `.quarantine/{domain}/{entity_name}/{entity_id}.{unix ms}.json` | a document that could not be understood |

mod atomic;
mod documents;
mod error;
mod layer;
mod name;
mod quarantine;
mod record_layer;
mod records;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod faulty_layer;
#[cfg(test)]
mod power_loss;

pub use documents::{Documents, make_dir, replace};
pub use error::FileError;
pub use layer::{DirSyncError, Disk, FileLayer};
pub use name::NameError;
pub use record_layer::{FileId, RecordLayer, Status};
pub use records::{Damage, Found, MakeHead, Records, RecordsError, Renewed, segments};

/// The address of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// The first folder.
    pub domain: &'a str,
    /// The second folder.
    pub entity_name: &'a str,
    /// The file.
    pub entity_id: &'a str,
}
