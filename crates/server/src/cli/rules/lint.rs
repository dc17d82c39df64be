//! What is wrong, or probably not meant, in rule files. Each kind of remark has a name, so that programs can sort them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidegate_rules::Guard;
use tidegate_rules::language::expression::Expr;
use tidegate_rules::language::rule::{LOCAL_TESTS_ONLY, Test, matching_glob};
use tidegate_rules::language::source::{Diagnostic, Place, Severity};
use tidegate_rules::language::{Parsed, Statement, StatementKind};

use super::Loaded;

/// What a remark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// A line that cannot be read, or has no effect here.
    Line,
    /// A rule that cannot be used as it stands: its pattern, its eval test, a circle of metas.
    Rule,
    /// A rule that is defined twice.
    Duplicate,
    /// A score, description or flag of a rule that does not exist.
    NoRule,
    /// A rule without score.
    NoScore,
    /// A rule without description.
    NoDescription,
    /// A meta that names a rule which does not exist.
    UnknownName,
    /// A meta that never hits, or always.
    Unreachable,
    /// A subtest that no rule asks for.
    Unused,
    /// A pattern that costs much.
    Slow,
}

impl About {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            About::Line => "line",
            About::Rule => "rule",
            About::Duplicate => "duplicate",
            About::NoRule => "no-rule",
            About::NoScore => "no-score",
            About::NoDescription => "no-description",
            About::UnknownName => "unknown-name",
            About::Unreachable => "unreachable",
            About::Unused => "unused",
            About::Slow => "slow",
        }
    }
}

/// One remark.
#[derive(Clone, Debug)]
pub(super) struct Remark {
    pub(super) place: Place,
    pub(super) severity: Severity,
    pub(super) about: About,
    /// The rule it is about, if it is about one.
    pub(super) rule: Option<String>,
    pub(super) message: String,
}

/// All remarks, by file and line.
pub(super) fn remarks(loaded: &Loaded) -> Vec<Remark> {
    let mut remarks: Vec<Remark> = Vec::new();
    remarks.extend(loaded.parsed.diagnostics.iter().map(|diagnostic| of(diagnostic, About::Line)));
    remarks.extend(loaded.remarks.iter().map(|diagnostic| of(diagnostic, About::Rule)));
    statements(&loaded.parsed, &mut remarks);
    missing_lines(&loaded.parsed, &mut remarks);
    metas(&loaded.parsed, &mut remarks);
    patterns(loaded, &mut remarks);
    let order: HashMap<&str, usize> =
        loaded.sources.iter().enumerate().map(|(index, source)| (source.name.as_str(), index)).collect();
    remarks.sort_by_key(|remark| {
        (order.get(&*remark.place.file).copied(), remark.place.line, remark.place.column, remark.about)
    });
    remarks
}

fn of(diagnostic: &Diagnostic, about: About) -> Remark {
    let Diagnostic { place, severity, message } = diagnostic.clone();
    let rule = message.strip_prefix("rule ").and_then(|rest| rest.split_once(':')).map(|(name, _)| name.to_owned());
    Remark { place, severity, about, rule, message }
}

fn remark(place: &Place, severity: Severity, about: About, rule: &str, message: String) -> Remark {
    Remark { place: place.clone(), severity, about, rule: Some(rule.to_owned()), message }
}

/// Rules defined twice, and lines about rules that do not exist.
fn statements(parsed: &Parsed, remarks: &mut Vec<Remark>) {
    let mut defined: HashMap<&str, &Place> = HashMap::new();
    for Statement { kind, rule, place } in &parsed.statements {
        if *kind == StatementKind::Test {
            // Clauses of `uri_detail` may stand on several lines.
            let adds_up = parsed.rules.get(rule).is_some_and(|rule| matches!(rule.test, Test::UriDetail(_)));
            if let Some(former) = defined.insert(rule, place).filter(|_| !adds_up) {
                // A later file that changes a rule is how administrators adapt a set; within one file it is a slip.
                let severity = if former.file == place.file { Severity::Warning } else { Severity::Note };
                let message = format!("rule {rule} replaces the one at {former}");
                remarks.push(remark(place, severity, About::Duplicate, rule, message));
            }
        } else if !parsed.rules.contains_key(rule) {
            let line = match kind {
                StatementKind::Score => "score",
                StatementKind::Describe => "description",
                _ => "flags",
            };
            // A description alone does no harm; points that go nowhere were meant for some rule.
            let severity = if *kind == StatementKind::Score { Severity::Warning } else { Severity::Note };
            let message = format!("{line} of {rule}, but there is no such rule");
            remarks.push(remark(place, severity, About::NoRule, rule, message));
        }
    }
}

