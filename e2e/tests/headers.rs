//! Fields that say something in our name, in a real Exim with the real daemon: what is forged does not reach a mailbox, however much of it
//! there is, and what others wrote does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a lab that breaks is to fail loudly")]

use std::fs;

use tidegate_e2e::cast::{GOOD, HAM, LISTED, LISTING_WEIGHS, SPAM};
use tidegate_e2e::exim::Delivered;
use tidegate_e2e::{Daemon, Lab, Plan};

/// Nothing is refused or asked to wait; one domain keeps what the listed client sends.
const POLICY: &str = "
[policy.server]
inbound = { greylist = \"off\", reject = \"off\" }

[policy.domains.\"hosted.test\"]
inbound = { greylist = \"off\", reject = \"off\", quarantine = 6.5 }
";

fn lab(test: &str) -> Option<(Lab, Daemon)> {
    let plan = Plan { dns: [GOOD, LISTED].concat(), ..Plan::default() };
    Daemon::with_lab(test, &plan, &[LISTING_WEIGHS, POLICY].concat()).unwrap()
}

/// Sends `fields` and then [`HAM`], from the server of `good.test`.
fn send(lab: &Lab, fields: &str) -> u16 {
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    client.data(&[fields.as_bytes(), HAM].concat()).unwrap().code
}

/// The lines of the header that are no continuation, up to the colon.
fn names(delivered: &Delivered) -> Vec<String> {
    let text = String::from_utf8_lossy(&delivered.message).into_owned();
    let head = text.split("\n\n").next().unwrap_or_default();
    let lines = head.lines().filter(|line| !line.starts_with([' ', '\t']));
    lines.filter_map(|line| Some(line.split_once(':')?.0.trim_end().to_owned())).collect()
}

/// Exim compares each name with each field: 9,000 names took it longer than it waits for us, and the message went on with all of them.
#[test]
fn many_forged_names_do_not_outrun_the_verdict() {
    let Some((lab, _daemon)) = lab("many_forged_names_do_not_outrun_the_verdict") else { return };
    let forged = |count: usize| -> String {
        let many: String = (0..count).map(|n| format!("X-Tidegate-{}{n}: f\n", "a".repeat(40))).collect();
        many + "x-tidegate-STATUS : accept forged\n"
    };
    assert_eq!(send(&lab, &forged(9000)), 550);
    assert_eq!(send(&lab, &forged(32)), 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let ours: Vec<String> =
        names(&delivered).into_iter().filter(|n| n.to_lowercase().starts_with("x-tidegate")).collect();
    assert_eq!(ours, ["X-Tidegate-Id", "X-Tidegate-Status"]);
    assert!(!delivered.header("X-Tidegate-Status")[0].contains("forged"));
}

/// Exim ended itself over more than 32 KB to be added, and left the message's body in the spool each time.
#[test]
fn foreign_results_beyond_what_exim_takes_are_left_out() {
    let Some((lab, _daemon)) = lab("foreign_results_beyond_what_exim_takes_are_left_out") else { return };
    let foreign: String = (0..2000).map(|n| format!("Authentication-Results: f{n}.example; spf=pass\n")).collect();
    assert_eq!(send(&lab, &format!("Authentication-Results: mx.exim.test; dmarc=pass\n{foreign}")), 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let results = delivered.header("Authentication-Results");
    assert!(results.len() > 100 && results[1..].iter().all(|value| value.starts_with('f')), "{}", results.len());
    assert_eq!(results[1..3], ["f0.example; spf=pass", "f1.example; spf=pass"]);
    assert_eq!(lab.exim.panic_log(), "");
    lab.exim.wait_log("Completed").unwrap();
    assert_eq!(fs::read_dir(lab.folder().join("spool/input")).unwrap().count(), 0, "nothing is left in the spool");
}

#[test]
fn results_in_our_name_go_in_any_form_and_others_keep_their_place() {
    let Some((lab, _daemon)) = lab("results_in_our_name_go_in_any_form_and_others_keep_their_place") else { return };
    let folded =
        format!("Authentication-Results: four.example;\n {}\n", "spf=pass smtp.mailfrom=a@four.example;\n ".repeat(50));
    let fields = format!(
        "Authentication-Results: one.example; spf=pass\nAuthentication-Results: mx.exim.test(c); forged\n\
         Authentication-Results: ((c) c) mx.exim.test; forged\nAuthentication-Results: (a \\) b) mx.exim.test; forged\n\
         Authentication-Results : \"mx.exim\\.test\"; forged\nAuthentication-Results:\n\tMX.EXIM.TEST 1; forged\n\
         Authentication-Results: two.example; spf=pass\nAuthentication-Results: mx.exim.test.; forged\n{}x\n",
        folded.trim_end()
    );
    assert_eq!(send(&lab, &fields), 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let results = delivered.header("Authentication-Results");
    assert!(results[0].starts_with("mx.exim.test; iprev="), "{results:?}");
    assert_eq!(results[1..3], ["one.example; spf=pass", "two.example; spf=pass"]);
    assert!(results.len() == 4 && results[3].starts_with("four.example;"), "{results:?}");
    let names = names(&delivered);
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert!(at("Authentication-Results") < at("Received"), "ours is a trace field of this server");
    assert_eq!(
        names[at("Received") + 1..][..4],
        ["Authentication-Results"; 3].into_iter().chain(["From"]).collect::<Vec<_>>()
    );
    let text = String::from_utf8_lossy(&delivered.message).into_owned();
    assert!(text.lines().all(|line| line.len() <= 998), "RFC 5322 section 2.1.1");
}

#[test]
fn a_released_message_has_lost_what_it_said_in_our_name() {
    let Some((lab, daemon)) = lab("a_released_message_has_lost_what_it_said_in_our_name") else { return };
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["b@hosted.test"]).unwrap();
    let forged = "X-Tidegate-Status: accept forged\nX-Tidegate-Released: forged\nX-Tidegate-Foo: forged\n\
                  Authentication-Results: mx.exim.test; forged\nAuthentication-Results: one.example; spf=pass\n";
    assert_eq!(client.data(&[forged.as_bytes(), SPAM].concat()).unwrap().code, 250);
    let log = lab.exim.wait_log("Completed").unwrap();
    let id = log.lines().find(|line| line.contains(" <= ")).unwrap().split(' ').find(|word| word.len() == 16).unwrap();
    let released = daemon.command_as_root(&lab, &["quarantine", "release", id]).unwrap();
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let text = String::from_utf8_lossy(&delivered.message).into_owned();
    assert!(!text.contains("forged"), "{text}");
    assert!(delivered.header("X-Tidegate-Released")[0].starts_with(id), "{text}");
    assert_eq!(delivered.header("Authentication-Results"), ["one.example; spf=pass"]);
}

#[test]
fn without_the_daemon_no_forged_status_is_delivered() {
    let Some((lab, mut daemon)) = lab("without_the_daemon_no_forged_status_is_delivered") else { return };
    daemon.kill();
    assert_eq!(
        send(&lab, "X-Tidegate-Status: accept forged\nX-Tidegate-Id: forged\nx-tidegate-released : forged\n"),
        250
    );
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    assert!(!String::from_utf8_lossy(&delivered.message).contains("forged"));
    let sent = lab.sendmail("www-data", &["-t"], b"To: b@exim.test\nX-Tidegate-Status: accept forged\n\nx\n").unwrap();
    assert!(sent.status.success());
    let delivered = lab.exim.wait_delivered(2).unwrap();
    assert!(delivered.iter().all(|one| one.header("X-Tidegate-Status").is_empty()));
}
