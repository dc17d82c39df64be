//! CPU work beside the threads that answer: reading and matching a large message must not hold up an envelope.

use std::panic::resume_unwind;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does `work` on the runtime's pool for work that blocks. Where the runtime has one thread only, nobody else waits, and the work is
/// done in place.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let is_shared = Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    if !is_shared {
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
