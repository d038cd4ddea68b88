//! Keeps documents in its own memory and does, where it is told to, what the sandbox must bear.
//!
//! What it is told comes from two places. The setting `mode` decides about `describe` and `start`, and with
//! `"trap-on-call"` and `call` which call of an instance traps. The entity id of a document, or the entity name of a
//! listing, names anything else: see [`misbehave`] and [`Hostile::keys`].

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    thread,
    time::Duration,
};

use sigbox_sdk::{
    export_backend,
    persistence::{Address, Backend, Descriptor, Failure, Page, config, logging},
};

#[derive(Default)]
struct Hostile {
    documents: BTreeMap<(String, String, String), Vec<u8>>,
    /// What `wait_for_init` was told, as text.
    told: Vec<String>,
    /// Calls of this instance.
    calls: u32,
    /// The call that traps.
    trap_on_call: Option<u32>,
}

fn mode() -> String {
    config::get("mode").unwrap_or_default()
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

/// What the entity id asks for, if it asks for anything.
fn misbehave(at: &Address) -> Result<(), Failure> {
    match at.entity_id.as_str() {
        "sleep" => thread::sleep(Duration::from_hours(1)),
        "spin" => spin(),
        "trap" => panic!("it was asked to"),
        "later" => {
            return Err(Failure {
                code: "unavailable".to_owned(),
                message: "in fifty days\n2024-01-01 ERROR forged\u{1b}[2J".to_owned(),
                retryable: true,
                retry_after_ms: Some(u32::MAX),
            });
        }
        "never" => return Err(Failure::give_up("denied", "x".repeat(1 << 20))),
        _ => {}
    }
    Ok(())
}

impl Hostile {
    fn count_call(&mut self) {
        self.calls += 1;
        assert!(self.trap_on_call != Some(self.calls), "call {} of this instance", self.calls);
    }
}

impl Backend for Hostile {
    fn describe() -> Descriptor {
        let mode = mode();
        assert!(mode != "describe-trap", "in describe");
        let summary = if mode == "forged-summary" { "one line\nanother\u{1b}[31m line" } else { "a trap" };
        Descriptor {
            name: "hostile".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: summary.to_owned(),
            features: Vec::new(),
            max_value_bytes: 64 << 10,
        }
    }

    fn start() -> Result<Self, Failure> {
        match mode().as_str() {
            "start-trap" => panic!("in start"),
            "start-spin" => spin(),
            "start-refuse" => return Err(Failure::give_up("denied", "no password\nERROR forged")),
            _ => {}
        }
        let trap_on_call = config::get("call").and_then(|call| call.parse().ok());
        Ok(Self { trap_on_call, ..Self::default() })
    }

    fn wait_for_init(&mut self, domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
        self.told.push(format!("{domain} {entity_name} {initial}"));
        Ok(())
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.count_call();
        misbehave(at)?;
        match at.entity_id.as_str() {
            "told" => Ok(Some(self.told.join("; ").into_bytes())),
            "huge" => Ok(Some(vec![b'x'; 32 << 20])),
            _ => Ok(self.documents.get(&key(at)).cloned()),
        }
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.count_call();
        misbehave(at)?;
        self.documents.insert(key(at), value);
        Ok(())
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.count_call();
        misbehave(at)?;
        Ok(self.documents.remove(&key(at)).is_some())
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        let page = |ids: Vec<String>, next: Option<&str>| Ok(Page { entity_ids: ids, next: next.map(str::to_owned) });
        let number: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        match entity_name {
            "same-cursor" => page(vec![format!("{number:09}")], Some("0")),
            "no-ids" => page(Vec::new(), Some(&(number + 1).to_string())),
            // Goes on for ever, one id at a time.
            "endless" => page(vec![format!("{number:09}")], Some(&(number + 1).to_string())),
            "unordered" => page(vec!["b".to_owned(), "a".to_owned()], None),
            "repeated" => page(vec!["a".to_owned()], cursor.is_none().then_some("a")),
            "overfull" => page((0..=limit).map(|id| format!("{id:09}")).collect(), None),
            "huge" => page(vec!["x".repeat(1 << 20); 40], None),
            _ => {
                let from = cursor.map(|cursor| (domain.to_owned(), entity_name.to_owned(), cursor.to_owned()));
                let from = from.map_or(Unbounded, Excluded);
                let mut rest = self.documents.range((from, Unbounded)).map(|(key, _)| key);
                let mut ours = rest.by_ref().filter(|key| key.0 == domain && key.1 == entity_name);
                let ids: Vec<String> = ours.by_ref().take(limit as usize).map(|key| key.2.clone()).collect();
                let next = ours.next().and_then(|_| ids.last().cloned());
                Ok(Page { entity_ids: ids, next })
            }
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        logging::log(logging::Level::Info, "close", "closed");
        assert!(mode() != "close-trap", "in close");
        Ok(())
    }
}

fn key(at: &Address) -> (String, String, String) {
    (at.domain.clone(), at.entity_name.clone(), at.entity_id.clone())
}

export_backend!(Hostile);
