//! What readers and the writing thread share: the last committed state, and the rows written since.
//!
//! Rows are looked for in `fresh` (written since the last commit began), then in `committing` (being committed), then in
//! the snapshot. All three change together under one lock, so a reader never misses a row on its way to disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tidegate_filter::store::row::{self, Change, Stored};
use tidegate_filter::store::{Table, Write};

use super::Health;
use super::snapshot::{Failure, Rows, Snapshot};

/// Rows that make a commit worth while at once.
const COMMIT_ROWS: usize = 5_000;
/// Rows kept in memory while the disk takes none; more writes are refused.
const PENDING_ROWS_MAX: usize = 100_000;
/// Octets kept in memory while the disk takes none; more writes are refused.
const PENDING_OCTETS_MAX: usize = 64 << 20;

/// Rows for one commit.
pub(super) struct Batch {
    pub(super) rows: Arc<Rows>,
    /// Whether they failed before; others have been written since.
    pub(super) is_retry: bool,
}

/// What a write means for the writing thread.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// The first rows since the last commit: one is due in time.
    Began,
    /// A commit is due already.
    Waiting,
    /// Enough rows for a commit at once.
    Full,
}

/// A committed state and its number.
struct View {
    snapshot: Arc<Snapshot>,
    generation: u64,
}

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// The time of the last call, for the sweep: the store has no clock of its own.
    now_ms: AtomicI64,
}

#[derive(Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// Counts snapshots, so that a row read from one is not taken for a row of the next.
    generation: u64,
    fresh: Rows,
    fresh_octets: usize,
    committing: Arc<Rows>,
    /// Damage seen by a reader, for the writing thread to mend.
    damage: Option<String>,
    trouble: Option<String>,
    set_aside: Vec<(PathBuf, String)>,
}

