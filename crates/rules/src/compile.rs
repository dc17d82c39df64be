//! From what rule files say to a [`RuleSet`]: patterns compiled, names looked up, metas put in order.

mod order;

use std::collections::HashMap;
use std::sync::Arc;

use order::{order_metas, order_tests};
use tidegate_mail::Score;

use crate::analysis::Analyses;
use crate::evals::{self, Arg, EvalState, EvalTarget};
use crate::field::FieldRequest;
use crate::language::expression::Expr;
use crate::language::rule::{self, LOCAL_TESTS_ONLY, PatternText, Test};
use crate::language::shortcircuit::Shortcircuit;
use crate::language::source::{Diagnostic, Place, Severity};
use crate::language::{Definition, Parsed};
use crate::metas::Metas;
use crate::needs::Needs;
use crate::pattern::{Modifiers, Pattern};
use crate::plan::Plan;
use crate::replace::replace_tags;
use crate::rule::{Flags, Matcher, Rule, RuleId, Subtest};
use crate::ruleset::RuleSet;
use crate::scratch::Scratches;
use crate::settings::{RblZone, Settings};
use crate::shortcircuit::{self, Stages};
use crate::template::{TagTemplate, Template, find_tags, has_names, is_required, is_tag_name};

/// Which of the four scores of a rule counts, and which rules run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// DNS is asked: rules that need it run.
    pub network: bool,
    /// A trained classifier gives a probability: rules that need it run.
    pub classifier: bool,
}

/// Compiles what was read. Remarks are on rules that were left out, or cannot hit.
#[must_use]
pub fn compile(parsed: Parsed, options: CompileOptions) -> (RuleSet, Vec<Diagnostic>) {
    compile_with(parsed, options, &mut Analyses::default())
}

/// The same as [`compile()`], several times sooner for patterns whose analysis is known. Afterwards `analyses` holds those of this set.
#[must_use]
pub fn compile_with(
    mut parsed: Parsed,
    options: CompileOptions,
    analyses: &mut Analyses,
) -> (RuleSet, Vec<Diagnostic>) {
    analyses.begin();
    shortcircuit::name_settled_rule(&mut parsed);
    let names: Vec<Arc<str>> = parsed.rules.keys().map(|name| name.as_str().into()).collect();
    let by_name = (0..).zip(&names).map(|(index, name)| (name.clone(), RuleId(index))).collect();
    let mut compiler = Compiler {
        parsed: &parsed,
        options,
        analyses,
        by_name,
        fields: Vec::new(),
        field_ids: HashMap::new(),
        remarks: Vec::new(),
    };
    let rules: Vec<Rule> =
        names.iter().zip(parsed.rules.values()).map(|(name, definition)| compiler.rule(name, definition)).collect();
    let Compiler { by_name, fields, mut remarks, analyses, .. } = compiler;
    let mut set = RuleSet {
        rules,
        by_name,
        fields,
        order: Vec::new(),
        metas: Metas::default(),
        stages: None,
        plan: Plan::default(),
        needs: Needs::default(),
        settings: Arc::new(with_rbl_sets(&parsed)),
        scratches: Scratches::default(),
    };
    set.order = order_tests(&set, &parsed.priorities);
    set.plan = Plan::new(&set.rules, &set.order, set.fields.len(), analyses);
    analyses.end();
    order_metas(&mut set, &mut remarks);
    set.stages = Stages::of(&set.rules, &set.metas, &parsed);
    set.needs = Needs::new(&set.rules, &set.plan, &set.metas);
    (set, remarks)
}

/// The settings, with the sets of blocklist look-ups that rules define for each other.
fn with_rbl_sets(parsed: &Parsed) -> Settings {
    let mut settings = parsed.settings.clone();
    for definition in parsed.rules.values() {
        let Test::Eval { function, arguments, .. } = &definition.test else { continue };
        if let [set, zone, rest @ ..] = arguments.as_slice()
            && function.starts_with("check_rbl")
            && function != "check_rbl_sub"
        {
            let headers = rest.get(1).cloned().filter(|_| function == "check_rbl_headers");
            settings.rbl_sets.entry(set.clone()).or_insert(RblZone {
                function: function.clone(),
                zone: zone.clone(),
                headers,
            });
        }
    }
    settings
}

