//! Octets of a declared charset as Unicode, guessed the way SpamAssassin guesses (`normalize_charset 1`): UTF-8 if it can be, then what
//! was declared, then Windows-1252. Charsets that only Perl knows (UTF-7, HZ, ISO-2022-KR, DOS code pages but 866) are left undecoded.

use std::borrow::Cow;

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, IBM866, ISO_2022_JP, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5,
    ISO_8859_6, ISO_8859_7, ISO_8859_8, ISO_8859_10, ISO_8859_13, ISO_8859_14, ISO_8859_15, ISO_8859_16, KOI8_R,
    KOI8_U, MACINTOSH, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_874, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252,
    WINDOWS_1253, WINDOWS_1254, WINDOWS_1255, WINDOWS_1256, WINDOWS_1257, WINDOWS_1258,
};

/// A text and whether its characters are Unicode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// All ASCII, never decoded.
    Plain(&'a [u8]),
    /// Decoded.
    Chars(Cow<'a, str>),
}

/// Decodes a body part. A part that calls itself ASCII or one of its supersets and is ASCII stays as it is.
pub(crate) fn normalize<'a>(data: &'a [u8], declared: &[u8]) -> Text<'a> {
    let declared = lower_name(declared);
    if data.is_ascii() {
        if is_ascii_superset(&declared) {
            return Text::Plain(data);
        }
        return decode_declared(data, &declared).map_or(Text::Plain(data), Text::Chars);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        return Text::Chars(Cow::Borrowed(text));
    }
    let is_ascii_claim = matches!(declared.as_str(), "ascii" | "us-ascii");
    let decoded = if is_ascii_claim { None } else { decode_declared(data, &declared) };
    Text::Chars(decoded.unwrap_or_else(|| WINDOWS_1252_STRICT.decode_lossy(data)))
}

/// Decodes the octets of encoded words, which must be what they say: what does not fit becomes U+FFFD. Unknown charsets are guessed.
pub(crate) fn normalize_word<'a>(data: &'a [u8], declared: &[u8]) -> Cow<'a, [u8]> {
    let declared = lower_name(declared);
    if data.is_ascii() && is_ascii_superset(&declared) {
        return Cow::Borrowed(data);
    }
    let decoded = match declared.as_str() {
        "utf-8" | "utf8" => Some(String::from_utf8_lossy(data)),
        name if is_utf16(name) => decode_utf16(data),
        name => charset(name).map(|charset| charset.decode_lossy(data)),
    };
    match decoded {
        Some(text) => octets_of(text),
        None => normalize_header(data),
    }
}

/// Header text outside encoded words: UTF-8 if it is (RFC 6532), else Windows-1252.
pub(crate) fn normalize_header(data: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(data).is_ok() {
        return Cow::Borrowed(data);
    }
    octets_of(WINDOWS_1252_STRICT.decode_lossy(data))
}

fn octets_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn lower_name(declared: &[u8]) -> String {
    String::from_utf8_lossy(declared).to_ascii_lowercase()
}

/// The names under which ASCII text is left alone.
fn is_ascii_superset(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let iso =
        |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|part| part.len() <= 2 && digits(part));
    let dashed = |rest: &str| {
        rest.strip_prefix('-')
            .is_some_and(|tail| matches!(tail.len(), 1 | 2) && tail.bytes().all(|octet| octet.is_ascii_alphabetic()))
    };
    matches!(name, "ascii" | "us-ascii" | "iso646-us" | "utf8" | "utf-8" | "big5" | "gbk")
        || matches!(
            name,
            "ansi x3.4-1986"
                | "ansi_x3.4-1986"
                | "ansix3.4-1986"
                | "ansi x3.4-1968"
                | "ansi_x3.4-1968"
                | "ansix3.4-1968"
        )
        || ["iso8859", "iso-8859", "iso 8859"].iter().any(|prefix| name.strip_prefix(prefix).is_some_and(iso))
        || name.strip_prefix("windows-").is_some_and(|rest| rest.len() == 4 && digits(rest))
        || ["koi8", "euc"].iter().any(|prefix| name.strip_prefix(prefix).is_some_and(dashed))
        || is_gb18030(name)
}

