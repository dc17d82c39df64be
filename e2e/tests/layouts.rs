//! Tidegate tied into Debian's own configuration, in both of its forms: every stage is asked about, Debian's rules still
//! hold, and the quarantine's router is the first.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a lab that breaks is to fail loudly")]

use std::fs;

use tidegate_e2e::stub::Reaction;
use tidegate_e2e::{Lab, Layout, Plan};
use tidegate_wire::exim::{Action, Answer, ExactAddress, HeaderLine, OwnField, Position, Stage};

#[test]
fn debian_split() {
    check("debian_split", Layout::DebianSplit, "");
}

#[test]
fn debian_whole() {
    check("debian_whole", Layout::DebianWhole, "");
}

#[test]
fn an_acl_of_the_administrator_still_runs() {
    // The macro by which Debian lets one put another ACL in the place of its own; this one accepts every recipient.
    let settings = "MAIN_ACL_CHECK_RCPT = acl_check_mail\n";
    check("an_acl_of_the_administrator_still_runs", Layout::DebianSplit, settings);
}

/// A recipient for whom the message is not marked, and one for whom it is, delivered by Debian's own routers.
#[test]
fn each_recipient_gets_its_own_status() {
    for layout in [Layout::DebianSplit, Layout::DebianWhole] {
        let settings = "SYSTEM_ALIASES_FILE_TRANSPORT = address_file\nSYSTEM_ALIASES_USER = Debian-exim\n";
        let plan = Plan { exim: settings.to_owned(), layout, ..Plan::default() };
        let Some((mut lab, stub)) = Lab::with_stub("each_recipient_gets_its_own_status", &plan).unwrap() else {
            return;
        };
        let boxes = ["anna", "kim"].map(|name| lab.folder().join("mail").join(name));
        let aliases = format!("info: anna\nanna: {}\nkim: {}\n", boxes[0].display(), boxes[1].display());
        fs::write(format!("{}/aliases", lab.namespace().etc()), aliases).unwrap();
        // A file of the namespace's /etc is seen by what starts after it.
        lab.restart_exim().unwrap();
        let status = |value: &str| HeaderLine::folded("X-Tidegate-Status", value, Position::Start).unwrap();
        let own = OwnField { recipients: vec![ExactAddress::new("info@exim.test")], line: status("accept score=7") };
        stub.play(move |seen| match seen.ask.stage {
            Stage::Data => Reaction::Answer(Answer {
                add: vec![status("tag score=7")],
                own_field: Some(own.clone()),
                ..Answer::new(Action::Tag)
            }),
            _ => Action::Accept.into(),
        });
        let (mut client, _) = lab.client("203.0.113.66").unwrap();
        client.envelope("client.test", "a@bad.test", &["info@exim.test", "kim@exim.test"]).unwrap();
        assert_eq!(client.data(b"From: a@bad.test\nSubject: s\n\nbody\n").unwrap().code, 250);
        client.expect("QUIT", 221).unwrap();
        let log = lab.exim.wait_log("Completed").unwrap();
        for (delivered, expected) in boxes.iter().zip(["accept score=7", "tag score=7"]) {
            let text = fs::read_to_string(delivered).unwrap_or_else(|error| panic!("{error}\n{log}"));
            let found: Vec<&str> = text.lines().filter(|line| line.starts_with("X-Tidegate-Status")).collect();
            assert_eq!(found, [format!("X-Tidegate-Status: {expected}")], "{log}");
        }
        assert_eq!(lab.exim.panic_log(), "");
    }
}

fn check(test: &str, layout: Layout, settings: &str) {
    let plan = Plan { exim: settings.to_owned(), layout, ..Plan::default() };
    let Some((lab, stub)) = Lab::with_stub(test, &plan).unwrap() else { return };
    let quarantine = vec![ExactAddress::new("daemon@exim.test"), ExactAddress::new("postmaster@exim.test")];
    stub.play(move |seen| match seen.ask.stage {
        Stage::Data | Stage::NotSmtp => {
            Reaction::Answer(Answer { quarantine: quarantine.clone(), ..Answer::new(Action::Quarantine) })
        }
        Stage::Keep => Action::Kept.into(),
        _ => Action::Accept.into(),
    });
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &["daemon@exim.test", "postmaster@exim.test"]).unwrap();
    if settings.is_empty() {
        let reply = client.say("RCPT TO:<u@elsewhere.test>").unwrap();
        assert_eq!(reply.text, "550 relay not permitted", "no open relay, and in Debian's own words");
    }
    assert_eq!(client.data(b"From: a@bad.test\nSubject: s\n\nbody\n").unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
    for stage in [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::End] {
        stub.wait_for(stage).unwrap();
    }
    let log = lab.exim.wait_log("Completed").unwrap();
    assert_eq!(log.matches("R=tidegate_quarantine").count(), 2, "{log}");
    let rcpts = stub.seen().iter().filter(|seen| seen.ask.stage == Stage::Rcpt).count();
    assert_eq!(rcpts, 2, "asked about what Debian's rules let through, postmaster included");

    let output = lab.sendmail("www-data", &["-t"], b"To: daemon@exim.test\nSubject: s\n\nx\n").unwrap();
    assert!(output.status.success());
    stub.wait_for(Stage::NotSmtp).unwrap();
    assert_eq!(lab.exim.panic_log(), "");
}
