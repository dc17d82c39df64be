//! How times and figures of a report look to people.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tidegate_filter::check::Evidence;
use tidegate_watch::Offsets;
use tidegate_watch::api::report::Count;

/// Turns times of a report, which are in UTC, into local ones.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct LocalTime {
    pub(in crate::cli) offsets: Offsets,
}

impl LocalTime {
    /// `2026-03-02 10:11` of a time in a report; the text itself if it is none.
    pub(in crate::cli) fn minute(self, time: &str) -> String {
        self.written(time, "%Y-%m-%d %H:%M")
    }

    /// `2026-03-02 10:11:12` of a time in a report; the text itself if it is none.
    pub(in crate::cli) fn second(self, time: &str) -> String {
        self.written(time, "%Y-%m-%d %H:%M:%S")
    }

    fn written(self, time: &str, form: &str) -> String {
        let local = time.parse::<Timestamp>().ok().and_then(|time| {
            let ahead_ms = self.offsets.at(crate::logs::timestamp(time));
            time.checked_add(SignedDuration::from_millis(ahead_ms)).ok()
        });
        match local {
            Some(local) => local.strftime(form).to_string(),
            None => time.to_owned(),
        }
    }

    /// The same, or a dash.
    pub(in crate::cli) fn minute_or_dash(self, time: Option<&String>) -> String {
        time.map_or_else(|| "-".to_owned(), |time| self.minute(time))
    }

    /// `2026-03-02` of a time in a report, or a dash.
    pub(in crate::cli) fn day_or_dash(self, time: Option<&String>) -> String {
        let minute = self.minute_or_dash(time);
        minute.split(' ').next().unwrap_or("-").to_owned()
    }

    /// `UTC+01:00` at the end of what is reported, and how it was at its begin if that differs.
    pub(in crate::cli) fn zone(self, from: Option<&String>, until: Option<&String>) -> String {
        let offset = |time: Option<&String>| {
            let at = time.and_then(|time| time.parse::<Timestamp>().ok())?;
            Some(self.offsets.at(crate::logs::timestamp(at)) / 60_000)
        };
        let name = |minutes: i64| {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        };
        match (offset(from), offset(until)) {
            (Some(first), Some(last)) if first != last => format!("{}, at the end {}", name(first), name(last)),
            (_, Some(last)) => name(last),
            _ => "UTC".to_owned(),
        }
    }

