//! Header fields of one message or part: cutting the block into fields, unfolding, encoded words (RFC 5322 section 2.2, RFC 2047).

use std::borrow::Cow;

use super::octets::{self, is_space, trim};
use super::{Field, charset, transfer};

const NAME_OCTETS_MAX: usize = 256;
const VALUE_OCTETS_MAX: usize = 8192;
/// How many lines that are no header field the block may hold before it counts as ended.
const BAD_LINES_MAX: usize = 3;

/// A header block and what was odd about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block<'a> {
    pub(crate) fields: Vec<Field<'a>>,
    /// The block as rules see it; in a message of CRLF lines, a bare LF became CRLF.
    pub(crate) pristine: Cow<'a, [u8]>,
    /// Where the body begins.
    pub(crate) body_start: usize,
    /// No empty line between header and body.
    pub(crate) is_unseparated: bool,
    /// A name or value was cut at its limit.
    pub(crate) is_truncated: bool,
    /// The line end of the message is CRLF.
    pub(crate) is_crlf: bool,
}

/// Reads the header block of `message`, which is without an mbox line.
pub(crate) fn read_block(message: &[u8]) -> Block<'_> {
    let mut block = Block { is_crlf: has_crlf_lines(message), is_unseparated: true, ..Block::default() };
    // Where the field being collected began, if any.
    let mut field: Option<usize> = None;
    let (mut at, mut bad_lines) = (0, 0);
    block.body_start = message.len();
    for line in octets::lines(message) {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            field.get_or_insert(at);
            at += line.len();
            continue;
        }
        if let Some(start) = field.take() {
            block.push(message.get(start..at).unwrap_or_default());
        }
        let is_empty = line == b"\n" || (block.is_crlf && line == b"\r\n");
        bad_lines += usize::from(!is_empty && !begins_field(line));
        if is_empty || line.starts_with(b"--") || bad_lines > BAD_LINES_MAX {
            block.is_unseparated = !is_empty;
            block.body_start = if is_empty { at + line.len() } else { at };
            break;
        }
        field = Some(at);
        at += line.len();
    }
    if let Some(start) = field {
        block.push(message.get(start..at).unwrap_or_default());
    }
    let pristine = message.get(..block.body_start).unwrap_or_default();
    block.pristine =
        if block.is_crlf && has_bare_lf(pristine) { Cow::Owned(crlf_lines(pristine)) } else { Cow::Borrowed(pristine) };
    block
}

/// The line end of a message is taken from its first and last line.
fn has_crlf_lines(message: &[u8]) -> bool {
    let first_end = memchr::memchr(b'\n', message).map_or(message.len(), |at| at + 1);
    let head = message.get(..first_end).unwrap_or_default();
    head.ends_with(b"\r\n") || message.ends_with(b"\r\n")
}

fn has_bare_lf(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', text).any(|at| at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\r'))
}

fn crlf_lines(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 64);
    for line in octets::lines(text) {
        match line {
            [content @ .., b'\n'] if content.last() != Some(&b'\r') => {
                lines.extend_from_slice(content);
                lines.extend_from_slice(b"\r\n");
            }
            _ => lines.extend_from_slice(line),
        }
    }
    lines
}

/// Whether a line begins a header field: printable characters, then blanks (RFC 822), then a colon.
fn begins_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|octet| matches!(octet, 33..=57 | 59..=126)).count();
    let blanks = line.iter().skip(name).take_while(|octet| matches!(octet, b' ' | b'\t')).count();
    name > 0 && line.get(name + blanks) == Some(&b':')
}

/// Whether a line begins a header field as strict readers want it: no blanks before the colon.
pub(crate) fn begins_strict_field(line: &[u8]) -> bool {
    let name = line.iter().take_while(|octet| matches!(octet, 33..=57 | 59..=126)).count();
    name > 0 && line.get(name) == Some(&b':')
}

impl<'a> Block<'a> {
    /// Adds the field in `lines`, a line with its continuations. Without a colon it is none.
    fn push(&mut self, lines: &'a [u8]) {
        let Some(colon) = memchr::memchr(b':', lines) else { return };
        let (name, rest) = lines.split_at_checked(colon).unwrap_or_default();
        let mut name = trim_blanks_end(name);
        let value = rest.get(1..).unwrap_or_default();
        let mut raw = if self.is_crlf && memchr::memchr(b'\r', value).is_some() {
            Cow::Owned(octets::lf_lines(value))
        } else {
            Cow::Borrowed(value)
        };
        if name.len() > NAME_OCTETS_MAX {
            name = name.get(..NAME_OCTETS_MAX).unwrap_or_default();
            self.is_truncated = true;
        }
        if raw.len() > VALUE_OCTETS_MAX {
            raw = match raw {
                Cow::Borrowed(raw) => Cow::Borrowed(raw.get(..VALUE_OCTETS_MAX).unwrap_or_default()),
                Cow::Owned(mut raw) => {
                    raw.truncate(VALUE_OCTETS_MAX);
                    Cow::Owned(raw)
                }
            };
            self.is_truncated = true;
        }
        self.fields.push(field(Cow::Borrowed(name), raw));
    }
}

