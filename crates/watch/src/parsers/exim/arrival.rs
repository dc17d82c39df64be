//! `<= sender R=… H=… P=… X=… A=… S=… id=… T="…" from <…> for …`: a message came in.
//!
//! Login, ident and message-id are not quoted (blanks in SNI are escaped). Each ends at the first blank behind which the rest of the line still
//! reads as fields, each field at most once; only a subject, the raw sender and recipients may follow the message-id.

use super::Grammar;
use super::peer;
use crate::event::{Arrival, Auth, Recipients};
use crate::scan;

/// How many places at which unquoted text could end are tried in one line. Exim cuts lines at 8192 octets, so one field
/// of blanks alone stays below.
const READINGS_MAX: u32 = 20_000;

/// Reads what follows `<=` or, with `is_fake_reject`, `(=`.
pub(super) fn read(grammar: Grammar, is_fake_reject: bool, text: &str) -> Option<Arrival<'_>> {
    let (sender, rest) = scan::address(text);
    let (sender, rest) = if sender == "<" { ("", text.strip_prefix("<>")?) } else { (sender, rest) };
    let arrival = Arrival { sender: Some(sender), is_fake_reject, ..Arrival::default() };
    let mut walk = Walk { grammar, budget: READINGS_MAX };
    match walk.fields(rest, arrival.clone(), 0) {
        Some(arrival) => Some(arrival),
        // A line that fits nothing still tells what stands in front of the text that does not fit.
        None if rest.is_empty() || rest.starts_with(' ') => Some(leading_fields(rest, arrival)),
        None => None,
    }
}

/// The fields in front of the first one that a sender can write at will.
fn leading_fields<'a>(mut rest: &'a str, mut arrival: Arrival<'a>) -> Arrival<'a> {
    arrival.is_doubtful = true;
    while let Some(text) = rest.strip_prefix(' ') {
        let (token, after) = scan::token(text);
        let Some((key, value)) = scan::pair(token) else { break };
        match bit_of(key) {
            0 | field::HOST | field::IDENT | field::DN | field::AUTH | field::ID => break,
            bit => set(&mut arrival, bit, value),
        }
        rest = after;
    }
    arrival
}

/// One bit for each field in Exim's order, so that none is taken twice or out of place.
mod field {
    pub(super) const BOUNCE_OF: u32 = 1;
    pub(super) const HOST: u32 = 1 << 1;
    pub(super) const INTERFACE: u32 = 1 << 2;
    pub(super) const IDENT: u32 = 1 << 3;
    pub(super) const PROTOCOL: u32 = 1 << 4;
    pub(super) const TLS: u32 = 1 << 5;
    pub(super) const DN: u32 = 1 << 6;
    pub(super) const AUTH: u32 = 1 << 8;
    pub(super) const SIZE: u32 = 1 << 9;
    pub(super) const DKIM: u32 = 1 << 10;
    pub(super) const QUEUE: u32 = 1 << 11;
    pub(super) const ID: u32 = 1 << 12;
    /// Everything up to and with the message-id.
    pub(super) const UP_TO_ID: u32 = (1 << 13) - 1;
}

struct Walk {
    grammar: Grammar,
    budget: u32,
}

impl Walk {
    /// Takes fields until the line ends; `None` if something is no field. `rest` is empty or begins with a blank.
    fn fields<'a>(&mut self, mut rest: &'a str, mut arrival: Arrival<'a>, mut seen: u32) -> Option<Arrival<'a>> {
        loop {
            if rest.is_empty() {
                return is_complete(&arrival, seen).then_some(arrival);
            }
            let text = rest.strip_prefix(' ')?;
            let (token, after) = scan::token(text);
            let Some((key, value)) = scan::pair(token) else {
                if matches!(token, "for" | "from") && is_complete(&arrival, seen) {
                    return envelope(text, arrival);
                }
                if !is_flag(token) || seen & field::ID != 0 {
                    return None;
                }
                rest = after;
                continue;
            };
            if key == "T" && is_complete(&arrival, seen) {
                let (subject, after) = scan::quoted(text.strip_prefix("T=")?)?;
                arrival.subject = Some(subject);
                return if after.is_empty() { Some(arrival) } else { envelope(after.strip_prefix(' ')?, arrival) };
            }
            let bit = bit_of(key);
            // The bits stand in Exim's order of the fields, so a known field may only follow lower ones.
            if (bit != 0 && seen >= bit) || (bit == 0 && (seen & field::ID != 0 || !is_key(key))) {
                return None;
            }
            seen |= bit;
            match bit {
                field::HOST => return self.host(text.strip_prefix("H=")?, arrival, seen),
                field::ID => {
                    if !is_complete(&arrival, seen) {
                        return None;
                    }
                    let value = scan::pair(text).map(|(_, value)| value)?;
                    return self.message_id(value, arrival);
                }
                field::AUTH => {
                    return self.login(text.strip_prefix("A=")?, arrival, seen);
                }
                field::IDENT => {
                    return self.ident(text.strip_prefix("U=")?, arrival, seen);
                }
                field::DN => return self.name(text.strip_prefix("DN=\"")?, arrival, seen),
                _ => set(&mut arrival, bit, value),
            }
            rest = after;
        }
    }

