//! Limits that fit, the answer to `who`, attackers, refusals in plain words, frozen mail: small logs whose answer can be counted
//! by hand.

mod material;

use tidegate_watch::report::{Collector, Query, Search, Settings};
use tidegate_watch::{Place, Reader};

fn collect(lines: &[String]) -> Collector {
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    for (line, text) in (1..).zip(lines) {
        collector.feed(&reader.read(text), Place { file: 0, line });
    }
    collector
}

fn search(query: &str, lines: &[String]) -> tidegate_watch::api::report::Answer {
    let mut reader = Reader::new();
    let mut search = Search::new(Query::parse(query), Settings::default());
    for (line, text) in (1..).zip(lines) {
        search.feed(&reader.read(text), Place { file: 0, line });
    }
    search.answer()
}

/// A message with `count` recipients, all delivered, on day and hour.
fn sent(id: u32, day: u32, hour: u32, who: &str, count: u32) -> Vec<String> {
    let time = format!("2026-03-{day:02} {hour:02}:00:00");
    let id = format!("1vy{id:03}-0005xY-Qr");
    let recipients: Vec<String> = (0..count).map(|n| format!("r{n}@other.test")).collect();
    let mut lines = vec![format!("{time} {id} <= {who} S=900 id=m{id}@x T=\"Hi\" for {}", recipients.join(" "))];
    lines.extend(
        recipients
            .iter()
            .map(|r| format!("{time} {id} => {r} R=dnslookup T=remote_smtp H=mx.other.test [192.0.2.9] C=\"250 OK\"")),
    );
    lines.push(format!("{time} {id} Completed"));
    lines
}

const ANNA: &str = "anna@site.example H=(x) [198.51.100.7] P=esmtpsa A=dovecot_login:anna@site.example";

#[test]
fn limits_come_from_use() {
    let mut lines = Vec::new();
    for day in 1..=10 {
        lines.extend(sent(day, day, 9, ANNA, 4));
        lines.extend(sent(100 + day, day, 15, ANNA, if day == 10 { 40 } else { 6 }));
    }
    let rows = collect(&lines).limits();
    let row = rows.iter().find(|row| row.kind == "mailbox").expect("one mailbox");
    assert_eq!((row.name.as_str(), row.account.as_str(), row.active_days), ("anna@site.example", "site.example", 10));
    assert_eq!((row.hour.half, row.hour.most, row.day.half, row.day.most), (4, 40, 10, 44));
    assert_eq!(row.recipients_a_message, 40);
    // Half as much again, and never below what makes sense.
    assert_eq!((row.hourly_limit, row.daily_limit), (60, 100));
    assert_eq!(rows.len(), 2, "a mailbox and its account");
}

/// Two mailboxes that send in the same hour fill their account's limit together.
#[test]
fn an_account_sums_up_its_mailboxes() {
    let max = "max@site.example H=(x) [198.51.100.7] P=esmtpsa A=dovecot_login:max@site.example";
    let lines = [sent(1, 1, 9, ANNA, 30), sent(2, 1, 9, max, 50), sent(3, 2, 9, max, 10)].concat();
    let rows = collect(&lines).limits();
    let found: Vec<_> = rows.iter().map(|row| (row.kind, row.name.as_str(), row.hour.most, row.hourly_limit)).collect();
    assert_eq!(
        found,
        [
            ("account", "site.example", 80, 150),
            ("mailbox", "max@site.example", 50, 80),
            ("mailbox", "anna@site.example", 30, 50),
        ]
    );
}

