//! The quarantine, step by step.

use std::io::Read;

use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + hours * 3600).unwrap()
}

fn address(text: &str) -> ExactAddress {
    ExactAddress::new(text)
}

fn offer(id: &str, recipients: &[&str]) -> Offer {
    let reason = |text: &&str| Reason { address: address(text), score: Score::milli(7300), reason: "score".into() };
    Offer {
        mta_id: id.into(),
        record: "abcd.1".into(),
        received: at(0),
        client: Some("192.0.2.7".parse().unwrap()),
        sender: address("Spam@Bad.example"),
        recipients: recipients.iter().map(reason).collect(),
        subject: Some("buy '); DROP TABLE items;-- \u{1b}[31m".into()),
        message: Arc::from(format!("Subject: {id}\n\nbody\n").into_bytes()),
    }
}

fn open(folder: &Path) -> Quarantine {
    Quarantine::open(folder, Config::default()).unwrap()
}

fn states(quarantine: &Quarantine, id: &str) -> Vec<State> {
    quarantine.show(id).unwrap().map_or(Vec::new(), |item| item.recipients.iter().map(|held| held.state).collect())
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn files_in(folder: &Path) -> usize {
    let days = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    days.map(|day| std::fs::read_dir(day).unwrap().count()).sum()
}

#[test]
fn an_offer_is_not_listed_before_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("a1", &["b@here.test", "c@here.test"])).unwrap();
    let all = Filter { limit: 10, ..Filter::default() };
    assert_eq!(quarantine.list(&all).unwrap(), []);
    // The router asks with the unquoted address in lower case.
    assert_eq!(quarantine.keep_now("a1", &address("B@Here.test"), at(0)).unwrap(), Keep::Kept);
    assert_eq!(quarantine.keep_now("a1", &address("b@here.test"), at(1)).unwrap(), Keep::Kept, "however often");
    assert_eq!(quarantine.keep_now("a1", &address("d@here.test"), at(0)).unwrap(), Keep::Gone);
    assert_eq!(quarantine.keep_now("a2", &address("b@here.test"), at(0)).unwrap(), Keep::Gone);
    let listed = quarantine.list(&all).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].subject.as_deref(), offer("a1", &[]).subject.as_deref(), "hostile text is only text");
    assert_eq!(states(&quarantine, "a1"), [State::Kept, State::Offered]);
    assert_eq!(quarantine.stats().unwrap(), Stats { kept: 1, offered: 1, octets: 18 });
}

#[test]
fn an_offer_twice_is_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("a1", &["b@here.test"])).unwrap();
    quarantine.offer_now(&offer("a1", &["b@here.test", "c@here.test"])).unwrap();
    assert_eq!(states(&quarantine, "a1").len(), 2, "the last offer counts while nobody has asked");
    quarantine.keep_now("a1", &address("b@here.test"), at(0)).unwrap();
    quarantine.offer_now(&offer("a1", &["b@here.test"])).unwrap();
    assert_eq!(states(&quarantine, "a1"), [State::Kept, State::Offered], "what is kept stays kept");
    assert_eq!(files_in(folder.path()), 2);
}

#[test]
fn an_id_is_no_path() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["", "../x", "a/b", "a.b", "a\0b", &"x".repeat(100)] {
        let refused = open(folder.path()).offer_now(&offer(id, &["b@here.test"]));
        assert!(matches!(refused, Err(QuarantineError::Id(_))), "{id:?}");
    }
}

