//! Tables that do not grow without end: when one is full, its lightest quarter makes room at once, so that the work is
//! spread over many insertions.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Lets the lightest rows go if `map` has `max` of them, and returns how many. Those as light as the heaviest of them go as well.
pub(super) fn make<K: Eq + Hash, V, S: BuildHasher>(
    map: &mut HashMap<K, V, S>,
    max: usize,
    weight: impl Fn(&V) -> u64,
) -> u64 {
    let before = map.len();
    if before < max {
        return 0;
    }
    let mut weights: Vec<u64> = map.values().map(&weight).collect();
    let quarter = weights.len() / 4;
    let (_, lightest, _) = weights.select_nth_unstable(quarter);
    let lightest = *lightest;
    // Rows that are taken out one by one leave marks, for which a full table grows to twice its size: it is filled anew.
    let kept: Vec<(K, V)> = map.drain().filter(|(_, row)| weight(row) > lightest).collect();
    map.extend(kept);
    u64::try_from(before - map.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavy_stay() {
        let mut map: HashMap<u32, u64> = (0..100).map(|n| (n, u64::from(n))).collect();
        assert_eq!(make(&mut map, 101, |n| *n), 0);
        assert_eq!(map.len(), 100);
        assert_eq!(make(&mut map, 100, |n| *n), 26);
        assert_eq!(map.len(), 74);
        assert!(map.contains_key(&99) && !map.contains_key(&25));
    }
}
