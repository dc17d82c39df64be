//! What rules with points depend on. Most metas can be ruled out by the one of their rules that is cheapest to know: the others need not
//! be tried then.

use crate::bound::{self, Bound};
use crate::language::expression::{Expr, Operator};
use crate::language::rule::TextKind;
use crate::metas::{Due, Metas, expression};
use crate::plan::{Plan, hits_max};
use crate::rule::{Matcher, Rule, RuleId};

/// How deep metas may name each other, their own parentheses included; a set with deeper ones is matched as a whole.
const DEPTH_MAX: usize = 300;
/// How many rules may be watched for one meta; it is looked at in each message otherwise.
const WATCHED_MAX: usize = 200;
/// No place.
const NONE: u32 = u32::MAX;

/// What is known of a set.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// By rule: whether it may hit whatever texts there are and whatever stands in them.
    is_open: Vec<bool>,
    facts: Vec<Facts>,
    /// Such rules that have points, in their order.
    roots: Vec<RuleId>,
    /// By rule: metas (places in their order) that cannot hold unless this or another rule of theirs hits.
    watched_starts: Vec<u32>,
    watched: Vec<u32>,
    /// Metas with points that are looked at in each message.
    unwatched: Vec<u32>,
    is_deep: bool,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// It has points, or settles the matter.
    is_root: bool,
    /// Some meta names it.
    is_named: bool,
    is_meta: bool,
    /// The largest value it has.
    high: f64,
    /// What it takes to find out, in no unit.
    cost: u8,
    /// Its place among the patterns that are tried together.
    slot: u32,
}

impl Needs {
    pub(crate) fn new(rules: &[Rule], plan: &Plan, metas: &Metas) -> Needs {
        let mut slots = vec![NONE; rules.len()];
        let mut is_hinted = vec![false; rules.len()];
        for (number, slot) in (0..).zip(&plan.slots) {
            if slot.is_hint {
                is_hinted.get_mut(slot.rule.index()).into_iter().for_each(|flag| *flag = true);
            } else if let Some(place) = slots.get_mut(slot.rule.index()) {
                *place = number;
            }
        }
        let mut needs = Needs::default();
        for ((rule, &slot), is_hinted) in rules.iter().zip(&slots).zip(is_hinted) {
            let waits =
                is_hinted || slot != NONE || matches!(rule.matcher, Matcher::Never | Matcher::HeaderExists { .. });
            needs.is_open.push(!waits);
            needs.facts.push(Facts {
                is_root: !rule.is_subtest() || rule.shortcircuit.is_some(),
                is_named: false,
                is_meta: matches!(rule.matcher, Matcher::Meta(_)),
                high: high_of(rule, plan, slot),
                cost: cost_of(rule, plan, slot),
                slot,
            });
        }
        for id in metas.order() {
            if let Some(expression) = expression(rules, *id) {
                expression.names(&mut |id| {
                    if let Some(facts) = needs.facts.get_mut(id.index()) {
                        facts.is_named = true;
                    }
                });
            }
        }
        let single = plan.single.iter().copied();
        needs.roots = single.filter(|id| needs.is_open(*id) && needs.is_root(*id)).collect();
        needs.is_deep = depth(rules, metas) > DEPTH_MAX;
        if !needs.is_deep {
            needs.watch(rules, plan, metas);
        }
        needs
    }

    /// Finds for each meta with points which rules it cannot do without.
    fn watch(&mut self, rules: &[Rule], plan: &Plan, metas: &Metas) {
        let mut causes: Vec<Option<Vec<RuleId>>> = vec![None; rules.len()];
        let mut watchers: Vec<Vec<u32>> = vec![Vec::new(); rules.len()];
        for (number, id) in (0..).zip(metas.order()) {
            let Some(expression) = expression(rules, *id) else { continue };
            let found = self.causes(expression, rules, plan, &causes);
            if self.is_root(*id) {
                match &found {
                    Some(ids) => {
                        for id in ids {
                            if let Some(list) = watchers.get_mut(id.index()) {
                                list.push(number);
                            }
                        }
                    }
                    None => self.unwatched.push(number),
                }
            }
            if let Some(slot) = causes.get_mut(id.index()) {
                *slot = found;
            }
        }
        self.watched_starts.push(0);
        for list in watchers {
            self.watched.extend(list);
            self.watched_starts.push(u32::try_from(self.watched.len()).unwrap_or(NONE));
        }
    }

