//! Values with parameters: `Content-Type` and `Content-Disposition` (RFC 2045 section 5.1, RFC 2183, RFC 2231), read
//! as mail programs read them: blanks without quotes, missing semicolons at the end, encoded words in quotes.

use crate::charset::{Charset, decode_undeclared};
use crate::header::{is_blank, trim};
use crate::transfer::decode_percent;
use crate::words;

/// Parameters kept of one field.
const PARAMETERS_MAX: usize = 64;
/// Pieces of one parameter put together (RFC 2231 section 3).
const SECTIONS_MAX: usize = 64;

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in lower case, without RFC 2231's section number and asterisks.
    pub name: String,
    /// The value, decoded (RFC 2231, and RFC 2047 where senders use it against the rules).
    pub value: String,
}

/// A value and its parameters: `attachment; filename="a.txt"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parametrized {
    /// What stands before the first semicolon, in lower case, without blanks and comments.
    pub value: String,
    /// The parameters in order. Of two with one name both are here; the first one counts.
    pub parameters: Vec<Parameter>,
    /// Whether a name was given twice.
    pub has_duplicates: bool,
}

impl Parametrized {
    /// Reads an unfolded field value.
    pub(crate) fn parse(text: &[u8]) -> Parametrized {
        let mut pieces = Pieces(text);
        let first = without_comments(pieces.next().unwrap_or_default());
        let (value, rest) = split_value(&first);
        let value = decode_undeclared(value).to_ascii_lowercase();
        let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
        let mut raw = Vec::new();
        for piece in [rest].into_iter().chain(pieces) {
            RawParameter::read(piece, &mut raw);
        }
        raw.truncate(PARAMETERS_MAX);
        let (parameters, has_duplicates) = join_sections(raw);
        Parametrized { value, parameters, has_duplicates }
    }

    /// The first parameter called `name` (lower case).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.value.as_str())
    }
}

/// The value before a parameter that no semicolon sets apart (`multipart/mixed boundary=x`), and that parameter.
fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    let text = trim(text);
    let equals = memchr::memchr(b'=', text).unwrap_or_default();
    let before = trim(text.get(..equals).unwrap_or_default());
    match before.iter().rposition(|&b| is_blank(b)) {
        Some(blank) => text.split_at_checked(blank).unwrap_or((text, b"")),
        None => (text, b""),
    }
}

/// Text between semicolons that stand outside quotes.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (mut is_quoted, mut is_escaped) = (false, false);
        let mut end = self.0.len();
        for (index, &b) in self.0.iter().enumerate() {
            match b {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                b';' if !is_quoted => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        let (raw, rest) = self.0.split_at_checked(end).unwrap_or((self.0, b""));
        self.0 = rest.get(1..).unwrap_or_default();
        Some(raw)
    }
}

/// `text` without its comments (RFC 5322 section 3.2.2). An open comment is no comment.
pub(crate) fn without_comments(text: &[u8]) -> Vec<u8> {
    if !text.contains(&b'(') {
        return text.to_vec();
    }
    let mut kept = Vec::with_capacity(text.len());
    let (mut depth, mut is_quoted, mut is_escaped) = (0usize, false, false);
    for &b in text {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' if depth == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => depth += 1,
            b')' if depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            kept.push(b);
        }
    }
    kept
}

struct RawParameter {
    /// Lower case, as written otherwise: `filename*0*`.
    name: String,
    value: Vec<u8>,
}

impl RawParameter {
    /// Reads `name=value`, and what follows it without a semicolon.
    fn read(piece: &[u8], parameters: &mut Vec<RawParameter>) {
        let mut rest = piece;
        while let Some(equals) = memchr::memchr(b'=', rest)
            && parameters.len() < PARAMETERS_MAX
        {
            let name = without_comments(rest.get(..equals).unwrap_or_default());
            let name = String::from_utf8_lossy(trim(&name)).to_ascii_lowercase();
            let text = rest.get(equals + 1..).unwrap_or_default();
            let text = text.get(text.iter().take_while(|&&b| is_blank(b)).count()..).unwrap_or_default();
            let (value, after) = match text.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted),
                // A name without quotes may hold blanks.
                None if matches!(name.as_str(), "name" | "filename") => (trim(text).to_vec(), &b""[..]),
                None => {
                    let end = text.iter().position(|&b| is_blank(b) || b == b'(').unwrap_or(text.len());
                    let (token, after) = text.split_at_checked(end).unwrap_or((text, b""));
                    (token.to_vec(), after)
                }
            };
            if !name.is_empty() {
                parameters.push(RawParameter { name, value });
            }
            rest = after;
        }
    }
}

