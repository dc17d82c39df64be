//! `shortcircuit`: a rule that settles the matter. SpamAssassin then leaves out all rules that it has not come to; here all are matched at
//! once, and the hits of those that would not have run are taken away again (`Mail::SpamAssassin::Plugin::Shortcircuit`).

use std::collections::BTreeMap;

use tidegate_mail::Score;

use crate::evals::EvalTarget;
use crate::language::expression::Expr;
use crate::language::rule::{LOCAL_TESTS_ONLY, Test, TextKind, matching_glob};
use crate::language::{Definition, Parsed};
use crate::matching::{Hit, Matches};
use crate::metas;
use crate::plan::template_of;
use crate::ruleset::{Matcher, Rule, RuleId, RuleSet};

/// Points of `shortcircuit NAME spam` and `ham`, unless `shortcircuit_spam_score` and `shortcircuit_ham_score` say otherwise.
const SPAM_POINTS: f64 = 100.0;
const HAM_POINTS: f64 = -100.0;
/// The priority of a rule that is `spam` or `ham` and has none.
pub(crate) const SETTLING_PRIORITY: i32 = -200;
/// The priority of a rule whose captures fill tags.
const CAPTURING_PRIORITY: i32 = -10_000;
/// DNS is asked before rules of this priority run, so that no earlier rule waits for it.
const DNS_PRIORITY: i32 = -100;
const PLUGIN: &str = "Shortcircuit";
/// The directives by which the sum of the points settles the matter, and the points of that.
const HIGH: &str = "shortcircuit_max_spam_score";
const LOW: &str = "shortcircuit_min_ham_score";
const ENOUGH_POINTS: Score = Score::milli(1);
/// The rule that hits when another one has settled the matter.
pub const SETTLED_RULE: &str = "SHORTCIRCUIT";

/// What follows when the rule hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcircuit {
    /// Rules that have not run by then do not run.
    Stop,
    /// The same, and the message is spam.
    Spam,
    /// The same, and the message is no spam.
    Ham,
}

impl Shortcircuit {
    /// Reads the second word of a `shortcircuit` line; `None` for what is no such word, and for `off`.
    pub(crate) fn read(text: &str) -> Option<Shortcircuit> {
        match text {
            "on" => Some(Shortcircuit::Stop),
            "spam" => Some(Shortcircuit::Spam),
            "ham" => Some(Shortcircuit::Ham),
            _ => None,
        }
    }

    /// The flags that the rule has besides its own.
    pub(crate) fn flags(self) -> Option<&'static str> {
        match self {
            Shortcircuit::Stop => None,
            Shortcircuit::Spam => Some("noautolearn"),
            Shortcircuit::Ham => Some("nice noautolearn"),
        }
    }
}

/// The rule that settled the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which rule: one with `shortcircuit`, or the one whose points crossed `shortcircuit_max_spam_score` or `shortcircuit_min_ham_score`.
    pub rule: RuleId,
    /// How.
    pub how: Shortcircuit,
    /// Points for the verdict itself, which are those of the hit of the rule `SHORTCIRCUIT`; none or next to none for
    /// [`Shortcircuit::Stop`].
    pub score: Score,
}

/// SpamAssassin needs no definition of the rule that hits when another one has settled the matter.
pub(crate) fn name_settled_rule(parsed: &mut Parsed) {
    let has_limits = [HIGH, LOW].iter().any(|name| parsed.settings.last(name).is_some());
    let of_settling = parsed.shortcircuits.keys().find_map(|name| parsed.rules.get(name));
    let of_any = || parsed.rules.values().next().filter(|_| has_limits);
    let Some(place) = of_settling.or_else(of_any).map(|definition| definition.place.clone()) else { return };
    if parsed.features.is_loaded(PLUGIN) {
        let definition = Definition { test: Test::Empty, place };
        parsed.rules.entry(SETTLED_RULE.to_owned()).or_insert(definition);
    }
}

/// When SpamAssassin runs a rule: by priority, then by kind. What runs in the same stage runs also if one of it settles the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stage {
    priority: i32,
    step: Step,
}

/// The kinds of rules in the order in which SpamAssassin comes to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Header,
    HeaderEval,
    Body,
    Uri,
    BodyEval,
    RawBody,
    RawBodyEval,
    Full,
    FullEval,
    /// Metas run as soon as all rules that they name have run, whatever their own priority is.
    Meta,
    /// Those run last that name a rule which never runs.
    End,
}

