//! Which messages say the same: shingles of words, kept as a sketch of least hashes (MinHash, Broder 1997), compared where parts of two sketches
//! are equal.

use std::collections::BTreeMap;

use crate::input::Input;
use crate::propose::hash;
use crate::propose::signs::words;

/// Words that make one shingle.
const SHINGLE_WORDS: usize = 3;
/// Words of a message that are looked at.
const WORDS_MAX: usize = 600;
/// A message with fewer shingles says too little to be compared.
const SHINGLES_MIN: usize = 4;
/// Hashes of a sketch.
const HASHES: usize = 64;
/// Hashes that must be equal for two messages to be compared at all: 32 pairs of them find 9 of 10 that share a quarter of their shingles.
const ROWS: usize = 2;
/// Equal hashes from which on two messages say the same: about a quarter of their shingles.
const EQUAL_MIN: usize = 16;

/// The least hash of a message's shingles under each of several orders.
#[derive(Clone)]
pub(super) struct Sketch(Vec<u64>);

impl Sketch {
    /// `None` for a message that says too little.
    pub(super) fn of(input: &Input<'_>) -> Option<Sketch> {
        let words: Vec<String> = input.body.iter().flat_map(|text| words(text)).take(WORDS_MAX).collect();
        let shingles: Vec<u64> = words.windows(SHINGLE_WORDS).map(|words| hash(words.join(" ").as_bytes())).collect();
        if shingles.len() < SHINGLES_MIN {
            return None;
        }
        let least = |order: u64| shingles.iter().map(|shingle| reordered(*shingle, order)).min().unwrap_or_default();
        Some(Sketch((1..).take(HASHES).map(least).collect()))
    }

    fn is_like(&self, other: &Sketch) -> bool {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count() >= EQUAL_MIN
    }
}

/// Another order of all hashes for each number (the finaliser of SplitMix64).
fn reordered(hash: u64, order: u64) -> u64 {
    let mut mixed = hash.wrapping_add(order.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Groups of messages, by their places; a message is with those it is like, and with those that they are like. Each message is compared with the
/// first and the last of those before it that share a part of its sketch, so that the work grows with their number alone.
pub(super) fn of(sketches: &[&Sketch]) -> Vec<Vec<usize>> {
    let mut leaders: Vec<usize> = (0..sketches.len()).collect();
    let mut shared: BTreeMap<(usize, &[u64]), (usize, usize)> = BTreeMap::new();
    for (place, sketch) in sketches.iter().enumerate() {
        for (band, rows) in sketch.0.chunks(ROWS).enumerate() {
            let Some((first, last)) = shared.get_mut(&(band, rows)) else {
                shared.insert((band, rows), (place, place));
                continue;
            };
            for other in [*first, *last] {
                if sketches.get(other).is_some_and(|other| other.is_like(sketch)) {
                    join(&mut leaders, other, place);
                }
            }
            *last = place;
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for place in 0..sketches.len() {
        groups.entry(leader(&leaders, place)).or_default().push(place);
    }
    groups.into_values().collect()
}

fn join(leaders: &mut [usize], a: usize, b: usize) {
    let (a, b) = (leader(leaders, a), leader(leaders, b));
    if let Some(slot) = leaders.get_mut(a.max(b)) {
        *slot = a.min(b);
    }
}

/// The first of a message's group. A leader never stands after those it leads, so this ends.
fn leader(leaders: &[usize], mut place: usize) -> usize {
    while let Some(above) = leaders.get(place).copied().filter(|above| *above < place) {
        place = above;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(text: &str) -> Sketch {
        let input = Input { body: vec![b"subject".to_vec(), text.as_bytes().to_vec()], ..Input::default() };
        Sketch::of(&input).unwrap()
    }

    #[test]
    fn what_says_the_same_is_together() {
        let pills =
            "our doctor recommends these cheap pills for a better life order them today and save half of the price";
        let a = sketch(&format!("hello anna {pills}"));
        let b = sketch(&format!("dear berta 17 {pills} bye"));
        let other = sketch("the invoice of this month is attached please pay it within two weeks thank you very much");
        assert_eq!(of(&[&a, &other, &b]), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn little_text_is_no_sign() {
        let input = Input { body: vec![b"hello".to_vec(), b"see below".to_vec()], ..Input::default() };
        assert!(Sketch::of(&input).is_none());
    }
}
