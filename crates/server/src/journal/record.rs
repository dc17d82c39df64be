//! A record, and the keys by which it is found.

use std::net::IpAddr;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use tidegate_filter::policy::{self, Brief};
use tidegate_filter::session::Stage;
use tidegate_filter::verdict::{HeaderEdit, Verdict};
use tidegate_mail::{Address, Domain, ReversePath};

/// Longest subject kept, in octets.
const SUBJECT_OCTETS_MAX: usize = 200;
/// Longest other text kept that a client chose, in octets: a domain name has 255 (RFC 5321 section 4.5.3.1.2).
const TEXT_OCTETS_MAX: usize = 255;

/// Recipients an entry names besides the first record's: they are half of what a flood takes on disk, and the client is what tells.
pub(super) const REPEATED_RECIPIENTS_MAX: usize = 6;

/// What was judged and how. Text in it is hostile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The name by which people find it: session and transaction, `sid.n`. A refusal that is added to an earlier one has the id of that
    /// one.
    pub id: String,
    /// When it was judged.
    pub at: Timestamp,
    /// The SMTP peer; `None` for a local program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// What it called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<String>,
    /// The login, if the client authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The user of a local program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The reverse-path; `None` before MAIL FROM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<ReversePath>,
    /// The MTA's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mta_id: Option<String>,
    /// The Message-ID, without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The subject, decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Octets of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What the policy read; the recipients are here.
    pub brief: Brief,
    /// What it made of it.
    pub verdict: Verdict,
    /// Changes of the header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<HeaderEdit>,
    /// Which program and configuration judged.
    pub engine: String,
    /// How long it took, in microseconds; the journal keeps two digits of it.
    pub duration_us: u64,
    /// Whether the MTA had given up waiting and never heard the verdict: it did what it does without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
}

/// A record as it is stored, with the refusals that were added to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The record: the first, if there were several.
    pub record: Record,
    /// Those that followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
}

/// Further refusals of the same client for the same reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// How many.
    pub count: u64,
    /// When the last one came.
    pub last: Timestamp,
    /// Recipients other than the first record's, up to a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Address>,
}

impl Repeats {
    /// Whether there were no recipients besides the first record's and those named here.
    pub fn names_all(&self) -> bool {
        self.recipients.len() < REPEATED_RECIPIENTS_MAX
    }
}

impl Record {
    /// Recipients, in order; empty before RCPT.
    pub fn recipients(&self) -> impl Iterator<Item = &Address> {
        self.brief.recipients.iter().map(|recipient| &recipient.address)
    }

    /// Makes the verdict again from what the policy read.
    ///
    /// # Errors
    /// The verdict that comes out now, if it is another one: the policy's code has changed since.
    pub fn verify(&self) -> Result<(), Box<Verdict>> {
        let verdict = policy::decide(&self.brief);
        if verdict == self.verdict { Ok(()) } else { Err(Box::new(verdict)) }
    }

    /// Whether this is a refusal that tells no more than the next one of the same client.
    pub(super) fn is_flood(&self) -> bool {
        self.brief.stage < Stage::Data && self.verdict.action.is_refusal()
    }

    /// The same record with every text that a client chose within its limit, its time in milliseconds and its duration in
    /// two digits: what nobody reads takes a twentieth of the disk.
    pub(super) fn bounded(mut self) -> Record {
        self.at = self.at.round(Unit::Millisecond).unwrap_or(self.at);
        self.duration_us = two_digits(self.duration_us);
        let texts = [
            (&mut self.helo, TEXT_OCTETS_MAX),
            (&mut self.login, TEXT_OCTETS_MAX),
            (&mut self.mta_id, TEXT_OCTETS_MAX),
            (&mut self.message_id, TEXT_OCTETS_MAX),
            (&mut self.subject, SUBJECT_OCTETS_MAX),
        ];
        for (text, max) in texts {
            if let Some(text) = text
                && text.len() > max
            {
                text.truncate(text.floor_char_boundary(max));
            }
        }
        self
    }
}

impl Entry {
    /// When the last of it happened.
    pub fn last(&self) -> Timestamp {
        self.repeats.as_ref().map_or(self.record.at, |repeats| repeats.last.max(self.record.at))
    }

    /// Every key under which a query can find it. A query looks for the same words, so what a filter of keys lets through
    /// and what matches cannot drift apart.
    pub(super) fn keys(&self) -> Vec<String> {
        let record = &self.record;
        let mut keys = vec![key::id(&record.id)];
        keys.extend(record.id.split_once('.').map(|(session, _)| key::id(session)));
        keys.extend(record.client.map(key::ip));
        keys.extend(record.mta_id.as_deref().map(key::id));
        keys.extend(record.message_id.as_deref().map(key::message_id));
        keys.extend(record.login.as_deref().map(key::login));
        let ruled = record.verdict.recipients.iter();
        keys.extend(ruled.clone().map(|recipient| key::direction(recipient.direction)));
        if record.unheard {
            keys.push(key::unheard());
        } else {
            keys.push(key::action(record.verdict.action));
            keys.extend(ruled.map(|recipient| key::action(recipient.action)));
        }
        let own = record.brief.recipients.iter().flat_map(|recipient| &recipient.findings);
        keys.extend(record.brief.findings.iter().chain(own).map(|finding| key::symbol(&finding.symbol)));
        let sender = record.sender.as_ref().and_then(ReversePath::address);
        let repeated = self.repeats.iter().flat_map(|repeats| &repeats.recipients);
        for address in sender.into_iter().chain(record.recipients()).chain(repeated) {
            keys.push(key::address(&address.to_string()));
            let mut domain = Some(address.domain().clone());
            while let Some(present) = domain {
                keys.push(key::domain(present.as_str()));
                // A query for a whole top-level domain would find nearly everything.
                domain = present.parent().filter(is_worth_a_key);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// `number` with all digits but the first two made zero.
fn two_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number / unit * unit
}

fn is_worth_a_key(domain: &Domain) -> bool {
    domain.labels().count() > 1
}

/// Words under which records are found. Part of the stored form: never to be changed.
pub(super) mod key {
    use std::net::IpAddr;

    use tidegate_filter::session::Direction;
    use tidegate_filter::verdict::Action;

    pub(in super::super) fn id(id: &str) -> String {
        format!("i {id}")
    }
    pub(in super::super) fn message_id(id: &str) -> String {
        format!("m {id}")
    }
    pub(in super::super) fn ip(ip: IpAddr) -> String {
        format!("p {ip}")
    }
    pub(in super::super) fn login(login: &str) -> String {
        format!("l {}", login.to_lowercase())
    }
    pub(in super::super) fn address(address: &str) -> String {
        format!("a {}", address.to_lowercase())
    }
    pub(in super::super) fn domain(domain: &str) -> String {
        format!("d {}", domain.to_lowercase())
    }
    pub(in super::super) fn action(action: Action) -> String {
        format!("x {action}")
    }
    /// Instead of its actions, none of which happened.
    pub(in super::super) fn unheard() -> String {
        "u".into()
    }
    pub(in super::super) fn direction(direction: Direction) -> String {
        format!("w {direction}")
    }
    pub(in super::super) fn symbol(name: &str) -> String {
        format!("s {}", name.to_uppercase())
    }
}
