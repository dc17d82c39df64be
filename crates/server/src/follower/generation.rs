//! One file of a log and how far it was read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};
use tidegate_watch::AHEAD_OCTETS;

use super::mark::{MARK_OCTETS, Mark};
use super::packed::Packed;
use super::siblings::{Entry, Id, modified_ms};
use super::{LINE_OCTETS_MAX, LINGER_MS, Line};

/// Octets that are read at once.
const READ_OCTETS: usize = 256 * 1024;
/// How much earlier than the log a compressed form of it may have been changed; gzip keeps the time in whole seconds.
const PACKED_EARLIER_MS: i64 = 2_000;

/// How far one file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    id: Id,
    /// Octets that were read, counted from the start of the (unpacked) file.
    pub offset: u64,
    /// The first octets of the file, as far as they were seen.
    start: Mark,
    /// The last octets of what was read.
    end: Mark,
    /// When the file was last changed, as of the last reading; milliseconds since 1970.
    pub(super) modified_ms: i64,
    /// The rest of an over-long line is to be left out.
    is_within_line: bool,
    /// The file was put away before the log was followed, and only tells which files are older.
    is_history: bool,
}

impl Position {
    /// Where the marked octets before the offset begin.
    fn marked_from(&self) -> u64 {
        self.offset.saturating_sub(u64::from(self.end.octets))
    }
}

/// What one reading gave.
pub(super) struct Read {
    pub(super) lines: u64,
    pub(super) octets: u64,
    /// Nothing more can be read now.
    pub(super) is_end: bool,
}

const NOTHING: Read = Read { lines: 0, octets: 0, is_end: true };

/// A file of a log.
pub(super) struct Generation {
    pub(super) position: Position,
    source: Option<Source>,
    /// Lines that end before this offset are old.
    old_until: u64,
    /// Where a line waited for what follows it.
    waited_at: Option<u64>,
    /// When something was read last.
    read_ms: Option<i64>,
    /// The file holds something else than what was read.
    is_changed: bool,
    /// Something was handed out since the position was known to be on disk.
    is_unstored: bool,
    /// It is read on, but no file of the log has its content any more.
    pub(super) is_nameless: bool,
}

enum Source {
    Plain(File),
    Packed(Box<Packed>),
}

impl Source {
    /// The file that `entry` stands for, if it is still there under its name.
    fn open(entry: &Entry) -> io::Result<Source> {
        let file = File::open(&entry.path)?;
        let metadata = file.metadata()?;
        if Id::of(&metadata) != entry.id {
            return Err(io::Error::other(format!("{} was renamed while it was opened", entry.path.display())));
        }
        Ok(match entry.is_packed {
            true => Source::Packed(Box::new(Packed::open(&entry.path, file)?)),
            false => Source::Plain(file),
        })
    }

    fn window(&mut self, start: u64, octets_max: usize) -> io::Result<Vec<u8>> {
        match self {
            Source::Plain(file) => plain_window(file, start, octets_max),
            Source::Packed(packed) => packed.window(start, octets_max),
        }
    }

    fn octets(&self) -> Option<u64> {
        match self {
            Source::Plain(file) => file.metadata().ok().map(|metadata| metadata.len()),
            Source::Packed(_) => None,
        }
    }

    /// Whether nobody else could read what stands before `position`, as far as the file's size and names tell. Of a packed file this is not
    /// known.
    fn lacks(&self, position: &Position) -> bool {
        let Source::Plain(file) = self else { return false };
        file.metadata().is_ok_and(|metadata| metadata.nlink() == 0 || metadata.len() < position.offset)
    }

    /// Whether the file holds what was read up to `position`.
    fn holds(&mut self, position: &Position) -> io::Result<bool> {
        Ok(self.begins_as(position)? && position.end.begins(&self.window(position.marked_from(), position.end.len())?))
    }

    fn begins_as(&mut self, position: &Position) -> io::Result<bool> {
        Ok(position.start.begins(&self.window(0, position.start.len())?))
    }
}

fn plain_window(file: &File, start: u64, octets_max: usize) -> io::Result<Vec<u8>> {
    let mut window = vec![0; octets_max];
    let mut filled = 0;
    while let Some(rest) = window.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = start.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(octets) => filled += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    window.truncate(filled);
    Ok(window)
}

