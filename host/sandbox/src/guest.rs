//! The part of an instance that is the same in every role: its name, its settings, the engine's time and its
//! allowances.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use wasmtime::ResourceLimiter;

use crate::{
    bindings::strategy::sigbox::host::{clock, config, logging, source},
    growth::GrowthLimit,
    limits::{LOG_LINE_BYTES, LOG_PART_BYTES, Limits},
    program::{SourceFile, Text},
    secret::{Secrets, hide},
    text::printable,
};

/// The names that tell one instance from every other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// Name of the plugin in log lines: that of the strategy or the store in the configuration.
    pub(crate) plugin: String,
    /// What tells this instance from others of the same plugin, such as the symbol.
    pub(crate) instance: String,
}

/// The engine's time. In a backtest, the clocks of WASI show it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now(Arc<AtomicI64>);

impl Now {
    pub(crate) fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The engine's time for guests, which know no time before 1970: an earlier time becomes 0.
    pub(crate) fn unsigned_ms(&self) -> u64 {
        u64::try_from(self.get()).unwrap_or(0)
    }
}

/// The part of an instance's context that every role has.
pub(crate) struct Guest {
    identity: Identity,
    /// Settings, for `sigbox:host/config`.
    config: Arc<BTreeMap<String, String>>,
    /// Texts that must not be in its log lines.
    secrets: Arc<Secrets>,
    /// The text that it runs, for `sigbox:host/source`.
    text: Option<Arc<Text>>,
    /// The engine's time.
    now: Now,
    limits: Limits,
    growth: GrowthLimit,
    /// See [`Guest::spend`].
    work_per_call: u64,
    work_left: u64,
    log_lines_left: u32,
    log_lines_dropped: u64,
}

impl Guest {
    /// `work_per_call`: see [`Guest::spend`]. `own_bytes`: memory in the instance that is the host's.
    pub(crate) fn new(
        identity: Identity,
        config: Arc<BTreeMap<String, String>>,
        secrets: Arc<Secrets>,
        limits: Limits,
        work_per_call: u64,
        own_bytes: usize,
    ) -> Self {
        Self {
            identity,
            config,
            secrets,
            text: None,
            now: Now::default(),
            growth: GrowthLimit::new(limits.memory_bytes.saturating_add(own_bytes)),
            work_per_call,
            work_left: work_per_call,
            log_lines_left: limits.log_lines_per_call,
            log_lines_dropped: 0,
            limits,
        }
    }

    /// The same guest, an interpreter that runs `text`.
    pub(crate) fn that_runs(mut self, text: Option<Arc<Text>>) -> Self {
        self.text = text;
        self
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The engine's time.
    pub(crate) const fn now(&self) -> &Now {
        &self.now
    }

    /// Sets the engine's time and gives a fresh allowance for one call.
    pub(crate) fn begin_call(&mut self, now_ms: i64) {
        self.now.set(now_ms);
        self.work_left = self.work_per_call;
        self.growth.refused = false;
        self.log_lines_left = self.limits.log_lines_per_call;
        self.report_dropped_lines();
    }

    fn report_dropped_lines(&mut self) {
        if self.log_lines_dropped > 0 {
            let dropped = std::mem::take(&mut self.log_lines_dropped);
            let Identity { plugin, instance } = &self.identity;
            tracing::warn!(target: "plugin", plugin, instance, dropped, "log lines beyond the limit were dropped");
        }
    }

    /// Whether the guest was refused memory during this call.
    pub(crate) const fn memory_was_refused(&self) -> bool {
        self.growth.refused
    }

    pub(crate) fn growth_limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.growth
    }

    /// Counts work that the host does for the guest: about one unit for each byte that the host reads. Ends the call
    /// when this work alone is more than the call may use. Otherwise a guest could have the host work without end,
    /// because the guest hardly uses its own fuel while the host works.
    pub(crate) fn spend(&mut self, units: usize) -> wasmtime::Result<()> {
        self.work_left = self.work_left.checked_sub(units as u64).ok_or(wasmtime::Trap::OutOfFuel)?;
        Ok(())
    }
}

impl Drop for Guest {
    /// An instance that broke down has no next call, so its dropped lines are reported when it is dropped.
    fn drop(&mut self) {
        self.report_dropped_lines();
    }
}

impl logging::Host for Guest {
    fn log(&mut self, level: logging::Level, target: String, message: String) -> wasmtime::Result<()> {
        self.spend(target.len() + message.len())?;
        let Some(left) = self.log_lines_left.checked_sub(1) else {
            self.log_lines_dropped += 1;
            return Ok(());
        };
        self.log_lines_left = left;
        let Identity { plugin, instance } = &self.identity;
        let now_ms = self.now.get();
        let printed = |text: &str, most_bytes| hide(printable(text, most_bytes), &self.secrets);
        let (part, line) = (printed(&target, LOG_PART_BYTES), printed(&message, LOG_LINE_BYTES));
        match level {
            logging::Level::Trace => tracing::trace!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Debug => tracing::debug!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Info => tracing::info!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Warn => tracing::warn!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
            logging::Level::Error => tracing::error!(target: "plugin", plugin, instance, now_ms, part, "{line}"),
        }
        Ok(())
    }
}

impl clock::Host for Guest {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now.unsigned_ms())
    }
}

impl config::Host for Guest {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.spend(name.len())?;
        Ok(self.config.get(&name).cloned())
    }

    fn all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.config.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl source::Host for Guest {
    fn main(&mut self) -> wasmtime::Result<source::File> {
        let text = self.text()?;
        self.lend(&text.main)
    }

    fn modules(&mut self) -> wasmtime::Result<Vec<source::File>> {
        let text = self.text()?;
        text.modules.iter().map(|file| self.lend(file)).collect()
    }
}

impl Guest {
    fn text(&self) -> wasmtime::Result<Arc<Text>> {
        self.text.clone().ok_or_else(|| {
            wasmtime::Error::msg(
                "called sigbox:host/source, but it was given no text: it is an interpreter, so name the text that it runs as \
                 the plugin",
            )
        })
    }

    /// A copy for the guest, which counts as its work.
    fn lend(&mut self, SourceFile { path, text }: &SourceFile) -> wasmtime::Result<source::File> {
        self.spend(path.len() + text.len())?;
        Ok(source::File { path: path.clone(), text: text.clone() })
    }
}
