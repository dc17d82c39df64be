//! The first step: which DNS questions the rules have about a message ([`RuleSet::wanted`]).

use std::collections::BTreeSet;

use super::Run;
use crate::dns::{Answers, DnsQuestion};
use crate::evals::EvalResult;
use crate::input::Input;
use crate::ruleset::{Matcher, RuleSet};

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
        let run = Run::new(self, input, answers);
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
        questions.into_iter().collect()
    }
}
