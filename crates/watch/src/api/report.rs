//! Reports as programs get them. Field names are stable; texts from the log are hostile wherever they are shown.

use serde::Serialize;

mod answer;
mod attacker;
mod limit;
mod sender;
mod standing;
mod suspect;

pub use answer::Answer;
pub use attacker::AttackerRow;
pub use limit::{LimitRow, Spread};
pub use sender::{AccountRow, ActorRow, ClearedRow, FrozenRow, HostRow, NetworksRow, UnusualRow};
pub use standing::{AroundCase, BlockRow, BlocklistRow, Cause, HeardRow, MeaningRow, Part, RefusalRow};
pub use suspect::{Case, Client, Forwards, Guessing, Pattern, Sample, Signal, Suspect, TimelineHour};

/// Version of the form.
pub const VERSION: u32 = 1;

/// Everything a report says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Version of the form.
    pub version: u32,
    /// Time of the first line.
    pub from: Option<String>,
    /// Time of the last line.
    pub until: Option<String>,
    /// Days of the calendar that the log covers.
    pub days: i64,
    /// Sums.
    pub totals: Totals,
    /// Lines of each program.
    pub programs: Programs,
    /// What made room.
    pub forgotten: Forgotten,
    /// What happened in each hour, oldest first, the newest 9600 hours at most.
    pub by_hour: Vec<HourRow>,
    /// Who is probably compromised, the gravest first.
    pub suspects: Vec<Suspect>,
    /// Who was looked at and is not suspected, and why.
    pub cleared: Vec<ClearedRow>,
    /// Providers that hold this server's own address for bad.
    pub blocks: Vec<BlockRow>,
    /// Public blocklists that refusals name. Nothing where only one account is looked at.
    pub blocklists: Vec<BlocklistRow>,
    /// Mailboxes that send most.
    pub top_mailboxes: Vec<ActorRow>,
    /// Scripts and local users that send most.
    pub top_scripts: Vec<ActorRow>,
    /// Addresses that forward most to elsewhere.
    pub top_forwarders: Vec<ActorRow>,
    /// Hosts that send most to elsewhere through us without a login.
    pub top_relays: Vec<ActorRow>,
    /// Accounts that send most.
    pub top_accounts: Vec<AccountRow>,
    /// Strangers' hosts that send most to us.
    pub top_hosts: Vec<HostRow>,
    /// Days on which somebody sent far more than ever before.
    pub unusual: Vec<UnusualRow>,
    /// Logins used from many networks.
    pub many_networks: Vec<NetworksRow>,
    /// Who has most recipients that do not exist.
    pub bounces: Vec<ActorRow>,
    /// What other servers hold against us, and who causes it.
    pub refusals: Vec<RefusalRow>,
    /// The same, of all servers together.
    pub meanings: Vec<MeaningRow>,
    /// Who attacks.
    pub attackers: Vec<AttackerRow>,
    /// Messages on hold.
    pub frozen: Vec<FrozenRow>,
}

/// Sums over the whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Lines read.
    pub lines: u64,
    /// Lines in no known form.
    pub unknown_lines: u64,
    /// Arrivals and failed logins that can be read in two ways, because a sender imitates log fields, or that a local user may have
    /// invented. Nothing is held against anybody because of them.
    pub doubtful_lines: u64,
    /// Lines that a local user invented, by the name of a folder.
    pub invented_lines: u64,
    /// Messages that came in.
    pub messages: u64,
    /// Recipients served.
    pub delivered: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Recipients whose mail was thrown away on purpose.
    pub discarded: u64,
    /// Refusals by policy.
    pub refused: u64,
    /// Refusals of strangers who asked to relay.
    pub relay_attempts: u64,
    /// Logins that failed.
    pub auth_failures: u64,
    /// Messages that were put on hold.
    pub frozen: u64,
    /// Messages that were still in the queue at the end of the log.
    pub unfinished: u64,
    /// Messages of these that were on hold.
    pub frozen_now: u64,
    /// Messages let go because too many were open.
    pub lost_messages: u64,
    /// Lines about messages whose arrival is not in the log.
    pub orphans: u64,
}

/// Lines of each program whose logs were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Programs {
    pub exim: u64,
    pub postfix: u64,
    pub dovecot: u64,
    pub webmail: u64,
}

/// What made room, since memory is bounded however large the logs are: those that did least. Who came back afterwards is counted
/// from then on, so its figures are at least what is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Mailboxes, scripts, users and forwarders.
    pub senders: u64,
    /// Hosts of strangers.
    pub hosts: u64,
    /// Addresses that did something wrong.
    pub addresses: u64,
    /// Names at which a login failed.
    pub logins: u64,
    /// Days, before a sender's last one, of which every hour is known; of earlier ones the busiest hours.
    pub hourly_days: u32,
    /// Days, before a sender's last one, that are known by day; earlier ones only as a sum.
    pub daily_days: u32,
}

/// What happened in one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HourRow {
    /// When it began, in the log's local time.
    pub hour: String,
    /// Messages that came in.
    pub messages: u64,
    /// Recipients served.
    pub delivered: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Refusals by policy.
    pub refused: u64,
    /// Logins that failed.
    pub auth_failures: u64,
}

/// A name and how often.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// What was counted.
    pub name: String,
    /// How often.
    pub times: u64,
}
