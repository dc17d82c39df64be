//! What the clock showed: local time without a zone, as logs have it, in UTC. When summer time ends an hour comes twice, and a line
//! does not say which of the two it is of; what stands around it does.

use jiff::tz::{AmbiguousOffset, TimeZone};
use tidegate_watch::{Kind, Reader, Timestamp};

/// Before all times, for files that tell none.
pub(super) const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);
/// Lines of a log stand in the order of time, but for some seconds.
const DISORDER_MS: i64 = 10 * 60 * 1000;
/// A busy server's log is not silent for longer.
const SILENCE_MS: i64 = 10 * 60 * 1000;
/// A message that took longer to come in tells nothing about the hour.
const TRANSFER_MS: i64 = 30 * 60 * 1000;
/// A message's id and the line of its arrival may be a second apart by rounding.
const ROUNDED_MS: i64 = 1000;

/// Seconds by which `zone` is ahead of UTC at `time`.
pub(super) fn offset_seconds(zone: &TimeZone, time: Timestamp) -> i64 {
    jiff::Timestamp::from_millisecond(time.as_millis()).map_or(0, |time| i64::from(zone.to_offset(time).seconds()))
}

/// Seconds by which `zone` is ahead of UTC at a `local` time that was read as if it were UTC and stands in a log behind a line
/// of `last`, perhaps with the id of a message that was `born` at a known time. Of the two hours of one name it is the second one
/// if the first is over.
pub(super) fn offset_behind(zone: &TimeZone, local: Timestamp, last: Timestamp, born: Option<Timestamp>) -> i64 {
    if let Some(hours) = hours_of_one_name(zone, local) {
        let first = hours.first(local);
        let is_over = first.plus_millis(DISORDER_MS) < last || born.is_some_and(|born| is_before(first, born));
        return if is_over { hours.after } else { hours.before };
    }
    match ambiguous(zone, local) {
        Some(AmbiguousOffset::Unambiguous { offset }) => i64::from(offset.seconds()),
        // No clock shows such a time; the program that wrote it had not heard of the change.
        Some(AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. }) => i64::from(before.seconds()),
        None => 0,
    }
}

/// Two hours in which the clock showed the same, in seconds ahead of UTC.
#[derive(Clone, Copy)]
pub(super) struct Hours {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Hours {
    fn first(self, local: Timestamp) -> Timestamp {
        local.plus_millis(self.before.saturating_mul(-1000))
    }

    pub(super) fn second(self, local: Timestamp) -> Timestamp {
        local.plus_millis(self.after.saturating_mul(-1000))
    }
}

/// Which of two hours of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hour {
    First,
    Second,
}

/// The two hours in which a clock of `zone` showed `local` time, if there are two.
pub(super) fn hours_of_one_name(zone: &TimeZone, local: Timestamp) -> Option<Hours> {
    match ambiguous(zone, local)? {
        AmbiguousOffset::Fold { before, after } => {
            Some(Hours { before: i64::from(before.seconds()), after: i64::from(after.seconds()) })
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    }
}

fn ambiguous(zone: &TimeZone, local: Timestamp) -> Option<AmbiguousOffset> {
    let time = jiff::Timestamp::from_millisecond(local.as_millis()).ok()?;
    Some(zone.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(time)).offset())
}

/// In which of two hours a log begins whose times are `first` or `second`, as far as the log before it tells: what was rotated away
/// was last changed when the new one began.
pub(super) fn hour_behind(first: Timestamp, second: Timestamp, changed: Timestamp) -> Option<Hour> {
    let is_near = |begins: Timestamp| changed.as_millis().abs_diff(begins.as_millis()) < DISORDER_MS.unsigned_abs();
    match (is_near(first), is_near(second)) {
        (true, false) => Some(Hour::First),
        (false, true) => Some(Hour::Second),
        _ => None,
    }
}

/// Whether a line of this time was written before a message was `born` that it names: it was not.
fn is_before(time: Timestamp, born: Timestamp) -> bool {
    time.plus_millis(ROUNDED_MS) < born
}

