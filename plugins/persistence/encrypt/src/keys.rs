//! The keys of the secret `keys`: `id:base64` a line, 32 bytes each.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};

/// Bytes of a key's id. It is in every document.
pub(crate) const ID_BYTES_MAX: usize = 32;

const KEY_BYTES: usize = 32;

/// A key and what it is called.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) cipher: XChaCha20Poly1305,
}

/// At least one key. The first one seals, all of them open.
pub(crate) struct Keys(Vec<Key>);

impl Keys {
    /// # Errors
    /// What is wrong, without a word of the secret but ids.
    pub(crate) fn parse(secret: &str) -> Result<Self, String> {
        let mut keys = Vec::<Key>::new();
        for (number, line) in (1..).zip(secret.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let key = key(line.trim()).ok_or_else(|| {
                format!(
                    "line {number} of the secret keys is not id:base64 with {KEY_BYTES} bytes and an id of at most \
                     {ID_BYTES_MAX} letters, digits, dots, dashes and underscores"
                )
            })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(format!("the secret keys has two keys called {}", key.id));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err("the secret keys has no key".to_owned()) } else { Ok(Self(keys)) }
    }

    pub(crate) fn sealing(&self) -> &Key {
        &self.0[0]
    }

    pub(crate) fn called(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

fn key(line: &str) -> Option<Key> {
    let (id, encoded) = line.split_once(':')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(is_plain) {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let cipher = XChaCha20Poly1305::new_from_slice(&bytes).ok()?;
    Some(Key { id: id.to_owned(), cipher })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn error(secret: &str) -> String {
        Keys::parse(secret).err().unwrap()
    }

    #[test]
    fn the_first_key_seals_and_all_are_found() {
        let keys = Keys::parse(&format!("\n2026-b: {A}\r\n\n  2026-a:{A}  \n")).unwrap();
        assert_eq!(keys.sealing().id, "2026-b");
        assert!(keys.called("2026-a").is_some() && keys.called("2026-b").is_some() && keys.called("").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let bad = "line 1 of the secret keys is not id:base64 with 32 bytes and an id of at most 32 letters, digits, \
                   dots, dashes and underscores";
        let long_id = format!("{}:{A}", "x".repeat(33));
        let short_key = "a:c2VjcmV0";
        let without_padding = format!("a:{}", A.trim_end_matches('='));
        for line in [A, "a:", ":", "a", &format!(":{A}"), &format!("a b:{A}"), &long_id, short_key, &without_padding] {
            assert_eq!(error(line), bad, "{line}");
        }
        assert_eq!(error("\n \n"), "the secret keys has no key");
        assert_eq!(error(""), "the secret keys has no key");
        assert_eq!(error(&format!("a:{A}\na:{A}")), "the secret keys has two keys called a");
    }
}
