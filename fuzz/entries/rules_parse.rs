//! Any octets as a rule file: read, and compiled as far as it can be.

use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{CompileOptions, compile};

/// Longer texts only take longer.
const OCTETS_MAX: usize = 64 * 1024;

/// Fails only by a panic, or if a remark stands nowhere.
pub(crate) fn check(octets: &[u8]) {
    let text = octets.get(..OCTETS_MAX).unwrap_or(octets).to_vec();
    let lines = text.split(|octet| *octet == b'\n').count();
    let file = SourceFile { name: "f.cf".to_owned(), text };
    let parsed = parse(std::slice::from_ref(&file), &ParseOptions::default(), &no_includes);
    let read: Vec<_> = parsed.diagnostics.clone();
    let (_, remarks) = compile(parsed, CompileOptions { network: true, classifier: true });
    for remark in read.iter().chain(&remarks) {
        assert!((1..=lines).contains(&(remark.place.line as usize)) && remark.place.column > 0, "{remark}");
    }
}
