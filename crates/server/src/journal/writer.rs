//! The thread that writes: groups of records to the file of their day, whole days away when they are too old or too many,
//! damaged files aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::oneshot;

use super::day::{self, Day, Fault};
use super::record::Record;
use super::{Config, Health, JournalError};

/// How long a record waits for others to be written with it.
const GROUP_EVERY: Duration = Duration::from_millis(100);
/// Records of a group.
const GROUP_MAX: usize = 500;
/// How often the disk is tried again, and retention looked after.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETAIN_EVERY: Duration = Duration::from_secs(600);
/// Entries kept in memory while the disk takes none.
const PENDING_MAX: usize = 5_000;
/// Days open at once: about midnight, and when the clock is set, records of two come together.
const DAYS_OPEN_MAX: usize = 2;

/// What the thread is given.
pub(super) enum Message {
    /// A record for the next group.
    Record(Box<Record>),
    /// A record to be on disk before the answer.
    Synced(Box<Record>, oneshot::Sender<Result<(), JournalError>>),
    /// A record to be put in the place of one that was synced.
    Replace(Box<Record>),
    /// Write now, and tell.
    Flush(oneshot::Sender<Result<(), JournalError>>),
    /// Write and end.
    Stop,
}

/// What the thread tells.
#[derive(Default)]
pub(super) struct Status {
    pub(super) written: AtomicU64,
    pub(super) dropped: AtomicU64,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    trouble: Option<String>,
    set_aside: Vec<PathBuf>,
}

