//! Domains, entity names and ids, also strange ones.

use sigbox_trading::store::Address;

use crate::{
    case::{Case, Done, Group, Need, check},
    scene::{Scene, at, shown_address, text},
};

const GROUP: Group = Group::Names;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "domains apart",
        proves: "The same entity name and id in two domains are two documents, in all they do and in listings.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(domains_apart(scene)),
    },
    Case {
        name: "look-alike addresses",
        proves: "Addresses that look alike when their parts are joined, cut, escaped or put in other case are different.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(look_alikes(scene)),
    },
    Case {
        name: "hostile names",
        proves: "Names that are paths, patterns, commands or control characters elsewhere are only names here.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(hostile(scene)),
    },
    Case {
        name: "long names",
        proves: "Names of up to 100,000 bytes are kept whole or refused; none is cut, and none collides with another.",
        group: GROUP,
        needs: Need::Start,
        run: |scene| Box::pin(long(scene)),
    },
];

async fn domains_apart(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let unheard_of = scene.unique("domain");
    let domains = ["signal", "schedule", "risk", "partial", "memory", &unheard_of];
    let addresses = domains.map(|domain| scene.at(domain, "BTCUSDT", "BTCUSDT"));
    for address in &addresses {
        store.expect(address, None, "before it was written, and after others were in other domains").await?;
        store.write(address, format!("\"{}\"", address.domain)).await?;
    }
    for address in &addresses {
        let value = format!("\"{}\"", address.domain);
        store.expect(address, Some(value.as_bytes()), "after others were written in other domains").await?;
    }
    let removed = store.remove(&addresses[0]).await?;
    check(removed, || "remove-value said that there was nothing".to_owned())?;
    store.expect_keys(&addresses[0], &[], "after the removal").await?;
    for address in &addresses[1..] {
        let value = format!("\"{}\"", address.domain);
        store.expect(address, Some(value.as_bytes()), "after a removal in another domain").await?;
        store.expect_keys(address, &["BTCUSDT"], "after a removal in another domain").await?;
    }
    Ok(())
}

async fn look_alikes(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    // The unique text comes first. Between the parts that look alike, it would make them different when they are
    // joined.
    let domain = scene.unique("d");
    let unique = scene.unique("e");
    let prefixed = |entity_name: &str| format!("{unique}{entity_name}");
    let addresses = [
        at(&domain, &prefixed("_b_c"), "d"),
        at(&domain, &prefixed("%5Fb_c"), "d"),
        at(&domain, &prefixed("_b%5Fc"), "d"),
        at(&domain, &prefixed("_b%255Fc"), "d"),
        at(&domain, &unique, "b_c"),
        at(&domain, &prefixed("_b"), "c"),
        at(&format!("{domain}_{unique}"), "b", "c"),
        at(&domain, &prefixed("/z"), "w"),
        at(&domain, &prefixed("%2Fz"), "w"),
        at(&domain, &prefixed("%2fz"), "w"),
        at(&domain, &prefixed(":z"), "w"),
        at(&domain, &prefixed("\0z"), "w"),
        at(&format!("{domain}/{unique}"), "z", "w"),
        at(&format!("{domain}:{unique}"), "z", "w"),
        at(&domain, &unique, "z/w"),
        at(&domain, &unique, "z:w"),
        at(&domain, &unique, "z%2Fw"),
        at(&domain, &unique, ""),
        at(&domain, "", &unique),
        at(&domain, &unique, "%"),
        at(&domain, &unique, ".json"),
        at(&domain, &unique, "a"),
        at(&domain, &unique, "A"),
        at(&domain, &unique, "a "),
        at(&domain, &unique, " a"),
        at(&domain, &unique, "a\0"),
        at(&domain, &unique, "a\n"),
        at(&domain, &unique, "a."),
        at(&domain, &unique, "é"),
        at(&domain, &unique, "e\u{301}"),
        at(&domain, &unique.to_uppercase(), "a"),
        at(&domain.to_uppercase(), &unique, "a"),
    ];
    for (number, address) in addresses.iter().enumerate() {
        store.expect(address, None, "before it was written, and after others were that look like it").await?;
        store.write(address, number.to_string()).await?;
    }
    for (number, address) in addresses.iter().enumerate() {
        let value = number.to_string();
        store.expect(address, Some(value.as_bytes()), "after others were written that look like it").await?;
    }
    let beside = |one: &Address| {
        let same = |other: &&Address| other.domain == one.domain && other.entity_name == one.entity_name;
        let mut ids: Vec<&str> = addresses.iter().filter(same).map(|other| other.entity_id.as_str()).collect();
        ids.sort_unstable();
        ids
    };
    for address in &addresses {
        store.expect_keys(address, &beside(address), "after others were written that look like it").await?;
    }
    Ok(())
}

