//! The real daemon beside a real Exim: what it judges is what a client hears and a mailbox gets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly"
)]

use std::thread;
use std::time::Duration;

use tidegate_e2e::cast::{GOOD, LISTED};
use tidegate_e2e::dns::Zone;
use tidegate_e2e::{Daemon, Lab, Plan};

/// A domain hosted here that says who may send for it, and that all else is to be refused.
const HOSTED: &str = "
hosted.test TXT v=spf1 ip4:192.0.2.25 -all
_dmarc.hosted.test TXT v=DMARC1; p=reject
";
const BLOCKLIST: &str = "
[blocklists.\"bl.test\"]
codes = { \"127.0.0.2\" = { refuse = true } }
";
const MESSAGE: &[u8] = b"From: a@good.test\nTo: b@exim.test\nSubject: t\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <1@good.test>\n\nbody\n";

/// A lab with the real daemon, or `None` and a line that says why this test is skipped.
fn lab(test: &str, config: &str) -> Option<(Lab, Daemon)> {
    Daemon::with_lab(test, &Plan { dns: dns(), ..Plan::default() }, config).unwrap()
}

fn dns() -> String {
    [GOOD, LISTED, HOSTED].concat()
}

/// The newest record about `what`, as soon as there is one.
fn record(lab: &Lab, daemon: &Daemon, what: &str) -> serde_json::Value {
    let read = || {
        let output = daemon.command(lab, &["why", "--json", "--limit", "1", what]).unwrap();
        serde_json::from_slice(&output.stdout).ok()
    };
    let patient = (0..50).find_map(|_| {
        thread::sleep(Duration::from_millis(200));
        read()
    });
    patient.unwrap()
}

#[test]
fn accepted_mail_says_what_was_proven() {
    let Some((lab, _daemon)) = lab("accepted_mail_says_what_was_proven", "") else { return };
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    let forged =
        [&b"X-Tidegate-Status: accept score=-100\nAuthentication-Results: mx.exim.test; spf=pass\n"[..], MESSAGE];
    assert_eq!(client.data(&forged.concat()).unwrap().code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let results = delivered.header("Authentication-Results");
    assert_eq!(results.len(), 1, "{results:?}");
    assert!(
        results[0].starts_with("mx.exim.test;") && results[0].contains("spf=pass smtp.mailfrom=a@good.test"),
        "{results:?}"
    );
    let status = delivered.header("X-Tidegate-Status");
    assert!(status.len() == 1 && status[0].starts_with("accept score="), "{status:?}");
}

#[test]
fn a_listed_client_is_refused_and_reaches_the_postmaster() {
    let Some((lab, _daemon)) = lab("a_listed_client_is_refused_and_reaches_the_postmaster", BLOCKLIST) else { return };
    let (mut client, greeting) = lab.client("203.0.113.66").unwrap();
    assert_eq!(greeting.code, 220);
    client.envelope("mail.bad.test", "a@bad.test", &[]).unwrap();
    let reply = client.expect("RCPT TO:<b@exim.test>", 550).unwrap();
    assert!(reply.text.contains("bl.test"), "{}", reply.text);
    client.expect("RCPT TO:<postmaster@exim.test>", 250).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    lab.exim.wait_delivered(1).unwrap();
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
}

/// Refusals of one client for one reason are one record. Whichever of its replies somebody asks about, `why` explains it.
#[test]
fn each_id_in_a_reply_is_explained() {
    let Some((lab, daemon)) = lab("each_id_in_a_reply_is_explained", BLOCKLIST) else { return };
    let mut ids = Vec::new();
    for recipients in [["b@exim.test", "c@exim.test"], ["d@exim.test", "b@exim.test"]] {
        let (mut client, _) = lab.client("203.0.113.66").unwrap();
        client.envelope("mail.bad.test", "a@bad.test", &[]).unwrap();
        for recipient in recipients {
            let reply = client.expect(&format!("RCPT TO:<{recipient}>"), 550).unwrap();
            let id = reply.text.rsplit_once('[').unwrap().1.trim_end_matches(|c| c != ']').to_owned();
            ids.push(format!("[{id}"));
        }
        // Mail of the same session is another record.
        client.expect("RCPT TO:<postmaster@exim.test>", 250).unwrap();
        assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    }
    let merged = record(&lab, &daemon, &ids[3]);
    thread::sleep(Duration::from_millis(500));
    for id in &ids {
        let output = daemon.command(&lab, &["why", id]).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("3 more like it"), "{id} of {ids:?}: {said}\n{merged}");
        assert!(said.contains("for b@exim.test, c@exim.test, d@exim.test\n"), "{said}");
    }
    let output = daemon.command(&lab, &["why", "--json", "--verify", "203.0.113.66"]).unwrap();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["verified"], true, "{record}");
    }
}

