//! `VBounce`: is this bounce one of our own mail?

use super::lists::fits;
use super::{Arg, EvalContext, EvalResult};
use crate::input::octets::{self, is_space};

/// The globs of `welcomelist_bounce_relays`.
fn own_relays(context: &EvalContext<'_>) -> Vec<String> {
    let lines = context.settings.lines("welcomelist_bounce_relays").iter();
    lines.flat_map(|line| line.split_whitespace()).map(str::to_ascii_lowercase).collect()
}

pub(super) fn have_any_bounce_relays(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(!own_relays(context).is_empty())
}

/// Whether a `Received` header in the body names one of our relays.
pub(super) fn check_welcomelist_bounce_relays(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let relays = own_relays(context);
    if relays.is_empty() {
        return EvalResult::Miss;
    }
    if context.input.body.iter().any(|line| is_received(line) && names_relay(line, &relays)) {
        return EvalResult::of(true);
    }
    let body = &context.input.pristine_body;
    if octets::find_caseless(body, b"received:", 0).is_none() {
        return EvalResult::Miss;
    }
    // Headers of attached messages, put together from their lines.
    let mut header = Vec::new();
    let mut has_begun = false;
    for line in body.split(|&octet| octet == b'\n') {
        has_begun |= is_received(line);
        if !has_begun {
            continue;
        }
        if !line.first().is_some_and(|&octet| is_space(octet)) {
            header.clear();
        }
        header.extend_from_slice(line);
        if is_received(&header) && names_relay(&header, &relays) {
            return EvalResult::of(true);
        }
    }
    EvalResult::Miss
}

/// `Received:`, perhaps quoted.
fn is_received(line: &[u8]) -> bool {
    let start = line.iter().position(|octet| !matches!(octet, b'>' | b' ')).unwrap_or(line.len());
    line.get(start..).is_some_and(|rest| octets::starts_caseless(rest, b"received:"))
}

/// Whether a dotted word between white space is one of the relays.
fn names_relay(line: &[u8], relays: &[String]) -> bool {
    let is_own = |word: &[u8]| {
        let word = word.to_ascii_lowercase();
        relays.iter().any(|relay| fits(relay.as_bytes(), &word))
    };
    let words: Vec<&[u8]> = line.split(|&octet| is_space(octet)).collect();
    // The first word follows no white space, the last is not followed by any.
    let inner = words.get(1..words.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().any(|word| word.iter().skip(1).any(|&octet| octet == b'.') && is_own(word))
}
