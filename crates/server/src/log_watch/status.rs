//! What `tidegate status` shows of the logs. The names are documented in `docs/reference/json.md`.

use serde::Serialize;
use tidegate_watch::Losses;

use super::counts::Counts;
use super::picture::{Noted, Outcomes};

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
    /// Accounts, mailboxes and scripts whose mail is counted against a limit.
    pub limits: usize,
    /// Messages that are on their way.
    pub open_messages: usize,
    /// What became of recipients since the logs are followed.
    pub outcomes: Outcomes,
    /// Messages and lines that could not be joined.
    pub losses: Lost,
    /// What Exim itself told, since the start of the daemon.
    pub told: ToldStatus,
    /// The newest alerts, the last one first.
    pub alerts: Vec<Noted>,
}

/// What Exim itself told, since the start of the daemon.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ToldStatus {
    /// Tellings.
    pub events: u64,
    /// Of these, outcomes and ends of messages that the log had not told before.
    pub counted: u64,
    /// Tellings for which there was no room.
    pub lost: u64,
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
    pub counts: Counts,
}