fn trim_blanks_end(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |last| last + 1);
    name.get(..end).unwrap_or_default()
}

/// The header lines at the start of a MIME part; returns the fields and how many lines were used. White space after the colon is not
/// part of the value, other than in the header of a message.
pub(crate) fn part_field(lines: &[u8]) -> Option<Field<'static>> {
    let colon = memchr::memchr(b':', lines)?;
    let (name, rest) = lines.split_at_checked(colon)?;
    let value = octets::trim_start(rest.get(1..)?);
    Some(field(Cow::Owned(name.to_vec()), Cow::Owned(value.to_vec())))
}

/// Whether a line of a MIME part continues its header.
pub(crate) fn begins_part_field(line: &[u8]) -> bool {
    begins_field(line)
}

fn field<'a>(name: Cow<'a, [u8]>, raw: Cow<'a, [u8]>) -> Field<'a> {
    let decoded = decode_value(trim(&unfold(&raw)), &name).into_owned();
    Field { name, raw, decoded }
}

/// A line end with the blanks that follow it becomes one space.
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let mut folds = memchr::memchr_iter(b'\n', value).filter(|at| value.get(at + 1).is_some_and(is_blank)).peekable();
    if folds.peek().is_none() {
        return Cow::Borrowed(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    let mut from = 0;
    for at in folds {
        unfolded.extend_from_slice(value.get(from..at).unwrap_or_default());
        unfolded.push(b' ');
        from = at + 1 + value.iter().skip(at + 1).take_while(|octet| is_blank(octet)).count();
    }
    unfolded.extend_from_slice(value.get(from..).unwrap_or_default());
    Cow::Owned(unfolded)
}

/// `:raw` of pseudo-headers that are put together from others: line ends and the white space after them become one space.
pub(crate) fn unfold_raw(value: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&octet, tail)) = rest.split_first() {
        let end = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        let spaces = if end > 0 { rest.iter().skip(end).take_while(|octet| is_space(**octet)).count() } else { 0 };
        if spaces > 0 {
            unfolded.push(b' ');
            rest = rest.get(end + spaces..).unwrap_or_default();
        } else {
            unfolded.push(octet);
            rest = tail;
        }
    }
    unfolded
}

/// Decodes an unfolded value: octets to UTF-8, then encoded words, unless the field is one that has none.
pub(crate) fn decode_value<'a>(value: &'a [u8], name: &[u8]) -> Cow<'a, [u8]> {
    let value = if value.contains(&b'\n') { Cow::Owned(without_line_ends(value)) } else { Cow::Borrowed(value) };
    let value = if value.is_ascii() { value } else { Cow::Owned(charset::normalize_header(&value).into_owned()) };
    let has_word = || memchr::memchr_iter(b'?', &value).any(|at| at > 0 && value.get(at - 1) == Some(&b'='));
    if !has_word() || is_structured(name) {
        return value;
    }
    Cow::Owned(decode_words(&value))
}

fn without_line_ends(value: &[u8]) -> Vec<u8> {
    let mut joined: Vec<u8> = Vec::with_capacity(value.len());
    for &octet in value {
        match octet {
            b'\n' => {
                if joined.last() == Some(&b'\r') {
                    joined.pop();
                }
            }
            _ => joined.push(octet),
        }
    }
    joined
}

/// Fields in which encoded words have no meaning.
fn is_structured(name: &[u8]) -> bool {
    const PLAIN: [&[u8]; 8] = [
        b"received",
        b"message-id",
        b"date",
        b"resent-message-id",
        b"resent-date",
        b"mime-version",
        b"references",
        b"in-reply-to",
    ];
    PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain)) || octets::starts_caseless(name, b"list-")
}

/// A piece of a value: an encoded word, or text outside one.
#[derive(Clone, Copy)]
struct Word<'a> {
    charset: &'a [u8],
    is_base64: bool,
    content: &'a [u8],
    length: usize,
}

/// The encoded word at the start of `text`.
fn word_at(text: &[u8]) -> Option<Word<'_>> {
    let rest = text.strip_prefix(b"=?")?;
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'*' | b'_' | b'-');
    let name = rest.iter().take_while(|octet| is_name(octet)).count();
    let [b'?', encoding @ (b'b' | b'B' | b'q' | b'Q'), b'?', content @ ..] = rest.get(name..)? else { return None };
    let end = memchr::memchr(b'?', content)?;
    if name == 0 || content.get(end + 1) != Some(&b'=') {
        return None;
    }
    Some(Word {
        charset: rest.get(..name)?,
        is_base64: matches!(encoding, b'b' | b'B'),
        content: content.get(..end)?,
        length: 2 + name + 3 + end + 2,
    })
}

