//! The quarantine: the folder for documents that cannot be understood.
//!
//! Such a document is kept. The reference intends to remove it (hazard H-10), but it may describe a position, and a
//! person may still be able to read it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::FileError;
use super::layer::FileLayer;

/// The folder's name below the data directory. No domain's folder has this name, because a leading dot is encoded.
pub(crate) const DIRECTORY: &str = ".quarantine";

/// Gives the document at `path` a second name, or makes a copy of it, at the first of `names` that is free, and returns
/// that name. The caller must make the new name durable before it removes the old one.
pub(super) fn duplicate<L: FileLayer>(
    layer: &L,
    path: &Path,
    names: impl Iterator<Item = PathBuf>,
) -> Result<PathBuf, FileError> {
    for aside in names {
        let duplicated = match layer.hard_link(path, &aside) {
            Err(error) if has_no_links(error.kind()) => copy(layer, path, &aside),
            linked => linked,
        };
        match duplicated {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(FileError::io("set aside", path)(error)),
        }
    }
    Err(FileError::NothingToQuarantine { path: path.to_owned() })
}

/// Linux answers `PermissionDenied` if a file system has no hard links.
pub(crate) fn has_no_links(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn copy<L: FileLayer>(layer: &L, path: &Path, aside: &Path) -> io::Result<()> {
    let bytes = layer.read(path)?;
    let mut copy = layer.create_new(aside)?;
    layer.write_all(&mut copy, &bytes)?;
    layer.sync_file(&copy)
}
