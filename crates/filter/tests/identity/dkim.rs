//! DKIM: the signed messages of Mail::DKIM, and the example of RFC 8463.

use std::sync::Arc;

use jiff::Timestamp;
use tidegate_filter::dns::{Record, RecordKind};
use tidegate_filter::identity::{DkimResult, DkimSignature, MessageInput, Spf, identify};
use tidegate_mail::{Limits, Message};

use crate::suite::{shared, shared_bytes};
use crate::zone::{PATIENCE, Zone, block_on, world};

const FOLDER: &str = "dkim/mail-dkim";

#[test]
fn the_messages_of_mail_dkim() {
    let test = "the_messages_of_mail_dkim";
    let Some(table) = shared(test, &format!("{FOLDER}/expected.tsv")) else { return };
    let zone = Arc::new(zone(&shared(test, &format!("{FOLDER}/dns.txt")).unwrap()));
    let mut count = 0;
    let mut met = 0;
    let mut failures = Vec::new();
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (file, expected) = (columns.next().unwrap(), columns.next().unwrap());
        count += 1;
        let raw = shared_bytes(test, &format!("{FOLDER}/{file}")).unwrap();
        let signatures = signatures(raw, &zone, now());
        let found = summary(&signatures);
        let known = NOT_MET.iter().find(|(files, _, _)| files.contains(&file));
        met += usize::from(known.is_none());
        let expected = known.map_or(expected, |(_, instead, _)| instead);
        if found != expected {
            let results: Vec<&DkimResult> = signatures.iter().map(|s| &s.result).collect();
            failures.push(format!("{file}: found {found}, expected {expected}: {results:?}"));
        }
    }
    assert_eq!((count, met), (79, 40));
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

/// Files for which we say something else than the suite: what, and why.
const NOT_MET: &[(&[&str], &str, &str)] = &[
    (
        &[
            "bad_dk_1.txt",
            "bad_dk_2.txt",
            "bad_dk_3.txt",
            "bad_dk_4.txt",
            "bad_dk_5.txt",
            "dk_headers_1.txt",
            "dk_headers_2.txt",
            "dk_multiple_1.txt",
            "good_dk_1.txt",
            "good_dk_2.txt",
            "good_dk_3.txt",
            "good_dk_4.txt",
            "good_dk_5.txt",
            "good_dk_6.txt",
            "good_dk_7.txt",
            "good_dk_gmail.txt",
            "good_dk_yahoo.txt",
        ],
        "none",
        "DomainKeys signatures, historic (RFC 4870); they are no DKIM and are not looked at",
    ),
    (
        &["good_ietf00_1.txt", "good_ietf00_2.txt", "good_ietf00_3.txt", "good_ietf00_4.txt", "good_ietf00_5.txt"],
        "invalid",
        "signed by the first draft, which had no body hash (bh=)",
    ),
    (
        &[
            "bad_1.txt",
            "bad_ietf01_1.txt",
            "bad_ietf01_2.txt",
            "bad_ietf01_3.txt",
            "good_1878523.txt",
            "good_ietf01_1.txt",
            "good_ietf01_2.txt",
            "good_qp_1.txt",
            "good_qp_2.txt",
            "good_qp_3.txt",
            "good_rfc4871_3.txt",
            "good_rfc4871_4.txt",
            "goodkey_1.txt",
            "goodkey_2.txt",
            "goodkey_3.txt",
            "goodkey_4.txt",
            "multiple_1.txt",
        ],
        "invalid",
        "keys of 512 or 768 bits, with which no signature may count (RFC 8301 section 3.2)",
    ),
];

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// The suite's three results. It is older than RFC 8301, and in part than RFC 4871: a signature with rsa-sha1, or of a draft, that
/// verifies is a pass there.
fn summary(signatures: &[DkimSignature]) -> &'static str {
    let verifies = |s: &DkimSignature| match &s.result {
        DkimResult::Pass => true,
        DkimResult::Policy(why) => why.contains("rsa-sha1") || why.contains("draft"),
        _ => false,
    };
    if signatures.iter().any(verifies) {
        "pass"
    } else if signatures.iter().any(|s| matches!(s.result, DkimResult::Fail(_))) {
        "fail"
    } else if signatures.is_empty() {
        "none"
    } else {
        "invalid"
    }
}

fn signatures(raw: Vec<u8>, zone: &Arc<Zone>, now: Timestamp) -> Vec<DkimSignature> {
    let message = Message::parse(raw, &Limits::default());
    let spf = Ok(Spf::none());
    let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
    block_on(identify(&input, &world(zone, now))).dkim
}

/// Lines of a name and its TXT record, or `NXDOMAIN`, or `~~what went wrong~~`.
fn zone(text: &str) -> Zone {
    let mut zone = Zone::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(char::is_whitespace) else { continue };
        match value.trim() {
            "NXDOMAIN" => {}
            trouble if trouble.starts_with("~~") => zone.silence(name),
            record => zone.add(name, RecordKind::Txt, Record::Txt(record.trim_matches('"').as_bytes().to_vec())),
        }
    }
    zone
}

#[test]
fn the_example_of_rfc_8463() {
    let Some(text) = shared("the_example_of_rfc_8463", "dkim/rfc8463-example.txt") else { return };
    let (records, message) = text.split_once("\n\n").unwrap();
    let zone = Arc::new(zone(records));
    let results = |message: &str| -> Vec<(String, DkimResult)> {
        let found = signatures(message.as_bytes().to_vec(), &zone, now());
        found.into_iter().map(|s| (s.algorithm, s.result)).collect()
    };
    let pass = |algorithm: &str| (algorithm.to_owned(), DkimResult::Pass);
    assert_eq!(results(message), [pass("ed25519-sha256"), pass("rsa-sha256")]);
    let changed = results(&message.replace("Is dinner ready", "Is lunch ready"));
    assert!(changed.iter().all(|(_, result)| matches!(result, DkimResult::Fail(_))), "{changed:?}");
}
