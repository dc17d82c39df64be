//! Log files that lie on disk, as events in the order of time: which there are, how they are packed, whose domains they name.
//! Reads each file once from its beginning; following a log that grows is not done here.

mod ahead;
mod clock;
mod file;
mod merge;
pub mod owners;
mod pipe;
pub mod places;
mod repeats;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use jiff::tz::TimeZone;
use tidegate_watch::{Event, Offsets, Place, Timestamp};

use file::LogFile;
pub use file::{LogKind, Trouble};
use merge::Merge;

/// Files that one run reads.
const FILES_MAX: usize = 10_000;

/// Changes of local time that are looked at: a century of summer times.
const CHANGES_MAX: usize = 200;

/// What a run reads.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Only events of this time or later.
    pub since: Option<Timestamp>,
    /// Only events of this time or earlier.
    pub until: Option<Timestamp>,
    /// The time zone of times that name none.
    pub zone: TimeZone,
}

/// What was read of one file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FileRow {
    /// The path as given or found.
    pub file: String,
    /// What kind of log it is, told from its content.
    pub kind: LogKind,
    /// Lines read.
    pub lines: u64,
    /// Lines left out because another file has them as well (Exim's reject log, a copy of a log, a copy in syslog).
    pub repeated: u64,
    /// Lines of the wanted time in no known form.
    pub unknown: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_unknown: Vec<UnknownLine>,
    /// Lines that are longer than is read; each was read up to there.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// Why it was not read, or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A line in no known form.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UnknownLine {
    /// Its number, from 1.
    pub line: u64,
    /// How it begins; hostile.
    pub text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an event was read from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The file, as given or found.
    pub file: &'a str,
    /// The line, without its end; hostile.
    pub text: &'a str,
}

/// The log files of one server.
pub struct Logs {
    files: Vec<LogFile>,
    zone: TimeZone,
}

impl Logs {
    /// Looks at files and folders that were named. A folder stands for the logs directly in it, and for what has the name of one
    /// but cannot be read; `-` is standard input. What cannot be read stays in the list with its trouble.
    #[must_use]
    pub fn named(paths: &[PathBuf], zone: &TimeZone) -> Logs {
        let mut files = Vec::new();
        let mut has_input = false;
        for path in paths {
            // Standard input can be read once.
            if path == Path::new("-") && std::mem::replace(&mut has_input, true) {
                continue;
            }
            if path.is_dir() {
                files.extend(in_folder(path, zone));
            } else {
                files.push(LogFile::look(path, zone));
            }
        }
        Logs::sorted(files, zone)
    }

    /// Looks at the usual places below `root`.
    #[must_use]
    pub fn usual(root: &Path, zone: &TimeZone) -> Logs {
        let found = places::usual(root);
        let files = found.iter().map(|path| LogFile::look(path, zone));
        Logs::sorted(files.filter(|file| file.kind != LogKind::Empty).collect(), zone)
    }

    /// Oldest first; the same file under two names counts once.
    fn sorted(mut files: Vec<LogFile>, zone: &TimeZone) -> Logs {
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| file.identity.is_none_or(|identity| seen.insert(identity)));
        files.truncate(FILES_MAX);
        tell_hours(&mut files);
        files.sort_by(|a, b| match (a.first, b.first) {
            (Some(a_first), Some(b_first)) => (a_first, a.kind).cmp(&(b_first, b.kind)),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
        Logs { files, zone: zone.clone() }
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Octets on disk.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.files.iter().map(|file| file.octets).sum()
    }

    /// Local time over the span of the files.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        let ms = |time| clock::offset_seconds(&self.zone, time).saturating_mul(1000);
        let Some(first) = self.files.iter().filter_map(|file| file.first).min() else { return Offsets::default() };
        let begin = jiff::Timestamp::from_millisecond(first.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let latest = self.files.iter().filter_map(|file| file.latest).max().unwrap_or(first);
        let changes = self.zone.following(begin).map(|change| timestamp(change.timestamp()));
        let changes = changes.take_while(|change| *change <= latest).take(CHANGES_MAX);
        changes.fold(Offsets::fixed(ms(first)), |offsets, change| offsets.then(change, ms(change)))
    }

    /// Calls `each` before it is waited for somebody who writes into standard input, or another pipe.
    pub fn before_waiting(&self, each: impl FnMut() + Clone + 'static) {
        self.files.iter().for_each(|file| file.pace.before_waiting(Box::new(each.clone())));
    }

    /// Reads all files and gives each event within the wanted time to `each`, in the order of time, with what it was read from.
    /// Files that end in trouble are read as far as they go.
    ///
    /// # Errors
    /// Only what `each` returned; it ends the run.
    pub fn read<E>(
        self,
        wanted: &Wanted,
        progress: &ProgressBar,
        each: impl FnMut(&Event<'_>, Place, Origin<'_>) -> Result<(), E>,
    ) -> Result<Vec<FileRow>, E> {
        Merge::new(self.files, wanted.clone(), progress.clone()).run(each)
    }
}

/// The logs directly in a folder; never nothing.
fn in_folder(path: &Path, zone: &TimeZone) -> Vec<LogFile> {
    // Asked first, since a folder that cannot be read looks empty.
    if let Err(error) = std::fs::read_dir(path) {
        return vec![LogFile::unread(path, Some(Trouble::Closed(error)))];
    }
    let mut files: Vec<LogFile> = places::files_in(path).into_iter().map(|path| LogFile::look(&path, zone)).collect();
    files.retain(|file| file.kind.is_log() || (file.kind == LogKind::Unreadable && places::is_usual_name(&file.path)));
    if files.is_empty() {
        files.push(LogFile::unread(path, Some(Trouble::NoLogInside)));
    }
    files
}

/// Of a file that begins in one of two hours of one name, and does not tell which, the one before it may: it was rotated away then.
fn tell_hours(files: &mut [LogFile]) {
    let others: Vec<_> = files.iter().map(|file| (file.identity, file.kind, file.first, file.latest)).collect();
    for file in files {
        let (Some(first), Some(second)) = (file.first, file.second) else { continue };
        let before = others.iter().filter(|(identity, kind, begins, _)| {
            *kind == file.kind
                && identity.is_some()
                && *identity != file.identity
                && begins.is_some_and(|begins| begins < first)
        });
        let mut told = before.filter_map(|(.., changed)| clock::hour_behind(first, second, (*changed)?));
        if told.next() == Some(clock::Hour::Second) {
            file.first = Some(second);
        }
    }
}

/// A time of this program as one of a log.
#[must_use]
pub fn timestamp(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(time.as_millisecond())
}
