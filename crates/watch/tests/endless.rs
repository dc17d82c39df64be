//! Lines made of one imitation over and over: a reader that tries every place where a text could end must not try every
//! combination of them. One that did would never come back from this test.

use tidegate_watch::{LINE_OCTETS_MAX, Reader};

const HEADS: [&str; 20] = [
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtps S=2201 id=",
    "2026-03-02 10:11:12 H=(",
    "2026-03-02 10:11:12 x authenticator failed for (",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr => ",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr ** ",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr == ",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr => x H=(",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a H=(",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a H=(h) [192.0.2.7] U=",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a H=(h) [192.0.2.7] P=x DN=\"",
    "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a H=(h) [192.0.2.7] P=x A=y:",
    "2026-03-02 10:11:12 SMTP protocol error in \"\" H=(",
    "2026-03-02 10:11:12 SMTP protocol error in \"",
    "2026-03-02 10:11:12 SMTP protocol synchronization error (a): rejected \"",
    "2026-03-02 10:11:12 cwd=/",
    "Mar  2 10:11:12 h dovecot: imap-login: Disconnected: user=<",
    "Mar  2 10:11:12 h dovecot: imap-login: ",
    "Mar  2 10:11:12 h dovecot: auth: pam(",
    "Mar  2 10:11:12 h postfix/smtpd[1]: NOQUEUE: reject: RCPT from u[192.0.2.7]: 550 ",
    "[22-Jan-2013 22:28:21 +0200]: FAILED login for ",
];

const UNITS: [&str; 20] = [
    " for a@b",
    ") [192.0.2.9] P=x S=1 id=",
    " T=\"a",
    " id=x",
    " (a)",
    " ",
    " U=x P=y S=1",
    ": 550 x",
    " DN=\"x\" S=1",
    " H=(x) [192.0.2.9]",
    "\" H=(x) [192.0.2.9]",
    ">, rip=192.0.2.9, lip=1",
    "; from=<a> to=<b> proto=x helo=<",
    " F=<a> R=b",
    " C=\"x\" QT=1",
    " from <a>",
    " from 192.0.2.9",
    ": ",
    ",192.0.2.9): ",
    " P=x H=(y) [192.0.2.9] U=z P=w S=1",
];

/// Long enough that combinations could not be tried, short enough that pairs can.
const OCTETS: usize = 1500;

#[test]
fn no_line_takes_for_ever() {
    for head in HEADS {
        for unit in UNITS {
            let body = unit.repeat(OCTETS / unit.len());
            for tail in ["", "\"", " P=x S=1 for a@b", "> "] {
                let _ = Reader::new().read(&format!("{head}{body}{tail}"));
            }
        }
    }
}

#[test]
fn what_is_too_long_is_left_out() {
    let line = format!(
        "2026-03-02 10:11:12 H=(x) [192.0.2.7] F=<a@b.example> rejected RCPT <u@c.example>: {}",
        "é".repeat(LINE_OCTETS_MAX)
    );
    let mut reader = Reader::new();
    let event = reader.read(&line);
    let tidegate_watch::Kind::Rejection(rejection) = &event.kind else { panic!("{:?}", event.kind) };
    assert_eq!(rejection.recipient, Some("u@c.example"));
    assert!(rejection.text.len() < LINE_OCTETS_MAX);
}
