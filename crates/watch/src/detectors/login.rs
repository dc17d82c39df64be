//! Guessing of passwords: from one address, slowly, over many names, from many addresses of a network, and by many addresses
//! under one name. Who logged in lately from the same network has an old password in a telephone and is left alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::table::{Lately, Quiet, Row, Table, Window, hash};
use super::{Alert, AlertKind, Subject, Thresholds};
use crate::event::{Event, Kind};
use crate::offence::OffenceKind;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};
use crate::transaction::{Message, Origin};

const TEN_MINUTES_MS: i64 = 10 * 60_000;
const SIX_HOURS_MS: i64 = 6 * HOUR_MS;
/// For so long a login from a network speaks for it.
const GOOD_FOR_MS: i64 = 30 * DAY_MS;
/// Names that must be among the failures of a slow guesser.
const SLOW_NAMES_MIN: u32 = 3;
/// Known logins that fail within ten minutes, from where they used to work: then the server is broken.
const BROKEN_LOGINS_MIN: u32 = 20;
/// Alerts about guessing rest for so long after that.
const BROKEN_REST_MS: i64 = 30 * 60_000;
/// The same pattern of the same subject is told once an hour.
const AGAIN_AFTER_MS: i64 = HOUR_MS;

/// State of the detectors of guessing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Logins {
    addresses: Table<IpAddr, Address>,
    networks: Table<String, Network>,
    names: Table<String, Name>,
    good: Table<String, Good>,
    known_failing: Lately,
    broken: Quiet,
    broken_until: Timestamp,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Address {
    last: Timestamp,
    ten_minutes: Window,
    six_hours: Window,
    names_1h: Lately,
    names_6h: Lately,
    guessing: Quiet,
    slow: Quiet,
    spraying: Quiet,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Network {
    last: Timestamp,
    addresses: Lately,
    quiet: Quiet,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Name {
    last: Timestamp,
    addresses: Lately,
    failures: Window,
    /// Networks from which it failed.
    networks: Lately,
    quiet: Quiet,
    guessed: Quiet,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Good {
    last: Timestamp,
}

impl Row for Address {
    fn last(&self) -> Timestamp {
        self.last
    }
}

impl Row for Network {
    fn last(&self) -> Timestamp {
        self.last
    }
}

impl Row for Name {
    fn last(&self) -> Timestamp {
        self.last
    }
}

impl Row for Good {
    fn last(&self) -> Timestamp {
        self.last
    }
}

impl Logins {
    pub(super) fn feed(&mut self, event: &Event<'_>, time: Timestamp, thresholds: &Thresholds) -> Vec<Alert> {
        if let Kind::Login(login) = &event.kind
            && let Some(ip) = login.peer.ip
        {
            return self.succeeded(login.user, ip, time, thresholds);
        }
        let Some(offence) = event.offence() else { return Vec::new() };
        let is_failure = matches!(offence.kind, OffenceKind::AuthFailure | OffenceKind::AuthNotOffered);
        if !is_failure || offence.ip.is_loopback() {
            return Vec::new();
        }
        let user = offence.user.unwrap_or("");
        if self.is_good(user, offence.ip, time) {
            return self.known_failed(user, time);
        }
        if time < self.broken_until {
            return Vec::new();
        }
        self.failed(offence.ip, user, offence.times, time, thresholds)
    }

    /// A message sent under a login shows that the login worked.
    pub(super) fn sent(&mut self, message: &Message, thresholds: &Thresholds) -> Vec<Alert> {
        match (&message.origin, message.ip, message.arrived) {
            (Origin::Login(user), Some(ip), Some(time)) => self.succeeded(user, ip, time, thresholds),
            _ => Vec::new(),
        }
    }

    /// A login that worked speaks for the network it came from, unless the same network has just been guessing.
    fn succeeded(&mut self, user: &str, ip: IpAddr, time: Timestamp, thresholds: &Thresholds) -> Vec<Alert> {
        let name = user.to_ascii_lowercase();
        let was_good = self.is_good(user, ip, time);
        self.good.row(good_key(user, ip)).last = time;
        if was_good || self.names.get(&name).is_none() {
            return Vec::new();
        }
        let row = self.names.row(name.clone());
        let failures = row.failures.add(time, DAY_MS, 0);
        let is_guessed = failures >= thresholds.failures_before_success_1d
            && row.networks.has(hash(&network(ip)), time.plus_millis(-DAY_MS));
        if !is_guessed || !row.guessed.pass(time, DAY_MS) {
            return Vec::new();
        }
        let evidence =
            format!("got in from {ip} after {failures} failed logins within a day, some from the same network");
        vec![Alert { kind: AlertKind::GuessedPassword, subject: Subject::Login(name), time, times: failures, evidence }]
    }

    fn is_good(&self, user: &str, ip: IpAddr, time: Timestamp) -> bool {
        !user.is_empty()
            && self
                .good
                .get(&good_key(user, ip))
                .is_some_and(|good| time.as_millis() - good.last.as_millis() < GOOD_FOR_MS)
    }

    /// A login that used to work fails. If many do, it is the server's fault.
    fn known_failed(&mut self, user: &str, time: Timestamp) -> Vec<Alert> {
        let failing = self.known_failing.note(hash(user), time, TEN_MINUTES_MS);
        if failing < BROKEN_LOGINS_MIN {
            return Vec::new();
        }
        self.broken_until = time.plus_millis(BROKEN_REST_MS);
        if !self.broken.pass(time, AGAIN_AFTER_MS) {
            return Vec::new();
        }
        let evidence = format!("{failing} logins that used to work failed within ten minutes");
        vec![Alert { kind: AlertKind::LoginsBroken, subject: Subject::Server, time, times: failing, evidence }]
    }

    fn failed(&mut self, ip: IpAddr, user: &str, times: u32, time: Timestamp, thresholds: &Thresholds) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let row = self.addresses.row(ip);
        row.last = time;
        let ten_minutes = row.ten_minutes.add(time, TEN_MINUTES_MS, times);
        let six_hours = row.six_hours.add(time, SIX_HOURS_MS, times);
        let names_1h = row.names_1h.note(hash(user), time, HOUR_MS);
        let names_6h = row.names_6h.note(hash(user), time, SIX_HOURS_MS);
        let mut alert =
            |kind, times, evidence| alerts.push(Alert { kind, subject: Subject::Ip(ip), time, times, evidence });
        if ten_minutes >= thresholds.failures_10m && row.guessing.pass(time, AGAIN_AFTER_MS) {
            alert(AlertKind::Guessing, ten_minutes, format!("{ten_minutes} failed logins within ten minutes"));
        }
        if names_1h >= thresholds.names_1h && row.spraying.pass(time, AGAIN_AFTER_MS) {
            alert(AlertKind::Spraying, names_1h, format!("failed to log in under {names_1h} names within an hour"));
        }
        let is_slow = six_hours >= thresholds.failures_6h && names_6h >= SLOW_NAMES_MIN;
        if is_slow && row.slow.pass(time, SIX_HOURS_MS) {
            alert(
                AlertKind::SlowGuessing,
                six_hours,
                format!("{six_hours} failed logins under {names_6h} names within six hours"),
            );
        }
        self.by_network(ip, time, thresholds, &mut alerts);
        self.by_name(ip, user, times, time, thresholds, &mut alerts);
        alerts
    }

    fn by_network(&mut self, ip: IpAddr, time: Timestamp, thresholds: &Thresholds, alerts: &mut Vec<Alert>) {
        let network = network(ip);
        let row = self.networks.row(network.clone());
        row.last = time;
        let addresses = row.addresses.note(hash(&ip.to_string()), time, TEN_MINUTES_MS);
        if addresses >= thresholds.network_addresses_10m && row.quiet.pass(time, AGAIN_AFTER_MS) {
            alerts.push(Alert {
                kind: AlertKind::NetworkGuessing,
                subject: Subject::Network(network),
                time,
                times: addresses,
                evidence: format!("{addresses} of its addresses failed to log in within ten minutes"),
            });
        }
    }

    fn by_name(
        &mut self,
        ip: IpAddr,
        user: &str,
        times: u32,
        time: Timestamp,
        thresholds: &Thresholds,
        alerts: &mut Vec<Alert>,
    ) {
        /// Longer names are no logins.
        const NAME_OCTETS_MAX: usize = 254;
        if user.is_empty() || user.len() > NAME_OCTETS_MAX {
            return;
        }
        let user = user.to_ascii_lowercase();
        let row = self.names.row(user.clone());
        row.last = time;
        row.failures.add(time, DAY_MS, times);
        row.networks.note(hash(&network(ip)), time, DAY_MS);
        let addresses = row.addresses.note(hash(&ip.to_string()), time, HOUR_MS);
        if addresses >= thresholds.login_addresses_1h && row.quiet.pass(time, AGAIN_AFTER_MS) {
            alerts.push(Alert {
                kind: AlertKind::DistributedGuessing,
                subject: Subject::Login(user),
                time,
                times: addresses,
                evidence: format!("{addresses} addresses failed to log in under this name within an hour"),
            });
        }
    }
}

fn good_key(user: &str, ip: IpAddr) -> String {
    format!("{} {}", user.to_ascii_lowercase(), network(ip))
}

/// The /24 of an IPv4 address, the /64 of an IPv6 address.
pub(super) fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{}/24", Ipv4Addr::new(a, b, c, 0))
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
