//! The store of lasting state: one small trait, several backends in `server::stores`, one conformance suite for all.
//!
//! Checks only read; what is to be written travels as [`Write`]s in the verdict and is carried out when the reply has
//! been sent. So a session that is judged again after a restart counts nothing twice.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::known::{Answer, Known};

mod memory;
pub mod row;

pub use memory::Memory;

/// One stored table: declared in `tables.rs`, nowhere else.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Name in the store; part of the stored form, never to be changed.
    pub name: &'static str,
    /// How long a row lives after it was last written.
    pub ttl: Duration,
}

/// A row as a scan sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Key, as written.
    pub key: Vec<u8>,
    /// Value, as written; a counter's value is not shown here.
    pub value: Vec<u8>,
    /// When the row ends.
    pub expires: Timestamp,
}

/// A rate in the form of the generic cell rate algorithm: `quantity` per `period`, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many units a period allows.
    pub quantity: u32,
    /// The period.
    pub period: Duration,
    /// How many units may come at once; at least 1.
    pub burst: u32,
}

/// Where a rate stands for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whether one more unit conforms now.
    pub conforms: bool,
    /// When the next unit would conform; now or in the past if it conforms.
    pub next: Timestamp,
}

/// Lasting state with expiry. `now` is the World's time: a backend has no clock of its own. Every method's `Err` means
/// that the backend could not answer.
pub trait Store: Send + Sync {
    /// The value at `key`, if the row has not expired.
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<Option<Vec<u8>>>>;

    /// The sum of all [`Write::Add`]s at `key` within the last `window`, to the precision of a sixth of the window.
    fn count<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        window: Duration,
        now: Timestamp,
    ) -> Answer<'a, Known<u64>>;

    /// Where `rate` stands at `key`, without taking from it.
    fn level<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        rate: Rate,
        now: Timestamp,
    ) -> Answer<'a, Known<Level>>;

    /// How many distinct members [`Write::Distinct`] put at `key` within the table's TTL; exact up to
    /// [`DISTINCT_MAX`], which is then returned for any number above.
    fn distinct<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<u64>>;

    /// Rows whose key begins with `prefix`, in key order, beginning behind `after`, at most `limit`.
    fn scan<'a>(
        &'a self,
        table: &'static Table,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
        now: Timestamp,
    ) -> Answer<'a, Known<Vec<Row>>>;

    /// Carries out `writes` in order, as one unit: all of them or none.
    fn write<'a>(&'a self, writes: &'a [Write], now: Timestamp) -> Answer<'a, Known<()>>;
}

/// Distinct members kept for one key.
pub const DISTINCT_MAX: u64 = 1024;

/// A change of the store, as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets the row, with the table's TTL.
    Put {
        /// Which table.
        table: &'static Table,
        /// Which row.
        key: Vec<u8>,
        /// The new value.
        value: Vec<u8>,
    },
    /// Sets the row only if there is none (or it has expired): the first one wins.
    Insert {
        /// Which table.
        table: &'static Table,
        /// Which row.
        key: Vec<u8>,
        /// The value, if it is the first.
        value: Vec<u8>,
    },
    /// Adds to a windowed counter.
    Add {
        /// Which table.
        table: &'static Table,
        /// Which counter.
        key: Vec<u8>,
        /// How much.
        amount: u32,
        /// The window that will be asked for; one table's counters share it.
        window: Duration,
    },
    /// Takes `cost` units from a rate.
    Take {
        /// Which table.
        table: &'static Table,
        /// Which rate.
        key: Vec<u8>,
        /// The rate itself.
        rate: Rate,
        /// How many units.
        cost: u32,
    },
    /// Puts a member into a set that is counted.
    Distinct {
        /// Which table.
        table: &'static Table,
        /// Which set.
        key: Vec<u8>,
        /// The member.
        member: Vec<u8>,
    },
    /// Removes the row.
    Remove {
        /// Which table.
        table: &'static Table,
        /// Which row.
        key: Vec<u8>,
    },
}

impl Write {
    /// The row that is written.
    pub fn target(&self) -> (&'static Table, &[u8]) {
        match self {
            Write::Put { table, key, .. }
            | Write::Insert { table, key, .. }
            | Write::Add { table, key, .. }
            | Write::Take { table, key, .. }
            | Write::Distinct { table, key, .. }
            | Write::Remove { table, key } => (table, key),
        }
    }
}
