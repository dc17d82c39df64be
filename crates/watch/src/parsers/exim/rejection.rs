//! Refusals and warnings: `H=name (helo) [ip] U=… X=… A=… F=<sender> rejected RCPT <recipient>: why`, and lines that begin
//! with the refusal itself: `rejected HELO from …`, `rejected MAIL FROM:<…> H=…`, `too many recipients: …`.

use super::Grammar;
use super::arrival;
use super::peer::{self, Reading};
use crate::event::{Auth, Failing, Kind, Peer, Rejection, Reputation, Stage};
use crate::scan;

/// How many blanks at which a login could end are tried.
const LOGIN_BLANKS_MAX: usize = 16;

/// What stands in front of the verb.
#[derive(Clone, Copy, Default)]
struct Head<'a> {
    peer: Peer<'a>,
    auth: Option<Auth<'a>>,
    sender: Option<&'a str>,
}

/// Reads a line that refuses, warns or discards; `None` if it does none of that.
pub(super) fn read(grammar: Grammar, text: &str) -> Option<Kind<'_>> {
    let is_headed = ["H=", "U=", "F="].iter().any(|key| text.starts_with(key));
    if is_headed {
        return headed(grammar, text).map(|reading| reading.merged(common));
    }
    let (is_temporary, rest) = match text.strip_prefix("temporarily ") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(rest) = rest.strip_prefix("rejected ") {
        return bare(grammar, rest, is_temporary);
    }
    too_many_recipients(grammar, text)
}

/// What two readings of a line have in common. If they are not of one kind, the line says nothing for certain.
fn common<'a>(one: Kind<'a>, other: Kind<'a>) -> Kind<'a> {
    match (one, other) {
        (Kind::Rejection(one), Kind::Rejection(other)) => Kind::Rejection(Box::new(Rejection {
            peer: peer::common(one.peer, other.peer),
            auth: peer::same(one.auth, other.auth),
            sender: peer::same(one.sender, other.sender),
            recipient: peer::same(one.recipient, other.recipient),
            is_doubtful: true,
            ..*other
        })),
        (Kind::Reputation(one), Kind::Reputation(other)) => {
            Kind::Reputation(Reputation { peer: peer::common(one.peer, other.peer), ..other })
        }
        (_, Kind::Rejection(other)) => Kind::Rejection(Box::new(Rejection {
            peer: Peer::default(),
            auth: None,
            sender: None,
            recipient: None,
            is_doubtful: true,
            ..*other
        })),
        (_, Kind::Reputation(other)) => Kind::Reputation(Reputation { peer: Peer::default(), ..other }),
        (_, other) => other,
    }
}

fn headed(grammar: Grammar, text: &str) -> Option<Reading<Kind<'_>>> {
    if let Some(host) = text.strip_prefix("H=") {
        return peer::with_peer(grammar, host, |peer, rest| {
            behind_head(grammar, Head { peer, ..Head::default() }, rest)
        });
    }
    // `F=sender H=…` is the order of local_scan(), `U=caller F=<…>` that of local SMTP.
    let sender_first = text.strip_prefix("F=").and_then(sender);
    if let Some((sender, rest)) = sender_first
        && let Some(host) = rest.strip_prefix(" H=")
    {
        let head = Head { sender: Some(sender), ..Head::default() };
        return peer::with_peer(grammar, host, |peer, rest| behind_head(grammar, Head { peer, ..head }, rest));
    }
    // The fields are taken with a blank in front, which the first one of a line lacks.
    let mut head = Head::default();
    let rest = if let Some((sender, rest)) = sender_first {
        head.sender = Some(sender);
        rest
    } else {
        let (ident, rest) = scan::token(text.strip_prefix("U=")?);
        head.peer.ident = Some(ident);
        rest
    };
    behind_head(grammar, head, rest).map(|value| Reading { value, other: None })
}

/// Fields between the client and the verb, then the verb.
fn behind_head<'a>(grammar: Grammar, mut head: Head<'a>, rest: &'a str) -> Option<Kind<'a>> {
    let mut rest = peer::details(&mut head.peer, rest);
    loop {
        let text = rest.strip_prefix(' ').or_else(|| rest.strip_prefix(": "))?;
        let (token, after) = scan::token(text);
        let Some((key, _)) = scan::pair(token) else { break };
        if key == "F" {
            let (sender, after) = sender(text.strip_prefix("F=")?)?;
            (head.sender, rest) = (Some(sender), after);
            continue;
        }
        // Fields of newer versions are in capitals as well.
        if key.len() > 8 || !key.bytes().all(|b| b.is_ascii_uppercase() || b == b'i') {
            break;
        }
        if key == "DN" {
            rest = scan::quoted(text.strip_prefix("DN=")?)?.1;
            continue;
        }
        if key == "A" {
            return behind_login(grammar, head, text.strip_prefix("A=")?);
        }
        rest = after;
    }
    verb(grammar, head, rest.strip_prefix(' ').or_else(|| rest.strip_prefix(": "))?)
}

