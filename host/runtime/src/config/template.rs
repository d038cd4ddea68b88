//! The template of a `sigbox.toml`, for a person who has none yet.

use toml::Value;

/// The file that `sigbox init` writes, without the path of the plugin.
const TEMPLATE: &str = include_str!("template.toml");

/// The text in [`TEMPLATE`] that is replaced by the path of the plugin.
const PLUGIN: &str = "\"PLUGIN\"";

/// A configuration that runs as it is and explains every section and key. `plugin` is the path of a strategy plugin, a
/// `.wasm` file or a folder; it is absolute, or relative to the configuration's folder.
#[must_use]
pub fn template(plugin: &str) -> String {
    TEMPLATE.replacen(PLUGIN, &Value::from(plugin).to_string(), 1)
}

/// The same with every commented key switched on. Prose has a blank after its `#`; rules in the list have two.
pub(super) fn template_with_every_key(plugin: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rule) if rule.starts_with("  {") => rule.to_owned(),
        Some(key) if !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    template(plugin).lines().map(|text| line(text) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use sigbox_engine::Settings;
    use sigbox_sandbox::Limits;

    use super::*;
    use crate::config::{Config, Live, StoreChoice, reader::Reader};

    /// A folder with all the plugins the template mentions.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("my \"plugin\"")).unwrap();
        fs::create_dir_all(folder.path().join("plugins/persistence/memory")).unwrap();
        folder
    }

    fn parse(text: &str, folder: &Path) -> Config {
        Config::parse(text, folder.join("sigbox.toml")).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn it_can_be_used_as_it_is_wherever_the_plugin_is() {
        let folder = folder();
        let config = parse(&template("my \"plugin\""), folder.path());
        assert_eq!(config.strategies[0].plugin, folder.path().join("my \"plugin\""));
        assert_eq!(config.strategies[0].settings, r#"{"fast":20,"slow":60}"#);
        assert!(config.check_backtest().is_ok());
    }

    #[test]
    fn it_shows_every_key_that_is_ever_asked_for() {
        let (text, folder) = (template_with_every_key("my \"plugin\""), folder());
        let file = folder.path().join("sigbox.toml");
        let reader = Reader::new(&text, &file);
        reader.read(|root| Config::read(&file, root));
        let asked = reader.asked.borrow().all();
        let absent: Vec<_> = asked.iter().filter(|(_, is_there)| !is_there).map(|(key, _)| key).collect();
        assert_eq!(absent, [""; 0]);
        // The keys of ten sections were indeed asked for.
        for key in ["limits", "limits cache-dir", "risk rules max-price", "stores secrets file", "walk frames end"] {
            assert!(asked.iter().any(|(asked, _)| asked == key), "{key}: {asked:?}");
        }
        assert!(asked.len() > 70, "{}", asked.len());
    }

    #[test]
    fn what_it_shows_as_a_default_is_the_default() {
        let folder = folder();
        let as_it_is = parse(&template("my \"plugin\""), folder.path());
        let switched_on = parse(&template_with_every_key("my \"plugin\""), folder.path());
        assert_eq!(switched_on.engine, Settings::default());
        assert_eq!(switched_on.limits, Limits::default());
        assert_eq!(switched_on.live, Live::default());
        assert_eq!(switched_on.persistence, as_it_is.persistence);
        assert_eq!(switched_on.exchange_name, as_it_is.exchange_name);
        assert_eq!(switched_on.candles.gaps, as_it_is.candles.gaps);
        assert_eq!(switched_on.frame.name, as_it_is.frame.name);
        assert_eq!(switched_on.frame.interval, as_it_is.frame.interval);
        assert_eq!(switched_on.sweep.metric, as_it_is.sweep.metric);
        // A key without a default shows an example, so its value differs when it is switched on.
        assert_eq!(as_it_is.frame.start_ms.or(as_it_is.frame.end_ms), None);
        assert_eq!(as_it_is.cache_dir, None);
        assert!(as_it_is.stores.is_empty() && switched_on.stores.contains_key("scratch"));
        assert_eq!(as_it_is.persistence.stores.signal, StoreChoice::File);
        assert_eq!((as_it_is.risk[0].rules.len(), switched_on.risk[0].rules.len()), (2, 5));
        assert!(as_it_is.sweep.grid.is_empty() && as_it_is.sweep.symbols.is_empty());
        assert_eq!((switched_on.sweep.grid["sma-cross"].len(), switched_on.sweep.frames.len()), (2, 1));
    }
}
