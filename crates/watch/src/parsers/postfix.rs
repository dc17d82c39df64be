//! Postfix: what `smtpd`, `postscreen`, `cleanup`, `pickup`, `qmgr` and the delivery agents write.
//!
//! The client stands first and its name comes from DNS, so it cannot be imitated. A refusal ends in `; from=<> to=<> proto=
//! helo=<>`; the answer in front of it may quote the recipient, which is stepped over as a whole.

use std::net::IpAddr;

use crate::event::{
    Arrival, Auth, AuthFailure, Connection, Delivery, Failing, Kind, Outcome, Peer, Queue, Rejection, Reputation,
    Session, Stage, Trouble,
};
use crate::reply::{Reply, enhanced_code};
use crate::scan;

/// Reads the text behind the tag; `service` is the daemon's name. Returns the queue id as well.
pub(super) fn read<'a>(service: &str, text: &'a str) -> (Option<&'a str>, Kind<'a>) {
    let (id, rest) = match queue_id(text) {
        Some((id, rest)) => (Some(id), rest),
        None => (None, text.strip_prefix("NOQUEUE: ").unwrap_or(text)),
    };
    let kind = match service {
        "smtpd" | "smtps" | "submission" | "postscreen" | "dnsblog" | "tlsproxy" => client(rest, id.is_some()),
        "pickup" => id.and_then(|_| picked_up(rest)),
        "cleanup" => cleaned_up(rest),
        "qmgr" | "nqmgr" => queued(rest),
        "smtp" | "lmtp" | "local" | "virtual" | "pipe" | "error" | "retry" | "discard" | "relay" | "lmtp-amavis" => {
            id.and_then(|_| delivered(rest))
        }
        "bounce" => Some(Kind::Queue(Queue::Changed)),
        "postsuper" => Some(Kind::Queue(superuser(rest))),
        _ => None,
    };
    (id, kind.unwrap_or_else(|| by_words(rest)))
}

/// `A94DF404B38D: ` or the longer ids of `enable_long_queue_ids`.
fn queue_id(text: &str) -> Option<(&str, &str)> {
    let (id, rest) = text.split_once(": ")?;
    let fits = (6..=22).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (fits && id.bytes().any(|b| b.is_ascii_digit())).then_some((id, rest))
}

/// `name[ip]` or `name[ip]:port`; a name from DNS holds no bracket.
fn peer(text: &str) -> Option<(Peer<'_>, &str)> {
    let (name, rest) = text.split_at_checked(text.find('[')?)?;
    if name.contains(' ') {
        return None;
    }
    let (ip, mut rest) = scan::literal(rest)?;
    let mut port = None;
    if let Some((number, after)) = rest.strip_prefix(':').and_then(scan::number) {
        (port, rest) = (u16::try_from(number).ok(), after);
    }
    let name = (!name.is_empty() && name != "unknown").then_some(name);
    Some((Peer { name, ip: literal_ip(ip), port, ..Peer::default() }, rest))
}

fn literal_ip(text: &str) -> Option<IpAddr> {
    text.strip_prefix("IPv6:").unwrap_or(text).parse().ok()
}

