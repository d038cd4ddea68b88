//! What happened to a store that its callers do not see, until somebody asks.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sigbox_events::Incident;

/// Incidents that are kept until somebody asks. When there are more, the oldest are dropped.
const KEPT: usize = 64;

/// Incidents nobody was told of yet.
#[derive(Debug, Default)]
pub struct Incidents(Mutex<VecDeque<Incident>>);

impl Incidents {
    /// Adds one.
    pub fn push(&self, incident: Incident) {
        let mut kept = self.kept();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(incident);
    }

    /// Takes all of them, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<Incident> {
        self.kept().drain(..).collect()
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Incident>> {
        // A queue has no state in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