fn is_gb18030(name: &str) -> bool {
    let rest = ["gb18030", "gb-18030", "gb 18030"].iter().find_map(|prefix| name.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.is_empty() || (rest.len() == 5 && rest.starts_with("-20")))
}

fn is_utf16(name: &str) -> bool {
    ["utf16", "utf-16", "utf 16"].iter().any(|prefix| name.starts_with(prefix))
}

fn decode_declared<'a>(data: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    if is_utf16(name) {
        return decode_utf16(data);
    }
    // UTF-8 was tried before.
    if matches!(name, "utf8" | "utf-8") {
        return std::str::from_utf8(data).ok().map(Cow::Borrowed);
    }
    charset(name)?.decode(data)
}

/// UTF-16 without a mark of its octet order: guessed from spaces and from which half is mostly zero.
fn decode_utf16(data: &[u8]) -> Option<Cow<'_, str>> {
    if data.starts_with(b"\xff\xfe") || data.starts_with(b"\xfe\xff") {
        return None;
    }
    let nibbles = |octet: u8| u64::from(octet >> 4) + u64::from(octet & 15);
    let (mut even, mut odd, mut little, mut big) = (0, 0, 0_u32, 0_u32);
    for pair in data.chunks(2) {
        let (first, second) = (pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0));
        even += nibbles(first);
        odd += nibbles(second);
        little += u32::from(first == 0x20 && second == 0);
        big += u32::from(first == 0 && second == 0x20);
    }
    little += u32::from(even > odd * 4);
    big += u32::from(odd * 4 > even);
    let encoding = match little.cmp(&big) {
        std::cmp::Ordering::Greater => UTF_16LE,
        std::cmp::Ordering::Less => UTF_16BE,
        std::cmp::Ordering::Equal => return None,
    };
    encoding.decode_without_bom_handling_and_without_replacement(data)
}

/// A charset as Perl understands its name.
#[derive(Clone, Copy, Debug)]
struct Charset {
    encoding: Option<&'static Encoding>,
    rule: Rule,
}

/// Where Perl's tables differ from those of browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// As browsers do.
    Same,
    /// One octet, one character.
    Latin1,
    /// Octets from 0x80 are wrong.
    Ascii,
    /// Octets that browsers map to C1 controls are wrong.
    NoC1,
    /// Octets 0x80 to 0x9F are C1 controls.
    C1,
    /// Both octets of a pair are at least 0xA1.
    HighPairs,
}

const WINDOWS_1252_STRICT: Charset = Charset { encoding: Some(WINDOWS_1252), rule: Rule::NoC1 };

impl Charset {
    fn decode<'a>(self, data: &'a [u8]) -> Option<Cow<'a, str>> {
        match self.rule {
            Rule::Ascii if !data.is_ascii() => None,
            Rule::HighPairs if !are_high_pairs(data) => None,
            Rule::Latin1 | Rule::C1 | Rule::Ascii => Some(self.decode_lossy(data)),
            Rule::NoC1 if has_c1(&self.decode_raw(data)) => None,
            _ => self.encoding?.decode_without_bom_handling_and_without_replacement(data),
        }
    }

    fn decode_lossy<'a>(self, data: &'a [u8]) -> Cow<'a, str> {
        let latin = |octet: &u8| char::from(*octet);
        match self.rule {
            Rule::Latin1 => data.iter().map(latin).collect::<String>().into(),
            Rule::Ascii => data
                .iter()
                .map(|octet| if octet.is_ascii() { latin(octet) } else { '\u{fffd}' })
                .collect::<String>()
                .into(),
            Rule::C1 => {
                let single = |octet: &u8| {
                    if (0x80..0xa0).contains(octet) {
                        latin(octet).to_string()
                    } else {
                        self.decode_raw(&[*octet]).into_owned()
                    }
                };
                data.iter().map(single).collect::<String>().into()
            }
            Rule::NoC1 => {
                let text = self.decode_raw(data);
                if has_c1(&text) {
                    text.chars().map(|char| if is_c1(char) { '\u{fffd}' } else { char }).collect::<String>().into()
                } else {
                    text
                }
            }
            Rule::HighPairs if !are_high_pairs(data) => self.decode_pairs(data).into(),
            // Words that were joined end and begin with shifts that cancel each other; browsers would show a mark there.
            Rule::Same if self.encoding == Some(ISO_2022_JP) => {
                self.decode_raw(&without_idle_shifts(data)).into_owned().into()
            }
            Rule::Same | Rule::HighPairs => self.decode_raw(data),
        }
    }

    /// A lead octet without a fitting second one is wrong alone; reading goes on behind it.
    fn decode_pairs(self, data: &[u8]) -> String {
        let mut text = String::with_capacity(data.len());
        let mut rest = data;
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            match tail.first() {
                _ if first.is_ascii() => text.push(char::from(first)),
                // Rows 10 to 15 and from 88 on are not used.
                Some(&second) if first >= 0xa1 && second >= 0xa1 && !matches!(first, 0xaa..=0xaf | 0xf8..=0xff) => {
                    text.push_str(&self.decode_raw(&[first, second]));
                    rest = tail.get(1..).unwrap_or_default();
                }
                _ => text.push('\u{fffd}'),
            }
        }
        text
    }

    fn decode_raw<'a>(self, data: &'a [u8]) -> Cow<'a, str> {
        self.encoding.unwrap_or(WINDOWS_1252).decode_without_bom_handling(data).0
    }
}

