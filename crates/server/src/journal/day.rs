//! The file of one day. Tables:
//!
//! - `open`: floods that still count, each a line of JSON that is replaced when it changes;
//! - `tail`: the last entries, each a line of JSON;
//! - `blocks`: [`BLOCK_ENTRIES`] entries each, compressed together, with the time they span;
//! - `filters`: for each block, which keys may be in it. A table of its own, so that a search reads these alone.
//!
//! No table has an index: a record would take more room in five indexes than in its block.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};

use super::floods::Floods;
use super::record::{Entry, Record};
use super::{JournalError, block};

/// Version of the schema, kept in `user_version`.
const VERSION: i64 = 1;
/// Entries of a block.
const BLOCK_ENTRIES: usize = 1024;
/// How long a process waits while another writes.
const BUSY_MAX: Duration = Duration::from_secs(5);
const PAGE_OCTETS: u64 = 4096;
const SUFFIX: &str = ".journal";

const SCHEMA: &str = "
    CREATE TABLE open (kind INTEGER PRIMARY KEY, entry BLOB NOT NULL);
    CREATE TABLE tail (number INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL);
    CREATE TABLE blocks (
        block INTEGER PRIMARY KEY AUTOINCREMENT,
        first_ms INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        octets BLOB NOT NULL
    );
    CREATE TABLE filters (block INTEGER PRIMARY KEY, keys BLOB NOT NULL);
";

/// What went wrong with a day's file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The file is no journal, or no longer one.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Anything else; may pass.
    #[error("{0}")]
    Other(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Damaged(error.to_string()),
            _ => Fault::Other(error.to_string()),
        }
    }
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Fault {
        Fault::Other(error.0)
    }
}

/// The day a record belongs to.
pub(super) fn date(at: Timestamp) -> Date {
    Offset::UTC.to_datetime(at).date()
}

pub(super) fn path(folder: &Path, date: Date) -> PathBuf {
    folder.join(format!("{date}{SUFFIX}"))
}

/// Files of days, oldest first.
pub(super) fn all(folder: &Path) -> std::io::Result<Vec<(Date, PathBuf)>> {
    let date = |path: &PathBuf| path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.parse::<Date>().ok();
    let paths = std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut days: Vec<(Date, PathBuf)> = paths.filter_map(|path| Some((date(&path)?, path))).collect();
    days.sort();
    Ok(days)
}

/// The files of one day: SQLite keeps two others beside it.
pub(super) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// A day's file, open for writing, with what is to be written to it.
pub(super) struct Day {
    connection: Connection,
    floods: Floods,
    /// Entries to be written to the tail.
    pending: Vec<Entry>,
    /// Entries that someone waits for.
    synced: Vec<Entry>,
    /// Entries that take the place of synced ones.
    replacing: Vec<Entry>,
    /// Kinds of floods that have moved to `pending`.
    closed: Vec<i64>,
    tail_len: usize,
}

