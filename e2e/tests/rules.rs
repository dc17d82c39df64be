//! Rule files in a running daemon behind a real Exim: what an administrator writes is in use within a second, and explained.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly"
)]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::cast::GOOD;
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

const CONFIG: &str = "
[rules]
shipped = false
files = [\"@LAB@/rules/*.cf\"]
";
const RULE: &str = "body LOCAL_INVOICE /unpaid\\s+invoice \\d+/i\ndescribe LOCAL_INVOICE Asks to pay an invoice\nscore LOCAL_INVOICE 6\n";
/// How long a changed file may take until it is in use. It took 47 to 257 ms when this was written, which the test prints; other
/// builds beside it must not fail it.
const IN_USE_MAX: Duration = Duration::from_secs(10);

fn message(number: u32) -> Vec<u8> {
    format!("From: a@good.test\nTo: b@exim.test\nSubject: t\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <rules{number}@good.test>\n\nPlease pay the UNPAID\ninvoice 4711 today.\n").into_bytes()
}

/// Puts a rule file in place as editors do: written beside it, then renamed. Returns once the daemon has taken note.
fn put(lab: &Lab, daemon: &Daemon, text: &str) {
    let rules = || {
        let output = daemon.command(lab, &["status", "--json"]).unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["rules"].clone()
    };
    let before = rules();
    let folder = lab.folder().join("rules");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("local.cf.new"), text).unwrap();
    let began = Instant::now();
    fs::rename(folder.join("local.cf.new"), folder.join("local.cf")).unwrap();
    while rules() == before {
        assert!(began.elapsed() < IN_USE_MAX, "{before}");
        thread::sleep(Duration::from_millis(20));
    }
    println!("taken note of after {} ms", began.elapsed().as_millis());
}

/// Brings message `number` on a connection of its own: an open one keeps the rules it began with.
fn send(lab: &Lab, number: u32) {
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(&message(number)).unwrap().code, 250);
}

/// What `tidegate why` says of message `number`, as soon as it is recorded.
fn why(lab: &Lab, daemon: &Daemon, number: u32) -> String {
    let said = (0..50).find_map(|_| {
        thread::sleep(Duration::from_millis(100));
        let output = daemon.command(lab, &["why", "--verify", &format!("rules{number}@good.test")]).unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    said.unwrap()
}

fn status(lab: &Lab, daemon: &Daemon) -> String {
    String::from_utf8(daemon.command(lab, &["status"]).unwrap().stdout).unwrap()
}

#[test]
fn a_rule_is_in_use_within_a_second_and_a_broken_file_takes_none_away() {
    let test = "a_rule_is_in_use_within_a_second_and_a_broken_file_takes_none_away";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: GOOD.to_owned(), ..Plan::default() }).unwrap();
    let daemon = Daemon::start(&lab, CONFIG).unwrap();
    send(&lab, 1);
    assert!(!why(&lab, &daemon, 1).contains("LOCAL_INVOICE"));

    put(&lab, &daemon, RULE);
    send(&lab, 2);
    let said = why(&lab, &daemon, 2);
    assert!(said.contains("6.0   LOCAL_INVOICE: Asks to pay an invoice\n            UNPAID invoice 4711"), "{said}");
    assert!(said.contains("tag at data") && said.contains("verified:"), "{said}");

    put(&lab, &daemon, &format!("{RULE}body BROKEN /(unclosed/\n"));
    let alarm = status(&lab, &daemon);
    assert!(alarm.contains("! the rule files are broken") && alarm.contains("local.cf:4:"), "{alarm}");
    send(&lab, 3);
    assert!(why(&lab, &daemon, 3).contains("LOCAL_INVOICE"), "the former rules stay in use");

    put(&lab, &daemon, &RULE.replace("score LOCAL_INVOICE 6", "score LOCAL_INVOICE 1.25"));
    let mended = status(&lab, &daemon);
    assert!(!mended.contains("broken"), "{mended}");
    send(&lab, 4);
    assert!(why(&lab, &daemon, 4).contains("1.25   LOCAL_INVOICE"));
}
