//! Words that are looked for anywhere in a `Received` header, without a pattern engine: each header is searched for all of them. White space
//! has been folded to single spaces.

use crate::input::octets::{self, is_word};

const DAYS: [&[u8]; 7] = [b"Mon,", b"Tue,", b"Wed,", b"Thu,", b"Fri,", b"Sat,", b"Sun,"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// Protocols whose name says that the client proved itself, or came by web mail.
const SUBMISSIONS: [&[u8]; 12] = [
    b"esmtpa",
    b"esmtpsa",
    b"lmtpa",
    b"lmtpsa",
    b"utf8smtpa",
    b"utf8smtpsa",
    b"utf8lmtpa",
    b"utf8lmtpsa",
    b"asmtp",
    b"http",
    b"https",
    b"httpu",
];
const ID_OCTETS_MIN: usize = 3;

/// The line up to its date, if it ends in one: `; Mon, 2 Jan 2006 15:04:05 +0000`, the day of the week and the seconds optional.
pub(super) fn without_date(line: &[u8]) -> &[u8] {
    date_start(line).and_then(|start| line.get(..start)).unwrap_or(line)
}

fn date_start(line: &[u8]) -> Option<usize> {
    let (rest, zone) = before_last_space(line)?;
    let (rest, time) = before_last_space(rest)?;
    let (rest, year) = before_last_space(rest)?;
    let (rest, month) = before_last_space(rest)?;
    if zone.is_empty() || !is_time(time) || !is_number(year) || !MONTHS.contains(&month) {
        return None;
    }
    let digits = rest.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let before = rest.get(..rest.len() - digits).filter(|_| digits > 0)?;
    let named = before.strip_suffix(b" ").and_then(|head| DAYS.iter().find_map(|day| head.strip_suffix(*day)));
    named.and_then(mark_start).or_else(|| mark_start(before))
}

fn before_last_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memrchr(b' ', text)?;
    Some((text.get(..space)?, text.get(space + 1..)?))
}

/// Where the run of spaces and semicolons at the end of `text` begins; `None` if there is none.
fn mark_start(text: &[u8]) -> Option<usize> {
    let start = text.iter().rposition(|octet| !matches!(octet, b' ' | b';')).map_or(0, |last| last + 1);
    (start < text.len()).then_some(start)
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// `15:04` or `15:04:05`.
fn is_time(text: &[u8]) -> bool {
    let mut parts = text.split(|&octet| octet == b':');
    let count = parts.clone().count();
    (2..=3).contains(&count) && parts.all(is_number)
}

/// The queue id: ` id abc`, ` id <abc>`.
pub(super) fn id(line: &[u8]) -> Option<&[u8]> {
    after_each(line, b" id ").find_map(|rest| {
        let rest = rest.strip_prefix(b"<").unwrap_or(rest);
        let length = run(rest, |octet| !matches!(octet, b' ' | b'<' | b'>' | b';'));
        rest.get(..length).filter(|id| id.len() >= ID_OCTETS_MIN)
    })
}

/// `helo=NAME`, else `HELO NAME` or `EHLO NAME`.
pub(super) fn helo(line: &[u8]) -> Option<&[u8]> {
    let names = |mark: &'static [u8]| {
        memchr::memmem::find_iter(line, mark).filter_map(move |at| {
            let is_glued = at.checked_sub(1).and_then(|before| line.get(before)).is_some_and(|&octet| is_word(octet));
            let rest = line.get(at + mark.len()..)?;
            let length = run(rest, is_name);
            (!is_glued && length > 0).then_some((at, rest.get(..length)?))
        })
    };
    if let Some((_, name)) = names(b"helo=").next() {
        return Some(name);
    }
    let found = [names(b"HELO ").next(), names(b"EHLO ").next()];
    found.into_iter().flatten().min_by_key(|(at, _)| *at).map(|(_, name)| name)
}

fn is_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'-' | b'.' | b'^' | b'+' | b'_' | b'&' | b':' | b'=' | b'?' | b'!' | b'@' | b'%')
        || matches!(octet, b'*' | b'$' | b'\\' | b'/')
}

/// The word after ` by `.
pub(super) fn by(line: &[u8]) -> Option<&[u8]> {
    after_each(line, b" by ").find_map(|rest| {
        let length = run(rest, |octet| octet != b' ');
        rest.get(..length).filter(|word| !word.is_empty())
    })
}

/// The first word, if something that is not part of a name follows it.
pub(super) fn first_word(line: &[u8]) -> Option<&[u8]> {
    let end = match memchr::memchr(b' ', line) {
        Some(space) => space,
        None => line.iter().rposition(|octet| !matches!(octet, b'-' | b'.') && !octet.is_ascii_alphanumeric())?,
    };
    line.get(..end).filter(|word| !word.is_empty())
}

/// The protocol of a line that says by it that the client proved itself: `with ESMTPSA`, in either case, if the line has a ` by `.
pub(super) fn submission(line: &[u8]) -> Option<&[u8]> {
    let mut has_by = false;
    let mut found = None;
    for at in memchr::memchr_iter(b' ', line) {
        let rest = line.get(at..)?;
        has_by |= octets::starts_caseless(rest, b" by ");
        if found.is_none() && octets::starts_caseless(rest, b" with ") {
            let word = rest.get(6..)?;
            let word = word.get(..run(word, |octet| !matches!(octet, b' ' | b';')))?;
            found = Some(word).filter(|word| SUBMISSIONS.iter().any(|known| word.eq_ignore_ascii_case(known)));
        }
    }
    found.filter(|_| has_by)
}