const END: Stage = Stage { priority: i32::MAX, step: Step::End };

/// The stage of each rule, and when the sum of points settles the matter.
#[derive(Debug)]
pub(crate) struct Stages {
    by_rule: Vec<Stage>,
    /// More is enough.
    high: Option<Score>,
    /// Less is enough.
    low: Option<Score>,
}

impl Stages {
    /// The stages of a set whose metas are in order; `None` when nothing in it can settle the matter.
    pub(crate) fn of(set: &RuleSet, parsed: &Parsed) -> Option<Stages> {
        if !parsed.features.is_loaded(PLUGIN) {
            return None;
        }
        let limit = |name: &str| {
            let points: Option<f64> = set.settings.last(name).and_then(|value| value.trim().parse().ok());
            points.map(Score::from_points)
        };
        let (high, low) = (limit(HIGH), limit(LOW));
        let settles = high.is_some() || low.is_some() || set.rules.iter().any(|rule| rule.shortcircuit.is_some());
        settles.then(|| Stages { by_rule: by_rule(set, parsed), high, low })
    }

    fn of_rule(&self, id: RuleId) -> Stage {
        self.by_rule.get(id.index()).copied().unwrap_or(END)
    }

    /// The points for having enough, if `sum` is. SpamAssassin sees it when the next rule hits, which it does not tell from others.
    fn enough(&self, sum: Score) -> Option<Score> {
        let is_high = self.high.is_some_and(|high| sum > high);
        let is_low = self.low.is_some_and(|low| sum < low);
        (is_high || is_low).then_some(if sum < Score::ZERO { -ENOUGH_POINTS } else { ENOUGH_POINTS })
    }
}

fn by_rule(set: &RuleSet, parsed: &Parsed) -> Vec<Stage> {
    let priorities = priorities(set, &parsed.priorities);
    let mut stages: Vec<Stage> = set
        .rules
        .iter()
        .zip(&priorities)
        .map(|(rule, &priority)| match step(&rule.matcher) {
            Some(step) => Stage { priority, step },
            None => END,
        })
        .collect();
    // Metas that name no rule run after the rules of the first priority.
    let first = stages.iter().filter(|stage| **stage != END).map(|stage| stage.priority).min().unwrap_or(0);
    for id in set.metas.order() {
        let (Some(expression), Some(rule)) = (metas::expression(&set.rules, *id), set.rules.get(id.index())) else {
            continue;
        };
        let mut priority = first;
        let mut is_last = names_no_rule(parsed, &rule.name);
        expression.names(&mut |part| {
            let stage = stages.get(part.index()).copied().unwrap_or(END);
            is_last |= stage == END;
            priority = priority.max(stage.priority);
        });
        if let Some(stage) = stages.get_mut(id.index()) {
            *stage = if is_last { END } else { Stage { priority, step: Step::Meta } };
        }
    }
    stages
}

/// The priority of each rule: what a meta names runs no later than the meta is to.
fn priorities(set: &RuleSet, stated: &BTreeMap<String, i32>) -> Vec<i32> {
    let of = |rule: &Rule| {
        let captures = template_of(&rule.matcher).is_some_and(|template| template.captures);
        let usual = if captures { CAPTURING_PRIORITY } else { 0 };
        let priority = stated.get(&*rule.name).copied().unwrap_or(usual);
        if asks_dns(rule) { priority.max(DNS_PRIORITY) } else { priority }
    };
    let mut priorities: Vec<i32> = set.rules.iter().map(of).collect();
    // Each meta before those that it names.
    for id in set.metas.order().iter().rev() {
        let Some(priority) = priorities.get(id.index()).copied() else { continue };
        let Some(expression) = metas::expression(&set.rules, *id) else { continue };
        expression.names(&mut |part| {
            let is_net = set.rules.get(part.index()).is_some_and(|rule| rule.flags.net);
            if let Some(known) = priorities.get_mut(part.index()) {
                *known = (*known).min(if is_net { priority.max(DNS_PRIORITY) } else { priority });
            }
        });
    }
    priorities
}

fn asks_dns(rule: &Rule) -> bool {
    rule.flags.net && matches!(rule.matcher, Matcher::Eval { .. } | Matcher::AskDns { .. })
}

