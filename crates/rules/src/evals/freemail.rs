//! `FreeMail`: addresses of free mail services, in headers and body.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::header::matches;
use super::lists::{fits, is_listed};
use super::{Arg, EvalContext, EvalResult, any, argument_matches, ours};
use crate::input::{UriSource, domain, octets};
use crate::pattern::{Limit, Pattern};

const BODY_EMAILS_MAX: usize = 5;
const BODY_FREEMAILS_MAX: usize = 3;
/// Addresses of the body looked at, from links and in all.
const LINK_EMAILS_MAX: usize = 20;
const EMAILS_MAX: usize = 40;
const USER_OCTETS_MAX: usize = 64;

/// Free mail addresses of the body; `None` if it has too many addresses to mean anything.
pub(crate) type BodyAddresses = Option<Vec<Vec<u8>>>;

fn is_available(context: &EvalContext<'_>) -> bool {
    !context.settings.freemail_domains.is_empty() || !context.settings.freemail_globs.is_empty()
}

fn number(context: &EvalContext<'_>, name: &str, default: usize) -> usize {
    context.settings.last(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
}

fn is_freemail(context: &EvalContext<'_>, address: &[u8]) -> bool {
    static ROLE: LazyLock<Pattern> = LazyLock::new(|| {
        ours(
            r"/^(?:abuse|support|sales|info|helpdesk|contact|kontakt|(?:post|host|domain)master|undisclosed.*|request-[a-f0-9]{16}|bounced?-|[a-f0-9]{8}(?:\.[a-f0-9]{8}|-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12})|.+=.+=.+)@/i",
        )
    });
    let host = memchr::memrchr(b'@', address).and_then(|at| address.get(at + 1..)).unwrap_or(address);
    let (Ok(host), Ok(text)) = (std::str::from_utf8(host), std::str::from_utf8(address)) else { return false };
    if address.is_empty() {
        return false;
    }
    let is_known = context.settings.freemail_domains.contains(host)
        || context.settings.freemail_globs.iter().any(|glob| host_fits(glob, host));
    if !is_known {
        return false;
    }
    let lists = ["freemail_welcomelist", "freemail_whitelist"];
    let mut welcome =
        lists.iter().flat_map(|name| context.settings.lines(name)).flat_map(|line| line.split_whitespace());
    !welcome.any(|entry| entry.eq_ignore_ascii_case(text) || entry.eq_ignore_ascii_case(host))
        && !matches(&ROLE, address)
        && !is_imported(context, address)
}

/// Whether an address is welcome by a list that `freemail_import_…` names.
fn is_imported(context: &EvalContext<'_>, address: &[u8]) -> bool {
    ["welcomelist_auth", "def_welcomelist_auth"].iter().any(|name| {
        number(context, &format!("freemail_import_{name}"), 0) != 0
            && context.settings.addresses.get(*name).is_some_and(|list| is_listed(list, address))
    })
}

/// `*` stands for no dot here.
fn host_fits(glob: &str, host: &str) -> bool {
    glob.split('.').count() == host.split('.').count()
        && glob.split('.').zip(host.split('.')).all(|(glob, label)| fits(glob.as_bytes(), label.as_bytes()))
}

/// Whether the argument that is a pattern allows `address`; without one all are.
fn is_allowed(args: &[Arg], index: usize, address: &[u8]) -> Result<bool, Limit> {
    if args.get(index).is_none() { Ok(true) } else { argument_matches(args, index, address) }
}

fn lower(addresses: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    addresses.into_iter().map(|address| address.to_ascii_lowercase()).collect()
}

fn first_hit(context: &EvalContext<'_>, args: &[Arg], index: usize, addresses: Vec<Vec<u8>>) -> EvalResult {
    let mut otherwise = EvalResult::Miss;
    for address in lower(addresses).iter().filter(|address| is_freemail(context, address)) {
        match is_allowed(args, index, address) {
            Ok(true) => return EvalResult::Hit { count: 1, evidence: octets::lossy(address) },
            Ok(false) => {}
            Err(Limit) => otherwise = EvalResult::Limit,
        }
    }
    otherwise
}

pub(super) fn check_freemail_header(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let Some(header) = args.first().filter(|_| is_available(context)) else { return EvalResult::Miss };
    first_hit(context, args, 1, context.values(&format!("{}:addr", header.text)))
}

pub(super) fn check_freemail_from(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    if !is_available(context) {
        return EvalResult::Miss;
    }
    first_hit(context, args, 0, context.input.sender_addresses(context.settings).to_vec())
}

pub(super) fn check_freemail_body(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    if !is_available(context) {
        return EvalResult::Miss;
    }
    let found = body_addresses(context).as_deref().unwrap_or_default();
    any(found, |address| is_allowed(args, 0, address)).into()
}

pub(super) fn check_freemail_replyto(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    static BULK: LazyLock<Pattern> = LazyLock::new(|| {
        ours(
            r"/(?:^(?:post|host|domain)master|^double-bounce|^(?:sentto|owner|return|(?:gr)?bounced?)-.+|-(?:request|bounces?|admin|owner)|\b(?:do[._-t]?)?no[._-t]?repl(?:y|ies)|.+=.+)@/i",
        )
    });
    if !is_available(context) {
        return EvalResult::Miss;
    }
    let what = args.first().map_or("replyto", |arg| arg.text.as_str());
    let skips_bulk = number(context, "freemail_skip_bulk_envfrom", 1) != 0;
    if skips_bulk && context.input.envelope_from.as_ref().is_some_and(|sender| matches(&BULK, sender)) {
        return EvalResult::Miss;
    }
    let from = lower(context.values("From:addr"));
    let reply_to = lower(context.values("Reply-To:addr"));
    let any_free = |addresses: &[Vec<u8>]| addresses.iter().any(|address| is_freemail(context, address));
    let (from_is_free, reply_is_free) = (any_free(&from), any_free(&reply_to));
    if from_is_free && reply_is_free && !from.iter().any(|address| reply_to.contains(address)) {
        return EvalResult::of(true);
    }
    let compared = match what {
        "replyto" if reply_is_free => &reply_to,
        "reply" if reply_is_free => &reply_to,
        "reply" if reply_to.is_empty() && from_is_free => &from,
        _ => return EvalResult::Miss,
    };
    // SpamAssassin also asks the author's address to be free before it looks at the body.
    if what == "reply" && !from_is_free {
        return EvalResult::Miss;
    }
    let body = body_addresses(context).as_deref().unwrap_or_default();
    EvalResult::of(body.iter().any(|in_body| compared.iter().any(|address| address != in_body)))
}

fn body_addresses<'c>(context: &'c EvalContext<'_>) -> &'c BodyAddresses {
    context.input.memo.freemail.get_or_init(|| {
        let addresses = all_body_addresses(context);
        let skips = number(context, "freemail_skip_when_over_max", 1) != 0;
        let addresses_max = number(context, "freemail_max_body_emails", BODY_EMAILS_MAX);
        let free_max = number(context, "freemail_max_body_freemails", BODY_FREEMAILS_MAX);
        if skips && addresses.len() >= addresses_max {
            return None;
        }
        let free: Vec<Vec<u8>> = addresses.into_iter().filter(|address| is_freemail(context, address)).collect();
        (!skips || free.len() < free_max).then_some(free)
    })
}

/// Addresses of links that are not in the text, then those of the text that are neither in brackets nor followed by `wrote:`.
fn all_body_addresses(context: &EvalContext<'_>) -> Vec<Vec<u8>> {
    let mut seen = HashSet::new();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let is_hidden =
        |sources: &[UriSource]| sources.contains(&UriSource::Tag("a")) && !sources.contains(&UriSource::Parsed);
    for uri in context.input.uris.iter().filter(|uri| is_hidden(&uri.sources)) {
        let Some(rest) = uri.raw.get(7..).filter(|_| octets::starts_caseless(&uri.raw, b"mailto:")) else { continue };
        if let Some(end) = address_at(context, rest, 0) {
            let address = rest.get(..end).unwrap_or_default().to_ascii_lowercase();
            if seen.insert(address.clone()) {
                found.push(address);
            }
            if found.len() >= LINK_EMAILS_MAX {
                break;
            }
        }
    }
    for line in context.input.body.iter().filter(|line| line.contains(&b'@')) {
        let line = without_links(line);
        let mut at = 0;
        while let Some((start, end)) = next_address(context, &line, at) {
            at = end;
            if is_quoted(&line, start, end) {
                continue;
            }
            let address = line.get(start..end).unwrap_or_default().to_ascii_lowercase();
            if seen.insert(address.clone()) {
                found.push(address);
            }
            if found.len() >= EMAILS_MAX {
                return found;
            }
        }
    }
    found
}

/// Links that hold an address are no addresses.
fn without_links(line: &[u8]) -> Vec<u8> {
    static LINK: LazyLock<Pattern> = LazyLock::new(|| ours(r"m{<?https?://\S{0,255}(?:@|%40)\S{0,255}}i"));
    if !octets::contains(line, b"://") {
        return line.to_vec();
    }
    let mut kept = Vec::with_capacity(line.len());
    let mut from = 0;
    while let Ok(Some((start, end))) = LINK.find_at(line, from) {
        kept.extend_from_slice(line.get(from..start).unwrap_or_default());
        kept.push(b' ');
        from = end.max(from + 1);
    }
    kept.extend_from_slice(line.get(from..).unwrap_or_default());
    kept
}

/// In brackets, or followed by a word and a colon (`wrote:`), but not by `fax:` and the like.
fn is_quoted(line: &[u8], start: usize, end: usize) -> bool {
    static WROTE: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"/^(?:>|\s{1,10}(?!(?:fa(?:x|csi)|tel|phone|e?-?mail))[a-z]{2,11}:)/i"));
    let before = line.get(..start).unwrap_or_default();
    let before = before.strip_suffix(b"<").unwrap_or(before);
    // An address after `mailto:` is meant to be followed.
    let is_link = octets::ends_caseless(before, b"mailto:")
        || octets::ends_caseless(line.get(..start).unwrap_or_default(), b"mailto:");
    !is_link && line.get(end..).is_some_and(|after| matches(&WROTE, after))
}

