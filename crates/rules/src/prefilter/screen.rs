//! Many sequences of octet classes over one text at once: each is a row of bits, each octet moves all of them (Shift-And, with the
//! octets on which a bit may stay).

use super::sequence::{POSITIONS_MAX, Sequence};
use super::syntax::OctetSet;

/// Words that are moved together: as many as stay in registers.
const LANES: usize = 4;

/// Entries of a table: an octet is never beyond it, which need not be checked then.
const OCTETS: usize = 256;

type Lanes<const N: usize> = [u64; N];

/// Sequences of many patterns.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    /// Those without and those with a plain word.
    simple: Rows,
    plain: Rows,
}

/// Sequences packed into words.
#[derive(Debug, Default)]
struct Rows {
    /// Bits used of each word.
    used: Vec<usize>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    word: usize,
    bit: usize,
    sequence: Sequence,
    patterns: Vec<u32>,
}

/// Sequences ready to be followed. Most texts have few; to move four words for the sake of one would take thrice as long.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    wide: Blocks<LANES>,
    pairs: Blocks<2>,
    single: Blocks<1>,
}

#[derive(Debug, Default)]
struct Blocks<const N: usize> {
    simple: Vec<Block<N>>,
    plain: Vec<PlainBlock<N>>,
}

/// Some words of sequences. The table has an entry for each octet.
#[derive(Debug)]
struct Block<const N: usize> {
    table: Box<[Moves<N>; OCTETS]>,
    /// First positions, which can always be entered.
    first: Lanes<N>,
    ends: Ends<N>,
}

/// Positions that an octet enters, and in which it stays.
#[derive(Clone, Copy, Debug)]
struct Moves<const N: usize> {
    enter: Lanes<N>,
    stay: Lanes<N>,
}

/// Some words of sequences that exclude a plain word.
#[derive(Debug)]
struct PlainBlock<const N: usize> {
    table: Box<[PlainMoves<N>; OCTETS]>,
    first: Lanes<N>,
    /// Positions that make the plain word whole: a text that comes there is excluded.
    whole: Lanes<N>,
    ends: Ends<N>,
}

/// The same, and positions that an octet enters while the text is still the plain word.
#[derive(Clone, Copy, Debug)]
struct PlainMoves<const N: usize> {
    enter: Lanes<N>,
    stay: Lanes<N>,
    plain: Lanes<N>,
}

/// Last positions, and for each the patterns that it stands for.
#[derive(Debug)]
struct Ends<const N: usize> {
    last: Lanes<N>,
    patterns: Vec<(usize, u64, u32)>,
}

impl Builder {
    /// Adds the sequences of a pattern.
    pub(crate) fn add(&mut self, pattern: u32, sequences: Vec<Sequence>) {
        for sequence in sequences {
            let rows = if sequence.plain_length > 0 { &mut self.plain } else { &mut self.simple };
            rows.add(pattern, sequence);
        }
    }

    pub(crate) fn build(self) -> Screen {
        let mut screen = Screen::default();
        for (first, places) in self.simple.chunks() {
            match words(&places) {
                1 => screen.single.simple.push(Block::of(first, &places)),
                2 => screen.pairs.simple.push(Block::of(first, &places)),
                _ => screen.wide.simple.push(Block::of(first, &places)),
            }
        }
        for (first, places) in self.plain.chunks() {
            match words(&places) {
                1 => screen.single.plain.push(PlainBlock::of(first, &places)),
                2 => screen.pairs.plain.push(PlainBlock::of(first, &places)),
                _ => screen.wide.plain.push(PlainBlock::of(first, &places)),
            }
        }
        screen
    }
}

/// How many words the places are in.
fn words(places: &[&Place]) -> usize {
    let (first, last) = (places.iter().map(|place| place.word).min(), places.iter().map(|place| place.word).max());
    first.zip(last).map_or(0, |(first, last)| last - first + 1)
}

impl Rows {
    /// Equal sequences are one: phrases of many alternatives differ only behind the place where they are cut.
    fn add(&mut self, pattern: u32, sequence: Sequence) {
        if let Some(place) = self.places.iter_mut().find(|place| place.sequence == sequence) {
            if !place.patterns.contains(&pattern) {
                place.patterns.push(pattern);
            }
            return;
        }
        let length = sequence.positions.len();
        let word = self.used.iter().position(|used| used + length <= POSITIONS_MAX).unwrap_or_else(|| {
            self.used.push(0);
            self.used.len() - 1
        });
        if let Some(used) = self.used.get_mut(word) {
            self.places.push(Place { word, bit: *used, sequence, patterns: vec![pattern] });
            *used += length;
        }
    }