/// Rules without score or description.
fn missing_lines(parsed: &Parsed, remarks: &mut Vec<Remark>) {
    for (name, definition) in &parsed.rules {
        if name.starts_with("__") || matches!(definition.test, Test::Empty) {
            continue;
        }
        if !parsed.scores.contains_key(name) {
            let points = if name.starts_with("T_") { "0.01 points" } else { "1 point" };
            let message = format!("rule {name} has no score; it counts {points}");
            remarks.push(remark(&definition.place, Severity::Note, About::NoScore, name, message));
        }
        if !parsed.descriptions.contains_key(name) {
            let message = format!("rule {name} has no description; reports show only its name");
            remarks.push(remark(&definition.place, Severity::Note, About::NoDescription, name, message));
        }
    }
}

/// Metas that name what does not exist, can never hit, or always do; subtests that nobody asks for.
fn metas(parsed: &Parsed, remarks: &mut Vec<Remark>) {
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    let mut globs: BTreeSet<&str> = BTreeSet::new();
    for (name, definition) in &parsed.rules {
        let Test::Meta(expression) = &definition.test else { continue };
        let mut unknown = BTreeSet::new();
        let mut known = 0;
        expression.names(&mut |part: &String| match matching_glob(part) {
            Some(glob) => {
                globs.insert(glob);
                known += 1;
            }
            None if parsed.rules.contains_key(part) => {
                asked.insert(part);
                known += 1;
            }
            None if part == LOCAL_TESTS_ONLY => known += 1,
            None => {
                unknown.insert(part.as_str());
            }
        });
        for part in &unknown {
            let message = format!("rule {name} names {part}, but there is no such rule; it counts as no hit");
            remarks.push(remark(&definition.place, Severity::Warning, About::UnknownName, name, message));
        }
        let with_no_hits = expression.eval(&mut |_: &String| 0.0);
        if let Some(message) = reach(name, expression, [known, unknown.len()], with_no_hits) {
            remarks.push(remark(&definition.place, Severity::Warning, About::Unreachable, name, message));
        }
    }
    for (name, definition) in parsed.rules.iter().filter(|(name, _)| name.starts_with("__")) {
        // Which rules a glob means is known to the compiler; a glob that could mean this one is enough here.
        let may_be_meant = globs.iter().any(|glob| name.starts_with(glob.split(['*', '?']).next().unwrap_or_default()));
        if !asked.contains(name.as_str()) && !may_be_meant {
            let message = format!("no rule asks for {name}");
            remarks.push(remark(&definition.place, Severity::Note, About::Unused, name, message));
        }
    }
}

/// `known` and `unknown` are how many rules it names that exist, and that do not.
fn reach(name: &str, expression: &Expr<String>, [known, unknown]: [usize; 2], with_no_hits: f64) -> Option<String> {
    if known == 0 && unknown == 0 {
        let hits = if with_no_hits == 0.0 { "can never hit" } else { "hits every message" };
        return Some(format!("rule {name} {hits}: it names no rule"));
    }
    if known == 0 && with_no_hits == 0.0 {
        return Some(format!("rule {name} can never hit: none of the rules that it names exists"));
    }
    if known == 0 {
        return Some(format!("rule {name} hits every message: none of the rules that it names exists"));
    }
    // `A && !A` is beyond this; that all of one row of rules must hit, one of them missing, is not.
    let is_missing_part = |part: &Expr<String>| matches!(part, Expr::Number(number) if *number == 0.0);
    let is_row_with_zero = match expression {
        Expr::Chain(first, rest) => {
            use tidegate_rules::language::expression::Operator::And;
            rest.iter().all(|(operator, _)| *operator == And)
                && (is_missing_part(first) || rest.iter().any(|(_, part)| is_missing_part(part)))
        }
        _ => false,
    };
    is_row_with_zero.then(|| format!("rule {name} can never hit: one of its conditions is 0"))
}

