//! Risk profiles over the traders of one run.

use sigbox_engine::{State, Trader, risk::NamedRule};

use crate::rows::SlotEntry;

/// A named set of rules, and the slots of traders outside this run that it also counts.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The profile's name. Its slots are stored under this name.
    pub name: String,
    /// The rules, in order of precedence.
    pub rules: Vec<NamedRule>,
    /// Slots of traders that this run does not have, whose positions are still open in the store.
    pub(crate) others: Vec<SlotEntry>,
}

impl Profile {
    /// A profile whose only slots are those of the run itself.
    #[must_use]
    pub const fn new(name: String, rules: Vec<NamedRule>) -> Self {
        Self { name, rules, others: Vec::new() }
    }
}

/// What a trader holds or is about to hold. The state that it is about to commit counts, so that two traders that
/// decide at the same boundary cannot both take the last slot (hazard H-12).
pub(crate) struct Claim<'a> {
    pub(crate) trader: &'a Trader,
    pub(crate) state: &'a State,
    pub(crate) profiles: &'a [usize],
}
