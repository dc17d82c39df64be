//! Tokens of HTML (WHATWG section 13.2.5): text, tags with attributes, comments. Linear, without copies.
//! Builds no tree and repairs nothing. Held against html5ever's tokenizer in the tests.

use std::borrow::Cow;

use super::entity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Text with character references in place.
    Text(&'a str),
    /// Text of `script`, `style` and the like, in which there are no references.
    Raw(&'a str),
    Start(Tag<'a>),
    /// The name as written.
    End(&'a str),
    Comment(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    /// The name as written.
    pub(crate) name: &'a str,
    attributes: &'a str,
}

impl<'a> Tag<'a> {
    /// Names as written, and values decoded. Of two with one name the first counts.
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        Attributes(self.attributes).map(|(name, value)| (name, entity::decode(value, true)))
    }
}

/// Which text has no tags in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Data,
    /// Until the end tag of this name; with references (`title`) or without (`style`).
    Until {
        name: &'static str,
        has_references: bool,
    },
    Script,
    /// Until the end.
    Plaintext,
}

pub(crate) struct Tokens<'a> {
    rest: &'a str,
    mode: Mode,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(html: &'a str) -> Tokens<'a> {
        Tokens { rest: html, mode: Mode::Data }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn raw(&mut self, length: usize, has_references: bool) -> Option<Token<'a>> {
        self.mode = Mode::Data;
        if length == 0 {
            return self.next();
        }
        let text = self.take(length);
        Some(if has_references { Token::Text(text) } else { Token::Raw(text) })
    }

    fn markup(&mut self) -> Option<Token<'a>> {
        let after = self.rest.get(1..).unwrap_or_default();
        match after.as_bytes() {
            [b'!', ..] => Some(self.declaration()),
            [b'?', ..] => Some(self.bogus_comment(1)),
            [b'/', b'>', ..] => {
                self.take(3);
                Some(Token::Comment(""))
            }
            [b'/', first, ..] if first.is_ascii_alphabetic() => self.tag(2).map(|tag| Token::End(tag.name)),
            [b'/', _, ..] => Some(self.bogus_comment(2)),
            [first, ..] if first.is_ascii_alphabetic() => {
                let tag = self.tag(1)?;
                self.mode = mode_after(tag.name);
                Some(Token::Start(tag))
            }
            _ => Some(self.text(1)),
        }
    }

    /// Text that begins with `skip` octets that are certainly text.
    fn text(&mut self, skip: usize) -> Token<'a> {
        let after = self.rest.get(skip..).unwrap_or_default();
        let length = memchr::memchr(b'<', after.as_bytes()).map_or(self.rest.len(), |at| at + skip);
        Token::Text(self.take(length))
    }

    fn declaration(&mut self) -> Token<'a> {
        let Some(comment) = self.rest.strip_prefix("<!--") else { return self.bogus_comment(2) };
        for short in [">", "->"] {
            if comment.starts_with(short) {
                self.take(4 + short.len());
                return Token::Comment("");
            }
        }
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(comment.as_bytes().get(from..).unwrap_or_default(), b"--") {
            let end = from + at;
            let after = comment.get(end + 2..).unwrap_or_default();
            for close in [">", "!>"] {
                if after.starts_with(close) {
                    self.take(4 + end + 2 + close.len());
                    return Token::Comment(comment.get(..end).unwrap_or_default());
                }
            }
            from = end + 1;
        }
        self.take(self.rest.len());
        // What looked like the beginning of an end does not belong to the text.
        let tail = ["--!", "--", "-"].iter().find_map(|tail| comment.strip_suffix(tail));
        Token::Comment(tail.unwrap_or(comment))
    }

    /// `<!doctype ...>`, `<?xml ...>`, `<![CDATA[...`: up to the next `>`.
    fn bogus_comment(&mut self, skip: usize) -> Token<'a> {
        let end = memchr::memchr(b'>', self.rest.as_bytes());
        let text = self.rest.get(skip..end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.take(end.map_or(self.rest.len(), |at| at + 1));
        Token::Comment(text)
    }

    /// A tag whose name begins at `skip`. One that the text ends in is no tag, and nothing follows it.
    fn tag(&mut self, skip: usize) -> Option<Tag<'a>> {
        let text = self.rest.get(skip..).unwrap_or_default();
        let name_end = text.bytes().position(|b| is_space(b) || b == b'/' || b == b'>').unwrap_or(text.len());
        let (name, attributes) = text.split_at_checked(name_end)?;
        let Some(length) = attributes_end(attributes) else {
            self.rest = "";
            return None;
        };
        self.take(skip + name_end + length + 1);
        Some(Tag { name, attributes: attributes.get(..length)? })
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        match self.mode {
            Mode::Data if self.rest.starts_with('<') => self.markup(),
            Mode::Data => Some(self.text(0)),
            Mode::Until { name, has_references } => {
                let length = find_end_tag(self.rest, name).unwrap_or(self.rest.len());
                self.raw(length, has_references)
            }
            Mode::Script => {
                let length = script_end(self.rest);
                self.raw(length, false)
            }
            Mode::Plaintext => Some(Token::Raw(self.take(self.rest.len()))),
        }
    }
}

