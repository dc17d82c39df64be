//! The store in memory: the model that every backend is tested against, and the store of tests and of `tidegate check`.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use super::row::{self, Change, Stored, Value};
use super::{Level, Rate, Row, Store, Table, Write};
use crate::known::{Answer, Known};

type Key = (&'static str, Vec<u8>);

/// A store that is gone with the process.
#[derive(Default)]
pub struct Memory {
    rows: Mutex<BTreeMap<Key, Stored>>,
}

impl Memory {
    /// A store without rows.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Stored>> {
        // A row is replaced whole, so a panic elsewhere leaves none half written.
        self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn value(&self, table: &'static Table, key: &[u8], now: Timestamp) -> Option<Value> {
        let rows = self.rows();
        rows.get(&(table.name, key.to_vec())).filter(|row| row.is_live(now)).map(|row| row.value.clone())
    }
}

impl Store for Memory {
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<Option<Vec<u8>>>> {
        let octets = match self.value(table, key, now) {
            Some(Value::Octets(octets)) => Some(octets),
            _ => None,
        };
        Box::pin(ready(Ok(octets)))
    }

    fn count<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        window: Duration,
        now: Timestamp,
    ) -> Answer<'a, Known<u64>> {
        let count = self.value(table, key, now).map_or(0, |value| row::count_of(&value, window, now));
        Box::pin(ready(Ok(count)))
    }

    fn level<'a>(
        &'a self,
        table: &'static Table,
        key: &'a [u8],
        rate: Rate,
        now: Timestamp,
    ) -> Answer<'a, Known<Level>> {
        Box::pin(ready(Ok(row::level_of(self.value(table, key, now).as_ref(), rate, now))))
    }

    fn distinct<'a>(&'a self, table: &'static Table, key: &'a [u8], now: Timestamp) -> Answer<'a, Known<u64>> {
        let count = self.value(table, key, now).map_or(0, |value| row::distinct_of(&value, table.ttl, now));
        Box::pin(ready(Ok(count)))
    }

    fn scan<'a>(
        &'a self,
        table: &'static Table,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
        now: Timestamp,
    ) -> Answer<'a, Known<Vec<Row>>> {
        let from = match after {
            Some(after) => Bound::Excluded((table.name, after.to_vec())),
            None => Bound::Included((table.name, prefix.to_vec())),
        };
        let rows = self.rows();
        let within = rows
            .range((from, Bound::Unbounded))
            .skip_while(|((name, key), _)| *name == table.name && key.as_slice() < prefix);
        let within = within.take_while(|((name, key), _)| *name == table.name && key.starts_with(prefix));
        let live = within.filter(|(_, row)| row.is_live(now)).take(limit);
        let found = live.map(|((_, key), stored)| Row {
            key: key.clone(),
            value: match &stored.value {
                Value::Octets(octets) => octets.clone(),
                _ => Vec::new(),
            },
            expires: Timestamp::from_millisecond(stored.expires_ms).unwrap_or(Timestamp::MAX),
        });
        let found = found.collect();
        Box::pin(ready(Ok(found)))
    }

    fn write<'a>(&'a self, writes: &'a [Write], now: Timestamp) -> Answer<'a, Known<()>> {
        let mut rows = self.rows();
        for write in writes {
            let (table, key) = write.target();
            let key = (table.name, key.to_vec());
            let row = rows.get(&key).filter(|row| row.is_live(now)).cloned();
            match row::apply(write, row, now) {
                Change::Keep => {}
                Change::Set(stored) => {
                    rows.insert(key, stored);
                }
                Change::Remove => {
                    rows.remove(&key);
                }
            }
        }
        Box::pin(ready(Ok(())))
    }
}
