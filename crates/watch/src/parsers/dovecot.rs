//! Dovecot: logins and failed logins, of the login processes and of the password databases.
//!
//! A login name may hold anything but is put into the line without escapes. The list behind it has fixed keys, each at most
//! once, so the name ends where the rest of the line reads as such a list.

use std::net::IpAddr;

use crate::event::{AuthFailure, Connection, Kind, Login, Peer, Session, Trouble};
use crate::scan;

/// Reads the text behind the tag; in syslog with the tag `dovecot` the process's own tag follows.
pub(super) fn read<'a>(tag: &str, text: &'a str) -> Kind<'a> {
    let (tag, text) = inner_tag(tag, text);
    let text = without_level(text);
    if text.starts_with("pam_unix(") {
        return pam(text).map_or(Kind::Unknown, Kind::AuthFailure);
    }
    if let Some(service) = service(tag) {
        return login_process(service, text);
    }
    if tag.starts_with("auth") || text.starts_with("auth") {
        return auth_process(text);
    }
    by_words(text)
}

/// `dovecot: imap-login: …`, `dovecot: auth-worker(304): …`, `dovecot[442]: dovecot: auth(default): …`.
fn inner_tag<'a>(tag: &str, text: &'a str) -> (&'static str, &'a str) {
    const TAGS: [&str; 12] = [
        "imap-login",
        "pop3-login",
        "managesieve-login",
        "submission-login",
        "auth-worker",
        "dovecot-auth",
        "auth",
        "lmtp",
        "imap",
        "pop3",
        "lda",
        "managesieve",
    ];
    let known = |tag: &str| TAGS.iter().find(|known| **known == tag).copied();
    if let Some(tag) = known(tag) {
        // `auth(user,ip,sasl:login)<session>: …`: the data in front stays for the parser.
        return (tag, text);
    }
    let text = text.strip_prefix("dovecot: ").unwrap_or(text);
    let end = text.find([':', '(', '<']).unwrap_or(text.len());
    let Some(tag) = text.get(..end).and_then(known) else { return ("", text) };
    let rest = text.get(end..).unwrap_or("");
    if let Some(rest) = rest.strip_prefix(": ") {
        return (tag, rest);
    }
    // `auth-worker(304): …`: a number is the process, anything else is data.
    let number = rest.strip_prefix('(').and_then(|rest| rest.split_once("): "));
    match number {
        Some((number, rest)) if number == "default" || number.bytes().all(|b| b.is_ascii_digit()) => (tag, rest),
        _ => (tag, rest),
    }
}

fn without_level(text: &str) -> &str {
    let text = match text.strip_prefix('(').and_then(|rest| rest.split_once("): ")) {
        Some((number, rest)) if number == "default" || number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => text,
    };
    ["Info: ", "Warning: ", "Error: ", "Debug: ", "Fatal: "]
        .iter()
        .find_map(|level| text.strip_prefix(level))
        .unwrap_or(text)
}

fn service(tag: &str) -> Option<&'static str> {
    match tag {
        "imap-login" => Some("imap"),
        "pop3-login" => Some("pop3"),
        "managesieve-login" => Some("sieve"),
        "submission-login" => Some("smtp"),
        _ => None,
    }
}

/// `Login: user=<…>, method=PLAIN, rip=…` and `Disconnected (auth failed, 2 attempts): user=<…>, …, rip=…`.
fn login_process<'a>(service: &'static str, text: &'a str) -> Kind<'a> {
    if let Some(list) = text.strip_prefix("Login: ") {
        let Some(list) = list_of(list) else { return Kind::Unknown };
        let peer = Peer { ip: list.ip, ..Peer::default() };
        return Kind::Login(Login { peer, user: list.user.unwrap_or(""), mechanism: list.method, service });
    }
    let Some((words, list)) = scan::splits(text, ": ").find_map(|(words, list)| Some((words, list_of(list)?))) else {
        return by_words(text);
    };
    let peer = Peer { ip: list.ip, ..Peer::default() };
    let is_failure = ["(auth failed", "proxy dest auth failed", "(tried to use dis"].iter().any(|w| words.contains(w));
    if is_failure {
        let attempts = words.split_once("(auth failed, ").and_then(|(_, rest)| scan::number(rest));
        let attempts = attempts.and_then(|(count, _)| u32::try_from(count).ok()).unwrap_or(1).max(1);
        return Kind::AuthFailure(AuthFailure {
            peer,
            user: list.user.filter(|user| !user.is_empty()),
            mechanism: list.method,
            service,
            attempts,
            is_server_fault: false,
            is_doubtful: false,
        });
    }
    const NO_AUTH: [&str; 4] =
        ["no auth attempts", "before auth was ready", "didn't finish SASL auth", "during TLS handshake"];
    let what = if NO_AUTH.iter().any(|w| words.contains(w)) { Connection::NoAuth } else { Connection::Closed };
    Kind::Session(Session { what, peer, text: words, is_doubtful: false })
}

