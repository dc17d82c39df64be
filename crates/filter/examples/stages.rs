//! Times each stage of a session with all checks on and every DNS answer at hand:
//! `cargo run --release --example stages -p tidegate-filter`. Prints microseconds, median and 99th percentile.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a measurement")]

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate_filter::dns::{Question, Record, RecordKind, Reply, Resolver};
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::known::{Answer, Known};
use tidegate_filter::panel::{Account, Hosting, Mailbox, Panel};
use tidegate_filter::session::{Client, Helo, Remote};
use tidegate_filter::settings::{Deadlines, ServerIdentity};
use tidegate_filter::store::Memory;
use tidegate_filter::world::{Clock, World};
use tidegate_mail::{Address, Domain, Limits, Message, ReversePath};

const SESSIONS: usize = 20_000;
const STAGES: [&str; 5] = ["connect", "helo", "mail", "rcpt", "data"];
const MESSAGE: &str = "From: a@example.net\r\nTo: b@example.org\r\nSubject: t\r\nDate: Fri, 02 Jan 2026 03:00:00 +0000\r\n\
                       Message-ID: <1@example.net>\r\n\r\nbody\r\n";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut times = runtime.block_on(measure());
    for (stage, times) in STAGES.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        println!("{stage:>8}: {:>5} ns median, {:>6} ns p99", at(50).as_nanos(), at(99).as_nanos());
    }
}

async fn measure() -> Vec<Vec<Duration>> {
    let world = World {
        clock: Arc::new(Standing),
        dns: Arc::new(warm()),
        store: Arc::new(Memory::new()),
        panel: Arc::new(OneDomain),
    };
    let engine = Arc::new(Engine::new(config()).map_err(|problems| format!("{problems:?}")).unwrap());
    let message = Arc::new(Message::parse(MESSAGE.as_bytes().to_vec(), &Limits::default()));
    let mut times = vec![Vec::with_capacity(SESSIONS); STAGES.len()];
    for _ in 0..SESSIONS {
        let mut watch = Watch { times: &mut times, stage: 0, since: Instant::now() };
        let remote = Remote { ip: "192.0.2.7".parse().unwrap(), port: 1, interface: None, open_sessions: 1 };
        let (mut session, _) = engine.open(Client::Remote(remote), world.clone()).await;
        watch.lap();
        session.helo(Some(Helo::new("mx.example.net")), None).await;
        watch.lap();
        session.mail(ReversePath::parse("a@example.net").unwrap(), None).await;
        watch.lap();
        session.rcpt(Address::parse("b@example.org").unwrap()).await.unwrap();
        watch.lap();
        session.data(Arc::clone(&message)).await.unwrap();
        watch.lap();
    }
    times
}

struct Watch<'a> {
    times: &'a mut Vec<Vec<Duration>>,
    stage: usize,
    since: Instant,
}

impl Watch<'_> {
    fn lap(&mut self) {
        let now = Instant::now();
        if let Some(times) = self.times.get_mut(self.stage) {
            times.push(now - self.since);
        }
        self.stage += 1;
        self.since = Instant::now();
    }
}

fn config() -> Config {
    Config {
        fingerprint: String::new(),
        identity: ServerIdentity { hostname: Domain::parse("mx.test").unwrap(), trusted_relays: Vec::new() },
        deadlines: Deadlines::default(),
        policy: tidegate_filter::policy::Config::default(),
        checks: tidegate_filter::checks::Config::default(),
        weights: std::collections::BTreeMap::new(),
        lists: Vec::new(),
        blocklists: tidegate_filter::blocklists::Catalogue::default(),
        rules: None,
    }
}

/// A sender of ordinary size: SPF through three includes, a DMARC record, a confirmed name.
fn warm() -> Warm {
    let networks = |from: u32| (from..from + 15).map(|n| format!("ip4:198.{n}.0.0/16 ")).collect::<String>();
    let mut answers = HashMap::new();
    let mut add = |name: &str, kind, record| {
        answers.insert(Question::new(name, kind), Reply::found(vec![record], Duration::from_secs(300)));
    };
    let txt = |text: String| Record::Txt(text.into_bytes());
    add("example.net", RecordKind::Txt, txt("v=spf1 include:_spf.example.net -all".into()));
    let includes = "v=spf1 include:_a.example.net include:_b.example.net include:_c.example.net ~all";
    add("_spf.example.net", RecordKind::Txt, txt(includes.into()));
    add("_a.example.net", RecordKind::Txt, txt(format!("v=spf1 {}~all", networks(0))));
    add("_b.example.net", RecordKind::Txt, txt(format!("v=spf1 {}~all", networks(20))));
    add("_c.example.net", RecordKind::Txt, txt(format!("v=spf1 {}ip4:192.0.2.0/24 ~all", networks(40))));
    add("_dmarc.example.net", RecordKind::Txt, txt("v=DMARC1; p=reject; rua=mailto:a@example.net".into()));
    add("example.net", RecordKind::Mx, Record::Mx(10, "mx.example.net".into()));
    add("mx.example.net", RecordKind::A, Record::A("192.0.2.7".parse().unwrap()));
    add("mx.example.net", RecordKind::Txt, txt("v=spf1 a -all".into()));
    add("7.2.0.192.in-addr.arpa", RecordKind::Ptr, Record::Ptr("mx.example.net".into()));
    Warm(answers)
}

struct Warm(HashMap<Question, Reply>);

impl Resolver for Warm {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        let answer = self.0.get(question).cloned().unwrap_or_else(|| Reply::nxdomain(Duration::from_secs(300)));
        Box::pin(ready(Ok(answer)))
    }
}

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

struct OneDomain;

impl Panel for OneDomain {
    fn hosting(&self, domain: &Domain) -> Hosting {
        if domain.as_str() == "example.org" { Hosting::Local(None) } else { Hosting::Foreign }
    }
    fn recipient(&self, _address: &Address) -> Mailbox {
        Mailbox::Exists
    }
    fn owner_of_login(&self, _login: &str) -> Option<Account> {
        None
    }
    fn owner_of_uid(&self, _uid: u32) -> Option<Account> {
        None
    }
}
