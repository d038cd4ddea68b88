//! Compiled code, kept between runs.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

use super::{PluginError, sandbox::one_line};

/// Compiled components by content and by what compiled them, so that neither a new plugin nor a new sigbox ever meets
/// old code. Stale files are never an error: the component is compiled again.
#[derive(Clone, Debug)]
pub(super) struct CodeCache {
    dir: Option<Arc<Path>>,
}

impl CodeCache {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir: dir.map(Into::into) }
    }

    /// The compiled component of the file at `path`.
    pub(super) fn component(&self, engine: &Engine, path: &Path) -> Result<Component, PluginError> {
        let wasm = fs::read(path).map_err(|source| PluginError::Unreadable { path: path.to_path_buf(), source })?;
        let Some(dir) = &self.dir else {
            return compile(engine, &wasm, path);
        };
        let file = dir.join(format!("{}.cwasm", key(engine, &wasm)));
        if let Some(component) = load(engine, &file) {
            return Ok(component);
        }
        let component = compile(engine, &wasm, path)?;
        match component.serialize() {
            // A cache that cannot be written costs time, not correctness.
            Ok(code) => match keep(dir, &file, &code) {
                Ok(()) => {}
                Err(error) => tracing::warn!("compiled code cannot be kept in {}: {error}", dir.display()),
            },
            Err(error) => tracing::warn!("compiled code cannot be kept: {}", one_line(&error)),
        }
        Ok(component)
    }
}

fn key(engine: &Engine, wasm: &[u8]) -> String {
    let mut compiler = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compiler);
    let content: String = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{content}-{:016x}", compiler.finish())
}

#[expect(unsafe_code, reason = "the only way to load compiled code; see the comment")]
fn load(engine: &Engine, file: &Path) -> Option<Component> {
    if !file.exists() {
        return None;
    }
    // SAFETY: the file was written by `keep` in a folder that only the operator can write to and no guest can reach,
    // complete, because it was renamed into place. wasmtime itself refuses code of another version or configuration.
    match unsafe { Component::deserialize_file(engine, file) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::debug!("compiled code {} is not used: {}", file.display(), one_line(&error));
            // It would only fail again. Losing the race to remove it is fine.
            let _ = fs::remove_file(file);
            None
        }
    }
}

fn compile(engine: &Engine, wasm: &[u8], path: &Path) -> Result<Component, PluginError> {
    Component::new(engine, wasm)
        .map_err(|error| PluginError::NotAComponent { path: path.to_path_buf(), reason: one_line(&error) })
}

/// Writes `code` so that no reader ever sees half of it.
fn keep(dir: &Path, file: &Path, code: &[u8]) -> io::Result<()> {
    create_private_dir(dir)?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut temporary, code)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