/// A login is not quoted: it ends at the first blank behind which the rest fits.
fn behind_login<'a>(grammar: Grammar, head: Head<'a>, text: &'a str) -> Option<Kind<'a>> {
    if head.auth.is_some() {
        return None;
    }
    memchr::memchr_iter(b' ', text.as_bytes()).take(LOGIN_BLANKS_MAX).find_map(|end| {
        let (login, rest) = text.split_at_checked(end)?;
        behind_head(grammar, Head { auth: Some(arrival::auth(login)), ..head }, rest)
    })
}

/// `<address>`, or in older logs the bare address.
fn sender(text: &str) -> Option<(&str, &str)> {
    scan::bracketed(text).or_else(|| {
        let (address, rest) = scan::address(text);
        (!address.is_empty() && rest.starts_with(' ')).then_some((address, rest))
    })
}

fn verb<'a>(grammar: Grammar, head: Head<'a>, text: &'a str) -> Option<Kind<'a>> {
    let (is_temporary, rest) = match text.strip_prefix("temporarily ") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if let Some(rest) = rest.strip_prefix("rejected ") {
        return Some(rejected(head, rest, is_temporary));
    }
    if let Some(words) = text.strip_prefix("Warning: ").or_else(|| text.strip_prefix("Warning:")) {
        return Some(Kind::Reputation(Reputation { check: "Warning", text: words, peer: head.peer, is_spam: false }));
    }
    if let Some(rest) = text.strip_prefix("sender verify ") {
        // `fail for <…>: why` or `defer for <…>: why`; the refusal itself has a line of its own.
        let (word, rest) = rest.split_once(" for ")?;
        let (sender, rest) = scan::bracketed(rest)?;
        let head = Head { sender: Some(sender), ..head };
        let words = rest.strip_prefix(": ").unwrap_or(rest);
        let mut rejection = rejection(head, Stage::Mail, word != "fail", words);
        rejection.cause = Failing::SenderUnverified;
        return Some(Kind::Rejection(Box::new(rejection)));
    }
    if let Some(rest) = text.strip_prefix("dropped by '").or_else(|| text.strip_prefix("dropped by ")) {
        let (name, rest) = scan::word(rest);
        let words = rest.strip_prefix("ACL: ").unwrap_or(rest);
        return Some(Kind::Rejection(Box::new(rejection(head, stage(name.trim_matches('\'')), false, words))));
    }
    discarded(head, text).or_else(|| trouble_with_host(grammar, head, text))
}

/// `RCPT <…>: discarded by RCPT ACL`, `discarded by DATA ACL`, `incomplete transaction (…)`.
fn discarded<'a>(head: Head<'a>, text: &'a str) -> Option<Kind<'a>> {
    let (before, after) = text.split_once("discarded by ")?;
    let recipient = before.split_once('<').and_then(|(command, _)| {
        let (recipient, rest) = scan::bracketed(before.get(command.len()..)?)?;
        rest.starts_with(':').then_some(recipient)
    });
    if !before.is_empty() && recipient.is_none() && !before.ends_with(": ") {
        return None;
    }
    let (name, words) = after.split_once(" ACL").unwrap_or((after, ""));
    let words = words.strip_prefix(": ").unwrap_or(words);
    let rejection = Rejection { is_discard: true, recipient, ..rejection(head, stage(name), false, words) };
    Some(Kind::Rejection(Box::new(rejection)))
}

fn trouble_with_host<'a>(_: Grammar, head: Head<'a>, text: &'a str) -> Option<Kind<'a>> {
    use crate::event::{Connection, Session, Trouble};
    const REMOTE: [&str; 14] = [
        "SMTP error from remote",
        "LMTP error",
        "SMTP timeout",
        "LMTP timeout",
        "Connection refused",
        "Connection timed out",
        "Network is unreachable",
        "Network Error",
        "No route to host",
        "Remote host closed connection",
        "Malformed SMTP reply",
        "TLS session",
        "DANE",
        "a TLS session is required",
    ];
    if REMOTE.iter().any(|words| text.starts_with(words)) || text.contains("SMTP error from remote") {
        return Some(Kind::Trouble(Trouble::RemoteHost));
    }
    let what = match () {
        () if text.starts_with("incomplete transaction") => Connection::Lost,
        () if text.contains("authentication failed") => return Some(Kind::Trouble(Trouble::RemoteHost)),
        () => return None,
    };
    Some(Kind::Session(Session { what, peer: head.peer, text, is_doubtful: false }))
}

