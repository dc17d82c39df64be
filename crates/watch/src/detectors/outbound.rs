//! Our own senders: floods against their own past, logins from many or new networks, bursts of scripts, recipients that do
//! not exist, refusals as spam.

use serde::{Deserialize, Serialize};

use super::table::{Lately, Quiet, Row, Table, Window};
use super::{Alert, AlertKind, Subject, Thresholds};
use crate::event::{Delivery, Outcome};
use crate::report::{Actor, is_unknown_recipient, said, wide_network};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};
use crate::transaction::{Message, Origin};

/// Networks of a sender that are remembered.
const NETWORKS_MAX: usize = 32;
/// A network is new to a sender for this long.
const NEW_FOR_MS: i64 = DAY_MS;
/// A sender has a past after this many days.
const PAST_DAYS_MIN: u32 = 3;
/// Least share of refusals for spam, in percent.
const SPAM_PERCENT_MIN: u64 = 5;
/// The same pattern of the same sender is told once an hour.
const AGAIN_AFTER_MS: i64 = HOUR_MS;

/// State of the detectors of outbound mail.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outbound {
    senders: Table<String, Sender>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sender {
    last: Timestamp,
    hour: Scale,
    day: Scale,
    networks: Lately,
    /// Networks and when each was first used.
    known: Vec<(u64, Timestamp)>,
    /// The present day and on how many days before it sent.
    today: i64,
    days: u32,
    burst: Quiet,
    many: Quiet,
    #[serde(default)]
    named: Named,
}

/// Scripts that the mail of a sender names in its header. A program may write there what it likes, so they are told beside what is
/// known, and never decide who is counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Named {
    since: Timestamp,
    recipients: u32,
    scripts: Vec<(Box<str>, u32)>,
}

/// Scripts of one sender that are told apart.
const SCRIPTS_MAX: usize = 16;

impl Named {
    /// Counts recipients of a message; each day begins anew.
    fn count(&mut self, script: Option<&str>, time: Timestamp, recipients: u32) {
        if time.day() > self.since.day() {
            *self = Named { since: time, ..Named::default() };
        }
        self.recipients = self.recipients.saturating_add(recipients);
        let Some(script) = script else { return };
        let has_room = self.scripts.len() < SCRIPTS_MAX;
        match self.scripts.iter_mut().find(|(known, _)| **known == *script) {
            Some((_, count)) => *count = count.saturating_add(recipients),
            None if has_room => self.scripts.push((script.into(), recipients)),
            None => {}
        }
    }

    /// `; 90 of 100 today in mail that names mailer.php`.
    fn words(&self) -> String {
        let most = self.scripts.iter().max_by_key(|(_, count)| *count);
        most.map(|(script, count)| {
            format!("; {count} of {} that day in mail whose header names {script}", self.recipients)
        })
        .unwrap_or_default()
    }
}

/// Counts within an hour or a day, and the most of former days.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Scale {
    recipients: Window,
    fresh: Window,
    outcomes: Window,
    unknown: Window,
    spam: Window,
    /// Most recipients on former days; sinks slowly, so that one campaign is not remembered for ever.
    peak: u32,
    /// Most recipients today.
    peak_today: u32,
    volume: Quiet,
    new: Quiet,
    dead: Quiet,
    refused: Quiet,
}

/// The length of a scale and what is too much within it.
struct Measure {
    length_ms: i64,
    name: &'static str,
    recipients: u32,
    fresh: u32,
    unknown: u32,
    spam: u32,
}

fn measures(thresholds: &Thresholds) -> [Measure; 2] {
    let hour = Measure {
        length_ms: HOUR_MS,
        name: "an hour",
        recipients: thresholds.recipients_1h,
        fresh: thresholds.new_network_recipients_1h,
        unknown: thresholds.unknown_recipients_1h,
        spam: thresholds.spam_refusals_1h,
    };
    let day = Measure {
        length_ms: DAY_MS,
        name: "a day",
        recipients: thresholds.recipients_1d,
        fresh: thresholds.new_network_recipients_1d,
        unknown: thresholds.unknown_recipients_1d,
        spam: thresholds.spam_refusals_1d,
    };
    [hour, day]
}

