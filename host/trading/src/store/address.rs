//! The address of a document.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sigbox_engine::signal::Pair;
use sigbox_files::At;

use crate::store::Domain;

/// The address of one document. Only all three parts together identify it: two domains may have the same entity name
/// and id, and must never share a document (hazard H-51).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// `signal`, `schedule`, `risk`, `partial` or `memory`; backends must accept names they do not know.
    pub domain: String,
    /// `{symbol}_{strategy}` or the name of a risk profile, each part percent-encoded where it could collide.
    pub entity_name: String,
    /// The symbol, `positions`, `levels` or `values`.
    pub entity_id: String,
}

/// The characters that are escaped in a symbol. With them, `{symbol}_{strategy}` could be read in two ways (hazard
/// H-23).
const SEPARATOR: &AsciiSet = &CONTROLS.add(b'_').add(b'%');

impl Address {
    /// The address of the document of a pair. Slots of the domain `risk` have none: they are kept by profile.
    ///
    /// The entity name is `{symbol}_{strategy}`. An underscore inside the symbol is escaped, so the first plain
    /// underscore separates the two.
    #[must_use]
    pub fn of_pair(domain: Domain, pair: &Pair) -> Self {
        let entity_id = match domain {
            Domain::Signal | Domain::Schedule => pair.symbol.clone(),
            Domain::Partial => "levels".to_owned(),
            Domain::Memory => "values".to_owned(),
            Domain::Risk => "positions".to_owned(),
        };
        let entity_name = format!("{}_{}", utf8_percent_encode(&pair.symbol, SEPARATOR), pair.strategy);
        Self { domain: domain.name().to_owned(), entity_name, entity_id }
    }

    /// The address of the slots of a risk profile.
    #[must_use]
    pub fn of_profile(profile: &str) -> Self {
        Self {
            domain: Domain::Risk.name().to_owned(),
            entity_name: profile.to_owned(),
            entity_id: "positions".to_owned(),
        }
    }

    /// The same address, in the form that `sigbox_files` takes.
    pub(crate) fn parts(&self) -> At<'_> {
        At { domain: &self.domain, entity_name: &self.entity_name, entity_id: &self.entity_id }
    }
}
