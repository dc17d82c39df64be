//! The chain of relays, cut where trust ends (`trusted_networks`, `internal_networks`, `msa_networks`).

use std::net::IpAddr;

use super::received::{self, Reading};
use super::{Field, Relay, Relays, ip};
use crate::settings::{NetEntry, Networks, Settings};

/// `Received` headers looked at.
const RECEIVED_MAX: usize = 500;

/// Reads the relays of a message, nearest first. `client` is the nearest of all; it is left out where the headers begin with it.
pub(crate) fn read(headers: &[Field<'_>], client: Option<&Relay>, settings: &Settings) -> Relays {
    let trust = Trust::of(&settings.networks);
    let mut chain =
        Chain { relays: Relays::default(), is_trusted: true, is_internal: true, has_msa: false, reads_markers: true };
    let (mut last_trusted, mut last_internal) = (0_usize, 0_usize);
    let mut sender: Option<String> = None;
    let received = headers.iter().filter(|field| field.name.eq_ignore_ascii_case(b"received"));
    let mut readings: Vec<Reading> = received.take(RECEIVED_MAX).map(|field| received::read(&field.decoded)).collect();
    if let Some(client) = client.filter(|client| !begin_with(&readings, client)) {
        chain.push(client.clone(), &trust);
    }
    let originating = originating(headers, settings);
    let room = RECEIVED_MAX - readings.len();
    readings.extend(originating.iter().take(room).map(|value| received::read(value)));
    for reading in readings {
        let passed = sender.take();
        match reading {
            Reading::Relay(mut relay) => {
                relay.envfrom = passed.or(relay.envfrom);
                chain.push(*relay, &trust);
            }
            Reading::Unreadable => chain.relays.unparseable += 1,
            Reading::Fetched => chain.restart(),
            Reading::Sender(found) => sender = found.filter(|sender: &String| !sender.is_empty() && sender != "0"),
            Reading::Ignored => {}
        }
        last_trusted += usize::from(chain.is_trusted);
        last_internal += usize::from(chain.is_internal);
    }
    let mut relays = chain.relays;
    relays.last_trusted = last_trusted.checked_sub(1);
    relays.last_internal = last_internal.checked_sub(1);
    relays.trusted_text = text(&relays.trusted);
    relays.untrusted_text = text(&relays.untrusted);
    relays.internal_text = text(&relays.internal);
    relays.external_text = text(&relays.external);
    relays
}

/// Whether the first hand-over from a public address is the one by `client`. The receiving server may have written its header already.
fn begin_with(readings: &[Reading], client: &Relay) -> bool {
    let mut relays = readings.iter().filter_map(|reading| match reading {
        Reading::Relay(relay) => Some(relay),
        _ => None,
    });
    relays.find(|relay| !relay.is_private || relay.ip == client.ip).is_some_and(|first| first.ip == client.ip)
}

fn text(relays: &[Relay]) -> Vec<u8> {
    relays.iter().map(received::relay_text).collect::<Vec<_>>().join(" ").into_bytes()
}

/// Headers like `X-Originating-IP`, as if they were `Received` headers at the far end.
fn originating(headers: &[Field<'_>], settings: &Settings) -> Vec<Vec<u8>> {
    let found = settings.originating_ip_headers.iter().filter_map(|name| {
        let field = headers.iter().rfind(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
        Some([b"from X-Originating-IP: ", ip::first(&field.decoded)?].concat())
    });
    found.collect()
}

/// Which networks decide. Where only one of the two lists is given, it stands for both.
struct Trust<'n> {
    trusted: &'n [NetEntry],
    internal: &'n [NetEntry],
    msa: &'n [NetEntry],
    is_given: bool,
}

impl<'n> Trust<'n> {
    fn of(networks: &'n Networks) -> Trust<'n> {
        let (trusted, internal) = match (networks.trusted.as_slice(), networks.internal.as_slice()) {
            ([], internal) => (internal, internal),
            (trusted, []) => (trusted, trusted),
            both => both,
        };
        Trust { trusted, internal, msa: &networks.msa, is_given: !trusted.is_empty() }
    }
}

/// Whether the networks hold `address`: the first entry that does decides. Entries that reach beyond the networks of `within` do not
/// count: who is internal must be trusted.
fn holds(networks: &[NetEntry], within: &[NetEntry], address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return false };
    let is_within = |entry: &&NetEntry| {
        let outer = within.iter().find(|outer| outer.net.contains(&entry.net));
        entry.is_excluded || is_loopback_net(entry) || outer.is_some_and(|outer| !outer.is_excluded)
    };
    let mut entries = networks.iter().filter(|entry| entry.net.contains(&address)).filter(is_within);
    entries.next().is_some_and(|entry| !entry.is_excluded)
}

fn is_loopback_net(entry: &NetEntry) -> bool {
    entry.net.addr().is_loopback() && entry.net.prefix_len() >= 8
}

struct Chain {
    relays: Relays,
    is_trusted: bool,
    is_internal: bool,
    has_msa: bool,
    reads_markers: bool,
}

impl Chain {
    fn push(&mut self, mut relay: Relay, trust: &Trust<'_>) {
        if self.is_trusted && !self.has_msa {
            self.judge(&mut relay, trust);
        }
        relay.is_internal = self.is_internal;
        self.reads_markers = self.is_trusted;
        let relays = &mut self.relays;
        if self.is_trusted { &mut relays.trusted } else { &mut relays.untrusted }.push(relay.clone());
        if self.is_internal { &mut relays.internal } else { &mut relays.external }.push(relay);
    }

    /// Whether trust goes on beyond this relay.
    fn judge(&mut self, relay: &mut Relay, trust: &Trust<'_>) {
        let is_authenticated = !relay.auth.is_empty();
        if !trust.is_given {
            let goes_on = relay.is_private || is_authenticated;
            self.is_trusted &= goes_on;
            self.is_internal &= goes_on;
            return;
        }
        if !is_authenticated && !is_loopback_or(trust.trusted, trust.trusted, relay.ip) {
            self.is_trusted = false;
            self.is_internal = false;
            return;
        }
        if self.is_internal && !is_authenticated && !is_loopback_or(trust.internal, trust.trusted, relay.ip) {
            self.is_internal = false;
        }
        if holds(trust.msa, trust.trusted, relay.ip) {
            self.has_msa = true;
            relay.is_msa = true;
        }
    }

    /// Mail was fetched from a mailbox: what came before does not count, unless it is beyond trust.
    fn restart(&mut self) {
        if self.reads_markers {
            self.relays.trusted.clear();
            self.relays.internal.clear();
            self.relays.external.clear();
        }
    }
}

/// The loopback networks are added to every list of trusted or internal networks.
fn is_loopback_or(networks: &[NetEntry], within: &[NetEntry], address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| address.is_loopback()) || holds(networks, within, address)
}
