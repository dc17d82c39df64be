//! Giving a message back to the MTA, for one recipient, exactly once.
//!
//! The message is handed out with a token in a header field of ours. When the MTA asks about the message it was given, the
//! daemon shows us the token ([`Quarantine::admit`]): the first time it may go on, any further time it is the same release
//! once more. So a release that was cut off between the MTA's taking the message and our noting it is told apart from one
//! that never arrived.

use std::fs::File;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tidegate_wire::exim::ExactAddress;

use super::files::Place;
use super::index::{self, number};
use super::{Quarantine, QuarantineError, State, files};

/// Name of the header field that carries the token.
pub const FIELD: &str = "X-Tidegate-Released";
/// How long the hand-over to the MTA may take. After that a release without an end was cut off.
pub const RELEASE_MAX: Duration = Duration::from_secs(600);

/// A message handed out to be given to the MTA.
#[derive(Debug)]
pub struct Handed {
    /// Its reverse-path; empty for the null path.
    pub sender: ExactAddress,
    /// The one recipient.
    pub recipient: ExactAddress,
    /// A header line, without line end, that must stand before the message.
    pub header: String,
    /// The message as it was received.
    pub message: File,
}

/// What a release came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The MTA has it.
    Released,
    /// The MTA has had it before; nothing was done.
    Already,
    /// Someone else is releasing it now.
    Busy,
    /// It is not kept for this recipient (any more).
    NotKept,
}

/// What is known of a message that carries a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a release under way: let it through, whatever it scores.
    First {
        /// The MTA's id under which it was received.
        mta_id: String,
    },
    /// It was let through before: the MTA has it already.
    Again,
    /// The token is not ours: the message is one like any other.
    Unknown,
}

impl Quarantine {
    /// Gives the message `mta_id`, held in the state `held` (kept, or unheard: the MTA has had that one already), for `recipient` to
    /// `inject`, which hands it to the MTA and returns when the MTA has taken it; it must not take longer than [`RELEASE_MAX`]. If it
    /// fails, the message is held as before.
    ///
    /// # Errors
    /// `Ok(Err(_))` is the error of `inject`; `Err` means that index or file could not be used.
    pub fn release<E>(
        &self,
        mta_id: &str,
        recipient: &ExactAddress,
        held: State,
        now: Timestamp,
        inject: impl FnOnce(Handed) -> Result<(), E>,
    ) -> Result<Result<Outcome, E>, QuarantineError> {
        let Some(place) = index::place(&*self.index()?, mta_id)? else { return Ok(Ok(Outcome::NotKept)) };
        let Some(message) = files::open(&self.inner.folder, &place)? else { return Ok(Ok(Outcome::NotKept)) };
        let token = format!("{mta_id}.{}", secret()?);
        if let Some(outcome) = begin(&*self.index()?, &place, recipient, held, &token, now)? {
            return Ok(Ok(outcome));
        }
        let (sender, recipient) = addresses(&*self.index()?, &place, recipient)?;
        let header = format!("{FIELD}: {token}");
        // The lock is free meanwhile: the MTA asks the daemon about this very message.
        let injected = inject(Handed { sender, recipient, header, message });
        let index = self.index()?;
        let state = if injected.is_ok() { State::Released } else { held };
        // By the token: this release may have been settled, and another begun, if it took too long.
        index.execute(
            "UPDATE recipients SET state = ?2, since_ms = ?3 WHERE token = ?1 AND state IN (?4, ?5)",
            params![token, number(state), now.as_millisecond(), number(State::Kept), number(State::Releasing)],
        )?;
        self.tidy(&index, &place)?;
        Ok(injected.map(|()| Outcome::Released))
    }

    /// Whether the MTA may take a message that carries `token`: asked before the reply to the MTA.
    ///
    /// # Errors
    /// When the index cannot be used: the MTA must not take the message now.
    pub async fn admit(&self, token: &str) -> Result<Admission, QuarantineError> {
        let token = token.to_owned();
        self.apart(move |quarantine| quarantine.admit_now(&token)).await
    }

