//! When a line was written: zones of their own, zones of the log, and years that no line names.

use tidegate_watch::{Reader, Timestamp};

fn utc(reader: &Reader, line: &str) -> String {
    reader.time(line).map(|time| time.to_string()).unwrap_or_default()
}

/// Where the night of the new year is later or earlier than in UTC, and where the log's clock is some seconds ahead.
#[test]
fn syslog_dates_at_the_new_year() {
    let (berlin, new_york) = (3600, -5 * 3600);
    for (zone, latest, line, expected) in [
        (0, (2026, 1, 1, 0, 0, 5), "Dec 31 23:59:59", "2025-12-31T23:59:59Z"),
        (0, (2026, 1, 1, 0, 0, 5), "Jan  1 00:00:04", "2026-01-01T00:00:04Z"),
        // Half past midnight in Berlin is still the old year in UTC.
        (berlin, (2025, 12, 31, 23, 30, 1), "Jan  1 00:30:00", "2025-12-31T23:30:00Z"),
        (berlin, (2025, 12, 31, 23, 30, 1), "Dec 31 23:30:00", "2025-12-31T22:30:00Z"),
        // Eight in the evening in New York is the new year in UTC.
        (new_york, (2026, 1, 1, 1, 0, 1), "Dec 31 20:00:00", "2026-01-01T01:00:00Z"),
        (new_york, (2026, 1, 1, 5, 0, 1), "Jan  1 00:00:00", "2026-01-01T05:00:00Z"),
        // The clock that wrote the line is ahead.
        (0, (2025, 12, 31, 23, 59, 58), "Jan  1 00:00:01", "2026-01-01T00:00:01Z"),
        // Lines of last spring in a log that was changed in winter, and the other way round.
        (0, (2026, 1, 15, 0, 0, 0), "Mar  7 02:09:33", "2025-03-07T02:09:33Z"),
        (0, (2026, 11, 25, 0, 0, 0), "Mar  7 02:09:33", "2026-03-07T02:09:33Z"),
        (0, (2028, 3, 1, 0, 0, 0), "Feb 29 10:00:00", "2028-02-29T10:00:00Z"),
    ] {
        let (year, month, day, hour, minute, second) = latest;
        let latest = Timestamp::from_civil(year, month, day, hour, minute, second);
        let reader = Reader::new().with_zone(zone).with_latest(latest);
        let line = format!("{line} mx postfix/smtpd[7]: connect from unknown[192.0.2.7]");
        assert_eq!(utc(&reader, &line), expected, "{line}, read at {latest}");
    }
}

/// A zone in the line counts more than the log's.
#[test]
fn zones_of_lines_and_of_logs() {
    let reader = Reader::new().with_zone(2 * 3600);
    for (line, expected) in [
        ("2026-07-15 12:00:00 Start queue run: pid=1", "2026-07-15T10:00:00Z"),
        ("2026-07-15 12:00:00.123 Start queue run: pid=1", "2026-07-15T10:00:00.123Z"),
        ("2026-07-15 12:00:00 +0000 Start queue run: pid=1", "2026-07-15T12:00:00Z"),
        ("2026-07-15 12:00:00 -0330 [12] Start queue run: pid=1", "2026-07-15T15:30:00Z"),
        ("2026-07-15T12:00:00+02:00 mx postfix/smtpd[7]: connect from unknown[192.0.2.7]", "2026-07-15T10:00:00Z"),
        ("2026-07-15T12:00:00.000123Z mx postfix/smtpd[7]: connect from unknown[192.0.2.7]", "2026-07-15T12:00:00Z"),
        ("2026-07-15T12:00:00 mx postfix/smtpd[7]: connect from unknown[192.0.2.7]", "2026-07-15T10:00:00Z"),
    ] {
        assert_eq!(utc(&reader, line), expected, "{line}");
    }
}

/// Exim writes into each id when the message began to come in; both lengths of ids, and no other program's.
#[test]
fn ids_tell_when_a_message_came() {
    for (line, born) in [
        ("2026-03-02 12:14:41 1vx2Ab-0005xY-Qr Completed", Some("2026-03-02T12:14:41Z")),
        ("2026-03-02 12:14:41 1vx2Ab-00000005xYz-1QrS Completed", Some("2026-03-02T12:14:41Z")),
        ("2026-03-02 12:14:41 Start queue run: pid=1", None),
        ("2026-03-02T12:14:41+00:00 mx postfix/qmgr[1]: 4bXyZ01234z: removed", None),
    ] {
        let born_then = Reader::new().read(line).born().map(|time| time.to_string());
        assert_eq!(born_then.as_deref(), born, "{line}");
    }
}
