//! SPF records: text to terms (RFC 7208 sections 4.6.1, 5, 6 and 12). A record is read whole before anything is asked, since
//! a mistake anywhere in it is "permerror" (section 4.6).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::macros::DomainSpec;
use crate::identity::SpfResult;

/// One record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<DomainSpec>,
}

/// A mechanism and what it means when it matches.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) result: SpfResult,
    pub(super) mechanism: Mechanism,
    /// The term as it stands in the record, for people.
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Prefixes),
    Mx(Option<DomainSpec>, Prefixes),
    Ptr(Option<DomainSpec>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(DomainSpec),
}

/// Prefix lengths of `a` and `mx`, for both address families.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefixes {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// A record whose `pass` networks hold this many IPv4 addresses, a quarter of all, allows everyone: no sender has so many.
const EVERYONE_V4: u64 = 1 << 30;
/// The same for IPv6, in /64 networks: a quarter of 2000::/3, which is all that is in use.
const EVERYONE_V6: u128 = 1 << 59;

/// Whether `text` is an SPF record, good or bad (RFC 7208 section 4.5).
pub(super) fn is_record(text: &[u8]) -> bool {
    let version = b"v=spf1";
    text.get(..version.len()).is_some_and(|start| start.eq_ignore_ascii_case(version))
        && text.get(version.len()).is_none_or(|next| *next == b' ')
}

impl Record {
    /// Reads a record; `Err` says which term is wrong.
    pub(super) fn parse(text: &[u8]) -> Result<Record, String> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or("the record is not ASCII")?;
        let mut record = Record { directives: Vec::new(), redirect: None };
        let mut has_exp = false;
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            let wrong = || format!("`{term}` is no valid term");
            match split_modifier(term) {
                Some((name, value)) if name.eq_ignore_ascii_case("redirect") => {
                    let target = DomainSpec::parse(value).ok_or_else(wrong)?;
                    if record.redirect.replace(target).is_some() {
                        return Err("redirect stands twice".into());
                    }
                }
                Some((name, value)) if name.eq_ignore_ascii_case("exp") => {
                    // The explanation is never fetched: it is text of a stranger. Its syntax counts all the same.
                    DomainSpec::parse(value).ok_or_else(wrong)?;
                    if std::mem::replace(&mut has_exp, true) {
                        return Err("exp stands twice".into());
                    }
                }
                Some((_, value)) => {
                    DomainSpec::parse_macro_string(value).ok_or_else(wrong)?;
                }
                None => record.directives.push(Directive::parse(term).ok_or_else(wrong)?),
            }
        }
        Ok(record)
    }

    /// Whether a pass of this record says nothing, because nearly any client gets it.
    pub(super) fn allows_everyone(&self) -> bool {
        let all = self.directives.iter().position(|d| matches!(d.mechanism, Mechanism::All));
        if all.and_then(|at| self.directives.get(at)).is_some_and(|d| d.result == SpfResult::Pass) {
            return true;
        }
        let mut v4 = 0u64;
        let mut v6 = 0u128;
        for directive in self.directives.iter().filter(|d| d.result == SpfResult::Pass) {
            let (of_v4, of_v6) = match directive.mechanism {
                Mechanism::Ip4(_, prefix) => (Some(prefix), None),
                Mechanism::Ip6(_, prefix) => (None, Some(prefix)),
                Mechanism::A(_, prefixes) | Mechanism::Mx(_, prefixes) => (Some(prefixes.v4), Some(prefixes.v6)),
                _ => (None, None),
            };
            v4 = v4.saturating_add(of_v4.map_or(0, |prefix| 1u64 << (32 - u32::from(prefix.min(32)))));
            v6 = v6.saturating_add(of_v6.map_or(0, |prefix| 1u128 << (64 - u32::from(prefix.min(64)))));
        }
        v4 >= EVERYONE_V4 || v6 >= EVERYONE_V6
    }
}

/// A modifier has an `=` before anything that a mechanism may hold (RFC 7208 section 4.6.1).
fn split_modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    is_name.then_some((name, value))
}

