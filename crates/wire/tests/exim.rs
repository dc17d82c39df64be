//! The Exim protocol against recorded and hostile lines. A case is a text file: `#` says why, `>` is a request or `<` an
//! answer as it stood on the wire, `=` is what was read from the line above it. `UPDATE_EXPECT=1` rewrites the `=` lines.

#![allow(clippy::disallowed_methods, reason = "tests read their cases")]
#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a broken case is to fail loudly")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use proptest::prelude::*;
use tidegate_wire::exim::{
    Action, Answer, Ask, Assembly, Content, Counts, ExactAddress, HeaderLine, Login, Mail, Origin, OwnField, Part,
    PartError, Position, Stage, Tls, Transaction,
};

/// What the ACL lets through (`packaging/exim`), without the possessive quantifiers that `regex` does not know.
const ACL_CHECK: &str =
    r#"^a=(?:accept|tag|defer|greylist|reject|drop|quarantine|more|again)(?: [a-z]{1,8}="(?:[^"\\]|\\.)*")*$"#;

#[test]
fn every_case_reads_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/exim");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no case in {}", folder.display());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# "), "{}: a case says why in its first line", path.display());
        let read = read_case(&text);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &read).unwrap();
            continue;
        }
        assert_eq!(text, read, "{}", path.display());
    }
}

fn read_case(text: &str) -> String {
    let mut read = String::new();
    for line in text.lines().filter(|line| !line.starts_with('=')) {
        writeln!(read, "{line}").unwrap();
        if let Some(request) = line.strip_prefix("> ") {
            writeln!(read, "= {}", shown_ask(&unescape(request))).unwrap();
        } else if let Some(answer) = line.strip_prefix("< ") {
            writeln!(read, "= {}", shown_answer(&unescape(answer))).unwrap();
        }
    }
    read
}

/// `\xNN` stands for an octet that no text file should hold.
fn unescape(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// The facts that are there, in one line.
fn shown_ask(line: &[u8]) -> String {
    let ask = match Ask::decode(line) {
        Ok(ask) => ask,
        Err(error) => return format!("error: {error}"),
    };
    let mut shown = format!("{:?}", ask.stage);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(shown, " {name} {value}").unwrap();
        }
    };
    let text = |text: &Option<String>| text.as_ref().map(|t| format!("{t:?}"));
    add("part", (ask.part != Part::WHOLE).then(|| format!("{}/{}", ask.part.number, ask.part.of)));
    add("session", text(&ask.session));
    add("origin", Some(format!("{:?}", ask.origin)));
    add("protocol", text(&ask.protocol));
    add("tls", ask.tls.map(|tls| format!("{tls:?}")));
    add("helo", text(&ask.helo));
    add("login", (ask.login != Login::default()).then(|| format!("{:?}", ask.login)));
    add("id", text(&ask.transaction.id));
    add("sender", ask.transaction.sender.map(|a| format!("{:?}", a.as_str())));
    add("size", ask.transaction.size.map(|s| s.to_string()));
    add("recipient", ask.transaction.recipient.map(|a| format!("{:?}", a.as_str())));
    add("counts", (ask.transaction.counts != Counts::default()).then(|| format!("{:?}", ask.transaction.counts)));
    add("content", (ask.content != Content::default()).then(|| shown_content(&ask.content)));
    add("why", text(&ask.why));
    add("defects", (!ask.defects.is_empty()).then(|| format!("{:?}", ask.defects)));
    shown
}

fn shown_content(content: &Content) -> String {
    let recipients: Vec<_> = content.all_recipients().iter().map(|r| r.as_str().to_owned()).collect();
    format!(
        "{:?}/{:?} body {:?} headers {:?} {}{}{:?} to {recipients:?}",
        content.spool,
        content.queue,
        content.body_octets,
        content.headers_octets,
        if content.is_in_scan_file { "in scan file " } else { "" },
        if content.is_cut { "cut " } else { "" },
        String::from_utf8_lossy(&content.headers),
    )
}

