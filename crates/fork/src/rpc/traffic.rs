//! What reading a remote state has cost.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Counters of one client, since it was made.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    calls: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    retries: AtomicU64,
}

impl Traffic {
    /// HTTP requests made.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Calls in them.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes of bodies sent.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes of bodies received.
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many calls were made again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Counts what `other` has counted, too.
    pub fn add(&self, other: &Self) {
        for (own, other) in [
            (&self.requests, other.requests()),
            (&self.calls, other.calls()),
            (&self.sent, other.bytes_sent()),
            (&self.received, other.bytes_received()),
            (&self.retries, other.retries()),
        ] {
            own.fetch_add(other, Ordering::Relaxed);
        }
    }

    pub(super) fn count_request(&self, calls: usize, bytes: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.calls.fetch_add(calls as u64, Ordering::Relaxed);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_response(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_retries(&self, calls: usize) {
        self.retries.fetch_add(calls as u64, Ordering::Relaxed);
    }
}

impl fmt::Display for Traffic {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} calls ({} again), {} bytes sent, {} bytes received",
            self.requests(),
            self.calls(),
            self.retries(),
            self.bytes_sent(),
            self.bytes_received()
        )
    }
}
