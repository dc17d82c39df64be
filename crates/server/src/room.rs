//! Room for messages in memory: how many octets of them are held or judged at once. More wait their turn, so that whoever sends much
//! at the same time makes others wait, and never takes the daemon beyond the memory that its unit allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Octets of one permit; a semaphore hands out 32 bits of them at most.
const PERMIT_OCTETS: usize = 1024;
/// Octets of Exim's messages judged at once. A message takes about four times its size while it is judged (texts, links, parts), and the
/// unit allows 2 GB, of which the largest set of rules may need one while it is read.
const EXIM_OCTETS_MAX: usize = 128 << 20;
/// Octets of messages of spamd's clients judged at once: any user of the server may ask, and must not keep Exim's mail waiting.
const SPAMD_OCTETS_MAX: usize = 64 << 20;
/// Octets of large messages of spamd's clients held at once, while they come, wait to be judged and go back.
const HELD_OCTETS_MAX: usize = 192 << 20;

/// Who shares which room.
#[derive(Debug)]
pub struct Rooms {
    /// Exim's messages while they are judged.
    pub exim: Room,
    /// Messages of spamd's clients while they are judged.
    pub spamd: Room,
    /// Large messages of spamd's clients from their first octet to the last one of the answer.
    pub spamd_held: Room,
}

impl Default for Rooms {
    fn default() -> Rooms {
        Rooms {
            exim: Room::new(EXIM_OCTETS_MAX),
            spamd: Room::new(SPAMD_OCTETS_MAX),
            spamd_held: Room::new(HELD_OCTETS_MAX),
        }
    }
}

/// Room for so many octets, given in the order in which it is asked for.
#[derive(Debug)]
pub struct Room {
    permits: Arc<Semaphore>,
    permits_max: u32,
    waiting: AtomicUsize,
}

/// A part of a room; dropped, it is free again.
pub type Taken = OwnedSemaphorePermit;

impl Room {
    fn new(octets_max: usize) -> Room {
        let permits_max = u32::try_from(octets_max.div_ceil(PERMIT_OCTETS)).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(usize::try_from(permits_max).unwrap_or(Semaphore::MAX_PERMITS)));
        Room { permits, permits_max, waiting: AtomicUsize::new(0) }
    }

    /// Waits until there is room for so many octets. For more than there can ever be, all of it is waited for.
    /// `None` would mean that there is no room at all any more, which never comes.
    pub async fn take(&self, octets: usize) -> Option<Taken> {
        let permits = u32::try_from(octets.div_ceil(PERMIT_OCTETS)).unwrap_or(u32::MAX).min(self.permits_max);
        if let Ok(taken) = Arc::clone(&self.permits).try_acquire_many_owned(permits) {
            return Some(taken);
        }
        let _waiting = Waiting::new(&self.waiting);
        Arc::clone(&self.permits).acquire_many_owned(permits).await.ok()
    }

    /// Whether somebody waits for it.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts as waiting until it is dropped, also by a deadline.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_waited_for_and_comes_back() {
        let room = Room::new(10 * PERMIT_OCTETS);
        let first = room.take(9 * PERMIT_OCTETS).await;
        let _small = room.take(1).await;
        assert!(timeout(Duration::from_millis(50), room.take(1)).await.is_err());
        assert!(!room.is_wanted(), "who gave up waits no longer");
        drop(first);
        assert!(timeout(Duration::from_millis(50), room.take(9 * PERMIT_OCTETS)).await.is_ok());
    }

    /// One message may be larger than the room: it is judged alone.
    #[tokio::test]
    async fn what_is_too_large_takes_all() {
        let room = Room::new(2 * PERMIT_OCTETS);
        let all = room.take(usize::MAX).await;
        assert!(all.is_some() && timeout(Duration::from_millis(50), room.take(1)).await.is_err());
    }
}
