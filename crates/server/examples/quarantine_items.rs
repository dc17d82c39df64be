//! Measures the quarantine: `quarantine_items FOLDER ITEMS` offers and keeps that many messages, then lists them. Run with
//! `--release`; on a memory disk it shows what the index costs, on a real one what the disk does.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement that breaks is to fail loudly")]
#![allow(clippy::indexing_slicing, reason = "positions within a length")]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::quarantine::{Config, Filter, Offer, Quarantine, Reason};
use tidegate_mail::Score;
use tidegate_wire::exim::ExactAddress;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, items] = args.as_slice() else { panic!("usage: FOLDER ITEMS") };
    let (folder, items) = (Path::new(folder), items.parse::<u64>().unwrap());
    let quarantine = Quarantine::open(folder, Config::default()).unwrap();
    let now = Timestamp::now();
    let (mut offered, mut kept) = (Vec::new(), Vec::new());
    for number in 0..items {
        let recipient = ExactAddress::new(format!("user{}@domain{}.test", number % 977, number % 211));
        let offer = Offer {
            mta_id: format!("1vQ{number:09}-abcdef"),
            record: format!("abcdefghijklmnop.{number}"),
            received: now,
            client: Some("192.0.2.7".parse().unwrap()),
            sender: ExactAddress::new(format!("sender{number}@bad{}.example", number % 97)),
            recipients: vec![Reason { address: recipient.clone(), score: Score::points(9), reason: "score 9".into() }],
            subject: Some(format!("subject {number}")),
            message: vec![b'x'; 3000].into(),
        };
        let begin = Instant::now();
        quarantine.offer_now(&offer).unwrap();
        offered.push(begin.elapsed());
        let begin = Instant::now();
        quarantine.keep_now(&offer.mta_id, &recipient, now).unwrap();
        kept.push(begin.elapsed());
    }
    report("offer", offered);
    report("keep", kept);
    let newest = || Filter { limit: 50, ..Filter::default() };
    let filters = [
        ("the newest 50", newest()),
        ("50 of a domain", Filter { recipient: Some("domain7.test".into()), ..newest() }),
        ("of a recipient that is not there", Filter { recipient: Some("nobody@nowhere.test".into()), ..newest() }),
        ("50 of a sender domain", Filter { sender: Some("bad3.example".into()), ..newest() }),
    ];
    for (what, filter) in filters {
        let begin = Instant::now();
        let found = quarantine.list(&filter).unwrap().len();
        println!("list {what}: {found} in {:.1?}", begin.elapsed());
    }
    let begin = Instant::now();
    println!("{:?} in {:.1?}", quarantine.stats().unwrap(), begin.elapsed());
    let begin = Instant::now();
    drop(Quarantine::open(folder, Config::default()).unwrap());
    println!("opened in {:.1?}", begin.elapsed());
    let begin = Instant::now();
    quarantine.expire(now).unwrap();
    println!("expire, nothing due: {:.1?}", begin.elapsed());
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1000];
    println!("{what}: p50 {:.1?}, p99 {:.1?}, longest {:.1?}", at(500), at(990), at(1000));
}
