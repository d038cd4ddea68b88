//! `[persistence]` and `[stores.NAME]`: where a live run keeps the state that must survive it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sigbox_sandbox::Endpoint;
use sigbox_trading::store::{OnCorrupt, PerDomain};
use toml::de::DeValue;

use super::{
    reader::{Item, Section},
    schema::Expected,
    value::{FromValue, Name},
};

/// Which store keeps which domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// The folder of the domains with [`StoreChoice::File`]. Made when missing.
    pub data_dir: PathBuf,
    /// What to do with a pair whose document cannot be understood.
    pub on_corrupt: OnCorrupt,
    /// Which store keeps each domain.
    pub stores: PerDomain<StoreChoice>,
}

/// The store of a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreChoice {
    /// Files under [`Persistence::data_dir`].
    #[default]
    File,
    /// Memory, whose content does not survive a restart.
    Memory,
    /// The plugin of this name in [`Config::stores`](super::Config::stores); it may not exist.
    Plugin(String),
}

/// A persistence plugin. Domains bound to the same one share its instance.
///
/// `bindings.json` keeps this type. What an older version did not write there gets its default, and what a newer one
/// wrote in addition is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct StorePlugin {
    /// A component, or a folder to build one from. It existed when the file was read.
    pub plugin: PathBuf,
    /// Its settings, by name.
    pub settings: BTreeMap<String, String>,
    /// Where its secrets are, by the name that it asks for.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The endpoints it may connect to.
    pub network: Vec<Endpoint>,
    /// Folders it may read and write, each by its path inside the sandbox.
    pub directories: BTreeMap<String, PathBuf>,
    /// The store a wrapper wraps.
    pub over: Option<StoreChoice>,
}

/// Where a secret is. The configuration never contains the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// In a variable of the environment.
    Env(String),
    /// In a file, which may end with one line end.
    File(PathBuf),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "the environment variable {variable}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

const DATA_DIR: &str = "dump/data";

/// The default: the document is set aside and reported, and trading goes on.
const ON_CORRUPT: OnCorrupt = OnCorrupt::Quarantine;

pub(super) fn read(root: &Section<'_>, stores: &BTreeMap<String, StorePlugin>) -> Persistence {
    root.section("persistence", "[persistence]", |section| {
        let mut chosen = PerDomain::from_fn(|domain| read_choice(section, domain.name(), stores));
        if !section.has("memory") {
            // What a strategy remembers goes with its positions: it led to them.
            chosen.memory = chosen.signal.clone();
        }
        Persistence {
            data_dir: section.path("data-dir").unwrap_or_else(|| section.in_folder(DATA_DIR)),
            on_corrupt: section.or("on-corrupt", ON_CORRUPT),
            stores: chosen,
        }
    })
}

fn read_choice(section: &Section<'_>, key: &'static str, stores: &BTreeMap<String, StorePlugin>) -> StoreChoice {
    let is_known = |name: &String| [FILE, MEMORY].contains(&name.as_str()) || stores.contains_key(name);
    let expected = Expected::new(CHOICES, String::expected().schema);
    section.get_if(key, expected, is_known).map_or_else(StoreChoice::default, StoreChoice::named)
}

/// The end of a message that begins with "must be".
const CHOICES: &str = "\"file\", \"memory\" or the name of a [stores.NAME]";

impl StoreChoice {
    /// The store that `name` means in a file. There may be no plugin of this name.
    #[must_use]
    pub fn named(name: String) -> Self {
        match name.as_str() {
            FILE => Self::File,
            MEMORY => Self::Memory,
            _ => Self::Plugin(name),
        }
    }

    /// The word for it in a file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::File => FILE,
            Self::Memory => MEMORY,
            Self::Plugin(name) => name,
        }
    }
}

/// The word for [`StoreChoice::File`].
const FILE: &str = "file";
/// The word for [`StoreChoice::Memory`].
const MEMORY: &str = "memory";

pub(super) fn read_stores(root: &Section<'_>) -> BTreeMap<String, StorePlugin> {
    read_stores_if(root, |_| None)
}

