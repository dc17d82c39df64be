//! A resolver whose patience ends: so the identities of a message are told in time, and what was not answered is a gap, never a "no".

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dns::{Question, Reply, Resolver};
use crate::known::{Answer, Known, Service, Unavailable};

/// Asks `inner`, until all questions together have taken their time.
pub(crate) struct Patience<'w> {
    inner: &'w dyn Resolver,
    total: Duration,
    until: Instant,
}

impl<'w> Patience<'w> {
    /// Waits no longer than `total` from now.
    pub(crate) fn new(inner: &'w dyn Resolver, total: Duration) -> Patience<'w> {
        Patience { inner, total, until: Instant::now() + total }
    }
}

impl Resolver for Patience<'_> {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(async move {
            match timeout_at(self.until, self.inner.lookup(question)).await {
                Ok(answer) => answer,
                Err(_elapsed) => {
                    let cause = format!("{question}: no answer within {} ms", self.total.as_millis());
                    Err(Unavailable::new(Service::Dns, cause))
                }
            }
        })
    }
}