#[test]
fn a_release_happens_once() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    let (b, c) = (address("b@here.test"), address("c@here.test"));
    quarantine.offer_now(&offer("a1", &["b@here.test", "c@here.test"])).unwrap();
    let not_yet = quarantine.release("a1", &b, State::Kept, at(0), |_| Ok::<(), ()>(())).unwrap();
    assert_eq!(not_yet, Ok(Outcome::NotKept), "the MTA still has it");
    for recipient in [&b, &c] {
        quarantine.keep_now("a1", recipient, at(0)).unwrap();
    }
    let failed = quarantine.release("a1", &b, State::Kept, at(1), |_| Err("no exim")).unwrap();
    assert_eq!(failed, Err("no exim"));
    assert_eq!(states(&quarantine, "a1"), [State::Kept, State::Kept], "nothing is lost by a failure");

    let inject = |handed: Handed| {
        assert_eq!((handed.sender.as_str(), handed.recipient.as_str()), ("Spam@Bad.example", "b@here.test"));
        assert_eq!(text(handed.message), "Subject: a1\n\nbody\n");
        let token = handed.header.strip_prefix("X-Tidegate-Released: ").unwrap();
        let busy = quarantine.release("a1", &b, State::Kept, at(2), |_| Ok::<(), ()>(())).unwrap();
        assert_eq!(busy, Ok(Outcome::Busy));
        assert_eq!(quarantine.admit_now(token).unwrap(), Admission::First { mta_id: "a1".into() });
        assert_eq!(quarantine.admit_now(token).unwrap(), Admission::Again);
        Ok::<(), ()>(())
    };
    assert_eq!(quarantine.release("a1", &b, State::Kept, at(2), inject).unwrap(), Ok(Outcome::Released));
    assert_eq!(quarantine.admit_now("a1.forged").unwrap(), Admission::Unknown);
    let again = quarantine.release("a1", &b, State::Kept, at(3), |_| Ok::<(), ()>(())).unwrap();
    assert_eq!(again, Ok(Outcome::Already));
    assert_eq!(quarantine.keep_now("a1", &b, at(3)).unwrap(), Keep::Kept, "the MTA is still to let go");
    assert!(quarantine.message("a1").unwrap().is_some(), "c may still want it");
    assert_eq!(quarantine.delete("a1", Some(&c), at(4)).unwrap(), 1);
    assert_eq!(states(&quarantine, "a1"), [State::Released, State::Deleted]);
    assert_eq!(files_in(folder.path()), 0, "nobody needs it any more");
    assert_eq!(quarantine.stats().unwrap(), Stats::default());
}

/// A release without an end is decided by whether the MTA had asked about the message.
#[test]
fn a_release_that_was_cut_off_is_settled() {
    for is_admitted in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = open(folder.path());
        quarantine.offer_now(&offer("a1", &["b@here.test"])).unwrap();
        quarantine.keep_now("a1", &address("b@here.test"), at(0)).unwrap();
        let cut_off = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            quarantine.release("a1", &address("b@here.test"), State::Kept, at(1), |handed| -> Result<(), ()> {
                if is_admitted {
                    quarantine.admit_now(handed.header.split_once(": ").unwrap().1).unwrap();
                }
                panic!("as if killed")
            })
        }));
        assert!(cut_off.is_err());
        assert_eq!(quarantine.expire(at(1)).unwrap().settled, 0, "it may still be under way");
        assert_eq!(quarantine.expire(at(2)).unwrap().settled, 1);
        let state = if is_admitted { State::Released } else { State::Kept };
        assert_eq!(states(&quarantine, "a1"), [state]);
    }
}

#[test]
fn time_passes() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("unseen", &["b@here.test"])).unwrap();
    quarantine.offer_now(&offer("kept", &["b@here.test", "never@here.test"])).unwrap();
    quarantine.keep_now("kept", &address("b@here.test"), at(1)).unwrap();
    assert_eq!(quarantine.expire(at(47)).unwrap(), Expiry::default());
    assert_eq!(quarantine.expire(at(48)).unwrap(), Expiry { unseen: 2, ..Expiry::default() });
    assert_eq!(quarantine.keep_now("unseen", &address("b@here.test"), at(49)).unwrap(), Keep::Gone);
    assert_eq!(quarantine.expiring(at(26 * 24)).unwrap(), []);
    let soon = quarantine.expiring(at(27 * 24)).unwrap();
    assert_eq!(soon.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["kept"]);
    quarantine.noticed(&soon).unwrap();
    assert_eq!(quarantine.expiring(at(27 * 24)).unwrap(), [], "one notice is enough");
    let expired = quarantine.expire(at(30 * 24)).unwrap().expired;
    assert_eq!(expired.len(), 1);
    assert_eq!(states(&quarantine, "kept"), [State::Expired]);
    assert_eq!(files_in(folder.path()), 0);
    quarantine.expire(at(61 * 24)).unwrap();
    assert_eq!(quarantine.show("kept").unwrap(), None, "history ends too");
}

