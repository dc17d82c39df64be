//! Marks: what a stretch of a file looked like when it was read.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// Octets that a mark covers at most.
pub(super) const MARK_OCTETS: usize = 512;

/// A stretch of a file, told by its length and its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// How many octets.
    pub(super) octets: u16,
    hash: u64,
}

impl Mark {
    /// The mark of the first octets of `start`.
    pub(super) fn of_start(start: &[u8]) -> Mark {
        Mark::of(start.get(..MARK_OCTETS).unwrap_or(start))
    }

    /// The mark of the last octets of `end`.
    pub(super) fn of_end(end: &[u8]) -> Mark {
        Mark::of(end.get(end.len().saturating_sub(MARK_OCTETS)..).unwrap_or(end))
    }

    fn of(octets: &[u8]) -> Mark {
        let mut hasher = SipHasher13::new();
        hasher.write(octets);
        Mark { octets: u16::try_from(octets.len()).unwrap_or(u16::MAX), hash: hasher.finish() }
    }

    /// How many octets, as an index.
    pub(super) fn len(self) -> usize {
        usize::from(self.octets)
    }

    /// Whether `octets` begin with the stretch.
    pub(super) fn begins(self, octets: &[u8]) -> bool {
        octets.get(..self.len()).is_some_and(|start| Mark::of(start) == self)
    }

    /// Whether it covers as much as a mark can.
    pub(super) fn is_full(self) -> bool {
        self.len() == MARK_OCTETS
    }
}