#[derive(Default)]
struct List<'a> {
    user: Option<&'a str>,
    method: Option<&'a str>,
    ip: Option<IpAddr>,
}

/// `user=<…>, method=PLAIN, rip=192.0.2.1, lip=…, TLS, session=<…>`: the user's end is tried from left to right.
fn list_of(text: &str) -> Option<List<'_>> {
    let Some(inside) = text.strip_prefix("user=<") else {
        let is_list = text.starts_with("method=") || text.starts_with("rip=");
        return if is_list { keys(text, List::default()) } else { None };
    };
    scan::splits(inside, ">, ").find_map(|(user, rest)| keys(rest, List { user: Some(user), ..List::default() }))
}

fn keys<'a>(text: &'a str, mut list: List<'a>) -> Option<List<'a>> {
    let mut seen = 0_u8;
    for part in text.split(", ") {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let bit = match key {
            "method" => 1,
            "rip" => 2,
            "lip" => 4,
            "session" => 8,
            "mpid" => 16,
            "user" => return None,
            _ => 0,
        };
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
        match key {
            "method" => list.method = Some(value),
            "rip" => list.ip = Some(value.parse().ok()?),
            _ => {}
        }
    }
    list.ip.is_some().then_some(list)
}

/// `pam(user,1.2.3.4,<session>): unknown user`, `auth(user,ip,sasl:login)<session>: Info: sql: Password mismatch`.
fn auth_process(text: &str) -> Kind<'_> {
    let text = match scan::splits(text, "auth-worker<").next() {
        Some((_, rest)) => rest.split_once(">: ").map_or(text, |(_, rest)| rest),
        None => text,
    };
    let Some((database, inside)) = text.split_once('(') else { return by_words(text) };
    if database.contains(' ') {
        return by_words(text);
    }
    for at in scan::positions(inside, "): ").chain(scan::positions(inside, ")<")) {
        let Some((subject, rest)) = inside.split_at_checked(at) else { continue };
        let Some((words, user, ip)) = failure(subject, rest) else { continue };
        return Kind::AuthFailure(AuthFailure {
            peer: Peer { ip: Some(ip), ..Peer::default() },
            user: Some(user).filter(|user| !user.is_empty()),
            mechanism: Some(if database.is_empty() { words } else { database }),
            service: "auth",
            attempts: 1,
            is_server_fault: false,
            is_doubtful: false,
        });
    }
    by_words(text)
}

/// Splits `user,ip` or `user,ip,<session>` or `user,ip,sasl:login` and asks whether what follows is a failure in known words.
fn failure<'a>(subject: &'a str, rest: &'a str) -> Option<(&'a str, &'a str, IpAddr)> {
    const FAILURES: [&str; 8] = [
        "unknown user",
        "Password mismatch",
        "Authentication failure",
        "pam_authenticate() failed: ",
        "invalid credentials",
        "Permission denied",
        "User not known",
        "password mismatch",
    ];
    let words = match rest.strip_prefix(")<") {
        Some(rest) => rest.split_once(">: ")?.1,
        None => rest.strip_prefix("): ")?,
    };
    let words = without_level(words);
    let words =
        ["sql: ", "pam: ", "ldap: ", "passwd-file: "].iter().find_map(|p| words.strip_prefix(p)).unwrap_or(words);
    let known = FAILURES.iter().find(|known| words.starts_with(**known))?;
    let after = words.strip_prefix(known)?;
    // Behind the known words only their own explanation may stand; more of a login name does not look like one.
    if !(after.is_empty() || after.starts_with(" (") || known.ends_with(": ")) {
        return None;
    }
    let (before, last) = subject.rsplit_once(',')?;
    if let Ok(ip) = last.parse() {
        return Some((words, before, ip));
    }
    let (user, ip) = before.rsplit_once(',')?;
    let is_session = last.is_empty() || last.starts_with('<') || last.starts_with("sasl:");
    (is_session).then_some(())?;
    Some((words, user, ip.parse().ok()?))
}

/// `pam_unix(dovecot:auth): authentication failure; … ruser=web rhost=176.61.140.224  user=web`: the name that was tried
/// stands before the host and may imitate it, so the last one counts.
fn pam(text: &str) -> Option<AuthFailure<'_>> {
    let (_, rest) = text.split_once("authentication failure;")?;
    let (before, host) = rest.rsplit_once(" rhost=")?;
    let (host, _) = scan::word(host);
    let user = before.split_once(" ruser=").map(|(_, user)| user);
    Some(AuthFailure {
        peer: Peer { ip: host.parse().ok(), ..Peer::default() },
        user: user.filter(|user| !user.is_empty()),
        mechanism: Some("pam"),
        service: "auth",
        attempts: 1,
        is_server_fault: false,
        is_doubtful: false,
    })
}

fn by_words(text: &str) -> Kind<'_> {
    if text.contains("rror") || text.contains("ailed") || text.starts_with("Fatal") || text.starts_with("Panic") {
        return Kind::Trouble(Trouble::System);
    }
    Kind::Trace
}
