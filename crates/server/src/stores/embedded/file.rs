//! The redb file itself: opening, repairing, setting aside, committing, and the snapshots that readers use. Everything that
//! can wait for the disk is here, and every call into redb that meets octets from the disk is guarded against its panics.

use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Durability, ReadableTable, StorageError, TableDefinition};
use tidegate_filter::store::Table;

use super::shared::Shared;
use super::snapshot::{Failure, Rows, Snapshot, definition, expiry, guarded, of};

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
            let database = (self.opener)(&self.path).map_err(of)?;
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
