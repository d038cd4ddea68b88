//! Copying state from one store to another.

use std::sync::Arc;

use sigbox_trading::{
    Record, index,
    store::{Address, Domain, Store, StoreError},
};

use super::{addresses, traders};
use crate::config::Config;

/// One document, and what was done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its address in both stores.
    pub at: Address,
    /// How large it is.
    pub bytes: usize,
    /// What was done.
    pub fate: Fate,
}

/// What was done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was written and read back.
    Written,
    /// It was there already.
    Same,
}

/// Why state was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A store could not be read or written. The documents written before are whole; another attempt continues.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The other store has documents of its own. Nothing was written.
    #[error(
        "{to} has another document at {}; nothing was copied. If what it has may be replaced, say --replace",
        .documents.join(", ")
    )]
    Conflict {
        /// The store that was to be written to.
        to: String,
        /// Where.
        documents: Vec<String>,
    },
    /// A document does not read back as it was written.
    #[error("{to} does not give back what was written at {at}: it cannot keep the state")]
    NotKept {
        /// The store that was written to.
        to: String,
        /// Where.
        at: String,
    },
}

/// Copies every document of `domains` from one store to another, and reads each one back: those of the traders and risk
/// profiles of `config`, and those of the traders that `config` does not name any more but that the index of `from` or
/// `record`, the event record, has. Documents under other ids of the same entities, such as those set aside, are copied
/// too. Nothing is removed. The copy can be repeated, even after an interruption. With `replace`, existing documents are
/// overwritten. The index of `to` gets the traders of `from` and keeps its own.
///
/// # Errors
/// Without `replace`, when a document of `to` would be lost; then nothing is written. When a store fails, or a document
/// does not read back as it was written.
pub async fn copy(
    config: &Config,
    record: &Record,
    domains: &[Domain],
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    replace: bool,
) -> Result<Vec<Copied>, CopyError> {
    let traders = traders(config, &index::indexed(&**from).await?, record);
    let indexes: Vec<Address> = domains.iter().filter_map(|domain| index::address(*domain)).collect();
    let mut planned = Vec::new();
    let mut conflicts = Vec::new();
    // The indexes come first: a trader is in one before the store has what the trader holds.
    for at in indexes.iter().cloned().chain(domains.iter().flat_map(|domain| addresses(config, &traders, *domain))) {
        let (domain, entity_name) = (&at.domain, &at.entity_name);
        from.wait_for_init(domain, entity_name, false).await?;
        to.wait_for_init(domain, entity_name, false).await?;
        for entity_id in from.keys(domain, entity_name).await? {
            let at = Address { entity_id, ..at.clone() };
            let Some(mut document) = from.read_value(&at).await? else { continue };
            let mut there = to.read_value(&at).await?;
            if indexes.contains(&at) {
                document = index::merged(&document, there.as_deref());
                there = there.filter(|there| *there == document);
            }
            let fate = match there {
                Some(there) if there == document && !replace => Fate::Same,
                Some(there) if there != document && !replace && !super::FLAT.contains(&there.as_slice()) => {
                    conflicts.push(shown(&at));
                    continue;
                }
                Some(_) | None => Fate::Written,
            };
            planned.push((at, document, fate));
        }
    }
    if !conflicts.is_empty() {
        return Err(CopyError::Conflict { to: to.describe(), documents: conflicts });
    }
    let mut copied = Vec::new();
    for (at, document, fate) in planned {
        if fate == Fate::Written {
            to.write_value(&at, &document, 0).await?;
            if to.read_value(&at).await?.as_ref() != Some(&document) {
                return Err(CopyError::NotKept { to: to.describe(), at: shown(&at) });
            }
        }
        copied.push(Copied { at, bytes: document.len(), fate });
    }
    Ok(copied)
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

fn shown(at: &Address) -> String {
    format!("{} {}/{}", at.domain, at.entity_name, at.entity_id)
}
