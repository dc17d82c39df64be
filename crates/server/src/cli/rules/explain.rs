//! `tidegate rules explain`: one rule, with all that is said of it and all that it needs.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tidegate_mail::Score;
use tidegate_rules::evals;
use tidegate_rules::language::Definition;
use tidegate_rules::language::rule::{LOCAL_TESTS_ONLY, Test, TextKind, matching_glob};

use super::{Ended, Loaded, shown};

/// How deep the tree of a meta is shown.
const TREE_DEPTH_MAX: usize = 12;
/// How many names are shown in a list.
const NAMES_SHOWN_MAX: usize = 20;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The rule's name.
    name: String,
    /// Rule files or folders, several times if need be; what the daemon reads if none is named.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let loaded = Loaded::read(config, &arguments.rules)?;
    let explained = explained(&loaded, &arguments.name).with_context(|| missing(&loaded, &arguments.name))?;
    if arguments.json {
        println!("{}", serde_json::to_string(&explained)?);
    } else {
        print!("{}", text(&loaded, &explained));
    }
    Ok(Ended::Done)
}

/// Says that there is no such rule, and which names are like it.
fn missing(loaded: &Loaded, name: &str) -> String {
    let wanted = name.to_ascii_uppercase();
    let alike = |candidate: &&String| !wanted.is_empty() && candidate.to_ascii_uppercase().contains(&wanted);
    let names: Vec<&str> = loaded.parsed.rules.keys().filter(alike).take(5).map(String::as_str).collect();
    let hint = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
    format!("there is no rule {}{hint}", shown(name.as_bytes()))
}

#[derive(Serialize)]
struct Explained {
    name: String,
    kind: &'static str,
    score: Score,
    /// Points without and with DNS, then the same with a classifier; absent when the rule has no `score` line.
    scores: Option<[f64; 4]>,
    describe: Option<String>,
    file: String,
    line: u32,
    column: u32,
    definition: String,
    flags: String,
    guard: Option<String>,
    needs: Vec<String>,
    uses: Vec<String>,
    used_by: Vec<String>,
    remarks: Vec<String>,
}

fn explained(loaded: &Loaded, name: &str) -> Option<Explained> {
    let (parsed, set) = (&loaded.parsed, &loaded.set);
    let definition = parsed.rules.get(name)?;
    let rule = set.rule(name)?;
    let used_by = parsed.rules.iter().filter(|(_, other)| names(other).contains(name)).map(|(other, _)| other.clone());
    let is_about = |message: &str| message.strip_prefix("rule ").is_some_and(|m| m.starts_with(&format!("{name}:")));
    let remarks = parsed.diagnostics.iter().chain(&loaded.remarks).filter(|remark| is_about(&remark.message));
    Some(Explained {
        name: name.to_owned(),
        kind: kind(&definition.test),
        score: rule.score,
        scores: parsed.scores.get(name).copied(),
        describe: rule.description.clone(),
        file: definition.place.file.to_string(),
        line: definition.place.line,
        column: definition.place.column,
        definition: loaded.line(&definition.place.file, definition.place.line),
        flags: rule.flags.text.clone(),
        guard: set.guard(rule).map(|guard| guard.to_string()),
        needs: needs(loaded, name, definition),
        uses: names(definition).into_iter().collect(),
        used_by: used_by.collect(),
        remarks: remarks.map(ToString::to_string).collect(),
    })
}

fn kind(test: &Test) -> &'static str {
    match test {
        Test::Header { .. } | Test::HeaderExists(_) => "header",
        Test::Text(TextKind::Body, _) => "body",
        Test::Text(TextKind::RawBody, _) => "rawbody",
        Test::Text(TextKind::Full, _) => "full",
        Test::Text(TextKind::Uri, _) => "uri",
        Test::MimeHeader { .. } => "mimeheader",
        Test::UriDetail(_) => "uri_detail",
        Test::Eval { .. } => "eval",
        Test::Meta(_) => "meta",
        Test::Empty => "empty",
        Test::AskDns { .. } => "askdns",
    }
}

/// The rules that a meta names.
fn names(definition: &Definition) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Test::Meta(expression) = &definition.test {
        expression.names(&mut |name: &String| {
            let shown = matching_glob(name).map_or_else(|| name.clone(), |glob| format!("rules_matching({glob})"));
            found.insert(shown);
        });
    }
    found
}

/// What must be there so that the rule can hit.
fn needs(loaded: &Loaded, name: &str, definition: &Definition) -> Vec<String> {
    let mut needs = Vec::new();
    if let Test::Eval { function, .. } = &definition.test {
        match evals::lookup(function) {
            None => needs.push(format!("the eval test {function}, which is not known here")),
            Some(found) if !found.plugin.is_empty() => needs.push(format!("the plugin {}", found.plugin)),
            Some(_) => {}
        }
    }
    let flags = loaded.set.rule(name).map(|rule| &rule.flags);
    if flags.is_some_and(|flags| flags.net) || matches!(definition.test, Test::AskDns { .. }) {
        needs.push("DNS".to_owned());
    }
    if flags.is_some_and(|flags| flags.learn) {
        needs.push("a trained classifier".to_owned());
    }
    needs
}