fn client(text: &str, has_id: bool) -> Option<Kind<'_>> {
    if has_id && let Some(rest) = text.strip_prefix("client=") {
        return arrived(rest);
    }
    if let Some(rest) = text.strip_prefix("warning: ") {
        return warned(rest);
    }
    for (words, what) in [
        ("connect from ", Connection::Opened),
        ("CONNECT from ", Connection::Opened),
        ("disconnect from ", Connection::Closed),
        ("DISCONNECT ", Connection::Closed),
        ("timeout after ", Connection::TimedOut),
        ("lost connection after ", Connection::Lost),
        ("SSL_accept error from ", Connection::TlsError),
        ("too many errors after ", Connection::TooManyErrors),
        ("improper command pipelining after ", Connection::SyncError),
        ("PREGREET ", Connection::Pregreet),
        ("HANGUP ", Connection::Pregreet),
        ("COMMAND TIME LIMIT ", Connection::RateLimit),
        ("COMMAND COUNT LIMIT ", Connection::RateLimit),
        ("COMMAND LENGTH LIMIT ", Connection::RateLimit),
        ("COMMAND PIPELINING ", Connection::SyncError),
        ("NON-SMTP COMMAND ", Connection::ProtocolError),
        ("BARE NEWLINE ", Connection::ProtocolError),
        ("BLACKLISTED ", Connection::Refused),
        ("DENYLISTED ", Connection::Refused),
        ("DNSBL rank ", Connection::Refused),
        ("PASS ", Connection::Opened),
        ("WHITELISTED ", Connection::Opened),
        ("ALLOWLISTED ", Connection::Opened),
    ] {
        if let Some(rest) = text.strip_prefix(words) {
            return Some(session(what, rest));
        }
    }
    rejected(text)
}

fn session<'a>(what: Connection, rest: &'a str) -> Kind<'a> {
    // The command or count in front is Postfix's own word, the client follows the first `from` or comes at once.
    let client = match rest.split_once("from ") {
        Some((before, client)) if before.len() <= 40 && !before.contains('[') => client,
        _ => rest.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == ' '),
    };
    let (peer, after) = peer(client).unwrap_or((Peer::default(), ""));
    // `auth=0/1` counts logins: none of one succeeded.
    let what = match what {
        Connection::Closed if after.contains(" auth=0/") => Connection::ClosedAfterAuthFailure,
        what => what,
    };
    Kind::Session(Session { what, peer, text: rest, is_doubtful: false })
}

/// `client=name[ip], sasl_method=LOGIN, sasl_username=user`.
fn arrived(text: &str) -> Option<Kind<'_>> {
    let (peer, rest) = peer(text)?;
    let mut arrival = Arrival { peer, protocol: Some("smtp"), ..Arrival::default() };
    if let Some((method, user)) =
        rest.strip_prefix(", sasl_method=").and_then(|rest| rest.split_once(", sasl_username="))
    {
        let user = user.split_once(", sasl_sender=").map_or(user, |(user, _)| user);
        arrival.auth = Some(Auth { mechanism: method, id: Some(user), sender: None });
    }
    Some(Kind::Arrival(Box::new(arrival)))
}

/// `uid=33 from=<sender>`.
fn picked_up(text: &str) -> Option<Kind<'_>> {
    let (uid, rest) = scan::number(text.strip_prefix("uid=")?)?;
    let (sender, _) = scan::bracketed(rest.strip_prefix(" from=")?)?;
    let arrival =
        Arrival { sender: Some(sender), protocol: Some("local"), uid: u32::try_from(uid).ok(), ..Arrival::default() };
    Some(Kind::Arrival(Box::new(arrival)))
}

/// `message-id=<…>`, and the refusals of cleanup's own checks.
fn cleaned_up(text: &str) -> Option<Kind<'_>> {
    if let Some(id) = text.strip_prefix("message-id=").or_else(|| text.strip_prefix("resent-message-id=")) {
        let id = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id);
        return Some(Kind::Arrival(Box::new(Arrival { message_id: Some(id), ..Arrival::default() })));
    }
    rejected(text)
}

/// `from=<sender>, size=912, nrcpt=3 (queue active)`, `removed`, `skipped, still being delivered`.
fn queued(text: &str) -> Option<Kind<'_>> {
    if text == "removed" {
        return Some(Kind::Completed);
    }
    let (sender, rest) = scan::bracketed(text.strip_prefix("from=")?)?;
    if rest.starts_with(", status=") {
        return Some(Kind::Queue(Queue::Removed));
    }
    let (size, rest) = scan::number(rest.strip_prefix(", size=")?)?;
    let (count, _) = scan::number(rest.strip_prefix(", nrcpt=")?)?;
    let arrival = Arrival {
        sender: Some(sender),
        size: Some(size),
        recipient_count: u32::try_from(count).ok(),
        ..Arrival::default()
    };
    Some(Kind::Arrival(Box::new(arrival)))
}

