//! What a judgement is made from.

use super::Settings;
use super::attack::Attackers;
use super::clients::Clients;
use super::day::day_of;
use super::guess::Guesses;
use super::habits::Habits;
use super::ledger::Ledgers;
use super::ours::Ours;
use crate::time::Timestamp;
use crate::transaction::Joiner;

/// Everything that is known when the log ends, and what is usual in it.
pub(super) struct Basis<'c> {
    pub(super) ledgers: &'c Ledgers,
    pub(super) attackers: &'c Attackers,
    pub(super) guesses: Guesses<'c>,
    pub(super) habits: Habits,
    pub(super) clients: &'c Clients,
    pub(super) ours: &'c Ours,
    pub(super) joiner: &'c Joiner,
    pub(super) settings: &'c Settings,
    /// Times of the first and the last line.
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

impl Basis<'_> {
    /// The local day on which the log begins, counted from 1970.
    pub(super) fn first_day(&self) -> u32 {
        day_of(self.first, self.settings)
    }

    /// The local hour in which it ends, counted from 1970.
    pub(super) fn last_hour(&self) -> u32 {
        let hour = self.last.map(|time| self.settings.offsets.local(time).hour());
        hour.and_then(|hour| u32::try_from(hour).ok()).unwrap_or(0)
    }
}
