//! The quarantine of the real daemon: what is kept can be seen and released, and no message is lost or doubled while the
//! daemon is killed again and again. `TIDEGATE_SOAK_MESSAGES` says how many messages that is tried with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a lab that breaks is to fail loudly")]
#![allow(clippy::disallowed_methods, reason = "a lab waits, and reads how long it is to run")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::cast::{GOOD, HAM, LISTED, LISTING_WEIGHS, SPAM};
use tidegate_e2e::{Daemon, Lab, Plan};

/// One mailbox, or all, keeps what the listed client sends in the name of another domain; nothing is refused or asked to wait.
const POLICY: &str = "
[policy.server]
inbound = { greylist = \"off\", reject = \"off\", quarantine = \"off\" }
";
const FOR_ALL: &str = "[policy.domains.\"exim.test\"]\ninbound = { quarantine = 6.5 }\n";
const FOR_ONE: &str = "[policy.mailboxes.\"strict@exim.test\"]\ninbound = { quarantine = 6.5 }\n";
/// Messages of the short run that belongs to every test, and clients that send them at once.
const MESSAGES: usize = 300;
const CLIENTS: usize = 16;
/// Clients of a long run.
const SOAK_CLIENTS: usize = 64;
/// Every so many messages one is to be kept.
const KEPT_EVERY: usize = 10;

fn lab(test: &str, keeps: &str) -> Option<(Lab, Daemon)> {
    let plan = Plan { dns: [GOOD, LISTED].concat(), ..Plan::default() };
    Daemon::with_lab(test, &plan, &[LISTING_WEIGHS, POLICY, keeps].concat()).unwrap()
}

/// The recipients of every message that is kept, each with the message's id.
fn kept(lab: &Lab, daemon: &Daemon) -> Vec<(String, String)> {
    let output = daemon.command(lab, &["quarantine", "list", "--json", "--limit", "100000"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut kept = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let item: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        for held in item["recipients"].as_array().unwrap() {
            if held["state"] == "kept" {
                kept.push((text(&held["address"]), text(&item["id"])));
            }
        }
    }
    kept
}

#[test]
fn one_reply_two_verdicts_and_the_kept_message_is_released() {
    let Some((lab, daemon)) = lab("one_reply_two_verdicts_and_the_kept_message_is_released", FOR_ONE) else { return };
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["strict@exim.test", "lax@exim.test"]).unwrap();
    let reply = client.data(SPAM).unwrap();
    assert_eq!(reply.code, 250, "{}", reply.text);
    let delivered = lab.exim.wait_delivered(1).unwrap_or_else(|error| panic!("{error}: {:?}", lab.exim.delivered()));
    assert_eq!(delivered[0].recipient, "lax@exim.test", "{}{}", lab.exim.log(), daemon.log());
    lab.exim.wait_log("Completed").unwrap();
    let listed = kept(&lab, &daemon);
    let [(recipient, id)] = listed.as_slice() else { panic!("{listed:?}\n{}", daemon.log()) };
    assert_eq!(recipient, "strict@exim.test");

    let status = daemon.command(&lab, &["status"]).unwrap();
    let status = String::from_utf8_lossy(&status.stdout);
    assert!(status.contains("quarantined 1,"), "kept for one of two: {status}");
    let shown = daemon.command(&lab, &["quarantine", "show", id, "--raw"]).unwrap();
    assert!(shown.stdout.ends_with(SPAM), "the copy is the message");
    let released = daemon.command_as_root(&lab, &["quarantine", "release", id]).unwrap();
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    let delivered = lab.exim.wait_delivered(2).unwrap();
    assert_eq!(delivered[1].recipient, "strict@exim.test");
    assert_eq!(delivered[1].header("Return-path"), ["<a@good.test>"]);
    assert!(kept(&lab, &daemon).is_empty());
    let say = |arguments: &[&str]| {
        let output = daemon.command_as_root(&lab, &[&["quarantine"], arguments].concat()).unwrap();
        (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.code())
    };
    let (said, code) = say(&["release", id]);
    assert!(
        code == Some(0) && said.contains("released for strict@exim.test at 20") && said.contains("nothing to do"),
        "{said}"
    );
    let (said, code) = say(&["delete", "--rcpt", "strict@exim.test", id]);
    assert!(code == Some(1) && said.contains("nothing is left to be deleted"), "{said}");
    assert!(say(&["list", "--all"]).0.contains("strict@exim.test (released)"), "{}", say(&["list", "--all"]).0);
    let (said, _) = say(&["show", id]);
    assert!(said.contains("released at 20") && said.matches("score ").count() == 1, "{said}");
    thread::sleep(Duration::from_millis(300));
    lab.exim.wait_delivered(2).unwrap();
}

#[test]
fn what_is_deleted_is_not_released() {
    let Some((lab, daemon)) = lab("what_is_deleted_is_not_released", FOR_ONE) else { return };
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["strict@exim.test"]).unwrap();
    assert_eq!(client.data(SPAM).unwrap().code, 250);
    lab.exim.wait_log("Completed").unwrap();
    let listed = kept(&lab, &daemon);
    let [(_, id)] = listed.as_slice() else { panic!("{listed:?}\n{}", daemon.log()) };
    for (arguments, code, ought) in [
        (["delete", id], 0, "deleted for strict@exim.test\n"),
        (["delete", id], 0, "nothing to do\n"),
        (["release", id], 1, "nothing is left to be released\n"),
        (["show", id], 0, "  strict@exim.test deleted at 20"),
    ] {
        let output = daemon.command_as_root(&lab, &[&["quarantine"], &arguments[..]].concat()).unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(ought), "{arguments:?}: {said}");
    }
}