    /// The places of some words that are moved together, with the number of the first of these.
    fn chunks(&self) -> impl Iterator<Item = (usize, Vec<&Place>)> {
        (0..self.used.len()).step_by(LANES).map(|first| {
            let is_in = |place: &&Place| (first..first + LANES).contains(&place.word);
            (first, self.places.iter().filter(is_in).collect())
        })
    }
}

impl Place {
    fn bit(&self, number: usize) -> u64 {
        1 << (self.bit + number)
    }
}

impl<const N: usize> Ends<N> {
    fn of(first: usize, places: &[&Place]) -> Ends<N> {
        let mut ends = Ends { last: [0; N], patterns: Vec::new() };
        for place in places {
            let (lane, bit) = (place.word - first, place.bit(place.sequence.positions.len() - 1));
            set(&mut ends.last, lane, bit);
            ends.patterns.extend(place.patterns.iter().map(|pattern| (lane, bit, *pattern)));
        }
        ends
    }

    fn name(&self, seen: Lanes<N>, candidates: &mut Vec<u32>) {
        if and(seen, self.last) == [0; N] {
            return;
        }
        for (lane, bit, pattern) in &self.patterns {
            if seen.get(*lane).is_some_and(|seen| seen & bit != 0) {
                candidates.push(*pattern);
            }
        }
    }
}

fn set<const N: usize>(words: &mut Lanes<N>, lane: usize, bits: u64) {
    if let Some(word) = words.get_mut(lane) {
        *word |= bits;
    }
}

fn set_if<const N: usize>(octets: OctetSet, octet: u8, words: &mut Lanes<N>, lane: usize, bits: u64) {
    if octets.contains(octet) {
        set(words, lane, bits);
    }
}

impl Screen {
    /// Adds to `candidates` the patterns of which some sequence is passed in `text`; a pattern may be named twice.
    pub(crate) fn candidates(&self, text: &[u8], candidates: &mut Vec<u32>) {
        self.wide.candidates(text, candidates);
        self.pairs.candidates(text, candidates);
        self.single.candidates(text, candidates);
    }
}

impl<const N: usize> Blocks<N> {
    fn candidates(&self, text: &[u8], candidates: &mut Vec<u32>) {
        for block in &self.simple {
            block.ends.name(block.follow(text), candidates);
        }
        for block in &self.plain {
            block.ends.name(block.follow(text), candidates);
        }
    }
}

impl<const N: usize> Block<N> {
    /// A block of the places, whose first word has the number `start`.
    fn of(start: usize, places: &[&Place]) -> Block<N> {
        let mut first = [0; N];
        let mut table = Box::new([Moves { enter: [0; N], stay: [0; N] }; OCTETS]);
        for place in places {
            let lane = place.word - start;
            set(&mut first, lane, place.bit(0));
            for (number, position) in place.sequence.positions.iter().enumerate() {
                for (octet, moves) in (0..=u8::MAX).zip(table.iter_mut()) {
                    set_if(position.enter, octet, &mut moves.enter, lane, place.bit(number));
                    set_if(position.stay, octet, &mut moves.stay, lane, place.bit(number));
                }
            }
        }
        Block { table, first, ends: Ends::of(start, places) }
    }

    /// All positions that `text` comes to.
    fn follow(&self, text: &[u8]) -> Lanes<N> {
        let (mut active, mut seen) = ([0; N], [0; N]);
        for &octet in text {
            let Some(moves) = self.table.get(usize::from(octet)) else { continue };
            // A bit that leaves one row enters the next row's first position, which is open anyway.
            active = or(and(or(next(active), self.first), moves.enter), and(active, moves.stay));
            seen = or(seen, active);
        }
        seen
    }
}

impl<const N: usize> PlainBlock<N> {
    fn of(start: usize, places: &[&Place]) -> PlainBlock<N> {
        let (mut first, mut whole) = ([0; N], [0; N]);
        let mut table = Box::new([PlainMoves { enter: [0; N], stay: [0; N], plain: [0; N] }; OCTETS]);
        for place in places {
            let lane = place.word - start;
            set(&mut first, lane, place.bit(0));
            set(&mut whole, lane, place.bit(place.sequence.plain_length.saturating_sub(1)));
            for (number, position) in place.sequence.positions.iter().enumerate() {
                let plain = if number < place.sequence.plain_length { position.plain } else { OctetSet::EMPTY };
                for (octet, moves) in (0..=u8::MAX).zip(table.iter_mut()) {
                    set_if(position.enter, octet, &mut moves.enter, lane, place.bit(number));
                    set_if(position.stay, octet, &mut moves.stay, lane, place.bit(number));
                    set_if(plain, octet, &mut moves.plain, lane, place.bit(number));
                }
            }
        }
        PlainBlock { table, first, whole, ends: Ends::of(start, places) }
    }

