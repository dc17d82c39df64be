//! What is to happen: a reply to the client, and an action for each recipient. Data only; the server carries it out.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, Score};

use crate::check::Evidence;
use crate::session::{Direction, Stage};

/// What happens to the message for one recipient, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Delivered as it is.
    Accept,
    /// Delivered, marked as spam.
    Tag,
    /// Refused for now: an unknown, suspicious sender has to come again.
    Greylist,
    /// Refused for now: a limit, or something that could not be known.
    Defer,
    /// Accepted, kept back, listed, and released by a person.
    Quarantine,
    /// Refused.
    Reject,
    /// Refused, and the connection is closed.
    Drop,
}

impl Action {
    /// Whether the client is told that the message (or recipient) was not taken.
    pub fn is_refusal(self) -> bool {
        matches!(self, Action::Greylist | Action::Defer | Action::Reject | Action::Drop)
    }

    /// Whether the message was judged to be spam.
    pub fn is_spam(self) -> bool {
        matches!(self, Action::Tag | Action::Quarantine | Action::Reject | Action::Drop)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Action::Accept => "accept",
            Action::Tag => "tag",
            Action::Greylist => "greylist",
            Action::Defer => "defer",
            Action::Quarantine => "quarantine",
            Action::Reject => "reject",
            Action::Drop => "drop",
        })
    }
}

/// An SMTP reply (RFC 5321 section 4.2, RFC 3463): `550 5.7.1 text`. The text is printable and one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Three digits; 250 means that the MTA gives its own reply.
    pub code: u16,
    /// Enhanced status code, `5.7.1`.
    pub enhanced: String,
    /// For the person who reads the bounce.
    pub text: String,
}

impl Reply {
    /// The MTA goes on and gives its own reply.
    pub fn ok() -> Reply {
        Reply { code: 250, enhanced: "2.0.0".into(), text: "ok".into() }
    }

    /// A reply of `code` and `enhanced`; `text` is escaped and bounded as evidence is.
    pub fn new(code: u16, enhanced: &str, text: &str) -> Reply {
        Reply { code, enhanced: enhanced.into(), text: Evidence::from(text).as_str().into() }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)
    }
}

/// What is to happen at one stage. The same [`Brief`](crate::policy::Brief) gives the same verdict, bit for bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The stage the verdict is for.
    pub stage: Stage,
    /// What the client is told, as an action: the mildest over all recipients.
    pub action: Action,
    /// What the client is told, in words.
    pub reply: Reply,
    /// What happens for each recipient; empty before RCPT, one at RCPT, all of them at DATA.
    pub recipients: Vec<RecipientVerdict>,
}

/// What happens for one recipient, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientVerdict {
    /// The recipient.
    pub address: Address,
    /// Which way the message goes for it.
    pub direction: Direction,
    /// Which policy applied.
    pub policy: String,
    /// The sum of all findings, capped by group.
    pub score: Score,
    /// What happens.
    pub action: Action,
    /// The one reason that decided, in words.
    pub reason: String,
    /// When a greylisted sender will be let in.
    pub until: Option<Timestamp>,
}

/// A change of the message's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderEdit {
    /// Puts a field before all others.
    Add {
        /// Field name.
        name: String,
        /// Value on one line, without the line end.
        value: String,
    },
    /// Removes every field of this name. An MTA cannot remove one of several, so foreign fields that must stay are put back.
    RemoveAll {
        /// Field name.
        name: String,
    },
    /// Puts a field before all others for these recipients alone, in the place of the one of that name that the message got.
    AddFor {
        /// Field name.
        name: String,
        /// Value on one line, without the line end.
        value: String,
        /// Whose copies of the message get it.
        recipients: Vec<Address>,
    },
    /// Puts back a field that came with the message, below the trace fields of the last servers; several in order.
    PutBack {
        /// Field name.
        name: String,
        /// Value on one line, without the line end.
        value: String,
    },
}
