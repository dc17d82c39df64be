//! How much each actor sent, hour by hour. An actor is a mailbox, a script, a local user or a forwarding address.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::history::{History, Hour, Window};
use super::provider::{Provider, Saying};
use super::{Settings, room};
use crate::api::report as api;
use crate::event::{Delivery, Outcome};
use crate::map::Map;
use crate::time::{HOUR_MS, MINUTE_MS, Timestamp};
use crate::transaction::{Message, Origin};

/// Actors that are kept; beyond, those with the fewest recipients make room.
const LEDGERS_MAX: usize = 20_000;
/// Octets of the histories of all actors; beyond, less of the past is kept hour by hour, then day by day.
const HISTORIES_OCTETS_MAX: usize = 40 << 20;
/// Messages after which they are looked at again.
const HISTORIES_LOOKED_AT_EVERY: u32 = 4096;
/// Networks of a domain that are remembered.
const NETWORKS_MAX: usize = 128;
/// Meanings of refusals that are counted for an actor.
const SAYINGS_MAX: usize = 24;
/// Hosts of strangers that are counted.
const HOSTS_MAX: usize = 20_000;
/// A network counts as new to a domain for this long.
const NETWORK_IS_NEW_HOURS: u32 = 24;
/// How cPanel's logins of its own services begin.
const SERVICE_LOGIN: &str = "__cpanel__service__auth__";
/// Messages kept as examples.
const SAMPLES_MAX: usize = 3;

/// Who sends mail.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Actor {
    /// A login, in lower case.
    Mailbox(Box<str>),
    /// A directory or script of a local user.
    Script {
        /// The local user.
        user: Box<str>,
        /// Directory or script.
        script: Box<str>,
    },
    /// A local user by an unknown program.
    User(Box<str>),
    /// An address of ours that forwards mail to elsewhere.
    Forwarder(Box<str>),
    /// A host that sends to elsewhere through us without a login.
    Relay(Box<str>),
}

impl Actor {
    /// Who sent `message`; `None` for strangers and the MTA itself.
    #[must_use]
    pub fn of(message: &Message) -> Option<Actor> {
        match &message.origin {
            // The panel's own services log in under names of this kind; they are no mailbox of anybody.
            Origin::Login(user) if user.starts_with(SERVICE_LOGIN) => None,
            Origin::Login(user) => Some(Actor::Mailbox(user.to_ascii_lowercase().into())),
            Origin::Script { user, script } => Some(Actor::Script { user: user.clone(), script: script.clone() }),
            Origin::Local(user) => Some(Actor::User(user.clone())),
            Origin::Bounce | Origin::Remote | Origin::Unknown => None,
        }
    }

    /// Who is answerable for a delivery: what came from outside and leaves again was forwarded by one of our addresses, or
    /// relayed for a host.
    #[must_use]
    pub fn of_delivery(message: &Message, delivery: &Delivery<'_>) -> Option<Actor> {
        if message.origin != Origin::Remote || !super::is_remote(delivery) {
            return Actor::of(message);
        }
        match (delivery.original, message.ip) {
            (Some(original), _) => Some(Actor::Forwarder(original.to_ascii_lowercase().into())),
            (None, Some(ip)) => Some(Actor::Relay(ip.to_string().into())),
            (None, None) => None,
        }
    }

