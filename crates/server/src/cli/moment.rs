//! Moments on the command line: a time, or a distance from now (`7d`, `12h`); and how a time is shown.

use std::fmt::Display;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Unit, civil};

/// A time for people, to the second.
pub(super) fn second(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}

/// A time, or so long from now, to the second: it is written where people read it.
pub(super) fn future(text: &str) -> Result<Timestamp, String> {
    let at = at_or(text, |length| Timestamp::now().checked_add(length))?;
    at.round(Unit::Second).map_err(|error| error.to_string())
}

/// A time, or so long ago.
pub(super) fn past(text: &str) -> Result<Timestamp, String> {
    at_or(text, |length| Timestamp::now().checked_sub(length))
}

fn at_or(
    text: &str,
    from_now: impl FnOnce(SignedDuration) -> Result<Timestamp, jiff::Error>,
) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    // Without a zone it is the time that the server's clock shows, as in its logs.
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return TimeZone::system().to_timestamp(local).map_err(|error| error.to_string());
    }
    let span: Span = text.parse().map_err(|_| {
        "write a duration such as 7d or 12h, or a time such as 2026-12-01, \"2026-12-01 10:00\" or 2026-12-01T00:00:00Z".to_owned()
    })?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
    from_now(length).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_distance() {
        assert_eq!(past("2026-12-01T00:00:00Z").unwrap().to_string(), "2026-12-01T00:00:00Z");
        let week = SignedDuration::from_hours(7 * 24);
        let away = future("7d").unwrap().duration_since(Timestamp::now());
        assert!(away > week - SignedDuration::from_secs(60) && away <= week + SignedDuration::from_secs(1), "{away}");
        assert_eq!(future("7d").unwrap().subsec_nanosecond(), 0);
        assert!(past("yesterday-ish").is_err());
        let local = |text| TimeZone::system().to_datetime(past(text).unwrap()).to_string();
        assert_eq!(local("2026-12-01 10:30"), "2026-12-01T10:30:00");
        assert_eq!(local("2026-12-01"), "2026-12-01T00:00:00");
    }
}
