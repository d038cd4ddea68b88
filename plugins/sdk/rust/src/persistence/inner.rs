//! The store a wrapper keeps its documents in: the same calls as [`Backend`](super::Backend), answered by the store the
//! operator named. The host has started it, and closes it.

use super::{Address, Descriptor, Failure, Page, bindings::sigbox::persistence::store};

/// What the other store says of itself. Connects to nothing.
#[must_use]
pub fn describe() -> Descriptor {
    let store::Descriptor { name, version, summary, features, max_value_bytes, extra } = store::describe();
    Descriptor { name, version, summary, features, max_value_bytes, extra }
}

/// Makes an entity ready. To be passed on before the first other call that names it.
///
/// # Errors
/// When the other store says so.
pub fn wait_for_init(domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
    store::wait_for_init(domain, entity_name, initial).map_err(failure)
}

/// The document, or `None` when the other store is sure that there is none.
///
/// # Errors
/// When the other store says so.
pub fn read_value(at: &Address) -> Result<Option<Vec<u8>>, Failure> {
    store::read_value(&address(at)).map_err(failure)
}

/// Whether a document is there.
///
/// # Errors
/// When the other store says so.
pub fn has_value(at: &Address) -> Result<bool, Failure> {
    store::has_value(&address(at)).map_err(failure)
}

/// Replaces the document, all or nothing, durable on return.
///
/// # Errors
/// When the other store says so.
pub fn write_value(at: &Address, value: &[u8], when_ms: u64) -> Result<(), Failure> {
    store::write_value(&address(at), value, when_ms).map_err(failure)
}

/// Removes the document; `false` when there was none.
///
/// # Errors
/// When the other store says so.
pub fn remove_value(at: &Address) -> Result<bool, Failure> {
    store::remove_value(&address(at)).map_err(failure)
}

/// Ids under an entity name, ascending by bytes, those after `cursor`, at most `limit`.
///
/// # Errors
/// When the other store says so.
pub fn keys(domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure> {
    let store::Page { entity_ids, next } = store::keys(domain, entity_name, cursor, limit).map_err(failure)?;
    Ok(Page { entity_ids, next })
}

fn address(at: &Address) -> store::Address {
    let Address { domain, entity_name, entity_id } = at.clone();
    store::Address { domain, entity_name, entity_id }
}

fn failure(failure: store::Failure) -> Failure {
    let store::Failure { code, message, retryable, retry_after_ms, extra } = failure;
    Failure { code, message, retryable, retry_after_ms, extra }
}
