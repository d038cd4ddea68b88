//! What a component was built from, so that a start need not ask cargo whether that has changed.
//!
//! cargo takes a tenth of a second to find nothing to do, which is more than all the rest of a start. So each build
//! leaves a receipt beside the component: every file that went into it, its length and when it was changed last. While
//! all of them are as they were, so is the component. Whatever a receipt cannot be sure of is left to cargo: packages
//! with build scripts, macros of the author's own, variables of the environment that the code asks for, and files that
//! were changed while cargo was at work. What the environment says of *how* to build is not looked at.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sigbox_market::digest::sha256;

use super::{Artifact, TARGET};

/// Files in the folder of a package, or above it, that say how it is built. Most are not there, and have to stay so.
const INSTRUCTIONS: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", ".cargo/config", "rust-toolchain.toml", "rust-toolchain"];

#[derive(Deserialize, Serialize)]
pub(super) struct Receipt {
    component: PathBuf,
    /// Everything it follows from, and the component itself.
    files: BTreeMap<PathBuf, Option<Version>>,
}

/// A file, short of reading it.
#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
struct Version {
    bytes: u64,
    /// Since 1970.
    changed: Duration,
}

impl Version {
    /// `None` when there is no such file.
    fn of(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { bytes: metadata.len(), changed })
    }
}

impl Receipt {
    /// The component of the package in `folder`, if nothing it was built from has changed.
    pub(super) fn component(folder: &Path) -> Option<PathBuf> {
        let folder = folder.canonicalize().ok()?;
        let text = places(&folder).find_map(|place| fs::read(place).ok())?;
        let Self { component, files } = serde_json::from_slice(&text).ok()?;
        files.iter().all(|(file, version)| Version::of(file) == *version).then_some(component)
    }

    /// Writes down what `component`, of the package in `folder`, was built from by the `artifacts`, if that is known.
    /// `began`: when cargo was started.
    pub(super) fn keep(folder: &Path, component: &Path, artifacts: &[Artifact], began: SystemTime) -> Option<()> {
        let folder = folder.canonicalize().ok()?;
        // Where target directories are elsewhere, nobody would find it.
        let place = places(&folder).find(|place| place.parent() == component.parent())?;
        let mut files = sources(component)?;
        for artifact in artifacts.iter().filter(|artifact| artifact.is_local()) {
            if !artifact.is_plain() {
                return None;
            }
            let folders = artifact.manifest_path.parent()?.ancestors();
            files.extend(folders.flat_map(|folder| INSTRUCTIONS.map(|file| folder.join(file))));
        }
        let began = began.duration_since(UNIX_EPOCH).ok()?;
        let mut versions: BTreeMap<_, _> = files.into_iter().map(|file| (file.clone(), Version::of(&file))).collect();
        if versions.values().flatten().any(|version| version.changed >= began) {
            return None;
        }
        versions.insert(component.to_owned(), Some(Version::of(component)?));
        let receipt = Self { component: component.to_owned(), files: versions };
        let unfinished = tempfile::NamedTempFile::new_in(place.parent()?).ok()?;
        serde_json::to_writer(&unfinished, &receipt).ok()?;
        unfinished.persist(place).ok()?;
        Some(())
    }
}

/// Where the receipt of the package in `folder` can be: a target directory is in the folder of a workspace, which is
/// above. Named after the folder, because a copy of a target directory is of another one.
fn places(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let name = format!(".sigbox-{}", &sha256(folder.as_os_str().as_encoded_bytes())[..16]);
    folder.ancestors().map(move |above| above.join("target").join(TARGET).join("release").join(&name))
}

/// The files of local packages that went into `component`, as cargo lists them: after a colon, absolute, with blanks
/// between them and backslashes before blanks of their own.
fn sources(component: &Path) -> Option<Vec<PathBuf>> {
    let list = fs::read_to_string(component.with_extension("d")).ok()?;
    let (_, list) = list.trim_end().split_once(": ")?;
    let files = list.replace("\\ ", "\0");
    let files: Vec<PathBuf> = files.split(' ').map(|file| PathBuf::from(file.replace('\0', " "))).collect();
    files.iter().all(|file| file.is_absolute()).then_some(files)
}

impl Artifact {
    /// Whether it is of a package in a folder, which can change, and not one of a registry.
    fn is_local(&self) -> bool {
        self.package_id.contains("path+file:")
    }

    /// Whether it follows from its files alone.
    fn is_plain(&self) -> bool {
        let kinds = &self.target.kind;
        !kinds.iter().any(|kind| kind == "custom-build" || kind == "proc-macro")
            && self.filenames.iter().all(|file| asks_no_variable(file) == Some(true))
    }
}

/// Whether the crate of this library asks for no variable of the environment, but for those cargo makes of manifests.
/// rustc lists them beside the library; `None` when it has not.
fn asks_no_variable(library: &Path) -> Option<bool> {
    let folder = library.parent()?;
    let folder = if folder.ends_with("deps") { folder.to_owned() } else { folder.join("deps") };
    let name = library.file_stem()?.to_str()?;
    let name = match library.extension()?.to_str()? {
        "rlib" | "rmeta" => name.strip_prefix("lib")?,
        _ => name,
    };
    let list = fs::read_to_string(folder.join(format!("{name}.d"))).ok()?;
    Some(list.lines().filter_map(|line| line.strip_prefix("# env-dep:")).all(|variable| variable.starts_with("CARGO_")))
}