    /// `mailbox`, `script`, `user`, `forwarder` or `relay`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Actor::Mailbox(_) => "mailbox",
            Actor::Script { .. } => "script",
            Actor::User(_) => "user",
            Actor::Forwarder(_) => "forwarder",
            Actor::Relay(_) => "relay",
        }
    }

    /// The login, the script, the user, or the address.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Actor::Mailbox(name) | Actor::User(name) | Actor::Forwarder(name) | Actor::Relay(name) => name,
            Actor::Script { script, .. } => script,
        }
    }

    /// Whether it belongs to the account that is asked for, if one is.
    pub(super) fn is_wanted(&self, settings: &Settings) -> bool {
        settings.account.as_ref().is_none_or(|account| *account == self.account(settings))
    }

    /// The account to which it belongs.
    #[must_use]
    pub fn account(&self, settings: &Settings) -> String {
        self.account_by(|domain| settings.owners.get(domain).cloned())
    }

    /// The same, where `owner` tells whose a domain is; a domain of nobody is its own account.
    pub(crate) fn account_by(&self, owner: impl Fn(&str) -> Option<String>) -> String {
        let domain = match self {
            Actor::Mailbox(address) | Actor::Forwarder(address) => address.rsplit_once('@').map(|(_, domain)| domain),
            Actor::Script { user, script } => return home_owner(script).unwrap_or(user).to_owned(),
            Actor::User(name) | Actor::Relay(name) => return name.to_string(),
        };
        let Some(domain) = domain else { return self.name().to_owned() };
        owner(domain).unwrap_or_else(|| domain.to_owned())
    }
}

/// `user` of `/home/user/…`, also `/home2/user/…`.
fn home_owner(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/home")?;
    let (_, rest) = rest.split_once('/')?;
    rest.split('/').next().filter(|user| !user.is_empty())
}

/// What is counted of one outcome.
pub(super) struct Tally {
    pub(super) is_remote: bool,
    pub(super) outcome: Outcome,
    pub(super) said: Option<(Provider, Saying)>,
    /// Whose host answered.
    pub(super) by: Provider,
    pub(super) is_unknown: bool,
}

/// How many different things left their bits in 32: linear counting, exact enough below 40.
pub(super) fn distinct(bits: u32) -> u32 {
    let empty = f64::from(bits.count_zeros().max(1));
    let estimate = 32.0 * (32.0 / empty).ln();
    // Between 0 and 111.
    let mut count = 0;
    while f64::from(count) + 0.5 < estimate {
        count += 1;
    }
    count
}

/// How often an actor was answered something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    refused: u32,
    deferred: u32,
}

/// What is known of one actor.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    history: History,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// By whom, and what it means, where that is known.
    sayings: Vec<((Provider, Option<Saying>), Heard)>,
    pub(super) doubtful: u32,
    pub(super) samples: Vec<api::Sample>,
    /// The hour of the samples, and its recipients when the last message of it came.
    sample_hour: u32,
    sample_volume: u32,
}

impl Ledger {
    /// Hours in the order of time. Those of a day long past may stand together, see [`Hour::is_several`].
    pub(super) fn hours(&self) -> Vec<Hour> {
        self.history.hours()
    }

    pub(super) fn total(&self) -> Hour {
        self.history.total()
    }

    /// What it was answered in the whole log, the most refused first.
    pub(super) fn heard(&self) -> Vec<api::HeardRow> {
        let row = |((provider, saying), heard): &((Provider, Option<Saying>), Heard)| api::HeardRow {
            provider: provider.name(),
            kind: saying.map_or("other", Saying::name),
            meaning: saying.map_or("another reason, or none given", Saying::words),
            refused: u64::from(heard.refused),
            deferred: u64::from(heard.deferred),
        };
        let mut rows: Vec<api::HeardRow> = self.sayings.iter().map(row).collect();
        rows.sort_by_key(|row| (Reverse((row.refused, row.deferred)), row.kind, row.provider));
        rows
    }

    /// Bits of the networks used on any one day, at their most.
    pub(super) fn most_networks_a_day(&self) -> u32 {
        let mut most = 0;
        for day in self.hours().chunk_by(|a, b| a.day() == b.day()) {
            let bits = day.iter().fold(0, |bits, hour| bits | hour.networks);
            most = most.max(distinct(bits));
        }
        most
    }
}

