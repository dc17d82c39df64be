//! Several files as one log in the order of time: rotated files follow each other, logs of different programs run side by side.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};

use indicatif::ProgressBar;
use tidegate_watch::{Event, Place, Reader, Source, Timestamp};

use super::file::{self, Lines, LogFile, LogKind, Trouble};
use super::{FileRow, Wanted};

/// Lines of the main log that are remembered, to know them again in the reject log.
const RECENT_MAX: usize = 65_536;

/// Which line comes next: the older one; within a second the main log's before those that repeat it.
type Turn = (Timestamp, LogKind, usize);

/// Before all times, for files that tell none.
const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// All files of a run.
pub(super) struct Merge {
    /// Not yet opened; the next one last.
    waiting: Vec<(usize, LogFile)>,
    open: Vec<Stream>,
    rows: Vec<FileRow>,
    wanted: Wanted,
    progress: ProgressBar,
    /// Lines of the main log, if another file may repeat them.
    recent: Option<Recent>,
    has_main: bool,
}

/// A file that is being read.
struct Stream {
    number: usize,
    name: String,
    file: LogFile,
    lines: Lines,
    reader: Reader,
    /// The time of the line that comes next, or of the one before if that has none.
    next: Timestamp,
    /// The hour for which the reader's offset holds.
    hour: i64,
    offset: i64,
    /// Whether lines without a time belong to a wanted event.
    is_wanted: bool,
}

impl Stream {
    fn turn(&self) -> Turn {
        (self.next, self.file.kind, self.number)
    }
}

impl Merge {
    /// `files` stand in the order in which they begin.
    pub(super) fn new(files: Vec<LogFile>, wanted: Wanted, progress: ProgressBar) -> Merge {
        let rows = files.iter().map(row).collect();
        let has_main = files.iter().any(|file| file.kind == LogKind::EximMain);
        let is_repeated = has_main && files.iter().any(|file| file.kind.repeats_main());
        // What was last changed before the wanted time has no wanted line.
        let is_old = |file: &LogFile| match (file.latest, wanted.since) {
            (Some(latest), Some(since)) => latest.plus_millis(1000) < since,
            _ => false,
        };
        let mut waiting: Vec<(usize, LogFile)> =
            files.into_iter().enumerate().filter(|(_, file)| file.kind.is_log() && !is_old(file)).collect();
        waiting.reverse();
        let recent = is_repeated.then(Recent::default);
        Merge { waiting, open: Vec::new(), rows, wanted, progress, recent, has_main }
    }

