//! One document: written, read, replaced and removed.

use futures_util::future::join_all;
use sigbox_trading::store::Address;

use crate::{
    case::{Case, Done, Group, Need, Stop, check, fail},
    scene::{Handle, Scene, document, shown, shown_address, shown_value},
};

const GROUP: Group = Group::Documents;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "read before write",
        proves: "Where nothing was ever written there is none, and nothing to remove or to list.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(read_before_write(scene)),
    },
    Case {
        name: "read after write",
        proves: "What was written is what the next read returns, byte for byte.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(read_after_write(scene)),
    },
    Case {
        name: "overwrite",
        proves: "A longer and a shorter document replace the one before as a whole; nothing of it is left.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(overwrite(scene)),
    },
    Case {
        name: "null is a value",
        proves: "The document null is there: it is read, had, listed and removed like any other.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(null_is_a_value(scene)),
    },
    Case {
        name: "remove",
        proves: "A removed document is gone from reads and listings, can be removed once and be written again.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(remove(scene)),
    },
    Case {
        name: "init twice",
        proves: "wait-for-init can be repeated, before and after writes, with either value of initial, and loses nothing.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(init_twice(scene)),
    },
    Case {
        name: "unknown schema",
        proves: "JSON comes back byte for byte, whatever its keys, numbers, escapes and white space.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(unknown_schema(scene)),
    },
    Case {
        name: "bytes that are no JSON",
        proves: "Other bytes, and no bytes at all, are kept whole or refused; after a refusal the old document is there.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(no_json(scene)),
    },
    Case {
        name: "large document",
        proves: "A document of 1 MiB, or of the size the backend says it takes if that is less, comes back whole.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(large(scene)),
    },
    Case {
        name: "too large",
        proves: "A document beyond what the backend says it takes is an error, not a trap, and the old one stays.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(too_large(scene)),
    },
    Case {
        name: "calls at once",
        proves: "Of writes made at the same time one wins as a whole, and those to other ids are all there.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(calls_at_once(scene)),
    },
];

fn bitcoin(scene: &Scene<'_>) -> Address {
    scene.at("signal", "BTCUSDT", "BTCUSDT")
}

async fn read_before_write(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    store.init(&at.domain, &at.entity_name, true).await?;
    store.expect(&at, None, "before the first write").await?;
    let removed = store.remove(&at).await?;
    check(!removed, || "remove-value said that it removed what was never written".to_owned())?;
    store.expect_keys(&at, &[], "before the first write").await
}

async fn read_after_write(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    store.init(&at.domain, &at.entity_name, true).await?;
    let row = r#"{"id":"1","position":"long","priceOpen":42000.5,"note":"\u00fc \"quoted\" \\ ü 策略 🙂"}"#;
    store.write(&at, row).await?;
    for when in ["after the write", "at the second read"] {
        store.expect(&at, Some(row.as_bytes()), when).await?;
    }
    store.expect_keys(&at, &[&at.entity_id], "after the write").await
}

async fn overwrite(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    let neighbour = Address { entity_id: "ETHUSDT".to_owned(), ..at.clone() };
    store.write(&neighbour, "[1]").await?;
    for (number, bytes) in [200, 20_000, 3, 2, 60_000, 2].into_iter().enumerate() {
        let value = document(&number.to_string(), bytes);
        store.write(&at, &value).await?;
        store.expect(&at, Some(&value), &format!("after a write of {bytes} bytes over another")).await?;
    }
    store.expect(&neighbour, Some(b"[1]"), "after its neighbour was overwritten").await
}

async fn null_is_a_value(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    store.write(&at, "null").await?;
    store.expect(&at, Some(b"null"), "after null was written").await?;
    store.expect_keys(&at, &[&at.entity_id], "after null was written").await?;
    store.write(&at, "[]").await?;
    store.write(&at, "null").await?;
    store.expect(&at, Some(b"null"), "after null was written over another document").await?;
    let removed = store.remove(&at).await?;
    check(removed, || "remove-value said that there was nothing to remove where null was".to_owned())
}

async fn remove(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    let neighbour = Address { entity_id: "ETHUSDT".to_owned(), ..at.clone() };
    store.write(&neighbour, "[1]").await?;
    for round in ["the first", "the second"] {
        store.write(&at, "{}").await?;
        let removed = store.remove(&at).await?;
        check(removed, || format!("at {round} removal remove-value said that there was nothing"))?;
        store.expect(&at, None, &format!("after {round} removal")).await?;
        let again = store.remove(&at).await?;
        check(!again, || "remove-value said that it removed what was removed before".to_owned())?;
        store.expect_keys(&at, &["ETHUSDT"], &format!("after {round} removal")).await?;
    }
    store.expect(&neighbour, Some(b"[1]"), "after its neighbour was removed").await
}

async fn init_twice(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    for initial in [true, true, false] {
        store.init(&at.domain, &at.entity_name, initial).await?;
    }
    store.expect(&at, None, "after three times wait-for-init").await?;
    store.write(&at, "{\"a\":1}").await?;
    for initial in [false, true, true, false] {
        store.init(&at.domain, &at.entity_name, initial).await?;
        store.expect(&at, Some(b"{\"a\":1}"), &format!("after wait-for-init with initial {initial}")).await?;
        store.expect_keys(&at, &[&at.entity_id], &format!("after wait-for-init with initial {initial}")).await?;
    }
    Ok(())
}

