//! The same hits as SpamAssassin on a sample of messages it has judged; `cargo run --release -p tidegate-rules --example oracle` takes all.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "tests read files of known form")]

mod material;

use std::collections::BTreeSet;

use material::golden::{self, RECORDED_WITHOUT_CHOMP, Report};
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::{Answers, Context, Input, RuleSet};

/// Of the larger corpora, each message whose number divides by this.
const EACH: usize = 127;
/// What the sample must reach; what still differs, and why, is in docs/decisions/rule-matching.md.
const SCORED_SHARE_MIN: f64 = 0.998;
const SUBTEST_SHARE_MIN: f64 = 0.999;

#[test]
fn hits_agree_with_spamassassin() {
    let Some(folder) = material::folder("hits_agree_with_spamassassin") else { return };
    let set = golden::rule_set(&material::stock_rules(&folder));
    let mut report = Report::default();
    for corpus in golden::CORPORA {
        let recorded = golden::recorded(&folder, corpus);
        let each = if recorded.len() < 100 { 1 } else { EACH };
        for (path, message) in
            material::corpus(&folder, corpus).into_iter().filter(|(path, _)| recorded.contains_key(path)).step_by(each)
        {
            report.add(&set, corpus, &path, &message, &recorded[&path]);
        }
    }
    println!("{}", report.show("sample", 15));
    assert!(report.messages > 100, "{} messages", report.messages);
    assert!(report.scored.share() >= SCORED_SHARE_MIN, "scored rules: {:.4}", report.scored.share());
    assert!(report.subtests.share() >= SUBTEST_SHARE_MIN, "subtests: {:.4}", report.subtests.share());
    let known = golden::explained("stock");
    assert!(known.len() > 100, "the table is read");
    let unknown: Vec<String> = report.differences().difference(&known).cloned().collect();
    assert_eq!(unknown, <[&str; 0]>::default(), "each difference has a known cause");
}

/// The rules of which the golden files are wrong, against what SpamAssassin says when it is run from the shell.
#[test]
fn rules_recorded_wrongly_agree_with_a_second_record() {
    let Some(folder) = material::folder("rules_recorded_wrongly_agree_with_a_second_record") else { return };
    let mut files = material::stock_rules(&folder);
    files.push(SourceFile { name: "programs.cf".to_owned(), text: b"mime_encoding_checks 1\n".to_vec() });
    let set = golden::rule_set(&files);
    let retaken: Vec<Vec<&str>> = include_str!("data/retaken.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    for corpus in golden::CORPORA {
        let messages = material::corpus(&folder, corpus);
        for row in retaken.iter().filter(|row| row[0] == *corpus) {
            let theirs: BTreeSet<&str> = row[2].split(',').filter(|name| *name != "none").collect();
            assert_eq!(names_recorded_wrongly(&set, &messages[row[1]]), theirs, "{corpus}/{}", row[1]);
        }
    }
}

fn names_recorded_wrongly(set: &RuleSet, message: &[u8]) -> BTreeSet<&'static str> {
    let input = Input::from_octets(message, &Context::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    let hits = matches.hits.iter().map(|hit| hit.rule).chain(matches.subtests.iter().map(|hit| hit.rule));
    let names: BTreeSet<String> = hits.map(|rule| set.rules()[rule.index()].name.to_string()).collect();
    RECORDED_WITHOUT_CHOMP.iter().copied().filter(|name| names.contains(*name)).collect()
}
