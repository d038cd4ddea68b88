//! `kit.toml`: the binding of the plugin that the conformance kit tests.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    /// Binds `plugin` to nothing.
    #[must_use]
    pub fn unbound(plugin: &Path) -> Self {
        Self {
            binding: StorePlugin {
                plugin: plugin.to_owned(),
                settings: BTreeMap::new(),
                secrets: BTreeMap::new(),
                network: Vec::new(),
                directories: BTreeMap::new(),
                over: None,
            },
            stores: BTreeMap::new(),
            limits: Limits::default(),
            cache_dir: None,
        }
    }

    /// Reads `file`, which binds `plugin`.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has an invalid value, or binds nothing.
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
    /// When `text` is not TOML, has an invalid value, or binds nothing.
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
        let used = used_stores(binding.over.as_ref(), &stores);
        for name in stores.keys().filter(|name| !used.contains(name.as_str())) {
            root.report(
                root.offset_of("stores"),
                format!(
                    "[stores.{name}] is not used: the keys that bind the tested plugin are at the top of the file, in no \
                     section, and a section is only for a store that a wrapper wraps (over)"
                ),
            );
        }
        let (limits, cache_dir) = limits::read(root, &Settings::default());
        let keys = ["settings", "secrets", "network", "directories", "over", "stores", "limits"];
        if keys.into_iter().all(|key| root.is_empty(key)) {
            root.complain(
                "binds nothing: it must have settings, secrets, network, directories or over at its top; without \
                 --config the plugin is tested with none of them",
            );
        }
        Self { binding, stores, limits, cache_dir }
    }
}

/// The names of the stores that are wrapped, the first by a wrapper that is `over` it.
fn used_stores<'a>(mut over: Option<&'a StoreChoice>, stores: &'a BTreeMap<String, StorePlugin>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    while let Some((name, store)) = over.and_then(|over| stores.get_key_value(over.name())) {
        // Those that wrap each other in a circle are refused elsewhere.
        if !used.insert(name.as_str()) {
            break;
        }
        over = store.over.as_ref();
    }
    used
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
        let both = refused(&format!("over = \"file\"{inner}"));
        let [first, unused, second] = &both[..] else { panic!("{both:?}") };
        assert_eq!(
            [first, second],
            [&format!("kit.toml:1: over {reason}"), &format!("kit.toml:5: [stores.inner] over {reason}")]
        );
        assert!(unused.starts_with("kit.toml:3: [stores.inner] is not used"), "{unused}");
    }
}
