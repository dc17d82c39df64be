//! `=> address <original> F=<…> R=… T=… H=… C="…"` and its kin: what became of a recipient.
//!
//! A forwarding file can name any command (`|…`), so an address may hold blanks; it ends at the first one behind which the
//! rest of the line fits. What a remote server answered comes last and is never read for fields.

use super::Grammar;
use super::peer;
use crate::event::{Delivery, Outcome, Peer};
use crate::reply::Reply;
use crate::scan;

/// How many quotes at which a certificate's name could end are tried.
const NAME_ENDS_MAX: usize = 8;
/// The bits of a certificate's name and of the host among the fields seen. Each is taken once, since its end is searched for,
/// and a search within a search within a search would never end.
const NAME_BIT: u32 = 1 << 31;
const HOST_BIT: u32 = 1 << 30;
/// How many blanks at which an address could end are tried.
const READINGS_MAX: usize = 512;

/// Reads what follows the `mark`.
pub(super) fn read<'a>(grammar: Grammar, mark: &str, text: &'a str) -> Option<Delivery<'a>> {
    let outcome = match mark {
        "**" => Outcome::Failed,
        "==" => Outcome::Deferred,
        _ => Outcome::Delivered,
    };
    if let Some(reason) = text.strip_prefix("blackhole (").or_else(|| text.strip_prefix("discarded")) {
        return Some(empty(Outcome::Discarded, "", Some(reason)));
    }
    let walk = Walk { grammar, outcome };
    let (address, rest) = scan::address(text);
    // `** a@example.org: retry timeout exceeded`: the colon ends the address.
    let (address, rest) = match address.strip_suffix(':') {
        Some(stripped) if outcome != Outcome::Delivered => (stripped, text.get(stripped.len()..).unwrap_or(rest)),
        _ => (address, rest),
    };
    if let Some(delivery) = walk.tail(rest, empty(outcome, address, None)) {
        return Some(delivery);
    }
    for at in memchr::memchr_iter(b' ', text.as_bytes()).take(READINGS_MAX) {
        let (address, rest) = text.split_at_checked(at)?;
        if let Some(delivery) = walk.tail(rest, empty(outcome, address, None)) {
            return Some(delivery);
        }
    }
    // Some failures are told in words without a colon: `** a@example.org routing yielded a local delivery`.
    let words = rest.strip_prefix(' ')?;
    (outcome == Outcome::Failed).then(|| empty(outcome, address, Some(words)))
}

fn empty<'a>(outcome: Outcome, address: &'a str, text: Option<&'a str>) -> Delivery<'a> {
    let outcome = if address.starts_with(":blackhole:") { Outcome::Discarded } else { outcome };
    Delivery {
        outcome,
        address,
        original: None,
        sender: None,
        router: None,
        transport: None,
        host: Peer::default(),
        tls: None,
        size: None,
        text,
        reply: None,
    }
}

#[derive(Clone, Copy)]
struct Walk {
    grammar: Grammar,
    outcome: Outcome,
}

impl Walk {
    /// Takes everything behind the address; `None` if something does not fit.
    fn tail<'a>(self, mut rest: &'a str, mut delivery: Delivery<'a>) -> Option<Delivery<'a>> {
        while let Some(after) = rest.strip_prefix(" (") {
            // Parents, with `all_parents`.
            let (parent, after) = after.split_once(')')?;
            if parent.contains('=') {
                return None;
            }
            rest = after;
        }
        if let Some((original, after)) = rest.strip_prefix(' ').and_then(scan::bracketed) {
            (delivery.original, rest) = (Some(original), after);
        }
        self.fields(rest, delivery, 0)
    }

