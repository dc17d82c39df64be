//! A large pattern, loosened so that a linear-time engine can say quickly where it cannot match.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax as engine_syntax;
use regex_automata::{Input, MatchKind};

use super::syntax::{self, Edge, Node, OctetSet, length_min};
use crate::pattern::Pattern;

/// Smaller trees are verified by their own engine as quickly.
const NODES_MIN: usize = 150;
/// Larger counts become "so often or more".
const COUNT_MAX: u32 = 6;
/// Memory that one automaton may take when it is built.
const AUTOMATON_OCTETS_MAX: usize = 64 << 20;
/// Memory that one automaton may take while it runs. With less, states are made again and again.
const STATES_OCTETS_MAX: usize = 4 << 20;

/// A text for which the states had to be made anew so often, each for fewer octets than [`OCTETS_A_STATE_MIN`], is one built to take long.
const CLEARED_MAX: usize = 3;
const OCTETS_A_STATE_MIN: usize = 10;
/// States of one automaton are kept for so many threads; with more at once, one waits for another. They are what takes most memory of a
/// set of rules, so it must not grow with the threads.
const KEEPERS: usize = 2;

/// A loosened pattern. Its automaton is built when it is first asked.
#[derive(Debug)]
pub(crate) struct Relaxed {
    pattern: Pattern,
    /// `None` when it has no room.
    automaton: OnceLock<Option<Automaton>>,
}

/// An automaton whose states are made as texts need them.
#[derive(Debug)]
struct Automaton {
    dfa: DFA,
    /// The states that were made.
    kept: [Mutex<Option<dfa::Cache>>; KEEPERS],
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
            write(&syntax::parse_with_edges(self.pattern.source(), self.pattern.modifiers())?, &mut source);
            Automaton::of(&source)
        });
        automaton.as_ref().is_none_or(|automaton| automaton.may_match(text))
    }
}

impl Automaton {
    fn of(source: &str) -> Option<Automaton> {
        let octets = engine_syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true);
        let whole = thompson::Config::new()
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(AUTOMATON_OCTETS_MAX));
        let config = dfa::Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(STATES_OCTETS_MAX)
            .minimum_cache_clear_count(Some(CLEARED_MAX))
            .minimum_bytes_per_state(Some(OCTETS_A_STATE_MIN));
        let dfa = DFA::builder().syntax(octets).thompson(whole).configure(config).build(source).ok()?;
        Some(Automaton { dfa, kept: Default::default() })
    }

    fn may_match(&self, text: &[u8]) -> bool {
        let mut kept = self.keeper();
        let cache = kept.get_or_insert_with(|| self.dfa.create_cache());
        let found = self.dfa.try_search_fwd(cache, &Input::new(text).earliest(true));
        // One that gave up does not know: then it is for the pattern's own engine, whose work is counted.
        !matches!(found, Ok(None))
    }

    /// States that no other thread uses, or those that are free next.
    fn keeper(&self) -> MutexGuard<'_, Option<dfa::Cache>> {
        let [first, others @ ..] = &self.kept;
        for keeper in [first].into_iter().chain(others) {
            match keeper.try_lock() {
                Ok(kept) => return kept,
                Err(TryLockError::Poisoned(poisoned)) => {
                    keeper.clear_poison();
                    return emptied(poisoned);
                }
                Err(TryLockError::WouldBlock) => {}
            }
        }
        first.lock().unwrap_or_else(emptied)
    }
}

/// States that a panic may have left half made are made anew.
fn emptied<T>(poisoned: PoisonError<MutexGuard<'_, Option<T>>>) -> MutexGuard<'_, Option<T>> {
    let mut kept = poisoned.into_inner();
    *kept = None;
    kept
}

fn size(node: &Node) -> usize {
    match node {
        Node::Empty | Node::Class(_) | Node::Any | Node::Edge(_) => 1,
        Node::NotAhead(_) => 0,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().map(size).sum(),
        Node::Repeat { node, .. } => size(node),
    }
}

fn write(node: &Node, source: &mut String) {
    match node {
        Node::Empty | Node::NotAhead(_) => source.push_str("(?:)"),
        Node::Edge(Edge::Start) => source.push_str("(?m:^)"),
        Node::Edge(Edge::End) => source.push_str("(?m:$)"),
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
    use super::super::syntax::{parse, parse_with_edges};
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
        fn each_match_is_let_through(text in "(?:(?:a|bc|cd)[: ]{0,3}|x|\n){0,12}", multi_line in proptest::bool::ANY) {
            let source = "^(?:x?$\\s?)?(?:(?:a|bc|[c-e]d?)(?!q)[: ]{1,3}){3}(?:\\b|$)";
            let modifiers = Modifiers { multi_line, ..Modifiers::default() };
            let tree = parse_with_edges(source.as_bytes(), modifiers).unwrap();
            let mut loosened = String::new();
            write(&tree, &mut loosened);
            let loosened = Automaton::of(&loosened).unwrap();
            if Pattern::compile(source.as_bytes(), modifiers).unwrap().is_match(text.as_bytes()) == Ok(true) {
                prop_assert!(loosened.may_match(text.as_bytes()), "{text:?}");
            }
        }
    }
}
