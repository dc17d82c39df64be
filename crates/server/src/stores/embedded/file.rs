//! The redb file itself: opening, repairing, setting aside, committing, and the snapshots that readers use. Everything that
//! can wait for the disk is here, and every call into redb that meets octets from the disk is guarded against its panics.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition,
};
use tidegate_filter::store::Table;
use tidegate_filter::store::row::Stored;

use super::shared::{Rows, Shared};

/// Memory for pages. The default of redb is 1 GiB.
const CACHE_OCTETS: usize = 32 << 20;
/// Version of the file's layout. A file of another version is set aside.
const LAYOUT: u64 = 1;
const LAYOUT_KEY: &str = "layout";
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("tidegate");
/// Files set aside are kept, but not without end.
const SET_ASIDE_MAX: usize = 3;

/// Opens the database at a path.
pub(super) type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

/// What keeps the file from being used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Another process holds it.
    #[error("the file is in use by another process")]
    InUse,
    /// The file is no store, or no longer one.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A table that was not declared: our own mistake, not the file's.
    #[error("table {0} was not declared when the store was opened")]
    Undeclared(String),
    /// The disk does not do what it should; may pass.
    #[error("{0}")]
    Disk(String),
}

pub(super) fn open_database(path: &Path) -> Result<Database, DatabaseError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| DatabaseError::Storage(StorageError::Io(error)))?;
    }
    Database::builder().set_cache_size(CACHE_OCTETS).create(path)
}

/// The file, open or not.
pub(super) struct Disk {
    path: PathBuf,
    tables: Vec<&'static str>,
    opener: Opener,
    database: Option<Database>,
}

