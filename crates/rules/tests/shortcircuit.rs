//! Rules that settle the matter, against what SpamAssassin 4.0.1 says of the same rules and message (`data/shortcircuit.json`).
#![allow(clippy::indexing_slicing, reason = "the data is ours")]

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Hit, Input, Matches, RuleSet, compile};

const CASES: &str = include_str!("data/shortcircuit.json");
const MESSAGE: &str =
    "From: a@example.org\nSubject: one two\nMessage-ID: <x@example.org>\n\nalpha beta http://www.example.com/ gamma\n";
const PLUGINS: &[&str] = &["BodyEval", "HeaderEval", "MIMEHeader", "Shortcircuit", "URIDetail"];

fn set(rules: &str) -> RuleSet {
    let plugins: String =
        PLUGINS.iter().map(|name| format!("loadplugin Mail::SpamAssassin::Plugin::{name}\n")).collect();
    let text = format!("{plugins}util_rb_tld com org\n{rules}").into_bytes();
    let options = ParseOptions { local_tests_only: true, ..ParseOptions::default() };
    let parsed = parse(&[SourceFile { name: "t.cf".to_owned(), text }], &options, &no_includes);
    assert_eq!(parsed.diagnostics, [], "{rules}");
    compile(parsed, CompileOptions::default()).0
}

fn names(set: &RuleSet, hits: &[Hit]) -> BTreeSet<String> {
    hits.iter().map(|hit| set.rules()[hit.rule.index()].name.to_string()).collect()
}

fn theirs(case: &Value, field: &str) -> BTreeSet<String> {
    case[field].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn hits_are_those_of_spamassassin() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("the data is JSON");
    let mut wrong = Vec::new();
    for case in &cases {
        let why = case["why"].as_str().expect("a text");
        let set = set(case["rules"].as_str().expect("a text"));
        let input = Input::from_octets(MESSAGE.as_bytes(), &Context::default(), set.settings());
        let (all, needed) = (set.matches(&input, &Answers::default()), set.hits(&input, &Answers::default()));
        assert_eq!((&all.hits, all.settled), (&needed.hits, needed.settled), "{why}: as needed and all");
        let score = |matches: &Matches| matches.score().to_string();
        let ours = (names(&set, &all.hits), names(&set, &all.subtests), score(&all));
        let points = case["score"].as_f64().expect("a number");
        let theirs =
            (theirs(case, "hits"), theirs(case, "subtests"), tidegate_mail::Score::from_points(points).to_string());
        if ours != theirs {
            wrong.push(format!("{why}: ours {ours:?}, theirs {theirs:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
