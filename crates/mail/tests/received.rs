//! `Received` fields of SpamAssassin's suite: address, reverse name, HELO, server and id as expected there, or explained.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod material;

use std::collections::BTreeMap;

use tidegate_mail::Received;

/// `value <TAB> why`: where we read a field otherwise than the suite. The value is the beginning of the field.
const DIFFERENCES: &str = include_str!("data/received-differences.tsv");

#[test]
fn fields_read_as_in_the_suite() {
    let Some(shared) = material::shared("fields_read_as_in_the_suite") else { return };
    let suite = material::read(&shared.join("material/suites/sa-rules/received-parse.json"));
    let cases: serde_json::Value = serde_json::from_slice(&suite).unwrap();
    let mut explained: BTreeMap<&str, &str> =
        DIFFERENCES.lines().skip(1).filter_map(|line| line.split_once('\t')).collect();
    let (mut agreed, mut ignored, mut wrong) = (0, 0, Vec::new());
    for case in cases.as_array().unwrap() {
        let (value, expected) = (case["received"].as_str().unwrap(), case["expected"].as_str().unwrap());
        if expected.is_empty() {
            // There the suite says that SpamAssassin uses nothing of the field; we may tell what it says.
            ignored += 1;
            continue;
        }
        let differences = compare(&Received::parse(value), expected);
        if differences.is_empty() {
            agreed += 1;
        } else if let Some(key) = explained.keys().copied().find(|key| value.starts_with(key)) {
            explained.remove(key);
        } else {
            wrong.push(format!("{value}\n    {}", differences.join("; ")));
        }
    }
    println!("{agreed} agree, {ignored} are not used by the suite, {} differ", wrong.len());
    assert!(wrong.is_empty(), "not explained:\n{}", wrong.join("\n"));
    assert!(explained.is_empty(), "explained, but not seen: {:?}", explained.keys());
}

/// `[ ip=1.2.3.4 rdns= helo=x by=y ident= envfrom= id=z auth= msa=0 ]`.
fn compare(received: &Received, expected: &str) -> Vec<String> {
    let expected = |key: &str| {
        let value = expected.split_once(&format!(" {key}=")).map_or("", |(_, rest)| rest);
        value.split(' ').next().unwrap_or("").to_owned()
    };
    let shown = |text: &Option<String>| text.clone().unwrap_or_default();
    let ip = received.ip.map(|ip| ip.to_string()).unwrap_or_default();
    // SpamAssassin writes brackets as exclamation marks.
    let helo = shown(&received.helo).replace(['[', ']'], "!");
    [
        ("ip", ip),
        ("rdns", shown(&received.rdns)),
        ("helo", helo),
        ("by", shown(&received.by)),
        ("id", shown(&received.id)),
        ("ident", shown(&received.ident)),
        ("envfrom", shown(&received.envelope_from)),
    ]
    .into_iter()
    .filter(|(key, value)| expected(key) != *value)
    .map(|(key, value)| format!("{key}: {value:?}, expected {:?}", expected(key)))
    .collect()
}
