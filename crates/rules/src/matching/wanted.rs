//! The first step: which DNS questions the rules have about a message ([`RuleSet::wanted`]).

use std::collections::BTreeSet;

use super::Run;
use crate::dns::{Answers, DnsQuestion};
use crate::evals::EvalResult;
use crate::input::Input;
use crate::plan::template_of;
use crate::rule::{Matcher, RuleId};
use crate::ruleset::RuleSet;
use crate::template::is_tag_name;

impl RuleSet {
    /// The DNS questions that rules have about this message, sorted, without repeats. Ask them all, then call [`RuleSet::matches`], or
    /// [`RuleSet::wanted_after`] where some questions come from the answers to others.
    #[must_use]
    pub fn wanted(&self, input: &Input<'_>) -> Vec<DnsQuestion> {
        self.wanted_after(input, &Answers::default())
    }

    /// The questions that are still open when `answers` are known: who serves a domain is asked before what lists say of the server.
    #[must_use]
    pub fn wanted_after(&self, input: &Input<'_>, answers: &Answers) -> Vec<DnsQuestion> {
        let mut run = Run::new(self, input, answers);
        run.fill_tags();
        let mut questions = BTreeSet::new();
        for &id in &self.order {
            let Some(rule) = self.rules.get(id.index()).filter(|rule| rule.flags.net) else {
                continue;
            };
            match &rule.matcher {
                Matcher::Eval { target, function, arguments } => {
                    if let EvalResult::Ask(asked) = run.call(rule, *target, function, arguments) {
                        questions.extend(asked);
                    }
                }
                Matcher::AskDns { template, record, .. } => {
                    let names = run.fill(template).into_iter();
                    let asked = names.map(|name| DnsQuestion { name, record: *record });
                    questions.extend(asked.filter(|question| answers.get(question).is_none()));
                }
                _ => {}
            }
        }
        run.end();
        questions.into_iter().collect()
    }
}

impl Run<'_> {
    /// Runs the rules whose captures fill tags, if a name that is asked for may have some.
    fn fill_tags(&mut self) {
        let set = self.set;
        let has_templates = |id: &RuleId| {
            let rule = set.rules.get(id.index());
            rule.is_some_and(|rule| matches!(&rule.matcher, Matcher::AskDns { template, .. } if template.contains('_')))
        };
        if !set.order.iter().any(has_templates) {
            return;
        }
        for &id in &set.plan.single {
            let template = set.rules.get(id.index()).and_then(|rule| template_of(&rule.matcher));
            if template.is_some_and(|template| template.captures) {
                self.test(id);
            }
        }
    }
}

/// The tags of a DNS template: `AUTHORDOMAIN` of `_dmarc._AUTHORDOMAIN_`.
pub(super) fn template_tags(template: &str) -> Vec<&str> {
    let mut tags: Vec<&str> = template.split('_').filter(|piece| is_tag_name(piece)).collect();
    tags.extend(header_tags(template));
    // A tag may hold underscores itself: the longest run between two marks counts.
    for label in template.split('.') {
        let inner = label.strip_prefix('_').and_then(|label| label.strip_suffix('_'));
        if let Some(inner) = inner.filter(|inner| inner.contains('_') && is_tag_name(inner)) {
            tags.retain(|tag| !inner.split('_').any(|piece| piece == *tag));
            tags.push(inner);
        }
    }
    tags
}

/// `HEADER(List-Id)` of `_HEADER(List-Id)_.example`.
fn header_tags(template: &str) -> impl Iterator<Item = &str> {
    template.match_indices("_HEADER(").filter_map(|(at, _)| {
        let tag = template.get(at + 1..)?;
        let end = tag.find(")_")?;
        tag.get(..=end)
    })
}