impl Disk {
    pub(super) fn new(path: &Path, tables: &[&'static Table], opener: Opener) -> Disk {
        let tables = tables.iter().map(|table| table.name).collect();
        Disk { path: path.to_owned(), tables, opener, database: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.database.is_some()
    }

    /// Opens the file and shows its rows; a damaged one is set aside and a fresh one begun.
    pub(super) fn open(&mut self, shared: &Shared) -> Result<(), Failure> {
        let opened = match self.try_begin_or_open() {
            Err(Failure::Damaged(reason)) => {
                self.set_aside(shared, &reason)?;
                self.try_begin_or_open()
            }
            other => other,
        };
        let (database, snapshot) = opened?;
        self.database = Some(database);
        shared.show(Some(snapshot));
        Ok(())
    }

    /// Opens the file or begins one. One that could not be begun, for want of room, is no store and goes again: set aside, it
    /// would push out those that hold something.
    fn try_begin_or_open(&self) -> Result<(Database, Snapshot), Failure> {
        let is_new = std::fs::metadata(&self.path).map_or(true, |file| file.len() == 0);
        let opened = self.try_open();
        if is_new && opened.is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
        opened
    }

    fn try_open(&self) -> Result<(Database, Snapshot), Failure> {
        guarded(|| {
            let database = (self.opener)(&self.path).map_err(of_database)?;
            prepare(&database, &self.tables)?;
            let snapshot = Snapshot::of(&database, &self.tables)?;
            Ok((database, snapshot))
        })
    }

    /// Closes the file, so that the next open reads it afresh: after an error redb refuses to go on.
    pub(super) fn close(&mut self, shared: &Shared) {
        shared.show(None);
        if let Some(database) = self.database.take() {
            let closed = guarded(|| {
                drop(database);
                Ok(())
            });
            if let Err(failure) = closed {
                tracing::warn!(%failure, "closing the store");
            }
        }
    }

    /// Sets the closed file aside under a dated name.
    pub(super) fn set_aside(&mut self, shared: &Shared, reason: &str) -> Result<(), Failure> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let stem = format!("{name}.damaged-");
        let aside = folder.join(format!("{stem}{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ")));
        let io = |error: std::io::Error| Failure::Disk(format!("cannot set {} aside: {error}", self.path.display()));
        std::fs::rename(&self.path, &aside).map_err(io)?;
        shared.note_set_aside(aside, reason);
        let mut earlier: Vec<PathBuf> = std::fs::read_dir(folder)
            .map_err(io)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem)))
            .collect();
        earlier.sort();
        let surplus = earlier.len().saturating_sub(SET_ASIDE_MAX);
        for old in earlier.iter().take(surplus) {
            std::fs::remove_file(old).map_err(io)?;
        }
        Ok(())
    }

    /// Writes `rows` durably, as one unit, and returns the state that holds them.
    pub(super) fn commit(&self, rows: &Rows) -> Result<Snapshot, Failure> {
        let database = self.database.as_ref().ok_or_else(|| Failure::Disk("the file is not open".into()))?;
        guarded(|| {
            let mut transaction = database.begin_write().map_err(of)?;
            transaction.set_durability(Durability::Immediate).map_err(of)?;
            // Else the whole file is read at the start after a kill, which takes most of a second with a million rows.
            transaction.set_quick_repair(true);
            for &name in &self.tables {
                let mut within =
                    rows.range((name, Vec::new())..).take_while(|((table, _), _)| *table == name).peekable();
                if within.peek().is_none() {
                    continue;
                }
                let mut table = transaction.open_table(definition(name)).map_err(of)?;
                for ((_, key), row) in within {
                    match row {
                        Some(stored) => table.insert(key.as_slice(), stored.encode().as_slice()).map_err(of)?,
                        None => table.remove(key.as_slice()).map_err(of)?,
                    };
                }
            }
            transaction.commit().map_err(of)?;
            Snapshot::of(database, &self.tables)
        })
    }

    /// Removes the rows at `keys` that have expired at `now_ms`, durably.
    pub(super) fn remove_expired(&self, table: &str, keys: &[Vec<u8>], now_ms: i64) -> Result<Snapshot, Failure> {
        let database = self.database.as_ref().ok_or_else(|| Failure::Disk("the file is not open".into()))?;
        guarded(|| {
            let mut transaction = database.begin_write().map_err(of)?;
            transaction.set_quick_repair(true);
            {
                let mut table = transaction.open_table(definition(table)).map_err(of)?;
                for key in keys {
                    let is_expired = table
                        .get(key.as_slice())
                        .map_err(of)?
                        .is_some_and(|row| expiry(row.value()).is_none_or(|expires| expires <= now_ms));
                    if is_expired {
                        table.remove(key.as_slice()).map_err(of)?;
                    }
                }
            }
            transaction.commit().map_err(of)?;
            Snapshot::of(database, &self.tables)
        })
    }

    pub(super) fn tables(&self) -> &[&'static str] {
        &self.tables
    }
}

