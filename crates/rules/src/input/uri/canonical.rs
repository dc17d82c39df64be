//! One link in all the forms in which a reader might follow it: escapes undone, addresses in plain numbers, redirect targets.

use crate::input::domain;
use crate::input::octets::{self, is_space, starts_caseless, trim};
use crate::input::transfer::hex;
use crate::prefilter::formula;
use crate::settings::{Redirector, Suffixes};

/// Redirect targets followed out of one link.
const TARGETS_MAX: usize = 32;

/// The forms of `uri`, the cleaned original first, without repeats.
pub(crate) fn canonical(uri: &[u8], redirectors: &[Redirector], suffixes: &Suffixes) -> Vec<Vec<u8>> {
    let mut queue = vec![uri.to_vec()];
    let mut forms = Vec::new();
    let mut next = 0;
    while let Some(uri) = queue.get(next) {
        let uri = clean(uri);
        if let Some(slot) = queue.get_mut(next) {
            slot.clone_from(&uri);
        }
        let is_local =
            matches!(uri.as_slice(), [b'#' | b'?' | b'&', ..]) || (uri.starts_with(b"/") && !uri.starts_with(b"//"));
        if uri.len() > 1 && !is_local {
            if is_address(&uri) {
                address_forms(&uri, &mut forms);
            } else if let Some(target) = link_forms(&uri, redirectors, suffixes, &mut forms)
                && queue.len() < TARGETS_MAX
            {
                queue.push(target);
            }
        }
        next += 1;
    }
    let mut unique: Vec<Vec<u8>> = Vec::with_capacity(queue.len() + forms.len());
    for form in queue.into_iter().chain(forms) {
        if !unique.contains(&form) {
            unique.push(form);
        }
    }
    unique
}

/// Without line ends, and without white space at either end.
fn clean(uri: &[u8]) -> Vec<u8> {
    if !uri.iter().any(|&octet| is_space(octet)) {
        return uri.to_vec();
    }
    let joined: Vec<u8> = uri.iter().copied().filter(|&octet| octet != b'\n').collect();
    trim(&joined).iter().copied().filter(|&octet| octet != b'\r').collect()
}

fn is_address(uri: &[u8]) -> bool {
    let before_colon = uri.split(|&octet| octet == b':').next().unwrap_or_default();
    starts_caseless(uri, b"mailto:") || before_colon.contains(&b'@')
}

/// Mail addresses: without parameters and obfuscation.
fn address_forms(uri: &[u8], forms: &mut Vec<Vec<u8>>) {
    if let Some(at) = memchr::memchr(b'@', uri).filter(|at| *at > 0) {
        let cut_before = |marks: &[u8]| {
            let host = uri.get(at + 1..)?;
            let end = host.iter().position(|octet| marks.contains(octet)).filter(|end| *end > 0)?;
            Some((uri.get(..at + 1 + end)?.to_vec(), host.get(end).copied()?))
        };
        if let Some((form, _)) = cut_before(b"?") {
            forms.push(form);
        }
        if let Some((form, b'&')) = cut_before(b"?&") {
            forms.push(form);
        }
    }
    if octets::contains(uri, b"%20") {
        let mut rest = if starts_caseless(uri, b"mailto:") && uri.starts_with(b"mailto:") {
            uri.get(7..).unwrap_or_default()
        } else {
            uri
        };
        while let Some(tail) = rest.strip_prefix(b"%20") {
            rest = tail;
        }
        if let Some(at) = memchr::memchr(b'@', rest).filter(|at| *at > 0) {
            let host = rest.get(at + 1..).unwrap_or_default();
            let end = host.iter().position(|octet| matches!(octet, b'?' | b'&' | b'%')).unwrap_or(host.len());
            if end > 0 {
                forms.push([b"mailto:", rest.get(..at + 1 + end).unwrap_or_default()].concat());
            }
        }
    }
    if let Some(address) = bracketed(uri) {
        forms.push([b"mailto:", address].concat());
    }
}

/// `Name%20<a@b.example>`.
fn bracketed(uri: &[u8]) -> Option<&[u8]> {
    let end_of_name = uri.iter().position(|octet| matches!(octet, b'?' | b'&')).unwrap_or(uri.len());
    memchr::memrchr_iter(b'<', uri.get(..end_of_name)?).find_map(|open| {
        let rest = uri.get(open + 1..)?;
        let close = memchr::memchr(b'>', rest)?;
        let address = rest.get(..close)?;
        let at = memchr::memchr(b'@', address)?;
        (at > 0 && at + 1 < address.len()).then_some(address)
    })
}