#[test]
fn who_sent_this() {
    let mut lines = sent(1, 1, 9, ANNA, 2);
    lines.push("2026-03-01 09:00:00 [5] cwd=/home/shop/public_html 4 args: /usr/sbin/sendmail -t -i".to_owned());
    let script = sent(2, 1, 10, "shop@shop.example U=shop P=local", 1);
    lines.extend(script.iter().map(|line| line.replacen("1vy", "[5] 1vy", 1)));
    lines.push("2026-03-01 11:00:00 dovecot_login authenticator failed for (x) [198.51.100.7]:1: 535 Incorrect authentication data (set_id=anna@site.example)".to_owned());

    let by_login = search("Anna@site.example", &lines);
    assert_eq!((by_login.messages, by_login.recipients, by_login.delivered, by_login.offences), (1, 2, 2, 1));
    assert_eq!(by_login.first.as_deref(), Some("2026-03-01T09:00:00Z"));
    assert_eq!(by_login.clients.first().map(|c| c.name.as_str()), Some("198.51.100.7"));

    let by_ip = search("198.51.100.7", &lines);
    assert_eq!((by_ip.messages, by_ip.offences), (1, 1));
    assert_eq!(by_ip.ways.first().map(|c| c.name.as_str()), Some("mailbox anna@site.example"));

    let by_script = search("/home/shop/public_html", &lines);
    assert_eq!((by_script.messages, by_script.delivered), (1, 1));

    let by_account = search("shop", &lines);
    assert_eq!(by_account.messages, 1);

    let by_message_id = search("<m1vy001-0005xY-Qr@x>", &lines);
    assert_eq!((by_message_id.messages, by_message_id.delivered), (1, 2));

    let by_queue_id = search("1vy002-0005xY-Qr", &lines);
    assert_eq!(by_queue_id.examples.first().map(|m| (m.line, m.subject.as_str())), Some((6, "Hi")));

    assert_eq!(search("nobody@nowhere.example", &lines).messages, 0);
}

#[test]
fn attackers_by_their_ways() {
    let mut lines = Vec::new();
    let mut fail = |minute: u32, ip: &str, user: &str| {
        lines.push(format!(
            "2026-03-{:02} {:02}:{:02}:00 login authenticator failed for (x) [{ip}]: 535 Incorrect authentication data (set_id={user})",
            1 + minute / 1440,
            minute / 60 % 24,
            minute % 60
        ));
    };
    for n in 0..30 {
        fail(n, "203.0.113.1", "anna@site.example");
        fail(n * 40, "203.0.113.2", "max@site.example");
        fail(n, "203.0.113.3", &format!("user{n}@site.example"));
        fail(n, &format!("198.51.{n}.9"), "lena@site.example");
    }
    for n in 0..25 {
        lines.push(format!(
            "2026-03-01 01:00:{n:02} H=(x) [203.0.113.4] F=<a@b.test> rejected RCPT <u{n}@site.example>: No such user"
        ));
    }
    lines.push(
        "2026-03-01 01:01:00 H=(x) [203.0.113.5] F=<a@b.test> rejected RCPT <u@other.test>: relay not permitted"
            .to_owned(),
    );
    let report = collect(&lines).report();
    let mut found: Vec<(&str, &str)> = report.attackers.iter().map(|row| (row.who.as_str(), row.kind)).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("203.0.113.1", "guessing"),
            ("203.0.113.2", "slow_guessing"),
            ("203.0.113.3", "spraying"),
            ("203.0.113.4", "dictionary"),
            ("203.0.113.5", "relay"),
            ("lena@site.example", "distributed"),
        ]
    );
    assert_eq!((report.totals.relay_attempts, report.totals.auth_failures, report.totals.refused), (1, 120, 26));
}

/// A botnet guesses one password; one of its addresses gets in, and spam follows. Its rows say so; another victim's do not.
#[test]
fn the_attack_that_succeeded_is_marked() {
    let mut lines = Vec::new();
    for day in 1..=5 {
        lines.extend(sent(day, day, 9, ANNA, 1));
    }
    for n in 0..30 {
        for user in ["anna@site.example", "lena@site.example"] {
            lines.push(format!("2026-03-06 {:02}:{:02}:00 login authenticator failed for (x) [203.{n}.113.9]: 535 Incorrect authentication data (set_id={user})", n / 60, n % 60));
        }
    }
    let thief = "anna@site.example H=(x) [203.7.113.9] P=esmtpsa A=dovecot_login:anna@site.example";
    lines.extend(sent(500, 6, 2, thief, 90));
    lines.extend(sent(501, 6, 3, thief, 90));
    // The owner writes as always.
    lines.extend(sent(502, 6, 4, ANNA, 1));
    lines.push("2026-03-06 05:00:00 login authenticator failed for (x) [203.1.113.9]: 535 Incorrect authentication data (set_id=anna@site.example)".to_owned());
    let report = collect(&lines).report();
    let suspect = report.suspects.first().expect("a suspect");
    assert_eq!(suspect.name, "anna@site.example");
    let guessing = suspect.case.guessing.as_ref().expect("failed logins");
    assert_eq!((guessing.failures, guessing.failures_since, guessing.addresses.len()), (31, 1, 30));
    assert!(guessing.is_going_on, "tried again on the last day");
    assert_eq!(
        suspect.case.clients.iter().map(|c| (c.name.as_str(), c.times)).collect::<Vec<_>>(),
        [("203.7.113.9", 180)]
    );
    let found: Vec<_> = report
        .attackers
        .iter()
        .map(|row| (row.who.as_str(), row.is_suspect, row.succeeded.as_deref(), row.first.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("anna@site.example", true, Some("2026-03-06T02:00:00Z"), Some("2026-03-06T00:00:00Z")),
            ("lena@site.example", false, None, Some("2026-03-06T00:00:00Z")),
        ]
    );
}