struct Compiler<'a> {
    parsed: &'a Parsed,
    options: CompileOptions,
    analyses: &'a mut Analyses,
    by_name: HashMap<Arc<str>, RuleId>,
    fields: Vec<FieldRequest>,
    field_ids: HashMap<FieldRequest, usize>,
    remarks: Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn rule(&mut self, name: &Arc<str>, definition: &Definition) -> Rule {
        let flags = read_flags(self.parsed.flags.get(&**name).map_or("", String::as_str));
        let points = self.points(name, &flags);
        let is_off = points == 0.0
            || (flags.net
                && !self.options.network
                && !matches!(definition.test, Test::Meta(_))
                && needs_service(&definition.test))
            || (flags.learn && !self.options.classifier && matches!(definition.test, Test::Eval { .. }));
        let matcher = if is_off && !matches!(definition.test, Test::Meta(_)) {
            Matcher::Never
        } else {
            self.matcher(name, definition).unwrap_or_else(|message| {
                self.remark(&definition.place, Severity::Error, format!("rule {name}: {message}"));
                Matcher::Never
            })
        };
        Rule {
            name: name.clone(),
            score: Score::from_points(points),
            description: self.parsed.descriptions.get(&**name).cloned(),
            place: definition.place.clone(),
            flags,
            priority: self.parsed.priorities.get(&**name).copied().unwrap_or(0),
            shortcircuit: self.shortcircuit(name),
            matcher,
        }
    }

    fn shortcircuit(&self, name: &str) -> Option<Shortcircuit> {
        let is_loaded = self.parsed.features.is_loaded("Shortcircuit");
        self.parsed.shortcircuits.get(name).copied().filter(|_| is_loaded)
    }

    /// A rule without a score has 1 point, -1 if it is nice, 0.01 if its name begins with `T_`.
    fn points(&self, name: &str, flags: &Flags) -> f64 {
        let set = usize::from(self.options.network) + 2 * usize::from(self.options.classifier);
        match self.parsed.scores.get(name) {
            Some(points) => points.get(set).copied().unwrap_or_default(),
            None => {
                let points = if name.starts_with("T_") { 0.01 } else { 1.0 };
                if flags.nice { -points } else { points }
            }
        }
    }

    fn matcher(&mut self, name: &str, definition: &Definition) -> Result<Matcher, String> {
        Ok(match &definition.test {
            Test::Header { request, pattern, is_negated, unset } => Matcher::Header {
                field: self.field(request),
                pattern: self.template(name, pattern)?,
                is_negated: *is_negated,
                unset: unset.clone(),
            },
            Test::HeaderExists(request) => Matcher::HeaderExists { field: self.field(request) },
            Test::Text(kind, pattern) => Matcher::Text { kind: *kind, pattern: self.template(name, pattern)? },
            Test::MimeHeader { field, is_raw, pattern, is_negated, unset } => Matcher::MimeHeader {
                field: field.clone(),
                is_raw: *is_raw,
                pattern: self.template(name, pattern)?,
                is_negated: *is_negated,
                unset: unset.clone(),
            },
            Test::UriDetail(clauses) => {
                let mut compiled = Vec::new();
                for clause in clauses {
                    compiled.push((clause.key, clause.is_negated, compile_pattern(&clause.pattern)?));
                }
                Matcher::UriDetail(compiled)
            }
            Test::Eval { target, function, arguments } => {
                self.eval(name, &definition.place, *target, function, arguments)?
            }
            Test::Meta(expression) => Matcher::Meta(self.meta(name, expression)),
            Test::AskDns { template, record, subtest } => match record {
                Some(record) => {
                    let subtest = subtest.as_deref().map(read_subtest).transpose()?;
                    Matcher::AskDns { template: template.clone(), record: *record, subtest }
                }
                None => return Err("this record type is never asked".to_owned()),
            },
            Test::Empty => Matcher::Never,
        })
    }

    fn field(&mut self, request: &FieldRequest) -> usize {
        let fields = &mut self.fields;
        *self.field_ids.entry(request.clone()).or_insert_with(|| {
            fields.push(request.clone());
            fields.len() - 1
        })
    }

    fn template(&self, name: &str, pattern: &PatternText) -> Result<Template, String> {
        let replaced = self.parsed.replacements.rules.contains_key(name);
        let pattern = if replaced { replace_tags(pattern, &self.parsed.replacements) } else { pattern.clone() };
        let (source, names) = find_tags(&pattern.source);
        let is_known = names.is_empty() && self.analyses.knows(&source, pattern.modifiers) && !has_names(&source);
        let compiled = if is_known {
            Pattern::known(&source, pattern.modifiers)
        } else {
            compile_pattern(&PatternText { source: source.clone(), modifiers: pattern.modifiers })?
        };
        let captures = compiled.group_names().any(is_tag_name);
        let required = names.iter().find(|name| is_required(name, &source, pattern.modifiers)).cloned();
        let modifiers = pattern.modifiers;
        let tags = (!names.is_empty()).then(|| Box::new(TagTemplate { source, modifiers, names, required }));
        Ok(Template { pattern: compiled, tags, captures })
    }

    fn eval(
        &mut self,
        name: &str,
        place: &Place,
        target: EvalTarget,
        function: &str,
        arguments: &[String],
    ) -> Result<Matcher, String> {
        let Some(found) = evals::lookup(function) else {
            let message = format!("rule {name}: the eval test {function} is not known here; the rule never hits");
            self.remark(place, Severity::Warning, message);
            return Ok(Matcher::Never);
        };
        if !found.plugin.is_empty() && !self.parsed.features.is_loaded(found.plugin) {
            let message = format!(
                "rule {name}: {function} is of the plugin {}, which is not loaded; the rule never hits",
                found.plugin
            );
            self.remark(place, Severity::Warning, message);
            return Ok(Matcher::Never);
        }
        if found.state == EvalState::NoService {
            self.remark(
                place,
                Severity::Note,
                format!("rule {name}: the service behind {function} is not asked; the rule never hits"),
            );
        }
        let mut compiled = Vec::new();
        for (index, text) in arguments.iter().enumerate() {
            let pattern = if found.pattern_args.contains(&index) { Some(argument_pattern(text)?) } else { None };
            compiled.push(Arg { text: text.clone(), pattern });
        }
        Ok(Matcher::Eval { target, function: found, arguments: compiled })
    }

    /// The expression over ids. Names of no rule are 0; globs become sums.
    fn meta(&self, name: &str, expression: &Expr<String>) -> Expr<RuleId> {
        expression.replace(&mut |text: &String| match rule::matching_glob(text) {
            Some(glob) => {
                let is_meant =
                    |candidate: &str| candidate != name && matches_glob(glob.as_bytes(), candidate.as_bytes());
                let mut ids: Vec<RuleId> =
                    self.by_name.iter().filter(|(other, _)| is_meant(other)).map(|(_, id)| *id).collect();
                ids.sort_unstable();
                Expr::sum(ids)
            }
            None if text == LOCAL_TESTS_ONLY => {
                Expr::Number(if self.parsed.features.local_tests_only() { 1.0 } else { 0.0 })
            }
            None => self.by_name.get(text.as_str()).map_or(Expr::Number(0.0), |id| Expr::Name(*id)),
        })
    }

    fn remark(&mut self, place: &Place, severity: Severity, message: String) {
        self.remarks.push(Diagnostic { place: place.clone(), severity, message });
    }
}

