//! Every stored table: its name, its owner, what key and value mean, and how long a row lives. Values begin with a version
//! octet; a row of an unknown version reads as absent.

use std::time::Duration;

use crate::store::Table;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// Health of each configured DNS list, owned by `blocklists`: key is the zone, value is the outcome of the last probe.
pub static LIST_HEALTH: Table = Table { name: "list_health", ttl: days(2) };

/// All tables, for the reference page, the sweep and `tidegate status`.
pub static ALL: &[&Table] = &[&LIST_HEALTH];
