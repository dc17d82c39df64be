//! Follows one log file through rotation, truncation and restarts: every line is handed out once, in the order written.
//!
//! Where reading stands is a value, [`State`], to be stored together with what was made of the lines: a process that
//! begins again from a stored state gets exactly the lines behind it. A place in a log is told by the file's inode, the
//! offset, and marks of the octets at its start and just before the offset, so that a reused inode, a truncated file and a
//! copy are known for what they are.
//!
//! Rotation may be by renaming (`.1`, dates), by copying and truncating, and with compression (`.gz`, `.zst`): unread lines are read
//! where they went to, and files that were begun and put away between two looks are read whole, oldest first. What a
//! program that rotates loses by itself (lines written between its copy and its truncation) cannot be read here either.
//!
//! Not here: what a line means, and any thread. One call of [`Follower::poll`] reads a bounded number of octets.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod generation;
mod mark;
mod packed;
mod siblings;
#[cfg(test)]
mod tests;

use self::generation::{Generation, Read};
use self::siblings::Entry;

pub use self::generation::Position;

/// Octets of one line that are handed out; what is beyond is left out up to the line's end.
pub const LINE_OCTETS_MAX: usize = 64 * 1024;
/// Octets that one call of [`Follower::poll`] reads at most, so that several logs take turns.
pub const POLL_OCTETS_MAX: u64 = 4 << 20;
/// Octets at the end of a log that are read when it is seen for the first time; older lines are left alone.
pub const FIRST_OCTETS_MAX: u64 = 64 << 20;
/// After a pause of this length, lines that lie there already are old: they count, but nothing is done about them.
pub const PAUSE_MS_MAX: i64 = 10 * 60 * 1000;
/// How long a file that was put away is watched for late lines; a program may have had it open.
pub const LINGER_MS: i64 = 30_000;
/// Files that were put away and are watched for late lines; of more, the oldest are let go at once.
const LINGERING_MAX: usize = 16;
/// Files of one log that are read at once; more that were missed are given up, oldest first.
const GENERATIONS_MAX: usize = 400;

/// Where reading stands in one log. Its stored form has the version of the row that it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The files that are not done with, oldest first; the last is the newest.
    pub positions: Vec<Position>,
    /// Milliseconds since 1970 of the last look.
    pub looked_ms: i64,
    /// All files beside the log were made of it since it is followed, and none of them is done with.
    pub is_without_history: bool,
}

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The octets, at most [`LINE_OCTETS_MAX`]; hostile.
    pub octets: &'a [u8],
    /// What follows the line in the log, as far as it is there.
    pub following: &'a [u8],
    /// Whether the line was longer.
    pub is_cut: bool,
    /// Whether it was written while somebody looked. Old lines count, but nothing is to be done about them.
    pub is_fresh: bool,
}

/// What a look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Lines handed out.
    pub lines: u64,
    /// Whether more can be read at once.
    pub has_more: bool,
}

/// What happened to a log since it is followed by this process, and how it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Since when there is no file of that name, in milliseconds since 1970.
    pub missing_since_ms: Option<i64>,
    /// Why file or folder cannot be read now.
    pub trouble: Option<String>,
    /// Times the log went on in another file.
    pub rotations: u64,
    /// Times the file was cut or replaced, and nothing of it was left to find what had been read.
    pub restarts: u64,
    /// Files that had to be given up with lines unread.
    pub lost_files: u64,
}

/// Follows one log.
pub struct Follower {
    path: PathBuf,
    generations: Vec<Generation>,
    looked_ms: Option<i64>,
    is_without_history: bool,
    /// It is not known for sure which files belong to the log.
    is_unsettled: bool,
    /// The last look found no file, so that one that comes is read from its start.
    was_missing: bool,
    /// A file is gone of which lines were handed out that may not be on disk.
    has_lost_sight: bool,
    health: Health,
}

impl Follower {
    /// A follower of the log at `path`, beginning at `state` where it was followed before.
    #[must_use]
    pub fn new(path: &Path, state: Option<State>) -> Follower {
        let looked_ms = state.as_ref().map(|state| state.looked_ms);
        let state = state.unwrap_or_default();
        let generations = state.positions.into_iter().map(Generation::unopened).collect();
        Follower {
            path: path.to_owned(),
            generations,
            looked_ms,
            is_without_history: state.is_without_history,
            is_unsettled: false,
            was_missing: looked_ms.is_some(),
            has_lost_sight: false,
            health: Health::default(),
        }
    }

