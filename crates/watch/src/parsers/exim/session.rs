//! Connections and logins: `NAME authenticator failed for …`, `SMTP connection from …`, `SMTP protocol error in "…" …`,
//! `TLS error on connection from …`, `no MAIL in SMTP connection from …` and their kin.

use super::Grammar;
use super::peer;
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
    if let Some((mechanism, rest)) = text.split_once(" authenticator failed for ")
        && !mechanism.contains(' ')
    {
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
    if let Some((command, rest)) = text.split_once(" received from ")
        && (command.starts_with("ETRN ") || command.starts_with("ATRN "))
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
    let (peer, words, is_doubtful) = match peer::with_peer(grammar, text, client) {
        Some(((peer, words), is_doubtful)) => (peer, words, is_doubtful),
        None => {
            let (ident, words) = text.split_once(": ")?;
            (Peer { ident: ident.strip_prefix("U=").or(Some(ident)), ..Peer::default() }, words, false)
        }
    };
    let user = words.split_once("(set_id=").and_then(|(_, user)| user.rsplit_once(')')).map(|(user, _)| user);
    Some(AuthFailure {
        peer: if is_doubtful { Peer { ip: None, ..peer } } else { peer },
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
    let Some(((peer, rest), is_doubtful)) = peer::with_peer(grammar, text, fits) else {
        let (ident, rest) = scan::token(text);
        let peer = Peer { ident: Some(ident), ..Peer::default() };
        return Session { what: fate(what, rest), peer, text: rest, is_doubtful: false };
    };
    let peer = if is_doubtful { Peer { ip: None, ..peer } } else { peer };
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

/// `"<command>" H=… AUTH command used when not advertised`. The command is not escaped and may imitate the client, so the
/// last `" H=` behind which nothing but a client and known words stand is taken.
fn protocol_error(grammar: Grammar, text: &str) -> Session<'_> {
    let mut found = None;
    for (_, client) in scan::splits(text, "\" H=") {
        let reading = peer::with_peer(grammar, client, |mut peer, rest| {
            let words = peer::details(&mut peer, rest).strip_prefix(' ')?;
            (!words.contains("\" H=")).then_some((peer, words))
        });
        found = reading.or(found);
    }
    let Some(((peer, words), is_doubtful)) = found else {
        let what = if text.contains("AUTH command used when not") {
            Connection::AuthNotOffered
        } else {
            Connection::ProtocolError
        };
        return Session { what, peer: Peer::default(), text, is_doubtful: false };
    };
    let is_auth = words.starts_with("AUTH command used when not advertised")
        || words.ends_with("authentication mechanism not supported");
    let what = if is_auth { Connection::AuthNotOffered } else { Connection::ProtocolError };
    Session { what, peer: if is_doubtful { Peer { ip: None, ..peer } } else { peer }, text: words, is_doubtful }
}

/// `(input sent without waiting for greeting): rejected connection from H=… input="…"` or
/// `(next input sent too soon: …): rejected "RSET" H=… next input="…"`.
fn sync_error(grammar: Grammar, text: &str) -> Session<'_> {
    let nobody = Session { what: Connection::SyncError, peer: Peer::default(), text, is_doubtful: false };
    // What the client sent ahead stands last, in quotes that nothing escapes: the first client is the true one, unless the
    // rejected command itself imitates one.
    let Some((before, after)) = text.split_once("): rejected ") else { return nobody };
    let client = match after.strip_prefix("connection from ") {
        Some(client) => client.strip_prefix("H=").unwrap_or(client),
        None => {
            let input = after.find(" next input=").or_else(|| after.find(" input=")).unwrap_or(after.len());
            let Some(command) = after.get(..input) else { return nobody };
            let Some((_, client)) = scan::splits(command, "\" H=").last() else { return nobody };
            client
        }
    };
    let reading = peer::with_peer(grammar, client, |mut peer, rest| {
        let rest = peer::details(&mut peer, rest);
        (rest.is_empty() || rest.starts_with(" input=") || rest.starts_with(" next input=")).then_some(peer)
    });
    match reading {
        Some((peer, false)) => Session { peer, text: before, ..nobody },
        Some((peer, true)) => Session { peer: Peer { ip: None, ..peer }, text: before, is_doubtful: true, ..nobody },
        None => nobody,
    }
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
