//! The journal: what goes in comes out, verdicts can be made again, floods count, and a bad disk stops nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate_filter::check::{Class, Evidence, Group, RefusalKind};
use tidegate_filter::known::Service;
use tidegate_filter::policy::{self, Brief, Gap, OnUnavailable, RecipientBrief, Thresholds, Weighed};
use tidegate_filter::session::{Direction, Stage};
use tidegate_filter::verdict::{Action, HeaderEdit};
use tidegate_mail::{Address, ReversePath, Score};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 / 86_400 * 86_400 + seconds).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn finding(symbol: &str, class: Class, weight: Score, evidence: &str) -> Weighed {
    Weighed {
        check: "check".into(),
        stage: Stage::Connect,
        symbol: symbol.into(),
        weight,
        class,
        group: Group::Alone,
        evidence: Evidence::from(evidence),
        doc: "What it means.".into(),
        until: None,
        only_for: None,
    }
}

fn recipient(address: &str) -> RecipientBrief {
    RecipientBrief {
        address: Address::parse(address).unwrap(),
        direction: Direction::Inbound,
        policy: "server inbound".into(),
        thresholds: Thresholds::built_in(Direction::Inbound),
        findings: Vec::new(),
    }
}

fn record(id: &str, at: Timestamp, stage: Stage, findings: Vec<Weighed>, recipients: &[&str]) -> Record {
    let brief = Brief {
        stage,
        refuse_at: Stage::Connect,
        submits: false,
        can_keep: true,
        advises: false,
        caps: BTreeMap::from([(Group::Identity, Score::points(6))]),
        findings,
        gaps: Vec::new(),
        recipients: recipients.iter().map(|address| recipient(address)).collect(),
    };
    Record {
        id: id.into(),
        at,
        client: Some("192.0.2.7".parse().unwrap()),
        helo: Some("mx.bad.test".into()),
        login: None,
        uid: None,
        sender: Some(ReversePath::parse("Spam@Sub.Bad.test").unwrap()),
        mta_id: None,
        message_id: None,
        subject: None,
        size: None,
        verdict: policy::decide(&brief),
        brief,
        edits: Vec::new(),
        engine: "1".into(),
        duration_us: 77,
        unheard: false,
    }
}

fn accepted(id: &str, at: Timestamp) -> Record {
    Record {
        mta_id: Some(format!("1x-{id}")),
        message_id: Some(format!("{id}@mid.test")),
        ..record(id, at, Stage::Data, vec![finding("S", Class::Evidence, Score::milli(100), "e")], &["a@Here.test"])
    }
}

fn refused(id: &str, at: Timestamp, recipient: &str) -> Record {
    let listed = finding("LISTED", Class::Refusal(RefusalKind::BlockList), Score::ZERO, "192.0.2.7");
    record(id, at, Stage::Rcpt, vec![listed], &[recipient])
}

fn open(folder: &Path) -> Journal {
    Journal::open(folder, Config::default()).unwrap()
}

/// Records them as the daemon does; returns the ids that replies would tell.
fn put(journal: &Journal, records: impl IntoIterator<Item = Record>) -> Vec<String> {
    let mut told = Vec::new();
    for mut record in records {
        journal.name(&mut record);
        told.push(record.id.clone());
        while !journal.record(record.clone()) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    runtime().block_on(journal.flush()).unwrap();
    told
}

fn ids(journal: &Journal, query: Query) -> Vec<String> {
    let found = journal.reader().find(&query).unwrap();
    assert_eq!(found.gaps, [""; 0]);
    found.entries.into_iter().map(|entry| entry.record.id).collect()
}

#[test]
fn a_record_is_found_by_everything_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let login = Record { login: Some("User@Here.test".into()), ..accepted("login.1", at(2)) };
    put(&journal, [accepted("abc.1", at(0)), accepted("def.1", at(1)), login]);
    for text in ["abc.1", "abc", "1x-abc.1", "<abc.1@mid.test>", "abc.1@mid.test"] {
        assert_eq!(ids(&journal, Query::newest(9).about(text)), ["abc.1"], "{text}");
    }
    for text in ["a@here.test", "spam@sub.bad.test", "sub.bad.test", "bad.test", "@here.test", "192.0.2.7"] {
        assert_eq!(ids(&journal, Query::newest(9).about(text)), ["login.1", "def.1", "abc.1"], "{text}");
    }
    assert_eq!(ids(&journal, Query::newest(9).about("USER@here.test")), ["login.1"]);
    for text in ["ab", "test", "d.test", "b@here.test", "192.0.2.70", "", "%", "*"] {
        assert_eq!(ids(&journal, Query::newest(9).about(text)), [""; 0], "{text}");
    }
}

