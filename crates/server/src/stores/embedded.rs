//! The embedded store: one redb file, written by one thread in groups.
//!
//! A write is applied to the pending rows in memory and is visible at once; it is on disk after at most
//! [`COMMIT_EVERY`], or when [`Embedded::flush`] says so. A killed process loses what was written since, never more and
//! never half a write. Reads go to the pending rows, then straight to the last committed state, without a thread switch.
//!
//! What goes wrong with the file is no reason not to start: a damaged file is set aside and a fresh one begun, and a full
//! or unwritable disk is tried again until it works. [`Embedded::health`] tells; reads and writes are `Unavailable` for as
//! long as they cannot be answered.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_filter::known::{Answer, Known, Service, Unavailable};
use tidegate_filter::store::row::{self, Stored, Value};
use tidegate_filter::store::{Level, Rate, Row, Store, Table, Write};
use tokio::sync::oneshot;

use self::file::{Disk, Opener};
use self::shared::Shared;
use self::snapshot::Failure;
use self::writer::{Command, Writer};

mod file;
mod shared;
mod snapshot;
mod writer;

/// Longest time a write stays in memory only, as long as the disk takes writes.
pub const COMMIT_EVERY: Duration = Duration::from_millis(200);

/// A store in one file.
pub struct Embedded {
    path: PathBuf,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    writer: Option<JoinHandle<()>>,
}

/// Why no store can be had at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error("{0} is in use by another process; is another tidegate running?")]
    InUse(PathBuf),
    /// The system gives no thread.
    #[error("cannot start the thread that writes {0}: {1}")]
    Thread(PathBuf, std::io::Error),
}

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What is wrong with the disk now; `None` if the last commit worked.
    pub trouble: Option<String>,
    /// Damaged files that were set aside since the start, each with the reason. Their rows are lost to this store.
    pub set_aside: Vec<(PathBuf, String)>,
    /// Rows written that are not on disk yet.
    pub pending: usize,
}

/// How much the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Rows of each table, expired ones that the sweep has not met included.
    pub rows: Vec<(&'static str, u64)>,
    /// Size of the file in octets.
    pub file_octets: u64,
}

impl Embedded {
    /// Opens the store at `path` with `tables`, or begins it. Takes as long as the repair after a kill takes.
    ///
    /// # Errors
    /// Only if another process uses the file: anything else is told by [`Embedded::health`] and mended in time.
    pub fn open(path: &Path, tables: &[&'static Table]) -> Result<Embedded, OpenError> {
        Embedded::open_with(path, tables, Box::new(file::open_database))
    }

    fn open_with(path: &Path, tables: &[&'static Table], opener: Opener) -> Result<Embedded, OpenError> {
        let shared = Arc::new(Shared::default());
        let mut disk = Disk::new(path, tables, opener);
        match disk.open(&shared) {
            Ok(()) => {}
            Err(Failure::InUse) => return Err(OpenError::InUse(path.to_owned())),
            Err(failure) => shared.note_trouble(&failure.to_string()),
        }
        let (commands, receiver) = mpsc::channel();
        let writer = Writer::new(disk, Arc::clone(&shared), receiver);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::Thread(path.to_owned(), error))?;
        Ok(Embedded { path: path.to_owned(), shared, commands, writer: Some(thread) })
    }

    /// Resolves when everything written before is on disk.
    ///
    /// # Errors
    /// When the disk does not take it; the rows stay pending and are tried again.
    pub async fn flush(&self) -> Known<()> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Flush(reply));
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Waits until everything written before is on disk. Not for asynchronous code.
    ///
    /// # Errors
    /// As for [`Embedded::flush`].
    pub fn flush_blocking(&self) -> Known<()> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Flush(reply));
        done.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Removes every row that has expired at the time of the last read or write. The store does so by itself as well, in
    /// small steps.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub async fn sweep(&self) -> Known<u64> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Sweep(reply));
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        let mut health = self.shared.health();
        if self.writer.as_ref().is_some_and(JoinHandle::is_finished) {
            health.trouble = Some("the writing thread has ended; restart the daemon".into());
        }
        health
    }

    /// How much the store holds, as of the last commit.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stats(&self) -> Known<Stats> {
        let rows = self.told(self.shared.snapshot().and_then(|snapshot| snapshot.row_counts()))?;
        let file_octets = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        Ok(Stats { rows, file_octets })
    }

    fn send(&self, command: Command) {
        // The receiver is gone only if the thread is, and then the one who waits is told by the dropped reply.
        let _ = self.commands.send(command);
    }

    /// What a caller is told; the writing thread is woken to mend what is damaged.
    fn told<T>(&self, result: Result<T, Failure>) -> Known<T> {
        result.map_err(|failure| {
            if matches!(failure, Failure::Damaged(_)) {
                self.send(Command::Commit);
            }
            unavailable(failure.to_string())
        })
    }

    fn row(&self, table: &'static Table, key: &[u8], now: Timestamp) -> Known<Option<Value>> {
        self.shared.saw(now);
        Ok(self.told(self.shared.row(table, key))?.filter(|row| row.is_live(now)).map(|row| row.value))
    }

    fn written(&self, writes: &[Write], now: Timestamp) -> Known<()> {
        self.shared.saw(now);
        match self.told(self.shared.apply(writes, now))? {
            shared::Load::Began => self.send(Command::Wake),
            shared::Load::Full => self.send(Command::Commit),
            shared::Load::Waiting => {}
        }
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been reported by the panic hook already.
            let _ = writer.join();
        }
    }
}

impl Store for Embedded {
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<Option<Vec<u8>>>> {
        let octets = self.row(table, key, now).map(|row| match row {
            Some(Value::Octets(octets)) => Some(octets),
            _ => None,
        });
        Box::pin(ready(octets))
    }

    fn count<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        window: Duration,
        now: Timestamp,
    ) -> Answer<'a, Known<u64>> {
        let row = self.row(table, key, now);
        Box::pin(ready(row.map(|row| row.map_or(0, |value| row::count_of(&value, window, now)))))
    }

    fn level<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        rate: Rate,
        now: Timestamp,
    ) -> Answer<'a, Known<Level>> {
        let row = self.row(table, key, now);
        Box::pin(ready(row.map(|row| row::level_of(row.as_ref(), rate, now))))
    }

    fn distinct<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<u64>> {
        let row = self.row(table, key, now);
        Box::pin(ready(row.map(|row| row.map_or(0, |value| row::distinct_of(&value, table.ttl, now)))))
    }

    fn scan<'a>(
        &'a self,
        table: &'static Table,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
        now: Timestamp,
    ) -> Answer<'a, Known<Vec<Row>>> {
        self.shared.saw(now);
        let rows = self.told(self.shared.scan(table, prefix, after, limit, now));
        Box::pin(ready(rows.map(|rows| rows.into_iter().map(|(key, stored)| shown(key, stored)).collect())))
    }

    fn write<'a>(&'a self, writes: &'a [Write], now: Timestamp) -> Answer<'a, Known<()>> {
        Box::pin(ready(self.written(writes, now)))
    }
}

fn shown(key: Vec<u8>, stored: Stored) -> Row {
    Row {
        key,
        value: match stored.value {
            Value::Octets(octets) => octets,
            _ => Vec::new(),
        },
        expires: Timestamp::from_millisecond(stored.expires_ms).unwrap_or(Timestamp::MAX),
    }
}

fn unavailable(cause: impl Into<String>) -> Unavailable {
    Unavailable::new(Service::Store, cause)
}

fn stopped() -> Unavailable {
    unavailable("the thread that writes the store has ended")
}

#[cfg(test)]
mod tests;
