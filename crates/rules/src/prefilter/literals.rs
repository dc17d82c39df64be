//! All places of many literals in a text, in one pass: three octets at each place are looked up in a small table, and only where the
//! rarest three octets of some literal stand is the literal compared.
//!
//! An Aho-Corasick automaton of the same literals is some megabytes large, and each octet of the text is a cache miss; this table is
//! 8 KB.

use super::formula::{LITERAL_OCTETS_MIN, fold, octet_weight};

/// Number of buckets: a power of two.
const BUCKETS: usize = 1 << 16;
const BUCKET_BITS: u32 = 16;

/// A literal's place in the index.
pub(crate) type LiteralId = u32;

/// Literals, ready to be looked up.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    /// One bit a bucket: whether it holds anything.
    filled: Vec<u64>,
    /// For each bucket, where its entries begin; one more at the end.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    /// The octets of all literals.
    octets: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    literal: LiteralId,
    /// Where the literal's octets begin in `octets`.
    start: u32,
    length: u16,
    /// How far the looked-up octets are from the literal's start.
    offset: u16,
}

impl Literals {
    /// An index of `literals`, which are folded and at least [`LITERAL_OCTETS_MIN`] long; a literal's id is its place.
    pub(crate) fn new(literals: &[Vec<u8>]) -> Literals {
        let mut load = vec![0u32; BUCKETS];
        let mut placed = Vec::with_capacity(literals.len());
        let mut octets = Vec::new();
        for (id, literal) in (0..).zip(literals) {
            let Some((offset, bucket)) = rarest(literal, &load) else {
                continue;
            };
            if let Some(count) = load.get_mut(bucket) {
                *count += 1;
            }
            let (Ok(start), Ok(length), Ok(offset)) =
                (u32::try_from(octets.len()), u16::try_from(literal.len()), u16::try_from(offset))
            else {
                continue;
            };
            octets.extend_from_slice(literal);
            placed.push((bucket, Entry { literal: id, start, length, offset }));
        }
        placed.sort_by_key(|(bucket, entry)| (*bucket, entry.literal));
        let mut filled = vec![0u64; BUCKETS / 64];
        let mut starts = Vec::with_capacity(BUCKETS + 1);
        let mut next = 0;
        for (bucket, &count) in load.iter().enumerate() {
            starts.push(next);
            next += count;
            if let Some(word) = filled.get_mut(bucket / 64).filter(|_| count > 0) {
                *word |= 1 << (bucket % 64);
            }
        }
        starts.push(next);
        Literals { filled, starts, entries: placed.into_iter().map(|(_, entry)| entry).collect(), octets }
    }

    /// Calls `found` for each place of each literal in `text`, which is folded.
    pub(crate) fn scan(&self, text: &[u8], mut found: impl FnMut(LiteralId)) {
        for (at, three) in text.windows(LITERAL_OCTETS_MIN).enumerate() {
            let bucket = bucket_of(three);
            let is_filled = self.filled.get(bucket / 64).is_some_and(|word| word >> (bucket % 64) & 1 == 1);
            if is_filled {
                self.compare(text, at, bucket, &mut found);
            }
        }
    }

    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, bucket: usize, found: &mut impl FnMut(LiteralId)) {
        let range =
            self.starts.get(bucket).zip(self.starts.get(bucket + 1)).map(|(start, end)| *start as usize..*end as usize);
        let entries = range.and_then(|range| self.entries.get(range)).unwrap_or_default();
        for entry in entries {
            let start = entry.start as usize;
            let literal = self.octets.get(start..start + usize::from(entry.length));
            let place = at
                .checked_sub(usize::from(entry.offset))
                .and_then(|begin| text.get(begin..begin + usize::from(entry.length)));
            if place.is_some() && place == literal {
                found(entry.literal);
            }
        }
    }
}

/// The place in a literal whose three octets are rarest in ordinary text and in the index so far, and their bucket.
fn rarest(literal: &[u8], load: &[u32]) -> Option<(usize, usize)> {
    let cost = |three: &[u8]| {
        let others = load.get(bucket_of(three)).copied().unwrap_or_default();
        three.iter().map(|octet| octet_weight(*octet)).product::<f64>() * f64::from(1 + others)
    };
    let places = literal.windows(LITERAL_OCTETS_MIN).enumerate();
    let (offset, three) = places.min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))?;
    Some((offset, bucket_of(three)))
}

/// Multiplicative hashing of three octets.
#[inline]
fn bucket_of(three: &[u8]) -> usize {
    let number = match three {
        [a, b, c] => u32::from(*a) | u32::from(*b) << 8 | u32::from(*c) << 16,
        _ => 0,
    };
    (number.wrapping_mul(0x9E37_79B1) >> (32 - BUCKET_BITS)) as usize
}

/// `text` in the form in which literals are compared.
pub(crate) fn fold_into(text: &[u8], folded: &mut Vec<u8>) {
    folded.clear();
    folded.extend(text.iter().map(|octet| fold(*octet)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(literals: &[Vec<u8>], text: &[u8]) -> Vec<u32> {
        let mut found = vec![0; literals.len()];
        Literals::new(literals).scan(text, |id| found[id as usize] += 1);
        found
    }

    #[test]
    fn overlapping_places_are_all_found() {
        let literals = ["aaa", "aab", "baaa", "aaaa"].map(|literal| literal.as_bytes().to_vec());
        assert_eq!(found(&literals, b"baaaab"), [2, 1, 1, 1]);
        assert_eq!(found(&literals, b"aa"), [0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_finds(
            literals in prop::collection::vec(prop::collection::vec(b'a'..b'd', 3..6), 1..8),
            text in prop::collection::vec(b'a'..b'd', 0..60),
        ) {
            let expected: Vec<u32> = literals
                .iter()
                .map(|literal| u32::try_from(text.windows(literal.len()).filter(|window| window == literal).count()).unwrap())
                .collect();
            prop_assert_eq!(found(&literals, &text), expected);
        }
    }
}
