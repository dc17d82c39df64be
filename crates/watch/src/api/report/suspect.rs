//! Somebody who is probably compromised: why, how it stands at the end of the log, hour by hour.

use serde::Serialize;

use super::{Count, HeardRow};

/// Somebody who is probably compromised.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Suspect {
    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// Domains of the account, where the panel tells them, up to 5.
    pub domains: Vec<String>,
    /// The local user that runs a script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_user: Option<String>,
    /// Sum of the signals' weights.
    pub score: u32,
    /// The day for which the signals stand.
    pub worst_day: String,
    /// First suspect day.
    pub since: Option<String>,
    /// Last suspect day.
    pub until: Option<String>,
    /// Recipients since then.
    pub recipients: u64,
    /// How the intruder came in, as far as the log tells.
    pub entered_by: String,
    /// The address from which the password was guessed, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_from: Option<String>,
    /// How it stands at the end of the log.
    pub case: Case,
    /// Why.
    pub signals: Vec<Signal>,
    /// Recipients of each day on which anything was sent, within the whole log.
    pub by_day: Vec<Count>,
    /// Hours from the day before on.
    pub timeline: Vec<TimelineHour>,
    /// Messages of one of the busiest hours.
    pub samples: Vec<Sample>,
    /// What it was answered in the whole log, by reason and provider; the first 24 of them.
    pub refusals: Vec<HeardRow>,
}

/// How a compromise stands at the end of the log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Case {
    /// How sure it is: `very_sure`, `sure` or `probable`.
    pub certainty: &'static str,
    /// The hour in which the sending began, in local time.
    pub began: Option<String>,
    /// The end of its last hour, in local time.
    pub ended: Option<String>,
    /// The minute of the first message in its first hour, in local time, where it is known; of a mailbox the first from a network that is
    /// new to its domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_message: Option<String>,
    /// The minute of the last message in its last hour, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<String>,
    /// Recipients on suspect days.
    pub recipients: u64,
    /// Recipients elsewhere that got it.
    pub delivered: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Recipients since then on days that are not suspect.
    pub usual_recipients: u64,
    /// How many of these in hours in which no network was used that was used in the case and is not the owner's; 0 where that says
    /// nothing, as of scripts.
    pub usual_apart: u64,
    /// How many of these in hours in which a network was used that may be one of the case's; 0 where the case used so many networks that
    /// this says nothing.
    pub usual_alike: u64,
    /// What goes on from a mailbox's address to elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards: Option<Forwards>,
    /// Messages of this sender in the queue at the end of the log.
    pub waiting: u64,
    /// Messages of these that were on hold.
    pub frozen: u64,
    /// `active`, `recurring` (it came on several days, and lately) or `quiet`.
    pub at_end: &'static str,
    /// Hours of log after the end.
    pub quiet_hours: u64,
    /// When it recurs at the same time of day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// What was concluded and is not said in the log.
    pub inferred: Vec<String>,
    /// Failed logins of a mailbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guessing: Option<Guessing>,
    /// Addresses from which a mailbox was used on its busiest suspect day, of networks that its domain had not used before;
    /// the busiest first, with those of `usual_clients` and `own_clients` up to 64.
    pub clients: Vec<Client>,
    /// The same of networks that had been used before: probably the owner.
    pub usual_clients: Vec<Client>,
    /// The same of this server itself and the network in which it stands, such as a webmail's: nobody is to block them.
    pub own_clients: Vec<Client>,
    /// Whether the password was guessed from such an address.
    pub is_entry_own: bool,
    /// Whether there were more.
    pub has_more_clients: bool,
    /// Whether the log began long enough before the case to tell networks that are new from those that are not.
    pub are_networks_known: bool,
    /// Other mailboxes that were used from the same addresses, on their busiest day or their last one, with their recipients; up to 10.
    pub also_used: Vec<Count>,
    /// How many of `clients` failed to log in under other names.
    pub tried_others: u64,
}

/// Mail to a mailbox's address that is forwarded to elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forwards {
    /// Recipients elsewhere, within the whole log.
    pub recipients: u64,
    /// The first day on which any was forwarded within the log, in local time.
    pub since: String,
    /// The last one.
    pub last: String,
}

/// Hours that come again each day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pattern {
    /// The hour of the day in which it begins, in local time.
    pub from_hour: u32,
    /// The hour of the day before which it ends.
    pub until_hour: u32,
    /// Days on which it came at this time.
    pub days: u64,
    /// Days from the first to the last of them.
    pub of_days: u64,
    /// When it is to be expected next, in local time; nothing if it did not come when it was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An address from which a mailbox was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Client {
    /// The address.
    pub name: String,
    /// Recipients.
    pub times: u64,
    /// When it sent first on that day, in local time.
    pub first: String,
    /// When it sent last.
    pub last: String,
}

/// Failed logins of one name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Guessing {
    /// How many.
    pub failures: u64,
    /// First.
    pub first: Option<String>,
    /// Last.
    pub last: Option<String>,
    /// When a login succeeded from where it had failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
    /// Failures on the day of the last one before that and on the day before it; 0 if none succeeded.
    pub failures_shortly_before: u64,
    /// What nine in ten other mailboxes under attack do not exceed in two days; nothing where too few are attacked to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_usual: Option<u64>,
    /// Failures after that.
    pub failures_since: u64,
    /// Whether it was still tried on the last day of the log.
    pub is_going_on: bool,
    /// Addresses that failed on the day of the last failure before it succeeded and on the day before that, up to 64, without those of
    /// this server and its network.
    pub addresses: Vec<String>,
}

/// One reason for a suspicion.
#[derive(Clone, Debug, Serialize)]
pub struct Signal {
    /// A stable name.
    pub name: &'static str,
    /// A sentence.
    pub evidence: String,
}

/// One hour of a suspect.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineHour {
    /// When it began, in the log's local time.
    pub hour: String,
    /// Recipients.
    pub recipients: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Networks used, about.
    pub networks: u64,
}

/// A message as an example.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// Queue id.
    pub id: String,
    /// When it came.
    pub time: Option<String>,
    /// Number of its file.
    pub file: u32,
    /// Number of its line.
    pub line: u64,
    /// Envelope sender.
    pub sender: String,
    /// Subject.
    pub subject: String,
    /// Address of the client.
    pub client_ip: Option<String>,
}
