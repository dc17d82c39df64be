//! What other servers hold against this one, and who causes it.

use serde::Serialize;

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
    /// The same of the last two days of the log. Nothing for `others`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_two_days: Option<Part>,
    /// How many of the refusals were answers to a suspect.
    pub refused_of_suspects: u64,
    /// How many of the deferrals.
    pub deferred_of_suspects: u64,
    /// Who else causes it most, from a tenth of the refusals or of the deferrals on.
    pub caused_by: Vec<Cause>,
}

/// A public blocklist that refusals name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BlocklistRow {
    /// Its name.
    pub name: &'static str,
    /// `addresses` (then this server's is on it), or `domains` (then a name in the mail is).
    pub holds: &'static str,
    /// Recipients refused.
    pub refused: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// First.
    pub first: Option<String>,
    /// Last.
    pub last: Option<String>,
    /// The address that the example names, if it does.
    pub addresses: Vec<String>,
    /// Where to ask that it be lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<&'static str>,
    /// An answer.
    pub example: String,
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
    /// The days after the last one of any case.
    pub after: Part,
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

/// What other servers hold against us.
#[derive(Clone, Debug, Default, Serialize)]
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

/// What one sender was answered in the whole log.
#[derive(Clone, Debug, Serialize)]
pub struct HeardRow {
    /// By whom.
    pub provider: &'static str,
    /// As in [`RefusalRow`], or `other`.
    pub kind: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Recipients given up.
    pub refused: u64,
    /// Attempts deferred.
    pub deferred: u64,
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