    /// Reads all. Which file goes on is decided anew when another one's line is due.
    pub(super) fn run<E>(
        mut self,
        mut each: impl FnMut(&Event<'_>, Place, &str) -> Result<(), E>,
    ) -> Result<Vec<FileRow>, E> {
        loop {
            let next = self.open.iter().enumerate().min_by_key(|(_, stream)| stream.turn()).map(|(at, _)| at);
            let due = next.and_then(|at| self.open.get(at)).map(Stream::turn);
            if let Some(begins) = self.waiting.last().map(begins)
                && due.is_none_or(|due| begins <= due)
            {
                self.open_next();
                continue;
            }
            let Some(at) = next else { break };
            let mut stream = self.open.swap_remove(at);
            let others = self.open.iter().map(Stream::turn);
            let until = others.chain(self.waiting.last().map(begins)).min();
            if self.go_on(&mut stream, until, &mut each)? {
                self.open.push(stream);
            }
        }
        Ok(self.rows)
    }

    fn open_next(&mut self) {
        let Some((number, mut file)) = self.waiting.pop() else { return };
        let first = file.first.unwrap_or(LONG_AGO);
        let offset = file.first.map_or(0, |first| file::offset_seconds(&self.wanted.zone, first));
        let opened = file.lines(&self.progress).and_then(|mut lines| Ok(lines.advance()?.then_some(lines)));
        match opened {
            Ok(Some(lines)) => self.open.push(Stream {
                number,
                name: file.path.display().to_string(),
                reader: file.reader(offset),
                file,
                lines,
                next: first,
                hour: first.hour(),
                offset,
                is_wanted: false,
            }),
            Ok(None) => {}
            Err(trouble) => self.fail(number, &trouble),
        }
    }

    fn fail(&mut self, number: usize, trouble: &Trouble) {
        if let Some(row) = self.rows.get_mut(number) {
            row.trouble = Some(trouble.to_string());
        }
    }

    /// Reads `stream` until another line is due; `false` at its end.
    fn go_on<E>(
        &mut self,
        stream: &mut Stream,
        until: Option<Turn>,
        each: &mut impl FnMut(&Event<'_>, Place, &str) -> Result<(), E>,
    ) -> Result<bool, E> {
        loop {
            self.line(stream, each)?;
            match stream.lines.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(trouble) => {
                    self.fail(stream.number, &trouble);
                    return Ok(false);
                }
            }
            let Some(until) = until else { continue };
            let text = Reader::text(&stream.lines.buffer);
            stream.next = stream.reader.time(&text).unwrap_or(stream.next);
            if stream.turn() > until {
                return Ok(true);
            }
        }
    }

    /// Reads one line and gives it away, if it is wanted and no other file has it.
    fn line<E>(
        &mut self,
        stream: &mut Stream,
        each: &mut impl FnMut(&Event<'_>, Place, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = stream.file.kind;
        let text = Reader::text(&stream.lines.buffer);
        let event = stream.reader.read(&text);
        let is_repeated = match &mut self.recent {
            Some(recent) if kind == LogKind::EximMain => recent.add(event.time, &stream.lines.buffer),
            Some(recent) if kind.repeats_main() => recent.has(&stream.lines.buffer),
            _ => kind == LogKind::Syslog && self.has_main && event.source == Source::Exim,
        };
        if let Some(row) = self.rows.get_mut(stream.number) {
            row.lines += 1;
            row.repeated += u64::from(is_repeated);
        }
        if let Some(time) = event.time {
            stream.is_wanted = self.wanted.since.is_none_or(|since| time >= since)
                && self.wanted.until.is_none_or(|until| time <= until);
        }
        let is_wanted = match event.time {
            Some(_) => stream.is_wanted,
            None => stream.is_wanted || (self.wanted.since.is_none() && self.wanted.until.is_none()),
        };
        if is_wanted && !is_repeated {
            let place = Place { file: u32::try_from(stream.number).unwrap_or(u32::MAX), line: stream.lines.number };
            each(&event, place, &stream.name)?;
        }
        // Summer time begins or ends on the hour.
        if let Some(time) = event.time
            && time.hour() != stream.hour
        {
            stream.hour = time.hour();
            let offset = file::offset_seconds(&self.wanted.zone, time);
            if offset != stream.offset {
                stream.offset = offset;
                stream.reader = stream.reader.clone().with_zone(i32::try_from(offset).unwrap_or(0));
            }
        }
        Ok(())
    }
}

fn begins(waiting: &(usize, LogFile)) -> Turn {
    (waiting.1.first.unwrap_or(LONG_AGO), waiting.1.kind, waiting.0)
}

fn row(file: &LogFile) -> FileRow {
    FileRow {
        file: file.path.display().to_string(),
        kind: file.kind,
        lines: 0,
        repeated: 0,
        trouble: file.trouble.as_ref().map(ToString::to_string),
    }
}

/// Hashes of the main log's newest lines.
#[derive(Default)]
struct Recent {
    known: HashSet<u64>,
    order: VecDeque<(Timestamp, u64)>,
}

impl Recent {
    /// Adds a line; what is older than a few seconds or too much is forgotten. Never says that the line is a repetition.
    fn add(&mut self, time: Option<Timestamp>, line: &[u8]) -> bool {
        const REMEMBERED_MS: i64 = 5000;
        let Some(time) = time else { return false };
        let hash = hash(line);
        if self.known.insert(hash) {
            self.order.push_back((time, hash));
        }
        while let Some((then, old)) = self.order.front().copied()
            && (self.order.len() > RECENT_MAX || time.as_millis().saturating_sub(then.as_millis()) > REMEMBERED_MS)
        {
            self.known.remove(&old);
            self.order.pop_front();
        }
        false
    }

    fn has(&self, line: &[u8]) -> bool {
        self.known.contains(&hash(line))
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}
