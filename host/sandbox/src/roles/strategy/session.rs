//! Who is trading what: the host's side of `sigbox:host/session`.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::context::StrategyContext;
use crate::bindings::strategy::sigbox::host::session;

/// The settings of a strategy: the JSON object as text, for `sigbox:host/session`, and one by one, for
/// `sigbox:host/config`. Cheap to clone.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) text: Arc<str>,
    pub(super) each: Arc<BTreeMap<String, String>>,
}

impl Settings {
    /// `text` is a JSON object. Of a setting that is a text, `config` shows the text; of any other, its JSON.
    pub(super) fn new(text: &str) -> Self {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        let shown = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let each = object.into_iter().map(|(name, value)| (name, shown(value))).collect();
        Self { text: text.into(), each: Arc::new(each) }
    }
}

impl session::Host for StrategyContext {
    fn symbol(&mut self) -> wasmtime::Result<String> {
        self.lend_text(|context| context.pair.symbol.clone())
    }

    fn strategy(&mut self) -> wasmtime::Result<String> {
        self.lend_text(|context| context.pair.strategy.clone())
    }

    fn exchange(&mut self) -> wasmtime::Result<String> {
        self.lend_text(|context| context.pair.exchange.clone())
    }

    fn frame(&mut self) -> wasmtime::Result<Option<String>> {
        self.lend_text(|context| context.pair.frame.clone()).map(|frame| Some(frame).filter(|frame| !frame.is_empty()))
    }

    fn settings(&mut self) -> wasmtime::Result<String> {
        self.lend_text(|context| context.settings.text.to_string())
    }
}

impl StrategyContext {
    /// The text is copied for the guest, which counts as its work.
    fn lend_text(&mut self, text: impl FnOnce(&Self) -> String) -> wasmtime::Result<String> {
        let text = text(self);
        self.guest.spend(text.len())?;
        Ok(text)
    }
}