async fn unknown_schema(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let documents = [
        r#"{"b":1,"a":2,"b":3,"":4," ":5}"#,
        "[0, -0, 0.10, 1E400, 1e-400, -0.0e+0, 10000000000000000000000000001, 1.00000000000000000000000001]",
        " \t\r\n{ \"a\" :\n1 }\r\n\t ",
        r#""\u0000\ud83d\ude42\ud800\/\b\f\n\r\t\u00e9é""#,
        "\"\u{7f}\u{80}\u{2028}\u{feff}\u{fffd}\u{10ffff}e\u{301}\"",
        "true",
        "0",
        "\"\"",
        r#""null""#,
        &deep,
    ];
    for value in documents {
        store.write(&at, value).await?;
        store.expect(&at, Some(value.as_bytes()), &format!("after {} was written", shown(value))).await?;
    }
    Ok(())
}

/// Writes `value` over `old`. The store may refuse it with an error, and then `old` must still be there. Returns
/// whether the store took it.
async fn kept_or_refused(store: &Handle, at: &Address, old: &[u8], value: &[u8]) -> Result<bool, Stop> {
    let refused = match store.write(at, value).await {
        Ok(()) => None,
        Err(failure) if failure.broke => return Err(failure.into()),
        Err(failure) => Some(failure.message),
    };
    let expected = if refused.is_some() { old } else { value };
    let when = refused.as_ref().map_or_else(
        || format!("after {} was written", shown_value(Some(value))),
        |message| format!("after {} was refused ({message})", shown_value(Some(value))),
    );
    store.expect(at, Some(expected), &when).await?;
    Ok(refused.is_none())
}

async fn no_json(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    let all: Vec<u8> = (0..=255).cycle().take(1 << 10).collect();
    let mut refused = Vec::new();
    for (name, value) in
        [("no bytes", [].as_slice()), ("a NUL", b"\0"), ("no UTF-8", &[0xff, 0xfe]), ("all bytes", &all)]
    {
        store.write(&at, "[1]").await?;
        if !kept_or_refused(&store, &at, b"[1]", value).await? {
            refused.push(name);
        }
    }
    if !refused.is_empty() {
        scene.note(format!("refused: {}", refused.join(", ")));
    }
    Ok(())
}

async fn large(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    let bytes = usize::try_from(store.most_bytes()).unwrap_or(usize::MAX).min(1 << 20);
    check(bytes >= SMALLEST_LIMIT, || format!("it takes only {bytes} bytes; rows have some thousand"))?;
    store.write(&at, "[1]").await?;
    let value = document("large", bytes);
    store.write(&at, &value).await?;
    store.expect(&at, Some(&value), &format!("after a write of {bytes} bytes")).await?;
    scene.note(format!("{bytes} bytes"));
    Ok(())
}

/// A smaller limit would not be enough for the rows of a trader.
const SMALLEST_LIMIT: usize = 16 << 10;

/// Bytes of the largest document that is tried.
const LARGEST_TRIED: u64 = 32 << 20;

async fn too_large(scene: &Scene<'_>) -> Done {
    let (store, at) = (scene.open().await?, bitcoin(scene));
    store.write(&at, "[1]").await?;
    let most = store.most_bytes();
    let tried = most.saturating_add(1).min(LARGEST_TRIED);
    let value = document("too large", usize::try_from(tried).unwrap_or(usize::MAX));
    let taken = kept_or_refused(&store, &at, b"[1]", &value).await?;
    if taken {
        check(most >= tried, || format!("it took {tried} bytes, but says that it takes {most}"))?;
        scene.note(format!("it took the {tried} bytes that were tried"));
    } else {
        check(most < tried, || format!("it refused {tried} bytes, but says that it takes {most}"))?;
        scene.note(format!("more than {most} bytes were refused"));
    }
    Ok(())
}

async fn calls_at_once(scene: &Scene<'_>) -> Done {
    const WRITERS: usize = 16;
    let (store, contested) = (scene.open().await?, bitcoin(scene));
    let values: Vec<Vec<u8>> = (0..WRITERS).map(|writer| document(&writer.to_string(), 5_000 + writer)).collect();
    let own = |writer: usize| Address { entity_id: format!("own-{writer:02}"), ..contested.clone() };
    store.write(&contested, "[]").await?;
    let writes = values.iter().enumerate().map(|(writer, value)| {
        let (store, contested, own) = (&store, &contested, own(writer));
        async move {
            store.write(contested, value).await?;
            store.write(&own, value).await
        }
    });
    for written in join_all(writes).await {
        written?;
    }
    for (writer, value) in values.iter().enumerate() {
        store.expect(&own(writer), Some(value), "after writes at the same time").await?;
    }
    match store.read(&contested).await? {
        Some(last) if values.contains(&last) => Ok(()),
        other => fail(format!(
            "{}: after writes at the same time, read-value gave {}, which nobody wrote",
            shown_address(&contested),
            shown_value(other.as_deref())
        )),
    }
}
