//! From events to a report: who sends how much, what is unusual, who attacks, who is probably compromised and why.
//!
//! Everything is counted while the log runs by, in bounded memory; [`Collector::report`] sums up at any time. Nothing here
//! decides: a suspicion is a sentence with evidence for an administrator.

mod attack;
mod flow;
mod ledger;
mod limits;
mod provider;
mod room;
mod suspicion;
mod who;

use std::cmp::Reverse;
use std::collections::HashMap;

pub use ledger::Actor;
pub(crate) use ledger::network_of as wide_network;
pub use provider::{Provider, Saying, meaning};
pub(crate) use provider::{is_unknown_recipient, of as said};
pub use who::{Query, Search};

use crate::api::report as api;
use crate::event::{Delivery, Event, Failing, Kind, Outcome, Queue};
use crate::time::{Offsets, Timestamp};
use crate::transaction::{Joiner, Message, Origin, Place, Step};
use attack::Attackers;
use flow::Flow;
use ledger::{Ledgers, Tally};

/// What a report needs to know of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Account of a domain, where the panel tells it; else a domain is its own account.
    pub owners: HashMap<String, String>,
    /// Only this account, in the lists about our own senders; others are not named.
    pub account: Option<String>,
    /// Rows of each list.
    pub rows_max: usize,
    /// Messages that may be open at once.
    pub open_messages_max: usize,
    /// Local time, for hours of the night and days of the calendar.
    pub offsets: Offsets,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            owners: HashMap::new(),
            account: None,
            rows_max: 20,
            open_messages_max: crate::transaction::OPEN_MESSAGES_MAX,
            offsets: Offsets::default(),
        }
    }
}

/// Takes events in the order of the log and keeps what a report is made of.
#[derive(Debug)]
pub struct Collector {
    settings: Settings,
    joiner: Joiner,
    ledgers: Ledgers,
    attackers: Attackers,
    totals: api::Totals,
    flow: Flow,
    refusals: HashMap<(Provider, Saying), api::RefusalCount>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Collector {
    /// A collector that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Collector {
        Collector {
            joiner: Joiner::new(settings.open_messages_max),
            ledgers: Ledgers::default(),
            attackers: Attackers::default(),
            totals: api::Totals::default(),
            flow: Flow::default(),
            refusals: HashMap::new(),
            first: None,
            last: None,
            settings,
        }
    }

    /// Takes one event from `place`.
    pub fn feed(&mut self, event: &Event<'_>, place: Place) {
        self.totals.lines += 1;
        if let Some(time) = event.time {
            self.first = Some(self.first.map_or(time, |first| first.min(time)));
            self.last = Some(self.last.map_or(time, |last| last.max(time)));
        }
        let local = event.time.map(|time| self.local(time));
        self.flow.feed(event, local);
        match &event.kind {
            Kind::Unknown => self.totals.unknown_lines += 1,
            // Each queue run says again that a message is frozen; it counts once.
            Kind::Queue(Queue::Frozen) => {
                let message = event.id.and_then(|id| self.joiner.get(id));
                self.totals.frozen += u64::from(message.is_some_and(|message| !message.is_frozen));
            }
            Kind::Rejection(rejection) => {
                self.totals.refused += 1;
                if rejection.cause == Failing::Relay && !rejection.is_doubtful {
                    self.totals.relay_attempts += 1;
                }
            }
            Kind::AuthFailure(_) => self.totals.auth_failures += 1,
            // Counted whether or not the log has the message's arrival.
            Kind::Delivery(delivery) => {
                count_outcome(&mut self.totals, delivery);
                self.flow.outcome(delivery.outcome);
            }
            _ => {}
        }
        self.attackers.feed(event);
        let Collector { joiner, ledgers, totals, flow, refusals, settings, attackers, .. } = self;
        joiner.feed(event, place, |step| match step {
            Step::Arrived(message) => {
                totals.messages += 1;
                flow.arrived();
                totals.doubtful_lines += u64::from(message.is_doubtful);
                arrived(ledgers, attackers, settings, message);
            }
            Step::Outcome(message, delivery) => {
                outcome(ledgers, refusals, settings, message, delivery);
            }
            Step::Finished(_) => {}
        });
    }

    /// Sums up.
    #[must_use]
    pub fn report(&self) -> api::Report {
        let rows = self.settings.rows_max;
        let losses = self.joiner.losses();
        let totals = api::Totals {
            unfinished: u64::try_from(self.joiner.open().count()).unwrap_or(u64::MAX),
            frozen_now: u64::try_from(self.joiner.open().filter(|message| message.is_frozen).count())
                .unwrap_or(u64::MAX),
            lost_messages: losses.evicted,
            orphans: losses.orphans,
            ..self.totals.clone()
        };
        let days = match (self.first, self.last) {
            (Some(first), Some(last)) => self.local(last).day() - self.local(first).day() + 1,
            _ => 0,
        };
        api::Report {
            version: api::VERSION,
            from: self.first.map(|time| time.to_string()),
            until: self.last.map(|time| time.to_string()),
            totals,
            by_hour: self.flow.rows(),
            suspects: suspicion::suspects(&self.ledgers, &self.attackers, &self.settings, self.first, rows),
            top_mailboxes: self.ledgers.top(&self.settings, rows, |actor| matches!(actor, Actor::Mailbox(_))),
            top_scripts: self.ledgers.top(&self.settings, rows, |a| matches!(a, Actor::Script { .. } | Actor::User(_))),
            top_forwarders: self.ledgers.top(&self.settings, rows, |actor| matches!(actor, Actor::Forwarder(_))),
            top_relays: self.ledgers.top(&self.settings, rows, |actor| matches!(actor, Actor::Relay(_))),
            top_accounts: self.ledgers.accounts(&self.settings, rows),
            top_hosts: self.ledgers.hosts(rows),
            unusual: suspicion::unusual(&self.ledgers, &self.settings, rows),
            many_networks: self.ledgers.many_networks(&self.settings, rows),
            bounces: self.ledgers.bounces(&self.settings, rows),
            refusals: self.refusal_rows(rows),
            attackers: self.attackers.rows(&self.settings, rows),
            frozen: self.frozen(rows),
            days,
        }
    }

