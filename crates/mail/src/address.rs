//! Mailboxes of the envelope: `local-part@domain` (RFC 5321 section 4.1.2).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{Domain, DomainError};

/// Longest local part (RFC 5321 section 4.5.3.1.1 says 64; real list servers send longer ones, Exim takes 256).
const LOCAL_OCTETS_MAX: usize = 256;

/// A mailbox. The local part is kept as it was written but without quotes (`a b` for `"a b"@example.org`); the domain
/// is in comparable form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@` that stands outside quotes.
    #[error("an address needs a local part, `@` and a domain")]
    NoAt,
    /// The local part is empty, too long, or holds a control character.
    #[error("the local part is empty, too long or holds a control character")]
    BadLocalPart,
    /// The domain does not read as one.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Address {
    /// Reads `local@domain`, with or without quotes around the local part, without angle brackets. The domain begins
    /// after the last `@`, since a quoted local part may hold one.
    ///
    /// # Errors
    /// [`AddressError`] says which half is wrong.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        Address::from_parts(&unquote(local), Domain::parse(domain)?)
    }

    /// An address of an unquoted `local` part and a `domain`.
    ///
    /// # Errors
    /// [`AddressError::BadLocalPart`] when `local` is empty, too long or holds a control character.
    pub fn from_parts(local: &str, domain: Domain) -> Result<Address, AddressError> {
        if local.is_empty() || local.len() > LOCAL_OCTETS_MAX || local.chars().any(char::is_control) {
            return Err(AddressError::BadLocalPart);
        }
        Ok(Address { local: local.into(), domain })
    }

    /// The local part, unquoted, in the case in which it was written.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The same mailbox as hosting servers see it: local part in lower case. RFC 5321 section 2.4 lets local parts
    /// differ by case; no panel does.
    #[must_use]
    pub fn to_lowercase(&self) -> Address {
        Address { local: self.local.to_lowercase().into(), domain: self.domain.clone() }
    }
}

fn unquote(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
        return local.to_owned();
    };
    let mut unquoted = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            unquoted.push(c);
            escaped = false;
        }
    }
    unquoted
}

/// RFC 5322 `atext` and the dot: what may stand in a local part without quotes.
fn needs_quotes(local: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || !c.is_ascii();
    !local.chars().all(is_plain) || local.starts_with('.') || local.ends_with('.') || local.contains("..")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if needs_quotes(&self.local) {
            let escaped = self.local.replace('\\', "\\\\").replace('"', "\\\"");
            return write!(f, "\"{escaped}\"@{}", self.domain);
        }
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse(&text).map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The envelope sender: `<>` or a mailbox (RFC 5321 section 4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `MAIL FROM:<>`: a bounce, or something that must not bounce.
    Null,
    /// A mailbox.
    Address(Address),
}

impl ReversePath {
    /// Reads an address without angle brackets; the empty text and `<>` are the null path.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse(text: &str) -> Result<ReversePath, AddressError> {
        match text {
            "" | "<>" => Ok(ReversePath::Null),
            _ => Address::parse(text).map(ReversePath::Address),
        }
    }

    /// The mailbox, if it is not the null path.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }

    /// The domain of the mailbox, if it is not the null path.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        self.address().map(Address::domain)
    }
}

impl fmt::Display for ReversePath {
    /// The address without angle brackets, or `<>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

impl Serialize for ReversePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReversePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ReversePath, D::Error> {
        let text = String::deserialize(deserializer)?;
        ReversePath::parse(&text).map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_local_parts_survive() {
        for (text, local, shown) in [
            ("a@example.org", "a", "a@example.org"),
            ("\"a b\"@example.org", "a b", "\"a b\"@example.org"),
            ("\"a\\\"@b\"@Example.ORG", "a\"@b", "\"a\\\"@b\"@example.org"),
            ("a b@example.org", "a b", "\"a b\"@example.org"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.local(), address.to_string().as_str()), (local, shown));
        }
        for text in ["", "a", "@example.org", "a@", "a\n@example.org"] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_null_path_is_no_address() {
        assert_eq!(ReversePath::parse("<>"), Ok(ReversePath::Null));
        assert_eq!(ReversePath::parse("").unwrap().to_string(), "<>");
    }
}
