//! Errors: why a plugin cannot be loaded or used, and how a call breaks down.

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
    /// The file is a component, but this sigbox cannot run it.
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
        /// Whether the same call may succeed later.
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
        /// Why: another process has it, or what the operating system said.
        reason: String,
    },
    /// The sandbox itself could not be set up.
    #[error("the sandbox could not be set up: {0}")]
    Sandbox(String),
}

/// How a call broke down, so that it returned nothing. The instance is dropped; the next call gets a new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breakdown {
    /// The call used up its fuel.
    #[error("used up its {0} units of fuel for one call ([limits] fuel-per-call)")]
    OutOfFuel(u64),
    /// The call took too long.
    #[error("did not answer within {} ms ({setting})", .limit.as_millis())]
    Timeout {
        /// How long it may take.
        limit: Duration,
        /// The setting of this limit.
        setting: &'static str,
    },
    /// The instance wanted more memory than it may have.
    #[error("wanted more than its {} MiB of memory ([limits] memory-mib)", .0 >> 20)]
    OutOfMemory(usize),
    /// The plugin handed more bytes to the host than it may.
    #[error("handed more than {} KiB to the host at once", .0 >> 10)]
    TooMuchData(usize),
    /// The process has as many instances as it can have.
    #[error("found no room: {0}; run fewer strategies and symbols in one process")]
    NoRoom(String),
    /// Any other trap: unreachable code, an access outside of the memory, a broken rule of the component model.
    #[error("trapped: {0}")]
    Trap(String),
}
