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
use tidegate_e2e::cast::{GOOD, HAM, LISTED, LISTING_WEIGHS};
use tidegate_e2e::dns::Zone;
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

fn wait_until(lab: &Lab, daemon: &Daemon, what: &str, mut is_so: impl FnMut(&serde_json::Value) -> bool) {
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
    let alarms = status["alarms"].to_string();
    assert!(alarms.contains("asks that were heard when Exim had given up") && alarms.contains(": 12\""), "{alarms}");
    wait_until(&lab, &daemon, "Exim's log is read", |status| {
        status["alarms"].to_string().contains("Exim got no answer in 12 connections")
    });
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
}

/// What Exim never heard did not happen: the record says so, the copy in the quarantine says so, and nothing counts as done.
#[test]
fn a_verdict_that_comes_too_late_is_told_as_one_that_nobody_heard() {
    let test = "a_verdict_that_comes_too_late_is_told_as_one_that_nobody_heard";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    // The author's domain answers later than Exim waits, and earlier than the daemon gives up.
    let dns = [GOOD, LISTED, "slow.test ANY timeout\n*.slow.test ANY timeout\n"].concat();
    let lab = Lab::start(&Plan { dns, exim: "TIDEGATE_WAIT_CONTENT = 1s\n".to_owned(), ..Plan::default() }).unwrap();
    let policy = "[policy.server]\ninbound = { greylist = \"off\", reject = \"off\", quarantine = 6.5 }\n";
    let mut daemon = Daemon::prepare(&lab, &[&LISTING_WEIGHS.replace("5.0", "6.0"), policy].concat()).unwrap();
    daemon.edit(|config| config.replace("timeout_ms = 500", "timeout_ms = 3000")).unwrap();
    daemon.spawn(&lab).unwrap();
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(b"From: a@slow.test\nSubject: offer\n\nBuy now.\n").unwrap().code, 250);
    assert_eq!(lab.exim.wait_delivered(1).unwrap().len(), 1, "{}", lab.exim.log());
    wait_until(&lab, &daemon, "it came too late", |status| status["counters"]["late_answers"] == 1);
    let say = |arguments: &[&str]| {
        let output = daemon.command_as_root(&lab, arguments).unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let why = wait_for_output(&lab, &daemon, &["why", "203.0.113.66"], "unheard ");
    assert!(
        why.contains("Exim had stopped waiting and never heard this") && why.contains("verdict     quarantine"),
        "{why}"
    );
    assert_eq!(why.matches("203.0.113.66, helo").count(), 1, "one message, one record: {why}");
    let record: serde_json::Value = serde_json::from_str(&say(&["why", "203.0.113.66", "--json"])).unwrap();
    assert_eq!(record["record"]["unheard"], true, "{record:#}");
    assert!(say(&["log", "--unheard"]).contains("(Exim never heard this)"), "{}", say(&["log", "--unheard"]));
    assert_eq!(say(&["log", "--action", "quarantine"]), "");
    assert_eq!(status(&lab, &daemon)["counters"]["quarantined"], 0);
    let id = record["record"]["mta_id"].as_str().unwrap();
    assert!(
        say(&["quarantine", "list"]).contains("b@exim.test (a copy: Exim went on with it itself)"),
        "{}",
        say(&["quarantine", "list"])
    );
    assert!(
        say(&["quarantine", "show", id]).contains("never heard the verdict"),
        "{}",
        say(&["quarantine", "show", id])
    );
    let refused = say(&["quarantine", "release", id]);
    assert!(refused.contains("release --again"), "{refused}");
    assert_eq!(say(&["quarantine", "release", "--again", id]), "released for b@exim.test\n");
    assert_eq!(lab.exim.wait_delivered(2).unwrap().len(), 2);
}

/// A session that is left open while Exim's pause after the hang runs would count against its network for minutes.
#[test]
fn sessions_that_met_a_hang_end_with_their_connections() {
    let config = "[checks.rate]\nsessions_max = 5\n";
    let Some((lab, daemon)) = lab("sessions_that_met_a_hang_end_with_their_connections", GOOD, config) else { return };
    let clients = (20..26).map(|host| lab.client(&format!("203.0.113.{host}")).unwrap().0);
    let clients: Vec<_> = clients.collect();
    assert_eq!(status(&lab, &daemon)["sessions"], 6);
    signal(&daemon, Signal::STOP);
    thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
                match number % 2 {
                    0 => drop(client.expect("QUIT", 221).unwrap()),
                    _ => client.hang_up(),
                }
            });
        }
    });
    thread::sleep(Duration::from_secs(2));
    signal(&daemon, Signal::CONT);
    wait_until(&lab, &daemon, "all have ended", |status| status["sessions"] == 0);
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
}

