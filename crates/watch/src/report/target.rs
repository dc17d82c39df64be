//! One login name at which passwords are guessed: how many logins failed, from where, and who got in for the first time from where
//! logins had failed. Whether that was a guess is judged at the end, in `guess.rs`, when it is known what others get.

use std::net::IpAddr;

use super::ledger::network_of;
use super::spread::Spread;
use crate::time::{HOUR_MS, Timestamp};

/// Names and addresses that are counted exactly for one foe or target.
pub(super) const DISTINCT_MAX: usize = 64;
/// Networks from which a name was used.
const USED_MAX: usize = 32;
/// So many failures in two days come before a login that may have been guessed …
pub(super) const FAILURES_MIN: u32 = 20;
/// … from a network that had failed within this time.
const WINDOW_MS: i64 = 48 * HOUR_MS;
/// So many failures from one network before it first got in were no others' doing.
const FROM_THERE_MIN: u32 = 20;
/// So many networks that had failed got in within two days: all of them know the password now.
const ENTRIES_MIN: usize = 6;
/// Logins that are kept until it is known what is usual: each after half as many failures again as the one before.
const GUESSES_MAX: usize = 8;

/// A network from which logins failed, each time not longer than two days after the last.
#[derive(Clone, Copy, Debug)]
struct Failing {
    network: u64,
    first: Timestamp,
    last: Timestamp,
    failures: u32,
}

/// What shows that a login succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The log of a login, to read mail.
    Login,
    /// A message that was accepted after a login, whose own time no log has.
    Message,
}

/// A login that succeeded for the first time from a network where it had failed shortly before.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    pub(super) time: Timestamp,
    pub(super) entry: Entry,
    pub(super) ip: IpAddr,
    /// On the day of the last failure and the one before.
    pub(super) failures: u32,
    /// In the whole log until then.
    pub(super) failures_until: u32,
    /// Who failed on these two days, at most twice [`DISTINCT_MAX`].
    pub(super) guessers: Box<[IpAddr]>,
    /// Whether it is one however much is guessed at everybody.
    pub(super) is_plain: bool,
}

/// One login name under attack.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) failures: u32,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// Most addresses of a day and most failures of two days.
    pub(super) worst_addresses: u32,
    pub(super) worst_failures: u32,
    pub(super) guesses: Vec<Guess>,
    /// Day, failures on it and on the one before, and the addresses they came from.
    day: i64,
    day_failures: u32,
    eve_failures: u32,
    day_addresses: Vec<IpAddr>,
    eve_addresses: Vec<IpAddr>,
    /// Failures of each two days that are over.
    spread: Spread,
    networks: Vec<Failing>,
    /// Networks from which a login succeeded, and when the latest of those came in that had failed.
    used: Vec<u64>,
    entries: Vec<Timestamp>,
}

impl Target {
    /// Counts failures from an address.
    pub(super) fn failed(&mut self, ip: IpAddr, times: u32, time: Timestamp) {
        self.failures = self.failures.saturating_add(times);
        self.first = self.first.or(Some(time));
        self.last = Some(time);
        if self.day != time.day() {
            self.next_day(time.day());
        }
        self.day_failures = self.day_failures.saturating_add(times);
        add_distinct(&mut self.day_addresses, ip);
        self.worst_failures = self.worst_failures.max(self.of_two_days());
        self.worst_addresses = self.worst_addresses.max(u32::try_from(self.day_addresses.len()).unwrap_or(u32::MAX));
        self.failed_from(network_of(ip), times, time);
    }

    fn next_day(&mut self, day: i64) {
        let is_next = self.day + 1 == day;
        self.spread.add(self.of_two_days());
        self.day = day;
        self.eve_failures = if is_next { self.day_failures } else { 0 };
        self.day_failures = 0;
        // Also its room: most days are not like the worst one.
        self.eve_addresses = std::mem::take(&mut self.day_addresses);
        self.eve_addresses.shrink_to_fit();
        if !is_next {
            self.eve_addresses = Vec::new();
        }
    }

    /// Remembers a network; where a botnet has more of them than are kept, the one that was silent longest makes room.
    fn failed_from(&mut self, network: u64, times: u32, time: Timestamp) {
        let new = Failing { network, first: time, last: time, failures: times };
        if let Some(known) = self.networks.iter_mut().find(|known| known.network == network) {
            if is_recent(known.last, time) {
                (known.last, known.failures) = (time, known.failures.saturating_add(times));
            } else {
                *known = new;
            }
        } else if self.networks.len() < DISTINCT_MAX {
            self.networks.push(new);
        } else if let Some(oldest) = self.networks.iter_mut().min_by_key(|known| known.last) {
            *oldest = new;
        }
    }

    /// Notes a login that succeeded. `was_used_before` says whether its owner, or a colleague, had sent from this network before a
    /// time: an old password in a telephone fails from where its owner is.
    pub(super) fn logged_in(
        &mut self,
        ip: IpAddr,
        (time, entry): (Timestamp, Entry),
        was_used_before: impl FnOnce(Timestamp) -> bool,
    ) {
        let network = network_of(ip);
        // Who came in once from there is no guesser, or one who is known already.
        if self.used.contains(&network) {
            return;
        }
        if self.used.len() >= USED_MAX {
            self.used.remove(0);
        }
        self.used.push(network);
        let Some(failing) = self.networks.iter().find(|known| known.network == network).copied() else { return };
        if !is_recent(failing.last, time) || was_used_before(failing.first) {
            return;
        }
        self.entries.retain(|entry| is_recent(*entry, time));
        if self.entries.len() < ENTRIES_MIN {
            self.entries.push(time);
        }
        let is_plain = failing.failures >= FROM_THERE_MIN || self.entries.len() >= ENTRIES_MIN;
        self.may_be_guessed(ip, (time, entry), is_plain);
    }

    fn may_be_guessed(&mut self, ip: IpAddr, (time, entry): (Timestamp, Entry), is_plain: bool) {
        let failures = self.of_two_days();
        let most = self.guesses.iter().map(|guess| guess.failures).max().unwrap_or(0);
        let is_more = failures.saturating_mul(2) >= most.saturating_mul(3) && self.guesses.len() < GUESSES_MAX;
        let is_first_plain = is_plain && !self.guesses.iter().any(|guess| guess.is_plain);
        if failures < FAILURES_MIN || !(is_more || is_first_plain) {
            return;
        }
        let mut guessers = self.day_addresses.clone();
        guessers.extend(self.eve_addresses.iter().filter(|ip| !self.day_addresses.contains(ip)));
        self.guesses.push(Guess {
            time,
            entry,
            ip,
            failures,
            failures_until: self.failures,
            guessers: guessers.into(),
            is_plain,
        });
    }

    /// Failures on the day of the last one and on the day before.
    fn of_two_days(&self) -> u32 {
        self.day_failures.saturating_add(self.eve_failures)
    }

    /// Failures of each two days on which there were any.
    pub(super) fn spread(&self) -> Spread {
        let mut spread = self.spread;
        spread.add(self.of_two_days());
        spread
    }

    /// Whether anybody logged in under this name since it was first attacked.
    pub(super) fn is_used(&self) -> bool {
        !self.used.is_empty()
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.as_millis() - at.as_millis() <= WINDOW_MS
}

/// Adds a value that is not in the list, as long as there is room.
pub(super) fn add_distinct<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.len() < DISTINCT_MAX && !list.contains(&value) {
        list.push(value);
    }
}
