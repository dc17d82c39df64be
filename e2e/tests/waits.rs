//! What a client waits for when somebody does not answer: the daemon that hangs, dead DNS, a dead list. Mail flows, it is judged by what
//! is known in time, and nothing of it is left when all is well again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly; it waits"
)]

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tidegate_e2e::cast::{GOOD, HAM};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

/// How long the daemon may take to notice that something has changed.
const PATIENCE: Duration = Duration::from_secs(30);
const BLOCKLIST: &str = "[blocklists.\"bl.test\"]\ncodes = { \"127.0.0.2\" = {} }\n";

fn lab(test: &str, dns: &str, config: &str) -> Option<(Lab, Daemon)> {
    Daemon::with_lab(test, &Plan { dns: dns.to_owned(), ..Plan::default() }, config).unwrap()
}

fn signal(daemon: &Daemon, signal: Signal) {
    let pid = i32::try_from(daemon.pid().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn status(lab: &Lab, daemon: &Daemon) -> serde_json::Value {
    let output = daemon.command(lab, &["status", "--json"]).unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn wait_until(lab: &Lab, daemon: &Daemon, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
    let begun = Instant::now();
    loop {
        let now = status(lab, daemon);
        if is_so(&now) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}\n{now:#}\n{}", daemon.log());
        thread::sleep(Duration::from_millis(200));
    }
}

fn wait_for_output(lab: &Lab, daemon: &Daemon, arguments: &[&str], part: &str) -> String {
    let begun = Instant::now();
    loop {
        let output = daemon.command(lab, arguments).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains(part) {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {said}\n{}", daemon.log());
        thread::sleep(Duration::from_millis(200));
    }
}

/// Asks that nobody waits for any more would otherwise begin sessions that never end, and shut out their network.
#[test]
fn what_queued_up_while_the_daemon_hung_leaves_nothing_behind() {
    let config = "[checks.rate]\nsessions_max = 5\n";
    let Some((lab, daemon)) = lab("what_queued_up_while_the_daemon_hung_leaves_nothing_behind", GOOD, config) else {
        return;
    };
    signal(&daemon, Signal::STOP);
    thread::scope(|scope| {
        for host in 20..32 {
            let lab = &lab;
            scope.spawn(move || {
                let (mut client, greeting) = lab.client(&format!("203.0.113.{host}")).unwrap();
                assert_eq!(greeting.code, 220, "mail flows");
                client.expect("QUIT", 221).unwrap();
            });
        }
    });
    signal(&daemon, Signal::CONT);
    wait_until(&lab, &daemon, "all were heard, too late", |status| status["counters"]["late_asks"] == 12);
    let status = status(&lab, &daemon);
    assert_eq!(status["sessions"], 0, "{status:#}");
    assert!(status["alarms"].to_string().contains("12 asks that were heard when Exim had given up"), "{status:#}");
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
}

/// However long one question may take, a stage ends in time: facts and checks do not wait one after the other.
#[test]
fn dead_dns_costs_a_stage_its_deadline_and_no_more() {
    let test = "dead_dns_costs_a_stage_its_deadline_and_no_more";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: "* ANY timeout".to_owned(), ..Plan::default() }).unwrap();
    let mut daemon = Daemon::prepare(&lab, BLOCKLIST).unwrap();
    daemon.edit(|config| config.replace("timeout_ms = 500", "timeout_ms = 5000")).unwrap();
    daemon.spawn(&lab).unwrap();
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    assert_eq!(delivered.header("X-Tidegate-Status").len(), 1, "judged all the same: {}", lab.exim.log());
    // Exim asks DNS itself as well, so what the client waited for says less.
    let status = status(&lab, &daemon);
    for stage in ["connect", "helo", "mail", "rcpt"] {
        let longest = status["waits"][stage]["longest_us"].as_u64().unwrap();
        assert!(longest < 1_800_000, "{stage}: {status:#}");
    }
    assert_eq!(status["counters"]["late_answers"], 0, "{status:#}");
    let why = wait_for_output(&lab, &daemon, &["why", "--limit", "1", "203.0.113.10"], "unknown");
    for check in ["fcrdns at connect", "dnsbl at connect", "spf at mail", "dmarc at data"] {
        assert!(why.contains(&format!("unknown     {check}")), "{check}: {why}");
    }
}
