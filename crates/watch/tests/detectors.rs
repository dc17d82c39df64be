//! Patterns give alerts, habits and echoes give none, and a state that was stored and read again goes on as if nothing had
//! happened.

mod generator;

use std::collections::{BTreeMap, BTreeSet};

use generator::{Compromise, Plan};
use tidegate_watch::detectors::{Alert, AlertKind, Detectors, Holder, Limit, Limits, Subject, Thresholds, Use};
use tidegate_watch::{Joiner, Place, Reader};

/// A server's line of work: reader, joiner, detectors.
struct Watch {
    reader: Reader,
    joiner: Joiner,
    detectors: Detectors,
    alerts: Vec<Alert>,
}

impl Watch {
    fn new() -> Watch {
        let detectors = Detectors::new(Thresholds::default());
        Watch { reader: Reader::new(), joiner: Joiner::default(), detectors, alerts: Vec::new() }
    }

    fn line(&mut self, line: &str) {
        let event = self.reader.read(line);
        self.alerts.extend(self.detectors.feed(&event));
        let Watch { joiner, detectors, alerts, .. } = self;
        joiner.feed(&event, Place::default(), |step| alerts.extend(detectors.step(&step)));
    }

    /// Stores the state and reads it again.
    fn restart(&mut self) {
        let stored = serde_json::to_string(&self.detectors).expect("a state is JSON");
        self.detectors = serde_json::from_str(&stored).expect("a stored state can be read");
    }

    fn kinds(&self) -> Vec<AlertKind> {
        self.alerts.iter().map(|alert| alert.kind).collect()
    }
}

/// The time of a line: minutes after ten o'clock.
fn at(minute: u32) -> String {
    format!("2026-03-02 {:02}:{:02}:00", 10 + minute / 60, minute % 60)
}

fn failure(minute: u32, ip: &str, user: &str) -> String {
    format!(
        "{} dovecot_login authenticator failed for (x) [{ip}]:5: 535 Incorrect authentication data (set_id={user})",
        at(minute)
    )
}

fn sent(minute: u32, ip: &str, user: &str) -> String {
    format!(
        "{} 1vx{minute:03}-0005xY-Qr <= {user} H=(x) [{ip}] P=esmtpsa A=dovecot_login:{user} S=9 for a@b.test",
        at(minute)
    )
}

#[test]
fn one_address_that_guesses() {
    let mut watch = Watch::new();
    for minute in 0..5 {
        watch.line(&failure(minute, "198.51.100.7", "info@site.example"));
    }
    assert_eq!(watch.kinds(), [AlertKind::Guessing]);
    assert_eq!(
        watch.alerts.first().map(|alert| alert.subject.clone()),
        Some(Subject::Ip("198.51.100.7".parse().unwrap()))
    );
    watch.line(&failure(6, "198.51.100.7", "info@site.example"));
    assert_eq!(watch.alerts.len(), 1, "told once an hour");
}

#[test]
fn spraying_slow_guessing_and_networks() {
    let mut watch = Watch::new();
    for n in 0..8 {
        watch.line(&failure(n * 7, "198.51.100.7", &format!("u{n}@site.example")));
    }
    assert_eq!(watch.kinds(), [AlertKind::Spraying]);
    let mut watch = Watch::new();
    for n in 0..20 {
        watch.line(&failure(n * 17, "198.51.100.8", &format!("u{}@site.example", n % 4)));
    }
    assert_eq!(watch.kinds(), [AlertKind::SlowGuessing]);
    let mut watch = Watch::new();
    for n in 0..12 {
        watch.line(&failure(n, &format!("198.51.100.{n}"), "info@site.example"));
    }
    assert_eq!(watch.kinds(), [AlertKind::NetworkGuessing, AlertKind::DistributedGuessing]);
}

#[test]
fn an_old_password_in_a_telephone_is_no_attack() {
    let mut watch = Watch::new();
    watch.line(&sent(0, "198.51.100.7", "anna@site.example"));
    for minute in 1..40 {
        watch.line(&failure(minute, "198.51.100.9", "anna@site.example"));
    }
    assert!(watch.alerts.is_empty(), "{:?}", watch.alerts);
}