/// `to=<a>, orig_to=<b>, relay=host[ip]:25, …, dsn=2.0.0, status=sent (250 ok)`.
fn delivered(text: &str) -> Option<Kind<'_>> {
    let (address, mut rest) = scan::bracketed(text.strip_prefix("to=")?)?;
    let mut original = None;
    if let Some((address, after)) = rest.strip_prefix(", orig_to=").and_then(scan::bracketed) {
        (original, rest) = (Some(address), after);
    }
    let relay = rest.strip_prefix(", relay=")?;
    let (name, rest) = relay.split_once(", ")?;
    let host = peer(name).map_or(Peer { name: (name != "none").then_some(name), ..Peer::default() }, |(peer, _)| peer);
    let (_, rest) = rest.split_once("dsn=")?;
    let (dsn, rest) = rest.split_once(", status=")?;
    let (status, words) = rest.split_once(" (").unwrap_or((rest, ""));
    let words = words.strip_suffix(')').unwrap_or(words);
    let outcome = match status {
        "sent" => Outcome::Delivered,
        "deferred" => Outcome::Deferred,
        "bounced" | "expired" => Outcome::Failed,
        // A probe whether the address exists; nothing is delivered.
        "deliverable" | "undeliverable" => {
            return Some(Kind::Reputation(Reputation { check: "verify", text, peer: Peer::default(), is_spam: false }));
        }
        _ => return None,
    };
    let enhanced = enhanced_code(dsn).map(|(code, _)| code);
    Some(Kind::Delivery(Box::new(Delivery {
        outcome,
        address,
        original,
        sender: None,
        router: None,
        transport: None,
        host,
        tls: None,
        size: None,
        text: Some(words),
        reply: reply_of(words, enhanced),
    })))
}

/// `host name[ip] said: 550 5.1.1 … (in reply to RCPT TO command)`, or a reply itself.
fn reply_of(words: &str, enhanced: Option<(u8, u16, u16)>) -> Option<Reply<'_>> {
    let said = words.split_once(" said: ").map_or(words, |(_, said)| said);
    let reply = Reply::at_start(said)?;
    Some(Reply { enhanced: reply.enhanced.or(enhanced), ..reply })
}

/// `reject: RCPT from name[ip]: 550 5.1.1 <r>: words; from=<s> to=<r> proto=ESMTP helo=<h>`.
fn rejected(text: &str) -> Option<Kind<'_>> {
    let (verb, rest) = text.split_once(": ")?;
    if !matches!(verb, "reject" | "milter-reject" | "reject_warning" | "hold" | "discard" | "warn") {
        return None;
    }
    let (command, rest) = rest.split_once(" from ")?;
    let (peer, rest) = peer(rest)?;
    let words = rest.strip_prefix(": ")?;
    let envelope = envelope(words);
    let said = words.get(..words.len() - envelope.rest.len()).unwrap_or(words).trim_end_matches("; ");
    let code = Reply::at_start(said);
    Some(Kind::Rejection(Box::new(Rejection {
        stage: stage(command),
        is_temporary: said.starts_with('4'),
        is_discard: verb == "discard",
        peer: Peer { helo: envelope.helo, ..peer },
        auth: None,
        sender: envelope.sender,
        recipient: envelope.recipient,
        text: said,
        cause: cause(said, code.as_ref()),
        is_doubtful: false,
    })))
}

fn cause(said: &str, reply: Option<&Reply<'_>>) -> Failing {
    let by_words = Failing::of_words(said);
    match (by_words, reply.and_then(|reply| reply.enhanced)) {
        (Failing::UnknownRecipient, Some((_, 7, 1))) => Failing::Other,
        (Failing::Other, Some((_, 7, 25))) => Failing::ReverseDns,
        (Failing::Other, Some((_, 1, 1))) => Failing::UnknownRecipient,
        (cause, _) => cause,
    }
}

