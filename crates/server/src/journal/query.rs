//! Finding records, newest first, in this process or another one. Blocks.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use tidegate_filter::session::Direction;
use tidegate_filter::verdict::Action;

use super::day::{self, Fault};
use super::record::{Entry, key};
use super::{JournalError, block};

/// Entries that one query can find.
const FOUND_MAX: usize = 10_000;

/// Which records are wanted. All conditions hold together.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only records that have one of these keys; `None` for any record.
    any: Option<Vec<String>>,
    /// Only records that have all of these keys.
    all: Vec<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
}

impl Query {
    /// The newest records, at most `limit`.
    pub fn newest(limit: usize) -> Query {
        Query { limit: limit.min(FOUND_MAX), ..Query::default() }
    }

    /// Only what `text` may stand for: a record's id or a session's, the MTA's id of a message, a Message-ID, an address (as sender or
    /// recipient), a domain and those below it, a client's address, a login. Brackets around it, as in a reply or in a header, do not
    /// matter.
    #[must_use]
    pub fn about(mut self, text: &str) -> Query {
        let text = text.trim();
        let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
        let bare = within('<', '>').or_else(|| within('[', ']')).unwrap_or(text);
        // Ours have no capitals; in Exim's, capitals count.
        let mut keys = vec![
            key::id(bare),
            key::id(&bare.to_ascii_lowercase()),
            key::message_id(bare),
            key::login(bare),
            key::address(bare),
        ];
        keys.push(key::domain(bare.strip_prefix('@').unwrap_or(bare)));
        keys.extend(bare.parse::<IpAddr>().ok().map(key::ip));
        self.any = Some(keys);
        self
    }

    /// Only records in which this happened, to the whole transaction or to one recipient: a verdict that the MTA never heard did not.
    #[must_use]
    pub fn action(mut self, action: Action) -> Query {
        self.all.push(key::action(action));
        self
    }

    /// Only records of verdicts that the MTA never heard.
    #[must_use]
    pub fn unheard(mut self) -> Query {
        self.all.push(key::unheard());
        self
    }

    /// Only records with a recipient of this direction.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Query {
        self.all.push(key::direction(direction));
        self
    }

    /// Only records in which this symbol was found, for the whole transaction or for one recipient.
    #[must_use]
    pub fn symbol(mut self, name: &str) -> Query {
        self.all.push(key::symbol(name));
        self
    }

    /// Only records of this time or later.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Query {
        self.since = Some(since);
        self
    }

    /// Only records of this time or earlier.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Query {
        self.until = Some(until);
        self
    }

    fn may_match(&self, filter: &[u8]) -> bool {
        let any = self.any.as_ref().is_none_or(|keys| keys.iter().any(|key| block::may_hold(filter, key)));
        any && self.all.iter().all(|key| block::may_hold(filter, key))
    }

    fn matches(&self, entry: &Entry) -> bool {
        let in_time = self.since.is_none_or(|since| entry.last() >= since)
            && self.until.is_none_or(|until| entry.record.at <= until);
        if !in_time || (self.any.is_none() && self.all.is_empty()) {
            return in_time;
        }
        let keys = entry.keys();
        let has = |key: &String| keys.binary_search(key).is_ok();
        self.any.as_ref().is_none_or(|any| any.iter().any(has)) && self.all.iter().all(has)
    }

    /// The last millisecond and the first that are wanted, as blocks give theirs.
    fn bounds(&self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, Timestamp::as_millisecond), self.until.map_or(i64::MAX, Timestamp::as_millisecond))
    }
}

/// What a query found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The entries, newest first: one of several refusals stands at the time of the last.
    pub entries: Vec<Entry>,
    /// What could not be read, in words: the answer may lack something.
    pub gaps: Vec<String>,
}

/// The journal in a folder, for reading.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: PathBuf,
}

impl Reader {
    /// Reads the journal in `folder`.
    pub fn new(folder: &Path) -> Reader {
        Reader { folder: folder.to_owned() }
    }