    fn fields<'a>(self, mut rest: &'a str, mut delivery: Delivery<'a>, mut seen: u32) -> Option<Delivery<'a>> {
        loop {
            if rest.is_empty() {
                return Some(delivery);
            }
            if self.outcome != Outcome::Delivered
                && let Some(words) = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(" : "))
            {
                return Some(with_words(delivery, words));
            }
            let text = rest.strip_prefix(' ')?;
            if self.outcome == Outcome::Deferred && (text.starts_with("defer (") || text.starts_with("routing defer ("))
            {
                return Some(self.deferral(text, delivery));
            }
            if let Some(confirmation) = text.strip_prefix("C=\"") {
                return confirmation_end(confirmation).map(|words| {
                    delivery.reply = Reply::at_start(words);
                    Delivery { text: Some(words), ..delivery }
                });
            }
            if let Some(name) = text.strip_prefix("DN=\"") {
                if seen & NAME_BIT != 0 {
                    return None;
                }
                // A certificate's name may hold quotes.
                let mut ends = scan::splits(name, "\"").take(NAME_ENDS_MAX);
                return ends.find_map(|(_, after)| self.fields(after, delivery.clone(), seen | NAME_BIT));
            }
            if let Some(host) = text.strip_prefix("H=") {
                return if seen & HOST_BIT == 0 { self.host(host, delivery, seen | HOST_BIT) } else { None };
            }
            let (token, after) = scan::token(text);
            let Some((key, value)) = scan::pair(token) else {
                if !is_flag(token) {
                    return None;
                }
                rest = after;
                continue;
            };
            if let Some((address, after)) = scan::bracketed(text.get(key.len() + 1..)?) {
                if !matches!(key, "F" | "P" | "SRS") {
                    return None;
                }
                // The sender (`F=`) stands before the return path (`P=`), which may be rewritten.
                delivery.sender = delivery.sender.or(Some(address));
                rest = after;
                continue;
            }
            let bit = bit_of(key)?;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            match key {
                "R" => delivery.router = Some(value),
                // A failure's colon may follow the transport directly.
                "T" => delivery.transport = Some(value.strip_suffix(':').unwrap_or(value)),
                "X" => delivery.tls = Some(value),
                "S" => delivery.size = value.parse().ok(),
                _ => {}
            }
            rest = if token.ends_with(':') { text.get(token.len() - 1..)? } else { after };
        }
    }

    fn host<'a>(self, text: &'a str, delivery: Delivery<'a>, seen: u32) -> Option<Delivery<'a>> {
        let reading = peer::with_peer(self.grammar, text, |host, rest| {
            self.fields(rest, Delivery { host, ..delivery.clone() }, seen)
        });
        let Some(reading) = reading else {
            // A transport that opens no connection of its own logs the name alone.
            let (name, rest) = scan::token(text);
            let host = Peer { name: Some(name), ..Peer::default() };
            return self.fields(rest, Delivery { host, ..delivery }, seen);
        };
        // A host has no HELO here, so two readings differ in the host alone.
        Some(reading.merged(|one, other| Delivery { host: peer::common(one.host, other.host), ..one }))
    }

    /// `defer (errno): words` or `defer (errno)[: words] H=host [ip]: words`.
    fn deferral<'a>(self, text: &'a str, delivery: Delivery<'a>) -> Delivery<'a> {
        let Some((_, rest)) = text.split_once(')') else { return with_words(delivery, text) };
        let host = rest
            .strip_prefix(" H=")
            .and_then(|host| peer::with_peer(self.grammar, host, |host, rest| Some((host, rest.split_once(": ")?.1))));
        match host {
            Some(peer::Reading { value: (host, words), .. }) => with_words(Delivery { host, ..delivery }, words),
            None => with_words(delivery, rest.strip_prefix(':').unwrap_or(rest).trim_start_matches(' ')),
        }
    }
}

fn with_words<'a>(delivery: Delivery<'a>, words: &'a str) -> Delivery<'a> {
    Delivery { text: Some(words), reply: Reply::within(words), ..delivery }
}

/// The last quote behind which only times stand closes what the other server said: it may hold quotes itself.
fn confirmation_end(text: &str) -> Option<&str> {
    let mut end = text.len();
    while let Some(at) = memchr::memrchr(b'"', text.as_bytes().get(..end)?) {
        let (words, after) = text.split_at_checked(at)?;
        let is_times = |token: &str| ["QT=", "DT=", "RT="].iter().any(|key| token.starts_with(key));
        if after.strip_prefix('"')?.split(' ').all(|token| token.is_empty() || is_times(token)) {
            return Some(words);
        }
        end = at;
    }
    None
}

fn bit_of(key: &str) -> Option<u32> {
    const KEYS: [&str; 17] =
        ["R", "T", "S", "I", "X", "CV", "A", "DKIM", "Q", "QT", "DT", "RT", "PRX", "SNI", "M8S", "Ci", "ST"];
    let at = KEYS.iter().position(|known| *known == key)?;
    Some(1 << at)
}

/// A flag without a value: `L`, `K`, `PRDR`, `TFO*`, `DS`.
fn is_flag(token: &str) -> bool {
    let name = token.trim_end_matches(['*', '.', '-']);
    !name.is_empty() && name.len() <= 5 && name.bytes().all(|b| b.is_ascii_uppercase())
}
