//! A pattern without literals as sequences of octet classes: what a match enters one after the other, whatever it may stay on between.
//!
//! Words spelled in look-alikes and with gaps (`v[_\W]{0,3}[i1!|l]…`) have no literal, but each octet of a match enters the next class
//! of such a sequence or stays where it is. A pattern that excludes the plain word (`(?!viagra)`) is only of interest where something
//! differs from it.

use super::formula::octet_weight;
use super::syntax::{Node, OctetSet, length_min};

/// Longest sequence: the bits of a word.
pub(crate) const POSITIONS_MAX: usize = 64;
/// How many sequences may stand for one pattern.
const SEQUENCES_MAX: usize = 40;
/// A sequence is cut where ordinary text reaches its end this seldom, by octet.
const SELDOM: f64 = 1e-6;
/// A pattern whose sequences are reached more often than this by octet is not worth screening.
const OFTEN: f64 = 2e-3;
/// How much more seldom text differs from a plain word in a look-alike or a gap.
const DIFFERENCE: f64 = 0.02;

/// One class of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Octets that enter it from the one before.
    pub(crate) enter: OctetSet,
    /// Octets that stay in it.
    pub(crate) stay: OctetSet,
    /// Octets with which the text is still the plain word that the pattern excludes; empty where it excludes none.
    pub(crate) plain: OctetSet,
}

/// Classes that each match passes, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) positions: Vec<Position>,
    /// After this many positions the plain word is whole, and the pattern cannot match; 0 when it excludes none.
    pub(crate) plain_length: usize,
}

/// The sequences of which each match passes one; `None` when they would be passed too often to be of use.
pub(crate) fn of(node: &Node) -> Option<Vec<Sequence>> {
    let mut sequences = Vec::new();
    let mut often = 0.0;
    for parts in branches(node)? {
        let (sequence, share) = arrange(&parts);
        if sequence.positions.is_empty() {
            return None;
        }
        often += share;
        sequences.push(sequence);
    }
    (often < OFTEN).then_some(sequences)
}

#[derive(Clone, Debug)]
enum Part {
    /// An octet of the first set, then any of the second.
    Must(OctetSet, OctetSet),
    /// Any octets of the set, or none.
    May(OctetSet),
    /// The plain word is excluded here.
    Plain(Vec<OctetSet>),
}

/// The alternatives of a node; `None` when there are too many.
fn branches(node: &Node) -> Option<Vec<Vec<Part>>> {
    Some(match node {
        Node::Empty | Node::Edge(_) => vec![Vec::new()],
        Node::Class(set) => vec![vec![Part::Must(*set, OctetSet::EMPTY)]],
        Node::Concat(nodes) => {
            let mut product: Vec<Vec<Part>> = vec![Vec::new()];
            for node in nodes {
                product = multiply(&product, &branches(node)?, node);
            }
            product
        }
        Node::Alternate(nodes) => {
            // Look-alikes of one letter, or too many words to follow each.
            let is_letter = nodes.iter().any(|node| length_min(node) <= 1);
            let mut all = Vec::new();
            for node in nodes {
                all.extend(branches(node)?);
            }
            if is_letter || all.len() > SEQUENCES_MAX { vec![blob(node)] } else { all }
        }
        Node::Repeat { node, min: 0, .. } => vec![vec![Part::May(octets_of(node))]],
        Node::Repeat { node: inner, min, max } => {
            let once = branches(inner)?;
            let mut product: Vec<Vec<Part>> = vec![Vec::new()];
            for _ in 0..*min {
                if product.iter().all(|parts| parts.len() >= POSITIONS_MAX) {
                    break;
                }
                product = multiply(&product, &once, inner);
            }
            if *max != Some(*min) {
                product.iter_mut().for_each(|parts| parts.push(Part::May(octets_of(inner))));
            }
            product
        }
        Node::Any => vec![vec![Part::May(OctetSet::ALL)]],
        Node::NotAhead(inner) => vec![plain_word(inner).map(Part::Plain).into_iter().collect()],
    })
}