/// Forms of a link, and the target it redirects to, if any.
fn link_forms(
    uri: &[u8],
    redirectors: &[Redirector],
    suffixes: &Suffixes,
    forms: &mut Vec<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut link: Vec<u8> = uri.iter().map(|&octet| if octet == b'\\' { b'/' } else { octet }).collect();
    link = with_two_slashes(link);
    if has_escape(&link) {
        link = unescape(&link);
    }
    if !has_scheme(&link) {
        let scheme: &[u8] = if link.starts_with(b"ftp.") { b"ftp://" } else { b"http://" };
        link = [scheme, link.as_slice()].concat();
    }
    link = numeric_characters(&with_slash_before_query(link));
    if link != uri {
        forms.push(link.clone());
    }
    host_forms(&link, redirectors, suffixes, forms)
}

/// `http:a.example` and `http:/a.example` are `http://a.example`.
fn with_two_slashes(link: Vec<u8>) -> Vec<u8> {
    let Some(length) = scheme_length(&link) else { return link };
    let rest = link.get(length..).unwrap_or_default();
    let slashes = rest.iter().take(2).take_while(|octet| **octet == b'/').count();
    if slashes == 2 {
        return link;
    }
    [link.get(..length).unwrap_or_default(), b"//", rest.get(slashes..).unwrap_or_default()].concat()
}

/// The length of `http:` or `https:` at the start.
fn scheme_length(link: &[u8]) -> Option<usize> {
    [&b"http:"[..], b"https:"].into_iter().find(|scheme| starts_caseless(link, scheme)).map(<[u8]>::len)
}

fn has_escape(link: &[u8]) -> bool {
    link.windows(3).any(|window| matches!(window, [b'%', high, low] if hex(*high).is_some() && hex(*low).is_some()))
}

/// Undoes `%XX` of printable ASCII. What is written plainly, but should be escaped, is escaped.
pub(crate) fn unescape(link: &[u8]) -> Vec<u8> {
    let mut unescaped = Vec::with_capacity(link.len());
    let mut rest = link;
    while let Some((&octet, tail)) = rest.split_first() {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            let value = high << 4 | low;
            if matches!(value, 0x21..=0x7e) {
                unescaped.push(value);
            } else {
                unescaped.extend_from_slice(rest.get(..3).unwrap_or_default());
            }
            rest = after;
            continue;
        }
        if matches!(octet, 0..=0x20 | 0x7f..=0xff | b'"' | b'%' | b'<' | b'>') {
            unescaped.extend_from_slice(format!("%{octet:02x}").as_bytes());
        } else {
            unescaped.push(octet);
        }
        rest = tail;
    }
    unescaped
}

fn has_scheme(link: &[u8]) -> bool {
    let length = link.iter().take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')).count();
    length > 0 && link.get(length) == Some(&b':')
}

/// `http://a.example?x` is `http://a.example/?x`.
fn with_slash_before_query(link: Vec<u8>) -> Vec<u8> {
    let Some(start) =
        scheme_length(&link).map(|length| length + 2).filter(|start| link.get(start - 2..*start) == Some(b"//"))
    else {
        return link;
    };
    let rest = link.get(start..).unwrap_or_default();
    match rest.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#')) {
        Some(end) if end > 0 && rest.get(end) != Some(&b'/') => {
            let (head, tail) = link.split_at_checked(start + end).unwrap_or((&link, b""));
            [head, b"/", tail].concat()
        }
        _ => link,
    }
}

/// Character references of printable ASCII (`&#65;`, `&#x41;`), and those of characters that read as a dot.
fn numeric_characters(link: &[u8]) -> Vec<u8> {
    if !octets::contains(link, b"&#") {
        return link.to_vec();
    }
    let mut replaced = Vec::with_capacity(link.len());
    let mut rest = link;
    while let Some((&octet, tail)) = rest.split_first() {
        match character_reference(rest) {
            Some((value, length)) => {
                replaced.push(value);
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                replaced.push(octet);
                rest = tail;
            }
        }
    }
    replaced
}

fn character_reference(text: &[u8]) -> Option<(u8, usize)> {
    let body = text.strip_prefix(b"&#")?;
    let end = body.iter().take(24).position(|&octet| octet == b';')?;
    let body = std::str::from_utf8(body.get(..end)?).ok()?;
    let number = match body.strip_prefix(['x', 'X']) {
        Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, 16).ok()?,
        Some(_) => return None,
        None => body.parse().ok()?,
    };
    let value = match number {
        33..=126 => u8::try_from(number).ok()?,
        12290 | 65294 | 65377 => b'.',
        _ => return None,
    };
    Some((value, end + 3))
}

