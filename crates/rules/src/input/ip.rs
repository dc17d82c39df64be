//! Addresses in running text: where does one begin and end, is it private? The grammar is the generous one of `Received` readers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::octets::{is_word, starts_caseless};

/// The octets of an address that starts at `start` in `text`, or `None`. IPv6 may have the prefix `IPv6:`.
pub(crate) fn at(text: &[u8], start: usize) -> Option<&[u8]> {
    let rest = text.get(start..)?;
    let before = start.checked_sub(1).and_then(|before| text.get(before)).copied();
    if let Some(length) = v4_length(rest)
        && !before.is_some_and(|octet| is_word(octet) || octet == b':')
        && !rest.get(length).is_some_and(|&octet| is_word(octet))
    {
        return rest.get(..length);
    }
    let prefix = if starts_caseless(rest, b"ipv6:") { 5 } else { 0 };
    if prefix == 0 && before.is_some_and(|octet| octet.is_ascii_hexdigit() || octet == b':') {
        return None;
    }
    let length = v6_length(rest.get(prefix..)?)?;
    rest.get(..prefix + length)
}

/// Four decimal numbers, without leading zeros but for a lone one.
fn v4_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for part in 0..4 {
        if part > 0 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        at += octet_length(text.get(at..)?, part == 3)?;
    }
    Some(at)
}

/// Digits of one decimal number up to 255.
fn octet_length(text: &[u8], is_last: bool) -> Option<usize> {
    let digits = text.iter().take(4).take_while(|octet| octet.is_ascii_digit()).count();
    let value = text.iter().take(digits).fold(0_u32, |value, octet| value * 10 + u32::from(octet - b'0'));
    match (digits, text.first()) {
        (1, _) => Some(1),
        (2 | 3, Some(b'1'..=b'9')) if value <= 255 => Some(digits),
        // More digits follow than belong: a longer number is no octet, wherever it is cut.
        _ if is_last => None,
        _ => None,
    }
}

/// The longest run of hex digits, colons and a dotted tail that reads as IPv6.
fn v6_length(text: &[u8]) -> Option<usize> {
    let run =
        text.iter().take(45).take_while(|octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.')).count();
    let followed = |length: usize| text.get(length).is_some_and(|&octet| octet.is_ascii_hexdigit() || octet == b':');
    let candidate = |length: &usize| {
        let piece = text.get(..*length).and_then(|piece| std::str::from_utf8(piece).ok());
        !followed(*length) && piece.is_some_and(|piece| piece.contains(':') && piece.parse::<Ipv6Addr>().is_ok())
    };
    (2..=run).rev().find(candidate)
}

/// Whether all of `text` is one address.
pub(crate) fn is_address(text: &[u8]) -> bool {
    at(text, 0).is_some_and(|found| found.len() == text.len())
}

/// Whether all of `text` is one IPv4 address.
pub(crate) fn is_v4(text: &[u8]) -> bool {
    v4_length(text) == Some(text.len())
}

/// The first address in `text`.
pub(crate) fn first(text: &[u8]) -> Option<&[u8]> {
    // Quick way out: every address has a digit before a dot, or a colon.
    (0..text.len()).filter(|&start| may_start(text, start)).find_map(|start| at(text, start))
}

fn may_start(text: &[u8], start: usize) -> bool {
    text.get(start).is_some_and(|octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'i' | b'I'))
}

/// The first address in `text` that is not part of a longer dotted name.
pub(crate) fn first_alone(text: &[u8]) -> Option<&[u8]> {
    (0..text.len()).filter(|&start| may_start(text, start)).find_map(|start| {
        let before = start.checked_sub(1).and_then(|before| text.get(before)).copied();
        let found = at(text, start)?;
        let after = text.get(start + found.len()).copied();
        // A word begins or ends at either side, and no dot joins the address to more.
        let first_is_word = is_word(*found.first()?);
        let last_is_word = is_word(*found.last()?);
        let begins = before.is_some_and(is_word) != first_is_word && before != Some(b'.');
        let ends = after.is_some_and(is_word) != last_is_word && after != Some(b'.');
        (begins && ends).then_some(found)
    })
}

/// `text` as an address, the `IPv6:` prefix removed; an IPv4 address written as IPv6 is IPv4.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = if starts_caseless(text, b"ipv6:") { text.get(5..)? } else { text };
    let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// Whether an address of text is private, local or shared space (RFC 1918, 1122, 3927, 6598, 4291).
pub(crate) fn is_private(text: &[u8]) -> bool {
    match parse(text) {
        Some(IpAddr::V4(address)) => is_private_v4(address),
        Some(IpAddr::V6(address)) => address.is_loopback() || is_link_local(address),
        None => false,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, _, _] = address.octets();
    address.is_private() || address.is_loopback() || address.is_link_local() || (first == 100 && second & 0xc0 == 64)
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments().first().is_some_and(|first| first & 0xffc0 == 0xfe80)
}

/// Octets (IPv4) or nibbles (IPv6) in reverse order, joined by dots, for look-ups (RFC 5782 section 2).
pub(crate) fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, fourth] = address.octets();
            format!("{fourth}.{third}.{second}.{first}")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_text() {
        for (text, expected) in [
            (&b"[192.0.2.1]"[..], Some(&b"192.0.2.1"[..])),
            (b"a1.2.3.4.5", Some(b"2.3.4.5")),
            (b"256.1.1.1", None),
            (b"192.0.02.1", None),
            (b"IPv6:2001:db8::1]", Some(b"IPv6:2001:db8::1")),
            (b"(::ffff:192.0.2.1)", Some(b"::ffff:192.0.2.1")),
            (b"::1", Some(b"::1")),
            (b"10:20", None),
        ] {
            assert_eq!(first(text), expected, "{}", String::from_utf8_lossy(text));
        }
        assert!(
            is_private(b"10.1.2.3") && is_private(b"100.64.0.1") && is_private(b"fe80::1") && !is_private(b"192.0.2.1")
        );
        assert_eq!(
            reversed("2001:db8::1".parse().unwrap()),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
        );
        assert_eq!(first_alone(b"1.2.3.4.example and 192.0.2.9 "), Some(&b"192.0.2.9"[..]));
    }
}
