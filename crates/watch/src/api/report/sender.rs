//! Who sends: the lists of a report about senders that are not suspected, or not for that alone.

use serde::Serialize;

/// The figures of one actor.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ActorRow {
    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
    /// Recipients elsewhere that were served or given up.
    pub remote: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Recipients that do not exist.
    pub unknown: u64,
    /// Refusals for spam or reputation.
    pub spam_refusals: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// Recipients in the busiest hour.
    pub peak_hour: u64,
    /// First message.
    pub first: Option<String>,
    /// Last message.
    pub last: Option<String>,
    /// Messages whose arrival can be read in two ways.
    pub doubtful_lines: u64,
}

/// The figures of one account.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AccountRow {
    /// Account or domain.
    pub account: String,
    /// Mailboxes, scripts and users that sent.
    pub actors: u64,
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
}

/// A stranger's host.
#[derive(Clone, Debug, Serialize)]
pub struct HostRow {
    /// Address.
    pub ip: String,
    /// Confirmed name.
    pub name: String,
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
}

/// A day on which somebody sent far more than ever before.
#[derive(Clone, Debug, Serialize)]
pub struct UnusualRow {
    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// The day.
    pub day: String,
    /// Recipients on it.
    pub recipients: u64,
    /// Most recipients on a day before.
    pub most_before: u64,
    /// A sentence.
    pub evidence: String,
}

/// A login used from many networks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NetworksRow {
    /// Login.
    pub login: String,
    /// Account.
    pub account: String,
    /// Networks on one day at the most, about.
    pub networks_a_day: u32,
    /// Whether there was a day with so many networks and so much mail that it counts as a sign.
    pub is_sign: bool,
    /// Recipients.
    pub recipients: u64,
}

/// Somebody who stands out and is not suspected.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClearedRow {
    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// `runs`, `month_end`, `steady`, `forwarder`, `roaming` or `usual`.
    pub class: &'static str,
    /// The suspect of the same account or domain, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_account_as: Option<String>,
    /// Recipients in the whole log.
    pub recipients: u64,
    /// A sentence.
    pub reason: String,
}

/// A message on hold.
#[derive(Clone, Debug, Serialize)]
pub struct FrozenRow {
    /// Queue id.
    pub id: String,
    /// When it came.
    pub since: Option<String>,
    /// Envelope sender.
    pub sender: String,
    /// Subject.
    pub subject: String,
}
