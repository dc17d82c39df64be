//! Many sequences of octet classes over one text at once: each is a row of bits, each octet moves all of them (Shift-And, with the
//! octets on which a bit may stay).

use super::sequence::{POSITIONS_MAX, Sequence};
use super::syntax::OctetSet;

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
    pattern: u32,
}

/// Sequences ready to be followed.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    simple: Machine,
    plain: Machine,
}

/// For each octet, a word for each word of state; `width` of them.
#[derive(Debug, Default)]
struct Machine {
    width: usize,
    /// First positions, which can always be entered.
    first: Vec<u64>,
    /// Positions that the octet enters.
    enter: Vec<u64>,
    /// Positions in which the octet stays.
    stay: Vec<u64>,
    /// Positions that the octet enters while the text is still the plain word.
    plain: Vec<u64>,
    /// Positions that make the plain word whole: a text that comes there is excluded.
    whole: Vec<u64>,
    /// Last positions: for each word, bits and the patterns that they stand for.
    last: Vec<u64>,
    patterns: Vec<(usize, u64, u32)>,
}

/// State of one text, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct State {
    active: Vec<u64>,
    plain: Vec<u64>,
    seen: Vec<u64>,
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
        Screen { simple: self.simple.build(), plain: self.plain.build() }
    }
}

impl Rows {
    fn add(&mut self, pattern: u32, sequence: Sequence) {
        let length = sequence.positions.len();
        let word = self.used.iter().position(|used| used + length <= POSITIONS_MAX).unwrap_or_else(|| {
            self.used.push(0);
            self.used.len() - 1
        });
        if let Some(used) = self.used.get_mut(word) {
            self.places.push(Place { word, bit: *used, sequence, pattern });
            *used += length;
        }
    }

    fn build(self) -> Machine {
        let width = self.used.len();
        let table = || vec![0u64; 256 * width];
        let mut machine = Machine {
            width,
            first: vec![0; width],
            enter: table(),
            stay: table(),
            plain: table(),
            whole: vec![0; width],
            last: vec![0; width],
            patterns: Vec::new(),
        };
        for place in &self.places {
            let bit = |number: usize| 1u64 << (place.bit + number);
            set(&mut machine.first, place.word, bit(0));
            let last = bit(place.sequence.positions.len() - 1);
            set(&mut machine.last, place.word, last);
            machine.patterns.push((place.word, last, place.pattern));
            if let Some(whole) = place.sequence.plain_length.checked_sub(1) {
                set(&mut machine.whole, place.word, bit(whole));
            }
            for (number, position) in place.sequence.positions.iter().enumerate() {
                mark(&mut machine.enter, width, place.word, position.enter, bit(number));
                mark(&mut machine.stay, width, place.word, position.stay, bit(number));
                if number < place.sequence.plain_length {
                    mark(&mut machine.plain, width, place.word, position.plain, bit(number));
                }
            }
        }
        machine
    }
}

fn set(words: &mut [u64], word: usize, bits: u64) {
    if let Some(word) = words.get_mut(word) {
        *word |= bits;
    }
}

fn mark(table: &mut [u64], width: usize, word: usize, octets: OctetSet, bits: u64) {
    octets.octets().for_each(|octet| set(table, usize::from(octet) * width + word, bits));
}

impl Screen {
    /// Adds to `candidates` the patterns of which some sequence is passed in `text`; a pattern may be named twice.
    pub(crate) fn candidates(&self, text: &[u8], state: &mut State, candidates: &mut Vec<u32>) {
        self.simple.follow(text, state);
        self.simple.name(&state.seen, candidates);
        self.plain.follow_plain(text, state);
        self.plain.name(&state.seen, candidates);
    }
}

impl Machine {
    fn reset(&self, state: &mut State) {
        for words in [&mut state.active, &mut state.plain, &mut state.seen] {
            words.clear();
            words.resize(self.width, 0);
        }
    }

    fn row<'t>(&self, table: &'t [u64], octet: u8) -> &'t [u64] {
        let start = usize::from(octet) * self.width;
        table.get(start..start + self.width).unwrap_or_default()
    }

    fn follow(&self, text: &[u8], state: &mut State) {
        self.reset(state);
        if self.width == 0 {
            return;
        }
        for &octet in text {
            let tables = self.row(&self.enter, octet).iter().zip(self.row(&self.stay, octet)).zip(&self.first);
            // A bit that leaves one row enters the next row's first position, which is open anyway.
            for ((active, seen), ((enter, stay), first)) in state.active.iter_mut().zip(&mut state.seen).zip(tables) {
                *active = ((*active << 1 | first) & enter) | (*active & stay);
                *seen |= *active;
            }
        }
    }

    /// Two bits for each position: the text is the plain word so far (`plain`), or differs (`active`). Only what differs arrives.
    fn follow_plain(&self, text: &[u8], state: &mut State) {
        self.reset(state);
        if self.width == 0 {
            return;
        }
        for &octet in text {
            let tables = self
                .row(&self.enter, octet)
                .iter()
                .zip(self.row(&self.stay, octet))
                .zip(self.row(&self.plain, octet).iter().zip(self.first.iter().zip(&self.whole)));
            let words = state.active.iter_mut().zip(&mut state.plain).zip(&mut state.seen);
            for (((active, plain), seen), ((enter, stay), (as_plain, (first, whole)))) in words.zip(tables) {
                let from_active = (*active << 1) & enter & !first;
                let from_plain = (*plain << 1 | first) & enter & !as_plain;
                let staying = (*active | *plain) & stay;
                *plain = (*plain << 1 | first) & as_plain & !whole;
                *active = from_active | from_plain | staying;
                *seen |= *active;
            }
        }
    }

    fn name(&self, seen: &[u64], candidates: &mut Vec<u32>) {
        if seen.iter().zip(&self.last).all(|(seen, last)| seen & last == 0) {
            return;
        }
        for (word, bits, pattern) in &self.patterns {
            if seen.get(*word).is_some_and(|seen| seen & bits != 0) {
                candidates.push(*pattern);
            }
        }
    }
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
        builder.build().candidates(text, &mut State::default(), &mut candidates);
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