/// A list that does not answer costs clients a wait for some seconds, not for an hour.
#[test]
fn a_dead_list_is_not_waited_for() {
    let dns = [GOOD, LISTED].concat();
    let Some((lab, daemon)) = lab("a_dead_list_is_not_waited_for", &dns, BLOCKLIST) else { return };
    wait_until(&lab, &daemon, "it is known to work", |status| status["lists"]["bl.test"]["good"] == true);
    lab.dns.set(Zone::parse(&format!("{dns}bl.test ANY timeout\n*.bl.test ANY timeout\n")).unwrap());
    let mut host = 100;
    let mut connect = || {
        host += 1;
        let (mut client, _) = lab.client(&format!("203.0.113.{host}")).unwrap();
        client.expect("QUIT", 221).unwrap();
        thread::sleep(Duration::from_secs(2));
        status(&lab, &daemon)
    };
    let off = (0..12).map(|_| connect()).find(|status| status["lists"]["bl.test"]["good"] == false);
    let off = off.unwrap_or_else(|| panic!("it is switched off\n{}", daemon.log()));
    assert!(off["alarms"].to_string().contains("DNS list bl.test is switched off: gave no answer"), "{off:#}");
    let asked = |lab: &Lab| lab.dns.asked().iter().filter(|name| name.contains("113.0.203.bl.test")).count();
    let before = asked(&lab);
    (0..3).for_each(|_| drop(connect()));
    assert_eq!(asked(&lab), before, "it is not asked about clients");
    let log = daemon.log();
    assert_eq!(log.matches("DNS list bl.test is switched off").count(), 1, "{log}");
}

/// What lists do not answer while the resolver is dead says nothing about them: one alarm, and they are back when it is.
#[test]
fn a_dead_resolver_is_one_alarm_and_its_lists_come_back_with_it() {
    let dns = [GOOD, LISTED, "2.0.0.127.other.test A 127.0.0.2\n"].concat();
    let lists = [BLOCKLIST, &BLOCKLIST.replace("bl.test", "other.test")].concat();
    let test = "a_dead_resolver_is_one_alarm_and_its_lists_come_back_with_it";
    let Some((lab, daemon)) = lab(test, &dns, &lists) else { return };
    let are = |status: &serde_json::Value, good: bool| {
        ["bl.test", "other.test"].iter().all(|zone| status["lists"][zone]["good"] == good)
    };
    wait_until(&lab, &daemon, "they are known to work", |status| are(status, true));
    lab.dns.set(Zone::parse("* ANY timeout").unwrap());
    let mut host = 100;
    wait_until(&lab, &daemon, "all is silent", |status| {
        host += 1;
        let (mut client, _) = lab.client(&format!("203.0.113.{host}")).unwrap();
        client.expect("QUIT", 221).unwrap();
        are(status, false) && !status["dns"]["dead_since"].is_null()
    });
    let status = status(&lab, &daemon);
    let alarms = status["alarms"].to_string();
    assert_eq!(alarms.matches("DNS list").count(), 1, "{alarms}");
    assert!(alarms.contains("2 DNS lists are switched off because of it; mail is judged"), "{alarms}");
    lab.dns.set(Zone::parse(&dns).unwrap());
    wait_until(&lab, &daemon, "both are back", |status| are(status, true) && status["dns"]["dead_since"].is_null());
    let log = daemon.log();
    assert!(!log.contains("DNS list"), "{log}");
}

/// SIGHUP takes other DNS servers into use; what it cannot take is told.
#[test]
fn a_reload_takes_other_dns_and_tells_what_it_leaves() {
    let test = "a_reload_takes_other_dns_and_tells_what_it_leaves";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: GOOD.to_owned(), ..Plan::default() }).unwrap();
    let mut daemon = Daemon::prepare(&lab, "[journal]\nkeep_days = 30\n").unwrap();
    daemon.edit(|config| config.replace("127.0.0.1:53", "127.0.0.1:5399")).unwrap();
    daemon.spawn(&lab).unwrap();
    daemon
        .reconfigure(|config| {
            config.replace("127.0.0.1:5399", "127.0.0.1:53").replace("keep_days = 30", "keep_days = 31")
        })
        .unwrap();
    wait_until(&lab, &daemon, "told", |status| status["alarms"].to_string().contains("[journal] was changed"));
    assert!(daemon.log().contains("[dns] is in use as it is now"), "{}", daemon.log());
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    let results = delivered.header("Authentication-Results").concat();
    assert!(results.contains("spf=pass"), "{results}\n{}", daemon.log());
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
    wait_until(&lab, &daemon, "dead DNS is told", |status| {
        status["alarms"].to_string().contains("DNS does not answer since")
    });
    assert!(daemon.log().contains("DNS does not answer"), "{}", daemon.log());
    let why = wait_for_output(&lab, &daemon, &["why", "--limit", "1", "203.0.113.10"], "unknown");
    for check in ["fcrdns at connect", "dnsbl at connect", "spf at mail", "dmarc at data"] {
        assert!(why.contains(&format!("unknown     {check}")), "{check}: {why}");
    }
    lab.dns.set(Zone::parse(GOOD).unwrap());
    wait_until(&lab, &daemon, "its end is told", |status| status["dns"]["dead_since"].is_null());
    let log = daemon.log();
    assert!(log.contains("DNS answers again") && log.matches("DNS does not answer").count() == 1, "{log}");
}