/// ISO-2022 text without shifts to ASCII that are followed by another shift at once.
fn without_idle_shifts(data: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some((&octet, tail)) = rest.split_first() {
        match rest.strip_prefix(b"\x1b(B").or_else(|| rest.strip_prefix(b"\x1b(J")) {
            Some(after) if after.starts_with(b"\x1b") => rest = after,
            _ => {
                kept.push(octet);
                rest = tail;
            }
        }
    }
    kept
}

fn is_c1(char: char) -> bool {
    ('\u{80}'..'\u{a0}').contains(&char)
}

fn has_c1(text: &str) -> bool {
    text.chars().any(is_c1)
}

fn are_high_pairs(data: &[u8]) -> bool {
    let mut octets = data.iter();
    while let Some(octet) = octets.next() {
        let is_lead = matches!(octet, 0xa1..=0xa9 | 0xb0..=0xf7);
        if !octet.is_ascii() && (!is_lead || octets.next().is_none_or(|second| *second < 0xa1)) {
            return false;
        }
    }
    true
}

fn charset(name: &str) -> Option<Charset> {
    let with = |encoding: &'static Encoding, rule| Some(Charset { encoding: Some(encoding), rule });
    // Mail that says ISO-8859-1 means Windows-1252: SpamAssassin follows browsers here, but only for these spellings.
    if matches!(name, "iso-8859-1" | "iso8859-1") {
        return Some(WINDOWS_1252_STRICT);
    }
    let name = name.replace(['_', ' '], "-");
    if let Some(part) = name.strip_prefix("iso-8859-").or_else(|| name.strip_prefix("iso8859-")) {
        return iso_8859(part);
    }
    let page = ["windows-", "windows", "cp-", "cp", "ibm-", "ibm"].iter().find_map(|prefix| name.strip_prefix(prefix));
    if let Some(encoding) = page.and_then(code_page) {
        return with(
            encoding,
            if encoding == GBK || encoding == EUC_KR || encoding == SHIFT_JIS || encoding == IBM866 {
                Rule::Same
            } else {
                Rule::NoC1
            },
        );
    }
    match name.as_str() {
        "ascii" | "us-ascii" | "iso-646-us" => Some(Charset { encoding: None, rule: Rule::Ascii }),
        "latin1" | "latin-1" => iso_8859("1"),
        "latin2" | "latin-2" => iso_8859("2"),
        "tis-620" | "tis620" => iso_8859("11"),
        "koi8-r" => with(KOI8_R, Rule::Same),
        "koi8-u" => with(KOI8_U, Rule::Same),
        "macintosh" | "x-mac-roman" | "macroman" => with(MACINTOSH, Rule::Same),
        "euc-cn" => with(GBK, Rule::HighPairs),
        // Perl takes any name with this in it.
        _ if (name.contains("gb2312") || name.contains("gb-2312")) && !name.contains("raw") => {
            with(GBK, Rule::HighPairs)
        }
        "gbk" => with(GBK, Rule::Same),
        _ if is_gb18030(&name) => with(GBK, Rule::Same),
        "big5" | "big-5" | "big5-eten" | "big5-hkscs" => with(BIG5, Rule::Same),
        "euc-kr" | "euckr" => with(EUC_KR, Rule::HighPairs),
        "ks-c-5601-1987" | "uhc" | "x-uhc" | "ksc5601-1987" => with(EUC_KR, Rule::Same),
        "euc-jp" | "eucjp" | "x-euc-jp" | "ujis" => with(EUC_JP, Rule::Same),
        "ms932" | "windows-31j" => with(SHIFT_JIS, Rule::Same),
        _ if name.ends_with("sjis") || (name.contains("shift") && name.ends_with("jis")) => with(SHIFT_JIS, Rule::Same),
        "iso-2022-jp" => with(ISO_2022_JP, Rule::Same),
        _ => None,
    }
}