impl Directive {
    fn parse(term: &str) -> Option<Directive> {
        let (result, rest) = match term.chars().next()? {
            '+' => (SpfResult::Pass, term.get(1..)?),
            '-' => (SpfResult::Fail, term.get(1..)?),
            '~' => (SpfResult::SoftFail, term.get(1..)?),
            '?' => (SpfResult::Neutral, term.get(1..)?),
            _ => (SpfResult::Pass, term),
        };
        let end = rest.find([':', '/']).unwrap_or(rest.len());
        let (name, tail) = rest.split_at_checked(end)?;
        let mechanism = Mechanism::parse(&name.to_ascii_lowercase(), tail)?;
        Some(Directive { result, mechanism, text: term.to_owned() })
    }
}

impl Mechanism {
    fn parse(name: &str, tail: &str) -> Option<Mechanism> {
        let value = tail.strip_prefix(':');
        match name {
            "all" => tail.is_empty().then_some(Mechanism::All),
            "include" => Some(Mechanism::Include(DomainSpec::parse(value?)?)),
            "exists" => Some(Mechanism::Exists(DomainSpec::parse(value?)?)),
            "ptr" if tail.is_empty() => Some(Mechanism::Ptr(None)),
            "ptr" => Some(Mechanism::Ptr(Some(DomainSpec::parse(value?)?))),
            "a" | "mx" => {
                let (target, prefixes) = split_prefixes(tail)?;
                let target = match target.strip_prefix(':') {
                    Some(spec) => Some(DomainSpec::parse(spec)?),
                    None if target.is_empty() => None,
                    None => return None,
                };
                Some(if name == "a" { Mechanism::A(target, prefixes) } else { Mechanism::Mx(target, prefixes) })
            }
            "ip4" => {
                let (address, prefix) = network(value?, 32)?;
                Some(Mechanism::Ip4(address.parse().ok()?, prefix))
            }
            "ip6" => {
                let (address, prefix) = network(value?, 128)?;
                Some(Mechanism::Ip6(address.parse().ok()?, prefix))
            }
            _ => None,
        }
    }
}

fn network(text: &str, longest: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, prefix)) => Some((address, prefix_length(prefix, longest)?)),
        None => Some((text, longest)),
    }
}

/// Takes `/24`, `//64` or `/24//64` from the end; what is left of the tail is the target.
fn split_prefixes(tail: &str) -> Option<(&str, Prefixes)> {
    let mut prefixes = Prefixes { v4: 32, v6: 128 };
    let mut target = tail;
    if let Some((before, digits)) = target.rsplit_once("//")
        && is_number(digits)
    {
        prefixes.v6 = prefix_length(digits, 128)?;
        target = before;
    }
    if let Some((before, digits)) = target.rsplit_once('/')
        && is_number(digits)
    {
        prefixes.v4 = prefix_length(digits, 32)?;
        target = before;
    }
    Some((target, prefixes))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if !is_number(text) || has_leading_zero {
        return None;
    }
    text.parse().ok().filter(|prefix| *prefix <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_allow_everyone_are_seen() {
        for (record, everyone) in [
            ("v=spf1 +all", true),
            ("v=spf1 ip4:192.0.2.1 all", true),
            ("v=spf1 ip4:0.0.0.0/0 -all", true),
            ("v=spf1 ip4:0.0.0.0/3 ip4:128.0.0.0/3 -all", true),
            ("v=spf1 a/1 -all", true),
            ("v=spf1 ip6:2000::/3 -all", true),
            ("v=spf1 -all +all", false),
            ("v=spf1 ip4:10.0.0.0/8 ?ip4:0.0.0.0/0 ~all", false),
            ("v=spf1 mx ip6:2001:db8::/32 -all", false),
        ] {
            assert_eq!(Record::parse(record.as_bytes()).unwrap().allows_everyone(), everyone, "{record}");
        }
    }

    #[test]
    fn a_record_is_known_by_its_version_alone() {
        for (text, is) in
            [("v=spf1", true), ("V=SPF1 -all", true), ("v=spf10", false), ("v=spf1-all", false), ("", false)]
        {
            assert_eq!(is_record(text.as_bytes()), is, "{text}");
        }
    }
}