impl State {
    /// The row among those that are not on disk yet; the inner `None` is a removed row.
    fn pending(&self, key: &(&'static str, Vec<u8>)) -> Option<&Option<Stored>> {
        self.fresh.get(key).or_else(|| self.committing.get(key))
    }

    fn view(&self) -> Result<View, Failure> {
        let cause = || self.trouble.clone().unwrap_or_else(|| "the store is not open".into());
        let snapshot = self.snapshot.clone().ok_or_else(|| Failure::Disk(cause()))?;
        Ok(View { snapshot, generation: self.generation })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is an insertion or a replacement of a whole value: a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn saw(&self, now: Timestamp) {
        self.now_ms.store(now.as_millisecond(), Ordering::Relaxed);
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, Failure> {
        Ok(self.state().view()?.snapshot)
    }

    /// The row at `key`, expired or not.
    pub(super) fn row(&self, table: &'static Table, key: &[u8]) -> Result<Option<Stored>, Failure> {
        let key = (table.name, key.to_vec());
        let view = {
            let state = self.state();
            if let Some(row) = state.pending(&key) {
                return Ok(row.clone());
            }
            state.view()?
        };
        self.noted(view.snapshot.get(key.0, &key.1), view.generation)
    }

    /// Remembers damage that a reader met, unless the file has changed since.
    fn noted<T>(&self, read: Result<T, Failure>, generation: u64) -> Result<T, Failure> {
        if let Err(Failure::Damaged(reason)) = &read {
            let mut state = self.state();
            if state.generation == generation {
                state.damage.get_or_insert_with(|| reason.clone());
            }
        }
        read
    }

    pub(super) fn take_damage(&self) -> Option<String> {
        self.state().damage.take()
    }

    /// Live rows of `table` below `prefix`, behind `after`.
    pub(super) fn scan(
        &self,
        table: &'static Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<(Vec<u8>, Stored)>, Failure> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let (view, pending) = {
            let state = self.state();
            let range = (from.map(|key| (table.name, key.to_vec())), Bound::Unbounded);
            let within = |key: &(&'static str, Vec<u8>)| key.0 == table.name && key.1.starts_with(prefix);
            let mut pending: BTreeMap<Vec<u8>, Option<Stored>> = BTreeMap::new();
            for rows in [&*state.committing, &state.fresh] {
                let rows = rows.range(range.clone()).take_while(|(key, _)| within(key));
                pending.extend(rows.map(|(key, row)| (key.1.clone(), row.clone())));
            }
            (state.view()?, pending)
        };
        let is_shown = |row: &Stored| row.is_live(now);
        let wanted = |key: &[u8], row: &Stored| !pending.contains_key(key) && is_shown(row);
        let read = view.snapshot.scan(table.name, prefix, from, limit, wanted);
        let mut rows: BTreeMap<Vec<u8>, Stored> = self.noted(read, view.generation)?.into_iter().collect();
        rows.extend(pending.into_iter().filter_map(|(key, row)| row.filter(is_shown).map(|row| (key, row))));
        Ok(rows.into_iter().take(limit).collect())
    }

    /// Applies `writes` to the pending rows, all or none.
    pub(super) fn apply(&self, writes: &[Write], now: Timestamp) -> Result<Load, Failure> {
        // What is on disk is read before the lock is taken, because that may wait for the disk.
        let view = self.state().view()?;
        let keys: Vec<_> = writes.iter().map(|w| w.target()).map(|(table, key)| (table.name, key.to_vec())).collect();
        let read_all = |snapshot: &Snapshot| keys.iter().map(|key| snapshot.get(key.0, &key.1)).collect();
        let read: Result<Vec<Option<Stored>>, Failure> = read_all(&view.snapshot);
        let mut stored = self.noted(read, view.generation)?;

        let mut state = self.state();
        if state.generation != view.generation {
            stored = read_all(&state.view()?.snapshot)?;
        }
        if state.fresh.len() >= PENDING_ROWS_MAX || state.fresh_octets >= PENDING_OCTETS_MAX {
            let trouble = state.trouble.clone().unwrap_or_else(|| "the disk is too slow".into());
            return Err(Failure::Disk(format!("too many rows wait for the disk: {trouble}")));
        }
        let was_empty = state.fresh.is_empty();
        for ((write, key), stored) in writes.iter().zip(keys).zip(stored) {
            let row = state.pending(&key).cloned().unwrap_or(stored).filter(|row| row.is_live(now));
            let row = match row::apply(write, row, now) {
                Change::Keep => continue,
                Change::Set(stored) => Some(stored),
                Change::Remove => None,
            };
            state.fresh_octets = state.fresh_octets.saturating_add(key.1.len() + row.as_ref().map_or(0, size_of_row));
            state.fresh.insert(key, row);
        }
        Ok(match state.fresh.len() {
            0 => Load::Waiting,
            COMMIT_ROWS.. => Load::Full,
            _ if was_empty => Load::Began,
            _ => Load::Waiting,
        })
    }

    /// The rows to commit now: those of the last attempt if it failed, else all that were written since.
    pub(super) fn begin_commit(&self) -> Batch {
        let mut state = self.state();
        let is_retry = !state.committing.is_empty();
        if !is_retry {
            state.committing = Arc::new(std::mem::take(&mut state.fresh));
            state.fresh_octets = 0;
        }
        Batch { rows: Arc::clone(&state.committing), is_retry }
    }

    /// Shows `snapshot`, which holds all rows that were being committed.
    pub(super) fn committed(&self, snapshot: Snapshot) {
        let mut state = self.state();
        state.committing = Arc::default();
        show(&mut state, Some(snapshot));
    }

    /// Shows `snapshot`; `None` while the file is closed.
    pub(super) fn show(&self, snapshot: Option<Snapshot>) {
        show(&mut self.state(), snapshot);
    }

    pub(super) fn note_trouble(&self, trouble: &str) {
        let mut state = self.state();
        if state.trouble.as_deref() != Some(trouble) {
            tracing::error!(trouble, "the store cannot write");
            state.trouble = Some(trouble.to_owned());
        }
    }

    pub(super) fn clear_trouble(&self) {
        if self.state().trouble.take().is_some() {
            tracing::info!("the store can write again");
        }
    }

    pub(super) fn note_set_aside(&self, path: PathBuf, reason: &str) {
        tracing::error!(path = %path.display(), reason, "the store was damaged: set aside, a fresh one begun");
        self.state().set_aside.push((path, reason.to_owned()));
    }

    pub(super) fn has_pending(&self) -> bool {
        let state = self.state();
        !state.fresh.is_empty() || !state.committing.is_empty()
    }

    pub(super) fn health(&self) -> Health {
        let state = self.state();
        Health {
            trouble: state.trouble.clone(),
            set_aside: state.set_aside.clone(),
            pending: state.fresh.len() + state.committing.len(),
        }
    }
}

fn show(state: &mut State, snapshot: Option<Snapshot>) {
    state.snapshot = snapshot.map(Arc::new);
    state.generation = state.generation.wrapping_add(1);
}

/// About what a row takes in memory.
fn size_of_row(row: &Stored) -> usize {
    match &row.value {
        row::Value::Octets(octets) => octets.len() + 64,
        row::Value::Counter(slots) => slots.len() * 16 + 64,
        row::Value::Level(_) => 64,
        row::Value::Set(members) => members.len() * 16 + 64,
    }
}