/// What was decided did not happen, so nobody finds it among what did; a synced record that turns out so is not there twice.
#[test]
fn what_nobody_heard_is_found_as_that_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let unheard = |record: Record| Record { unheard: true, ..record };
    put(&journal, [refused("a.1", at(0), "a@here.test"), unheard(refused("a.1", at(1), "a@here.test"))]);
    // The id of one record is a text in another.
    let mention = Record { subject: Some("\"kept.1\"".into()), ..accepted("mention.1", at(2)) };
    for synced in [accepted("kept.1", at(2)), mention] {
        runtime().block_on(journal.record_synced(synced)).unwrap();
    }
    let written = journal.health().written;
    assert!(journal.replace(unheard(accepted("kept.1", at(2)))));
    runtime().block_on(journal.flush()).unwrap();
    assert_eq!(journal.health().written, written, "it was counted before");
    assert_eq!(ids(&journal, Query::newest(9)), ["mention.1", "kept.1", "a.1", "a.1"]);
    assert_eq!(ids(&journal, Query::newest(9).unheard()), ["kept.1", "a.1"]);
    assert_eq!(ids(&journal, Query::newest(9).action(Action::Reject)), ["a.1"]);
    assert_eq!(ids(&journal, Query::newest(9).action(Action::Accept)), ["mention.1"]);
}

#[test]
fn the_newest_come_first_across_blocks_and_days() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    // Three days one after another, the hours within each mixed.
    let time = |n: i64| at(n / 800 * 86_400 + (n * 7919) % 80_000);
    put(&journal, (0..2400).map(|n| accepted(&format!("s{n}.1"), time(n))));
    let mut ought: Vec<i64> = (0..2400).collect();
    ought.sort_by_key(|n| std::cmp::Reverse((time(*n), *n)));
    let ought: Vec<String> = ought.into_iter().map(|n| format!("s{n}.1")).collect();
    let times = |ids: Vec<String>| {
        ids.iter()
            .map(|id| time(id.trim_start_matches('s').trim_end_matches(".1").parse().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(times(ids(&journal, Query::newest(2000))), times(ought[..2000].to_vec()));
    assert_eq!(ids(&journal, Query::newest(9).about("s1234")), ["s1234.1"]);
    let day = ids(&journal, Query::newest(9999).since(at(86_400)).until(at(86_400 + 79_999)));
    assert_eq!(day.len(), 800);
}

#[test]
fn filters_hold_together() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    put(&journal, [accepted("a.1", at(0)), refused("r.1", at(1), "a@here.test")]);
    let newest = || Query::newest(9);
    assert_eq!(ids(&journal, newest().action(Action::Reject)), ["r.1"]);
    assert_eq!(ids(&journal, newest().action(Action::Reject).about("a.1")), [""; 0]);
    assert_eq!(ids(&journal, newest().direction(Direction::Inbound)), ["r.1", "a.1"]);
    assert_eq!(ids(&journal, newest().direction(Direction::Submission)), [""; 0]);
    assert_eq!(ids(&journal, newest().symbol("listed")), ["r.1"]);
    assert_eq!(ids(&journal, newest().symbol("S").action(Action::Reject)), [""; 0]);
}

/// A flood is one record that counts and names those it was for; other clients and other reasons stay apart.
#[test]
fn a_flood_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let flood = (0..1000).map(|n| refused(&format!("f{n}.1"), at(n / 10), &format!("u{}@here.test", n % 100)));
    let other = Record { client: Some("192.0.2.8".parse().unwrap()), ..refused("other.1", at(50), "u1@here.test") };
    put(&journal, flood.chain([other]));
    let found = journal.reader().find(&Query::newest(9)).unwrap().entries;
    assert_eq!(found.len(), 2);
    let repeats = found[0].repeats.as_ref().unwrap();
    assert_eq!((found[0].record.id.as_str(), repeats.count, repeats.last), ("f0.1", 999, at(99)));
    assert_eq!(repeats.recipients.len(), 6);
    assert_eq!(ids(&journal, Query::newest(9).about("u6@here.test")), ["f0.1"]);
    // An hour later it is another record.
    put(&journal, [refused("late.1", at(5000), "u1@here.test"), refused("later.1", at(5001), "u1@here.test")]);
    assert_eq!(ids(&journal, Query::newest(9)), ["late.1", "f0.1", "other.1"]);
    drop(journal);
    // After a restart nothing is added to what another process began.
    let journal = open(folder.path());
    put(&journal, [refused("new.1", at(5002), "u1@here.test")]);
    assert_eq!(ids(&journal, Query::newest(9)), ["new.1", "late.1", "f0.1", "other.1"]);
    assert_eq!(found[0].record.verify(), Ok(()));
}

