//! Every stored table: its name, its owner, what key and value mean, and how long a row lives. Values begin with a version
//! octet; a row of an unknown version reads as absent.

use std::time::Duration;

use crate::store::Table;

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// Health of each configured DNS list, owned by `blocklists`: key is the zone, value is the outcome of the last probe.
pub static LIST_HEALTH: Table = Table { name: "list_health", ttl: days(2) };

/// Senders that were greylisted and have not passed yet, owned by `checks::greylist`: key is the party, a zero octet and the
/// recipient; value is when it was first refused.
pub static GREYLIST_WAITING: Table = Table { name: "greylist_waiting", ttl: days(3) };

/// Senders that need not wait any more, owned by `checks::greylist`: key is the party, value is when a message of it was
/// last accepted.
pub static GREYLIST_KNOWN: Table = Table { name: "greylist_known", ttl: days(40) };

/// Spam of each sender, owned by `reputation`: key is the subject (`address 192.0.2.7`, `network 192.0.2.0/24`,
/// `domain example.org`), value is a counter within [`reputation::WINDOW`](crate::reputation::WINDOW).
pub static REPUTATION_SPAM: Table = Table { name: "reputation_spam", ttl: days(14) };

/// Mail of each sender that was accepted as it was; otherwise as [`REPUTATION_SPAM`].
pub static REPUTATION_HAM: Table = Table { name: "reputation_ham", ttl: days(14) };

/// Connections of each client network, owned by `checks::rate`: key is the network (`network 192.0.2.0/24`), value is where
/// its rate stands.
pub static CONNECTIONS: Table = Table { name: "connections", ttl: hours(2) };

/// Recipients that did not exist, by the network that asked for them, owned by `checks::rate`: value is a counter.
pub static UNKNOWN_RECIPIENTS: Table = Table { name: "unknown_recipients", ttl: hours(2) };

/// The watch over the logs, owned by `server::log_watch`: key is `file` and a path, or `picture`; value is where reading stands
/// in that log with what was counted, or all open messages with the state of the detectors.
pub static LOG_WATCH: Table = Table { name: "log_watch", ttl: days(40) };

/// Alerts of the watch over the logs, owned by `server::log_watch`: key is the time, kind and subject, value is the alert.
pub static LOG_ALERTS: Table = Table { name: "log_alerts", ttl: days(30) };

/// All tables, for the reference page, the sweep and `tidegate status`.
pub static ALL: &[&Table] = &[
    &LIST_HEALTH,
    &GREYLIST_WAITING,
    &GREYLIST_KNOWN,
    &REPUTATION_SPAM,
    &REPUTATION_HAM,
    &CONNECTIONS,
    &UNKNOWN_RECIPIENTS,
    &LOG_WATCH,
    &LOG_ALERTS,
];
