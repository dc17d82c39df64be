//! CPU work beside the threads that answer: reading and matching a large message must not hold up an envelope.

use std::panic::resume_unwind;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Up to so many octets of a message, work is done where it is asked for: handing it over and waking who waits takes as long as the
/// work itself. What a hostile message of this size can cost is bounded by the limits of parsing and matching.
const IN_PLACE_OCTETS_MAX: usize = 64 * 1024;

/// Whether work on so many octets of a message may be done where it is asked for. Where the runtime has one thread only, nobody else
/// waits.
pub fn in_place(octets: usize) -> bool {
    let is_shared = || Handle::try_current().is_ok_and(|now| now.runtime_flavor() == RuntimeFlavor::MultiThread);
    octets <= IN_PLACE_OCTETS_MAX || !is_shared()
}

/// Does `work` on so many `octets` of a message, in place or on the runtime's pool for work that blocks.
pub async fn aside<T: Send + 'static>(octets: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if in_place(octets) {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and whoever waits here with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}
