//! What was asked for and came, or could not be known: the answer of everything outside.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

/// What an asynchronous trait method of this crate returns; boxed so that the traits stay object safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A fact that had to be asked for. `Err` is "could not know" and never stands for "no".
pub type Known<T> = Result<T, Unavailable>;

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
