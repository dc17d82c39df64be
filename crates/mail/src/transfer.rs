//! Transfer encodings (RFC 2045 section 6), decoded as a tolerant mail program does it: a stray octet or missing padding
//! must not hide a body from the filter that the reader will see.

use std::borrow::Cow;
use std::ops::Range;

use crate::octets::line_at;
use crate::{Defect, Defects};

/// How a body was encoded for transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`, or nothing said.
    #[default]
    SevenBit,
    /// `8bit`.
    EightBit,
    /// `binary`.
    Binary,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `x-uuencode` and its other names.
    Uuencode,
    /// Something else; the body is taken as it is.
    Unknown,
}

impl TransferEncoding {
    /// Reads the value of `Content-Transfer-Encoding`: case, blanks, quotes and anything after the name do not count.
    #[must_use]
    pub fn parse(value: &[u8]) -> TransferEncoding {
        let start = value.iter().position(u8::is_ascii_alphanumeric).unwrap_or(value.len());
        let value = value.get(start..).unwrap_or_default();
        let end = value.iter().position(|&b| !b.is_ascii_alphanumeric() && b != b'-').unwrap_or(value.len());
        let name = value.get(..end).unwrap_or_default().to_ascii_lowercase();
        match name.as_slice() {
            b"" | b"7bit" | b"7-bit" => TransferEncoding::SevenBit,
            b"8bit" | b"8-bit" => TransferEncoding::EightBit,
            b"binary" => TransferEncoding::Binary,
            b"base64" | b"base-64" => TransferEncoding::Base64,
            b"quoted-printable" | b"quotedprintable" | b"quoted" => TransferEncoding::QuotedPrintable,
            b"x-uuencode" | b"uuencode" | b"x-uue" | b"uue" | b"x-uu" => TransferEncoding::Uuencode,
            _ => TransferEncoding::Unknown,
        }
    }

    /// Whether the body stands as it is.
    #[must_use]
    pub fn is_identity(self) -> bool {
        use TransferEncoding::{Base64, QuotedPrintable, Uuencode};
        !matches!(self, Base64 | QuotedPrintable | Uuencode)
    }

    /// The body without its encoding. The result is never longer than `body`.
    pub(crate) fn decode<'a>(self, body: &'a [u8], part: usize, defects: &mut Defects) -> Cow<'a, [u8]> {
        match self {
            TransferEncoding::Base64 => {
                let (octets, trouble) = decode_base64(body);
                defects.add_many(Defect::BadBase64, part, trouble.strays);
                defects.add_many(Defect::Base64AfterPadding, part, trouble.after_padding);
                defects.add_many(Defect::Base64Unpadded, part, usize::from(trouble.is_unpadded));
                Cow::Owned(octets)
            }
            TransferEncoding::QuotedPrintable => {
                let (octets, bad) = decode_quoted_printable(body);
                defects.add_many(Defect::BadQuotedPrintable, part, bad);
                Cow::Owned(octets)
            }
            TransferEncoding::Uuencode => Cow::Owned(decode_uuencode(body)),
            _ => Cow::Borrowed(body),
        }
    }
}

/// What was odd about base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Octets outside the alphabet that are no white space.
    pub(crate) strays: usize,
    /// Times that more data followed padding.
    pub(crate) after_padding: usize,
    /// The end stands within a group of four.
    pub(crate) is_unpadded: bool,
}

const BLANK: u8 = 64;
const PAD: u8 = 65;
const STRAY: u8 = 66;