/// The reply of each refusal ends in an id: whichever it is, `tidegate why` must find what explains it, also where a restart, midnight,
/// too many clients or two threads come between refusals of one kind.
#[test]
fn every_id_that_was_told_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let night = 86_400 - 10;
    let of =
        |client: u32, record: Record| Record { client: Some(std::net::Ipv4Addr::from(client + 1).into()), ..record };
    let other = |id: &str, second| {
        let bad = finding("BAD_HELO", Class::Refusal(RefusalKind::BlockList), Score::ZERO, "x");
        record(id, at(second), Stage::Rcpt, vec![bad], &["a@here.test"])
    };
    let journal = open(folder.path());
    let mut told = put(&journal, (0..40).map(|n| refused(&format!("a{n}.1"), at(night + n), "a@here.test")));
    // Two reasons in one transaction, then mail in the same session.
    told.extend(put(
        &journal,
        [other("s.1", night), refused("s.1", at(night), "b@here.test"), accepted("s.1", at(night))],
    ));
    told.extend(put(&journal, (0..4200).map(|n| of(n, refused(&format!("c{n}.1"), at(90_000), "a@here.test")))));
    told.extend(put(&journal, (0..4200).map(|n| of(n, refused(&format!("d{n}.1"), at(90_001), "a@here.test")))));
    drop(journal);
    let journal = open(folder.path());
    told.extend(put(&journal, (0..3).map(|n| refused(&format!("e{n}.1"), at(90_002), "a@here.test"))));
    // The later of two refusals is written first.
    let [mut one, mut two] = [refused("f1.1", at(95_000), "a@here.test"), refused("f2.1", at(95_001), "a@here.test")];
    journal.name(&mut one);
    journal.name(&mut two);
    assert!(journal.record(two.clone()) && journal.record(one.clone()));
    runtime().block_on(journal.flush()).unwrap();
    told.extend([one.id, two.id]);
    let kept: std::collections::BTreeSet<String> = journal
        .reader()
        .find(&Query::newest(10_000))
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.record.id)
        .collect();
    let lost: Vec<&String> = told.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {}, the first {:?}", lost.len(), told.len(), lost.first());
    assert_eq!(ids(&journal, Query::newest(9).about("[F1.1]")), ["f1.1"], "as it is pasted from a reply");
    assert_eq!(told.iter().filter(|id| *id == "a0.1").count(), 10, "one entry until midnight");
}