fn is_user(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
                | b'-'
        )
}

/// The next address at or after `from`: its start and end.
fn next_address(context: &EvalContext<'_>, line: &[u8], from: usize) -> Option<(usize, usize)> {
    let ats = memchr::memchr_iter(b'@', line.get(from..)?).map(|at| from + at);
    ats.into_iter().find_map(|at| {
        let run = line.get(from..at)?.iter().rev().take_while(|&&octet| is_user(octet) || octet == b'.').count();
        let mut starts = (at - run..at).filter(|start| {
            let before = start.checked_sub(1).and_then(|before| line.get(before));
            !before.is_some_and(|&octet| is_user(octet))
        });
        starts.find_map(|start| address_at(context, line, start).map(|end| (start, end)))
    })
}

/// The end of the address that begins at `start`: a user without doubled dots, up to four labels, a known top-level domain.
fn address_at(context: &EvalContext<'_>, line: &[u8], start: usize) -> Option<usize> {
    let rest = line.get(start..)?;
    let at = memchr::memchr(b'@', rest).filter(|at| (1..=USER_OCTETS_MAX).contains(at))?;
    let user = rest.get(..at)?;
    if !user.split(|&octet| octet == b'.').all(|word| !word.is_empty() && word.iter().all(|&octet| is_user(octet))) {
        return None;
    }
    let host = rest.get(at + 1..)?;
    let mut ends = Vec::new();
    let mut label_start = 0;
    for _ in 0..4 {
        let label = host.get(label_start..)?;
        let length =
            label.iter().position(|octet| !(octet.is_ascii_alphanumeric() || *octet == b'-')).unwrap_or(label.len());
        let text = label.get(..length)?;
        let is_label = (1..=61).contains(&length)
            && text.first().is_some_and(u8::is_ascii_alphanumeric)
            && text.last().is_some_and(u8::is_ascii_alphanumeric);
        if !is_label || label.get(length) != Some(&b'.') {
            break;
        }
        label_start += length + 1;
        ends.push(label_start);
    }
    ends.into_iter().rev().find_map(|end| domain::tld_end(line, start + at + 1 + end, &context.settings.suffixes))
}
