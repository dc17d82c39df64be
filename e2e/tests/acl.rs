//! Our ACLs in a real Exim, against a daemon that answers as it is told: the right facts are asked at each stage, and each
//! answer does what it says.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a lab waits, and is to fail loudly")]

use std::time::{Duration, Instant};

use tidegate_e2e::stub::{Reaction, Seen, Stub};
use tidegate_e2e::{Lab, Plan};
use tidegate_wire::exim::{Action, Answer, Counts, ExactAddress, HeaderLine, Origin, Position, Stage};

const DNS: &str = "
mail.good.test A 203.0.113.10
10.113.0.203.in-addr.arpa PTR mail.good.test
";
const MESSAGE: &[u8] =
    b"From: a@good.test\nTo: b@exim.test\nSubject: t\nX-Gone: one\nX-Gone: two\n\nfirst line\n.second\n";

fn lab(test: &str, settings: &str) -> Option<(Lab, Stub)> {
    Lab::with_stub(test, &Plan { dns: DNS.to_owned(), exim: settings.to_owned(), ..Plan::default() }).unwrap()
}

fn at(stage: Stage, action: Action) -> impl FnMut(&Seen) -> Reaction + Send + 'static {
    move |seen| match &seen.ask {
        ask if ask.stage == stage && ask.part.number == 1 => action.into(),
        _ => Action::Accept.into(),
    }
}

#[test]
fn every_stage_asks_with_all_facts_so_far() {
    let Some((lab, stub)) = lab("every_stage_asks_with_all_facts_so_far", "") else { return };
    stub.play(|_| Reaction::Answer(Answer { session: Some("c1".to_owned()), ..Answer::new(Action::Accept) }));
    let (mut client, greeting) = lab.client("203.0.113.10").unwrap();
    assert_eq!(greeting.code, 220);
    client.expect("EHLO client.test", 250).unwrap();
    client.expect("AUTH PLAIN AHUxQGV4aW0udGVzdAB3cm9uZw==", 535).unwrap();
    client.expect("AUTH PLAIN AHUxQGV4aW0udGVzdABzZWNyZXQ=", 235).unwrap();
    client.expect("MAIL FROM:<\"odd name\"@good.test> SIZE=1234", 250).unwrap();
    client.expect("RCPT TO:<\"A b\"@Exim.test>", 250).unwrap();
    client.expect("RCPT TO:<b@exim.test>", 250).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();

    let connect = stub.wait_for(Stage::Connect).unwrap().ask;
    let Origin::Remote { client, interface, host, .. } = connect.origin else { panic!("{connect:?}") };
    assert_eq!(client.ip().to_string(), "203.0.113.10");
    assert_eq!(interface.unwrap().to_string(), "192.0.2.25:25");
    assert_eq!((host.as_deref(), connect.session, connect.helo), (Some("mail.good.test"), None, None));
    let auth = stub.wait_for(Stage::Auth).unwrap().ask;
    assert_eq!(auth.login.mechanism.as_deref(), Some("PLAIN"));
    assert_eq!(auth.login.failed_account.as_deref(), Some("u1@exim.test"));
    let mail = stub.wait_for(Stage::Mail).unwrap().ask;
    assert_eq!(mail.session.as_deref(), Some("c1"));
    assert_eq!(mail.login.account.as_deref(), Some("u1@exim.test"));
    assert_eq!(mail.login.mechanism.as_deref(), Some("plain"));
    assert_eq!(mail.transaction.size, Some(1234));
    let rcpt = stub.wait_for(Stage::Rcpt).unwrap().ask;
    assert_eq!(rcpt.transaction.recipient, Some(ExactAddress::new("b@exim.test")));
    assert_eq!(rcpt.transaction.sender, Some(ExactAddress::new("\"odd name\"@good.test")));
    assert_eq!(rcpt.transaction.counts, Counts { asked: 2, accepted: 1, refused: 0, deferred: 0 });
    let data = stub.wait_for(Stage::Data).unwrap();
    assert_eq!(data.ask.helo.as_deref(), Some("client.test"));
    assert_eq!(data.ask.protocol.as_deref(), Some("esmtpa"));
    let mail = data.mail.unwrap();
    assert_eq!(mail.recipients, [ExactAddress::new("\"A b\"@Exim.test"), ExactAddress::new("b@exim.test")]);
    let headers = String::from_utf8(mail.headers).unwrap();
    assert!(headers.starts_with("Received: from mail.good.test"), "{headers}");
    assert!(headers.ends_with("Subject: t\nX-Gone: one\nX-Gone: two\n"), "{headers}");
    let id = data.ask.transaction.id.unwrap();
    assert_eq!(data.spool_file, Some((format!("{id}-D"), b"first line\n.second\n".len())));
    assert_eq!(stub.wait_for(Stage::End).unwrap().ask.session.as_deref(), Some("c1"));
    assert!(
        stub.seen().iter().all(|seen| seen.uid == stub.seen()[0].uid && seen.uid != 0),
        "Exim asks as its own user"
    );
    lab.exim.wait_delivered(2).unwrap();
    assert_eq!(lab.exim.panic_log(), "");
}

