//! Which logs a verb reads: files that are named, else the usual places; and how far it has come, on a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_filter::check::Evidence;
use tidegate_watch::report::Settings;
use tidegate_watch::{Event, Place};

use crate::cli::moment;
use crate::config::{Config, DEFAULT_PATH};
use crate::journal::Query;
use crate::logs::{FileRow, Logs, Origin, Wanted, owners, places, timestamp};

/// Logs of fewer octets show no progress: they are read in a moment.
const PROGRESS_FROM_OCTETS: u64 = 64 << 20;

#[derive(Args)]
pub(in crate::cli) struct Span {
    /// Only from this time on: a time, or how long ago (`2h`, `7d`). Without a zone it is local time, as in the logs.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    since: Option<Timestamp>,
    /// Only up to this time.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    until: Option<Timestamp>,
    /// Where the usual places begin: another server's files, copied or mounted here.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
}

/// The configuration, if Tidegate is set up here: a report needs none, and may be made by somebody who may not read it.
///
/// # Errors
/// A file that was named cannot be read, or a line of it does not read.
pub(in crate::cli) fn configured(path: &Path) -> anyhow::Result<Option<Config>> {
    match Config::read(path) {
        Ok(config) => Ok(Some(config)),
        Err(error) if path == Path::new(DEFAULT_PATH) => {
            if path.exists() {
                eprintln!("tidegate: whose a domain is comes from the panel's own files alone: {error}");
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Rows of a list: at least one.
pub(in crate::cli) fn rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The logs of a run, opened.
pub(in crate::cli) struct Opened {
    logs: Logs,
    wanted: Wanted,
}

impl Span {
    /// Looks at `files`, or at the usual places if there are none.
    ///
    /// # Errors
    /// No log is there, or no time lies between `--since` and `--until`.
    pub(in crate::cli) fn open(&self, files: &[PathBuf]) -> anyhow::Result<Opened> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since > until
        {
            bail!("--since ({since}) is later than --until ({until})");
        }
        let zone = TimeZone::system();
        let logs = if files.is_empty() { Logs::usual(&self.root, &zone) } else { Logs::named(files, &zone) };
        if logs.is_empty() {
            bail!("no mail log below {}: looked for {}; name the files", self.root.display(), places::names());
        }
        let wanted = Wanted { since: self.since.map(timestamp), until: self.until.map(timestamp), zone };
        Ok(Opened { logs, wanted })
    }

    /// The same span of time for the journal.
    pub(in crate::cli) fn within(&self, mut query: Query) -> Query {
        if let Some(since) = self.since {
            query = query.since(since);
        }
        if let Some(until) = self.until {
            query = query.until(until);
        }
        query
    }

    /// What a report needs to know of the server.
    pub(in crate::cli) fn settings(
        &self,
        config: Option<&Config>,
        opened: &Opened,
        account: Option<&str>,
        rows: usize,
    ) -> Settings {
        Settings {
            owners: owners::read(config, &self.root),
            account: account.map(str::to_owned),
            rows_max: rows,
            offsets: opened.logs.offsets(),
            ..Settings::default()
        }
    }
}

impl Opened {
    /// Calls `each` before it is waited for more of a log that comes through a pipe.
    pub(in crate::cli) fn before_waiting(&self, each: impl FnMut() + Clone + 'static) {
        self.logs.before_waiting(each);
    }

    /// Reads all, oldest first.
    ///
    /// # Errors
    /// What `each` returned.
    pub(in crate::cli) fn read(
        self,
        mut each: impl FnMut(&Event<'_>, Place, Origin<'_>) -> std::io::Result<()>,
    ) -> std::io::Result<Vec<FileRow>> {
        let progress = progress(self.logs.octets());
        let is_narrowed = self.wanted.since.is_some() || self.wanted.until.is_some();
        let mut is_any = false;
        let rows = self.logs.read(&self.wanted, &progress, |event, place, origin| {
            is_any = true;
            each(event, place, origin)
        });
        progress.finish_and_clear();
        if is_narrowed && !is_any && rows.is_ok() {
            eprintln!("tidegate: no line of these logs is of the time that --since and --until leave");
        }
        rows
    }
}

/// Says on standard error what was not read; whether there was anything.
pub(in crate::cli) fn tell_troubles(rows: &[FileRow]) -> bool {
    for row in rows {
        if let Some(trouble) = &row.trouble {
            eprintln!("tidegate: {} {}", Evidence::from(row.file.as_str()), Evidence::from(trouble.as_str()));
        }
    }
    rows.iter().any(|row| row.trouble.is_some())
}

fn progress(octets: u64) -> ProgressBar {
    if octets < PROGRESS_FROM_OCTETS || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("reading logs {bytes}/{total_bytes} {wide_bar} {eta}");
    ProgressBar::new(octets).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_named_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.toml");
        assert!(configured(&path).unwrap_err().to_string().contains("tidegate.toml"));
        std::fs::write(&path, "[server]\nhostname = 7\n").unwrap();
        assert!(configured(&path).is_err());
        std::fs::write(&path, "[server]\nhostname = \"mx.example.org\"\n").unwrap();
        assert!(configured(&path).unwrap().is_some());
    }
}