    /// As [`Quarantine::admit`], on this thread.
    ///
    /// # Errors
    /// As there.
    pub fn admit_now(&self, token: &str) -> Result<Admission, QuarantineError> {
        let index = self.index()?;
        let admitted = index.execute(
            "UPDATE recipients SET is_admitted = 1 WHERE token = ?1 AND state = ?2 AND NOT is_admitted",
            params![token, number(State::Releasing)],
        )?;
        let select = "SELECT i.mta_id FROM items i JOIN recipients r USING (item) WHERE r.token = ?1";
        let known: Option<String> = index.query_row(select, [token], |row| row.get(0)).optional()?;
        Ok(match known {
            Some(mta_id) if admitted == 1 => Admission::First { mta_id },
            Some(_) => Admission::Again,
            None => Admission::Unknown,
        })
    }

    /// Settles releases that were cut off: those the MTA asked about are released, the others are kept. Returns how many.
    pub(super) fn settle_releases(&self, now: Timestamp) -> Result<usize, QuarantineError> {
        let index = self.index()?;
        let started = now.saturating_sub(RELEASE_MAX).unwrap_or(Timestamp::MIN).as_millisecond();
        let cut_off: Vec<Place> = {
            let mut select = index.prepare_cached(
                "SELECT DISTINCT i.item, i.mta_id, i.day, i.octets FROM items i JOIN recipients r USING (item)
                 WHERE r.state = ?1 AND r.since_ms <= ?2",
            )?;
            let rows = select.query_map(params![number(State::Releasing), started], index::place_of)?;
            rows.collect::<Result<_, _>>()?
        };
        let mut settled = 0;
        for place in cut_off {
            settled += index.execute(
                "UPDATE recipients SET state = CASE WHEN is_admitted THEN ?3 ELSE ?4 END, since_ms = ?5
                 WHERE item = ?1 AND state = ?2 AND since_ms <= ?6",
                params![
                    place.item,
                    number(State::Releasing),
                    number(State::Released),
                    number(State::Kept),
                    now.as_millisecond(),
                    started
                ],
            )?;
            self.tidy(&index, &place)?;
        }
        Ok(settled)
    }
}

/// Takes a message that is held in hand; otherwise what stands in the way.
fn begin(
    index: &Connection,
    place: &Place,
    recipient: &ExactAddress,
    held: State,
    token: &str,
    now: Timestamp,
) -> Result<Option<Outcome>, QuarantineError> {
    let begun = index.execute(
        "UPDATE recipients SET state = ?4, since_ms = ?5, token = ?6, is_admitted = 0
         WHERE item = ?1 AND recipient = ?2 AND state = ?3",
        params![place.item, recipient.key(), number(held), number(State::Releasing), now.as_millisecond(), token],
    )?;
    if begun == 1 {
        return Ok(None);
    }
    Ok(Some(match index::state(index, place, recipient)? {
        Some(State::Released) => Outcome::Already,
        Some(State::Releasing) => Outcome::Busy,
        _ => Outcome::NotKept,
    }))
}

/// Sender and recipient as the MTA gave them.
fn addresses(
    index: &Connection,
    place: &Place,
    recipient: &ExactAddress,
) -> Result<(ExactAddress, ExactAddress), QuarantineError> {
    let select =
        "SELECT i.sender, r.address FROM items i JOIN recipients r USING (item) WHERE item = ?1 AND recipient = ?2";
    let texts: (String, String) =
        index.query_row(select, params![place.item, recipient.key()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((ExactAddress::new(texts.0), ExactAddress::new(texts.1)))
}

/// Octets nobody outside can guess: a token in a message from outside must not pass for one of ours.
fn secret() -> Result<String, QuarantineError> {
    let mut octets = [0; 15];
    rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| QuarantineError::File("/dev/urandom".into(), error.into()))?;
    Ok(BASE32_NOPAD.encode(&octets).to_ascii_lowercase())
}
