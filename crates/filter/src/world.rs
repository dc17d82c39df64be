//! Everything a check may ask of the outside: clock, DNS, stored state, and what the hosting panel knows. A test supplies
//! all of it as a file; the server supplies the real things.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dns::Resolver;
use crate::panel::Panel;
use crate::store::Store;

/// What an asynchronous trait method of this crate returns; boxed so that the traits stay object safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A fact that had to be asked for. `Err` is "could not know" and never stands for "no".
pub type Known<T> = Result<T, Unavailable>;

/// The outside, as far as the judgement may see it.
#[derive(Clone)]
pub struct World {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The only door to DNS.
    pub dns: Arc<dyn Resolver>,
    /// Stored state: see `tables.rs` for every table.
    pub store: Arc<dyn Store>,
    /// Hosted domains, accounts, mailboxes and forwarders.
    pub panel: Arc<dyn Panel>,
}

/// What time it is.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A service outside that a check depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Name resolution.
    Dns,
    /// The store of state.
    Store,
    /// What the panel says about hosted domains.
    Panel,
    /// The check itself: it panicked or overran its deadline.
    Check,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Dns => "dns",
            Service::Store => "store",
            Service::Panel => "panel",
            Service::Check => "check",
        })
    }
}

/// A service gave no answer: "could not know". Policy decides what follows (`on_unavailable`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{service}: {cause}")]
pub struct Unavailable {
    /// Who did not answer.
    pub service: Service,
    /// What was asked and what came instead, for people.
    pub cause: String,
}

impl Unavailable {
    /// `service` did not answer because of `cause`.
    pub fn new(service: Service, cause: impl Into<String>) -> Unavailable {
        Unavailable { service, cause: cause.into() }
    }
}