    fn host<'a>(&mut self, text: &'a str, arrival: Arrival<'a>, seen: u32) -> Option<Arrival<'a>> {
        let grammar = self.grammar;
        let reading = peer::with_peer(grammar, text, |peer, rest| {
            let arrival = Arrival { peer, ..arrival.clone() };
            self.fields(rest, arrival, seen)
        })?;
        Some(reading.merged(common))
    }

    /// The shortest message-id behind which the rest fits.
    fn message_id<'a>(&mut self, text: &'a str, arrival: Arrival<'a>) -> Option<Arrival<'a>> {
        let ends = memchr::memchr_iter(b' ', text.as_bytes()).chain([text.len()]);
        for end in ends {
            self.budget = self.budget.checked_sub(1)?;
            let (id, after) = text.split_at_checked(end)?;
            let trial = Arrival { message_id: Some(id), ..arrival.clone() };
            if let Some(arrival) = self.fields(after, trial, field::UP_TO_ID) {
                return Some(arrival);
            }
        }
        None
    }

    /// The shortest login behind which the rest fits. What stands behind a longer one that fits as well is not known then, but the login is no
    /// other and not in doubt: else whoever writes a message-id like fields would hide with which mailbox.
    fn login<'a>(&mut self, text: &'a str, arrival: Arrival<'a>, seen: u32) -> Option<Arrival<'a>> {
        let mut found: Option<Arrival<'a>> = None;
        // No reading is without a size, which stands behind the login.
        let last = text.rfind(" S=")?;
        for end in memchr::memchr_iter(b' ', text.as_bytes()).take_while(|end| *end <= last) {
            let Some(budget) = self.budget.checked_sub(1) else { return found };
            self.budget = budget;
            let (value, after) = text.split_at_checked(end)?;
            let trial = Arrival { auth: Some(auth(value)), ..arrival.clone() };
            let Some(reading) = self.fields(after, trial, seen) else { continue };
            let Some(first) = found else {
                found = Some(reading);
                continue;
            };
            return Some(Arrival {
                size: peer::same(first.size, reading.size),
                dkim: peer::same(first.dkim, reading.dkim),
                queue: peer::same(first.queue, reading.queue),
                message_id: peer::same(first.message_id, reading.message_id),
                ..first
            });
        }
        found
    }

    /// What an ident server said is any text, blanks included; of a local caller it is a login name.
    fn ident<'a>(&mut self, text: &'a str, arrival: Arrival<'a>, seen: u32) -> Option<Arrival<'a>> {
        let mut found = None;
        let ends = memchr::memchr_iter(b' ', text.as_bytes());
        for end in ends {
            self.budget = self.budget.checked_sub(1)?;
            let (value, after) = text.split_at_checked(end)?;
            if !after.starts_with(" P=") {
                continue;
            }
            // The number of the connection may stand between the two.
            let ident = match value.rsplit_once(' ') {
                Some((ident, last)) if last.starts_with("Ci=") => ident,
                _ => value,
            };
            let mut trial = arrival.clone();
            trial.peer.ident = Some(ident);
            let Some(reading) = self.fields(after, trial, seen) else { continue };
            if let Some(first) = found {
                return Some(common(first, reading));
            }
            found = Some(reading);
        }
        found
    }

    /// A certificate's name, in quotes that the certificate may hold as well.
    fn name<'a>(&mut self, text: &'a str, arrival: Arrival<'a>, seen: u32) -> Option<Arrival<'a>> {
        let mut found = None;
        for (_, after) in scan::splits(text, "\"") {
            self.budget = self.budget.checked_sub(1)?;
            let Some(reading) = self.fields(after, arrival.clone(), seen) else { continue };
            if let Some(first) = found {
                return Some(common(first, reading));
            }
            found = Some(reading);
        }
        found
    }
}