fn shown_answer(line: &[u8]) -> String {
    match Answer::decode(line) {
        Ok(answer) => format!("{answer:?}").replace("Answer ", ""),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn hostile_replies_become_one_harmless_line() {
    for (action, reply, expected) in [
        (Action::Reject, "550 5.7.1 no", "550 5.7.1 no"),
        (Action::Reject, "450 4.7.1 wrong class", "550 5.7.1 450 4.7.1 wrong class"),
        (Action::Defer, "only text", "451 4.7.1 only text"),
        (Action::Reject, "550 5.7.1 a\r\n250 b\"c\\\u{202e}", "550 5.7.1 a  250 b\"c\\"),
        (Action::Drop, "", "550 5.7.1"),
    ] {
        let answer = Answer { reply: Some(reply.to_owned()), ..Answer::new(action) };
        let read = Answer::decode(&answer.encode()).unwrap();
        assert_eq!(read.reply.as_deref(), Some(expected), "{reply:?}");
    }
}

#[test]
fn no_text_becomes_a_header_field_of_its_own() {
    for (name, value) in [
        ("X-A", &b"b\nX-Evil: c"[..]),
        ("X-A", b"b\n"),
        ("X-A", b"b\n \n c"),
        ("X-A", b"b\r c"),
        ("X-A", b"b\0"),
        ("X A", b"b"),
        ("", b"b"),
        (":at_start:X-A", b"b"),
    ] {
        let made = HeaderLine::new(name, value, Position::End);
        assert!(made.is_err(), "{name:?} {value:?}");
    }
}

#[test]
fn missing_parts_are_not_judged() {
    let mail = Mail { headers: vec![b'h'; 100], recipients: vec![ExactAddress::new("a@example.org")] };
    let mut facts = Ask::new(Stage::Data);
    facts.transaction.id = Some("1xVdns-0001M8-1G".to_owned());
    let asks = mail.asks(&facts, 40);
    assert_eq!(asks.len(), 3);
    let mut assembly = Assembly::default();
    assembly.add(&asks[0]).unwrap();
    assert_eq!(assembly.finish(&asks[2]), Err(PartError::Missing));
    // Parts of the message before, on the same connection, are no parts of this one.
    let mut assembly = Assembly::default();
    for ask in &asks[..2] {
        let mut other = ask.clone();
        other.transaction.id = Some("1xVdns-0001M8-1H".to_owned());
        assembly.add(&other).unwrap();
    }
    assert_eq!(assembly.finish(&asks[2]), Err(PartError::Missing));
}

#[test]
fn what_stands_in_the_place_of_a_host_name_is_none() {
    let ask =
        |host: &str| Ask::decode(format!("v=1 st=connect s=\"\" ip=192.0.2.7:1 host={host}\n").as_bytes()).unwrap();
    for none in ["\"\"", "[192.0.2.7]", "(mail.example.org)", "\"(two words)\""] {
        assert!(matches!(ask(none).origin, Origin::Remote { host: None, .. }), "{none}");
    }
    let Origin::Remote { host, .. } = ask("mail.example.org").origin else { panic!() };
    assert_eq!(host.as_deref(), Some("mail.example.org"));
}

#[test]
fn parts_stop_at_the_limit() {
    let mut assembly = Assembly::default();
    let mut ask = Ask::new(Stage::Data);
    ask.content.headers = vec![b'h'; 600 * 1024];
    ask.part = Part { number: 2, of: 3 };
    assembly.add(&ask).unwrap();
    assembly.add(&ask).unwrap();
    ask.part.number = 3;
    assert_eq!(assembly.add(&ask), Err(PartError::TooLong));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9._-]{1,20}", "\\PC{1,20}", "[ \"\\\\\r\n\t=:]{1,10}"]
}

fn origin() -> impl Strategy<Value = Origin> {
    let address = || any::<SocketAddr>().prop_map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
    let option = || proptest::option::of(text());
    // What Exim writes in the place of a name that it has not is none.
    let host = proptest::option::of(text().prop_filter("a name", |text| !text.starts_with(['(', '['])));
    prop_oneof![
        (address(), proptest::option::of(address()), host, option())
            .prop_map(|(client, interface, host, ident)| Origin::Remote { client, interface, host, ident }),
        (any::<Option<u32>>(), any::<Option<u32>>(), option(), option())
            .prop_map(|(uid, gid, user, cwd)| Origin::Local { uid, gid, user, cwd }),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let address = || proptest::option::of(text().prop_map(ExactAddress::new));
    let counts = any::<[u32; 4]>().prop_map(|[asked, accepted, refused, deferred]| Counts {
        asked,
        accepted,
        refused,
        deferred,
    });
    (proptest::option::of(text()), text(), any::<Option<u64>>(), address(), counts).prop_map(
        |(id, sender, size, recipient, counts)| Transaction {
            id,
            sender: Some(ExactAddress::new(sender)),
            size,
            recipient,
            counts,
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let option = || proptest::option::of(text());
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    (option(), option(), any::<[Option<u64>; 2]>(), any::<[bool; 3]>(), bytes(), bytes()).prop_map(
        |(
            spool,
            queue,
            [body_octets, headers_octets],
            [is_in_scan_file, is_cut, takes_quoted],
            headers,
            recipients,
        )| Content {
            spool,
            queue,
            body_octets,
            headers_octets,
            is_in_scan_file,
            is_cut,
            takes_quoted,
            headers,
            recipients,
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let option = || proptest::option::of(text());
    let login = (option(), option(), option()).prop_map(|(account, mechanism, failed_account)| Login {
        account,
        mechanism,
        failed_account,
    });
    let tls = proptest::option::of((text(), option()).prop_map(|(cipher, sni)| Tls { cipher, sni }));
    let facts = (option(), option(), option(), option());
    (origin(), login, tls, facts, transaction(), content()).prop_map(
        |(origin, login, tls, (session, protocol, helo, why), transaction, content)| Ask {
            session,
            origin,
            protocol,
            tls,
            helo,
            login,
            transaction,
            content,
            why,
            ..Ask::new(Stage::Data)
        },
    )
}

#[test]
fn what_exim_tells_of_a_delivery_is_read() {
    let line = b"v=1 st=event ev=msg:fail:delivery ed=\"SMTP error: 550 no\\nsuch \\\"user\\\"\" id=1xVdns-0001M8-1G s=\"\" \
        ip=: host= ident=shop proto=local uid=33 gid=33 auth= am= from=shop@example.org size=420 rn=2 rcpt=b@example.net \
        er=dnslookup et=remote_smtp eh=mx.example.net ea=192.0.2.9\n";
    let ask = Ask::decode(line).unwrap();
    assert_eq!(ask.defects, []);
    let event = ask.event.clone().unwrap();
    assert_eq!(
        (event.name.as_str(), event.text.as_deref()),
        ("msg:fail:delivery", Some("SMTP error: 550 no\nsuch \"user\""))
    );
    assert_eq!((event.host_ip.as_deref(), event.transport.as_deref()), (Some("192.0.2.9"), Some("remote_smtp")));
    assert_eq!(ask.transaction.recipient.as_ref().map(ExactAddress::as_str), Some("b@example.net"));
    assert_eq!(ask.transaction.sender.as_ref().map(ExactAddress::as_str), Some("shop@example.org"));
    assert_eq!(Ask::decode(&ask.encode()), Ok(ask), "it comes back as it was written");
    assert_eq!(Ask::decode(b"v=1 st=rcpt ev=msg:delivery\n").unwrap().event, None, "only that stage tells");
}

proptest! {
    #[test]
    fn an_ask_comes_back_as_it_was_written(ask in ask()) {
        let line = ask.encode();
        prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
        prop_assert_eq!(Ask::decode(&line), Ok(ask));
    }

    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Ask::decode(&line);
        let _ = Answer::decode(&line);
    }

    #[test]
    fn a_damaged_ask_is_read_without_a_panic(ask in ask(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = ask.encode();
        let at = at.index(line.len());
        line[at] = byte;
        let _ = Ask::decode(&line);
        let _ = Ask::decode(&line[..at]);
    }

    #[test]
    fn a_mail_in_parts_is_put_together_again(
        headers in proptest::collection::vec(any::<u8>(), 0..2000),
        recipients in proptest::collection::vec("[a-z]{1,9}@example\\.org", 0..60),
        piece_octets in 40_usize..400,
    ) {
        let mail = Mail { headers, recipients: recipients.into_iter().map(ExactAddress::new).collect() };
        let mut facts = Ask::new(Stage::Data);
        facts.transaction.id = Some("1xVdns-0001M8-1G".to_owned());
        facts.transaction.sender = Some(ExactAddress::new(""));
        let mut assembly = Assembly::default();
        for ask in mail.asks(&facts, piece_octets) {
            let ask = Ask::decode(&ask.encode()).unwrap();
            if ask.part.number == 1 {
                prop_assert_eq!(std::mem::take(&mut assembly).finish(&ask), Ok(mail.clone()));
            } else {
                assembly.add(&ask).unwrap();
            }
        }
    }

    /// RFC 5322 section 2.1.1 allows lines of 998 octets; a word that is longer stays whole.
    #[test]
    fn long_values_are_folded_and_say_the_same(value in "[a-z; ]{0,3000}") {
        let line = HeaderLine::folded("X-A", &value, Position::Start).unwrap();
        let text = String::from_utf8(line.as_bytes().to_vec()).unwrap();
        prop_assert_eq!(text.replace("\n ", " "), format!("X-A: {value}"));
        let word = value.split(' ').map(str::len).max().unwrap_or_default();
        let blanks = value.len() - value.trim_end().len();
        prop_assert!(text.lines().all(|line| line.len() <= 901 + word + blanks), "{}", text);
    }

    #[test]
    fn the_acl_accepts_every_answer(
        session in proptest::option::of(text()),
        reply in proptest::option::of(text()),
        remove in proptest::collection::vec(text(), 0..4),
        values in proptest::collection::vec(text(), 0..4),
        quarantine in proptest::collection::vec(text(), 0..4),
        own in proptest::option::of(text()),
        delay_s in any::<u16>(),
    ) {
        let add = values.iter().filter_map(|v| HeaderLine::new("X-A", v.as_bytes(), Position::Start).ok()).collect();
        let quarantine: Vec<ExactAddress> = quarantine.into_iter().map(ExactAddress::new).collect();
        let own_line = own.and_then(|value| HeaderLine::new("X-A", value.as_bytes(), Position::Start).ok());
        let own_field = own_line.map(|line| OwnField { recipients: quarantine.clone(), line });
        let check = regex::bytes::Regex::new(ACL_CHECK).unwrap();
        for action in [
            Action::Accept,
            Action::Tag,
            Action::Defer,
            Action::Greylist,
            Action::Reject,
            Action::Drop,
            Action::Quarantine,
            Action::More,
            Action::Again,
        ] {
            let answer = Answer {
                action,
                session: session.clone(),
                reply: reply.clone(),
                remove: remove.clone(),
                add: Clone::clone(&add),
                quarantine: Clone::clone(&quarantine),
                own_field: own_field.clone(),
                delay_s,
            };
            for line in [answer.encode(), answer.encode_quoted()] {
                prop_assert!(check.is_match(&line), "{}", String::from_utf8_lossy(&line));
                let read = Answer::decode(&line).unwrap();
                prop_assert_eq!(read.action, action);
                prop_assert_eq!(&read.add, &answer.add);
                prop_assert_eq!(read.own_field.map(|own| own.line), answer.own_field.as_ref().map(|own| own.line.clone()));
                prop_assert_eq!(read.quarantine.len(), answer.quarantine.len());
            }
            // The ACL takes a line for whole by its last word, so no part of one may end like that.
            let line = answer.encode_quoted();
            let whole = (0..line.len()).find(|end| line[..*end].ends_with(b"\" e=\".\""));
            prop_assert_eq!(whole, None, "{}", String::from_utf8_lossy(&line));
        }
    }
}
