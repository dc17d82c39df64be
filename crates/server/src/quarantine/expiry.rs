//! What time does to the quarantine: offers nobody took up, messages nobody wanted, releases that were cut off, and files
//! that belong to nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;
use serde::Serialize;

use super::files::{Claim, Place};
use super::index::{self, number};
use super::{Item, Quarantine, QuarantineError, State, days, files};

/// How long it stays known what became of a message; longer than any MTA asks again.
const HISTORY: Duration = Duration::from_secs(30 * 86_400);
/// Age from which on a file without an index row is rubbish: an offer writes its files first.
const RUBBISH_AFTER: Duration = Duration::from_secs(3600);

/// How often all files are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What a run of [`Quarantine::expire`] did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Expiry {
    /// Messages that expired for someone; for the notice.
    pub expired: Vec<Item>,
    /// Offers that the MTA never took up.
    pub unseen: usize,
    /// Recipients whose release had been cut off.
    pub settled: usize,
    /// Files that belonged to nothing.
    pub rubbish: u64,
}

impl Quarantine {
    /// Does what is due at `now`; to be called every few minutes.
    ///
    /// # Errors
    /// When index or files cannot be used; what was done until then stays done.
    pub fn expire(&self, now: Timestamp) -> Result<Expiry, QuarantineError> {
        self.noted(self.expire_now(now))
    }

    fn expire_now(&self, now: Timestamp) -> Result<Expiry, QuarantineError> {
        let settled = self.settle_releases(now)?;
        let unseen = self.forget_unseen(now)?;
        let expired = self.expire_kept(now)?;
        self.forget_history(now)?;
        let rubbish = if self.may_sweep(now) { self.sweep_files()? } else { 0 };
        self.inner.octets.store(index::octets(&*self.index()?)?, Ordering::Relaxed);
        Ok(Expiry { expired, unseen, settled, rubbish })
    }

    /// Whether the files are due to be looked through: at the first call, and then once in a while, since it costs a look at
    /// each of them.
    fn may_sweep(&self, now: Timestamp) -> bool {
        let before = self.inner.swept_ms.load(Ordering::Relaxed);
        let due = i64::try_from(SWEEP_EVERY.as_millis()).unwrap_or(i64::MAX).saturating_add(before);
        let may = before == 0 || now.as_millisecond() >= due;
        if may {
            self.inner.swept_ms.store(now.as_millisecond(), Ordering::Relaxed);
        }
        may
    }

    fn sweep_files(&self) -> Result<u64, QuarantineError> {
        // The index is taken anew for each file: offers do not wait for the whole sweep.
        files::sweep(&self.inner.folder, RUBBISH_AFTER, |day, id| {
            let index = self.index()?;
            Ok(match index::place(&index, id)? {
                Some(place) if place.day != day => Claim::Unknown,
                Some(place) if index::is_open(&index, &place)? => Claim::Needed,
                Some(_) => Claim::Done,
                None => Claim::Unknown,
            })
        })
    }

    /// Messages that expire soon and have not been announced yet, oldest first.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn expiring(&self, now: Timestamp) -> Result<Vec<Item>, QuarantineError> {
        let until = now.saturating_add(days(self.inner.config.notice_days)).unwrap_or(Timestamp::MAX);
        let index = self.index()?;
        let mut select = index.prepare_cached(
            "SELECT i.item, i.mta_id, i.day, i.octets FROM items i WHERE NOT i.noticed AND i.expires_ms <= ?1
             AND EXISTS (SELECT 1 FROM recipients r WHERE r.item = i.item AND r.state = ?2) ORDER BY i.item",
        )?;
        let places = select.query_map(params![until.as_millisecond(), number(State::Kept)], index::place_of)?;
        let places: Vec<Place> = places.collect::<Result<_, _>>()?;
        places.iter().map(|place| index::item(&index, place)).collect()
    }

    /// Notes that the expiry of these messages was announced.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn noticed(&self, items: &[Item]) -> Result<(), QuarantineError> {
        let mut index = self.index()?;
        let transaction = index.transaction()?;
        for item in items {
            transaction.execute("UPDATE items SET noticed = 1 WHERE mta_id = ?1", [&item.id])?;
        }
        Ok(transaction.commit()?)
    }

    /// Forgets messages that were only ever offered: the MTA has delivered them, or refused them after all.
    fn forget_unseen(&self, now: Timestamp) -> Result<usize, QuarantineError> {
        let before = now.saturating_sub(days(self.inner.config.unseen_days)).unwrap_or(Timestamp::MIN);
        let mut index = self.index()?;
        let transaction = index.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let rows = "DELETE FROM recipients WHERE state = ?1 AND since_ms <= ?2";
        let unseen = transaction.execute(rows, params![number(State::Offered), before.as_millisecond()])?;
        let rest: Vec<Place> = {
            let mut select = transaction.prepare_cached(
                "SELECT item, mta_id, day, octets FROM items i WHERE received_ms <= ?1
                 AND NOT EXISTS (SELECT 1 FROM recipients r WHERE r.item = i.item)",
            )?;
            let places = select.query_map([before.as_millisecond()], index::place_of)?;
            places.collect::<Result<_, _>>()?
        };
        for place in &rest {
            index::forget(&transaction, place.item)?;
        }
        transaction.commit()?;
        for place in &rest {
            files::remove(&self.inner.folder, place)?;
        }
        Ok(unseen)
    }

    fn expire_kept(&self, now: Timestamp) -> Result<Vec<Item>, QuarantineError> {
        let index = self.index()?;
        let due: Vec<Place> = {
            let mut select = index.prepare_cached(
                "SELECT DISTINCT i.item, i.mta_id, i.day, i.octets FROM recipients r JOIN items i USING (item)
                 WHERE r.state IN (?1, ?2) AND i.expires_ms <= ?3 ORDER BY i.item",
            )?;
            let values = params![number(State::Kept), number(State::Unheard), now.as_millisecond()];
            let places = select.query_map(values, index::place_of)?;
            places.collect::<Result<_, _>>()?
        };
        let mut expired = Vec::new();
        for place in due {
            for held in [State::Kept, State::Unheard] {
                index::change_all(&index, &place, held, State::Expired, now)?;
            }
            self.tidy(&index, &place)?;
            expired.push(index::item(&index, &place)?);
        }
        Ok(expired)
    }

    fn forget_history(&self, now: Timestamp) -> Result<(), QuarantineError> {
        let before = now.saturating_sub(HISTORY).unwrap_or(Timestamp::MIN).as_millisecond();
        let mut index = self.index()?;
        let transaction = index.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let old: Vec<i64> = {
            let mut select = transaction.prepare_cached(
                "SELECT item FROM items i WHERE received_ms <= ?1 AND NOT EXISTS
                 (SELECT 1 FROM recipients r WHERE r.item = i.item AND (r.state IN (1, 2, 3, 7) OR r.since_ms > ?1))",
            )?;
            let items = select.query_map([before], |row| row.get(0))?;
            items.collect::<Result<_, _>>()?
        };
        for item in old {
            index::forget(&transaction, item)?;
        }
        Ok(transaction.commit()?)
    }
}