/// In which of two hours of one name a log begins. `reader` takes its times for ones of the first. An Exim id names the second in
/// which its message began to come in; a clock that goes back was in the first hour; one that goes on behind the second hour without
/// a silence was in the second.
pub(super) fn hour_of(beginning: &[u8], reader: &Reader, zone: &TimeZone, hours: Hours) -> Option<Hour> {
    let mut reader = reader.clone();
    let mut last: Option<Timestamp> = None;
    for line in beginning.split(|b| *b == b'\n') {
        let text = Reader::text(line);
        let event = reader.read(&text);
        let Some(time) = event.time else { continue };
        if last.is_some_and(|last| time.plus_millis(DISORDER_MS) < last) {
            return Some(Hour::First);
        }
        if hours_of_one_name(zone, time.plus_millis(hours.before.saturating_mul(1000))).is_none() {
            let silence = time.as_millis().saturating_sub(last?.as_millis());
            if silence < 0 {
                continue;
            }
            // In truth longer by the second hour, if these lines are of the first one.
            return (silence < SILENCE_MS).then_some(Hour::Second);
        }
        last = last.max(Some(time));
        let Some(born) = event.born() else { continue };
        if is_before(time, born) {
            return Some(Hour::Second);
        }
        if matches!(event.kind, Kind::Arrival(_)) && time.as_millis().saturating_sub(born.as_millis()) < TRANSFER_MS {
            return Some(Hour::First);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    use indicatif::ProgressBar;

    use super::*;
    use crate::logs::{Logs, Wanted};

    /// Hours and minutes in UTC of the lines of these logs, of a server in Berlin on the day on which summer time ends, in the order in
    /// which they are read. Each log is given with the time of its last change.
    fn read(logs: &[(&str, &[&str])]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let paths: Vec<PathBuf> = (0..logs.len()).map(|n| folder.path().join(format!("mainlog.{n}"))).collect();
        for (path, (changed, lines)) in paths.iter().zip(logs) {
            let text: String = lines.iter().map(|line| format!("2026-10-25 {line}\n")).collect();
            std::fs::write(path, text).unwrap();
            let changed: jiff::Timestamp = format!("2026-10-25T{changed}:00Z").parse().unwrap();
            let since_1970 = Duration::from_millis(u64::try_from(changed.as_millisecond()).unwrap());
            std::fs::File::options().append(true).open(path).unwrap().set_modified(UNIX_EPOCH + since_1970).unwrap();
        }
        let mut times = Vec::new();
        let wanted = Wanted { since: None, until: None, zone: zone.clone() };
        let done: Result<_, ()> = Logs::named(&paths, &zone).read(&wanted, &ProgressBar::hidden(), |event, _, _| {
            times.extend(event.time.and_then(|time| time.to_string().get(11..16).map(str::to_owned)));
            Ok(())
        });
        done.unwrap();
        times
    }

    /// Ids of messages that came in at this time in UTC.
    const AT_00_05: &str = "1xKljQ-0005xY-Qr";
    const AT_00_30: &str = "1xKm7c-0005xY-Qr";
    const AT_01_05: &str = "1xKmfU-00000005xYz-1QrS";
    const AT_01_30: &str = "1xKn3g-0005xY-Qr";

    fn came(time: &str, id: &str) -> String {
        format!("{time} {id} <= a@b.example H=(x) [192.0.2.7] P=esmtps S=2201")
    }

    #[test]
    fn an_id_tells_in_which_hour_a_log_begins() {
        let quiet = "02:29:58 Start queue run: pid=1";
        for (id, expected) in [(AT_00_30, "00:30"), (AT_01_30, "01:30")] {
            let line = came("02:30:01", id);
            let times = read(&[("12:00", &[quiet, &line])]);
            assert_eq!(times.last().map(String::as_str), Some(expected), "{id}");
            assert_eq!(times.first().and_then(|time| time.get(..2)), expected.get(..2), "{id}");
        }
        // What was taken in long before tells nothing about the hour in which it was served: the first is as good as ever.
        let served = format!("02:59:00 {AT_00_05} Completed");
        assert_eq!(read(&[("12:00", &[&served])]), ["00:59"]);
        // But nothing is served before it came in.
        let served = format!("02:59:00 {AT_01_05} Completed");
        assert_eq!(read(&[("12:00", &[&served])]), ["01:59"]);
    }

    /// A server so quiet that the clock seems to go on: only the id knows that an hour has passed.
    #[test]
    fn an_id_tells_where_the_second_hour_begins() {
        let (first, second) = (came("02:05:00", AT_00_05), came("02:30:01", AT_01_30));
        assert_eq!(
            read(&[("12:00", &[&first, &second, "02:40:00 Start queue run: pid=1"])]),
            ["00:05", "01:30", "01:40"]
        );
    }

    #[test]
    fn a_clock_tells_in_which_hour_a_log_begins() {
        // It goes on behind the second hour as if nothing had been.
        assert_eq!(
            read(&[(
                "12:00",
                &[
                    "02:55:00 Start queue run: pid=1",
                    "02:59:59 End queue run: pid=1",
                    "03:00:02 Start queue run: pid=2"
                ]
            )]),
            ["01:55", "01:59", "02:00"]
        );
        // It goes back.
        assert_eq!(
            read(&[(
                "12:00",
                &[
                    "02:55:00 Start queue run: pid=1",
                    "02:05:00 Start queue run: pid=2",
                    "03:00:02 Start queue run: pid=3"
                ]
            )]),
            ["00:55", "01:05", "02:00"]
        );
        // It is silent for long: nobody knows, and the first hour is said.
        assert_eq!(
            read(&[("12:00", &["02:10:00 Start queue run: pid=1", "03:10:00 Start queue run: pid=2"])]),
            ["00:10", "02:10"]
        );
        // Lines with a zone need nothing of this.
        assert_eq!(
            read(&[("12:00", &["02:55:00 +0200 Start queue run: pid=1", "03:00:00 +0100 x"])]),
            ["00:55", "02:00"]
        );
    }

    /// A log that was rotated in the second hour: the one before was last changed then.
    #[test]
    fn the_log_before_tells_in_which_hour_a_log_begins() {
        let before = &["01:00:00 Start queue run: pid=1", "02:19:00 Start queue run: pid=2"][..];
        let after = &["02:20:00 Start queue run: pid=3"][..];
        assert_eq!(read(&[("00:19", before), ("12:00", after)]), ["23:00", "00:19", "00:20"]);
        assert_eq!(read(&[("01:19", before), ("12:00", after)]), ["23:00", "00:19", "01:20"]);
        // Changed at another time, as by copying, it tells nothing.
        assert_eq!(read(&[("11:00", before), ("12:00", after)]), ["23:00", "00:19", "00:20"]);
    }
}