/// Value of each octet in base64, or one of the classes above.
#[allow(clippy::indexing_slicing, reason = "computed while compiling, where a panic is a compile error")]
const SEXTETS: [u8; 256] = {
    let mut table = [STRAY; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0u8;
    let mut rest: &[u8] = alphabet;
    while let [first, after @ ..] = rest {
        table[*first as usize] = value;
        value += 1;
        rest = after;
    }
    table[b'=' as usize] = PAD;
    table[b' ' as usize] = BLANK;
    table[b'\t' as usize] = BLANK;
    table[b'\r' as usize] = BLANK;
    table[b'\n' as usize] = BLANK;
    table
};

#[allow(clippy::indexing_slicing, reason = "a table of 256 entries has one for every octet")]
fn class(b: u8) -> u8 {
    SEXTETS[usize::from(b)]
}

/// The six bits of an octet of the base64 alphabet.
pub(crate) fn sextet(b: u8) -> Option<u8> {
    Some(class(b)).filter(|&value| value < BLANK)
}

/// Base64 (RFC 2045 section 6.8). Strays are skipped, padding ends a group, and what follows is decoded as well.
pub(crate) fn decode_base64(encoded: &[u8]) -> (Vec<u8>, Trouble) {
    let mut octets = Vec::with_capacity(encoded.len() / 4 * 3 + 3);
    let mut trouble = Trouble::default();
    let (mut bits, mut held, mut is_padded) = (0u32, 0u8, false);
    let mut rest = encoded;
    while !rest.is_empty() {
        if let ([a, b, c, d, after @ ..], 0) = (rest, held) {
            let (a, b, c, d) = (class(*a), class(*b), class(*c), class(*d));
            if a < BLANK && b < BLANK && c < BLANK && d < BLANK && !is_padded {
                let group = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
                let [_, first, second, third] = group.to_be_bytes();
                octets.extend_from_slice(&[first, second, third]);
                rest = after;
                continue;
            }
        }
        let Some((&first, after)) = rest.split_first() else { break };
        rest = after;
        match class(first) {
            BLANK => {}
            STRAY => trouble.strays += 1,
            PAD => {
                if held > 0 {
                    flush_group(&mut octets, bits, held, &mut trouble);
                    (bits, held) = (0, 0);
                }
                is_padded = true;
            }
            value => {
                if is_padded {
                    trouble.after_padding += 1;
                    is_padded = false;
                }
                bits = bits << 6 | u32::from(value);
                held += 1;
                if held == 4 {
                    let [_, first, second, third] = bits.to_be_bytes();
                    octets.extend_from_slice(&[first, second, third]);
                    (bits, held) = (0, 0);
                }
            }
        }
    }
    if held > 0 {
        trouble.is_unpadded = true;
        flush_group(&mut octets, bits, held, &mut trouble);
    }
    (octets, trouble)
}

fn flush_group(octets: &mut Vec<u8>, bits: u32, held: u8, trouble: &mut Trouble) {
    let [_, first, second, _] = (bits << (6 * (4 - u32::from(held)))).to_be_bytes();
    match held {
        // Six bits are no octet.
        1 => trouble.strays += 1,
        2 => octets.push(first),
        _ => octets.extend_from_slice(&[first, second]),
    }
}

/// The value of a hexadecimal digit of either case.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Percent-encoding, as URLs (RFC 3986 section 2.1) and parameters (RFC 2231 section 4) have it. A bad `%` stands for itself.
pub(crate) fn decode_percent(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', &[high, low, ref after @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = after;
                }
                _ => octets.push(b'%'),
            },
            _ => octets.push(first),
        }
    }
    octets
}

/// Quoted-printable (RFC 2045 section 6.7). A bad `=` stands for itself. The second value counts those.
pub(crate) fn decode_quoted_printable(encoded: &[u8]) -> (Vec<u8>, usize) {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut bad = 0;
    let mut position = 0;
    while let Some(line) = line_at(encoded, position, encoded.len()) {
        let content = encoded.get(line.start..line.end).unwrap_or_default();
        // White space at the end of a line was added on the way (rule 3).
        let end = content.iter().rposition(|&b| b != b' ' && b != b'\t').map_or(0, |last| last + 1);
        let content = content.get(..end).unwrap_or_default();
        let is_terminated = line.next > line.end;
        match content.split_last() {
            Some((b'=', before)) => {
                bad += decode_quoted_line(before, &mut octets);
                bad += usize::from(!is_terminated);
            }
            _ => {
                bad += decode_quoted_line(content, &mut octets);
                octets.extend_from_slice(encoded.get(line.end..line.next).unwrap_or_default());
            }
        }
        position = line.next;
    }
    (octets, bad)
}

fn decode_quoted_line(line: &[u8], octets: &mut Vec<u8>) -> usize {
    let mut bad = 0;
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        octets.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        match *rest {
            [high, low, ref after @ ..] if hex(high).is_some() && hex(low).is_some() => {
                octets.push(hex(high).unwrap_or_default() << 4 | hex(low).unwrap_or_default());
                rest = after;
            }
            _ => {
                bad += 1;
                octets.push(b'=');
            }
        }
    }
    octets.extend_from_slice(rest);
    bad
}

/// A uuencoded file within plain text, as mail carried files before MIME and as some programs still unpack them: where
/// it stands, from `begin` through `end`, and its name.
pub(crate) fn find_uuencoded(text: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut position = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(position..)?;
            let start = match rest.starts_with(b"begin ") {
                true => position,
                false => position + memchr::memmem::find(rest, b"\nbegin ")? + 1,
            };
            let line = line_at(text, start, text.len())?;
            position = line.next;
            let heading = text.get(line.start + "begin ".len()..line.end).unwrap_or_default();
            let (mode, name) = heading.split_at_checked(3).unwrap_or((heading, b""));
            let first = line_at(text, line.next, text.len()).and_then(|line| text.get(line.start..line.end));
            if mode.iter().all(u8::is_ascii_digit) && name.starts_with(b" ") && first.is_some_and(is_uu_line) {
                let rest = text.get(position..)?;
                position =
                    memchr::memmem::find(rest, b"\nend").map_or(text.len(), |end| position + end + "\nend".len());
                return Some((start..position, name.trim_ascii()));
            }
        }
    })
}

