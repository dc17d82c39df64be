//! Dates in headers (RFC 5322 section 3.3 and its many misspellings) as seconds since 1970.

/// Zone names that SpamAssassin knows, and their offsets in minutes.
const ZONES: [(&str, i64); 49] = [
    ("ACDT", 630),
    ("ACST", 570),
    ("ADT", -180),
    ("AEDT", 660),
    ("AEST", 600),
    ("AKDT", -480),
    ("AKST", -540),
    ("AST", -240),
    ("AWST", 480),
    ("BRST", -120),
    ("BRT", -180),
    ("BST", 60),
    ("CDT", -300),
    ("CEST", 120),
    ("CET", 60),
    ("CST", -360),
    ("EDT", -240),
    ("EEST", 180),
    ("EET", 120),
    ("EST", -300),
    ("GMT", 0),
    ("HADT", -540),
    ("HAST", -600),
    ("HKT", 480),
    ("HST", -600),
    ("IDT", 180),
    ("IST", 60),
    ("JST", 540),
    ("KST", 540),
    ("MDT", -360),
    ("MEST", 120),
    ("MESZ", 120),
    ("MET", 60),
    ("MEZ", 60),
    ("MSD", 240),
    ("MSK", 180),
    ("MST", -420),
    ("NDT", -150),
    ("NST", -210),
    ("NZDT", 780),
    ("NZST", 720),
    ("PDT", -420),
    ("PHT", 480),
    ("PST", -480),
    ("SGT", 480),
    ("UT", 0),
    ("UTC", 0),
    ("WEST", 60),
    ("WET", 0),
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const YEAR_MIN: i64 = 1970;
const YEAR_MAX: i64 = 2037;

/// The time that `date` tells; `None` if there is no day, month and year. Out-of-range parts are bent to the nearest valid value.
pub(crate) fn parse(date: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(date).replace(',', " ");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let (day, month, year) = take_day(&mut words)?;
    let year = match year.len() {
        2 if number(year) < 50 => number(year) + 2000,
        4 => number(year),
        _ => number(year) + 1900,
    };
    let (hour, minute, second) = take_time(&mut words);
    let offset_minutes = zone(&words);
    let seconds = seconds_of(year, month, day) + hour.min(23) * 3600 + minute.min(59) * 60 + second.min(59);
    let shifted = seconds - offset_minutes * 60;
    Some(if offset_minutes > 0 { shifted.max(0) } else { shifted })
}

fn number(digits: &str) -> i64 {
    digits.parse().unwrap_or(i64::from(u32::MAX))
}

fn is_digits(word: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_digit())
}

fn month(word: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|month| word.eq_ignore_ascii_case(month))?;
    i64::try_from(index + 1).ok()
}

/// `21 Nov 2026`, else `Nov 21 10:00:00 2026`, else `21 Nov 26`. The words found are taken out.
fn take_day<'w>(words: &mut Vec<&'w str>) -> Option<(i64, i64, &'w str)> {
    let find = |lengths: std::ops::RangeInclusive<usize>| {
        words.windows(3).position(|three| {
            matches!(three, [day, name, year] if is_digits(day, 1..=99) && month(name).is_some() && is_digits(year, lengths.clone()))
        })
    };
    let unix = || {
        words.windows(4).position(|four| {
            matches!(four, [name, day, time, year] if month(name).is_some() && is_digits(day, 1..=99) && is_time(time, 3) && is_digits(year, 4..=4))
        })
    };
    if let Some(at) = find(4..=4) {
        return take_three(words, at);
    }
    if let Some(at) = unix() {
        let [name, day, _, year] = *words.get(at..at + 4)? else { return None };
        // The time goes as well: SpamAssassin then takes midnight.
        words.drain(at..at + 4);
        return Some((number(day), month(name)?, year));
    }
    let at = find(2..=3)?;
    take_three(words, at)
}

fn take_three<'w>(words: &mut Vec<&'w str>, at: usize) -> Option<(i64, i64, &'w str)> {
    let [day, name, year] = *words.get(at..at + 3)? else { return None };
    words.drain(at..at + 3);
    Some((number(day), month(name)?, year))
}

/// Digits in groups joined by colons.
fn is_time(word: &str, groups: usize) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    parts.len() == groups && parts.iter().all(|part| is_digits(part, 1..=20))
}

fn take_time(words: &mut Vec<&str>) -> (i64, i64, i64) {
    let is_clock = |word: &&str| {
        let parts: Vec<&str> = word.split(':').collect();
        let (first, rest) = parts.split_first().unwrap_or((&"", &[]));
        is_digits(first, 1..=2) && matches!(rest.len(), 1 | 2) && rest.iter().all(|part| is_digits(part, 2..=2))
    };
    let Some(at) = words.iter().position(is_clock) else { return (0, 0, 0) };
    let mut parts = words.remove(at).split(':').map(number);
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The offset in minutes; an unknown zone is none.
fn zone(words: &[&str]) -> i64 {
    let is_offset =
        |word: &&&str| word.starts_with(['+', '-']) && word.get(1..).is_some_and(|digits| is_digits(digits, 4..=4));
    if let Some(word) = words.iter().find(is_offset) {
        let (hours, minutes) = (word.get(1..3).map_or(0, number), word.get(3..5).map_or(0, number));
        let offset = hours * 60 + minutes;
        return if word.starts_with('-') { -offset } else { offset };
    }
    let joined = words.join(" ");
    let names = joined.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let is_zone_like =
        |name: &&str| (2..=4).contains(&name.len()) && name.bytes().all(|octet| octet.is_ascii_uppercase());
    let name = names.into_iter().find(is_zone_like);
    name.and_then(|name| ZONES.iter().find(|(known, _)| *known == name)).map_or(0, |(_, minutes)| *minutes)
}

/// Seconds from 1970 to the start of a day of the Gregorian calendar.
fn seconds_of(year: i64, month: i64, day: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    };
    // A day too many is the first of the next month.
    let (year, month, day) = match day {
        _ if day <= days_in_month => (year, month, day.max(1)),
        _ if month == 12 => (year + 1, 1, 1),
        _ => (year, month + 1, 1),
    };
    let year = year.clamp(YEAR_MIN, YEAR_MAX);
    // Days from 1 March of year 0, so that the leap day is the last of its year.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let month_of_year = (month + 9) % 12;
    let days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (month_of_year * 306 + 5) / 10
        + day
        - 1;
    (days - 719_468) * 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (date, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 +0000", Some(0)),
            ("Wed, 25 Nov 2026 15:00:00 +0100", Some(1_795_615_200)),
            ("25 Nov 26 14:00 GMT", Some(1_795_615_200)),
            ("Wed, 25 Nov 2026 09:00:00 (EST)", Some(1_795_615_200)),
            ("31 Feb 2003 00:00:00 +0000", Some(1_046_476_800)),
            ("yesterday", None),
        ] {
            assert_eq!(parse(date.as_bytes()), expected, "{date}");
        }
    }
}