/// Each branch before, followed by each after; by what `node` is made of when that would be too many.
fn multiply(before: &[Vec<Part>], after: &[Vec<Part>], node: &Node) -> Vec<Vec<Part>> {
    let single = [blob(node)];
    let after = if before.len() * after.len() > SEQUENCES_MAX { &single } else { after };
    let join =
        |first: &Vec<Part>, second: &Vec<Part>| first.iter().chain(second).take(2 * POSITIONS_MAX).cloned().collect();
    before.iter().flat_map(|first| after.iter().map(move |second| join(first, second))).collect()
}

/// A node as one position: any of its first octets, then any of its octets.
fn blob(node: &Node) -> Vec<Part> {
    if length_min(node) == 0 {
        return vec![Part::May(octets_of(node))];
    }
    vec![Part::Must(first_of(node), later_of(node))]
}

fn octets_of(node: &Node) -> OctetSet {
    match node {
        Node::Empty | Node::NotAhead(_) | Node::Edge(_) => OctetSet::EMPTY,
        Node::Any => OctetSet::ALL,
        Node::Class(set) => *set,
        Node::Concat(nodes) | Node::Alternate(nodes) => {
            nodes.iter().map(octets_of).fold(OctetSet::EMPTY, OctetSet::union)
        }
        Node::Repeat { node, .. } => octets_of(node),
    }
}

/// The octets with which a match of the node can begin.
fn first_of(node: &Node) -> OctetSet {
    match node {
        Node::Empty | Node::NotAhead(_) | Node::Edge(_) => OctetSet::EMPTY,
        Node::Any => OctetSet::ALL,
        Node::Class(set) => *set,
        Node::Alternate(nodes) => nodes.iter().map(first_of).fold(OctetSet::EMPTY, OctetSet::union),
        Node::Repeat { node, .. } => first_of(node),
        Node::Concat(nodes) => {
            let mut first = OctetSet::EMPTY;
            for node in nodes {
                first = first.union(first_of(node));
                if length_min(node) > 0 {
                    break;
                }
            }
            first
        }
    }
}

/// The octets that can stand in a match of the node after its first one.
fn later_of(node: &Node) -> OctetSet {
    match node {
        Node::Empty | Node::NotAhead(_) | Node::Edge(_) | Node::Class(_) => OctetSet::EMPTY,
        Node::Any => OctetSet::ALL,
        Node::Alternate(nodes) => nodes.iter().map(later_of).fold(OctetSet::EMPTY, OctetSet::union),
        Node::Repeat { node, max: Some(0 | 1), .. } => later_of(node),
        Node::Repeat { node, .. } => octets_of(node),
        Node::Concat(nodes) => {
            let mut later = OctetSet::EMPTY;
            let mut is_later = false;
            for node in nodes {
                later = later.union(if is_later { octets_of(node) } else { later_of(node) });
                is_later |= *node != Node::Empty;
            }
            later
        }
    }
}

/// One word of those that the look-ahead excludes, as a class for each octet: of alternatives the first, of what may be absent nothing.
fn plain_word(node: &Node) -> Option<Vec<OctetSet>> {
    match node {
        Node::Empty | Node::Edge(_) => Some(Vec::new()),
        Node::Class(set) => Some(vec![*set]),
        Node::Concat(nodes) => {
            let mut word = Vec::new();
            for node in nodes {
                word.extend(plain_word(node)?);
            }
            Some(word)
        }
        Node::Alternate(nodes) => nodes.first().and_then(plain_word),
        Node::Repeat { min: 0, .. } => Some(Vec::new()),
        Node::Repeat { node, min, .. } => {
            let once = plain_word(node)?;
            let times = usize::try_from(*min).ok().filter(|times| times.saturating_mul(once.len()) <= POSITIONS_MAX)?;
            Some(once.repeat(times))
        }
        Node::Any | Node::NotAhead(_) => None,
    }
}

