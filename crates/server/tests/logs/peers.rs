//! The counts of eximstats, exigrep, eximon and pflogsumm on the same logs beside ours, and eximmon's rule. Each difference has its
//! reason here; docs/guide/logs.md tells them to people.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::generator::{self, Compromise, Plan};
use super::{scene, tidegate};

/// Whether a program is there; else the test says that it is skipped.
fn is_there(test: &str, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: {test}: {program} is not installed");
    }
    found
}

/// A file of the shared material, unpacked.
fn material(test: &str, name: &str) -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("TIDEGATE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let Ok(octets) = std::fs::read(folder.join("material/logs").join(name)) else {
        println!("skipped: {test}: shared material is absent");
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(octets);
    }
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(octets.as_slice()), &mut unpacked).unwrap();
    Some(unpacked)
}

/// A folder with a log and the least configuration.
fn folder(log: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
    scene::put(folder.path(), "mainlog", log);
    folder
}

/// Our own report over a log.
fn ours(folder: &Path, arguments: &[&str]) -> Value {
    let output = tidegate(folder).args(arguments).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(report: &Value, name: &str) -> u64 {
    report["totals"][name].as_u64().unwrap()
}

/// The output of a peer.
fn theirs(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(folder).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The numbers of a row of eximstats' "Grand total summary", without the volume.
fn row(text: &str, name: &str) -> Vec<u64> {
    let mut lines = text.lines().map(str::trim_start).filter_map(|line| line.strip_prefix(name));
    let line = lines.next().unwrap_or_default();
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Queue ids in the form before Exim 4.97: the programs of Debian 12 know no other and would find no message at all.
fn with_old_ids(log: &str) -> String {
    let is_id = |word: &str| word.len() == 23 && word.split('-').map(str::len).eq([6, 11, 4]);
    let old = |word: &str| format!("{}{}", word.get(..7).unwrap(), [&word[12..18], &word[18..21]].concat());
    let line = |line: &str| {
        line.split(' ').map(|w| if is_id(w) { old(w) } else { w.to_owned() }).collect::<Vec<_>>().join(" ")
    };
    log.lines().map(|text| line(text) + "\n").collect()
}

fn made_up(compromise: Compromise) -> (Plan, String) {
    let plan = scene::plan(Some(compromise));
    let log = with_old_ids(&scene::made_up(&plan));
    (plan, log)
}

#[test]
fn eximstats() {
    if !is_there("eximstats", "eximstats") {
        return;
    }
    let (_, log) = made_up(Compromise::BlindCopies);
    let folder = folder(log.as_bytes());
    let (theirs_text, report) = (
        theirs(folder.path(), "eximstats", &["-nr", "-h0", "mainlog"]),
        ours(folder.path(), &["logs", "--json", "mainlog"]),
    );
    let counts = ["messages", "delivered", "refused"].map(|name| count(&report, name));
    let first = |name: &str, at: usize| row(&theirs_text, name).get(at).copied().unwrap_or(0);
    // It names messages and addresses of what was delivered.
    assert_eq!(counts, [first("Received", 0), first("Delivered", 1), first("Rejects", 0)], "{theirs_text}");
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    // It counts messages of which an address was deferred or given up; we count every attempt and every recipient.
    assert!(count(&report, "deferred") >= first("Received", 2) && count(&report, "failed") > 0, "{theirs_text}");
}

#[test]
fn eximstats_on_a_real_log() {
    let Some(log) = material("eximstats_on_a_real_log", "exim/debian-mainlog-2020.log") else { return };
    if !is_there("eximstats_on_a_real_log", "eximstats") {
        return;
    }
    let folder = folder(&log);
    let text = theirs(folder.path(), "eximstats", &["-nr", "-h0", "mainlog"]);
    let report = ours(folder.path(), &["logs", "--json", "mainlog"]);
    let counts = ["messages", "delivered", "refused"].map(|name| count(&report, name));
    let first = |name: &str, at: usize| row(&text, name).get(at).copied().unwrap_or(0);
    assert_eq!(counts, [first("Received", 0), first("Delivered", 1), first("Rejects", 0)], "{text}");
    // Two more failed whose arrival is not in the log; it leaves those out.
    let failed_messages: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("Received")).collect();
    assert!(failed_messages.iter().any(|line| line.contains(" 4  9.3%")), "{text}");
    assert_eq!(count(&report, "failed") - count(&report, "orphans"), 4);
}

#[test]
fn exigrep() {
    if !is_there("exigrep", "exigrep") {
        return;
    }
    let (plan, log) = made_up(Compromise::StolenBurst);
    let culprit = generator::culprit(&plan);
    let folder = folder(log.as_bytes());
    let found = theirs(folder.path(), "exigrep", &["-l", &format!("A=dovecot_login:{culprit} "), "mainlog"]);
    let answer = ours(folder.path(), &["who", &culprit, "--log", "mainlog", "--json"]);
    let messages = found.lines().filter(|line| line.contains(" <= ")).count();
    assert_eq!(answer["messages"].as_u64(), u64::try_from(messages).ok());
    let of = |mark: &str| u64::try_from(found.lines().filter(|line| line.contains(mark)).count()).ok();
    assert_eq!((answer["delivered"].as_u64(), answer["failed"].as_u64()), (of(" => "), of(" ** ")));
    assert!(messages > 400, "{messages}");
}

#[test]
fn pflogsumm() {
    let Some(log) = material("pflogsumm", "postfix/postfix-dovecot-maillog.log.gz") else { return };
    if !is_there("pflogsumm", "pflogsumm") {
        return;
    }
    let folder = folder(&log);
    let text = theirs(folder.path(), "pflogsumm", &["mainlog"]);
    let total = |name: &str| -> u64 {
        let mut lines = text.lines().map(str::trim).filter(|line| line.contains(name));
        lines.find_map(|line| line.split_whitespace().next()?.parse().ok()).unwrap()
    };
    let report = ours(folder.path(), &["logs", "--json", "mainlog"]);
    let counts = ["delivered", "failed", "refused"].map(|name| count(&report, name));
    assert_eq!(counts, [total("delivered"), total("bounced"), total("rejected")], "{text}");
    // Its first figure is messages, the one in brackets attempts, as ours.
    assert!(text.contains(&format!("({}  deferrals)", count(&report, "deferred"))), "{text}");
    // It counts what smtpd and pickup took in. We count what came into the queue: thirteen bounces that Postfix made itself and
    // a message from before the log more, and one less that smtpd began and the log does not finish.
    assert_eq!(count(&report, "messages"), total("received") + 13 + 1 - 1, "{text}");
}

/// What eximon draws in each interval: the lines in which its expressions match (`LOG_STRIPCHARTS` in `/usr/sbin/eximon` of Debian 12:
/// `/ <= /in/`, `/ => /out/`, `/ => .+ R=local/local/`, `/ => .+ T=[^ ]*smtp/smtp/`). Its window needs a display, so they are applied here.
#[test]
fn eximons_charts() {
    let is_in = |line: &&str| line.contains(" <= ");
    let is_out = |line: &&str| line.contains(" => ");
    let by = |line: &&str, key: &str, fits: fn(&str) -> bool| {
        let behind = line.split_once(" => ").and_then(|(_, rest)| rest.split_once(key));
        behind.is_some_and(|(_, rest)| fits(rest.split(' ').next().unwrap_or_default()))
    };
    let is_local = |line: &&str| by(line, " R=", |router| router.starts_with("local"));
    let is_smtp = |line: &&str| by(line, " T=", |transport| transport.contains("smtp"));
    let (_, made_up) = made_up(Compromise::BlindCopies);
    let real = material("eximons_charts", "exim/debian-mainlog-2020.log");
    for log in [Some(made_up.into_bytes()), real].into_iter().flatten() {
        let folder = folder(&log);
        let text = String::from_utf8_lossy(&log);
        let count = |fits: &dyn Fn(&&str) -> bool| u64::try_from(text.lines().filter(fits).count()).unwrap();
        let report = ours(folder.path(), &["logs", "--json", "mainlog"]);
        let counts = ["messages", "delivered"].map(|name| self::count(&report, name));
        assert_eq!(counts, [count(&is_in), count(&is_out)]);
        // Debian's and the panels' routers to mailboxes have other names than `local…`.
        assert_eq!(count(&is_local), 0);
        let events = over_smtp(folder.path());
        assert_eq!(events, count(&is_smtp));
    }
}

/// Recipients that were handed to a transport over SMTP, by our own events.
fn over_smtp(folder: &Path) -> u64 {
    let output = tidegate(folder).args(["logs", "--events", "--json", "mainlog"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_smtp = |event: &Value| {
        event["kind"] == "delivery" && event["transport"].as_str().is_some_and(|transport| transport.contains("smtp"))
    };
    u64::try_from(events.filter(is_smtp).count()).unwrap()
}

/// eximmon's rule, told from its description: messages with a recipient elsewhere, by login, within a
/// minute and an hour of the clock. (Its own limits: eight, and a hundred.)
#[test]
fn eximmons_rule() {
    let (plan, log) = made_up(Compromise::GuessedPassword);
    let folder = folder(log.as_bytes());
    let (mut minutes, mut hours, mut all) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for line in log.lines() {
        let Some((_, rest)) = line.split_once(" A=dovecot_login:") else { continue };
        let (Some((login, _)), Some((_, recipients))) = (rest.split_once(' '), rest.rsplit_once(" for ")) else {
            continue;
        };
        *all.entry(login.to_owned()).or_insert(0_u64) += 1;
        let domain = login.rsplit_once('@').unwrap().1;
        if recipients.split(' ').any(|recipient| !recipient.ends_with(&format!("@{domain}"))) {
            *minutes.entry((login.to_owned(), line[..16].to_owned())).or_insert(0_u64) += 1;
            *hours.entry((login.to_owned(), line[..13].to_owned())).or_insert(0_u64) += 1;
        }
    }
    let culprit = generator::culprit(&plan);
    // The same messages for every login, where it looks at all.
    for (login, messages) in all.iter().take(10) {
        let answer = ours(folder.path(), &["who", login, "--log", "mainlog", "--json"]);
        let ways: u64 = answer["ways"].as_array().unwrap().iter().map(|way| way["times"].as_u64().unwrap()).sum();
        assert!(ways >= *messages, "{login}: {answer}");
    }
    let over = |map: &BTreeMap<(String, String), u64>, limit: u64| -> Vec<String> {
        let mut names: Vec<String> =
            map.iter().filter(|(_, n)| **n > limit).map(|((login, _), _)| login.clone()).collect();
        names.dedup();
        names
    };
    // It stops newsletters and does not see sixty an hour from a mailbox that never sent more than a few.
    let stopped = [over(&minutes, 8), over(&hours, 100)].concat();
    assert!(!stopped.contains(&culprit) && stopped.iter().all(|name| name.starts_with("newsletter@")), "{stopped:?}");
    assert!(!stopped.is_empty());
    let report = ours(folder.path(), &["logs", "--json", "mainlog"]);
    let suspects: Vec<&str> =
        report["suspects"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(suspects, [culprit.as_str()]);
}
