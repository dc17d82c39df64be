//! Who attacks: guessing passwords from one address, slowly, from many addresses, over many names; dictionaries of
//! recipients; strangers who ask to relay.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::basis::Basis;
use super::guess::{Guessed, Guesses};
use super::ledger::{Actor, Ledgers};
use super::target::{DISTINCT_MAX, Entry, Target, add_distinct};
use super::{Settings, room};
use crate::api::report as api;
use crate::event::{Event, Kind};
use crate::map::Map;
use crate::offence::{Offence, OffenceKind};
use crate::time::{DAY_MS, Timestamp};

/// Addresses that are kept; beyond, those with the fewest misdeeds make room.
const FOES_MAX: usize = 50_000;
/// Login names that are kept as targets.
const TARGETS_MAX: usize = 20_000;
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
    /// Counts what an event holds against its client. `ledgers` tell from where a domain sends.
    pub(super) fn feed(&mut self, event: &Event<'_>, ledgers: &Ledgers, settings: &Settings) {
        if let Kind::Login(login) = &event.kind
            && let Some(ip) = login.peer.ip
        {
            self.logged_in((login.user, ip, Entry::Login), event.time, ledgers, settings);
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
        self.targets.entry(user.into()).or_default().failed(offence.ip, offence.times, time);
    }

    /// Notes a login that succeeded.
    pub(super) fn logged_in(
        &mut self,
        (user, ip, entry): (&str, IpAddr, Entry),
        time: Option<Timestamp>,
        ledgers: &Ledgers,
        settings: &Settings,
    ) {
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
        let used_before = |time| ledgers.network_since(user, ip).is_some_and(|since| since <= hour_of(time, settings));
        target.logged_in(ip, (time, entry), used_before);
    }

    /// All names at which a login failed.
    pub(super) fn targets(&self) -> impl Iterator<Item = (&str, &Target)> + Clone {
        self.targets.iter().map(|(name, target)| (&**name, target))
    }

    /// Failed logins of `user`, if there were any.
    pub(super) fn guessing(&self, user: &str, basis: &Basis<'_>) -> Option<api::Guessing> {
        let (guesses, until) = (&basis.guesses, basis.last);
        let target = self.targets.get(user)?;
        let guessed = guesses.of(user);
        let mut addresses = guessed.map(|guessed| guessed.guessers.to_vec()).unwrap_or_default();
        addresses.retain(|ip| !basis.ours.has(*ip));
        addresses.truncate(DISTINCT_MAX);
        addresses.sort_unstable();
        let is_late = |last: Timestamp| until.is_some_and(|end| end.as_millis() - last.as_millis() <= DAY_MS);
        Some(api::Guessing {
            failures: u64::from(target.failures),
            first: target.first.map(|time| time.to_string()),
            last: target.last.map(|time| time.to_string()),
            succeeded: guessed.map(|guessed| guessed.time.to_string()),
            failures_shortly_before: guessed.map_or(0, |guessed| u64::from(guessed.failures)),
            failures_usual: guesses.usual(target).map(u64::from),
            failures_since: guessed
                .map_or(0, |guessed| u64::from(target.failures.saturating_sub(guessed.failures_until))),
            is_going_on: target.last.is_some_and(is_late),
            addresses: addresses.iter().map(IpAddr::to_string).collect(),
        })
    }

    /// How many of these addresses failed to log in under another name than `login`.
    pub(super) fn tried_others(&self, login: &str, addresses: impl Iterator<Item = IpAddr>) -> u64 {
        let own = hash(login);
        let tried = |ip: &IpAddr| self.foes.get(ip).is_some_and(|foe| foe.names.iter().any(|name| *name != own));
        u64::try_from(addresses.filter(tried).count()).unwrap_or(u64::MAX)
    }

    /// Attackers, those first who got into a mailbox of `suspects`, then the worst.
    pub(super) fn rows(&self, basis: &Basis<'_>, rows: usize, suspects: &[api::Suspect]) -> Vec<api::AttackerRow> {
        let (guesses, settings) = (&basis.guesses, basis.settings);
        let mut list: Vec<api::AttackerRow> = self.foes.iter().filter_map(|(ip, foe)| foe_row(ip, foe)).collect();
        let targets = self.targets.iter().filter_map(|(name, target)| target_row(name, target, guesses));
        list.extend(targets.filter(|row| Actor::Mailbox(row.who.as_str().into()).is_wanted(settings)));
        let entered: Vec<(&str, Guessed<'_>)> =
            suspects.iter().filter_map(|suspect| Some((suspect.name.as_str(), guesses.of(&suspect.name)?))).collect();
        for row in &mut list {
            row.is_own = row.who.parse().is_ok_and(|ip| basis.ours.has(ip));
            self.mark(row, guesses, &entered);
        }
        let order = |row: &api::AttackerRow| (!(row.is_suspect && row.succeeded.is_some()), Reverse(row.times));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.who.cmp(&b.who)));
        list.truncate(rows);
        list
    }

    /// Says what became of an attack: a login that succeeded, by the one or the other who took part.
    fn mark(&self, row: &mut api::AttackerRow, guesses: &Guesses<'_>, entered: &[(&str, Guessed<'_>)]) {
        if row.kind == "distributed" {
            let guessed = guesses.of(&row.who);
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

/// The local hour of a time, counted from 1970.
fn hour_of(time: Timestamp, settings: &Settings) -> u32 {
    u32::try_from(settings.offsets.local(time).hour()).unwrap_or(0)
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
        is_own: false,
    })
}

/// Who is guessed at by many, and more than everybody else.
fn target_row(name: &str, target: &Target, guesses: &Guesses<'_>) -> Option<api::AttackerRow> {
    let is_attacked = target.worst_addresses >= DISTRIBUTED_ADDRESSES_MIN
        && (guesses.is_singled_out(target) || guesses.of(name).is_some());
    is_attacked.then(|| api::AttackerRow {
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
        is_own: false,
    })
}

/// Enough to tell apart the few names that are counted.
fn hash(text: &str) -> u32 {
    let fold = |hash: u32, b: u8| (hash ^ u32::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, fold)
}