fn text(loaded: &Loaded, explained: &Explained) -> String {
    let Explained { name, score, file, line, column, definition, guard, .. } = explained;
    let mut text = String::new();
    let points = if name.starts_with("__") { "a subtest without points".to_owned() } else { format!("{score} points") };
    let _infallible = writeln!(text, "{name}: {points}");
    let mut row = |title: &str, value: &str| {
        if !value.is_empty() {
            let _infallible = writeln!(text, "{title:<12}{value}");
        }
    };
    row("describes", explained.describe.as_deref().map(|d| shown(d.as_bytes())).as_deref().unwrap_or_default());
    row("defined at", &format!("{file}:{line}:{column}"));
    row("tests", &shown(definition.as_bytes()));
    row("scores", &explained.scores.map(all_scores).unwrap_or_default());
    row("flags", &explained.flags);
    row("guarded by", guard.as_deref().unwrap_or_default());
    row("needs", &explained.needs.join(", "));
    row("used by", &listed(&explained.used_by));
    explained.remarks.iter().for_each(|remark| row("remark", &shown(remark.as_bytes())));
    if !explained.uses.is_empty() {
        text.push_str("made of\n");
        let mut shown_before = BTreeSet::from([name.clone()]);
        push_tree(loaded, name, 1, &mut shown_before, &mut text);
    }
    text
}

/// Points in each of the four score sets, unless they are all the same.
fn all_scores(scores: [f64; 4]) -> String {
    let [local, net, bayes, both] = scores;
    if scores.iter().all(|score| *score == local) {
        return String::new();
    }
    format!("{local} alone, {net} with DNS, {bayes} with a classifier, {both} with both")
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let mut text = names.iter().take(NAMES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(" ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The parts of a meta, each with its line, below each other; a rule that stood before is only named.
fn push_tree(loaded: &Loaded, name: &str, depth: usize, before: &mut BTreeSet<String>, text: &mut String) {
    let Some(definition) = loaded.parsed.rules.get(name).filter(|_| depth <= TREE_DEPTH_MAX) else { return };
    for part in names(definition) {
        let indent = "  ".repeat(depth);
        let line = match loaded.parsed.rules.get(&part) {
            None if part == LOCAL_TESTS_ONLY => format!("{part}: 1 where rules ask no DNS"),
            None => format!("{part}: no such rule"),
            Some(_) if !before.insert(part.clone()) => format!("{part}: see above"),
            Some(inner) => shown(loaded.line(&inner.place.file, inner.place.line).as_bytes()),
        };
        let is_new = !line.ends_with(": see above");
        let _infallible = writeln!(text, "{indent}{line}");
        if is_new {
            push_tree(loaded, &part, depth + 1, before, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_rules::language::source::SourceFile;

    use super::*;

    const RULES: &str = "body __PILLS /cheap pills/i\nheader __TO exists:To\nmeta __BOTH __PILLS && !__TO\n\
                         meta OFFER __BOTH && __PILLS && MISSING\nscore OFFER 1 2 1 2\ndescribe OFFER Sells pills\n";

    fn loaded() -> Loaded {
        Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text: RULES.as_bytes().to_vec() }])
    }

    #[test]
    fn a_meta_is_shown_as_a_tree() {
        let loaded = loaded();
        let shown = text(&loaded, &explained(&loaded, "OFFER").unwrap());
        assert_eq!(
            shown,
            "OFFER: 1.0 points\ndescribes   Sells pills\ndefined at  t.cf:4:6\ntests       meta OFFER __BOTH && __PILLS && MISSING\n\
             scores      1 alone, 2 with DNS, 1 with a classifier, 2 with both\nmade of\n  MISSING: no such rule\n  meta __BOTH __PILLS && !__TO\n    body __PILLS /cheap pills/i\n    header __TO exists:To\n  __PILLS: see above\n"
        );
    }

    #[test]
    fn a_pattern_says_what_guards_it_and_who_uses_it() {
        let loaded = loaded();
        let explained = explained(&loaded, "__PILLS").unwrap();
        assert_eq!(explained.guard.as_deref(), Some("{cheap pills}"));
        assert_eq!(explained.used_by, ["OFFER", "__BOTH"]);
    }

    #[test]
    fn a_name_that_is_not_there_finds_those_like_it() {
        assert_eq!(missing(&loaded(), "pills"), "there is no rule pills; there are __PILLS");
        assert_eq!(missing(&loaded(), "x\u{1b}"), "there is no rule x\\u{1b}");
    }
}
