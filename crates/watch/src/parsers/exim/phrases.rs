//! Lines that are told by their first words: the queue, the daemon, checks, troubles, and what the administrator's own
//! configuration writes.

use super::{QUEUE_WORDS, continuation};
use crate::event::{Kind, Peer, Reputation, Trouble};
use crate::scan;

/// First words of lines about the MTA's own troubles.
const TROUBLES: &[(&str, Trouble)] = &[
    ("TLS ", Trouble::Tls),
    ("DANE", Trouble::Tls),
    ("failed DANE", Trouble::Tls),
    ("OCSP", Trouble::Tls),
    ("ocsp", Trouble::Tls),
    ("SSL", Trouble::Tls),
    ("Warning: No server certificate", Trouble::Tls),
    ("selfsign cert", Trouble::Tls),
    ("cert ", Trouble::Tls),
    ("lowest numbered MX record points to local host", Trouble::Dns),
    ("host lookup", Trouble::Dns),
    ("dnslists", Trouble::Dns),
    ("DNS list", Trouble::Dns),
    ("DNS lookup", Trouble::Dns),
    ("DNSSEC", Trouble::Dns),
    ("malware acl condition", Trouble::Scanner),
    ("spam acl condition", Trouble::Scanner),
    ("spamd", Trouble::Scanner),
    ("spf acl", Trouble::Scanner),
    ("mime acl condition", Trouble::Scanner),
    ("Warning: ", Trouble::Configuration),
    ("WARNING", Trouble::Configuration),
    ("warning", Trouble::Configuration),
    ("Exim configuration error", Trouble::Configuration),
    ("configured error code", Trouble::Configuration),
    ("ACL", Trouble::Configuration),
    ("failed to expand", Trouble::Configuration),
    ("Failed to expand", Trouble::Configuration),
    ("expansion of", Trouble::Configuration),
    ("Expansion of", Trouble::Configuration),
    ("string too large", Trouble::Configuration),
    ("Tainted ", Trouble::Configuration),
    ("tainted ", Trouble::Configuration),
    ("attempt to", Trouble::Configuration),
    ("unknown named", Trouble::Configuration),
    ("Unknown ", Trouble::Configuration),
    ("unknown ", Trouble::Configuration),
    ("dovecot_login authenticator", Trouble::Configuration),
    ("readsocket", Trouble::Configuration),
    ("retry config", Trouble::Configuration),
    ("Format error in spool", Trouble::System),
    ("spool file", Trouble::System),
    ("Spool", Trouble::System),
    ("Failed ", Trouble::System),
    ("failed ", Trouble::System),
    ("unable to", Trouble::System),
    ("Cannot ", Trouble::System),
    ("could not ", Trouble::System),
    ("Could not ", Trouble::System),
    ("exim user lost privilege", Trouble::System),
    ("unprivileged ", Trouble::System),
    ("Permission denied", Trouble::System),
    ("permission denied", Trouble::System),
    ("daemon: ", Trouble::System),
    ("socket bind()", Trouble::System),
    ("bind of ", Trouble::System),
    ("listening ", Trouble::System),
    ("accept() ", Trouble::System),
    ("file existed", Trouble::System),
    ("file ", Trouble::System),
    ("local user ", Trouble::System),
    ("rejected by", Trouble::System),
    ("delivery ", Trouble::System),
    ("Delivery ", Trouble::System),
    ("message ", Trouble::System),
    ("retry ", Trouble::System),
    ("child ", Trouble::System),
    ("remote ", Trouble::System),
    ("error ", Trouble::System),
    ("Error ", Trouble::System),
    ("router ", Trouble::Configuration),
    ("address_", Trouble::System),
    ("Neither ", Trouble::System),
    ("smtp transport", Trouble::System),
    ("appendfile", Trouble::System),
    ("skipped:", Trouble::System),
    ("discarded", Trouble::System),
    ("proxy ", Trouble::System),
    ("SIGTERM", Trouble::System),
    ("SIGSEGV", Trouble::System),
    ("Unexpected ", Trouble::System),
    ("internal problem", Trouble::System),
    ("Internal error", Trouble::System),
    ("non-existent", Trouble::System),
    ("Insufficient disk", Trouble::System),
    ("local_scan() function", Trouble::System),
    ("spool directory space", Trouble::System),
    ("timed out while", Trouble::System),
    ("overlong message", Trouble::System),
    ("ridiculously long", Trouble::System),
    ("Required TLS", Trouble::Tls),
    ("peer close", Trouble::RemoteHost),
    ("sender verify defer", Trouble::RemoteHost),
    ("recipient verify defer", Trouble::RemoteHost),
    ("no space", Trouble::System),
];

