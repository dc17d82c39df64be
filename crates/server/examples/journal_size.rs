//! Measures the journal: `journal_size FOLDER DELIVERIES REFUSALS` records that many of each, with findings as a busy
//! server has them, and says what they take. Run with `--release`.
//!
//! The mixture is made up, and said here so that the figures can be judged: one sender in three is seen again and again,
//! every other name is new; messages have seven findings. Refusals come from one client for every ten, at RCPT, to names
//! that never repeat, all mixed.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement that breaks is to fail loudly")]
#![allow(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "figures for people; positions within a length"
)]

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::journal::{Config, Journal, Query, Record};
use tidegate_filter::check::{Class, Evidence, Group, RefusalKind};
use tidegate_filter::policy::{self, Brief, RecipientBrief, Thresholds, Weighed};
use tidegate_filter::session::{Direction, Stage};
use tidegate_filter::verdict::HeaderEdit;
use tidegate_mail::{Address, ReversePath, Score};

/// A busy day: 300,000 deliveries and ten times as many refusals.
const RECORDS_A_DAY: u64 = 3_300_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, deliveries, refusals] = args.as_slice() else { panic!("usage: FOLDER DELIVERIES REFUSALS") };
    let folder = Path::new(folder);
    let mut made = Made::new();
    let only = |what: &str, accepted: u64, refused: u64, made: &mut Made| {
        let folder = folder.join(what);
        let took = fill(&folder, accepted, refused, made);
        let octets: u64 = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        let count = accepted + refused;
        println!(
            "{what}: {count} records in {took:.1?} ({:.0} a second), {:.1} MB, {:.1} octets a record",
            count as f64 / took.as_secs_f64(),
            octets as f64 / 1e6,
            octets as f64 / count as f64
        );
        octets
    };
    let (accepted, refused) = (deliveries.parse().unwrap(), refusals.parse().unwrap());
    only("deliveries", accepted, 0, &mut made);
    only("refusals", 0, refused, &mut made);
    let octets = only("both", accepted, refused, &mut made);
    let day = octets as f64 / (accepted + refused) as f64 * RECORDS_A_DAY as f64;
    println!("30 days of {RECORDS_A_DAY} such records: {:.2} GB", day * 30.0 / 1e9);
    query(&folder.join("both"), &made);
}

