//! What is made of the events of all logs: pictures of messages, and alerts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_watch::detectors::{Alert, Detectors, Thresholds};
use tidegate_watch::{Event, Joiner, Place};

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

/// All that the events so far amount to. It is stored as a whole together with the positions in the logs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Picture {
    joiner: Joiner,
    detectors: Detectors,
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
            alerts: VecDeque::new(),
            unrecorded: Vec::new(),
        }
    }

    pub(super) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.detectors.set_thresholds(thresholds);
    }

    /// Takes one event of a log.
    pub(super) fn feed(&mut self, event: &Event<'_>, place: Place, is_fresh: bool) {
        let Picture { joiner, detectors, .. } = self;
        let mut alerts = detectors.feed(event);
        joiner.feed(event, place, |step| alerts.extend(detectors.step(&step)));
        for alert in alerts {
            self.note(Noted { alert, is_fresh });
        }
    }

    fn note(&mut self, noted: Noted) {
        if noted.is_fresh {
            let Alert { kind, subject, evidence, .. } = &noted.alert;
            tracing::warn!(?kind, ?subject, evidence, "seen in the logs");
        }
        if self.alerts.len() >= ALERTS_MAX {
            self.alerts.pop_back();
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

    /// The newest alerts, the last one first.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Noted> {
        self.alerts.iter()
    }

    pub(super) fn joiner(&self) -> &Joiner {
        &self.joiner
    }
}