    /// The log's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where reading stands now, behind the last line that was handed out.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            positions: self.generations.iter().filter_map(Generation::to_be_stored).cloned().collect(),
            looked_ms: self.looked_ms.unwrap_or(0),
            is_without_history: self.is_without_history,
        }
    }

    /// Whether lines that were handed out since [`Follower::is_on_disk`] was said are in no file any more, or in one that is deleted: after
    /// a kill nobody could read them again, so [`Follower::state`] and what was made of them belong on disk at once. Asks the system
    /// about each open file.
    #[must_use]
    pub fn is_endangered(&self) -> bool {
        self.has_lost_sight || self.generations.iter().any(Generation::is_endangered)
    }

    /// Takes note that [`Follower::state`] is on disk, together with what was made of all lines so far.
    pub fn is_on_disk(&mut self) {
        self.has_lost_sight = false;
        self.generations.iter_mut().for_each(Generation::is_on_disk);
    }

    /// How the log is.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Octets that are there and not read; those of a compressed file are not known and count as none.
    #[must_use]
    pub fn lag_octets(&self) -> u64 {
        self.generations.iter().map(Generation::lag_octets).sum()
    }

    /// Hands out lines that can be read now, at most about `octets_max` octets of them. `now_ms` is the time in milliseconds
    /// since 1970. What cannot be read is told by [`Follower::health`] and tried again at the next look.
    pub fn poll(&mut self, now_ms: i64, octets_max: u64, mut each: impl FnMut(Line<'_>)) -> Polled {
        let is_after_pause = self.looked_ms.is_none_or(|at| now_ms.saturating_sub(at) > PAUSE_MS_MAX);
        let found = self.look(now_ms);
        let is_complete = matches!(found, Ok(true)) && self.generations.iter().all(Generation::is_open);
        self.health.trouble = found.err().map(|error| error.to_string());
        if !is_complete {
            // Lines come in order, so a file that cannot be read now holds up those behind it.
            return Polled::default();
        }
        if is_after_pause {
            self.generations.iter_mut().for_each(Generation::what_is_there_is_old);
        }
        self.looked_ms = Some(now_ms);
        self.read(now_ms, octets_max, &mut each)
    }

    /// Finds out whether the log goes on in another file. `false` when a rotation is under way, so that it cannot be told.
    fn look(&mut self, now_ms: i64) -> io::Result<bool> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.health.missing_since_ms.get_or_insert(now_ms);
                self.was_missing = true;
                return Ok(!self.is_unsettled);
            }
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(io::Error::other("this is no regular file"));
        }
        let is_at_base = self.generations.last().is_some_and(|newest| newest.is_at(&metadata));
        if !is_at_base || self.is_unsettled || self.generations.iter().any(Generation::is_to_be_found) {
            // A survey that is broken off has to be made again, whatever it has found.
            self.is_unsettled = true;
            self.is_unsettled = !self.survey()?;
        }
        self.health.missing_since_ms = None;
        self.was_missing = false;
        Ok(!self.is_unsettled)
    }

    /// Looks at all files of the log: finds those of which something was read, and takes in those that are newer.
    fn survey(&mut self) -> io::Result<bool> {
        let entries = siblings::list(&self.path)?;
        let Some((base, put_away)) = entries.split_last() else { return Ok(false) };
        if self.generations.is_empty() {
            self.begin(base, put_away)?;
            return Ok(true);
        }
        let places: Vec<Option<usize>> =
            self.generations.iter_mut().map(|generation| generation.find(&entries)).collect::<io::Result<_>>()?;
        // The newest one, if nothing of it was read, may have been copied and emptied since: it does not tell what is older.
        let newest = self.generations.len() - 1;
        let is_newest_telling = self.generations.last().is_some_and(|newest| newest.position.offset > 0);
        let tells = |(at, _): &(usize, &Option<usize>)| *at < newest || is_newest_telling;
        let anchor = places.iter().enumerate().filter(tells).filter_map(|(_, place)| *place).max();
        let known_ms = self.generations.iter().map(|generation| generation.position.modified_ms).max().unwrap_or(0);
        let is_missed = |(at, entry): &(usize, &Entry)| {
            let is_newer = match anchor {
                Some(anchor) => *at > anchor,
                None => entry.is_base || self.is_without_history || entry.modified_ms > known_ms,
            };
            is_newer && !places.contains(&Some(*at))
        };
        let missed = entries.iter().enumerate().filter(is_missed);
        let mut begun = Vec::new();
        for (at, entry) in missed {
            // A copy of the log that is not emptied yet holds nothing that the log does not.
            if entry.is_base || !siblings::begin_alike(entry, &self.path)? {
                begun.push((Some(at), Generation::begin(entry, 0)?));
            }
        }
        if !siblings::are_as_before(&self.path, &entries)? {
            return Ok(false);
        }
        self.settle(&places, begun);
        Ok(true)
    }

    /// Sees the log for the first time: its end is read, and what was put away before stays unread.
    fn begin(&mut self, base: &Entry, put_away: &[Entry]) -> io::Result<()> {
        let from = if self.was_missing { 0 } else { base.octets.saturating_sub(FIRST_OCTETS_MAX) };
        let first = Generation::begin(base, from)?;
        self.generations.extend(put_away.last().map(Generation::not_to_be_read));
        self.generations.push(first);
        self.is_without_history = put_away.is_empty();
        Ok(())
    }

    /// Lets go of files that are gone, and takes in `begun`, all in the order of the files.
    fn settle(&mut self, places: &[Option<usize>], begun: Vec<(Option<usize>, Generation)>) {
        let has_begun = !begun.is_empty();
        let former = std::mem::take(&mut self.generations);
        let mut kept: Vec<(Option<usize>, Generation)> = places.iter().copied().zip(former).collect();
        // A file that was deleted or moved elsewhere can be read to its end for as long as it is open.
        kept.retain_mut(|(place, generation)| {
            generation.is_nameless = place.is_none();
            let is_there = place.is_some() || generation.goes_on();
            self.has_lost_sight |= !is_there && generation.is_unstored();
            is_there
        });
        self.health.restarts += u64::from(kept.is_empty());
        self.health.rotations += u64::from(!kept.is_empty() && has_begun);
        kept.extend(begun);
        kept.sort_by_key(|(place, generation)| (*place, std::cmp::Reverse(generation.position.offset)));
        // A copy may have been taken for a file of its own before it was known what it is a copy of.
        kept.dedup_by(|later, earlier| later.0.is_some() && later.0 == earlier.0);
        let excess = kept.len().saturating_sub(GENERATIONS_MAX);
        self.is_without_history &= excess == 0;
        self.health.lost_files += u64::try_from(excess).unwrap_or(u64::MAX);
        self.generations = kept.into_iter().skip(excess).map(|(_, generation)| generation).collect();
    }

    fn read(&mut self, now_ms: i64, octets_max: u64, each: &mut impl FnMut(Line<'_>)) -> Polled {
        let mut polled = Polled::default();
        let mut octets_left = octets_max;
        for generation in &mut self.generations {
            loop {
                match generation.read(now_ms, each) {
                    Ok(Read { lines, octets, is_end }) => {
                        polled.lines += lines;
                        octets_left = octets_left.saturating_sub(octets);
                        if is_end {
                            break;
                        }
                    }
                    Err(error) => {
                        self.health.trouble = Some(error.to_string());
                        return polled;
                    }
                }
                if octets_left == 0 {
                    polled.has_more = true;
                    return polled;
                }
            }
        }
        polled.lines += self.retire(now_ms, each);
        polled
    }

    /// Reads what is left of files that were put away and have been quiet since, and lets go of them. The last one with
    /// something in it is kept: should the newest be emptied or replaced, it tells which files are older.
    fn retire(&mut self, now_ms: i64, each: &mut impl FnMut(Line<'_>)) -> u64 {
        let Some((_, put_away)) = self.generations.split_last_mut() else { return 0 };
        let crowd = put_away.len().saturating_sub(LINGERING_MAX);
        let mut lines = 0;
        let mut quiet = 0;
        for (at, generation) in put_away.iter_mut().enumerate() {
            if at >= crowd && !generation.is_quiet(now_ms) {
                break;
            }
            match generation.read_rest(now_ms, each) {
                Ok(more) => lines += more,
                Err(error) => {
                    self.health.trouble = Some(error.to_string());
                    break;
                }
            }
            quiet += 1;
        }
        let is_telling = |generation: &Generation| generation.position.offset > 0;
        let kept_from = put_away.iter().rposition(is_telling).unwrap_or(put_away.len().saturating_sub(1));
        let gone = quiet.min(kept_from);
        // Of what has no name any more, no file is left that could be mistaken for an unread one.
        self.is_without_history &= put_away.iter().take(gone).all(|generation| generation.is_nameless);
        self.has_lost_sight |= put_away.iter().take(gone).any(Generation::is_endangered);
        self.generations.drain(..gone);
        lines
    }
}
