//! Committed states that readers use, and what keeps the file from being read. Every call into redb that meets octets from the disk is
//! guarded against its panics.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use tidegate_filter::store::row::Stored;

/// Rows by table and key; `None` is a removed row.
pub(super) type Rows = BTreeMap<(&'static str, Vec<u8>), Option<Stored>>;

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

pub(super) fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
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
    pub(super) fn of(database: &Database, names: &[&'static str]) -> Result<Snapshot, Failure> {
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
pub(super) fn expiry(octets: &[u8]) -> Option<i64> {
    Stored::decode(octets).map(|stored| stored.expires_ms)
}

/// Runs `call`; a panic of redb on damaged octets becomes damage.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing that a panic could leave half changed outlives it: the database is closed and the file set aside.
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(Failure::Damaged("redb panicked on what it read".into())))
}

pub(super) fn of(error: impl Into<redb::Error>) -> Failure {
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

/// An I/O error that speaks of the file's content, not of the disk.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof | ErrorKind::InvalidInput)
}