/// Names that mean something to shells, file systems, databases or terminals.
const HOSTILE: [&str; 40] = [
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "/",
    "a/b",
    "a//b",
    "a\\b",
    "\0",
    "a\0b",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[2J",
    "con",
    "nul.txt",
    "~",
    "-rf",
    " ",
    "a ",
    "a.",
    "%2e%2e",
    "%",
    "%%",
    "%s",
    "${HOME}",
    "*",
    "?",
    "[a]",
    "{a}",
    "C:",
    "\u{202e}",
    "e\u{301}",
    "策略",
    "🙂",
    ".lock",
    ".tmp-0123456789ab-x",
    "'; drop table",
    "\"",
    "\u{ffff}\u{10ffff}",
];

async fn hostile(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let (domain, entity_name) = (scene.unique("d"), scene.unique("e"));
    for part in 0..3 {
        for name in HOSTILE {
            let mut parts = [domain.as_str(), &entity_name, "i"];
            parts[part] = name;
            let address = at(parts[0], parts[1], parts[2]);
            store.init(parts[0], parts[1], true).await?;
            store.expect(&address, None, "before it was written").await?;
            store.write(&address, format!("{name:?}")).await?;
        }
    }
    for part in 0..3 {
        for name in HOSTILE {
            let mut parts = [domain.as_str(), &entity_name, "i"];
            parts[part] = name;
            let address = at(parts[0], parts[1], parts[2]);
            let value = format!("{name:?}");
            store.expect(&address, Some(value.as_bytes()), "after all were written").await?;
            if part < 2 {
                store.expect_keys(&address, &["i"], "after all were written").await?;
            }
        }
    }
    let mut ids = HOSTILE;
    ids.sort_unstable();
    store.expect_keys(&at(&domain, &entity_name, ""), &ids, "after all were written").await?;
    let address = at(&domain, &entity_name, "../x");
    let removed = store.remove(&address).await?;
    check(removed, || format!("{}: remove-value said that there was nothing", shown_address(&address)))?;
    store.expect(&address, None, "after its removal").await
}

/// Lengths around the limits of the places where backends put names: file names, keys of objects, indexes of databases.
const LENGTHS: [usize; 8] = [100, 250, 300, 1_000, 1_100, 3_000, 10_000, 100_000];

async fn long(scene: &Scene<'_>) -> Done {
    let store = scene.open().await?;
    let (domain, entity_name) = (scene.unique("d"), scene.unique("e"));
    let (mut kept, mut refused) = ([0_usize; 3], Vec::new());
    for (part, what) in ["domain", "entity name", "id"].into_iter().enumerate() {
        for length in LENGTHS {
            let name = text(&scene.unique(what), length);
            let address = |name: &str| {
                let mut parts = [domain.as_str(), &entity_name, "i"];
                parts[part] = name;
                at(parts[0], parts[1], parts[2])
            };
            let whole = address(&name);
            let value = format!("[{length}]");
            // The refusal may already come from wait-for-init, which is called before the write.
            match store.write(&whole, &value).await {
                Ok(()) => kept[part] = kept[part].max(length),
                Err(failure) if failure.broke || failure.retryable => return Err(failure.into()),
                Err(_) => {
                    refused.push(format!("{what} of {length} bytes"));
                    // For an address that cannot exist, an error or no document is right, but never the document of
                    // another address.
                    if let Ok(found) = store.read(&whole).await {
                        check(found.is_none(), || format!("{} was refused and is there", shown_address(&whole)))?;
                    }
                    continue;
                }
            }
            store.expect(&whole, Some(value.as_bytes()), "after it was written").await?;
            // Names that would be the same as this one if the store cut them.
            for other in [&name[..length - 1], &format!("{}-", &name[..length - 1]), &format!("-{}", &name[1..])] {
                if let Ok(found) = store.read(&address(other)).await {
                    let what = format!("{} is taken by a name of {length} bytes", shown_address(&address(other)));
                    check(found.is_none(), || what)?;
                }
            }
            let ids = store.keys(&whole.domain, &whole.entity_name).await?;
            check(ids.contains(&whole.entity_id), || {
                format!("{}: keys does not have its id of {} bytes whole", shown_address(&whole), whole.entity_id.len())
            })?;
        }
    }
    let [domain, entity_name, id] = kept;
    let mut note = format!("kept: domain {domain}, entity name {entity_name}, id {id} bytes");
    if !refused.is_empty() {
        note.push_str("; longer ones refused");
    }
    check(kept.iter().all(|length| *length >= LENGTHS[0]), || format!("names of {} bytes are refused", LENGTHS[0]))?;
    scene.note(note);
    Ok(())
}
