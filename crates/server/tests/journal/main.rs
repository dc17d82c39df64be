//! The journal under kill -9: no record that was said to be on disk is lost, none is there twice, and every one reads.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that breaks is to fail loudly; it has its own files"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use tidegate::journal::{Config, Journal, Query, Reader, Record};
use tidegate_filter::policy::{self, Brief};
use tidegate_filter::session::Stage;

const FOLDER: &str = "TIDEGATE_TEST_JOURNAL";
const FIRST: &str = "TIDEGATE_TEST_FIRST";
const ROUNDS: u64 = 15;

fn record(number: u64) -> Record {
    let brief = Brief {
        stage: Stage::Data,
        refuse_at: Stage::Rcpt,
        submits: false,
        can_keep: true,
        advises: false,
        caps: BTreeMap::new(),
        findings: Vec::new(),
        gaps: Vec::new(),
        recipients: Vec::new(),
    };
    Record {
        id: format!("s{number}.1"),
        at: Timestamp::from_millisecond(1_760_000_000_000 + i64::try_from(number).unwrap()).unwrap(),
        client: None,
        helo: None,
        login: None,
        uid: None,
        sender: None,
        mta_id: None,
        message_id: None,
        subject: None,
        size: Some(number),
        verdict: policy::decide(&brief),
        brief,
        edits: Vec::new(),
        engine: "1".into(),
        duration_us: 1,
        unheard: false,
    }
}

/// The process to be killed: records without end, and says which number is on disk.
#[test]
#[ignore = "runs as a child of `acknowledged_records_survive_a_kill`"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let journal = Journal::open(Path::new(&folder), Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in first.. {
        if number % 40 == 0 {
            runtime.block_on(journal.record_synced(record(number))).unwrap();
            println!("\nsynced {number}");
            std::io::stdout().flush().unwrap();
        } else {
            while !journal.record(record(number)) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn acknowledged_records_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = 0;
    let mut kept: Vec<u64> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut synced = None;
        let mut remaining = round * 2 + 1;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("synced ") {
                synced = Some(number.parse::<u64>().unwrap());
                remaining = remaining.saturating_sub(1);
                if remaining == 0 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        let synced = synced.expect("it got somewhere");
        // Records go to disk in order: all before an acknowledged one are there as well.
        kept.extend(next..=synced);
        next = synced + 100_000;
    }
    let found = Reader::new(folder.path()).find(&Query::newest(10_000)).unwrap();
    assert_eq!(found.gaps, [""; 0]);
    let mut numbers: Vec<u64> = found.entries.iter().map(|entry| entry.record.size.unwrap()).collect();
    numbers.reverse();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    let missing: Vec<_> = kept.iter().filter(|number| numbers.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?} of {} are missing", kept.len());
    assert!(found.entries.iter().all(|entry| entry.record.verify().is_ok()));
    println!("{} records, {} of them acknowledged", numbers.len(), kept.len());
}
