//! Lines that stand in several files: Exim's reject and panic log beside its main log, a copy beside a log, rotated pieces that overlap.
//! Such lines have the same text and the same time, and files are read side by side in the order of time, so a few seconds of lines
//! are all that is remembered. Equal lines of one file are different events, and all of them count.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use tidegate_watch::Timestamp;

/// How long a line is remembered, in time of the logs: lines of one file stand out of order by some seconds.
pub(super) const REMEMBERED_MS: i64 = 5000;
/// Lines that are remembered at most.
const LINES_MAX: usize = 65_536;

/// The newest lines of all files, as hashes.
#[derive(Default)]
pub(super) struct Repeats {
    known: HashMap<u64, Sightings, BuildHasherDefault<Hashed>>,
    /// Every line beside another log is hashed, so it has to be fast. Whoever writes into a log cannot know its keys.
    hashes: foldhash::quality::RandomState,
    /// Oldest first, each with the latest time that had been seen.
    order: VecDeque<(Timestamp, u64)>,
    latest: Option<Timestamp>,
}

/// How often each file has a line.
struct Sightings {
    most: u32,
    first: (usize, u32),
    /// Most lines stand in one file, and need no memory here.
    others: Vec<(usize, u32)>,
}

impl Repeats {
    /// Counts a line of `file` that is of this time, or stands behind one that is. Whether another file had it as often before.
    pub(super) fn is_repeated(&mut self, file: usize, time: Timestamp, line: &[u8]) -> bool {
        let now = self.latest.map_or(time, |latest| latest.max(time));
        self.latest = Some(now);
        let hash = self.hashes.hash_one((time, line));
        if let Some(sightings) = self.known.get_mut(&hash) {
            return sightings.add(file);
        }
        self.known.insert(hash, Sightings { most: 1, first: (file, 1), others: Vec::new() });
        self.order.push_back((now, hash));
        while let Some((then, old)) = self.order.front().copied()
            && (self.order.len() > LINES_MAX || then.plus_millis(REMEMBERED_MS) < now)
        {
            self.known.remove(&old);
            self.order.pop_front();
        }
        false
    }
}

/// Takes what is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, octets: &[u8]) {
        debug_assert!(false, "only hashes are keys, not {octets:?}");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Sightings {
    fn add(&mut self, file: usize) -> bool {
        let count = if self.first.0 == file {
            &mut self.first.1
        } else {
            if !self.others.iter().any(|(other, _)| *other == file) {
                self.others.push((file, 0));
            }
            let Some((_, count)) = self.others.iter_mut().find(|(other, _)| *other == file) else { return false };
            count
        };
        *count = count.saturating_add(1);
        let is_repeated = *count <= self.most;
        self.most = self.most.max(*count);
        is_repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as (file, second, text), and how many of them count.
    #[test]
    fn a_line_counts_as_often_as_the_file_has_it_that_has_it_most_often() {
        for (why, lines, expected) in [
            ("equal lines of one file all count", &[(0, 1, "a"), (0, 1, "a"), (0, 1, "a")][..], 3),
            ("a copy adds nothing", &[(0, 1, "a"), (0, 1, "a"), (1, 1, "a"), (1, 1, "a")], 2),
            ("however the files take turns", &[(0, 1, "a"), (1, 1, "a"), (0, 1, "a"), (1, 1, "a")], 2),
            ("three files", &[(2, 1, "a"), (1, 1, "a"), (0, 1, "a")], 1),
            ("the second file has it once more", &[(0, 1, "a"), (1, 1, "a"), (1, 1, "a")], 2),
            ("another time is another event", &[(0, 1, "a"), (1, 2, "a")], 2),
            ("another text is another event", &[(0, 1, "a"), (1, 1, "b")], 2),
            ("lines out of order by some seconds", &[(0, 9, "a"), (0, 6, "b"), (1, 9, "a"), (1, 6, "b")], 2),
        ] {
            let mut repeats = Repeats::default();
            let counted = lines.iter().filter(|(file, second, text)| {
                !repeats.is_repeated(*file, Timestamp::from_millis(*second * 1000), text.as_bytes())
            });
            assert_eq!(counted.count(), expected, "{why}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..LINES_MAX + 1000 {
            repeats.is_repeated(0, Timestamp::from_millis(0), &n.to_le_bytes());
        }
        assert!(repeats.known.len() <= LINES_MAX && repeats.order.len() <= LINES_MAX);
        repeats.is_repeated(0, Timestamp::from_millis(REMEMBERED_MS + 1), b"later");
        assert_eq!((repeats.known.len(), repeats.order.len()), (1, 1));
    }
}
