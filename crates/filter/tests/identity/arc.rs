//! The ARC suite: validation of chains.

use std::sync::Arc;

use saphyr::{LoadableYamlNode, Yaml};
use tidegate_filter::dns::{Record, RecordKind};
use tidegate_filter::identity::{ArcResult, MessageInput, Spf, identify};
use tidegate_mail::{Limits, Message};

use crate::suite::shared;
use crate::zone::{PATIENCE, Zone, block_on, world};

/// Cases whose expectation we do not meet, each with the reason.
const NOT_MET: &[(&str, &str)] = &[];

#[test]
fn the_validation_suite_of_arc() {
    let Some(text) = shared("the_validation_suite_of_arc", "arc/arc-draft-validation-tests.yml") else { return };
    let mut count = 0;
    let mut failures = Vec::new();
    for scenario in Yaml::load_from_str(&text).unwrap() {
        let mut zone = Zone::default();
        for (name, record) in scenario["txt-records"].as_mapping().into_iter().flatten() {
            let text = record.as_str().unwrap_or_default().as_bytes().to_vec();
            zone.add(name.as_str().unwrap(), RecordKind::Txt, Record::Txt(text));
        }
        let zone = Arc::new(zone);
        for (name, test) in scenario["tests"].as_mapping().unwrap() {
            let name = name.as_str().unwrap();
            count += 1;
            let expected = test["cv"].as_str().unwrap_or_default().to_ascii_lowercase();
            let (found, why) = validate(test["message"].as_str().unwrap_or_default(), &zone);
            let is_known = NOT_MET.iter().any(|(known, _)| *known == name);
            // Where a seal itself says that the chain has failed, the suite leaves open what we say; RFC 8617 section 5.2 does not.
            let expected = if expected.trim().is_empty() { "fail".to_owned() } else { expected };
            if (found == expected) == is_known {
                failures.push(format!("{name}: found {found} ({why}), expected {expected}"));
            }
        }
    }
    assert_eq!(count, 171);
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
}

fn validate(message: &str, zone: &Arc<Zone>) -> (&'static str, String) {
    let message = Message::parse(message.as_bytes().to_vec(), &Limits::default());
    let spf = Ok(Spf::none());
    let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
    match block_on(identify(&input, &world(zone, jiff::Timestamp::UNIX_EPOCH))).arc.map(|chain| chain.result) {
        Ok(ArcResult::None) => ("none", String::new()),
        Ok(ArcResult::Pass) => ("pass", String::new()),
        Ok(ArcResult::Fail(why)) => ("fail", why),
        Err(unavailable) => ("temperror", unavailable.to_string()),
    }
}