    /// Use by hour and day of every actor and every account, and a limit that fits.
    #[must_use]
    pub fn limits(&self) -> Vec<api::LimitRow> {
        limits::suggest(&self.ledgers, &self.attackers, &self.settings, self.first)
    }

    fn local(&self, time: Timestamp) -> Timestamp {
        self.settings.offsets.local(time)
    }

    fn refusal_rows(&self, rows: usize) -> Vec<api::RefusalRow> {
        let mut list: Vec<api::RefusalRow> = self
            .refusals
            .iter()
            .map(|((provider, saying), count)| api::RefusalRow {
                provider: provider.name(),
                meaning: saying.words(),
                advice: saying.advice(),
                refused: count.refused,
                deferred: count.deferred,
                example: count.example.clone(),
                caused_by: self.ledgers.causes(*provider, *saying, &self.settings),
            })
            .collect();
        // An account hears only what it caused; others are not named to it.
        list.retain(|row| self.settings.account.is_none() || !row.caused_by.is_empty());
        // What asks for nothing comes last, however often it was said.
        let order =
            |row: &api::RefusalRow| (row.advice == Saying::Greylist.advice(), Reverse(row.refused + row.deferred));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.example.cmp(&b.example)));
        list.truncate(rows);
        list
    }

    fn frozen(&self, rows: usize) -> Vec<api::FrozenRow> {
        let mut list: Vec<&Message> = self.joiner.open().filter(|message| message.is_frozen).collect();
        list.retain(|message| {
            self.settings.account.is_none() || Actor::of(message).is_some_and(|actor| actor.is_wanted(&self.settings))
        });
        list.sort_by_key(|message| (message.arrived, message.id));
        list.iter()
            .take(rows)
            .map(|message| api::FrozenRow {
                id: message.id.as_str().to_owned(),
                since: message.arrived.map(|time| time.to_string()),
                sender: message.sender.to_string(),
                subject: message.subject.to_string(),
            })
            .collect()
    }
}

/// Our own users' mail goes to a ledger at arrival; strangers' mail only counts for the host.
fn arrived(ledgers: &mut Ledgers, attackers: &mut Attackers, settings: &Settings, message: &Message) {
    if let Origin::Login(user) = &message.origin
        && let Some(ip) = message.ip
    {
        attackers.logged_in(user, ip, message.arrived);
    }
    match Actor::of(message) {
        Some(actor) => ledgers.arrival(actor, message, settings),
        None => {
            if let (Origin::Remote, Some(ip)) = (&message.origin, message.ip) {
                ledgers.host(ip, message);
            }
        }
    }
}

/// Whether a delivery leaves this machine: LMTP to a mail store here does not.
pub(crate) fn is_remote(delivery: &Delivery<'_>) -> bool {
    match delivery.host.ip {
        Some(ip) => !ip.is_loopback(),
        None => delivery.host.name.is_some_and(|name| name != "localhost"),
    }
}

fn count_outcome(totals: &mut api::Totals, delivery: &Delivery<'_>) {
    match delivery.outcome {
        Outcome::Delivered => totals.delivered += 1,
        Outcome::Deferred => totals.deferred += 1,
        Outcome::Failed => totals.failed += 1,
        Outcome::Discarded => totals.discarded += 1,
    }
}

fn outcome(
    ledgers: &mut Ledgers,
    refusals: &mut HashMap<(Provider, Saying), api::RefusalCount>,
    settings: &Settings,
    message: &Message,
    delivery: &Delivery<'_>,
) {
    let is_remote = is_remote(delivery);
    let actor = Actor::of_delivery(message, delivery);
    let said = provider::of(delivery);
    if let Some((provider, saying)) = said {
        let count = refusals.entry((provider, saying)).or_default();
        match delivery.outcome {
            Outcome::Deferred => count.deferred += 1,
            _ => count.refused += 1,
        }
        if count.example.is_empty() {
            delivery.text.unwrap_or("").clone_into(&mut count.example);
        }
    }
    let Some(actor) = actor else { return };
    let is_failure = delivery.outcome == Outcome::Failed;
    let tally = Tally {
        is_remote: is_remote || (is_failure && delivery.transport.is_none()),
        outcome: delivery.outcome,
        said,
        is_unknown: is_failure && provider::is_unknown_recipient(delivery),
        domain: delivery.address.rsplit_once('@').map(|(_, domain)| domain),
    };
    ledgers.outcome(actor, message, &tally, settings);
}
