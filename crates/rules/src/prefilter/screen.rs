//! Many sequences of octet classes over one text at once: each is a row of bits, each octet moves all of them (Shift-And, with the
//! octets on which a bit may stay).

use super::sequence::{POSITIONS_MAX, Sequence};
use super::syntax::OctetSet;

/// Words that are moved together: as many as stay in registers.
const LANES: usize = 4;

type Lanes = [u64; LANES];

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

/// Sequences ready to be followed.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    simple: Vec<Block>,
    plain: Vec<PlainBlock>,
}

/// Some words of sequences. The table has an entry for each octet.
#[derive(Debug)]
struct Block {
    table: Vec<Moves>,
    /// First positions, which can always be entered.
    first: Lanes,
    ends: Ends,
}

/// Positions that an octet enters, and in which it stays.
#[derive(Clone, Copy, Debug, Default)]
struct Moves {
    enter: Lanes,
    stay: Lanes,
}

/// Some words of sequences that exclude a plain word.
#[derive(Debug)]
struct PlainBlock {
    table: Vec<PlainMoves>,
    first: Lanes,
    /// Positions that make the plain word whole: a text that comes there is excluded.
    whole: Lanes,
    ends: Ends,
}

/// The same, and positions that an octet enters while the text is still the plain word.
#[derive(Clone, Copy, Debug, Default)]
struct PlainMoves {
    enter: Lanes,
    stay: Lanes,
    plain: Lanes,
}

/// Last positions, and for each the patterns that it stands for.
#[derive(Debug, Default)]
struct Ends {
    last: Lanes,
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
        let simple = self.simple.blocks(|places| {
            let mut block = Block { table: vec![Moves::default(); 256], first: [0; LANES], ends: Ends::default() };
            for place in places {
                let lane = place.word % LANES;
                set(&mut block.first, lane, place.bit(0));
                block.ends.add(place);
                for (number, position) in place.sequence.positions.iter().enumerate() {
                    for (octet, moves) in (0..=u8::MAX).zip(&mut block.table) {
                        set_if(position.enter, octet, &mut moves.enter, lane, place.bit(number));
                        set_if(position.stay, octet, &mut moves.stay, lane, place.bit(number));
                    }
                }
            }
            block
        });
        let plain = self.plain.blocks(|places| {
            let mut block = PlainBlock {
                table: vec![PlainMoves::default(); 256],
                first: [0; LANES],
                whole: [0; LANES],
                ends: Ends::default(),
            };
            for place in places {
                let lane = place.word % LANES;
                set(&mut block.first, lane, place.bit(0));
                set(&mut block.whole, lane, place.bit(place.sequence.plain_length.saturating_sub(1)));
                block.ends.add(place);
                for (number, position) in place.sequence.positions.iter().enumerate() {
                    let plain = if number < place.sequence.plain_length { position.plain } else { OctetSet::EMPTY };
                    for (octet, moves) in (0..=u8::MAX).zip(&mut block.table) {
                        set_if(position.enter, octet, &mut moves.enter, lane, place.bit(number));
                        set_if(position.stay, octet, &mut moves.stay, lane, place.bit(number));
                        set_if(plain, octet, &mut moves.plain, lane, place.bit(number));
                    }
                }
            }
            block
        });
        Screen { simple, plain }
    }
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

    fn blocks<B>(self, build: impl Fn(&[&Place]) -> B) -> Vec<B> {
        let numbers = 0..self.used.len().div_ceil(LANES);
        let of = |number| self.places.iter().filter(|place| place.word / LANES == number).collect::<Vec<&Place>>();
        numbers.map(|number| build(&of(number))).collect()
    }
}

impl Place {
    fn bit(&self, number: usize) -> u64 {
        1 << (self.bit + number)
    }
}

impl Ends {
    fn add(&mut self, place: &Place) {
        let (lane, bit) = (place.word % LANES, place.bit(place.sequence.positions.len() - 1));
        set(&mut self.last, lane, bit);
        self.patterns.extend(place.patterns.iter().map(|pattern| (lane, bit, *pattern)));
    }

    fn name(&self, seen: Lanes, candidates: &mut Vec<u32>) {
        if and(seen, self.last) == [0; LANES] {
            return;
        }
        for (lane, bit, pattern) in &self.patterns {
            if seen.get(*lane).is_some_and(|seen| seen & bit != 0) {
                candidates.push(*pattern);
            }
        }
    }
}

fn set(words: &mut Lanes, lane: usize, bits: u64) {
    if let Some(word) = words.get_mut(lane) {
        *word |= bits;
    }
}

fn set_if(octets: OctetSet, octet: u8, words: &mut Lanes, lane: usize, bits: u64) {
    if octets.contains(octet) {
        set(words, lane, bits);
    }
}

impl Screen {
    /// Adds to `candidates` the patterns of which some sequence is passed in `text`; a pattern may be named twice.
    pub(crate) fn candidates(&self, text: &[u8], candidates: &mut Vec<u32>) {
        for block in &self.simple {
            block.ends.name(block.follow(text), candidates);
        }
        for block in &self.plain {
            block.ends.name(block.follow(text), candidates);
        }
    }
}

impl Block {
    /// All positions that `text` comes to.
    fn follow(&self, text: &[u8]) -> Lanes {
        let (mut active, mut seen) = ([0; LANES], [0; LANES]);
        for &octet in text {
            let Some(moves) = self.table.get(usize::from(octet)) else { continue };
            // A bit that leaves one row enters the next row's first position, which is open anyway.
            active = or(and(or(next(active), self.first), moves.enter), and(active, moves.stay));
            seen = or(seen, active);
        }
        seen
    }
}

impl PlainBlock {
    /// Two bits for each position: the text is the plain word so far (`plain`), or differs (`active`). Only what differs arrives.
    fn follow(&self, text: &[u8]) -> Lanes {
        let (mut active, mut plain, mut seen) = ([0; LANES], [0; LANES], [0; LANES]);
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
fn and([a, b, c, d]: Lanes, [e, f, g, h]: Lanes) -> Lanes {
    [a & e, b & f, c & g, d & h]
}

#[inline]
fn or([a, b, c, d]: Lanes, [e, f, g, h]: Lanes) -> Lanes {
    [a | e, b | f, c | g, d | h]
}

#[inline]
fn without([a, b, c, d]: Lanes, [e, f, g, h]: Lanes) -> Lanes {
    [a & !e, b & !f, c & !g, d & !h]
}

#[inline]
fn next([a, b, c, d]: Lanes) -> Lanes {
    [a << 1, b << 1, c << 1, d << 1]
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
        assert_eq!(candidates(SHAPES, b"we sell amazon and bitcoin"), []);
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
