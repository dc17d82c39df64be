//! What the daemon counts of its own work.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What the daemon counts since it was started; shown by `tidegate status`.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are what an administrator reads")]
pub struct Counters {
    pub asks: Counter,
    pub accepted: Counter,
    pub tagged: Counter,
    pub greylisted: Counter,
    pub deferred: Counter,
    pub quarantined: Counter,
    pub rejected: Counter,
    pub gaps: Counter,
    pub unreadable_asks: Counter,
    pub failed_asks: Counter,
    pub late_asks: Counter,
    pub late_answers: Counter,
    pub refused_peers: Counter,
    pub over_limit: Counter,
    pub not_kept: Counter,
    pub unrecorded: Counter,
    pub unwritten: Counter,
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}
