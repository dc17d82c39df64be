//! The spamd protocol: what clients send, and what they wait for. The answers were taken from SpamAssassin 4.0.1's spamd.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail loudly")]

use proptest::prelude::*;
use tidegate_wire::spamd::{Fault, HEAD_OCTETS_MAX, Head, Method, PONG, Points, Summary, Version, answer};

fn head(request: &str) -> Head {
    Head::read(request.as_bytes()).unwrap().unwrap().head
}

#[test]
fn exim_asks_with_version_1_2() {
    let request = b"REPORT SPAMC/1.2\r\nUser: nobody\r\nContent-length: 5\r\n\r\nFrom ";
    let read = Head::read(request).unwrap().unwrap();
    assert_eq!(&request[read.octets..], b"From ");
    assert_eq!(
        read.head,
        Head {
            method: Method::Report,
            version: Version { major: 1, minor: 2 },
            length: Some(5),
            user: Some("nobody".into()),
            is_compressed: false
        }
    );
}

#[test]
fn spamc_packs() {
    let head = head("CHECK SPAMC/1.5\r\ncompress: ZLIB\r\nUser: a\r\nContent-Length: 10\r\nX-Later: yes\r\n\r\n");
    assert!(head.is_compressed);
    assert_eq!(head.length, Some(10));
}

/// Version 1.0 has no header lines: what follows the first line is the message already. A PING has some only from 1.5 on.
#[test]
fn old_clients_send_no_header_lines() {
    let read = Head::read(b"CHECK SPAMC/1.0\r\nSubject: a\r\n\r\n").unwrap().unwrap();
    assert_eq!(read.octets, 17);
    assert!(Head::read(b"PING SPAMC/1.2\r\n").unwrap().is_some());
    assert!(Head::read(b"PING SPAMC/1.5\r\n").unwrap().is_none());
    assert!(Head::read(b"PING SPAMC/1.5\r\n\r\n").unwrap().is_some());
}

#[test]
fn what_is_no_request_is_told_so() {
    let fault = |request: &str| String::from_utf8(Head::read(request.as_bytes()).unwrap_err().encode()).unwrap();
    assert_eq!(fault("hello\r\n\r\n"), "SPAMD/1.0 76 Bad header line: hello\r\n");
    assert_eq!(fault("FOO SPAMC/1.5\r\n"), "SPAMD/1.0 76 Bad header line: FOO SPAMC/1.5\r\n");
    assert_eq!(fault("CHECK SPAMC/1.5 more\r\n"), "SPAMD/1.0 76 Bad header line: CHECK SPAMC/1.5 more\r\n");
    assert_eq!(
        fault("CHECK SPAMC/1.5\r\nX y\r\n\r\n"),
        "SPAMD/1.0 76 Bad header line: (header not in 'Name: value' format)\r\n"
    );
    for length in ["x1", "-1", "+1", "", "99999999999999999999999"] {
        assert_eq!(
            fault(&format!("CHECK SPAMC/1.5\r\nContent-length: {length}\r\n\r\n")),
            "SPAMD/1.0 76 Bad header line: (Content-Length contains non-numeric bytes)\r\n"
        );
    }
    let mismatch = Fault::LengthMismatch { expected: 3, got: 8 };
    assert_eq!(
        String::from_utf8(mismatch.encode()).unwrap(),
        "SPAMD/1.0 76 Bad header line: (Content-Length mismatch: Expected 3 bytes, got 8 bytes)\r\n"
    );
}

/// A client that never ends its head does not fill the memory, and what it wrote comes back printable.
#[test]
fn a_head_has_an_end() {
    assert!(Head::read(&vec![b'A'; HEAD_OCTETS_MAX - 1]).unwrap().is_none());
    assert!(Head::read(&vec![b'A'; HEAD_OCTETS_MAX]).is_err());
    let fault = Head::read(b"\x1b[31m\xff\r\n").unwrap_err().encode();
    assert!(fault.iter().all(|octet| octet.is_ascii_graphic() || b" \r\n".contains(octet)));
}

/// The header lines of an answer, by method and version, as spamd 4.0.1 gave them.
#[test]
fn answers_as_spamd_gives_them() {
    let spam = Summary { is_spam: true, score: 7_000, required: 5_000 };
    let ham = Summary { is_spam: false, score: -120, required: 5_000 };
    let of = |method: &str, summary, body: &[u8]| {
        String::from_utf8(answer(&head(&format!("{method}\r\n\r\n")), summary, body)).unwrap()
    };
    assert_eq!(of("CHECK SPAMC/1.5", spam, b""), "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 7.0 / 5.0\r\n\r\n");
    assert_eq!(
        of("SYMBOLS SPAMC/1.5", ham, b"A,B"),
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: False ; -0.1 / 5.0\r\n\r\nA,B"
    );
    assert_eq!(of("REPORT SPAMC/1.2", spam, b"x"), "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 7.0 / 5.0\r\n\r\nx");
    assert_eq!(
        of("REPORT_IFSPAM SPAMC/1.5", ham, b""),
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: No ; -0.1 / 5.0\r\n\r\n"
    );
    assert_eq!(
        of("PROCESS SPAMC/1.5", spam, b"x"),
        "SPAMD/1.1 0 EX_OK\r\nContent-length: 1\r\nSpam: True ; 7.0 / 5.0\r\n\r\nx"
    );
    assert_eq!(of("PROCESS SPAMC/1.2", spam, b"x"), "SPAMD/1.1 0 EX_OK\r\nContent-length: 1\r\n\r\nx");
    assert_eq!(PONG, b"SPAMD/1.5 0 PONG\r\n");
}

#[test]
fn points_have_one_digit() {
    let shown: Vec<String> = [0, 49, 50, 5_000, -49, -50, -1_250, 1_002_300].map(|p| Points(p).to_string()).into();
    assert_eq!(shown, ["0.0", "0.0", "0.1", "5.0", "0.0", "-0.1", "-1.3", "1002.3"]);
}

proptest! {
    #[test]
    fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(Some(read)) = Head::read(&octets) {
            prop_assert!(read.octets <= octets.len());
        }
    }

    /// However a request arrives in pieces, it is read alike.
    #[test]
    fn pieces_do_not_matter(cut in 0_usize..60, length in 0_usize..1_000_000) {
        let request = format!("PROCESS SPAMC/1.4\r\nContent-length: {length}\r\nUser: u@here.test\r\n\r\n").into_bytes();
        let whole = Head::read(&request).unwrap().unwrap();
        prop_assert_eq!(whole.octets, request.len());
        let part = &request[..cut.min(request.len() - 1)];
        prop_assert_eq!(Head::read(part).unwrap(), None);
    }
}