/// The /16 of an IPv4 address or the /32 of an IPv6 address: about one provider's pool.
pub(crate) fn network_of(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            u64::from(a) << 8 | u64::from(b)
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            1 << 40 | u64::from(a) << 16 | u64::from(b)
        }
    }
}

/// One bit of 32 for a value.
pub(super) fn bit_of(value: u64) -> u32 {
    let mixed = (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    1 << (mixed >> 59)
}

/// What is known of a stranger's host.
#[derive(Clone, Debug, Default)]
struct HostCount {
    name: Box<str>,
    messages: u64,
    recipients: u64,
}

/// All actors.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    pub(super) by_actor: Map<Actor, Ledger>,
    hosts: Map<IpAddr, HostCount>,
    /// Networks of each mail domain: colleagues share an office, so what one of them uses is new to none.
    networks: Map<Box<str>, Networks>,
    window: Window,
    /// Messages since the histories were looked at.
    looked_at: u32,
    /// Actors and strangers' hosts that made room.
    pub(super) let_go: u64,
    pub(super) hosts_let_go: u64,
}

/// Networks of one domain, with the hour in which each was first used.
type Networks = Vec<(u64, u32)>;

impl Ledgers {
    /// Counts a message that came in.
    pub(super) fn arrival(&mut self, actor: Actor, message: &Message, settings: &Settings) {
        let Some(hour) = hour_of(message, settings) else { return };
        let is_foreign = is_foreign(&actor, &message.sender);
        let is_fresh = self.is_new_network(&actor, message, hour);
        self.let_go += room::make(&mut self.by_actor, LEDGERS_MAX, |ledger| u64::from(ledger.total().volume()));
        let ledger = self.by_actor.entry(actor).or_default();
        ledger.first = ledger.first.or(message.arrived);
        ledger.last = message.arrived;
        ledger.doubtful += u32::from(message.is_doubtful);
        let network = message.ip.map_or(0, |ip| bit_of(network_of(ip)));
        let recipients = message.recipients;
        let slot = ledger.history.slot(hour, self.window);
        slot.at(minute_of(message, settings));
        slot.messages += 1;
        slot.recipients = slot.recipients.saturating_add(recipients);
        slot.widest = slot.widest.max(u16::try_from(recipients).unwrap_or(u16::MAX));
        slot.networks |= network;
        slot.foreign = slot.foreign.saturating_add(u16::from(is_foreign));
        if is_fresh {
            slot.fresh = slot.fresh.saturating_add(u16::try_from(recipients.max(1)).unwrap_or(u16::MAX));
        }
        let volume = slot.volume();
        sample(ledger, (hour, volume), message);
        self.bound_histories();
    }

    /// Counts what became of a recipient, in the hour in which the message came.
    pub(super) fn outcome(&mut self, actor: Actor, message: &Message, tally: &Tally, settings: &Settings) {
        let Some(hour) = hour_of(message, settings) else { return };
        // What passes through has no arrival of its own in a ledger.
        let passes = matches!(actor, Actor::Forwarder(_) | Actor::Relay(_));
        self.let_go += room::make(&mut self.by_actor, LEDGERS_MAX, |ledger| u64::from(ledger.total().volume()));
        let ledger = self.by_actor.entry(actor).or_default();
        if passes {
            ledger.first = ledger.first.or(message.arrived);
            ledger.last = message.arrived;
        }
        match tally.said {
            Some((provider, saying)) => count_saying(&mut ledger.sayings, (provider, Some(saying)), tally.outcome),
            None if tally.outcome == Outcome::Failed => {
                count_saying(&mut ledger.sayings, (tally.by, None), tally.outcome);
            }
            None => {}
        }
        let slot = ledger.history.slot(hour, self.window);
        match tally.outcome {
            Outcome::Deferred => slot.deferred = slot.deferred.saturating_add(1),
            Outcome::Failed => slot.failed = slot.failed.saturating_add(1),
            Outcome::Delivered | Outcome::Discarded => {}
        }
        if tally.is_remote && tally.outcome != Outcome::Deferred {
            slot.remote = slot.remote.saturating_add(1);
            slot.messages += u32::from(passes);
            if passes {
                slot.at(minute_of(message, settings));
            }
        }
        slot.unknown = slot.unknown.saturating_add(u16::from(tally.is_unknown));
        if tally.outcome == Outcome::Failed && tally.said.is_some_and(|(_, saying)| saying.is_spam()) {
            slot.spam = slot.spam.saturating_add(1);
        }
        let volume = slot.volume();
        if passes {
            sample(ledger, (hour, volume), message);
        }
    }

