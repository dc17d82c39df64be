//! SpamAssassin's own checks of its rule engine: rules, settings and a message, and the hits that SpamAssassin 4.0.1 gives.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests read files, and a broken file may panic"
)]

mod material;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_mail::Score;
use tidegate_rules::language::conditions::Claims;
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Input, RuleSet, compile};

/// What the Perl plugin has that comes with SpamAssassin for tests: an eval test, and two functions for `can()`.
fn test_plugin() -> Claims {
    let path = |name: &str| format!("Mail::SpamAssassin::Plugin::Test{name}");
    Claims {
        plugins: vec![path("")],
        can: vec![path("::test_feature_xxxx_true")],
        has: vec![path("::check_test_plugin"), path("::test_feature_xxxx_false")],
    }
}

fn rules(files: &[SourceFile]) -> RuleSet {
    let options = ParseOptions { local_tests_only: true, claims: test_plugin(), ..ParseOptions::default() };
    compile(parse(files, &options, &no_includes), CompileOptions::default()).0
}

/// The suite writes each octet as the character of its number.
fn source(name: &str, text: &str) -> SourceFile {
    let octets = text.chars().map(|char| u8::try_from(u32::from(char)).expect("an octet"));
    SourceFile { name: name.to_owned(), text: octets.collect() }
}

/// Plugins that the suite loads besides the usual ones.
const PLUGINS: &str = "loadplugin Mail::SpamAssassin::Plugin::FromNameSpoof\n\
    loadplugin Mail::SpamAssassin::Plugin::PDFInfo\n\
    loadplugin Mail::SpamAssassin::Plugin::Shortcircuit\n";

/// The names of the rules that hit: scored ones and subtests; and the sum of the points.
fn hits(set: &RuleSet, message: &[u8]) -> (BTreeSet<String>, BTreeSet<String>, Score) {
    let input = Input::from_octets(message, &Context::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    let names =
        |hits: &[tidegate_rules::Hit]| hits.iter().map(|hit| set.rules()[hit.rule.index()].name.to_string()).collect();
    (names(&matches.hits), names(&matches.subtests), matches.score())
}

fn names(case: &Value, field: &str) -> BTreeSet<String> {
    let list = case[field].as_array().expect("a list");
    let name = |hit: &Value| hit.as_str().expect("a text").split(['=', '(']).next().unwrap_or_default().to_owned();
    list.iter().map(name).filter(|name| name != "none").collect()
}

/// Without the lines that switch the old names of lists on.
fn without_compat(file: &mut SourceFile) {
    let text = String::from_utf8_lossy(&file.text).into_owned();
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("enable_compat")).collect();
    file.text = kept.join("\n").into_bytes();
}

fn stock_files(stock: &[SourceFile], wanted: &[&str]) -> Vec<SourceFile> {
    stock.iter().filter(|file| wanted.iter().any(|name| file.name.ends_with(name))).cloned().collect()
}

#[test]
fn cases_agree() {
    let Some(folder) = material::folder("cases_agree") else { return };
    let suite = folder.join("suites/sa-rules");
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(suite.join("cases.json")).expect("the suite is there"))
            .expect("the suite is JSON");
    let messages: BTreeMap<String, Vec<u8>> = material::archive(&suite.join("messages.tar.gz")).into_iter().collect();
    let test_rules = std::fs::read(suite.join("01_test_rules.cf")).expect("the suite's rules are there");
    let stock = material::stock_rules(&folder);
    let mut plugins = stock_files(&stock, &[".pre"]);
    plugins.push(source("suite.pre", PLUGINS));
    let suffixes = stock_files(&stock, &["20_aux_tlds.cf"]);
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |name: &str| case[name].as_str().expect("a text");
        let mut files = plugins.clone();
        if case["compat"] == Value::Bool(false) {
            files.iter_mut().for_each(without_compat);
        }
        files.push(SourceFile { name: "01_test_rules.cf".to_owned(), text: test_rules.clone() });
        files.extend(suffixes.clone());
        files.extend([
            source("rules.cf", text("rules")),
            source("prefs.cf", text("prefs")),
            source("user_prefs", text("user_prefs")),
        ]);
        let (scored, subtests, score) = hits(&rules(&files), &messages[text("message")]);
        let (their_scored, their_subtests) = (names(case, "hits"), names(case, "subtests"));
        let their_score = Score::from_points(case["score"].as_f64().expect("a number"));
        if scored == their_scored && subtests == their_subtests && score != their_score {
            wrong.push((text("id").to_owned(), format!("has {score} points, not {their_score}")));
        }
        if scored != their_scored || subtests != their_subtests {
            let missing: Vec<&String> =
                their_scored.difference(&scored).chain(their_subtests.difference(&subtests)).collect();
            let extra: Vec<&String> =
                scored.difference(&their_scored).chain(subtests.difference(&their_subtests)).collect();
            wrong.push((text("id").to_owned(), format!("misses {missing:?}, has too many {extra:?}")));
        }
    }
    let list: Vec<String> = wrong.iter().map(|(id, what)| format!("{id}: {what}")).collect();
    assert!(list.is_empty(), "{} of {} wrong\n{}", list.len(), cases.len(), list.join("\n"));
}

/// Messages that must hit the rule their folder is named for, and those (`fp…`) that must not.
#[test]
fn rules_hit_their_messages() {
    let Some(folder) = material::folder("rules_hit_their_messages") else { return };
    let files = material::archive(&folder.join("suites/sa-rules/per-rule.tar.gz"));
    let stock = material::stock_rules(&folder);
    let plain = rules(&stock);
    // Messages with settings of their own are all about bounces: that file of rules is enough for them.
    let bounces = stock_files(&stock, &[".pre", "20_vbounce.cf", "20_aux_tlds.cf"]);
    let mut sets: BTreeMap<&[u8], RuleSet> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, message) in files.iter().filter(|(name, _)| !name.ends_with(".cf")) {
        let mut parts = path.rsplit('/');
        let (name, rule) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let own = files.iter().find(|(other, _)| other.strip_suffix(".cf") == Some(path));
        let set = match own {
            Some((name, text)) => &*sets.entry(text.as_slice()).or_insert_with(|| {
                let mut files = bounces.clone();
                files.push(SourceFile { name: name.clone(), text: text.clone() });
                rules(&files)
            }),
            None => &plain,
        };
        let (scored, subtests, _) = hits(set, message);
        let is_hit = scored.contains(rule) || subtests.contains(rule);
        count += 1;
        if is_hit == name.starts_with("fp") {
            wrong.push(format!("{path}: hit {is_hit}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong\n{}", wrong.len(), wrong.join("\n"));
}
