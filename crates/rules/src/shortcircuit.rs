//! `shortcircuit`: a rule that settles the matter. SpamAssassin then leaves out all rules that it has not come to; here all are matched at
//! once, and the hits of those that would not have run are taken away again (`Mail::SpamAssassin::Plugin::Shortcircuit`).

use std::collections::BTreeMap;

use tidegate_mail::Score;

use crate::evals::EvalTarget;
use crate::language::expression::Expr;
use crate::language::rule::{LOCAL_TESTS_ONLY, Test, TextKind, matching_glob};
use crate::language::shortcircuit::Shortcircuit;
use crate::language::{Definition, Parsed};
use crate::metas::{self, Metas};
use crate::plan::template_of;
use crate::rule::{Matcher, Rule, RuleId};

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
pub(crate) struct Stage {
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
    pub(crate) fn of(rules: &[Rule], metas: &Metas, parsed: &Parsed) -> Option<Stages> {
        if !parsed.features.is_loaded(PLUGIN) {
            return None;
        }
        let limit = |name: &str| {
            let points: Option<f64> = parsed.settings.last(name).and_then(|value| value.trim().parse().ok());
            points.map(Score::from_points)
        };
        let (high, low) = (limit(HIGH), limit(LOW));
        let settles = high.is_some() || low.is_some() || rules.iter().any(|rule| rule.shortcircuit.is_some());
        settles.then(|| Stages { by_rule: by_rule(rules, metas, parsed), high, low })
    }

    pub(crate) fn of_rule(&self, id: RuleId) -> Stage {
        self.by_rule.get(id.index()).copied().unwrap_or(END)
    }

    /// The points for having enough, if `sum` is. SpamAssassin sees it when the next rule hits, which it does not tell from others.
    pub(crate) fn enough(&self, sum: Score) -> Option<Score> {
        let is_high = self.high.is_some_and(|high| sum > high);
        let is_low = self.low.is_some_and(|low| sum < low);
        (is_high || is_low).then_some(if sum < Score::ZERO { -ENOUGH_POINTS } else { ENOUGH_POINTS })
    }
}

fn by_rule(rules: &[Rule], metas: &Metas, parsed: &Parsed) -> Vec<Stage> {
    let priorities = priorities(rules, metas, &parsed.priorities);
    let mut stages: Vec<Stage> = rules
        .iter()
        .zip(&priorities)
        .map(|(rule, &priority)| match step(&rule.matcher) {
            Some(step) => Stage { priority, step },
            None => END,
        })
        .collect();
    // Metas that name no rule run after the rules of the first priority.
    let first = stages.iter().filter(|stage| **stage != END).map(|stage| stage.priority).min().unwrap_or(0);
    for id in metas.order() {
        let (Some(expression), Some(rule)) = (metas::expression(rules, *id), rules.get(id.index())) else {
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
fn priorities(rules: &[Rule], metas: &Metas, stated: &BTreeMap<String, i32>) -> Vec<i32> {
    let of = |rule: &Rule| {
        let captures = template_of(&rule.matcher).is_some_and(|template| template.captures);
        let usual = if captures { CAPTURING_PRIORITY } else { 0 };
        let priority = stated.get(&*rule.name).copied().unwrap_or(usual);
        if asks_dns(rule) { priority.max(DNS_PRIORITY) } else { priority }
    };
    let mut priorities: Vec<i32> = rules.iter().map(of).collect();
    // Each meta before those that it names.
    for id in metas.order().iter().rev() {
        let Some(priority) = priorities.get(id.index()).copied() else { continue };
        let Some(expression) = metas::expression(rules, *id) else { continue };
        expression.names(&mut |part| {
            let is_net = rules.get(part.index()).is_some_and(|rule| rule.flags.net);
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
