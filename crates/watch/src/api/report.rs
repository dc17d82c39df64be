//! Reports as programs get them. Field names are stable; texts from the log are hostile wherever they are shown.

use serde::Serialize;

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
    /// Messages whose arrival can be read in two ways, because the sender imitates log fields.
    pub doubtful_lines: u64,
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
    /// Messages of the busiest hour.
    pub samples: Vec<Sample>,
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
    /// Recipients on suspect days.
    pub recipients: u64,
    /// Recipients elsewhere that got it.
    pub delivered: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Recipients since then on days that are not suspect.
    pub usual_recipients: u64,
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
    /// the busiest first, with those of `usual_clients` up to 64.
    pub clients: Vec<Client>,
    /// The same of networks that had been used before: probably the owner.
    pub usual_clients: Vec<Client>,
    /// Whether there were more.
    pub has_more_clients: bool,
    /// Whether the log began long enough before the case to tell networks that are new from those that are not.
    pub are_networks_known: bool,
    /// Other mailboxes that were used from the same addresses, on their busiest day or their last one, with their recipients; up to 10.
    pub also_used: Vec<Count>,
    /// How many of `clients` failed to log in with several names.
    pub tried_others: u64,
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
    /// Addresses that failed on the day of the last failure before it succeeded and on the day before that, up to 64.
    pub addresses: Vec<String>,
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
    /// Recipients in the whole log.
    pub recipients: u64,
    /// A sentence.
    pub reason: String,
}

/// A provider that holds this server's own address for bad.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BlockRow {
    /// Who.
    pub provider: &'static str,
    /// The addresses of this server that it names, up to 4.
    pub addresses: Vec<String>,
    /// Recipients refused for it.
    pub refused: u64,
    /// Attempts deferred for it.
    pub deferred: u64,
    /// Recipients at this provider that were served in the whole log.
    pub delivered: u64,
    /// Recipients at this provider that were served after the last refusal or deferral. Nothing for `others`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_since: Option<u64>,
    /// First.
    pub first: Option<String>,
    /// Last.
    pub last: Option<String>,
    /// Whether it was said within the last 24 hours of the log.
    pub is_at_end: bool,
    /// Where to ask that it be lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// An answer.
    pub example: String,
    /// What became of mail for this provider before the first case and since; nothing where nobody is suspected, and for `others`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around_case: Option<AroundCase>,
    /// The same of the last seven days of the log. Nothing for `others`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lately: Option<Part>,
    /// Whether it was said on the first day of the log already.
    pub is_from_begin: bool,
    /// Who causes it most, from a tenth of the refusals or of the deferrals on.
    pub caused_by: Vec<Cause>,
}

/// What became of mail for one provider before a case and since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AroundCase {
    /// The first day of the case.
    pub day: String,
    /// Days of the log before it.
    pub before: Part,
    /// That day and those after it.
    pub since: Part,
}

/// What became of mail for one provider on some days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Days of the calendar.
    pub days: u64,
    /// Recipients refused for this server's bad reputation.
    pub refused: u64,
    /// Attempts deferred for it.
    pub deferred: u64,
    /// Recipients served.
    pub delivered: u64,
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
#[derive(Clone, Debug, Serialize)]
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

/// What other servers hold against us.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalRow {
    /// Who said it.
    pub provider: &'static str,
    /// `spam`, `reputation`, `rate`, `authentication`, `reverse_dns`, `unknown_recipient`, `recipient_limit`, `malware`,
    /// `greylist` or `policy`.
    pub kind: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// Refusals.
    pub refused: u64,
    /// Deferrals.
    pub deferred: u64,
    /// First.
    pub first: Option<String>,
    /// Last.
    pub last: Option<String>,
    /// An answer.
    pub example: String,
    /// Who causes it most, from a tenth of the refusals or of the deferrals on.
    pub caused_by: Vec<Cause>,
}

/// The same answer of all servers together.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MeaningRow {
    /// As in [`RefusalRow`].
    pub kind: &'static str,
    /// Refusals.
    pub refused: u64,
    /// Deferrals.
    pub deferred: u64,
    /// Who causes it most, from a tenth of the refusals or of the deferrals on.
    pub caused_by: Vec<Cause>,
}

/// One who causes refusals.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// How often.
    pub times: u64,
    /// How many of these were refusals.
    pub refused: u64,
    /// How many were deferrals.
    pub deferred: u64,
}

/// Somebody who attacks, or a login under attack.
#[derive(Clone, Debug, Serialize)]
pub struct AttackerRow {
    /// `guessing`, `slow_guessing`, `spraying`, `distributed`, `dictionary` or `relay`.
    pub kind: &'static str,
    /// Address of the attacker; of a distributed attack the login.
    pub who: String,
    /// Attempts.
    pub times: u64,
    /// Login names tried, up to 64.
    pub names: u64,
    /// Hours in which it was active.
    pub hours: u64,
    /// Addresses that took part in a day, up to 64.
    pub addresses: u64,
    /// First attempt.
    pub first: Option<String>,
    /// Last attempt.
    pub last: Option<String>,
    /// When a login succeeded from there, or with that name from where it had failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
    /// The login that succeeded, or in whose guessing this address took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Whether that login is among the suspects.
    pub is_suspect: bool,
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

/// Percentiles of recipients over the hours or days in which anything was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half of them had no more.
    pub half: u64,
    /// 95 of 100 had no more.
    pub p95: u64,
    /// 99 of 100 had no more.
    pub p99: u64,
    /// The most.
    pub most: u64,
}

/// Use of one actor, and limits that fit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LimitRow {
    /// `account`, or `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Account, login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// Days on which it sent.
    pub active_days: u64,
    /// Days left out because it was suspect on them.
    pub days_left_out: u64,
    /// Recipients an hour.
    pub hour: Spread,
    /// Recipients a day.
    pub day: Spread,
    /// Most recipients of one message.
    pub recipients_a_message: u64,
    /// Recipients an hour that fit.
    pub hourly_limit: u64,
    /// Recipients a day that fit.
    pub daily_limit: u64,
}

/// A name and how often.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// What was counted.
    pub name: String,
    /// How often.
    pub times: u64,
}

/// The answer to `who`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Answer {
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
    /// Recipients served.
    pub delivered: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Refusals for spam or reputation.
    pub spam_refusals: u64,
    /// Logins to read mail.
    pub logins: u64,
    /// Failed logins and other misdeeds.
    pub offences: u64,
    /// First message.
    pub first: Option<String>,
    /// Last message.
    pub last: Option<String>,
    /// Recipients by day.
    pub by_day: Vec<Count>,
    /// How they were sent.
    pub ways: Vec<Count>,
    /// Addresses they were sent from.
    pub clients: Vec<Count>,
    /// The first messages.
    pub examples: Vec<Sample>,
}
