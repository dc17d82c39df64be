//! What is usual on a server: how often its mailboxes are used from many networks in a day. Where people travel a lot that says little
//! of one of them.

use super::day::{Day, days};
use super::ledger::{Actor, Ledgers};
use crate::api::report as api;
use crate::map::Map;

/// Days on which a mailbox roamed before it is a habit.
pub(super) const HABIT_DAYS_MIN: u32 = 3;
/// Roaming is usual if so many other mailboxes do it …
const ROAMERS_MIN: usize = 3;
/// … on one in so many of the days on which others are busy.
const ONE_DAY_IN: u64 = 200;

/// Says of each login with many networks whether that counts against it.
pub(super) fn mark_networks(rows: &mut [api::NetworksRow], ledgers: &Ledgers) {
    for row in rows {
        let ledger = ledgers.by_actor.get(&Actor::Mailbox(row.login.as_str().into()));
        row.is_sign = ledger.is_some_and(|ledger| days(ledger).iter().any(Day::is_from_everywhere));
    }
}

/// Busy days of all mailboxes, and those of them on which somebody roamed.
#[derive(Debug, Default)]
pub(super) struct Habits {
    busy_days: u64,
    roaming_days: u64,
    /// Busy and roaming days of each mailbox that roams.
    roamers: Map<Box<str>, (u64, u64)>,
}

impl Habits {
    /// Looks through all mailboxes.
    pub(super) fn of(ledgers: &Ledgers) -> Habits {
        let mut habits = Habits::default();
        for (actor, ledger) in &ledgers.by_actor {
            let Actor::Mailbox(login) = actor else { continue };
            let (mut busy, mut roaming) = (0, 0);
            for day in days(ledger) {
                busy += u64::from(day.is_busy());
                roaming += u64::from(day.is_from_everywhere());
            }
            habits.busy_days += busy;
            habits.roaming_days += roaming;
            if roaming > 0 {
                habits.roamers.insert(login.clone(), (busy, roaming));
            }
        }
        habits
    }

    /// How much others roam, in words, if that is usual.
    pub(super) fn roaming_of_others(&self, actor: &Actor) -> Option<String> {
        let own = self.roamers.get(actor.name());
        let (busy, roaming) = own.copied().unwrap_or_default();
        let (busy, roaming) = (self.busy_days.saturating_sub(busy), self.roaming_days.saturating_sub(roaming));
        let roamers = self.roamers.len() - usize::from(own.is_some());
        let is_usual = roamers >= ROAMERS_MIN && roaming * ONE_DAY_IN >= busy;
        is_usual.then(|| format!("{roamers} mailboxes, on {roaming} of {busy} busy days"))
    }
}
