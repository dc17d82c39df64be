//! A large pattern, loosened so that a linear-time engine can say quickly where it cannot match.

use std::fmt::Write;
use std::sync::OnceLock;

use super::syntax::{self, Node, OctetSet, length_min};
use crate::pattern::Pattern;

/// Smaller trees are verified by their own engine as quickly.
const NODES_MIN: usize = 150;
/// Larger counts become "so often or more".
const COUNT_MAX: u32 = 6;
/// Memory that one automaton may take when it is built.
const AUTOMATON_OCTETS_MAX: usize = 64 << 20;
/// Memory that one automaton may take while it runs. With less, states are made again and again.
const STATES_OCTETS_MAX: usize = 4 << 20;

/// A loosened pattern. Its automaton is built when it is first asked.
#[derive(Debug)]
pub(crate) struct Relaxed {
    pattern: Pattern,
    /// `None` when it has no room.
    automaton: OnceLock<Option<regex::bytes::Regex>>,
}

/// Whether something can be won: not when the tree is small, or nothing is left of it.
pub(crate) fn is_worthwhile(node: &Node) -> bool {
    size(node) >= NODES_MIN && length_min(node) > 0
}

impl Relaxed {
    /// What matches wherever `pattern` does, whose tree is worthwhile.
    pub(crate) fn of(pattern: &Pattern) -> Relaxed {
        Relaxed { pattern: pattern.clone(), automaton: OnceLock::new() }
    }

    /// Whether the pattern may match in `text`.
    pub(crate) fn may_match(&self, text: &[u8]) -> bool {
        let automaton = self.automaton.get_or_init(|| {
            let mut source = String::new();
            write(&syntax::parse(self.pattern.source(), self.pattern.modifiers())?, &mut source);
            regex::bytes::RegexBuilder::new(&source)
                .unicode(false)
                .dot_matches_new_line(true)
                .size_limit(AUTOMATON_OCTETS_MAX)
                .dfa_size_limit(STATES_OCTETS_MAX)
                .build()
                .ok()
        });
        automaton.as_ref().is_none_or(|automaton| automaton.is_match(text))
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::Empty | Node::Class(_) | Node::Any => 1,
        Node::NotAhead(_) => 0,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().map(size).sum(),
        Node::Repeat { node, .. } => size(node),
    }
}

fn write(node: &Node, source: &mut String) {
    match node {
        Node::Empty | Node::NotAhead(_) => source.push_str("(?:)"),
        Node::Any => source.push_str(".*"),
        Node::Class(set) => write_class(*set, source),
        Node::Concat(nodes) => nodes.iter().for_each(|node| write(node, source)),
        Node::Alternate(nodes) => {
            source.push_str("(?:");
            for (number, node) in nodes.iter().enumerate() {
                if number > 0 {
                    source.push('|');
                }
                write(node, source);
            }
            source.push(')');
        }
        Node::Repeat { node, min, max } => {
            source.push_str("(?:");
            write(node, source);
            source.push(')');
            let least = (*min).min(COUNT_MAX);
            // Writing into a String cannot fail.
            let _ = match max {
                Some(1) if least == 0 => write!(source, "?"),
                Some(most) if *most <= COUNT_MAX => write!(source, "{{{least},{most}}}"),
                _ => write!(source, "{{{least},}}"),
            };
        }
    }
}

fn write_class(set: OctetSet, source: &mut String) {
    source.push('[');
    let mut octets = set.octets().peekable();
    if octets.peek().is_none() {
        // A class of nothing.
        source.push_str("^\\x00-\\xff");
    }
    while let Some(low) = octets.next() {
        let mut high = low;
        while octets.peek().is_some_and(|next| Some(*next) == high.checked_add(1)) {
            high = octets.next().unwrap_or(high);
        }
        let _ = write!(source, "\\x{low:02x}-\\x{high:02x}");
    }
    source.push(']');
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;
    use crate::pattern::Modifiers;
    use proptest::prelude::*;

    fn relaxed(source: &str) -> Option<Relaxed> {
        let words = "lorem|ipsum|dolor|sit|amet|consectetur|adipiscing|elit|sed|do|eiusmod|tempor|incididunt|ut|labore|et|dolore|magna|aliqua";
        let source = source.replace('W', &format!("(?:{words}|{words})"));
        let pattern = Pattern::compile(source.as_bytes(), Modifiers::default()).unwrap();
        is_worthwhile(&parse(source.as_bytes(), Modifiers::default()).unwrap()).then(|| Relaxed::of(&pattern))
    }

    #[test]
    fn only_large_patterns_that_ask_for_something() {
        assert!(relaxed("abc").is_none());
        assert!(relaxed("W?").is_none());
        let form = relaxed("(?:W[: ]{1,20}){5}").unwrap();
        assert!(form.may_match(b"a lorem: ipsum:      dolor:sit amet: b") && !form.may_match(b"a lorem: ipsum: b"));
    }

    proptest! {
        #[test]
        fn each_match_is_let_through(text in "(?:(?:a|bc|cd)[: ]{0,3}|x){0,12}") {
            let source = "(?:(?:a|bc|[c-e]d?)(?!q)[: ]{1,3}){3}\\b";
            let modifiers = Modifiers::default();
            let tree = parse(source.as_bytes(), modifiers).unwrap();
            let mut loosened = String::new();
            write(&tree, &mut loosened);
            let loosened = regex::bytes::RegexBuilder::new(&loosened).unicode(false).build().unwrap();
            if Pattern::compile(source.as_bytes(), modifiers).unwrap().is_match(text.as_bytes()) == Ok(true) {
                prop_assert!(loosened.is_match(text.as_bytes()), "{text:?}");
            }
        }
    }
}