/// Decodes encoded words. Neighbours of one charset are joined before their charset is decoded, because senders cut characters in two.
fn decode_words(value: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(value.len());
    let mut pending: (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut rest = value;
    while !rest.is_empty() {
        if let Some(word) = word_at(rest) {
            let name = word.charset.to_ascii_lowercase();
            if name != pending.0 {
                flush(&mut pending, &mut decoded);
                pending.0 = name;
            }
            pending.1.extend_from_slice(&word_octets(word));
            rest = rest.get(word.length..).unwrap_or_default();
            let spaces = rest.iter().take_while(|octet| is_space(**octet)).count();
            if spaces > 0 && rest.get(spaces..).is_some_and(|next| word_at(next).is_some()) {
                rest = rest.get(spaces..).unwrap_or_default();
            }
        } else {
            flush(&mut pending, &mut decoded);
            let length = rest.iter().skip(1).position(|&octet| octet == b'=').map_or(rest.len(), |at| at + 1);
            let (text, tail) = rest.split_at_checked(length).unwrap_or((rest, b""));
            decoded.extend_from_slice(text);
            rest = tail;
        }
    }
    flush(&mut pending, &mut decoded);
    decoded
}

fn word_octets(word: Word<'_>) -> Vec<u8> {
    if word.is_base64 {
        return transfer::base64(word.content);
    }
    let spaced: Vec<u8> = word.content.iter().map(|&octet| if octet == b'_' { b' ' } else { octet }).collect();
    transfer::quoted_printable(&spaced)
}

fn flush(pending: &mut (Vec<u8>, Vec<u8>), decoded: &mut Vec<u8>) {
    let (name, octets) = std::mem::take(pending);
    // A language may follow the charset (RFC 2231 section 5).
    let name = name.split(|&octet| octet == b'*').next().unwrap_or_default();
    if !octets.is_empty() {
        decoded.extend_from_slice(&charset::normalize_word(&octets, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        for (message, names, body, unseparated, why) in [
            (&b"A: b\nC : d\n\nx"[..], vec!["A", "C"], &b"x"[..], false, "blanks before the colon"),
            (b"A: b\r\n\tc\r\n\r\nx\r\n", vec!["A"], b"x\r\n", false, "CRLF and folding"),
            (b"A: b\n--x\n", vec!["A"], b"--x\n", true, "a boundary ends the block"),
            (b"A: b", vec!["A"], b"", true, "no body"),
            (b"1\n2\n3\n4\nA: b\n", vec![], b"4\nA: b\n", true, "too many lines that are no field"),
            (b"1\n2\nA: b\n\n", vec!["A"], b"", false, "a few are let pass"),
        ] {
            let block = read_block(message);
            let found: Vec<String> = block.fields.iter().map(|field| octets::lossy(&field.name)).collect();
            assert_eq!(found, names, "{why}");
            assert_eq!(message.get(block.body_start..), Some(body), "{why}");
            assert_eq!(block.is_unseparated, unseparated, "{why}");
        }
        assert_eq!(read_block(b"A: b\r\n\tc\r\n\r\nx\r\n").fields.first().unwrap().raw.as_ref(), b" b\n\tc\n");
        assert_eq!(read_block(b"A: b\r\n\tc\r\n\r\nx\r\n").fields.first().unwrap().decoded, b"b c");
    }

    #[test]
    fn words() {
        for (value, expected, why) in [
            ("=?utf-8?q?a_=C3=A9?= x", "a \u{e9} x", "Q"),
            ("=?utf-8?B?w6k=?= =?utf-8?B?w6k=?=", "\u{e9}\u{e9}", "space between words goes"),
            ("=?utf-8?q?=C3?= =?UTF-8?q?=A9?=", "\u{e9}", "a character cut in two"),
            ("=?utf-8*en?q?x?=y=z", "xy=z", "language, and text that is no word"),
            ("=?utf-8?x?y?=", "=?utf-8?x?y?=", "unknown encoding"),
            ("a =?iso-8859-1?q?=E9?= =?utf-8?q?b?=", "a \u{e9}b", "two charsets"),
        ] {
            assert_eq!(decode_value(value.as_bytes(), b"subject").as_ref(), expected.as_bytes(), "{why}");
            assert_eq!(decode_value(value.as_bytes(), b"received").as_ref(), value.as_bytes(), "{why}");
        }
    }
}