/// Everything behind `rejected `, when the client stood in front.
fn rejected<'a>(head: Head<'a>, text: &'a str, is_temporary: bool) -> Kind<'a> {
    let (first, rest) = scan::word(text);
    let first = first.trim_end_matches(':');
    let with_words = |stage, words: &'a str| {
        let words = words.trim_start_matches([':', ' ']);
        Kind::Rejection(Box::new(rejection(head, stage, is_temporary, words)))
    };
    match first {
        "RCPT" => {
            let (recipient, words) = match scan::bracketed(rest) {
                Some((recipient, words)) => (recipient, words),
                None => {
                    let (recipient, words) = scan::address(rest);
                    match recipient.strip_suffix(':') {
                        Some(recipient) => (recipient, words),
                        None => (recipient, words),
                    }
                }
            };
            let words = words.trim_start_matches([':', ' ']);
            let rejection = rejection(head, Stage::Rcpt, is_temporary, words);
            Kind::Rejection(Box::new(Rejection { recipient: Some(recipient), ..rejection }))
        }
        "MAIL" => {
            let (sender, words) = scan::bracketed(rest).unwrap_or(("", rest));
            let head = Head { sender: head.sender.or(Some(sender)), ..head };
            let words = words.trim_start_matches([':', ' ']);
            Kind::Rejection(Box::new(rejection(head, Stage::Mail, is_temporary, words)))
        }
        "connection" => with_words(Stage::Connect, rest.split_once("ACL").map_or(rest, |(_, words)| words)),
        "EHLO" | "HELO" => with_words(Stage::Helo, rest.strip_prefix("or HELO ").unwrap_or(rest)),
        "after" | "DATA" => with_words(Stage::Data, rest.strip_prefix("DATA").unwrap_or(rest)),
        "by" if rest.starts_with("local_scan") => {
            with_words(Stage::LocalScan, rest.split_once("local_scan()").map_or(rest, |(_, words)| words))
        }
        "by" => with_words(Stage::NotSmtp, rest.split_once(" ACL").map_or(rest, |(_, words)| words)),
        "during" => with_words(Stage::Mime, rest),
        "VRFY" => with_words(Stage::Vrfy, rest),
        "EXPN" => with_words(Stage::Expn, rest),
        "ETRN" => with_words(Stage::Etrn, rest),
        "STARTTLS" => with_words(Stage::StartTls, rest),
        "AUTH" => with_words(Stage::Auth, rest),
        _ => with_words(Stage::Other, text),
    }
}