impl Row for Sender {
    fn last(&self) -> Timestamp {
        self.last
    }
}

/// Alerts about one sender at one time.
struct Alerts<'a> {
    actor: &'a Actor,
    time: Timestamp,
    list: Vec<Alert>,
}

impl Alerts<'_> {
    fn push(&mut self, kind: AlertKind, times: u32, evidence: String) {
        self.list.push(Alert { kind, subject: subject(self.actor), time: self.time, times, evidence });
    }

    /// All of them, each with `words` behind its evidence.
    fn with(mut self, words: &str) -> Vec<Alert> {
        self.list.iter_mut().for_each(|alert| alert.evidence.push_str(words));
        self.list
    }
}

impl Outbound {
    pub(super) fn arrived(&mut self, message: &Message, thresholds: &Thresholds) -> Vec<Alert> {
        let (Some(actor), Some(time)) = (Actor::of(message), message.arrived) else { return Vec::new() };
        let recipients = message.recipients.max(1);
        let sender = self.senders.row(key(&actor));
        let mut alerts = Alerts { actor: &actor, time, list: Vec::new() };
        let hour = sender.count(recipients, thresholds, &mut alerts);
        sender.named.count(message.script.as_deref(), time, recipients);
        let is_script = matches!(actor, Actor::Script { .. } | Actor::User(_));
        let is_burst = hour >= thresholds.script_recipients_1h && hour >= sender.hour.peak.saturating_mul(2);
        if is_script && is_burst && sender.burst.pass(time, AGAIN_AFTER_MS) {
            alerts.push(AlertKind::ScriptBurst, hour, format!("{hour} recipients within an hour from one script"));
        }
        if let (Origin::Login(_), Some(ip)) = (&message.origin, message.ip.filter(|ip| !ip.is_loopback())) {
            sender.used_from(wide_network(ip), recipients, thresholds, &mut alerts);
        }
        alerts.with(&sender.named.words())
    }

    pub(super) fn outcome(
        &mut self,
        message: &Message,
        delivery: &Delivery<'_>,
        thresholds: &Thresholds,
    ) -> Vec<Alert> {
        let Some(time) = message.arrived else { return Vec::new() };
        if delivery.outcome == Outcome::Deferred {
            return Vec::new();
        }
        let Some(actor) = Actor::of_delivery(message, delivery) else { return Vec::new() };
        let sender = self.senders.row(key(&actor));
        let mut alerts = Alerts { actor: &actor, time, list: Vec::new() };
        if matches!(actor, Actor::Forwarder(_) | Actor::Relay(_)) {
            // What passes through has no arrival of its own.
            sender.count(1, thresholds, &mut alerts);
        }
        let is_failure = delivery.outcome == Outcome::Failed;
        let is_unknown = is_failure && is_unknown_recipient(delivery);
        let is_spam = is_failure && said(delivery).is_some_and(|(_, saying)| saying.is_spam());
        sender.judged(is_unknown, is_spam, thresholds, &mut alerts);
        alerts.with(&sender.named.words())
    }
}

impl Sender {
    fn scales(&mut self) -> [&mut Scale; 2] {
        [&mut self.hour, &mut self.day]
    }

    /// Counts recipients against the sender's own past; returns those of the last hour.
    fn count(&mut self, recipients: u32, thresholds: &Thresholds, alerts: &mut Alerts<'_>) -> u32 {
        let time = alerts.time;
        self.last = self.last.max(time);
        self.turn_day(time);
        let has_past = self.days >= PAST_DAYS_MIN;
        let mut last_hour = 0;
        for (scale, measure) in self.scales().into_iter().zip(measures(thresholds)) {
            let volume = scale.recipients.add(time, measure.length_ms, recipients);
            let limit = measure.recipients.max(thresholds.peak_factor.saturating_mul(scale.peak));
            if has_past && volume >= limit && scale.volume.pass(time, measure.length_ms) {
                let (name, peak) = (measure.name, scale.peak);
                let evidence = format!("{volume} recipients within {name}, never more than {peak} before");
                alerts.push(AlertKind::Volume, volume, evidence);
            }
            scale.peak_today = scale.peak_today.max(volume);
            last_hour = if measure.length_ms == HOUR_MS { volume } else { last_hour };
        }
        last_hour
    }

