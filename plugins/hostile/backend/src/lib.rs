//! Keeps documents and does, where it is told to, what the sandbox must bear and what the conformance kit must find.
//!
//! What it is told comes from three places. The setting `mode` decides about `describe` and `start`, and with
//! `"trap-on-call"` and `call` which call of an instance traps. The entity id of a document, or the entity name of a
//! listing, names anything else: see [`misbehave`] and [`Hostile::odd_page`]. The setting `fault` names one thing it
//! does wrong throughout: see [`faults`].
//!
//! The setting `medium` says where the documents are: `folder`, `server` with its address in the setting `server`, or
//! else the memory of the instance.

mod faults;
mod medium;

use std::{thread, time::Duration};

use sigbox_sdk::{
    export_fenced_backend,
    persistence::{Address, Backend, Descriptor, Failure, Fenced, Holder, Page, config, logging},
};

use self::faults::{Faulty, fault};

struct Hostile {
    documents: Faulty,
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
        "trap" | "refuse, then trap" => panic!("it was asked to"),
        "later" => {
            return Err(Failure {
                code: "unavailable".to_owned(),
                message: "in fifty days\n2024-01-01 ERROR forged\u{1b}[2J".to_owned(),
                retryable: true,
                retry_after_ms: Some(u32::MAX),
                extra: None,
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

    /// What the entity name of a listing asks for, if it asks for anything.
    fn odd_page(entity_name: &str, cursor: Option<&str>, limit: u32) -> Option<Page> {
        let page = |ids: Vec<String>, next: Option<&str>| Page { entity_ids: ids, next: next.map(str::to_owned) };
        let number: u64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        Some(match entity_name {
            "same-cursor" => page(vec![format!("{number:09}")], Some("0")),
            "no-ids" => page(Vec::new(), Some(&(number + 1).to_string())),
            // Goes on for ever, one id at a time.
            "endless" => page(vec![format!("{number:09}")], Some(&(number + 1).to_string())),
            "unordered" => page(vec!["b".to_owned(), "a".to_owned()], None),
            "repeated" => page(vec!["a".to_owned()], cursor.is_none().then_some("a")),
            "overfull" => page((0..=limit).map(|id| format!("{id:09}")).collect(), None),
            "huge" => page(vec!["x".repeat(1 << 20); 40], None),
            _ => return None,
        })
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
            summary: if fault("says nothing") { String::new() } else { summary.to_owned() },
            features: faults::features(),
            max_value_bytes: if fault("takes everything, it says") { u64::MAX } else { 64 << 10 },
            extra: None,
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
        Ok(Self { documents: Faulty::start()?, told: Vec::new(), calls: 0, trap_on_call })
    }

    fn wait_for_init(&mut self, domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
        self.told.push(format!("{domain} {entity_name} {initial}"));
        self.documents.init(domain, entity_name, initial)
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.count_call();
        misbehave(at)?;
        match at.entity_id.as_str() {
            "told" => Ok(Some(self.told.join("; ").into_bytes())),
            "huge" => Ok(Some(vec![b'x'; 32 << 20])),
            _ => self.documents.read(at),
        }
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.count_call();
        if at.entity_id == "refuse, then trap" && self.calls == 1 {
            return Err(Failure::retry("unavailable", "somebody has it locked"));
        }
        misbehave(at)?;
        self.documents.write(at, value)
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.count_call();
        misbehave(at)?;
        self.documents.remove(at)
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        match Self::odd_page(entity_name, cursor, limit) {
            Some(page) => Ok(page),
            None => self.documents.keys(domain, entity_name, cursor, limit),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        logging::log(logging::Level::Info, "close", "closed");
        assert!(mode() != "close-trap", "in close");
        self.documents.close()
    }
}

impl Fenced for Hostile {
    fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.documents.holder(scope)
    }

    fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.documents.claim(scope, claim)
    }

    fn write_fenced(&mut self, at: &Address, value: Vec<u8>, _: u64, scope: &str, epoch: u64) -> Result<(), Failure> {
        self.count_call();
        misbehave(at)?;
        self.documents.change_fenced(at, Some(&value), scope, epoch).map(drop)
    }

    fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        self.count_call();
        misbehave(at)?;
        self.documents.change_fenced(at, None, scope, epoch)
    }
}

export_fenced_backend!(Hostile);
