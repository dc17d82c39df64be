//! The RFC 7208 suite: 203 cases in 16 scenarios.

use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};
use tidegate_filter::dns::{Record, RecordKind};
use tidegate_filter::identity::{SpfInput, SpfResult, spf_mail_from};
use tidegate_filter::session::Helo;
use tidegate_mail::ReversePath;

use crate::suite::shared;
use crate::zone::{Zone, block_on, world};

/// Cases whose expectation we do not meet, each with the reason.
const NOT_MET: &[(&str, &str)] = &[];

#[test]
fn the_suite_of_rfc_7208() {
    let Some(text) = shared("the_suite_of_rfc_7208", "spf/rfc7208-tests.yml") else { return };
    let mut count = 0;
    let mut failures = Vec::new();
    for scenario in Yaml::load_from_str(&text).unwrap() {
        let zone = Arc::new(zone(&scenario["zonedata"]));
        for (name, test) in scenario["tests"].as_mapping().unwrap() {
            let name = name.as_str().unwrap();
            count += 1;
            let found = result(test, &zone);
            let expected = texts(&test["result"]);
            let is_known = NOT_MET.iter().any(|(known, _)| *known == name);
            if expected.contains(&found) == is_known {
                failures.push(format!("{name}: found {found}, expected {expected:?}"));
            }
        }
    }
    assert_eq!(count, 203);
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

fn result(test: &Yaml<'_>, zone: &Arc<Zone>) -> String {
    let text = |name: &str| test[name].as_str().unwrap_or_default().to_owned();
    let helo = Helo::new(text("helo"));
    let mail_from = text("mailfrom");
    // A reverse-path without a local part is postmaster's (RFC 7208 section 4.3); an MTA gives no such path.
    let path = if mail_from.starts_with('@') { format!("postmaster{mail_from}") } else { mail_from };
    // A path that is no address never reaches the check; SPF calls that "none".
    let Ok(path) = ReversePath::parse(&path) else { return "none".into() };
    let input = SpfInput { ip: text("host").parse().unwrap(), helo: Some(&helo) };
    let spf = block_on(spf_mail_from(&input, &path, &world(zone, jiff::Timestamp::UNIX_EPOCH)));
    match spf {
        Err(_unavailable) => "temperror",
        Ok(spf) => match spf.result {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::PermError => "permerror",
        },
    }
    .into()
}

/// The suite's DNS: records by name; `TIMEOUT` for no answer to what is not given; SPF stands for TXT where there is none
/// (`TXT: NONE` says that there is none).
fn zone(data: &Yaml<'_>) -> Zone {
    let mut zone = Zone::default();
    for (name, records) in data.as_mapping().into_iter().flatten() {
        let name = name.as_str().unwrap();
        let records: Vec<&Yaml<'_>> = records.as_vec().unwrap().iter().collect();
        let has_txt =
            records.iter().any(|r| r.as_mapping().is_some_and(|m| m.keys().any(|k| k.as_str() == Some("TXT"))));
        zone.exists(name);
        for record in records {
            let Some(pairs) = record.as_mapping() else {
                assert_eq!(record.as_str(), Some("TIMEOUT"));
                zone.silence(name);
                continue;
            };
            for (kind, value) in pairs {
                add(&mut zone, name, kind.as_str().unwrap(), value, has_txt);
            }
        }
    }
    zone
}

fn add(zone: &mut Zone, name: &str, kind: &str, value: &Yaml<'_>, has_txt: bool) {
    let text = || texts(value).concat();
    match kind {
        "TXT" if value.as_str() == Some("NONE") => {}
        "SPF" if has_txt => {}
        "TXT" | "SPF" => {
            let octets = text().chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            zone.add(name, RecordKind::Txt, Record::Txt(octets));
        }
        "A" => zone.add(name, RecordKind::A, Record::A(text().parse().unwrap())),
        "AAAA" => zone.add(name, RecordKind::Aaaa, Record::Aaaa(text().parse().unwrap())),
        "PTR" => zone.add(name, RecordKind::Ptr, Record::Ptr(text())),
        "MX" => {
            let pair = value.as_vec().unwrap();
            let preference = pair[0].as_integer().unwrap().try_into().unwrap();
            zone.add(name, RecordKind::Mx, Record::Mx(preference, pair[1].as_str().unwrap().into()));
        }
        "CNAME" => zone.alias(name, &text()),
        other => panic!("record type {other}"),
    }
}

/// One text or a list of them.
fn texts(value: &Yaml<'_>) -> Vec<String> {
    match value.as_vec() {
        Some(list) => list.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect(),
        None => vec![value.as_str().unwrap_or_default().to_owned()],
    }
}