#[test]
fn a_stranger_in_the_name_of_a_hosted_domain_is_refused() {
    let Some((lab, _daemon)) = lab("a_stranger_in_the_name_of_a_hosted_domain_is_refused", "") else { return };
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    let forged = String::from_utf8_lossy(MESSAGE).replace("From: a@good.test", "From: The Club <chair@hosted.test>");
    let reply = client.data(forged.as_bytes()).unwrap();
    assert_eq!(reply.code, 550, "{}", reply.text);
    assert!(reply.text.contains("hosted.test"), "{}", reply.text);
    client.transaction("a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250, "the same client in its own name");
}

#[test]
fn an_error_code_of_a_blocklist_lists_nobody() {
    let Some((lab, daemon)) = lab("an_error_code_of_a_blocklist_lists_nobody", BLOCKLIST) else { return };
    lab.dns.set(
        Zone::parse(&format!("{}*.bl.test A 127.255.255.254\n2.0.0.127.bl.test A 127.255.255.254", dns())).unwrap(),
    );
    let (mut client, _) = lab.client("203.0.113.67").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["b@exim.test"]).unwrap();
    let status = daemon.command(&lab, &["status"]).unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("bl.test is switched off") && said.contains("127.255.255.254"), "{said}");
    assert_eq!(status.status.code(), Some(1), "there is something to look at");
}

#[test]
fn dead_dns_delays_but_does_not_refuse() {
    let Some((lab, daemon)) = lab("dead_dns_delays_but_does_not_refuse", BLOCKLIST) else { return };
    lab.dns.set(Zone::parse("* ANY timeout").unwrap());
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@bad.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    assert_eq!(delivered.header("X-Tidegate-Status").len(), 1, "judged, and in time: {}", lab.exim.log());
    let record = record(&lab, &daemon, "203.0.113.66");
    let gaps = record["record"]["brief"]["gaps"].as_array().unwrap();
    assert!(gaps.iter().any(|gap| gap["check"] == "dnsbl"), "what could not be known is recorded: {gaps:?}");
}

#[test]
fn mail_flows_past_a_killed_daemon_and_is_judged_again_by_a_new_one() {
    let Some((lab, mut daemon)) = lab("mail_flows_past_a_killed_daemon_and_is_judged_again_by_a_new_one", BLOCKLIST)
    else {
        return;
    };
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@bad.test", &[]).unwrap();
    daemon.kill();
    client.expect("RCPT TO:<b@exim.test>", 250).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    daemon.spawn(&lab).unwrap();
    client.transaction("a@bad.test", &[]).unwrap();
    client.expect("RCPT TO:<b@exim.test>", 550).unwrap();
    lab.exim.wait_delivered(1).unwrap();
}

/// Waits until the journal has `count` records of `client` that give the same verdict again: records that explain no effect
/// are written soon after the reply, several at once.
fn wait_verified(lab: &Lab, daemon: &Daemon, client: &str, count: usize) {
    let verified = || {
        let why = daemon.command(lab, &["why", "--verify", client]).unwrap();
        let said = String::from_utf8_lossy(&why.stdout).into_owned();
        (said.matches("verified: the record gives the same verdict again").count(), said)
    };
    let patient = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(200));
        verified().0 == count
    });
    assert!(patient, "{}", verified().1);
}

