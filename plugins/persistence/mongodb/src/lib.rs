//! Documents in MongoDB: one collection, one row per document. README.md says what it promises.

mod authentication;
mod connection;
mod failure;
#[cfg(test)]
mod fake;
mod fence;
#[cfg(test)]
mod fence_tests;
mod layout;
mod primary;
mod rows;
mod scram;
mod settings;
mod store;

use sigbox_sdk::{
    export_fenced_backend,
    persistence::{Address, Backend, Descriptor, Failure, Fenced, Holder, Page, config, logging, secrets},
};

use self::{fence::Epoch, settings::Settings, store::Store};

/// A page of a listing and a document both pass the host's limit for one call, 8 MiB.
const MAX_VALUE_BYTES: u64 = 4 << 20;

struct MongoDb(Store);

impl Backend for MongoDb {
    fn describe() -> Descriptor {
        let summary = Settings::read(config::all(), &|_| None);
        Descriptor {
            name: "mongodb".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: summary.map_or_else(|_| "MongoDB".to_owned(), |settings| settings.summary()),
            features: Vec::new(),
            max_value_bytes: MAX_VALUE_BYTES,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        let settings = Settings::read(config::all(), &secrets::get)?;
        Ok(Self(Store::start(settings, |warning| logging::log(logging::Level::Warn, "mongodb", warning))?))
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.0.read(at)
    }

    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.0.has(at)
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, when_ms: u64) -> Result<(), Failure> {
        self.0.write(at, &value, when_ms)
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.0.remove(at)
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        self.0.keys(domain, entity_name, cursor, limit)
    }
}

impl Fenced for MongoDb {
    fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.0.holder(scope)
    }

    fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.0.claim(scope, claim)
    }

    fn write_fenced(
        &mut self,
        at: &Address,
        value: Vec<u8>,
        when_ms: u64,
        scope: &str,
        epoch: u64,
    ) -> Result<(), Failure> {
        self.0.write_fenced(at, &value, when_ms, Epoch { scope, number: epoch })
    }

    fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        self.0.remove_fenced(at, Epoch { scope, number: epoch })
    }
}

export_fenced_backend!(MongoDb);