    /// Counts a stranger's message.
    pub(super) fn host(&mut self, ip: IpAddr, message: &Message) {
        let has_room = self.hosts.len() < HOSTS_MAX;
        if !has_room && !self.hosts.contains_key(&ip) {
            self.hosts_let_go += room::make(&mut self.hosts, HOSTS_MAX, |count| count.messages);
        }
        let count = self.hosts.entry(ip).or_default();
        if let Some(name) = &message.host
            && count.name != *name
        {
            count.name = name.clone();
        }
        count.messages += 1;
        count.recipients += u64::from(message.recipients.max(1));
    }

    /// Keeps less of the past if there is too much of it.
    fn bound_histories(&mut self) {
        self.looked_at += 1;
        if self.looked_at < HISTORIES_LOOKED_AT_EVERY {
            return;
        }
        self.looked_at = 0;
        while self.by_actor.values().map(|ledger| ledger.history.octets()).sum::<usize>() > HISTORIES_OCTETS_MAX {
            let Some(window) = self.window.halved() else { return };
            self.window = window;
            self.by_actor.values_mut().for_each(|ledger| ledger.history.tidy(window));
        }
    }

    /// Days of which every hour is kept, and days that are kept as days.
    pub(super) fn kept_days(&self) -> (u32, u32) {
        (self.window.hourly, self.window.daily)
    }

    /// Whether a login came from a network that nobody of its domain has used for long.
    fn is_new_network(&mut self, actor: &Actor, message: &Message, hour: u32) -> bool {
        let (Actor::Mailbox(login), Some(ip)) = (actor, message.ip) else { return false };
        if ip.is_loopback() {
            return false;
        }
        let domain = login.rsplit_once('@').map_or(&**login, |(_, domain)| domain);
        let network = network_of(ip);
        let Some(known) = self.networks.get_mut(domain) else {
            // A domain that is forgotten starts anew: all its networks are new for a day.
            room::make(&mut self.networks, LEDGERS_MAX, |known| u64::try_from(known.len()).unwrap_or(0));
            self.networks.insert(domain.into(), vec![(network, hour)]);
            return true;
        };
        if let Some((_, first)) = known.iter().find(|(known, _)| *known == network) {
            return hour.saturating_sub(*first) < NETWORK_IS_NEW_HOURS;
        }
        if known.len() < NETWORKS_MAX {
            known.push((network, hour));
        }
        true
    }

    /// The local hour in which the domain of `login` first used the network of `ip`, as far as it is remembered.
    pub(super) fn network_since(&self, login: &str, ip: IpAddr) -> Option<u32> {
        let domain = login.rsplit_once('@').map_or(login, |(_, domain)| domain);
        let network = network_of(ip);
        self.networks.get(domain)?.iter().find(|(known, _)| *known == network).map(|(_, since)| *since)
    }

