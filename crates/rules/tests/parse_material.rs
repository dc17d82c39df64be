//! The stock rules and KAM load without an error.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

mod material;

use tidegate_rules::language::source::Severity;
use tidegate_rules::language::{ParseOptions, no_includes, parse};

#[test]
fn stock_and_kam_have_no_errors() {
    let Some(folder) = material::folder("stock_and_kam_have_no_errors") else { return };
    let options = ParseOptions { local_tests_only: true, ..ParseOptions::default() };
    let mut files = material::stock_rules(&folder);
    let stock = parse(&files, &options, &no_includes);
    for remark in stock.diagnostics.iter().filter(|remark| remark.severity >= Severity::Warning) {
        println!("{remark}");
    }
    assert_eq!(stock.diagnostics.iter().filter(|remark| remark.severity == Severity::Error).count(), 0);
    files.extend(material::kam_rules(&folder));
    let both = parse(&files, &options, &no_includes);
    for remark in both.diagnostics.iter().filter(|remark| remark.severity >= Severity::Warning) {
        println!("{remark}");
    }
    assert_eq!(both.diagnostics.iter().filter(|remark| remark.severity == Severity::Error).count(), 0);
    assert!(
        stock.rules.len() > 2000 && both.rules.len() > stock.rules.len() + 2000,
        "{} {}",
        stock.rules.len(),
        both.rules.len()
    );
}
