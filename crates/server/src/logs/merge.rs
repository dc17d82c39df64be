//! Several files as one log in the order of time: rotated files follow each other, logs of different programs run side by side.

use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use tidegate_watch::{Event, Kind, Place, Reader, Source, Timestamp};

use super::file::{Family, Lines, LogFile, LogKind, Trouble};
use super::repeats::{REMEMBERED_MS, Repeats};
use super::{FileRow, Origin, UnknownLine, Wanted, clock};

/// Which line comes next: the older one; within a second the main log's before those that repeat it.
type Turn = (Timestamp, LogKind, usize);

/// All files of a run.
pub(super) struct Merge {
    /// Not yet opened; the next one last.
    waiting: Vec<(usize, LogFile)>,
    open: Vec<Stream>,
    rows: Vec<FileRow>,
    wanted: Wanted,
    progress: ProgressBar,
    /// Lines of a time that several files tell of.
    repeats: Repeats,
    /// Each file that was read to its end, with the time there.
    ended: Vec<(Family, Timestamp)>,
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
    local: Local,
    /// The times in which another file may have the same lines.
    shared: Shared,
    /// Whether lines without a time belong to a wanted event.
    is_wanted: bool,
}

/// All times up to one, and all from another one on.
#[derive(Clone, Copy)]
struct Shared {
    until: Timestamp,
    from: Timestamp,
}

impl Shared {
    fn contains(self, time: Timestamp) -> bool {
        time <= self.until || time >= self.from
    }
}

impl Stream {
    fn turn(&self) -> Turn {
        (self.next, self.file.kind, self.number)
    }
}

/// Local time in a file that is being read.
struct Local {
    /// The time of the last line that has one.
    last: Timestamp,
    /// Seconds by which the reader takes local time to be ahead of UTC.
    offset: i64,
    /// The span of time in which that is certain.
    certain: (Timestamp, Timestamp),
}

impl Local {
    /// By how much local time is ahead in the line of this event, if that is not what was thought.
    fn other_offset(&mut self, event: &Event<'_>, zone: &TimeZone) -> Option<i64> {
        let time = event.time?;
        if (self.certain.0..self.certain.1).contains(&time) {
            return None;
        }
        let local = time.plus_millis(self.offset.saturating_mul(1000));
        let offset = clock::offset_behind(zone, local, self.last, event.born());
        self.certain = certain(zone, local.plus_millis(-offset.saturating_mul(1000)));
        if offset == self.offset {
            return None;
        }
        self.offset = offset;
        Some(offset)
    }
}

/// The times around `time` from the last change of local time to the next one, without the hours in which a clock cannot tell.
fn certain(zone: &TimeZone, time: Timestamp) -> (Timestamp, Timestamp) {
    /// No change of local time is longer.
    const CHANGE_MS: i64 = 3 * 3600 * 1000;
    let Ok(at) = jiff::Timestamp::from_millisecond(time.as_millis()) else { return (time, time) };
    let bound =
        |change: Option<jiff::tz::TimeZoneTransition<'_>>| change.map(|change| change.timestamp().as_millisecond());
    let since = bound(zone.preceding(at).next()).map_or(i64::MIN, |ms| ms.saturating_add(CHANGE_MS));
    let until = bound(zone.following(at).next()).map_or(i64::MAX, |ms| ms.saturating_sub(CHANGE_MS));
    (Timestamp::from_millis(since), Timestamp::from_millis(until))
}

impl Merge {
    /// `files` stand in the order in which they begin.
    pub(super) fn new(files: Vec<LogFile>, wanted: Wanted, progress: ProgressBar) -> Merge {
        let rows = files.iter().map(row).collect();
        let has_main = files.iter().any(|file| file.kind == LogKind::EximMain);
        // What was last changed before the wanted time has no wanted line.
        let is_old = |file: &LogFile| match (file.latest, wanted.since) {
            (Some(latest), Some(since)) => latest.plus_millis(1000) < since,
            _ => false,
        };
        let mut waiting: Vec<(usize, LogFile)> =
            files.into_iter().enumerate().filter(|(_, file)| file.kind.is_log() && !is_old(file)).collect();
        waiting.reverse();
        let (open, ended) = (Vec::new(), Vec::new());
        Merge { waiting, open, rows, wanted, progress, repeats: Repeats::default(), ended, has_main }
    }

