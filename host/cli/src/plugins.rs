//! Building and loading plugins, with a line on the terminal while it takes long.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use etcetera::base_strategy::{BaseStrategy as _, choose_native_strategy};
use indicatif::{ProgressBar, ProgressStyle};
use sigbox::{
    plugin_source::{self, PluginSourceError},
    sandbox::{Limits, Mode, PluginError, Sandbox},
};

/// A function that builds a plugin if necessary, and shows what cargo says.
pub(crate) fn resolver() -> impl FnMut(&Path) -> Result<PathBuf, PluginSourceError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    move |plugin| {
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner.set_message(format!("building {}", plugin.display()));
        let built = plugin_source::resolve(plugin, &cargo, &mut |line| spinner.set_message(line.trim().to_owned()));
        spinner.finish_and_clear();
        built
    }
}

/// A variable of the environment, for secrets.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// A sandbox whose compiled code is kept between runs: where the configuration says, or in the user's cache folder.
pub(crate) fn sandbox<M: Mode>(limits: &Limits, cache_dir: Option<&PathBuf>) -> Result<Sandbox<M>, PluginError> {
    let dir = cache_dir.cloned().or_else(|| Some(choose_native_strategy().ok()?.cache_dir().join("sigbox")));
    Sandbox::new(limits.clone(), dir)
}
