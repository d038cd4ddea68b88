//! The component: the contract over [`Documents`].

use sigbox_sdk::{
    export_fenced_backend,
    persistence::{
        Address, Backend, Descriptor, Failure, Fenced, Holder, Page, config,
        logging::{Level, log},
        secrets,
    },
};

use crate::{
    bucket::Bucket,
    documents::{Documents, FencedDocuments},
    key::Keys,
    outgoing::Outgoing,
    settings::Settings,
};

/// The largest document, in bytes. S3 itself takes 5 GiB at once, but a document is copied a few times inside the
/// sandbox, on its way out, and has to be there within seconds.
const VALUE_BYTES_MAX: u64 = 4 << 20;

struct S3 {
    keys: Keys,
    documents: FencedDocuments<Outgoing>,
}

impl Backend for S3 {
    fn describe() -> Descriptor {
        Descriptor {
            name: "s3".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: settings().map_or_else(|_| "not configured".to_owned(), |settings| settings.to_string()),
            features: Vec::new(),
            max_value_bytes: VALUE_BYTES_MAX,
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        let settings = settings().map_err(|message| Failure::give_up("other", message))?;
        let keys = settings.keys.clone();
        let (documents, trouble) = Documents::open(Bucket::new(settings, Outgoing))?;
        if let Some(why) = trouble {
            log(Level::Warn, "s3", &format!("{why}. If a second sigbox writes here, neither notices"));
        }
        let documents = FencedDocuments::new(documents, &keys.prefix)?;
        Ok(Self { keys, documents })
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        self.documents.read(&self.keys.document(at)?)
    }

    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.documents.has(&self.keys.document(at)?)
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, _: u64) -> Result<(), Failure> {
        self.documents.write(&self.keys.document(at)?, &value)
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        self.documents.remove(&self.keys.document(at)?)
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        self.documents.ids(&self.keys.entity(domain, entity_name)?, cursor, limit)
    }
}

fn settings() -> Result<Settings, String> {
    Settings::read(&config::all(), secrets::get)
}

impl Fenced for S3 {
    fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure> {
        self.documents.holder(scope)
    }

    fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure> {
        self.documents.claim(scope, claim)
    }

    fn write_fenced(&mut self, at: &Address, value: Vec<u8>, _: u64, scope: &str, epoch: u64) -> Result<(), Failure> {
        self.documents.write_fenced(&self.keys.document(at)?, &value, scope, epoch)
    }

    fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure> {
        self.documents.remove_fenced(&self.keys.document(at)?, scope, epoch)
    }
}

export_fenced_backend!(S3);