/// Who waits for a greylisted message asks by its addresses: these refusals are not thrown together.
#[test]
fn greylisted_recipients_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let waiting = |id: &str, second, to: &str| {
        let new = finding("GREYLIST_NEW", Class::Waiting, Score::points(4), "key");
        record(id, at(second), Stage::Rcpt, vec![new], &[to])
    };
    assert_eq!(waiting("x", 0, "a@here.test").verdict.action, Action::Greylist);
    put(
        &journal,
        [waiting("w.1", 0, "a@here.test"), waiting("w.2", 1, "b@here.test"), waiting("v.1", 9, "a@here.test")],
    );
    assert_eq!(ids(&journal, Query::newest(9).about("a@here.test")), ["w.1"]);
    assert_eq!(ids(&journal, Query::newest(9)), ["w.1", "w.2"]);
}

#[test]
fn a_changed_policy_shows() {
    let mut record = accepted("a.1", at(0));
    assert_eq!(record.verify(), Ok(()));
    record.verdict.action = Action::Reject;
    assert_eq!(record.verify().unwrap_err().action, Action::Accept);
}

#[test]
fn old_days_go_whole() {
    let folder = tempfile::tempdir().unwrap();
    let today = Timestamp::now();
    let ago = |days: u64| today - Duration::from_secs(days * 86_400);
    for days in [40, 31, 29, 1] {
        put(&open(folder.path()), [accepted(&format!("d{days}.1"), ago(days))]);
    }
    let journal = open(folder.path());
    put(&journal, [accepted("d0.1", today)]);
    assert_eq!(ids(&journal, Query::newest(9)), ["d0.1", "d1.1", "d29.1"]);
    drop(journal);
    // A limit of no megabytes leaves the newest day alone.
    let journal = Journal::open(folder.path(), Config { size_mb_max: 0, ..Config::default() }).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while day::all(folder.path()).unwrap().len() > 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ids(&journal, Query::newest(9)), ["d0.1"]);
}

/// A full disk: nothing waits, what is lost is counted, and room is found again. Played by the limit of a day's size.
#[test]
fn a_full_disk_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), Config { size_mb_max: 0, ..Config::default() }).unwrap();
    let large = |id: &str| {
        let mut record = accepted(id, at(0));
        let noise: String =
            (0..20_000_u32).map(|n| char::from(33 + u8::try_from((n * n + n / 7) % 90).unwrap())).collect();
        record.edits.push(HeaderEdit::Add { name: "X".into(), value: noise });
        record
    };
    let synced = runtime().block_on(async {
        let mut last = Ok(());
        for n in 0..20 {
            last = journal.record_synced(large(&format!("s{n}.1"))).await;
        }
        last
    });
    assert!(synced.is_err());
    let health = journal.health();
    assert!(health.dropped > 0 && health.trouble.is_some(), "{health:?}");
    for n in 0..20_000 {
        journal.record(large(&format!("p{n}.1")));
    }
    assert!(journal.health().dropped > health.dropped, "what has no room is counted");
}

#[test]
fn a_damaged_day_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    put(&open(folder.path()), (0..2000).map(|n| accepted(&format!("s{n}.1"), at(n))));
    let (_, path) = day::all(folder.path()).unwrap().remove(0);
    let mut octets = std::fs::read(&path).unwrap();
    octets[..8192].fill(0xa5);
    std::fs::write(&path, octets).unwrap();
    for rest in &day::files(&path)[1..] {
        let _ = std::fs::remove_file(rest);
    }
    let found = Reader::new(folder.path()).find(&Query::newest(9)).unwrap();
    assert_eq!((found.entries.len(), found.gaps.len()), (0, 1), "a gap is told");
    let journal = open(folder.path());
    put(&journal, [accepted("new.1", at(5000))]);
    assert_eq!(ids(&journal, Query::newest(9)), ["new.1"]);
    assert!(journal.health().set_aside[0].exists());
}

#[test]
fn hostile_texts_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let long = "é\u{1b}".repeat(100_000);
    let record = Record { subject: Some(long.clone()), helo: Some(long), ..accepted("a.1", at(0)) };
    put(&journal, [record]);
    let found = journal.reader().find(&Query::newest(1)).unwrap().entries.remove(0).record;
    assert!(found.subject.unwrap().len() <= 200 && found.helo.unwrap().len() <= 255);
}

