//! Limits that an administrator set: recipients within an hour, within a day and of one message. What goes beyond is told; nothing
//! is held here. An hour and a day are those that end now, not those of the clock.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outbound::subject;
use super::table::{Quiet, Row, Table, Window};
use super::{Alert, AlertKind, Subject};
use crate::event::Outcome;
use crate::report::Actor;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};
use crate::transaction::Step;

/// What one may send, in recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
pub struct Limit {
    /// Within an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<NonZeroU32>,
    /// Within a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<NonZeroU32>,
    /// Of one message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_message: Option<NonZeroU32>,
}

/// A limit, in recipients.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Within an hour.
    per_hour: Option<NonZeroU32>,
    /// Within a day.
    per_day: Option<NonZeroU32>,
    /// Of one message.
    per_message: Option<NonZeroU32>,
}

impl TryFrom<Written> for Limit {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Limit, &'static str> {
        let Written { per_hour, per_day, per_message } = written;
        if per_hour.or(per_day).or(per_message).is_none() {
            return Err("this limits nothing; name per_hour, per_day or per_message");
        }
        if per_hour.zip(per_day).is_some_and(|(hour, day)| hour > day) {
            return Err("per_hour is more than per_day, so it would never be reached");
        }
        Ok(Limit { per_hour, per_day, per_message })
    }
}

/// Who has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// All mailboxes, scripts and forwarding addresses of an account together.
    Account,
    /// A login.
    Mailbox,
    /// A folder or script of a local user.
    Script,
    /// A local user by an unknown program.
    User,
    /// An address that forwards.
    Forwarder,
    /// A host that sends to elsewhere through us without a login.
    Relay,
}

impl Holder {
    fn of(actor: &Actor) -> Holder {
        match actor {
            Actor::Mailbox(_) => Holder::Mailbox,
            Actor::Script { .. } => Holder::Script,
            Actor::User(_) => Holder::User,
            Actor::Forwarder(_) => Holder::Forwarder,
            Actor::Relay(_) => Holder::Relay,
        }
    }

    /// Whether its names are addresses, which are the same in capitals.
    fn is_address(self) -> bool {
        matches!(self, Holder::Mailbox | Holder::Forwarder)
    }
}

/// All limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<Holder, BTreeMap<Box<str>, Limit>>);

impl Limits {
    /// Sets the limit of `name`; a former one is replaced.
    pub fn set(&mut self, holder: Holder, name: &str, limit: Limit) {
        let name = if holder.is_address() { name.to_ascii_lowercase() } else { name.to_owned() };
        self.0.entry(holder).or_default().insert(name.into(), limit);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    fn of(&self, holder: Holder, name: &str) -> Option<&Limit> {
        self.0.get(&holder)?.get(name)
    }
}

/// What each who has a limit sent lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Use {
    rows: Table<String, Used>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Used {
    last: Timestamp,
    hour: Window,
    day: Window,
    told_hour: Quiet,
    told_day: Quiet,
    told_message: Quiet,
}

impl Row for Used {
    fn last(&self) -> Timestamp {
        self.last
    }
}

/// What is counted at once.
#[derive(Clone, Copy)]
struct Sent {
    time: Timestamp,
    recipients: u32,
    /// Whether they are all those of one message.
    is_message: bool,
}

impl Use {
    /// Takes one step of a message; `owner` tells whose a domain is, where that is known.
    pub fn step(&mut self, step: &Step<'_, '_>, limits: &Limits, owner: impl Fn(&str) -> Option<String>) -> Vec<Alert> {
        if limits.0.is_empty() {
            return Vec::new();
        }
        let Some((actor, sent)) = sent(step) else { return Vec::new() };
        let mut alerts = Vec::new();
        let holder = Holder::of(&actor);
        if let Some(limit) = limits.of(holder, actor.name()) {
            let used = self.rows.row(key(holder, actor.name()));
            used.count(sent, limit, &subject(&actor), &mut alerts);
        }
        if limits.0.contains_key(&Holder::Account) {
            let account = actor.account_by(owner);
            if let Some(limit) = limits.of(Holder::Account, &account) {
                let used = self.rows.row(key(Holder::Account, &account));
                used.count(sent, limit, &Subject::Account(account), &mut alerts);
            }
        }
        alerts
    }
}

/// The name of a row; a stored table has texts for names.
fn key(holder: Holder, name: &str) -> String {
    let kind = match holder {
        Holder::Account => "account",
        Holder::Mailbox => "mailbox",
        Holder::Script => "script",
        Holder::User => "user",
        Holder::Forwarder => "forwarder",
        Holder::Relay => "relay",
    };
    format!("{kind} {name}")
}

/// Recipients count when their message comes in; where the log does not name them, or the message only passes through, when they
/// are served or given up.
fn sent(step: &Step<'_, '_>) -> Option<(Actor, Sent)> {
    match step {
        Step::Arrived(message) if !message.is_doubtful => {
            let sent = Sent { time: message.arrived?, recipients: message.recipients, is_message: true };
            Actor::of(message).filter(|_| sent.recipients > 0).map(|actor| (actor, sent))
        }
        Step::Outcome(message, delivery) if !message.is_doubtful && delivery.outcome != Outcome::Deferred => {
            let actor = Actor::of_delivery(message, delivery)?;
            let passes = matches!(actor, Actor::Forwarder(_) | Actor::Relay(_));
            let sent = Sent { time: message.arrived?, recipients: 1, is_message: false };
            (passes || message.recipients == 0).then_some((actor, sent))
        }
        _ => None,
    }
}

impl Used {
    fn count(&mut self, sent: Sent, limit: &Limit, subject: &Subject, alerts: &mut Vec<Alert>) {
        let Sent { time, recipients, is_message } = sent;
        self.last = self.last.max(time);
        let hour = self.hour.add(time, HOUR_MS, recipients);
        let day = self.day.add(time, DAY_MS, recipients);
        let message = if is_message { recipients } else { 0 };
        for (count, limit, told, length_ms, within) in [
            (message, limit.per_message, &mut self.told_message, HOUR_MS, "of one message"),
            (hour, limit.per_hour, &mut self.told_hour, HOUR_MS, "within an hour"),
            (day, limit.per_day, &mut self.told_day, DAY_MS, "within a day"),
        ] {
            if let Some(limit) = limit
                && count > limit.get()
                && told.pass(time, length_ms)
            {
                let evidence = format!("{count} recipients {within}, and the limit is {limit}; nothing is held");
                let kind = AlertKind::OverLimit;
                alerts.push(Alert { kind, subject: subject.clone(), time, times: count, evidence });
            }
        }
    }
}
