//! Dates of header fields (RFC 5322 section 3.3, with the obsolete forms of 4.3), as seconds since 1970. No clock.

/// Reads a date such as `Mon, 2 Mar 2026 10:11:12 +0100 (CET)`. Weekday, seconds and zone may be missing, two-digit years
/// and zone names are understood; a zone that says nothing counts as UTC. Also read: `Mon Mar  2 10:11:12 2026`
/// (asctime, as UUCP and scripts write it) and dates with dashes.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let cleaned = crate::parameter::without_comments(text.as_bytes());
    let cleaned = String::from_utf8_lossy(&cleaned);
    let words = cleaned.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
    let mut date = Fields::default();
    for word in words.take(WORDS_MAX) {
        date.take(word);
    }
    date.seconds()
}

/// Words of a date that are looked at.
const WORDS_MAX: usize = 12;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Zone names of RFC 5322 section 4.3 and those that are seen otherwise, in hours.
const ZONES: &[(&str, i64)] = &[
    ("edt", -4),
    ("est", -5),
    ("cdt", -5),
    ("cst", -6),
    ("mdt", -6),
    ("mst", -7),
    ("pdt", -7),
    ("pst", -8),
    ("bst", 1),
    ("cet", 1),
    ("met", 1),
    ("cest", 2),
    ("mest", 2),
    ("eet", 2),
    ("eest", 3),
    ("msk", 3),
    ("jst", 9),
];

#[derive(Default)]
struct Fields {
    day: Option<i64>,
    month: Option<i64>,
    year: Option<i64>,
    time_s: Option<i64>,
    zone_s: Option<i64>,
}

impl Fields {
    fn take(&mut self, word: &str) {
        if self.time_s.is_none() && word.contains(':') {
            self.time_s = time(word);
        } else if let Some(month) = self.month.is_none().then(|| month(word)).flatten() {
            self.month = Some(month);
        } else if self.day.is_none() && word.split('-').count() == 3 {
            for piece in word.split('-') {
                self.take(piece);
            }
        } else if self.time_s.is_some() && self.zone_s.is_none() && word.starts_with(['+', '-']) {
            self.zone_s = offset(word);
        } else if let Some(number) = number(word) {
            match (self.day, self.year) {
                (None, _) if (1..=31).contains(&number) && word.len() <= 2 => self.day = Some(number),
                (_, None) => self.year = Some(full_year(number, word.len())),
                _ => {}
            }
        } else if self.time_s.is_some() && self.zone_s.is_none() {
            let zone = ZONES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
            self.zone_s = zone.map(|(_, hours)| hours * 3600);
        }
    }

    fn seconds(&self) -> Option<i64> {
        let (day, month, year) = (self.day?, self.month?, self.year?);
        (1..=9999).contains(&year).then_some(())?;
        Some(days_from_civil(year, month, day) * 86_400 + self.time_s? - self.zone_s.unwrap_or_default())
    }
}

fn number(word: &str) -> Option<i64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten()
}

fn month(word: &str) -> Option<i64> {
    let start = word.get(..3)?.to_ascii_lowercase();
    let index = MONTHS.iter().position(|month| *month == start)?;
    i64::try_from(index + 1).ok()
}

/// RFC 5322 section 4.3: 00 to 49 are of this century, 50 to 99 and three digits count from 1900.
fn full_year(number: i64, digits: usize) -> i64 {
    match (digits, number) {
        (1 | 2, 0..=49) => number + 2000,
        (1..=3, _) => number + 1900,
        _ => number,
    }
}

fn time(word: &str) -> Option<i64> {
    let mut pieces = word.split(':').map(|piece| number(piece.split('.').next().unwrap_or(piece)));
    let (hours, minutes) = (pieces.next()??, pieces.next()??);
    let seconds = pieces.next().unwrap_or(Some(0))?;
    // A leap second is 60.
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn offset(word: &str) -> Option<i64> {
    let sign = if word.starts_with('-') { -1 } else { 1 };
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let value = number(&digits).filter(|_| digits.len() == 4)?;
    Some(sign * (value / 100 * 3600 + value % 100 * 60))
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era_days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719_468 days lie between 0000-03-01 and 1970-01-01.
    era_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn dates_as_mail_writes_them() {
        for (text, seconds, why) in [
            ("Thu, 01 Jan 1970 00:00:00 +0000", Some(0), "the beginning"),
            ("Mon, 2 Mar 2026 10:11:12 +0100 (CET)", Some(1_772_442_672), "the usual form"),
            ("2 Mar 2026 10:11:12 +0100", Some(1_772_442_672), "no weekday"),
            ("Mon, 2 Mar 2026 09:11 GMT", Some(1_772_442_660), "no seconds, zone name"),
            ("Mon, 2 Mar 26 04:11:12 EST", Some(1_772_442_672), "two-digit year"),
            ("Mon Mar  2 09:11:12 2026", Some(1_772_442_672), "asctime"),
            ("Mon, 02-Mar-2026 09:11:12 UTC", Some(1_772_442_672), "with dashes"),
            ("Tue, 29 Feb 2000 12:00:00 -0000", Some(951_825_600), "leap day of a leap century"),
            ("Mon, 2 Mar 2026", None, "no time"),
            ("Mon, 2 Mar 2026 25:11:12 +0000", None, "an hour that is none"),
            ("yesterday", None, "no date at all"),
        ] {
            assert_eq!(parse_date(text), seconds, "{why}");
        }
    }
}
