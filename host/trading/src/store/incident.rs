//! Incidents of a store, which wait here until the host asks for them. The callers of the store do not see them.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sigbox_events::Incident;

/// How many incidents are kept. When there are more, the oldest are dropped.
const KEPT: usize = 64;

/// The incidents that the host has not asked for yet.
#[derive(Debug, Default)]
pub struct Incidents(Mutex<VecDeque<Incident>>);

impl Incidents {
    /// Adds an incident.
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
        // The queue is whole after each call on it, so a panic elsewhere cannot have left it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
