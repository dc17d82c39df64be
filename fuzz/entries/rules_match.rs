//! Any rules over any message: what is matched together is what each pattern matches alone.

use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, Basis, CompileOptions, Context, Hit, Input, Matches, RuleId, RuleSet, compile};

/// Stands between the rules and the message.
const MARK: u8 = 0xff;
/// Longer ones only take longer.
const OCTETS_MAX: usize = 16 * 1024;

/// Reads `rules 0xff message`. Fails by a panic, or by a rule that hits otherwise when it is tried alone.
pub(crate) fn check(octets: &[u8]) {
    let octets = octets.get(..OCTETS_MAX).unwrap_or(octets);
    let mut pieces = octets.splitn(2, |octet| *octet == MARK);
    let (rules, message) = (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default());
    compare(rules, message);
}

/// The rules that hit, as `NAME=count`, both ways.
pub(crate) fn compare(rules: &[u8], message: &[u8]) -> Vec<String> {
    let file = SourceFile { name: "f.cf".to_owned(), text: rules.to_vec() };
    let parsed = parse(std::slice::from_ref(&file), &ParseOptions::default(), &no_includes);
    let (set, _) = compile(parsed, CompileOptions::default());
    let input = Input::from_octets(message, &Context::default(), set.settings());
    let (together, alone) =
        (set.matches(&input, &Answers::default()), set.matches_plainly(&input, &Answers::default()));
    // A pattern that reaches its limit is not known to miss: the filter may have spared it the text.
    let is_known = |hit: &&Hit| !alone.limits.contains(&hit.rule) && !together.limits.contains(&hit.rule);
    let show = |hit: &Hit| format!("{}={}", set.rules()[hit.rule.index()].name, hit.count);
    let list = |hits: &[Hit]| hits.iter().filter(is_known).map(show).collect::<Vec<String>>();
    let ours = [list(&together.hits), list(&together.subtests)].concat();
    let theirs = [list(&alone.hits), list(&alone.subtests)].concat();
    // What is tried only as far as rules with points need it, too. Fewer rules may meet a limit then.
    let needed = set.hits(&input, &Answers::default());
    if together.limits.is_empty() && needed.limits.is_empty() {
        assert_eq!(needed.hits, together.hits, "as far as needed, and all together");
        assert_eq!(needed.settled, together.settled);
        assert_eq!(told(&set, &needed), told(&set, &together), "what metas are made of");
        assert!(needed.subtests.iter().all(|hit| together.subtests.contains(hit)), "subtests that hit for no reason");
    }
    assert!(!alone.limits.is_empty() || ours == theirs, "together {ours:?}, alone {theirs:?}");
    ours
}

/// The parts that hit of each meta that hit.
fn told(set: &RuleSet, matches: &Matches) -> Vec<(RuleId, Vec<RuleId>)> {
    let both = || matches.hits.iter().chain(&matches.subtests).map(|hit| hit.rule);
    let parts = |id: RuleId| match set.basis(&set.rules()[id.index()]) {
        Basis::Rules(parts) => parts.into_iter().filter(|part| both().any(|hit| hit == *part)).collect(),
        _ => Vec::new(),
    };
    matches.hits.iter().map(|hit| (hit.rule, parts(hit.rule))).collect()
}