impl Generation {
    /// A file that was read before, not yet looked for.
    pub(super) fn unopened(position: Position) -> Generation {
        Generation {
            position,
            source: None,
            old_until: 0,
            waited_at: None,
            read_ms: None,
            is_changed: false,
            is_unstored: false,
            is_nameless: false,
        }
    }

    /// A file that was not read before. Reading begins with the first line behind `from`.
    pub(super) fn begin(entry: &Entry, from: u64) -> io::Result<Generation> {
        let mut source = Source::open(entry)?;
        let start = Mark::of_start(&source.window(0, MARK_OCTETS)?);
        let marked = from.min(u64::try_from(MARK_OCTETS).unwrap_or(u64::MAX));
        let end = Mark::of_end(&source.window(from - marked, usize::try_from(marked).unwrap_or(0))?);
        let position = Position {
            id: entry.id,
            offset: from,
            start,
            end,
            modified_ms: entry.modified_ms,
            is_within_line: from > 0,
            is_history: false,
        };
        Ok(Generation { source: Some(source), ..Generation::unopened(position) })
    }

    /// A file that was put away before the log was followed.
    pub(super) fn not_to_be_read(entry: &Entry) -> Generation {
        let modified_ms = entry.modified_ms;
        Generation::unopened(Position { id: entry.id, modified_ms, is_history: true, ..Position::default() })
    }

    /// The position, unless it only names the inode of a deleted file, which another file may get.
    pub(super) fn to_be_stored(&self) -> Option<&Position> {
        Some(&self.position).filter(|position| position.offset > 0 || !self.is_nameless)
    }

    /// Whether the file at the log's name is this one, with nothing taken away, as far as can be told without reading.
    pub(super) fn is_at(&self, metadata: &Metadata) -> bool {
        let is_same = Id::of(metadata) == self.position.id;
        is_same && self.source.is_some() && !self.is_changed && metadata.len() >= self.position.offset
    }

    /// Whether it can be read, or need not be.
    pub(super) fn is_open(&self) -> bool {
        self.source.is_some() || self.position.is_history
    }

    /// Whether it has to be looked for: because it is not open, because it holds something else, or because something is in
    /// it for the first time. Until then it could be copied and emptied without a trace.
    pub(super) fn is_to_be_found(&self) -> bool {
        !self.is_open() || self.is_changed || (self.position.start.len() == 0 && self.lag_octets() > 0)
    }

    /// Whether the open file can be read on, wherever it is now.
    pub(super) fn goes_on(&mut self) -> bool {
        let position = &self.position;
        let holds = self.source.as_mut().map(|source| source.holds(position).unwrap_or(false));
        holds.unwrap_or(false)
    }

    pub(super) fn what_is_there_is_old(&mut self) {
        if let Some(source) = &self.source {
            self.old_until = source.octets().unwrap_or(u64::MAX);
        }
    }

    /// Whether something was handed out since the position was known to be on disk.
    pub(super) fn is_unstored(&self) -> bool {
        self.is_unstored
    }

    /// The position is on disk, and what was made of the lines before it.
    pub(super) fn is_on_disk(&mut self) {
        self.is_unstored = false;
    }

    /// Whether what was handed out and may not be on disk is gone with this process: the file is deleted, or what was read was taken out
    /// of it. A packed form or a copy of it may be left; that is not looked for here.
    pub(super) fn is_endangered(&self) -> bool {
        self.is_unstored && (self.is_changed || self.source.as_ref().is_some_and(|source| source.lacks(&self.position)))
    }

    /// Octets of the file that were not read.
    pub(super) fn lag_octets(&self) -> u64 {
        let octets = self.source.as_ref().and_then(Source::octets);
        octets.map_or(0, |octets| octets.saturating_sub(self.position.offset))
    }

