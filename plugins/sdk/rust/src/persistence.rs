//! The persistence worlds: a backend, a wrapper, which is a backend that imports a store too, and a backend that keeps
//! two hosts apart.
//!
//! The first two share their bindings. The linker leaves the store out of the imports of a backend that does not call
//! [`inner`]. An export cannot be left out, so the third has bindings of its own, which only [`export_fenced_backend!`]
//! uses. They are a crate of their own, because two bindings of one interface in a crate define the same macro.
//!
//! [`export_fenced_backend!`]: crate::export_fenced_backend

#[expect(missing_docs, reason = "generated from the WIT, where the documentation is")]
#[allow(clippy::pedantic, unused_qualifications, reason = "generated from the WIT")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit/0.1",
        world: "wrapper",
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

#[doc(hidden)]
pub use sigbox_sdk_fenced as fenced_bindings;

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

/// A backend that keeps two hosts apart. See `sigbox:persistence/fenced` for what each call promises.
pub trait Fenced: Backend {
    /// Who holds the scope; `None` when it was never claimed.
    ///
    /// # Errors
    /// When the storage cannot say.
    fn holder(&mut self, scope: &str) -> Result<Option<Holder>, Failure>;

    /// Stores the holder of the scope, durable on return. Refuses with [`Holder::refusal`] when the epoch that is stored
    /// is greater, or is the same and another owner's.
    ///
    /// # Errors
    /// When it is not known to be durable, or is refused.
    fn claim(&mut self, scope: &str, claim: &Holder) -> Result<(), Failure>;

    /// As [`Backend::write_value`], if the epoch is the one that is stored for the scope.
    ///
    /// # Errors
    /// When the document is not known to be durable; [`Holder::refusal`] when the epoch is another one.
    fn write_fenced(
        &mut self,
        at: &Address,
        value: Vec<u8>,
        when_ms: u64,
        scope: &str,
        epoch: u64,
    ) -> Result<(), Failure>;

    /// As [`Backend::remove_value`], if the epoch is the one that is stored for the scope.
    ///
    /// # Errors
    /// When the removal is not known to be durable; [`Holder::refusal`] when the epoch is another one.
    fn remove_fenced(&mut self, at: &Address, scope: &str, epoch: u64) -> Result<bool, Failure>;
}

/// Who holds a scope. An empty owner is nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Grows with each claim.
    pub epoch: u64,
    /// The text of the host that claimed it.
    pub owner: String,
    /// When it did, by that host's clock, milliseconds since 1970.
    pub since_ms: u64,
}

impl Holder {
    /// Whether `claim` is accepted where `stored` is the holder.
    #[must_use]
    pub fn gives_way_to(stored: Option<&Self>, claim: &Self) -> bool {
        stored.is_none_or(|stored| {
            claim.epoch > stored.epoch || (claim.epoch == stored.epoch && claim.owner == stored.owner)
        })
    }

    /// The refusal of a call of another epoch, where `stored` is the holder.
    #[must_use]
    pub fn refusal(stored: Option<&Self>, scope: &str, epoch: u64) -> Failure {
        let holder = match stored {
            None => "nobody holds it".to_owned(),
            Some(Self { epoch, owner, since_ms }) => {
                let owner = if owner.is_empty() { "nobody" } else { owner };
                format!("{owner} holds it with epoch {epoch} since {}", iso_8601(*since_ms))
            }
        };
        Failure::give_up("fenced", format!("scope {scope:?}, epoch {epoch}: {holder}"))
    }
}

/// A time such as 2026-01-31T12:00:00Z.
fn iso_8601(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years begin in March here, so that the day that is not always there is the last one.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month_of_year) =
        (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month_of_year <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month_of_year:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

impl Failure {
    /// The same call may succeed later.
    #[must_use]
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: true, retry_after_ms: None, extra: None }
    }

    /// Repeating the call is no use.
    #[must_use]
    pub fn give_up(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, retry_after_ms: None, extra: None }
    }
}

/// Exports a type that implements [`Backend`] as the component's store.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        const _: () = {
            use $crate::persistence::bindings;
            $crate::__store!($backend);
    $crate::persistence::bindings::export_world!(Component with_types_in $crate::persistence::bindings);
        };
    };
}

/// Exports a type that implements [`Fenced`] as the component's store, which keeps two hosts apart.
///
/// [`Fenced`]: crate::persistence::Fenced
#[macro_export]
macro_rules! export_fenced_backend {
    ($backend:ty) => {
        const _: () = {
            use bindings::exports::sigbox::persistence::fenced;
            use $crate::persistence::{Fenced, Holder, fenced_bindings as bindings};
            $crate::__store!($backend);

            impl fenced::Guest for Component {
                fn get_holder(scope: String) -> Result<Option<fenced::Holder>, fenced::Failure> {
                    let holder = INSTANCE.with(|slot| slot.with(|backend| backend.holder(&scope)))?;
                    Ok(holder.map(|Holder { epoch, owner, since_ms }| fenced::Holder { epoch, owner, since_ms }))
                }
                fn claim(scope: String, epoch: u64, owner: String, when_ms: u64) -> Result<(), fenced::Failure> {
                    let claim = Holder { epoch, owner, since_ms: when_ms };
                    Ok(INSTANCE.with(|slot| slot.with(|backend| Fenced::claim(backend, &scope, &claim)))?)
                }
                fn write_fenced(
                    at: fenced::Address,
                    value: Vec<u8>,
                    when_ms: u64,
                    scope: String,
                    epoch: u64,
                ) -> Result<(), fenced::Failure> {
                    let at = at.into();
                    Ok(INSTANCE
                        .with(|slot| slot.with(|backend| backend.write_fenced(&at, value, when_ms, &scope, epoch)))?)
                }
                fn remove_fenced(at: fenced::Address, scope: String, epoch: u64) -> Result<bool, fenced::Failure> {
                    let at = at.into();
                    Ok(INSTANCE.with(|slot| slot.with(|backend| backend.remove_fenced(&at, &scope, epoch)))?)
                }
            }

            $crate::persistence::fenced_bindings::export_fenced_world!(Component);
        };
    };
}

