//! What `tidegate status` shows of the logs. The names are documented in `docs/reference/json.md`.

use serde::Serialize;
use tidegate_watch::Losses;

use super::picture::Noted;

/// Alerts that are shown.
pub(super) const ALERTS_SHOWN_MAX: usize = 50;

/// How the logs are, and what was seen in them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Why no log is followed.
    pub note: Option<String>,
    /// Each log.
    pub files: Vec<FileStatus>,
    /// What is wrong, each a sentence for an administrator.
    pub alarms: Vec<String>,
    /// Messages that are on their way.
    pub open_messages: usize,
    /// Messages and lines that could not be joined.
    pub losses: Lost,
    /// The newest alerts, the last one first.
    pub alerts: Vec<Noted>,
}

/// Messages and lines that could not be joined.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lost {
    /// Messages let go because too many were open.
    pub evicted: u64,
    /// Lines about messages whose arrival was not seen.
    pub orphans: u64,
}

impl From<Losses> for Lost {
    fn from(losses: Losses) -> Lost {
        Lost { evicted: losses.evicted, orphans: losses.orphans }
    }
}

/// One log.
#[derive(Clone, Debug, Serialize)]
pub struct FileStatus {
    /// Its path.
    pub path: String,
    /// Octets that were read of the file that is written now.
    pub position: u64,
    /// Octets that are not read yet, those of rotated files included.
    pub lag_octets: u64,
    /// Since when there is no such file.
    pub missing_since: Option<String>,
    /// Why it cannot be read now.
    pub trouble: Option<String>,
    /// Times it went on in another file since the start.
    pub rotations: u64,
    /// Times it was emptied or replaced since the start.
    pub restarts: u64,
    /// Files that were given up with lines unread since the start.
    pub lost_files: u64,
    /// What was counted since the log is followed.
    #[serde(flatten)]
    pub counts: super::followed::Counts,
}
