//! Patterns with tags in them (`%{NAME}`), which captures of other rules fill.

use crate::pattern::{Modifiers, Pattern};
use crate::prefilter::{formula, syntax};

/// A pattern, perhaps with tags that captures of other rules fill.
#[derive(Debug)]
pub(crate) struct Template {
    /// The pattern; with tags unfilled it is only checked, never matched.
    pub(crate) pattern: Pattern,
    /// Source and names of the tags, for a pattern that has some.
    pub(crate) tags: Option<Box<TagTemplate>>,
    /// Whether the pattern has groups whose names fill tags.
    pub(crate) captures: bool,
}

/// A pattern's source with `%{NAME}` in it.
#[derive(Debug)]
pub(crate) struct TagTemplate {
    pub(crate) source: Vec<u8>,
    pub(crate) modifiers: Modifiers,
    pub(crate) names: Vec<String>,
    /// A tag of which a value stands in each match.
    pub(crate) required: Option<String>,
}

/// Escapes each `%{NAME}` so that the pattern compiles, and lists the names.
pub(crate) fn find_tags(source: &[u8]) -> (Vec<u8>, Vec<String>) {
    let mut escaped = Vec::with_capacity(source.len());
    let mut names = Vec::new();
    let mut rest = source;
    while let Some(at) = memchr::memmem::find(rest, b"%{") {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        escaped.extend_from_slice(before);
        let inner = after.get(2..).unwrap_or_default();
        let end = memchr::memchr(b'}', inner).unwrap_or(inner.len());
        let name = std::str::from_utf8(inner.get(..end).unwrap_or_default()).unwrap_or_default();
        if before.last() == Some(&b'\\') || !is_filled(name) || end == inner.len() {
            escaped.extend_from_slice(b"%{");
            rest = inner;
            continue;
        }
        escaped.extend_from_slice(&mark_of(name));
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    escaped.extend_from_slice(rest);
    (escaped, names)
}

/// `NAME` or `NAME(argument)`; anything else in braces is part of the pattern.
fn is_filled(tag: &str) -> bool {
    match tag.split_once('(') {
        None => is_tag_name(tag),
        Some((name, rest)) => {
            is_tag_name(name) && rest.strip_suffix(')').is_some_and(|argument| !argument.contains(')'))
        }
    }
}

/// Whether each match of the pattern holds a value of the tag.
pub(crate) fn is_required(name: &str, source: &[u8], modifiers: Modifiers) -> bool {
    // Octets that no rule asks for stand for the value.
    const VALUE: &[u8] = b"\x02\x02\x02";
    let source = replace_all(source, &mark_of(name), VALUE);
    syntax::parse(&source, modifiers).is_some_and(|tree| formula::needs(&formula::of(&tree), VALUE))
}

/// `A`, `AB_C2`: what a capture must be called to fill a tag.
pub(crate) fn is_tag_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether the pattern may have groups with names.
pub(crate) fn has_names(source: &[u8]) -> bool {
    ["(?<", "(?P<", "(?'"].iter().any(|mark| memchr::memmem::find(source, mark.as_bytes()).is_some())
}

/// How a tag stands in a pattern that compiles.
pub(crate) fn mark_of(name: &str) -> Vec<u8> {
    format!("%\\{{{name}\\}}").into_bytes()
}

pub(crate) fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}
