//! Mailboxes of header fields (RFC 5322 section 3.4), read tolerantly. Structure comes first, from the raw value, and
//! encoded words are decoded after: a comma or an angle that was hidden in an encoded word is text, never syntax.

use crate::charset::{Charset, decode_undeclared};
use crate::header::trim;
use crate::{Address, words};

/// A mailbox: `Jane <jane@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, decoded; without one the text of a comment (`jane@example.org (Jane)`), else empty.
    pub name: String,
    /// What was written as the address, without angles, decoded as undeclared text.
    pub written: String,
    /// The address, if it reads as one.
    pub address: Option<Address>,
    /// The name of the group that the mailbox stands in.
    pub group: Option<String>,
}

/// Reads an unfolded value. At most `limit` mailboxes are returned; the second value says whether there were more. An
/// empty group gives no mailbox.
#[must_use]
pub fn parse_mailboxes(value: &[u8], limit: usize) -> (Vec<Mailbox>, bool) {
    read(value, limit, None)
}

/// As [`parse_mailboxes`]; names that are neither ASCII nor UTF-8 are taken as `fallback`.
pub(crate) fn read(value: &[u8], limit: usize, fallback: Option<Charset>) -> (Vec<Mailbox>, bool) {
    let mut reader = Reader::read(value, limit, fallback, false);
    if matches!(reader.state, State::Quoted | State::Comment(_)) {
        // A quote or bracket that never closes must not swallow the address.
        reader = Reader::read(value, limit, fallback, true);
    }
    reader.end_mailbox();
    let is_more = reader.mailboxes.len() > limit;
    reader.mailboxes.truncate(limit);
    (reader.mailboxes, is_more)
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    Quoted,
    Comment(usize),
    Angle,
    QuotedInAngle,
}

#[derive(Default)]
struct Reader {
    /// Quotes and brackets are ordinary characters.
    is_literal: bool,
    fallback: Option<Charset>,
    mailboxes: Vec<Mailbox>,
    state: State,
    is_escaped: bool,
    /// Text outside angles and comments, quotes taken away.
    phrase: Vec<u8>,
    /// The same with quotes in place, for an address without angles.
    written: Vec<u8>,
    comment: Vec<u8>,
    angle: Option<Vec<u8>>,
    group: Option<String>,
}

impl Reader {
    /// Takes `value` in, but for the end of its last mailbox.
    fn read(value: &[u8], limit: usize, fallback: Option<Charset>, is_literal: bool) -> Reader {
        let mut reader = Reader { is_literal, fallback, ..Reader::default() };
        for &b in value {
            if reader.mailboxes.len() > limit {
                break;
            }
            reader.take(b);
        }
        reader
    }

    fn take(&mut self, b: u8) {
        if self.is_escaped {
            self.is_escaped = false;
            return self.keep(b);
        }
        match (self.state, b) {
            (_, b'"' | b'(' | b')') if self.is_literal => self.keep(b),
            (State::Quoted | State::QuotedInAngle | State::Comment(_), b'\\') => {
                self.is_escaped = true;
                if self.state == State::Quoted {
                    self.written.push(b);
                } else if self.state == State::QuotedInAngle {
                    self.keep(b);
                }
            }
            (State::Plain, b'"') => {
                self.state = State::Quoted;
                self.written.push(b);
            }
            (State::Quoted, b'"') => {
                self.state = State::Plain;
                self.written.push(b);
            }
            (State::Plain, b'(') => self.state = State::Comment(1),
            (State::Comment(depth), b'(') => {
                self.state = State::Comment(depth + 1);
                self.keep(b);
            }
            (State::Comment(1), b')') => self.state = State::Plain,
            (State::Comment(depth), b')') => {
                self.state = State::Comment(depth - 1);
                self.keep(b);
            }
            (State::Plain, b'<') => {
                // A second angle in one mailbox: two addresses, of which programs show either. Both are kept.
                if self.angle.is_some() {
                    self.end_mailbox();
                }
                self.angle = Some(Vec::new());
                self.state = State::Angle;
            }
            (State::Angle, b'"') => {
                self.state = State::QuotedInAngle;
                self.keep(b);
            }
            (State::QuotedInAngle, b'"') => {
                self.state = State::Angle;
                self.keep(b);
            }
            (State::Angle, b'>') => self.state = State::Plain,
            (State::Plain, b',') => self.end_mailbox(),
            (State::Plain, b';') => {
                self.end_mailbox();
                self.group = None;
            }
            (State::Plain, b':') if self.angle.is_none() => {
                self.group = Some(words::decode_with(trim(&std::mem::take(&mut self.phrase)), self.fallback).0);
                self.written.clear();
                self.comment.clear();
            }
            _ => self.keep(b),
        }
    }

    fn keep(&mut self, b: u8) {
        match self.state {
            State::Plain | State::Quoted => {
                self.phrase.push(b);
                self.written.push(b);
            }
            State::Comment(_) => self.comment.push(b),
            State::Angle | State::QuotedInAngle => {
                if let Some(angle) = &mut self.angle {
                    angle.push(b);
                }
            }
        }
    }

