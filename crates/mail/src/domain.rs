//! Domain names, in the one form in which they can be compared: lower-case A-labels without the final dot.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest domain name in text form (RFC 1035 section 2.3.4: 255 octets on the wire).
const DOMAIN_OCTETS_MAX: usize = 253;
/// Longest label (RFC 1035 section 2.3.4).
const LABEL_OCTETS_MAX: usize = 63;

/// A domain name in lower-case A-labels without a final dot (`xn--bcher-kva.example`), or an address literal as in
/// RFC 5321 section 4.1.3 (`[192.0.2.1]`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

/// Why a text is no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Nothing was given.
    #[error("the domain is empty")]
    Empty,
    /// More than 253 octets in all, or more than 63 in a label.
    #[error("the domain or one of its labels is too long")]
    TooLong,
    /// Two dots in a row, or one at the beginning.
    #[error("the domain has nothing between two dots, or before the first")]
    EmptyLabel,
    /// An octet that no host name, service label or U-label may hold.
    #[error("the domain holds a character that no domain may hold")]
    BadCharacter,
}

impl Domain {
    /// Reads a name as it stands in SMTP or a header. Letters of any case and U-labels are accepted; underscores too,
    /// since service names (`_dmarc.example.org`) and real sending hosts carry them.
    ///
    /// # Errors
    /// [`DomainError`] says what is wrong with the text; nothing is repaired but case and a final dot.
    pub fn parse(text: &str) -> Result<Domain, DomainError> {
        if let Some(literal) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return Domain::parse_literal(literal);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.len() > 4 * DOMAIN_OCTETS_MAX {
            return Err(DomainError::TooLong);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::BadCharacter)?
        };
        if ascii.len() > DOMAIN_OCTETS_MAX {
            return Err(DomainError::TooLong);
        }
        for label in ascii.split('.') {
            if label.is_empty() {
                return Err(DomainError::EmptyLabel);
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(DomainError::BadCharacter);
            }
            if label.len() > LABEL_OCTETS_MAX {
                return Err(DomainError::TooLong);
            }
        }
        Ok(Domain(ascii.into()))
    }

    fn parse_literal(literal: &str) -> Result<Domain, DomainError> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-');
        if literal.is_empty() || literal.len() > DOMAIN_OCTETS_MAX || !literal.bytes().all(is_allowed) {
            return Err(DomainError::BadCharacter);
        }
        Ok(Domain(format!("[{}]", literal.to_ascii_lowercase()).into()))
    }

    /// The name in lower-case A-labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address literal (`[192.0.2.1]`) and no name.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Labels from left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether `self` is `other` or a name below it.
    #[must_use]
    pub fn is_within(&self, other: &Domain) -> bool {
        self.0.strip_suffix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The name one label up: `example.org` for `mail.example.org`, `None` for `org`.
    #[must_use]
    pub fn parent(&self) -> Option<Domain> {
        if self.is_literal() {
            return None;
        }
        self.0.split_once('.').map(|(_, rest)| Domain(rest.into()))
    }

    /// The registrable domain: one label below the public suffix (`example.co.uk`), by the public suffix list built in.
    /// `None` for a public suffix itself and for an address literal.
    #[must_use]
    pub fn registrable(&self) -> Option<Domain> {
        if self.is_literal() {
            return None;
        }
        psl::domain_str(&self.0).map(|name| Domain(name.into()))
    }

    /// Whose name it is, as far as the name alone tells: the registrable domain, or the name itself where there is none. What DMARC calls
    /// the organizational domain is found out by asking DNS (RFC 9989 section 4.10) and may be another.
    #[must_use]
    pub fn organization(&self) -> Domain {
        self.registrable().unwrap_or_else(|| self.clone())
    }

    /// Whether both names have the same [`Domain::organization`].
    #[must_use]
    pub fn is_same_organization(&self, other: &Domain) -> bool {
        self == other || self.organization() == other.organization()
    }

    /// Whether the name stands below a suffix that the public suffix list names (`example.org`, not `example.invalid`, not
    /// `co.uk` itself).
    #[must_use]
    pub fn is_below_known_suffix(&self) -> bool {
        let suffix = psl::suffix(self.0.as_bytes()).filter(|suffix| suffix.is_known());
        !self.is_literal() && suffix.is_some_and(|suffix| suffix.as_bytes().len() < self.0.len())
    }

    /// `label` put in front of the name (`_dmarc` for `_dmarc.example.org`).
    ///
    /// # Errors
    /// As [`Domain::parse`]: the result may be too long.
    pub fn below(&self, label: &str) -> Result<Domain, DomainError> {
        Domain::parse(&format!("{label}.{self}"))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({})", self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;
    fn from_str(text: &str) -> Result<Domain, DomainError> {
        Domain::parse(text)
    }
}

impl Serialize for Domain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Domain, D::Error> {
        let text = String::deserialize(deserializer)?;
        Domain::parse(&text).map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
    }
}

impl JsonSchema for Domain {
    fn schema_name() -> Cow<'static, str> {
        "Domain".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_in_one_form() {
        assert_eq!(Domain::parse("Mail.Example.ORG."), Domain::parse("mail.example.org"));
        assert_eq!(Domain::parse("bücher.example").unwrap().as_str(), "xn--bcher-kva.example");
        assert_eq!(Domain::parse("[192.0.2.1]").unwrap().as_str(), "[192.0.2.1]");
        for text in ["", ".", "a..b", "a b", "a\0", "exa\u{202e}mple.org", &"x".repeat(64), &"x.".repeat(200)] {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn within_means_whole_labels() {
        let org = Domain::parse("example.org").unwrap();
        assert!(Domain::parse("a.example.org").unwrap().is_within(&org));
        assert!(!Domain::parse("badexample.org").unwrap().is_within(&org));
    }

    #[test]
    fn registrable_follows_the_public_suffix_list() {
        let of = |text: &str| Domain::parse(text).unwrap().registrable().map(|d| d.to_string());
        assert_eq!(of("a.b.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(of("co.uk"), None);
    }

    #[test]
    fn an_organization_is_the_registrable_domain_or_the_name_itself() {
        for (one, other, is_same) in [
            ("a.example.co.uk", "b.c.example.co.uk", true),
            ("example.co.uk", "a.example.co.uk", true),
            ("example.co.uk", "other.co.uk", false),
            // Nobody owns a public suffix, so two of them have no owner in common.
            ("co.uk", "co.uk", true),
            ("co.uk", "com", false),
            ("co.uk", "example.co.uk", false),
            ("[192.0.2.1]", "[192.0.2.1]", true),
            ("[192.0.2.1]", "[192.0.2.2]", false),
        ] {
            let (one, other) = (Domain::parse(one).unwrap(), Domain::parse(other).unwrap());
            assert_eq!(one.is_same_organization(&other), is_same, "{one} {other}");
            assert_eq!(other.is_same_organization(&one), is_same, "{other} {one}");
        }
    }
}
