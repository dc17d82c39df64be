//! One log file: how it is packed and what kind of log it is, told from its first octets; its lines, one after the other.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use serde::Serialize;
use tidegate_watch::{Connection, Kind, LINE_OCTETS_MAX, Reader, Source, Timestamp};

use super::ahead::Ahead;
use super::clock::{self, Hour};
use super::pipe::{Pace, Pipe};

/// Octets that are read at once, and looked at to tell the kind of a log.
const CHUNK_OCTETS: usize = 256 * 1024;

/// Kinds of log, the one that is read first among lines of the same second in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// Exim's main log.
    EximMain,
    /// What syslog wrote: Postfix, Dovecot, perhaps Exim.
    Syslog,
    /// Roundcube's log of errors.
    Webmail,
    /// Exim's reject log: lines of the main log again, with the header of each message refused.
    EximReject,
    /// Exim's panic log: lines of the main log again.
    EximPanic,
    /// Nothing in it.
    Empty,
    /// No line of a mail log at its beginning.
    Unknown,
    /// It cannot be read.
    Unreadable,
}

impl LogKind {
    /// Whether it can be read as a mail log.
    #[must_use]
    pub fn is_log(self) -> bool {
        self < LogKind::Empty
    }

    /// Which other logs may have the same lines.
    pub(super) fn family(self) -> Family {
        match self {
            LogKind::EximMain | LogKind::EximReject | LogKind::EximPanic => Family::Exim,
            LogKind::Webmail => Family::Webmail,
            LogKind::Syslog | LogKind::Empty | LogKind::Unknown | LogKind::Unreadable => Family::Syslog,
        }
    }
}

/// Logs that may have lines in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Exim,
    Syslog,
    Webmail,
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogKind::EximMain => "Exim's main log",
            LogKind::Syslog => "syslog",
            LogKind::Webmail => "Roundcube's log",
            LogKind::EximReject => "Exim's reject log",
            LogKind::EximPanic => "Exim's panic log",
            LogKind::Empty => "empty",
            LogKind::Unknown => "no mail log",
            LogKind::Unreadable => "not read",
        })
    }
}

/// Why a file was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be opened.
    #[error("cannot be opened: {0}{advice}", advice = advice(.0))]
    Closed(io::Error),
    /// It is packed in a way that is not read.
    #[error("is packed with {0}; unpack it first: `{1} -dc FILE | tidegate logs -`")]
    Packed(&'static str, &'static str),
    /// It is systemd's journal, in no form for people.
    #[error(
        "is systemd's journal in a form for programs; have it written as lines: `journalctl -o short-iso | tidegate logs -`"
    )]
    Journal,
    /// It is no log that is known.
    #[error("is no mail log of Exim, Postfix, Dovecot or Roundcube")]
    NoLog,
    /// A folder without a log directly in it.
    #[error("has no mail log directly in it")]
    NoLogInside,
    /// It is another file than the one that was looked at.
    #[error("was replaced by another file while others were read, as when logs are rotated; run this again")]
    Replaced,
    /// It lost what was not read yet.
    #[error("became shorter while it was read, as when logs are rotated; what stood before was read to line {0}")]
    Shorter(u64),
    /// It ends before its packing says.
    #[error("is cut off or damaged after line {0}: {1}; what stands before was read")]
    CutOff(u64, io::Error),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as root or as a member of the group that owns it",
        _ => "",
    }
}

/// A file before it is read.
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) kind: LogKind,
    /// The time of its first line that has one.
    pub(super) first: Option<Timestamp>,
    /// When that would be if it began within the second of two hours of one name, where nothing in it tells which.
    pub(super) second: Option<Timestamp>,
    /// When it was last changed: no line is later.
    pub(super) latest: Option<Timestamp>,
    pub(super) octets: u64,
    /// Device and inode of a file that can be opened again.
    pub(super) identity: Option<(u64, u64)>,
    pub(super) trouble: Option<Trouble>,
    /// What cannot be opened again stays open: standard input, pipes.
    opened: Option<Box<dyn BufRead>>,
    /// How such a file is read.
    pub(super) pace: Rc<Pace>,
}

impl LogFile {
    /// Looks at the beginning of the file at `path`; `-` is standard input.
    pub(super) fn look(path: &Path, zone: &TimeZone) -> LogFile {
        let mut file = LogFile::unread(path, None);
        if let Err(trouble) = file.open_and_look(zone) {
            file.trouble = Some(trouble);
        } else if file.kind == LogKind::Unknown {
            file.trouble = Some(Trouble::NoLog);
        }
        file
    }

