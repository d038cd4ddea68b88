//! The stores of a run.

use std::{ops::Deref, sync::Arc};

use sigbox_events::Incident;

use super::{PerDomain, Store};

/// The store of each domain.
#[derive(Clone)]
pub struct Stores {
    /// By domain.
    pub by_domain: PerDomain<Arc<dyn Store>>,
    /// Those and what they wrap, in the order to close them in: a wrapper before what it wraps. Empty where none does.
    pub closing: Vec<Arc<dyn Store>>,
    /// Keeps others out of the data directory, whatever is kept in it; `None` when there is none.
    pub data_dir: Option<Arc<dyn Store>>,
}

impl Stores {
    /// One store for everything.
    #[must_use]
    pub fn all_in(store: &Arc<dyn Store>) -> Self {
        Self { by_domain: PerDomain::all(store), closing: Vec::new(), data_dir: None }
    }

    /// What happened to them since this was last asked.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.iter().flat_map(|(_, store)| store.incidents())
    }

    /// Lets go of every store.
    pub async fn close(&self) {
        // Closing one again changes nothing.
        for store in self.closing.iter().chain(self.iter().map(|(_, store)| store)) {
            store.close().await;
        }
        if let Some(data_dir) = &self.data_dir {
            data_dir.close().await;
        }
    }
}

/// The store of a domain is `stores.of(domain)`, or `stores.signal` where the domain is known.
impl Deref for Stores {
    type Target = PerDomain<Arc<dyn Store>>;

    fn deref(&self) -> &Self::Target {
        &self.by_domain
    }
}
