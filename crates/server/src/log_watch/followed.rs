//! One log that is followed: where reading stands, the reader of its lines, and what was counted.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_watch::{Event, Kind, Reader, Source};

use super::counts::Counts;
use super::rows::FileRow;
use super::status::FileStatus;
use super::unheard::Unheard;
use crate::follower::{Follower, POLL_OCTETS_MAX, Polled};

/// A line of which the own time is older than this is old, even if it was written just now: somebody put an old log back.
const FRESH_MS: i64 = 15 * 60 * 1000;

/// A log that is followed.
pub(super) struct Followed {
    follower: Follower,
    reader: Reader,
    pub(super) counts: Counts,
    /// The time of the last line that has one, in milliseconds since 1970.
    pub(super) last_ms: i64,
    /// Since when something is wrong.
    pub(super) troubled_since_ms: Option<i64>,
    /// Lines of Exim in it repeat those of another log.
    pub(super) repeats_exim: bool,
    /// What Exim says that nobody answered.
    unheard: Unheard,
    /// Whether something is to be stored.
    pub(super) is_changed: bool,
}

impl Followed {
    /// The log at `path`, from where `row` says that it was left.
    pub(super) fn new(path: &Path, row: Option<FileRow>) -> Followed {
        let (state, counts) = row.map_or((None, Counts::default()), |row| (Some(row.state), row.counts));
        Followed {
            follower: Follower::new(path, state),
            reader: Reader::new(),
            counts,
            last_ms: 0,
            troubled_since_ms: None,
            repeats_exim: false,
            // What is found at the first look is to be remembered at once.
            is_changed: true,
            unheard: Unheard::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.follower.path()
    }

    pub(super) fn row(&self) -> FileRow {
        FileRow { state: self.follower.state(), counts: self.counts }
    }

    /// Reads some lines. `each` gets the event, the number of its line, and whether it is fresh.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        zone: &TimeZone,
        mut each: impl FnMut(&Event<'_>, u64, bool),
    ) -> Polled {
        let now_ms = now.as_millisecond();
        self.reader = std::mem::take(&mut self.reader)
            .with_zone(zone.to_offset(now).seconds())
            .with_latest(tidegate_watch::Timestamp::from_millis(now_ms));
        let Followed { follower, reader, counts, last_ms, repeats_exim, unheard, .. } = self;
        let polled = follower.poll(now_ms, POLL_OCTETS_MAX, |line| {
            let text = Reader::text(line.octets);
            let event = reader.read_before(&text, line.following);
            counts.lines += 1;
            counts.cut_lines += u64::from(line.is_cut);
            counts.unknown_lines += u64::from(matches!(event.kind, Kind::Unknown));
            if let Some(time) = event.time {
                *last_ms = time.as_millis();
            }
            let is_fresh = line.is_fresh && now_ms.saturating_sub(*last_ms) < FRESH_MS;
            counts.old_lines += u64::from(!is_fresh);
            if *repeats_exim && event.source == Source::Exim {
                counts.repeated_lines += 1;
            } else {
                unheard.feed(&event, *last_ms, now_ms);
                each(&event, counts.lines, is_fresh);
            }
        });
        self.is_changed |= polled.lines > 0;
        let health = self.follower.health();
        let is_troubled = health.trouble.is_some() || health.missing_since_ms.is_some();
        self.troubled_since_ms = is_troubled.then(|| self.troubled_since_ms.unwrap_or(now_ms));
        polled
    }

    /// Whether something was read that may not be on disk, and is in no file any more.
    pub(super) fn is_endangered(&self) -> bool {
        self.follower.is_endangered()
    }

    /// Takes note that [`Followed::row`] is on disk, and what was made of all lines so far.
    pub(super) fn is_on_disk(&mut self) {
        self.follower.is_on_disk();
    }

    /// Whether it is there and can be read.
    pub(super) fn is_well(&self) -> bool {
        self.troubled_since_ms.is_none()
    }

    pub(super) fn status(&self) -> FileStatus {
        let health = self.follower.health();
        let position = self.follower.state().positions.last().map_or(0, |position| position.offset);
        FileStatus {
            path: self.path().display().to_string(),
            position,
            lag_octets: self.follower.lag_octets(),
            missing_since: health.missing_since_ms.map(shown),
            trouble: health.trouble.clone(),
            rotations: health.rotations,
            restarts: health.restarts,
            lost_files: health.lost_files,
            counts: self.counts,
        }
    }

    /// What is wrong with it, for an administrator.
    pub(super) fn alarms(&self, now_ms: i64, missing_minutes: u32) -> Vec<String> {
        let path = self.path().display();
        let health = self.follower.health();
        let mut alarms = Vec::new();
        let patience_ms = i64::from(missing_minutes) * 60_000;
        if self.troubled_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= patience_ms) {
            let since = self.troubled_since_ms.map(shown).unwrap_or_default();
            alarms.push(match &health.trouble {
                Some(trouble) => format!("log {path} cannot be read since {since}: {trouble}"),
                None => format!("log {path} is missing since {since}"),
            });
        }
        if health.lost_files > 0 {
            alarms.push(format!("{} files of log {path} had to be given up with lines unread", health.lost_files));
        }
        if self.counts.lines >= UNKNOWN_LINES_MIN
            && self.counts.unknown_lines.saturating_mul(100) > self.counts.lines.saturating_mul(UNKNOWN_PERCENT_MAX)
        {
            let Counts { lines, unknown_lines, .. } = self.counts;
            alarms.push(format!(
                "{unknown_lines} of {lines} lines of log {path} are in no known form; is it a mail log?"
            ));
        }
        alarms.extend(self.unheard.alarm(now_ms));
        alarms
    }
}

/// Lines from which on the share of unknown ones tells something.
const UNKNOWN_LINES_MIN: u64 = 1_000;
/// Share of unknown lines above which a log is probably none, in percent.
const UNKNOWN_PERCENT_MAX: u64 = 5;

fn shown(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|time| time.to_string()).unwrap_or_default()
}

/// The logs that shall be followed: those that are named, else those that lie at the usual places.
pub(super) fn wanted(files: &[PathBuf]) -> Vec<PathBuf> {
    if files.is_empty() { crate::logs::places::written(Path::new("/")) } else { files.to_vec() }
}

/// Whether this is, by its name, a log that Exim writes itself.
pub(super) fn is_exim_own(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.contains("mainlog") || name.contains("main.log")
}
