//! The world of a case: a clock that stands, DNS and panel from the file, a store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_filter::dns::{Question, Record, RecordKind, Reply, Resolver};
use tidegate_filter::known::{Answer, Known, Service, Unavailable};
use tidegate_filter::panel::{Account, Hosting, Mailbox};
use tidegate_filter::store::Memory;
use tidegate_filter::world::{Clock, World};
use tidegate_mail::{Address, Domain};

/// A world and the handles by which the test turns it.
pub(crate) struct TestWorld {
    pub(crate) world: World,
    clock: Arc<Standing>,
    dns: Arc<Zone>,
}

impl TestWorld {
    pub(crate) fn new(now: Timestamp, dns: &BTreeMap<String, toml::Value>, panel: Panel) -> Result<TestWorld, String> {
        let clock = Arc::new(Standing(Mutex::new(now)));
        let dns = Arc::new(Zone::new(dns)?);
        let world =
            World { clock: clock.clone(), dns: dns.clone(), store: Arc::new(Memory::new()), panel: Arc::new(panel) };
        Ok(TestWorld { world, clock, dns })
    }

    pub(crate) fn set_clock(&self, now: Timestamp) {
        *self.clock.0.lock().unwrap() = now;
    }

    /// Names that were asked for but not given.
    pub(crate) fn unknown_names(&self) -> Vec<String> {
        self.dns.unknown.lock().unwrap().iter().cloned().collect()
    }
}

struct Standing(Mutex<Timestamp>);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// DNS as the case gives it: `"name TYPE" = ["value", …]`, `[]` for NODATA, `"nxdomain"`, `"timeout"` or `"servfail"`. What
/// it does not give comes from `dns.toml` beside this file.
struct Zone {
    answers: BTreeMap<Question, Known<Reply>>,
    unknown: Mutex<BTreeSet<String>>,
}

const TTL: Duration = Duration::from_secs(300);

impl Zone {
    fn new(given: &BTreeMap<String, toml::Value>) -> Result<Zone, String> {
        let mut answers = BTreeMap::new();
        let ordinary: BTreeMap<String, toml::Value> =
            toml::from_str(include_str!("dns.toml")).map_err(|e| format!("dns.toml: {e}"))?;
        for (question, answer) in ordinary.iter().chain(given) {
            let (name, kind) = question.rsplit_once(' ').ok_or(format!("`{question}` lacks a record type"))?;
            let kind = kind_of(kind).ok_or(format!("`{kind}` is no record type that mail checks ask for"))?;
            answers.insert(Question::new(name, kind), answer_of(kind, answer)?);
        }
        Ok(Zone { answers, unknown: Mutex::default() })
    }
}

fn kind_of(text: &str) -> Option<RecordKind> {
    let kinds = [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Ns, RecordKind::Ptr, RecordKind::Txt];
    kinds.into_iter().find(|kind| kind.to_string() == text)
}

fn answer_of(kind: RecordKind, answer: &toml::Value) -> Result<Known<Reply>, String> {
    if let Some(word) = answer.as_str() {
        return match word {
            "nxdomain" => Ok(Ok(Reply::nxdomain(TTL))),
            "timeout" | "servfail" => Ok(Err(Unavailable::new(Service::Dns, word))),
            other => Err(format!("`{other}` is no answer; write a list, or nxdomain, timeout, servfail")),
        };
    }
    let values = answer.as_array().ok_or("a DNS answer is a list or a word")?;
    let mut records = Vec::new();
    for value in values {
        let text = value.as_str().ok_or("a record is a text")?;
        records.push(record(kind, text).ok_or(format!("`{text}` is no {kind} record"))?);
    }
    Ok(Ok(Reply::found(records, TTL)))
}

fn record(kind: RecordKind, text: &str) -> Option<Record> {
    match kind {
        RecordKind::A => text.parse().ok().map(Record::A),
        RecordKind::Aaaa => text.parse().ok().map(Record::Aaaa),
        RecordKind::Mx => {
            let (preference, host) = text.split_once(' ')?;
            Some(Record::Mx(preference.parse().ok()?, host.trim_end_matches('.').to_owned()))
        }
        RecordKind::Ns => Some(Record::Ns(text.trim_end_matches('.').to_owned())),
        RecordKind::Ptr => Some(Record::Ptr(text.trim_end_matches('.').to_owned())),
        RecordKind::Txt => Some(Record::Txt(text.as_bytes().to_vec())),
    }
}

impl Resolver for Zone {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        let answer = self.answers.get(question).cloned().unwrap_or_else(|| {
            self.unknown.lock().unwrap().insert(question.to_string());
            Ok(Reply::nxdomain(TTL))
        });
        Box::pin(ready(answer))
    }
}

/// `[panel]` of a case.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Panel {
    /// Domains delivered here, each with its account (which may be empty).
    local: BTreeMap<Domain, String>,
    /// Domains that another server delivers.
    relayed: BTreeMap<Domain, String>,
    /// Mailboxes; a domain that has none here does not list them.
    mailboxes: BTreeSet<Address>,
    /// Forwarders.
    forwards: BTreeMap<Address, Vec<Address>>,
    /// Logins and their accounts.
    logins: BTreeMap<String, String>,
}

fn account(name: &str) -> Option<Account> {
    (!name.is_empty()).then(|| Account(name.to_owned()))
}

impl tidegate_filter::panel::Panel for Panel {
    fn hosting(&self, domain: &Domain) -> Hosting {
        if let Some(owner) = self.local.get(domain) {
            return Hosting::Local(account(owner));
        }
        self.relayed.get(domain).map_or(Hosting::Foreign, |owner| Hosting::Relayed(account(owner)))
    }

    fn recipient(&self, address: &Address) -> Mailbox {
        if let Some(to) = self.forwards.get(address) {
            return Mailbox::Forwards { to: to.clone(), keeps_copy: self.mailboxes.contains(address) };
        }
        if self.mailboxes.contains(address) {
            return Mailbox::Exists;
        }
        let lists = self.mailboxes.iter().any(|mailbox| mailbox.domain() == address.domain());
        if lists { Mailbox::Unknown } else { Mailbox::NotListed }
    }

    fn owner_of_login(&self, login: &str) -> Option<Account> {
        self.logins.get(login).and_then(|name| account(name))
    }

    fn owner_of_uid(&self, _uid: u32) -> Option<Account> {
        None
    }
}