/// The text up to the closing quote, `\` taken away, and what follows. Before anything else than `"` and `\` the
/// backslash stays: it is then part of a Windows path.
fn unquote(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        match (b, after.first()) {
            (b'"', _) => break,
            (b'\\', Some(&escaped @ (b'"' | b'\\'))) => {
                value.push(escaped);
                rest = after.get(1..).unwrap_or_default();
            }
            _ => value.push(b),
        }
    }
    (value, rest)
}

struct Section {
    name: String,
    number: Option<usize>,
    is_extended: bool,
    value: Vec<u8>,
}

impl Section {
    /// `name`, `name*`, `name*0`, `name*0*`.
    fn read(raw: RawParameter) -> Section {
        let (stem, is_extended) = match raw.name.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (raw.name.as_str(), false),
        };
        let numbered = stem.rsplit_once('*').and_then(|(name, number)| Some((name, number.parse().ok()?)));
        match numbered {
            Some((name, number)) => {
                Section { name: name.to_owned(), number: Some(number), is_extended, value: raw.value }
            }
            None => Section { name: stem.to_owned(), number: None, is_extended, value: raw.value },
        }
    }
}

fn join_sections(raw: Vec<RawParameter>) -> (Vec<Parameter>, bool) {
    let mut parameters: Vec<Parameter> = Vec::with_capacity(raw.len());
    let mut has_duplicates = false;
    let mut extended: Vec<String> = Vec::new();
    let sections: Vec<Section> = raw.into_iter().map(Section::read).collect();
    for section in &sections {
        if section.number.is_some_and(|number| number != 0) {
            continue;
        }
        let parts: Vec<&Section> = match section.number {
            Some(_) => in_order(&sections, &section.name),
            None => vec![section],
        };
        let parameter = Parameter { name: section.name.clone(), value: decode_sections(&parts) };
        let is_better = section.is_extended || section.number.is_some();
        match parameters.iter_mut().find(|known| known.name == parameter.name) {
            // RFC 2231 beside a plain parameter is the same thing said twice for old programs; the new form counts.
            Some(known) if is_better && !extended.contains(&parameter.name) => known.value = parameter.value.clone(),
            Some(_) if !is_better && extended.contains(&parameter.name) => {}
            Some(_) => {
                has_duplicates = true;
                parameters.push(parameter.clone());
            }
            None => parameters.push(parameter.clone()),
        }
        if is_better && !extended.contains(&parameter.name) {
            extended.push(parameter.name);
        }
    }
    (parameters, has_duplicates)
}

fn in_order<'a>(sections: &'a [Section], name: &str) -> Vec<&'a Section> {
    let mut parts: Vec<&Section> = sections.iter().filter(|part| part.name == name && part.number.is_some()).collect();
    parts.sort_by_key(|part| part.number);
    parts.dedup_by_key(|part| part.number);
    parts.truncate(SECTIONS_MAX);
    parts
}

fn decode_sections(parts: &[&Section]) -> String {
    let Some(first) = parts.first() else { return String::new() };
    if !parts.iter().any(|part| part.is_extended) {
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.value.iter().copied()).collect();
        return words::decode(&joined).0;
    }
    let (charset, first_value) = match first.is_extended {
        true => split_charset(&first.value),
        false => (None, first.value.as_slice()),
    };
    let mut octets = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let value = if index == 0 { first_value } else { part.value.as_slice() };
        if part.is_extended { octets.extend(decode_percent(value)) } else { octets.extend_from_slice(value) }
    }
    match charset {
        Some(charset) => charset.decode(&octets).0,
        None => decode_undeclared(&octets),
    }
}

