//! Character references of HTML (`&eacute;`, `&#233;`), as Perl's HTML::Parser 3.81 replaces them.

use std::borrow::Cow;

/// White space between attributes: Perl's `\s` on octets.
pub(crate) fn is_html_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A text and whether Perl holds it as characters. If not, all of it is below U+0100, one octet each, and is written out as such.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) is_wide: bool,
}

/// Replaces the references in `text`. In running text, a name that only begins with a known one counts as that (`&ltx`).
pub(crate) fn decode(text: &str, is_wide: bool, expand_prefix: bool) -> Decoded<'_> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Decoded { text: Cow::Borrowed(text), is_wide };
    }
    let mut decoded = Decoded { text: Cow::Owned(String::with_capacity(text.len())), is_wide };
    let mut rest = text;
    let mut high_surrogate = None;
    while let Some((before, after)) = rest.split_once('&') {
        push(&mut decoded, before);
        if !before.is_empty() {
            high_surrogate = None;
        }
        match reference(after, decoded.is_wide, expand_prefix) {
            Some((value, used)) => {
                push_value(&mut decoded, value, &mut high_surrogate);
                rest = after.get(used..).unwrap_or_default();
                rest = rest.strip_prefix(';').unwrap_or(rest);
            }
            None => {
                push(&mut decoded, "&");
                high_surrogate = None;
                rest = after;
            }
        }
    }
    push(&mut decoded, rest);
    decoded
}

fn push(decoded: &mut Decoded<'_>, text: &str) {
    decoded.text.to_mut().push_str(text);
}

/// Adds one character. Two references to surrogates in a row are one character; the first was put down as U+FFFD.
fn push_value(decoded: &mut Decoded<'_>, value: u32, high_surrogate: &mut Option<u32>) {
    let char = match (value, high_surrogate.take()) {
        (0xd800..=0xdbff, _) => {
            *high_surrogate = Some(value);
            None
        }
        (0xdc00..=0xdfff, Some(high)) => {
            decoded.text.to_mut().pop();
            char::from_u32(((high - 0xd800) << 10) + (value - 0xdc00) + 0x1_0000)
        }
        (0xfdd0..=0xfdef, _) => None,
        _ if value & 0xfffe == 0xfffe => None,
        _ => char::from_u32(value),
    };
    decoded.is_wide |= value > 0xff;
    decoded.text.to_mut().push(char.unwrap_or('\u{fffd}'));
}

/// The number of the character that a reference stands for, and its length after `&`, without the semicolon.
fn reference(after: &str, is_wide: bool, expand_prefix: bool) -> Option<(u32, usize)> {
    if let Some(number) = after.strip_prefix('#') {
        let (value, used) = numeric(number)?;
        let is_illegal = value == 0 || ((is_wide || value > 0xff) && matches!(value, 0xfffe | 0xffff));
        return (!is_illegal).then_some((value, used + 1));
    }
    let length = after.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let name = after.get(..length)?;
    let is_closed = after.as_bytes().get(length) == Some(&b';');
    if let Some(char) = named(name, is_closed) {
        return Some((u32::from(char), length));
    }
    if !expand_prefix {
        return None;
    }
    let longest = (1..length.min(NAME_OCTETS_MAX + 1)).rev();
    longest.into_iter().find_map(|length| named(name.get(..length)?, false).map(|char| (u32::from(char), length)))
}

fn numeric(number: &str) -> Option<(u32, usize)> {
    let (radix, digits, skipped) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits, 1),
        None => (10, number, 0),
    };
    let length = digits.bytes().take_while(|octet| char::from(*octet).is_digit(radix)).count();
    let value = digits.bytes().take(length).try_fold(0_u32, |value, octet| {
        let value = value * radix + char::from(octet).to_digit(radix)?;
        (value <= 0x10_ffff).then_some(value)
    });
    if length == 0 { None } else { value.map(|value| (value, length + skipped)) }
}

const NAME_OCTETS_MAX: usize = 8;

