//! The cache of compiled code: it keeps compiled components on disk between runs.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use sigbox_market::digest::sha256;
use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};
use wasmtime::{Engine, component::Component};

use crate::{PluginError, size, text::one_line};

/// Compiled components, one file each. The name of a file says which component it was compiled from and which compiler
/// compiled it, so neither a new plugin nor a new sigbox ever loads old code. A file that does not fit is never an
/// error: the component is compiled again.
#[derive(Clone, Debug)]
pub(super) struct CodeCache {
    dir: Option<Arc<Path>>,
}

impl CodeCache {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir: dir.map(Into::into) }
    }

    /// The compiled component of the file at `path`, with the change `variant`, and the SHA-256 of that file. `change`
    /// makes the change; where it makes nothing of the component, this is the component as it is.
    pub(super) fn component(
        &self,
        engine: &Engine,
        path: &Path,
        variant: &str,
        change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, String>,
    ) -> Result<(Component, String), PluginError> {
        let wasm = fs::read(path).map_err(|source| PluginError::Unreadable { path: path.to_path_buf(), source })?;
        let sha256 = sha256(&wasm);
        let compile = || compile(engine, path, &wasm, change);
        let component = self.compiled(engine, &format!("{sha256}{variant}"), compile)?;
        Ok((component, sha256))
    }

    /// Whether a plugin that was granted `directory` could change the compiled code: one of the two folders is in the
    /// other.
    pub(super) fn is_in_reach_of(&self, directory: &Path) -> bool {
        let Some(dir) = &self.dir else { return false };
        let (code, directory) = (without_links(dir), without_links(directory));
        code.starts_with(&directory) || directory.starts_with(&code)
    }

    fn compiled(
        &self,
        engine: &Engine,
        name: &str,
        compile: impl FnOnce() -> Result<Component, PluginError>,
    ) -> Result<Component, PluginError> {
        let Some(dir) = &self.dir else {
            return compile();
        };
        // A cache that cannot be used costs time, not correctness.
        if let Err(error) = make_private(dir) {
            tracing::warn!("compiled code cannot be kept in {}: {error}", dir.display());
            return compile();
        }
        let key = key(engine, name);
        let file = dir.join(format!("{key}.cwasm"));
        if let Some(component) = load(engine, &file, &key) {
            return Ok(component);
        }
        let component = compile()?;
        match component.serialize() {
            Ok(code) => match keep(dir, &file, &key, &code) {
                Ok(()) => {}
                Err(error) => tracing::warn!("compiled code cannot be kept in {}: {error}", dir.display()),
            },
            Err(error) => tracing::warn!("compiled code cannot be kept: {}", one_line(&error)),
        }
        Ok(component)
    }
}

/// An absolute path without links, as far as it exists.
fn without_links(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    match found.and_then(|(ancestor, real)| Some(real.join(path.strip_prefix(ancestor).ok()?))) {
        Some(real) => real,
        None => path,
    }
}

/// The name of a file, without its ending: `name`, which tells the component and its change, and a digest of the compiler
/// with its settings.
fn key(engine: &Engine, name: &str) -> String {
    let mut compiler = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compiler);
    format!("{name}-{:016x}", compiler.finish())
}

/// The last bytes of a file: a digest of its key and of its code. wasmtime checks which version compiled the code, but
/// not that the code is still what was written, and damaged code would run.
fn seal(key: &str, code: &[u8]) -> [u8; SEAL_BYTES] {
    Sha256::new().chain_update(key).chain_update(code).finalize().into()
}

const SEAL_BYTES: usize = 32;

