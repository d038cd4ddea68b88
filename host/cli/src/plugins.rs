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
    plugin_source::{self, PluginSourceError, Role, Tools},
    sandbox::{Limits, Mode, PluginError, Program, Sandbox},
};

use crate::interpreters;

/// A function that makes the program of a plugin, and shows what the tools say that build it.
pub(crate) fn resolver() -> impl FnMut(&Path, Role) -> Result<Program, PluginSourceError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let tools = Tools { cargo, interpreters: interpreters::folders };
    move |plugin, role| {
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner.set_message(format!("building {}", plugin.display()));
        let show = &mut |line: &str| spinner.set_message(line.trim().to_owned());
        let mut program = plugin_source::program(plugin, role, &tools, show);
        if let Err(PluginSourceError::NoInterpreter { language, .. }) = &program {
            spinner.suspend(|| eprintln!("Making the interpreter for {language}. It is kept, so this happens once."));
            program = match interpreters::make(language, show) {
                Ok(()) => plugin_source::program(plugin, role, &tools, show),
                Err(error) => Err(PluginSourceError::InterpreterFailed(format!("{error:#}"))),
            };
        }
        spinner.finish_and_clear();
        program
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
