//! `RelayEval`: what the chain of relays gives away.

use super::{Arg, EvalContext, EvalResult};
use crate::input::{Relay, ip, octets};

pub(super) fn check_for_numeric_helo(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    // Only the nearest numeric name is looked at.
    let nearest = context.input.relays.untrusted.iter().find(|relay| ip::is_v4(relay.helo.as_bytes()));
    EvalResult::of(nearest.is_some_and(|relay| !ip::is_private(relay.helo.as_bytes())))
}

pub(super) fn helo_ip_mismatch(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let is_mismatch = |relay: &Relay| {
        let (helo, address) = (relay.helo.as_bytes(), relay.ip_text.as_bytes());
        let is_public = |text: &[u8]| ip::is_v4(text) && !ip::is_private(text);
        let network = helo.get(..memchr::memrchr(b'.', helo).map_or(0, |dot| dot + 1)).unwrap_or_default();
        is_public(helo) && is_public(address) && helo != address && !address.starts_with(network)
    };
    EvalResult::of(context.input.relays.untrusted.iter().any(is_mismatch))
}

pub(super) fn check_all_trusted(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let relays = &context.input.relays;
    EvalResult::of(!relays.trusted.is_empty() && relays.untrusted.is_empty() && relays.unparseable == 0)
}

pub(super) fn check_no_relays(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let relays = &context.input.relays;
    EvalResult::of(relays.trusted.is_empty() && relays.untrusted.is_empty() && relays.unparseable == 0)
}

pub(super) fn check_relays_unparseable(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(context.input.relays.unparseable > 0)
}

pub(super) fn check_for_sender_no_reverse(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let farthest = context.input.relays.untrusted.last();
    EvalResult::of(farthest.is_some_and(|relay| relay.rdns.contains('.') && !relay.is_private))
}

pub(super) fn check_for_from_domain_in_received_headers(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let (Some(domain), Some(wanted)) = (args.first(), args.get(1)) else { return EvalResult::Miss };
    let name = domain.text.to_ascii_lowercase();
    let claims = octets::find_caseless(&context.text("From:addr"), name.as_bytes(), 0).is_some();
    if !claims {
        return EvalResult::Miss;
    }
    let relays = &context.input.relays;
    let is_host = |host: &str| {
        host.strip_suffix(domain.text.as_str())
            .is_some_and(|front| front.chars().next_back().is_none_or(|char| !char.is_alphanumeric() && char != '_'))
    };
    let is_there =
        relays.trusted.iter().chain(&relays.untrusted).any(|relay| is_host(&relay.rdns) && is_host(&relay.by));
    EvalResult::of(is_there == (wanted.text == "true"))
}

pub(super) fn check_for_no_rdns_dotcom_helo(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    const BIG_HOSTS: [&str; 11] = [
        "lycos.com",
        "lycos.co.uk",
        "hotmail.com",
        "localhost.com",
        "excite.com",
        "caramail.com",
        "cs.com",
        "aol.com",
        "msn.com",
        "yahoo.com",
        "drizzle.com",
    ];
    let is_big = |helo: &str| {
        let helo = helo.to_ascii_lowercase();
        BIG_HOSTS
            .iter()
            .any(|host| helo.strip_suffix(host).is_some_and(|front| front.is_empty() || front.ends_with('.')))
    };
    // Each public relay overrides what those before it said.
    let farthest = context.input.relays.untrusted.iter().rfind(|relay| !relay.is_private);
    EvalResult::of(farthest.is_some_and(|relay| relay.has_no_reverse_name && is_big(&relay.helo)))
}

/// The last two or three labels, as SpamAssassin guesses them here.
fn site(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if !host.bytes().any(|octet| octet.is_ascii_alphabetic()) {
        return host;
    }
    let mut labels: Vec<&str> = host.split('.').collect();
    while labels.len() > 1 && labels.last() == Some(&"") {
        labels.pop();
    }
    let last = labels.last().copied().unwrap_or_default();
    let is_wide = last.len() >= 3 || ["ie", "fr", "de"].iter().any(|tld| last.contains(tld));
    let keep = match labels.len() {
        count if count > 1 && is_wide => 2,
        count if count > 2 => 3,
        _ => return host,
    };
    labels.get(labels.len() - keep..).unwrap_or_default().join(".")
}

/// A name of at least two labels.
fn is_site(name: &str) -> bool {
    let is_word = |octet: u8| octets::is_word(octet);
    let (Some(first), Some(last)) = (name.bytes().next(), name.bytes().next_back()) else { return false };
    let is_plain = name.bytes().all(|octet| is_word(octet) || matches!(octet, b'.' | b'-'));
    let Some(front) = name.rfind('.').and_then(|dot| name.get(..dot)) else { return false };
    let tail_is_word = name.rsplit('.').next().is_some_and(|label| !label.is_empty() && label.bytes().all(is_word));
    is_plain && is_word(first) && is_word(last) && tail_is_word && front.len() >= 2
}

/// Mismatches of what one relay says of itself and what the next one saw.
fn mismatches(context: &EvalContext<'_>) -> (usize, usize) {
    let (mut from_count, mut helo_count) = (0, 0);
    let mut previous: Option<String> = None;
    let relays = &context.input.relays.untrusted;
    for (index, relay) in relays.iter().enumerate() {
        let mut from = Some(site(&relay.rdns));
        let by = site(&relay.by);
        if is_site(&by) {
            if matches!(from.as_deref(), Some("localhost" | "localhost.localdomain")) && relay.ip_text == "127.0.0.1" {
                from = None;
            }
            helo_count += usize::from(is_helo_far(relay));
            let is_known = |name: &String| is_site(name) && *name != by && !(by == "msn.com" && name == "hotmail.com");
            from_count += usize::from(index > 0 && previous.as_ref().is_some_and(is_known));
        }
        previous = from;
    }
    (from_count, helo_count)
}

/// HELO is an address of another /16 than the client's.
fn is_helo_far(relay: &Relay) -> bool {
    let (helo, address) = (relay.helo.as_bytes(), relay.ip_text.as_bytes());
    let network = |text: &[u8]| {
        let dots: Vec<usize> = memchr::memchr_iter(b'.', text).collect();
        dots.get(1).and_then(|dot| text.get(..*dot)).unwrap_or_default().to_vec()
    };
    ip::is_v4(helo) && ip::is_v4(address) && network(helo) != network(address) && !ip::is_private(helo)
}

pub(super) fn check_for_forged_received_trail(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(mismatches(context).0 > 1)
}

pub(super) fn check_for_forged_received_ip_helo(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(mismatches(context).1 > 0)
}