    /// Rules of which one must hit for the expression not to be zero; `None` when it may be true without, or when one of them may hit in
    /// any message. `known` holds the same for the metas that came before.
    fn causes(
        &self,
        expression: &Expr<RuleId>,
        rules: &[Rule],
        plan: &Plan,
        known: &[Option<Vec<RuleId>>],
    ) -> Option<Vec<RuleId>> {
        let of = |expression| self.causes(expression, rules, plan, known);
        let weight = |causes: &[RuleId]| -> usize { causes.iter().map(|id| self.commonness(*id, plan)).sum() };
        let rarer = |first: Option<Vec<RuleId>>, second: Option<Vec<RuleId>>| match (first, second) {
            (Some(first), Some(second)) => Some(if weight(&second) < weight(&first) { second } else { first }),
            (first, second) => first.or(second),
        };
        match expression {
            Expr::Number(number) => (*number == 0.0).then(Vec::new),
            Expr::Name(id) => match rules.get(id.index()).map(|rule| &rule.matcher)? {
                Matcher::Meta(_) => known.get(id.index())?.clone(),
                Matcher::Never => Some(Vec::new()),
                _ => (!self.is_open(*id)).then(|| vec![*id]),
            },
            Expr::Not(_) => None,
            Expr::Minus(inner) => of(inner),
            Expr::Choice(_, yes, no) => union(of(yes)?, of(no)?),
            Expr::Chain(first, rest) => {
                let mut causes = of(first);
                for (operator, right) in rest {
                    causes = match operator {
                        Operator::And | Operator::Multiply => rarer(causes, of(right)),
                        Operator::Or | Operator::Add | Operator::Subtract | Operator::Xor | Operator::NotEqual => {
                            causes.and_then(|causes| union(causes, of(right)?))
                        }
                        Operator::Divide => causes,
                        Operator::Greater if is_number(right, |number| number >= 0.0) => causes,
                        Operator::GreaterOrEqual | Operator::Equal if is_number(right, |number| number > 0.0) => causes,
                        Operator::Less if rest.len() == 1 && is_number(first, |number| number >= 0.0) => of(right),
                        Operator::LessOrEqual if rest.len() == 1 && is_number(first, |number| number > 0.0) => {
                            of(right)
                        }
                        _ => None,
                    };
                }
                causes
            }
        }
    }

    /// How often the rule has to be thought of, in no unit.
    fn commonness(&self, id: RuleId, plan: &Plan) -> usize {
        match plan.slots.get(self.slot(id) as usize) {
            Some(slot) if !slot.is_always && !slot.is_negated => 1,
            _ => 10,
        }
    }

    pub(crate) fn is_deep(&self) -> bool {
        self.is_deep
    }

    pub(crate) fn is_root(&self, id: RuleId) -> bool {
        self.facts.get(id.index()).is_some_and(|facts| facts.is_root)
    }

    pub(crate) fn is_named(&self, id: RuleId) -> bool {
        self.facts.get(id.index()).is_some_and(|facts| facts.is_named)
    }

    pub(crate) fn roots(&self) -> &[RuleId] {
        &self.roots
    }

    /// The rule's place among the patterns that are tried together; none that exists when it is not one of them.
    pub(crate) fn slot(&self, id: RuleId) -> u32 {
        self.facts.get(id.index()).map_or(NONE, |facts| facts.slot)
    }

    fn is_open(&self, id: RuleId) -> bool {
        self.is_open.get(id.index()).copied().unwrap_or_default()
    }

    /// A rule may hit: the metas that wait for it are due.
    pub(crate) fn touch(&self, id: RuleId, due: &mut Due) {
        let at = id.index();
        if let (Some(start), Some(end)) = (self.watched_starts.get(at), self.watched_starts.get(at + 1)) {
            let list = self.watched.get(*start as usize..*end as usize).unwrap_or_default();
            list.iter().for_each(|number| due.set(*number));
        }
    }
}

fn is_number(expression: &Expr<RuleId>, is: impl Fn(f64) -> bool) -> bool {
    matches!(expression, Expr::Number(number) if is(*number))
}