/// Whether a rule marked `net` is left out without a network: SpamAssassin runs pattern rules all the same.
fn needs_service(test: &Test) -> bool {
    matches!(test, Test::Eval { .. } | Test::AskDns { .. } | Test::MimeHeader { .. } | Test::UriDetail(_))
}

fn read_flags(text: &str) -> Flags {
    let mut flags = Flags { text: text.to_owned(), ..Flags::default() };
    for word in text.split([' ', '\t', ',']) {
        match word {
            "multiple" => flags.multiple = true,
            "nosubject" => flags.no_subject = true,
            "net" => flags.net = true,
            "nice" => flags.nice = true,
            "learn" => flags.learn = true,
            "concat" => flags.concat = true,
            _ => {
                if let Some(count) = word.strip_prefix("maxhits=") {
                    flags.hits_max = count.parse().ok();
                } else if let Some(range) = word.strip_prefix("range=") {
                    flags.parts = read_range(range);
                }
            }
        }
    }
    flags
}

/// `3`, `3-`, `-3`, `2-4`.
fn read_range(text: &str) -> Option<(u32, u32)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let low = if low.is_empty() { 0 } else { low.parse().ok()? };
    let high = if high.is_empty() { u32::MAX } else { high.parse().ok()? };
    Some((low, high))
}

