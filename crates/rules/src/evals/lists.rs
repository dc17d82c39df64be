//! `WLBLEval` and `WelcomeListSubject`: lists of addresses, subjects and hosts that rule files hold.

use super::{Arg, EvalContext, EvalResult};
use crate::input::{Relay, domain, octets};
use crate::settings::AddressGlob;

/// Whether `glob` (`*` and `?` are wild) fits all of `text`.
pub(crate) fn fits(glob: &[u8], text: &[u8]) -> bool {
    // Most entries of a list differ from an address in its end already.
    for (one, other) in glob.iter().rev().zip(text.iter().rev()) {
        match one {
            b'*' | b'?' => break,
            _ if one != other => return false,
            _ => {}
        }
    }
    let (mut at_glob, mut at_text) = (0, 0);
    // Where to go on after the last star: the star, and the text it has eaten so far.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (glob.get(at_glob), text.get(at_text)) {
            (Some(b'*'), _) => {
                retry = Some((at_glob, at_text));
                at_glob += 1;
            }
            (Some(b'?'), Some(_)) => (at_glob, at_text) = (at_glob + 1, at_text + 1),
            (Some(one), Some(other)) if one == other => (at_glob, at_text) = (at_glob + 1, at_text + 1),
            (None, None) => return true,
            _ => {
                let Some((star, eaten)) = retry.filter(|(_, eaten)| *eaten < text.len()) else { return false };
                retry = Some((star, eaten + 1));
                (at_glob, at_text) = (star + 1, eaten + 1);
            }
        }
    }
}

/// Whether an address is on a list.
pub(super) fn is_listed(list: &[AddressGlob], address: &[u8]) -> bool {
    let address = address.to_ascii_lowercase();
    list.iter().any(|entry| fits(entry.glob.as_bytes(), &address))
}

fn list<'s>(context: &EvalContext<'s>, name: &str) -> &'s [AddressGlob] {
    context.settings.addresses.get(name).map_or(&[], Vec::as_slice)
}

fn sender_is_listed(context: &EvalContext<'_>, name: &str) -> EvalResult {
    let list = list(context, name);
    let is_hit = !list.is_empty()
        && context.input.sender_addresses(context.settings).iter().any(|address| is_listed(list, address));
    EvalResult::of(is_hit)
}

fn recipient_is_listed(context: &EvalContext<'_>, name: &str) -> EvalResult {
    let list = list(context, name);
    let is_hit = !list.is_empty()
        && context.input.recipient_addresses(context.settings).iter().any(|address| is_listed(list, address));
    EvalResult::of(is_hit)
}

pub(super) fn check_from_in_blocklist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    sender_is_listed(context, "blocklist_from")
}

pub(super) fn check_to_in_blocklist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    recipient_is_listed(context, "blocklist_to")
}

pub(super) fn check_to_in_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    recipient_is_listed(context, "welcomelist_to")
}

pub(super) fn check_to_in_more_spam(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    recipient_is_listed(context, "more_spam_to")
}

pub(super) fn check_to_in_all_spam(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    recipient_is_listed(context, "all_spam_to")
}

/// A list named by a rule: of `enlist_addrlist`, else of a directive.
fn named_list<'s>(context: &EvalContext<'s>, args: &[Arg]) -> &'s [AddressGlob] {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    context.settings.address_lists.get(name).map_or_else(|| list(context, name), Vec::as_slice)
}

pub(super) fn check_from_in_list(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let list = named_list(context, args);
    let is_hit = !list.is_empty()
        && context.input.sender_addresses(context.settings).iter().any(|address| is_listed(list, address));
    EvalResult::of(is_hit)
}

pub(super) fn check_to_in_list(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let list = named_list(context, args);
    let is_hit = !list.is_empty()
        && context.input.recipient_addresses(context.settings).iter().any(|address| is_listed(list, address));
    EvalResult::of(is_hit)
}

pub(super) fn check_replyto_in_list(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let list = named_list(context, args);
    let address = context.text("Reply-To:addr");
    EvalResult::of(!address.is_empty() && is_listed(list, &address))
}

/// What a list of address and relay says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relayed {
    NotListed,
    Listed,
    /// The address is listed, but came by another relay.
    Forged,
}

/// The relays that may vouch: the nearest untrusted one, or if there is none all trusted ones.
fn vouching_relays<'c>(context: &EvalContext<'c>) -> &'c [Relay] {
    let relays = &context.input.relays;
    if relays.untrusted.is_empty() { &relays.trusted } else { relays.untrusted.get(..1).unwrap_or_default() }
}

fn relayed(context: &EvalContext<'_>, name: &str, address: &[u8]) -> Relayed {
    let address = address.to_ascii_lowercase();
    let mut found = Relayed::NotListed;
    let relays = vouching_relays(context);
    if relays.is_empty() {
        return found;
    }
    for entry in list(context, name).iter().filter(|entry| fits(entry.glob.as_bytes(), &address)) {
        let Some(companion) = &entry.companion else { continue };
        if relays.iter().any(|relay| comes_from(relay, companion)) {
            return Relayed::Listed;
        }
        found = Relayed::Forged;
    }
    if found == Relayed::Forged && is_listed(list(context, "welcomelist_allows_relays"), &address) {
        return Relayed::NotListed;
    }
    found
}

