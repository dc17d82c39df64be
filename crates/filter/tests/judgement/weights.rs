//! `[weights]` may name what does not run at present: who switches a check off for a day keeps its points.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_filter::blocklists::SHIPPED;
use tidegate_filter::checks::{self, Name};
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::settings::{ConfigError, Deadlines, ServerIdentity};
use tidegate_mail::Score;
use tidegate_rules::RuleSet;

/// The engine of a configuration that gives the symbol `weighed` points.
fn engine(weighed: &str, off: &[Name], rules: Option<Arc<RuleSet>>) -> Result<Engine, Vec<ConfigError>> {
    Engine::new(Config {
        fingerprint: "test".into(),
        identity: ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() },
        deadlines: Deadlines::default(),
        policy: Default::default(),
        checks: checks::Config { off: off.to_vec(), ..Default::default() },
        weights: BTreeMap::from([(weighed.to_owned(), Score::milli(700))]),
        lists: Vec::new(),
        blocklists: toml::from_str(SHIPPED).unwrap(),
        rules,
    })
}

fn rules() -> Option<Arc<RuleSet>> {
    Some(crate::case::rules("body A_RULE /a/\nscore A_RULE 1\n").unwrap())
}

#[test]
fn what_does_not_run_keeps_its_weight() {
    for (weighed, off, rules, why) in [
        ("REPLY_TO_ELSEWHERE", &[Name::reply_to][..], rules(), "a check that is off"),
        ("DNSBL_SPAMCOP", &[Name::dnsbl], rules(), "a list whose check is off"),
        ("DNSBL_BARRACUDA", &[], rules(), "a list that is not enabled"),
        ("A_RULE", &[Name::rules], rules(), "a rule while no rules run"),
        ("OF_A_FILE", &[], None, "a rule while no files are read, so nothing can tell whether there is one"),
    ] {
        match engine(weighed, off, rules) {
            Ok(engine) => assert_eq!(engine.idle_weights().collect::<Vec<_>>(), [weighed], "{why}"),
            Err(problems) => panic!("{weighed}, {why}: {problems:?}"),
        }
    }
}

#[test]
fn what_runs_is_not_idle() {
    for weighed in ["REPLY_TO_ELSEWHERE", "DNSBL_SPAMCOP", "A_RULE"] {
        let engine = engine(weighed, &[Name::spf], rules()).unwrap();
        assert_eq!(engine.idle_weights().next(), None, "{weighed}");
    }
}

#[test]
fn a_name_that_nothing_declares_is_told_and_keeps_nobody_from_judging() {
    for (weighed, why) in [
        ("REPLY_TO_ELSEWEHRE", "misspelt"),
        ("reply_to_elsewhere", "in small letters"),
        ("B_RULE", "a rule that an update has taken away"),
        ("", "nothing"),
    ] {
        let engine = engine(weighed, &[Name::reply_to], rules()).unwrap();
        assert_eq!(engine.unknown_weights().collect::<Vec<_>>(), [weighed], "{why}");
        assert_eq!(engine.idle_weights().next(), None, "{why}");
    }
    assert_eq!(engine("A_RULE", &[], rules()).unwrap().unknown_weights().next(), None);
}