    /// Counts the networks of a login.
    fn used_from(&mut self, network: u64, recipients: u32, thresholds: &Thresholds, alerts: &mut Alerts<'_>) {
        let time = alerts.time;
        let networks = self.networks.note(network, time, HOUR_MS);
        if networks >= thresholds.networks_1h && self.many.pass(time, AGAIN_AFTER_MS) {
            let evidence = format!("logged in from {networks} networks within an hour");
            alerts.push(AlertKind::ManyNetworks, networks, evidence);
        }
        if !self.is_new(network, time) || self.days < PAST_DAYS_MIN {
            return;
        }
        for (scale, measure) in self.scales().into_iter().zip(measures(thresholds)) {
            let fresh = scale.fresh.add(time, measure.length_ms, recipients);
            if fresh >= measure.fresh && scale.new.pass(time, measure.length_ms) {
                let evidence = format!("{fresh} recipients within {} from networks not used before", measure.name);
                alerts.push(AlertKind::NewNetwork, fresh, evidence);
            }
        }
    }

    /// Counts what other servers said.
    fn judged(&mut self, is_unknown: bool, is_spam: bool, thresholds: &Thresholds, alerts: &mut Alerts<'_>) {
        let time = alerts.time;
        self.last = self.last.max(time);
        for (scale, measure) in self.scales().into_iter().zip(measures(thresholds)) {
            let outcomes = scale.outcomes.add(time, measure.length_ms, 1).max(1);
            let unknown = scale.unknown.add(time, measure.length_ms, u32::from(is_unknown));
            let spam = scale.spam.add(time, measure.length_ms, u32::from(is_spam));
            let share = |part: u32| u64::from(part) * 100 / u64::from(outcomes);
            let name = measure.name;
            let is_dead = unknown >= measure.unknown && share(unknown) >= u64::from(thresholds.unknown_percent);
            if is_dead && scale.dead.pass(time, measure.length_ms) {
                let evidence = format!("{unknown} of {outcomes} recipients within {name} do not exist");
                alerts.push(AlertKind::UnknownRecipients, unknown, evidence);
            }
            if spam >= measure.spam && share(spam) >= SPAM_PERCENT_MIN && scale.refused.pass(time, measure.length_ms) {
                let evidence = format!("{spam} of {outcomes} were refused as spam within {name}");
                alerts.push(AlertKind::RefusedAsSpam, spam, evidence);
            }
        }
    }

    /// Moves the peaks of a day that is over into the past.
    fn turn_day(&mut self, time: Timestamp) {
        let day = time.day();
        if day <= self.today {
            return;
        }
        if self.hour.peak_today > 0 {
            for scale in self.scales() {
                // A tenth of the old peak goes each day on which the sender is active.
                scale.peak = scale.peak_today.max(scale.peak - scale.peak / 10);
                scale.peak_today = 0;
            }
            self.days += 1;
        }
        self.today = day;
    }

    fn is_new(&mut self, network: u64, time: Timestamp) -> bool {
        if let Some((_, first)) = self.known.iter().find(|(known, _)| *known == network) {
            return time.as_millis() - first.as_millis() < NEW_FOR_MS;
        }
        if self.known.len() >= NETWORKS_MAX {
            self.known.remove(0);
        }
        self.known.push((network, time));
        true
    }
}

fn key(actor: &Actor) -> String {
    match actor {
        Actor::Script { user, script } => format!("script {user} {script}"),
        actor => format!("{} {}", actor.kind(), actor.name()),
    }
}

/// Who an alert about `actor` names.
pub(super) fn subject(actor: &Actor) -> Subject {
    match actor {
        Actor::Mailbox(login) => Subject::Login(login.to_string()),
        Actor::Script { user, script } => Subject::Script { user: user.to_string(), script: script.to_string() },
        Actor::User(user) => Subject::User(user.to_string()),
        Actor::Forwarder(address) => Subject::Forwarder(address.to_string()),
        Actor::Relay(host) => Subject::Relay(host.to_string()),
    }
}
