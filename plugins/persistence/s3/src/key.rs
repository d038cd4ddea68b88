//! From an address to the key of an object, and back.
//!
//! A key is `{prefix}{domain}/{entity name}/{entity id}`, each part encoded so that any text is harmless: nothing that
//! servers, proxies, consoles or the file systems behind them read as something else is in a key, and no two addresses
//! share one. The encoding keeps the order of bytes, so that a listing, which is in the order of keys, is in the order
//! of ids.

use std::fmt::Write as _;

use sigbox_sdk::persistence::{Address, Failure};

/// The longest key S3 takes, in bytes of UTF-8.
pub const BYTES_MAX: usize = 1024;

/// How the empty text is written. No other text is written so, because two digits follow every mark, and it is before
/// all of them.
const EMPTY: &str = "-";

/// Makes keys that start with a prefix and have no more than so many bytes.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Empty, or ends with a slash.
    pub prefix: String,
    /// At most [`BYTES_MAX`].
    pub bytes_max: usize,
}

impl Keys {
    /// What the keys of an entity's documents start with.
    ///
    /// # Errors
    /// When no id fits behind it.
    pub fn entity(&self, domain: &str, entity_name: &str) -> Result<String, Failure> {
        self.within(format!("{}{}/{}/", self.prefix, encode(domain), encode(entity_name)))
    }

    /// The key of a document.
    ///
    /// # Errors
    /// When it is longer than the server takes. It is never cut, because cut keys collide.
    pub fn document(&self, at: &Address) -> Result<String, Failure> {
        self.within(key(&self.entity(&at.domain, &at.entity_name)?, &at.entity_id))
    }

    fn within(&self, key: String) -> Result<String, Failure> {
        let (length, most) = (key.len(), self.bytes_max);
        if length <= most {
            return Ok(key);
        }
        let message = format!(
            "the key of this object would have {length} bytes, and the server takes at most {most}; a byte that is \
             not a letter or a digit takes three; choose shorter names or a shorter prefix"
        );
        Err(Failure::give_up("too-large", message))
    }
}

/// The key of the document `entity_id` of the entity whose keys start with `entity`.
#[must_use]
pub fn key(entity: &str, entity_id: &str) -> String {
    format!("{entity}{}", encode(entity_id))
}

/// The entity id behind the last part of a key; `None` when no document of ours has that key.
#[must_use]
pub fn entity_id(part: &str) -> Option<String> {
    let decoded = decode(part)?;
    // What is not written the way we write it cannot be read back by its id.
    (encode(&decoded) == part).then_some(decoded)
}

/// Letters and digits stay as they are. Any other byte becomes a mark that sorts as the byte does among them, and two
/// hexadecimal digits.
fn encode(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match mark(byte) {
            None => encoded.push(char::from(byte)),
            Some(mark) => write!(encoded, "{mark}{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    encoded
}

fn mark(byte: u8) -> Option<char> {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => None,
        0..b'0' => Some('-'),
        b':'..b'A' => Some('='),
        b'['..b'a' => Some('_'),
        b'{'.. => Some('~'),
    }
}

fn decode(part: &str) -> Option<String> {
    if part == EMPTY {
        return Some(String::new());
    }
    let mut decoded = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte.is_ascii_alphanumeric() {
            decoded.push(byte);
        } else {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            decoded.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(bytes_max: usize) -> Keys {
        Keys { prefix: "sigbox/".to_owned(), bytes_max }
    }

    fn at(entity_id: &str) -> Address {
        let [domain, entity_name] = ["signal", "BTCUSDT_my-trend"].map(str::to_owned);
        Address { domain, entity_name, entity_id: entity_id.to_owned() }
    }

    #[test]
    fn a_key_shows_its_address() {
        let entity = keys(BYTES_MAX).entity("signal", "BTCUSDT_my-trend").unwrap();
        assert_eq!(entity, "sigbox/signal/BTCUSDT_5Fmy-2Dtrend/");
        assert_eq!(keys(BYTES_MAX).document(&at("BTCUSDT")).unwrap(), format!("{entity}BTCUSDT"));
        assert_eq!(key(&entity, "BTCUSDT"), format!("{entity}BTCUSDT"));
    }

    #[test]
    fn hostile_text_is_harmless() {
        let cases = [
            ("", "-"),
            ("-", "-2D"),
            (".", "-2E"),
            ("../x", "-2E-2E-2Fx"),
            ("a/b", "a-2Fb"),
            ("a b", "a-20b"),
            ("a\0b", "a-00b"),
            ("a:b", "a=3Ab"),
            ("a\\b", "a_5Cb"),
            ("{}", "~7B~7D"),
            ("é", "~C3~A9"),
        ];
        for (text, encoded) in cases {
            assert_eq!(encode(text), encoded);
            assert_eq!(entity_id(encoded).as_deref(), Some(text));
        }
    }

    #[test]
    fn keys_that_are_not_ours_are_no_ids() {
        for part in ["", "a.json", "-2", "-2d", "=2D", "-41", "~C3", "a/b", "-é"] {
            assert_eq!(entity_id(part), None, "{part}");
        }
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_with_its_length() {
        for bytes_max in [160, BYTES_MAX] {
            let keys = keys(bytes_max);
            let entity = keys.entity("signal", "BTCUSDT_my-trend").unwrap();
            let longest = "x".repeat(bytes_max - entity.len());
            assert_eq!(keys.document(&at(&longest)).unwrap().len(), bytes_max);
            let failure = keys.document(&at(&(longest + "."))).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.retryable), ("too-large", false));
            let expected = format!(
                "the key of this object would have {} bytes, and the server takes at most {bytes_max};",
                bytes_max + 3
            );
            assert!(failure.message.starts_with(&expected), "{}", failure.message);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_from_harmless_characters(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-=_~".contains(&byte)));
            prop_assert!(!encoded.is_empty());
            prop_assert_eq!(entity_id(&encoded), Some(text));
        }

        #[test]
        fn keys_are_in_the_order_of_their_ids(start in any::<String>(), a in any::<String>(), b in any::<String>()) {
            let (a, b) = (format!("{start}{a}"), format!("{start}{b}"));
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
        }
    }
}