/// A line as the first version wrote it: what is stored must stay readable.
#[test]
fn an_old_record_reads() {
    let entry: Entry = serde_json::from_str(include_str!("tests/entry-v1.json")).unwrap();
    assert_eq!(entry.record.id, "abcd.1");
    assert_eq!(entry.record.verify(), Ok(()));
    assert_eq!(entry.repeats.unwrap().count, 3);
}

fn weighed() -> impl Strategy<Value = Weighed> {
    let classes = prop::sample::select(vec![
        Class::Evidence,
        Class::Waiting,
        Class::Allow,
        Class::Refusal(RefusalKind::DnsBlockList),
        Class::Refusal(RefusalKind::Limit),
    ]);
    let groups = prop::sample::select(vec![Group::Alone, Group::ClientLists, Group::Identity, Group::Form]);
    let stages = prop::sample::select(vec![Stage::Connect, Stage::Mail, Stage::Data]);
    let until = prop::option::of((0_i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap()));
    (any::<String>(), any::<i32>(), classes, groups, stages, until).prop_map(
        |(text, milli, class, group, stage, until)| Weighed {
            group,
            stage,
            until,
            ..finding(&text, class, Score::milli(milli), &text)
        },
    )
}

fn brief() -> impl Strategy<Value = Brief> {
    let stages = prop::sample::select(vec![Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Data]);
    let gap = (any::<String>(), any::<bool>()).prop_map(|(cause, defers)| Gap {
        check: "c".into(),
        stage: Stage::Data,
        service: Service::Dns,
        cause,
        on_unavailable: if defers { OnUnavailable::Defer } else { OnUnavailable::Ignore },
    });
    let address = "[a-z]{1,8}@[a-z]{1,8}\\.test";
    let steps = prop::array::uniform4(prop::option::of(any::<i32>().prop_map(Score::milli)));
    let recipient = (address, steps, prop::collection::vec(weighed(), 0..3)).prop_map(|(address, steps, findings)| {
        let [greylist, tag, quarantine, reject] = steps;
        RecipientBrief { thresholds: Thresholds { greylist, tag, quarantine, reject }, findings, ..recipient(&address) }
    });
    let findings = prop::collection::vec(weighed(), 0..6);
    let (gaps, recipients) = (prop::collection::vec(gap, 0..3), prop::collection::vec(recipient, 0..4));
    (stages, any::<bool>(), any::<i32>(), findings, gaps, recipients).prop_map(
        |(stage, submits, cap, findings, gaps, recipients)| Brief {
            stage,
            refuse_at: Stage::Rcpt,
            submits,
            can_keep: submits,
            advises: cap % 2 == 0,
            caps: BTreeMap::from([(Group::Identity, Score::milli(cap.saturating_abs()))]),
            findings,
            gaps,
            recipients,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Whatever the policy read: the record comes out as it went in, from tail and from block, and the verdict that is made
    /// from it is the one that was given.
    #[test]
    fn verdicts_can_be_made_again(briefs in prop::collection::vec(brief(), 600)) {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(folder.path());
        let records: Vec<Record> = briefs
            .into_iter()
            .enumerate()
            .map(|(number, brief)| Record {
                // Each from another network, so that none is a flood.
                client: Some(std::net::Ipv4Addr::from(u32::try_from(number).unwrap()).into()),
                verdict: policy::decide(&brief),
                brief,
                ..accepted(&format!("s{number}.1"), at(i64::try_from(number).unwrap()))
            })
            .collect();
        put(&journal, records.iter().cloned());
        let found = journal.reader().find(&Query::newest(1000)).unwrap();
        prop_assert_eq!(found.gaps, [""; 0]);
        prop_assert_eq!(found.entries.len(), records.len());
        for (entry, record) in found.entries.iter().rev().zip(&records) {
            prop_assert_eq!(&entry.record, record);
            prop_assert_eq!(entry.record.verify(), Ok(()));
        }
    }
}
