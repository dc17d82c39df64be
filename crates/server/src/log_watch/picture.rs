//! What is made of the events of all logs: pictures of messages, and alerts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_filter::check::Evidence;
use tidegate_watch::detectors::{Alert, AlertKind, Detectors, Subject, Thresholds, Use};
use tidegate_watch::{Event, Joiner, Outcome, Place, Source, Step};

use super::Outside;
use super::once::{Once, Teller};
use super::told::Told;

/// Messages that may be open at once. Older ones are let go; their later lines count as those of unknown messages.
const OPEN_MESSAGES_MAX: usize = 50_000;
/// Alerts that are kept in memory; all are recorded.
const ALERTS_MAX: usize = 200;

/// An alert, and whether it was found while it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Whether the line that raised it was read when it was written. An old one is only to be looked at.
    pub is_fresh: bool,
}

/// What became of recipients, over all logs and restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Messages that came in.
    pub messages: u64,
    /// Recipients served, or discarded on purpose.
    pub delivered: u64,
    /// Attempts that were deferred.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
}

impl Outcomes {
    fn count(&mut self, step: &Step<'_, '_>) {
        let Outcomes { messages, delivered, deferred, failed } = self;
        let counter = match step {
            Step::Arrived(_) => messages,
            Step::Outcome(_, delivery) => match delivery.outcome {
                Outcome::Delivered | Outcome::Discarded => delivered,
                Outcome::Deferred => deferred,
                Outcome::Failed => failed,
            },
            Step::Finished(_) => return,
        };
        *counter += 1;
    }
}

/// All that the events so far amount to. It is stored as a whole together with the positions in the logs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Picture {
    joiner: Joiner,
    detectors: Detectors,
    /// What those who have a limit sent lately.
    #[serde(default)]
    used: Use,
    #[serde(default)]
    once: Once,
    #[serde(default)]
    outcomes: Outcomes,
    alerts: VecDeque<Noted>,
    /// Alerts that are not recorded yet.
    #[serde(skip)]
    unrecorded: Vec<Noted>,
}

impl Picture {
    pub(super) fn new(thresholds: Thresholds) -> Picture {
        Picture {
            joiner: Joiner::new(OPEN_MESSAGES_MAX),
            detectors: Detectors::new(thresholds),
            used: Use::default(),
            once: Once::default(),
            outcomes: Outcomes::default(),
            alerts: VecDeque::new(),
            unrecorded: Vec::new(),
        }
    }

