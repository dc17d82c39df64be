//! What became of messages, as Exim itself tells it (`event_action`), with and without a log; and that nothing of it is in the way
//! of a delivery.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly"
)]

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

const MESSAGE: &[u8] =
    b"From: a@good.test\nTo: b@exim.test\nSubject: t\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <1@good.test>\n\nbody\n";
const EVENTS: &str = "LAB_EVENTS = yes\n";
/// Nothing is refused or asked to wait.
const LENIENT: &str = "[policy.server]\ninbound = { greylist = \"off\", reject = \"off\", quarantine = \"off\" }\n";
const NO_LOG: &str = "[logs]\nfollow = false\n";

fn lab(test: &str, exim: &str, config: &str) -> Option<(Lab, Daemon)> {
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return None;
    }
    let dns = "good.test MX 10 mail.good.test\nmail.good.test A 203.0.113.10\n";
    let lab = Lab::start(&Plan { dns: dns.to_owned(), exim: exim.to_owned(), ..Plan::default() }).unwrap();
    let daemon = Daemon::start(&lab, &format!("{LENIENT}{config}")).unwrap();
    Some((lab, daemon))
}

/// One message for two over SMTP, and from a local user one that nobody here takes, one that another server refuses, and one that
/// waits.
fn traffic(lab: &Lab) {
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test", "alias-c@exim.test"]).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    for recipient in ["unknown-here@exim.test", "unknown-there@exim.test", "stuck@exim.test"] {
        let sent = lab.sendmail("www-data", &["-i", "-f", "shop@exim.test", recipient], MESSAGE).unwrap();
        assert!(sent.status.success(), "{recipient}");
    }
}

/// What `tidegate status` says of the logs, as soon as its outcomes stay the same for a while.
fn settled(lab: &Lab, daemon: &Daemon) -> Value {
    let read = || {
        let output = daemon.command(lab, &["status", "--json"]).unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["logs"].clone()
    };
    let mut former = read();
    let mut same = 0;
    for _ in 0..60 {
        thread::sleep(Duration::from_millis(500));
        let present = read();
        // A telling of Exim waits five seconds for the log.
        same = if present["outcomes"] == former["outcomes"] { same + 1 } else { 0 };
        former = present;
        if same >= 16 && former["outcomes"]["messages"] != 0 {
            return former;
        }
    }
    panic!("the outcomes do not settle: {former}");
}

#[test]
fn outcomes_are_known_without_a_log_and_count_once_with_one() {
    let test = "outcomes_are_known_without_a_log_and_count_once_with_one";
    let Some((lab, daemon)) = lab(test, EVENTS, NO_LOG) else { return };
    // Two are served, and the sender of the two that failed gets a bounce of each.
    let expected = json!({ "messages": 6, "delivered": 4, "deferred": 1, "failed": 2 });
    traffic(&lab);
    let told = settled(&lab, &daemon);
    assert_eq!(lab.exim.panic_log(), "");
    assert_eq!(told["outcomes"], expected, "{told}");
    assert_eq!((told["files"].as_array().unwrap().len(), &told["losses"]["orphans"]), (0, &json!(0)));
    drop((daemon, lab));
    let Some((lab, daemon)) = self::lab(test, EVENTS, "") else { return };
    traffic(&lab);
    let both = settled(&lab, &daemon);
    assert_eq!(both["outcomes"], expected, "{both}");
    assert_eq!(both["told"]["events"], told["told"]["events"], "Exim told as much, and the log the same");
}

#[test]
fn a_dead_daemon_is_in_nobodys_way() {
    let Some((lab, mut daemon)) = lab("a_dead_daemon_is_in_nobodys_way", EVENTS, "") else { return };
    daemon.kill();
    let began = Instant::now();
    traffic(&lab);
    // Two are served, two bounces came back.
    assert_eq!(lab.exim.wait_delivered(4).unwrap().len(), 4);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(lab.exim.panic_log(), "", "{}", lab.exim.log());
}

#[test]
fn a_daemon_that_hangs_costs_a_delivery_one_wait() {
    let Some((lab, daemon)) = lab("a_daemon_that_hangs_costs_a_delivery_one_wait", EVENTS, "") else { return };
    let signal = |signal: &str| {
        let pid = std::fs::read_to_string(lab.folder().join("run/exim.sock.pid")).unwrap();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
    };
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test", "c@exim.test", "d@exim.test"]).unwrap();
    signal("-STOP");
    let began = Instant::now();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    let answered = began.elapsed();
    assert_eq!(lab.exim.wait_delivered(3).unwrap().len(), 3);
    lab.exim.wait_log("Completed").unwrap();
    // Three deliveries and the end of the message are told, or rather not.
    assert!(began.elapsed() - answered < Duration::from_secs(4), "{:?} {answered:?}", began.elapsed());
    assert_eq!(lab.exim.panic_log(), "", "{}", lab.exim.log());
    signal("-CONT");
    drop(daemon);
}

/// Which file of a folder sends is in the header that PHP writes: the ask for a local message brings it, before its log line comes.
#[test]
fn an_alert_names_the_script_of_local_mail() {
    const THRESHOLDS: &str = "script_recipients_1h = 3\n";
    let test = "an_alert_names_the_script_of_local_mail";
    let Some((lab, daemon)) = lab(test, "", &format!("[logs.thresholds]\n{THRESHOLDS}")) else { return };
    let message = [b"X-PHP-Originating-Script: 33:mailer.php\n", MESSAGE].concat();
    for _ in 0..3 {
        assert!(
            lab.sendmail("www-data", &["-i", "-f", "shop@exim.test", "b@exim.test"], &message)
                .unwrap()
                .status
                .success()
        );
    }
    let told = settled(&lab, &daemon);
    let alerts: Vec<&str> =
        told["alerts"].as_array().unwrap().iter().filter_map(|alert| alert["evidence"].as_str()).collect();
    let named = "; 3 of 3 that day in mail whose header names mailer.php";
    assert!(alerts.iter().any(|evidence| evidence.ends_with(named)), "{told}");
}
