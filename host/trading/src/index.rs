//! The index: which traders may hold something in a store.
//!
//! A store can list the documents of one trader, but not the traders. So the run notes its traders in the store before
//! any of them can hold something. A later run whose configuration does not name them any more finds them there.
//!
//! The document is `[["BTCUSDT","sma-cross"], …]`: symbol and strategy, ascending. It is at `signal/traders/index` and
//! `schedule/traders/index`, because two stores may have these domains. A name without `_` is never that of a trader.

use std::collections::BTreeSet;

use crate::store::{Address, Domain, Store, StoreError, Stores};

/// Symbol and strategy of a trader.
pub type Entry = (String, String);

/// The domains of which a trader has a document of its own that says what it holds.
const DOMAINS: [Domain; 2] = [Domain::Signal, Domain::Schedule];

/// The address of the index in a store that keeps `domain`; `None` when the domain has none.
#[must_use]
pub fn address(domain: Domain) -> Option<Address> {
    DOMAINS.contains(&domain).then(|| place(domain))
}

/// The traders in the index of one store, whichever domains it keeps. An index that cannot be understood counts as
/// empty.
///
/// # Errors
/// When the store cannot be read.
pub async fn indexed(store: &dyn Store) -> Result<BTreeSet<Entry>, StoreError> {
    let mut entries = BTreeSet::new();
    for domain in DOMAINS {
        let at = place(domain);
        store.wait_for_init(&at.domain, &at.entity_name, false).await?;
        entries.extend(parse(store.read_value(&at).await?.as_deref()));
    }
    Ok(entries)
}

/// An index with the traders of both documents.
#[must_use]
pub fn merged(one: &[u8], other: Option<&[u8]>) -> Vec<u8> {
    let mut entries = parse(Some(one));
    entries.extend(parse(other));
    to_json(&entries)
}

fn place(domain: Domain) -> Address {
    let [entity_name, entity_id] = ["traders", "index"].map(str::to_owned);
    Address { domain: domain.name().to_owned(), entity_name, entity_id }
}

/// Makes the place of the index ready.
pub(crate) async fn prepare(stores: &Stores) -> Result<(), StoreError> {
    for domain in DOMAINS {
        let at = place(domain);
        stores.of(domain).wait_for_init(&at.domain, &at.entity_name, true).await?;
    }
    Ok(())
}

fn parse(document: Option<&[u8]>) -> BTreeSet<Entry> {
    document.and_then(|document| serde_json::from_slice(document).ok()).unwrap_or_default()
}

fn to_json(entries: &BTreeSet<Entry>) -> Vec<u8> {
    serde_json::to_vec(entries).expect("text")
}

/// The traders in the index of any of the stores. An index that cannot be understood counts as empty: what the record of
/// events has is found without it.
pub(crate) async fn read(stores: &Stores) -> Result<BTreeSet<Entry>, StoreError> {
    let mut entries = BTreeSet::new();
    for domain in DOMAINS {
        entries.extend(read_one(stores, domain).await?);
    }
    Ok(entries)
}

/// Replaces the index of each store that does not have exactly these traders.
pub(crate) async fn write(stores: &Stores, entries: &BTreeSet<Entry>, now_ms: i64) -> Result<(), StoreError> {
    for domain in DOMAINS {
        if read_one(stores, domain).await? != *entries {
            stores.of(domain).write_value(&place(domain), &to_json(entries), now_ms).await?;
        }
    }
    Ok(())
}

async fn read_one(stores: &Stores, domain: Domain) -> Result<BTreeSet<Entry>, StoreError> {
    Ok(parse(stores.of(domain).read_value(&place(domain)).await?.as_deref()))
}
