//! The thread that writes: groups of rows to disk, the sweep of expired rows, and the mending of the file.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tidegate_filter::known::Known;
use tokio::sync::oneshot;

use super::file::Disk;
use super::shared::Shared;
use super::snapshot::{Failure, Survey};
use super::{COMMIT_EVERY, stopped, unavailable};

/// From the end of one sweep to the start of the next.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Pause between two steps of a sweep, so that commits and the disk have room.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// Rows that one step of a sweep looks at.
const SWEEP_ROWS: usize = 20_000;
/// First and longest wait before a disk that failed is tried again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What the thread is asked to do.
pub(super) enum Command {
    /// Rows are pending: commit them in time.
    Wake,
    /// Commit now.
    Commit,
    /// Commit now, and tell when it is done.
    Flush(oneshot::Sender<Known<()>>),
    /// Sweep all tables now, and tell how many rows went.
    Sweep(oneshot::Sender<Known<u64>>),
    /// Commit and end.
    Stop,
}

pub(super) struct Writer {
    disk: Disk,
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    commit_at: Option<Instant>,
    sweep_at: Instant,
    sweep: Position,
    retry_after: Duration,
}

/// Where a sweep stands.
#[derive(Clone, Default)]
struct Position {
    table: usize,
    after: Option<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(disk: Disk, shared: Arc<Shared>, commands: Receiver<Command>) -> Writer {
        // A file that could not be opened is tried again soon.
        let commit_at = (!disk.is_open()).then(|| Instant::now() + RETRY_AFTER.0);
        let sweep_at = Instant::now() + SWEEP_EVERY;
        let retry_after = RETRY_AFTER.0;
        Writer { disk, shared, commands, commit_at, sweep_at, sweep: Position::default(), retry_after }
    }

    pub(super) fn run(mut self) {
        loop {
            let wake_at = self.commit_at.map_or(self.sweep_at, |commit_at| commit_at.min(self.sweep_at));
            let command = self.commands.recv_timeout(wake_at.saturating_duration_since(Instant::now()));
            match command {
                Ok(Command::Wake) => {
                    self.commit_at.get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
                }
                // While the disk fails, many writes may ask for a commit: the retry keeps its own pace.
                Ok(Command::Commit) if self.is_failing() => {}
                Ok(Command::Commit) => self.commit_and_plan(),
                Ok(Command::Flush(reply)) => {
                    self.commit_and_plan();
                    // Whoever asked may have gone.
                    let _ = reply.send(self.flushed());
                }
                Ok(Command::Sweep(reply)) => {
                    let _ = reply.send(self.sweep_all());
                }
                Err(RecvTimeoutError::Timeout) => self.on_time(),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.commit_and_plan();
        self.disk.close(&self.shared);
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.commit_at.is_some_and(|at| at <= now) {
            self.commit_and_plan();
        }
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP_PAUSE;
            match self.sweep_step() {
                Ok(_) if self.sweep.table > 0 || self.sweep.after.is_some() => {}
                Ok(_) => self.sweep_at = now + SWEEP_EVERY,
                Err(failure) => {
                    self.fail(failure);
                    self.sweep_at = now + SWEEP_EVERY;
                }
            }
        }
    }

    fn is_failing(&self) -> bool {
        self.retry_after > RETRY_AFTER.0
    }

    /// Commits, and on failure plans the next attempt.
    fn commit_and_plan(&mut self) {
        match self.commit() {
            Ok(()) => {
                self.shared.clear_trouble();
                self.commit_at = None;
                self.retry_after = RETRY_AFTER.0;
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if let Some(damage) = self.shared.take_damage() {
            return Err(Failure::Damaged(damage));
        }
        if !self.disk.is_open() {
            self.disk.open(&self.shared)?;
        }
        let mut is_retry = true;
        while is_retry {
            let batch = self.shared.begin_commit();
            if !batch.rows.is_empty() {
                self.shared.committed(self.disk.commit(&batch.rows)?);
            }
            is_retry = batch.is_retry;
        }
        Ok(())
    }

    /// After any failure the file is opened afresh: redb refuses to go on after an error.
    fn fail(&mut self, failure: Failure) {
        self.disk.close(&self.shared);
        if let Failure::Damaged(reason) = &failure
            && let Err(failure) = self.disk.set_aside(&self.shared, reason)
        {
            tracing::error!(%failure, "the damaged store stays where it is");
        }
        self.shared.note_trouble(&failure.to_string());
        // Readers shall not wait for the next attempt if the file can be read.
        if let Err(failure) = self.disk.open(&self.shared) {
            tracing::warn!(%failure, "the store stays closed for now");
        }
        self.commit_at = Some(Instant::now() + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(RETRY_AFTER.1);
    }

    fn flushed(&self) -> Known<()> {
        match self.shared.health().trouble {
            Some(trouble) if self.shared.has_pending() => Err(unavailable(trouble)),
            _ => Ok(()),
        }
    }

    fn sweep_all(&mut self) -> Known<u64> {
        self.sweep = Position::default();
        let mut removed = 0;
        loop {
            removed += self.sweep_step().map_err(|failure| {
                let cause = failure.to_string();
                self.fail(failure);
                unavailable(cause)
            })?;
            if self.sweep.table == 0 && self.sweep.after.is_none() {
                return Ok(removed);
            }
        }
    }

    /// Looks at the next rows and removes those that have expired; returns how many. Stands at the beginning again when all
    /// tables are done.
    fn sweep_step(&mut self) -> Result<u64, Failure> {
        let Some(&table) = self.disk.tables().get(self.sweep.table) else {
            self.sweep = Position::default();
            return Ok(0);
        };
        let snapshot = self.shared.snapshot()?;
        let now_ms = self.shared.now_ms();
        let Survey { expired, last } = snapshot.expired(table, self.sweep.after.as_deref(), SWEEP_ROWS, now_ms)?;
        if !expired.is_empty() {
            self.shared.show(Some(self.disk.remove_expired(table, &expired, now_ms)?));
        }
        self.sweep = match last {
            Some(last) => Position { after: Some(last), ..self.sweep },
            None if self.sweep.table + 1 < self.disk.tables().len() => {
                Position { table: self.sweep.table + 1, after: None }
            }
            None => Position::default(),
        };
        Ok(u64::try_from(expired.len()).unwrap_or(u64::MAX))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to answer: those who still wait are told so.
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Flush(reply) => drop(reply.send(Err(stopped()))),
                Command::Sweep(reply) => drop(reply.send(Err(stopped()))),
                Command::Wake | Command::Commit | Command::Stop => {}
            }
        }
    }
}