/// What two readings of a line have in common.
fn common<'a>(one: Arrival<'a>, other: Arrival<'a>) -> Arrival<'a> {
    Arrival {
        sender: one.sender,
        is_fake_reject: one.is_fake_reject,
        bounce_of: one.bounce_of,
        peer: peer::common(one.peer, other.peer),
        protocol: peer::same(one.protocol, other.protocol),
        auth: peer::same(one.auth, other.auth),
        tls: peer::same(one.tls, other.tls),
        size: peer::same(one.size, other.size),
        dkim: peer::same(one.dkim, other.dkim),
        queue: peer::same(one.queue, other.queue),
        message_id: peer::same(one.message_id, other.message_id),
        subject: peer::same(one.subject, other.subject),
        raw_sender: peer::same(one.raw_sender, other.raw_sender),
        recipients: if one.recipients == other.recipients { one.recipients } else { Recipients::default() },
        recipient_count: None,
        uid: None,
        is_doubtful: true,
    }
}

/// Whether protocol and size were seen, which no line lacks: a reading without them has lost them in another field's text.
fn is_complete(arrival: &Arrival<'_>, seen: u32) -> bool {
    arrival.protocol.is_some() && seen & field::SIZE != 0
}

/// `from <raw sender>` and `for recipients`, which end a line.
fn envelope<'a>(mut text: &'a str, mut arrival: Arrival<'a>) -> Option<Arrival<'a>> {
    if let Some(raw) = text.strip_prefix("from ") {
        let (raw, rest) = scan::bracketed(raw)?;
        arrival.raw_sender = Some(raw);
        if rest.is_empty() {
            return Some(arrival);
        }
        text = rest.strip_prefix(' ')?;
    }
    let recipients = Recipients(text.strip_prefix("for ")?);
    let mut length = 0;
    for address in recipients.iter() {
        // A second `for` is what shows that the first one stood in a message-id.
        if !scan::is_address(address) || address == "for" {
            return None;
        }
        length += address.len() + 1;
    }
    arrival.recipients = recipients;
    (length >= recipients.0.trim_end_matches(' ').len()).then_some(arrival)
}

fn bit_of(key: &str) -> u32 {
    match key {
        "R" => field::BOUNCE_OF,
        "H" => field::HOST,
        "I" => field::INTERFACE,
        "U" => field::IDENT,
        "P" => field::PROTOCOL,
        "X" => field::TLS,
        "DN" => field::DN,
        "A" => field::AUTH,
        "S" => field::SIZE,
        "DKIM" => field::DKIM,
        "Q" => field::QUEUE,
        "id" | "id*" => field::ID,
        _ => 0,
    }
}

fn set<'a>(arrival: &mut Arrival<'a>, bit: u32, value: &'a str) {
    match bit {
        field::BOUNCE_OF => arrival.bounce_of = Some(value),
        field::INTERFACE => arrival.peer.interface = Some(value),
        field::PROTOCOL => arrival.protocol = Some(value),
        field::TLS => arrival.tls = Some(value),
        field::SIZE => arrival.size = value.parse().ok(),
        field::DKIM => arrival.dkim = Some(value),
        field::QUEUE => arrival.queue = Some(value),
        _ => {}
    }
}

/// `name:id` or `name:id:sender`. A panel's login holds no colon, so an address behind a second one is the sender.
pub(super) fn auth(value: &str) -> Auth<'_> {
    let Some((mechanism, id)) = value.split_once(':') else { return Auth { mechanism: value, id: None, sender: None } };
    match id.rsplit_once(':') {
        Some((id, sender)) if !id.is_empty() && !sender.is_empty() && !id.contains(':') => {
            Auth { mechanism, id: Some(id), sender: Some(sender) }
        }
        _ => Auth { mechanism, id: Some(id), sender: None },
    }
}

/// A field of a newer Exim: capitals and digits.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 8 && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'i')
}

/// A flag without a value: `K`, `L*`, `PRDR`, `TFO`, `ARC`.
fn is_flag(token: &str) -> bool {
    let name = token.trim_end_matches(['*', '.', '-']);
    !name.is_empty() && name.len() <= 8 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}