#[expect(unsafe_code, reason = "the only way to load compiled code; see the comment")]
fn load(engine: &Engine, file: &Path, key: &str) -> Option<Component> {
    let sealed = fs::read(file).ok()?;
    let loaded = match sealed.split_last_chunk::<SEAL_BYTES>() {
        Some((code, found)) if *found == seal(key, code) => {
            // SAFETY: these are the bytes that `keep` wrote for this key, because the seal fits and no other user can
            // write to the folder. wasmtime itself refuses code of another version or configuration.
            unsafe { Component::deserialize(engine, code) }.map_err(|error| one_line(&error))
        }
        Some(_) | None => Err("it is damaged".to_owned()),
    };
    match loaded {
        Ok(component) => Some(component),
        Err(reason) => {
            tracing::debug!("compiled code {} is not used: {reason}", file.display());
            // The file would be refused at the next start too. If another process removes it first, that is fine.
            let _ = fs::remove_file(file);
            None
        }
    }
}

/// Compiles what `change` makes of a component, or the component as it is.
fn compile(
    engine: &Engine,
    path: &Path,
    wasm: &[u8],
    change: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, String>,
) -> Result<Component, PluginError> {
    let path = || path.to_path_buf();
    if let Some(found) = other_than_component(wasm) {
        return Err(PluginError::NotAComponent { path: path(), found });
    }
    size::check(wasm).map_err(|found| PluginError::Unrunnable { path: path(), reason: found.to_string() })?;
    let changed = change(wasm).map_err(|mismatch| PluginError::Contract { path: path(), mismatch })?;
    // A change that does not compile is given up. What is wrong with the component itself is said of the component.
    if let Some(component) = changed.and_then(|changed| Component::new(engine, changed).ok()) {
        return Ok(component);
    }
    Component::new(engine, wasm).map_err(|error| {
        let reason = if is_async(wasm) { ASYNC.to_owned() } else { one_line(&error) };
        PluginError::Unrunnable { path: path(), reason }
    })
}

/// What to do about a component that [`is_async`].
const ASYNC: &str = "it is built with component-model async; build it without (jco: --backend-qjs-disable-async, \
                     componentize-qjs: --sync)";

/// Whether a function of the component is lifted or lowered with the async ABI, as some tools do if they are not told
/// otherwise.
fn is_async(wasm: &[u8]) -> bool {
    let has = |options: &[CanonicalOption]| options.contains(&CanonicalOption::Async);
    Parser::new(0).parse_all(wasm).filter_map(Result::ok).any(|payload| {
        let Payload::ComponentCanonicalSection(section) = payload else { return false };
        section.into_iter().filter_map(Result::ok).any(|function| match function {
            CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => has(&options),
            _ => false,
        })
    })
}

/// What a file is if it is not a component. Its first eight bytes tell: magic number, version and layer.
fn other_than_component(wasm: &[u8]) -> Option<&'static str> {
    match wasm {
        [] => Some("it is empty"),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => None,
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Some("it is a core module"),
        _ => Some("it is no WebAssembly at all"),
    }
}

/// Writes `code` so that no reader ever sees half of it.
fn keep(dir: &Path, file: &Path, key: &str, code: &[u8]) -> io::Result<()> {
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    temporary.write_all(code)?;
    temporary.write_all(&seal(key, code))?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Makes the folder, for its owner alone. A folder that others can write to is refused, because a user who can put a
/// file there decides what this process runs.
fn make_private(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(dir)?.permissions());
        if mode & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others can write to it (mode {:o}), and it holds code that is run; run `chmod go-w` on it",
                mode & 0o777
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_the_code_or_is_held_by_it_is_in_reach() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("a/cache")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("a"), path("link")).unwrap();
        let cache = CodeCache::new(Some(path("a/cache")));
        for granted in ["a", "a/cache", "a/cache/deep/er", "a/./cache"] {
            assert!(cache.is_in_reach_of(&path(granted)), "{granted}");
        }
        #[cfg(unix)]
        for granted in ["link", "link/cache"] {
            assert!(cache.is_in_reach_of(&path(granted)), "{granted}");
        }
        for granted in ["b", "a/cache-of-another", "a/data"] {
            assert!(!cache.is_in_reach_of(&path(granted)), "{granted}");
        }
        // The folder is made later.
        assert!(CodeCache::new(Some(path("new/cache"))).is_in_reach_of(&path("new")));
        assert!(!CodeCache::new(None).is_in_reach_of(&path("a")));
    }
}
