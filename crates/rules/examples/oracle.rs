//! How far the hits agree with SpamAssassin's own, over all recorded messages.
//!
//! `oracle [CORPUS|kam …] [--every N] [--top N]`: without a name, each corpus and then KAM. Differences that `tests/data/explained.tsv` does not
//! explain are told one by one: ask SpamAssassin about them again.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "a tool for developers that reads files")]

#[path = "../tests/material/mod.rs"]
mod material;

use std::collections::BTreeMap;

use material::golden::{self, Report};

fn main() {
    let Some(folder) = material::folder("oracle") else { return };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let value = arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
        value.and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (every, top) = (number("--every", 1), number("--top", 25));
    let known: Vec<&str> = golden::CORPORA.iter().copied().chain(["kam"]).collect();
    let asked: Vec<&str> =
        known.iter().copied().filter(|name| arguments.iter().any(|argument| argument == name)).collect();
    let set = golden::rule_set(&material::stock_rules(&folder));
    let mut all = Report::default();
    for corpus in if asked.is_empty() { known } else { asked } {
        let mut report = Report::default();
        if corpus == "kam" {
            add_kam(&folder, every, &mut report);
        } else {
            let recorded = golden::recorded(&folder, corpus);
            let messages = material::corpus(&folder, corpus);
            for (path, theirs) in recorded.iter().step_by(every) {
                report.add(&set, corpus, path, &messages[path], theirs);
                all.add(&set, corpus, path, &messages[path], theirs);
            }
        }
        println!("{}", report.show(&format!("{corpus} ({} messages)", report.messages), top));
        let known = golden::explained(if corpus == "kam" { "kam" } else { "stock" });
        let unknown: Vec<String> = report.differences().difference(&known).cloned().collect();
        println!("{corpus}: {} differences without a known cause", unknown.len());
        unknown.iter().for_each(|difference| println!("  {difference}"));
    }
    println!("{}", all.show(&format!("all stock ({} messages)", all.messages), top));
}

fn add_kam(folder: &std::path::Path, every: usize, report: &mut Report) {
    let mut files = material::stock_rules(folder);
    files.extend(material::kam_rules(folder));
    let set = golden::rule_set(&files);
    let mut corpora: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for ((corpus, path), theirs) in golden::recorded_kam(folder).iter().step_by(every) {
        let messages = corpora.entry(corpus.clone()).or_insert_with(|| material::corpus(folder, corpus));
        report.add(&set, corpus, path, &messages[path], theirs);
    }
}