fn fill(folder: &Path, accepted: u64, refused: u64, made: &mut Made) -> Duration {
    let journal = Journal::open(folder, Config::default()).unwrap();
    let day = Timestamp::from_second(1_760_000_000 / 86_400 * 86_400).unwrap();
    let count = accepted + refused;
    let begin = Instant::now();
    for number in 0..count {
        // As dense as on the day that is meant, so that floods are closed as they are in life.
        let at = day + Duration::from_micros(86_399_000_000 * number / RECORDS_A_DAY.max(count));
        let is_delivery = number * accepted / count != (number + 1) * accepted / count;
        let mut record = if is_delivery { made.delivery(at) } else { made.refusal(at) };
        journal.name(&mut record);
        while !journal.record(record.clone()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    // A record of the next day but one closes the day.
    for days in 1..=2 {
        journal.record(made.delivery(day + Duration::from_secs(86_400 * days)));
    }
    drop(journal);
    let took = begin.elapsed();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if !path.to_string_lossy().contains("2025-10-09") {
            std::fs::remove_file(path).unwrap();
        }
    }
    took
}

fn query(folder: &Path, made: &Made) {
    let reader = tidegate::journal::Reader::new(folder);
    let queries = [
        ("an id", Query::newest(10).about(&made.some_id)),
        ("an address that is there once", Query::newest(10).about(&made.some_address)),
        ("an address that is not there", Query::newest(10).about("nobody@nowhere.example")),
        ("the newest 50", Query::newest(50)),
    ];
    for (what, query) in queries {
        let begin = Instant::now();
        let found = reader.find(&query).unwrap();
        println!("{what}: {} found in {:.1?}", found.entries.len(), begin.elapsed());
    }
}

struct Made {
    state: u64,
    clients: Vec<String>,
    some_id: String,
    some_address: String,
}

impl Made {
    fn new() -> Made {
        let state = RandomState::new().build_hasher().finish();
        Made { state, clients: Vec::new(), some_id: String::new(), some_address: String::new() }
    }

    fn random(&mut self, below: u64) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.state);
        self.state = hasher.finish();
        self.state % below
    }

    fn word(&mut self, length: u64) -> String {
        (0..length).map(|_| char::from(b'a' + u8::try_from(self.random(26)).unwrap())).collect()
    }

    /// 64 random bits in base32, as the daemon makes them.
    fn session(&mut self) -> String {
        let letters = b"abcdefghijklmnopqrstuvwxyz234567";
        (0..13).map(|_| char::from(letters[usize::try_from(self.random(32)).unwrap()])).collect()
    }

    /// Seconds, process and part of a second in base 62, as Exim makes them.
    fn exim_id(&mut self, at: Timestamp) -> String {
        let seconds = u64::try_from(at.as_second()).unwrap();
        format!("{}-{}-{}", base_62(seconds, 6), base_62(self.random(4_194_304), 6), base_62(self.random(2000), 2))
    }

    fn ip(&mut self) -> String {
        format!("{}.{}.{}.{}", 1 + self.random(222), self.random(256), self.random(256), self.random(256))
    }

    fn delivery(&mut self, at: Timestamp) -> Record {
        let domain = match self.random(3) {
            0 => format!("brand{}.example", self.random(500)),
            _ => format!("{}.example", self.word(9)),
        };
        let (ip, id) = (self.ip(), format!("{}.1", self.session()));
        let sender = format!("{}@bounce.{domain}", self.word(10));
        let recipient = format!("user{}@domain{}.test", self.random(5000), self.random(800));
        let selector = self.word(6);
        let host = format!("mail{}.{domain}", self.random(9));
        let findings = vec![
            finding("fcrdns", "FCRDNS_OK", Stage::Connect, 0, Group::ClientNames, &host),
            finding("dnswl", "DNSWL_MED", Stage::Connect, -1000, Group::ClientLists, &format!("list.dnswl.org {ip}")),
            finding("helo", "HELO_OK", Stage::Helo, 0, Group::ClientNames, &host),
            finding("spf", "SPF_PASS", Stage::Mail, -100, Group::Identity, &format!("bounce.{domain} {ip}")),
            finding("dkim", "DKIM_PASS", Stage::Data, -500, Group::Identity, &format!("{domain} {selector}")),
            finding("dmarc", "DMARC_PASS", Stage::Data, -500, Group::Identity, &format!("{domain} p=reject dkim spf")),
            finding("rfc", "HEADER_REPEATED", Stage::Data, 500, Group::Form, "Message-ID"),
        ];
        let results = format!(
            "mx.host.test; spf=pass smtp.mailfrom=bounce.{domain}; dkim=pass header.d={domain} header.s={selector}; dmarc=pass header.from={domain}"
        );
        let brief = brief(Stage::Data, findings, vec![recipient_brief(&recipient, Vec::new())]);
        let subject = format!("{} {} {} {}", self.word(7), self.word(4), self.word(8), self.word(5));
        let mta = self.exim_id(at);
        if self.random(1000) == 0 {
            self.some_id.clone_from(&id);
            self.some_address.clone_from(&sender);
        }
        Record {
            client: Some(ip.parse().unwrap()),
            helo: Some(host),
            sender: Some(ReversePath::parse(&sender).unwrap()),
            mta_id: Some(mta),
            message_id: Some(format!("{}@{domain}", self.word(24))),
            subject: Some(subject),
            size: Some(2000 + self.random(90_000)),
            edits: vec![
                HeaderEdit::Add { name: "X-Tidegate-Status".into(), value: "accept score=-1.6".into() },
                HeaderEdit::Add { name: "Authentication-Results".into(), value: results },
                HeaderEdit::Add { name: "X-Tidegate-Id".into(), value: id.clone() },
            ],
            ..record(id, at, brief, 300 + self.random(3000))
        }
    }

    fn refusal(&mut self, at: Timestamp) -> Record {
        // A tenth are new clients; the others are one of the last thousand.
        if self.clients.is_empty() || self.random(10) == 0 {
            let ip = self.ip();
            self.clients.push(ip);
            if self.clients.len() > 1000 {
                self.clients.remove(0);
            }
        }
        let position = usize::try_from(self.random(self.clients.len() as u64)).unwrap();
        let ip = self.clients[position].clone();
        let host = format!("host-{}.dynamic.isp{}.example", ip.replace('.', "-"), ip.len());
        let findings = vec![
            finding("fcrdns", "FCRDNS_NONE", Stage::Connect, 1000, Group::ClientNames, &ip),
            refusal("dnsbl", "DNSBL_ZEN_XBL", &format!("zen.example {ip} 127.0.0.4")),
            finding("helo", "HELO_DYNAMIC", Stage::Helo, 1500, Group::ClientNames, &host),
            finding("spf", "SPF_NONE", Stage::Mail, 300, Group::Identity, "no record"),
        ];
        let recipient = format!("{}@domain{}.test", self.word(8), self.random(800));
        let sender = format!("{}@{}.example", self.word(8), self.word(10));
        let id = format!("{}.{}", self.session(), 1 + self.random(3));
        let brief = brief(Stage::Rcpt, findings, vec![recipient_brief(&recipient, Vec::new())]);
        Record {
            client: Some(ip.parse().unwrap()),
            helo: Some(host),
            sender: Some(ReversePath::parse(&sender).unwrap()),
            ..record(id, at, brief, 100 + self.random(400))
        }
    }
}

