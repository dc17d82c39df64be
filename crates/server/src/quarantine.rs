//! The quarantine: messages kept back for some recipients until a person releases or deletes them, or they expire.
//!
//! A message is a file below a folder of its day, with its envelope beside it; the state of each recipient is a row of one
//! small SQL index. Exactly one state holds for a recipient at any time, whenever the process is killed:
//!
//! ```text
//! offered ─► kept ─► releasing ─► released
//!    │         │ ◄──────┘
//!    │         ├─► deleted
//!    │         └─► expired
//!    ├─► unheard (the MTA never heard the verdict and went on without: a copy, with the same ends as one that is kept)
//!    └─► (gone: the MTA never asked to keep it, so it was delivered)
//! ```
//!
//! `offer` comes before the reply to DATA, `keep` when the MTA is about to let go of a recipient: only then is the message
//! ours alone, and only then it is listed. Every step is on disk before it returns. Methods block, `offer`, `keep` and
//! `admit` do so on a thread of their own; the command line uses the same folder while the daemon runs.

use std::fs::File;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Score;
use tidegate_wire::exim::ExactAddress;

mod expiry;
mod files;
mod index;
mod release;

pub use expiry::Expiry;
pub use release::{Admission, FIELD, Handed, Outcome, RELEASE_MAX};

/// `[quarantine]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Days after which a kept message expires.
    pub keep_days: u16,
    /// Days before that from which on it is announced.
    pub notice_days: u16,
    /// Days after which an offered message that the MTA never asked for is removed. Longer than the MTA tries to route.
    pub unseen_days: u16,
    /// Size of all messages together, in megabytes; above it nothing more is taken.
    pub size_mb_max: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { keep_days: 30, notice_days: 3, unseen_days: 2, size_mb_max: 10_240 }
    }
}

/// Why the quarantine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// A file could not be read or written.
    #[error("quarantine: {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The index could not be read or written.
    #[error("quarantine: the index: {0}")]
    Index(#[from] rusqlite::Error),
    /// No more room.
    #[error("quarantine: full: {held_mb} of {max_mb} MB; release or delete messages, or raise quarantine.size_mb_max")]
    Full {
        /// Size of what is held.
        held_mb: u64,
        /// The limit.
        max_mb: u64,
    },
    /// The MTA's id of the message is none.
    #[error("quarantine: `{0}` is no message id of an MTA")]
    Id(String),
    /// The work was given up because the process ends.
    #[error("quarantine: stopped")]
    Stopped,
}

/// A message to be kept back, if the MTA will ask for it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The MTA's id of the message.
    pub mta_id: String,
    /// The id of its record.
    pub record: String,
    /// When it was received.
    pub received: Timestamp,
    /// The SMTP peer, if there was one.
    pub client: Option<IpAddr>,
    /// The reverse-path; empty for the null path.
    pub sender: ExactAddress,
    /// For whom it is kept back, and why.
    pub recipients: Vec<Reason>,
    /// Its subject, for the list. Hostile text.
    pub subject: Option<String>,
    /// The whole message, as it is to be given back.
    pub message: Arc<[u8]>,
}

/// Why a message is kept back for one recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The recipient, as the MTA gave it.
    #[serde(with = "files::exact")]
    pub address: ExactAddress,
    /// The score.
    pub score: Score,
    /// The reason, in words.
    pub reason: String,
}

/// What became of a message for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is a copy; the MTA has the message too.
    Offered,
    /// Only we have the message.
    Kept,
    /// It is being given back to the MTA.
    Releasing,
    /// It was given back to the MTA.
    Released,
    /// A person deleted it.
    Deleted,
    /// Nobody wanted it in time.
    Expired,
    /// There is a copy, but the MTA never heard that it was to be kept back, and went on with the message without a verdict.
    Unheard,
}

impl State {
    /// Whether the message is still needed for this recipient.
    pub fn is_open(self) -> bool {
        matches!(self, State::Offered | State::Kept | State::Releasing | State::Unheard)
    }
}

/// A message in the quarantine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The MTA's id of the message.
    pub id: String,
    /// The id of its record.
    pub record: String,
    /// When it was received.
    pub received: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// The reverse-path; empty for the null path.
    pub sender: String,
    /// The SMTP peer, if there was one.
    pub client: Option<IpAddr>,
    /// Its subject, bounded. Hostile text.
    pub subject: Option<String>,
    /// Its size.
    pub octets: u64,
    /// Its recipients here.
    pub recipients: Vec<Held>,
}

/// One recipient of a message in the quarantine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The recipient, as the MTA gave it.
    pub address: String,
    /// What became of it.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// The score.
    pub score: Score,
    /// The reason, in words.
    pub reason: String,
}

