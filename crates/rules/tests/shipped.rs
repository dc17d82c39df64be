//! The shipped rules of `data/rules`: each is described and scored with care, hits the messages written for it, and misses those
//! that only look like it. The messages are in `data/rules/tests`, a file for each file of rules:
//!
//! ```toml
//! [TG_NAME]
//! hit = ["a whole message", "another"]
//! miss = ["a message that is good"]
//! ```
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "tests read files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tidegate_mail::Score;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Input, RuleSet, compile, shipped};

/// No rule decides alone: the score at which mail is taken for spam is 5.
const SCORE_MAX: Score = Score::milli(3500);
/// Longest description: what SpamAssassin's reports show in one line.
const DESCRIPTION_CHARS_MAX: usize = 70;

struct Cases {
    hit: Vec<String>,
    miss: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/rules")
}

fn rule_set() -> RuleSet {
    let parsed = parse(&shipped::files(), &ParseOptions::default(), &no_includes);
    assert_eq!(parsed.diagnostics, []);
    let (set, remarks) = compile(parsed, CompileOptions::default());
    assert_eq!(remarks, []);
    set
}

/// The cases of the file of tests that belongs to this file of rules.
fn cases(rules: &str) -> BTreeMap<String, Cases> {
    let path = folder().join("tests").join(rules).with_extension("toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let texts = |value: Option<&toml::Value>| -> Vec<String> {
        let items = value.and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().map(|item| item.as_str().expect("a message is a text").to_owned()).collect()
    };
    let read = |value: &toml::Value| Cases { hit: texts(value.get("hit")), miss: texts(value.get("miss")) };
    table.iter().map(|(name, value)| (name.clone(), read(value))).collect()
}

fn hits(set: &RuleSet, message: &str) -> BTreeSet<String> {
    let input = Input::from_octets(message.as_bytes(), &Context::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    matches.hits.iter().map(|hit| set.rules()[hit.rule.index()].name.to_string()).collect()
}

#[test]
fn every_file_is_built_in() {
    let names: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("data/rules is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".cf"))
        .map(|name| format!("tidegate/{name}"))
        .collect();
    let built_in: BTreeSet<String> = shipped::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(built_in, names);
}

#[test]
fn every_rule_is_described_and_scored_with_care() {
    let mut faults = Vec::new();
    for rule in rule_set().rules() {
        let name = &rule.name;
        if !name.starts_with("TG_") && !name.starts_with("__TG_") {
            faults.push(format!("{name}: names begin with TG_ or __TG_"));
        }
        if rule.is_subtest() {
            continue;
        }
        match &rule.description {
            None => faults.push(format!("{name}: it has no describe")),
            Some(text) if text.chars().count() > DESCRIPTION_CHARS_MAX => {
                faults.push(format!("{name}: the description is too long"));
            }
            Some(_) => {}
        }
        if rule.score == Score::ZERO || rule.score > SCORE_MAX || rule.score == Score::milli(1000) {
            faults.push(format!("{name}: {} points; 1.0 is what a forgotten score is", rule.score));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_rule_hits_its_own_messages_and_misses_the_others() {
    let set = rule_set();
    let mut faults = Vec::new();
    let mut tested = BTreeSet::new();
    for (file, _) in shipped::FILES {
        for (name, cases) in cases(file.trim_start_matches("tidegate/")) {
            if set.rule(&name).is_none_or(|rule| &*rule.place.file != *file) {
                faults.push(format!("{name}: there is no such rule in {file}"));
            }
            if cases.hit.is_empty() || cases.miss.is_empty() {
                faults.push(format!("{name}: give a message to hit and one to miss"));
            }
            for (number, message) in (1..).zip(&cases.hit) {
                if !hits(&set, message).contains(&name) {
                    faults.push(format!("{name}: it misses message {number} that it should hit"));
                }
            }
            for (number, message) in (1..).zip(&cases.miss) {
                if hits(&set, message).contains(&name) {
                    faults.push(format!("{name}: it hits message {number} that it should miss"));
                }
            }
            tested.insert(name);
        }
    }
    let untested = set.rules().iter().filter(|rule| !rule.is_subtest() && !tested.contains(&*rule.name));
    faults.extend(untested.map(|rule| format!("{}: it has no test", rule.name)));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_pattern_is_guarded() {
    let set = rule_set();
    let slow: Vec<&str> =
        set.rules().iter().filter(|rule| set.has_nested_repeats(rule)).map(|rule| &*rule.name).collect();
    assert_eq!(slow, [] as [&str; 0]);
}
