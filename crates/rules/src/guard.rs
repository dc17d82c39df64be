//! What spares the engine a pattern, and what in a pattern may cost much: for people who write rules. Matching itself asks `plan.rs`.

use std::fmt;

use crate::plan::pattern_of;
use crate::prefilter::formula::{self, Formula};
use crate::prefilter::syntax::{self, Node, OctetSet};
use crate::prefilter::{network, relaxed, sequence};
use crate::rule::Rule;
use crate::ruleset::RuleSet;

/// Literals of one condition that are shown; the others are counted.
const SHOWN_MAX: usize = 8;

/// What a text must hold before the engine tries a pattern on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Literals, as a formula for people: `{click here|click now} and {account}`.
    Literals(String),
    /// A row of octet classes: words in look-alikes or with gaps.
    Shape,
    /// A linear-time automaton that is coarser than the pattern.
    Automaton,
    /// Nothing: the engine tries it on every text.
    Nothing,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Literals(formula) => f.write_str(formula),
            Guard::Shape => f.write_str("a row of octet classes"),
            Guard::Automaton => f.write_str("a coarser automaton"),
            Guard::Nothing => f.write_str("nothing, so it is tried on every text"),
        }
    }
}

impl RuleSet {
    /// What guards the pattern of `rule`; `None` for rules without a pattern of their own.
    #[must_use]
    pub fn guard(&self, rule: &Rule) -> Option<Guard> {
        let pattern = pattern_of(&rule.matcher)?;
        let Some(tree) = syntax::parse(pattern.source(), pattern.modifiers()) else {
            return Some(Guard::Nothing);
        };
        let formula = formula::of(&tree);
        Some(if formula != Formula::True && network::is_selective(&formula) {
            Guard::Literals(shown(&formula))
        } else if sequence::of(&tree).is_some() {
            Guard::Shape
        } else if relaxed::is_worthwhile(&tree) {
            Guard::Automaton
        } else {
            Guard::Nothing
        })
    }

    /// Whether the pattern of `rule` repeats without bound what itself repeats without bound over the same octets, as `(a+)+` does: a text that
    /// just fails to match can then take time that doubles with each octet.
    #[must_use]
    pub fn has_nested_repeats(&self, rule: &Rule) -> bool {
        let tree = pattern_of(&rule.matcher).and_then(|pattern| syntax::parse(pattern.source(), pattern.modifiers()));
        tree.is_some_and(|tree| has_nested(&tree))
    }
}

fn shown(formula: &Formula) -> String {
    match formula {
        Formula::True => "anything".to_owned(),
        Formula::Times(times, literals) => {
            let words: Vec<String> =
                literals.iter().take(SHOWN_MAX).map(|literal| literal.escape_ascii().to_string()).collect();
            let more = literals.len().saturating_sub(SHOWN_MAX);
            let more = if more > 0 { format!("|… {more} more") } else { String::new() };
            let times = if *times > 1 { format!("{times} times ") } else { String::new() };
            format!("{times}{{{}{more}}}", words.join("|"))
        }
        Formula::All(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(" and "),
        Formula::Any(parts) => format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(" or ")),
    }
}

fn has_nested(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Class(_) | Node::Any | Node::NotAhead(_) | Node::Edge(_) => false,
        Node::Concat(nodes) | Node::Alternate(nodes) => nodes.iter().any(has_nested),
        Node::Repeat { node, max: None, .. } if is_ambiguous(node) => true,
        Node::Repeat { node, .. } => has_nested(node),
    }
}

/// Whether one round of a repeat may be made of one unbounded repeat alone, so that two rounds read like one.
fn is_ambiguous(round: &Node) -> bool {
    match round {
        Node::Repeat { node, max: None, .. } => single_class(node).is_some() || is_ambiguous(node),
        Node::Alternate(nodes) => nodes.iter().any(is_ambiguous),
        Node::Concat(nodes) => nodes.iter().enumerate().any(|(index, node)| {
            let Node::Repeat { node, max: None, .. } = node else { return false };
            let mut others = nodes.iter().enumerate().filter(|(other, _)| *other != index);
            single_class(node).is_some_and(|class| others.all(|(_, other)| may_be_of(other, class)))
        }),
        _ => false,
    }
}

/// The octets of a node that is one octet long.
fn single_class(node: &Node) -> Option<OctetSet> {
    match node {
        Node::Class(set) => Some(*set),
        Node::Concat(nodes) => match nodes.as_slice() {
            [node] => single_class(node),
            _ => None,
        },
        Node::Alternate(nodes) => {
            nodes.iter().try_fold(OctetSet::EMPTY, |union, node| Some(union.union(single_class(node)?)))
        }
        _ => None,
    }
}

/// Whether a node may be nothing, or be made of these octets alone.
fn may_be_of(node: &Node, class: OctetSet) -> bool {
    match node {
        Node::Empty | Node::NotAhead(_) | Node::Edge(_) | Node::Any => true,
        Node::Class(set) => set.intersection(class) != OctetSet::EMPTY,
        Node::Concat(nodes) => nodes.iter().all(|node| may_be_of(node, class)),
        Node::Alternate(nodes) => nodes.iter().any(|node| may_be_of(node, class)),
        Node::Repeat { node, min, .. } => *min == 0 || may_be_of(node, class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};
    use crate::{CompileOptions, compile};

    fn with(pattern: &str) -> RuleSet {
        let file = SourceFile { name: "t.cf".to_owned(), text: format!("body A {pattern}").into_bytes() };
        compile(parse(&[file], &ParseOptions::default(), &no_includes), CompileOptions::default()).0
    }

    #[test]
    fn what_guards_a_pattern() {
        for (pattern, expected) in [
            ("/cheap (?:pills|watches).{1,9}order/i", "{cheap pills|cheap watches} and {order}"),
            ("/\\d+/", "nothing, so it is tried on every text"),
            ("/v[i1!|][a4@]gr[a4@]/i", "{v!4gr|v!@gr|v!agr|v14gr|v1@gr|v1agr|vi4gr|vi@gr|… 4 more}"),
        ] {
            let set = with(pattern);
            let guard = set.guard(set.rule("A").unwrap()).map(|guard| guard.to_string());
            assert_eq!(guard.as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn repeats_that_blow_up() {
        for (pattern, expected) in [
            ("/^(a+)+$/", true),
            ("/(?:\\w+\\s?)+:/", true),
            ("/(?:\\w+|x)*!/", true),
            ("/(?:\\w+\\s)+:/", false),
            ("/(?:[a-z]+,){2,}/", false),
            ("/(?:a{1,5})+b/", false),
            ("/(?:ab)+c+/", false),
        ] {
            let set = with(pattern);
            assert_eq!(set.has_nested_repeats(set.rule("A").unwrap()), expected, "{pattern}");
        }
    }
}
