//! All places of many literals in a text, in one pass: three octets at each place are looked up in a small table, and only where the
//! rarest three octets of some literal stand is the literal compared.
//!
//! An Aho-Corasick automaton of the same literals is some megabytes large, and each octet of the text is a cache miss; this table is
//! 8 KB at most, and smaller where there are fewer literals.

use super::formula::{LITERAL_OCTETS_MIN, fold, octet_weight};

/// Most and fewest buckets, as powers of two. A table of the fewest is a few octets per literal large.
const BUCKET_BITS_MAX: u32 = 16;
const BUCKET_BITS_MIN: u32 = 8;
/// How many buckets there are for each literal, as a power of two.
const SPARSE_BITS: u32 = 3;

/// A literal's place in the index.
pub(crate) type LiteralId = u32;

/// Literals, ready to be looked up.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    /// Number of buckets, as a power of two; 0 without literals.
    bits: u32,
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
    /// Its first octets, and which of the eight count.
    head: u64,
    mask: u64,
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
        let wanted = literals.len().next_power_of_two().trailing_zeros() + SPARSE_BITS;
        let bits = wanted.clamp(BUCKET_BITS_MIN, BUCKET_BITS_MAX);
        let buckets = 1usize << bits;
        let mut load = vec![0u32; buckets];
        let mut placed = Vec::with_capacity(literals.len());
        let mut octets = Vec::new();
        for (id, literal) in (0..).zip(literals) {
            let Some((offset, bucket)) = rarest(literal, &load, bits) else {
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
            let (head, mask) = head_of(literal);
            placed.push((bucket, Entry { head, mask, literal: id, start, length, offset }));
        }
        placed.sort_by_key(|(bucket, entry)| (*bucket, entry.literal));
        let mut filled = vec![0u64; buckets / 64];
        let mut starts = Vec::with_capacity(buckets + 1);
        let mut next = 0;
        for (bucket, &count) in load.iter().enumerate() {
            starts.push(next);
            next += count;
            if let Some(word) = filled.get_mut(bucket / 64).filter(|_| count > 0) {
                *word |= 1 << (bucket % 64);
            }
        }
        starts.push(next);
        Literals { bits, filled, starts, entries: placed.into_iter().map(|(_, entry)| entry).collect(), octets }
    }

    /// Calls `found` for each place of each literal in `text`, which is folded.
    pub(crate) fn scan(&self, text: &[u8], mut found: impl FnMut(LiteralId)) {
        if self.bits == 0 {
            return;
        }
        let shift = 32 - self.bits;
        let mut three = 0u32;
        for (end, &octet) in text.iter().enumerate() {
            three = three >> 8 | u32::from(octet) << 16;
            let bucket = (three.wrapping_mul(HASH_FACTOR) >> shift) as usize;
            let is_filled = self.filled.get(bucket / 64).is_some_and(|word| word >> (bucket % 64) & 1 == 1);
            if is_filled && end + 1 >= LITERAL_OCTETS_MIN {
                self.compare(text, end + 1 - LITERAL_OCTETS_MIN, bucket, &mut found);
            }
        }
    }

    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, bucket: usize, found: &mut impl FnMut(LiteralId)) {
        let range =
            self.starts.get(bucket).zip(self.starts.get(bucket + 1)).map(|(start, end)| *start as usize..*end as usize);
        let entries = range.and_then(|range| self.entries.get(range)).unwrap_or_default();
        for entry in entries {
            let Some(begin) = at.checked_sub(usize::from(entry.offset)) else { continue };
            if let Some(eight) = text.get(begin..).and_then(|rest| rest.first_chunk::<8>())
                && u64::from_le_bytes(*eight) & entry.mask != entry.head
            {
                continue;
            }
            let start = entry.start as usize;
            let literal = self.octets.get(start..start + usize::from(entry.length));
            let place = text.get(begin..begin + usize::from(entry.length));
            if place.is_some() && place == literal {
                found(entry.literal);
            }
        }
    }
}

/// The first eight octets of a literal as a number, and a mask of those that it has.
fn head_of(literal: &[u8]) -> (u64, u64) {
    let shifted = |octet: u8, place: usize| u64::from(octet) << (8 * place);
    let places = literal.iter().take(8).enumerate();
    places.fold((0, 0), |(head, mask), (place, octet)| (head | shifted(*octet, place), mask | shifted(u8::MAX, place)))
}

/// The place in a literal whose three octets are rarest in ordinary text and in the index so far, and their bucket.
fn rarest(literal: &[u8], load: &[u32], bits: u32) -> Option<(usize, usize)> {
    let cost = |three: &[u8]| {
        let others = load.get(bucket_of(three, bits)).copied().unwrap_or_default();
        three.iter().map(|octet| octet_weight(*octet)).product::<f64>() * f64::from(1 + others)
    };
    let places = literal.windows(LITERAL_OCTETS_MIN).enumerate();
    let (offset, three) = places.min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b)))?;
    Some((offset, bucket_of(three, bits)))
}

/// For multiplicative hashing of three octets.
const HASH_FACTOR: u32 = 0x9E37_79B1;

fn bucket_of(three: &[u8], bits: u32) -> usize {
    let number = three.iter().rev().fold(0u32, |number, octet| number << 8 | u32::from(*octet));
    (number.wrapping_mul(HASH_FACTOR) >> (32 - bits)) as usize
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
