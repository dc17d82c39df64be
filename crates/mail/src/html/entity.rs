//! Character references of HTML (WHATWG section 13.2.5.72 and following): `&amp;`, `&nbsp`, `&#8364;`, `&#x20ac`.

use std::borrow::Cow;
use std::sync::LazyLock;

/// Longest name in the table, `&CounterClockwiseContourIntegral;`.
const NAME_OCTETS_MAX: usize = 33;
/// Longest name that also counts without a semicolon, `&Aacute` and the like.
const LEGACY_OCTETS_MAX: usize = 7;

/// The names in the order of octets, with their text. Constant data, put in order once.
static NAMES: LazyLock<Vec<(&'static str, &'static str)>> = LazyLock::new(|| {
    let mut names: Vec<_> = entities::ENTITIES.iter().map(|entity| (entity.entity, entity.characters)).collect();
    names.sort_unstable();
    names
});

/// What windows-1252 has where Unicode has control characters: references to them mean these.
const WINDOWS_1252: [u16; 32] = [
    0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d,
    0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
    0x17e, 0x178,
];

/// `text` with its character references decoded. Within an attribute a name without semicolon counts only where it
/// cannot be part of a query string.
pub(crate) fn decode(text: &str, is_attribute: bool) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.find('&').and_then(|at| rest.split_at_checked(at)) {
        decoded.push_str(before);
        match reference(from, is_attribute) {
            Some((Reference::Text(text), length)) => {
                decoded.push_str(text);
                rest = from.get(length..).unwrap_or_default();
            }
            Some((Reference::Char(c), length)) => {
                decoded.push(c);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                decoded.push('&');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

enum Reference {
    Text(&'static str),
    Char(char),
}

/// The reference at the beginning of `from`, which is an ampersand, and its length.
fn reference(from: &str, is_attribute: bool) -> Option<(Reference, usize)> {
    if let Some(number) = from.strip_prefix("&#") {
        let (c, length) = numeric(number)?;
        return Some((Reference::Char(c), length + 2));
    }
    let name = from.get(1..)?.bytes().take(NAME_OCTETS_MAX).take_while(u8::is_ascii_alphanumeric).count() + 1;
    let after = from.as_bytes().get(name).copied();
    if after == Some(b';')
        && let Some(text) = look_up(from.get(..=name)?)
    {
        return Some((Reference::Text(text), name + 1));
    }
    for length in (2..=name.min(LEGACY_OCTETS_MAX)).rev() {
        let Some(text) = look_up(from.get(..length)?) else { continue };
        let next = from.as_bytes().get(length).copied().unwrap_or(b' ');
        let is_query = is_attribute && (next == b'=' || next.is_ascii_alphanumeric());
        return (!is_query).then_some((Reference::Text(text), length));
    }
    None
}

fn look_up(name: &str) -> Option<&'static str> {
    let index = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    NAMES.get(index).map(|(_, text)| *text)
}

/// The digits after `&#`, a semicolon included if there is one.
fn numeric(text: &str) -> Option<(char, usize)> {
    let (radix, prefix) = if text.starts_with(['x', 'X']) { (16, 1) } else { (10, 0) };
    let digits = text.get(prefix..)?.bytes().take_while(|b| char::from(*b).is_digit(radix)).count();
    if digits == 0 {
        return None;
    }
    let end = prefix + digits;
    let code = text.get(prefix..end)?.chars().filter_map(|c| c.to_digit(radix));
    let code = code.fold(0u32, |code, digit| code.saturating_mul(radix).saturating_add(digit));
    let code = match code {
        0x80..=0x9f => {
            usize::try_from(code - 0x80).ok().and_then(|i| WINDOWS_1252.get(i)).map_or(code, |c| u32::from(*c))
        }
        0 => 0xfffd,
        _ => code,
    };
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((c, end + usize::from(text.as_bytes().get(end) == Some(&b';'))))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn references_decode_as_in_browsers() {
        for (text, decoded, why) in [
            ("a &amp; b &lt;c&gt;", "a & b <c>", "with semicolons"),
            ("&notit; &notin;", "\u{ac}it; \u{2209}", "a legacy name within a longer word"),
            ("&#8364;&#x20AC;&#x20ac", "\u{20ac}\u{20ac}\u{20ac}", "numbers"),
            ("&#128;&#0;&#xD800;&#99999999999;", "\u{20ac}\u{fffd}\u{fffd}\u{fffd}", "numbers that are no characters"),
            ("& &; &#; &#x; &nosuch; &", "& &; &#; &#x; &nosuch; &", "no references"),
        ] {
            assert_eq!(decode(text, false), decoded, "{why}");
        }
        assert_eq!(decode("?a=1&copy=2&lt=3&amp;x&reg", true), "?a=1&copy=2&lt=3&x\u{ae}", "a query string");
    }
}