#[test]
fn a_password_that_was_guessed() {
    let mut watch = Watch::new();
    for minute in 0..25 {
        watch.line(&failure(minute, &format!("198.51.100.{}", minute % 3), "anna@site.example"));
    }
    watch.line(&sent(60, "192.0.2.9", "anna@site.example"));
    assert!(!watch.kinds().contains(&AlertKind::GuessedPassword), "the owner is elsewhere");
    watch.line(&sent(61, "198.51.100.77", "anna@site.example"));
    let last = watch.alerts.last().expect("an alert");
    assert_eq!((last.kind, &last.subject), (AlertKind::GuessedPassword, &Subject::Login("anna@site.example".into())));
}

#[test]
fn a_broken_server_bans_nobody() {
    let mut watch = Watch::new();
    for n in 0..30 {
        watch.line(&sent(n, &format!("203.0.{n}.7"), &format!("u{n}@site.example")));
    }
    for n in 0..30 {
        watch.line(&failure(40, &format!("203.0.{n}.7"), &format!("u{n}@site.example")));
    }
    assert_eq!(watch.kinds(), [AlertKind::LoginsBroken]);
    for _ in 0..20 {
        watch.line(&failure(41, "198.51.100.7", "new@site.example"));
    }
    assert_eq!(watch.alerts.len(), 1, "guessing rests while the server is broken");
}

#[test]
fn a_dictionary_of_recipients() {
    let mut watch = Watch::new();
    for n in 0..10 {
        watch.line(&format!(
            "{} H=(x) [198.51.100.7] F=<a@b.test> rejected RCPT <u{n}@site.example>: No such user here",
            at(n / 4)
        ));
    }
    assert_eq!(watch.kinds(), [AlertKind::Dictionary]);
}

/// cPanel writes such lines at every try of the queue, and our own refusals say who wrote them.
#[test]
fn echoes_are_not_reacted_to() {
    let mut watch = Watch::new();
    for n in 0..300 {
        for line in [
            format!("{} 1vx{n:03}-0005xY-Qr <= a@site.example U=shop P=local S=9 for x@y.test", at(n / 10)),
            format!(
                "{} 1vx{n:03}-0005xY-Qr ** x@y.test R=enforce_mail_permissions: Domain site.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.",
                at(n / 10)
            ),
            format!(
                "{} 1vx{n:03}-0005xY-Qr == x@y.test R=enforce_mail_permissions defer (-1): Domain site.example has an outgoing mail hold",
                at(n / 10)
            ),
            format!(
                "{} H=(x) [198.51.100.7] F=<a@b.test> rejected RCPT <u{n}@site.example>: tidegate: no such user",
                at(n / 10)
            ),
            format!("{} tidegate: block ip=198.51.100.7 reason=guessing", at(n / 10)),
        ] {
            watch.line(&line);
        }
    }
    // What the script itself sends is seen; what the panel and we answered is not.
    assert!(watch.kinds().iter().all(|kind| *kind == AlertKind::ScriptBurst), "{:?}", watch.alerts);
}

#[test]
fn a_restart_changes_nothing() {
    let plan = Plan {
        seed: 5,
        accounts: 12,
        days: 9,
        volume: 0.3,
        compromise: Some(Compromise::StolenBurst),
        ..Plan::default()
    };
    let (mut steady, mut restarted) = (Watch::new(), Watch::new());
    let mut lines = 0;
    generator::write(&plan, |line| {
        lines += 1;
        steady.line(line);
        restarted.line(line);
        if lines % 5000 == 0 {
            restarted.restart();
        }
    });
    assert!(lines > 20_000, "{lines}");
    assert!(!steady.alerts.is_empty());
    assert_eq!(steady.alerts, restarted.alerts);
}

