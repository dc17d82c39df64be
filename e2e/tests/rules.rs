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

/// What root fetched by hand, the timer can bring up to date: it runs as the daemon's user.
#[test]
fn what_root_updates_belongs_to_the_daemons_user() {
    let test = "what_root_updates_belongs_to_the_daemons_user";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan::default()).unwrap();
    let daemon = Daemon::prepare(&lab, CONFIG).unwrap();
    let arguments = ["rules", "update", "--revert", "rules.example.org"];
    for output in [daemon.command_as_root(&lab, &arguments), daemon.command(&lab, &arguments)] {
        let said = String::from_utf8(output.unwrap().stdout).unwrap();
        assert!(said.contains("keeps no version before this one"), "{said}");
    }
    let output = daemon.command_as_root(&lab, &["rules", "update", "nokey.example.org"]).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("nokey.example.org.asc or nokey.example.org.gpg") && said.contains("--keys"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

/// Four messages of one kind, sent through Exim.
struct Kind {
    text: &'static str,
    /// Points that a rule gives it; mail is tagged from 5 on.
    points: &'static str,
    /// The same text stands in good mail.
    is_good: bool,
    is_proposed: bool,
    why: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        text: "Please confirm the unpaid customs fee of your waiting parcel before tomorrow evening.",
        points: "4.5",
        is_good: false,
        is_proposed: true,
        why: "accepted half a point below the tag threshold: a near miss",
    },
    Kind {
        text: "Congratulations dear winner, the lottery office holds eight hundred thousand pounds for you.",
        points: "5.5",
        is_good: false,
        is_proposed: false,
        why: "tagged, so it was not missed",
    },
    Kind {
        text: "Our weekly garden letter: how to prune roses, when to sow carrots, and which tools last.",
        points: "1",
        is_good: false,
        is_proposed: false,
        why: "far below the threshold: nothing speaks against it",
    },
    Kind {
        text: "Reminder: the choir rehearses on Thursday in the parish hall, please bring both music books.",
        points: "4.5",
        is_good: true,
        is_proposed: false,
        why: "a near miss as well, but good mail says the same",
    },
];
const EACH: usize = 4;
/// What is near the threshold would have to come twice.
const NO_GREYLIST: &str = "[policy.server]\ninbound = { greylist = \"off\" }\n";

/// From Exim through the journal to a rule: which messages were nearly found is known from the records, what they say from the mailbox.
#[test]
fn near_misses_of_the_journal_give_a_rule() {
    let test = "near_misses_of_the_journal_give_a_rule";
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: GOOD.to_owned(), ..Plan::default() }).unwrap();
    let rules: Vec<String> = KINDS
        .iter()
        .enumerate()
        .map(|(number, kind)| format!("body KIND_{number} /{}/\nscore KIND_{number} {}\n", kind.text, kind.points))
        .collect();
    fs::create_dir_all(lab.folder().join("rules")).unwrap();
    fs::write(lab.folder().join("rules/local.cf"), rules.concat()).unwrap();
    let daemon = Daemon::start(&lab, &[CONFIG, NO_GREYLIST].concat()).unwrap();
    let good = lab.folder().join("good");
    fs::create_dir_all(&good).unwrap();
    (0..50).for_each(|number| fs::write(good.join(number.to_string()), format!("Subject: {number}\n\nx\n")).unwrap());
    for (kind, number) in KINDS.iter().enumerate().flat_map(|(kind, _)| (0..EACH).map(move |number| (kind, number))) {
        let message = format!(
            "From: a@good.test\nTo: b@exim.test\nSubject: t\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <near{kind}.{number}@good.test>\n\n{}\n",
            KINDS[kind].text
        );
        let (mut client, _) = lab.client("203.0.113.10").unwrap();
        client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
        assert_eq!(client.data(message.as_bytes()).unwrap().code, 250);
        if KINDS[kind].is_good {
            fs::write(good.join(format!("good{number}")), message).unwrap();
        }
    }
    lab.exim.wait_delivered(KINDS.len() * EACH).unwrap();
    let began = Instant::now();
    while daemon.command(&lab, &["log", "--json", "--limit", "100"]).unwrap().stdout.split(|o| *o == b'\n').count()
        <= KINDS.len() * EACH
    {
        assert!(began.elapsed() < IN_USE_MAX, "not all are recorded\n{}", daemon.log());
        thread::sleep(Duration::from_millis(100));
    }

    let at = |name: &str| lab.folder().join(name).to_string_lossy().into_owned();
    let (mail, good, out) = (at("mail"), at("good"), at("proposed.cf"));
    let propose = || {
        let output = daemon
            .command_as_root(&lab, &["rules", "propose", "--near", &mail, "--ham", &good, "--out", &out])
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (file, said, code) = propose();
    println!("{file}{said}");
    assert_eq!(code, Some(0), "{said}");
    assert!(file.contains(&format!("from {} missed messages ({0} of them near misses", 2 * EACH)), "{file}");
    for kind in &KINDS {
        let words: Vec<&str> = kind.text.split(' ').filter(|word| word.len() > 4).collect();
        let is_proposed = words.iter().any(|word| file.contains(word));
        assert_eq!(is_proposed, kind.is_proposed, "{}\n{file}", kind.why);
    }
    assert_eq!(fs::read_to_string(&out).unwrap(), file);
    let (_, said, code) = propose();
    assert!(code == Some(2) && said.contains("is there already"), "what somebody may be reading stays: {said}");
}