    /// Which of `entries` holds what was read, and opens it if need be: the file itself, else a copy.
    pub(super) fn find(&mut self, entries: &[Entry]) -> io::Result<Option<usize>> {
        let own = entries.iter().position(|entry| entry.id == self.position.id);
        if self.position.is_history {
            return Ok(own);
        }
        if let Some((at, entry)) = own.and_then(|at| entries.get(at).map(|entry| (at, entry))) {
            let mut source = Source::open(entry)?;
            if source.holds(&self.position)? {
                if self.source.is_none() || self.is_changed {
                    self.source = Some(source);
                    self.is_changed = false;
                }
                self.look_at_start()?;
                return Ok(Some(at));
            }
        }
        let is_ours = self.goes_on();
        if is_ours {
            self.look_at_start()?;
        }
        if self.position.start.len() == 0 {
            return Ok(None);
        }
        for (at, entry) in entries.iter().enumerate().rev() {
            let earliest_ms = self.position.modified_ms - PACKED_EARLIER_MS;
            if entry.is_packed && entry.modified_ms < earliest_ms {
                continue;
            }
            // An old file that cannot be read is none of ours.
            let Ok(mut source) = Source::open(entry) else { continue };
            if source.holds(&self.position)? {
                if !is_ours {
                    self.source = Some(source);
                }
                self.is_now(entry);
                return Ok(Some(at));
            }
        }
        if is_ours { Ok(None) } else { self.find_shorter(entries) }
    }

    /// Remembers how a file begins of which nothing was read, so that it can be found in another form.
    fn look_at_start(&mut self) -> io::Result<()> {
        if let Some(source) = self.source.as_mut().filter(|_| self.position.offset == 0) {
            self.position.start = Mark::of_start(&source.window(0, MARK_OCTETS)?);
        }
        Ok(())
    }

