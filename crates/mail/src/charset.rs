//! Charsets: octets to text, by the label that the sender gave. The tables are those of the WHATWG (encoding_rs), since
//! mail programs follow them; UTF-7 (RFC 2152) is here because attackers use what filters lack.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A charset that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Known(&'static Encoding),
    Utf7,
    Utf32 { is_big_endian: bool },
}

/// Labels seen in mail that the WHATWG's table lacks.
const MORE_LABELS: &[(&str, &str)] = &[
    ("ansi", "windows-1252"),
    ("cp-1250", "windows-1250"),
    ("cp-1251", "windows-1251"),
    ("cp-1252", "windows-1252"),
    ("cp1251-1", "windows-1251"),
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("gb-2312", "gb2312"),
    ("gb18030-2000", "gb18030"),
    ("iso-8859-1-windows-3.1-latin-1", "windows-1252"),
    ("iso8859_1", "iso-8859-1"),
    ("iso8859_15", "iso-8859-15"),
    ("ks_c_5601", "euc-kr"),
    ("latin-1", "iso-8859-1"),
    ("ms936", "gbk"),
    ("utf_8", "utf-8"),
    ("utf-8-sig", "utf-8"),
    ("utf8mb4", "utf-8"),
    ("windows1251", "windows-1251"),
    ("windows1252", "windows-1252"),
    ("win-1251", "windows-1251"),
];

impl Charset {
    /// The charset called `label`; case, blanks and quotes around it do not count.
    pub(crate) fn of(label: &str) -> Option<Charset> {
        let label = label.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'').to_ascii_lowercase();
        match label.as_str() {
            "utf-7" | "utf7" | "unicode-1-1-utf-7" | "x-unicode-1-1-utf-7" | "csunicode11utf7" => {
                return Some(Charset::Utf7);
            }
            "utf-32" | "utf-32be" | "ucs-4" | "iso-10646-ucs-4" => return Some(Charset::Utf32 { is_big_endian: true }),
            "utf-32le" => return Some(Charset::Utf32 { is_big_endian: false }),
            "utf-16" | "utf16" => return Some(Charset::Known(encoding_rs::UTF_16BE)),
            _ => {}
        }
        let label = MORE_LABELS.iter().find(|(more, _)| *more == label).map_or(label.as_str(), |(_, known)| known);
        Encoding::for_label_no_replacement(label.as_bytes()).map(Charset::Known)
    }

    /// The text, and whether octets had to be replaced. A byte order mark decides over the label, as in browsers.
    pub(crate) fn decode(self, octets: &[u8]) -> (String, bool) {
        match self {
            Charset::Known(encoding) => {
                let (text, _, is_bad) = encoding.decode(octets);
                (text.into_owned(), is_bad)
            }
            Charset::Utf7 => decode_utf7(octets),
            Charset::Utf32 { is_big_endian } => decode_utf32(octets, is_big_endian),
        }
    }
}

/// Short text without a declared charset: UTF-8, or windows-1252 when it is none.
pub(crate) fn decode_undeclared(octets: &[u8]) -> String {
    decode_or(octets, None)
}

/// UTF-8, or `fallback` (windows-1252 when there is none) where it is not.
pub(crate) fn decode_or(octets: &[u8], fallback: Option<Charset>) -> String {
    match (utf8(octets), fallback) {
        (Some(text), _) => text.into_owned(),
        (None, Some(charset)) => charset.decode(octets).0,
        (None, None) => WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(),
    }
}

/// Octets of a body that its charset is guessed from.
const GUESS_OCTETS_MAX: usize = 16 << 10;

/// A body without a declared charset: UTF-8, or what its octets look most like, as mail programs guess it.
pub(crate) fn decode_guessed(octets: &[u8]) -> String {
    if let Some(text) = utf8(octets) {
        return text.into_owned();
    }
    let start = octets.iter().position(|b| !b.is_ascii()).unwrap_or_default().saturating_sub(GUESS_OCTETS_MAX / 2);
    let sample = octets.get(start..(start + GUESS_OCTETS_MAX).min(octets.len())).unwrap_or_default();
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(sample, true);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    encoding.decode_without_bom_handling(octets).0.into_owned()
}