#[test]
fn a_thousand_recipients_and_300_kb_of_headers_are_judged_in_full() {
    let name = "a_thousand_recipients_and_300_kb_of_headers_are_judged_in_full";
    let Some((lab, daemon)) = lab(name, FOR_ALL) else { return };
    let mut message = String::from("Subject: offer\n");
    while message.len() < 300 * 1024 {
        message.push_str(&format!("X-Padding-{}: {}\n", message.len(), "pad ".repeat(24)));
    }
    message.push_str("\nBuy now.\n");
    let recipients: Vec<String> = (0..1000).map(|number| format!("recipient-{number:04}@exim.test")).collect();
    let names: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &names).unwrap();
    assert_eq!(client.data(message.as_bytes()).unwrap().code, 250);
    lab.exim.wait_log("Completed").unwrap();
    let mut kept: Vec<String> = kept(&lab, &daemon).into_iter().map(|(recipient, _)| recipient).collect();
    kept.sort();
    assert_eq!(kept, recipients, "{}", daemon.log());
    assert!(lab.exim.delivered().unwrap().is_empty());
}

#[test]
fn every_message_is_delivered_or_kept_exactly_once_while_the_daemon_is_killed() {
    let name = "every_message_is_delivered_or_kept_exactly_once_while_the_daemon_is_killed";
    let Some((lab, mut daemon)) = lab(name, FOR_ALL) else { return };
    let count = std::env::var("TIDEGATE_SOAK_MESSAGES").map_or(MESSAGES, |count| count.parse().unwrap());
    let clients = if count > MESSAGES { SOAK_CLIENTS } else { CLIENTS };
    let (next, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let kills = thread::scope(|scope| {
        let senders: Vec<_> = (0..clients).map(|_| scope.spawn(|| send_some(&lab, &next, count))).collect();
        let killer = scope.spawn(|| kill_often(&lab, &mut daemon, &is_done));
        let sent = senders.into_iter().map(|sender| sender.join()).collect::<Vec<_>>();
        is_done.store(true, Ordering::Relaxed);
        let kills = killer.join().unwrap();
        assert!(sent.iter().all(Result::is_ok), "a client was refused");
        kills
    });
    settle(&lab);
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let delivered = lab.exim.delivered().unwrap();
    let kept = kept(&lab, &daemon);
    for recipient in delivered.iter().map(|d| &d.recipient).chain(kept.iter().map(|(recipient, _)| recipient)) {
        *found.entry(recipient.clone()).or_default() += 1;
    }
    println!(
        "{count} messages, {clients} clients, {kills} kills, {} s: {} delivered, {} kept",
        begun.elapsed().as_secs(),
        delivered.len(),
        kept.len()
    );
    let wrong: Vec<_> = (0..count)
        .map(|number| format!("r{number}@exim.test"))
        .filter(|recipient| found.get(recipient) != Some(&1))
        .map(|recipient| (found.get(&recipient).copied().unwrap_or(0), recipient))
        .collect();
    assert!(wrong.is_empty(), "not found exactly once: {wrong:?}");
    assert_eq!(found.len(), count);
    assert!(!kept.is_empty(), "nothing was kept, so nothing was proven:\n{}", daemon.log());
}

/// Sends messages of the next free numbers until `count` were sent; each must be accepted.
fn send_some(lab: &Lab, next: &AtomicUsize, count: usize) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let is_spam = number.is_multiple_of(KEPT_EVERY);
        let (source, helo, sender, message) = if is_spam {
            ("203.0.113.66", "mail.bad.test", "a@good.test", SPAM)
        } else {
            ("203.0.113.10", "mail.good.test", "a@good.test", HAM)
        };
        let (mut client, _) = lab.client(source).unwrap();
        client.envelope(helo, sender, &[&format!("r{number}@exim.test")]).unwrap();
        let reply = client.data(message).unwrap();
        assert_eq!(reply.code, 250, "{}", reply.text);
        client.hang_up();
    }
}

/// Kills the daemon every two seconds and starts it again; leaves it running.
fn kill_often(lab: &Lab, daemon: &mut Daemon, is_done: &AtomicBool) -> u32 {
    let mut kills = 0;
    while !is_done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(2));
        daemon.kill();
        kills += 1;
        daemon.spawn(lab).unwrap();
    }
    kills
}

/// Runs Exim's queue until it is empty.
fn settle(lab: &Lab) {
    let begun = Instant::now();
    loop {
        let output = lab.exim.once(lab.namespace(), &["-bpc"]).unwrap();
        if output.stdout == b"0\n" {
            return;
        }
        let log = lab.exim.log();
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        assert!(begun.elapsed() < Duration::from_secs(180), "the queue does not empty:\n{}", last.join("\n"));
        lab.exim.run_queue(lab.namespace()).unwrap();
        thread::sleep(Duration::from_millis(200));
    }
}
