//! The resolver in use: swapped when the configuration changes, and watched, so that dead DNS is told and not only seen in what was not
//! known about mail.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tidegate_filter::dns::{Question, Reply, Resolver};
use tidegate_filter::known::{Answer, Known};
use tidegate_mail::Domain;

use super::{Config, Dns, NoResolver};

/// Looks in a row that must agree before DNS is said to be dead, or to be back.
const LOOKS: u32 = 2;

/// The resolver in use.
pub struct Live {
    dns: ArcSwap<(Config, Dns)>,
    watch: Mutex<Watch>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    dead_since: Option<Timestamp>,
    /// Looks in a row that spoke against what is believed now.
    against: u32,
}

/// What a look at DNS came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It answers.
    Alive,
    /// It does not answer, or that is to be feared.
    Dead,
    /// It answers again since this look.
    Back,
}

impl Live {
    /// Begins as configured.
    ///
    /// # Errors
    /// As [`Dns::new`].
    pub fn new(config: &Config) -> Result<Live, NoResolver> {
        let dns = ArcSwap::from_pointee((config.clone(), Dns::new(config)?));
        Ok(Live { dns, watch: Mutex::default() })
    }

    /// A resolver for another configuration; `None` if it is the present one.
    ///
    /// # Errors
    /// As [`Dns::new`].
    pub fn prepare(&self, config: &Config) -> Result<Option<(Config, Dns)>, NoResolver> {
        if self.dns.load().0 == *config {
            return Ok(None);
        }
        Ok(Some((config.clone(), Dns::new(config)?)))
    }

    /// Asks `prepared` from now on.
    pub fn swap(&self, prepared: (Config, Dns)) {
        self.dns.store(Arc::new(prepared));
    }

    /// Since when no question is answered.
    pub fn dead_since(&self) -> Option<Timestamp> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).dead_since
    }

    /// Looks whether DNS answers, if there is doubt about it, tells when that changes, and returns what is believed then. What is asked for
    /// is the own name, and one that every resolver can find: neither is in a client's hands.
    pub async fn look(&self, hostname: &Domain, now: Timestamp) -> Seen {
        let dns = self.dns.load_full();
        let is_dead = self.dead_since().is_some();
        let answers = if is_dead || dns.1.is_weak() { dns.1.answers(hostname).await } else { true };
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.against = if answers == is_dead { watch.against + 1 } else { 0 };
        if watch.against < LOOKS {
            return if is_dead || watch.against > 0 { Seen::Dead } else { Seen::Alive };
        }
        watch.against = 0;
        watch.dead_since = (!answers).then_some(now);
        if answers {
            tracing::info!("DNS answers again");
            return Seen::Back;
        }
        tracing::error!("DNS does not answer; mail is judged by what is known without it (see [dns] servers)");
        Seen::Dead
    }
}

impl Resolver for Live {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        let dns = self.dns.load_full();
        Box::pin(async move { dns.1.lookup(question).await })
    }
}
