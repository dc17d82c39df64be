//! The index: one row for each message and one for each of its recipients, whose state is the truth.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use tidegate_mail::Score;
use tidegate_wire::exim::ExactAddress;

use super::files::Place;
use super::{Config, Filter, Held, Item, Offer, QuarantineError, Reason, State, Stats, days, files};

const NAME: &str = "index.db";
/// Version of the schema, kept in `user_version`.
const VERSION: i64 = 1;
/// How long a process waits while another writes.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Messages that one list can hold.
const LIST_MAX: usize = 10_000;

const SCHEMA: &str = "
    CREATE TABLE items (
        item INTEGER PRIMARY KEY,
        mta_id TEXT NOT NULL UNIQUE,
        record TEXT NOT NULL,
        day TEXT NOT NULL,
        received_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        sender TEXT NOT NULL,
        client TEXT,
        subject TEXT,
        octets INTEGER NOT NULL,
        noticed INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE recipients (
        item INTEGER NOT NULL,
        recipient TEXT NOT NULL,
        address TEXT NOT NULL,
        state INTEGER NOT NULL,
        since_ms INTEGER NOT NULL,
        score_milli INTEGER NOT NULL,
        reason TEXT NOT NULL,
        token TEXT,
        is_admitted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (item, recipient)
    ) WITHOUT ROWID;
    CREATE INDEX recipients_by_state ON recipients (state, item);
    CREATE UNIQUE INDEX recipients_by_token ON recipients (token) WHERE token IS NOT NULL;
";

/// Each state as a number in the index; never to be changed.
const STATES: [(State, i64); 7] = [
    (State::Offered, 1),
    (State::Kept, 2),
    (State::Releasing, 3),
    (State::Released, 4),
    (State::Deleted, 5),
    (State::Expired, 6),
    (State::Unheard, 7),
];

pub(super) fn number(state: State) -> i64 {
    STATES.iter().find(|(known, _)| *known == state).map_or(0, |(_, number)| *number)
}

fn state_of(number: i64) -> Result<State, rusqlite::Error> {
    let found = STATES.iter().find(|(_, known)| *known == number).map(|(state, _)| *state);
    found.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// Opens the index; a damaged one is set aside, and what is not there is made from the files.
pub(super) fn open(folder: &Path, config: Config) -> Result<Connection, QuarantineError> {
    let path = folder.join(NAME);
    match connect(&path) {
        Err(error) if is_damage(&error) => {
            set_aside(&path)?;
            tracing::error!(path = %path.display(), %error, "the index of the quarantine was damaged; made again from the files");
        }
        Err(error) => return Err(error.into()),
        Ok(index) if has_schema(&index)? => return Ok(index),
        Ok(_) => {}
    }
    let mut index = connect(&path)?;
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if !has_schema(&transaction)? {
        transaction.execute_batch(SCHEMA)?;
        for (sidecar, octets) in files::sidecars(folder)? {
            let offer = Offer {
                mta_id: sidecar.mta_id,
                record: sidecar.record,
                received: sidecar.received,
                client: sidecar.client,
                sender: sidecar.sender,
                recipients: sidecar.recipients,
                subject: sidecar.subject,
                message: std::sync::Arc::default(),
            };
            add(&transaction, &offer, octets, State::Kept, config)?;
        }
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(index)
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let index = Connection::open(path)?;
    index.busy_timeout(BUSY_MAX)?;
    index.pragma_update(None, "journal_mode", "WAL")?;
    // A state is on disk before anybody is told of it.
    index.pragma_update(None, "synchronous", "FULL")?;
    index.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(index)
}

fn has_schema(index: &Connection) -> Result<bool, rusqlite::Error> {
    let version: i64 = index.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => Ok(false),
        VERSION => Ok(true),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    }
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn set_aside(path: &Path) -> Result<(), QuarantineError> {
    let dated = format!("damaged-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ"));
    for suffix in ["", "-wal", "-shm"] {
        let from = path.with_file_name(format!("{NAME}{suffix}"));
        let to = path.with_file_name(format!("{NAME}{suffix}.{dated}"));
        match std::fs::rename(&from, to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(QuarantineError::File(from, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes a message and its recipients as offered. Whether it is new: if somebody was asked for already, nothing changes.
pub(super) fn insert(index: &mut Connection, offer: &Offer, config: Config) -> Result<bool, QuarantineError> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let earlier = place(&transaction, &offer.mta_id)?;
    if let Some(earlier) = &earlier {
        let settled = "SELECT count(*) FROM recipients WHERE item = ?1 AND state <> ?2";
        let settled: i64 =
            transaction.query_row(settled, params![earlier.item, number(State::Offered)], |row| row.get(0))?;
        if settled > 0 {
            return Ok(false);
        }
        forget(&transaction, earlier.item)?;
    }
    let octets = u64::try_from(offer.message.len()).unwrap_or(u64::MAX);
    add(&transaction, offer, octets, State::Offered, config)?;
    transaction.commit()?;
    Ok(earlier.is_none())
}

fn add(index: &Connection, offer: &Offer, octets: u64, state: State, config: Config) -> Result<(), QuarantineError> {
    let expires = offer.received.saturating_add(days(config.keep_days)).unwrap_or(Timestamp::MAX);
    let mut insert = index.prepare_cached(
        "INSERT INTO items (mta_id, record, day, received_ms, expires_ms, sender, client, subject, octets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    insert.execute(params![
        offer.mta_id,
        offer.record,
        files::day(offer.received),
        offer.received.as_millisecond(),
        expires.as_millisecond(),
        offer.sender.as_str(),
        offer.client.map(|ip| ip.to_string()),
        files::subject(offer),
        i64::try_from(octets).unwrap_or(i64::MAX),
    ])?;
    let item = index.last_insert_rowid();
    let mut insert = index.prepare_cached(
        "INSERT OR IGNORE INTO recipients (item, recipient, address, state, since_ms, score_milli, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Reason { address, score, reason } in &offer.recipients {
        let since = offer.received.as_millisecond();
        let (key, address) = (address.key(), address.as_str());
        insert.execute(params![item, key, address, number(state), since, score.as_milli(), reason])?;
    }
    Ok(())
}

pub(super) fn forget(index: &Connection, item: i64) -> Result<(), QuarantineError> {
    index.execute("DELETE FROM recipients WHERE item = ?1", [item])?;
    index.execute("DELETE FROM items WHERE item = ?1", [item])?;
    Ok(())
}

pub(super) fn place(index: &Connection, mta_id: &str) -> Result<Option<Place>, QuarantineError> {
    let mut select = index.prepare_cached("SELECT item, mta_id, day, octets FROM items WHERE mta_id = ?1")?;
    Ok(select.query_row([mta_id], place_of).optional()?)
}

pub(super) fn place_of(row: &Row<'_>) -> Result<Place, rusqlite::Error> {
    let octets: i64 = row.get(3)?;
    Ok(Place { item: row.get(0)?, mta_id: row.get(1)?, day: row.get(2)?, octets: u64::try_from(octets).unwrap_or(0) })
}

/// Moves `recipient` from `from` to `to`; how many rows that were, none or one.
pub(super) fn change(
    index: &Connection,
    place: &Place,
    recipient: &ExactAddress,
    from: State,
    to: State,
    now: Timestamp,
) -> Result<usize, QuarantineError> {
    let mut update = index.prepare_cached(
        "UPDATE recipients SET state = ?4, since_ms = ?5 WHERE item = ?1 AND recipient = ?2 AND state = ?3",
    )?;
    let key = recipient.key();
    Ok(update.execute(params![place.item, key, number(from), number(to), now.as_millisecond()])?)
}

/// Moves all recipients that are in `from` to `to`.
pub(super) fn change_all(
    index: &Connection,
    place: &Place,
    from: State,
    to: State,
    now: Timestamp,
) -> Result<usize, QuarantineError> {
    let update = "UPDATE recipients SET state = ?3, since_ms = ?4 WHERE item = ?1 AND state = ?2";
    Ok(index.execute(update, params![place.item, number(from), number(to), now.as_millisecond()])?)
}

pub(super) fn state(
    index: &Connection,
    place: &Place,
    recipient: &ExactAddress,
) -> Result<Option<State>, QuarantineError> {
    let mut select = index.prepare_cached("SELECT state FROM recipients WHERE item = ?1 AND recipient = ?2")?;
    let number: Option<i64> = select.query_row(params![place.item, recipient.key()], |row| row.get(0)).optional()?;
    Ok(number.map(state_of).transpose()?)
}

/// Whether someone still needs the message.
pub(super) fn is_open(index: &Connection, place: &Place) -> Result<bool, QuarantineError> {
    let mut select =
        index.prepare_cached("SELECT EXISTS (SELECT 1 FROM recipients WHERE item = ?1 AND state IN (1, 2, 3, 7))")?;
    Ok(select.query_row([place.item], |row| row.get(0))?)
}

pub(super) fn item(index: &Connection, place: &Place) -> Result<Item, QuarantineError> {
    let mut select = index.prepare_cached(
        "SELECT mta_id, record, received_ms, expires_ms, sender, client, subject, octets FROM items WHERE item = ?1",
    )?;
    let mut item = select.query_row([place.item], |row| {
        let client: Option<String> = row.get(5)?;
        Ok(Item {
            id: row.get(0)?,
            record: row.get(1)?,
            received: time(row.get(2)?),
            expires: time(row.get(3)?),
            sender: row.get(4)?,
            client: client.and_then(|ip| ip.parse().ok()),
            subject: row.get(6)?,
            octets: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
            recipients: Vec::new(),
        })
    })?;
    let mut select = index.prepare_cached(
        "SELECT address, state, since_ms, score_milli, reason FROM recipients WHERE item = ?1 ORDER BY address",
    )?;
    let held = select.query_map([place.item], |row| {
        Ok(Held {
            address: row.get(0)?,
            state: state_of(row.get(1)?)?,
            since: time(row.get(2)?),
            score: Score::milli(row.get(3)?),
            reason: row.get(4)?,
        })
    })?;
    item.recipients = held.collect::<Result<_, _>>()?;
    Ok(item)
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// Each condition holds if its value is NULL. Texts are compared without regard to ASCII case and never as patterns; one that
/// begins with `@` is a domain, compared with the end of the address.
const LIST: &str = "
    SELECT i.item, i.mta_id, i.day, i.octets FROM items i WHERE EXISTS (
        SELECT 1 FROM recipients r WHERE r.item = i.item
        AND (r.state IN (2, 3, 7) OR (?1 AND r.state > 3))
        AND (?2 IS NULL OR lower(substr(r.address, -length(?2))) = ?2
            AND (substr(?2, 1, 1) = '@' OR length(r.address) = length(?2))))
    AND (?3 IS NULL OR lower(substr(i.sender, -length(?3))) = ?3
        AND (substr(?3, 1, 1) = '@' OR length(i.sender) = length(?3)))
    AND (?4 IS NULL OR i.received_ms >= ?4)
    AND (?5 IS NULL OR i.item < (SELECT item FROM items WHERE mta_id = ?5))
    ORDER BY i.item DESC LIMIT ?6
";

pub(super) fn list(index: &Connection, filter: &Filter) -> Result<Vec<Item>, QuarantineError> {
    let text = |text: &Option<String>| {
        let lower = text.as_ref().map(|text| text.to_ascii_lowercase());
        lower.map(|text| if text.contains('@') { text } else { format!("@{text}") })
    };
    let limit = i64::try_from(filter.limit.min(LIST_MAX)).unwrap_or(i64::MAX);
    let since = filter.since.map(Timestamp::as_millisecond);
    let values = params![filter.closed, text(&filter.recipient), text(&filter.sender), since, filter.after, limit];
    let mut select = index.prepare_cached(LIST)?;
    let places: Vec<Place> = select.query_map(values, place_of)?.collect::<Result<_, _>>()?;
    places.iter().map(|place| item(index, place)).collect()
}

pub(super) fn octets(index: &Connection) -> Result<u64, QuarantineError> {
    Ok(stats(index)?.octets)
}

pub(super) fn stats(index: &Connection) -> Result<Stats, QuarantineError> {
    let count = |sql: &str| {
        let number: i64 = index.query_row(sql, [], |row| row.get(0))?;
        Ok::<u64, QuarantineError>(u64::try_from(number).unwrap_or(0))
    };
    Ok(Stats {
        kept: count("SELECT count(DISTINCT item) FROM recipients WHERE state IN (2, 3)")?,
        offered: count("SELECT count(DISTINCT item) FROM recipients WHERE state = 1")?,
        octets: count(
            "SELECT coalesce(sum(octets), 0) FROM items WHERE item IN (SELECT item FROM recipients WHERE state IN (1, 2, 3, 7))",
        )?,
    })
}