/// The part that both worlds export; `bindings` are those of the world.
#[doc(hidden)]
#[macro_export]
macro_rules! __store {
    ($backend:ty) => {
        use bindings::exports::sigbox::persistence::store;
        use $crate::persistence::{Backend, instance};

        std::thread_local! {
            static INSTANCE: instance::Slot<$backend> = const { instance::Slot::empty() };
        }

        struct Component;

        #[allow(clippy::needless_question_mark, reason = "it converts the failure, where the world has its own")]
        impl store::Guest for Component {
            fn describe() -> store::Descriptor {
                <$backend as Backend>::describe().into()
            }
            fn start() -> Result<(), store::Failure> {
                Ok(INSTANCE.with(instance::Slot::start)?)
            }
            fn wait_for_init(domain: String, entity_name: String, initial: bool) -> Result<(), store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(|backend| backend.wait_for_init(&domain, &entity_name, initial)))?)
            }
            fn read_value(at: store::Address) -> Result<Option<Vec<u8>>, store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(|backend| backend.read_value(&at.into())))?)
            }
            fn has_value(at: store::Address) -> Result<bool, store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(|backend| backend.has_value(&at.into())))?)
            }
            fn write_value(at: store::Address, value: Vec<u8>, when_ms: u64) -> Result<(), store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(|backend| backend.write_value(&at.into(), value, when_ms)))?)
            }
            fn remove_value(at: store::Address) -> Result<bool, store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(|backend| backend.remove_value(&at.into())))?)
            }
            fn keys(
                domain: String,
                entity_name: String,
                cursor: Option<String>,
                limit: u32,
            ) -> Result<store::Page, store::Failure> {
                Ok(INSTANCE
                    .with(|slot| slot.with(|backend| backend.keys(&domain, &entity_name, cursor.as_deref(), limit)))?
                    .into())
            }
            fn close() -> Result<(), store::Failure> {
                Ok(INSTANCE.with(|slot| slot.with(Backend::close))?)
            }
        }
    };
}

/// The types of one world's bindings as those of the other.
mod same {
    use super::{Address, Descriptor, Failure, Page, fenced_bindings::exports::sigbox::persistence::store as fenced};

    impl From<fenced::Address> for Address {
        fn from(at: fenced::Address) -> Self {
            let fenced::Address { domain, entity_name, entity_id } = at;
            Self { domain, entity_name, entity_id }
        }
    }

    impl From<Failure> for fenced::Failure {
        fn from(failure: Failure) -> Self {
            let Failure { code, message, retryable, retry_after_ms, extra } = failure;
            Self { code, message, retryable, retry_after_ms, extra }
        }
    }

    impl From<Descriptor> for fenced::Descriptor {
        fn from(descriptor: Descriptor) -> Self {
            let Descriptor { name, version, summary, features, max_value_bytes, extra } = descriptor;
            Self { name, version, summary, features, max_value_bytes, extra }
        }
    }

    impl From<Page> for fenced::Page {
        fn from(page: Page) -> Self {
            let Page { entity_ids, next } = page;
            Self { entity_ids, next }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(epoch: u64, owner: &str) -> Holder {
        Holder { epoch, owner: owner.to_owned(), since_ms: 951_827_696_789 }
    }

    #[test]
    fn a_greater_epoch_is_accepted_and_the_same_one_only_by_its_owner() {
        let stored = holder(5, "a");
        for (epoch, owner, accepted) in
            [(6, "b", true), (6, "a", true), (5, "a", true), (5, "b", false), (5, "", false), (4, "a", false)]
        {
            assert_eq!(Holder::gives_way_to(Some(&stored), &holder(epoch, owner)), accepted, "{epoch} {owner}");
        }
        assert!(Holder::gives_way_to(None, &holder(1, "a")));
    }

    #[test]
    fn a_refusal_names_the_holder_and_since_when() {
        let said = |stored: Option<&Holder>| Holder::refusal(stored, "s", 4).message;
        let since = "since 2000-02-29T12:34:56Z";
        assert_eq!(said(Some(&holder(5, "a"))), format!("scope \"s\", epoch 4: a holds it with epoch 5 {since}"));
        assert_eq!(said(Some(&holder(5, ""))), format!("scope \"s\", epoch 4: nobody holds it with epoch 5 {since}"));
        assert_eq!(said(None), "scope \"s\", epoch 4: nobody holds it");
        for (ms, text) in [(0, "1970-01-01T00:00:00Z"), (1_709_251_199_000, "2024-02-29T23:59:59Z")] {
            assert_eq!(iso_8601(ms), text);
        }
    }
}