#[test]
fn each_answer_does_what_it_says() {
    let Some((lab, stub)) = lab("each_answer_does_what_it_says", "") else { return };
    for (stage, action, code, stays) in [
        (Stage::Connect, Action::Reject, 550, false),
        (Stage::Connect, Action::Defer, 451, false),
        (Stage::Helo, Action::Reject, 550, true),
        (Stage::Helo, Action::Drop, 550, false),
        (Stage::Auth, Action::Reject, 550, true),
        (Stage::Mail, Action::Reject, 550, true),
        (Stage::Mail, Action::Greylist, 451, true),
        (Stage::Rcpt, Action::Reject, 550, true),
        (Stage::Rcpt, Action::Defer, 451, true),
        (Stage::Rcpt, Action::Greylist, 451, true),
        (Stage::Rcpt, Action::Drop, 550, false),
        (Stage::Data, Action::Reject, 550, true),
        (Stage::Data, Action::Defer, 451, true),
        (Stage::Data, Action::Greylist, 451, true),
        (Stage::Data, Action::Drop, 550, false),
    ] {
        stub.play(move |seen| {
            let reply = format!("{code} {}.7.9 because \"{stage:?}\" \\ ${{primary_hostname}}", code / 100);
            let answer = Answer { reply: Some(reply), ..Answer::new(action) };
            if seen.ask.stage == stage { Reaction::Answer(answer) } else { Action::Accept.into() }
        });
        let (mut client, greeting) = lab.client("203.0.113.66").unwrap();
        let mut reply = greeting;
        for (command_stage, command) in [
            (Stage::Helo, "EHLO client.test"),
            (Stage::Auth, "AUTH PLAIN AHUxAHNlY3JldA=="),
            (Stage::Mail, "MAIL FROM:<a@bad.test>"),
            (Stage::Rcpt, "RCPT TO:<b@exim.test>"),
        ] {
            if stage >= command_stage && reply.code < 400 && (stage == Stage::Auth || command_stage != Stage::Auth) {
                reply = client.say(command).unwrap();
            }
        }
        if stage == Stage::Data {
            reply = client.data(MESSAGE).unwrap();
        }
        let expected = format!("{code} {}.7.9 because \"{stage:?}\" \\ ${{primary_hostname}}", code / 100);
        assert_eq!(reply.text, expected, "{stage:?} {action:?}");
        assert_eq!(client.say("NOOP").unwrap().code == 250, stays, "{stage:?} {action:?}");
    }
    assert!(lab.exim.delivered().unwrap().is_empty());
    assert_eq!(lab.exim.panic_log(), "");
}

