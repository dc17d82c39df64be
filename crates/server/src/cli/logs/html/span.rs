//! Time cut into equal pieces for a chart: hours, days or weeks, whichever gives a picture that can be read. Pieces in which
//! nothing happened are there as well.

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Unit};
use tidegate_watch::api::report::HourRow;

/// Hours that are still shown one by one, and days.
const HOURS_SHOWN: i64 = 96;
const DAYS_SHOWN: i64 = 130;
/// Pieces of any chart: what reaches further is left out.
const PIECES_MAX: i64 = 600;

/// The length of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Hour,
    Day,
    Week,
}

/// Pieces from one time on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    begin: DateTime,
    piece: Piece,
    count: i64,
}

impl Span {
    /// From the first to the last of these times, in pieces of a fitting length. `None` without times.
    pub(super) fn of(first: &str, last: &str) -> Option<Span> {
        let (first, last) = (time(first)?, time(last)?);
        let hours = hours_between(first, last);
        let piece = match hours {
            ..=HOURS_SHOWN => Piece::Hour,
            hours if hours <= DAYS_SHOWN * 24 => Piece::Day,
            _ => Piece::Week,
        };
        Span::with(first, last, piece)
    }

    /// The same in pieces of a given length.
    pub(super) fn in_pieces(first: &str, last: &str, piece: Piece) -> Option<Span> {
        Span::with(time(first)?, time(last)?, piece)
    }

    fn with(first: DateTime, last: DateTime, piece: Piece) -> Option<Span> {
        let begin = match piece {
            Piece::Hour => first,
            Piece::Day | Piece::Week => first.date().to_datetime(Time::midnight()),
        };
        let count = hours_between(begin, last).checked_div(piece.hours())?.checked_add(1)?;
        (count > 0).then_some(Span { begin, piece, count: count.min(PIECES_MAX) })
    }

    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// In which piece a time lies.
    pub(super) fn place(&self, text: &str) -> Option<usize> {
        let place = hours_between(self.begin, time(text)?).div_euclid(self.piece.hours());
        usize::try_from(place).ok().filter(|place| *place < self.len())
    }

    /// The date of a piece.
    pub(super) fn date(&self, place: usize) -> String {
        self.at(place).map_or_else(String::new, |at| at.date().to_string())
    }

    /// Its name on an axis.
    pub(super) fn tick(&self, place: usize) -> String {
        let Some(at) = self.at(place) else { return String::new() };
        match self.piece {
            Piece::Hour if self.count <= 26 => at.strftime("%H:%M").to_string(),
            Piece::Hour => at.strftime("%d %b %H:%M").to_string(),
            Piece::Day | Piece::Week => at.strftime("%d %b").to_string(),
        }
    }

    /// Its name for a reader.
    pub(super) fn title(&self, place: usize) -> String {
        let Some(at) = self.at(place) else { return String::new() };
        match self.piece {
            Piece::Hour => at.strftime("%Y-%m-%d %H:%M").to_string(),
            Piece::Day => at.strftime("%Y-%m-%d, %A").to_string(),
            Piece::Week => at.strftime("week of %Y-%m-%d").to_string(),
        }
    }

    /// What a piece is.
    pub(super) fn unit(&self) -> &'static str {
        match self.piece {
            Piece::Hour => "hour",
            Piece::Day => "day",
            Piece::Week => "week",
        }
    }

    /// The sums of the hours of a report by piece.
    pub(super) fn sums(&self, hours: &[HourRow]) -> Vec<HourRow> {
        let mut sums = vec![HourRow::default(); self.len()];
        for hour in hours {
            let Some(sum) = self.place(&hour.hour).and_then(|place| sums.get_mut(place)) else { continue };
            sum.messages += hour.messages;
            sum.delivered += hour.delivered;
            sum.deferred += hour.deferred;
            sum.failed += hour.failed;
            sum.refused += hour.refused;
            sum.auth_failures += hour.auth_failures;
        }
        sums
    }

    fn at(&self, place: usize) -> Option<DateTime> {
        let hours = i64::try_from(place).ok()?.checked_mul(self.piece.hours())?;
        self.begin.checked_add(SignedDuration::try_from_hours(hours)?).ok()
    }
}

impl Piece {
    fn hours(self) -> i64 {
        match self {
            Piece::Hour => 1,
            Piece::Day => 24,
            Piece::Week => 7 * 24,
        }
    }
}

/// A local time or date of a report.
fn time(text: &str) -> Option<DateTime> {
    text.parse().ok()
}

fn hours_between(first: DateTime, last: DateTime) -> i64 {
    last.since((Unit::Hour, first)).map_or(0, |span| i64::from(span.get_hours()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_the_length_of_the_log() {
        let span = |first, last| Span::of(first, last).unwrap();
        let two_days = span("2026-03-01T10:00:00", "2026-03-02T09:00:00");
        assert_eq!((two_days.len(), two_days.unit(), two_days.tick(1)), (24, "hour", "11:00".to_owned()));
        assert_eq!(two_days.place("2026-03-02T09:00:00"), Some(23));
        assert_eq!(two_days.place("2026-03-02T10:00:00"), None);
        assert_eq!(two_days.place("2026-03-01T09:00:00"), None);
        let month = span("2026-02-20T10:00:00", "2026-03-20T00:00:00");
        assert_eq!((month.len(), month.unit(), month.date(9)), (29, "day", "2026-03-01".to_owned()));
        assert_eq!(span("2025-01-01T10:00:00", "2026-03-20T00:00:00").unit(), "week");
        assert!(Span::of("x", "2026-03-20T00:00:00").is_none());
    }
}