    /// Reads all. Which file goes on is decided anew when another one's line is due.
    pub(super) fn run<E>(
        mut self,
        mut each: impl FnMut(&Event<'_>, Place, Origin<'_>) -> Result<(), E>,
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
            stream.shared = self.shared(stream.file.kind.family());
            if self.go_on(&mut stream, until, &mut each)? {
                self.open.push(stream);
            } else {
                self.ended.retain(|(family, _)| *family != stream.file.kind.family());
                self.ended.push((stream.file.kind.family(), stream.next));
            }
        }
        Ok(self.rows)
    }

    /// When another file of this family than the one that goes on may have the same lines: always while one is open, and around the
    /// times at which one ended and one begins. Between rotated logs nothing else needs to be remembered.
    fn shared(&self, family: Family) -> Shared {
        if self.open.iter().any(|stream| stream.file.kind.family() == family) {
            return Shared { until: Timestamp::from_millis(i64::MAX), from: clock::LONG_AGO };
        }
        let ended = self.ended.iter().find(|(ended, _)| *ended == family).map(|(_, time)| *time);
        let next = self.waiting.iter().rev().find(|(_, file)| file.kind.family() == family).map(begins);
        Shared {
            until: ended.map_or(clock::LONG_AGO, |time| time.plus_millis(REMEMBERED_MS)),
            from: next.map_or(Timestamp::from_millis(i64::MAX), |(time, ..)| time.plus_millis(-REMEMBERED_MS)),
        }
    }

    fn open_next(&mut self) {
        let Some((number, mut file)) = self.waiting.pop() else { return };
        let first = file.first.unwrap_or(clock::LONG_AGO);
        let offset = file.first.map_or(0, |first| clock::offset_seconds(&self.wanted.zone, first));
        let opened = file.lines(&self.progress).and_then(|mut lines| Ok(lines.advance()?.then_some(lines)));
        match opened {
            Ok(Some(lines)) => self.open.push(Stream {
                number,
                name: file.path.display().to_string(),
                reader: file.reader(offset),
                file,
                lines,
                next: first,
                local: Local { last: first, offset, certain: certain(&self.wanted.zone, first) },
                shared: Shared { until: clock::LONG_AGO, from: clock::LONG_AGO },
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
        each: &mut impl FnMut(&Event<'_>, Place, Origin<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        loop {
            self.line(stream, each)?;
            match stream.lines.advance() {
                Ok(true) => {}
                Ok(false) => {
                    if stream.file.is_shorter_now() {
                        self.fail(stream.number, &Trouble::Shorter(stream.lines.number));
                    }
                    return Ok(false);
                }
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
        each: &mut impl FnMut(&Event<'_>, Place, Origin<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kind = stream.file.kind;
        let text = Reader::text(&stream.lines.buffer);
        let mut event = stream.reader.read_before(&text, stream.lines.following());
        if let Some(offset) = stream.local.other_offset(&event, &self.wanted.zone) {
            stream.reader = stream.reader.clone().with_zone(i32::try_from(offset).unwrap_or(0));
            event = stream.reader.read_again(&text);
        }
        stream.local.last = event.time.unwrap_or(stream.local.last);
        let time = event.time.unwrap_or(stream.local.last);
        let is_copied =
            stream.shared.contains(time) && self.repeats.is_repeated(stream.number, time, &stream.lines.buffer);
        let is_in_main = kind == LogKind::Syslog && self.has_main && event.source == Source::Exim;
        let is_repeated = is_copied || is_in_main;
        if let Some(row) = self.rows.get_mut(stream.number) {
            row.lines += 1;
            row.repeated += u64::from(is_repeated);
            row.cut += u64::from(stream.lines.is_cut);
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
            if event.kind == Kind::Unknown
                && let Some(row) = self.rows.get_mut(stream.number)
            {
                row.add_unknown(stream.lines.number, &text);
            }
            each(&event, place, Origin { file: &stream.name, text: text.trim_end_matches(['\r', '\n']) })?;
        }
        Ok(())
    }
}

fn begins(waiting: &(usize, LogFile)) -> Turn {
    (waiting.1.first.unwrap_or(clock::LONG_AGO), waiting.1.kind, waiting.0)
}

impl FileRow {
    fn add_unknown(&mut self, line: u64, text: &str) {
        /// Lines that are kept of a file.
        const LINES_MAX: usize = 5;
        /// Characters of a line that are kept.
        const CHARS_MAX: usize = 200;
        self.unknown += 1;
        if self.first_unknown.len() < LINES_MAX {
            self.first_unknown.push(UnknownLine { line, text: text.trim_end().chars().take(CHARS_MAX).collect() });
        }
    }
}

fn row(file: &LogFile) -> FileRow {
    FileRow {
        file: file.path.display().to_string(),
        kind: file.kind,
        lines: 0,
        repeated: 0,
        unknown: 0,
        first_unknown: Vec::new(),
        cut: 0,
        trouble: file.trouble.as_ref().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::logs::Logs;

    /// The times of the lines of these files, each given with the local time of its lines, on a server in Berlin.
    fn times(files: &[&[&str]]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let paths: Vec<PathBuf> = (0..files.len()).map(|n| folder.path().join(format!("mainlog.{n}"))).collect();
        for (path, lines) in paths.iter().zip(files) {
            let text: String = lines.iter().map(|time| format!("{time} Start queue run: pid=1\n")).collect();
            std::fs::write(path, text).unwrap();
        }
        let mut found = Vec::new();
        let wanted = Wanted { since: None, until: None, zone: zone.clone() };
        let done: Result<_, ()> = Logs::named(&paths, &zone).read(&wanted, &ProgressBar::hidden(), |event, _, _| {
            found.extend(event.time.map(|time| time.to_string()));
            Ok(())
        });
        let rows = done.unwrap();
        assert!(rows.iter().all(|row| row.trouble.is_none()), "{rows:?}");
        found
    }

    /// An hour comes twice in autumn and one is missing in spring, within a file and where it was rotated; a zone in the line
    /// needs no guess; lines some seconds out of order begin no second hour; files without a line do not matter.
    #[test]
    fn summer_time_within_a_log() {
        for (files, expected) in [
            (
                &[&["2026-10-25 01:30:00", "2026-10-25 02:59:59", "2026-10-25 02:00:01", "2026-10-25 03:00:01"][..]][..],
                &["2026-10-24T23:30:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:01Z", "2026-10-25T02:00:01Z"][..],
            ),
            (
                &[&["2026-10-25 02:30:05", "2026-10-25 02:30:03", "2026-10-25 02:30:10", "2026-10-25 02:10:00"]],
                &["2026-10-25T00:30:05Z", "2026-10-25T00:30:03Z", "2026-10-25T00:30:10Z", "2026-10-25T01:10:00Z"],
            ),
            (
                &[&["2026-03-29 01:59:59", "2026-03-29 03:00:00", "2026-03-29 03:00:01"]],
                &["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:00:01Z"],
            ),
            (
                &[&["2026-03-28 23:00:00"], &[], &["2026-03-29 12:00:00"], &[]],
                &["2026-03-28T22:00:00Z", "2026-03-29T10:00:00Z"],
            ),
            (
                &[&["2026-10-25 02:30:00 +0100", "2026-10-25 02:30:00 +0200", "2026-10-25 12:00:00 +0100"]],
                &["2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T11:00:00Z"],
            ),
            // Half a year of silence.
            (&[&["2026-01-01 12:00:00", "2026-07-01 12:00:00"]], &["2026-01-01T11:00:00Z", "2026-07-01T10:00:00Z"]),
        ] {
            assert_eq!(times(files), expected, "{files:?}");
        }
    }

    /// A report shows each time as the clock of its day did.
    #[test]
    fn a_report_over_a_change_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainlog");
        std::fs::write(
            &path,
            "2026-03-28 12:00:00 Start queue run: pid=1\n2026-03-30 12:00:00 Start queue run: pid=1\n",
        )
        .unwrap();
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_774_900_000);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let offsets = Logs::named(&[path], &zone).offsets();
        let hours = |text: &str| offsets.at(crate::logs::timestamp(text.parse().unwrap())) / 3_600_000;
        assert_eq!(["2026-03-28T11:00:00Z", "2026-03-30T10:00:00Z"].map(hours), [1, 2]);
    }
}
