//! The times of log lines. A log has local time, often without a zone and, in syslog's old form, without a year.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

/// Milliseconds of one second.
pub(crate) const SECOND_MS: i64 = 1000;
/// Milliseconds of one hour.
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds of one day.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

impl Timestamp {
    /// A time given in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// A calendar time in UTC; `month` and `day` count from 1.
    #[must_use]
    pub fn from_civil(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Timestamp {
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Timestamp(days_from_civil(year, month, day) * DAY_MS + seconds * SECOND_MS)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time `ms` milliseconds later.
    #[must_use]
    pub const fn plus_millis(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Whole hours since 1970.
    #[must_use]
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(HOUR_MS)
    }

    /// Whole days since 1970.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_MS)
    }

    /// Hour of the day in UTC, 0 to 23.
    #[must_use]
    pub fn hour_of_day(self) -> u8 {
        u8::try_from(self.hour().rem_euclid(24)).unwrap_or(0)
    }

    /// Year, month and day in UTC.
    #[must_use]
    pub fn civil(self) -> (i32, u32, u32) {
        civil_from_days(self.day())
    }
}

/// By how much local time is ahead of UTC, and since when: summer time comes and goes within one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Milliseconds before the first change.
    first_ms: i64,
    /// Since when which offset holds, oldest first.
    changes: [(Timestamp, i64); CHANGES_MAX],
    count: usize,
}

/// Changes that are kept, the newest ones: eight years of summer times.
const CHANGES_MAX: usize = 16;

impl Offsets {
    /// Always the same.
    #[must_use]
    pub fn fixed(ms: i64) -> Offsets {
        Offsets { first_ms: ms, ..Offsets::default() }
    }

    /// The same, and `ms` from `since` on, which is later than all changes so far.
    #[must_use]
    pub fn then(mut self, since: Timestamp, ms: i64) -> Offsets {
        if self.count == CHANGES_MAX {
            self.first_ms = self.changes.first().map_or(self.first_ms, |(_, ms)| *ms);
            self.changes.rotate_left(1);
            self.count -= 1;
        }
        if let Some(change) = self.changes.get_mut(self.count) {
            *change = (since, ms);
            self.count += 1;
        }
        self
    }

    /// Milliseconds at `time`.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> i64 {
        let known = self.changes.iter().take(self.count);
        known.rev().find(|(since, _)| *since <= time).map_or(self.first_ms, |(_, ms)| *ms)
    }

    /// `time` as if local time were UTC.
    #[must_use]
    pub fn local(&self, time: Timestamp) -> Timestamp {
        time.plus_millis(self.at(time))
    }
}

impl fmt::Display for Timestamp {
    /// `2026-03-02T10:11:12Z`, with milliseconds only if there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        let in_day = self.0.rem_euclid(DAY_MS);
        let (hour, minute) = (in_day / HOUR_MS, in_day / MINUTE_MS % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", in_day / SECOND_MS % 60)?;
        if in_day % SECOND_MS != 0 {
            write!(f, ".{:03}", in_day % SECOND_MS)?;
        }
        f.write_str("Z")
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (an era has 400 years of 146097 days; years begin in March).
fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (i32::try_from(year).unwrap_or(i32::MAX), u32::try_from(month).unwrap_or(1), u32::try_from(day).unwrap_or(1))
}

/// `YYYY-MM-DD` at the start of `text`; the rest stands behind the day.
pub(crate) fn iso_date(text: &str) -> Option<(i64, &str)> {
    let (date, rest) = text.split_at_checked(10)?;
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = date.as_bytes() else { return None };
    let year = digits(&[a, b, c, d])?;
    let (month, day) = (digits(&[e, f])?, digits(&[g, h])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days_from_civil(i32::try_from(year).ok()?, month, day), rest))
}

/// `HH:MM:SS` with an optional fraction, as milliseconds of the day; the rest stands behind it.
pub(crate) fn clock(text: &str) -> Option<(i64, &str)> {
    let (time, rest) = text.split_at_checked(8)?;
    let &[a, b, b':', c, d, b':', e, f] = time.as_bytes() else { return None };
    let (hour, minute, second) = (digits(&[a, b])?, digits(&[c, d])?, digits(&[e, f])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let whole = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * SECOND_MS;
    let Some(fraction) = rest.strip_prefix('.') else { return Some((whole, rest)) };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    let mut ms = 0;
    for (i, digit) in fraction.bytes().take(3).enumerate() {
        if digit.is_ascii_digit() && i < fraction.len() - rest.len() {
            ms += i64::from(digit - b'0') * [100, 10, 1].get(i).copied().unwrap_or(0);
        }
    }
    Some((whole + ms, rest))
}

/// `Z`, `+hhmm` or `+hh:mm` as milliseconds east of Greenwich; the rest stands behind it.
pub(crate) fn zone(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, text) = match text.strip_prefix('+') {
        Some(text) => (1, text),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, rest) = text.split_at_checked(2)?;
    let (minutes, rest) = rest.strip_prefix(':').unwrap_or(rest).split_at_checked(2)?;
    let minutes = i64::from(digits(hours.as_bytes())?) * 60 + i64::from(digits(minutes.as_bytes())?);
    Some((sign * minutes * 60 * SECOND_MS, rest))
}

/// Month and day of syslog's old form (`Mar  7`), months from 1; the rest stands behind the blank that follows.
pub(crate) fn month_and_day(text: &str) -> Option<(u32, u32, &str)> {
    let (name, rest) = text.split_at_checked(3)?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = rest.split_once(' ')?;
    let day = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    Some((u32::try_from(month).ok()? + 1, day, rest))
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_goes_there_and_back() {
        for (year, month, day) in
            [(1970, 1, 1), (1999, 12, 31), (2000, 2, 29), (2024, 2, 29), (2026, 3, 2), (2100, 3, 1)]
        {
            let time = Timestamp::from_civil(year, month, day, 23, 59, 59);
            assert_eq!(time.civil(), (year, month, day));
            assert_eq!(time.hour_of_day(), 23);
        }
        assert_eq!(Timestamp::from_civil(2026, 3, 2, 10, 11, 12).to_string(), "2026-03-02T10:11:12Z");
        assert_eq!(Timestamp::from_civil(1970, 1, 1, 0, 0, 0).as_millis(), 0);
    }

    #[test]
    fn offsets_change() {
        let at = Timestamp::from_millis;
        let offsets = Offsets::fixed(1).then(at(100), 2).then(at(200), 1);
        assert_eq!([0, 99, 100, 199, 200, 900].map(|ms| offsets.at(at(ms))), [1, 1, 2, 2, 1, 1]);
        let many = (1..40).fold(Offsets::fixed(0), |offsets, n| offsets.then(at(n), n));
        assert_eq!([0, 23, 24, 39, 50].map(|ms| many.at(at(ms))), [23, 23, 24, 39, 39], "the oldest are forgotten");
    }

    #[test]
    fn clocks_and_zones() {
        assert_eq!(clock("10:11:12.345 x"), Some((36_672_345, " x")));
        assert_eq!(clock("10:11:12.3456789+01:00"), Some((36_672_345, "+01:00")));
        assert_eq!(clock("10:11:12"), Some((36_672_000, "")));
        assert_eq!(clock("25:11:12"), None);
        assert_eq!(zone("+0130 x"), Some((5_400_000, " x")));
        assert_eq!(zone("-01:30"), Some((-5_400_000, "")));
        assert_eq!(zone("Z"), Some((0, "")));
        assert_eq!(month_and_day("Mar  7 02:09:33 x"), Some((3, 7, "02:09:33 x")));
    }
}
