//! The client of a line: `name (helo) [ip]:port I=[ip]:port U=ident Ci=number`.
//!
//! HELO may hold any text where the server takes that, so the parenthesis that seems to close it may be part of it. Each
//! place where it could end is tried from left to right, and a reading counts only if the rest of the line fits as well.

use std::net::IpAddr;

use super::Grammar;
use crate::event::Peer;
use crate::scan;

/// How many places at which a HELO could end are tried.
const READINGS_MAX: usize = 16;

/// What a line says, read in one way or, if a sender imitates fields, in two.
pub(super) struct Reading<T> {
    /// The first reading from the left.
    pub(super) value: T,
    /// Another one that fits as well.
    pub(super) other: Option<T>,
}

impl<T> Reading<T> {
    /// The only reading, or what `merge` makes of two: it leaves out whatever differs.
    pub(super) fn merged(self, merge: impl FnOnce(T, T) -> T) -> T {
        match self.other {
            Some(other) => merge(self.value, other),
            None => self.value,
        }
    }
}

/// What two readings of a client have in common.
pub(super) fn common<'a>(one: Peer<'a>, other: Peer<'a>) -> Peer<'a> {
    Peer {
        name: same(one.name, other.name),
        helo: same(one.helo, other.helo),
        ip: same(one.ip, other.ip),
        port: same(one.port, other.port),
        interface: same(one.interface, other.interface),
        ident: same(one.ident, other.ident),
    }
}

/// The value that two readings share.
pub(super) fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.filter(|value| other.as_ref() == Some(value))
}

/// Reads the client at the start of `text` and gives it, with what follows, to `accept`, which says whether the rest of the
/// line fits. `None` if no reading fits.
pub(super) fn with_peer<'a, T>(
    grammar: Grammar,
    text: &'a str,
    mut accept: impl FnMut(Peer<'a>, &'a str) -> Option<T>,
) -> Option<Reading<T>> {
    let (name, rest) = if text.starts_with(['(', '[']) {
        (None, text)
    } else {
        let (name, rest) = scan::word(text);
        (Some(name), rest)
    };
    if rest.starts_with('[') {
        let (peer, rest) = address(Peer { name, ..Peer::default() }, rest)?;
        return accept(peer, rest).map(|value| Reading { value, other: None });
    }
    let inside = rest.strip_prefix('(')?;
    let mut found = None;
    for (helo, after) in scan::splits(inside, ") [").take(READINGS_MAX) {
        if !grammar.takes_any_helo && !is_host_name(helo) {
            continue;
        }
        // The bracket is part of what was split at, so it is taken back.
        let Some(after) = inside.get(inside.len() - after.len() - 1..) else { continue };
        let Some((peer, after)) = address(Peer { name, helo: Some(helo), ..Peer::default() }, after) else { continue };
        let Some(value) = accept(peer, after) else { continue };
        if let Some(first) = found {
            return Some(Reading { value: first, other: Some(value) });
        }
        found = Some(value);
    }
    found.map(|value| Reading { value, other: None })
}

/// `[ip]` or `[ip]:port`.
fn address<'a>(mut peer: Peer<'a>, text: &'a str) -> Option<(Peer<'a>, &'a str)> {
    let (ip, mut rest) = scan::literal(text)?;
    peer.ip = ip.parse::<IpAddr>().ok();
    if let Some(after) = rest.strip_prefix(':')
        && after.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (port, after) = after.split_at_checked(end)?;
        (peer.port, rest) = (port.parse().ok(), after);
    }
    // A star marks a connection that was used before.
    Some((peer, rest.strip_prefix('*').unwrap_or(rest)))
}

/// What may follow the address before other fields do: ` I=[ip]:port`, ` U=ident`, ` Ci=number`.
pub(super) fn details<'a>(peer: &mut Peer<'a>, mut rest: &'a str) -> &'a str {
    if let Some(after) = rest.strip_prefix(" I=") {
        let (interface, after) = interface(after);
        (peer.interface, rest) = (Some(interface), after);
    }
    if let Some(after) = rest.strip_prefix(" U=") {
        let end = after.find([' ', ':']).unwrap_or(after.len());
        if let Some((ident, after)) = after.split_at_checked(end) {
            (peer.ident, rest) = (Some(ident), after);
        }
    }
    if let Some(after) = rest.strip_prefix(" Ci=") {
        rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    rest
}

/// `[ip]:port`.
fn interface(text: &str) -> (&str, &str) {
    let Some(at) = text.find(']') else { return scan::token(text) };
    let tail = text.get(at + 1..).unwrap_or("");
    let port = tail
        .strip_prefix(':')
        .map_or(tail, |port| port.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    text.split_at_checked(text.len() - port.len()).unwrap_or((text, ""))
}

/// Characters of host names and address literals, which Exim takes in HELO by default.
fn is_host_name(helo: &str) -> bool {
    helo.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':' | b'/'))
}