    /// What is not read, and why.
    pub(super) fn unread(path: &Path, trouble: Option<Trouble>) -> LogFile {
        LogFile {
            path: path.to_owned(),
            kind: LogKind::Unreadable,
            first: None,
            second: None,
            latest: Some(super::timestamp(jiff::Timestamp::now())),
            octets: 0,
            identity: None,
            trouble,
            opened: None,
            pace: Rc::default(),
        }
    }

    fn open_and_look(&mut self, zone: &TimeZone) -> Result<(), Trouble> {
        if let Ok(meta) = std::fs::metadata(&self.path)
            && meta.is_file()
        {
            self.octets = meta.len();
            self.identity = Some((meta.dev(), meta.ino()));
            self.latest = meta.mtime().checked_mul(1000).map(Timestamp::from_millis);
        }
        let raw = Pipe::open(&self.path, &self.pace).map_err(Trouble::Closed)?;
        let mut source = unpacked(raw, &self.pace)?;
        let beginning = source.fill_buf().map_err(|error| Trouble::CutOff(0, error))?;
        let local = look_at(beginning, &self.reader(0));
        // Seen as UTC, the first time is some hours off at most; that tells its offset, and the offset the time itself.
        let offset = local.first.map_or(0, |first| clock::offset_behind(zone, first, clock::LONG_AGO, None));
        let look = look_at(beginning, &self.reader(offset));
        (self.kind, self.first) = (look.kind, look.first);
        if self.kind == LogKind::Unknown && is_journal(beginning) {
            return Err(Trouble::Journal);
        }
        self.doubt(zone, beginning, offset);
        if self.identity.is_none() {
            self.opened = Some(source);
        }
        Ok(())
    }

    /// Where it begins within one of the two hours of one name, tells which one, as far as its beginning says.
    fn doubt(&mut self, zone: &TimeZone, beginning: &[u8], offset: i64) {
        let Some(first) = self.first else { return };
        let local = first.plus_millis(offset.saturating_mul(1000));
        let Some(hours) = clock::hours_of_one_name(zone, local) else { return };
        // A zone in the line leaves no doubt.
        if look_at(beginning, &self.reader(hours.after)).first == self.first {
            return;
        }
        match clock::hour_of(beginning, &self.reader(hours.before), zone, hours) {
            Some(Hour::First) => {}
            Some(Hour::Second) => self.first = Some(hours.second(local)),
            None => self.second = Some(hours.second(local)),
        }
    }

    /// A reader for its lines, with times that are `offset` seconds ahead of UTC.
    pub(super) fn reader(&self, offset: i64) -> Reader {
        let reader = Reader::new().with_zone(i32::try_from(offset).unwrap_or(0));
        match self.latest {
            // The time of change is in UTC as all others; a line may have been written within the same second.
            Some(latest) => reader.with_latest(latest.plus_millis(1000)),
            None => reader,
        }
    }

    /// Device, inode and octets of what lies there now.
    fn now(&self) -> Option<((u64, u64), u64)> {
        let meta = std::fs::metadata(&self.path).ok()?;
        Some(((meta.dev(), meta.ino()), meta.len()))
    }

    /// Whether it is shorter than it was when it was looked at: what was cut off was perhaps not read.
    pub(super) fn is_shorter_now(&self) -> bool {
        self.now().is_some_and(|(identity, octets)| Some(identity) == self.identity && octets < self.octets)
    }

    /// Its lines from the beginning; what was read moves `progress`.
    pub(super) fn lines(&mut self, progress: &ProgressBar) -> Result<Lines, Trouble> {
        let source = match self.opened.take() {
            Some(source) => source,
            None => {
                let raw = Pipe::open(&self.path, &self.pace).map_err(Trouble::Closed)?;
                if self.now().is_some_and(|(identity, _)| Some(identity) != self.identity) {
                    return Err(Trouble::Replaced);
                }
                unpacked(Box::new(progress.wrap_read(raw)), &self.pace)?
            }
        };
        Ok(Lines::new(source, &self.pace))
    }
}

/// The lines of a file.
pub(super) struct Lines {
    source: Ahead<Box<dyn Read>>,
    /// The present line, with its end, cut at what a reader takes.
    pub(super) buffer: Vec<u8>,
    /// Its number, from 1.
    pub(super) number: u64,
    /// Whether something of it was cut off.
    pub(super) is_cut: bool,
}

impl Lines {
    fn new(source: Box<dyn Read>, pace: &Rc<Pace>) -> Lines {
        Lines {
            source: Ahead::new(source, CHUNK_OCTETS, Rc::clone(pace)),
            buffer: Vec::new(),
            number: 0,
            is_cut: false,
        }
    }

    /// What follows the present line; as much as its reader wants to see.
    pub(super) fn following(&self) -> &[u8] {
        self.source.following()
    }