/// The answer to the MTA that is about to let go of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The message is safe here: let go.
    Kept,
    /// There is no such message here: deliver it.
    Gone,
}

/// Which messages are wanted, newest first. All conditions hold together.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only for this recipient (`a@example.org`) or this recipient domain (`example.org`).
    pub recipient: Option<String>,
    /// Only from this sender (`a@example.net`) or this sender domain (`example.net`).
    pub sender: Option<String>,
    /// Only received at this time or later.
    pub since: Option<Timestamp>,
    /// Also what has been released or deleted or has expired, as long as it is known.
    pub closed: bool,
    /// Only behind (older than) the message of this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Messages kept for someone.
    pub kept: u64,
    /// Messages offered and not asked for yet.
    pub offered: u64,
    /// Size of all of them.
    pub octets: u64,
}

/// The quarantine in one folder.
#[derive(Clone)]
pub struct Quarantine {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    config: Config,
    /// `None` until it could be opened, and after damage was met in it.
    index: Mutex<Option<Connection>>,
    /// Size of all messages, as far as this process knows.
    octets: AtomicU64,
    /// When the files were last looked through; zero for never.
    swept_ms: AtomicI64,
}

impl Quarantine {
    /// Opens the quarantine in `folder`, or begins it. An index that is damaged or lost is made again from the files: then
    /// every message is kept, the released ones whose file is still there included.
    ///
    /// # Errors
    /// When the folder or the index cannot be used.
    pub fn open(folder: &Path, config: Config) -> Result<Quarantine, QuarantineError> {
        let quarantine = Quarantine::closed(folder, config);
        drop(quarantine.index()?);
        Ok(quarantine)
    }

    /// As [`Quarantine::open`], but what cannot be opened now is tried again by each call until it can.
    pub fn open_in_time(folder: &Path, config: Config) -> Quarantine {
        let quarantine = Quarantine::closed(folder, config);
        if let Err(error) = quarantine.index() {
            tracing::error!(%error, "the quarantine cannot be opened; it is tried again");
        }
        quarantine
    }

    fn closed(folder: &Path, config: Config) -> Quarantine {
        let (folder, index) = (folder.to_owned(), Mutex::new(None));
        let (octets, swept_ms) = (AtomicU64::new(0), AtomicI64::new(0));
        Quarantine { inner: Arc::new(Inner { folder, config, index, octets, swept_ms }) }
    }

    /// Makes a durable copy of the message, not yet listed. To offer the same message again is no error.
    ///
    /// # Errors
    /// When there is no durable copy: the MTA must not be told to keep the message back.
    pub async fn offer(&self, offer: Offer) -> Result<(), QuarantineError> {
        self.apart(move |quarantine| quarantine.offer_now(&offer)).await
    }

    /// Keeps the message for `recipient` if there is a copy: from then on it is ours alone. The answer is the same however
    /// often it is asked for.
    ///
    /// # Errors
    /// When it cannot be known: the MTA has to ask again later.
    pub async fn keep(&self, mta_id: &str, recipient: &ExactAddress, now: Timestamp) -> Result<Keep, QuarantineError> {
        let (mta_id, recipient) = (mta_id.to_owned(), recipient.clone());
        self.apart(move |quarantine| quarantine.keep_now(&mta_id, &recipient, now)).await
    }