fn iso_8859(part: &str) -> Option<Charset> {
    let (encoding, rule) = match part {
        "1" => (Some(WINDOWS_1252), Rule::Latin1),
        "2" => (Some(ISO_8859_2), Rule::Same),
        "3" => (Some(ISO_8859_3), Rule::Same),
        "4" => (Some(ISO_8859_4), Rule::Same),
        "5" => (Some(ISO_8859_5), Rule::Same),
        "6" => (Some(ISO_8859_6), Rule::Same),
        "7" => (Some(ISO_8859_7), Rule::Same),
        "8" => (Some(ISO_8859_8), Rule::Same),
        "9" => (Some(WINDOWS_1254), Rule::C1),
        "10" => (Some(ISO_8859_10), Rule::Same),
        "11" => (Some(WINDOWS_874), Rule::C1),
        "13" => (Some(ISO_8859_13), Rule::Same),
        "14" => (Some(ISO_8859_14), Rule::Same),
        "15" => (Some(ISO_8859_15), Rule::Same),
        "16" => (Some(ISO_8859_16), Rule::Same),
        _ => return None,
    };
    Some(Charset { encoding, rule })
}

fn code_page(page: &str) -> Option<&'static Encoding> {
    let encoding = match page {
        "866" => IBM866,
        "874" => WINDOWS_874,
        "932" => SHIFT_JIS,
        "936" => GBK,
        "949" => EUC_KR,
        "1250" => WINDOWS_1250,
        "1251" => WINDOWS_1251,
        "1252" => WINDOWS_1252,
        "1253" => WINDOWS_1253,
        "1254" => WINDOWS_1254,
        "1255" => WINDOWS_1255,
        "1256" => WINDOWS_1256,
        "1257" => WINDOWS_1257,
        "1258" => WINDOWS_1258,
        _ => return None,
    };
    Some(encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_guessed() {
        let chars = |text: &'static str| Text::Chars(Cow::Borrowed(text));
        for (data, declared, expected, why) in [
            (&b"plain"[..], &b"us-ascii"[..], Text::Plain(b"plain"), "ASCII is not decoded"),
            (b"caf\xc3\xa9", b"iso-8859-1", chars("caf\u{e9}"), "valid UTF-8 wins over what was declared"),
            (b"caf\xe9", b"us-ascii", chars("caf\u{e9}"), "8-bit ASCII is Windows-1252"),
            (b"\x93x\x94", b"iso-8859-1", chars("\u{201c}x\u{201d}"), "ISO-8859-1 means Windows-1252"),
            (b"\x81", b"iso-8859-1", chars("\u{fffd}"), "an undefined octet"),
            (b"\xef\xd2", b"koi8-r", chars("\u{41e}\u{440}"), "what was declared, when it is no UTF-8"),
            (b"x", b"nonsense", Text::Plain(b"x"), "ASCII of an unknown charset"),
        ] {
            assert_eq!(normalize(data, declared), expected, "{why}");
        }
    }

    #[test]
    fn words_are_taken_at_their_word() {
        assert_eq!(normalize_word(b"caf\xe9", b"UTF-8").as_ref(), "caf\u{fffd}".as_bytes());
        assert_eq!(normalize_word(b"caf\xe9", b"iso-8859-1").as_ref(), "caf\u{e9}".as_bytes());
        assert_eq!(normalize_word(b"caf\xe9", b"nonsense").as_ref(), "caf\u{e9}".as_bytes());
    }
}
