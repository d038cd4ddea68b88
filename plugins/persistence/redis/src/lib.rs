//! Documents in Redis: one hash per domain and entity name, one field per entity id. README.md says what it promises.

mod connection;
mod failure;
mod fence;
mod layout;
mod safety;
mod settings;
mod store;

use sigbox_sdk::{
    export_fenced_backend,
    persistence::{Address, Backend, Descriptor, Failure, Fenced, Holder, Page, config, logging, secrets},
};

use self::{settings::Settings, store::Store};

/// A page of a listing and a document both pass the host's limit for one call, 8 MiB.
const MAX_VALUE_BYTES: u64 = 4 << 20;

struct Redis(Store);

impl Backend for Redis {
    fn describe() -> Descriptor {
        let summary = Settings::read(config::all(), &|_| None);
        Descriptor {
            name: "redis".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: summary.map_or_else(|_| "Redis".to_owned(), |settings| settings.summary()),
            features: Vec::new(),
            max_value_bytes: MAX_VALUE_BYTES,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        let settings = Settings::read(config::all(), &secrets::get)?;
        Ok(Self(Store::start(settings, |warning| logging::log(logging::Level::Warn, "redis", warning))?))
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.0.read(at)
    }

    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.0.has(at)
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.0.write(at, &value)
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.0.remove(at)
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        self.0.keys(domain, entity_name, cursor, limit as usize)
    }
}

impl Fenced for Redis {
    fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.0.holder(scope)
    }

    fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.0.claim(scope, claim)
    }

    fn write_fenced(&mut self, at: &Address, value: Vec<u8>, _: u64, scope: &str, epoch: u64) -> Result<(), Failure> {
        self.0.write_fenced(at, &value, scope, epoch)
    }

    fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        self.0.remove_fenced(at, scope, epoch)
    }
}

export_fenced_backend!(Redis);
