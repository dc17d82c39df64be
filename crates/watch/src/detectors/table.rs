//! Counting within a time, and tables that do not grow without end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Parts of a window: counts leave it in steps of a twelfth.
const PARTS: usize = 12;

/// A count within the last stretch of time, kept in twelve parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    /// Number of the newest part, counted from 1970.
    newest: i64,
    parts: [u32; PARTS],
}

impl Window {
    /// Adds `n` at `time` and returns the count within the `length_ms` before it. What is older than the window is ignored.
    pub(super) fn add(&mut self, time: Timestamp, length_ms: i64, n: u32) -> u32 {
        let part_ms = (length_ms / PARTS as i64).max(1);
        let number = time.as_millis().div_euclid(part_ms);
        let ahead = number - self.newest;
        if ahead > 0 {
            let passed = usize::try_from(ahead).unwrap_or(PARTS).min(PARTS);
            self.parts.rotate_right(passed);
            self.parts.iter_mut().take(passed).for_each(|part| *part = 0);
            self.newest = number;
        }
        let behind = usize::try_from(self.newest - number).unwrap_or(PARTS);
        if let Some(part) = self.parts.get_mut(behind) {
            *part = part.saturating_add(n);
        }
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(*part))
    }
}

/// Different things within about an hour: those seen lately, each with the time it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lately {
    seen: Vec<(u64, Timestamp)>,
}

/// Different things that are told apart at most.
const LATELY_MAX: usize = 64;

impl Lately {
    /// Notes `value` at `time` and returns how many different values were seen within `length_ms`.
    pub(super) fn note(&mut self, value: u64, time: Timestamp, length_ms: i64) -> u32 {
        let since = time.plus_millis(-length_ms);
        self.seen.retain(|(known, at)| *at >= since && *known != value);
        if self.seen.len() < LATELY_MAX {
            self.seen.push((value, time));
        }
        u32::try_from(self.seen.len()).unwrap_or(u32::MAX)
    }
}

impl Lately {
    /// Whether `value` was seen since `since`.
    pub(super) fn has(&self, value: u64, since: Timestamp) -> bool {
        self.seen.iter().any(|(known, at)| *known == value && *at >= since)
    }
}

/// A row that knows when it was last used.
pub(super) trait Row: Default {
    /// When it was last used.
    fn last(&self) -> Timestamp;
}

/// Rows by name. When there are too many, those not used for longest make room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Table<K: Ord, V> {
    rows: BTreeMap<K, V>,
    rows_max: usize,
    /// Rows that had to make room.
    forgotten: u64,
}

/// Rows of a table.
const ROWS_MAX: usize = 20_000;

impl<K: Ord, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { rows: BTreeMap::new(), rows_max: ROWS_MAX, forgotten: 0 }
    }
}

impl<K: Ord + Clone, V: Row> Table<K, V> {
    /// The row of `key`, made if need be.
    pub(super) fn row(&mut self, key: K) -> &mut V {
        if self.rows.len() >= self.rows_max && !self.rows.contains_key(&key) {
            let mut times: Vec<Timestamp> = self.rows.values().map(Row::last).collect();
            let quarter = times.len() / 4;
            let (_, oldest, _) = times.select_nth_unstable(quarter);
            let oldest = *oldest;
            let before = self.rows.len();
            self.rows.retain(|_, row| row.last() > oldest);
            self.forgotten += u64::try_from(before - self.rows.len()).unwrap_or(0);
        }
        self.rows.entry(key).or_default()
    }

    /// The row of `key`, if there is one.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }
}

/// A number that stands for a text.
pub(super) fn hash(text: &str) -> u64 {
    let fold = |hash: u64, b: u8| (hash ^ u64::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, fold)
}

/// Lets an alert out once, and again only after a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quiet {
    until: Timestamp,
}

impl Quiet {
    /// Whether an alert may go out at `time`; if so, none will for `length_ms`.
    pub(super) fn pass(&mut self, time: Timestamp, length_ms: i64) -> bool {
        if time < self.until {
            return false;
        }
        self.until = time.plus_millis(length_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + minute * MINUTE_MS)
    }

    #[test]
    fn a_window_forgets() {
        let mut window = Window::default();
        assert_eq!(window.add(at(0), 60 * MINUTE_MS, 3), 3);
        assert_eq!(window.add(at(30), 60 * MINUTE_MS, 1), 4);
        assert_eq!(window.add(at(61), 60 * MINUTE_MS, 1), 2);
        assert_eq!(window.add(at(20), 60 * MINUTE_MS, 1), 3, "a late line within the window counts");
        assert_eq!(window.add(at(500), 60 * MINUTE_MS, 1), 1);
        assert_eq!(window.add(at(0), 60 * MINUTE_MS, 9), 1, "an old line does not");
    }

    #[test]
    fn a_table_keeps_those_used_last() {
        #[derive(Default)]
        struct Used(Timestamp);
        impl Row for Used {
            fn last(&self) -> Timestamp {
                self.0
            }
        }
        let mut table: Table<u32, Used> = Table { rows_max: 100, ..Table::default() };
        for n in 0..1000 {
            table.row(n).0 = at(i64::from(n));
        }
        assert!(table.rows.len() <= 100 && table.get(&999).is_some() && table.get(&0).is_none());
    }
}
