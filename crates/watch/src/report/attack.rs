//! Who attacks: guessing passwords from one address, slowly, from many addresses, over many names; dictionaries of
//! recipients; strangers who ask to relay.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::ledger::{Actor, network_of};
use super::{Settings, room};
use crate::api::report as api;
use crate::event::{Event, Kind};
use crate::map::Map;
use crate::offence::{Offence, OffenceKind};
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// Addresses that are kept; beyond, those with the fewest misdeeds make room.
const FOES_MAX: usize = 50_000;
/// Login names that are kept as targets.
const TARGETS_MAX: usize = 20_000;
/// Names and addresses that are counted exactly for one foe or target.
const DISTINCT_MAX: usize = 64;
/// Octets of a login name that are kept.
const NAME_OCTETS_MAX: usize = 120;

/// Failures of one address from which on it is called an attacker.
const BRUTE_FAILURES_MIN: u32 = 20;
/// Failures spread over so many hours are called slow.
const SLOW_FAILURES_MIN: u32 = 10;
const SLOW_HOURS_MIN: u32 = 6;
/// So many names from one address are called spraying.
const SPRAY_NAMES_MIN: usize = 8;
/// So many addresses against one name within a day are called distributed.
const DISTRIBUTED_ADDRESSES_MIN: u32 = 10;
/// The addresses of a day are kept for the next one if there are so many.
const EVE_ADDRESSES_MIN: usize = 10;
/// So many recipients that do not exist are called a dictionary.
const DICTIONARY_MIN: u32 = 20;

/// One address.
#[derive(Clone, Debug, Default)]
struct Foe {
    failures: u32,
    names: Vec<u32>,
    unknown: u32,
    relays: u32,
    others: u32,
    hours: u32,
    last_hour: i64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Foe {
    fn total(&self) -> u32 {
        self.failures.saturating_add(self.unknown).saturating_add(self.relays).saturating_add(self.others)
    }
}

/// One login name under attack.
#[derive(Clone, Debug, Default)]
struct Target {
    failures: u32,
    /// Day, failures on it and on the one before, and the networks and addresses they came from.
    day: i64,
    day_failures: u32,
    eve_failures: u32,
    day_addresses: Vec<IpAddr>,
    eve_addresses: Vec<IpAddr>,
    worst_addresses: u32,
    worst_failures: u32,
    networks: Vec<(u64, Timestamp)>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// A login after failures from the same network, who had failed on the last two days before it, and failures after it.
    guessed: Option<Guessed>,
    guessers: Vec<IpAddr>,
    failures_since: u32,
}

impl Target {
    /// Remembers a network; where a botnet has more of them than are kept, the one that was silent longest makes room.
    fn failed_from(&mut self, network: u64, time: Timestamp) {
        if let Some((_, last)) = self.networks.iter_mut().find(|(known, _)| *known == network) {
            *last = time;
        } else if self.networks.len() < DISTINCT_MAX {
            self.networks.push((network, time));
        } else if let Some(oldest) = self.networks.iter_mut().min_by_key(|(_, at)| *at) {
            *oldest = (network, time);
        }
    }

    /// When a login last failed from this network.
    fn last_failure_from(&self, network: u64) -> Option<Timestamp> {
        self.networks.iter().find(|(known, _)| *known == network).map(|(_, at)| *at)
    }
}

/// A login that succeeded from where it had failed before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guessed {
    pub(super) time: Timestamp,
    pub(super) ip: IpAddr,
    /// On the day of the last failure and the one before.
    pub(super) failures: u32,
    /// Most addresses of a day, at most [`DISTINCT_MAX`].
    pub(super) addresses: u32,
}

impl Guessed {
    /// `160 failed logins from 20 addresses`.
    pub(super) fn failures_in_words(&self) -> String {
        let failures = self.failures;
        match usize::try_from(self.addresses) {
            Ok(..=1) => format!("{failures} failed logins"),
            Ok(many) if many < DISTINCT_MAX => format!("{failures} failed logins from {many} addresses"),
            _ => format!("{failures} failed logins from at least {DISTINCT_MAX} addresses"),
        }
    }
}

/// All addresses and names.
#[derive(Debug, Default)]
pub(super) struct Attackers {
    foes: Map<IpAddr, Foe>,
    targets: Map<Box<str>, Target>,
    /// Addresses and names that made room.
    pub(super) foes_let_go: u64,
    pub(super) targets_let_go: u64,
}

impl Attackers {
    /// Counts what an event holds against its client.
    pub(super) fn feed(&mut self, event: &Event<'_>) {
        if let Kind::Login(login) = &event.kind
            && let Some(ip) = login.peer.ip
        {
            self.logged_in(login.user, ip, event.time);
        }
        let Some(offence) = event.offence() else { return };
        self.count_foe(&offence, event.time);
        if offence.kind == OffenceKind::AuthFailure
            && let (Some(user), Some(time)) = (offence.user, event.time)
        {
            self.count_target(user, &offence, time);
        }
    }

