//! Receipts: what a component was built from, so that a start need not ask cargo whether anything has changed.
//!
//! cargo takes a tenth of a second to find nothing to do, which is longer than the rest of a start. So each build
//! leaves a receipt beside the component: every file that went into it, with its length and the time of its last
//! change. While no file has changed, the component has not changed. Some builds get no receipt, so cargo is asked each
//! time, because files do not tell everything: packages with build scripts, packages with macros of their own, code
//! that asks for variables of the environment, and files that changed while cargo ran. Variables that say *how* to
//! build are not looked at.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sigbox_market::digest::sha256;

use super::{Artifact, TARGET};

/// Files in the folder of a package, or above it, that say how it is built. Most of them do not exist; if one appears,
/// that is a change. cargo runs a `build.rs` even if no manifest mentions it.
const INSTRUCTIONS: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    ".cargo/config.toml",
    ".cargo/config",
    "rust-toolchain.toml",
    "rust-toolchain",
];

#[derive(Deserialize, Serialize)]
pub(super) struct Receipt {
    component: PathBuf,
    /// Every file that the component depends on, and the component itself; `None`: there was no such file.
    files: BTreeMap<PathBuf, Option<Version>>,
}

/// The state of a file, as far as it is known without reading the file.
#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
struct Version {
    bytes: u64,
    /// When it was changed last, since 1970.
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

    /// Writes the receipt of `component`, which `artifacts` of the package in `folder` say was built; `None` when files
    /// do not tell everything, or the receipt cannot be written. `began`: when cargo was started.
    pub(super) fn keep(folder: &Path, component: &Path, artifacts: &[Artifact], began: SystemTime) -> Option<()> {
        let folder = folder.canonicalize().ok()?;
        // If the target directory is elsewhere, the next start would not find a receipt.
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

/// Where the receipt of the package in `folder` can be: the target directory is in the folder of the workspace, which
/// is this folder or one above it. The receipt's name has a digest of the folder's path, so that a copied target
/// directory does not pass for that of its new place.
fn places(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let name = format!(".sigbox-{}", &sha256(folder.as_os_str().as_encoded_bytes())[..16]);
    folder.ancestors().map(move |above| above.join("target").join(TARGET).join("release").join(&name))
}

/// The files of local packages that went into `component`, from cargo's list: after a colon, as absolute paths, with a
/// blank between two paths and a backslash before each blank inside a path.
fn sources(component: &Path) -> Option<Vec<PathBuf>> {
    let list = fs::read_to_string(component.with_extension("d")).ok()?;
    let (_, list) = list.trim_end().split_once(": ")?;
    let files = list.replace("\\ ", "\0");
    let files: Vec<PathBuf> = files.split(' ').map(|file| PathBuf::from(file.replace('\0', " "))).collect();
    files.iter().all(|file| file.is_absolute()).then_some(files)
}

impl Artifact {
    /// Whether its package is in a folder, which can change, and not from a registry.
    fn is_local(&self) -> bool {
        self.package_id.contains("path+file:")
    }

    /// Whether it depends on its files alone.
    fn is_plain(&self) -> bool {
        let kinds = &self.target.kind;
        !kinds.iter().any(|kind| kind == "custom-build" || kind == "proc-macro")
            && self.filenames.iter().all(|file| asks_no_variable(file) == Some(true))
    }
}

/// Whether the crate of this library asks for no variable of the environment, except those that cargo makes from
/// manifests. rustc lists the variables in a file beside the library; `None` when there is no such file.
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