/// Whether the line has one of the words behind which an envelope sender stands.
pub(super) fn may_tell_sender(line: &[u8]) -> bool {
    const WORDS: [(usize, &[u8]); 3] = [(8, b"envelope-sender"), (8, b"envelope-from"), (6, b"return-path")];
    let stands = |dash: usize, before: usize, word: &[u8]| {
        dash.checked_sub(before)
            .and_then(|start| line.get(start..))
            .is_some_and(|rest| octets::starts_caseless(rest, word))
    };
    memchr::memchr_iter(b'-', line).any(|dash| WORDS.iter().any(|(before, word)| stands(dash, *before, word)))
}

/// Whether `mark`, in lower case and with `(` at its start, stands in the line in either case.
pub(super) fn has_caseless(line: &[u8], mark: &[u8]) -> bool {
    memchr::memchr_iter(b'(', line).any(|at| line.get(at..).is_some_and(|rest| octets::starts_caseless(rest, mark)))
}

/// What follows each place of `mark`; places may overlap.
fn after_each<'l>(line: &'l [u8], mark: &'static [u8]) -> impl Iterator<Item = &'l [u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let at = octets::find(rest, mark)?;
        let after = rest.get(at + mark.len()..);
        rest = rest.get(at + 1..)?;
        after
    })
}

fn run(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&octet| !is_wanted(octet)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Modifiers, Pattern};

    /// The patterns that these functions stand for.
    const DATE: &str = "[\\s;]+(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\\d+ (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \\d+ \\d+:\\d+(?::\\d+)? \\S+$";
    const NAME: &str = "[-A-Za-z0-9.^+_&:=?!@%*$\\\\/]";

    fn group<'t>(source: &str, caseless: bool, text: &'t [u8], index: usize) -> Option<&'t [u8]> {
        let modifiers = Modifiers { caseless, ..Modifiers::default() };
        let pattern = Pattern::compile(source.as_bytes(), modifiers).unwrap();
        pattern.captures(text).unwrap()?.get(index).copied().flatten()
    }

    fn check(line: &[u8]) {
        let not_name = NAME.replacen('[', "[^", 1);
        let shown = String::from_utf8_lossy(line);
        let date = Pattern::compile(DATE.as_bytes(), Modifiers::default()).unwrap();
        let start = date.find_at(line, 0).unwrap().map_or(line.len(), |(start, _)| start);
        assert_eq!(without_date(line), &line[..start], "date of {shown}");
        assert_eq!(id(line), group(" id <?([^\\s<>;]{3,})", false, line, 1), "id of {shown}");
        let told = group(&format!("\\bhelo=({NAME}+)(?:{not_name}|$)"), false, line, 1)
            .or_else(|| group(&format!("\\b(?:HELO|EHLO) ({NAME}+)(?:{not_name}|$)"), false, line, 1));
        assert_eq!(helo(line), told, "HELO of {shown}");
        assert_eq!(by(line), group(" by (\\S+)(?:[^-A-Za-z0-9;.]|$)", false, line, 1), "host of {shown}");
        assert_eq!(first_word(line), group("^(\\S+)[^-A-Za-z0-9.]", false, line, 1), "first word of {shown}");
        let with = "^(?=.* by ).*? with ((?:ES|L|UTF8S|UTF8L)MTPS?A|ASMTP|HTTP[SU]?)(?: |;|$)";
        assert_eq!(submission(line), group(with, true, line, 1), "protocol of {shown}");
        let sender = "(?:return-path:? |envelope-(?:sender|from)[ =])(\\S+)\\b";
        assert!(may_tell_sender(line) || group(sender, true, line, 1).is_none(), "sender of {shown}");
    }

    #[test]
    fn as_the_patterns_read_them() {
        for line in [
            "from a (b [1.2.3.4]) by c (Postfix) with ESMTPSA id ABC123 for <x@y>; Mon, 2 Jan 2006 15:04:05 +0000",
            "from a (helo=b) by c with esmtpsa id 1abc;Mon, 2 Jan 2006 15:04 GMT",
            "from a by b; xMon, 2 Jan 2006 15:04:05 +0000",
            "from a by b ; ;12 Jan 2006 1:2:3 x",
            "from a by b;12 Jan 2006 1:2:3:4 x",
            "from a id id <abcd> by by c",
            "from a id ab; id <ab> id <abc",
            "from xhelo=no (EHLO yes) HELO no by",
            "from a (helo=) (HELO b) by c with HTTP; x",
            "from a BY c WITH httpu",
            "from a with http",
            "x;y",
            " x",
            "abc",
            "from a (Envelope-From <x@y>) (return-path: z) by c",
            "",
        ] {
            check(line.as_bytes());
        }
    }

    proptest::proptest! {
        #[test]
        fn as_the_patterns_read_any_line(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "from", " ", " ", " ", ";", "id", "by", "with", "BY", "a", "abc", "helo=", "HELO", "EHLO", "Mon,", "5",
                    "Jan", "2006", "1:2", "1:2:3", "ESMTPSA", "http", "<", ">", "(", "-", "envelope-from", "=", "Return-Path:",
                ]),
                0..24,
            ),
        ) {
            let line = words.concat();
            check(&octets::fold_spaces(line.as_bytes()));
        }
    }
}
