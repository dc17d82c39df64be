//! Codes of a list's answers: how they are asked for, and what the configuration writes for one or many of them.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::dns::{Question, Record, RecordKind};
use crate::known::Known;
use crate::world::World;

/// Codes of one answer that are looked at.
const CODES_MAX: usize = 16;

/// What a list answers, as the configuration writes it: an address (`127.0.0.2`), an address of which some octets may be
/// anything (`127.0.*.3`, for lists that keep two things in one answer), or one of which an octet has a bit set
/// (`127.0.0.&64`, for lists that add up what they know).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodePattern([Octet; 4]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Octet {
    Is(u8),
    HasBits(u8),
    Any,
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no code; write an address such as 127.0.0.2, 127.0.*.3 where an octet may be anything, or 127.0.0.&64 where it has a bit set"
)]
pub struct CodeError(String);

impl CodePattern {
    /// Whether the pattern stands for `code`.
    pub fn matches(&self, code: Ipv4Addr) -> bool {
        self.0.iter().zip(code.octets()).all(|(octet, seen)| match octet {
            Octet::Is(value) => *value == seen,
            Octet::HasBits(bits) => seen & bits == *bits,
            Octet::Any => true,
        })
    }

    /// The one code that the pattern stands for, if it is one.
    pub fn exact(&self) -> Option<Ipv4Addr> {
        let [Octet::Is(a), Octet::Is(b), Octet::Is(c), Octet::Is(d)] = self.0 else { return None };
        Some(Ipv4Addr::new(a, b, c, d))
    }
}

impl FromStr for CodePattern {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<CodePattern, CodeError> {
        let error = || CodeError(text.to_owned());
        let octets: Vec<Octet> = text.split('.').map_while(octet).collect();
        let all: [Octet; 4] = octets.try_into().map_err(|_| error())?;
        if text.split('.').count() == all.len() { Ok(CodePattern(all)) } else { Err(error()) }
    }
}

fn octet(text: &str) -> Option<Octet> {
    let number = |digits: &str| digits.parse().ok().filter(|value: &u8| value.to_string() == digits);
    match text.strip_prefix('&') {
        Some(bits) => number(bits).filter(|bits| *bits != 0).map(Octet::HasBits),
        None if text == "*" => Some(Octet::Any),
        None => number(text).map(Octet::Is),
    }
}

impl fmt::Display for CodePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, octet) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            match octet {
                Octet::Is(value) => write!(f, "{dot}{value}")?,
                Octet::HasBits(bits) => write!(f, "{dot}&{bits}")?,
                Octet::Any => write!(f, "{dot}*")?,
            }
        }
        Ok(())
    }
}

impl Serialize for CodePattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CodePattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<CodePattern, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for CodePattern {
    fn schema_name() -> Cow<'static, str> {
        "CodePattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The A records at `name`; none when it does not exist.
pub(super) async fn codes(name: &str, world: &World) -> Known<Vec<Ipv4Addr>> {
    let reply = world.dns.lookup(&Question::new(name, RecordKind::A)).await?;
    let codes = reply.records.into_iter().filter_map(|record| match record {
        Record::A(code) => Some(code),
        _ => None,
    });
    Ok(codes.take(CODES_MAX).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, code: &str) -> bool {
        pattern.parse::<CodePattern>().unwrap().matches(code.parse().unwrap())
    }

    #[test]
    fn a_pattern_stands_for_one_code_or_many() {
        assert!(matches("127.0.0.2", "127.0.0.2"));
        assert!(!matches("127.0.0.2", "127.0.0.3"));
        assert!(matches("127.0.*.3", "127.0.15.3"));
        assert!(!matches("127.0.*.3", "127.0.15.2"));
        assert!(matches("127.0.0.&64", "127.0.0.80"));
        assert!(!matches("127.0.0.&64", "127.0.0.16"));
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        for text in [
            "",
            "127",
            "127.0.0",
            "127.0.0.256",
            "127.0.0.2.3",
            "127.0.0.&0",
            "127.0.0.&",
            "127.0.0.+2",
            "127.0.0.02",
            "1.2.3.x.4",
        ] {
            assert!(text.parse::<CodePattern>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_reads_is_written_the_same(text in "[0-9*&.]{0,20}") {
            if let Ok(pattern) = text.parse::<CodePattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }

        #[test]
        fn an_address_is_its_own_pattern(octets in any::<[u8; 4]>()) {
            let code = Ipv4Addr::from(octets);
            let pattern: CodePattern = code.to_string().parse().unwrap();
            prop_assert!(pattern.matches(code));
            prop_assert_eq!(pattern.exact(), Some(code));
        }
    }
}