fn compile_pattern(pattern: &PatternText) -> Result<Pattern, String> {
    Pattern::compile(&pattern.source, pattern.modifiers).map_err(|error| error.to_string())
}

fn argument_pattern(text: &str) -> Result<Pattern, String> {
    let is_delimited = text.starts_with('/') || text.starts_with("m{") || text.starts_with("qr{");
    let pattern = if is_delimited {
        Pattern::parse(text.as_bytes())
    } else {
        Pattern::compile(text.as_bytes(), Modifiers::default())
    };
    pattern.map_err(|error| error.to_string())
}

/// `*` is any text, `?` one character.
fn matches_glob(glob: &[u8], name: &[u8]) -> bool {
    let (mut at_glob, mut at_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at_name < name.len() {
        match (glob.get(at_glob), name.get(at_name)) {
            (Some(b'*'), _) => {
                star = Some((at_glob + 1, at_name));
                at_glob += 1;
            }
            (Some(wanted), Some(found)) if *wanted == b'?' || wanted == found => {
                at_glob += 1;
                at_name += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at_glob, at_name) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    glob.get(at_glob..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

/// `127.0.0.2`, `4-8`, `127.0.0.1/0x02`, `/pattern/i`, or any other text.
fn read_subtest(text: &str) -> Result<Subtest, String> {
    if text.starts_with('/') || text.starts_with("m{") {
        return Pattern::parse(text.as_bytes()).map(Subtest::Pattern).map_err(|error| error.to_string());
    }
    let (range, mask) = text.split_once('/').map_or((text, None), |(range, mask)| (range, Some(mask)));
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    match (read_number(low), read_number(high), mask.map(read_number)) {
        (Some(low), Some(high), Some(Some(mask))) => Ok(Subtest::Bits { mask, low, high }),
        (Some(low), Some(high), None) if low == high && !low_is_dotted(range) => {
            Ok(Subtest::Bits { mask: low, low, high })
        }
        (Some(low), Some(high), None) => Ok(Subtest::Bits { mask: u32::MAX, low, high }),
        _ => Ok(Subtest::Text(text.to_owned())),
    }
}

fn low_is_dotted(text: &str) -> bool {
    text.contains('.')
}

fn read_number(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).ok();
    }
    text.parse().ok().or_else(|| text.parse::<std::net::Ipv4Addr>().ok().map(u32::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};

    fn compiled(text: &str) -> (RuleSet, Vec<Diagnostic>) {
        let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        compile(parsed, CompileOptions::default())
    }

    fn is_alive(set: &RuleSet, name: &str) -> bool {
        !matches!(set.rule(name).unwrap().matcher, Matcher::Never)
    }

    #[test]
    fn metas_that_can_never_be_known() {
        let (set, remarks) = compiled(
            "body A /a/\nmeta ZERO A\nscore ZERO 0\nmeta ON_ZERO ZERO || A\nmeta LOOP1 LOOP2\nmeta LOOP2 LOOP1\nmeta GOOD A && MISSING\n\
             meta LATE EARLY\nmeta EARLY A",
        );
        for (name, expected) in [("ON_ZERO", false), ("LOOP1", false), ("LOOP2", false), ("GOOD", true), ("LATE", true)]
        {
            assert_eq!(is_alive(&set, name), expected, "{name}");
        }
        assert_eq!(remarks.len(), 3, "{remarks:?}");
        let order: Vec<&str> = set.metas.order().iter().map(|id| &*set.rules[id.index()].name).collect();
        assert_eq!(order, ["EARLY", "GOOD", "LATE"]);
    }

    #[test]
    fn scores_by_default() {
        let (set, _) =
            compiled("body A /a/\nbody T_B /b/\nbody C /c/\ntflags C nice\nbody D /d/\nscore D 1 2 3 4\nscore D (0.5)");
        for (name, milli) in [("A", 1000), ("T_B", 10), ("C", -1000), ("D", 1500)] {
            assert_eq!(set.rule(name).unwrap().score, Score::milli(milli), "{name}");
        }
    }

    #[test]
    fn globs_of_rule_names() {
        for (glob, name, expected) in [
            ("A*", "AB", true),
            ("A*C", "ABBC", true),
            ("A?", "A", false),
            ("*B?", "AABC", true),
            ("A", "AB", false),
            ("**", "", true),
        ] {
            assert_eq!(matches_glob(glob.as_bytes(), name.as_bytes()), expected, "{glob} {name}");
        }
    }
}