/// Lines that begin with `rejected `: the client follows the command.
fn bare(grammar: Grammar, text: &str, is_temporary: bool) -> Option<Kind<'_>> {
    for verb in ["HELO from ", "EHLO from ", "MAIL from ", "RCPT from "] {
        let Some(client) = text.strip_prefix(verb) else { continue };
        let stage = stage(verb.split(' ').next().unwrap_or(""));
        let reading = peer::with_peer(grammar, client, |mut peer, rest| {
            let words = peer::details(&mut peer, rest).strip_prefix(": ")?;
            Some((peer, words))
        });
        let (peer, words, is_doubtful) = match reading {
            Some(reading) => {
                let is_doubtful = reading.other.is_some();
                let (peer, words) = reading.merged(|one, other| (peer::common(one.0, other.0), other.1));
                (peer, words, is_doubtful)
            }
            // A local caller: `rejected HELO from user: …`.
            None => {
                let (ident, words) = client.split_once(": ")?;
                (Peer { ident: Some(ident), ..Peer::default() }, words, false)
            }
        };
        let mut rejection = rejection(Head { peer, ..Head::default() }, stage, is_temporary, words);
        rejection.is_doubtful = is_doubtful;
        rejection.cause = if stage == Stage::Helo { Failing::Helo } else { Failing::Protocol };
        return Some(Kind::Rejection(Box::new(rejection)));
    }
    if let Some(rest) = text.strip_prefix("MAIL command ") {
        // `rejected MAIL command H=…: too many messages in one connection`; a local caller has `U=` alone.
        let (peer, words) = match rest.strip_prefix("H=") {
            Some(host) => {
                let reading = peer::with_peer(grammar, host, |mut peer, rest| {
                    let words = peer::details(&mut peer, rest).strip_prefix(": ")?;
                    Some((peer, words))
                })?;
                reading.merged(|one, other| (peer::common(one.0, other.0), other.1))
            }
            None => {
                let (ident, words) = rest.split_once(": ")?;
                (Peer { ident: ident.strip_prefix("U="), ..Peer::default() }, words)
            }
        };
        let head = Head { peer, ..Head::default() };
        return Some(Kind::Rejection(Box::new(rejection(head, Stage::Mail, is_temporary, words))));
    }
    // `rejected MAIL FROM:<…> H=…: message too big`, `rejected from <…> H=…: …`, `rejected RCPT TO:<…> …`.
    let at = text.find('<')?;
    let (command, _) = text.split_at_checked(at)?;
    let (address, rest) = scan::bracketed(text.get(at..)?)?;
    let is_recipient = command.starts_with("RCPT");
    let head = if is_recipient { Head::default() } else { Head { sender: Some(address), ..Head::default() } };
    let stage = if is_recipient { Stage::Rcpt } else { Stage::Mail };
    let mut result = if let Some(host) = rest.strip_prefix(" H=") {
        let reading = peer::with_peer(grammar, host, |mut peer, rest| {
            let words = peer::details(&mut peer, rest).strip_prefix(": ")?;
            Some((peer, words))
        })?;
        let is_doubtful = reading.other.is_some();
        let (peer, words) = reading.merged(|one, other| (peer::common(one.0, other.0), other.1));
        Rejection { is_doubtful, ..rejection(Head { peer, ..head }, stage, is_temporary, words) }
    } else {
        let (before, words) = rest.split_once(": ")?;
        let ident = before.strip_prefix(" U=");
        rejection(Head { peer: Peer { ident, ..Peer::default() }, ..head }, stage, is_temporary, words)
    };
    result.recipient = is_recipient.then_some(address);
    Some(Kind::Rejection(Box::new(result)))
}

/// `too many recipients: excess temporarily rejected: sender=<…> H=…`.
fn too_many_recipients(grammar: Grammar, text: &str) -> Option<Kind<'_>> {
    let rest = text.strip_prefix("too many recipients: ")?;
    let (words, rest) = rest.split_once("sender=")?;
    let (sender, rest) = scan::bracketed(rest)?;
    let peer = match rest.strip_prefix(" H=") {
        Some(host) => {
            peer::with_peer(grammar, host, |mut peer, rest| peer::details(&mut peer, rest).is_empty().then_some(peer))
                .map(|reading| reading.merged(peer::common))
                .unwrap_or_default()
        }
        None => Peer { ident: rest.strip_prefix(" U="), ..Peer::default() },
    };
    let head = Head { peer, sender: Some(sender), auth: None };
    let mut rejection = rejection(head, Stage::Rcpt, words.contains("temporarily"), "too many recipients");
    rejection.cause = Failing::Limit;
    Some(Kind::Rejection(Box::new(rejection)))
}

fn rejection<'a>(head: Head<'a>, stage: Stage, is_temporary: bool, text: &'a str) -> Rejection<'a> {
    Rejection {
        stage,
        is_temporary,
        is_discard: false,
        peer: head.peer,
        auth: head.auth,
        sender: head.sender,
        recipient: None,
        text,
        cause: Failing::of_words(text),
        is_doubtful: false,
    }
}

/// A hook of Exim by the name that its lines use.
fn stage(name: &str) -> Stage {
    const NAMES: [(&str, Stage); 17] = [
        ("connect", Stage::Connect),
        ("HELO", Stage::Helo),
        ("EHLO", Stage::Helo),
        ("helo", Stage::Helo),
        ("MAIL", Stage::Mail),
        ("mail", Stage::Mail),
        ("RCPT", Stage::Rcpt),
        ("rcpt", Stage::Rcpt),
        ("DATA", Stage::Data),
        ("data", Stage::Data),
        ("predata", Stage::Data),
        ("PRDR", Stage::Data),
        ("MIME", Stage::Mime),
        ("mime", Stage::Mime),
        ("AUTH", Stage::Auth),
        ("non-SMTP", Stage::NotSmtp),
        ("STARTTLS", Stage::StartTls),
    ];
    NAMES.iter().find(|(known, _)| *known == name).map_or(Stage::Other, |(_, stage)| *stage)
}
