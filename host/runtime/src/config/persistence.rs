//! `[persistence]` and `[stores.NAME]`: where a live run keeps what must survive it.

use std::{collections::BTreeMap, path::PathBuf};

use toml::de::DeValue;

use super::{reader::Section, value::FromValue};
use crate::store::OnCorrupt;

/// Which store keeps which domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Where the domains of [`StoreChoice::File`] live. Made when missing.
    pub data_dir: PathBuf,
    /// What to do with a pair whose document cannot be understood.
    pub on_corrupt: OnCorrupt,
    /// Who keeps open positions.
    pub signal: StoreChoice,
    /// Who keeps limit orders.
    pub schedule: StoreChoice,
    /// Who keeps the positions of risk profiles.
    pub risk: StoreChoice,
    /// Who keeps the reported levels of profit and loss.
    pub partial: StoreChoice,
}

/// What keeps a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// Files under [`Persistence::data_dir`].
    File,
    /// Memory, which no restart survives.
    Memory,
    /// The plugin of that name in [`Config::stores`](super::Config::stores), where it exists.
    Plugin(String),
}

/// A persistence plugin. Domains bound to the same one share its instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlugin {
    /// A component, or a folder to build one from. It was there when the file was read.
    pub plugin: PathBuf,
    /// What it can ask for by name.
    pub settings: BTreeMap<String, String>,
}

const DATA_DIR: &str = "dump/data";

/// Keeps trading what can be understood; the document is set aside and reported.
const ON_CORRUPT: OnCorrupt = OnCorrupt::Quarantine;

pub(super) fn read(root: &Section<'_>, stores: &BTreeMap<String, StorePlugin>) -> Persistence {
    root.section("persistence", "[persistence]", |section| Persistence {
        data_dir: section.path("data-dir").unwrap_or_else(|| section.in_folder(DATA_DIR)),
        on_corrupt: section.or("on-corrupt", ON_CORRUPT),
        signal: read_choice(section, "signal", stores),
        schedule: read_choice(section, "schedule", stores),
        risk: read_choice(section, "risk", stores),
        partial: read_choice(section, "partial", stores),
    })
}

fn read_choice(section: &Section<'_>, key: &'static str, stores: &BTreeMap<String, StorePlugin>) -> StoreChoice {
    let expected = "\"file\", \"memory\" or the name of a [stores.NAME]";
    let is_known = |name: &String| [FILE, MEMORY].contains(&name.as_str()) || stores.contains_key(name);
    match section.get_if(key, expected, is_known) {
        None => StoreChoice::File,
        Some(name) if name == FILE => StoreChoice::File,
        Some(name) if name == MEMORY => StoreChoice::Memory,
        Some(name) => StoreChoice::Plugin(name),
    }
}

/// The word for [`StoreChoice::File`].
const FILE: &str = "file";
/// The word for [`StoreChoice::Memory`].
const MEMORY: &str = "memory";

pub(super) fn read_stores(root: &Section<'_>) -> BTreeMap<String, StorePlugin> {
    root.named_sections("stores", "[stores.NAME]", |section, name| {
        if [FILE, MEMORY].contains(&name) {
            section.complain("needs another name; this one is built in");
        }
        let settings = section.named_values::<Setting>("settings", "{ }");
        StorePlugin {
            plugin: section.plugin("plugin").unwrap_or_default(),
            settings: settings.into_iter().map(|(name, setting)| (name, setting.value.0)).collect(),
        }
    })
}

/// A setting of a plugin, as the text the plugin gets.
struct Setting(String);

impl FromValue for Setting {
    fn expected() -> String {
        "a text, a number, true or false".into()
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
