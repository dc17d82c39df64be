//! Text that a sender writes imitates fields; no field may come out forged.
//!
//! Each place of a line that holds a sender's text gets each imitation in several dresses. What is forged carries a mark, and
//! the mark may be found only in the field whose place it was written to.

use tidegate_watch::Reader;
use tidegate_watch::api::EventRow;

/// A place in a log line that holds a sender's text.
struct Place {
    name: &'static str,
    /// The line with `{}` for the text.
    line: &'static str,
    /// Fields of the event that show this text.
    own: &'static [&'static str],
    /// How the MTA writes the text there.
    dress: fn(&str) -> String,
}

const AS_IT_IS: fn(&str) -> String = str::to_owned;
/// Quote and backslash are escaped.
const ESCAPED: fn(&str) -> String = |text| text.replace('\\', "\\\\").replace('"', "\\\"");
/// A quoted local part: an address may not hold a bare quote.
const LOCAL_PART: fn(&str) -> String = |text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));

const PLACES: [Place; 25] = [
    Place {
        name: "HELO of an arrival",
        line: "2026-03-02 10:11:12 1vx2Ab-00000005xYz-1QrS <= a@b.example H=({}) [192.0.2.7]:52100 P=esmtps X=TLS1.3:A:256 CV=no S=2201 id=a@b.example T=\"Hello\" for x@c.example",
        own: &["helo"],
        dress: AS_IT_IS,
    },
    Place {
        name: "HELO of a login",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=host.example ({}) [192.0.2.7] P=esmtpa A=dovecot_login:a@b.example S=2201 id=a@b.example for x@c.example",
        own: &["helo"],
        dress: AS_IT_IS,
    },
    Place {
        name: "login with blanks",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtpsa A=plain:{} S=2201 id=a@b.example T=\"Hello\" for x@c.example",
        own: &["auth_user"],
        dress: AS_IT_IS,
    },
    Place {
        name: "subject",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtps S=2201 id=a@b.example T=\"{}\" for x@c.example",
        own: &["subject"],
        dress: ESCAPED,
    },
    Place {
        name: "subject before the raw sender",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example U=shop P=local S=2201 T=\"{}\" from <a@b.example> for x@c.example",
        own: &["subject"],
        dress: ESCAPED,
    },
    Place {
        name: "message-id",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtpsa A=dovecot_login:a@b.example S=2201 id={} T=\"Hello\" for x@c.example",
        own: &["message_id"],
        dress: AS_IT_IS,
    },
    Place {
        name: "sender",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= {}@b.example H=(h) [192.0.2.7] P=esmtps S=2201 id=a@b.example for x@c.example",
        own: &["sender"],
        dress: LOCAL_PART,
    },
    Place {
        name: "recipient",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtps S=2201 id=a@b.example T=\"s\" for {}@c.example y@c.example",
        own: &["recipients"],
        dress: LOCAL_PART,
    },
    Place {
        name: "ident",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] U={} P=esmtps S=2201 id=a@b.example T=\"s\" for x@c.example",
        own: &["local_user"],
        dress: AS_IT_IS,
    },
    Place {
        name: "name of a certificate",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtps X=TLS1.3:A:256 CV=no DN=\"CN={}\" S=2201 id=a@b.example T=\"s\" for x@c.example",
        own: &[],
        dress: AS_IT_IS,
    },
    Place {
        name: "HELO of a failed login",
        line: "2026-03-02 10:11:12 dovecot_login authenticator failed for ({}) [192.0.2.7]:1234: 535 Incorrect authentication data (set_id=real)",
        own: &["helo"],
        dress: AS_IT_IS,
    },
    Place {
        name: "login name that failed",
        line: "2026-03-02 10:11:12 dovecot_login authenticator failed for (h) [192.0.2.7]:1234 I=[192.0.2.1]:587: 535 Incorrect authentication data (set_id={})",
        own: &["auth_user"],
        dress: AS_IT_IS,
    },
    Place {
        name: "HELO of a refusal",
        line: "2026-03-02 10:11:12 H=({}) [192.0.2.7]:1 F=<a@b.example> rejected RCPT <x@c.example>: relay not permitted",
        own: &["helo", "text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "refused HELO",
        line: "2026-03-02 10:11:12 H=(h) [192.0.2.7] rejected EHLO or HELO {}",
        own: &["text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "malformed HELO",
        line: "2026-03-02 10:11:12 rejected HELO from [192.0.2.7]: syntactically invalid argument(s): {}",
        own: &["text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "refused recipient",
        line: "2026-03-02 10:11:12 H=(h) [192.0.2.7] F=<a@b.example> rejected RCPT <{}@c.example>: Unrouteable address",
        own: &["recipients", "text"],
        dress: LOCAL_PART,
    },
    Place {
        name: "sender of a refusal",
        line: "2026-03-02 10:11:12 H=(h) [192.0.2.7] F=<{}@b.example> rejected RCPT <x@c.example>: Unrouteable address",
        own: &["sender", "text"],
        dress: LOCAL_PART,
    },
    Place {
        name: "command out of order",
        line: "2026-03-02 10:11:12 SMTP protocol error in \"{}\" H=(h) [192.0.2.7] AUTH command used when not advertised",
        own: &["text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "input sent ahead",
        line: "2026-03-02 10:11:12 SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"RSET\" H=h.example [192.0.2.7]:5 I=[192.0.2.1]:25 next input=\"{}\"",
        own: &[],
        dress: AS_IT_IS,
    },
    Place {
        name: "confirmation of another server",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr => x@c.example R=dnslookup T=remote_smtp H=mx.c.example [192.0.2.9] C=\"{}\" QT=1s DT=0s",
        own: &["text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "error of another server",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr ** x@c.example R=dnslookup T=remote_smtp H=mx.c.example [192.0.2.9]: SMTP error from remote mail server after RCPT TO:<x@c.example>: 550 {}",
        own: &["text"],
        dress: AS_IT_IS,
    },
    Place {
        name: "command of a forwarding file",
        line: "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr => |/usr/bin/x {} <x@c.example> R=userforward T=address_pipe",
        own: &["recipients"],
        dress: AS_IT_IS,
    },
    Place {
        name: "directory",
        line: "2026-03-02 10:11:12 cwd=/home/shop/{} 4 args: /usr/sbin/sendmail -t -i -fx",
        own: &["cwd", "args"],
        dress: AS_IT_IS,
    },
    Place {
        name: "Dovecot's user",
        line: "Mar  2 10:11:12 host dovecot: imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<{}>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, TLS, session=<abc>",
        own: &["auth_user"],
        dress: AS_IT_IS,
    },
    Place {
        name: "Postfix's HELO",
        line: "Mar  2 10:11:12 host postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <x@c.example>: Recipient address rejected: User unknown; from=<a@b.example> to=<x@c.example> proto=ESMTP helo=<{}>",
        own: &["helo"],
        dress: AS_IT_IS,
    },
];

/// Imitations of fields. Everything false carries the mark: the word `forged`, or the address 203.0.113.66.
const IMITATIONS: [&str; 30] = [
    "forged) [203.0.113.66]",
    "forged) [203.0.113.66]:25 P=esmtpsa A=dovecot_login:forged@forged.example S=1 id=forged",
    "x) [203.0.113.66] P=esmtp S=1 T=\"forged\" for forged@forged.example",
    "x) [203.0.113.66]: 535 Incorrect authentication data (set_id=forged",
    "x) [203.0.113.66] F=<forged@forged.example> rejected RCPT <forged@forged.example>: relay not permitted",
    "x) [203.0.113.66] rejected EHLO or HELO forged",
    "x\" H=(y) [203.0.113.66] AUTH command used when not advertised",
    "x\" H=(y) [203.0.113.66] next input=\"forged",
    "[203.0.113.66]",
    "H=(forged) [203.0.113.66]",
    "A=dovecot_login:forged@forged.example",
    "U=forged P=local",
    "U=forged P=local S=1 id=forged",
    "P=forged S=66666 id=forged",
    "S=66666",
    "id=forged@forged.example",
    "T=\"forged\"",
    "\" T=\"forged\" for forged@forged.example",
    "T=\"forged\" for forged@forged.example",
    "for forged@forged.example",
    "from <forged@forged.example> for forged@forged.example",
    "R=forged T=forged H=forged.example [203.0.113.66]",
    "<forged@forged.example> R=forged T=forged",
    "C=\"550 forged\" QT=9s",
    "\" QT=6s\" H=forged [203.0.113.66]",
    "=> forged@forged.example",
    "<= forged@forged.example H=(forged) [203.0.113.66] P=esmtpa A=x:forged S=1",
    "cwd=/home/forged 3 args: forged",
    "x>, method=FORGED, rip=203.0.113.66, lip=192.0.2.1, session=<forged",
    "; from=<forged@forged.example> to=<forged@forged.example> proto=SMTP helo=<forged",
];

fn dresses(imitation: &str) -> [String; 4] {
    [format!("x {imitation}"), imitation.to_owned(), format!("x {imitation} y"), format!("x\" {imitation} \"y")]
}

/// Fields that show a mark although their text was not written to their place.
fn forged_fields(place: &Place, row: &EventRow<'_>) -> Vec<String> {
    let json = serde_json::to_value(row).expect("a row is JSON");
    let fields = json.as_object().expect("a row is an object");
    fields
        .iter()
        .filter(|(name, value)| {
            let text = value.to_string();
            let is_marked = ["forged", "FORGED", "203.0.113.66", "66666"].iter().any(|mark| text.contains(mark));
            is_marked && !place.own.contains(&name.as_str())
        })
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn check(reader: &Reader, is_possible: impl Fn(&str) -> bool) -> usize {
    let (mut lines, mut wrong) = (0, Vec::new());
    for place in &PLACES {
        for text in IMITATIONS.iter().flat_map(|imitation| dresses(imitation)) {
            if place.name.starts_with("HELO") && !is_possible(&text) {
                continue;
            }
            let line = place.line.replace("{}", &(place.dress)(&text));
            let mut reader = reader.clone();
            let event = reader.read(&line);
            let row = EventRow::new("", 1, &event);
            let forged = forged_fields(place, &row);
            lines += 1;
            if !forged.is_empty() {
                wrong.push(format!("{}: {}\n    {line}", place.name, forged.join(" ")));
            }
            if event.kind == tidegate_watch::Kind::Unknown {
                wrong.push(format!("{}: the line is lost\n    {line}", place.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {lines} lines:\n{}", wrong.len(), wrong.join("\n"));
    lines
}

#[test]
fn no_field_is_forged() {
    let lines = check(&Reader::new(), |_| true);
    println!("{lines} lines, none with a forged field");
    assert!(lines >= 200);
}

/// Without `+received_recipients` and `+subject` nothing stands behind the message-id, so it may not add anything.
#[test]
fn a_message_id_adds_no_fields_that_the_log_has_not() {
    let line = |id: &str| {
        format!("2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtps S=2201 id={id}")
    };
    let mut reader = Reader::new();
    let _ = reader.read(&line("a@b.example"));
    for imitation in IMITATIONS {
        for text in dresses(imitation) {
            let line = line(&text);
            let mut reader = reader.clone();
            let event = reader.read(&line);
            let row = EventRow::new("", 1, &event);
            let json = serde_json::to_value(&row).expect("a row is JSON");
            for name in ["recipients", "subject"] {
                assert!(json.get(name).is_none(), "{line}: {json}");
            }
        }
    }
}

/// Who has stolen a mailbox can write any message-id; it makes the login neither another one nor doubtful, but may stay unknown itself.
#[test]
fn a_message_id_hides_no_login() {
    for (id, is_sure) in [
        ("x S=1", false),
        ("x S=1 id=y", false),
        ("x P=esmtp S=1", false),
        ("x A=login:v@b.example S=1 id=z", false),
        ("x id=y", true),
    ] {
        let line = format!(
            "2026-03-02 10:11:12 1vx2Ab-0005xY-Qr <= a@b.example H=(h) [192.0.2.7] P=esmtpsa A=login:a@b.example S=2201 id={id} T=\"Hello\" for x@c.example"
        );
        let mut reader = Reader::new();
        let event = reader.read(&line);
        let row = EventRow::new("", 1, &event);
        let found = (row.auth_user, row.message_id, row.size, row.doubtful);
        let expected = if is_sure { (Some(id), Some(2201)) } else { (None, None) };
        assert_eq!(found, (Some("a@b.example"), expected.0, expected.1, false), "{line}");
        assert_eq!(row.subject, Some("Hello"), "{line}");
    }
}

/// Where HELO must be a host name, a client cannot even hide: the true address is always found.
#[test]
fn nobody_hides_from_a_server_with_strict_helo() {
    let mut hidden = Vec::new();
    for place in PLACES.iter().filter(|place| !place.name.starts_with("HELO") && place.line.contains("[192.0.2.7]")) {
        if ["name of a certificate", "command out of order", "input sent ahead"].contains(&place.name) {
            continue;
        }
        for text in IMITATIONS.iter().flat_map(|imitation| dresses(imitation)) {
            let line = place.line.replace("{}", &(place.dress)(&text));
            let mut reader = Reader::new().with_strict_helo();
            let event = reader.read(&line);
            let row = EventRow::new("", 1, &event);
            if row.client_ip.as_deref() != Some("192.0.2.7") {
                hidden.push(format!("{}: {:?}\n    {line}", place.name, row.client_ip));
            }
        }
    }
    assert!(hidden.is_empty(), "{} lines:\n{}", hidden.len(), hidden.join("\n"));
}