/// `None` for what never runs, and for metas.
fn step(matcher: &Matcher) -> Option<Step> {
    Some(match matcher {
        Matcher::Header { .. } | Matcher::HeaderExists { .. } => Step::Header,
        Matcher::Text { kind: TextKind::Body, .. } => Step::Body,
        Matcher::Text { kind: TextKind::Uri, .. } => Step::Uri,
        Matcher::Text { kind: TextKind::RawBody, .. } => Step::RawBody,
        Matcher::Text { kind: TextKind::Full, .. } => Step::Full,
        Matcher::MimeHeader { .. } | Matcher::UriDetail(_) => Step::BodyEval,
        // Answers are looked at between all steps.
        Matcher::AskDns { .. } => Step::Header,
        Matcher::Eval { target: EvalTarget::Header, .. } => Step::HeaderEval,
        Matcher::Eval { target: EvalTarget::Body | EvalTarget::Uri, .. } => Step::BodyEval,
        Matcher::Eval { target: EvalTarget::RawBody, .. } => Step::RawBodyEval,
        Matcher::Eval { target: EvalTarget::Full, .. } => Step::FullEval,
        Matcher::Meta(_) | Matcher::Never => return None,
    })
}

/// Whether the meta has a name that is no rule's.
fn names_no_rule(parsed: &Parsed, meta: &str) -> bool {
    let Some(Test::Meta(expression)) = parsed.rules.get(meta).map(|definition| &definition.test) else { return false };
    let mut is_any = false;
    Expr::names(expression, &mut |name: &String| {
        let is_rule = matching_glob(name).is_some() || name == LOCAL_TESTS_ONLY || parsed.rules.contains_key(name);
        is_any |= !is_rule;
    });
    is_any
}

impl RuleSet {
    /// Takes away what would not have run, if a rule that hit settles the matter, and lets the rule `SHORTCIRCUIT` hit.
    pub(crate) fn settle(&self, mut matches: Matches) -> Matches {
        let Some(stages) = &self.stages else { return matches };
        let Some(settled) = self.settled(stages, &matches) else { return matches };
        let last = stages.of_rule(settled.rule);
        let has_run = |id: &RuleId| stages.of_rule(*id) <= last;
        matches.hits.retain(|hit| has_run(&hit.rule));
        matches.subtests.retain(|hit| has_run(&hit.rule));
        matches.limits.retain(has_run);
        matches.unavailable.retain(|(id, _)| has_run(id));
        if let Some(rule) = self.id(SETTLED_RULE) {
            let evidence = self.rules.get(settled.rule.index()).map(|rule| rule.name.as_bytes().to_vec());
            let hit = Hit { rule, count: 1, score: settled.score, evidence: evidence.unwrap_or_default() };
            matches.hits.retain(|hit| hit.rule != rule);
            matches.hits.push(hit);
            matches.hits.sort_by_key(|hit| hit.rule);
        }
        matches.settled = Some(settled);
        matches
    }

    /// What settles the matter first: a rule, or the sum of the points so far. Where SpamAssassin's order is a matter of chance, that of
    /// the names counts.
    fn settled(&self, stages: &Stages, matches: &Matches) -> Option<Settled> {
        let mut hits: Vec<&Hit> = matches.hits.iter().chain(&matches.subtests).collect();
        hits.sort_by_key(|hit| (stages.of_rule(hit.rule), hit.rule));
        let mut sum = Score::ZERO;
        hits.into_iter().find_map(|hit| {
            let rule = self.rules.get(hit.rule.index())?;
            if let Some(how) = rule.shortcircuit {
                return Some(Settled { rule: hit.rule, how, score: self.points(how) });
            }
            sum += hit.score;
            stages.enough(sum).map(|score| Settled { rule: hit.rule, how: Shortcircuit::Stop, score })
        })
    }