    /// Notes that the MTA never heard what was offered: it has gone on with the message, and the copy of it is listed as such.
    ///
    /// # Errors
    /// When the index cannot be written: the offer is then forgotten like one that was never taken up.
    pub async fn unheard(&self, mta_id: &str, now: Timestamp) -> Result<(), QuarantineError> {
        let mta_id = mta_id.to_owned();
        self.apart(move |quarantine| quarantine.unheard_now(&mta_id, now)).await
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Quarantine) -> Result<T, QuarantineError> + Send + 'static,
    ) -> Result<T, QuarantineError> {
        let quarantine = self.clone();
        let done = tokio::task::spawn_blocking(move || quarantine.noted(work(&quarantine)));
        done.await.unwrap_or(Err(QuarantineError::Stopped))
    }

    /// As [`Quarantine::offer`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn offer_now(&self, offer: &Offer) -> Result<(), QuarantineError> {
        // An index that is made anew takes every file for one that is kept: it must be there before this one is.
        drop(self.index()?);
        let size = u64::try_from(offer.message.len()).unwrap_or(u64::MAX);
        let held = self.inner.octets.load(Ordering::Relaxed);
        let max_mb = u64::from(self.inner.config.size_mb_max);
        if held.saturating_add(size) > max_mb << 20 {
            return Err(QuarantineError::Full { held_mb: held >> 20, max_mb });
        }
        files::write(&self.inner.folder, offer)?;
        if index::insert(&mut *self.index()?, offer, self.inner.config)? {
            self.inner.octets.fetch_add(size, Ordering::Relaxed);
        }
        Ok(())
    }

    /// As [`Quarantine::keep`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn keep_now(&self, mta_id: &str, recipient: &ExactAddress, now: Timestamp) -> Result<Keep, QuarantineError> {
        let index = self.index()?;
        let Some(place) = index::place(&index, mta_id)? else { return Ok(Keep::Gone) };
        let Some(state) = index::state(&index, &place, recipient)? else { return Ok(Keep::Gone) };
        if state.is_open() && !files::exists(&self.inner.folder, &place) {
            // Someone has removed the file by hand: the MTA has the only copy.
            return Ok(Keep::Gone);
        }
        for copy in [State::Offered, State::Unheard] {
            index::change(&index, &place, recipient, copy, State::Kept, now)?;
        }
        // Another process may have forgotten the offer in between.
        Ok(index::state(&index, &place, recipient)?.map_or(Keep::Gone, |_| Keep::Kept))
    }

    /// As [`Quarantine::unheard`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn unheard_now(&self, mta_id: &str, now: Timestamp) -> Result<(), QuarantineError> {
        let index = self.index()?;
        if let Some(place) = index::place(&index, mta_id)? {
            index::change_all(&index, &place, State::Offered, State::Unheard, now)?;
        }
        Ok(())
    }

    /// Messages that are kept for someone, or of which there is a copy that the MTA did not hear of, newest first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Item>, QuarantineError> {
        index::list(&*self.index()?, filter)
    }

    /// The message `mta_id`, whatever its state; `None` if it is not known (any more).
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn show(&self, mta_id: &str) -> Result<Option<Item>, QuarantineError> {
        let index = self.index()?;
        index::place(&index, mta_id)?.map(|place| index::item(&index, &place)).transpose()
    }

    /// The message itself, as it was received; `None` if there is no file (any more).
    ///
    /// # Errors
    /// When the file or the index cannot be read.
    pub fn message(&self, mta_id: &str) -> Result<Option<File>, QuarantineError> {
        let place = index::place(&*self.index()?, mta_id)?;
        place.map_or(Ok(None), |place| files::open(&self.inner.folder, &place))
    }

    /// Deletes the message for `recipient`, or for all recipients. Returns for how many.
    ///
    /// # Errors
    /// When the index or the file cannot be written.
    pub fn delete(
        &self,
        mta_id: &str,
        recipient: Option<&ExactAddress>,
        now: Timestamp,
    ) -> Result<usize, QuarantineError> {
        let index = self.index()?;
        let Some(place) = index::place(&index, mta_id)? else { return Ok(0) };
        let mut deleted = 0;
        for held in [State::Kept, State::Unheard] {
            deleted += match recipient {
                Some(recipient) => index::change(&index, &place, recipient, held, State::Deleted, now)?,
                None => index::change_all(&index, &place, held, State::Deleted, now)?,
            };
        }
        self.tidy(&index, &place)?;
        Ok(deleted)
    }

    /// How much there is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn stats(&self) -> Result<Stats, QuarantineError> {
        index::stats(&*self.index()?)
    }

    /// Removes the files of a message that nobody needs any more.
    fn tidy(&self, index: &Connection, place: &files::Place) -> Result<(), QuarantineError> {
        if index::is_open(index, place)? {
            return Ok(());
        }
        files::remove(&self.inner.folder, place)?;
        let _ = self
            .inner
            .octets
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |octets| Some(octets.saturating_sub(place.octets)));
        Ok(())
    }

    /// The index, opened if it is not open yet.
    fn index(&self) -> Result<Index<'_>, QuarantineError> {
        let Inner { folder, config, octets, .. } = &*self.inner;
        // A transaction that was not committed is rolled back when it is dropped, by a panic as well.
        let mut guard = self.inner.index.lock().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            files::make_folder(folder)?;
            let opened = index::open(folder, *config)?;
            octets.store(index::octets(&opened)?, Ordering::Relaxed);
            *guard = Some(opened);
        }
        Ok(Index(guard))
    }

    /// Closes an index in which damage was met, so that the next call opens it anew and sets it aside.
    fn noted<T>(&self, result: Result<T, QuarantineError>) -> Result<T, QuarantineError> {
        if let Err(QuarantineError::Index(error)) = &result
            && index::is_damage(error)
        {
            tracing::error!(%error, "the index of the quarantine is damaged");
            *self.inner.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }
}

/// The open index, for as long as nobody else of this process may use it.
struct Index<'a>(MutexGuard<'a, Option<Connection>>);

impl Deref for Index<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it was opened under this very lock")
    }
}

impl DerefMut for Index<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it was opened under this very lock")
    }
}

fn days(days: u16) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

#[cfg(test)]
mod tests;