impl Status {
    pub(super) fn health(&self) -> Health {
        let rest = self.rest();
        Health {
            written: self.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            trouble: rest.trouble.clone(),
            set_aside: rest.set_aside.clone(),
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, trouble: Option<&str>) {
        let mut rest = self.rest();
        match trouble {
            Some(trouble) if rest.trouble.is_none() => tracing::error!(trouble, "the journal cannot write"),
            None if rest.trouble.is_some() => tracing::info!("the journal can write again"),
            _ => {}
        }
        rest.trouble = trouble.map(str::to_owned);
    }

    fn drop_records(&self, count: usize) {
        self.dropped.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

pub(super) struct Writer {
    folder: PathBuf,
    config: Config,
    status: Arc<Status>,
    queue: Receiver<Message>,
    days: BTreeMap<Date, Day>,
    /// The time of the newest record: floods are closed by the clock that their records carry.
    now: Timestamp,
    /// Records taken since the last group was written.
    taken: usize,
    retain_at: Instant,
}

/// Those who wait for the group that is being gathered.
type Waiting = Vec<oneshot::Sender<Result<(), JournalError>>>;

impl Writer {
    pub(super) fn new(folder: &Path, config: Config, status: Arc<Status>, queue: Receiver<Message>) -> Writer {
        let (folder, days, retain_at) = (folder.to_owned(), BTreeMap::new(), Instant::now());
        Writer { folder, config, status, queue, days, now: Timestamp::UNIX_EPOCH, taken: 0, retain_at }
    }

    pub(super) fn run(mut self) {
        let mut goes_on = true;
        while goes_on {
            if self.retain_at <= Instant::now() {
                self.retain_at = Instant::now() + RETAIN_EVERY;
                self.retain();
            }
            let (waiting, more) = self.gather();
            goes_on = more;
            let result = self.write(!waiting.is_empty());
            for reply in waiting {
                // Whoever asked may have gone.
                let _ = reply.send(result.clone());
            }
        }
        for (date, day) in std::mem::take(&mut self.days) {
            // A restart is no reason for a small block: the tail stays as it is, and floods are closed at the next start.
            drop(day);
            tracing::debug!(%date, "the journal is closed");
        }
    }

    /// Takes records until there is reason to write: enough of them, enough time, or someone who waits.
    fn gather(&mut self) -> (Waiting, bool) {
        let mut deadline = Instant::now() + RETRY_AFTER;
        let mut waiting = Vec::new();
        let mut count = 0;
        while count < GROUP_MAX {
            // Others who wait already are taken into the same group, but none is waited for.
            let timeout = match waiting.is_empty() {
                true => deadline.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            match self.queue.recv_timeout(timeout) {
                Ok(Message::Record(record)) => {
                    if count == 0 {
                        deadline = deadline.min(Instant::now() + GROUP_EVERY);
                    }
                    count += 1;
                    // Nobody waits for it; it has been counted.
                    let _ = self.take(*record, Day::add);
                }
                Ok(Message::Synced(record, reply)) => {
                    count += 1;
                    match self.take(*record, Day::add_synced) {
                        Ok(()) => waiting.push(reply),
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
                Ok(Message::Replace(record)) => {
                    count += 1;
                    // As with a record: it has been counted if it is lost.
                    if self.take(*record, Day::replace).is_ok() {
                        self.taken = self.taken.saturating_sub(1);
                    }
                }
                Ok(Message::Flush(reply)) => waiting.push(reply),
                Err(RecvTimeoutError::Timeout) => break,
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return (waiting, false),
            }
        }
        (waiting, true)
    }

    /// Gives `record` to its day.
    fn take(&mut self, record: Record, add: fn(&mut Day, Record)) -> Result<(), JournalError> {
        self.now = record.at;
        let result = self.day(day::date(record.at)).and_then(|day| {
            if day.pending_len() >= PENDING_MAX {
                return Err(Fault::Other("too many records wait for the disk".into()));
            }
            add(day, record);
            Ok(())
        });
        match result {
            Ok(()) => {
                self.taken += 1;
                Ok(())
            }
            Err(fault) => {
                self.status.drop_records(1);
                self.status.note(Some(&fault.to_string()));
                Err(JournalError(fault.to_string()))
            }
        }
    }

    fn day(&mut self, date: Date) -> Result<&mut Day, Fault> {
        if !self.days.contains_key(&date) {
            while self.days.len() >= DAYS_OPEN_MAX {
                let Some((oldest, day)) = self.days.pop_first() else { break };
                if let Err(fault) = day.seal(self.now) {
                    tracing::error!(date = %oldest, %fault, "a day of the journal was not closed well");
                }
            }
            let day = self.open(date)?;
            self.days.insert(date, day);
            self.retain();
        }
        self.days.get_mut(&date).ok_or_else(|| Fault::Other("the day is not open".into()))
    }

    /// Opens a day's file; a damaged one is set aside and a fresh one begun.
    fn open(&self, date: Date) -> Result<Day, Fault> {
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| Fault::Other(format!("{}: {error}", self.folder.display())))?;
        let path = day::path(&self.folder, date);
        let octets_max = u64::from(self.config.size_mb_max) << 20;
        match Day::open(&path, octets_max) {
            Err(Fault::Damaged(reason)) => {
                self.set_aside(&path, &reason)?;
                Day::open(&path, octets_max)
            }
            other => other,
        }
    }

    fn set_aside(&self, path: &Path, reason: &str) -> Result<(), Fault> {
        let dated = format!("damaged-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ"));
        for file in day::files(path) {
            let aside = file.with_added_extension(&dated);
            match std::fs::rename(&file, &aside) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fault::Other(format!("cannot set {} aside: {error}", file.display())));
                }
                _ => {}
            }
        }
        tracing::error!(path = %path.display(), reason, "a day of the journal was damaged: set aside, a fresh one begun");
        self.status.rest().set_aside.push(path.with_added_extension(&dated));
        Ok(())
    }

    /// Writes what has been taken.
    fn write(&mut self, is_synced: bool) -> Result<(), JournalError> {
        let mut result = Ok(());
        let dates: Vec<Date> = self.days.keys().copied().collect();
        for date in dates {
            let Some(day) = self.days.get_mut(&date) else { continue };
            let Err(fault) = day.write(self.now, is_synced) else { continue };
            self.status.note(Some(&fault.to_string()));
            if let Fault::Damaged(reason) = &fault {
                let lost = self.days.remove(&date).map_or(0, |day| day.pending_len());
                self.status.drop_records(lost);
                if let Err(fault) = self.set_aside(&day::path(&self.folder, date), reason) {
                    tracing::error!(%fault, "the damaged day stays where it is");
                }
            } else if is_synced && let Some(day) = self.days.get_mut(&date) {
                // Whoever waits is told that it failed, so it must not be written after all.
                self.status.drop_records(day.drop_synced());
            }
            result = Err(JournalError(fault.to_string()));
        }
        let taken = std::mem::take(&mut self.taken);
        if result.is_ok() {
            self.status.note(None);
            self.status.written.fetch_add(u64::try_from(taken).unwrap_or(u64::MAX), Ordering::Relaxed);
        } else {
            self.taken = taken;
        }
        result
    }

    /// Removes days that are too old, and the oldest of those that are too large together; never the newest.
    fn retain(&self) {
        // A folder that is not there holds nothing too old.
        let Ok(mut days) = day::all(&self.folder) else { return };
        let size = |path: &Path| -> u64 {
            day::files(path).iter().filter_map(|file| std::fs::metadata(file).ok()).map(|file| file.len()).sum()
        };
        let mut total: u64 = days.iter().map(|(_, path)| size(path)).sum();
        let newest = days.pop();
        let today = day::date(Timestamp::now()).min(newest.map_or(Date::MAX, |(date, _)| date));
        let oldest = today.saturating_sub(jiff::Span::new().days(i64::from(self.config.keep_days)));
        for (date, path) in days {
            let is_open = self.days.contains_key(&date);
            if is_open || (date > oldest && total <= u64::from(self.config.size_mb_max) << 20) {
                continue;
            }
            total = total.saturating_sub(size(&path));
            for file in day::files(&path) {
                if let Err(error) = std::fs::remove_file(&file)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::warn!(path = %file.display(), %error, "an old day of the journal stays");
                }
            }
        }
    }
}
