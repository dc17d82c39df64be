//! Addresses and names in header fields (RFC 5322 section 3.4), read as forgivingly as SpamAssassin does: it never gives up on a list
//! because one member is broken.

use std::sync::LazyLock;

use super::domain;
use super::octets::{self, is_space};
use crate::pattern::{Modifiers, Pattern};

/// Members of one field that are read.
const MAILBOXES_MAX: usize = 2000;

/// One member of an address list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mailbox {
    /// The display name, or a comment that stands in for it; undecoded.
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) address: Option<Vec<u8>>,
}

struct Patterns {
    member: Pattern,
    address: Pattern,
    bracketed: Pattern,
    comment: Pattern,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let quoted = r#""(?:[^"\\]++|\\.)*+""#;
    let words = format!(r#"(?:{quoted}|[^",;<]++)+"#);
    let comment = r"\((?:[^()\\]++|\\.)*+\)";
    let address = format!(r#"(?:{quoted}|[^@\s<>()\[\],:;]+)@(?:[^"\s<>()\[\],:;]+|\[[\d:.]+\])"#);
    // A name and an address in brackets (perhaps twice), or a lone address, or a lone name; then perhaps a comment; then a separator.
    let bracketed = r"<\s*([^>@]*\S+|\s*)\s*>";
    let again = format!(r"(?:\s*<\s*(?:(?:{quoted})?\S+|\s*)\s*>)*");
    let member = format!(
        r"^\s*(?:(?:({words})\s*)?{bracketed}{again}|(?:({address})|({words})))(?:\s*\(((?:[^()\\]++|\\.)*+)\))?\s*(?:[,;]|\z)"
    );
    let compile = |source: &str| {
        let modifiers = Modifiers { dot_all: true, ..Modifiers::default() };
        Pattern::compile(source.as_bytes(), modifiers).expect("the patterns of addresses are ours")
    };
    Patterns {
        member: compile(&member),
        address: compile(&format!("^{address}$")),
        bracketed: compile(&format!("<({address})>")),
        comment: compile(comment),
    }
});

/// The members of an address field, in order. `value` is undecoded.
pub(crate) fn read(value: &[u8]) -> Vec<Mailbox> {
    let value = octets::trim_end(value);
    let unescaped;
    let value = if octets::contains(value, br"\\") {
        unescaped = without_double_backslashes(value);
        unescaped.as_slice()
    } else {
        value
    };
    let mut rest = without_group_name(value);
    let mut mailboxes = Vec::new();
    let is_blank = |text: &[u8]| text.iter().all(|&octet| is_space(octet));
    while !is_blank(rest) && mailboxes.len() < MAILBOXES_MAX {
        let Ok(Some(groups)) = PATTERNS.member.captures(rest) else { break };
        let group = |index: usize| groups.get(index).copied().flatten();
        mailboxes.push(member(group(1).or(group(4)), group(2), group(3), group(5)));
        let used = group(0).map_or(0, <[u8]>::len);
        if used == 0 {
            break;
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    if rest.contains(&b'@') {
        mailboxes.extend(left_over(rest));
    }
    mailboxes
}

/// The addresses of a field.
pub(crate) fn addresses(value: &[u8]) -> Vec<Vec<u8>> {
    read(value).into_iter().filter_map(|mailbox| mailbox.address).collect()
}

fn without_double_backslashes(value: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&octet, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(br"\\") {
            rest = after;
        } else {
            kept.push(octet);
            rest = tail;
        }
    }
    kept
}

/// `group: a, b;` is read from after the colon; an empty group is nothing.
fn without_group_name(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|octet| matches!(octet, b'"' | b'(' | b')' | b'<' | b'>')).unwrap_or(value.len());
    let Some(colon) = value.get(..end).and_then(|head| memchr::memrchr(b':', head)).filter(|colon| *colon > 0) else {
        return value;
    };
    let rest = octets::trim_start(value.get(colon + 1..).unwrap_or_default());
    if rest.starts_with(b";") { b"" } else { rest }
}

fn is_address(text: &[u8]) -> bool {
    PATTERNS.address.is_match(text) == Ok(true)
}

/// Not the address of an empty quoted user, and no lone quote.
fn is_plausible(address: &[u8]) -> bool {
    !address.starts_with(b"\"\"@") && address.iter().filter(|octet| **octet == b'"').count() != 1
}

fn member(words: Option<&[u8]>, bracketed: Option<&[u8]>, bare: Option<&[u8]>, comment: Option<&[u8]>) -> Mailbox {
    let address = match bracketed {
        Some(text) => Some(without_comments(text)).filter(|text| is_address(text)),
        None => bare.map(<[u8]>::to_vec),
    };
    let mut address = address.filter(|address| is_plausible(address));
    let mut name = words.map(unquoted);
    if let Some(text) = &name {
        let is_swapped = address.is_none() && is_address(text) && is_plausible(text) && has_good_host(text);
        if is_swapped {
            address = name.take();
        } else if text.is_empty() || address.as_ref() == Some(text) {
            name = None;
        }
    }
    let name = name.or_else(|| comment.map(<[u8]>::to_vec));
    Mailbox { name, address: address.map(|address| up_to_second_at(&address).to_vec()) }
}

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut from = 0;
    while let Ok(Some((start, end))) = PATTERNS.comment.find_at(text, from) {
        kept.extend_from_slice(text.get(from..start).unwrap_or_default());
        from = end.max(from + 1);
    }
    kept.extend_from_slice(text.get(from..).unwrap_or_default());
    kept
}

