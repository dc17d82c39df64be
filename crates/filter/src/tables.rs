//! Every stored table: its name, its owner, what key and value mean, and how long a row lives. Values begin with a version
//! octet; a row of an unknown version reads as absent.

use std::time::Duration;

use crate::store::Table;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// Health of each configured DNS list, owned by `blocklists`: key is the zone, value is the outcome of the last probe.
pub static LIST_HEALTH: Table = Table { name: "list_health", ttl: days(2) };

/// Senders that were greylisted and have not passed yet, owned by `checks::greylist`: key is the party, a zero octet and the
/// recipient; value is when it was first refused.
pub static GREYLIST_WAITING: Table = Table { name: "greylist_waiting", ttl: days(3) };

/// Senders that need not wait any more, owned by `checks::greylist`: key is the party, value is when a message of it was
/// last accepted.
pub static GREYLIST_KNOWN: Table = Table { name: "greylist_known", ttl: days(40) };

/// All tables, for the reference page, the sweep and `tidegate status`.
pub static ALL: &[&Table] = &[&LIST_HEALTH, &GREYLIST_WAITING, &GREYLIST_KNOWN];