/// Names of Latin-1 characters need no semicolon, the others do.
fn named(name: &str, is_closed: bool) -> Option<char> {
    let index = ENTITIES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    let (_, char) = ENTITIES.get(index)?;
    (is_closed || u32::from(*char) < 0x100).then_some(*char)
}

/// The names of HTML 4 (and `apos` of XML).
static ENTITIES: [(&str, char); 253] = [
    ("AElig", '\u{c6}'),
    ("Aacute", '\u{c1}'),
    ("Acirc", '\u{c2}'),
    ("Agrave", '\u{c0}'),
    ("Alpha", '\u{391}'),
    ("Aring", '\u{c5}'),
    ("Atilde", '\u{c3}'),
    ("Auml", '\u{c4}'),
    ("Beta", '\u{392}'),
    ("Ccedil", '\u{c7}'),
    ("Chi", '\u{3a7}'),
    ("Dagger", '\u{2021}'),
    ("Delta", '\u{394}'),
    ("ETH", '\u{d0}'),
    ("Eacute", '\u{c9}'),
    ("Ecirc", '\u{ca}'),
    ("Egrave", '\u{c8}'),
    ("Epsilon", '\u{395}'),
    ("Eta", '\u{397}'),
    ("Euml", '\u{cb}'),
    ("Gamma", '\u{393}'),
    ("Iacute", '\u{cd}'),
    ("Icirc", '\u{ce}'),
    ("Igrave", '\u{cc}'),
    ("Iota", '\u{399}'),
    ("Iuml", '\u{cf}'),
    ("Kappa", '\u{39a}'),
    ("Lambda", '\u{39b}'),
    ("Mu", '\u{39c}'),
    ("Ntilde", '\u{d1}'),
    ("Nu", '\u{39d}'),
    ("OElig", '\u{152}'),
    ("Oacute", '\u{d3}'),
    ("Ocirc", '\u{d4}'),
    ("Ograve", '\u{d2}'),
    ("Omega", '\u{3a9}'),
    ("Omicron", '\u{39f}'),
    ("Oslash", '\u{d8}'),
    ("Otilde", '\u{d5}'),
    ("Ouml", '\u{d6}'),
    ("Phi", '\u{3a6}'),
    ("Pi", '\u{3a0}'),
    ("Prime", '\u{2033}'),
    ("Psi", '\u{3a8}'),
    ("Rho", '\u{3a1}'),
    ("Scaron", '\u{160}'),
    ("Sigma", '\u{3a3}'),
    ("THORN", '\u{de}'),
    ("Tau", '\u{3a4}'),
    ("Theta", '\u{398}'),
    ("Uacute", '\u{da}'),
    ("Ucirc", '\u{db}'),
    ("Ugrave", '\u{d9}'),
    ("Upsilon", '\u{3a5}'),
    ("Uuml", '\u{dc}'),
    ("Xi", '\u{39e}'),
    ("Yacute", '\u{dd}'),
    ("Yuml", '\u{178}'),
    ("Zeta", '\u{396}'),
    ("aacute", '\u{e1}'),
    ("acirc", '\u{e2}'),
    ("acute", '\u{b4}'),
    ("aelig", '\u{e6}'),
    ("agrave", '\u{e0}'),
    ("alefsym", '\u{2135}'),
    ("alpha", '\u{3b1}'),
    ("amp", '\u{26}'),
    ("and", '\u{2227}'),
    ("ang", '\u{2220}'),
    ("apos", '\u{27}'),
    ("aring", '\u{e5}'),
    ("asymp", '\u{2248}'),
    ("atilde", '\u{e3}'),
    ("auml", '\u{e4}'),
    ("bdquo", '\u{201e}'),
    ("beta", '\u{3b2}'),
    ("brvbar", '\u{a6}'),
    ("bull", '\u{2022}'),
    ("cap", '\u{2229}'),
    ("ccedil", '\u{e7}'),
    ("cedil", '\u{b8}'),
    ("cent", '\u{a2}'),
    ("chi", '\u{3c7}'),
    ("circ", '\u{2c6}'),
    ("clubs", '\u{2663}'),
    ("cong", '\u{2245}'),
    ("copy", '\u{a9}'),
    ("crarr", '\u{21b5}'),
    ("cup", '\u{222a}'),
    ("curren", '\u{a4}'),
    ("dArr", '\u{21d3}'),
    ("dagger", '\u{2020}'),
    ("darr", '\u{2193}'),
    ("deg", '\u{b0}'),
    ("delta", '\u{3b4}'),
    ("diams", '\u{2666}'),
    ("divide", '\u{f7}'),
    ("eacute", '\u{e9}'),
    ("ecirc", '\u{ea}'),
    ("egrave", '\u{e8}'),
    ("empty", '\u{2205}'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("epsilon", '\u{3b5}'),
    ("equiv", '\u{2261}'),
    ("eta", '\u{3b7}'),
    ("eth", '\u{f0}'),
    ("euml", '\u{eb}'),
    ("euro", '\u{20ac}'),
    ("exist", '\u{2203}'),
    ("fnof", '\u{192}'),
    ("forall", '\u{2200}'),
    ("frac12", '\u{bd}'),
    ("frac14", '\u{bc}'),
    ("frac34", '\u{be}'),
    ("frasl", '\u{2044}'),
    ("gamma", '\u{3b3}'),
    ("ge", '\u{2265}'),
    ("gt", '\u{3e}'),
    ("hArr", '\u{21d4}'),
    ("harr", '\u{2194}'),
    ("hearts", '\u{2665}'),
    ("hellip", '\u{2026}'),
    ("iacute", '\u{ed}'),
    ("icirc", '\u{ee}'),
    ("iexcl", '\u{a1}'),
    ("igrave", '\u{ec}'),
    ("image", '\u{2111}'),
    ("infin", '\u{221e}'),
    ("int", '\u{222b}'),
    ("iota", '\u{3b9}'),
    ("iquest", '\u{bf}'),
    ("isin", '\u{2208}'),
    ("iuml", '\u{ef}'),
    ("kappa", '\u{3ba}'),
    ("lArr", '\u{21d0}'),
    ("lambda", '\u{3bb}'),
    ("lang", '\u{2329}'),
    ("laquo", '\u{ab}'),
    ("larr", '\u{2190}'),
    ("lceil", '\u{2308}'),
    ("ldquo", '\u{201c}'),
    ("le", '\u{2264}'),
    ("lfloor", '\u{230a}'),
    ("lowast", '\u{2217}'),
    ("loz", '\u{25ca}'),
    ("lrm", '\u{200e}'),
    ("lsaquo", '\u{2039}'),
    ("lsquo", '\u{2018}'),
    ("lt", '\u{3c}'),
    ("macr", '\u{af}'),
    ("mdash", '\u{2014}'),
    ("micro", '\u{b5}'),
    ("middot", '\u{b7}'),
    ("minus", '\u{2212}'),
    ("mu", '\u{3bc}'),
    ("nabla", '\u{2207}'),
    ("nbsp", '\u{a0}'),
    ("ndash", '\u{2013}'),
    ("ne", '\u{2260}'),
    ("ni", '\u{220b}'),
    ("not", '\u{ac}'),
    ("notin", '\u{2209}'),
    ("nsub", '\u{2284}'),
    ("ntilde", '\u{f1}'),
    ("nu", '\u{3bd}'),
    ("oacute", '\u{f3}'),
    ("ocirc", '\u{f4}'),
    ("oelig", '\u{153}'),
    ("ograve", '\u{f2}'),
    ("oline", '\u{203e}'),
    ("omega", '\u{3c9}'),
    ("omicron", '\u{3bf}'),
    ("oplus", '\u{2295}'),
    ("or", '\u{2228}'),
    ("ordf", '\u{aa}'),
    ("ordm", '\u{ba}'),
    ("oslash", '\u{f8}'),
    ("otilde", '\u{f5}'),
    ("otimes", '\u{2297}'),
    ("ouml", '\u{f6}'),
    ("para", '\u{b6}'),
    ("part", '\u{2202}'),
    ("permil", '\u{2030}'),
    ("perp", '\u{22a5}'),
    ("phi", '\u{3c6}'),
    ("pi", '\u{3c0}'),
    ("piv", '\u{3d6}'),
    ("plusmn", '\u{b1}'),
    ("pound", '\u{a3}'),
    ("prime", '\u{2032}'),
    ("prod", '\u{220f}'),
    ("prop", '\u{221d}'),
    ("psi", '\u{3c8}'),
    ("quot", '\u{22}'),
    ("rArr", '\u{21d2}'),
    ("radic", '\u{221a}'),
    ("rang", '\u{232a}'),
    ("raquo", '\u{bb}'),
    ("rarr", '\u{2192}'),
    ("rceil", '\u{2309}'),
    ("rdquo", '\u{201d}'),
    ("real", '\u{211c}'),
    ("reg", '\u{ae}'),
    ("rfloor", '\u{230b}'),
    ("rho", '\u{3c1}'),
    ("rlm", '\u{200f}'),
    ("rsaquo", '\u{203a}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("scaron", '\u{161}'),
    ("sdot", '\u{22c5}'),
    ("sect", '\u{a7}'),
    ("shy", '\u{ad}'),
    ("sigma", '\u{3c3}'),
    ("sigmaf", '\u{3c2}'),
    ("sim", '\u{223c}'),
    ("spades", '\u{2660}'),
    ("sub", '\u{2282}'),
    ("sube", '\u{2286}'),
    ("sum", '\u{2211}'),
    ("sup", '\u{2283}'),
    ("sup1", '\u{b9}'),
    ("sup2", '\u{b2}'),
    ("sup3", '\u{b3}'),
    ("supe", '\u{2287}'),
    ("szlig", '\u{df}'),
    ("tau", '\u{3c4}'),
    ("there4", '\u{2234}'),
    ("theta", '\u{3b8}'),
    ("thetasym", '\u{3d1}'),
    ("thinsp", '\u{2009}'),
    ("thorn", '\u{fe}'),
    ("tilde", '\u{2dc}'),
    ("times", '\u{d7}'),
    ("trade", '\u{2122}'),
    ("uArr", '\u{21d1}'),
    ("uacute", '\u{fa}'),
    ("uarr", '\u{2191}'),
    ("ucirc", '\u{fb}'),
    ("ugrave", '\u{f9}'),
    ("uml", '\u{a8}'),
    ("upsih", '\u{3d2}'),
    ("upsilon", '\u{3c5}'),
    ("uuml", '\u{fc}'),
    ("weierp", '\u{2118}'),
    ("xi", '\u{3be}'),
    ("yacute", '\u{fd}'),
    ("yen", '\u{a5}'),
    ("yuml", '\u{ff}'),
    ("zeta", '\u{3b6}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (text, expand, expected, wide) in [
            ("a &eacute; b", true, "a \u{e9} b", false),
            ("&eacute &hellip; &hellip", true, "\u{e9} \u{2026} &hellip", true),
            ("&ltx &nbspy", true, "<x \u{a0}y", false),
            ("?a=1&copyx=2", false, "?a=1&copyx=2", false),
            ("&#65 &#x41; &#0; &#x110000;", true, "A A &#0; &#x110000;", false),
            ("&#xd83d;&#xde00;", true, "\u{1f600}", true),
            ("&#150;", true, "\u{96}", false),
            ("& &; &#; &bogus;", true, "& &; &#; &bogus;", false),
        ] {
            let decoded = decode(text, false, expand);
            assert_eq!((decoded.text.as_ref(), decoded.is_wide), (expected, wide), "{text}");
        }
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(ENTITIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
