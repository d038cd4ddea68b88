//! The kinds of state, and one value for each of them.

use serde::{Deserialize, Serialize};

/// The kinds of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Open positions.
    Signal,
    /// Limit orders that wait.
    Schedule,
    /// Slots of risk profiles.
    Risk,
    /// Levels positions have passed.
    Partial,
    /// What strategies have asked to be remembered.
    Memory,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 5] = [Self::Signal, Self::Schedule, Self::Risk, Self::Partial, Self::Memory];

    /// The name, as in paths and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Schedule => "schedule",
            Self::Risk => "risk",
            Self::Partial => "partial",
            Self::Memory => "memory",
        }
    }
}

/// One value for each domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PerDomain<T> {
    /// Of open positions.
    pub signal: T,
    /// Of limit orders that wait.
    pub schedule: T,
    /// Of the slots of risk profiles.
    pub risk: T,
    /// Of the levels positions have passed.
    pub partial: T,
    /// Of what strategies have asked to be remembered.
    pub memory: T,
}

impl<T> PerDomain<T> {
    /// What `make` gives for each domain.
    pub fn from_fn(mut make: impl FnMut(Domain) -> T) -> Self {
        Self {
            signal: make(Domain::Signal),
            schedule: make(Domain::Schedule),
            risk: make(Domain::Risk),
            partial: make(Domain::Partial),
            memory: make(Domain::Memory),
        }
    }

    /// What `make` gives for the value of each domain.
    pub fn map<U>(&self, mut make: impl FnMut(&T) -> U) -> PerDomain<U> {
        PerDomain::from_fn(|domain| make(self.of(domain)))
    }

    /// The same value for each domain.
    pub fn all(value: &T) -> Self
    where
        T: Clone,
    {
        Self::from_fn(|_| value.clone())
    }

    /// The value of `domain`.
    #[must_use]
    pub const fn of(&self, domain: Domain) -> &T {
        match domain {
            Domain::Signal => &self.signal,
            Domain::Schedule => &self.schedule,
            Domain::Risk => &self.risk,
            Domain::Partial => &self.partial,
            Domain::Memory => &self.memory,
        }
    }

    /// Every domain with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Domain, &T)> {
        Domain::ALL.into_iter().map(|domain| (domain, self.of(domain)))
    }
}