#[test]
fn lists_are_filtered() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    for (number, recipient) in ["a@x.test", "ba@x.test", "a@sub.x.test", "A@X.test"].iter().enumerate() {
        let id = format!("m{number}");
        quarantine.offer_now(&offer(&id, &[recipient])).unwrap();
        quarantine.keep_now(&id, &address(recipient), at(0)).unwrap();
    }
    let ids = |filter: Filter| {
        let listed = quarantine.list(&Filter { limit: 100, ..filter }).unwrap();
        listed.into_iter().map(|item| item.id).collect::<Vec<_>>()
    };
    let recipient = |text: &str| Filter { recipient: Some(text.into()), ..Filter::default() };
    assert_eq!(ids(Filter::default()), ["m3", "m2", "m1", "m0"]);
    assert_eq!(ids(recipient("a@x.test")), ["m3", "m0"]);
    assert_eq!(ids(recipient("X.TEST")), ["m3", "m1", "m0"]);
    assert_eq!(ids(recipient("%")), [""; 0]);
    assert_eq!(
        ids(Filter { sender: Some("bad.example".into()), after: Some("m2".into()), ..Filter::default() }),
        ["m1", "m0"]
    );
    assert_eq!(ids(Filter { sender: Some("ad.example".into()), ..Filter::default() }), [""; 0]);
    assert_eq!(ids(Filter { since: Some(at(1)), ..Filter::default() }), [""; 0]);
    quarantine.delete("m3", None, at(1)).unwrap();
    assert_eq!(ids(recipient("a@x.test")), ["m0"]);
    assert_eq!(ids(Filter { closed: true, ..recipient("a@x.test") }), ["m3", "m0"]);
}

/// Without its index the quarantine still has every message, and nothing is delivered that a person has not released.
#[test]
fn a_lost_index_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    {
        let quarantine = open(folder.path());
        for id in ["m1", "m2", "m3"] {
            quarantine.offer_now(&offer(id, &["b@here.test"])).unwrap();
            quarantine.keep_now(id, &address("b@here.test"), at(0)).unwrap();
        }
        quarantine.delete("m3", None, at(1)).unwrap();
    }
    let before = open(folder.path()).list(&Filter { limit: 9, ..Filter::default() }).unwrap();
    for damage in ["removed", "garbage"] {
        match damage {
            "removed" => std::fs::remove_file(folder.path().join("index.db")).unwrap(),
            _ => std::fs::write(folder.path().join("index.db"), [0xa5; 9000]).unwrap(),
        }
        for rest in ["index.db-wal", "index.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(rest));
        }
        let after = open(folder.path()).list(&Filter { limit: 9, ..Filter::default() }).unwrap();
        let ids = |items: &[Item]| items.iter().map(|item| item.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&after).len(), 2, "{damage}");
        assert!(ids(&before).iter().all(|id| ids(&after).contains(id)), "{damage}");
        assert_eq!(after[0].recipients[0].reason, "score");
    }
}

/// An envelope as the first version wrote it: what is stored must stay readable.
#[test]
fn an_old_envelope_reads() {
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("2025-10-09");
    std::fs::create_dir(&day).unwrap();
    let envelope = r#"{"version":1,"mta_id":"m1","record":"abcd.1","received":"2025-10-09T08:53:20Z","client":"192.0.2.7",
        "sender":"Spam@Bad.example","recipients":[{"address":"b@here.test","score":7.3,"reason":"score"}],"subject":"s"}"#;
    std::fs::write(day.join("m1.json"), envelope).unwrap();
    std::fs::write(day.join("m1.eml"), "Subject: s\n\nbody\n").unwrap();
    let item = open(folder.path()).show("m1").unwrap().unwrap();
    assert_eq!((item.sender.as_str(), item.recipients[0].score), ("Spam@Bad.example", Score::milli(7300)));
    assert_eq!(item.recipients[0].state, State::Kept);
}

#[test]
fn a_full_quarantine_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(folder.path(), Config { size_mb_max: 1, ..Config::default() }).unwrap();
    let large = |id: &str| Offer { message: vec![b'x'; 700_000].into(), ..offer(id, &["b@here.test"]) };
    quarantine.offer_now(&large("m1")).unwrap();
    assert!(matches!(quarantine.offer_now(&large("m2")), Err(QuarantineError::Full { .. })));
    quarantine.keep_now("m1", &address("b@here.test"), at(0)).unwrap();
    quarantine.delete("m1", None, at(1)).unwrap();
    quarantine.offer_now(&large("m2")).unwrap();
}

