//! A world whose DNS is a table: what is not in it does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_filter::dns::{Question, Record, RecordKind, Reply, Resolver};
use tidegate_filter::known::{Answer, Known, Service, Unavailable};
use tidegate_filter::panel::{Account, Hosting, Mailbox, Panel};
use tidegate_filter::store::Memory;
use tidegate_filter::world::{Clock, World};
use tidegate_mail::{Address, Domain};

#[derive(Default)]
pub(crate) struct Zone {
    records: BTreeMap<Question, Vec<Record>>,
    /// Names that exist, with or without records.
    names: BTreeSet<String>,
    silent: BTreeSet<Question>,
    aliases: BTreeMap<String, String>,
    asked: Mutex<Vec<String>>,
}

/// Far more than a table in memory needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const KINDS: [RecordKind; 5] = [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Ptr, RecordKind::Txt];

impl Zone {
    pub(crate) fn add(&mut self, name: &str, kind: RecordKind, record: Record) {
        let question = Question::new(name, kind);
        self.names.insert(question.name().to_owned());
        self.records.entry(question).or_default().push(record);
    }

    pub(crate) fn txt(mut self, name: &str, text: &str) -> Zone {
        self.add(name, RecordKind::Txt, Record::Txt(text.as_bytes().to_vec()));
        self
    }

    pub(crate) fn a(mut self, name: &str, address: &str) -> Zone {
        self.add(name, RecordKind::A, Record::A(address.parse().unwrap()));
        self
    }

    pub(crate) fn exists(&mut self, name: &str) {
        self.names.insert(Question::new(name, RecordKind::A).name().to_owned());
    }

    pub(crate) fn alias(&mut self, name: &str, target: &str) {
        let plain = |name: &str| Question::new(name, RecordKind::A).name().to_owned();
        self.aliases.insert(plain(name), plain(target));
    }

    /// The name at the end of a chain of aliases; `None` for a loop, which resolvers answer with SERVFAIL.
    fn resolved(&self, question: &Question) -> Option<Question> {
        let mut name = question.name();
        for _ in 0..=self.aliases.len() {
            match self.aliases.get(name) {
                Some(target) => name = target,
                None => return Some(Question::new(name, question.kind())),
            }
        }
        None
    }

    /// No question of `kind` about `name` is answered, unless there is a record for it.
    pub(crate) fn silence(&mut self, name: &str) {
        self.silent.extend(KINDS.into_iter().map(|kind| Question::new(name, kind)));
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolver for Zone {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        const TTL: Duration = Duration::from_secs(300);
        self.asked.lock().unwrap().push(question.to_string());
        let Some(question) = self.resolved(question) else {
            return Box::pin(ready(Err(Unavailable::new(Service::Dns, "servfail"))));
        };
        let answer = match self.records.get(&question) {
            Some(records) => Ok(Reply::found(records.clone(), TTL)),
            None if self.silent.contains(&question) => Err(Unavailable::new(Service::Dns, "timeout")),
            None if self.names.contains(question.name()) => Ok(Reply::found(Vec::new(), TTL)),
            None => Ok(Reply::nxdomain(TTL)),
        };
        Box::pin(ready(answer))
    }
}

struct Standing(Timestamp);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct NoPanel;

impl Panel for NoPanel {
    fn hosting(&self, _domain: &Domain) -> Hosting {
        Hosting::Foreign
    }
    fn recipient(&self, _address: &Address) -> Mailbox {
        Mailbox::NotListed
    }
    fn owner_of_login(&self, _login: &str) -> Option<Account> {
        None
    }
    fn owner_of_uid(&self, _uid: u32) -> Option<Account> {
        None
    }
}

/// A world with this DNS at this moment.
pub(crate) fn world(zone: &Arc<Zone>, now: Timestamp) -> World {
    World {
        clock: Arc::new(Standing(now)),
        dns: Arc::clone(zone) as Arc<dyn Resolver>,
        store: Arc::new(Memory::new()),
        panel: Arc::new(NoPanel),
    }
}

/// Runs a fact to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}
