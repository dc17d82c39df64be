//! `FromNameSpoof`: a display name that shows another address than the author's.

use std::sync::LazyLock;

use super::header::group;
use super::lists::fits;
use super::{Arg, EvalContext, EvalResult, ours};
use crate::input::domain;
use crate::pattern::Pattern;

/// What the display name of the author shows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameFacts {
    has_address: bool,
    is_other_address: bool,
    is_other_domain: bool,
    is_other_owner: bool,
    is_recipient: bool,
    is_reply_to: bool,
}

/// How many characters beside the address the name may have.
const EXTRA_CHARS: i64 = 50;

fn facts(context: &EvalContext<'_>) -> NameFacts {
    *context.input.memo.name_facts.get_or_init(|| read(context).unwrap_or_default())
}

fn read(context: &EvalContext<'_>) -> Option<NameFacts> {
    static ADDRESS: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"/\b([\w.!#$%&'*+\/=?^_`{|}~-]+@\w[\w-]*\.\w[\w.-]++)\b/i"));
    let ignored = context.settings.lines("fns_ignore_headers").iter().flat_map(|line| line.split_whitespace());
    if ignored.into_iter().any(|name| context.input.has(name)) {
        return None;
    }
    let signers = context.input.tag("DKIMDOMAIN", context.settings);
    let ignored = context.settings.lines("fns_ignore_dkim").iter().flat_map(|line| line.split_whitespace());
    if ignored.into_iter().any(|domain| signers.iter().any(|signer| signer.eq_ignore_ascii_case(domain))) {
        return None;
    }
    let suffixes = &context.settings.suffixes;
    let site = |address: &[u8]| domain::of_uri(&[b"mailto:", address].concat(), suffixes).map(|(site, _)| site);
    let from = context.text("From:addr").to_ascii_lowercase();
    let from_site = site(&from)?;
    let name = context.text("From:name").to_ascii_lowercase();
    let shown = group(&ADDRESS, &name)?.to_vec();
    let shown_site = site(&shown)?;
    let mut facts = NameFacts { has_address: true, ..NameFacts::default() };
    let odd = |text: &[u8]| text.iter().filter(|octet| !octet.is_ascii_lowercase() && !octet.is_ascii_digit()).count();
    let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let closeness = size(name.len()) + size(odd(&name)) - size(odd(&shown)) - size(shown.len());
    let extra =
        context.settings.last("fns_extrachars").and_then(|value| value.trim().parse().ok()).unwrap_or(EXTRA_CHARS);
    if closeness > extra {
        return Some(facts);
    }
    facts.is_other_address = shown != from;
    facts.is_other_domain = shown_site != from_site;
    facts.is_other_owner = owner(context, &shown, &shown_site) != owner(context, &from, &from_site);
    facts.is_reply_to = shown == context.text("Reply-To:addr").to_ascii_lowercase();
    facts.is_recipient = context.input.recipient_addresses(context.settings).contains(&shown);
    Some(facts)
}

/// Who an address belongs to: the list of `fns_add_addrlist` it is on, else the first label of its registered domain.
fn owner(context: &EvalContext<'_>, address: &[u8], site: &[u8]) -> Vec<u8> {
    let at = memchr::memchr(b'@', address).unwrap_or(0);
    let plain = [address.get(..=at).unwrap_or_default(), site].concat();
    for candidate in [address, plain.as_slice()] {
        for line in context.settings.lines("fns_add_addrlist") {
            // `(OWNER) address address …`
            let Some((name, globs)) = line.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')')) else {
                continue;
            };
            let mut globs = globs.split_whitespace().map(str::to_ascii_lowercase);
            if globs.any(|glob| fits(glob.as_bytes(), candidate)) {
                return name.to_ascii_lowercase().into_bytes();
            }
        }
    }
    site.split(|&octet| octet == b'.').next().unwrap_or_default().to_vec()
}

pub(super) fn check_fromname_spoof(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let facts = facts(context);
    let configured = context.settings.last("fns_check").map_or("1", str::trim);
    let level = args
        .first()
        .map(|arg| arg.text.as_str())
        .filter(|level| matches!(*level, "0" | "1" | "2"))
        .unwrap_or(configured);
    let is_hit = match level {
        "0" => facts.is_other_address,
        "2" => facts.is_other_address && facts.is_other_domain,
        _ => facts.is_other_address && facts.is_other_owner,
    };
    EvalResult::of(is_hit)
}

pub(super) fn check_fromname_different(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).is_other_address)
}

pub(super) fn check_fromname_domain_differ(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).is_other_domain)
}

pub(super) fn check_fromname_contains_email(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).has_address)
}

pub(super) fn check_fromname_equals_to(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).is_recipient)
}

pub(super) fn check_fromname_owners_differ(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).is_other_owner)
}

pub(super) fn check_fromname_equals_replyto(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(facts(context).is_reply_to)
}
