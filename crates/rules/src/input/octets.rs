//! Searching and cutting octet strings, with the meaning Perl's patterns give on octets (white space and word characters are ASCII).

/// `\s` of a pattern over octets.
pub(crate) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// `\w` of a pattern over octets.
pub(crate) fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

/// `text` without white space at either end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// `text` without leading white space.
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&octet| !is_space(octet)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// `text` without trailing white space.
pub(crate) fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&octet| !is_space(octet)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// Longer texts are searched by an algorithm that takes no longer for any of them; preparing it costs more than a search in a short one.
const SHORT_OCTETS_MAX: usize = 2048;

/// The first place of `needle`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    if text.len() > SHORT_OCTETS_MAX {
        return memchr::memmem::find(text, needle);
    }
    let last = text.len().checked_sub(needle.len())?;
    let Some((offset, &rare)) = needle.iter().enumerate().min_by_key(|(_, octet)| frequency(**octet)) else {
        return Some(0);
    };
    let window = text.get(offset..=last + offset)?;
    memchr::memchr_iter(rare, window).find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(needle)))
}

/// Which octets are frequent in headers and links; only the order counts.
fn frequency(octet: u8) -> u8 {
    match octet {
        b' ' | b'e' | b'a' | b'o' | b't' | b'i' | b'n' | b'r' | b's' => 3,
        b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'/' => 2,
        b'A'..=b'Z' | b'(' | b')' | b':' => 1,
        _ => 0,
    }
}

/// Whether `needle` is in `text`.
pub(crate) fn contains(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

/// The first place at or after `start` where `needle` (lower case) stands in either case.
pub(crate) fn find_caseless(text: &[u8], needle: &[u8], start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    rest.windows(needle.len().max(1)).position(|window| window.eq_ignore_ascii_case(needle)).map(|at| at + start)
}

/// Whether `text` begins with `prefix` (lower case), in either case.
pub(crate) fn starts_caseless(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Whether `text` ends with `suffix` (lower case), in either case.
pub(crate) fn ends_caseless(text: &[u8], suffix: &[u8]) -> bool {
    text.len()
        .checked_sub(suffix.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

/// `text` with every run of white space made one space.
pub(crate) fn fold_spaces(text: &[u8]) -> Vec<u8> {
    let mut folded = Vec::with_capacity(text.len());
    let mut was_space = false;
    for &octet in text {
        let space = is_space(octet);
        if !space {
            folded.push(octet);
        } else if !was_space {
            folded.push(b' ');
        }
        was_space = space;
    }
    folded
}

/// `text` with each `CR LF` made `LF`.
pub(crate) fn lf_lines(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in memchr::memchr_iter(b'\r', text).filter(|at| text.get(at + 1) == Some(&b'\n')) {
        lines.extend_from_slice(text.get(from..at).unwrap_or_default());
        from = at + 1;
    }
    lines.extend_from_slice(text.get(from..).unwrap_or_default());
    lines
}

/// The lines of `text` with their line ends, the last one possibly without.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, tail) = rest.split_at_checked(end).filter(|(line, _)| !line.is_empty())?;
        rest = tail;
        Some(line)
    })
}

/// The text as a string; what is not UTF-8 is shown as the replacement character.
pub(crate) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_folds() {
        assert_eq!(trim(b" \x0ba b\r\n"), b"a b");
        assert_eq!(fold_spaces(b"a \t\nb\x0b"), b"a b ");
        assert_eq!(lf_lines(b"a\r\nb\rc\r\n"), b"a\nb\rc\n");
        assert_eq!(find_caseless(b"x HTTP:", b"http", 0), Some(2));
        assert!(ends_caseless(b"a.COM", b".com") && !ends_caseless(b"m", b".com"));
        for text in [&b"abcabd"[..], b"abd", b"ab", b"", b"a(b"] {
            for needle in [&b"abd"[..], b"a", b"", b"(", b"(b", b"abcabd", b"abcabda"] {
                assert_eq!(find(text, needle), memchr::memmem::find(text, needle), "{needle:?} in {text:?}");
            }
        }
        assert_eq!(lines(b"a\nb").collect::<Vec<_>>(), vec![&b"a\n"[..], b"b"]);
    }
}
