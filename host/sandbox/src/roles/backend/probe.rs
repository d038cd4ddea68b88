//! The probe: the conformance kit puts it into an instance to watch the instance and to end it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What a persistence plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its documents are, on one line.
    pub summary: String,
    /// See `features` in the contract.
    pub features: Vec<String>,
    /// Bytes of the largest document it takes.
    pub max_value_bytes: u64,
}

/// Counts the calls that a guest makes to the host, ends the guest at one of them, and records the texts of the guest
/// in full. All other readers get these texts shortened and without secrets.
#[derive(Debug)]
pub struct Probe {
    calls: AtomicU64,
    /// How many calls are let through, counted from the first one.
    allowed: AtomicU64,
    has_ended: AtomicBool,
    descriptor: Mutex<Option<Descriptor>>,
    heard: Mutex<Vec<String>>,
    denied: Mutex<Vec<String>>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            calls: AtomicU64::default(),
            allowed: AtomicU64::new(u64::MAX),
            has_ended: AtomicBool::default(),
            descriptor: Mutex::default(),
            heard: Mutex::default(),
            denied: Mutex::default(),
        }
    }
}

impl Probe {
    /// Calls to the host so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Lets `calls` more calls through and ends the guest at the next one. That call is not carried out.
    pub fn end_after(&self, calls: u64) {
        self.allowed.store(self.calls() + calls, Ordering::SeqCst);
    }

    /// Whether it has ended the guest.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// How the guest described itself, if it did.
    #[must_use]
    pub fn descriptor(&self) -> Option<Descriptor> {
        whole(&self.descriptor).clone()
    }

    /// What the guest said since the last call of this function.
    #[must_use]
    pub fn take_heard(&self) -> Vec<String> {
        std::mem::take(&mut *whole(&self.heard))
    }

    /// What the host denied the guest since the last call of this function, each with the line that would allow it.
    #[must_use]
    pub fn take_denied(&self) -> Vec<String> {
        std::mem::take(&mut *whole(&self.denied))
    }

    /// Counts a call of the guest to the host.
    ///
    /// # Errors
    /// When the guest is to end at this call.
    pub(super) fn called(&self) -> wasmtime::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.allowed.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.has_ended.store(true, Ordering::SeqCst);
        wasmtime::bail!("ended at a call to the host")
    }

    pub(super) fn described(&self, descriptor: Descriptor) {
        *whole(&self.descriptor) = Some(descriptor);
    }

    pub(super) fn denied(&self, denial: String) {
        let mut denied = whole(&self.denied);
        if !denied.contains(&denial) {
            denied.push(denial);
        }
    }

    pub(super) fn hear(&self, said: String) {
        whole(&self.heard).push(said);
    }
}

/// A lock that a panic poisoned is used too: neither a list nor a description is ever left half changed.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
