//! What became of a sender's mail here: how many of its messages were spam and how many were not, by client address, network,
//! and domain that SPF or DKIM vouches for. Old messages drop out of the count after [`WINDOW`].
//!
//! Read by the checks `reputation` and `rate`. [`proposals`] makes entries of a personal blocklist of it; a person takes
//! them over or not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::try_join;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use tidegate_mail::Domain;

use crate::check::{Remember, When};
use crate::checks::lists::{Entry, Scope, Side, Subject as ListSubject};
use crate::known::Known;
use crate::party::network;
use crate::store::{Store, Write};
use crate::tables::{REPUTATION_HAM, REPUTATION_SPAM};

/// How long a message counts.
pub const WINDOW: Duration = Duration::from_secs(14 * 86_400);

/// Messages from which on a bad record says something.
const BAD_FROM: u64 = 8;
/// Share of spam from which on a record is bad.
const BAD_PERCENT: u64 = 80;
/// Messages from which on a good record says something; more than for a bad one, since spam that nobody knew counts as good.
const GOOD_FROM: u64 = 20;
/// Share of spam up to which a record is good.
const GOOD_PERCENT: u64 = 5;

/// Whom a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One client address.
    Address(IpAddr),
    /// The network of a client.
    Network(IpNet),
    /// A domain that SPF or DKIM vouched for.
    Domain(Domain),
}

impl Subject {
    /// The network of `ip`.
    pub fn network_of(ip: IpAddr) -> Subject {
        Subject::Network(network(ip))
    }

    /// The key under which both tables count; part of the stored form. [`Subject::from_str`] reads it back.
    pub fn key(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for Subject {
    /// `address 192.0.2.7`, `network 192.0.2.0/24`, `domain example.org`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Address(ip) => write!(f, "address {ip}"),
            Subject::Network(net) => write!(f, "network {net}"),
            Subject::Domain(domain) => write!(f, "domain {domain}"),
        }
    }
}

/// A text that is no subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `address`, `network` or `domain`, and a value of that kind")]
pub struct NoSubject;

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Subject, NoSubject> {
        let (kind, value) = text.split_once(' ').ok_or(NoSubject)?;
        match kind {
            "address" => value.parse().map(Subject::Address).map_err(|_| NoSubject),
            "network" => value.parse().map(Subject::Network).map_err(|_| NoSubject),
            "domain" => value.parse().map(Subject::Domain).map_err(|_| NoSubject),
            _ => Err(NoSubject),
        }
    }
}

/// Messages of one subject within [`WINDOW`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Tagged, quarantined or refused.
    pub spam: u64,
    /// Accepted as they were.
    pub ham: u64,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Too little, or nothing clear.
    Unknown,
    /// Hardly any spam.
    Good,
    /// Mostly spam.
    Bad,
}

impl Record {
    /// Messages in all.
    pub fn total(self) -> u64 {
        self.spam.saturating_add(self.ham)
    }

    /// What the record says.
    pub fn standing(self) -> Standing {
        let total = self.total();
        if total >= BAD_FROM && self.is_spam_at_least(BAD_PERCENT) {
            Standing::Bad
        } else if total >= GOOD_FROM && self.spam.saturating_mul(100) <= total.saturating_mul(GOOD_PERCENT) {
            Standing::Good
        } else {
            Standing::Unknown
        }
    }

    fn is_spam_at_least(self, percent: u64) -> bool {
        self.spam.saturating_mul(100) >= self.total().saturating_mul(percent)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = WINDOW.as_secs() / 86_400;
        write!(f, "{} of {} messages in {days} days were spam", self.spam, self.total())
    }
}

/// The record of `subject`.
///
/// `Err` when the store did not answer.
pub async fn record(subject: &Subject, store: &dyn Store, now: Timestamp) -> Known<Record> {
    let key = subject.key();
    let spam = store.count(&REPUTATION_SPAM, &key, WINDOW, now);
    let ham = store.count(&REPUTATION_HAM, &key, WINDOW, now);
    let (spam, ham) = try_join(spam, ham).await?;
    Ok(Record { spam, ham })
}