fn stage(command: &str) -> Stage {
    match command {
        "CONNECT" => Stage::Connect,
        "EHLO" | "HELO" => Stage::Helo,
        "AUTH" => Stage::Auth,
        "STARTTLS" => Stage::StartTls,
        "MAIL" => Stage::Mail,
        "RCPT" => Stage::Rcpt,
        "DATA" | "BDAT" | "END-OF-MESSAGE" => Stage::Data,
        "VRFY" => Stage::Vrfy,
        "ETRN" => Stage::Etrn,
        command if command.starts_with("header") || command.starts_with("body") => Stage::Header,
        _ => Stage::Other,
    }
}

#[derive(Default)]
struct Envelope<'a> {
    sender: Option<&'a str>,
    recipient: Option<&'a str>,
    helo: Option<&'a str>,
    /// The part of the text that is the envelope.
    rest: &'a str,
}

/// The envelope behind the answer: the first `; from=<`, `; to=<` or `; proto=` from which on everything fits.
fn envelope(words: &str) -> Envelope<'_> {
    // The answer may begin with the address itself, whose quotes may hold anything.
    let start = words.find('<').filter(|at| *at <= 12).and_then(|at| words.get(at..)).and_then(scan::bracketed);
    let behind = start.map_or(words, |(_, rest)| rest);
    for (_, rest) in scan::splits(behind, "; ") {
        if let Some(envelope) = whole_envelope(rest) {
            return envelope;
        }
    }
    Envelope::default()
}

fn whole_envelope(all: &str) -> Option<Envelope<'_>> {
    let mut envelope = Envelope { rest: all, ..Envelope::default() };
    let mut rest = all;
    if let Some((sender, after)) = rest.strip_prefix("from=").and_then(scan::bracketed) {
        (envelope.sender, rest) = (Some(sender), after.trim_start_matches([',', ' ']));
    }
    if let Some((recipient, after)) = rest.strip_prefix("to=").and_then(scan::bracketed) {
        (envelope.recipient, rest) = (Some(recipient), after.trim_start_matches([',', ' ']));
    }
    let (proto, after) = scan::word(rest.strip_prefix("proto=")?);
    if !proto.bytes().all(|b| b.is_ascii_alphanumeric() || b == b',') {
        return None;
    }
    envelope.helo = after.strip_prefix("helo=<").map(|helo| helo.strip_suffix('>').unwrap_or(helo));
    (after.is_empty() || after.starts_with("helo=")).then_some(envelope)
}

/// `name[ip]: SASL LOGIN authentication failed: reason, sasl_username=user`, and other warnings of smtpd.
fn warned(text: &str) -> Option<Kind<'_>> {
    if let Some(rest) = text.strip_prefix("hostname ") {
        let (name, rest) = rest.split_once(" does not resolve to address ")?;
        let ip = rest.split_once(": ").map_or(rest, |(ip, _)| ip);
        let peer = Peer { name: Some(name), ip: literal_ip(ip), ..Peer::default() };
        return Some(Kind::Session(Session { what: Connection::HostNameMismatch, peer, text, is_doubtful: false }));
    }
    if let Some((limit, rest)) = text.split_once(" limit exceeded: ") {
        let (_, client) = rest.split_once(" from ")?;
        let (peer, _) = peer(client)?;
        return Some(Kind::Session(Session { what: Connection::RateLimit, peer, text: limit, is_doubtful: false }));
    }
    let (peer, rest) = peer(text)?;
    let rest = rest.strip_prefix(": SASL ")?;
    let (mechanism, reason) = rest.split_once(" authentication failed:")?;
    let reason = reason.trim_start_matches(' ');
    if reason.starts_with("Invalid authentication mechanism") {
        return Some(Kind::Session(Session {
            what: Connection::AuthNotOffered,
            peer,
            text: reason,
            is_doubtful: false,
        }));
    }
    let user = reason.split_once("sasl_username=").map(|(_, user)| user);
    const SERVER_FAULTS: [&str; 3] =
        ["Connection lost to authentication server", "Temporary authentication failure", "Authentication server"];
    Some(Kind::AuthFailure(AuthFailure {
        peer,
        user,
        mechanism: Some(mechanism),
        service: "smtp",
        attempts: 1,
        is_server_fault: SERVER_FAULTS.iter().any(|words| reason.starts_with(words)),
        is_doubtful: false,
    }))
}

