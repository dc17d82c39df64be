//! Each defect by the smallest message that has it, and no defect in ordinary messages.
#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeSet;

use tidegate_mail::{Defect, Limits, Message};

/// Fields that every ordinary message has.
const HEADER: &str = "From: a@b.example\r\nDate: Mon, 2 Mar 2026 10:11:12 +0100\r\nMessage-ID: <1@b.example>\r\n";
const MIME: &str = "MIME-Version: 1.0\r\n";

/// Small limits for those defects that say that one was reached.
fn limits() -> Limits {
    Limits {
        header_octets_max: 2_000,
        header_fields_max: 30,
        parts_max: 8,
        depth_max: 4,
        embedded_octets_max: 100,
        mailboxes_max: 10,
        received_max: 5,
        text_octets_max: 1_000,
        html_depth_max: 20,
        html_items_max: 20,
        urls_max: 10,
        url_octets_max: 200,
    }
}

fn defects(raw: &str) -> BTreeSet<Defect> {
    defects_of(raw.as_bytes())
}

fn defects_of(raw: &[u8]) -> BTreeSet<Defect> {
    Message::parse(raw, &limits()).all_defects().iter().map(|sighting| sighting.defect).collect()
}

/// Fields in front of the ordinary ones, then a body.
fn with_field(field: &str) -> String {
    format!("{field}\r\n{HEADER}\r\nbody\r\n")
}

fn mime(fields: &str, body: &str) -> String {
    format!("{HEADER}{MIME}{fields}\r\n\r\n{body}")
}

fn mixed(body: &str) -> String {
    mime("Content-Type: multipart/mixed; boundary=boundary", body)
}

#[test]
fn ordinary_messages_have_none() {
    let nested = "--boundary\r\n\r\ntext\r\n--boundary\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n\r\nhi\r\n--boundary--\r\n";
    for raw in [
        format!("{HEADER}\r\nbody\r\n"),
        format!("{HEADER}\r\nbody\r\n").replace("\r\n", "\n"),
        mime("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit", "<p>caf\u{e9}</p>\r\n"),
        mime("Content-Transfer-Encoding: base64", "SGVsbG8=\r\n"),
        mixed(nested),
    ] {
        assert_eq!(defects(&raw), BTreeSet::new(), "{raw}");
    }
}

#[test]
fn each_defect_by_a_message_that_has_it() {
    let mut seen = BTreeSet::new();
    for (defect, raw) in cases() {
        let found = defects(&raw);
        assert!(found.contains(&defect), "{defect}: found {found:?} in\n{raw}");
        seen.insert(defect);
    }
    let latin1 = [b"Subject: caf\xe9\r\n", HEADER.as_bytes(), b"\r\nbody\r\n"].concat();
    assert!(defects_of(&latin1).contains(&Defect::EightBitHeaderNotUtf8));
    seen.insert(Defect::EightBitHeaderNotUtf8);
    let without: Vec<_> = Defect::ALL.iter().filter(|defect| !seen.contains(defect)).collect();
    assert!(without.is_empty(), "no case for {without:?}");
}

fn cases() -> Vec<(Defect, String)> {
    [octet_cases(), header_cases(), field_cases(), structure_cases(), body_cases(), attachment_cases()].concat()
}

fn octet_cases() -> Vec<(Defect, String)> {
    let with_body = |body: &str| format!("{HEADER}\r\n{body}");
    vec![
        (Defect::Nul, with_body("a\0b")),
        (Defect::BareCr, with_body("a\rb\r\n")),
        (Defect::BareLf, with_body("a\nb\r\n")),
        (Defect::LoneDotLine, with_body("a\n.\r\nMAIL FROM:<x@y.example>\r\n")),
        (Defect::LongLine, with_body(&"x".repeat(999))),
    ]
}

fn header_cases() -> Vec<(Defect, String)> {
    vec![
        (Defect::MboxLine, format!("From a@b.example Mon Mar  2 10:11:12 2026\r\n{HEADER}\r\n")),
        (Defect::HeaderWithoutColon, format!("{HEADER}no field\r\nX: y\r\n\r\n")),
        (Defect::EmptyHeaderName, with_field(":From: x")),
        (Defect::SpaceBeforeColon, with_field("Subject : x")),
        (Defect::FoldWithoutField, with_field(" x")),
        (Defect::EightBitHeader, with_field("Subject: caf\u{e9}")),
        (Defect::BadEncodedWord, with_field("Subject: =?no-such-charset?Q?x?=")),
        (Defect::TooManyHeaders, with_field("X: y\r\n".repeat(40).trim_end())),
        (Defect::HeaderTooLarge, with_field(&format!("X: {}", "y\r\n ".repeat(600)))),
        (Defect::NoBody, HEADER.to_owned()),
    ]
}

