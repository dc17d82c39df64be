//! What a text must hold so that a pattern can match: literals, joined by "all of", "any of" and "at least n times any of".
//!
//! Literals are compared folded: ASCII letters in lower case, any white space as one space.

use std::collections::HashSet;

use super::syntax::{Node, OctetSet};

/// Shortest literal that the index can look up.
pub(crate) const LITERAL_OCTETS_MIN: usize = 3;
/// Longest literal that is worth comparing.
const LITERAL_OCTETS_MAX: usize = 24;
/// How many literals may stand for one stretch of a pattern before the stretch is ended.
const STRETCH_LITERALS_MAX: usize = 32;
/// How many literals an alternation may stand for as a stretch.
const UNION_LITERALS_MAX: usize = 64;
/// Classes with more members (folded) end a stretch.
const CLASS_MEMBERS_MAX: usize = 8;
/// How many conditions of an "all of" are kept: the rarest.
const CONDITIONS_MAX: usize = 4;
/// Largest count that an "at least" asks for.
const TIMES_MAX: u32 = 30;
/// Literals that are compared with each other one by one.
const COMPARED_MAX: usize = 64;
/// Fixed repeats up to this many octets are written out.
const UNROLLED_OCTETS_MAX: usize = 16;

/// A condition on a folded text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Formula {
    /// No condition.
    True,
    /// At least so many places where one of the literals stands.
    Times(u32, Vec<Vec<u8>>),
    /// All of them.
    All(Vec<Formula>),
    /// One of them.
    Any(Vec<Formula>),
}

/// The form in which texts and literals are compared.
pub(crate) fn fold(octet: u8) -> u8 {
    match octet {
        b'\t' | b'\n' | 0x0b | 0x0c | b'\r' => b' ',
        _ => octet.to_ascii_lowercase(),
    }
}

/// The condition that every text in which a match can be found fulfils.
pub(crate) fn of(node: &Node) -> Formula {
    let mut stretch = Stretch::new();
    stretch.add(node);
    stretch.finish()
}

/// Whether only texts with `octets` in them fulfil the condition.
pub(crate) fn needs(formula: &Formula, octets: &[u8]) -> bool {
    match formula {
        Formula::True => false,
        Formula::Times(_, literals) => literals.iter().all(|literal| memchr::memmem::find(literal, octets).is_some()),
        Formula::All(parts) => parts.iter().any(|part| needs(part, octets)),
        Formula::Any(parts) => parts.iter().all(|part| needs(part, octets)),
    }
}

/// How probable the condition is in ordinary text; only the order counts.
pub(crate) fn weight(formula: &Formula) -> f64 {
    match formula {
        Formula::True => 1.0,
        Formula::Times(times, literals) => {
            let sum: f64 = literals.iter().map(|literal| literal_weight(literal)).sum();
            (sum / f64::from(*times)).min(1.0)
        }
        Formula::All(parts) => parts.iter().map(weight).fold(1.0, f64::min) * 0.9,
        Formula::Any(parts) => parts.iter().map(weight).sum::<f64>().min(1.0),
    }
}

/// How probable the literal is at some place of an ordinary text.
pub(crate) fn literal_weight(literal: &[u8]) -> f64 {
    literal.iter().map(|octet| octet_weight(*octet)).product::<f64>() * 2000.0
}

/// Rough shares of folded octets in mail. Letters that stand together more often than their shares say make words more probable than
/// this product; the order is good enough.
pub(crate) fn octet_weight(octet: u8) -> f64 {
    let per_mille = match octet {
        b' ' => 160.0,
        b'e' => 100.0,
        b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 65.0,
        b'h' | b'l' | b'd' | b'c' | b'u' | b'm' => 35.0,
        b'p' | b'f' | b'g' | b'w' | b'y' | b'b' => 20.0,
        b'v' | b'k' | b'.' | b',' | b'-' | b'/' | b':' | b'0'..=b'9' => 10.0,
        b'j' | b'x' | b'q' | b'z' => 3.0,
        _ => 2.0,
    };
    per_mille / 1000.0 * 1.4
}

