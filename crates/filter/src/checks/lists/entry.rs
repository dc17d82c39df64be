//! One entry of an own list, and the line it is written as:
//!
//! ```text
//! block client 192.0.2.0/24 for server by root until 2026-12-01T00:00:00Z # broke in twice
//! allow domain example.org for mailbox a@example.net by admin
//! ```

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use tidegate_mail::{Address, Domain};

use crate::check::Evidence;
use crate::panel::Account;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Allow or block.
    pub side: Side,
    /// Whom.
    pub subject: Subject,
    /// For whose mail.
    pub scope: Scope,
    /// Who made it.
    pub author: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Why it was made.
    pub comment: String,
}

/// Allow or block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Let it in.
    Allow,
    /// Keep it out.
    Block,
}

/// Whom an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A client address or network.
    Client(IpNet),
    /// A sender's domain and those below it.
    Domain(Domain),
    /// A sender.
    Address(Address),
    /// What a client calls itself; compared without case.
    Helo(String),
    /// A confirmed reverse name and those below it.
    ReverseName(Domain),
}

/// For whose mail an entry holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All mail of this server.
    Server,
    /// Recipients of one account.
    Account(Account),
    /// Recipients of one domain.
    Domain(Domain),
    /// One recipient.
    Mailbox(Address),
}

impl Scope {
    /// Narrower scopes are smaller.
    pub(super) fn width(&self) -> u8 {
        match self {
            Scope::Mailbox(_) => 0,
            Scope::Domain(_) => 1,
            Scope::Account(_) => 2,
            Scope::Server => 3,
        }
    }
}

/// Why a line is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A word is missing or not one of those that may stand there.
    #[error("expected {expected}, found `{found}`")]
    Expected {
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A value does not read.
    #[error("`{value}` is no {what}: {problem}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// The text.
        value: String,
        /// What is wrong.
        problem: String,
    },
}

impl Subject {
    /// Reads a subject of the kind that its form tells: an address or network, `user@domain`, or a domain.
    ///
    /// # Errors
    /// The text has none of these forms.
    pub fn guess(text: &str) -> Result<Subject, EntryError> {
        let kind = if text.contains('@') {
            "address"
        } else if looks_like_network(text) {
            "client"
        } else {
            "domain"
        };
        Subject::parse(kind, text)
    }

    /// Reads a subject of the kind named.
    ///
    /// # Errors
    /// The kind is unknown, or the text is not of that kind.
    pub fn parse(kind: &str, text: &str) -> Result<Subject, EntryError> {
        match kind {
            "client" => Ok(Subject::Client(network(text)?)),
            "domain" => Ok(Subject::Domain(value("domain", text)?)),
            "address" => Ok(Subject::Address(value::<Address>("address", text)?.to_lowercase())),
            "helo" => Ok(Subject::Helo(text.to_ascii_lowercase())),
            "rdns" => Ok(Subject::ReverseName(value("reverse name", text)?)),
            other => Err(EntryError::Expected {
                expected: "`client`, `domain`, `address`, `helo` or `rdns`",
                found: other.to_owned(),
            }),
        }
    }
}

/// Digits, dots and a length are meant as an address, also when they are none: `192.0.2.300` is a slip and no domain.
fn looks_like_network(text: &str) -> bool {
    network(text).is_ok() || text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/' | b':'))
}

fn network(text: &str) -> Result<IpNet, EntryError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip));
    }
    value::<IpNet>("address or network", text).map(|net| net.trunc())
}

fn value<T: FromStr<Err: fmt::Display>>(what: &'static str, text: &str) -> Result<T, EntryError> {
    text.parse().map_err(|problem: T::Err| EntryError::Value {
        what,
        value: text.to_owned(),
        problem: problem.to_string(),
    })
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(line: &str) -> Result<Entry, EntryError> {
        let (words, comment) = line.split_once('#').unwrap_or((line, ""));
        let mut words = words.split_ascii_whitespace();
        let side = match words.next().unwrap_or_default() {
            "allow" => Side::Allow,
            "block" => Side::Block,
            other => return Err(EntryError::Expected { expected: "`allow` or `block`", found: other.to_owned() }),
        };
        let kind = words.next().unwrap_or_default();
        let subject = Subject::parse(kind, words.next().unwrap_or_default())?;
        let mut entry = Entry {
            side,
            subject,
            scope: Scope::Server,
            author: String::new(),
            until: None,
            comment: comment.trim().to_owned(),
        };
        while let Some(word) = words.next() {
            entry.read_clause(word, &mut words)?;
        }
        Ok(entry)
    }
}