/// Puts parts in a row, cut where the end is seldom reached, and says how often that is.
fn arrange(parts: &[Part]) -> (Sequence, f64) {
    let mut positions: Vec<Position> = Vec::new();
    let mut plain: Option<(usize, Vec<OctetSet>)> = None;
    for part in parts {
        match part {
            Part::Must(enter, stay) => {
                if positions.len() == POSITIONS_MAX {
                    break;
                }
                positions.push(Position { enter: *enter, stay: *stay, plain: OctetSet::EMPTY });
            }
            Part::May(set) => {
                match positions.last_mut() {
                    Some(last) => last.stay = last.stay.union(*set),
                    // What may stand before the first position also stands between an exclusion read so far and that position.
                    None => plain = None,
                }
            }
            Part::Plain(word) if plain.is_none() && !word.is_empty() => plain = Some((positions.len(), word.clone())),
            Part::Plain(_) => {}
        }
    }
    let plain = plain.filter(|(start, word)| start + word.len() <= positions.len());
    let plain_length = plain.as_ref().map_or(0, |(start, word)| start + word.len());
    let mut share: f64 = 1.0;
    let mut length = 0;
    let mut stay: f64 = 0.0;
    for position in &positions {
        share *= (set_weight(position.enter) / (1.0 - stay).max(0.05)).min(1.0);
        stay = set_weight(position.stay).min(1.0);
        length += 1;
        let is_seldom = share < SELDOM || (plain_length > 0 && share * DIFFERENCE < SELDOM);
        if is_seldom && length >= plain_length {
            break;
        }
    }
    positions.truncate(length);
    if let Some((start, word)) = &plain {
        share *= DIFFERENCE;
        for (number, position) in positions.iter_mut().take(plain_length).enumerate() {
            let octets = number.checked_sub(*start).and_then(|place| word.get(place));
            position.plain = octets.map_or(position.enter, |octets| octets.intersection(position.enter));
        }
    }
    (Sequence { positions, plain_length }, share)
}

/// The share of ordinary text that the octets of the set are.
fn set_weight(set: OctetSet) -> f64 {
    let weight = |octet: u8| match octet {
        b'A'..=b'Z' => octet_weight(octet.to_ascii_lowercase()) * 0.05,
        0x80.. => 0.0002,
        0..=0x1f => 0.0005,
        b'!'
        | b'"'
        | b'#'
        | b'$'
        | b'%'
        | b'&'
        | b'@'
        | b'|'
        | b'*'
        | b'+'
        | b'<'..=b'?'
        | b'['..=b'`'
        | b'{'..=0x7f => 0.002,
        _ => octet_weight(octet),
    };
    (set.octets().map(weight).sum::<f64>() / 1.6).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::syntax::parse;
    use super::*;
    use crate::pattern::Modifiers;

    fn sequences(source: &str) -> Option<Vec<Sequence>> {
        of(&parse(source.as_bytes(), Modifiers { caseless: true, ..Modifiers::default() }).unwrap())
    }

    #[test]
    fn gaps_stay_and_letters_enter() {
        let found = sequences(r"\b[_\W]{0,3}v[_\W]{0,3}[i1]x?[_\W]{0,3}(?:[a4]|\xc3[\xa0\xa1])gra").unwrap();
        let [Sequence { positions, plain_length: 0 }] = found.as_slice() else { panic!("{found:?}") };
        assert!(positions.len() > 3);
        assert!(
            positions[0].enter.contains(b'V') && positions[0].stay.contains(b'.') && !positions[0].stay.contains(b'a')
        );
        assert!(positions[1].stay.contains(b'x') && positions[1].stay.contains(b' '));
        assert!(
            positions[2].enter.contains(0xc3) && positions[2].stay.contains(0xa1) && !positions[2].enter.contains(0xa1)
        );
    }

    #[test]
    fn the_plain_word_is_marked() {
        let found = sequences("(?:^|\\W)(?!cr(?:e|\\xc3)dit)[ck]r[e3]d[i1]t").unwrap();
        let [Sequence { positions, plain_length: 6 }] = found.as_slice() else { panic!("{found:?}") };
        assert!(positions[0].plain.contains(b'c') && !positions[0].plain.contains(b'k'));
        assert!(positions[2].plain.contains(b'e') && !positions[2].plain.contains(b'3'));
    }

    #[test]
    fn what_is_everywhere_is_not_screened() {
        assert_eq!(sequences("e"), None);
        assert_eq!(sequences("a?"), None);
        assert_eq!(sequences("\\d\\s?%|x"), None);
        assert!(sequences("(?:[a-z]{8,}[\\s.]+){6}").is_some());
    }
}
