//! What happened to a store that its callers do not see.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

/// Incidents that are kept until somebody asks; of more, the newest.
const KEPT: usize = 64;

/// Something an operator should know of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The store's name in the configuration.
    pub store: String,
    /// What happened.
    pub kind: IncidentKind,
    /// How, for people.
    pub message: String,
}

/// What happened to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    /// An instance broke down, and another takes its place.
    Restarted,
    /// It failed several times in a row and is not asked for a while.
    Suspended,
    /// It answers again.
    Resumed,
}

impl fmt::Display for IncidentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restarted => "restarted",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        })
    }
}

/// Incidents nobody was told of yet.
#[derive(Debug, Default)]
pub(crate) struct Incidents(Mutex<VecDeque<Incident>>);

impl Incidents {
    pub(crate) fn push(&self, incident: Incident) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(incident);
    }

    pub(crate) fn take(&self) -> Vec<Incident> {
        self.kept().drain(..).collect()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Incident>> {
        // A queue has no state in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
