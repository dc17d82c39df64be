//! Lines of a message become one picture of it.

use tidegate_watch::{Joiner, Origin, Outcome, Place, Reader, Step};

/// What was told of the messages, one line a step.
fn steps(joiner: &mut Joiner, log: &str) -> Vec<String> {
    let mut reader = Reader::new();
    let mut told = Vec::new();
    for (line, text) in (1..).zip(log.lines()) {
        let event = reader.read(text);
        joiner.feed(&event, Place { file: 0, line }, |step| {
            told.push(match step {
                Step::Arrived(message) => {
                    format!("{} arrived {:?} {} recipients", message.id.as_str(), message.origin, message.recipients)
                }
                Step::Outcome(message, delivery) => {
                    let is_remote = delivery.host.ip.is_some();
                    format!("{} {:?} {} {is_remote}", message.id.as_str(), delivery.outcome, delivery.address)
                }
                Step::Finished(message) => {
                    format!(
                        "{} finished {}/{}/{}",
                        message.id.as_str(),
                        message.delivered,
                        message.deferred,
                        message.failed
                    )
                }
            });
        });
    }
    told
}

#[test]
fn a_script_is_found_by_the_process_id() {
    let log = "\
2026-03-02 10:11:12 [77] cwd=/home/other/public_html 4 args: /usr/sbin/sendmail -t -i -fx
2026-03-02 10:11:12 [78] cwd=/home/shop/public_html/wp-content/uploads 4 args: /usr/sbin/sendmail -t -i -fx
2026-03-02 10:11:12 [79] cwd=/var/spool/exim4 3 args: /usr/sbin/exim4 -Mc 1vx2Ab-0005xY-Qr
2026-03-02 10:11:12 [78] 1vx2Ab-0005xY-Qr <= shop@site.example U=shop P=local S=912 T=\"x\" for a@remote.example b@remote.example
2026-03-02 10:11:13 [80] 1vx2Ab-0005xY-Qr => a@remote.example R=dnslookup T=remote_smtp H=mx [192.0.2.1] C=\"250 OK\"
2026-03-02 10:11:13 [80] 1vx2Ab-0005xY-Qr ** b@remote.example R=dnslookup T=remote_smtp H=mx [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<b@remote.example>: 550 5.1.1 no such user
2026-03-02 10:11:13 [80] 1vx2Ab-0005xY-Qr Completed";
    assert_eq!(
        steps(&mut Joiner::default(), log),
        [
            r#"1vx2Ab-0005xY-Qr arrived Script { user: "shop", script: "/home/shop/public_html/wp-content/uploads" } 2 recipients"#,
            "1vx2Ab-0005xY-Qr Delivered a@remote.example true",
            "1vx2Ab-0005xY-Qr Failed b@remote.example true",
            "1vx2Ab-0005xY-Qr finished 1/0/1",
        ]
    );
}

#[test]
fn without_process_ids_the_home_directory_tells() {
    let log = "\
2026-03-02 10:11:12 cwd=/home/shop/public_html 4 args: /usr/sbin/sendmail -t -i -fx
2026-03-02 10:11:12 cwd=/home/other/public_html 4 args: /usr/sbin/sendmail -t -i -fy
2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= z@site.example U=shop P=local S=912
2026-03-02 10:11:20 1vx2Ac-0005xY-Qr <= z@site.example U=other P=local S=912";
    assert_eq!(
        steps(&mut Joiner::default(), log),
        [
            r#"1vx2Ab-0005xY-Qr arrived Script { user: "shop", script: "/home/shop/public_html" } 0 recipients"#,
            r#"1vx2Ac-0005xY-Qr arrived Local("other") 0 recipients"#,
        ]
    );
}

#[test]
fn postfix_tells_in_pieces() {
    let log = "\
Mar  2 10:11:12 h postfix/smtpd[1]: A94DF404B38D: client=unknown[192.0.2.7], sasl_method=LOGIN, sasl_username=u@site.example
Mar  2 10:11:12 h postfix/cleanup[2]: A94DF404B38D: message-id=<x@y>
Mar  2 10:11:12 h postfix/qmgr[3]: A94DF404B38D: from=<u@site.example>, size=912, nrcpt=2 (queue active)
Mar  2 10:11:13 h postfix/smtp[4]: A94DF404B38D: to=<a@b.example>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)
Mar  2 10:11:14 h postfix/qmgr[3]: A94DF404B38D: from=<u@site.example>, size=912, nrcpt=2 (queue active)
Mar  2 10:11:15 h postfix/smtp[4]: A94DF404B38D: to=<c@b.example>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))
Mar  2 10:11:15 h postfix/qmgr[3]: A94DF404B38D: removed";
    assert_eq!(
        steps(&mut Joiner::default(), log),
        [
            r#"A94DF404B38D arrived Login("u@site.example") 2 recipients"#,
            "A94DF404B38D Delivered a@b.example true",
            "A94DF404B38D Failed c@b.example true",
            "A94DF404B38D finished 1/0/1",
        ]
    );
}