/// The stretch of a pattern that is being read, and what earlier ones ask for.
struct Stretch {
    /// The literals that the stretch so far may be; `None` right after something unknown.
    literals: Vec<Vec<u8>>,
    /// Conditions of the stretches that ended.
    conditions: Vec<Formula>,
    /// Nothing ended yet: the literals are the whole.
    is_whole: bool,
}

impl Stretch {
    fn new() -> Stretch {
        Stretch { literals: vec![Vec::new()], conditions: Vec::new(), is_whole: true }
    }

    fn add(&mut self, node: &Node) {
        match node {
            Node::Empty | Node::NotAhead(_) | Node::Edge(_) => {}
            Node::Class(set) => match folded_members(*set) {
                Some(members) => self.multiply(&members.into_iter().map(|octet| vec![octet]).collect::<Vec<_>>()),
                None => self.end(),
            },
            Node::Concat(nodes) => nodes.iter().for_each(|node| self.add(node)),
            Node::Alternate(nodes) => self.add_alternation(nodes),
            Node::Repeat { node, min, max } => self.add_repeat(node, *min, *max),
            Node::Any => self.end(),
        }
    }

    fn add_alternation(&mut self, nodes: &[Node]) {
        let branches: Vec<Stretch> = nodes.iter().map(part).collect();
        let total: usize = branches.iter().map(|branch| branch.literals.len()).sum();
        if branches.iter().all(|branch| branch.is_whole) && total <= UNION_LITERALS_MAX {
            let mut literals: Vec<Vec<u8>> = branches.into_iter().flat_map(|branch| branch.literals).collect();
            literals.sort_unstable();
            literals.dedup();
            return self.multiply(&literals);
        }
        self.end();
        self.conditions.push(any(branches.into_iter().map(Stretch::finish).collect()));
    }

    fn add_repeat(&mut self, node: &Node, min: u32, max: Option<u32>) {
        let inner = part(node);
        if min == 0 {
            if max == Some(1) && inner.is_whole && inner.literals.len() < STRETCH_LITERALS_MAX / 2 {
                let mut literals = inner.literals;
                literals.push(Vec::new());
                return self.multiply(&literals);
            }
            return self.end();
        }
        if max == Some(1) {
            return self.append(inner);
        }
        if !inner.is_whole {
            let condition = inner.finish();
            self.end();
            self.conditions.push(repeated(condition, min));
            return;
        }
        if let (1, [literal]) = (inner.literals.len(), inner.literals.as_slice()) {
            let octets = usize::try_from(min).unwrap_or(usize::MAX).saturating_mul(literal.len());
            if octets <= UNROLLED_OCTETS_MAX {
                (0..min).for_each(|_| self.multiply(std::slice::from_ref(literal)));
                if max != Some(min) {
                    self.end();
                    self.literals = vec![literal.clone()];
                }
                return;
            }
        }
        // The first round goes on with what stood before, the last one with what follows.
        let literals = inner.literals;
        self.multiply(&literals);
        self.end();
        if min > 1 {
            self.conditions.push(repeated(times(1, literals.clone()), min));
        }
        self.literals = literals;
    }

    /// Goes on with a part that was read apart.
    fn append(&mut self, inner: Stretch) {
        if inner.is_whole {
            return self.multiply(&inner.literals);
        }
        self.end();
        self.conditions.extend(inner.conditions);
        self.literals = inner.literals;
    }

    /// Each literal so far is followed by one of `next`.
    fn multiply(&mut self, next: &[Vec<u8>]) {
        let longest = |literals: &[Vec<u8>]| literals.iter().map(Vec::len).max().unwrap_or(0);
        if self.literals.len() * next.len() > STRETCH_LITERALS_MAX && self.literals.len() > 1
            || longest(&self.literals) + longest(next) > LITERAL_OCTETS_MAX
        {
            self.end();
        }
        let mut product: Vec<Vec<u8>> = self
            .literals
            .iter()
            .flat_map(|before| next.iter().map(|after| [before.as_slice(), after].concat()))
            .collect();
        product.sort_unstable();
        product.dedup();
        self.literals = product;
        if longest(&self.literals) > LITERAL_OCTETS_MAX {
            self.end();
        }
    }