impl Day {
    /// Opens the file at `path`, or begins it; it will not grow above `octets_max`.
    pub(super) fn open(path: &Path, octets_max: u64) -> Result<Day, Fault> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let pages_max = i64::try_from(octets_max / PAGE_OCTETS).unwrap_or(i64::MAX).max(16);
        connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))?,
            VERSION => {}
            other => return Err(Fault::Damaged(format!("version {other}, where this program knows {VERSION}"))),
        }
        let tail_len: i64 = connection.query_row("SELECT count(*) FROM tail", [], |row| row.get(0))?;
        let mut day = Day {
            floods: Floods::default(),
            pending: Vec::new(),
            synced: Vec::new(),
            replacing: Vec::new(),
            closed: Vec::new(),
            tail_len: usize::try_from(tail_len).unwrap_or(0),
            connection,
        };
        day.close_left_open()?;
        Ok(day)
    }

    /// Floods of a process that is gone no longer count.
    fn close_left_open(&mut self) -> Result<(), Fault> {
        let mut select = self.connection.prepare("SELECT kind, entry FROM open")?;
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        for row in rows {
            let (kind, line) = row?;
            self.closed.push(kind);
            self.pending.extend(serde_json::from_slice::<Entry>(&line).ok());
        }
        Ok(())
    }

    /// Takes a record; it is written by the next [`Day::write`].
    pub(super) fn add(&mut self, record: Record) {
        let record = record.bounded();
        if record.is_flood() {
            if let Some((kind, earlier)) = self.floods.add(record) {
                self.closed.push(kind);
                self.pending.push(earlier);
            }
        } else {
            self.pending.push(Entry { record, repeats: None });
        }
    }

    /// Takes a record that someone waits for; it is never added to another.
    pub(super) fn add_synced(&mut self, record: Record) {
        self.synced.push(Entry { record: record.bounded(), repeats: None });
    }

    /// Takes a record that is to stand where [`Day::add_synced`] put one of its id.
    pub(super) fn replace(&mut self, record: Record) {
        self.replacing.push(Entry { record: record.bounded(), repeats: None });
    }

    /// Entries that wait to be written.
    pub(super) fn pending_len(&self) -> usize {
        self.pending.len() + self.synced.len() + self.replacing.len()
    }

    /// Forgets the entries that someone waits for, who is told that they are not on disk; returns how many.
    pub(super) fn drop_synced(&mut self) -> usize {
        std::mem::take(&mut self.synced).len()
    }

    /// Writes all that waits, as one unit. With `is_synced` it is on disk when this returns, else after a power loss the
    /// last seconds may be missing.
    pub(super) fn write(&mut self, now: Timestamp, is_synced: bool) -> Result<(), Fault> {
        for (kind, entry) in self.floods.close(now) {
            self.closed.push(kind);
            self.pending.push(entry);
        }
        self.connection.pragma_update(None, "synchronous", if is_synced { "FULL" } else { "NORMAL" })?;
        let mut tail_len = self.tail_len + self.pending_len();
        let transaction = self.connection.transaction()?;
        {
            let mut remove = transaction.prepare_cached("DELETE FROM open WHERE kind = ?1")?;
            for kind in &self.closed {
                remove.execute([kind])?;
            }
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO open (kind, entry) VALUES (?1, ?2)")?;
            for (kind, entry) in self.floods.changed() {
                put.execute(params![kind, line(entry)?])?;
            }
            let mut append = transaction.prepare_cached("INSERT INTO tail (entry) VALUES (?1)")?;
            for entry in self.pending.iter().chain(&self.synced) {
                append.execute([line(entry)?])?;
            }
            for entry in &self.replacing {
                match tail_number(&transaction, &entry.record.id)? {
                    Some(number) => {
                        transaction
                            .execute("UPDATE tail SET entry = ?2 WHERE number = ?1", params![number, line(entry)?])?;
                        tail_len -= 1;
                    }
                    // It has gone into a block in between: both are found, this one as the later.
                    None => _ = append.execute([line(entry)?])?,
                }
            }
        }
        while tail_len >= BLOCK_ENTRIES {
            tail_len -= pack(&transaction, BLOCK_ENTRIES)?;
        }
        transaction.commit()?;
        self.tail_len = tail_len;
        self.floods.written();
        self.pending.clear();
        self.synced.clear();
        self.replacing.clear();
        self.closed.clear();
        Ok(())
    }

    /// Writes all that waits, packs the rest of the tail, and closes the file.
    pub(super) fn seal(mut self, now: Timestamp) -> Result<(), Fault> {
        for (kind, entry) in self.floods.close_all() {
            self.closed.push(kind);
            self.pending.push(entry);
        }
        self.write(now, true)?;
        if self.tail_len > 0 {
            let transaction = self.connection.transaction()?;
            pack(&transaction, self.tail_len)?;
            transaction.commit()?;
        }
        // What tail and floods took at their largest is given back.
        self.connection.execute_batch("VACUUM")?;
        self.connection.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

/// Where in the tail the record called `id` stands.
fn tail_number(transaction: &Transaction<'_>, id: &str) -> Result<Option<i64>, Fault> {
    let mut select = transaction
        .prepare_cached("SELECT number, entry FROM tail WHERE instr(entry, CAST(?1 AS BLOB)) ORDER BY number DESC")?;
    let rows = select.query_map([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    for row in rows {
        let (number, line) = row?;
        // The text may stand in another's record as well.
        if serde_json::from_slice::<Entry>(&line).is_ok_and(|entry| entry.record.id == id) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn line(entry: &Entry) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(entry).map_err(|error| Fault::Other(format!("a record cannot be written: {error}")))
}

/// Moves the oldest `count` entries of the tail to a block; returns how many that were.
fn pack(transaction: &Transaction<'_>, count: usize) -> Result<usize, Fault> {
    let rows: Vec<(i64, Vec<u8>)> = {
        let mut select = transaction.prepare_cached("SELECT number, entry FROM tail ORDER BY number LIMIT ?1")?;
        let rows =
            select.query_map([i64::try_from(count).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let Some(&(last, _)) = rows.last() else { return Ok(count) };
    let lines: Vec<Vec<u8>> = rows.into_iter().map(|(_, line)| line).collect();
    let mut entries: Vec<(Entry, Vec<u8>)> =
        lines.into_iter().filter_map(|line| Some((serde_json::from_slice(&line).ok()?, line))).collect();
    // Like beside like: floods have their own shape, and those of one reason differ in little.
    entries.sort_by_cached_key(|(entry, _)| (entry.record.brief.stage, first_symbol(entry).to_owned(), entry.last()));
    let first_ms = entries.iter().map(|(entry, _)| entry.record.at.as_millisecond()).min().unwrap_or(0);
    let last_ms = entries.iter().map(|(entry, _)| entry.last().as_millisecond()).max().unwrap_or(0);
    let filter = block::filter(entries.iter().map(|(entry, _)| entry));
    let number = entries.len();
    let packed = block::pack(&entries)?;
    transaction.execute(
        "INSERT INTO blocks (first_ms, last_ms, octets) VALUES (?1, ?2, ?3)",
        params![first_ms, last_ms, packed],
    )?;
    let block = transaction.last_insert_rowid();
    transaction.execute("INSERT INTO filters (block, keys) VALUES (?1, ?2)", params![block, filter])?;
    transaction.execute("DELETE FROM tail WHERE number <= ?1", [last])?;
    tracing::debug!(records = number, octets = packed.len(), "a block of the journal");
    Ok(count)
}

fn first_symbol(entry: &Entry) -> &str {
    let brief = &entry.record.brief;
    let own = brief.recipients.iter().flat_map(|recipient| &recipient.findings);
    brief.findings.iter().chain(own).next().map_or("", |finding| &finding.symbol)
}

/// Opens a day's file for reading, while another process may write it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "query_only", true)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        VERSION => Ok(connection),
        other => Err(Fault::Other(format!("version {other}, where this program knows {VERSION}"))),
    }
}
