//! The days of an actor: what was sent on each, and what had been sent before it. Names of days.

use super::Settings;
use super::history::Hour;
use super::ledger::{Ledger, distinct};
use crate::time::{HOUR_MS, Timestamp};

/// Days that are looked back upon as an actor's own past.
const PAST_DAYS: u32 = 35;
/// A login is used from many networks from here on.
pub(super) const MANY_NETWORKS: u32 = 8;
/// On a day with fewer recipients that says nothing.
const BUSY_RECIPIENTS_MIN: u32 = 50;

/// One day of an actor, with the busiest hour in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    pub(super) day: u32,
    pub(super) sum: Hour,
    pub(super) peak: u32,
    /// Recipients between midnight and five.
    pub(super) night: u32,
    active_hours: u32,
}

impl Day {
    /// Many networks and much mail.
    pub(super) fn is_from_everywhere(&self) -> bool {
        self.is_busy() && distinct(self.sum.networks) >= MANY_NETWORKS
    }

    pub(super) fn is_busy(&self) -> bool {
        self.sum.volume() >= BUSY_RECIPIENTS_MIN
    }
}

/// What an actor did before a day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    pub(super) days: u32,
    pub(super) most_a_day: u32,
    pub(super) most_an_hour: u32,
    pub(super) widest: u16,
    pub(super) foreign: u32,
    pub(super) recipients: u32,
    pub(super) night: u32,
    /// Days with many networks and much mail.
    pub(super) roaming_days: u32,
}

/// The days on which anything was sent, in the order of time.
pub(super) fn days(ledger: &Ledger) -> Vec<Day> {
    ledger
        .hours()
        .chunk_by(|a, b| a.hour / 24 == b.hour / 24)
        .map(|hours| {
            let mut day = Day { day: hours.first().map_or(0, |hour| hour.hour / 24), ..Day::default() };
            for hour in hours {
                day.sum.add(hour);
                day.peak = day.peak.max(hour.peak());
                day.active_hours += 1;
                if hour.hour % 24 < 5 {
                    day.night += hour.volume();
                }
            }
            day
        })
        .collect()
}

/// What was sent before the day at this place of the list.
pub(super) fn past(days: &[Day], at: usize) -> Past {
    let mut past = Past::default();
    let Some(today) = days.get(at) else { return past };
    for day in days.iter().take(at).filter(|day| today.day - day.day <= PAST_DAYS) {
        past.days += 1;
        past.most_a_day = past.most_a_day.max(day.sum.volume());
        past.most_an_hour = past.most_an_hour.max(day.peak);
        past.widest = past.widest.max(day.sum.widest);
        past.foreign += u32::from(day.sum.foreign);
        past.recipients = past.recipients.saturating_add(day.sum.volume());
        past.night += day.night;
        past.roaming_days += u32::from(day.is_from_everywhere());
    }
    past
}

/// The local day of a time, counted from 1970.
pub(super) fn day_of(time: Option<Timestamp>, settings: &Settings) -> u32 {
    time.and_then(|time| u32::try_from(settings.offsets.local(time).day()).ok()).unwrap_or(0)
}

/// The day, counted from 1970, of `2026-03-02` or of a time on it.
pub(super) fn day_named(time: &str) -> Option<u32> {
    let mut parts = time.get(..10)?.split('-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    u32::try_from(Timestamp::from_civil(year, month, day, 0, 0, 0).day()).ok()
}

/// `2026-03-02` of a day counted from 1970.
pub(super) fn date(day: u32) -> String {
    let (year, month, day) = Timestamp::from_millis(i64::from(day) * 24 * HOUR_MS).civil();
    format!("{year:04}-{month:02}-{day:02}")
}