    /// A copy that was made before the last lines were written and read: all of it was read.
    fn find_shorter(&mut self, entries: &[Entry]) -> io::Result<Option<usize>> {
        for (at, entry) in entries.iter().enumerate().rev() {
            let is_shorter = !entry.is_packed && entry.octets < self.position.offset && entry.octets > 0;
            if !is_shorter {
                continue;
            }
            let Ok(mut source) = Source::open(entry) else { continue };
            if source.begins_as(&self.position)? {
                self.position = Generation::begin(entry, entry.octets)?.position;
                self.position.is_within_line = false;
                self.source = Some(source);
                self.is_now(entry);
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// From now on it is to be found as `entry`; what is open can still be the deleted file that it was made of.
    fn is_now(&mut self, entry: &Entry) {
        self.position.id = entry.id;
        self.is_changed = false;
    }

    /// Reads some lines. A line without its end waits for it.
    pub(super) fn read(&mut self, now_ms: i64, each: &mut impl FnMut(Line<'_>)) -> io::Result<Read> {
        let position = &self.position;
        let Some(source) = self.source.as_mut().filter(|_| !self.is_changed) else { return Ok(NOTHING) };
        self.read_ms.get_or_insert(now_ms);
        if position.start.len() == 0 {
            return Ok(NOTHING);
        }
        let octets = source.octets();
        if octets == Some(position.offset) {
            // It may have been emptied and filled again to the very length that was read.
            self.is_changed = !source.holds(position)?;
            return Ok(NOTHING);
        }
        let marked = position.end.len();
        let window = source.window(position.marked_from(), marked + READ_OCTETS)?;
        // A file may be truncated and filled again at any time, also while it is read.
        let is_plain = matches!(source, Source::Plain(_));
        let is_whole = position.end.begins(&window)
            && (!is_plain || source.begins_as(position)?)
            && position.end.begins(&source.window(position.marked_from(), marked)?)
            && source.octets().is_none_or(|octets| octets >= position.offset);
        if !is_whole {
            self.is_changed = true;
            return Ok(NOTHING);
        }
        let modified = match source {
            Source::Plain(file) => modified_ms(&file.metadata()?),
            Source::Packed(_) => position.modified_ms,
        };
        let is_full = window.len() == marked + READ_OCTETS;
        let lines = self.hand_out(&window, marked, is_full, each);
        if lines.octets > 0 {
            self.read_ms = Some(now_ms);
            self.position.modified_ms = modified;
        }
        Ok(Read { is_end: !is_full || lines.octets == 0, ..lines })
    }

    /// Hands out the whole lines of `window`, of which the first `marked` octets were read before.
    fn hand_out(&mut self, window: &[u8], marked: usize, is_full: bool, each: &mut impl FnMut(Line<'_>)) -> Read {
        let mut rest = window.get(marked..).unwrap_or_default();
        let mut read = Read { lines: 0, octets: 0, is_end: true };
        let first = self.position.offset;
        loop {
            let end = memchr::memchr(b'\n', rest);
            let taken = match end {
                Some(end) => end + 1,
                None if self.position.is_within_line => rest.len(),
                None if rest.len() >= LINE_OCTETS_MAX => LINE_OCTETS_MAX,
                None => 0,
            };
            if taken == 0 || self.waits(rest, taken, first + read.octets, is_full) {
                break;
            }
            read.octets += u64::try_from(taken).unwrap_or(u64::MAX);
            if !self.position.is_within_line {
                let octets = rest.get(..end.unwrap_or(taken).min(LINE_OCTETS_MAX)).unwrap_or_default();
                let is_cut = end.is_none_or(|end| end > LINE_OCTETS_MAX);
                let following = rest.get(taken..).unwrap_or_default();
                each(Line { octets, following, is_cut, is_fresh: first + read.octets > self.old_until });
                read.lines += 1;
            }
            self.position.is_within_line = end.is_none();
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.advance(read.octets, window.get(..window.len() - rest.len()).unwrap_or_default());
        read
    }

    /// Whether the line at the start of `rest`, which is at `offset` and ends before `taken`, is to be handed out later, with more of
    /// what follows: there is more, or more is just being written. For the latter it waits once.
    fn waits(&mut self, rest: &[u8], taken: usize, offset: u64, is_full: bool) -> bool {
        let following = rest.get(taken..).unwrap_or_default();
        let is_being_written = following.last().is_some_and(|last| *last != b'\n');
        if following.len() >= AHEAD_OCTETS || !(is_full || is_being_written) || self.waited_at == Some(offset) {
            return false;
        }
        let is_read_ahead = memchr::memmem::find(rest.get(..taken).unwrap_or_default(), b" cwd=").is_some();
        if is_read_ahead && !is_full {
            self.waited_at = Some(offset);
        }
        is_read_ahead && (!is_full || offset > self.position.offset)
    }

    /// Moves the position behind `read`, the octets of the file that end there.
    fn advance(&mut self, octets: u64, read: &[u8]) {
        if octets == 0 {
            return;
        }
        // As long as less was read than a mark covers, `read` begins with the file.
        if !self.position.start.is_full() {
            self.position.start = Mark::of_start(read);
        }
        self.position.offset += octets;
        self.position.end = Mark::of_end(read);
        self.is_unstored = true;
    }

    /// Whether all of it was read and nothing came for a while.
    pub(super) fn is_quiet(&self, now_ms: i64) -> bool {
        let is_packed = matches!(self.source, Some(Source::Packed(_)));
        self.position.is_history || self.read_ms.is_some_and(|at| is_packed || now_ms.saturating_sub(at) >= LINGER_MS)
    }

    /// Hands out what is left of a file that nobody writes any more, a last line without end included.
    pub(super) fn read_rest(&mut self, now_ms: i64, each: &mut impl FnMut(Line<'_>)) -> io::Result<u64> {
        let mut lines = 0;
        loop {
            let waited_at = self.waited_at;
            let read = self.read(now_ms, each)?;
            lines += read.lines;
            if read.is_end && self.waited_at == waited_at {
                break;
            }
        }
        if self.position.is_within_line || self.is_changed {
            return Ok(lines);
        }
        let Some(source) = &mut self.source else { return Ok(lines) };
        let marked = self.position.end.len();
        let window = source.window(self.position.marked_from(), marked + LINE_OCTETS_MAX)?;
        let octets = window.get(marked..).unwrap_or_default();
        if !octets.is_empty() {
            let end = self.position.offset + u64::try_from(octets.len()).unwrap_or(u64::MAX);
            each(Line { octets, following: b"", is_cut: false, is_fresh: end > self.old_until });
            self.advance(u64::try_from(octets.len()).unwrap_or(u64::MAX), &window);
            lines += 1;
        }
        Ok(lines)
    }
}