    fn count_foe(&mut self, offence: &Offence<'_>, time: Option<Timestamp>) {
        if offence.ip.is_loopback() {
            return;
        }
        if self.foes.len() >= FOES_MAX && !self.foes.contains_key(&offence.ip) {
            self.foes_let_go += room::make(&mut self.foes, FOES_MAX, |foe| u64::from(foe.total()));
        }
        let foe = self.foes.entry(offence.ip).or_default();
        foe.first = foe.first.or(time);
        foe.last = time.or(foe.last);
        let hour = time.map_or(0, Timestamp::hour);
        if hour != foe.last_hour {
            (foe.hours, foe.last_hour) = (foe.hours + 1, hour);
        }
        match offence.kind {
            OffenceKind::AuthFailure => {
                foe.failures = foe.failures.saturating_add(offence.times);
                if let Some(user) = offence.user {
                    add_distinct(&mut foe.names, hash(user));
                }
            }
            OffenceKind::UnknownRecipient => foe.unknown = foe.unknown.saturating_add(1),
            OffenceKind::Relay => foe.relays = foe.relays.saturating_add(1),
            _ => foe.others = foe.others.saturating_add(1),
        }
    }

    fn count_target(&mut self, user: &str, offence: &Offence<'_>, time: Timestamp) {
        if user.len() > NAME_OCTETS_MAX {
            return;
        }
        let user = user.to_ascii_lowercase();
        if self.targets.len() >= TARGETS_MAX && !self.targets.contains_key(user.as_str()) {
            self.targets_let_go += room::make(&mut self.targets, TARGETS_MAX, |target| u64::from(target.failures));
        }
        let target = self.targets.entry(user.into()).or_default();
        target.failures = target.failures.saturating_add(offence.times);
        target.first = target.first.or(Some(time));
        target.last = Some(time);
        if target.guessed.is_some() {
            target.failures_since = target.failures_since.saturating_add(offence.times);
        }
        if target.day != time.day() {
            target.eve_failures = if target.day + 1 == time.day() { target.day_failures } else { 0 };
            let is_next = target.day + 1 == time.day();
            target.day = time.day();
            target.day_failures = 0;
            // Also its room: most days are not like the worst one, and of an ordinary one nobody asks for the addresses.
            target.eve_addresses = std::mem::take(&mut target.day_addresses);
            if !is_next || target.eve_addresses.len() < EVE_ADDRESSES_MIN {
                target.eve_addresses = Vec::new();
            }
        }
        target.day_failures = target.day_failures.saturating_add(offence.times);
        add_distinct(&mut target.day_addresses, offence.ip);
        target.worst_failures = target.worst_failures.max(target.day_failures);
        target.worst_addresses =
            target.worst_addresses.max(u32::try_from(target.day_addresses.len()).unwrap_or(u32::MAX));
        target.failed_from(network_of(offence.ip), time);
    }