    /// Two bits for each position: the text is the plain word so far (`plain`), or differs (`active`). Only what differs arrives.
    fn follow(&self, text: &[u8]) -> Lanes<N> {
        let (mut active, mut plain, mut seen) = ([0; N], [0; N], [0; N]);
        for &octet in text {
            let Some(moves) = self.table.get(usize::from(octet)) else { continue };
            let entered = or(next(plain), self.first);
            let from_active = without(and(next(active), moves.enter), self.first);
            let from_plain = without(and(entered, moves.enter), moves.plain);
            let staying = and(or(active, plain), moves.stay);
            plain = without(and(entered, moves.plain), self.whole);
            active = or(or(from_active, from_plain), staying);
            seen = or(seen, active);
        }
        seen
    }
}

#[inline]
fn and<const N: usize>(mut first: Lanes<N>, second: Lanes<N>) -> Lanes<N> {
    first.iter_mut().zip(second).for_each(|(first, second)| *first &= second);
    first
}

#[inline]
fn or<const N: usize>(mut first: Lanes<N>, second: Lanes<N>) -> Lanes<N> {
    first.iter_mut().zip(second).for_each(|(first, second)| *first |= second);
    first
}

#[inline]
fn without<const N: usize>(mut first: Lanes<N>, second: Lanes<N>) -> Lanes<N> {
    first.iter_mut().zip(second).for_each(|(first, second)| *first &= !second);
    first
}

#[inline]
fn next<const N: usize>(mut lanes: Lanes<N>) -> Lanes<N> {
    lanes.iter_mut().for_each(|word| *word <<= 1);
    lanes
}

#[cfg(test)]
mod tests {
    use super::super::{sequence, syntax};
    use super::*;
    use crate::pattern::{Modifiers, Pattern};
    use proptest::prelude::*;

    const CASELESS: Modifiers = Modifiers { caseless: true, multi_line: false, dot_all: false, extended: false };

    fn candidates(sources: &[&str], text: &[u8]) -> Vec<u32> {
        let mut builder = Builder::default();
        for (number, source) in (0..).zip(sources) {
            builder.add(number, sequence::of(&syntax::parse(source.as_bytes(), CASELESS).unwrap()).expect(source));
        }
        let mut candidates = Vec::new();
        builder.build().candidates(text, &mut candidates);
        candidates
    }

    /// Patterns in the shapes that rules without literals have.
    const SHAPES: &[&str] = &[
        r"\b[_\W]{0,3}v[_\W]{0,3}[i1!|l][_\W]{0,3}[a4@][_\W]{0,3}g[_\W]{0,3}r[_\W]{0,3}[a4@]",
        r"(?:^|\W)(?!amazon)[a4@]m[a4@][z2][o0](?:n|\xc3\xb1)(?:$|\W)",
        r"\bb(?!it[-\s]?coin)\W{0,10}i\W{0,10}t\W{0,10}c\W{0,10}o\W{0,10}i\W{0,10}n\b",
        r"(?:[a-z]{8,}[\s.]+){6}",
        r"(?:\$|usd).?\d{1,3}[,.]\d{3}[,.]\d{3}",
    ];

    #[test]
    fn only_what_differs_from_the_plain_word_is_named() {
        assert!(candidates(SHAPES, b"we sell amazon and bitcoin").is_empty());
        assert_eq!(candidates(SHAPES, b"we sell am4zon and bit coin"), [1, 2]);
        assert_eq!(candidates(SHAPES, b"V-I-A-G-R-A"), [0]);
    }

    proptest! {
        #[test]
        fn each_match_is_named(
            text in "[ vb]{0,2}([aA4@][mM][aA4@][zZ2][oO0][nN]|b[-. ]{0,2}i[-. ]?t[-. ]?co?i?n|v[-. ]?[i1l]a[ .]?gra|[a-z]{7,9}[ .]|[$]1,000,000|[a-z ]){0,9}"
        ) {
            let named = candidates(SHAPES, text.as_bytes());
            for (number, source) in (0..).zip(SHAPES) {
                let pattern = Pattern::compile(source.as_bytes(), CASELESS).unwrap();
                if pattern.is_match(text.as_bytes()) == Ok(true) {
                    prop_assert!(named.contains(&number), "{source} matches {text:?}");
                }
            }
        }
    }
}