/// Patterns that cost much.
fn patterns(loaded: &Loaded, remarks: &mut Vec<Remark>) {
    let kinds: BTreeMap<&str, &Test> =
        loaded.parsed.rules.iter().map(|(name, definition)| (name.as_str(), &definition.test)).collect();
    for rule in loaded.set.rules() {
        let name: &str = &rule.name;
        if loaded.set.has_nested_repeats(rule) {
            let message = format!(
                "rule {name} repeats without bound what repeats without bound; a text that just fails to match can cost the limit of steps"
            );
            remarks.push(remark(&rule.place, Severity::Warning, About::Slow, name, message));
            continue;
        }
        // Headers and links are short: trying a pattern on them costs less than a remark.
        let is_long_text = matches!(kinds.get(name), Some(Test::Text(kind, _)) if is_long(*kind));
        if is_long_text && loaded.set.guard(rule) == Some(Guard::Nothing) {
            let message =
                format!("rule {name} holds no literal of three octets, so its pattern is tried on every text");
            remarks.push(remark(&rule.place, Severity::Warning, About::Slow, name, message));
        }
    }
}

fn is_long(kind: tidegate_rules::language::rule::TextKind) -> bool {
    use tidegate_rules::language::rule::TextKind::{Body, Full, RawBody};
    matches!(kind, Body | RawBody | Full)
}

#[cfg(test)]
mod tests {
    use tidegate_rules::language::source::SourceFile;

    use super::*;

    #[test]
    fn each_slip_has_its_remark() {
        for (text, expected) in [
            ("boddy A /a/", "1:1 error line"),
            ("body A /a(/", "1:6 error rule"),
            ("header A eval:no_such_function()", "1:8 warning rule"),
            ("body A /aaa/\nbody A /bbb/", "2:6 warning duplicate"),
            ("score MISSING 2", "1:7 warning no-rule"),
            ("meta A MISSING && 1", "1:6 warning unknown-name; 1:6 warning unreachable"),
            ("meta A local_tests_only && __B\nbody __B /bbb/", ""),
            ("meta A !MISSING", "1:6 warning unknown-name; 1:6 warning unreachable"),
            ("body __A /aaa/\nmeta B __A && 0", "2:6 warning unreachable"),
            ("meta A B\nmeta B A", "1:6 warning rule; 2:6 warning rule"),
            ("body A /(?:ab+c)+def/", ""),
            ("body A /(?:\\d+)+,/", "1:6 warning slow"),
            ("uri A /\\d\\d/", ""),
            ("uri_detail A text =~ /a/\nuri_detail A domain =~ /b/", ""),
        ] {
            let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() }]);
            let found: Vec<String> = remarks(&loaded)
                .into_iter()
                .filter(|remark| remark.severity > Severity::Note)
                .map(|r| format!("{}:{} {} {}", r.place.line, r.place.column, r.severity, r.about.as_str()))
                .collect();
            assert_eq!(found.join("; "), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_to_be_said_of_our_own_rules() {
        let remarks: Vec<String> = remarks(&Loaded::of(tidegate_rules::shipped::files()))
            .into_iter()
            .map(|remark| format!("{}: {}", remark.place, remark.message))
            .collect();
        assert_eq!(remarks, [] as [&str; 0]);
    }

    #[test]
    fn notes_do_not_disturb() {
        let text = b"body A /aaa/\nbody __B /bbb/\ndescribe C nothing\n".to_vec();
        let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text }]);
        let found: Vec<&str> = remarks(&loaded).iter().map(|remark| remark.about.as_str()).collect();
        assert_eq!(found, ["no-score", "no-description", "unused", "no-rule"]);
    }
}
