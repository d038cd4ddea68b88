//! The subjects of the kit: stores that it runs against.

use std::sync::Arc;

use async_trait::async_trait;
use sigbox_sandbox::{Descriptor, Probe};
use sigbox_trading::store::Store;

use super::component::ComponentSubject;

/// A backend that can be opened again and again.
#[async_trait]
pub trait Subject: Send + Sync {
    /// What the backend says of itself, without connecting to anything.
    ///
    /// # Errors
    /// When it cannot even do that.
    async fn describe(&self) -> Result<Descriptor, Trouble>;

    /// Opens a fresh instance on the same documents. The instance before may have been closed, or dropped in the middle
    /// of a call. It may also still be open, unless [`Subject::only_one`] gives a reason.
    ///
    /// # Errors
    /// When it cannot start.
    async fn open(&self) -> Result<Opened, Trouble>;

    /// Why there cannot be two instances at once; `None` if there can be.
    fn only_one(&self) -> Option<String>;

    /// The subject as a component, which the kit can kill, cut off from its servers and deny its grants.
    ///
    /// # Errors
    /// When it is not a component, as a sentence.
    fn as_component(&self) -> Result<&ComponentSubject, String> {
        Err("it is no component".to_owned())
    }
}

/// The feature of backends whose documents are lost with the instance that wrote them.
pub(super) const VOLATILE: &str = "volatile";

/// One instance of a store.
pub struct Opened {
    pub(super) store: Arc<dyn Store>,
    /// The probe in the instance, if the subject is a component.
    pub(super) probe: Option<Arc<Probe>>,
}

impl<S: Store + 'static> From<S> for Opened {
    fn from(store: S) -> Self {
        Self { store: Arc::new(store), probe: None }
    }
}

/// Why a store could not be opened, or why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// For people.
    pub message: String,
    /// Whether the same attempt may succeed later.
    pub retryable: bool,
    /// Whether the instance broke down: trapped, did not answer in time or handed over too much.
    pub broke: bool,
}

impl Trouble {
    /// A refusal that will not pass by itself.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), retryable: false, broke: false }
    }
}

/// Opens a store, each time it is called.
type Open = dyn Fn() -> Result<Opened, String> + Send + Sync;

/// A store in Rust, as a subject.
pub struct NativeSubject {
    descriptor: Descriptor,
    only_one: Option<String>,
    open: Box<Open>,
}

impl NativeSubject {
    /// A store whose documents outlive its instances. `only_one`: why only one instance can be open at a time, if that
    /// is so.
    pub fn durable(
        summary: &str,
        only_one: Option<&str>,
        open: impl Fn() -> Result<Opened, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            descriptor: Descriptor {
                name: "native".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                summary: summary.to_owned(),
                features: Vec::new(),
                max_value_bytes: u64::MAX,
            },
            only_one: only_one.map(str::to_owned),
            open: Box::new(open),
        }
    }

    /// A store whose documents are lost with the instance that wrote them.
    pub fn volatile(summary: &str, open: impl Fn() -> Result<Opened, String> + Send + Sync + 'static) -> Self {
        let mut subject = Self::durable(summary, None, open);
        subject.descriptor.features = vec![VOLATILE.to_owned()];
        subject
    }
}

#[async_trait]
impl Subject for NativeSubject {
    async fn describe(&self) -> Result<Descriptor, Trouble> {
        Ok(self.descriptor.clone())
    }

    async fn open(&self) -> Result<Opened, Trouble> {
        (self.open)().map_err(Trouble::refused)
    }

    fn only_one(&self) -> Option<String> {
        self.only_one.clone()
    }
}