fn base_62(mut number: u64, digits: usize) -> String {
    let all = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = vec![b'0'; digits];
    for place in text.iter_mut().rev() {
        *place = all[usize::try_from(number % 62).unwrap()];
        number /= 62;
    }
    String::from_utf8(text).unwrap()
}

fn record(id: String, at: Timestamp, brief: Brief, duration_us: u64) -> Record {
    let verdict = policy::decide(&brief);
    Record {
        id,
        at,
        client: None,
        helo: None,
        login: None,
        uid: None,
        sender: None,
        mta_id: None,
        message_id: None,
        subject: None,
        size: None,
        brief,
        verdict,
        edits: Vec::new(),
        engine: "0.1.0 5f3a77c01b22e9d4".into(),
        duration_us,
        unheard: false,
    }
}

fn brief(stage: Stage, findings: Vec<Weighed>, recipients: Vec<RecipientBrief>) -> Brief {
    let config = policy::Config::default();
    let caps: BTreeMap<Group, Score> = config.caps;
    Brief {
        stage,
        refuse_at: Stage::Rcpt,
        submits: false,
        can_keep: true,
        advises: false,
        caps,
        findings,
        gaps: Vec::new(),
        recipients,
    }
}

fn recipient_brief(address: &str, findings: Vec<Weighed>) -> RecipientBrief {
    RecipientBrief {
        address: Address::parse(address).unwrap(),
        direction: Direction::Inbound,
        policy: "server inbound".into(),
        thresholds: Thresholds::built_in(Direction::Inbound),
        findings,
    }
}

fn finding(check: &str, symbol: &str, stage: Stage, milli: i32, group: Group, evidence: &str) -> Weighed {
    Weighed {
        check: check.into(),
        stage,
        symbol: symbol.into(),
        weight: Score::milli(milli),
        class: Class::Evidence,
        group,
        evidence: Evidence::from(evidence),
        doc: format!("What {symbol} means is told in one sentence of about this length."),
        until: None,
        only_for: None,
    }
}

fn refusal(check: &str, symbol: &str, evidence: &str) -> Weighed {
    let class = Class::Refusal(RefusalKind::DnsBlockList);
    Weighed { class, ..finding(check, symbol, Stage::Connect, 4000, Group::ClientLists, evidence) }
}
