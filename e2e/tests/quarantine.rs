//! The quarantine between Exim and the daemon: a recipient named at DATA is let go of by the first router once the daemon
//! says that it keeps the message, and never before; every accepted message is delivered or kept, once for a recipient.

#![allow(clippy::unwrap_used, reason = "a lab that breaks is to fail loudly")]

use std::collections::BTreeSet;

use tidegate_e2e::stub::{Reaction, Seen, Stub};
use tidegate_e2e::{Lab, Plan};
use tidegate_wire::exim::{Action, Answer, ExactAddress, Stage};

const MESSAGE: &[u8] = b"Subject: to keep\n\nbody\n";

fn lab(test: &str) -> Option<(Lab, Stub)> {
    Lab::with_stub(test, &Plan::default()).unwrap()
}

/// Offers to keep the message for `kept` at DATA, and answers `keep` when the router asks.
fn offering(kept: &[&str], keep: Action) -> impl FnMut(&Seen) -> Reaction + Send + 'static {
    let quarantine: Vec<ExactAddress> = kept.iter().copied().map(ExactAddress::new).collect();
    move |seen| match seen.ask.stage {
        Stage::Data | Stage::NotSmtp if seen.ask.part.number == 1 => {
            Reaction::Answer(Answer { quarantine: quarantine.clone(), ..Answer::new(Action::Quarantine) })
        }
        // Words that this version of the router does not know must not matter.
        Stage::Keep => Reaction::Answer(Answer { session: Some("c1".to_owned()), ..Answer::new(keep) }),
        _ => Action::Accept.into(),
    }
}

fn send(lab: &Lab, recipients: &[&str]) {
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", recipients).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
}

/// The recipients that the router asked about since the script began.
fn asked(stub: &Stub) -> Vec<String> {
    let keeps = stub.seen().into_iter().filter(|seen| seen.ask.stage == Stage::Keep);
    let mut asked: Vec<String> =
        keeps.filter_map(|seen| seen.ask.transaction.recipient.map(|r| r.as_str().to_owned())).collect();
    asked.sort();
    asked
}