    /// A sentence of a report as people read it: local times, and figures in groups.
    pub(in crate::cli) fn sentence(self, text: &str) -> String {
        let words = text.split(' ').map(|word| {
            let is_time = word.len() >= 20 && word.ends_with('Z') && word.as_bytes().get(10) == Some(&b'T');
            let is_figure = word.len() >= 4 && word.bytes().all(|b| b.is_ascii_digit());
            match word.parse() {
                _ if is_time => self.second(word),
                Ok(figure) if is_figure => grouped(figure),
                _ => word.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// `2026-03-02 10:00` of a local time in a report.
pub(in crate::cli) fn local_minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// A path that is short enough for a table: its first two and its last two parts.
pub(in crate::cli) fn short_path(path: &str) -> String {
    const LENGTH_MAX: usize = 36;
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", first, second, .., before, last] if path.chars().count() > LENGTH_MAX && parts.len() > 6 => {
            format!("/{first}/{second}/…/{before}/{last}")
        }
        _ => path.to_owned(),
    }
}

/// How many rows of a list are shown, where not all are; `most` is how many a report lists at the most.
pub(in crate::cli) fn part_of(rows: usize, top: usize, most: usize) -> String {
    match rows {
        rows if rows <= top => String::new(),
        rows if rows >= most => format!("top {top} of {rows} or more"),
        rows => format!("top {top} of {rows}"),
    }
}

/// `1234567` as `1 234 567`: groups are easier to read, and a blank means the same everywhere.
pub(in crate::cli) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` in percent, rounded, halves up; a dash if there is no whole.
pub(in crate::cli) fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(200).checked_div(whole) {
        Some(doubled) => format!("{} %", doubled.div_ceil(2)),
        None => "-".to_owned(),
    }
}

/// One character for `value` of at most `most`: an eighth of a block for each eighth, nothing for nothing.
pub(in crate::cli) fn block(value: u64, most: u64) -> char {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighths = value.saturating_mul(8).div_ceil(most.max(1)).min(8);
    usize::try_from(eighths).ok().and_then(|at| BLOCKS.get(at)).copied().unwrap_or(' ')
}

/// A sentence of ours for a terminal or a page, with names from the log in it: as safe as [`Evidence`], and not cut like one name.
pub(in crate::cli) fn whole(sentence: &str) -> String {
    /// Characters at a time, so that none is cut even where each is spelt out; and octets of all.
    const AT_A_TIME: usize = 24;
    const OCTETS_MAX: usize = 4000;
    let mut shown = String::with_capacity(sentence.len());
    let mut chars = sentence.chars().peekable();
    while chars.peek().is_some() {
        if shown.len() >= OCTETS_MAX {
            shown.push('…');
            break;
        }
        let piece: String = chars.by_ref().take(AT_A_TIME).collect();
        shown.push_str(Evidence::from(piece).as_str());
    }
    shown
}

/// The text as the beginning of a sentence.
pub(in crate::cli) fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The name of a provider at the beginning of a sentence.
pub(in crate::cli) fn provider(name: &'static str) -> &'static str {
    if name == "others" { "Other servers" } else { name }
}

/// A picture of so many recipients a day in one line, a character for each day, also for those on which nothing was sent.
pub(in crate::cli) fn picture(days: &[Count]) -> String {
    /// Days that fit into a line; what is older is left out.
    const DAYS_MAX: usize = 60;
    let most = days.iter().map(|day| day.times).max().unwrap_or(0);
    let mut picture = Vec::new();
    let mut next: Option<Date> = None;
    for day in days {
        let Ok(date) = day.name.parse::<Date>() else { continue };
        while let Some(empty) = next.filter(|next| *next < date) {
            picture.push(' ');
            next = empty.tomorrow().ok();
            // A stray line with a time long ago makes no long gap.
            picture.drain(..picture.len().saturating_sub(DAYS_MAX));
        }
        picture.push(block(day.times, most));
        next = date.tomorrow().ok();
    }
    let first = picture.len().saturating_sub(DAYS_MAX);
    format!("|{}|", picture.iter().skip(first).collect::<String>())
}

/// `count` and the word, in the plural unless it is one.
pub(in crate::cli) fn counted(count: u64, word: &str) -> String {
    let plural = match word {
        _ if count == 1 => "",
        word if word.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {word}{plural}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a reader has to do is not cut in the middle, and nothing hostile in it reaches a terminal.
    #[test]
    fn sentences_are_whole() {
        let long = "each word of it is needed, ".repeat(40);
        assert_eq!(whole(&long), long);
        assert_eq!(whole(&"\u{1b}".repeat(30)), "\\u{1b}".repeat(30));
        assert!(whole(&"x".repeat(10_000)).len() < 4100);
    }

    #[test]
    fn figures_are_easy_to_read() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!((percent(1, 8), percent(2, 3), percent(1, 0)), ("13 %".into(), "67 %".into(), "-".into()));
        assert_eq!([0, 1, 50, 100].map(|n| block(n, 100)), [' ', '▁', '▄', '█']);
        assert_eq!(
            [counted(1, "address"), counted(2, "address"), counted(0, "day")],
            ["1 address", "2 addresses", "0 days"]
        );
        let days = [("2026-02-27", 100), ("2026-03-02", 50)];
        let days = days.map(|(name, times)| Count { name: name.to_owned(), times });
        assert_eq!(picture(&days), "|█  ▄|");
        assert_eq!(short_path("/home/user063/public_html/wp-content/uploads/2026/02"), "/home/user063/…/2026/02");
        assert_eq!(short_path("/home/user063/public_html/images"), "/home/user063/public_html/images");
        assert_eq!(
            [part_of(3, 10, 20), part_of(12, 10, 20), part_of(20, 10, 20)],
            ["", "top 10 of 12", "top 10 of 20 or more"]
        );
        let local = LocalTime { offsets: Offsets::fixed(3_600_000) };
        let time = "2026-03-02T10:11:12Z".to_owned();
        assert_eq!((local.zone(Some(&time), Some(&time)), local.day_or_dash(None)), ("UTC+01:00".into(), "-".into()));
        assert_eq!(local.minute("2026-03-02T10:11:12Z"), "2026-03-02 11:11");
        assert_eq!(local.sentence("got in at 2026-03-02T10:11:12Z"), "got in at 2026-03-02 11:11:12");
        assert_eq!(local.sentence("1800 of 2026-03-02"), "1 800 of 2026-03-02");
    }
}
