//! How two hosts that were given the same place are kept apart.
//!
//! A host that was thought to be dead may only have been paused, in the middle of a write. So each host claims its
//! stores with an epoch that is greater than every epoch before, and the storage refuses writes of all other epochs
//! (`sigbox:persistence/fenced`).

use async_trait::async_trait;

use super::StoreError;

/// How a store keeps two hosts apart.
#[derive(Clone, Copy)]
pub enum Apart<'s> {
    /// It does not.
    No,
    /// A second store on the same place does not open: a lock of the operating system, or memory of this process.
    Lock,
    /// The storage refuses the writes of every host but the one that claimed it last.
    Fence(&'s dyn Fence),
}

/// A store that can be claimed.
///
/// A *scope* is what one host writes in a place. After [`Fence::claim`] every change by this store happens only while
/// its claim is the last one of the scope. Otherwise it fails with the code [`FENCED`](super::FENCED), and changes
/// nothing. Reads are not fenced.
#[async_trait]
pub trait Fence: Send + Sync {
    /// Who holds `scope`; `None` when it was never claimed.
    ///
    /// # Errors
    /// When the store cannot say. With the code [`UNSUPPORTED`](super::UNSUPPORTED), the storage behind it cannot keep
    /// hosts apart as it is.
    async fn holder(&self, scope: &str) -> Result<Option<Holder>, StoreError>;

    /// Claims `scope`, durably. It succeeds when the epoch is greater than the one that is stored, or is the same and
    /// the same owner's. From then on this store writes with this claim, until it is closed. Closing it releases the
    /// scope.
    ///
    /// # Errors
    /// When the claim is not known to be durable. With the code [`FENCED`](super::FENCED), another claim came first.
    async fn claim(&self, scope: &str, claim: &Holder) -> Result<(), StoreError>;
}

/// Who holds a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Grows with each claim.
    pub epoch: u64,
    /// Who claimed it, for people and for comparing; empty when it was released.
    pub owner: String,
    /// When it was claimed, by the clock of who did, milliseconds since 1970. For people.
    pub since_ms: i64,
}

impl Holder {
    /// Whether nobody holds it, because the last holder has released it.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.owner.is_empty()
    }
}
