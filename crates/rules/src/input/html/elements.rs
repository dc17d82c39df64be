//! The elements that are known, found by name without making one in lower case: most of a newsletter is tags.

use std::sync::LazyLock;

use super::style::Element;

/// Elements of HTML 4.01 and XHTML 1.0, and a few others that count as valid.
const VALID: &str = "a abbr acronym address applet area b base basefont bdo big blockquote body br button caption center cite code col \
colgroup dd del dfn dir div dl dt em fieldset font form frame frameset h1 h2 h3 h4 h5 h6 head hr html i iframe img input ins isindex \
kbd label legend li link map menu meta nobr noframes noscript object ol optgroup option p param pre q s samp script select small span \
strike strong style sub sup table tbody td textarea tfoot th thead title tr tt u ul var x-sigsep x-tab";
/// Elements that are rendered, though they do not count as valid.
const TRICKS: &str = "bgsound embed listing plaintext xmp";
/// The longest name whose octets fit into a key.
const KEY_OCTETS_MAX: usize = 16;

/// An element that is rendered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) is_valid: bool,
    /// How it changes the style of text, if it does.
    pub(super) style: Option<Element>,
    /// The white space that it stands for.
    pub(super) space: &'static str,
}

/// All of them, each with the key of its name, in the order of the keys.
static KNOWN: LazyLock<Vec<(u128, Known)>> = LazyLock::new(|| {
    let known = |name: &'static str, is_valid| {
        let element = Known { name, is_valid, style: Element::of(name), space: white_space(name) };
        (key(name.as_bytes()).unwrap_or_default(), element)
    };
    let valid = VALID.split(' ').map(|name| known(name, true));
    let mut all: Vec<_> = valid.chain(TRICKS.split(' ').map(|name| known(name, false))).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
});

/// How many there are.
pub(super) fn count() -> usize {
    KNOWN.len()
}

/// The element that is called `tag`, in either case, and its number.
pub(super) fn find(tag: &[u8]) -> Option<(usize, &'static Known)> {
    let key = key(tag)?;
    let index = KNOWN.binary_search_by_key(&key, |(known, _)| *known).ok()?;
    KNOWN.get(index).map(|(_, known)| (index, known))
}

/// The names by their numbers.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(_, known)| known.name)
}

/// The octets of a name in lower case as one number. No name begins with NUL, so different names have different ones.
fn key(name: &[u8]) -> Option<u128> {
    (name.len() <= KEY_OCTETS_MAX)
        .then(|| name.iter().fold(0, |key, octet| key << 8 | u128::from(octet.to_ascii_lowercase())))
}

fn white_space(tag: &str) -> &'static str {
    match tag {
        "br" | "div" => "\n",
        "li" | "td" | "th" | "dd" | "dt" | "embed" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => " ",
        "p" | "hr" | "blockquote" | "pre" | "listing" | "plaintext" | "xmp" | "title" => "\n\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_either_case() {
        for name in VALID.split(' ').chain(TRICKS.split(' ')) {
            let found = find(name.to_ascii_uppercase().as_bytes()).expect(name);
            assert_eq!(found.1.name, name);
            assert_eq!(names().nth(found.0), Some(name));
        }
        assert_eq!(names().count(), count());
        for name in ["", "bb", "blah", "a\0", "blockquoteblockquote", "marquee"] {
            assert!(find(name.as_bytes()).is_none(), "{name}");
        }
    }
}