/// Subjects that are read at once.
const PAGE: usize = 500;

/// The records of all subjects that sent spam, at most `limit`: what [`proposals`] is made of.
///
/// `Err` when the store did not answer.
pub async fn records_of_spammers(store: &dyn Store, now: Timestamp, limit: usize) -> Known<BTreeMap<Subject, Record>> {
    let mut records = BTreeMap::new();
    let mut after: Option<Vec<u8>> = None;
    while records.len() < limit {
        let rows = store.scan(&REPUTATION_SPAM, b"", after.as_deref(), PAGE.min(limit - records.len()), now).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.key.clone());
        for row in &rows {
            let subject = std::str::from_utf8(&row.key).ok().and_then(|key| key.parse::<Subject>().ok());
            if let Some(subject) = subject {
                let record = record(&subject, store, now).await?;
                records.insert(subject, record);
            }
        }
    }
    Ok(records)
}

/// What is to be counted of `subject`, whichever way the message ends.
pub fn lessons(subject: &Subject) -> [Remember; 2] {
    let add = |table| Write::Add { table, key: subject.key(), amount: 1, window: WINDOW };
    [
        Remember { when: When::Spam, write: add(&REPUTATION_SPAM) },
        Remember { when: When::Ham, write: add(&REPUTATION_HAM) },
    ]
}

/// Spam messages from which on a block entry is proposed.
const PROPOSED_FROM: u64 = 20;
/// Share of spam from which on a block entry is proposed.
const PROPOSED_PERCENT: u64 = 95;
/// How long a proposed entry lasts.
const PROPOSED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Addresses of one network that must be proposed each for itself before the network is: its bad record alone may be
/// that of one customer.
const ADDRESSES_OF_NETWORK: usize = 3;
/// Who makes proposed entries.
const AUTHOR: &str = "reputation";

/// Block entries that `records` speak for, each with its evidence as comment and with an end: a network in place of its
/// addresses where several of them are bad.
pub fn proposals(records: &BTreeMap<Subject, Record>, now: Timestamp) -> Vec<Entry> {
    let is_bad = |record: &Record| record.spam >= PROPOSED_FROM && record.is_spam_at_least(PROPOSED_PERCENT);
    let bad: BTreeMap<&Subject, &Record> = records.iter().filter(|(_, record)| is_bad(record)).collect();
    let mut by_network: BTreeMap<IpNet, usize> = BTreeMap::new();
    for subject in bad.keys() {
        if let Subject::Address(ip) = subject {
            *by_network.entry(network(*ip)).or_default() += 1;
        }
    }
    let is_proposed_whole = |net: &IpNet| {
        let several = by_network.get(net).is_some_and(|addresses| *addresses >= ADDRESSES_OF_NETWORK);
        several && bad.contains_key(&Subject::Network(*net))
    };
    let chosen = bad.iter().filter(|(subject, _)| match subject {
        Subject::Network(net) => is_proposed_whole(net),
        Subject::Address(ip) => !is_proposed_whole(&network(*ip)),
        Subject::Domain(_) => true,
    });
    chosen.map(|(subject, record)| entry(subject, record, now)).collect()
}

