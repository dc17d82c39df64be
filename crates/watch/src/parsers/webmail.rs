//! Roundcube: logins that failed or succeeded, and messages sent. Webmail talks to the MTA from this machine, so only its own
//! log says from where a person really came.
//!
//! A login name may hold anything; it ends where ` from <address>` stands and the rest of the line is Roundcube's own.

use std::net::IpAddr;

use crate::event::{AuthFailure, Kind, Login, Peer};
use crate::scan;

/// Reads the text behind time or tag. Returns the MTA's queue id as well, where a sent message names it.
pub(super) fn read(text: &str) -> (Option<&str>, Kind<'_>) {
    // `<session> ` stands in front in newer versions.
    let text = match text.strip_prefix('<').and_then(|rest| rest.split_once("> ")) {
        Some((session, rest)) if session.bytes().all(|b| b.is_ascii_alphanumeric()) => rest,
        _ => text,
    };
    for words in ["IMAP Error: Login failed for ", "Failed login for ", "FAILED login for "] {
        if let Some(rest) = text.strip_prefix(words) {
            return (None, failed(rest).map_or(Kind::Foreign, Kind::AuthFailure));
        }
    }
    if let Some(rest) = text.strip_prefix("Successful login for ") {
        return (None, succeeded(rest).map_or(Kind::Foreign, Kind::Login));
    }
    if let Some(rest) = text.strip_prefix("User ")
        && let Some((id, login)) = sent(rest)
    {
        return (id, Kind::Login(login));
    }
    (None, Kind::Foreign)
}

/// `user [against host] from 192.0.2.7[(X-Forwarded-For: …)][. AUTHENTICATE PLAIN: …]`, or ` in session …`.
fn failed(text: &str) -> Option<AuthFailure<'_>> {
    let mut found: Option<(&str, IpAddr)> = None;
    let mut is_doubtful = false;
    for (user, after) in scan::splits(text, " from ") {
        let Some(ip) = address_in_front(after) else { continue };
        is_doubtful |= found.is_some_and(|(_, other)| other != ip);
        found = found.or(Some((user, ip)));
    }
    let (user, ip) = found?;
    let user = user.split_once(" against ").map_or(user, |(user, _)| user);
    Some(AuthFailure {
        peer: Peer { ip: Some(ip).filter(|_| !is_doubtful), ..Peer::default() },
        user: Some(user).filter(|user| !user.is_empty() && !is_doubtful),
        mechanism: None,
        service: "webmail",
        attempts: 1,
        is_server_fault: false,
        is_doubtful,
    })
}

/// The address at the start of `text`, if what follows is Roundcube's own.
fn address_in_front(text: &str) -> Option<IpAddr> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':').unwrap_or(text.len());
    let (address, mut rest) = text.split_at_checked(end)?;
    let (address, dot) = match address.strip_suffix('.') {
        Some(address) => (address, true),
        None => (address, false),
    };
    if let Some((_, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        rest = after;
    }
    let behind = if dot { rest.strip_prefix(' ') } else { rest.strip_prefix(". ") };
    let is_own = match behind {
        Some(words) => ["AUTHENTICATE ", "LOGIN: ", "Could not connect"].iter().any(|own| words.starts_with(own)),
        None => rest.is_empty() || rest.starts_with(" in session "),
    };
    is_own.then(|| address.parse().ok())?
}

/// `user (ID: 7) from 192.0.2.7 in session …`.
fn succeeded(text: &str) -> Option<Login<'_>> {
    let (user, rest) = text.split_once(" (ID: ")?;
    let (_, rest) = rest.split_once(" from ")?;
    let peer = Peer { ip: address_in_front(rest), ..Peer::default() };
    Some(Login { peer, user, mechanism: None, service: "webmail" })
}

/// `user [192.0.2.7]; Message <id> for recipients; 250: OK id=<queue id>`. The user has logged in, so the name is real.
fn sent(text: &str) -> Option<(Option<&str>, Login<'_>)> {
    let (user, rest) = text.split_once(" [")?;
    let (ip, rest) = rest.split_once(']')?;
    rest.strip_prefix("; Message ")?;
    let id = rest.rsplit_once(" id=").map(|(_, id)| id).filter(|id| super::exim::message_id(id).is_some());
    let peer = Peer { ip: ip.split(['(', ' ']).next().and_then(|ip| ip.parse().ok()), ..Peer::default() };
    Some((id, Login { peer, user, mechanism: None, service: "webmail" }))
}
