//! Entries by what they are about, so that a session costs a few look-ups however long the lists are.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use tidegate_mail::{Address, Domain};

use super::{Entry, Subject};
use crate::session::Helo;

pub(super) struct Index {
    entries: Vec<Entry>,
    /// Prefix lengths that occur, longest first, so that only those are tried.
    lengths_v4: Vec<u8>,
    lengths_v6: Vec<u8>,
    by_subject: HashMap<Subject, Vec<usize>>,
}

impl Index {
    pub(super) fn new(entries: &[Entry]) -> Index {
        let mut by_subject: HashMap<Subject, Vec<usize>> = HashMap::new();
        let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
        for (position, entry) in entries.iter().enumerate() {
            if let Subject::Client(net) = &entry.subject {
                if net.addr().is_ipv4() {
                    v4.insert(net.prefix_len())
                } else {
                    v6.insert(net.prefix_len())
                };
            }
            by_subject.entry(entry.subject.clone()).or_default().push(position);
        }
        Index {
            entries: entries.to_vec(),
            lengths_v4: v4.into_iter().rev().collect(),
            lengths_v6: v6.into_iter().rev().collect(),
            by_subject,
        }
    }

    pub(super) fn of_ip(&self, ip: IpAddr) -> impl Iterator<Item = &Entry> {
        let lengths = if ip.is_ipv4() { &self.lengths_v4 } else { &self.lengths_v6 };
        let networks = lengths.iter().filter_map(move |length| IpNet::new(ip, *length).ok());
        networks.flat_map(|net| self.of(&Subject::Client(net.trunc())))
    }

    pub(super) fn of_helo(&self, helo: &Helo) -> impl Iterator<Item = &Entry> {
        self.of(&Subject::Helo(helo.as_str().to_ascii_lowercase()))
    }

    pub(super) fn of_reverse_name(&self, name: &Domain) -> impl Iterator<Item = &Entry> {
        upwards(name).flat_map(|name| self.of(&Subject::ReverseName(name)))
    }

    pub(super) fn of_sender(&self, sender: &Address) -> impl Iterator<Item = &Entry> {
        let own = self.of(&Subject::Address(sender.to_lowercase()));
        own.chain(upwards(sender.domain()).flat_map(|domain| self.of(&Subject::Domain(domain))))
    }

    fn of(&self, subject: &Subject) -> impl Iterator<Item = &Entry> + use<'_> {
        let positions = self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default();
        positions.iter().filter_map(|position| self.entries.get(*position))
    }
}

/// `a.b.example`, `b.example`, `example`.
fn upwards(domain: &Domain) -> impl Iterator<Item = Domain> {
    std::iter::successors(Some(domain.clone()), Domain::parent)
}
