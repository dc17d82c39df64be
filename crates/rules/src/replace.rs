//! Replacement of `<TAG>` in the patterns of `replace_rules`, with what stands before, between and after the tags.

use crate::language::Replacements;
use crate::language::rule::PatternText;
use crate::pattern::Modifiers;

/// Replacements may hold tags themselves, this deep.
const PASSES_MAX: usize = 6;
/// Longest pattern that replacing may build.
const PATTERN_OCTETS_MAX: usize = 256 * 1024;

/// `pattern` with its tags replaced. Modifiers become part of the source, as SpamAssassin has them there when it replaces.
#[must_use]
pub(crate) fn replace_tags(pattern: &PatternText, replacements: &Replacements) -> PatternText {
    let mut source = inline_modifiers(pattern);
    for _ in 0..PASSES_MAX {
        let (next, is_done) = replace_once(&source, replacements);
        if next.len() > PATTERN_OCTETS_MAX {
            break;
        }
        source = next;
        if is_done {
            break;
        }
    }
    PatternText { source, modifiers: Modifiers::default() }
}

/// The pattern's source with its modifiers inside.
fn inline_modifiers(pattern: &PatternText) -> Vec<u8> {
    let Modifiers { caseless, multi_line, dot_all, extended } = pattern.modifiers;
    let letters: String = [('i', caseless), ('m', multi_line), ('s', dot_all), ('x', extended)]
        .into_iter()
        .filter_map(|(letter, is_set)| is_set.then_some(letter))
        .collect();
    let prefix = if letters.is_empty() { String::new() } else { format!("(?{letters})") };
    [prefix.as_bytes(), &pattern.source].concat()
}

/// One pass; whether no replacement held a tag again.
fn replace_once(source: &[u8], replacements: &Replacements) -> (Vec<u8>, bool) {
    let mut source = source.to_vec();
    let pre = take_modifier(&mut source, b"<pre ").and_then(|name| replacements.pre.get(&name));
    let post = take_modifier(&mut source, b"<post ").and_then(|name| replacements.post.get(&name));
    let inter = take_modifier(&mut source, b"<inter ").and_then(|name| replacements.inter.get(&name));
    let mut replaced = Vec::with_capacity(source.len() * 4);
    let mut is_done = true;
    for piece in pieces(&source) {
        let Some(name) =
            piece.strip_prefix(b"<").and_then(|piece| piece.strip_suffix(b">")).filter(|name| !name.is_empty())
        else {
            replaced.extend_from_slice(if piece.is_empty() { inter.map_or(&[], Vec::as_slice) } else { piece });
            continue;
        };
        replaced.extend_from_slice(pre.map_or(&[], Vec::as_slice));
        match std::str::from_utf8(name).ok().and_then(|name| replacements.tags.get(name)) {
            Some(tag) => {
                is_done &= !holds_tag(tag);
                replaced.extend_from_slice(tag);
            }
            None => replaced.extend_from_slice(piece),
        }
        replaced.extend_from_slice(post.map_or(&[], Vec::as_slice));
    }
    (replaced, is_done)
}

/// Cuts the first `<pre NAME>` (or post, inter) out of the source.
fn take_modifier(source: &mut Vec<u8>, mark: &[u8]) -> Option<String> {
    let start = memchr::memmem::find(source, mark)?;
    let name_start = start + mark.len();
    let length = memchr::memchr(b'>', source.get(name_start..)?)?;
    let name = String::from_utf8_lossy(source.get(name_start..name_start + length)?).into_owned();
    source.drain(start..=name_start + length);
    Some(name)
}

/// Text and tags in turn, beginning with text: text between two tags that touch is empty. Empty text at the end is left out.
fn pieces(source: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut text_start = 0;
    let mut at = 0;
    while let Some(found) = source.get(at..).and_then(|rest| memchr::memchr(b'<', rest)) {
        let start = at + found;
        let inner = source.get(start + 1..).unwrap_or_default();
        match inner.iter().position(|b| matches!(b, b'<' | b'>')) {
            Some(length) if length > 0 && inner.get(length) == Some(&b'>') => {
                let end = start + length + 2;
                pieces.push(source.get(text_start..start).unwrap_or_default());
                pieces.push(source.get(start..end).unwrap_or_default());
                (text_start, at) = (end, end);
            }
            _ => at = start + 1,
        }
    }
    let tail = source.get(text_start..).unwrap_or_default();
    if !tail.is_empty() {
        pieces.push(tail);
    }
    pieces
}

fn holds_tag(text: &[u8]) -> bool {
    pieces(text).iter().any(|piece| piece.starts_with(b"<") && piece.ends_with(b">"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(source: &str, caseless: bool) -> String {
        let mut replacements = Replacements::default();
        for (name, text) in [("A", "[a4]"), ("B", "[b8]"), ("AB", "<A><B>")] {
            replacements.tags.insert(name.to_owned(), text.as_bytes().to_vec());
        }
        replacements.inter.insert("W".to_owned(), b"\\W?".to_vec());
        replacements.post.insert("P".to_owned(), b"+".to_vec());
        let modifiers = Modifiers { caseless, ..Modifiers::default() };
        let pattern = PatternText { source: source.as_bytes().to_vec(), modifiers };
        String::from_utf8(replace_tags(&pattern, &replacements).source).unwrap()
    }

    #[test]
    fn tags_gaps_and_endings() {
        for (source, caseless, expected) in [
            ("x<A>y", false, "x[a4]y"),
            ("<inter W><post P>\\b<A><B>\\b", true, "(?i)\\b[a4]+\\W?[b8]+\\b"),
            // Without modifiers the text before the first tag is empty, and takes the gap as SpamAssassin's does.
            ("<inter W><A><B>", false, "\\W?[a4]\\W?[b8]"),
            ("<AB>", true, "(?i)[a4][b8]"),
            ("(?<!x)<A>(?<=y)<Z>", false, "(?<!x)[a4](?<=y)<Z>"),
            ("<>", false, "<>"),
        ] {
            assert_eq!(replaced(source, caseless), expected, "{source}");
        }
    }
}
