//! The journal: one record for each transaction and each refusal, with all that the policy read, so that `tidegate why` can
//! explain a verdict and make it again.
//!
//! A folder of one SQL file a day, which is why retention is the removal of whole files. One thread writes in groups;
//! [`Journal::record`] never waits. Records stand in a tail until there are enough of them for a block, which is compressed
//! and gets a filter of the keys it may be found by; see `day.rs`. Refusals before DATA come in floods: those of one client
//! for one reason within an hour are one record that counts, and [`Journal::name`] tells the id of that record before the reply is
//! given, so that each id in a reply is one that is found.
//!
//! What cannot be recorded, because the disk is full or too slow, is counted in [`Journal::health`]; mail flows.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use self::floods::Names;
use self::writer::{Message, Status, Writer};

mod block;
mod day;
mod floods;
mod query;
mod record;
mod writer;

pub use query::{Found, Query, Reader};
pub use record::{Entry, Record, Repeats};

/// Records that wait for the writing thread at most; a record is some kilobytes.
const QUEUE_MAX: usize = 4096;

/// `[journal]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Days that are kept.
    pub keep_days: u16,
    /// Size of all days together, in megabytes; above it the oldest go first.
    pub size_mb_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { keep_days: 30, size_mb_max: 2048 }
    }
}

/// A record is not on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal: {0}")]
pub struct JournalError(pub String);

/// How the journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Records written since the start, those that were added to an earlier one included.
    pub written: u64,
    /// Records lost since the start.
    pub dropped: u64,
    /// What is wrong now; `None` if the last group was written.
    pub trouble: Option<String>,
    /// Damaged files that were set aside since the start.
    pub set_aside: Vec<PathBuf>,
}

/// The journal, for writing. Reading is [`Reader`]'s, which needs the folder only.
pub struct Journal {
    folder: PathBuf,
    names: Mutex<Names>,
    queue: SyncSender<Message>,
    status: Arc<Status>,
    writer: Option<JoinHandle<()>>,
}

impl Journal {
    /// Opens the journal in `folder`, or begins it.
    ///
    /// # Errors
    /// Only if the system gives no thread; what is wrong with folder or files is told by [`Journal::health`].
    pub fn open(folder: &Path, config: Config) -> std::io::Result<Journal> {
        let (queue, receiver) = sync_channel(QUEUE_MAX);
        let status = Arc::new(Status::default());
        let writer = Writer::new(folder, config, Arc::clone(&status), receiver);
        let writer = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?;
        let names = Mutex::default();
        Ok(Journal { folder: folder.to_owned(), names, queue, status, writer: Some(writer) })
    }

    /// Gives `record` the id under which it will be found: a refusal before DATA that says the same as an earlier one of its client
    /// gets the id of that one, and will be added to it; every other record keeps its own.
    pub fn name(&self, record: &mut Record) {
        if record.is_flood() {
            // No call below can panic between two changes that belong together.
            self.names.lock().unwrap_or_else(PoisonError::into_inner).name(record);
        }
    }

    /// Records `record` soon. Returns whether there was room; if not, the record is lost and counted.
    pub fn record(&self, record: Record) -> bool {
        match self.queue.try_send(Message::Record(Box::new(record))) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.status.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Records `record` and resolves when it is on disk: for records that explain an effect.
    ///
    /// # Errors
    /// When it is not on disk; it counts as lost.
    pub async fn record_synced(&self, record: Record) -> Result<(), JournalError> {
        let (reply, done) = oneshot::channel();
        self.ask(Message::Synced(Box::new(record), reply)).inspect_err(|_| {
            self.status.dropped.fetch_add(1, Ordering::Relaxed);
        })?;
        done.await.unwrap_or_else(|_| Err(JournalError("the writing thread has ended".into())))
    }

    /// Puts `record` in the place of the one of the same id that [`Journal::record_synced`] wrote a moment ago. Returns whether there was
    /// room; if not, the earlier one stays.
    pub fn replace(&self, record: Record) -> bool {
        self.ask(Message::Replace(Box::new(record))).is_ok()
    }

    /// Resolves when everything recorded before is on disk.
    ///
    /// # Errors
    /// When it is not, because the disk does not take it.
    pub async fn flush(&self) -> Result<(), JournalError> {
        let (reply, done) = oneshot::channel();
        self.ask(Message::Flush(reply))?;
        done.await.unwrap_or_else(|_| Err(JournalError("the writing thread has ended".into())))
    }

    fn ask(&self, message: Message) -> Result<(), JournalError> {
        self.queue.try_send(message).map_err(|error| {
            JournalError(match error {
                TrySendError::Full(_) => "too many records wait for the disk".into(),
                TrySendError::Disconnected(_) => "the writing thread has ended".into(),
            })
        })
    }

    /// How the journal is.
    pub fn health(&self) -> Health {
        let mut health = self.status.health();
        if self.writer.as_ref().is_some_and(JoinHandle::is_finished) {
            health.trouble = Some("the writing thread has ended; restart the daemon".into());
        }
        health
    }

    /// What was recorded.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.folder)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Waits for room in the queue: at the end, nothing is to be lost.
        let _ = self.queue.send(Message::Stop);
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been reported by the panic hook already.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
