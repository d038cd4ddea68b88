//! Where documents go that nobody can understand.
//!
//! They are kept, not removed as the reference means to do (hazard H-10): a position may be behind one, and a person
//! may still be able to read it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::FileError;
use super::layer::FileLayer;

/// Below the data directory. No domain can have this name, as a leading dot is encoded.
pub(crate) const DIRECTORY: &str = ".quarantine";

/// Puts the document at `path` under the first of `names` that is free as well, and says which. The caller makes that
/// name durable before the old one is removed.
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

/// Linux answers `PermissionDenied` where a file system has no hard links.
fn has_no_links(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

fn copy<L: FileLayer>(layer: &L, path: &Path, aside: &Path) -> io::Result<()> {
    let bytes = layer.read(path)?;
    let mut copy = layer.create_new(aside)?;
    layer.write_all(&mut copy, &bytes)?;
    layer.sync_file(&copy)
}