#[test]
fn memory_is_bounded_and_losses_are_counted() {
    let mut joiner = Joiner::new(10);
    let mut reader = Reader::new();
    let mut evicted = 0;
    for n in 0..1000 {
        let line = format!("2026-03-02 10:11:12 1vx{n:03}-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtp S=9");
        let event = reader.read(&line);
        joiner.feed(&event, Place::default(), |step| evicted += u64::from(matches!(step, Step::Finished(_))));
    }
    assert_eq!((joiner.open().count(), joiner.losses().evicted, evicted), (10, 990, 990));
    let event = reader.read("2026-03-02 10:11:12 1vx000-0005xY-Qr => x@y.example R=a T=b");
    joiner.feed(&event, Place::default(), |_| unreachable!("the message was let go"));
    assert_eq!(joiner.losses().orphans, 1);
}

/// What a header names is kept beside what is known, whether it is told before the message or after; a stranger's is not.
#[test]
fn a_named_script_is_a_hint() {
    let local = "<= z@site.example U=shop P=local S=912";
    let remote = "<= z@site.example H=mx.example.net [192.0.2.9] P=esmtp S=912";
    for (arrival, told_first, kept) in
        [(local, true, true), (local, false, true), (remote, true, false), (remote, false, false)]
    {
        let mut joiner = Joiner::default();
        let mut reader = Reader::new();
        let id = "1vx2Ab-0005xY-Qr";
        if told_first {
            joiner.script_is(id, "shop.example/contact.php");
        }
        let line = format!("2026-03-02 10:11:12 {id} {arrival}");
        let event = reader.read(&line);
        joiner.feed(&event, Place::default(), |_| ());
        if !told_first {
            joiner.script_is(id, "shop.example/contact.php");
        }
        assert_eq!(joiner.knows_script(id), kept, "{arrival} {told_first}");
        let event = reader.read("2026-03-02 10:11:13 1vx2Ab-0005xY-Qr => x@y.example R=a T=b");
        joiner.feed(&event, Place::default(), |step| {
            let Step::Outcome(message, delivery) = step else { panic!("{step:?}") };
            let origin = if kept { Origin::Local("shop".into()) } else { Origin::Remote };
            assert_eq!(message.origin, origin, "nobody is counted elsewhere for what a header says");
            assert_eq!(message.script.as_deref(), kept.then_some("shop.example/contact.php"));
            assert_eq!(delivery.outcome, Outcome::Delivered);
        });
    }
}

/// Scripts of messages that never arrive do not pile up.
#[test]
fn scripts_without_a_message_are_bounded() {
    let mut joiner = Joiner::default();
    for n in 0..5000 {
        joiner.script_is(&format!("1vx{n:03}-0005xY-Qr"), "x.php");
    }
    assert!(!joiner.knows_script("1vx000-0005xY-Qr") && joiner.knows_script("1vx4999-0005xY-Qr"));
}
