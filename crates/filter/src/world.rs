//! Everything a check may ask of the outside: clock, DNS, stored state, and what the hosting panel knows. A test supplies
//! all of it as a file; the server supplies the real things.

use std::sync::Arc;

use jiff::Timestamp;

use crate::dns::Resolver;
use crate::panel::Panel;
use crate::store::Store;

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