/// Reads the stores. `problem`: what else is wrong with the store that one of them wraps.
pub(super) fn read_stores_if(
    root: &Section<'_>,
    problem: impl Fn(&StoreChoice) -> Option<&'static str>,
) -> BTreeMap<String, StorePlugin> {
    let mut offsets = BTreeMap::new();
    let stores = root.named_sections("stores", "[stores.NAME]", |section, name| {
        if [FILE, MEMORY].contains(&name) {
            section.complain("needs another name; this one is built in");
        }
        offsets.insert(name.to_owned(), section.offset_of("over"));
        read_store(section, &format!("stores.{name}"))
    });
    for (name, store) in &stores {
        let Some(over) = &store.over else { continue };
        if let Some(problem) = over_problem(name, over, &stores).or_else(|| problem(over).map(str::to_owned)) {
            root.report(offsets[name], format!("[stores.{name}] over {problem}"));
        }
    }
    stores
}

/// Reads a plugin and its binding. `path`: the section's keys.
fn read_store(section: &Section<'_>, path: &str) -> StorePlugin {
    let plugin = section.plugin("plugin").unwrap_or_default();
    StorePlugin { plugin, ..read_binding(section, &format!("{path}.secrets")) }
}

/// Reads the binding of a plugin whose path is read elsewhere. `secrets`: the keys of its secrets.
pub(super) fn read_binding(section: &Section<'_>, secrets: &str) -> StorePlugin {
    let settings = section.named_values::<Setting>("settings", "{ }");
    StorePlugin {
        plugin: PathBuf::new(),
        settings: settings.into_iter().map(|(name, Item { value: Setting(text), .. })| (name, text)).collect(),
        secrets: section
            .named_sections("secrets", &format!("[{secrets}]"), |secret, _| read_secret(secret))
            .into_iter()
            .filter_map(|(name, source)| Some((name, source?)))
            .collect(),
        network: section.list("network").into_iter().map(|Item { value, .. }| value).collect(),
        directories: read_directories(section),
        over: section.get::<Name>("over").map(|Name(name)| StoreChoice::named(name)),
    }
}

fn read_secret(section: &Section<'_>) -> Option<SecretSource> {
    let variable = section.get::<Name>("env").map(|Name(variable)| SecretSource::Env(variable));
    let file = section.path("file").map(SecretSource::File);
    if section.has("env") == section.has("file") {
        section.complain("must say where a secret is: env = \"VARIABLE\" or file = \"PATH\"");
    }
    variable.or(file)
}

fn read_directories(section: &Section<'_>) -> BTreeMap<String, PathBuf> {
    let directories = section.named_values::<Name>("directories", "{ }");
    let read = |(guest, Item { offset, value: Name(host) }): (String, Item<Name>)| {
        if !guest.starts_with('/') {
            section.report(offset, format!("directories {guest:?} must begin with /: it is where the plugin finds it"));
        }
        (guest, section.in_folder(&host))
    };
    directories.into_iter().map(read).collect()
}

/// What is wrong with `over`, the store that `name` wraps; `None`: nothing.
pub(super) fn over_problem(name: &str, over: &StoreChoice, stores: &BTreeMap<String, StorePlugin>) -> Option<String> {
    let mut seen = BTreeSet::from([name]);
    let mut next = over;
    while let StoreChoice::Plugin(inner) = next {
        if !seen.insert(inner) {
            return Some(format!("must not come back to {inner:?}: somebody has to keep the documents"));
        }
        let Some(store) = stores.get(inner) else {
            return (next == over).then(|| format!("must be {CHOICES}; found {inner:?}"));
        };
        next = store.over.as_ref()?;
    }
    None
}

impl FromValue for Endpoint {
    fn expected() -> Expected {
        let schema = json!({ "type": "string", "pattern": ":[+0-9]+$" });
        Expected::new("HOST:PORT in quotes, like \"localhost:6379\"", schema)
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

/// A setting of a plugin, as the text the plugin gets.
struct Setting(String);

impl FromValue for Setting {
    fn expected() -> Expected {
        Expected::new("a text, a number, true or false", json!({ "type": ["string", "number", "boolean"] }))
    }

    fn from_value(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => Some(Self(text.to_string())),
            DeValue::Boolean(boolean) => Some(Self(boolean.to_string())),
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| Self(number.to_string()))
            }
            DeValue::Float(_) => {
                f64::from_value(value).filter(|number| number.is_finite()).map(|number| Self(number.to_string()))
            }
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }
}
