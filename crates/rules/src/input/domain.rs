//! Host names: are they well-formed, is their top-level domain known, which part is registered?
//! The suffixes are those of the rule files (`util_rb_tld` and the like), because rules were written for them. Where the files bring none, as
//! an administrator's own do, the public suffix list stands for them: without suffixes no text would hold a link.

use std::collections::HashSet;

use super::ip;
use super::octets::{self, is_space};
use crate::settings::Suffixes;

const HOST_OCTETS_MAX: usize = 253; // RFC 1035 section 2.3.4, in text form
const LABEL_OCTETS_MAX: usize = 63; // RFC 1035 section 2.3.4

/// States of the United States, under whose `us` names registrations are deeper (RFC 1480).
const US_STATES: &[u8] = b"ak al ar az ca co ct dc de fl ga gu hi ia id il in ks ky la ma md me mi mn mo ms mt nc nd ne nh nj nm nv ny oh ok or pa pr ri sc sd tn tx ut va vi vt wa wi wv wy";

/// Whether `host` is a name of at least two labels of letters, digits, hyphens and (but for the last two) underscores.
pub(crate) fn is_well_formed(host: &[u8]) -> bool {
    let host = trim_end_dots(host);
    if host.len() > HOST_OCTETS_MAX {
        return false;
    }
    let count = host.split(|&octet| octet == b'.').count();
    count > 1
        && host.split(|&octet| octet == b'.').enumerate().all(|(index, label)| {
            let is_deep = count - index > 2;
            let is_edge = |octet: Option<&u8>| octet.is_some_and(|&octet| octets::is_word(octet));
            label.len() <= LABEL_OCTETS_MAX
                && is_edge(label.first())
                && is_edge(label.last())
                && label
                    .iter()
                    .all(|&octet| octet.is_ascii_alphanumeric() || octet == b'-' || (octet == b'_' && is_deep))
        })
}

fn trim_end_dots(host: &[u8]) -> &[u8] {
    let end = host.iter().rposition(|&octet| octet != b'.').map_or(0, |last| last + 1);
    host.get(..end).unwrap_or_default()
}

/// Whether `host` has a dot and a known top-level domain behind the last one.
pub(crate) fn has_known_tld(host: &[u8], suffixes: &Suffixes) -> bool {
    !host.iter().any(|&octet| is_space(octet))
        && memchr::memrchr(b'.', host).and_then(|dot| host.get(dot + 1..)).is_some_and(|tld| is_tld(tld, suffixes))
}

fn is_tld(label: &[u8], suffixes: &Suffixes) -> bool {
    if suffixes.tld.is_empty() {
        return psl::suffix(&label.to_ascii_lowercase()).is_some_and(|suffix| suffix.is_known());
    }
    holds_caseless(&suffixes.tld, label)
}

/// The end of a known top-level domain that starts at `start`: a whole label, not followed by a further one.
pub(crate) fn tld_end(text: &[u8], start: usize, suffixes: &Suffixes) -> Option<usize> {
    let rest = text.get(start..)?;
    let is_label = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'-';
    let length = rest.iter().position(|octet| !is_label(octet)).unwrap_or(rest.len());
    let label = rest.get(..length)?;
    if label.len() > LABEL_OCTETS_MAX || !is_tld(label, suffixes) {
        return None;
    }
    match rest.get(length..) {
        Some([b'.', next, ..]) if next.is_ascii_alphanumeric() => None,
        _ => Some(start + length),
    }
}

/// The registered domain of `host` in lower case: `foo.co.uk` of `www.foo.co.uk`.
pub(crate) fn registered(host: &[u8], suffixes: &Suffixes) -> Vec<u8> {
    let host = host.to_ascii_lowercase();
    let labels: Vec<&[u8]> = host.split(|&octet| octet == b'.').filter(|label| !label.is_empty()).collect();
    let mut rest = labels.as_slice();
    while rest.len() > 1 && !is_suffix(rest, suffixes) {
        rest = rest.get(1..).unwrap_or_default();
    }
    let cut = labels.len() - rest.len();
    labels.get(cut.saturating_sub(1)..).unwrap_or_default().join(&b'.')
}