fn queue_length(lab: &Lab) -> usize {
    let output = lab.exim.once(lab.namespace(), &["-bpc"]).unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

#[test]
fn a_kept_recipient_gets_nothing_and_the_other_everything() {
    let Some((lab, stub)) = lab("a_kept_recipient_gets_nothing_and_the_other_everything") else { return };
    stub.play(offering(&["b@exim.test"], Action::Kept));
    send(&lab, &["b@exim.test", "c@exim.test"]);
    let delivered = lab.exim.wait_delivered(1).unwrap();
    assert_eq!(delivered[0].recipient, "c@exim.test");
    let log = lab.exim.wait_log("Completed").unwrap();
    assert!(log.contains("=> :blackhole: <b@exim.test> R=tidegate_quarantine"), "{log}");
    let seen = stub.wait_for(Stage::Keep).unwrap();
    assert_eq!(seen.uid, 0, "routers run as root, unlike ACLs");
    assert_eq!(seen.ask.transaction.id, stub.wait_for(Stage::Data).unwrap().ask.transaction.id);
    assert_eq!(queue_length(&lab), 0);
}

#[test]
fn nothing_is_let_go_of_before_the_daemon_keeps_it() {
    let Some((lab, stub)) = lab("nothing_is_let_go_of_before_the_daemon_keeps_it") else { return };
    stub.play(|seen| match seen.ask.stage {
        Stage::Keep => Reaction::Raw(b"a=accept".to_vec()),
        _ => offering(&["b@exim.test"], Action::Kept)(seen),
    });
    send(&lab, &["b@exim.test", "c@exim.test"]);
    lab.exim.wait_delivered(1).unwrap();
    lab.exim.wait_log("the quarantine does not answer").unwrap();
    for answer in [&b""[..], b"a=kep", b"kept", b"a=kept a=gone", b"a=kept sid=\"", b"a=gone\n"] {
        stub.play(move |_| Reaction::Raw(answer.to_vec()));
        lab.exim.run_queue(lab.namespace()).unwrap();
        assert_eq!((queue_length(&lab), asked(&stub)), (1, vec!["b@exim.test".to_owned()]), "{answer:?}");
    }
    // A daemon that is not there.
    let socket = lab.socket();
    let away = socket.with_extension("away");
    std::fs::rename(&socket, &away).unwrap();
    lab.exim.run_queue(lab.namespace()).unwrap();
    assert_eq!(queue_length(&lab), 1);
    std::fs::rename(&away, &socket).unwrap();
    stub.play(offering(&[], Action::Kept));
    lab.exim.run_queue(lab.namespace()).unwrap();
    assert_eq!((queue_length(&lab), asked(&stub)), (0, vec!["b@exim.test".to_owned()]));
    lab.exim.wait_delivered(1).unwrap();
}

#[test]
fn a_copy_that_is_gone_is_delivered() {
    let Some((lab, stub)) = lab("a_copy_that_is_gone_is_delivered") else { return };
    stub.play(offering(&["b@exim.test"], Action::Gone));
    send(&lab, &["b@exim.test"]);
    assert_eq!(lab.exim.wait_delivered(1).unwrap()[0].recipient, "b@exim.test");
}

#[test]
fn an_answer_that_never_came_is_delivery() {
    let Some((lab, stub)) = lab("an_answer_that_never_came_is_delivery") else { return };
    stub.play(|seen| match seen.ask.stage {
        Stage::Data => Reaction::Raw(b"a=quarantine q=\"YkBleGltLnRlc3Q".to_vec()),
        _ => Action::Accept.into(),
    });
    send(&lab, &["b@exim.test"]);
    lab.exim.wait_delivered(1).unwrap();
    assert_eq!(asked(&stub), Vec::<String>::new());
}

#[test]
fn hostile_local_parts_are_told_apart() {
    let Some((lab, stub)) = lab("hostile_local_parts_are_told_apart") else { return };
    let kept = [
        "\"a:b\"@exim.test",
        "\"a, b\"@Exim.Test",
        r#""a\"b"@exim.test"#,
        r#""a\\b"@exim.test"#,
        "\"${if eq{1}{1}{x}}\"@exim.test",
        "\"$acl_m_tidegate_q\"@exim.test",
        "\"<\"@exim.test",
        "\" \"@exim.test",
        "o'x+y=z@exim.test",
        "Upper.Case@exim.test",
        "!#$%&*-/?^_`{|}~@exim.test",
        "long.".repeat(40).trim_end_matches('.').to_owned().leak(),
    ]
    .map(|address: &str| if address.contains('@') { address.to_owned() } else { format!("{address}@exim.test") });
    let others = ["\"a\"@exim.test", "b@exim.test", "\"a:\"@exim.test", "x@exim.test"];
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    stub.play(offering(&kept, Action::Kept));
    send(&lab, &[&kept[..], &others[..]].concat());
    let delivered = lab.exim.wait_delivered(others.len()).unwrap();
    lab.exim.wait_log("Completed").unwrap();
    let delivered: BTreeSet<String> = delivered.into_iter().map(|d| d.recipient).collect();
    let expected: BTreeSet<String> = others.iter().map(|a| a.replace("\"a\"", "a")).collect();
    assert_eq!(delivered.len(), expected.len(), "{delivered:?}");
    let keys = |addresses: &[String]| -> BTreeSet<String> {
        addresses.iter().map(|a| ExactAddress::new(a.as_str()).key()).collect()
    };
    let kept: Vec<String> = kept.iter().map(|a| (*a).to_owned()).collect();
    assert_eq!(keys(&asked(&stub)), keys(&kept), "the router names each as the daemon knows it");
    assert_eq!(lab.exim.panic_log(), "");
}

#[test]
fn an_address_from_redirection_follows_its_parent() {
    let Some((lab, stub)) = lab("an_address_from_redirection_follows_its_parent") else { return };
    // alias-b is redirected to b, which is named itself: b was judged as a recipient of its own, the alias was let through.
    stub.play(offering(&["b@exim.test"], Action::Kept));
    send(&lab, &["alias-b@exim.test"]);
    lab.exim.wait_delivered(1).unwrap();
    assert_eq!(asked(&stub), Vec::<String>::new());
    stub.play(offering(&["alias-b@exim.test"], Action::Kept));
    send(&lab, &["alias-b@exim.test"]);
    lab.exim.wait_log("<alias-b@exim.test> R=tidegate_quarantine").unwrap();
    assert_eq!(asked(&stub), ["alias-b@exim.test"]);
    lab.exim.wait_delivered(1).unwrap();
}

#[test]
fn local_submissions_and_many_recipients_are_kept_as_well() {
    let Some((lab, stub)) = lab("local_submissions_and_many_recipients_are_kept_as_well") else { return };
    let recipients: Vec<String> = (0..1000).map(|n| format!("recipient-{n}@exim.test")).collect();
    let names: Vec<&str> = recipients.iter().map(String::as_str).collect();
    stub.play(offering(&names[1..], Action::Kept));
    send(&lab, &names);
    lab.exim.wait_log("Completed").unwrap();
    assert_eq!(asked(&stub).len(), 999);
    assert_eq!(lab.exim.wait_delivered(1).unwrap()[0].recipient, "recipient-0@exim.test");

    stub.play(offering(&["far@elsewhere.test"], Action::Kept));
    let output = lab.sendmail("www-data", &["-t"], b"To: far@elsewhere.test\nSubject: s\n\nx\n").unwrap();
    assert!(output.status.success());
    stub.wait_for(Stage::Keep).unwrap();
    lab.exim.wait_log("<far@elsewhere.test> R=tidegate_quarantine").unwrap();
    lab.exim.wait_delivered(1).unwrap();
}
