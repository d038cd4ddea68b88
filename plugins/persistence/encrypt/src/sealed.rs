//! What is kept instead of a document:
//!
//! ```json
//! {"sealed":1,"key":"2026-a","nonce":"<24 bytes>","data":"<the document, encrypted, and 16 bytes that prove it>"}
//! ```
//!
//! The bytes are in base64 (RFC 4648, with padding) and the whole is JSON, as some stores take nothing else. `sealed` is
//! the version: 1 is XChaCha20-Poly1305 with a random nonce. What it is bound to, the associated data, is the text
//! `sigbox sealed 1`, the key's id, and domain, entity name and entity id of the document, each after its length in
//! bytes (64 bits, little-endian). So a document opens only where it was written.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{
    XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::{ID_BYTES_MAX, Key, Keys};

const VERSION: u32 = 1;

/// What every associated data begins with, so that no other use of the key can be taken for this one.
const PURPOSE: &str = "sigbox sealed 1";

const NONCE_BYTES: usize = 24;

/// Bytes by which encrypting makes a document longer.
const TAG_BYTES: u64 = 16;

/// Domain, entity name and entity id.
pub(crate) type At<'a> = [&'a str; 3];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    sealed: u32,
    key: String,
    nonce: String,
    data: String,
}

/// Why there is no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// It is a document, but not a sealed one.
    Plain,
    /// It was sealed by a later version of this plugin.
    Version(String),
    /// The key of that id is not there.
    NoKey(String),
    /// It is not what was written here.
    Damaged,
}

/// # Errors
/// When there are no random numbers to be had.
pub(crate) fn seal(keys: &Keys, at: At<'_>, document: &[u8]) -> Result<Vec<u8>, &'static str> {
    let Key { id, cipher } = keys.sealing();
    let nonce = XNonce::try_generate().map_err(|_| "there are no random numbers to be had")?;
    let bound_to = bound_to(id, at);
    let payload = Payload { msg: document, aad: &bound_to };
    let data = cipher.encrypt(&nonce, payload).map_err(|_| "the document is too long to be encrypted")?;
    let envelope = Envelope {
        sealed: VERSION,
        key: id.clone(),
        nonce: BASE64_STANDARD.encode(nonce),
        data: BASE64_STANDARD.encode(data),
    };
    Ok(serde_json::to_vec(&envelope).expect("texts and a number are JSON"))
}

/// The document that was sealed for `at`.
pub(crate) fn open(keys: &Keys, at: At<'_>, kept: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let kept = serde_json::from_slice(kept).map_err(|_| NotOpened::Damaged)?;
    match &kept {
        Value::Object(members) => match members.get("sealed") {
            Some(version) if *version == VERSION => {}
            Some(version) => return Err(NotOpened::Version(version.to_string())),
            None => return Err(NotOpened::Plain),
        },
        _ => return Err(NotOpened::Plain),
    }
    let Envelope { key: id, nonce, data, .. } = serde_json::from_value(kept).map_err(|_| NotOpened::Damaged)?;
    let Some(Key { cipher, .. }) = keys.called(&id) else { return Err(NotOpened::NoKey(id)) };
    let bytes = |encoded| BASE64_STANDARD.decode(encoded).map_err(|_| NotOpened::Damaged);
    let nonce: [u8; NONCE_BYTES] = bytes(nonce)?.try_into().map_err(|_| NotOpened::Damaged)?;
    let payload = Payload { msg: &bytes(data)?, aad: &bound_to(&id, at) };
    cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| NotOpened::Damaged)
}

/// Bytes of the longest document that takes at most `kept` bytes when it is sealed.
pub(crate) fn room_in(kept: u64) -> u64 {
    let nonce = "n".repeat(NONCE_BYTES / 3 * 4);
    let empty = Envelope { sealed: VERSION, key: "k".repeat(ID_BYTES_MAX), nonce, data: String::new() };
    let overhead = serde_json::to_vec(&empty).expect("texts and a number are JSON").len() as u64;
    (kept.saturating_sub(overhead) / 4 * 3).saturating_sub(TAG_BYTES)
}

fn bound_to(key_id: &str, at: At<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [PURPOSE, key_id].into_iter().chain(at) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;
