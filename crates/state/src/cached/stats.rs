//! What a cache has been good for.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`CachedDb`](super::CachedDb) keeps, and how many reads it has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads of accounts.
    pub accounts: HitCount,
    /// Reads of storage words.
    pub slots: HitCount,
    /// Reads of code.
    pub code: HitCount,
    /// Number of accounts kept, absent ones included.
    pub accounts_kept: usize,
    /// Number of slots kept, zero ones included.
    pub slots_kept: usize,
    /// Bytes of code kept.
    pub code_bytes_kept: u64,
}

/// Reads answered by a cache and by the backend behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitCount {
    /// Answered by the cache.
    pub hits: u64,
    /// Asked of the backend.
    pub misses: u64,
}

/// A [`HitCount`] that is being counted.
#[derive(Default)]
pub(super) struct Counter {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Counter {
    /// Counts what `look_up` finds.
    pub(super) fn look_up<T>(&self, look_up: impl FnOnce() -> Option<T>) -> Option<T> {
        let found = look_up();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn count(&self) -> HitCount {
        HitCount {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}