#[test]
fn fields_are_removed_and_added() {
    let Some((lab, stub)) = lab("fields_are_removed_and_added", "") else { return };
    let mut count = 0;
    let field = |name, value: &[u8], position| HeaderLine::new(name, value, position).unwrap();
    let add = vec![
        field("X-Gone", b"two", Position::End),
        field("Authentication-Results", b"mx.exim.test;\n\tspf=pass smtp.mailfrom=good.test", Position::Start),
        field("X-Odd", b"${primary_hostname} \xff \"q\" \\ $acl_m_tidegate", Position::End),
    ];
    // With a session's name an answer is known by its beginning and end, without one by its form; and there are older daemons.
    let session = Some("c1".to_owned());
    for (session, takes_quoted) in [(session.clone(), true), (None, true), (session, false)] {
        let answer =
            Answer { session, remove: vec!["X-Gone".to_owned()], add: add.clone(), ..Answer::new(Action::Tag) };
        let line = if takes_quoted { answer.encode_quoted() } else { answer.encode() };
        stub.play(move |seen| match seen.ask.stage {
            Stage::Data => Reaction::Raw(line.clone()),
            _ => Action::Accept.into(),
        });
        let (mut client, _) = lab.client("203.0.113.10").unwrap();
        client.envelope("client.test", "a@good.test", &["b@exim.test"]).unwrap();
        assert_eq!(client.data(MESSAGE).unwrap().code, 250);
        count += 1;
        let delivered = lab.exim.wait_delivered(count).unwrap();
        for delivered in delivered {
            assert_eq!(delivered.header("X-Gone"), ["two"]);
            let results = ["mx.exim.test; spf=pass smtp.mailfrom=good.test"];
            assert_eq!(delivered.header("Authentication-Results"), results);
            assert_eq!(delivered.header("X-Odd"), ["${primary_hostname} \u{fffd} \"q\" \\ $acl_m_tidegate"]);
            let text = String::from_utf8_lossy(&delivered.message).into_owned();
            let (results, received) = (text.find("Authentication-Results:").unwrap(), text.find("Received:").unwrap());
            assert!(results < received, "results stand above our own trace field:\n{text}");
        }
    }
    assert_eq!(lab.exim.panic_log(), "");
}

#[test]
fn long_headers_and_many_recipients_arrive_complete() {
    let Some((lab, stub)) = lab("long_headers_and_many_recipients_arrive_complete", "") else { return };
    for (headers_kb, count) in [(1_usize, 1_usize), (30, 2), (60, 400), (63, 1), (70, 3), (300, 1000)] {
        stub.play(at(Stage::Data, Action::Reject));
        let recipients: Vec<String> =
            (0..count).map(|n| format!("recipient-of-some-length-{n:04}@exim.test")).collect();
        let mut message = String::new();
        while message.len() < headers_kb * 1024 {
            message.push_str(&format!("X-Padding-{}: {}\n", message.len(), "pad ".repeat(24)));
        }
        message.push_str("Subject: the end\n\nbody\n");
        let (mut client, _) = lab.client("203.0.113.66").unwrap();
        let names: Vec<&str> = recipients.iter().map(String::as_str).collect();
        client.envelope("client.test", "a@bad.test", &names).unwrap();
        assert_eq!(client.data(message.as_bytes()).unwrap().code, 550);

        let seen = stub.wait_for(Stage::Data).unwrap();
        let mail = seen.mail.expect("all parts are there");
        let read: Vec<&str> = mail.recipients.iter().map(ExactAddress::as_str).collect();
        assert_eq!(read, names, "{headers_kb} KB");
        let head = message.split("\n\n").next().unwrap();
        let headers = match seen.scan_file {
            Some(file) => String::from_utf8(file).unwrap(),
            None => String::from_utf8(mail.headers).unwrap(),
        };
        assert_eq!(seen.ask.content.is_in_scan_file, headers_kb >= 70, "{headers_kb} KB");
        assert!(headers.contains(head), "{headers_kb} KB of headers are complete");
        assert!(!seen.ask.content.is_cut);
        assert!(stub.seen().iter().all(|seen| seen.octets < 64 * 1024), "no request is too long for Exim");
    }
}

#[test]
fn an_exim_without_content_scanning_says_that_headers_are_cut() {
    let name = "an_exim_without_content_scanning_says_that_headers_are_cut";
    let Some((lab, stub)) = lab(name, "TIDEGATE_WITHOUT_SCAN = 1\n") else { return };
    stub.play(at(Stage::Data, Action::Reject));
    let message = format!("X-Long: {}\nSubject: the end\n\nbody\n", "pad ".repeat(18_000));
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(message.as_bytes()).unwrap().code, 550);
    let seen = stub.wait_for(Stage::Data).unwrap();
    assert!(seen.ask.content.is_cut && !seen.ask.content.is_in_scan_file);
    assert_eq!(seen.mail.unwrap().headers.len(), 65_536, "what there is still arrives");
}