fn entry(subject: &Subject, record: &Record, now: Timestamp) -> Entry {
    let subject = match subject {
        Subject::Address(ip) => ListSubject::Client(IpNet::from(*ip)),
        Subject::Network(net) => ListSubject::Client(*net),
        Subject::Domain(domain) => ListSubject::Domain(domain.clone()),
    };
    Entry {
        side: Side::Block,
        subject,
        scope: Scope::Server,
        author: AUTHOR.to_owned(),
        // A person reads it: whole seconds will do.
        until: now.saturating_add(PROPOSED_FOR).ok().and_then(|until| Timestamp::from_second(until.as_second()).ok()),
        comment: record.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(given: &[(&str, u64, u64)]) -> BTreeMap<Subject, Record> {
        given.iter().map(|(subject, spam, ham)| (subject.parse().unwrap(), Record { spam: *spam, ham: *ham })).collect()
    }

    fn proposed(given: &[(&str, u64, u64)]) -> Vec<String> {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        proposals(&records(given), now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_record_says_nothing_before_it_is_long_enough() {
        for (spam, ham, standing) in [
            (0, 0, Standing::Unknown),
            (7, 0, Standing::Unknown),
            (8, 0, Standing::Bad),
            (8, 2, Standing::Bad),
            (8, 3, Standing::Unknown),
            (0, 19, Standing::Unknown),
            (0, 20, Standing::Good),
            (1, 19, Standing::Good),
            (2, 18, Standing::Unknown),
        ] {
            assert_eq!(Record { spam, ham }.standing(), standing, "{spam} {ham}");
        }
    }

    #[test]
    fn a_proposal_carries_its_evidence_and_its_end() {
        assert_eq!(
            proposed(&[("address 192.0.2.7", 24, 1), ("address 192.0.2.8", 19, 0), ("domain example.net", 30, 2)]),
            [
                "block client 192.0.2.7 for server by reputation until 2026-01-09T03:04:05Z # 24 of 25 messages in 14 days \
              were spam"
            ]
        );
    }

    #[test]
    fn a_network_is_proposed_only_when_several_of_its_addresses_are_bad() {
        let network = ("network 192.0.2.0/24", 90, 0);
        let addresses = [("address 192.0.2.7", 30, 0), ("address 192.0.2.8", 30, 0), ("address 192.0.2.9", 30, 0)];
        let two = proposed(&[network, addresses[0], addresses[1]]);
        assert!(two.len() == 2 && two.iter().all(|line| !line.contains('/')), "{two:?}");
        let three = proposed(&[network, addresses[0], addresses[1], addresses[2]]);
        assert!(three.len() == 1 && three[0].starts_with("block client 192.0.2.0/24 "), "{three:?}");
    }

    #[tokio::test]
    async fn what_was_counted_is_found_again() {
        let store = crate::store::Memory::new();
        let now = Timestamp::from_second(1_767_000_000).unwrap();
        for number in 0..700 {
            let [spam, ham] = lessons(&format!("domain d{number}.example").parse().unwrap());
            store.write(&[spam.write.clone(), spam.write, ham.write], now).await.unwrap();
        }
        let records = records_of_spammers(&store, now, 10_000).await.unwrap();
        assert_eq!(records.len(), 700);
        assert!(records.values().all(|record| *record == Record { spam: 2, ham: 1 }));
        assert_eq!(records_of_spammers(&store, now, 600).await.unwrap().len(), 600);
        let later = now + SignedDuration::from_hours(15 * 24);
        assert!(records_of_spammers(&store, later, 10_000).await.unwrap().is_empty());
    }

    fn any_subject() -> impl Strategy<Value = Subject> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| Subject::Address(IpAddr::from(octets))),
            any::<[u8; 16]>().prop_map(|octets| Subject::network_of(IpAddr::from(octets))),
            "[a-z]{1,8}\\.example".prop_map(|name| Subject::Domain(name.parse().unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn a_subject_reads_as_it_is_written(subject in any_subject()) {
            prop_assert_eq!(subject.to_string().parse(), Ok(subject));
        }

        #[test]
        fn nothing_reads_as_a_panic(text in ".*") {
            let _ = text.parse::<Subject>();
        }

        #[test]
        fn who_sends_good_mail_is_never_proposed(
            given in proptest::collection::btree_map(any_subject(), (0u64..100, 0u64..100), 0..20)
        ) {
            let records: BTreeMap<Subject, Record> =
                given.into_iter().map(|(subject, (spam, ham))| (subject, Record { spam, ham })).collect();
            let entries = proposals(&records, Timestamp::UNIX_EPOCH);
            let bad = records.values().filter(|r| r.spam >= 20 && r.spam * 100 >= (r.spam + r.ham) * 95).count();
            prop_assert!(entries.len() <= bad);
            prop_assert!(entries.iter().all(|entry| entry.until.is_some() && !entry.comment.is_empty()));
        }
    }
}
