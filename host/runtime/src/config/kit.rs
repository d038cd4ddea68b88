//! `kit.toml`: the binding of the plugin that the conformance kit tests.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sigbox_engine::Settings;
use sigbox_sandbox::Limits;

use super::{
    ConfigError, StoreChoice, StorePlugin, limits,
    persistence::{over_problem, read_binding, read_stores_if},
    reader::{Reader, Section},
};

/// A binding: the keys of a `[stores.NAME]` section, at the top of the file.
///
/// A wrapper's `over` is `"memory"` or a `[stores.NAME]` of the same file.
#[derive(Clone, Debug, PartialEq)]
pub struct KitFile {
    /// The binding. Its plugin is the one that is tested.
    pub binding: StorePlugin,
    /// The stores that a wrapper can wrap.
    pub stores: BTreeMap<String, StorePlugin>,
    /// How much the plugin may use.
    pub limits: Limits,
    /// Where compiled plugins are kept, if the file says so.
    pub cache_dir: Option<PathBuf>,
}

impl KitFile {
    /// Reads `file`, which binds `plugin`.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has an invalid value.
    pub fn load(file: impl AsRef<Path>, plugin: &Path) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let text = fs::read_to_string(file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::NotFound(file.to_owned()),
            _ => ConfigError::Read { file: file.to_owned(), source },
        })?;
        Self::parse(&text, file, plugin)
    }

    /// Reads `text` as the content of `file`. Messages name `file`, and paths are relative to its folder.
    ///
    /// # Errors
    /// When `text` is not TOML, or has an invalid value.
    pub fn parse(text: &str, file: impl AsRef<Path>, plugin: &Path) -> Result<Self, ConfigError> {
        let reader = Reader::new(text, file.as_ref());
        let read = reader.read(|root| Self::read(root, plugin));
        let problems = reader.into_problems();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(ConfigError::Invalid(problems)),
        }
    }

    fn read(root: &Section<'_>, plugin: &Path) -> Self {
        let binding = StorePlugin { plugin: plugin.to_owned(), ..read_binding(root, "secrets") };
        let no_files = |over: &StoreChoice| {
            (*over == StoreChoice::File).then_some("must not be \"file\": the kit has no data directory")
        };
        let stores = read_stores_if(root, no_files);
        if let Some(over) = &binding.over
            && let Some(problem) = over_problem("", over, &stores).or_else(|| no_files(over).map(str::to_owned))
        {
            root.report(root.offset_of("over"), format!("over {problem}"));
        }
        let (limits, cache_dir) = limits::read(root, &Settings::default());
        Self { binding, stores, limits, cache_dir }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_must_not_wrap_files_is_reported_at_its_own_line() {
        let refused = |text: &str| match KitFile::parse(text, "kit.toml", Path::new("p.wasm")) {
            Err(ConfigError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let reason = "must not be \"file\": the kit has no data directory";
        let inner = "\n\n[stores.inner]\nplugin = \".\"\nover = \"file\"\n";
        assert_eq!(refused(&format!("over = \"inner\"{inner}")), [format!("kit.toml:5: [stores.inner] over {reason}")]);
        assert_eq!(
            refused(&format!("over = \"file\"{inner}")),
            [format!("kit.toml:1: over {reason}"), format!("kit.toml:5: [stores.inner] over {reason}")]
        );
    }
}
