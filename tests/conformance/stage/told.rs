//! What a run asked, read, wrote and announced, in order.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::minute_of;

/// One thing a run did that can be seen from outside.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Asked {
        name: &'static str,
        symbol: &'static str,
        minute: i64,
    },
    Read {
        domain: String,
    },
    Written {
        domain: String,
        document: Value,
    },
    /// An event, when it was recorded for the first time.
    Event(Value),
}

/// Shared by everything that writes it down.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Entry>>>);

impl Log {
    pub(super) fn add(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    pub(super) fn told(&self) -> Told {
        Told(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// What a run did, in order.
#[derive(Clone, Debug)]
pub(in super::super) struct Told(Vec<Entry>);

impl Told {
    /// What began, ended or was refused.
    pub(in super::super) fn story(&self) -> Vec<String> {
        self.0.iter().filter_map(|entry| if let Entry::Event(event) = entry { line(event) } else { None }).collect()
    }

    /// The same of one strategy on one symbol.
    pub(in super::super) fn story_of(&self, name: &str, symbol: &str) -> Vec<String> {
        let own = |event: &Value| event["strategyName"] == name && event["symbol"] == symbol;
        let events = self.0.iter().filter_map(|entry| if let Entry::Event(event) = entry { Some(event) } else { None });
        events.filter(|event| own(event)).filter_map(line).collect()
    }

    /// The story, and between its lines the documents that were written.
    pub(in super::super) fn lines(&self) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|entry| match entry {
                Entry::Asked { .. } | Entry::Read { .. } => None,
                Entry::Written { domain, document } => Some(format!("{domain} {}", summary(document))),
                Entry::Event(event) => line(event),
            })
            .collect()
    }

    /// Every document written in a domain.
    pub(in super::super) fn written(&self, domain: &str) -> Vec<Value> {
        let written = self.0.iter().filter_map(|entry| match entry {
            Entry::Written { domain: name, document } if name == domain => Some(document.clone()),
            _ => None,
        });
        written.collect()
    }

    /// The domains of the documents that were read.
    pub(in super::super) fn read(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|entry| if let Entry::Read { domain } = entry { Some(&**domain) } else { None })
            .collect()
    }

    /// The minutes at which a strategy was asked.
    pub(in super::super) fn asked(&self, strategy: &str, pair: &str) -> Vec<i64> {
        let asked = self.0.iter().filter_map(|entry| match entry {
            Entry::Asked { name, symbol, minute } if *name == strategy && *symbol == pair => Some(*minute),
            _ => None,
        });
        asked.collect()
    }

    /// Every event with this action.
    pub(in super::super) fn events(&self, action: &str) -> Vec<&Value> {
        let events = self.0.iter().filter_map(|entry| if let Entry::Event(event) = entry { Some(event) } else { None });
        events.filter(|event| event["action"] == action).collect()
    }
}

/// One line of a story; `None` for what happens while a position is held.
fn line(event: &Value) -> Option<String> {
    let price = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("a price is missing in {event}"));
    let current = || price(&event["currentPrice"]);
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text is missing in {event}")).to_owned();
    let what = match text(&event["action"]).as_str() {
        "scheduled" => format!("scheduled {}", price(&event["signal"]["priceOpen"])),
        "opened" => format!("opened {}", current()),
        "closed" => format!("{} {}", text(&event["closeReason"]), current()),
        "cancelled" => format!("{} {}", text(&event["reason"]), current()),
        "risk_rejection" => format!("refused by {}", text(&event["rejectionNote"])),
        "invalid_signal" => format!("invalid {}", event["rules"]),
        "highest_profit" | "max_drawdown" | "breakeven" | "partial_profit" | "partial_loss" => return None,
        other => panic!("{other}: {event}"),
    };
    Some(format!("{} {what}", minute_of(event["timestamp"].as_i64().expect("every event has a time"))))
}

/// A document in short: a row by side and entry price, slots by their keys.
fn summary(document: &Value) -> String {
    match document {
        Value::Object(row) if row.contains_key("position") => {
            format!("{} {}", row["position"].as_str().unwrap_or("?"), row["priceOpen"])
        }
        Value::Array(slots) => {
            let keys: Vec<&str> = slots.iter().map(|slot| slot[0].as_str().unwrap_or("?")).collect();
            format!("[{}]", keys.join(", "))
        }
        other => other.to_string(),
    }
}
