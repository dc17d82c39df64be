//! `tidegate who` with the journal beside the logs: verdicts stand below what the logs tell, and are found without any log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tidegate::journal::{Config, Journal, Record};
use tidegate_filter::policy::{self, Brief};
use tidegate_filter::session::Stage;

use super::{scene, tidegate};

fn record() -> Record {
    let brief = Brief {
        stage: Stage::Data,
        refuse_at: Stage::Rcpt,
        submits: true,
        advises: false,
        can_keep: true,
        caps: BTreeMap::new(),
        findings: Vec::new(),
        gaps: Vec::new(),
        recipients: Vec::new(),
    };
    Record {
        id: "journaled.1".to_owned(),
        at: Timestamp::from_second(1_772_448_000).unwrap(),
        client: Some("198.51.100.7".parse().unwrap()),
        helo: None,
        login: Some("anna@site.example".to_owned()),
        uid: None,
        sender: None,
        mta_id: Some("1vweee-0000000000E-0001".to_owned()),
        message_id: Some("a2@site.example".to_owned()),
        subject: Some("Again".to_owned()),
        size: Some(2048),
        verdict: policy::decide(&brief),
        brief,
        edits: Vec::new(),
        engine: "1".to_owned(),
        duration_us: 1,
        unheard: false,
    }
}

#[test]
fn verdicts_stand_beside_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    scene::make(folder.path());
    let journal = Journal::open(&folder.path().join("state/journal"), Config::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(journal.record_synced(record())).unwrap();
    drop(journal);
    let who = |arguments: &[&str]| tidegate(folder.path()).arg("who").args(arguments).output().unwrap();
    for name in ["anna@site.example", "198.51.100.7", "<a2@site.example>", "1vweee-0000000000E-0001"] {
        let screen = String::from_utf8(who(&[name, "--root", "root"]).stdout).unwrap();
        let verdicts: Vec<&str> = screen.lines().filter(|line| line.starts_with("verdicts")).collect();
        assert_eq!(verdicts.len(), 1, "{name}: {screen}");
        assert!(verdicts.concat().contains("journaled.1") && screen.contains("message"), "{name}: {screen}");
        let answer: Value = serde_json::from_slice(&who(&[name, "--root", "root", "--json"]).stdout).unwrap();
        assert_eq!(answer["records"][0]["id"], "journaled.1", "{name}");
    }
    // No log at all: the journal still knows.
    let without = who(&["anna@site.example", "--root", "none"]);
    assert!(String::from_utf8(without.stdout).unwrap().contains("journaled.1"));
    assert_eq!(without.status.code(), Some(0));
    // The same span of time holds for both.
    let later: Value = serde_json::from_slice(
        &who(&["anna@site.example", "--root", "root", "--since", "2026-03-03", "--json"]).stdout,
    )
    .unwrap();
    assert_eq!((later["records"].as_array().map(Vec::len), later["messages"].as_u64()), (Some(0), Some(0)));
}
