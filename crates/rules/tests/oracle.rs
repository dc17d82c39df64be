//! The same hits as SpamAssassin on a sample of messages it has judged; `cargo run --release -p tidegate-rules --example oracle` takes all.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

mod material;

use material::golden::{self, Report};

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
}
