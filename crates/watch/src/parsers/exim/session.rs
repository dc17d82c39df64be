//! Connections and logins: `NAME authenticator failed for …`, `SMTP connection from …`, `SMTP protocol error in "…" …`,
//! `TLS error on connection from …`, `no MAIL in SMTP connection from …` and their kin.

use super::Grammar;
use super::peer::{self, Reading};
use crate::event::{AuthFailure, Connection, Kind, Peer, Session};
use crate::scan;

/// Lines that begin with these words name the client right behind them.
const FROM: [(&str, Connection); 23] = [
    ("SMTP connection from ", Connection::Opened),
    ("no MAIL in SMTP connection from ", Connection::NoMail),
    ("TLS error on connection from ", Connection::TlsError),
    ("TLS handshake timeout on connection from ", Connection::TlsError),
    ("SMTP command timeout on connection from ", Connection::TimedOut),
    ("SMTP command timeout on TLS connection from ", Connection::TimedOut),
    ("SMTP data timeout (message abandoned) on connection from ", Connection::TimedOut),
    ("SMTP data timeout (message abandoned) on TLS connection from ", Connection::TimedOut),
    ("unexpected disconnection while reading SMTP command from ", Connection::Lost),
    ("unexpected EOF while reading SMTP command from ", Connection::Lost),
    ("SMTP connection lost from ", Connection::Lost),
    ("SMTP call from ", Connection::TooManyErrors),
    ("refused connection from ", Connection::Refused),
    ("temporarily refused connection from ", Connection::Refused),
    ("Connection from ", Connection::Refused),
    ("connection from ", Connection::Refused),
    ("SMTP connection outbound ", Connection::Opened),
    ("SMTP connection lost after final dot H=", Connection::Lost),
    ("rejected XCLIENT from ", Connection::ProtocolError),
    ("VRFY failed for ", Connection::ProtocolError),
    ("host name alias list truncated for ", Connection::NoHostName),
    ("Failed to get host name for ", Connection::NoHostName),
    ("failed to get host name for ", Connection::NoHostName),
];

/// Reads a line about a connection or a login; `None` if it is about neither.
pub(super) fn read(grammar: Grammar, text: &str) -> Option<Kind<'_>> {
    let (mechanism, rest) = scan::token(text);
    if let Some(rest) = rest.strip_prefix(" authenticator failed for ") {
        return auth_failure(grammar, mechanism, rest).map(Kind::AuthFailure);
    }
    for (words, what) in FROM {
        if let Some(rest) = text.strip_prefix(words) {
            return Some(Kind::Session(from(grammar, what, rest)));
        }
    }
    if let Some(rest) = text.strip_prefix("SMTP protocol error in ") {
        return Some(Kind::Session(protocol_error(grammar, rest)));
    }
    if let Some(rest) = text.strip_prefix("SMTP protocol synchronization error (") {
        return Some(Kind::Session(sync_error(grammar, rest)));
    }
    if (text.starts_with("ETRN ") || text.starts_with("ATRN "))
        && let Some((_, rest)) = text.split_once(" received from ")
    {
        return Some(Kind::Session(from(grammar, Connection::Opened, rest)));
    }
    if let Some(rest) = text.strip_prefix("SMTP syntax error in ") {
        return Some(Kind::Session(protocol_error(grammar, rest)));
    }
    names(text)
}

/// `NAME authenticator failed for name (helo) [ip]:port I=…: 535 Incorrect authentication data (set_id=user)`. The login
/// name is not quoted and runs to the last parenthesis.
fn auth_failure<'a>(grammar: Grammar, mechanism: &'a str, text: &'a str) -> Option<AuthFailure<'a>> {
    let text = text.strip_prefix("H=").unwrap_or(text);
    let client = |mut peer: Peer<'a>, rest: &'a str| {
        let words = peer::details(&mut peer, rest).strip_prefix(": ")?;
        let code = words.get(..3)?;
        code.bytes().all(|b| b.is_ascii_digit()).then_some((peer, words))
    };
    let user =
        |words: &'a str| words.split_once("(set_id=").and_then(|(_, user)| user.rsplit_once(')')).map(|(user, _)| user);
    let (peer, user, words, is_doubtful) = match peer::with_peer(grammar, text, client) {
        Some(reading) => {
            let is_doubtful = reading.other.is_some();
            let reading = Reading {
                value: (reading.value.0, user(reading.value.1), reading.value.1),
                other: reading.other.map(|(peer, words)| (peer, user(words), words)),
            };
            let (peer, user, words) =
                reading.merged(|one, other| (peer::common(one.0, other.0), peer::same(one.1, other.1), other.2));
            (peer, user, words, is_doubtful)
        }
        None => {
            let (ident, words) = text.split_once(": ")?;
            let peer = Peer { ident: ident.strip_prefix("U=").or(Some(ident)), ..Peer::default() };
            (peer, user(words), words, false)
        }
    };
    Some(AuthFailure {
        peer,
        user: user.filter(|user| !user.is_empty()),
        mechanism: Some(mechanism),
        service: "smtp",
        attempts: 1,
        // 435: the authenticator could not work, the password was not looked at.
        is_server_fault: !words.starts_with('5'),
        is_doubtful,
    })
}

/// The client, then what happened to it.
fn from<'a>(grammar: Grammar, what: Connection, text: &'a str) -> Session<'a> {
    let fits = |mut peer: Peer<'a>, rest: &'a str| {
        let rest = peer::details(&mut peer, rest);
        (rest.is_empty() || rest.starts_with([' ', ':', ','])).then_some((peer, rest))
    };
    let Some(reading) = peer::with_peer(grammar, text, fits) else {
        let (ident, rest) = scan::token(text);
        let peer = Peer { ident: Some(ident), ..Peer::default() };
        return Session { what: fate(what, rest), peer, text: rest, is_doubtful: false };
    };
    let is_doubtful = reading.other.is_some();
    let (peer, rest) = reading.merged(|one, other| (peer::common(one.0, other.0), other.1));
    Session { what: fate(what, rest), peer, text: rest.trim_start_matches([' ', ':']), is_doubtful }
}