    /// Actors of the account that is asked for, or all.
    pub(super) fn of_account<'l>(&'l self, settings: &'l Settings) -> impl Iterator<Item = (&'l Actor, &'l Ledger)> {
        self.by_actor.iter().filter(|(actor, _)| actor.is_wanted(settings))
    }

    /// Actors by recipients.
    pub(super) fn top(&self, settings: &Settings, rows: usize, is_wanted: fn(&Actor) -> bool) -> Vec<api::ActorRow> {
        let wanted = self.of_account(settings).filter(|(actor, _)| is_wanted(actor));
        let mut list: Vec<api::ActorRow> = wanted.map(|(actor, ledger)| row(actor, ledger, settings)).collect();
        list.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.name.cmp(&b.name)));
        list.truncate(rows);
        list
    }

    /// Accounts by recipients.
    pub(super) fn accounts(&self, settings: &Settings, rows: usize) -> Vec<api::AccountRow> {
        let mut sums: HashMap<String, api::AccountRow> = HashMap::new();
        for (actor, ledger) in self.of_account(settings) {
            let account = actor.account(settings);
            let sum = sums
                .entry(account.clone())
                .or_insert_with(|| api::AccountRow { account, ..api::AccountRow::default() });
            let total = ledger.total();
            sum.messages += u64::from(total.messages);
            sum.recipients += u64::from(total.volume());
            sum.actors += 1;
        }
        let mut list: Vec<api::AccountRow> = sums.into_values().collect();
        list.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.account.cmp(&b.account)));
        list.truncate(rows);
        list
    }

    /// Strangers' hosts by recipients.
    pub(super) fn hosts(&self, rows: usize) -> Vec<api::HostRow> {
        let mut list: Vec<api::HostRow> = self
            .hosts
            .iter()
            .map(|(ip, count)| api::HostRow {
                ip: ip.to_string(),
                name: count.name.to_string(),
                messages: count.messages,
                recipients: count.recipients,
            })
            .collect();
        list.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.ip.cmp(&b.ip)));
        list.truncate(rows);
        list
    }

    /// Mailboxes used from many networks on one day.
    pub(super) fn many_networks(&self, settings: &Settings, rows: usize) -> Vec<api::NetworksRow> {
        const NETWORKS_MIN: u32 = 4;
        let mut list: Vec<api::NetworksRow> = self
            .of_account(settings)
            .filter(|(actor, _)| matches!(actor, Actor::Mailbox(_)))
            .map(|(actor, ledger)| api::NetworksRow {
                login: actor.name().to_owned(),
                account: actor.account(settings),
                networks_a_day: ledger.most_networks_a_day(),
                is_sign: false,
                recipients: u64::from(ledger.total().volume()),
            })
            .filter(|row| row.networks_a_day >= NETWORKS_MIN)
            .collect();
        list.sort_by(|a, b| b.networks_a_day.cmp(&a.networks_a_day).then_with(|| a.login.cmp(&b.login)));
        list.truncate(rows);
        list
    }

    /// Actors by recipients that do not exist.
    pub(super) fn bounces(&self, settings: &Settings, rows: usize) -> Vec<api::ActorRow> {
        const FAILED_MIN: u64 = 5;
        let mut list: Vec<api::ActorRow> = self
            .of_account(settings)
            .map(|(actor, ledger)| row(actor, ledger, settings))
            .filter(|row| row.failed >= FAILED_MIN)
            .collect();
        list.sort_by(|a, b| b.unknown.cmp(&a.unknown).then(b.failed.cmp(&a.failed)).then_with(|| a.name.cmp(&b.name)));
        list.truncate(rows);
        list
    }

    /// The actors that were given such an answer, each with how often; the most refused first.
    pub(super) fn causes(&self, is_it: impl Fn(Provider, Saying) -> bool, settings: &Settings) -> Vec<api::Cause> {
        let mut list: Vec<api::Cause> = Vec::new();
        for (actor, ledger) in self.of_account(settings) {
            let (mut refused, mut deferred) = (0_u64, 0_u64);
            for (_, heard) in ledger
                .sayings
                .iter()
                .filter(|((provider, saying), _)| saying.is_some_and(|saying| is_it(*provider, saying)))
            {
                refused += u64::from(heard.refused);
                deferred += u64::from(heard.deferred);
            }
            if refused + deferred > 0 {
                list.push(api::Cause {
                    kind: actor.kind(),
                    name: actor.name().to_owned(),
                    account: actor.account(settings),
                    times: refused + deferred,
                    refused,
                    deferred,
                });
            }
        }
        let order = |cause: &api::Cause| (Reverse(cause.refused), Reverse(cause.deferred));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.name.cmp(&b.name)));
        list
    }
}

