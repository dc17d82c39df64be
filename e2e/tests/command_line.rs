//! What programs may rely on: every `--json` form has the fields that docs/reference/json.md names, on a daemon with something
//! in its journal, its quarantine and its reputation of senders.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a lab that breaks is to fail loudly, and waits")]

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_e2e::cast::{GOOD, LISTED, LISTING_WEIGHS, SPAM};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

/// What the listed client sends in the name of another domain is kept back.
const POLICY: &str = "
[quarantine]
keep_days = 3
notice_days = 3

[policy.server]
inbound = { greylist = \"off\", reject = \"off\", quarantine = 6.5 }
";
const PAGE: &str = include_str!("../../docs/reference/json.md");
/// Messages of one client from which on a block entry is proposed, and one more.
const ENOUGH: usize = 21;

#[test]
fn every_form_has_the_fields_that_the_page_names() {
    let test = "every_form_has_the_fields_that_the_page_names";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: [GOOD, LISTED].concat(), ..Plan::default() }).unwrap();
    let daemon = Daemon::start(&lab, &[LISTING_WEIGHS, POLICY].concat()).unwrap();
    let say = |arguments: &[&str]| {
        let output = daemon.command(&lab, arguments).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8(output.stdout).unwrap(), output.status.code(), errors)
    };
    let (empty, code, errors) = say(&["list", "propose"]);
    assert_eq!((empty.as_str(), code), ("", Some(0)), "nobody has a record yet: {errors}");
    for _ in 0..ENOUGH {
        let (mut client, _) = lab.client("203.0.113.66").unwrap();
        client.envelope("mail.bad.test", "a@good.test", &["b@exim.test"]).unwrap();
        assert_eq!(client.data(SPAM).unwrap().code, 250);
        client.expect("QUIT", 221).unwrap();
    }
    let begun = Instant::now();
    while say(&["list", "propose"]).0.is_empty() || say(&["log", "--json", "--limit", "100"]).0.lines().count() < ENOUGH
    {
        assert!(begun.elapsed() < Duration::from_secs(30), "no proposal\n{}", daemon.log());
        thread::sleep(Duration::from_millis(200));
    }

    let (text, _, _) = say(&["list", "propose"]);
    assert!(text.contains("203.0.113.66") && text.contains("reputation"), "{text}");
    check(&say(&["list", "propose", "--json"]).0, "tidegate list show --json");
    assert_eq!(say(&["list", "show", "--json"]).0, "", "proposed is not added");
    let (_, code, errors) = say(&["list", "propose", "--apply"]);
    assert_eq!(code, Some(0), "{errors}");
    for (wrong, ought) in [
        (&["list", "add", "block", "0.0.0.0/0"][..], "a large part of all addresses"),
        (&["list", "add", "allow", "2000::/3"], "a large part of all addresses"),
        (&["list", "add", "block", "192.0.2.0/24", "--until", "2001-01-01"], "would have ended already, at 200"),
    ] {
        let (_, code, errors) = say(wrong);
        assert!(code == Some(2) && errors.contains(ought), "{wrong:?}: {errors}");
    }
    let (listed, ..) = say(&["list", "show", "--json"]);
    check(&listed, "tidegate list show --json");
    let entry: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert!(entry.get("until").is_some_and(Value::is_string), "it ends: {entry}");
    assert_eq!(say(&["list", "propose"]).0, "", "what is decided is not proposed again");
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &[]).unwrap();
    assert_eq!(client.say("RCPT TO:<b@exim.test>").unwrap().code, 550);
    client.expect("QUIT", 221).unwrap();

    check(&say(&["status", "--json"]).0, "tidegate status --json");
    check(&say(&["log", "--json"]).0, "tidegate log --json");
    check(&say(&["quarantine", "list", "--json"]).0, "tidegate quarantine list --json");
    check(&say(&["config", "symbols", "--json"]).0, "tidegate config symbols --json");
    let (symbols, ..) = say(&["config", "symbols"]);
    let has = |line: &str| {
        symbols.lines().any(|other| other.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(line))
    };
    assert!(has("BLOCKED_CLIENT - refuses lists") && has("SPF_FAIL 2.0 evidence spf"), "{symbols}");
    let alarm = "messages in the quarantine will be deleted soon";
    assert!(say(&["status"]).0.contains(alarm), "{}", say(&["status"]).0);
    let (list, ..) = say(&["quarantine", "list"]);
    assert_eq!(list.matches("(deleted at ").count(), list.lines().count(), "{list}");
    assert_eq!(say(&["quarantine", "list", "--expiring"]).0.lines().count(), ENOUGH);
    assert_eq!(say(&["quarantine", "list", "--expiring"]).0, "", "each is announced once");
    assert!(!say(&["status"]).0.contains(alarm));
    let (list, ..) = say(&["quarantine", "list", "--json", "--limit", "1"]);
    let item: Value = serde_json::from_str(&list).unwrap();
    let id = item.get("id").and_then(Value::as_str).unwrap();
    check(&say(&["quarantine", "show", id, "--json"]).0, "tidegate quarantine list --json");
    let record = item.get("record").and_then(Value::as_str).unwrap();
    let (why, ..) = say(&["why", "--json", "--limit", "1", record]);
    let why: Value = serde_json::from_str(&why).unwrap();
    for field in ["brief", "verdict", "edits", "engine", "duration_us"] {
        assert!(why.pointer(&format!("/record/{field}")).is_some(), "{field} of {why}");
    }
    let message = lab.folder().join("message.eml");
    std::fs::write(&message, SPAM).unwrap();
    let (checked, ..) = say(&["check", "--json", "--offline", &message.to_string_lossy()]);
    check(&checked, "tidegate check --json");

    let log = lab.folder().join("log/mainlog").to_string_lossy().into_owned();
    check(&say(&["logs", "--json", &log]).0, "tidegate logs --json");
    check(&say(&["who", "--json", "--log", &log, "--", "b@exim.test"]).0, "tidegate who --json");
    let rules = lab.folder().join("own.cf");
    std::fs::write(
        &rules,
        "body OWN_OFFER /buy now/i\ndescribe OWN_OFFER An offer\nscore OWN_OFFER 2\nscore OWN_LOST 1\n",
    )
    .unwrap();
    let rules = rules.to_string_lossy().into_owned();
    check(&say(&["rules", "check", "--json", &rules]).0, "tidegate rules check --json");
    check(&say(&["rules", "explain", "--json", "--rules", &rules, "OWN_OFFER"]).0, "tidegate rules explain --json");
    check(
        &say(&["rules", "test", "--json", "--rules", &rules, &message.to_string_lossy()]).0,
        "tidegate rules test --json",
    );
    let message = message.to_string_lossy();
    check(&say(&["rules", "bench", "--json", "--rules", &rules, &message]).0, "tidegate rules bench --json");
    let mail = lab.folder().join("mail");
    for (name, count) in [("missed", 4), ("good", 50)] {
        std::fs::create_dir_all(mail.join(name)).unwrap();
        for number in 0..count {
            let said = if name == "good" {
                "Hello."
            } else {
                "Please pay the unpaid customs fee of your waiting parcel today."
            };
            std::fs::write(mail.join(name).join(number.to_string()), format!("Subject: {number}\n\n{said}\n")).unwrap();
        }
    }
    let (missed, good) = (mail.join("missed"), mail.join("good"));
    let (missed, good, out) =
        (missed.to_string_lossy(), good.to_string_lossy(), lab.folder().join("state/proposed.cf"));
    let out = out.to_string_lossy();
    let (proposed, ..) = say(&["rules", "propose", "--json", "--missed", &missed, "--ham", &good, "--out", &out]);
    check(&proposed, "tidegate rules propose --json");
}