/// What the words behind the client say of its connection.
fn fate(what: Connection, rest: &str) -> Connection {
    let says = |words: &str| rest.contains(words);
    match what {
        Connection::Opened if says("closed by DROP in ACL") => Connection::Dropped,
        Connection::Opened if says("closed by QUIT") || says("closed after") => Connection::Closed,
        Connection::Opened if says("lost while") || says(" lost") => Connection::Lost,
        Connection::Opened if says("closed by") || says("timed out") => Connection::Closed,
        what => what,
    }
}

/// `"<command>" H=… AUTH command used when not advertised`. The command is not escaped and may imitate the client; each
/// place where it could end is tried.
fn protocol_error(grammar: Grammar, text: &str) -> Session<'_> {
    let found = behind_command(grammar, text, |rest| {
        // What Exim says of the command names no address.
        rest.strip_prefix(' ').filter(|words| !words.contains('[') && !words.contains('"'))
    });
    let Some(reading) = found else {
        let is_auth = text.contains("AUTH command used when not");
        let what = if is_auth { Connection::AuthNotOffered } else { Connection::ProtocolError };
        return Session { what, peer: Peer::default(), text, is_doubtful: false };
    };
    let is_doubtful = reading.other.is_some();
    let (peer, words) = reading.merged(|one, other| (peer::common(one.0, other.0), other.1));
    let is_auth = words.starts_with("AUTH command used when not advertised")
        || words.ends_with("authentication mechanism not supported");
    let what = if is_auth { Connection::AuthNotOffered } else { Connection::ProtocolError };
    Session { what, peer, text: words, is_doubtful }
}

/// `(input sent without waiting for greeting): rejected connection from H=… input="…"` or
/// `(next input sent too soon: …): rejected "RSET" H=… next input="…"`.
fn sync_error(grammar: Grammar, text: &str) -> Session<'_> {
    let nobody = Session { what: Connection::SyncError, peer: Peer::default(), text, is_doubtful: false };
    let Some((before, after)) = text.split_once("): rejected ") else { return nobody };
    let is_input = |rest: &str| rest.is_empty() || rest.starts_with(" input=\"") || rest.starts_with(" next input=\"");
    let reading = match after.strip_prefix("connection from ") {
        Some(client) => {
            let client = client.strip_prefix("H=").unwrap_or(client);
            peer::with_peer(grammar, client, |mut peer, rest| {
                let rest = peer::details(&mut peer, rest);
                is_input(rest).then_some((peer, rest))
            })
        }
        // The rejected command and what was sent ahead can both imitate a client.
        None => behind_command(grammar, after, |rest| is_input(rest).then_some(rest)),
    };
    let Some(reading) = reading else { return nobody };
    let is_doubtful = reading.other.is_some();
    let (peer, _) = reading.merged(|one, other| (peer::common(one.0, other.0), other.1));
    Session { peer, text: before, is_doubtful, ..nobody }
}

/// The client behind a command in quotes that nothing escapes: every `" H=` is tried, and `fits` says whether the rest of the
/// line does.
fn behind_command<'a>(
    grammar: Grammar,
    text: &'a str,
    fits: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<Reading<(Peer<'a>, &'a str)>> {
    let mut found: Option<(Peer<'a>, &'a str)> = None;
    for (_, client) in scan::splits(text, "\" H=") {
        let reading = peer::with_peer(grammar, client, |mut peer, rest| {
            let words = fits(peer::details(&mut peer, rest))?;
            Some((peer, words))
        });
        let Some(reading) = reading else { continue };
        let other = reading.other.or(found.filter(|found| found.0.ip != reading.value.0.ip));
        if other.is_some() {
            return Some(Reading { value: reading.value, other });
        }
        found = Some(reading.value);
    }
    found.map(|value| Reading { value, other: None })
}

/// Lines about the client's name.
fn names(text: &str) -> Option<Kind<'_>> {
    let session = |what, ip: &str, name| {
        let peer = Peer { ip: ip.parse().ok(), name, ..Peer::default() };
        Some(Kind::Session(Session { what, peer, text, is_doubtful: false }))
    };
    if let Some(ip) = text.strip_prefix("no host name found for IP address ") {
        return session(Connection::NoHostName, ip, None);
    }
    if let Some(rest) = text.strip_prefix("no IP address found for host ") {
        let (name, rest) = scan::word(rest);
        let ip = rest.strip_prefix("(during SMTP connection from ").map(client_literal).unwrap_or("");
        return session(Connection::HostNameMismatch, ip, Some(name));
    }
    // `[ip] does not match any IP address for name`, `reverse DNS of …`.
    if text.starts_with('[')
        && let Some((ip, rest)) = scan::literal(text)
        && (rest.contains("does not match") || rest.contains("reverse"))
    {
        return session(Connection::HostNameMismatch, ip, None);
    }
    None
}

/// The address of `(helo) [ip]:port …)` or `[ip]…)`: names of hosts stand in front, so the first bracket that follows them.
fn client_literal(text: &str) -> &str {
    let text = match text.strip_prefix('(') {
        Some(inside) => {
            scan::splits(inside, ") [").next().map_or("", |(helo, _)| inside.get(helo.len() + 2..).unwrap_or(""))
        }
        None if text.starts_with('[') => text,
        None => text.split_once(' ').map_or("", |(_, rest)| rest),
    };
    scan::literal(text).map_or("", |(ip, _)| ip)
}