    fn points(&self, how: Shortcircuit) -> Score {
        let points = |name: &str, default: f64| {
            let configured = self.settings.last(name).and_then(|value| value.trim().parse().ok());
            Score::from_points(configured.unwrap_or(default))
        };
        match how {
            Shortcircuit::Stop => Score::ZERO,
            Shortcircuit::Spam => points("shortcircuit_spam_score", SPAM_POINTS),
            Shortcircuit::Ham => points("shortcircuit_ham_score", HAM_POINTS),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_mail::Score;

    use super::Shortcircuit;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};
    use crate::{Answers, CompileOptions, Context, Input, Matches, RuleSet, compile};

    const PLUGIN: &str = "loadplugin Mail::SpamAssassin::Plugin::Shortcircuit\n";

    fn matched(text: &str) -> (RuleSet, Matches) {
        let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        let (set, _) = compile(parsed, CompileOptions { network: true, classifier: false });
        let message = b"Subject: a b c\n\nbody\n";
        let matches =
            set.matches(&Input::from_octets(message, &Context::default(), set.settings()), &Answers::default());
        (set, matches)
    }

    fn hits(text: &str) -> Vec<String> {
        let (set, matches) = matched(text);
        matches.hits.iter().map(|hit| set.rules()[hit.rule.index()].name.to_string()).collect()
    }

    #[test]
    fn rules_of_a_later_priority_are_left_out() {
        let rules = "header A Subject =~ /a/\npriority A -100\nheader B Subject =~ /b/\nheader C Subject =~ /c/\npriority C -200\n";
        assert_eq!(hits(&format!("{PLUGIN}{rules}")), ["A", "B", "C"]);
        assert_eq!(hits(&format!("{PLUGIN}{rules}shortcircuit A on")), ["A", "C", "SHORTCIRCUIT"]);
        assert_eq!(hits(&format!("{PLUGIN}{rules}shortcircuit A off")), ["A", "B", "C"]);
        assert_eq!(hits(&format!("{rules}shortcircuit A on")), ["A", "B", "C"], "the plugin is not loaded");
    }

    #[test]
    fn spam_and_ham_have_points_of_their_own() {
        let rule = "header A Subject =~ /a/\n";
        let settled =
            |line: &str| matched(&format!("{PLUGIN}{rule}{line}")).1.settled.map(|s| (s.how, s.score.to_string()));
        assert_eq!(settled("shortcircuit A spam"), Some((Shortcircuit::Spam, "100.0".to_owned())));
        let ham = "shortcircuit A ham\nshortcircuit_ham_score -5";
        assert_eq!(settled(ham), Some((Shortcircuit::Ham, "-5.0".to_owned())));
        assert_eq!(settled(""), None);
    }

    /// SpamAssassin's manual has it so; the program itself sees it at the next rule that hits.
    #[test]
    fn the_sum_of_points_settles_the_matter() {
        let rules = format!(
            "{PLUGIN}header A Subject =~ /a/\nheader B Subject =~ /b/\nbody C /body/\nheader D Subject =~ /c/\npriority D -1\n"
        );
        for (lines, expected, why) in [
            ("shortcircuit_max_spam_score 1.5", &["A", "B", "D", "SHORTCIRCUIT"][..], "the first two make 2"),
            ("shortcircuit_max_spam_score 2", &["A", "B", "D", "SHORTCIRCUIT"], "as much is not more"),
            ("shortcircuit_max_spam_score 1\npriority B 1", &["A", "D", "SHORTCIRCUIT"], "B is not come to"),
            ("shortcircuit_min_ham_score -1\nscore D -2", &["D", "SHORTCIRCUIT"], "for good mail"),
            ("shortcircuit_max_spam_score 20\nshortcircuit_min_ham_score -20", &["A", "B", "C", "D"], "not enough"),
            ("shortcircuit_max_spam_score x", &["A", "B", "C", "D"], "no number"),
        ] {
            assert_eq!(hits(&format!("{rules}{lines}")), expected, "{why}");
        }
        let high = matched(&format!("{rules}shortcircuit_max_spam_score 1.5")).1;
        assert_eq!((high.settled.unwrap().how, high.score()), (Shortcircuit::Stop, Score::milli(3001)));
        let low = matched(&format!("{rules}shortcircuit_min_ham_score -1\nscore D -2")).1;
        assert_eq!(low.score(), Score::milli(-2001));
    }

    #[test]
    fn lines_that_say_nothing_are_told() {
        let text = format!(
            "{PLUGIN}shortcircuit\nshortcircuit A\nshortcircuit A maybe\nshortcircuit A on off\nheader A Subject =~ /a/"
        );
        let file = SourceFile { name: "t.cf".to_owned(), text: text.into_bytes() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        let needs = "error: `shortcircuit` needs a rule name and one of on, off, spam and ham";
        let expected = [
            format!("t.cf:2:13: {needs}"),
            format!("t.cf:3:14: {needs}"),
            "t.cf:4:14: error: `maybe` is none of on, off, spam and ham".to_owned(),
            format!("t.cf:5:14: {needs}"),
        ];
        assert_eq!(said, expected);
        assert!(compile(parsed, CompileOptions::default()).0.stages.is_none());
    }
}