fn superuser(text: &str) -> Queue {
    match text {
        "placed on hold" => Queue::Frozen,
        "released from hold" => Queue::Unfrozen,
        "removed" => Queue::Removed,
        "requeued" => Queue::Queued,
        _ => Queue::Changed,
    }
}

/// Lines without a form of their own: a daemon about itself, its troubles, and the output of `-v`.
fn by_words(text: &str) -> Kind<'_> {
    if ["fatal: ", "panic: ", "error: "].iter().any(|level| text.starts_with(level)) {
        return Kind::Trouble(Trouble::System);
    }
    if text.starts_with("warning: ") {
        let is_dns = text.contains("DNS") || text.contains("resolve") || text.contains("lookup");
        return Kind::Trouble(if is_dns { Trouble::Dns } else { Trouble::System });
    }
    if text.starts_with("connect to ") && text.contains("]:") {
        return Kind::Trouble(Trouble::RemoteHost);
    }
    if text.contains("TLS connection") || text.contains("SSL") || text.contains("certificate") {
        return Kind::Trouble(Trouble::Tls);
    }
    const DAEMON: [&str; 11] = [
        "daemon started",
        "terminating on",
        "reload ",
        "refreshing the",
        "starting the",
        "stopping the",
        "statistics: ",
        "stopped",
        "cache ",
        "the Postfix",
        "master disconnect",
    ];
    if DAEMON.iter().any(|words| text.starts_with(words)) {
        return Kind::Daemon;
    }
    if text.starts_with("host ") && text.contains(" said: ") || text.starts_with("conversation with ") {
        return Kind::Trouble(Trouble::RemoteHost);
    }
    if is_trace(text) { Kind::Trace } else { Kind::Unknown }
}

/// Output of `-v`: the name of a function, an attribute, a table lookup, the dialogue itself.
fn is_trace(text: &str) -> bool {
    const MARKS: [&str; 46] = [
        "send attr",
        "input attribute",
        "> ",
        "< ",
        ">>> ",
        "<<< ",
        "request",
        "done ",
        "start ",
        "end ",
        "skip ",
        "recipient limit",
        "connect to subsystem",
        "connection established",
        "process generation",
        "mynetworks",
        "rewrite stream",
        "wakeup ",
        "dict_",
        "been_here",
        "sender",
        "recipient",
        "name_mask",
        "host name lookup",
        "auto_clnt",
        "vstream",
        "trying",
        "trivial",
        "event_",
        "idle ",
        "report ",
        "enter ",
        "leave ",
        "before ",
        "after ",
        "Compiled against",
        "Run-time linked",
        "fsspace",
        "connection closed",
        "connecting to",
        "lookup ",
        "begin ",
        "pref ",
        "open ",
        "initial envelope",
        "extracted envelope",
    ];
    if MARKS.iter().any(|mark| text.starts_with(mark)) || text.contains(" socket: wanted attribute") {
        return true;
    }
    let (name, _) = text.split_once([':', ' ']).unwrap_or((text, ""));
    let is_function =
        name.contains('_') && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_function
        || text.contains(" ~? ")
        || text.contains(": not found")
        || text.contains(" -> ")
        || text.contains("stream disconnect")
        || text.starts_with("cleanup flags")
}