#[test]
fn a_daemon_started_between_two_parts_gets_them_all_again() {
    let Some((lab, stub)) = lab("a_daemon_started_between_two_parts_gets_them_all_again", "") else { return };
    let mut asked = 0;
    stub.play(move |seen| {
        if seen.ask.stage == Stage::Data && seen.ask.part.number == 1 {
            asked += 1;
            return if asked == 1 { Action::Again.into() } else { Action::Reject.into() };
        }
        Action::Accept.into()
    });
    let message = format!("X-Long: {}\nSubject: s\n\nbody\n", "pad ".repeat(10_000));
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(message.as_bytes()).unwrap().code, 550);
    let numbers: Vec<u16> =
        stub.seen().iter().filter(|s| s.ask.stage == Stage::Data).map(|s| s.ask.part.number).collect();
    assert_eq!(numbers, [2, 3, 1, 2, 3, 1]);
    assert!(stub.seen().last().unwrap().mail.is_some());
}

#[test]
fn mail_flows_when_nobody_answers() {
    let Some((lab, stub)) = lab("mail_flows_when_nobody_answers", "") else { return };
    let junk = |bytes: &'static [u8]| move |_: &Seen| Reaction::Raw(bytes.to_vec());
    let deliver = |lab: &Lab| {
        let (mut client, greeting) = lab.client("203.0.113.66").unwrap();
        assert_eq!(greeting.code, 220);
        client.envelope("client.test", "a@bad.test", &["b@exim.test"]).unwrap();
        assert_eq!(client.data(MESSAGE).unwrap().code, 250);
        client.expect("QUIT", 221).unwrap();
    };
    let mut count = 0;
    for answer in [
        &b""[..],
        b"OK\n",
        b"a=reject m=\"550 no\"\n",
        b"a=\n",
        b"a=reject m=no\n",
        b"a=reject m=\"550 no\n",
        b"a=tag hb=\"a b\"\n",
        b"a=tag hb=\"QUJD=\" rb=\"Q\"\n",
        b"a=tag sid=\"c1\" h=\"X-A: b",
        b"a=tag sid=\"c1\" h=\"X-A: b\\\" e=\\\".\\\"",
        b"a=reject m=\"550 no\"\na=reject m=\"550 no\"\n",
        b"a=unknownword\n",
        &[b'x'; 200_000],
    ] {
        stub.play(junk(answer));
        deliver(&lab);
        count += 1;
        lab.exim.wait_delivered(count).unwrap();
        let shown = String::from_utf8_lossy(answer.get(..40).unwrap_or(answer)).into_owned();
        assert_eq!(lab.exim.panic_log(), "", "{shown:?}");
    }
    std::fs::remove_file(lab.socket()).unwrap();
    deliver(&lab);
    lab.exim.wait_delivered(count + 1).unwrap();
    assert!(lab.exim.log().contains("tidegate: no valid answer"));
}

#[test]
fn a_silent_daemon_costs_one_wait_and_not_one_a_command() {
    const SILENCE: Duration = Duration::from_secs(20);
    let settings = "TIDEGATE_WAIT_ENVELOPE = 1s\nTIDEGATE_WAIT_CONTENT = 2s\n";
    let Some((lab, stub)) = lab("a_silent_daemon_costs_one_wait_and_not_one_a_command", settings) else { return };
    stub.play(|_| Reaction::Silence(SILENCE));
    let begun = Instant::now();
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &["b@exim.test", "c@exim.test"]).unwrap();
    assert_eq!(client.data(MESSAGE).unwrap().code, 250);
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    // Without a pause it would be a wait at each of five commands, and a longer one for the message.
    assert_eq!(stub.seen().iter().map(|seen| seen.ask.stage).collect::<Vec<_>>(), [Stage::Connect]);
    lab.exim.wait_delivered(2).unwrap();
    // The daemon falls silent at DATA, in the middle of parts.
    stub.play(|seen| match seen.ask.stage {
        Stage::Data => Reaction::Silence(SILENCE),
        _ => Action::Accept.into(),
    });
    let message = format!("X-Long: {}\nSubject: s\n\nbody\n", "pad ".repeat(10_000));
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &["b@exim.test"]).unwrap();
    let begun = Instant::now();
    assert_eq!(client.data(message.as_bytes()).unwrap().code, 250);
    assert!(begun.elapsed() < SILENCE, "{:?}", begun.elapsed());
    lab.exim.wait_delivered(3).unwrap();
}