fn is_suffix(labels: &[&[u8]], suffixes: &Suffixes) -> bool {
    if suffixes.two.is_empty() && suffixes.three.is_empty() {
        let name = labels.join(&b'.');
        return psl::suffix(&name).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name);
    }
    let is_state =
        |label: &[u8]| label.len() == 2 && US_STATES.split(|&octet| octet == b' ').any(|state| state == label);
    match labels {
        [_, _] => holds(&suffixes.two, &labels.join(&b'.')),
        [_, state, b"us"] => is_state(state),
        [_, _, _] => holds(&suffixes.three, &labels.join(&b'.')),
        [first, second, state, b"us"] => {
            ((*first == b"pvt" && *second == b"k12") || *first == b"ci" || *first == b"co") && is_state(state)
        }
        _ => false,
    }
}

fn holds(set: &HashSet<String>, name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| set.contains(name))
}

fn holds_caseless(set: &HashSet<String>, name: &[u8]) -> bool {
    if name.iter().any(u8::is_ascii_uppercase) { holds(set, &name.to_ascii_lowercase()) } else { holds(set, name) }
}

/// Registered domain and host of a link, in lower case; `None` if it names no host with a known top-level domain. An address is both.
pub(crate) fn of_uri(uri: &[u8], suffixes: &Suffixes) -> Option<(Vec<u8>, Vec<u8>)> {
    let uri = uri.to_ascii_lowercase();
    if [&b"javascript:"[..], b"cid:", b"file:"].iter().any(|scheme| uri.starts_with(scheme)) {
        return None;
    }
    let host = match uri.strip_prefix(b"mailto:") {
        Some(address) => host_of_address(address)?,
        None => host_of_link(&uri),
    };
    if has_undecoded_octet(host) {
        return None;
    }
    if ip::is_address(host) {
        return Some((host.to_vec(), host.to_vec()));
    }
    if !is_well_formed(host) || !has_known_tld(host, suffixes) {
        return None;
    }
    Some((registered(host, suffixes), host.to_vec()))
}

fn host_of_address(address: &[u8]) -> Option<&[u8]> {
    let address = address.split(|&octet| octet == b'?').next().unwrap_or_default();
    let mut pieces = address.split(|&octet| octet == b'@').skip(1);
    let host = pieces.next()?;
    pieces.next().is_none().then_some(host)
}

fn host_of_link(uri: &[u8]) -> &[u8] {
    let scheme = uri.iter().position(|octet| !octet.is_ascii_lowercase()).unwrap_or(uri.len());
    let rest = match uri.get(scheme..) {
        Some([b':', b'/', b'/', rest @ ..] | [b':', b'/', rest @ ..] | [b':', rest @ ..]) if scheme > 0 => rest,
        _ => uri,
    };
    let rest = rest.split(|octet| matches!(octet, b'/' | b'?' | b'#')).next().unwrap_or_default();
    let rest = memchr::memrchr(b'@', rest).and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
    match memchr::memrchr(b':', rest) {
        Some(colon) if rest.iter().skip(colon + 1).all(u8::is_ascii_digit) => rest.get(..colon).unwrap_or_default(),
        _ => rest,
    }
}

/// Whether a printable character is still written as `%XX`: the decoded form of the link is looked at instead.
fn has_undecoded_octet(host: &[u8]) -> bool {
    host.windows(3).any(|window| {
        matches!(window, [b'%', b'2', b'1'..=b'9' | b'a'..=b'f'] | [b'%', b'3'..=b'6', b'0'..=b'9' | b'a'..=b'f'] | [b'%', b'7', b'0'..=b'9' | b'a'..=b'e'])
    })
}

/// The first plausible host name in a header value: after the last `@` if there is one, else anywhere.
pub(crate) fn first_host(line: &[u8], suffixes: &Suffixes) -> Option<Vec<u8>> {
    let after_at = memchr::memrchr_iter(b'@', line).find_map(|at| host_at(line, at + 1, suffixes));
    if let Some(host) = after_at.filter(|host| is_well_formed(&host.to_ascii_lowercase())) {
        return Some(host.to_vec());
    }
    let mut start = 0;
    while start < line.len() {
        match host_at(line, start, suffixes) {
            Some(host) if is_well_formed(&host.to_ascii_lowercase()) => return Some(host.to_vec()),
            Some(host) => start += host.len().max(1),
            None => start += 1,
        }
    }
    None
}

