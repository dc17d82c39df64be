//! One question: who sent this, how, how much, since when? By login, address, account, script or message-id.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ledger::Actor;
use super::{Settings, provider};
use crate::api::report as api;
use crate::event::{Event, Kind, Outcome};
use crate::time::Timestamp;
use crate::transaction::{Joiner, Message, Place, QueueId, Step};

/// Messages that an answer lists.
const MESSAGES_MAX: usize = 200;
/// Networks, senders and scripts that an answer counts.
const PARTS_MAX: usize = 200;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// An address of the internet.
    Ip(IpAddr),
    /// A queue id.
    Message(String),
    /// A login, envelope sender, local user, account, script, or a message-id.
    Name(String),
}

impl Query {
    /// Reads what a person typed.
    #[must_use]
    pub fn parse(text: &str) -> Query {
        if let Ok(ip) = text.parse() {
            return Query::Ip(ip);
        }
        let is_id = matches!(text.len(), 16 | 23) && text.bytes().filter(|b| *b == b'-').count() == 2;
        if is_id && QueueId::new(text).is_some() {
            return Query::Message(text.to_owned());
        }
        Query::Name(text.trim_matches(['<', '>']).to_ascii_lowercase())
    }
}

/// Looks through events for one answer.
#[derive(Debug)]
pub struct Search {
    query: Query,
    settings: Settings,
    joiner: Joiner,
    answer: api::Answer,
    /// Message-ids are not kept with every message, so the queue ids of those that fit are.
    wanted: Vec<QueueId>,
    days: BTreeMap<i64, u64>,
    ways: BTreeMap<String, u64>,
    clients: BTreeMap<String, u64>,
}

impl Search {
    /// A search that has seen nothing.
    #[must_use]
    pub fn new(query: Query, settings: Settings) -> Search {
        Search {
            joiner: Joiner::new(settings.open_messages_max),
            query,
            settings,
            answer: api::Answer::default(),
            wanted: Vec::new(),
            days: BTreeMap::new(),
            ways: BTreeMap::new(),
            clients: BTreeMap::new(),
        }
    }

    /// Takes one event from `place`.
    pub fn feed(&mut self, event: &Event<'_>, place: Place) {
        match &event.kind {
            Kind::Arrival(arrival) => {
                if let (Query::Name(name), Some(id)) = (&self.query, arrival.message_id)
                    && id.trim_matches(['<', '>']).eq_ignore_ascii_case(name)
                    && let Some(id) = event.id.and_then(QueueId::new)
                    && self.wanted.len() < MESSAGES_MAX
                {
                    self.wanted.push(id);
                }
            }
            Kind::Login(login) if self.is_login(login.user, login.peer.ip) => self.answer.logins += 1,
            _ => {}
        }
        if let Some(offence) = event.offence()
            && self.is_login(offence.user.unwrap_or(""), Some(offence.ip))
        {
            self.answer.offences += u64::from(offence.times);
        }
        let Search { joiner, query, settings, answer, wanted, days, ways, clients } = self;
        joiner.feed(event, place, |step| {
            let mut all = Answering { query, settings, answer, wanted, days, ways, clients };
            all.step(&step);
        });
    }

    fn is_login(&self, user: &str, ip: Option<IpAddr>) -> bool {
        match &self.query {
            Query::Ip(wanted) => ip == Some(*wanted),
            Query::Name(name) => user.eq_ignore_ascii_case(name),
            Query::Message(_) => false,
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn answer(&self) -> api::Answer {
        let counted = |map: &BTreeMap<String, u64>| {
            let mut list: Vec<api::Count> =
                map.iter().map(|(name, times)| api::Count { name: name.clone(), times: *times }).collect();
            list.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.name.cmp(&b.name)));
            list.truncate(self.settings.rows_max);
            list
        };
        let day = |(day, times): (&i64, &u64)| api::Count {
            name: Timestamp::from_millis(day * crate::time::DAY_MS)
                .to_string()
                .split('T')
                .next()
                .unwrap_or("")
                .to_owned(),
            times: *times,
        };
        api::Answer {
            by_day: self.days.iter().map(day).collect(),
            ways: counted(&self.ways),
            clients: counted(&self.clients),
            ..self.answer.clone()
        }
    }
}

