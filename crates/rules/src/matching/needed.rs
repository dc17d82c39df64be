//! Matching as far as rules with points ask for it ([`RuleSet::hits`]): all texts are looked through for what patterns may match, but a
//! pattern or function that only serves metas is tried when one of them can still hold.

use std::collections::BTreeSet;
use std::mem::take;

use super::{Matches, Run};
use crate::bound::Bound;
use crate::dns::Answers;
use crate::input::Input;
use crate::language::rule::TextKind;
use crate::metas;
use crate::plan::{field_of, pattern_kind, template_of};
use crate::rule::{Matcher, RuleId};
use crate::ruleset::RuleSet;

/// How many texts may wait for their patterns; with more, patterns are tried as soon as texts come.
const WAITING_MAX: usize = 1 << 16;

impl RuleSet {
    /// The rules with points that hit, as [`RuleSet::matches`] gives them, with less work: what no rule with points needs any more is not
    /// tried. Of the subtests, those that metas with points hit by are told, others by chance; limits and unavailable answers are those of
    /// rules that were tried.
    #[must_use]
    pub fn hits(&self, input: &Input<'_>, answers: &Answers) -> Matches {
        let mut run = Run::new(self, input, answers);
        run.as_needed();
        run.finish()
    }
}

impl Run<'_> {
    /// What rules with points need.
    pub(super) fn as_needed(&mut self) {
        let set = self.set;
        if set.needs.is_deep() {
            return self.as_planned();
        }
        self.is_needed_only = true;
        self.scratch.due.clear();
        self.scratch.needed.begin(&set.needs, set.plan.slots.len(), &mut self.scratch.due);
        self.together();
        for id in set.needs.roots() {
            self.find_out(*id);
        }
        let touched = take(&mut self.touched);
        let rules = touched.iter().filter_map(|slot| set.plan.slots.get(*slot as usize)).map(|slot| slot.rule);
        rules.filter(|id| set.needs.is_root(*id)).for_each(|id| self.find_out(id));
        self.touched = touched;
        self.decide_metas();
    }

    /// The pattern may match in text `number` of its kind.
    pub(super) fn touch(&mut self, slot: u32, number: usize, text: &[u8]) {
        let set = self.set;
        let (Some(rule), Ok(place)) = (set.plan.slots.get(slot as usize).map(|slot| slot.rule), u32::try_from(number))
        else {
            return;
        };
        let needed = &mut self.scratch.needed;
        if needed.waiting() >= WAITING_MAX && needed.is_touched(slot) {
            return self.verify(slot, number, text);
        }
        if needed.wait(slot, rule, place) {
            self.touched.push(slot);
            set.needs.touch(rule, &mut self.scratch.due);
        }
    }

    /// There are texts of this kind: whatever may match any of them is yet to be found out.
    pub(super) fn touch_group(&mut self, group: usize) {
        let set = self.set;
        let Some(group) = set.plan.groups.get(group) else { return };
        for slot in group.always.iter().chain(&group.negated) {
            let Some(rule) = set.plan.slots.get(*slot as usize).map(|slot| slot.rule) else { continue };
            self.touched.push(*slot);
            self.scratch.needed.open(rule);
            set.needs.touch(rule, &mut self.scratch.due);
        }
        for rule in &group.exists {
            set.needs.touch(*rule, &mut self.scratch.due);
            self.hit(*rule, 1, 1.0, Vec::new());
        }
    }

    /// Finds out whether a rule hits that is no meta, unless that is known.
    fn find_out(&mut self, id: RuleId) {
        if !self.scratch.needed.close(&self.set.metas, id) {
            return;
        }
        let set = self.set;
        let slot = set.needs.slot(id);
        if set.plan.slots.get(slot as usize).is_some() {
            return self.try_pattern(slot);
        }
        let Some(rule) = set.rules.get(id.index()) else { return };
        let template = template_of(&rule.matcher);
        let has_tags = template.is_some_and(|template| template.captures || template.tags.is_some());
        if (has_tags || matches!(rule.matcher, Matcher::AskDns { .. })) && !self.are_tags_filled {
            self.are_tags_filled = true;
            // A capture may be asked for in a pattern that captures: all in their order, this one among them.
            for other in set.plan.single.iter().filter(|other| captures(set, **other)) {
                if *other == id || self.scratch.needed.close(&set.metas, *other) {
                    self.one_by_one(&[*other]);
                }
            }
            if captures(set, id) {
                return;
            }
        }
        self.one_by_one(&[id]);
    }

    /// Tries a pattern on the texts that wait for it.
    fn try_pattern(&mut self, slot: u32) {
        let set = self.set;
        let Some(known) = set.plan.slots.get(slot as usize) else { return };
        let input = self.input;
        match pattern_kind(known.group) {
            Some(TextKind::Body) => self.try_on(slot, |number| input.body.get(number).map(Vec::as_slice)),
            Some(TextKind::RawBody) => self.try_on(slot, |number| input.rawbody.get(number).map(Vec::as_slice)),
            Some(TextKind::Full) => self.try_on(slot, |number| (number == 0).then_some(&*input.pristine)),
            Some(TextKind::Uri) => {
                let uris = take(&mut self.uris);
                self.try_on(slot, |number| uris.get(number).copied());
                self.uris = uris;
            }
            None => {
                let field = field_of(known.group);
                if let Some(Some(Some(value))) = self.fields.get_mut(field).map(Option::take) {
                    if known.is_negated {
                        let is_candidate = known.is_always || self.scratch.needed.is_touched(slot);
                        self.verify_negated(slot, is_candidate, &value);
                    } else {
                        self.try_on(slot, |number| (number == 0).then_some(&*value));
                    }
                    self.keep_field(field, value);
                }
            }
        }
        let Some(count) = self.scratch.counts.get_mut(slot as usize).map(take).filter(|count| *count > 0) else {
            return;
        };
        let place = self.hit_slots.iter().position(|(other, _)| *other == slot);
        let evidence = place.map(|place| self.hit_slots.swap_remove(place).1).unwrap_or_default();
        self.hit(known.rule, count, f64::from(count), evidence);
    }

    fn try_on<'t>(&mut self, slot: u32, text: impl Fn(usize) -> Option<&'t [u8]>) {
        let known = self.set.plan.slots.get(slot as usize);
        if known.is_some_and(|slot| slot.is_always) {
            let mut number = 0;
            while let Some(text) = text(number).filter(|_| !self.is_settled(slot)) {
                self.verify(slot, number, text);
                number += 1;
            }
            return;
        }
        let mut place = self.scratch.needed.first(slot);
        while let Some((number, next)) = self.scratch.needed.at(place) {
            let number = number as usize;
            if let Some(text) = text(number) {
                self.verify(slot, number, text);
            }
            place = next;
        }
    }

    /// Whether further texts cannot change the pattern's count.
    fn is_settled(&self, slot: u32) -> bool {
        let limit = self.set.plan.slots.get(slot as usize).map(|slot| slot.limit);
        self.scratch.counts.get(slot as usize).copied() >= limit
    }

    /// Metas with points that may hold.
    fn decide_metas(&mut self) {
        let set = self.set;
        let mut from = 0;
        while let Some((number, id)) = set.metas.next(&self.scratch.due, from) {
            from = number + 1;
            self.decide(id);
        }
        self.explain();
    }

    /// Finds out the other parts of metas that hit, for those who want to know why: some of an "or" were not asked for.
    fn explain(&mut self) {
        let set = self.set;
        let mut told: BTreeSet<RuleId> = self.found.iter().map(|found| found.rule).collect();
        let is_meta =
            |id: RuleId| set.rules.get(id.index()).is_some_and(|rule| matches!(rule.matcher, Matcher::Meta(_)));
        let metas: Vec<RuleId> = self.found.iter().map(|found| found.rule).filter(|id| is_meta(*id)).collect();
        for meta in metas {
            let Some(expression) = metas::expression(&set.rules, meta) else { continue };
            let mut parts = Vec::new();
            expression.names(&mut |id| parts.push(*id));
            for part in parts.into_iter().filter(|part| told.insert(*part)) {
                if !is_meta(part) {
                    self.find_out(part);
                    continue;
                }
                while let Some((_, rule)) = self.bound(part).open {
                    self.find_out(rule);
                }
                let value = self.scratch.needed.value(&set.rules, &self.scratch.values, part);
                if value != 0.0 {
                    self.hit(part, 1, value, Vec::new());
                }
            }
        }
    }

    fn bound(&mut self, id: RuleId) -> Bound {
        self.scratch.needed.bound(&self.set.needs, &self.set.rules, &self.scratch.values, id)
    }

    /// Finds out rules, the cheapest first, until it is known whether the meta holds.
    fn decide(&mut self, id: RuleId) {
        let set = self.set;
        loop {
            let bound = self.bound(id);
            if bound.is_zero() {
                return;
            }
            // Another meta may count with its value.
            if bound.is_known() || (bound.is_true && !set.needs.is_named(id)) {
                return self.hit(id, 1, bound.low, Vec::new());
            }
            match bound.open {
                Some((_, rule)) => self.find_out(rule),
                None => {
                    let value = self.scratch.needed.value(&set.rules, &self.scratch.values, id);
                    if value != 0.0 {
                        self.hit(id, 1, value, Vec::new());
                    }
                    return;
                }
            }
        }
    }
}

fn captures(set: &RuleSet, id: RuleId) -> bool {
    let template = set.rules.get(id.index()).and_then(|rule| template_of(&rule.matcher));
    template.is_some_and(|template| template.captures)
}