#[test]
fn a_stage_can_fail_closed() {
    let settings = "TIDEGATE_ON_FAIL_RCPT = defer\nTIDEGATE_ON_FAIL_LOCAL = defer\n";
    let Some((lab, stub)) = lab("a_stage_can_fail_closed", settings) else { return };
    stub.play(|_| Reaction::Raw(b"junk".to_vec()));
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("client.test", "a@bad.test", &[]).unwrap();
    client.expect("RCPT TO:<b@exim.test>", 451).unwrap();
    let output = lab.sendmail("www-data", &["-t"], b"To: b@exim.test\nSubject: s\n\nx\n").unwrap();
    assert!(!output.status.success());
    stub.play(|_| Action::Accept.into());
    client.expect("RCPT TO:<b@exim.test>", 250).unwrap();
}

#[test]
fn local_programs_are_asked_about_with_uid_and_folder() {
    let Some((lab, stub)) = lab("local_programs_are_asked_about_with_uid_and_folder", "") else { return };
    let script = b"To: u@exim.test, \"c, d\" <\"c, d\"@exim.test>\nSubject: from a script\nX-PHP-Script: shop.test/x.php\n\nbody\n";
    stub.play(|_| Action::Accept.into());
    assert!(lab.sendmail("www-data", &["-t", "-i", "-f", "noreply@shop.test"], script).unwrap().status.success());
    let seen = stub.wait_for(Stage::NotSmtp).unwrap();
    let Origin::Local { uid, gid, user, cwd } = &seen.ask.origin else { panic!("{:?}", seen.ask) };
    assert_eq!((uid, gid, user.as_deref(), cwd.as_deref()), (&Some(33), &Some(33), Some("www-data"), Some("/var")));
    assert_eq!(seen.ask.transaction.sender, Some(ExactAddress::new("noreply@shop.test")));
    assert_eq!(seen.ask.protocol.as_deref(), Some("local"));
    assert_eq!(seen.spool_file.unwrap().1, 5);
    let mail = seen.mail.unwrap();
    assert_eq!(mail.recipients, [ExactAddress::new("u@exim.test"), ExactAddress::new("\"c, d\"@exim.test")]);
    assert!(String::from_utf8(mail.headers).unwrap().contains("X-PHP-Script: shop.test/x.php\n"));
    lab.exim.wait_delivered(2).unwrap();

    // SMTP on standard input is asked about as SMTP, but from a uid and no address.
    let smtp =
        b"EHLO me\r\nMAIL FROM:<a@shop.test>\r\nRCPT TO:<u@exim.test>\r\nDATA\r\nSubject: s\r\n\r\nx\r\n.\r\nQUIT\r\n";
    stub.play(|_| Action::Accept.into());
    assert!(lab.sendmail("www-data", &["-bs"], smtp).unwrap().status.success());
    for stage in [Stage::Connect, Stage::Helo, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::End] {
        let origin = stub.wait_for(stage).unwrap().ask.origin;
        assert!(matches!(&origin, Origin::Local { uid: Some(33), .. }), "{stage:?} {origin:?}");
    }
    lab.exim.wait_delivered(3).unwrap();

    stub.play(at(Stage::NotSmtp, Action::Reject));
    assert!(!lab.sendmail("www-data", &["-t"], b"To: u@exim.test\nSubject: no\n\nx\n").unwrap().status.success());
}

#[test]
fn a_lost_connection_is_told() {
    let Some((lab, stub)) = lab("a_lost_connection_is_told", "") else { return };
    stub.play(|_| Action::Accept.into());
    let (mut client, _) = lab.client("2001:db8::66").unwrap();
    client.envelope("client.test", "a@bad.test", &["b@exim.test"]).unwrap();
    client.say("RCPT TO:<unknown-1@exim.test>").unwrap();
    client.hang_up();
    let lost = stub.wait_for(Stage::Lost).unwrap().ask;
    assert_eq!(lost.why.as_deref(), Some("connection-lost"));
    let Origin::Remote { client, interface, .. } = lost.origin else { panic!("{:?}", lost.origin) };
    assert_eq!(
        (client.ip().to_string(), interface.unwrap().to_string()),
        ("2001:db8::66".into(), "[2001:db8::25]:25".into())
    );
    assert_eq!(lost.transaction.counts.refused, 1);
}