    /// Notes a login that succeeded: one from where many had failed shortly before was guessed.
    pub(super) fn logged_in(&mut self, user: &str, ip: IpAddr, time: Option<Timestamp>) {
        const FAILURES_MIN: u32 = 20;
        const WINDOW_MS: i64 = 48 * HOUR_MS;
        if self.targets.is_empty() {
            return;
        }
        let Some(time) = time else { return };
        let lower;
        let user = if user.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = user.to_ascii_lowercase();
            lower.as_str()
        } else {
            user
        };
        let Some(target) = self.targets.get_mut(user) else { return };
        let is_recent = |at: Timestamp| time.as_millis() - at.as_millis() <= WINDOW_MS;
        let from_there = target.last_failure_from(network_of(ip)).is_some_and(is_recent);
        let failures = target.day_failures.saturating_add(target.eve_failures);
        if target.guessed.is_none() && from_there && failures >= FAILURES_MIN {
            target.guessed = Some(Guessed { time, ip, failures, addresses: target.worst_addresses });
            target.guessers = target.day_addresses.clone();
            for ip in &target.eve_addresses {
                add_distinct(&mut target.guessers, *ip);
            }
        }
    }

    /// Failed logins of `user`, if there were any; `until` is the end of the log.
    pub(super) fn guessing(&self, user: &str, until: Option<Timestamp>) -> Option<api::Guessing> {
        let target = self.targets.get(user)?;
        let mut addresses = target.guessers.clone();
        addresses.sort_unstable();
        let is_late = |last: Timestamp| until.is_some_and(|end| end.as_millis() - last.as_millis() <= DAY_MS);
        Some(api::Guessing {
            failures: u64::from(target.failures),
            first: target.first.map(|time| time.to_string()),
            last: target.last.map(|time| time.to_string()),
            succeeded: target.guessed.map(|guessed| guessed.time.to_string()),
            failures_shortly_before: target.guessed.map_or(0, |guessed| u64::from(guessed.failures)),
            failures_since: u64::from(target.failures_since),
            is_going_on: target.last.is_some_and(is_late),
            addresses: addresses.iter().map(IpAddr::to_string).collect(),
        })
    }

    /// How many of these addresses failed to log in with several names.
    pub(super) fn tried_several(&self, addresses: impl Iterator<Item = IpAddr>) -> u64 {
        let tried = |ip: &IpAddr| self.foes.get(ip).is_some_and(|foe| foe.names.len() > 1);
        u64::try_from(addresses.filter(tried).count()).unwrap_or(u64::MAX)
    }

    /// How the password of `user` was guessed, if it was.
    pub(super) fn guessed(&self, user: &str) -> Option<Guessed> {
        self.targets.get(user).and_then(|target| target.guessed)
    }

    /// Attackers, those first who got into a mailbox of `suspects`, then the worst.
    pub(super) fn rows(&self, settings: &Settings, rows: usize, suspects: &[api::Suspect]) -> Vec<api::AttackerRow> {
        let mut list: Vec<api::AttackerRow> = self.foes.iter().filter_map(|(ip, foe)| foe_row(ip, foe)).collect();
        let targets = self.targets.iter().filter_map(|(name, target)| target_row(name, target));
        list.extend(targets.filter(|row| Actor::Mailbox(row.who.as_str().into()).is_wanted(settings)));
        let entered: Vec<(&str, Guessed)> =
            suspects.iter().filter_map(|suspect| Some((suspect.name.as_str(), self.guessed(&suspect.name)?))).collect();
        for row in &mut list {
            self.mark(row, &entered);
        }
        let order = |row: &api::AttackerRow| (!(row.is_suspect && row.succeeded.is_some()), Reverse(row.times));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.who.cmp(&b.who)));
        list.truncate(rows);
        list
    }

    /// Says what became of an attack: a login that succeeded, by the one or the other who took part.
    fn mark(&self, row: &mut api::AttackerRow, entered: &[(&str, Guessed)]) {
        if row.kind == "distributed" {
            let guessed = self.guessed(&row.who);
            row.succeeded = guessed.map(|guessed| guessed.time.to_string());
            row.login = guessed.map(|_| row.who.clone());
            row.is_suspect = entered.iter().any(|(name, _)| *name == row.who);
            return;
        }
        let Ok(ip) = row.who.parse::<IpAddr>() else { return };
        let took_part = |name: &str| self.foes.get(&ip).is_some_and(|foe| foe.names.contains(&hash(name)));
        let Some((name, guessed)) = entered.iter().find(|(name, guessed)| guessed.ip == ip || took_part(name)) else {
            return;
        };
        row.is_suspect = true;
        row.login = Some((*name).to_owned());
        row.succeeded = (guessed.ip == ip).then(|| guessed.time.to_string());
    }
}

fn foe_row(ip: &IpAddr, foe: &Foe) -> Option<api::AttackerRow> {
    let (kind, times) = match foe {
        foe if foe.names.len() >= SPRAY_NAMES_MIN => ("spraying", foe.failures),
        foe if foe.failures >= SLOW_FAILURES_MIN && foe.hours >= SLOW_HOURS_MIN => ("slow_guessing", foe.failures),
        foe if foe.failures >= BRUTE_FAILURES_MIN => ("guessing", foe.failures),
        foe if foe.unknown >= DICTIONARY_MIN => ("dictionary", foe.unknown),
        foe if foe.relays > 0 => ("relay", foe.relays),
        _ => return None,
    };
    Some(api::AttackerRow {
        kind,
        who: ip.to_string(),
        times: u64::from(times),
        names: u64::try_from(foe.names.len()).unwrap_or(0),
        hours: u64::from(foe.hours),
        addresses: 1,
        first: foe.first.map(|time| time.to_string()),
        last: foe.last.map(|time| time.to_string()),
        succeeded: None,
        login: None,
        is_suspect: false,
    })
}

fn target_row(name: &str, target: &Target) -> Option<api::AttackerRow> {
    (target.worst_addresses >= DISTRIBUTED_ADDRESSES_MIN).then(|| api::AttackerRow {
        kind: "distributed",
        who: name.to_owned(),
        times: u64::from(target.failures),
        names: 1,
        hours: 0,
        addresses: u64::from(target.worst_addresses),
        first: target.first.map(|time| time.to_string()),
        last: target.last.map(|time| time.to_string()),
        succeeded: None,
        login: None,
        is_suspect: false,
    })
}

/// Adds a value that is not in the list, as long as there is room.
fn add_distinct<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if list.len() < DISTINCT_MAX && !list.contains(&value) {
        list.push(value);
    }
}

/// Enough to tell apart the few names that are counted.
fn hash(text: &str) -> u32 {
    let fold = |hash: u32, b: u8| (hash ^ u32::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, fold)
}
