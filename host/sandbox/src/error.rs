//! Why a plugin could not be loaded or used.

use std::{path::PathBuf, time::Duration};

/// A plugin that cannot be used. The message names the plugin and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The file could not be read.
    #[error("plugin {path}: cannot be read: {source}", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a component.
    #[error(
        "plugin {path}: is not a WebAssembly component: {found}; build it for wasm32-wasip2, or wrap a core module \
         with `wasm-tools component new`",
        path = .path.display()
    )]
    NotAComponent {
        /// Which file.
        path: PathBuf,
        /// What the file is.
        found: &'static str,
    },
    /// The file is a component, and cannot be run.
    #[error(
        "plugin {path}: is a WebAssembly component this sigbox cannot run: {reason}; it is damaged, or uses features \
         or sizes beyond what plugins may have",
        path = .path.display()
    )]
    Unrunnable {
        /// Which file.
        path: PathBuf,
        /// What the compiler said.
        reason: String,
    },
    /// The component does not fit the contract.
    #[error("plugin {path}: {mismatch}", path = .path.display())]
    Contract {
        /// Which file.
        path: PathBuf,
        /// What was expected, what was found and what to do.
        mismatch: String,
    },
    /// The plugin said it cannot work.
    #[error("plugin {plugin}: {function} failed: {code}: {message}")]
    Refused {
        /// Which plugin, by the name the operator gave it.
        plugin: String,
        /// The function that said so.
        function: &'static str,
        /// The plugin's own code.
        code: String,
        /// The plugin's own words.
        message: String,
        /// Whether the same may succeed later.
        retryable: bool,
    },
    /// The plugin broke down.
    #[error("plugin {plugin}: {function}: {breakdown}")]
    Broke {
        /// Which plugin, by the name the operator gave it.
        plugin: String,
        /// The function that was running.
        function: &'static str,
        /// How.
        breakdown: Breakdown,
    },
    /// A directory the plugin was granted cannot be used.
    #[error("plugin {plugin}: directory {directory} {reason}", directory = .directory.display())]
    Directory {
        /// Which plugin, by the name the operator gave it.
        plugin: String,
        /// Which directory, on this machine.
        directory: PathBuf,
        /// Who has it, or what the operating system said.
        reason: String,
    },
    /// The sandbox itself could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Sandbox(String),
}

/// How a call ended that did not return. The instance is gone; the next call gets a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breakdown {
    /// It used up its fuel.
    #[error("used up its {0} units of fuel for one call ([limits] fuel-per-call)")]
    OutOfFuel(u64),
    /// It took too long.
    #[error("did not answer within {} ms ({setting})", .limit.as_millis())]
    Timeout {
        /// How long it may take.
        limit: Duration,
        /// The setting that says so.
        setting: &'static str,
    },
    /// It wanted more memory than it may have.
    #[error("wanted more than its {} MiB of memory ([limits] memory-mib)", .0 >> 20)]
    OutOfMemory(usize),
    /// It handed the host more than it may.
    #[error("handed more than {} KiB to the host at once", .0 >> 10)]
    TooMuchData(usize),
    /// There are as many instances as this process can have.
    #[error("found no room: {0}; run fewer strategies and symbols in one process")]
    NoRoom(String),
    /// Anything else: unreachable code, a bad access, a broken promise of the component model.
    #[error("trapped: {0}")]
    Trap(String),
}