/// First words of what a daemon says about itself.
const DAEMON: [&str; 11] = [
    "exim ",
    "SIGHUP received",
    "pid ",
    "daemon started",
    "listen backlog",
    "re-exec",
    "IPv6 ",
    "exim: ",
    "Using ",
    "queue_run",
    "initialised",
];

/// Checks that write a line of their own about a message.
const CHECKS: [(&str, &str); 12] = [
    ("DKIM: ", "DKIM"),
    ("DKIM ", "DKIM"),
    ("ARC: ", "ARC"),
    ("SPF", "SPF"),
    ("spf", "SPF"),
    ("DMARC", "DMARC"),
    ("dmarc", "DMARC"),
    ("SA: ", "SA"),
    ("SRS", "SRS"),
    ("Authentication-Results: ", "Authentication-Results"),
    ("spamcheck", "SA"),
    ("greylist", "greylist"),
];

/// Words of a header that a filter or a rewrite touched, and of lines that go on from a delivery.
const ABOUT_MESSAGES: [&str; 8] = [
    "error ignored",
    "address_pipe transport output",
    "transport output",
    "\": rewrite",
    "cancelled",
    "Address verification",
    "has been frozen",
    "notified to",
];

/// Reads a line by its first words.
pub(super) fn read(text: &str, has_id: bool) -> Kind<'_> {
    if let Some(kind) = continuation(text) {
        return kind;
    }
    for (words, queue) in QUEUE_WORDS {
        if text.starts_with(words) {
            return Kind::Queue(queue);
        }
    }
    for (words, check) in CHECKS {
        if text.starts_with(words) {
            let said = text.strip_prefix(words).unwrap_or(text);
            return Kind::Reputation(reputation(check, said));
        }
    }
    if DAEMON.iter().any(|words| text.starts_with(words)) {
        return Kind::Daemon;
    }
    if is_ours(text) {
        return Kind::Note(text);
    }
    if let Some((_, trouble)) = TROUBLES.iter().find(|(words, _)| text.starts_with(words)) {
        return Kind::Trouble(*trouble);
    }
    if has_id && ABOUT_MESSAGES.iter().any(|words| text.contains(words)) {
        return Kind::Queue(crate::event::Queue::Changed);
    }
    if has_id && text.starts_with('[') && scan::literal(text).is_some() {
        return Kind::Trouble(if text.contains("SSL") { Trouble::Tls } else { Trouble::RemoteHost });
    }
    if is_note(text) { Kind::Note(text) } else { Kind::Unknown }
}

/// Lines that Tidegate itself put into the log. Nothing ever reacts to them.
pub(super) fn is_ours(text: &str) -> bool {
    text.starts_with("tidegate:") || text.starts_with("tidegate ")
}

/// `SA: Action: … From <sender> (host=name [ip]) for recipient` names the client near its end.
fn reputation<'a>(check: &'a str, said: &'a str) -> Reputation<'a> {
    let mut peer = Peer::default();
    if check == "SA"
        && let Some((_, host)) = scan::splits(said, " (host=").last()
    {
        let (name, rest) = scan::word(host);
        if let Some((ip, rest)) = scan::literal(rest)
            && rest.starts_with(") for ")
        {
            peer = Peer { name: (name != "NULL").then_some(name), ip: ip.parse().ok(), ..Peer::default() };
        }
    }
    let is_spam =
        said.contains("flagged as Spam") || said.contains("tossed message") || said.contains("rejected message");
    Reputation { check, text: said, peer, is_spam }
}

/// What `logwrite` and `log_message` write has no form of its own; these are the shapes people give it: a name and a value
/// behind a tab, a colon or an equals sign, or text in quotes, angle brackets or parentheses.
fn is_note(text: &str) -> bool {
    if text.starts_with(['"', '<', '(', '\'']) || text.contains('\t') {
        return true;
    }
    // The name of a variable, as in `tls_out_resumption session resumed`.
    let (first, _) = scan::word(text);
    if first.contains('_') && first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return true;
    }
    let Some(at) = text.find([':', '=', '<', '"']) else { return false };
    let name = text.get(..at).unwrap_or("");
    name.split(' ').filter(|word| !word.is_empty()).count() <= 4
}
