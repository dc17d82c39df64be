//! Connections in which Exim got no valid answer from us, as its own log says: what hangs, or is gone, cannot count them itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tidegate_watch::{Event, Kind};

/// What `packaging/exim/acls.conf` writes, once a connection.
const MARK: &str = "tidegate: no valid answer";
const HOUR_MS: i64 = 3_600_000;
/// How long it is told.
const TOLD_HOURS: i64 = 24;

/// Connections without an answer, by the hour.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    hours: BTreeMap<i64, u64>,
    last_ms: i64,
}

impl Unheard {
    /// Takes a line of the log, written at `time_ms`.
    pub(super) fn feed(&mut self, event: &Event<'_>, time_ms: i64, now_ms: i64) {
        let Kind::Note(text) = event.kind else { return };
        if text.starts_with(MARK) {
            self.note(time_ms, now_ms);
        }
    }

    fn note(&mut self, time_ms: i64, now_ms: i64) {
        self.hours = self.hours.split_off(&first_hour(now_ms));
        let hour = time_ms.min(now_ms).div_euclid(HOUR_MS);
        if hour >= first_hour(now_ms) {
            *self.hours.entry(hour).or_default() += 1;
            self.last_ms = self.last_ms.max(time_ms);
        }
    }

    /// What there is to tell.
    pub(super) fn alarm(&self, now_ms: i64) -> Option<String> {
        let count: u64 = self.hours.range(first_hour(now_ms)..).map(|(_, count)| count).sum();
        let last = Timestamp::from_millisecond(self.last_ms).unwrap_or_default();
        (count > 0).then(|| {
            format!(
                "Exim got no answer in {count} connections within a day, the last at {last}; unless it is told otherwise, mail goes on without a verdict then"
            )
        })
    }
}

fn first_hour(now_ms: i64) -> i64 {
    now_ms.div_euclid(HOUR_MS) - TOLD_HOURS + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_heard_is_told_for_a_day() {
        let mut unheard = Unheard::default();
        let now_ms = 1_767_322_985_000;
        assert_eq!(unheard.alarm(now_ms), None);
        unheard.note(now_ms - 30 * HOUR_MS, now_ms);
        assert_eq!(unheard.alarm(now_ms), None, "written long ago");
        unheard.note(now_ms, now_ms);
        unheard.note(now_ms - HOUR_MS, now_ms);
        let alarm = unheard.alarm(now_ms).unwrap();
        assert!(alarm.contains("2 connections") && alarm.contains("2026-01-02T03:03:05Z"), "{alarm}");
        assert_eq!(unheard.alarm(now_ms + 25 * HOUR_MS), None);
    }

    #[test]
    fn the_line_is_the_one_that_exim_is_told_to_write() {
        assert!(include_str!("../../../../packaging/exim/acls.conf").contains(&format!("logwrite = {MARK}")));
    }
}
