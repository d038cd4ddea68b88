//! The persistence worlds: a backend, and a wrapper, which is a backend that imports a store too.
//!
//! Both share these bindings. The linker leaves the store out of the imports of a backend that does not call [`inner`].

#[expect(missing_docs, reason = "generated from the WIT, where the documentation is")]
#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host@0.1", "../../../wit/persistence@0.1"],
        world: "sigbox:persistence/wrapper",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "sigbox_sdk::persistence::bindings",
        generate_all,
    });
}

pub use bindings::{
    exports::sigbox::persistence::store::{Address, Descriptor, Failure, Page},
    sigbox::host::{config, logging, secrets},
};

pub mod inner;

/// Refuses settings that are not among the `known` ones: they would do nothing, and nobody would notice.
///
/// # Errors
/// When there is one.
pub fn refuse_unknown_settings(known: &[&str]) -> Result<(), Failure> {
    match config::all().into_iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            Err(Failure::give_up("other", format!("there is no setting {name:?}; there are: {}", known.join(", "))))
        }
    }
}

/// A persistence backend. One value serves a binding for as long as it does not trap.
pub trait Backend: Sized + 'static {
    /// Name, version, and one line that says where the documents are.
    fn describe() -> Descriptor;

    /// Called once: connect and prepare. Settings and secrets are in [`config`] and [`secrets`].
    ///
    /// # Errors
    /// When the storage cannot be reached or used.
    fn start() -> Result<Self, Failure>;

    /// Called once per domain and entity name. Must be safe to repeat.
    ///
    /// # Errors
    /// When the entity cannot be made ready.
    fn wait_for_init(&mut self, domain: &str, entity_name: &str, initial: bool) -> Result<(), Failure> {
        let _ = (domain, entity_name, initial);
        Ok(())
    }

    /// The document, or `None` when there is none. Never `None` for an error.
    ///
    /// # Errors
    /// When the storage cannot say what is there.
    fn read_value(&mut self, at: &Address) -> Result<Option<Vec<u8>>, Failure>;

    /// Whether a document is there.
    ///
    /// # Errors
    /// When the storage cannot say.
    fn has_value(&mut self, at: &Address) -> Result<bool, Failure> {
        Ok(self.read_value(at)?.is_some())
    }

    /// Replaces the document, all or nothing, durable on return.
    ///
    /// # Errors
    /// When it is not known to be durable.
    fn write_value(&mut self, at: &Address, value: Vec<u8>, when_ms: u64) -> Result<(), Failure>;

    /// Removes the document; `false` when there was none.
    ///
    /// # Errors
    /// When the removal is not known to be durable.
    fn remove_value(&mut self, at: &Address) -> Result<bool, Failure>;

    /// Ids under an entity name, ascending by bytes, those after `cursor`, at most `limit`.
    ///
    /// # Errors
    /// When the storage cannot list them.
    fn keys(&mut self, domain: &str, entity_name: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Failure>;

    /// The last call.
    ///
    /// # Errors
    /// When something could not be flushed.
    fn close(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl Failure {
    /// The same call may succeed later.
    #[must_use]
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: true, retry_after_ms: None }
    }

    /// Repeating the call is no use.
    #[must_use]
    pub fn give_up(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, retry_after_ms: None }
    }
}

/// Exports a type that implements [`Backend`] as the component's store.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        const _: () = {
            use $crate::persistence::{Address, Descriptor, Failure, Page, bindings, instance};

            std::thread_local! {
                static INSTANCE: instance::Slot<$backend> = const { instance::Slot::empty() };
            }

            struct Component;

            impl bindings::exports::sigbox::persistence::store::Guest for Component {
                fn describe() -> Descriptor {
                    <$backend as $crate::persistence::Backend>::describe()
                }
                fn start() -> Result<(), Failure> {
                    INSTANCE.with(instance::Slot::start)
                }
                fn wait_for_init(domain: String, entity_name: String, initial: bool) -> Result<(), Failure> {
                    INSTANCE.with(|slot| slot.with(|backend| backend.wait_for_init(&domain, &entity_name, initial)))
                }
                fn read_value(at: Address) -> Result<Option<Vec<u8>>, Failure> {
                    INSTANCE.with(|slot| slot.with(|backend| backend.read_value(&at)))
                }
                fn has_value(at: Address) -> Result<bool, Failure> {
                    INSTANCE.with(|slot| slot.with(|backend| backend.has_value(&at)))
                }
                fn write_value(at: Address, value: Vec<u8>, when_ms: u64) -> Result<(), Failure> {
                    INSTANCE.with(|slot| slot.with(|backend| backend.write_value(&at, value, when_ms)))
                }
                fn remove_value(at: Address) -> Result<bool, Failure> {
                    INSTANCE.with(|slot| slot.with(|backend| backend.remove_value(&at)))
                }
                fn keys(
                    domain: String,
                    entity_name: String,
                    cursor: Option<String>,
                    limit: u32,
                ) -> Result<Page, Failure> {
                    INSTANCE
                        .with(|slot| slot.with(|backend| backend.keys(&domain, &entity_name, cursor.as_deref(), limit)))
                }
                fn close() -> Result<(), Failure> {
                    INSTANCE.with(|slot| slot.with($crate::persistence::Backend::close))
                }
            }

    $crate::persistence::bindings::export_world!(Component with_types_in $crate::persistence::bindings);
        };
    };
}

#[doc(hidden)]
pub mod instance {
    //! The one backend of a component's instance. Used by the export macro only.
    use std::cell::RefCell;

    use super::{Backend, Failure};

    pub struct Slot<B>(RefCell<Option<B>>);

    impl<B: Backend> Slot<B> {
        #[must_use]
        pub const fn empty() -> Self {
            Self(RefCell::new(None))
        }

        pub fn start(&self) -> Result<(), Failure> {
            *self.0.borrow_mut() = Some(B::start()?);
            Ok(())
        }

        pub fn with<T>(&self, call: impl FnOnce(&mut B) -> Result<T, Failure>) -> Result<T, Failure> {
            match self.0.borrow_mut().as_mut() {
                Some(backend) => call(backend),
                None => Err(Failure::give_up("other", "the store was used before start")),
            }
        }
    }
}
