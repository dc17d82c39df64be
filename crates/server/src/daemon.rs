//! What all front-ends share: the engine as it stands, the outside, open sessions, and what concludes a judgement.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;
use tidegate_filter::engine::Engine;
use tidegate_filter::world::{Clock, World};

use crate::conclude::Conclude;
use crate::frontends::exim::Slot;
use crate::sessions::Sessions;

/// What all front-ends share.
pub struct Daemon {
    /// The engine; a reload swaps it whole, open sessions keep theirs.
    pub engine: ArcSwap<Engine>,
    /// The outside.
    pub world: World,
    /// Sessions of Exim.
    pub sessions: Sessions<Slot>,
    /// Record, reply, effects.
    pub conclude: Conclude,
    /// Exim's spool folder.
    pub spool: PathBuf,
    /// Users that may ask, besides root.
    pub askers: Vec<u32>,
    /// What went wrong or came too often.
    pub counters: Arc<Counters>,
}

impl Daemon {
    /// Whether a peer with this uid may ask.
    pub fn may_ask(&self, uid: u32) -> bool {
        uid == 0 || self.askers.contains(&uid)
    }
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
    pub refused_peers: Counter,
    pub over_limit: Counter,
    pub unrecorded: Counter,
    pub unwritten: Counter,
}

/// The real time.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
