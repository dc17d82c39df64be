//! Made-up months: of each kind of compromise the report names the right culprit first, and clean months accuse nobody.

mod generator;

use generator::{Compromise, Innocent, Plan};
use tidegate_watch::report::{Collector, Settings};
use tidegate_watch::{Place, Reader};

/// The report over a plan's log; `change` may alter or leave out lines.
fn report_of(plan: &Plan, change: fn(&str) -> Option<String>) -> tidegate_watch::api::report::Report {
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    let mut line = 0;
    generator::write(plan, |text| {
        line += 1;
        if let Some(text) = change(text) {
            collector.feed(&reader.read(&text), Place { file: 0, line });
        }
    });
    collector.report()
}

fn report(plan: &Plan) -> tidegate_watch::api::report::Report {
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    let mut line = 0;
    generator::write(plan, |text| {
        line += 1;
        collector.feed(&reader.read(text), Place { file: 0, line });
    });
    collector.report()
}

/// Small enough for a test, large enough that newsletters, shops and journeys occur.
fn plan(seed: u64, compromise: Option<Compromise>) -> Plan {
    Plan { seed, accounts: 20, days: 10, volume: 0.15, compromise, ..Plan::default() }
}

#[test]
fn each_compromise_is_named_first() {
    let mut wrong = Vec::new();
    for (kind, seed) in Compromise::ALL.into_iter().zip(100..) {
        let plan = plan(seed, Some(kind));
        let culprit = generator::culprit(&plan);
        let report = report(&plan);
        let named: Vec<String> =
            report.suspects.iter().map(|s| format!("{} {} {:?}", s.name, s.score, s.signals)).collect();
        if report.suspects.first().is_none_or(|first| first.name != culprit) {
            wrong.push(format!("{kind:?}: {culprit} is not first of {named:#?}"));
        } else if report.suspects.len() > 1 {
            wrong.push(format!("{kind:?}: more than {culprit} accused: {named:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clean_months_accuse_nobody() {
    for seed in 200..210 {
        let report = report(&Plan { days: 30, ..plan(seed, None) });
        assert!(report.suspects.is_empty(), "seed {seed}: {:#?}", report.suspects);
        assert!(report.totals.messages > 500, "{:?}", report.totals);
        assert_eq!(report.totals.unknown_lines, 0);
    }
}

/// Where everybody's password is guessed at day and night, so that twenty failures in two days are nothing, with somebody who travels,
/// has an old password in a telephone, or mistypes it.
#[test]
fn guessing_at_everybody_accuses_nobody() {
    for (innocent, seed) in Innocent::ALL.into_iter().zip(700..) {
        let plan = Plan { guessing: Some(20.0), innocent: Some(innocent), ..plan(seed, None) };
        let report = report(&plan);
        assert!(report.suspects.is_empty(), "{innocent:?}: {:#?}", report.suspects);
        let singled_out = report.attackers.iter().filter(|row| row.kind == "distributed");
        assert_eq!(singled_out.count(), 0, "{innocent:?}: everybody is guessed at alike: {:#?}", report.attackers);
    }
}

/// The same server, with a mailbox in it that fell; the report says how.
#[test]
fn who_is_guessed_among_all_is_found() {
    for (kind, seed) in [(Compromise::DistributedGuess, 710), (Compromise::GuessedPassword, 711)] {
        let plan = Plan { guessing: Some(20.0), innocent: Some(Innocent::OldTelephone), ..plan(seed, Some(kind)) };
        let report = report(&plan);
        let named: Vec<&str> = report.suspects.iter().map(|suspect| suspect.name.as_str()).collect();
        assert_eq!(named, [generator::culprit(&plan)], "{kind:?}");
        let suspect = report.suspects.first().expect("a suspect");
        assert!(suspect.signals.iter().any(|signal| signal.name == "guessed_password"), "{:#?}", suspect.signals);
        let guessing = suspect.case.guessing.as_ref().expect("failed logins");
        let usual = guessing.failures_usual.expect("others are attacked");
        assert!(usual >= 10 && guessing.failures_shortly_before >= 3 * usual, "{guessing:?}");
    }
}

/// A log as Exim writes it without any `log_selector`: no recipients, no subject, no commands, no process ids.
#[test]
fn a_poor_log_tells_as_well() {
    let poor = |line: &str| {
        if line.contains(" cwd=") {
            return None;
        }
        let (time, rest) = line.split_at_checked(20)?;
        let rest = rest.split_once("] ").filter(|_| rest.starts_with('[')).map_or(rest, |(_, rest)| rest);
        let end = if rest.contains(" <= ") { rest.find(" T=\"").unwrap_or(rest.len()) } else { rest.len() };
        Some(format!("{time}{}", rest.get(..end)?))
    };
    for (kind, seed) in
        [(Compromise::StolenBurst, 500), (Compromise::UploadedMailer, 501), (Compromise::ForwarderLeak, 502)]
    {
        let plan = plan(seed, Some(kind));
        let culprit = generator::culprit(&plan);
        let report = report_of(&plan, poor);
        // Without the command the script is not known, but whose it is.
        let user = culprit.split('/').nth(2).unwrap_or(&culprit).to_owned();
        let named: Vec<&str> = report.suspects.iter().map(|suspect| suspect.name.as_str()).collect();
        assert_eq!(named, [user.as_str()], "{kind:?}");
    }
}

/// What an administrator asks first of a compromise, with figures that add up.
#[test]
fn a_case_says_whether_it_goes_on() {
    let case = |kind, seed| {
        let report = report(&plan(seed, Some(kind)));
        let suspect = report.suspects.into_iter().next().expect("a suspect");
        assert!(suspect.case.delivered + suspect.case.failed <= suspect.case.recipients, "{:?}", suspect.case);
        assert_eq!(suspect.case.recipients + suspect.case.usual_recipients, suspect.recipients, "{:?}", suspect.case);
        suspect
    };
    // It sent for two hours of one night; four days of log follow.
    let burst = case(Compromise::UploadedMailer, 102);
    let times = (burst.case.began.as_deref(), burst.case.ended.as_deref());
    assert_eq!(times, (Some("2026-02-03T02:00:00"), Some("2026-02-03T04:00:00")));
    assert_eq!((burst.case.at_end, burst.case.recipients, burst.case.certainty), ("quiet", 1800, "very_sure"));
    assert!(burst.case.quiet_hours > 80 && burst.case.guessing.is_none(), "{:?}", burst.case);
    assert!(burst.entered_by.contains("cannot show how it got there"), "{}", burst.entered_by);
    // Every night at three, also in the last one.
    let cron = case(Compromise::NightCron, 104).case;
    assert_eq!(cron.at_end, "recurring");
    let pattern = cron.pattern.expect("it comes at the same time");
    assert_eq!((pattern.from_hour, pattern.until_hour, pattern.days), (3, 4, pattern.of_days), "{pattern:?}");
    assert_eq!(pattern.next.as_deref(), Some("2026-02-07T03:00:00"));
    assert!(burst.case.pattern.is_none(), "once is no habit");
    // The botnet guesses for a day, then sends.
    let guessed = case(Compromise::DistributedGuess, 110);
    let guessing = guessed.case.guessing.expect("failed logins");
    assert!(guessing.failures_shortly_before + guessing.failures_since <= guessing.failures, "{guessing:?}");
    let times = |client: &tidegate_watch::api::report::Client| client.first <= client.last && client.times > 0;
    assert!(guessed.case.clients.iter().all(times), "{:?}", guessed.case.clients);
    assert!(guessing.succeeded.is_some() && guessing.failures >= 200 && !guessing.addresses.is_empty(), "{guessing:?}");
    assert_eq!(
        (guessed.case.clients.len(), guessed.case.has_more_clients),
        (64, true),
        "a botnet has more than are kept"
    );
    // Without a guess before it nobody knows how the password was got, and the report says so.
    let stolen = case(Compromise::StolenBurst, 100);
    assert!(stolen.entered_by.contains("do not show how"), "{}", stolen.entered_by);
}

/// An administrator compares with other logs: the minutes of the first and the last message are those of the log, not those of an hour,
/// nor those of the mailbox's owner.
#[test]
fn a_case_begins_with_its_first_message() {
    for (kind, seed) in [
        (Compromise::StolenBurst, 100),
        (Compromise::UploadedMailer, 102),
        (Compromise::NightCron, 104),
        (Compromise::GuessedPassword, 109),
    ] {
        let plan = plan(seed, Some(kind));
        let (mut first, mut last) = (None, None);
        generator::write(&plan, |line| {
            if line.contains(" <= ") && line.contains("You have won") {
                let minute = line.get(..16).map(|minute| format!("{}:00", minute.replace(' ', "T")));
                first = first.take().or(minute.clone());
                last = minute;
            }
        });
        let report = report(&plan);
        let case = &report.suspects.first().expect("a suspect").case;
        assert!(first.is_some(), "{kind:?} sends");
        assert_eq!((&case.first_message, &case.last_message), (&first, &last), "{kind:?}");
        assert!(case.began <= case.first_message && case.last_message < case.ended, "{case:?}");
    }
}

/// A log that ends in the middle of it.
#[test]
fn a_case_that_goes_on() {
    let plan = plan(100, Some(Compromise::StolenBurst));
    let report = report_of(&plan, |line| (line < "2026-02-03 11:40").then(|| line.to_owned()));
    let suspect = report.suspects.first().expect("a suspect");
    assert_eq!((suspect.case.at_end, suspect.case.quiet_hours), ("active", 0), "{:?}", suspect.case);
}

/// Newsletters, invoice runs, shops, forwarders: looked at, and the reason said.
#[test]
fn who_stands_out_is_cleared_with_a_reason() {
    let mut classes = std::collections::BTreeSet::new();
    for seed in 200..203 {
        let report = report(&plan(seed, None));
        for row in &report.cleared {
            assert!(!row.reason.is_empty() && row.recipients > 0, "{row:?}");
            classes.insert(row.class);
        }
        let largest = report.top_mailboxes.first().expect("a mailbox");
        assert!(report.cleared.iter().any(|row| row.name == largest.name), "{} is not spoken of", largest.name);
    }
    let slow = report(&plan(101, Some(Compromise::StolenSlow)));
    classes.extend(slow.cleared.iter().map(|row| row.class));
    for class in ["runs", "month_end", "steady", "forwarder"] {
        assert!(classes.contains(class), "{class}: {classes:?}");
    }
    let report = report(&plan(102, Some(Compromise::UploadedMailer)));
    let suspect = report.suspects.first().expect("a suspect");
    assert!(report.cleared.iter().all(|row| row.name != suspect.name), "nobody is both");
}

/// What began with the case is far more than ever before as well, and the largest are spoken of first.
#[test]
fn who_sent_most_is_in_no_list_left_out() {
    let report = report(&plan(102, Some(Compromise::UploadedMailer)));
    let suspect = report.suspects.first().expect("a suspect");
    let row = report.unusual.iter().find(|row| row.name == suspect.name).expect("the culprit among the unusual");
    assert_eq!((row.most_before, row.day.as_str()), (0, suspect.worst_day.as_str()));
    let sizes: Vec<u64> = report.cleared.iter().map(|row| row.recipients).collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    for row in report.top_mailboxes.iter().take(5).filter(|row| row.recipients >= 50) {
        assert!(report.cleared.iter().any(|cleared| cleared.name == row.name), "{} is not spoken of", row.name);
    }
}

/// A forwarder on a mailbox that fell is part of its case: a new password does not end it.
#[test]
fn what_a_mailbox_that_fell_forwards_is_known() {
    let plan = plan(109, Some(Compromise::GuessedPassword));
    let culprit = generator::culprit(&plan);
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    let mut line = 0;
    let mut feed = |text: &str| {
        line += 1;
        collector.feed(&reader.read(text), Place { file: 0, line });
    };
    generator::write(&plan, &mut feed);
    let id = "1vnzzz-0000000A0A0-0001";
    feed(&format!(
        "2026-02-06 23:59:01 {id} <= a@b.example H=b.example [203.0.113.5] P=esmtps S=900 T=\"Hi\" for {culprit}"
    ));
    feed(&format!(
        "2026-02-06 23:59:02 {id} => spy@gmail.com <{culprit}> R=dnslookup T=remote_smtp H=gmail.example [203.0.113.25] C=\"250 OK\""
    ));
    feed(&format!("2026-02-06 23:59:03 {id} Completed"));
    let report = collector.report();
    let suspect = report.suspects.first().expect("a suspect");
    let forwards = suspect.case.forwards.as_ref().expect("it forwards");
    assert!(forwards.recipients >= 1 && forwards.last == "2026-02-06", "{forwards:?}");
}

/// Who is of the house of the one that fell is said to be, and nobody else.
#[test]
fn who_is_near_a_case_is_said_to_be() {
    let mut near = 0;
    for (kind, seed) in Compromise::ALL.into_iter().zip(100..) {
        let report = report(&Plan { accounts: 4, ..plan(seed, Some(kind)) });
        let Some(suspect) = report.suspects.first() else { continue };
        for row in &report.cleared {
            let is_near = row.account == suspect.account;
            assert_eq!(row.same_account_as.as_ref(), is_near.then_some(&suspect.name), "{kind:?}: {row:?}");
            near += u32::from(is_near);
        }
    }
    assert!(near > 0, "of four accounts one is looked at that has a case");
}

/// A webmail, a proxy, a machine in the same house: an intruder may send through them, and whoever blocks them blocks everybody.
#[test]
fn no_address_of_our_own_is_to_be_blocked() {
    let through_us = |line: &str| {
        let line = line
            .replace("[141.98.10.3]", "[127.0.0.1]")
            .replace("[141.98.10.4]", "[10.9.8.7]")
            .replace("[141.98.10.5]", "[192.0.2.25]")
            .replace("[141.98.10.6]", "[::1]");
        Some(if line.contains(" <= ") { line.replace(" P=esmtpsa", " I=[192.0.2.25]:465 P=esmtpsa") } else { line })
    };
    let report = report_of(&plan(109, Some(Compromise::GuessedPassword)), through_us);
    let case = &report.suspects.first().expect("a suspect").case;
    let own = ["10.9.8.7", "127.0.0.1", "192.0.2.25", "::1"];
    let mut named: Vec<&str> = case.own_clients.iter().map(|client| client.name.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, own);
    let guessing = case.guessing.as_ref().expect("failed logins");
    let strangers =
        case.clients.iter().chain(&case.usual_clients).map(|client| &client.name).chain(&guessing.addresses);
    let strangers: Vec<&String> = strangers.collect();
    assert!(strangers.len() > 20 && strangers.iter().all(|ip| !own.contains(&ip.as_str())), "{strangers:?}");
    for row in &report.attackers {
        assert_eq!(row.is_own, own.contains(&row.who.as_str()), "{row:?}");
    }
}

/// Examples show what one hour was like.
#[test]
fn examples_are_of_one_hour() {
    for (kind, seed) in Compromise::ALL.into_iter().zip(100..) {
        let report = report(&plan(seed, Some(kind)));
        let samples = &report.suspects.first().expect("a suspect").samples;
        let mut hours: Vec<_> =
            samples.iter().map(|sample| sample.time.as_ref().and_then(|time| time.get(..13))).collect();
        hours.dedup();
        assert_eq!((hours.len(), samples.len()), (1, 3), "{kind:?}: {samples:#?}");
    }
}

/// Who holds this server's address for bad, from when to when; and whoever causes little of it is not named.
#[test]
fn blocks_of_this_server_stand_apart() {
    let report = report(&plan(102, Some(Compromise::UploadedMailer)));
    let block = report.blocks.first().expect("a block");
    assert_eq!((block.provider, block.addresses.as_slice()), ("Microsoft", ["192.0.2.1".to_owned()].as_slice()));
    assert!(block.example.contains("(S3150)") && block.refused > 50, "{block:?}");
    assert_eq!(block.ask.as_deref(), Some("olcsupport.office.com"));
    assert!(block.first < block.last && block.delivered > 0, "{block:?}");
    // What came before the case and what since make the whole.
    let around = block.around_case.as_ref().expect("a case");
    let sum = (around.before.refused + around.since.refused, around.before.deferred + around.since.deferred);
    assert_eq!((around.day.as_str(), sum), ("2026-02-03", (block.refused, block.deferred)));
    assert_eq!((around.before.days, around.since.days), (6, 4));
    assert_eq!(around.before.delivered + around.since.delivered, block.delivered);
    assert!(block.lately.is_some_and(|lately| lately.days == 7 && lately.refused <= block.refused), "{block:?}");
    for row in &report.refusals {
        let is_fair = |part: u64, whole: u64| part > 0 && part * 10 >= whole;
        for cause in &row.caused_by {
            assert!(
                cause.refused <= row.refused && cause.deferred <= row.deferred,
                "no part is larger than the whole: {row:?}"
            );
            assert!(is_fair(cause.refused, row.refused) || is_fair(cause.deferred, row.deferred), "{row:?}");
        }
        assert!(row.first.is_some() && row.first <= row.last, "{row:?}");
    }
}