fn field_cases() -> Vec<(Defect, String)> {
    let without = |name: &str| {
        let kept: String = HEADER.split_inclusive('\n').filter(|line| !line.starts_with(name)).collect();
        format!("{kept}X: y\r\n\r\n")
    };
    let twice = |field: &str| with_field(&format!("{field}\r\n{field}"));
    vec![
        (Defect::MissingFrom, without("From")),
        (Defect::MissingDate, without("Date")),
        (Defect::MissingMessageId, without("Message-ID")),
        (Defect::DuplicateFrom, with_field("From: x@y.example")),
        (Defect::DuplicateSender, twice("Sender: x@y.example")),
        (Defect::DuplicateReplyTo, twice("Reply-To: x@y.example")),
        (Defect::DuplicateTo, twice("To: x@y.example")),
        (Defect::DuplicateCc, twice("Cc: x@y.example")),
        (Defect::DuplicateSubject, twice("subject: x")),
        (Defect::DuplicateDate, twice("Date: Mon, 2 Mar 2026 10:11:12 +0100")),
        (Defect::DuplicateMessageId, twice("Message-Id: <x>")),
        (Defect::DuplicateInReplyTo, twice("In-Reply-To: <x>")),
        (Defect::DuplicateReferences, twice("References: <x>")),
        (Defect::DuplicateMimeField, twice("Content-Type: text/plain")),
        (Defect::FromWithoutAddress, with_field("From: nobody")),
        (Defect::SeveralAuthorsWithoutSender, with_field("From: x@y.example, z@y.example")),
        (Defect::BadDate, with_field("Date: yesterday")),
        (Defect::TooManyMailboxes, with_field(&format!("To: {}", "x@y.example,".repeat(20)))),
        (Defect::TooManyReceived, with_field("Received: by x\r\n".repeat(6).trim_end())),
    ]
}

fn structure_cases() -> Vec<(Defect, String)> {
    let part = "--boundary\r\n\r\nx\r\n";
    let close = "--boundary--\r\n";
    let mut deep = String::new();
    for depth in 0..6 {
        deep += &format!("--{depth}\r\nContent-Type: multipart/mixed; boundary={}\r\n\r\n", depth + 1);
    }
    vec![
        (Defect::MissingMimeVersion, with_field("Content-Type: text/plain")),
        (Defect::BadContentType, mime("Content-Type: text", "x")),
        (
            Defect::DuplicateParameter,
            mime("Content-Type: multipart/mixed; boundary=a; boundary=b", "--a\r\n\r\nx\r\n--a--"),
        ),
        (Defect::MissingBoundary, mime("Content-Type: multipart/mixed", "--a\r\n\r\nx\r\n--a--")),
        (Defect::BadBoundary, mime("Content-Type: multipart/mixed; boundary=\"a@b\"", "--a@b\r\n\r\nx\r\n--a@b--")),
        (Defect::BoundaryWithTail, mixed(&format!("--boundary x\r\n\r\nx\r\n{close}"))),
        (
            Defect::BoundaryReused,
            mixed(&format!("--boundary\r\nContent-Type: multipart/mixed; boundary=boundary\r\n\r\n{part}{close}")),
        ),
        (Defect::MultipartWithoutParts, mixed("no delimiter")),
        (Defect::MissingCloseBoundary, mixed(part)),
        (Defect::PartAfterClose, mixed(&format!("{part}{close}{part}"))),
        (
            Defect::EncodedComposite,
            mime("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64", "RnJvbTogYUBiLmV4YW1wbGUKCng="),
        ),
        (
            Defect::EmbeddedTooLarge,
            mime(
                "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
                &"RnJvbTogYUBiLmV4YW1wbGUKCng=".repeat(5),
            ),
        ),
        (Defect::TooManyParts, mixed(&format!("{}{close}", part.repeat(20)))),
        (Defect::TooDeep, mime("Content-Type: multipart/mixed; boundary=0", &deep)),
        (Defect::LongPreamble, mixed(&format!("{}\r\n{part}{close}", "x\r\n".repeat(300)))),
        (Defect::Epilogue, mixed(&format!("{part}{close}more"))),
    ]
}

fn body_cases() -> Vec<(Defect, String)> {
    let encoded = |encoding: &str, body: &str| mime(&format!("Content-Transfer-Encoding: {encoding}"), body);
    let html = |body: &str| mime("Content-Type: text/html", body);
    vec![
        (Defect::UnknownTransferEncoding, encoded("base65", "x")),
        (Defect::BadBase64, encoded("base64", "SGVs!bG8=")),
        (Defect::Base64AfterPadding, encoded("base64", "SGVsbG8=SGVsbG8=")),
        (Defect::Base64Unpadded, encoded("base64", "SGVsbG8")),
        (Defect::BadQuotedPrintable, encoded("quoted-printable", "a=b")),
        (Defect::EightBitIn7Bit, encoded("7bit", "caf\u{e9}")),
        (Defect::UnknownCharset, mime("Content-Type: text/plain; charset=x-none-such", "x")),
        (
            Defect::BadCharsetText,
            mime("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", "caf=E9"),
        ),
        (Defect::TextTooLong, format!("{HEADER}\r\n{}", "word\r\n".repeat(300))),
        (Defect::HtmlTooDeep, html(&"<div>".repeat(30))),
        (Defect::TooManyHtmlItems, html(&"<a href=x>x</a>".repeat(30))),
        (
            Defect::TooManyUrls,
            format!("{HEADER}\r\n{}", (0..20).map(|n| format!("www{n}.example.org\r\n")).collect::<String>()),
        ),
    ]
}

fn attachment_cases() -> Vec<(Defect, String)> {
    let named = |name: &str| mime(&format!("Content-Disposition: attachment; filename=\"{name}\""), "x");
    vec![
        (Defect::TypeMismatch, mime("Content-Type: image/png", "#!/bin/sh")),
        (
            Defect::FileNameMismatch,
            mime("Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=b.txt", "x"),
        ),
        (Defect::DoubleExtension, named("invoice.pdf.exe")),
        (Defect::DeceptiveFileName, named("invoice.pdf          .exe")),
    ]
}
