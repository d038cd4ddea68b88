//! Seals documents before another store gets them, and opens them when they come back.

mod keys;
mod sealed;

use sigbox_sdk::{
    export_backend,
    persistence::{Address, Backend, Descriptor, Failure, Page, config, inner, refuse_unknown_settings, secrets},
};

use self::{
    keys::Keys,
    sealed::{At, NotOpened},
};

/// Bytes of one document, where the other store would take longer ones.
const MAX_VALUE_BYTES: u64 = 4 << 20;

struct Encrypt {
    keys: Keys,
    /// Whether documents that were written without this wrapper are handed on.
    accept_plain: bool,
}

impl Backend for Encrypt {
    fn describe() -> Descriptor {
        let Descriptor { summary, max_value_bytes, .. } = inner::describe();
        Descriptor {
            name: "encrypt".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: format!("sealed in {summary}"),
            features: Vec::new(),
            max_value_bytes: sealed::room_in(max_value_bytes).min(MAX_VALUE_BYTES),
            extra: None,
        }
    }

    fn start() -> Result<Self, Failure> {
        refuse_unknown_settings(&["accept-plain"])?;
        let accept_plain = match config::get("accept-plain").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                return Err(Failure::give_up("other", format!("accept-plain is {other:?}; it is true or false")));
            }
        };
        let secret = secrets::get("keys").ok_or_else(|| {
            Failure::give_up(
                "denied",
                "there is no secret keys; its lines are id:base64 of 32 bytes, first the one to seal with",
            )
        })?;
        let keys = Keys::parse(&secret).map_err(|error| Failure::give_up("denied", error))?;
        Ok(Self { keys, accept_plain })
    }

    fn wait_for_init(&mut self, domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
        inner::wait_for_init(domain, entity_name, initial)
    }

    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure> {
        let Some(kept) = inner::read_value(at)? else { return Ok(None) };
        match sealed::open(&self.keys, parts(at), &kept) {
            Ok(document) => Ok(Some(document)),
            Err(NotOpened::Plain) if self.accept_plain => Ok(Some(kept)),
            Err(why) => Err(failure(at, &why)),
        }
    }

    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        inner::has_value(at)
    }

    fn write_value(&mut self, at: &Address, value: Vec<u8>, when_ms: u64) -> Result<(), Failure> {
        let kept = sealed::seal(&self.keys, parts(at), &value).map_err(|why| Failure::retry("other", why))?;
        inner::write_value(at, &kept, when_ms)
    }

    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure> {
        inner::remove_value(at)
    }

    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
        inner::keys(domain, entity_name, cursor, limit)
    }
}

fn parts(at: &Address) -> At<'_> {
    [&at.domain, &at.entity_name, &at.entity_id]
}

fn failure(at: &Address, why: &NotOpened) -> Failure {
    let why = match why {
        NotOpened::Plain => {
            "is not sealed; to take over documents from before there was encryption, set accept-plain = true".to_owned()
        }
        NotOpened::Version(version) => {
            format!("is sealed in version {version}; this plugin knows version 1: use a newer one")
        }
        NotOpened::NoKey(id) => {
            format!(
                "is sealed with the key {id:?}, which is not in the secret keys: add it there, after the first line"
            )
        }
        NotOpened::Damaged => "does not open: it was changed, or belongs to another address, or the key of that name \
                               is another one; put back a copy of it, or the right key"
            .to_owned(),
    };
    Failure::give_up("corrupt", format!("the document {} {}/{} {why}", at.domain, at.entity_name, at.entity_id))
}

export_backend!(Encrypt);