/// `charset'language'text` (RFC 2231 section 4).
fn split_charset(value: &[u8]) -> (Option<Charset>, &[u8]) {
    let mut fields = value.splitn(3, |&b| b == b'\'');
    match (fields.next(), fields.next(), fields.next()) {
        (Some(charset), Some(_), Some(text)) => (Charset::of(&String::from_utf8_lossy(charset)), text),
        _ => (None, value),
    }
}

/// A media type with its parameters (RFC 2045 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// Type and subtype in lower case: `text/plain`.
    essence: String,
    parameters: Parametrized,
}

impl ContentType {
    /// Reads an unfolded field value; `None` when there is no `type/subtype`.
    pub(crate) fn parse(text: &[u8]) -> Option<ContentType> {
        let mut parameters = Parametrized::parse(text);
        let essence = std::mem::take(&mut parameters.value);
        let (kind, subtype) = essence.split_once('/')?;
        (!kind.is_empty() && !subtype.is_empty()).then_some(ContentType { essence, parameters })
    }

    pub(crate) fn of(essence: &str) -> ContentType {
        ContentType { essence: essence.to_owned(), parameters: Parametrized::default() }
    }

    /// `type/subtype` in lower case.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The type: `text` of `text/plain`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.essence.split_once('/').map_or("", |(kind, _)| kind)
    }

    /// The subtype: `plain` of `text/plain`.
    #[must_use]
    pub fn subtype(&self) -> &str {
        self.essence.split_once('/').map_or("", |(_, subtype)| subtype)
    }

    /// The first parameter called `name` (lower case).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.parameter(name)
    }

    /// All parameters in order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters.parameters
    }

    pub(crate) fn has_duplicates(&self) -> bool {
        self.parameters.has_duplicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_read_as_mail_programs_read_them() {
        for (text, name, value, why) in [
            ("text/plain; charset=us-ascii (Plain text)", "charset", "us-ascii", "RFC 2045 section 5.1"),
            ("text/plain; charset=\"us-ascii\"", "charset", "us-ascii", "quoted"),
            ("a/b; Name=\"a\\\"b\"", "name", "a\"b", "quoted pair"),
            ("a/b; name=\"C:\\dir\\x.exe\"", "name", "C:\\dir\\x.exe", "a path, no quoted pairs"),
            ("a/b; name=my file.pdf ; x=y", "name", "my file.pdf", "blanks without quotes"),
            ("a/b; name=\"a;b.pdf\"", "name", "a;b.pdf", "semicolon in quotes"),
            ("a/b; name=\"=?utf-8?B?w6kudHh0?=\"", "name", "\u{e9}.txt", "encoded word in quotes"),
            ("a/b; url*0=\"ftp://\"; url*1=\"x.example\"", "url", "ftp://x.example", "RFC 2231 section 3"),
            ("a/b; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***", "section 4"),
            ("a/b; t*1*=%2A; t*0*=utf-8''%C3%A9; t*2=\"!\"", "t", "\u{e9}*!", "section 4.1, out of order"),
            ("a/b; filename=\"old\"; filename*=utf-8''new", "filename", "new", "the new form counts"),
            ("a/b; boundary=x; boundary=y", "boundary", "x", "the first counts"),
            ("a/b; name=\"open", "name", "open", "quote never closed"),
            ("a/b\tboundary=\"x\"", "boundary", "x", "no semicolon behind the type"),
            ("a/b; charset=\"x\" boundary=y", "boundary", "y", "no semicolon between parameters"),
        ] {
            assert_eq!(Parametrized::parse(text.as_bytes()).parameter(name), Some(value), "{why}");
        }
        assert!(Parametrized::parse(b"a/b; boundary=x; boundary=y").has_duplicates);
        assert_eq!(ContentType::parse(b"TEXT / Html").unwrap().essence(), "text/html");
        assert_eq!(ContentType::parse(b"text"), None);
    }
}