/// The parts of a search that change while the joiner runs.
struct Answering<'s> {
    query: &'s Query,
    settings: &'s Settings,
    answer: &'s mut api::Answer,
    wanted: &'s [QueueId],
    days: &'s mut BTreeMap<i64, u64>,
    ways: &'s mut BTreeMap<String, u64>,
    clients: &'s mut BTreeMap<String, u64>,
}

impl Answering<'_> {
    fn step(&mut self, step: &Step<'_, '_>) {
        match step {
            Step::Arrived(message) if self.fits(message) => self.arrived(message),
            Step::Outcome(message, delivery) if self.fits(message) => {
                match delivery.outcome {
                    Outcome::Delivered | Outcome::Discarded => self.answer.delivered += 1,
                    Outcome::Deferred => self.answer.deferred += 1,
                    Outcome::Failed => self.answer.failed += 1,
                }
                let is_refusal = delivery.outcome == Outcome::Failed;
                if is_refusal && provider::of(delivery).is_some_and(|(_, saying)| saying.is_spam()) {
                    self.answer.spam_refusals += 1;
                }
            }
            _ => {}
        }
    }

    fn fits(&self, message: &Message) -> bool {
        match self.query {
            Query::Ip(ip) => message.ip == Some(*ip),
            Query::Message(id) => message.id.as_str() == id,
            Query::Name(name) => {
                let actor = Actor::of(message);
                let is_actor = actor.as_ref().is_some_and(|actor| {
                    actor.name().eq_ignore_ascii_case(name)
                        || actor.account(self.settings).eq_ignore_ascii_case(name)
                        || matches!(actor, Actor::Script { script, .. } if is_about_script(name, script))
                });
                is_actor
                    || message.sender.eq_ignore_ascii_case(name)
                    // Postfix's queue ids have no form of their own.
                    || message.id.as_str().eq_ignore_ascii_case(name)
                    || self.wanted.contains(&message.id)
            }
        }
    }

    fn arrived(&mut self, message: &Message) {
        let time = message.arrived.map(|time| time.to_string());
        self.answer.messages += 1;
        self.answer.recipients += u64::from(message.recipients);
        self.answer.first = self.answer.first.take().or_else(|| time.clone());
        self.answer.last.clone_from(&time);
        if let Some(at) = message.arrived {
            *self.days.entry(self.settings.offsets.local(at).day()).or_default() +=
                u64::from(message.recipients.max(1));
        }
        if let Some(ip) = message.ip {
            count(self.clients, ip.to_string());
        }
        let way = match Actor::of(message) {
            Some(actor) => format!("{} {}", actor.kind(), actor.name()),
            None => "from outside".to_owned(),
        };
        count(self.ways, way);
        if self.answer.examples.len() < MESSAGES_MAX {
            self.answer.examples.push(api::Sample {
                id: message.id.as_str().to_owned(),
                time,
                file: message.place.file,
                line: message.place.line,
                sender: message.sender.to_string(),
                subject: message.subject.to_string(),
                client_ip: message.ip.map(|ip| ip.to_string()),
            });
        }
    }
}

/// Whether `name` is a file in the directory `script` in which a program was started, or a directory above it. `name` is in
/// lower case.
fn is_about_script(name: &str, script: &str) -> bool {
    let script = script.to_ascii_lowercase();
    let folder = name.trim_end_matches('/');
    if !folder.starts_with('/') {
        return false;
    }
    let is_above = script.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    is_above || folder.rsplit_once('/').is_some_and(|(parent, _)| parent == script)
}

fn count(map: &mut BTreeMap<String, u64>, name: String) {
    if map.len() < PARTS_MAX || map.contains_key(&name) {
        *map.entry(name).or_default() += 1;
    }
}