    pub(super) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.detectors.set_thresholds(thresholds);
    }

    /// Takes one event of a log.
    pub(super) fn feed(&mut self, event: &Event<'_>, place: Place, is_fresh: bool, now_ms: i64, outside: &Outside) {
        let mut alerts = self.detectors.feed(event);
        if event.source != Source::Exim || self.once.is_new(event, Teller::Log, now_ms) {
            // Old messages have left the spool for the most part.
            if is_fresh {
                self.find_script(event, outside);
            }
            alerts.extend(self.join(event, place, outside));
        }
        for alert in alerts {
            self.note(Noted { alert, is_fresh });
        }
    }

    /// From now on the log's events are remembered, to know those that Exim tells as well.
    pub(super) fn exim_tells(&mut self, now_ms: i64) {
        self.once.exim_tells(now_ms);
    }

    /// Takes what Exim tells; says whether the log had not told it before.
    pub(super) fn told(&mut self, told: &Told, now_ms: i64, outside: &Outside) -> bool {
        let Some(event) = told.event() else { return false };
        let mut alerts = Vec::new();
        if !self.once.knows(told.id()) && self.joiner.get(told.id()).is_none() {
            let arrival = told.arrival();
            if self.once.is_new(&arrival, Teller::Exim, now_ms) {
                self.find_script(&arrival, outside);
                alerts.extend(self.join(&arrival, Place::default(), outside));
            }
        }
        let is_new = self.once.is_new(&event, Teller::Exim, now_ms);
        if is_new {
            alerts.extend(self.join(&event, Place::default(), outside));
        }
        for alert in alerts {
            self.note(Noted { alert, is_fresh: true });
        }
        is_new
    }

    /// The header of message `id` names this script.
    pub(super) fn script_is(&mut self, id: &str, script: &str) {
        self.joiner.script_is(id, script);
    }

    /// Looks into the spool for the script of a message that arrives, unless it was told already.
    fn find_script(&mut self, event: &Event<'_>, outside: &Outside) {
        if let Some(id) = event.id
            && !self.joiner.knows_script(id)
            && let Some(script) = outside.script_of(event)
        {
            self.joiner.script_is(id, &script);
        }
    }

    fn join(&mut self, event: &Event<'_>, place: Place, outside: &Outside) -> Vec<Alert> {
        let Picture { joiner, detectors, used, outcomes, .. } = self;
        let mut alerts = Vec::new();
        joiner.feed(event, place, |step| {
            outcomes.count(&step);
            if outside.is_of_released(&step) {
                return;
            }
            alerts.extend(detectors.step(&step));
            alerts.extend(used.step(&step, &outside.limits, |domain| outside.owner(domain)));
        });
        alerts
    }

    pub(super) fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    fn note(&mut self, noted: Noted) {
        if noted.is_fresh {
            let Alert { kind, subject, evidence, .. } = &noted.alert;
            tracing::warn!(?kind, ?subject, evidence, "seen in the logs");
        }
        if self.alerts.len() >= ALERTS_MAX {
            // Attacks of strangers come all day, and shall not hide who of this server's own is compromised.
            let oldest = self.alerts.iter().rposition(|noted| !is_own(noted.alert.kind));
            self.alerts.remove(oldest.unwrap_or(ALERTS_MAX - 1));
        }
        self.alerts.push_front(noted.clone());
        self.unrecorded.push(noted);
    }

    /// Alerts that are not recorded yet.
    pub(super) fn unrecorded(&self) -> &[Noted] {
        &self.unrecorded
    }

    pub(super) fn are_recorded(&mut self) {
        self.unrecorded.clear();
    }

    /// What an administrator should look at: alerts of the last day about those who send from here. Strangers attack every server
    /// all day, which is no alarm.
    pub(super) fn alarm(&self, now_ms: i64) -> Option<String> {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let since = now_ms.saturating_sub(DAY_MS);
        let mut recent =
            self.alerts.iter().filter(|noted| is_own(noted.alert.kind) && noted.alert.time.as_millis() >= since);
        let newest = recent.next()?;
        let more = match recent.count() {
            0 => String::new(),
            more => format!(" (and {more} more of the last day)"),
        };
        let said = format!("{}: {}", name(&newest.alert.subject), newest.alert.evidence);
        Some(format!("an alert about a sender of this server{more}, see `tidegate logs`: {}", Evidence::from(said)))
    }

    /// The newest alerts, the last one first.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Noted> {
        self.alerts.iter()
    }

    pub(super) fn joiner(&self) -> &Joiner {
        &self.joiner
    }
}

/// Whether an alert is about those who send from this server, or about the server itself; else it is about strangers.
fn is_own(kind: AlertKind) -> bool {
    match kind {
        AlertKind::GuessedPassword
        | AlertKind::LoginsBroken
        | AlertKind::Volume
        | AlertKind::ManyNetworks
        | AlertKind::NewNetwork
        | AlertKind::ScriptBurst
        | AlertKind::UnknownRecipients
        | AlertKind::RefusedAsSpam
        | AlertKind::OverLimit => true,
        AlertKind::Guessing
        | AlertKind::SlowGuessing
        | AlertKind::Spraying
        | AlertKind::NetworkGuessing
        | AlertKind::DistributedGuessing
        | AlertKind::Dictionary => false,
    }
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Ip(ip) => ip.to_string(),
        Subject::Script { script, .. } => script.clone(),
        Subject::Network(name)
        | Subject::Login(name)
        | Subject::User(name)
        | Subject::Forwarder(name)
        | Subject::Relay(name)
        | Subject::Account(name) => name.clone(),
        Subject::Server => "this server".to_owned(),
    }
}