    /// Goes to the next line; `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, Trouble> {
        let is_line = self.next()?;
        // Only such a line is read with what follows it, for which it may have to be waited.
        if memchr::memmem::find(&self.buffer, b" cwd=").is_some() {
            self.source.look();
        }
        Ok(is_line)
    }

    fn next(&mut self) -> Result<bool, Trouble> {
        self.buffer.clear();
        self.is_cut = false;
        let mut is_begun = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::CutOff(self.number, error)),
            };
            if chunk.is_empty() {
                self.number += u64::from(is_begun);
                return Ok(is_begun);
            }
            is_begun = true;
            let (line, used) = match memchr::memchr(b'\n', chunk) {
                Some(at) => (chunk.get(..at).unwrap_or(chunk), Some(at + 1)),
                None => (chunk, None),
            };
            let room = LINE_OCTETS_MAX.saturating_sub(self.buffer.len());
            self.is_cut |= line.len() > room;
            self.buffer.extend_from_slice(line.get(..room).unwrap_or(line));
            let all = chunk.len();
            self.source.consume(used.unwrap_or(all));
            if used.is_some() {
                self.number += 1;
                return Ok(true);
            }
        }
    }
}

/// The content, told from its first octets and not from its name. Several gzip members one after the other are one log.
fn unpacked(raw: Box<dyn Read>, pace: &Pace) -> Result<Box<dyn BufRead>, Trouble> {
    let mut source = BufReader::with_capacity(CHUNK_OCTETS, raw);
    let beginning = source.fill_buf().map_err(Trouble::Closed)?;
    if let [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] = beginning {
        pace.is_packed();
    }
    Ok(match beginning {
        [0x1f, 0x8b, ..] => {
            Box::new(BufReader::with_capacity(CHUNK_OCTETS, flate2::bufread::MultiGzDecoder::new(source)))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(source).map_err(Trouble::Closed)?;
            Box::new(BufReader::with_capacity(CHUNK_OCTETS, decoder))
        }
        [b'B', b'Z', b'h', ..] => return Err(Trouble::Packed("bzip2", "bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(Trouble::Packed("xz", "xz")),
        _ => Box::new(source),
    })
}

/// Whether it is a file of systemd's journal, or what `journalctl` writes of it with `-o export` or one of the forms of JSON.
fn is_journal(beginning: &[u8]) -> bool {
    /// A field that each entry has, among the first ones.
    const FIELD: &[u8] = b"__REALTIME_TIMESTAMP";
    /// The first entry's fields are shorter than this for the most part.
    const LOOKED_AT: usize = 16 * 1024;
    let beginning = beginning.get(..LOOKED_AT).unwrap_or(beginning);
    beginning.starts_with(b"LPKSHHRH") || memchr::memmem::find(beginning, FIELD).is_some()
}

/// What the beginning of a file tells.
struct Look {
    kind: LogKind,
    first: Option<Timestamp>,
}

/// Whether Exim writes such an end of a connection into its reject log as well.
fn is_refusal(what: Connection) -> bool {
    matches!(
        what,
        Connection::Refused
            | Connection::SyncError
            | Connection::ProtocolError
            | Connection::AuthNotOffered
            | Connection::TooManyErrors
            | Connection::RateLimit
    )
}

fn look_at(beginning: &[u8], reader: &Reader) -> Look {
    let mut reader = reader.clone();
    let mut first = None;
    let (mut main, mut refused, mut other_exim, mut syslog, mut webmail, mut is_empty) = (0, 0, 0, 0, 0, true);
    for line in beginning.split(|b| *b == b'\n') {
        let text = Reader::text(line);
        let event = reader.read(&text);
        is_empty &= event.kind == Kind::Empty;
        if first.is_none() {
            first = event.time;
        }
        let Some(_) = event.time else { continue };
        match (event.source, &event.kind) {
            (Source::Exim, _) if !text.starts_with(|c: char| c.is_ascii_digit()) => syslog += 1,
            (Source::Exim, Kind::Rejection(_) | Kind::AuthFailure(_)) => refused += 1,
            (Source::Exim, Kind::Session(session)) if is_refusal(session.what) => refused += 1,
            (Source::Exim, Kind::Arrival(_) | Kind::Delivery(_) | Kind::Completed | Kind::Daemon | Kind::Queue(_)) => {
                main += 1;
            }
            (Source::Exim, Kind::Command(_) | Kind::Session(_)) => main += 1,
            // Many programs write such a time in front of their words.
            (Source::Exim, Kind::Unknown | Kind::Note(_) | Kind::Trace) => {}
            (Source::Exim, _) => other_exim += 1,
            (Source::Postfix | Source::Dovecot, _) => syslog += 1,
            (Source::Webmail, _) => webmail += 1,
            // Another program's line in a log of the system: mail programs may follow.
            (Source::Other, _) => syslog += i32::from(event.kind == Kind::Foreign),
        }
    }
    let kind = match (main, refused + other_exim, syslog, webmail) {
        _ if is_empty => LogKind::Empty,
        (0, 0, 0, 0) => LogKind::Unknown,
        (0, 0, 0, _) => LogKind::Webmail,
        (0, 0, ..) => LogKind::Syslog,
        (0, ..) if refused > 0 => LogKind::EximReject,
        (0, ..) => LogKind::EximPanic,
        _ => LogKind::EximMain,
    };
    Look { kind, first }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times without a zone are what the server's clock showed, in summer as in winter.
    #[test]
    fn summer_time_moves_the_offset() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (line, utc) in [
            ("2026-01-15 12:00:00 exim 4.96 daemon started: pid=1", "2026-01-15T11:00:00Z"),
            ("2026-07-15 12:00:00 exim 4.96 daemon started: pid=1", "2026-07-15T10:00:00Z"),
            // Half an hour after the clocks went forward.
            ("2026-03-29 03:30:00 exim 4.96 daemon started: pid=1", "2026-03-29T01:30:00Z"),
            // A zone of its own counts more than that of the server.
            ("2026-07-15 12:00:00 +0000 exim 4.96 daemon started: pid=1", "2026-07-15T12:00:00Z"),
        ] {
            let path = folder.path().join("mainlog");
            std::fs::write(&path, line).unwrap();
            let file = LogFile::look(&path, &berlin);
            assert_eq!(file.first.map(|first| first.to_string()).as_deref(), Some(utc), "{line}");
        }
    }

    /// A reject log has many lines that are about no refused command; what has an arrival or a client that left is a main log.
    #[test]
    fn a_reject_log_is_told_from_a_main_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let refused = "H=(x) [192.0.2.7] F=<a@b.example> rejected RCPT <c@d.example>: No such user here";
        for (line, kind) in [
            (refused, LogKind::EximReject),
            (
                "SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[192.0.2.7] input=\"x\"",
                LogKind::EximReject,
            ),
            ("SMTP call from [192.0.2.7] dropped: too many nonmail commands (last was \"RSET\")", LogKind::EximReject),
            ("refused connection from [192.0.2.7] (host_reject_connection)", LogKind::EximReject),
            (
                "dovecot_login authenticator failed for (x) [192.0.2.7]:5: 535 Incorrect authentication data (set_id=a@b.example)",
                LogKind::EximReject,
            ),
            ("no MAIL in SMTP connection from [192.0.2.7]", LogKind::EximMain),
            ("1vwaaa-0000000000A-0001 Completed", LogKind::EximMain),
            ("Start queue run: pid=1", LogKind::EximMain),
        ] {
            for other in ["", refused] {
                let text = [line, other].map(|line| format!("2026-03-02 10:00:00 {line}\n")).concat();
                std::fs::write(&path, text).unwrap();
                assert_eq!(LogFile::look(&path, &TimeZone::UTC).kind, kind, "{line}");
            }
        }
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory() {
        let endless = io::repeat(0).take(64 << 20).chain(&b"\n2026-03-02 10:00:00 x\n"[..]);
        let source = Box::new(BufReader::with_capacity(CHUNK_OCTETS, endless));
        let mut lines = Lines::new(source, &Rc::default());
        assert!(lines.advance().unwrap());
        assert_eq!((lines.buffer.len(), lines.number, lines.is_cut), (LINE_OCTETS_MAX, 1, true));
        assert!(lines.advance().unwrap());
        assert_eq!((lines.buffer.as_slice(), lines.number), (&b"2026-03-02 10:00:00 x"[..], 2));
        assert!(!lines.is_cut);
        assert!(!lines.advance().unwrap());
    }

    /// Logs are rotated while others are read: what is lost by it is told.
    #[test]
    fn a_file_that_is_cut_or_replaced_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainlog");
        let line = "2026-01-15 12:00:00 Start queue run: pid=1\n";
        std::fs::write(&path, line.repeat(3)).unwrap();
        let mut file = LogFile::look(&path, &TimeZone::UTC);
        assert!(!file.is_shorter_now());
        std::fs::write(&path, line).unwrap();
        assert!(file.is_shorter_now());
        // The old one stays, so that its number is not given to the new one.
        std::fs::rename(&path, folder.path().join("mainlog.1")).unwrap();
        std::fs::write(&path, line).unwrap();
        assert!(matches!(file.lines(&ProgressBar::hidden()), Err(Trouble::Replaced)));
    }
}