    /// Ends the stretch: what it may be becomes a condition.
    fn end(&mut self) {
        self.is_whole = false;
        let literals = std::mem::replace(&mut self.literals, vec![Vec::new()]);
        let condition = times(1, literals);
        if condition != Formula::True {
            self.conditions.push(condition);
        }
    }

    fn finish(mut self) -> Formula {
        self.end();
        all(self.conditions)
    }
}

fn part(node: &Node) -> Stretch {
    let mut stretch = Stretch::new();
    stretch.add(node);
    stretch
}

fn folded_members(set: OctetSet) -> Option<Vec<u8>> {
    if set.len() > 2 * u32::try_from(CLASS_MEMBERS_MAX).unwrap_or(u32::MAX) {
        return None;
    }
    let mut members: Vec<u8> = set.octets().map(fold).collect();
    members.sort_unstable();
    members.dedup();
    (members.len() <= CLASS_MEMBERS_MAX).then_some(members)
}

/// A condition on literals; none if one is too short to be looked up. A literal that holds another one adds nothing.
fn times(count: u32, mut literals: Vec<Vec<u8>>) -> Formula {
    if literals.iter().any(|literal| literal.len() < LITERAL_OCTETS_MIN) {
        return Formula::True;
    }
    literals.sort_unstable_by_key(Vec::len);
    let mut kept = if literals.len() > COMPARED_MAX { without_longer(literals) } else { compared(literals) };
    kept.sort_unstable();
    Formula::Times(count, kept)
}

/// Those of `literals`, the shortest first, that hold no other one: each is compared with each, which is quick for a few.
fn compared(literals: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(literals.len());
    for literal in literals {
        if !kept.iter().any(|shorter| memchr::memmem::find(&literal, shorter).is_some()) {
            kept.push(literal);
        }
    }
    kept
}

/// The same for many: all that stands in a literal is looked up.
fn without_longer(literals: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut lengths: Vec<usize> = literals.iter().map(Vec::len).collect();
    lengths.dedup();
    let mut kept: HashSet<Vec<u8>> = HashSet::with_capacity(literals.len());
    for literal in literals {
        let holds = |length: &usize| literal.windows(*length).any(|part| kept.contains(part));
        if !lengths.iter().take_while(|length| **length <= literal.len()).any(holds) {
            kept.insert(literal);
        }
    }
    kept.into_iter().collect()
}

/// `condition` in each of `min` rounds: as often as its literals stand in one, if it is one set of literals.
fn repeated(condition: Formula, min: u32) -> Formula {
    match condition {
        Formula::Times(1, literals) => Formula::Times(min.min(TIMES_MAX), literals),
        Formula::All(parts) => all(parts.into_iter().map(|part| repeated(part, min)).collect()),
        // Rounds may differ in which alternative they take: only sets of literals throughout can be counted together.
        Formula::Any(parts) => match union(&parts) {
            Some(literals) => Formula::Times(min.min(TIMES_MAX), literals),
            None => Formula::Any(parts),
        },
        other => other,
    }
}

/// One set of literals of which each alternative holds at least one.
fn union(parts: &[Formula]) -> Option<Vec<Vec<u8>>> {
    let mut literals = Vec::new();
    for part in parts {
        match part {
            Formula::Times(1, some) => literals.extend(some.iter().cloned()),
            Formula::All(conditions) => {
                let rarest = conditions
                    .iter()
                    .filter_map(|condition| match condition {
                        Formula::Times(_, literals) => Some((weight(condition), literals)),
                        _ => None,
                    })
                    .min_by(|a, b| a.0.total_cmp(&b.0))?;
                literals.extend(rarest.1.iter().cloned());
            }
            _ => return None,
        }
    }
    match times(1, literals) {
        Formula::Times(_, literals) => Some(literals),
        _ => None,
    }
}