fn utf8(octets: &[u8]) -> Option<Cow<'_, str>> {
    UTF_8.decode_without_bom_handling_and_without_replacement(octets)
}

fn decode_utf32(octets: &[u8], is_big_endian: bool) -> (String, bool) {
    let (mut text, mut is_bad, mut is_big_endian) = (String::with_capacity(octets.len() / 4), false, is_big_endian);
    for (index, chunk) in octets.chunks(4).enumerate() {
        let Ok(unit) = <[u8; 4]>::try_from(chunk) else {
            is_bad = true;
            continue;
        };
        if index == 0 && unit == [0xff, 0xfe, 0, 0] {
            is_big_endian = false;
            continue;
        }
        let code = if is_big_endian { u32::from_be_bytes(unit) } else { u32::from_le_bytes(unit) };
        match char::from_u32(code) {
            Some('\u{feff}') if index == 0 => {}
            Some(c) => text.push(c),
            None => {
                is_bad = true;
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
    (text, is_bad)
}

/// RFC 2152: ASCII, and UTF-16 in base64 between `+` and `-`.
fn decode_utf7(octets: &[u8]) -> (String, bool) {
    let (mut text, mut is_bad) = (String::with_capacity(octets.len()), false);
    let mut rest = octets;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after.first()) {
            (b'+', Some(b'-')) => {
                text.push('+');
                rest = after.get(1..).unwrap_or_default();
            }
            (b'+', _) => {
                let length = after.iter().position(|&b| crate::transfer::sextet(b).is_none()).unwrap_or(after.len());
                let (shifted, after) = after.split_at_checked(length).unwrap_or((after, b""));
                let units: Vec<u16> = crate::transfer::decode_base64(shifted)
                    .0
                    .chunks_exact(2)
                    .filter_map(|pair| Some(u16::from_be_bytes(<[u8; 2]>::try_from(pair).ok()?)))
                    .collect();
                for unit in char::decode_utf16(units) {
                    is_bad |= unit.is_err();
                    text.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                rest = after.strip_prefix(b"-").unwrap_or(after);
            }
            (0..=127, _) => text.push(char::from(first)),
            _ => {
                is_bad = true;
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
    (text, is_bad)
}

#[cfg(test)]
mod tests {
    use super::{Charset, decode_guessed, decode_or, decode_undeclared};

    #[test]
    fn labels_as_mail_writes_them() {
        let decode = |label: &str, octets: &[u8]| Charset::of(label).map(|c| c.decode(octets).0);
        for (label, octets, text) in [
            ("\"UTF-8\"", &b"\xc3\xa9"[..], "\u{e9}"),
            ("us-ascii", b"\xe9", "\u{e9}"),
            ("cp932", b"\x83e\x83X", "\u{30c6}\u{30b9}"),
            ("utf-7", b"Hi Mom +Jjo--!A+ImIDkQ. 2+-2", "Hi Mom \u{263a}-!A\u{2262}\u{391}. 2+2"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-16", b"\0a", "a"),
            ("utf-32", b"\0\0\0a", "a"),
        ] {
            assert_eq!(decode(label, octets).as_deref(), Some(text), "{label}");
        }
        assert_eq!(Charset::of("no-such-charset"), None);
        assert_eq!(decode_undeclared(b"\xe9\xc3\xa9"), "\u{e9}\u{c3}\u{a9}");
        let cyrillic = Charset::of("windows-1251");
        assert_eq!(decode_or(b"\xcf\xf0\xe8\xe2\xe5\xf2", cyrillic), "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}");
        let guessed = decode_guessed(
            b"\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0? \xcf\xee\xea\xe0 \xe2\xf1\xe5\xec!",
        );
        assert!(guessed.starts_with("\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"), "{guessed}");
    }
}
