//! Transfer encodings as SpamAssassin undoes them: it never refuses, and what is broken is decoded as far as it goes (RFC 2045 section 6).

use std::sync::LazyLock;

use super::octets::is_space;

/// Undoes base64. Octets outside the alphabet are left out; without them, `=` inside the text counts as `A`, else as the last digit.
pub(crate) fn base64(text: &[u8]) -> Vec<u8> {
    let digits = &*DIGITS;
    let digit = |octet: u8| digit(digits, octet);
    let packed: Vec<u8> = text.iter().copied().filter(|&octet| !is_space(octet)).collect();
    let is_clean = packed.len() >= 2
        && packed.len().is_multiple_of(4)
        && packed.iter().all(|&octet| octet == b'=' || digit(octet).is_some());
    let end = packed.iter().rposition(|&octet| octet != b'=' && digit(octet).is_some()).map_or(0, |last| last + 1);
    // SpamAssassin has a fast path for clean text and a slow one for the rest; they differ in what `=` inside the text stands for.
    let inner_pad = if is_clean { 0 } else { 63 };
    let mut decoded = Vec::with_capacity(end / 4 * 3 + 3);
    let (mut group, mut count) = (0_u32, 0_u32);
    for &octet in packed.iter().take(end) {
        let Some(value) = (if octet == b'=' { Some(inner_pad) } else { digit(octet) }) else { continue };
        group = group << 6 | value;
        count += 1;
        if count == 4 {
            decoded.extend_from_slice(group.to_be_bytes().get(1..).unwrap_or_default());
            (group, count) = (0, 0);
        }
    }
    let [_, first, second, _] = (group << (6 * (4 - count) % 24)).to_be_bytes();
    match count {
        2 => decoded.push(first),
        3 => decoded.extend_from_slice(&[first, second]),
        _ => {}
    }
    decoded
}

/// The value of each digit; [`NO_DIGIT`] for all other octets.
static DIGITS: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let mut digits = [NO_DIGIT; 256];
    let alphabet = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/");
    for (value, octet) in (0..).zip(alphabet) {
        if let Some(digit) = digits.get_mut(usize::from(octet)) {
            *digit = value;
        }
    }
    digits
});
const NO_DIGIT: u8 = 255;

fn digit(digits: &[u8; 256], octet: u8) -> Option<u32> {
    digits.get(usize::from(octet)).copied().filter(|digit| *digit != NO_DIGIT).map(u32::from)
}

/// Undoes quoted-printable: white space before a line end goes, soft line ends go, `=XX` becomes an octet, in either case of the digits.
pub(crate) fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    for line in super::octets::lines(text) {
        let (content, end) = split_line_end(line);
        let content = if end.is_empty() { content } else { without_trailing_blanks(content) };
        let (content, end) = match content.split_last() {
            Some((b'=', rest)) if !end.is_empty() => (rest, &b""[..]),
            _ => (content, end),
        };
        decoded.extend_from_slice(content);
        decoded.extend_from_slice(end);
    }
    hex_octets(&decoded)
}

fn split_line_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    line.split_at_checked(line.len() - end).unwrap_or((line, b""))
}

fn without_trailing_blanks(content: &[u8]) -> &[u8] {
    let end = content.iter().rposition(|&octet| octet != b' ' && octet != b'\t').map_or(0, |last| last + 1);
    content.get(..end).unwrap_or_default()
}

/// `=XX` as octets. Done after the soft line ends are gone, because an escape may be cut by one.
fn hex_octets(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(rest.get(..at).unwrap_or_default());
        let (octet, used) = match rest.get(at + 1..at + 3) {
            Some(&[high, low]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'=', 1),
            },
            _ => (b'=', 1),
        };
        octets.push(octet);
        rest = rest.get(at + used..).unwrap_or_default();
    }
    octets.extend_from_slice(rest);
    octets
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_spamassassin() {
        for (text, expected, why) in [
            (&b"SGVsbG8="[..], &b"Hello"[..], "clean text"),
            (b"SGVs\r\nbG8=\r\n", b"Hello", "line ends are white space"),
            (b"SGVsbG8", b"Hello", "missing padding"),
            (b"SGVs!bG8=", b"Hello", "a foreign octet is left out"),
            (b"SGVsb", b"Hel", "one digit alone is no octet"),
            (b"QQ==QQ==", b"A\0\0A", "inner padding of clean text counts as A"),
            (b"", b"", "nothing"),
            (b"====", b"", "padding alone"),
        ] {
            assert_eq!(base64(text), expected, "{why}");
        }
    }

    #[test]
    fn quoted_printable_as_spamassassin() {
        for (text, expected, why) in [
            (&b"a=3db=\nc  \nd"[..], &b"a=bc\nd"[..], "escape, soft end, trailing blanks"),
            (b"a=\r\nb\r\n", b"ab\r\n", "CRLF is kept where it is hard"),
            (b"a=zz=", b"a=zz=", "what is no escape stays"),
            (b"a= \nb", b"ab", "a soft end followed by blanks"),
        ] {
            assert_eq!(quoted_printable(text), expected, "{why}");
        }
    }
}