fn union(mut first: Vec<RuleId>, second: Vec<RuleId>) -> Option<Vec<RuleId>> {
    first.extend(second);
    first.sort_unstable();
    first.dedup();
    (first.len() <= WATCHED_MAX).then_some(first)
}

fn high_of(rule: &Rule, plan: &Plan, slot: u32) -> f64 {
    match (&rule.matcher, plan.slots.get(slot as usize)) {
        (_, Some(slot)) => f64::from(slot.limit.max(1)),
        (Matcher::Never, _) => 0.0,
        (Matcher::HeaderExists { .. } | Matcher::UriDetail(_) | Matcher::AskDns { .. }, _) => 1.0,
        (Matcher::Header { .. } | Matcher::Text { .. } | Matcher::MimeHeader { .. }, _) => {
            f64::from(hits_max(&rule.flags).max(1))
        }
        (Matcher::Eval { .. } | Matcher::Meta(_), _) => f64::INFINITY,
    }
}

/// Short texts first, functions last.
fn cost_of(rule: &Rule, plan: &Plan, slot: u32) -> u8 {
    match (&rule.matcher, plan.slots.get(slot as usize)) {
        (Matcher::HeaderExists { .. }, _) => 0,
        (Matcher::Header { .. }, Some(_)) => 1,
        (Matcher::Text { kind, .. }, Some(slot)) => {
            // Links are short, a whole message is long.
            let by_length = match kind {
                TextKind::Uri => 2,
                TextKind::Body => 3,
                TextKind::RawBody => 4,
                TextKind::Full => 5,
            };
            by_length + if slot.is_always { 4 } else { 0 } + if slot.guard.is_some() { 4 } else { 0 }
        }
        (Matcher::MimeHeader { .. } | Matcher::UriDetail(_) | Matcher::Header { .. }, _) => 6,
        _ => 12,
    }
}

