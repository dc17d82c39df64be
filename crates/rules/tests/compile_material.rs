//! The stock rules and KAM compile; what is left out is on a list.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

mod material;

use tidegate_rules::language::source::Severity;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{CompileOptions, compile};

#[test]
fn stock_and_kam_compile() {
    let Some(folder) = material::folder("stock_and_kam_compile") else { return };
    let mut files = material::stock_rules(&folder);
    files.extend(material::kam_rules(&folder));
    let parsed = parse(&files, &ParseOptions::default(), &no_includes);
    let (_, remarks) = compile(parsed, CompileOptions { network: true, classifier: true });
    let errors: Vec<String> =
        remarks.iter().filter(|remark| remark.severity == Severity::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}