#[test]
fn refusals_in_plain_words_and_frozen_mail() {
    let mut lines = sent(1, 1, 9, ANNA, 1);
    for n in 2..5 {
        let id = format!("1vy{n:03}-0005xY-Qr");
        lines.push(format!("2026-03-01 10:00:00 {id} <= {ANNA} S=900 for x@gmail.com"));
        lines.push(format!("2026-03-01 10:00:01 {id} ** x@gmail.com R=dnslookup T=remote_smtp H=gmail-smtp-in.l.google.com [142.250.27.27]: SMTP error from remote mail server after end of data: 550-5.7.26 Unauthenticated email from site.example is not accepted due to domain's DMARC policy."));
        lines.push(format!("2026-03-01 10:00:01 {id} Frozen (delivery error message)"));
        lines.push(format!("2026-03-01 10:30:01 {id} Message is frozen"));
    }
    let report = collect(&lines).report();
    let refusal = report.refusals.first().expect("a refusal");
    assert_eq!((refusal.provider, refusal.refused, refusal.deferred), ("Gmail", 3, 0));
    assert_eq!(refusal.meaning, "SPF, DKIM or DMARC is missing or does not fit");
    assert_eq!(
        refusal.caused_by.first().map(|cause| (cause.name.as_str(), cause.times)),
        Some(("anna@site.example", 3))
    );
    assert_eq!((report.totals.frozen, report.frozen.len()), (3, 3));
    assert_eq!(report.frozen.first().map(|row| row.sender.as_str()), Some("anna@site.example"));
}

/// A host that may send to elsewhere without a login is an open door; a list of its own shows it.
#[test]
fn relays_and_forwarders_are_told_apart() {
    let remote = "x@b.test H=mx.b.test [203.0.113.9] P=esmtp";
    let mut lines = sent(1, 1, 9, remote, 3);
    lines.push(format!("2026-03-01 10:00:00 1vz001-0005xY-Qr <= {remote} S=900 for info@site.example"));
    lines.push("2026-03-01 10:00:01 1vz001-0005xY-Qr => me@gmail.com <info@site.example> R=dnslookup T=remote_smtp H=gmail-smtp-in.l.google.com [142.250.27.27] C=\"250 OK\"".to_owned());
    lines.push(format!("2026-03-01 11:00:00 1vz002-0005xY-Qr <= {remote} S=900 for info@site.example"));
    lines.push(
        "2026-03-01 11:00:01 1vz002-0005xY-Qr => info@site.example R=lmtp T=lmtp H=localhost [127.0.0.1] C=\"250 OK\""
            .to_owned(),
    );
    let report = collect(&lines).report();
    let rows = |list: &[tidegate_watch::api::report::ActorRow]| -> Vec<(String, u64)> {
        list.iter().map(|row| (row.name.clone(), row.remote)).collect()
    };
    assert_eq!(rows(&report.top_relays), [("203.0.113.9".to_owned(), 3)]);
    assert_eq!(rows(&report.top_forwarders), [("info@site.example".to_owned(), 1)]);
    assert!(report.top_mailboxes.is_empty() && report.top_scripts.is_empty());
}

/// eximstats of Exim 4.96 on the same log: 43 messages received, 41 addresses delivered, 4 messages failed, 1174 rejects. Two more
/// failed that came in before the log begins.
#[test]
fn counts_as_eximstats_does() {
    let Some(bytes) = material::read("counts_as_eximstats_does", "logs/exim/debian-mainlog-2020.log") else { return };
    let lines: Vec<String> = material::lines(&bytes).map(|line| Reader::text(line).into_owned()).collect();
    let totals = collect(&lines).report().totals;
    assert_eq!((totals.messages, totals.delivered, totals.failed, totals.refused), (43, 41, 6, 1174));
}
