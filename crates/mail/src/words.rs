//! Encoded words in header text: `=?charset?B?...?=` (RFC 2047), read as mail programs read them, not only where the
//! grammar allows them: within words, with blanks inside, with characters split between two words.

use memchr::memmem;

use crate::charset::{Charset, decode_or};
use crate::transfer;

/// Longest charset name that is looked for.
const CHARSET_OCTETS_MAX: usize = 64;

/// `text`, unfolded, with its encoded words decoded. The second value counts words that could not be decoded well:
/// unknown charset, bad base64, octets that the charset does not allow, line ends (which become blanks).
pub(crate) fn decode(text: &[u8]) -> (String, usize) {
    decode_with(text, None)
}

/// As [`decode`]; text outside of words that is not UTF-8 is taken as `fallback`.
pub(crate) fn decode_with(text: &[u8], fallback: Option<Charset>) -> (String, usize) {
    // Where nothing ends a word any more, nothing is looked for: that keeps many openings from taking quadratic time.
    let Some(last_end) = memmem::rfind(text, b"?=").filter(|_| memmem::find(text, b"=?").is_some()) else {
        return (without_line_ends(decode_or(text, fallback)), 0);
    };
    let mut decoder = Decoder { decoded: String::with_capacity(text.len()), fallback, ..Decoder::default() };
    let mut rest = text;
    while text.len() - rest.len() < last_end
        && let Some(at) = memmem::find(rest, b"=?")
    {
        let (plain, from_word) = rest.split_at_checked(at).unwrap_or((rest, b""));
        match Word::read(from_word) {
            Some((word, after)) => {
                decoder.plain(plain);
                decoder.word(&word);
                rest = after;
            }
            None => {
                let (literal, after) = rest.split_at_checked(at + 2).unwrap_or((rest, b""));
                decoder.plain(literal);
                rest = after;
            }
        }
    }
    decoder.plain(rest);
    decoder.flush();
    (without_line_ends(decoder.decoded), decoder.bad)
}

/// A line end or NUL, from within a word or as a bare CR, would be one for everyone who writes the text into a header or
/// a log. They become blanks.
fn without_line_ends(text: String) -> String {
    if text.contains(is_line_end) { text.replace(is_line_end, " ") } else { text }
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\0')
}

struct Word<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
}

impl Word<'_> {
    /// The word at the beginning of `from`, and what follows it.
    fn read(from: &[u8]) -> Option<(Word<'_>, &[u8])> {
        let from = from.strip_prefix(b"=?")?;
        let charset_end = memchr::memchr(b'?', from.get(..CHARSET_OCTETS_MAX.min(from.len()))?)?;
        let (charset, from) = from.split_at_checked(charset_end)?;
        if charset.iter().any(|b| !b.is_ascii_graphic()) {
            return None;
        }
        let is_base64 = match from.get(1)? {
            b'b' | b'B' => true,
            b'q' | b'Q' => false,
            _ => return None,
        };
        let from = from.get(2..)?.strip_prefix(b"?")?;
        let text_end = memmem::find(from, b"?=")?;
        let (text, after) = from.split_at_checked(text_end)?;
        // RFC 2231 section 5: `charset*language`.
        let charset = charset.split(|&b| b == b'*').next().unwrap_or(charset);
        Some((Word { charset, is_base64, text }, after.get(2..)?))
    }
}

#[derive(Default)]
struct Decoder {
    decoded: String,
    fallback: Option<Charset>,
    /// Octets of adjacent words of one charset: a character may be split between them.
    pending: Vec<u8>,
    pending_charset: Vec<u8>,
    /// Blanks after a word, dropped when another word follows.
    held: Vec<u8>,
    bad: usize,
}

impl Decoder {
    fn plain(&mut self, text: &[u8]) {
        let between_words = !self.pending_charset.is_empty();
        if between_words && text.iter().all(u8::is_ascii_whitespace) {
            self.held.extend_from_slice(text);
            return;
        }
        self.flush();
        let held = std::mem::take(&mut self.held);
        self.decoded.push_str(&decode_or(&held, self.fallback));
        self.decoded.push_str(&decode_or(text, self.fallback));
    }

    fn word(&mut self, word: &Word<'_>) {
        self.held.clear();
        if !self.pending_charset.eq_ignore_ascii_case(word.charset) {
            self.flush();
            self.pending_charset.extend_from_slice(word.charset);
        }
        if word.is_base64 {
            let (octets, trouble) = transfer::decode_base64(word.text);
            self.bad += usize::from(trouble.strays > 0);
            self.pending.extend_from_slice(&octets);
        } else {
            decode_q(word.text, &mut self.pending);
        }
        // An empty charset would look like "no word pending".
        if self.pending_charset.is_empty() {
            self.bad += 1;
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.pending.is_empty() {
            self.pending_charset.clear();
            return;
        }
        let label = String::from_utf8_lossy(&self.pending_charset).into_owned();
        let charset = Charset::of(&label);
        let (text, is_bad) = match charset {
            Some(charset) => charset.decode(&self.pending),
            None => (decode_or(&self.pending, self.fallback), true),
        };
        self.bad += usize::from(is_bad || text.contains(is_line_end));
        self.decoded.push_str(&text);
        self.pending.clear();
        self.pending_charset.clear();
    }
}

/// RFC 2047 section 4.2: `_` is a blank, `=XX` an octet.
fn decode_q(text: &[u8], octets: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'_', _) => octets.push(b' '),
            (b'=', &[high, low, ref after @ ..]) => match (transfer::hex(high), transfer::hex(low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = after;
                }
                _ => octets.push(b'='),
            },
            _ => octets.push(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn words_read_as_mail_programs_read_them() {
        for (text, decoded, why) in [
            ("plain", "plain", "nothing to decode"),
            ("=?ISO-8859-1?Q?a?= b", "a b", "RFC 2047 section 8"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab", "blanks between words vanish"),
            ("=?ISO-8859-1?Q?a_b?=", "a b", "underscore is a blank"),
            ("=?ISO-8859-1?Q?a?=\t=?ISO-8859-2?Q?_b?= c", "a b c", "words of two charsets are adjacent as well"),
            ("=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "\u{20ac}", "a character split between two words"),
            ("x=?utf-8?q?=C3=A9?=y", "x\u{e9}y", "within a word"),
            ("=?utf-8?Q?two words?=", "two words", "blanks inside, as Outlook takes them"),
            ("=?utf-8*EN?Q?a?=", "a", "language of RFC 2231"),
            ("=?utf-8?Q?a", "=?utf-8?Q?a", "no end"),
            ("=?utf-8?X?a?= =?utf-8?Q?b?=", "=?utf-8?X?a?= b", "an encoding that does not exist"),
            ("=?utf-8?Q?=?=", "=", "a lone equals sign"),
            ("=??Q?a?=", "a", "no charset"),
        ] {
            assert_eq!(decode(text.as_bytes()).0, decoded, "{why}");
        }
        assert_eq!(decode(b"=?no-such?Q?a?=").1, 1);
        assert_eq!(decode(b"caf\xe9").0, "caf\u{e9}");
    }

    #[test]
    fn many_openings_take_linear_time() {
        for text in [format!("{}?=", "=? ".repeat(100_000)), "=?utf-8?Q?x".repeat(100_000)] {
            assert_eq!(decode(text.as_bytes()).0, text);
        }
    }
}