/// Whether a relay is what the second word of a list entry says: a domain, or an address or network in brackets.
fn comes_from(relay: &Relay, companion: &str) -> bool {
    let Some(inner) = companion.strip_prefix('[') else {
        let rdns = relay.rdns.to_ascii_lowercase();
        let front = rdns.strip_suffix(companion);
        return front.is_some_and(|front| front.is_empty() || front.ends_with('.'));
    };
    let network = inner.replace(']', "");
    if network.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
        && network.split('.').filter(|part| !part.is_empty()).count() < 4
    {
        return relay.ip_text.starts_with(&format!("{}.", network.trim_end_matches('.')));
    }
    let Some(address) = relay.ip else { return false };
    match network.parse::<ipnet::IpNet>() {
        Ok(network) => network.contains(&address),
        Err(_) => network.parse() == Ok(address),
    }
}

fn in_welcomelist(context: &EvalContext<'_>) -> Relayed {
    let mut found = Relayed::NotListed;
    for address in context.input.sender_addresses(context.settings) {
        if is_listed(list(context, "welcomelist_from"), address) {
            return Relayed::Listed;
        }
        match relayed(context, "welcomelist_from_rcvd", address) {
            Relayed::Listed => return Relayed::Listed,
            Relayed::Forged => found = Relayed::Forged,
            Relayed::NotListed => {}
        }
    }
    found
}

fn in_default_welcomelist(context: &EvalContext<'_>) -> Relayed {
    let mut found = Relayed::NotListed;
    for address in context.input.sender_addresses(context.settings) {
        match relayed(context, "def_welcomelist_from_rcvd", address) {
            Relayed::Listed => return Relayed::Listed,
            Relayed::Forged => found = Relayed::Forged,
            Relayed::NotListed => {}
        }
    }
    found
}

pub(super) fn check_from_in_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(in_welcomelist(context) == Relayed::Listed)
}

pub(super) fn check_from_in_default_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(in_default_welcomelist(context) == Relayed::Listed)
}

pub(super) fn check_forged_in_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(in_welcomelist(context) == Relayed::Forged && in_default_welcomelist(context) == Relayed::NotListed)
}

pub(super) fn check_forged_in_default_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(in_default_welcomelist(context) == Relayed::Forged && in_welcomelist(context) == Relayed::NotListed)
}

pub(super) fn check_mailfrom_matches_rcvd(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let sender = context.text("EnvelopeFrom:addr");
    let Some(host) =
        memchr::memrchr(b'@', &sender).and_then(|at| sender.get(at + 1..)).filter(|host| host.contains(&b'.'))
    else {
        return EvalResult::Miss;
    };
    let suffixes = &context.settings.suffixes;
    let wanted = domain::registered(host, suffixes);
    let mut names = vouching_relays(context).iter().map(|relay| &relay.rdns).filter(|rdns| !rdns.is_empty());
    EvalResult::of(names.any(|rdns| domain::registered(rdns.as_bytes(), suffixes) == wanted))
}

fn subject_is_listed(context: &EvalContext<'_>, names: [&str; 2]) -> EvalResult {
    let subject = octets::trim(&context.text("Subject")).to_ascii_lowercase();
    if subject.is_empty() {
        return EvalResult::Miss;
    }
    // A subject is on the list if an entry fits anywhere in it.
    let is_hit = names.iter().flat_map(|name| context.settings.lines(name)).any(|line| {
        let glob = format!("*{}*", line.trim().to_ascii_lowercase());
        fits(glob.as_bytes(), &subject)
    });
    EvalResult::of(is_hit)
}

pub(super) fn check_subject_in_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    subject_is_listed(context, ["welcomelist_subject", "whitelist_subject"])
}

pub(super) fn check_subject_in_blocklist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    subject_is_listed(context, ["blocklist_subject", "blacklist_subject"])
}

/// Whether a host of a link, or a domain above it, is on the list `name`. The nearest entry decides.
fn uri_host_is_listed(context: &EvalContext<'_>, name: &str) -> EvalResult {
    const LABELS_MAX: usize = 11;
    let Some(list) = context.settings.uri_host_lists.get(name) else { return EvalResult::Miss };
    let links = context.input.uris.iter().filter(|uri| !octets::starts_caseless(&uri.raw, b"mailto:"));
    for host in links.flat_map(|uri| &uri.hosts) {
        let mut names = vec![host.as_str()];
        if !crate::input::ip::is_v4(host.as_bytes()) {
            while let Some((_, rest)) = names.last().and_then(|name| name.split_once('.')) {
                names.push(rest);
            }
        }
        let skipped = names.len().saturating_sub(LABELS_MAX);
        let verdict = names.iter().skip(skipped).find_map(|name| list.get(*name));
        if verdict == Some(&true) {
            return EvalResult::Hit { count: 1, evidence: host.clone() };
        }
    }
    EvalResult::Miss
}

pub(super) fn check_uri_host_listed(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    uri_host_is_listed(context, args.first().map_or("", |arg| arg.text.as_str()))
}

pub(super) fn check_uri_host_in_blocklist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    uri_host_is_listed(context, "BLOCK")
}

pub(super) fn check_uri_host_in_welcomelist(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    uri_host_is_listed(context, "WELCOME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("*@foo.com", "a@foo.com", true),
            ("*@*.foo.com", "a@foo.com", false),
            ("a?c*", "abcd", true),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
        ] {
            assert_eq!(fits(glob.as_bytes(), text.as_bytes()), expected, "{glob} {text}");
        }
    }
}
