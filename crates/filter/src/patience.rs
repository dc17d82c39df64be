//! How long may be waited: a deadline that facts and checks of a stage share, and a resolver whose patience ends in time for it. What was not
//! answered then is a gap, never a "no".

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dns::{Question, Reply, Resolver};
use crate::known::{Answer, Known, Service, Unavailable};
use crate::world::World;

/// What is kept of a deadline for those who conclude from what DNS did not answer.
const CONCLUDING: Duration = Duration::from_millis(50);

/// By when something has to be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    began: Instant,
    until: Instant,
}

impl Deadline {
    /// `total` from now, but not later than `at_most`.
    pub(crate) fn within(total: Duration, at_most: Option<Instant>) -> Deadline {
        let began = Instant::now();
        let until = at_most.map_or(began + total, |at_most| at_most.min(began + total));
        Deadline { began, until }
    }

    /// When it ends.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// The first of `parts` equal parts of what is left.
    pub(crate) fn first_of(&self, parts: u32) -> Deadline {
        let now = Instant::now();
        let left = self.until.saturating_duration_since(now);
        Deadline { until: now + left / parts, ..*self }
    }

    /// How much is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// `world`, whose DNS answers in time.
    pub(crate) fn world(&self, world: &World) -> World {
        World { dns: Arc::new(Patience::until(Arc::clone(&world.dns), *self)), ..world.clone() }
    }

    /// What is to be said of whoever did not keep it.
    pub(crate) fn overrun(&self) -> String {
        format!("no answer within {} ms", self.until.saturating_duration_since(self.began).as_millis())
    }
}

/// Asks another resolver, until all questions together have taken their time.
pub(crate) struct Patience {
    inner: Arc<dyn Resolver>,
    deadline: Deadline,
    until: Instant,
}

impl Patience {
    /// Waits no longer than `total` from now.
    pub(crate) fn new(inner: Arc<dyn Resolver>, total: Duration) -> Patience {
        let deadline = Deadline::within(total, None);
        Patience { inner, deadline, until: deadline.until }
    }

    fn until(inner: Arc<dyn Resolver>, deadline: Deadline) -> Patience {
        let until = deadline.until - CONCLUDING.min(deadline.left() / 4);
        Patience { inner, deadline, until }
    }
}

impl Resolver for Patience {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(async move {
            match timeout_at(self.until, self.inner.lookup(question)).await {
                Ok(answer) => answer,
                Err(_elapsed) => {
                    Err(Unavailable::new(Service::Dns, format!("{question}: {}", self.deadline.overrun())))
                }
            }
        })
    }
}