impl Entry {
    fn read_clause<'a>(&mut self, word: &str, words: &mut impl Iterator<Item = &'a str>) -> Result<(), EntryError> {
        let mut next = || words.next().unwrap_or_default();
        match word {
            "for" => {
                self.scope = match next() {
                    "server" => Scope::Server,
                    "account" => Scope::Account(Account(next().to_owned())),
                    "domain" => Scope::Domain(value("domain", next())?),
                    "mailbox" => Scope::Mailbox(value::<Address>("mailbox", next())?.to_lowercase()),
                    other => {
                        return Err(EntryError::Expected {
                            expected: "`server`, `account`, `domain` or `mailbox` after `for`",
                            found: other.to_owned(),
                        });
                    }
                }
            }
            "by" => self.author = next().to_owned(),
            "until" => self.until = Some(value("time", next())?),
            other => {
                return Err(EntryError::Expected { expected: "`for`, `by` or `until`", found: other.to_owned() });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Allow => "allow",
            Side::Block => "block",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Client(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "client {}", net.addr()),
            Subject::Client(net) => write!(f, "client {net}"),
            Subject::Domain(domain) => write!(f, "domain {domain}"),
            Subject::Address(address) => write!(f, "address {address}"),
            Subject::Helo(name) => write!(f, "helo {name}"),
            Subject::ReverseName(name) => write!(f, "rdns {name}"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Server => f.write_str("server"),
            Scope::Account(account) => write!(f, "account {}", account.0),
            Scope::Domain(domain) => write!(f, "domain {domain}"),
            Scope::Mailbox(mailbox) => write!(f, "mailbox {mailbox}"),
        }
    }
}

impl fmt::Display for Entry {
    /// The line the entry is read from.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for {}", self.side, self.subject, self.scope)?;
        if !self.author.is_empty() {
            write!(f, " by {}", self.author)?;
        }
        if let Some(until) = self.until {
            write!(f, " until {until}")?;
        }
        if !self.comment.is_empty() {
            write!(f, " # {}", Evidence::from(self.comment.as_str()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_is_written() {
        for line in [
            "block client 192.0.2.0/24 for server by root until 2026-12-01T00:00:00Z # broke in twice",
            "allow domain example.org for mailbox a@example.net by admin",
            "block address x@example.com for account shop",
            "block helo ylmf-pc for server",
            "allow rdns example.net for domain example.org",
            "block client 2001:db8::/32 for server",
        ] {
            assert_eq!(line.parse::<Entry>().map(|e| e.to_string()), Ok(line.to_owned()));
        }
    }

    #[test]
    fn a_mistyped_address_is_no_domain() {
        for text in ["192.0.2.300", "192.0.2.0/240", "192.0.2"] {
            assert!(matches!(Subject::guess(text), Err(EntryError::Value { .. })), "{text}");
        }
        assert_eq!(Subject::guess("192.0.2.1"), Subject::parse("client", "192.0.2.1"));
        assert_eq!(Subject::guess("163.com"), Subject::parse("domain", "163.com"));
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong() {
        for (line, message) in [
            ("deny client 192.0.2.1", "expected `allow` or `block`, found `deny`"),
            ("block client 192.0.2.300", "`192.0.2.300` is no address or network: invalid IP address syntax"),
            ("block client 192.0.2.1 since now", "expected `for`, `by` or `until`, found `since`"),
        ] {
            assert_eq!(line.parse::<Entry>().unwrap_err().to_string(), message);
        }
    }
}