    /// Finds what `query` wants.
    ///
    /// # Errors
    /// When the folder cannot be read; a single file that cannot is a gap.
    pub fn find(&self, query: &Query) -> Result<Found, JournalError> {
        let mut found = Found::default();
        let days = match day::all(&self.folder) {
            Ok(days) => days,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(JournalError(format!("{}: {error}", self.folder.display()))),
        };
        let first = query.since.map(day::date);
        let last = query.until.map(day::date);
        for (date, path) in days.into_iter().rev() {
            // A flood that began shortly before midnight stands in the file of the day before.
            let is_before = first.is_some_and(|first| date < first.yesterday().unwrap_or(first));
            if is_before || last.is_some_and(|last| date > last) {
                continue;
            }
            if let Err(fault) = find_in(&path, query, &mut found) {
                found.gaps.push(format!("{}: {fault}", path.display()));
            }
            if found.entries.len() >= query.limit {
                break;
            }
        }
        Ok(found)
    }
}

/// Adds what the file at `path` has.
fn find_in(path: &Path, query: &Query, found: &mut Found) -> Result<(), Fault> {
    let connection = day::open_to_read(path)?;
    // One state of the file for all that follows: a record on its way from the tail to a block is seen once.
    let transaction = connection.unchecked_transaction()?;
    let wanted = query.limit.saturating_sub(found.entries.len());
    let mut entries = loose(&transaction, query)?;
    newest_first(&mut entries, wanted);
    for (number, last_ms) in candidates(&transaction, query)? {
        let is_complete =
            entries.len() >= wanted && entries.last().is_some_and(|oldest| oldest.last().as_millisecond() >= last_ms);
        if is_complete {
            break;
        }
        let octets: Vec<u8> =
            transaction.query_row("SELECT octets FROM blocks WHERE block = ?1", [number], |row| row.get(0))?;
        match block::unpack(&octets) {
            Ok((block, unreadable)) => {
                entries.extend(block.into_iter().filter(|entry| query.matches(entry)));
                if unreadable > 0 {
                    found.gaps.push(format!("{}: block {number}: {unreadable} records do not read", path.display()));
                }
            }
            Err(error) => found.gaps.push(format!("{}: block {number}: {error}", path.display())),
        }
        newest_first(&mut entries, wanted);
    }
    found.entries.extend(entries);
    Ok(())
}

fn newest_first(entries: &mut Vec<Entry>, wanted: usize) {
    // Stable: entries of one moment stay as they were written, the later one first.
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.last()));
    entries.truncate(wanted);
}

/// Entries that are not in a block.
fn loose(connection: &Connection, query: &Query) -> Result<Vec<Entry>, Fault> {
    let mut select = connection.prepare("SELECT entry FROM open UNION ALL SELECT entry FROM tail")?;
    let lines = select.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let mut entries = Vec::new();
    for line in lines {
        let entry = serde_json::from_slice(&line?);
        entries.extend(entry.ok().filter(|entry| query.matches(entry)));
    }
    entries.reverse();
    Ok(entries)
}

/// Blocks that may hold something, the newest first, each with the time of its last entry.
fn candidates(connection: &Connection, query: &Query) -> Result<Vec<(i64, i64)>, Fault> {
    let (since, until) = query.bounds();
    let mut select = connection.prepare(
        "SELECT b.block, b.last_ms, f.keys FROM blocks b JOIN filters f USING (block)
         WHERE b.last_ms >= ?1 AND b.first_ms <= ?2 ORDER BY b.last_ms DESC, b.block DESC",
    )?;
    let rows =
        select.query_map(params![since, until], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?;
    let mut blocks = Vec::new();
    for row in rows {
        let (number, last_ms, filter) = row?;
        if query.may_match(&filter) {
            blocks.push((number, last_ms));
        }
    }
    Ok(blocks)
}