/// Files of an offer that was cut off, and of messages that are done with, go when they are old; files in use stay.
#[test]
fn rubbish_goes() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("m1", &["b@here.test"])).unwrap();
    let day = folder.path().join("2025-10-09");
    for name in ["m1.eml.new", "m0.eml", "m0.json"] {
        std::fs::write(day.join(name), "x").unwrap();
    }
    assert_eq!(quarantine.expire(at(1)).unwrap().rubbish, 0, "an offer may be under way");
    let old = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
    for entry in std::fs::read_dir(&day).unwrap() {
        File::options().append(true).open(entry.unwrap().path()).unwrap().set_modified(old).unwrap();
    }
    assert_eq!(quarantine.expire(at(2)).unwrap().rubbish, 0, "looked through a moment ago");
    assert_eq!(quarantine.expire(at(7)).unwrap().rubbish, 3);
    assert_eq!(files_in(folder.path()), 2);
}

/// A process that is killed between closing a message and removing its files leaves them: the next look takes them, however
/// young they are.
#[test]
fn files_of_a_closed_message_go() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("m1", &["b@here.test"])).unwrap();
    quarantine.keep_now("m1", &address("b@here.test"), at(0)).unwrap();
    let day = folder.path().join("2025-10-09");
    let copies: Vec<_> = std::fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().path()).collect();
    let octets: Vec<_> = copies.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert_eq!(quarantine.delete("m1", None, at(0)).unwrap(), 1);
    std::fs::create_dir_all(&day).unwrap();
    copies.iter().zip(octets).for_each(|(path, octets)| std::fs::write(path, octets).unwrap());
    assert_eq!(quarantine.expire(at(1)).unwrap().rubbish, 2);
    assert_eq!(files_in(folder.path()), 0);
}

/// An offer to a quarantine that could not be opened before is no more than an offer: the MTA may deliver the message yet.
#[test]
fn an_offer_that_opens_the_quarantine_is_only_an_offer() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("quarantine");
    std::fs::write(&place, "in the way").unwrap();
    let quarantine = Quarantine::open_in_time(&place, Config::default());
    assert!(quarantine.offer_now(&offer("m1", &["b@here.test"])).is_err());
    std::fs::remove_file(&place).unwrap();
    quarantine.offer_now(&offer("m1", &["b@here.test"])).unwrap();
    assert_eq!(states(&quarantine, "m1"), [State::Offered]);
}

/// The MTA may be told to let go of a message only while the file is really there.
#[test]
fn a_file_removed_by_hand_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    quarantine.offer_now(&offer("m1", &["b@here.test"])).unwrap();
    std::fs::remove_file(folder.path().join("2025-10-09/m1.eml")).unwrap();
    assert_eq!(quarantine.keep_now("m1", &address("b@here.test"), at(0)).unwrap(), Keep::Gone);
}

/// The MTA went on with the message itself: the copy says so, and only who knows gives it a second time.
#[test]
fn a_copy_that_the_mta_never_heard_of_is_told_from_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let quarantine = open(folder.path());
    let (b, c) = (address("b@here.test"), address("c@here.test"));
    for id in ["a1", "a2", "a3"] {
        quarantine.offer_now(&offer(id, &["b@here.test", "c@here.test"])).unwrap();
        quarantine.unheard_now(id, at(0)).unwrap();
        assert_eq!(states(&quarantine, id), [State::Unheard, State::Unheard]);
    }
    assert_eq!(quarantine.list(&Filter { limit: 10, ..Filter::default() }).unwrap().len(), 3);
    assert_eq!(quarantine.stats().unwrap(), Stats { kept: 0, offered: 0, octets: 54 });
    let deliver = |_| Ok::<(), &str>(());
    assert_eq!(quarantine.release("a1", &b, State::Kept, at(1), deliver).unwrap(), Ok(Outcome::NotKept));
    assert_eq!(quarantine.release("a1", &b, State::Unheard, at(1), |_| Err("no exim")).unwrap(), Err("no exim"));
    assert_eq!(states(&quarantine, "a1"), [State::Unheard, State::Unheard], "a failure changes nothing");
    assert_eq!(quarantine.release("a1", &b, State::Unheard, at(2), deliver).unwrap(), Ok(Outcome::Released));
    assert_eq!(quarantine.delete("a2", Some(&c), at(2)).unwrap(), 1);
    assert_eq!(quarantine.keep_now("a3", &b, at(2)).unwrap(), Keep::Kept, "the MTA asks, so it has heard");
    quarantine.expire(at(3 * 24)).unwrap();
    assert_eq!(states(&quarantine, "a2"), [State::Unheard, State::Deleted], "an offer would be forgotten by now");
    quarantine.expire(at(31 * 24)).unwrap();
    assert_eq!(states(&quarantine, "a2"), [State::Expired, State::Deleted]);
    assert_eq!(files_in(folder.path()), 0);
}
