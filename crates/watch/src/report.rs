//! From events to a report: who sends how much, what is unusual, who attacks, who is probably compromised and why.
//!
//! Everything is counted while the log runs by, in bounded memory; [`Collector::report`] sums up at any time. Nothing here
//! decides: a suspicion is a sentence with evidence for an administrator.

mod attack;
mod basis;
mod case;
mod cleared;
mod clients;
mod day;
mod flow;
mod guess;
mod habits;
mod history;
mod ledger;
mod limits;
mod named;
mod ours;
mod provider;
mod room;
mod signs;
mod spread;
mod standing;
mod suspicion;
mod target;
mod who;

use std::collections::HashMap;

pub use ledger::Actor;
pub(crate) use ledger::network_of as wide_network;
pub use provider::{Provider, Saying, meaning};
pub(crate) use provider::{is_unknown_recipient, of as said};
pub use who::{Query, Search};

use crate::api::report as api;
use crate::event::{Delivery, Event, Failing, Kind, Leftover, Outcome, Queue, Source};
use crate::time::{Offsets, Timestamp};
use crate::transaction::{Joiner, Message, Origin, Place, Step};
use attack::Attackers;
use basis::Basis;
use clients::Clients;
use flow::Flow;
use guess::Guesses;
use habits::Habits;
use ledger::{Ledgers, Tally};
use ours::Ours;
use standing::Standing;
use target::Entry;

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
    clients: Clients,
    ours: Ours,
    totals: api::Totals,
    programs: api::Programs,
    flow: Flow,
    standing: Standing,
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
            clients: Clients::default(),
            ours: Ours::default(),
            totals: api::Totals::default(),
            programs: api::Programs::default(),
            flow: Flow::default(),
            standing: Standing::default(),
            first: None,
            last: None,
            settings,
        }
    }

    /// Takes one event from `place`.
    pub fn feed(&mut self, event: &Event<'_>, place: Place) {
        self.totals.lines += 1;
        match event.source {
            Source::Exim => self.programs.exim += 1,
            Source::Postfix => self.programs.postfix += 1,
            Source::Dovecot => self.programs.dovecot += 1,
            Source::Webmail => self.programs.webmail += 1,
            Source::Other => {}
        }
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
            Kind::AuthFailure(failure) => {
                self.totals.auth_failures += 1;
                self.totals.doubtful_lines += u64::from(failure.is_doubtful);
            }
            Kind::Leftover(Leftover::Folder) => self.totals.invented_lines += 1,
            // Counted whether or not the log has the message's arrival.
            Kind::Delivery(delivery) => {
                count_outcome(&mut self.totals, delivery);
                self.flow.outcome(delivery.outcome);
            }
            _ => {}
        }
        self.attackers.feed(event, &self.ledgers, &self.settings);
        self.ours.feed(event);
        let day = local.and_then(|time| u32::try_from(time.day()).ok());
        let Collector { joiner, ledgers, totals, flow, standing, settings, attackers, clients, .. } = self;
        joiner.feed(event, place, |step| match step {
            Step::Arrived(message) => {
                totals.messages += 1;
                flow.arrived();
                totals.doubtful_lines += u64::from(message.is_doubtful);
                arrived(ledgers, attackers, clients, settings, message);
            }
            Step::Outcome(message, delivery) => {
                let said = provider::of(delivery);
                standing.feed(delivery, said, event.time, day);
                outcome(ledgers, said, settings, message, delivery);
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
        let Collector { ledgers, settings, .. } = self;
        let basis = self.basis();
        let suspects = suspicion::suspects(&basis, rows);
        let mut many_networks = ledgers.many_networks(settings, rows);
        habits::mark_networks(&mut many_networks, ledgers);
        api::Report {
            version: api::VERSION,
            from: self.first.map(|time| time.to_string()),
            until: self.last.map(|time| time.to_string()),
            totals,
            programs: self.programs,
            forgotten: self.forgotten(),
            by_hour: self.flow.rows(),
            cleared: cleared::rows(&basis, &suspects, rows),
            blocks: self.standing.blocks(ledgers, settings, (self.last, self.span(&suspects)), &suspects),
            blocklists: self.standing.blocklists(settings),
            top_mailboxes: ledgers.top(settings, rows, |actor| matches!(actor, Actor::Mailbox(_))),
            top_scripts: ledgers.top(settings, rows, |a| matches!(a, Actor::Script { .. } | Actor::User(_))),
            top_forwarders: ledgers.top(settings, rows, |actor| matches!(actor, Actor::Forwarder(_))),
            top_relays: ledgers.top(settings, rows, |actor| matches!(actor, Actor::Relay(_))),
            top_accounts: ledgers.accounts(settings, rows),
            top_hosts: ledgers.hosts(rows),
            unusual: suspicion::unusual(&basis, rows),
            many_networks,
            bounces: ledgers.bounces(settings, rows),
            refusals: self.standing.rows(ledgers, settings, rows),
            meanings: self.standing.meanings(ledgers, settings),
            attackers: self.attackers.rows(&basis, rows, &suspects),
            suspects,
            frozen: self.frozen(rows),
            days,
        }
    }

    /// The days of the log, on which the first case began, and on which the last one ended.
    fn span(&self, suspects: &[api::Suspect]) -> standing::Span {
        let day = |time| day::day_of(time, &self.settings);
        let began = suspects.iter().filter_map(|suspect| suspect.case.began.as_ref()).min();
        let case = began.and_then(|began| day::day_named(began));
        standing::Span { first: day(self.first), last: day(self.last), case, case_ends: last_day(suspects) }
    }

    fn forgotten(&self) -> api::Forgotten {
        let (hourly_days, daily_days) = self.ledgers.kept_days();
        api::Forgotten {
            senders: self.ledgers.let_go,
            hosts: self.ledgers.hosts_let_go,
            addresses: self.attackers.foes_let_go,
            logins: self.attackers.targets_let_go,
            hourly_days,
            daily_days,
        }
    }

    /// Use by hour and day of every actor and every account, and a limit that fits.
    #[must_use]
    pub fn limits(&self) -> Vec<api::LimitRow> {
        limits::suggest(&self.basis())
    }

    fn local(&self, time: Timestamp) -> Timestamp {
        self.settings.offsets.local(time)
    }

    fn basis(&self) -> Basis<'_> {
        Basis {
            ledgers: &self.ledgers,
            attackers: &self.attackers,
            guesses: Guesses::among(self.attackers.targets()),
            habits: Habits::of(&self.ledgers),
            clients: &self.clients,
            ours: &self.ours,
            joiner: &self.joiner,
            settings: &self.settings,
            first: self.first,
            last: self.last,
        }
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

/// The last day of all cases.
fn last_day(suspects: &[api::Suspect]) -> Option<u32> {
    // What ends at midnight ended on the day before.
    let ended = |time: &String| {
        let day = day::day_named(time)?;
        Some(if time.ends_with("T00:00:00") { day.saturating_sub(1) } else { day })
    };
    suspects.iter().filter_map(|suspect| suspect.case.ended.as_ref().and_then(ended)).max()
}

/// Our own users' mail goes to a ledger at arrival; strangers' mail only counts for the host.
fn arrived(
    ledgers: &mut Ledgers,
    attackers: &mut Attackers,
    clients: &mut Clients,
    settings: &Settings,
    message: &Message,
) {
    if let Origin::Login(user) = &message.origin
        && let Some(ip) = message.ip
    {
        attackers.logged_in((user, ip, Entry::Message), message.arrived, ledgers, settings);
    }
    match Actor::of(message) {
        Some(actor) => {
            if let (Actor::Mailbox(login), Some(ip)) = (&actor, message.ip) {
                let local = settings.offsets.local(message.arrived.unwrap_or_default());
                clients.sent(login, ip, message.recipients, local);
            }
            ledgers.arrival(actor, message, settings);
        }
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
    said: Option<(Provider, Saying)>,
    settings: &Settings,
    message: &Message,
    delivery: &Delivery<'_>,
) {
    let is_remote = is_remote(delivery);
    let actor = Actor::of_delivery(message, delivery);
    let Some(actor) = actor else { return };
    let is_failure = delivery.outcome == Outcome::Failed;
    let tally = Tally {
        is_remote: is_remote || (is_failure && delivery.transport.is_none()),
        outcome: delivery.outcome,
        said,
        by: provider::whose(delivery.host.name.unwrap_or("")),
        is_unknown: is_failure && provider::is_unknown_recipient(delivery),
    };
    ledgers.outcome(actor, message, &tally, settings);
}