fn all(conditions: Vec<Formula>) -> Formula {
    let mut conditions: Vec<Formula> = conditions
        .into_iter()
        .flat_map(|condition| match condition {
            Formula::All(parts) => parts,
            other => vec![other],
        })
        .filter(|condition| *condition != Formula::True)
        .collect();
    conditions.sort_by(|a, b| weight(a).total_cmp(&weight(b)));
    conditions.dedup();
    conditions.truncate(CONDITIONS_MAX);
    match conditions.len() {
        0 => Formula::True,
        1 => conditions.pop().unwrap_or(Formula::True),
        _ => Formula::All(conditions),
    }
}

fn any(parts: Vec<Formula>) -> Formula {
    if parts.contains(&Formula::True) || parts.is_empty() {
        return Formula::True;
    }
    let mut literals = Vec::new();
    let mut others = Vec::new();
    for part in parts {
        match part {
            Formula::Times(1, some) => literals.extend(some),
            Formula::Any(parts) => others.extend(parts),
            other => others.push(other),
        }
    }
    if !literals.is_empty() {
        others.push(times(1, literals));
    }
    match others.len() {
        1 => others.pop().unwrap_or(Formula::True),
        _ => Formula::Any(others),
    }
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;
    use crate::pattern::Modifiers;

    fn shown(formula: &Formula) -> String {
        let list = |parts: &[Formula], sign: &str| {
            let mut parts: Vec<String> = parts.iter().map(shown).collect();
            parts.sort();
            format!("({})", parts.join(sign))
        };
        match formula {
            Formula::True => "true".to_owned(),
            Formula::Times(count, literals) => {
                let literals: Vec<String> =
                    literals.iter().map(|literal| String::from_utf8_lossy(literal).into_owned()).collect();
                let times = if *count == 1 { String::new() } else { format!("{count}x") };
                format!("{times}{{{}}}", literals.join("|"))
            }
            Formula::All(parts) => list(parts, " & "),
            Formula::Any(parts) => list(parts, " | "),
        }
    }

    /// Ten thousand domains in one pattern took seconds when each was compared with each.
    #[test]
    fn many_literals_are_reduced_as_few_are() {
        let letters = |number: usize, length: usize| -> Vec<u8> {
            (0..length).map(|place| b"abc"[((number >> place) + number / 7) % 3]).collect()
        };
        let mut literals: Vec<Vec<u8>> = (0..300).map(|number| letters(number * 31, 3 + number % 9)).collect();
        literals.sort_unstable_by_key(Vec::len);
        let (mut few, mut many) = (compared(literals.clone()), without_longer(literals.clone()));
        few.sort_unstable();
        many.sort_unstable();
        assert_eq!(few, many);
        assert!((2..literals.len() / 2).contains(&few.len()), "{}", few.len());
    }

    #[test]
    fn conditions_of_common_shapes() {
        for (source, expected) in [
            ("Cheap\\sPills", "{cheap pills}"),
            ("click (?:here|now)", "{click here|click now}"),
            ("click.{0,9}here", "({click} & {here})"),
            ("dear (?:sir|madam).*money", "({dear madam|dear sir} & {money})"),
            ("viagras?", "{viagra}"),
            ("(?:buy.*now|sell)", "(({buy} & {now}) | {sell})"),
            ("(?:buy.*now|se)", "true"),
            ("(?:name|street)[:=]\\d+", "{name:|name=|street:|street=}"),
            ("(?:(?:name|street|city)\\W.{0,20}){4}", "4x{city|name|street}"),
            ("(?:foo){3}", "{foofoofoo}"),
            ("ab+cd", "{bcd}"),
            ("[vw][i1]agra", "{v1agra|viagra|w1agra|wiagra}"),
            ("\\d+ dollars", "{ dollars}"),
            ("(?!foo)bar", "{bar}"),
            ("abc|\\1", "true"),
            ("(?:ab)?", "true"),
            ("long.?distance|\\bcheap\\b", "(({distance} & {long}) | {cheap})"),
        ] {
            let node = parse(source.as_bytes(), Modifiers { caseless: true, ..Modifiers::default() }).unwrap();
            assert_eq!(shown(&of(&node)), expected, "{source}");
        }
    }
}