    fn end_mailbox(&mut self) {
        self.state = State::Plain;
        let phrase = std::mem::take(&mut self.phrase);
        let written = std::mem::take(&mut self.written);
        let comment = std::mem::take(&mut self.comment);
        let group = self.group.clone();
        let mailbox = match self.angle.take() {
            Some(angle) => with_angle(&angle, group),
            None if trim(&written).is_empty() => return,
            None => without_angle(&written, group),
        };
        let name = |text: &[u8]| words::decode_with(trim(text), self.fallback).0;
        let name = match mailbox.name_from {
            NameFrom::Phrase if trim(&phrase).is_empty() => name(&comment),
            NameFrom::Phrase => name(&phrase),
            NameFrom::Comment => name(&comment),
            NameFrom::PhraseWithout(word) => {
                let rest = name(&phrase).replace(&word, " ");
                rest.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        };
        self.mailboxes.push(Mailbox { name, ..mailbox.mailbox });
    }
}

/// A mailbox whose name is still to be decoded.
struct Unnamed {
    mailbox: Mailbox,
    name_from: NameFrom,
}

enum NameFrom {
    /// The phrase, or the comment where there is no phrase.
    Phrase,
    Comment,
    /// The phrase without the address that stands in it.
    PhraseWithout(String),
}

impl Unnamed {
    fn new(written: String, address: Option<Address>, group: Option<String>, name_from: NameFrom) -> Unnamed {
        Unnamed { mailbox: Mailbox { name: String::new(), written, address, group }, name_from }
    }
}

fn with_angle(angle: &[u8], group: Option<String>) -> Unnamed {
    let mut written = decode_undeclared(trim(angle));
    // A source route (RFC 5322 section 4.4): `@a,@b:user@example.org`.
    if written.starts_with('@')
        && let Some((_, address)) = written.rsplit_once(':')
    {
        written = address.to_owned();
    }
    let address = read_address(&written);
    Unnamed::new(written, address, group, NameFrom::Phrase)
}

fn without_angle(written: &[u8], group: Option<String>) -> Unnamed {
    let text = decode_undeclared(trim(written));
    if let Some(address) = read_address(&text) {
        return Unnamed::new(text, Some(address), group, NameFrom::Comment);
    }
    // `Jane jane@example.org`, or `jane @ example.org`.
    let word = text.split_whitespace().find(|word| word.contains('@') && read_address(word).is_some());
    if let Some(word) = word {
        return Unnamed::new(word.to_owned(), read_address(word), group, NameFrom::PhraseWithout(word.to_owned()));
    }
    let squeezed: String = text.split_whitespace().collect();
    match Address::parse(&squeezed) {
        Ok(address) => Unnamed::new(text, Some(address), group, NameFrom::Comment),
        Err(_) => Unnamed::new(String::new(), None, group, NameFrom::Phrase),
    }
}

/// An address without blanks outside quotes.
fn read_address(text: &str) -> Option<Address> {
    let has_blank = text.contains(char::is_whitespace) && !text.starts_with('"');
    if has_blank { None } else { Address::parse(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_read_tolerantly() {
        for (value, expected, why) in [
            ("jane@example.org", &[("", "jane@example.org")][..], "bare"),
            ("Jane Doe <jane@example.org>", &[("Jane Doe", "jane@example.org")], "with a name"),
            (
                "\"Doe, Jane\" <jane@example.org>, b@example.org",
                &[("Doe, Jane", "jane@example.org"), ("", "b@example.org")],
                "comma in quotes",
            ),
            ("jane@example.org (Jane \\(J\\) Doe)", &[("Jane (J) Doe", "jane@example.org")], "comment as name"),
            ("=?utf-8?Q?J=C3=A4ne=2C?= <j@example.org>", &[("J\u{e4}ne,", "j@example.org")], "encoded comma is text"),
            (
                "=?utf-8?Q?a=40bank.example_=3Ca=40bank.example=3E?= <j@evil.example>",
                &[("a@bank.example <a@bank.example>", "j@evil.example")],
                "encoded angles are text",
            ),
            (
                "service@bank.example <x@evil.example>",
                &[("service@bank.example", "x@evil.example")],
                "an address as name",
            ),
            ("<a@example.org> <b@example.org>", &[("", "a@example.org"), ("", "b@example.org")], "two angles"),
            (
                "A Group:Ed <ed@a.example>, joe@b.example;, x@c.example",
                &[("Ed", "ed@a.example"), ("", "joe@b.example"), ("", "x@c.example")],
                "a group",
            ),
            ("undisclosed-recipients:;", &[], "an empty group"),
            ("Jane <@a.example,@b.example:jane@example.org>", &[("Jane", "jane@example.org")], "source route"),
            ("Jane <jane@example.org", &[("Jane", "jane@example.org")], "angle never closed"),
            ("Jane jane@example.org", &[("Jane", "jane@example.org")], "no angles at all"),
            ("jane @ example.org", &[("", "jane@example.org")], "blanks around the at"),
            ("\"a b\"@example.org", &[("", "\"a b\"@example.org")], "quoted local part"),
            ("\"Jane <jane@example.org>", &[("\"Jane", "jane@example.org")], "quote never closed"),
            (
                "(Jane <jane@example.org>, b@example.org",
                &[("(Jane", "jane@example.org"), ("", "b@example.org")],
                "comment never closed",
            ),
            ("Jane", &[("Jane", "")], "no address"),
            ("", &[], "nothing"),
            (" , ,", &[], "only commas"),
        ] {
            let (mailboxes, is_more) = parse_mailboxes(value.as_bytes(), 10);
            let found: Vec<(String, String)> = mailboxes
                .iter()
                .map(|m| (m.name.clone(), m.address.as_ref().map(Address::to_string).unwrap_or_default()))
                .collect();
            let expected: Vec<(String, String)> = expected.iter().map(|(n, a)| ((*n).into(), (*a).into())).collect();
            assert_eq!((found, is_more), (expected, false), "{why}");
        }
        assert_eq!(parse_mailboxes(b"a@b.example,c@d.example,e@f.example", 2).0.len(), 2);
        assert!(parse_mailboxes(b"a@b.example,c@d.example,e@f.example", 2).1);
    }
}