#[test]
fn a_daemon_restarted_before_data_judges_alike() {
    let Some((lab, mut daemon)) = lab("a_daemon_restarted_before_data_judges_alike", "") else { return };
    let status = |restarts: bool, daemon: &mut Daemon| {
        let (mut client, _) = lab.client("203.0.113.10").unwrap();
        client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
        if restarts {
            daemon.kill();
            daemon.spawn(&lab).unwrap();
        }
        assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    };
    status(false, &mut daemon);
    wait_verified(&lab, &daemon, "203.0.113.10", 1);
    status(true, &mut daemon);
    wait_verified(&lab, &daemon, "203.0.113.10", 2);
    let delivered = lab.exim.wait_delivered(2).unwrap();
    for name in ["X-Tidegate-Status", "Authentication-Results"] {
        assert_eq!(delivered[0].header(name), delivered[1].header(name));
        assert_eq!(delivered[0].header(name).len(), 1);
    }
}

#[test]
fn an_unknown_suspicious_sender_waits_once() {
    let config =
        "[blocklists.\"bl.test\"]\nweight = 3.0\ncodes = { \"127.0.0.2\" = {} }\n[checks.greylist]\ndelay_s = 5\n";
    let Some((lab, _daemon)) = lab("an_unknown_suspicious_sender_waits_once", config) else { return };
    let attempt = |source: &str, helo: &str, sender: &str| {
        let (mut client, _) = lab.client(source).unwrap();
        client.envelope(helo, sender, &[]).unwrap();
        let reply = client.say("RCPT TO:<b@exim.test>").unwrap();
        if reply.code == 250 { client.data(MESSAGE).unwrap() } else { reply }
    };
    assert_eq!(attempt("203.0.113.10", "mail.good.test", "a@good.test").code, 250, "an ordinary sender never waits");
    let first = attempt("203.0.113.66", "mail.bad.test", "a@bad.test");
    assert_eq!(first.code, 451, "{}", first.text);
    assert_eq!(attempt("203.0.113.66", "mail.bad.test", "a@bad.test").code, 451, "too early");
    thread::sleep(Duration::from_millis(5100));
    assert_eq!(attempt("203.0.113.66", "mail.bad.test", "a@bad.test").code, 250);
    lab.exim.wait_delivered(2).unwrap();
}

#[test]
fn a_header_of_300_kb_is_judged_to_its_last_line() {
    let Some((lab, _daemon)) = lab("a_header_of_300_kb_is_judged_to_its_last_line", "") else { return };
    for (kb, expected) in [(10, ""), (50, ""), (300, "LARGE_HEADER")] {
        let mut message = String::from("From: a@good.test\nTo: b@exim.test\nSubject: t\n");
        while message.len() < kb * 1024 {
            message.push_str(&format!("X-Padding-{}: {}\n", message.len(), "pad ".repeat(24)));
        }
        for (last_line, symbol) in [("X-Last: 1\n", false), ("From: c@good.test\n", true)] {
            let (mut client, _) = lab.client("203.0.113.10").unwrap();
            client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
            let rest = "Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <1@good.test>\n\nbody\n";
            let whole = format!("{message}{last_line}{rest}");
            assert_eq!(client.data(whole.as_bytes()).unwrap().code, 250);
            let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
            lab.exim.empty_mailbox().unwrap();
            let status = delivered.header("X-Tidegate-Status").concat();
            assert_eq!(status.contains("REPEATED_FIELD"), symbol, "{kb} KB, {last_line}: {status}");
            assert!(status.starts_with("accept score=") && status.contains(expected), "{kb} KB: {status}");
        }
    }
}

#[test]
fn local_programs_are_judged_as_submission() {
    let Some((lab, _daemon)) = lab("local_programs_are_judged_as_submission", BLOCKLIST) else { return };
    let output =
        lab.sendmail("www-data", &["-t", "-f", "shop@exim.test"], b"From: shop@exim.test\nTo: b@exim.test\n\nx\n");
    assert!(output.unwrap().status.success());
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    assert_eq!(delivered.header("X-Tidegate-Status").len(), 1, "{}", lab.exim.log());
    assert_eq!(lab.exim.panic_log(), "");
}
