//! A case of the kit, as data.

use std::fmt;

use futures_util::future::BoxFuture;

use super::scene::{Run, Scene};

/// One thing a backend must do.
pub struct Case {
    /// Its name in words; unique.
    pub name: &'static str,
    /// One sentence: what a store that passes the case does.
    pub proves: &'static str,
    /// What the case is about.
    pub group: Group,
    /// What the subject must be able to do. Otherwise the case is not run.
    pub needs: Need,
    pub(super) run: for<'s> fn(&'s Scene<'s>) -> BoxFuture<'s, Done>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What cases are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// What a backend says of itself.
    Description,
    /// One document: written, read, replaced, removed.
    Documents,
    /// Domains, entity names and ids, also strange ones.
    Names,
    /// The ids under an entity name.
    Listings,
    /// More than one instance, one after the other or at once.
    Instances,
    /// Two hosts that were given the same place.
    Hosts,
    /// Instances that die in the middle of their work.
    Crashes,
    /// Servers that go away, are slow or say nothing.
    Servers,
    /// Instances without the grants that they need.
    Permissions,
    /// Secrets that a backend must not say.
    Secrets,
}

impl Group {
    /// One word, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Documents => "documents",
            Self::Names => "names",
            Self::Listings => "listings",
            Self::Instances => "instances",
            Self::Hosts => "hosts",
            Self::Crashes => "crashes",
            Self::Servers => "servers",
            Self::Permissions => "permissions",
            Self::Secrets => "secrets",
        }
    }
}

/// What a case needs of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing at all.
    Nothing,
    /// A store that starts.
    Start,
    /// Documents that outlive the instance that wrote them.
    Durability,
    /// Two instances at once on the same documents.
    TwoInstances,
    /// A component that keeps two hosts apart, whose documents outlive its instances, and two instances at once.
    Fence,
    /// A component that can be ended at any call it makes to the host, and documents that outlive its instances.
    Kill,
    /// A component with a network address that a proxy can stand in front of.
    Proxy,
    /// A component with granted addresses or folders, which the kit can take from it.
    Grants,
    /// A component that was given secrets.
    Secrets,
}

impl Need {
    /// The need in words, for the documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing | Self::Start => "nothing",
            Self::Durability => "documents that outlive the instance",
            Self::TwoInstances => "two instances at once",
            Self::Fence => "a component with sigbox:persistence/fenced",
            Self::Kill => "a component whose documents outlive it",
            Self::Proxy => "a component with a network address in its settings",
            Self::Grants => "a component with network addresses or directories",
            Self::Secrets => "a component with secrets",
        }
    }

    /// Why the subject of `run` does not have what is needed; `None` if it has.
    pub(super) fn lacking(self, run: &Run<'_>) -> Option<String> {
        if self != Self::Nothing && run.start.is_err() {
            return Some("it does not start".to_owned());
        }
        match self {
            Self::Nothing | Self::Start => None,
            Self::Durability => run.volatile(),
            Self::TwoInstances => run.volatile().or_else(|| run.subject.only_one()),
            Self::Fence => match run.component() {
                Ok(_) => run.unfenced.clone().or_else(|| run.volatile()).or_else(|| run.subject.only_one()),
                Err(reason) => Some(reason),
            },
            Self::Kill => run.component().err().or_else(|| run.volatile()),
            Self::Proxy => match run.component() {
                Ok(component) => component.proxied_addresses().err(),
                Err(reason) => Some(reason),
            },
            Self::Grants => match run.component() {
                Ok(component) if component.has_grants() => None,
                Ok(_) => Some("it was granted neither network nor directories".to_owned()),
                Err(reason) => Some(reason),
            },
            Self::Secrets => match run.component() {
                Ok(component) if component.secrets().next().is_some() => None,
                Ok(_) => Some("it was given no secrets".to_owned()),
                Err(reason) => Some(reason),
            },
        }
    }
}

/// Why a case ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The subject did something wrong.
    Failed(String),
    /// The case turned out to be impossible with this subject.
    NotRun(String),
}

/// How a case ended.
pub(super) type Done = Result<(), Stop>;

/// Fails the case unless `holds`.
pub(super) fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Done {
    if holds { Ok(()) } else { Err(Stop::Failed(otherwise())) }
}

/// Fails the case.
pub(super) fn fail<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(reason.into()))
}