/// A display name without its quotes, escapes and comments.
fn unquoted(words: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((&octet, tail)) = rest.split_first() {
        if octet != b'"' {
            let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
            name.extend_from_slice(&without_comments(rest.get(..end).unwrap_or_default()));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        let Some(end) = quoted_end(tail) else {
            rest = tail;
            continue;
        };
        name.extend(tail.get(..end).unwrap_or_default().iter().copied().filter(|&octet| octet != b'\\'));
        rest = tail.get(end + 1..).unwrap_or_default();
    }
    name
}

/// The closing quote of a quoted string whose opening one was read.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    for (at, &octet) in text.iter().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn has_good_host(address: &[u8]) -> bool {
    let host = address.split(|&octet| octet == b'@').nth(1).unwrap_or_default();
    domain::is_well_formed(&host.to_ascii_lowercase())
}

fn up_to_second_at(address: &[u8]) -> &[u8] {
    let second = memchr::memchr_iter(b'@', address).nth(1).unwrap_or(address.len());
    address.get(..second).unwrap_or_default()
}

/// Addresses in brackets somewhere in what could not be read.
fn left_over(text: &[u8]) -> Vec<Mailbox> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Ok(Some(groups)) = PATTERNS.bracketed.captures(rest) {
        let Some(address) = groups.get(1).copied().flatten() else { break };
        if is_plausible(address) && found.len() < MAILBOXES_MAX {
            found.push(Mailbox { name: None, address: Some(up_to_second_at(address).to_vec()) });
        }
        let end = address.as_ptr() as usize - rest.as_ptr() as usize + address.len();
        rest = rest.get(end..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        for (value, expected) in [
            (" A <a@foo.com>", vec![("A ", "a@foo.com")]),
            ("a@foo.com, b@foo.com (B)", vec![("", "a@foo.com"), ("B", "b@foo.com")]),
            ("\"A, \\\"B\" <a@foo.com>", vec![("A, \"B ", "a@foo.com")]),
            ("a@foo.com <a@foo.com>", vec![("a@foo.com ", "a@foo.com")]),
            ("undisclosed-recipients:;", vec![]),
            ("list: a@foo.com;", vec![("", "a@foo.com")]),
            ("A <>", vec![("A ", "")]),
            ("\"a@foo.com\"", vec![("", "a@foo.com")]),
            ("Just a name", vec![("Just a name", "")]),
            ("=?utf-8?Q?\"F\"?=<i=foo.com@bar.com>", vec![("=?utf-8?Q?F?=", "i=foo.com@bar.com")]),
            ("<<a@foo.com>>", vec![("", "")]),
        ] {
            let found: Vec<(String, String)> = read(value.as_bytes())
                .iter()
                .map(|mailbox| {
                    (
                        octets::lossy(&mailbox.name.clone().unwrap_or_default()),
                        octets::lossy(&mailbox.address.clone().unwrap_or_default()),
                    )
                })
                .collect();
            let expected: Vec<(String, String)> =
                expected.into_iter().map(|(name, address)| (name.to_owned(), address.to_owned())).collect();
            assert_eq!(found, expected, "{value}");
        }
    }
}