const HOST_RUN_MAX: usize = 251;

/// The longest run from `start` that ends in a known top-level domain and is not glued to more.
fn host_at<'t>(line: &'t [u8], start: usize, suffixes: &Suffixes) -> Option<&'t [u8]> {
    let is_glue = |octet: u8| matches!(octet, b'.' | b'_' | b'-');
    if start.checked_sub(1).and_then(|before| line.get(before)).is_some_and(|&octet| is_glue(octet)) {
        return None;
    }
    let rest = line.get(start..)?;
    let run = rest.iter().position(|&octet| is_space(octet)).unwrap_or(rest.len()).min(HOST_RUN_MAX + 1);
    let dots = rest.get(..run)?.iter().enumerate().skip(1).filter(|(_, octet)| **octet == b'.').map(|(at, _)| at);
    let dots: Vec<usize> = dots.collect();
    dots.into_iter().rev().find_map(|dot| {
        let end = tld_end(line, start + dot + 1, suffixes)?;
        if line.get(end).is_some_and(|&octet| is_glue(octet)) { None } else { line.get(start..end) }
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A few suffixes for tests that do not read the rule files.
    pub(crate) fn some_suffixes() -> Suffixes {
        let set = |text: &str| text.split(' ').map(str::to_owned).collect();
        Suffixes {
            tld: set("com net org uk us de info biz example"),
            two: set("co.uk org.uk ac.uk"),
            three: set("demon.co.uk"),
            four: HashSet::new(),
        }
    }

    #[test]
    fn without_suffixes_the_public_ones_count() {
        let none = Suffixes::default();
        for (link, expected) in [
            ("http://a.b.example.co.uk/", Some("example.co.uk")),
            ("http://A.Example.COM/", Some("example.com")),
            ("http://a.example.invalid/", None),
            ("http://me.blogspot.com", Some("me.blogspot.com")),
        ] {
            let found = of_uri(link.as_bytes(), &none).map(|(domain, _)| String::from_utf8(domain).unwrap());
            assert_eq!(found.as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn registered_domains() {
        let suffixes = some_suffixes();
        for (host, expected) in [
            (&b"www.foo.com"[..], &b"foo.com"[..]),
            (b"WWW.foo.co.uk", b"foo.co.uk"),
            (b"a.b.demon.co.uk", b"b.demon.co.uk"),
            (b"a.b.ca.us", b"a.b.ca.us"),
            (b"foo.com", b"foo.com"),
            (b"..foo..com.", b"foo.com"),
            (b"com", b"com"),
        ] {
            assert_eq!(registered(host, &suffixes), expected, "{}", String::from_utf8_lossy(host));
        }
    }

    #[test]
    fn hosts_of_links() {
        let suffixes = some_suffixes();
        for (uri, expected) in [
            (&b"http://user:pw@www.foo.com:80/x?y#z"[..], Some((&b"foo.com"[..], &b"www.foo.com"[..]))),
            (b"mailto:a@foo.com?subject=x", Some((b"foo.com", b"foo.com"))),
            (b"mailto:a@b@foo.com", None),
            (b"http://192.0.2.1/", Some((b"192.0.2.1", b"192.0.2.1"))),
            (b"http://www.foo%2ecom/", None),
            (b"http://foo.nosuch/", None),
            (b"javascript:foo.com", None),
        ] {
            let expected = expected.map(|(domain, host)| (domain.to_vec(), host.to_vec()));
            assert_eq!(of_uri(uri, &suffixes), expected, "{}", String::from_utf8_lossy(uri));
        }
    }

    #[test]
    fn hosts_of_headers() {
        let suffixes = some_suffixes();
        for (line, expected) in [
            (&b"<a.example@mail.foo.com>"[..], Some(&b"mail.foo.com"[..])),
            (b"from x.foo.com by y", Some(b"x.foo.com")),
            (b"nothing here", None),
        ] {
            assert_eq!(first_host(line, &suffixes).as_deref(), expected, "{}", String::from_utf8_lossy(line));
        }
    }
}