fn mode_after(name: &str) -> Mode {
    const RAW: [&str; 5] = ["style", "xmp", "iframe", "noembed", "noframes"];
    if !name.is_ascii() || name.len() > 9 {
        return Mode::Data;
    }
    if name.eq_ignore_ascii_case("script") {
        return Mode::Script;
    }
    if name.eq_ignore_ascii_case("plaintext") {
        return Mode::Plaintext;
    }
    for known in ["title", "textarea"] {
        if name.eq_ignore_ascii_case(known) {
            return Mode::Until { name: known, has_references: true };
        }
    }
    let raw = RAW.into_iter().find(|known| name.eq_ignore_ascii_case(known));
    raw.map_or(Mode::Data, |name| Mode::Until { name, has_references: false })
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

/// Where the end tag `</name` stands.
fn find_end_tag(text: &str, name: &str) -> Option<usize> {
    let opening = format!("</{name}");
    let mut starts = memchr::memmem::find_iter(text.as_bytes(), b"</");
    starts.find(|at| text.as_bytes().get(*at..).is_some_and(|rest| is_tag(rest, opening.as_bytes())))
}

/// Whether `text` begins with the tag `opening`, in any case, and a space, `/` or `>`.
fn is_tag(text: &[u8], opening: &[u8]) -> bool {
    text.get(..opening.len()).is_some_and(|found| found.eq_ignore_ascii_case(opening))
        && text.get(opening.len()).is_some_and(|&b| is_space(b) || b == b'/' || b == b'>')
}

/// Where a script ends. Within `<!-- <script>` the first `</script>` does not end it (script data double escaped).
fn script_end(text: &str) -> usize {
    #[derive(PartialEq, Eq)]
    enum State {
        Data,
        Escaped,
        DoubleEscaped,
    }
    let octets = text.as_bytes();
    let mut state = State::Data;
    let mut position = 0;
    while let Some(at) = octets.get(position..).and_then(|rest| memchr::memchr2(b'<', b'-', rest)) {
        position += at;
        let rest = octets.get(position..).unwrap_or_default();
        if rest.starts_with(b"<!--") && state == State::Data {
            // The dashes stay: `<!-->` is a comment that ends at once.
            (state, position) = (State::Escaped, position + 2);
        } else if rest.starts_with(b"-->") {
            (state, position) = (State::Data, position + 3);
        } else if is_tag(rest, b"</script") {
            if state != State::DoubleEscaped {
                return position;
            }
            (state, position) = (State::Escaped, position + 2);
        } else if state == State::Escaped && is_tag(rest, b"<script") {
            (state, position) = (State::DoubleEscaped, position + 1);
        } else {
            position += 1;
        }
    }
    text.len()
}

/// Length of the attributes at the beginning of `text`, up to the `>` that ends the tag. `None` if it does not end.
fn attributes_end(text: &str) -> Option<usize> {
    let mut lexer = Attributes(text);
    while lexer.next().is_some() {}
    lexer.0.starts_with('>').then(|| text.len() - lexer.0.len())
}

/// Reads attributes up to `>` or the end of the text, which is then what is left.
struct Attributes<'a>(&'a str);

impl<'a> Attributes<'a> {
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let length = self.0.bytes().take_while(|&b| is_skipped(b)).count();
        self.advance(length);
    }

    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.0.split_at_checked(length).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    fn value(&mut self) -> Option<&'a str> {
        self.skip(is_space);
        match self.0.as_bytes().first().unwrap_or(&b'>') {
            quote @ (b'"' | b'\'') => {
                let text = self.0.get(1..)?;
                let Some(length) = memchr::memchr(*quote, text.as_bytes()) else {
                    self.0 = "";
                    return None;
                };
                self.0 = text.get(length + 1..)?;
                text.get(..length)
            }
            b'>' => Some(""),
            _ => {
                let length = self.0.bytes().take_while(|&b| !is_space(b) && b != b'>').count();
                Some(self.advance(length))
            }
        }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.skip(|b| is_space(b) || b == b'/');
        if self.0.is_empty() || self.0.starts_with('>') {
            return None;
        }
        // An equals sign at the beginning belongs to the name.
        let tail = self.0.bytes().skip(1).take_while(|&b| !is_space(b) && !matches!(b, b'/' | b'>' | b'=')).count();
        let name = self.advance(tail + 1);
        let after_name = self.0;
        self.skip(is_space);
        let Some(after) = self.0.strip_prefix('=') else {
            // Without a value; the blanks are skipped again by the next attribute.
            self.0 = after_name;
            return Some((name, ""));
        };
        self.0 = after;
        Some((name, self.value()?))
    }
}

#[cfg(test)]
mod tests {
    use super::{Token, Tokens};

    #[test]
    fn attributes_are_all_read() {
        let html = "<a href=x b=\"y\"c='z' d e= >f<br title=>";
        let attributes = Tokens::new(html).flat_map(|token| match token {
            Token::Start(tag) => tag.attributes().map(|(name, value)| format!("{name}={value}")).collect(),
            _ => Vec::new(),
        });
        let attributes: Vec<String> = attributes.collect();
        assert_eq!(attributes, ["href=x", "b=y", "c=z", "d=", "e=", "title="], "the last one ends with its tag");
    }
}
