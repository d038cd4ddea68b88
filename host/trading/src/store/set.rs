//! The stores of a run.

use std::{ops::Deref, sync::Arc};

use sigbox_events::Incident;

use super::{PerDomain, Store};

/// The store of each domain.
#[derive(Clone)]
pub struct Stores {
    /// By domain.
    pub by_domain: PerDomain<Arc<dyn Store>>,
    /// The stores and the stores they wrap, in the order in which they are closed: a wrapper before what it wraps.
    /// Empty when there is no wrapper.
    pub closing: Vec<Arc<dyn Store>>,
    /// Holds the lock of the data directory, whatever is kept in it; `None` when there is no data directory.
    pub data_dir: Option<Arc<dyn Store>>,
}

impl Stores {
    /// One store for everything.
    #[must_use]
    pub fn all_in(store: &Arc<dyn Store>) -> Self {
        Self { by_domain: PerDomain::all(store), closing: Vec::new(), data_dir: None }
    }

    /// The incidents of all stores since the last call.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = Incident> {
        self.iter().flat_map(|(_, store)| store.incidents())
    }

    /// Closes every store.
    pub async fn close(&self) {
        // A store can come more than once. Closing it again changes nothing.
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