/// How deep the deepest meta is, with all that it names.
fn depth(rules: &[Rule], metas: &Metas) -> usize {
    let mut depths = vec![0usize; rules.len()];
    for id in metas.order() {
        let Some(expression) = expression(rules, *id) else { continue };
        let mut below = 0;
        expression.names(&mut |name| below = below.max(depths.get(name.index()).copied().unwrap_or_default()));
        if let Some(depth) = depths.get_mut(id.index()) {
            *depth = below + height(expression);
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

fn height(expression: &Expr<RuleId>) -> usize {
    match expression {
        // Zero times such a number is none.
        Expr::Number(number) if !number.is_finite() => DEPTH_MAX + 1,
        Expr::Number(_) | Expr::Name(_) => 1,
        Expr::Not(inner) | Expr::Minus(inner) => 1 + height(inner),
        Expr::Choice(condition, yes, no) => 1 + height(condition).max(height(yes)).max(height(no)),
        Expr::Chain(first, rest) => {
            1 + rest.iter().map(|(_, operand)| height(operand)).max().unwrap_or(0).max(height(first))
        }
    }
}

/// What is found out about one message.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// By rule: whether its value is not known yet.
    is_open: Vec<bool>,
    /// By meta: what is known of it, and the number of the message if that still holds.
    memo: Vec<(u32, Bound)>,
    message: u32,
    /// Metas of which less was known than is now.
    stale: Vec<RuleId>,
    /// By pattern: the first and the last text on which it is to be tried, as places in `waiting`.
    ends: Vec<(u32, u32)>,
    /// Numbers of texts, and the place of the pattern's next one.
    waiting: Vec<(u32, u32)>,
}

impl Needed {
    /// For a new message.
    pub(crate) fn begin(&mut self, needs: &Needs, patterns: usize, due: &mut Due) {
        self.is_open.clone_from(&needs.is_open);
        self.memo.resize(needs.is_open.len(), (0, Bound::known(0.0)));
        self.ends.resize(patterns, (NONE, NONE));
        self.message = self.message.wrapping_add(1);
        if self.message == 0 {
            self.memo.iter_mut().for_each(|entry| entry.0 = 0);
            self.message = 1;
        }
        needs.unwatched.iter().for_each(|number| due.set(*number));
    }

    /// Forgets the texts.
    pub(crate) fn end(&mut self, touched: &[u32]) {
        for slot in touched {
            if let Some(ends) = self.ends.get_mut(*slot as usize) {
                *ends = (NONE, NONE);
            }
        }
        self.waiting.clear();
    }

    /// Lets the pattern wait for its turn on text `number`; true when it is the first of its texts.
    pub(crate) fn wait(&mut self, slot: u32, rule: RuleId, number: u32) -> bool {
        let place = u32::try_from(self.waiting.len()).unwrap_or(NONE);
        let Some((first, last)) = self.ends.get_mut(slot as usize) else { return false };
        let is_first = *first == NONE;
        if is_first {
            *first = place;
        } else if let Some((_, next)) = self.waiting.get_mut(*last as usize) {
            *next = place;
        }
        *last = place;
        self.waiting.push((number, NONE));
        if is_first {
            self.open(rule);
        }
        is_first
    }

    /// The rule is yet to be found out.
    pub(crate) fn open(&mut self, id: RuleId) {
        if let Some(is_open) = self.is_open.get_mut(id.index()) {
            *is_open = true;
        }
    }

    /// How many texts wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether some text was to be tried.
    pub(crate) fn is_touched(&self, slot: u32) -> bool {
        self.ends.get(slot as usize).is_some_and(|(first, _)| *first != NONE)
    }

    /// The place of the first text that waits for the pattern.
    pub(crate) fn first(&self, slot: u32) -> u32 {
        self.ends.get(slot as usize).map_or(NONE, |(first, _)| *first)
    }

    /// The text at a place, and the next place.
    pub(crate) fn at(&self, place: u32) -> Option<(u32, u32)> {
        self.waiting.get(place as usize).copied()
    }

    /// Whether the rule is yet to be found out; from now on it is not.
    pub(crate) fn close(&mut self, metas: &Metas, id: RuleId) -> bool {
        let was_open = self.is_open.get_mut(id.index()).is_some_and(std::mem::take);
        if was_open {
            self.stale.push(id);
        }
        // What was found out of a meta without this one holds: its value was not asked for.
        while let Some(id) = self.stale.pop() {
            for meta in metas.dependents(id) {
                if let Some((message, bound)) = self.memo.get_mut(meta.index())
                    && *message == self.message
                    && !bound.is_known()
                {
                    *message = 0;
                    self.stale.push(meta);
                }
            }
        }
        was_open
    }

    /// What is known of the rule's value.
    pub(crate) fn bound(&mut self, needs: &Needs, rules: &[Rule], values: &[f64], id: RuleId) -> Bound {
        let index = id.index();
        let Some(facts) = needs.facts.get(index) else { return Bound::known(0.0) };
        // Most names are no metas, and their rules need not be looked at: those lie far apart.
        if !facts.is_meta {
            return match self.is_open.get(index) {
                Some(true) => Bound::unknown(facts.high, facts.cost, id),
                _ => Bound::known(values.get(index).copied().unwrap_or_default()),
            };
        }
        if let Some((message, bound)) = self.memo.get(index)
            && *message == self.message
        {
            return *bound;
        }
        let Some(expression) = expression(rules, id) else { return Bound::known(0.0) };
        let found = bound::of_expression(expression, &mut |id| self.bound(needs, rules, values, id)).as_of_rule();
        if let Some(entry) = self.memo.get_mut(index) {
            *entry = (self.message, found);
        }
        found
    }

    /// The value of a meta all of whose rules are known, where bounds do not tell.
    pub(crate) fn value(&mut self, rules: &[Rule], values: &[f64], id: RuleId) -> f64 {
        let index = id.index();
        let Some(Rule { matcher: Matcher::Meta(expression), .. }) = rules.get(index) else {
            return values.get(index).copied().unwrap_or_default();
        };
        if let Some((message, bound)) = self.memo.get(index)
            && *message == self.message
            && bound.is_known()
        {
            return bound.low;
        }
        let value = expression.eval(&mut |id| self.value(rules, values, *id));
        let value = if value >= 0.0 { value } else { 1.0 };
        if let Some(entry) = self.memo.get_mut(index) {
            *entry = (self.message, Bound::known(value));
        }
        value
    }
}
