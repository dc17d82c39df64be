//! Which metas have to be computed for a message: those that name a rule that hit, and those that hold when nothing hits. Of some
//! thousand, a message concerns a hundred.

use crate::language::expression::Expr;
use crate::rule::{Matcher, Rule, RuleId};

/// Metas, and what they ask for.
#[derive(Debug, Default)]
pub(crate) struct Metas {
    /// Metas in an order in which each stands after those it depends on. Numbers below are places here.
    order: Vec<RuleId>,
    /// For each rule, the metas that name it: `dependents[starts[id]..starts[id + 1]]`.
    starts: Vec<u32>,
    dependents: Vec<u32>,
    /// Metas that hold when no rule hits.
    idle: Vec<u32>,
}

/// The metas that are due, as bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due(Vec<u64>);

impl Metas {
    /// `order` names the metas of `rules`, each after those it depends on.
    pub(crate) fn new(rules: &[Rule], order: Vec<RuleId>) -> Metas {
        let mut dependents: Vec<Vec<u32>> = vec![Vec::new(); rules.len()];
        let mut idle = Vec::new();
        for (number, id) in (0..).zip(&order) {
            let Some(expression) = expression(rules, *id) else { continue };
            expression.names(&mut |name| {
                if let Some(list) = dependents.get_mut(name.index()).filter(|list| list.last() != Some(&number)) {
                    list.push(number);
                }
            });
            if expression.eval(&mut |_| 0.0) != 0.0 {
                idle.push(number);
            }
        }
        let mut starts = vec![0];
        let mut all = Vec::new();
        for list in dependents {
            all.extend(list);
            starts.push(u32::try_from(all.len()).unwrap_or(u32::MAX));
        }
        Metas { order, starts, dependents: all, idle }
    }

    /// All metas, in order.
    pub(crate) fn order(&self) -> &[RuleId] {
        &self.order
    }

    /// Forgets what was due for another message.
    pub(crate) fn reset(&self, due: &mut Due) {
        due.0.clear();
        due.0.resize(self.order.len().div_ceil(64), 0);
        self.idle.iter().for_each(|number| due.set(*number));
    }

    /// Makes all of them due.
    pub(crate) fn all(&self, due: &mut Due) {
        (0..).zip(&self.order).for_each(|(number, _)| due.set(number));
    }

    /// The rule `id` hit.
    pub(crate) fn hit(&self, id: RuleId, due: &mut Due) {
        self.numbers(id).iter().for_each(|number| due.set(*number));
    }

    /// The metas that name the rule.
    pub(crate) fn dependents(&self, id: RuleId) -> impl Iterator<Item = RuleId> {
        self.numbers(id).iter().filter_map(|number| self.order.get(*number as usize).copied())
    }

    fn numbers(&self, id: RuleId) -> &[u32] {
        match (self.starts.get(id.index()), self.starts.get(id.index() + 1)) {
            (Some(start), Some(end)) => self.dependents.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The next meta that is due, from number `from` on, and its number.
    pub(crate) fn next(&self, due: &Due, from: usize) -> Option<(usize, RuleId)> {
        let mut mask = u64::MAX << (from % 64);
        for (word, bits) in due.0.iter().enumerate().skip(from / 64) {
            let bits = bits & mask;
            if bits != 0 {
                let number = word * 64 + bits.trailing_zeros() as usize;
                return Some((number, *self.order.get(number)?));
            }
            mask = u64::MAX;
        }
        None
    }
}

impl Due {
    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(crate) fn set(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word |= 1 << (number % 64);
        }
    }
}

pub(crate) fn expression(rules: &[Rule], id: RuleId) -> Option<&Expr<RuleId>> {
    match &rules.get(id.index())?.matcher {
        Matcher::Meta(expression) => Some(expression),
        _ => None,
    }
}
