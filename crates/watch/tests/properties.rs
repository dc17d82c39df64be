//! Whatever bytes come, reading does not fail; what a line was made of comes back out of it.

#[path = "../../../fuzz/entries/log_line.rs"]
mod log_line;

use proptest::prelude::*;
use tidegate_watch::api::EventRow;
use tidegate_watch::{Kind, Reader, Timestamp};

/// Pieces of real lines, so that random text reaches deep into the grammars.
const PIECES: [&str; 40] = [
    "2026-03-02 10:11:12 ",
    "1vx2Ab-0005xY-Qr ",
    "<= ",
    "=> ",
    "** ",
    "== ",
    "a@b.example ",
    "<>",
    "H=(h) [192.0.2.7]",
    " P=esmtp",
    " S=12",
    " id=",
    " T=\"",
    "\" ",
    " for ",
    "\\",
    "[",
    "]",
    "(",
    ")",
    ":",
    " F=<",
    "> ",
    "rejected RCPT <",
    "temporarily ",
    "dovecot_login authenticator failed for ",
    "535 ",
    "(set_id=",
    "SMTP protocol error in \"",
    "\" H=",
    "Mar  2 10:11:12 h ",
    "postfix/smtpd[1]: ",
    "NOQUEUE: reject: RCPT from x[192.0.2.7]: ",
    "dovecot: imap-login: ",
    "user=<",
    ">, rip=192.0.2.1",
    "cwd=/home/x 3 args: ",
    "é\u{fffd}",
    "defer (-44)",
    " U=x",
];

fn made_up_line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![3 => prop::sample::select(PIECES.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// A local part as it may stand in an address without quotes.
fn local_part() -> impl Strategy<Value = String> {
    "[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,20}"
}

fn domain() -> impl Strategy<Value = String> {
    "[a-z0-9-]{1,12}\\.(example|test)"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = Reader::text(&bytes);
        let mut reader = Reader::new();
        let event = reader.read(&text);
        let _ = serde_json::to_string(&EventRow::new("f", 1, &event)).expect("a row is JSON");
    }

    #[test]
    fn any_pieces_are_read(lines in prop::collection::vec(made_up_line(), 1..6)) {
        log_line::check(lines.join("\n").as_bytes());
    }

    #[test]
    fn an_arrival_gives_back_what_was_put_in(
        (from, from_domain, to, to_domain) in (local_part(), domain(), local_part(), domain()),
        helo in "[a-z0-9.-]{1,20}",
        ip in any::<[u8; 4]>(),
        port in 1024_u16..,
        size in 1_u64..100_000_000,
        subject in "[^\\p{C}]{0,60}",
        id in "[a-zA-Z0-9.$@-]{3,40}",
        login in "[a-z0-9.]{1,12}@[a-z]{1,8}\\.example",
        is_long_id in any::<bool>(),
        (has_zone, has_millis, has_pid) in any::<(bool, bool, bool)>(),
    ) {
        let (sender, recipient) = (format!("{from}@{from_domain}"), format!("{to}@{to_domain}"));
        let [a, b, c, d] = ip;
        let escaped = subject.replace('\\', "\\\\").replace('"', "\\\"");
        let message = if is_long_id { "1vx2Ab-00000005xYz-1QrS" } else { "1vx2Ab-0005xY-Qr" };
        let line = format!(
            "2026-03-02 10:11:12{}{}{} {message} <= {sender} H=({helo}) [{a}.{b}.{c}.{d}]:{port} I=[192.0.2.1]:587 P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no SNI=mail.example A=dovecot_login:{login} K S={size} M8S=0 RT=0.012s id={id} T=\"{escaped}\" from <{sender}> for {recipient} z@z.example",
            if has_millis { ".345" } else { "" },
            if has_zone { " +0100" } else { "" },
            if has_pid { " [4711]" } else { "" },
        );
        let mut reader = Reader::new().with_zone(3600);
        let event = reader.read(&line);
        prop_assert_eq!(event.id, Some(message));
        prop_assert_eq!(event.pid, has_pid.then_some(4711));
        let time = Timestamp::from_civil(2026, 3, 2, 9, 11, 12).plus_millis(if has_millis { 345 } else { 0 });
        prop_assert_eq!(event.time, Some(time));
        let Kind::Arrival(arrival) = &event.kind else { return Err(TestCaseError::fail(format!("{:?}", event.kind))) };
        prop_assert!(!arrival.is_doubtful, "{}", line);
        prop_assert_eq!(arrival.sender, Some(sender.as_str()));
        prop_assert_eq!(arrival.peer.helo, Some(helo.as_str()));
        prop_assert_eq!(arrival.peer.ip.map(|ip| ip.to_string()), Some(format!("{a}.{b}.{c}.{d}")));
        prop_assert_eq!(arrival.peer.port, Some(port));
        prop_assert_eq!(arrival.auth.and_then(|auth| auth.id), Some(login.as_str()));
        prop_assert_eq!(arrival.size, Some(size));
        prop_assert_eq!(arrival.subject, Some(escaped.as_str()));
        prop_assert_eq!(arrival.message_id, Some(id.as_str()));
        prop_assert_eq!(arrival.recipients.iter().collect::<Vec<_>>(), [recipient.as_str(), "z@z.example"]);
    }

    #[test]
    fn a_refusal_gives_back_what_was_put_in(
        sender in "[a-z]{1,9}@[a-z]{1,9}\\.example",
        recipient in "[a-z \"\\\\]{0,9}",
        helo in "[^\\p{C})]{1,30}",
        ip in any::<[u8; 4]>(),
    ) {
        let quoted = format!("\"{}\"@c.example", recipient.replace('\\', "\\\\").replace('"', "\\\""));
        let [a, b, c, d] = ip;
        let line = format!("2026-03-02 10:11:12 H=({helo}) [{a}.{b}.{c}.{d}] F=<{sender}> rejected RCPT <{quoted}>: Unrouteable address");
        let mut reader = Reader::new();
        let event = reader.read(&line);
        let Kind::Rejection(rejection) = &event.kind else { return Err(TestCaseError::fail(format!("{:?}", event.kind))) };
        prop_assert_eq!(rejection.sender, Some(sender.as_str()));
        prop_assert_eq!(rejection.recipient, Some(quoted.as_str()));
        prop_assert_eq!(rejection.peer.helo, Some(helo.as_str()));
        prop_assert_eq!(rejection.peer.ip.map(|ip| ip.to_string()), Some(format!("{a}.{b}.{c}.{d}")));
        prop_assert_eq!(rejection.cause, tidegate_watch::Failing::UnknownRecipient);
    }
}