/// A read-only verb leaves nothing behind, whoever calls it and whatever is not there yet.
#[test]
fn looking_makes_nothing() {
    if let Some(reason) = why_not() {
        println!("skipped: looking_makes_nothing: {reason}");
        return;
    }
    let lab = Lab::start(&Plan::default()).unwrap();
    let daemon = Daemon::prepare(&lab, "").unwrap();
    for (arguments, code) in [
        (&["quarantine", "list"][..], 0),
        (&["quarantine", "show", "1xWHjA-0007o6-2w"], 1),
        (&["quarantine", "release", "1xWHjA-0007o6-2w"], 1),
        (&["list", "show"], 0),
        (&["list", "propose"], 3),
        (&["status"], 3),
        (&["log"], 0),
        (&["config", "check"], 0),
    ] {
        let output = daemon.command_as_root(&lab, arguments).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let left: Vec<_> = std::fs::read_dir(lab.folder().join("state")).unwrap().collect();
        assert!(left.is_empty(), "{arguments:?} made {left:?}");
    }
}

/// Every line of `output` is an object with the fields that the page names, and no other; one that may be absent is in brackets
/// there.
fn check(output: &str, heading: &str) {
    let named = fields(heading);
    assert!(!output.is_empty(), "{heading}: nothing to look at");
    for line in output.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{heading}: {error}: {line}"));
        let present: BTreeSet<String> = object.as_object().unwrap().keys().cloned().collect();
        let strange: Vec<_> = present.difference(&named).collect();
        assert!(strange.is_empty(), "{heading}: {strange:?} are not on the page");
        let missing: Vec<_> = named.difference(&present).filter(|name| *name != "label").collect();
        assert!(missing.is_empty(), "{heading}: {missing:?} are missing in {line}");
    }
}

/// The names that the page gives below the heading: in a table, or in one run of code.
fn fields(heading: &str) -> BTreeSet<String> {
    let section = PAGE.split("\n## ").find(|section| section.lines().next().is_some_and(|line| line.contains(heading)));
    let section = section.unwrap_or_else(|| panic!("{heading} is not on the page"));
    let body = section.split_once('\n').unwrap().1;
    let run = body.split('`').nth(1).unwrap();
    // A single name in the text before a table is no list of fields.
    if body.contains("| field |") && run.split_whitespace().count() < 2 {
        let rows = body.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.flat_map(|row| row.split('|').next().unwrap().split(['`', ',', ' ']));
        // `suspects[].case` tells of a part of a field that has a row of its own.
        let names = names.filter(|name| !name.contains("[]."));
        let names = names.map(|name| name.trim_end_matches("[]")).filter(|name| !name.is_empty());
        return names.map(str::to_owned).collect();
    }
    let mut depth = 0_i32;
    let outer: String = run
        .chars()
        .filter(|c| {
            depth += i32::from(matches!(c, '{' | '['));
            let is_outer = depth == 0;
            depth -= i32::from(matches!(c, '}' | ']'));
            is_outer
        })
        .collect();
    outer.split_whitespace().map(str::to_owned).collect()
}
