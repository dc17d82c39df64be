//! `URIEval`: links that mislead.

use super::{Arg, EvalContext, EvalResult};
use crate::input::{domain, octets};

/// A link of a host that is an address, under a text that shows `https:`.
pub(super) fn check_https_ip_mismatch(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let links = context.input.html.parts.iter().flat_map(|part| &part.links);
    let is_hit = links.into_iter().any(|link| {
        names_address(link.uri.as_bytes(), &[b"http:", b"https:"])
            && link.anchor_texts.iter().any(|text| {
                octets::find_caseless(text.as_bytes(), b"https:", 0).is_some()
                    && !names_address(text.as_bytes(), &[b"https:"])
            })
    });
    EvalResult::of(is_hit)
}

/// Whether the host after one of the schemes begins with four numbers.
fn names_address(text: &[u8], schemes: &[&[u8]]) -> bool {
    let Some(scheme) = schemes.iter().find(|scheme| octets::starts_caseless(text, scheme)) else { return false };
    let rest = text.get(scheme.len()..).unwrap_or_default();
    let slashes = rest.iter().take_while(|octet| **octet == b'/').count();
    let rest = rest.get(slashes..).unwrap_or_default();
    let site = rest.split(|&octet| octet == b'/').next().unwrap_or_default();
    let host = memchr::memchr(b'@', site).and_then(|at| site.get(at + 1..)).unwrap_or(site);
    let mut numbers = host.split(|&octet| octet == b'.');
    let is_number =
        |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    (0..3).all(|_| is_number(numbers.next()))
        && numbers.next().is_some_and(|part| part.first().is_some_and(u8::is_ascii_digit))
}

pub(super) fn check_uri_truncated(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(context.input.is_uri_truncated)
}

/// A link whose path leads to another site.
pub(super) fn check_for_http_redirector(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let suffixes = &context.settings.suffixes;
    let site = |uri: &[u8]| domain::of_uri(uri, suffixes).map_or_else(|| uri.to_vec(), |(site, _)| site);
    let is_redirector = |uri: &Vec<u8>| {
        let mut rest = uri.as_slice();
        while let Some(inner) = inner_link(rest) {
            if site(rest) != site(inner) {
                return true;
            }
            rest = inner;
        }
        false
    };
    EvalResult::of(context.input.uris.iter().flat_map(|uri| &uri.cleaned).any(is_redirector))
}

/// The link within a link, behind its host.
fn inner_link(uri: &[u8]) -> Option<&[u8]> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| octets::starts_caseless(uri, scheme))?;
    let from = scheme.len() + 2;
    let at = [&b"http:"[..], b"https:"].iter().filter_map(|inner| octets::find_caseless(uri, inner, from)).min()?;
    uri.get(at..)
}