/// The figures of an actor.
pub(super) fn row(actor: &Actor, ledger: &Ledger, settings: &Settings) -> api::ActorRow {
    let total = ledger.total();
    api::ActorRow {
        kind: actor.kind(),
        name: actor.name().to_owned(),
        account: actor.account(settings),
        messages: u64::from(total.messages),
        recipients: u64::from(total.volume()),
        remote: u64::from(total.remote),
        failed: u64::from(total.failed),
        unknown: u64::from(total.unknown),
        spam_refusals: u64::from(total.spam),
        deferred: u64::from(total.deferred),
        peak_hour: u64::from(ledger.hours().iter().map(Hour::peak).max().unwrap_or(0)),
        first: ledger.first.map(|time| time.to_string()),
        last: ledger.last.map(|time| time.to_string()),
        doubtful_lines: u64::from(ledger.doubtful),
    }
}

fn hour_of(message: &Message, settings: &Settings) -> Option<u32> {
    let time = settings.offsets.local(message.arrived?);
    u32::try_from(time.as_millis().div_euclid(HOUR_MS)).ok()
}

/// The minute of its hour in which a message came.
fn minute_of(message: &Message, settings: &Settings) -> u8 {
    let local = settings.offsets.local(message.arrived.unwrap_or_default());
    u8::try_from(local.as_millis().rem_euclid(HOUR_MS) / MINUTE_MS).unwrap_or(0)
}

/// Whether a mailbox sends under a domain that is not its own.
fn is_foreign(actor: &Actor, sender: &str) -> bool {
    let Actor::Mailbox(login) = actor else { return false };
    let (Some((_, own)), Some((_, used))) = (login.rsplit_once('@'), sender.rsplit_once('@')) else { return false };
    !own.eq_ignore_ascii_case(used)
}

/// Examples are kept of one of the busiest hours. The message's own hour has so many recipients by now.
fn sample(ledger: &mut Ledger, (hour, volume): (u32, u32), message: &Message) {
    let is_same = hour == ledger.sample_hour && !ledger.samples.is_empty();
    // Only a good deal more makes another hour the busier one: at its last message it would have one example only.
    if !is_same && u64::from(volume) * 4 <= u64::from(ledger.sample_volume) * 5 {
        return;
    }
    (ledger.sample_hour, ledger.sample_volume) = (hour, volume);
    if !is_same {
        ledger.samples.clear();
    }
    if ledger.samples.len() >= SAMPLES_MAX {
        return;
    }
    ledger.samples.push(api::Sample {
        id: message.id.as_str().to_owned(),
        time: message.arrived.map(|time| time.to_string()),
        file: message.place.file,
        line: message.place.line,
        sender: message.sender.to_string(),
        subject: message.subject.to_string(),
        client_ip: message.ip.map(|ip| ip.to_string()),
    });
}

fn count_saying(
    sayings: &mut Vec<((Provider, Option<Saying>), Heard)>,
    said: (Provider, Option<Saying>),
    outcome: Outcome,
) {
    let has_room = sayings.len() < SAYINGS_MAX;
    if has_room && !sayings.iter().any(|(known, _)| *known == said) {
        sayings.push((said, Heard::default()));
    }
    let Some((_, heard)) = sayings.iter_mut().find(|(known, _)| *known == said) else { return };
    let count = if outcome == Outcome::Deferred { &mut heard.deferred } else { &mut heard.refused };
    *count = count.saturating_add(1);
}
