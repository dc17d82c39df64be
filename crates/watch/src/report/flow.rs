//! What happened hour by hour on the whole server, for a picture of the time that a log covers.

use std::collections::BTreeMap;

use crate::api::report as api;
use crate::event::{Event, Kind, Outcome};
use crate::time::{HOUR_MS, Timestamp};

/// Hours that are kept; older ones make room. Four hundred days.
const HOURS_MAX: usize = 9600;

/// Counts of each hour.
#[derive(Debug, Default)]
pub(super) struct Flow {
    hours: BTreeMap<i64, api::HourRow>,
    /// The hour of the line that is read, and its counts, so that few lines look into the map.
    hour: i64,
    row: api::HourRow,
}

impl Flow {
    /// Begins with the next line, written at `local` time. A line without a time belongs to the hour of the one before.
    pub(super) fn feed(&mut self, event: &Event<'_>, local: Option<Timestamp>) {
        if let Some(hour) = local.map(Timestamp::hour)
            && hour != self.hour
        {
            self.turn(hour);
        }
        match &event.kind {
            Kind::Rejection(_) => self.row.refused += 1,
            Kind::AuthFailure(_) => self.row.auth_failures += 1,
            _ => {}
        }
    }

    /// A message came in with this line.
    pub(super) fn arrived(&mut self) {
        self.row.messages += 1;
    }

    /// Something became of a recipient with this line.
    pub(super) fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => self.row.delivered += 1,
            Outcome::Deferred => self.row.deferred += 1,
            Outcome::Failed => self.row.failed += 1,
            Outcome::Discarded => {}
        }
    }

    fn turn(&mut self, hour: i64) {
        self.hours.insert(self.hour, std::mem::take(&mut self.row));
        self.row = self.hours.remove(&hour).unwrap_or_default();
        self.hour = hour;
        while self.hours.len() > HOURS_MAX {
            self.hours.pop_first();
        }
    }

    /// Hours in which anything happened, oldest first.
    pub(super) fn rows(&self) -> Vec<api::HourRow> {
        let mut hours = self.hours.clone();
        hours.insert(self.hour, self.row.clone());
        hours
            .into_iter()
            .filter(|(_, row)| *row != api::HourRow::default())
            .map(|(hour, row)| api::HourRow { hour: name(hour), ..row })
            .collect()
    }
}

/// `2026-03-02T10:00:00`, without a zone since it is local time, of an hour counted from 1970.
pub(super) fn name(hour: i64) -> String {
    let text = Timestamp::from_millis(hour.saturating_mul(HOUR_MS)).to_string();
    text.trim_end_matches('Z').to_owned()
}