/// A mark somewhere in a client's own words is no echo.
#[test]
fn nobody_hides_behind_our_mark() {
    let mut watch = Watch::new();
    for n in 0..10 {
        watch.line(&format!(
            "{} H=(tidegate:) [198.51.100.7] F=<tidegate:@b.test> rejected RCPT <u{n}@site.example>: No such user, says tidegate: has an outgoing mail hold",
            at(n / 4)
        ));
    }
    assert_eq!(watch.kinds(), [AlertKind::Dictionary]);
}

/// Our own senders against whom signals of two kinds were raised.
fn caught(plan: &Plan) -> BTreeMap<Subject, BTreeSet<AlertKind>> {
    let mut watch = Watch::new();
    generator::write(plan, |line| watch.line(line));
    let mut by_subject: BTreeMap<Subject, BTreeSet<AlertKind>> = BTreeMap::new();
    for alert in &watch.alerts {
        by_subject.entry(alert.subject.clone()).or_default().insert(alert.kind);
    }
    by_subject.retain(|subject, kinds| !matches!(subject, Subject::Ip(_) | Subject::Network(_)) && kinds.len() > 1);
    by_subject
}

#[test]
fn two_signals_catch_the_compromised_and_nobody_else() {
    let mut missed = Vec::new();
    for (kind, seed) in Compromise::ALL.into_iter().zip(300..) {
        let plan = Plan { seed, accounts: 16, days: 9, volume: 0.15, compromise: Some(kind), ..Plan::default() };
        let culprit = generator::culprit(&plan);
        let caught = caught(&plan);
        let name = |subject: &Subject| match subject {
            Subject::Login(name) | Subject::User(name) | Subject::Forwarder(name) | Subject::Relay(name) => {
                name.clone()
            }
            Subject::Script { script, .. } => script.clone(),
            subject => format!("{subject:?}"),
        };
        let names: Vec<String> = caught.keys().map(name).collect();
        if names != [culprit.clone()] {
            missed.push(format!("{kind:?} {culprit}: {caught:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    for seed in 400..402 {
        let caught = caught(&Plan { seed, accounts: 20, days: 12, volume: 0.15, compromise: None, ..Plan::default() });
        assert!(caught.is_empty(), "seed {seed}: {caught:?}");
    }
}

fn limit(per_hour: u32, per_day: u32, per_message: u32) -> Limit {
    let number = std::num::NonZeroU32::new;
    Limit { per_hour: number(per_hour), per_day: number(per_day), per_message: number(per_message) }
}

/// The evidence of all alerts over limits, for the lines of a log.
fn over(limits: &Limits, lines: &[String]) -> Vec<(Subject, String)> {
    let (mut reader, mut joiner, mut used) = (Reader::new(), Joiner::default(), Use::default());
    let mut alerts = Vec::new();
    for line in lines {
        let owner = |domain: &str| (domain == "shop.example").then(|| "shop".to_owned());
        joiner.feed(&reader.read(line), Place::default(), |step| alerts.extend(used.step(&step, limits, owner)));
        // A count is the same over a restart.
        let stored = serde_json::to_string(&used).expect("a state is JSON");
        used = serde_json::from_str(&stored).expect("a stored state can be read");
    }
    assert!(alerts.iter().all(|alert| alert.kind == AlertKind::OverLimit));
    alerts.into_iter().map(|alert| (alert.subject, alert.evidence)).collect()
}

/// A limit is reached by its last recipient and passed by the next one; it is told once within its time, for a mailbox whatever
/// the capitals, and for an account by all that it has.
#[test]
fn limits_are_told_when_they_are_passed() {
    let mut limits = Limits::default();
    limits.set(Holder::Mailbox, "Anna@Shop.example", limit(3, 5, 2));
    limits.set(Holder::Account, "shop", limit(0, 6, 0));
    limits.set(Holder::Script, "/home/shop/public_html", limit(1, 0, 0));
    let sent = |minute: u32, to: &str| {
        format!(
            "{} 1vx{minute:03}-0005xY-Qr <= anna@shop.example H=(x) [192.0.2.1] P=esmtpsa A=login:anna@shop.example S=9 id=x@y from <anna@shop.example> for {to}",
            at(minute)
        )
    };
    let script = |minute: u32| {
        [
            format!("{} cwd=/home/shop/public_html 3 args: /usr/sbin/sendmail -t -i", at(minute)),
            format!(
                "{} 1vx{minute:03}-0005xY-Qs <= shop@mx.example U=shop P=local S=9 id=x@y from <shop@mx.example> for a@b.test",
                at(minute)
            ),
        ]
    };
    let mut lines = vec![sent(0, "a@b.test"), sent(1, "a@b.test b@b.test")];
    assert_eq!(over(&limits, &lines), [], "reached, not passed");
    lines.push(sent(2, "a@b.test"));
    let anna = Subject::Login("anna@shop.example".into());
    let (shop, folder) = (
        Subject::Account("shop".into()),
        Subject::Script { user: "shop".into(), script: "/home/shop/public_html".into() },
    );
    let hour = (anna.clone(), "4 recipients within an hour, and the limit is 3; nothing is held".to_owned());
    assert_eq!(over(&limits, &lines), std::slice::from_ref(&hour));
    lines.push(sent(3, "a@b.test b@b.test c@b.test"));
    lines.extend(script(70));
    lines.extend(script(71));
    let said = over(&limits, &lines);
    let expected = [
        hour,
        (anna.clone(), "3 recipients of one message, and the limit is 2; nothing is held".to_owned()),
        (anna, "7 recipients within a day, and the limit is 5; nothing is held".to_owned()),
        (shop, "7 recipients within a day, and the limit is 6; nothing is held".to_owned()),
        (folder, "2 recipients within an hour, and the limit is 1; nothing is held".to_owned()),
    ];
    assert_eq!(said, expected);
}

/// A log that does not name recipients tells them when they are served.
#[test]
fn limits_count_outcomes_where_arrivals_name_nobody() {
    let mut limits = Limits::default();
    limits.set(Holder::Mailbox, "anna@shop.example", limit(2, 0, 0));
    let mut lines = vec![format!(
        "{} 1vx000-0005xY-Qr <= anna@shop.example H=(x) [192.0.2.1] P=esmtpsa A=login:anna@shop.example S=9",
        at(0)
    )];
    for outcome in [
        "=> a@b.test R=r T=t H=mx.b.test [192.0.2.2] C=\"250 OK\"",
        "== b@b.test R=r T=t defer (-44): SMTP error from remote mail server after RCPT TO:<b@b.test>: 451 later",
        "** c@b.test R=r T=t H=mx.b.test [192.0.2.2]: SMTP error from remote mail server after RCPT TO:<c@b.test>: 550 no",
        "-> d@b.test R=r T=t H=mx.b.test [192.0.2.2] C=\"250 OK\"",
    ] {
        lines.push(format!("{} 1vx000-0005xY-Qr {outcome}", at(1)));
    }
    assert_eq!(over(&limits, &lines).len(), 1);
    lines.pop();
    assert_eq!(over(&limits, &lines), []);
}

/// What mail says of its script stands beside an alert and never hides it, even if each message says something else.
#[test]
fn an_alert_tells_which_script_the_mail_names() {
    for (name, expected) in [
        (&(|_: u32| "mailer.php".to_owned()) as &dyn Fn(u32) -> String, "100 of 100"),
        (&|n: u32| format!("{n}.php"), "1 of 100"),
    ] {
        let mut watch = Watch::new();
        for n in 0..100 {
            watch.joiner.script_is(&format!("1vx{n:03}-0005xY-Qr"), &name(n));
            watch.line(&format!("{} cwd=/home/shop/public_html 3 args: /usr/sbin/sendmail -t -i", at(n / 4)));
            watch.line(&format!("{} 1vx{n:03}-0005xY-Qr <= shop@mx.example U=shop P=local S=9", at(n / 4)));
        }
        let [alert] = watch.alerts.as_slice() else { panic!("{:?}", watch.alerts) };
        assert_eq!(alert.kind, AlertKind::ScriptBurst);
        let words = format!("; {expected} that day in mail whose header names ");
        assert!(alert.evidence.contains(&words), "{}", alert.evidence);
    }
}