/// Whether a line of uuencode is as long as its first character says; some programs add a checksum.
fn is_uu_line(line: &[u8]) -> bool {
    let Some((&length, text)) = line.split_first() else { return false };
    let octets = usize::from(length.wrapping_sub(b' ') & 0x3f);
    let needed = octets.div_ceil(3) * 4;
    (b' '..=b'`').contains(&length) && octets > 0 && (needed..=needed + 1).contains(&text.len())
}

/// Uuencode as POSIX describes it. Lines before `begin` and after `end` are dropped; without `begin` every line counts.
pub(crate) fn decode_uuencode(encoded: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(encoded.len() / 4 * 3);
    let has_begin = encoded.starts_with(b"begin ") || memchr::memmem::find(encoded, b"\nbegin ").is_some();
    let mut is_inside = !has_begin;
    for line in encoded.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !is_inside {
            is_inside = line.starts_with(b"begin ");
        } else if line == b"end" {
            break;
        } else {
            decode_uu_line(line, &mut octets);
        }
    }
    octets
}

fn decode_uu_line(line: &[u8], octets: &mut Vec<u8>) {
    let value = |b: u8| b.wrapping_sub(b' ') & 0x3f;
    let Some((&length, text)) = line.split_first() else { return };
    let wanted = usize::from(value(length));
    // Blanks that were cut from the end of a line are not made up: that would let a body grow.
    let available = text.len() * 3 / 4;
    let bytes = text.chunks(4).flat_map(|chunk| {
        let mut sextets = chunk.iter().map(|&b| u32::from(value(b)));
        let mut next = || sextets.next().unwrap_or_default();
        let [_, group @ ..] = (next() << 18 | next() << 12 | next() << 6 | next()).to_be_bytes();
        group
    });
    octets.extend(bytes.take(wanted.min(available)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_survives_what_attackers_add() {
        let fine = Trouble::default();
        for (encoded, decoded, trouble, why) in [
            ("SGVsbG8=", "Hello", fine, "as it should be"),
            ("SGVs\r\nbG8=\r\n", "Hello", fine, "in lines"),
            ("SGVsbG8", "Hello", Trouble { is_unpadded: true, ..fine }, "without padding"),
            ("SG!VsbG8=", "Hello", Trouble { strays: 1, ..fine }, "one stray octet"),
            ("SGVsbG8=SGVsbG8=", "HelloHello", Trouble { after_padding: 1, ..fine }, "two runs in one body"),
            ("SGVsbG8===", "Hello", fine, "too much padding"),
            ("S", "", Trouble { strays: 1, is_unpadded: true, ..fine }, "six bits are no octet"),
        ] {
            assert_eq!(decode_base64(encoded.as_bytes()), (decoded.as_bytes().to_vec(), trouble), "{why}");
        }
    }

    #[test]
    fn quoted_printable_keeps_what_it_cannot_read() {
        for (encoded, decoded, bad, why) in [
            ("a=3Db", "a=b", 0, "as it should be"),
            ("a=\r\nb \t\r\nc", "ab\r\nc", 0, "soft line end, and white space at a line end"),
            ("a=  \nb", "ab", 0, "white space after a soft line end"),
            ("a==b=c3=A9", "a==b\u{e9}", 2, "`==` and lower case digits"),
            ("a=ZZ=", "a=ZZ", 2, "no digits, and a lone `=` at the end"),
        ] {
            assert_eq!(decode_quoted_printable(encoded.as_bytes()), (decoded.as_bytes().to_vec(), bad), "{why}");
        }
    }

    #[test]
    fn uuencode_reads_what_is_between_begin_and_end() {
        let encoded = b"Here it is:\nbegin 644 cat.txt\n#0V%T\n`\nend\nBye\n";
        assert_eq!(decode_uuencode(encoded), b"Cat");
        assert_eq!(decode_uuencode(b"#0V%T\n"), b"Cat");
        let found: Vec<_> = find_uuencoded(encoded).collect();
        assert_eq!(found, [(12..41, &b"cat.txt"[..])]);
        assert_eq!(find_uuencoded(b"begin 644 with a\nsentence, and\nend").count(), 0, "no uuencode");
        assert_eq!(decode_uuencode(b"?=").len(), 0, "a line that promises more than it holds");
    }
}