/// A link taken apart: scheme with slashes, user, host, and all that follows.
struct Link<'l> {
    scheme: &'l [u8],
    has_user: bool,
    host: &'l [u8],
    rest: &'l [u8],
    port: &'l [u8],
}

fn split(link: &[u8]) -> Option<Link<'_>> {
    let start = scheme_length(link)? + 2;
    let scheme = link.get(..start).filter(|scheme| scheme.ends_with(b"//"))?;
    let after = link.get(start..)?;
    let user = after
        .iter()
        .position(|octet| matches!(octet, b'@' | b'/' | b'?' | b'#'))
        .filter(|at| after.get(*at) == Some(&b'@'));
    let mut host_start = user.map_or(0, |at| at + 1);
    let length =
        |from: usize| after.iter().skip(from).take_while(|octet| !matches!(octet, b'/' | b'?' | b'#' | b':')).count();
    // Nothing after the user: the pattern then takes the user for the host.
    if length(host_start) == 0 {
        host_start = 0;
    }
    let host_length = length(host_start);
    if host_length == 0 || after.contains(&b'\n') {
        return None;
    }
    let rest = after.get(host_start + host_length..)?;
    let port = match rest.strip_prefix(b":") {
        Some(tail) => tail.get(..tail.iter().take_while(|octet| octet.is_ascii_digit()).count())?,
        None => b"",
    };
    Some(Link { scheme, has_user: host_start > 0, host: after.get(host_start..host_start + host_length)?, rest, port })
}

fn host_forms(
    link: &[u8],
    redirectors: &[Redirector],
    suffixes: &Suffixes,
    forms: &mut Vec<Vec<u8>>,
) -> Option<Vec<u8>> {
    let link = split(link)?;
    let is_plain = link.scheme == b"http://";
    let default_port: &[u8] = if is_plain { b":80" } else { b":443" };
    if !link.port.is_empty()
        && let Some(tail) = link.rest.strip_prefix(default_port)
        && !tail.first().is_some_and(|&octet| octets::is_word(octet))
    {
        forms.push([link.scheme, link.host, tail].concat());
    }
    let named = link.host.to_ascii_lowercase();
    let mut host = link.host.to_vec();
    let form = |host: &[u8]| [link.scheme, host, link.rest].concat();
    if host.iter().any(|octet| *octet <= b' ') {
        host.retain(|octet| *octet > b' ');
        forms.push(form(&host));
    }
    let target = redirect_target(&form(&host), link.rest, redirectors);
    if let Some(at) = memchr::memchr(b'@', &host).filter(|at| *at > 0) {
        host.drain(..=at);
        forms.push(form(&host));
    }
    if let Some(end) =
        host.iter().rposition(u8::is_ascii_alphanumeric).map(|last| last + 1).filter(|end| *end < host.len())
    {
        host.truncate(end);
        forms.push(form(&host));
    } else if !host.iter().any(u8::is_ascii_alphanumeric) && !host.is_empty() {
        host.clear();
        forms.push(form(&host));
    }
    if let Some(address) = plain_address(&host) {
        forms.push(form(&address));
    } else if is_plain && !link.has_user && matches!(link.port, b"" | b"80") && named != b"localhost" {
        // Browsers try `www.NAME.com` for a lone word.
        let word = named.strip_prefix(b"www.").filter(|word| !word.is_empty()).unwrap_or(&named);
        if !word.is_empty() && !word.contains(&b'.') && !domain::has_known_tld(&named, suffixes) {
            forms.push(form(&[b"www.", word, b".com"].concat()));
        }
    }
    target
}

/// Where a redirector sends: what a pattern of the rule files captures, else a link within the link.
fn redirect_target(link: &[u8], rest: &[u8], redirectors: &[Redirector]) -> Option<Vec<u8>> {
    let folded: Vec<u8> = link.iter().copied().map(formula::fold).collect();
    let mut targets = redirectors.iter().filter_map(|redirector| redirector.target(link, &folded));
    if let Some(target) = targets.find(|target| target.contains(&b'.')) {
        return Some(target.to_vec());
    }
    let mut from = 0;
    while let Some(at) = octets::find_caseless(rest, b"http", from) {
        let inner = rest.get(at..)?;
        if let Some(length) = scheme_length(inner) {
            let end = inner.iter().position(|octet| matches!(octet, b'&' | b'#')).unwrap_or(inner.len());
            if end > length {
                let target = inner.get(..end)?;
                return target.contains(&b'.').then(|| target.to_vec());
            }
        }
        from = at + 1;
    }
    None
}

