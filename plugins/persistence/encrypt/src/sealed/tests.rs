use super::*;

const HERE: At<'_> = ["signal", "BTCUSDT_a", "BTCUSDT"];
const DOCUMENT: &[u8] = br#"{"id":"x","priceOpen":42000.5}"#;

/// Keys of these ids; the number of an id is what its key is made of.
fn keys(ids: &[(&str, u8)]) -> Keys {
    let line = |(id, of): &(&str, u8)| format!("{id}:{}\n", BASE64_STANDARD.encode([*of; 32]));
    Keys::parse(&ids.iter().map(line).collect::<String>()).unwrap()
}

fn one() -> Keys {
    keys(&[("one", 1)])
}

#[test]
fn a_document_comes_back_and_is_sealed_in_other_bytes_each_time() {
    for document in [DOCUMENT, b"null", b"", &[0, 255, 10], &vec![7; 100_000]] {
        let (first, second) = (seal(&one(), HERE, document).unwrap(), seal(&one(), HERE, document).unwrap());
        assert_ne!(first, second);
        for kept in [first, second] {
            assert_eq!(open(&one(), HERE, &kept).unwrap(), document);
            let kept: Value = serde_json::from_slice(&kept).unwrap();
            assert_eq!(kept["sealed"], 1);
            assert_eq!(kept["key"], "one");
        }
    }
}

/// Sealed by libsodium (`crypto_aead_xchacha20poly1305_ietf_encrypt`, `PyNaCl` 1.6.2): the format is what the
/// documentation says, and not only what this code makes of it.
#[test]
fn what_another_implementation_sealed_opens() {
    let kept = include_bytes!("libsodium.json");
    assert_eq!(open(&one(), HERE, kept).unwrap(), DOCUMENT);
}

#[test]
fn it_opens_only_where_it_was_written() {
    let kept = seal(&one(), HERE, DOCUMENT).unwrap();
    for elsewhere in [
        ["schedule", "BTCUSDT_a", "BTCUSDT"],
        ["signal", "BTCUSDT_b", "BTCUSDT"],
        ["signal", "BTCUSDT_a", "ETHUSDT"],
        ["signal", "BTCUSDT_", "aBTCUSDT"],
        ["signalB", "TCUSDT_a", "BTCUSDT"],
        ["", "signalBTCUSDT_a", "BTCUSDT"],
    ] {
        assert_eq!(open(&one(), elsewhere, &kept), Err(NotOpened::Damaged), "{elsewhere:?}");
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let kept = seal(&one(), HERE, DOCUMENT).unwrap();
    for place in 0..kept.len() {
        for flip in 0..8 {
            let mut changed = kept.clone();
            changed[place] ^= 1 << flip;
            assert!(open(&one(), HERE, &changed).is_err(), "byte {place}, bit {flip}");
        }
        assert!(open(&one(), HERE, &kept[..place]).is_err(), "cut after {place}");
    }
}

#[test]
fn the_first_key_seals_and_every_key_opens() {
    let old = seal(&one(), HERE, DOCUMENT).unwrap();
    let rotated = keys(&[("two", 2), ("one", 1)]);
    assert_eq!(open(&rotated, HERE, &old).unwrap(), DOCUMENT);
    let new = seal(&rotated, HERE, DOCUMENT).unwrap();
    assert_eq!(open(&keys(&[("two", 2)]), HERE, &new).unwrap(), DOCUMENT);
    assert_eq!(open(&one(), HERE, &new), Err(NotOpened::NoKey("two".to_owned())));
}

#[test]
fn another_key_of_the_same_name_does_not_open_it_nor_the_same_key_of_another_name() {
    let kept = seal(&one(), HERE, DOCUMENT).unwrap();
    assert_eq!(open(&keys(&[("one", 2)]), HERE, &kept), Err(NotOpened::Damaged));
    let renamed = String::from_utf8(kept).unwrap().replace("\"one\"", "\"two\"");
    assert_eq!(open(&keys(&[("two", 1)]), HERE, renamed.as_bytes()), Err(NotOpened::Damaged));
}

#[test]
fn what_is_not_sealed_is_told_from_what_is_damaged() {
    for plain in ["null", "[]", "[[1,2]]", "1", "{}", r#"{"id":"x"}"#, r#"[{"sealed":1}]"#] {
        assert_eq!(open(&one(), HERE, plain.as_bytes()), Err(NotOpened::Plain), "{plain}");
    }
    for damaged in ["", "{", r#"{"sealed":1}"#, r#"{"sealed":1,"key":"one","nonce":"","data":""}"#, "\u{0}"] {
        assert_eq!(open(&one(), HERE, damaged.as_bytes()), Err(NotOpened::Damaged), "{damaged}");
    }
    for (later, version) in [(r#"{"sealed":2,"x":1}"#, "2"), (r#"{"sealed":"1"}"#, "\"1\"")] {
        assert_eq!(open(&one(), HERE, later.as_bytes()), Err(NotOpened::Version(version.to_owned())), "{later}");
    }
}

#[test]
fn what_has_room_fits_and_nothing_longer_is_sure_to() {
    let keys = keys(&[(&"k".repeat(ID_BYTES_MAX), 1)]);
    for kept in [1_000, 1_001, 1_002, 1_003, 1_004, 1 << 20] {
        let room = usize::try_from(room_in(kept)).unwrap();
        let length = |document: usize| seal(&keys, HERE, &vec![0; document]).unwrap().len() as u64;
        assert!(length(room) <= kept, "{kept}");
        assert!(length(room + 1) > kept, "{kept}");
    }
    assert_eq!(room_in(0), 0);
    assert_eq!(room_in(100), 0);
}