/// Checks the layout and makes all tables, so that a snapshot finds each of them.
fn prepare(database: &Database, tables: &[&'static str]) -> Result<(), Failure> {
    let mut transaction = database.begin_write().map_err(of)?;
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(META).map_err(of)?;
        let layout = meta.get(LAYOUT_KEY).map_err(of)?.map(|row| row.value());
        match layout {
            None => {
                meta.insert(LAYOUT_KEY, LAYOUT).map_err(of)?;
            }
            Some(LAYOUT) => {}
            Some(other) => return Err(Failure::Damaged(format!("layout {other}, where this version knows {LAYOUT}"))),
        }
        for name in tables {
            transaction.open_table(definition(name)).map_err(of)?;
        }
    }
    transaction.commit().map_err(of)
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// What a step of the sweep has seen.
#[derive(Default)]
pub(super) struct Survey {
    /// Keys of rows that have expired.
    pub(super) expired: Vec<Vec<u8>>,
    /// The last key looked at; `None` at the end of the table.
    pub(super) last: Option<Vec<u8>>,
}

/// One committed state, for any number of readers. An old one keeps its pages in the file from being used again, so it is
/// replaced at every commit.
pub(super) struct Snapshot {
    tables: BTreeMap<&'static str, ReadOnlyTable<&'static [u8], &'static [u8]>>,
}

impl Snapshot {
    fn of(database: &Database, names: &[&'static str]) -> Result<Snapshot, Failure> {
        let transaction = database.begin_read().map_err(of)?;
        let open = |&name: &&'static str| Ok((name, transaction.open_table(definition(name)).map_err(of)?));
        Ok(Snapshot { tables: names.iter().map(open).collect::<Result<_, Failure>>()? })
    }

    fn table(&self, name: &str) -> Result<&ReadOnlyTable<&'static [u8], &'static [u8]>, Failure> {
        self.tables.get(name).ok_or_else(|| Failure::Undeclared(name.to_owned()))
    }

    /// The row at `key`; a row of an unknown version reads as absent.
    pub(super) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Stored>, Failure> {
        guarded(|| {
            let row = self.table(table)?.get(key).map_err(of)?;
            Ok(row.and_then(|row| Stored::decode(row.value())))
        })
    }

    /// At most `limit` rows from `from` on that begin with `prefix` and that `wanted` wants.
    pub(super) fn scan(
        &self,
        table: &str,
        prefix: &[u8],
        from: Bound<&[u8]>,
        limit: usize,
        wanted: impl Fn(&[u8], &Stored) -> bool,
    ) -> Result<Vec<(Vec<u8>, Stored)>, Failure> {
        guarded(|| {
            let mut found = Vec::new();
            for row in self.table(table)?.range::<&[u8]>((from, Bound::Unbounded)).map_err(of)? {
                let (key, value) = row.map_err(of)?;
                if found.len() >= limit || !key.value().starts_with(prefix) {
                    break;
                }
                if let Some(stored) = Stored::decode(value.value()).filter(|stored| wanted(key.value(), stored)) {
                    found.push((key.value().to_vec(), stored));
                }
            }
            Ok(found)
        })
    }

    /// Looks at no more than `limit` rows behind `after`.
    pub(super) fn expired(
        &self,
        table: &str,
        after: Option<&[u8]>,
        limit: usize,
        now_ms: i64,
    ) -> Result<Survey, Failure> {
        guarded(|| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut survey = Survey::default();
            for (number, row) in self.table(table)?.range::<&[u8]>((from, Bound::Unbounded)).map_err(of)?.enumerate() {
                let (key, value) = row.map_err(of)?;
                if expiry(value.value()).is_none_or(|expires| expires <= now_ms) {
                    survey.expired.push(key.value().to_vec());
                }
                if number + 1 >= limit {
                    survey.last = Some(key.value().to_vec());
                    break;
                }
            }
            Ok(survey)
        })
    }

    pub(super) fn row_counts(&self) -> Result<Vec<(&'static str, u64)>, Failure> {
        let count =
            |(name, table): (&&'static str, &ReadOnlyTable<_, _>)| guarded(|| Ok((*name, table.len().map_err(of)?)));
        self.tables.iter().map(count).collect()
    }
}

/// When a stored row ends; `None` for a row that no version reads.
fn expiry(octets: &[u8]) -> Option<i64> {
    Stored::decode(octets).map(|stored| stored.expires_ms)
}

/// Runs `call`; a panic of redb on damaged octets becomes damage.
fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing that a panic could leave half changed outlives it: the database is closed and the file set aside.
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Failure::Damaged("redb panicked on what it read".into())))
}

fn of(error: impl Into<redb::Error>) -> Failure {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen => Failure::InUse,
        redb::Error::Io(error) if is_damage(&error) => Failure::Damaged(error.to_string()),
        redb::Error::Io(error) => Failure::Disk(error.to_string()),
        error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_)) => {
            Failure::Disk(error.to_string())
        }
        error => Failure::Damaged(error.to_string()),
    }
}

fn of_database(error: DatabaseError) -> Failure {
    of(error)
}

/// An I/O error that speaks of the file's content, not of the disk.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput)
}