/// A host of numbers in dotted decimal: each part may be hexadecimal or octal, or all of it one number.
fn plain_address(host: &[u8]) -> Option<Vec<u8>> {
    let is_hex =
        |text: &[u8]| starts_caseless(text, b"0x") && text.len() > 2 && text.iter().skip(2).all(u8::is_ascii_hexdigit);
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let parts: Vec<&[u8]> = host.split(|&octet| octet == b'.').collect();
    if parts.len() == 4 && parts.iter().all(|part| is_hex(part) || is_number(part)) {
        return Some(parts.iter().map(|part| plain_part(part)).collect::<Vec<_>>().join(&b'.'));
    }
    let value = if is_hex(host) {
        // Only the last four octets count.
        let digits = host.get(host.len().saturating_sub(8).max(2)..)?;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
    } else if is_number(host) {
        std::str::from_utf8(host).ok()?.parse().unwrap_or(u64::MAX)
    } else {
        return None;
    };
    // More than 32 bits: the first four octets of the number as written in hexadecimal.
    let digits = format!("{value:08x}");
    let octets = digits.as_bytes().chunks(2).take(4);
    let numbers = octets.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some(numbers.map(|octet| octet.to_string()).collect::<Vec<_>>().join(".").into_bytes())
}

fn plain_part(part: &[u8]) -> Vec<u8> {
    let text = octets::lossy(part);
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let significant = digits.trim_start_matches('0');
        return u64::from_str_radix(significant, 16)
            .map_or_else(|_| b"0".to_vec(), |value| value.to_string().into_bytes());
    }
    let trimmed = text.trim_start_matches('0');
    let is_octal = trimmed.len() < text.len()
        && matches!(
            trimmed.as_bytes(),
            [b'1'..=b'3']
                | [b'1'..=b'3', b'0'..=b'7']
                | [b'1'..=b'3', b'0'..=b'7', b'0'..=b'7']
                | [b'4'..=b'7']
                | [b'4'..=b'7', b'0'..=b'7']
        );
    if is_octal {
        u64::from_str_radix(trimmed, 8).unwrap_or(0).to_string().into_bytes()
    } else {
        trimmed.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::domain::tests::some_suffixes;
    use crate::pattern::Pattern;

    #[test]
    fn forms() {
        let pattern = br"m'^https?:/*(?:\w+\.)?google\.com/url\?.*?(?<=[?&])q=([^&]+)(?:$|[&\#])'i";
        let redirector = Redirector::new(Pattern::parse(pattern).unwrap());
        for (uri, expected) in [
            ("http://www.foo.com/", vec!["http://www.foo.com/"]),
            ("http:www.foo.com?x", vec!["http:www.foo.com?x", "http://www.foo.com/?x"]),
            ("http://www%2Efoo.com/", vec!["http://www%2Efoo.com/", "http://www.foo.com/"]),
            ("http://u@www.foo.com:80/", vec!["http://u@www.foo.com:80/", "http://www.foo.com/"]),
            ("http://0x7f000001/", vec!["http://0x7f000001/", "http://127.0.0.1/"]),
            ("http://2130706433/", vec!["http://2130706433/", "http://127.0.0.1/"]),
            ("http://0300.0250.0.1/", vec!["http://0300.0250.0.1/", "http://192.168..1/"]),
            ("http://foo/", vec!["http://foo/", "http://www.foo.com/"]),
            ("www.foo.com!", vec!["www.foo.com!", "http://www.foo.com!", "http://www.foo.com"]),
            (
                "http://google.com/url?q=http://bar.com/",
                vec!["http://google.com/url?q=http://bar.com/", "http://bar.com/"],
            ),
            ("http://x.com/r?http://bar.com/&y", vec!["http://x.com/r?http://bar.com/&y", "http://bar.com/"]),
            ("mailto:a@foo.com?subject=x", vec!["mailto:a@foo.com?subject=x", "mailto:a@foo.com"]),
            ("mailto:%20a@foo.com", vec!["mailto:%20a@foo.com", "mailto:a@foo.com"]),
            ("#top", vec!["#top"]),
        ] {
            let found: Vec<String> = canonical(uri.as_bytes(), std::slice::from_ref(&redirector), &some_suffixes())
                .iter()
                .map(|form| octets::lossy(form))
                .collect();
            assert_eq!(found, expected, "{uri}");
        }
    }
}
