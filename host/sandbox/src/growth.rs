//! The limit on how far an instance may grow.

use wasmtime::ResourceLimiter;

use crate::limits::{MEMORIES_AND_TABLES, TABLE_ELEMENTS};

/// Core modules in one instance. A component from a compiled language has three, a linked component about ten.
pub(super) const CORE_INSTANCES: usize = 1000;

/// The limits of one instance's store. It records whether memory was refused, which tells why the guest stopped.
pub(super) struct GrowthLimit {
    bytes: usize,
    /// Bytes of all linear memories together. A limit for each memory would not do: one component can have many, each
    /// of them small.
    used: usize,
    /// Bytes of the last growth. They are given back if the operating system has no memory left.
    granted: usize,
    /// Whether memory was refused since this was last reset.
    pub(super) refused: bool,
}

impl GrowthLimit {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { bytes, used: 0, granted: 0, refused: false }
    }
}

impl ResourceLimiter for GrowthLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired.saturating_sub(current);
        let used = self.used.saturating_add(granted);
        if used > self.bytes {
            self.refused = true;
            return Ok(false);
        }
        (self.used, self.granted) = (used, granted);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.used -= std::mem::take(&mut self.granted);
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MEMORIES_AND_TABLES as usize
    }

    fn memories(&self) -> usize {
        // One may be the host's own, see `GrowthLimit::new`.
        MEMORIES_AND_TABLES as usize + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_limit_and_a_failed_growth_is_given_back() {
        let mut limit = GrowthLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(!limit.memory_growing(0, 60, None).unwrap(), "the second memory does not fit beside the first");
        assert!(limit.refused);
        assert!(limit.memory_growing(60, 100, None).unwrap());
        limit.memory_grow_failed(wasmtime::Error::msg("no pages left")).unwrap();
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert!(!limit.memory_growing(40, 41, None).unwrap());
    }
}
