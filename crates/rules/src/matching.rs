//! Two steps over one message: which DNS questions the rules have ([`RuleSet::wanted`]), and which rules hit ([`RuleSet::hits`], or
//! [`RuleSet::matches`] where subtests are asked for, too).

pub(crate) mod cost;
mod needed;
mod settle;
pub(crate) mod single;
mod tags;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

use tidegate_mail::Score;

use crate::dns::Answers;
use crate::evals::{Arg, EvalContext, EvalFn, EvalResult, EvalTarget};
use crate::input::{Input, Uri};
use crate::language::rule::TextKind;
use crate::matching::cost::Meter;
use crate::metas;
use crate::pattern::{Limit, Pattern};
use crate::plan::{Slot, field_group, pattern_of, text_group};
use crate::rule::{Rule, RuleId};
use crate::ruleset::RuleSet;
use crate::scratch::Scratch;
use crate::shortcircuit::Settled;

/// Work that one message may take in patterns, in octets: each time an engine is started counts as the octets before it, but at least as
/// [`START_OCTETS`] and at most as [`TEXT_OCTETS_MAX`], for it may come back to them. Ordinary messages take a thousandth of it.
const WORK_OCTETS_MAX: usize = 64 << 20;
/// What starting an engine counts as.
const START_OCTETS: usize = 64;
/// What a long text counts as: only patterns over whole messages see longer ones, and of these there are some dozens.
const TEXT_OCTETS_MAX: usize = 4096;
/// What a match counts as that was given up.
const LIMIT_OCTETS: usize = 1 << 18;
/// What an octet of a pattern counts as that is compiled for this message alone.
const FILLED_OCTET_WORK: usize = 64;
/// How much of a match is kept to be shown.
const EVIDENCE_OCTETS_MAX: usize = 200;

/// A rule that hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Which rule.
    pub rule: RuleId,
    /// How often; more than once only for rules with the flag `multiple`.
    pub count: u32,
    /// Points of all its hits; zero for subtests.
    pub score: Score,
    /// The octets that the first match covered, or what an eval saw; empty when there is nothing to show.
    pub evidence: Vec<u8>,
}

/// What the rules say of one message.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// Rules with points, in the order of their names.
    pub hits: Vec<Hit>,
    /// Rules without (`__NAME`), in the order of their names; all of them only after [`RuleSet::matches`].
    pub subtests: Vec<Hit>,
    /// Rules whose pattern reached its limit in this message, or was not tried on all texts because others had used up the message's
    /// work: whether they match, or match more often, is unknown.
    pub limits: Vec<RuleId>,
    /// Eval tests that could not know, and why.
    pub unavailable: Vec<(RuleId, &'static str)>,
    /// The rule that settled the matter, with which all later ones are left out.
    pub settled: Option<Settled>,
}

impl Matches {
    /// The sum of the points.
    #[must_use]
    pub fn score(&self) -> Score {
        self.hits.iter().map(|hit| hit.score).sum()
    }
}

impl RuleSet {
    /// Which rules hit. The same input and answers give the same result.
    #[must_use]
    pub fn matches(&self, input: &Input<'_>, answers: &Answers) -> Matches {
        let mut run = Run::new(self, input, answers);
        run.as_planned();
        run.finish()
    }

    /// The same as [`RuleSet::matches`], with each pattern tried on each text: slow and simple, so that tests can compare.
    #[must_use]
    pub fn matches_plainly(&self, input: &Input<'_>, answers: &Answers) -> Matches {
        let mut run = Run::new(self, input, answers);
        run.plainly();
        run.finish()
    }
}

/// One message on its way through a set.
struct Run<'a> {
    set: &'a RuleSet,
    input: &'a Input<'a>,
    answers: &'a Answers,
    scratch: Scratch,
    found: Vec<Found>,
    /// The joined values of each header asked for, once they are.
    fields: Vec<Option<Option<Vec<u8>>>>,
    /// The cleaned forms of all links, each once.
    uris: Vec<&'a [u8]>,
    /// What captures hold.
    tags: BTreeMap<String, Vec<Vec<u8>>>,
    limits: Vec<RuleId>,
    unavailable: Vec<(RuleId, &'static str)>,
    /// Patterns tried together that matched, and what the first match covered.
    hit_slots: Vec<(u32, Vec<u8>)>,
    /// Patterns tried together that reached a limit: they are not tried again.
    given_up: Vec<u32>,
    /// Only what rules with points depend on is tried.
    is_needed_only: bool,
    /// Patterns that may match in some text of this message.
    touched: Vec<u32>,
    /// The rules whose captures fill tags were tried.
    are_tags_filled: bool,
    work: Work,
    /// Takes the time of each rule, if somebody asks.
    meter: Option<Meter<'a>>,
}

/// What is left of the message's work.
#[derive(Clone, Copy)]
struct Work(usize);

impl Work {
    /// Takes what an engine may take that is started with so many octets before it; false when that is no longer there.
    fn take(&mut self, octets: usize) -> bool {
        let cost = octets.clamp(START_OCTETS, TEXT_OCTETS_MAX);
        let has_enough = self.0 >= cost;
        self.0 = self.0.saturating_sub(cost);
        has_enough
    }

    /// Takes what it takes to compile a pattern of so many octets that is filled with the message's words.
    fn take_filled(&mut self, octets: usize) -> bool {
        let has_some = self.0 > 0;
        self.0 = self.0.saturating_sub(octets.saturating_mul(FILLED_OCTET_WORK));
        has_some
    }

    fn take_limit(&mut self) {
        self.0 = self.0.saturating_sub(LIMIT_OCTETS);
    }
}

struct Found {
    rule: RuleId,
    count: u32,
    evidence: Vec<u8>,
}

/// Matches of one rule so far.
#[derive(Default)]
struct Tally {
    count: u32,
    evidence: Vec<u8>,
    is_limited: bool,
    /// DNS did not say.
    is_unknown: bool,
}

impl<'a> Run<'a> {
    fn new(set: &'a RuleSet, input: &'a Input<'a>, answers: &'a Answers) -> Run<'a> {
        let mut scratch = set.scratches.take(set.rules.len(), set.plan.slots.len());
        set.metas.reset(&mut scratch.due);
        Run {
            set,
            input,
            answers,
            scratch,
            found: Vec::new(),
            fields: vec![None; set.fields.len()],
            uris: distinct_uris(&input.uris),
            tags: BTreeMap::new(),
            limits: Vec::new(),
            unavailable: Vec::new(),
            hit_slots: Vec::new(),
            given_up: Vec::new(),
            is_needed_only: false,
            touched: Vec::new(),
            are_tags_filled: false,
            work: Work(WORK_OCTETS_MAX),
            meter: None,
        }
    }

    /// All rules, patterns where they may match.
    fn as_planned(&mut self) {
        let set = self.set;
        self.one_by_one(&set.plan.single);
        self.together();
        self.hit_together();
        self.metas();
    }

    /// All rules, each pattern on each text.
    fn plainly(&mut self) {
        let set = self.set;
        self.work = Work(usize::MAX);
        self.one_by_one(&set.order);
        set.metas.all(&mut self.scratch.due);
        self.metas();
    }

    fn one_by_one(&mut self, rules: &[RuleId]) {
        for &id in rules {
            let began = self.now();
            self.test(id);
            self.took(id, began, 1);
        }
    }

    /// Pattern rules, by the texts they see.
    fn together(&mut self) {
        let input = self.input;
        for kind in [TextKind::Body, TextKind::RawBody, TextKind::Full, TextKind::Uri] {
            let group = text_group(kind);
            match kind {
                TextKind::Body => self.texts(group, input.body.iter().map(Vec::as_slice)),
                TextKind::RawBody => self.texts(group, input.rawbody.iter().map(Vec::as_slice)),
                TextKind::Full => self.texts(group, [input.pristine.as_ref()].into_iter()),
                TextKind::Uri => {
                    let uris = take(&mut self.uris);
                    self.texts(group, uris.iter().copied());
                    self.uris = uris;
                }
            }
        }
        for field in 0..self.set.fields.len() {
            let group = field_group(field);
            if self.field(field).is_none() {
                self.absent(group);
            } else if let Some(Some(Some(value))) = self.fields.get_mut(field).map(Option::take) {
                self.texts(group, [value.as_slice()].into_iter());
                self.keep_field(field, value);
            }
        }
    }

    fn texts<'t>(&mut self, group: usize, texts: impl Iterator<Item = &'t [u8]>) {
        let plan = &self.set.plan;
        let Some(rules) = plan.groups.get(group) else {
            return;
        };
        let mut candidates = take(&mut self.scratch.candidates);
        for (number, text) in texts.enumerate() {
            candidates.clear();
            if !self.is_needed_only {
                candidates.extend_from_slice(&rules.always);
            }
            if rules.is_filtered {
                plan.network.candidates(group, text, &mut self.scratch.counters, &mut candidates);
                if let Some(Some(screen)) = plan.screens.get(group) {
                    screen.candidates(text, &mut candidates);
                    candidates.sort_unstable();
                    candidates.dedup();
                }
            }
            if self.is_needed_only {
                if number == 0 {
                    self.touch_group(group);
                }
                candidates.iter().for_each(|slot| self.touch(*slot, number, text));
                continue;
            }
            for &slot in &candidates {
                if !rules.negated.contains(&slot) {
                    self.verify(slot, number, text);
                }
            }
            for &slot in &rules.negated {
                self.verify_negated(slot, candidates.contains(&slot), text);
            }
        }
        self.scratch.candidates = candidates;
    }

    fn verify(&mut self, slot: u32, number: usize, text: &[u8]) {
        let set = self.set;
        let Some(Slot { rule: id, is_hint: false, limit, no_subject, guard, .. }) = set.plan.slots.get(slot as usize)
        else {
            return;
        };
        let before = self.scratch.counts.get(slot as usize).copied().unwrap_or_default();
        if before >= *limit
            || (*no_subject && number == 0)
            || self.scratch.given_up.get(slot as usize).copied().unwrap_or_default()
        {
            return;
        }
        let Some(pattern) = set.rules.get(id.index()).and_then(|rule| pattern_of(&rule.matcher)) else {
            return;
        };
        let began = self.now();
        if guard.as_ref().is_some_and(|guard| !guard.may_match(text)) {
            return self.took(*id, began, 0);
        }
        let mut tally = Tally { count: before, ..Tally::default() };
        count(pattern, text, *limit, &mut tally, &mut self.work);
        self.took(*id, began, 1);
        if tally.is_limited {
            self.limits.push(*id);
            self.give_up(slot);
        }
        if tally.count == before {
            return;
        }
        if let Some(count) = self.scratch.counts.get_mut(slot as usize) {
            *count = tally.count;
        }
        if before == 0 {
            self.hit_slots.push((slot, tally.evidence));
        }
    }

    fn give_up(&mut self, slot: u32) {
        if let Some(flag) = self.scratch.given_up.get_mut(slot as usize) {
            *flag = true;
            self.given_up.push(slot);
        }
    }

    fn verify_negated(&mut self, slot: u32, is_candidate: bool, text: &[u8]) {
        let Some(id) = self.set.plan.slots.get(slot as usize).map(|slot| slot.rule) else {
            return;
        };
        let pattern = self.set.rules.get(id.index()).and_then(|rule| pattern_of(&rule.matcher));
        let began = self.now();
        let result = pattern.map_or(Ok(false), |pattern| if is_candidate { pattern.is_match(text) } else { Ok(false) });
        self.took(id, began, u32::from(is_candidate));
        match result {
            Ok(true) => {}
            Ok(false) => self.hit(id, 1, 1.0, Vec::new()),
            Err(Limit) => self.limits.push(id),
        }
    }

    fn absent(&mut self, group: usize) {
        let set = self.set;
        for (slot, count) in set.plan.groups.get(group).map_or(&[][..], |group| &group.absent) {
            if let Some(rule) = set.plan.slots.get(*slot as usize).map(|slot| slot.rule) {
                if self.is_needed_only {
                    set.needs.touch(rule, &mut self.scratch.due);
                }
                self.hit(rule, *count, f64::from(*count), Vec::new());
            }
        }
    }

    /// The hits of rules that were tried together, now that all texts are seen.
    fn hit_together(&mut self) {
        for (slot, evidence) in take(&mut self.hit_slots) {
            let count = self.scratch.counts.get_mut(slot as usize).map(take).unwrap_or_default();
            if let Some(id) = self.set.plan.slots.get(slot as usize).map(|slot| slot.rule) {
                self.hit(id, count, f64::from(count), evidence);
            }
        }
    }

    fn hit(&mut self, id: RuleId, count: u32, value: f64, evidence: Vec<u8>) {
        if count == 0 {
            return;
        }
        if let Some(slot) = self.scratch.values.get_mut(id.index()) {
            *slot = if value > 0.0 { value } else { 1.0 };
        }
        if !self.is_needed_only {
            self.set.metas.hit(id, &mut self.scratch.due);
        }
        self.found.push(Found { rule: id, count, evidence });
    }

    /// A meta that hits may make later ones due.
    fn metas(&mut self) {
        let set = self.set;
        let mut from = 0;
        while let Some((number, id)) = set.metas.next(&self.scratch.due, from) {
            from = number + 1;
            let Some(expression) = metas::expression(&set.rules, id) else { continue };
            let began = self.now();
            let values = &self.scratch.values;
            let value = expression.eval(&mut |id: &RuleId| values.get(id.index()).copied().unwrap_or_default());
            self.took(id, began, 1);
            if value != 0.0 {
                self.hit(id, 1, value, Vec::new());
            }
        }
    }

    /// Gives the scratch back, with zeros where this message wrote.
    fn end(&mut self) {
        let mut scratch = take(&mut self.scratch);
        if self.is_needed_only {
            scratch.needed.end(&self.touched);
            for slot in &self.touched {
                if let Some(count) = scratch.counts.get_mut(*slot as usize) {
                    *count = 0;
                }
            }
        }
        for found in &self.found {
            if let Some(value) = scratch.values.get_mut(found.rule.index()) {
                *value = 0.0;
            }
        }
        for slot in &self.given_up {
            if let Some(flag) = scratch.given_up.get_mut(*slot as usize) {
                *flag = false;
            }
        }
        self.set.scratches.give_back(scratch);
    }

    /// A header's values as one text: SpamAssassin joins them with line ends unless they have some.
    fn field(&mut self, field: usize) -> Option<&Vec<u8>> {
        let (set, input) = (self.set, self.input);
        let slot = self.fields.get_mut(field)?;
        let joined = slot.get_or_insert_with(|| {
            let values = input.get(set.fields.get(field)?, &set.settings);
            let first = values.first()?;
            let separator: &[u8] = if first.ends_with(b"\n") { b"" } else { b"\n" };
            Some(values.join(separator))
        });
        joined.as_ref()
    }

    fn keep_field(&mut self, field: usize, value: Vec<u8>) {
        if let Some(slot) = self.fields.get_mut(field) {
            *slot = Some(Some(value));
        }
    }

    fn call(&self, rule: &'a Rule, target: EvalTarget, function: &EvalFn, arguments: &[Arg]) -> EvalResult {
        let context = EvalContext {
            input: self.input,
            settings: &self.set.settings,
            answers: self.answers,
            target,
            rule: &rule.name,
            flags: &rule.flags.text,
        };
        (function.run)(&context, arguments)
    }

    fn finish(mut self) -> Matches {
        self.end();
        self.found.sort_by_key(|found| found.rule);
        let mut matches = Matches { limits: self.limits, unavailable: self.unavailable, ..Matches::default() };
        for Found { rule: id, count, evidence } in self.found {
            let Some(rule) = self.set.rules.get(id.index()) else {
                continue;
            };
            if rule.is_subtest() {
                matches.subtests.push(Hit { rule: id, count, score: Score::ZERO, evidence });
            } else {
                let score = (0..count).map(|_| rule.score).sum();
                matches.hits.push(Hit { rule: id, count, score, evidence });
            }
        }
        self.set.settle(matches)
    }
}

/// Counts matches of `pattern` in `text`, up to `limit` in all.
fn count(pattern: &Pattern, text: &[u8], limit: u32, tally: &mut Tally, work: &mut Work) {
    let mut at = 0;
    while tally.count < limit {
        if !work.take(text.len().saturating_sub(at)) {
            tally.is_limited = true;
            return;
        }
        match pattern.find_at(text, at) {
            Ok(Some((start, end))) => {
                if tally.count == 0 {
                    tally.evidence = shorten(text.get(start..end).unwrap_or_default());
                }
                tally.count += 1;
                at = if end > start { end } else { end + 1 };
            }
            Ok(None) => return,
            Err(Limit) => {
                work.take_limit();
                tally.is_limited = true;
                return;
            }
        }
    }
}

fn shorten(evidence: &[u8]) -> Vec<u8> {
    evidence.get(..EVIDENCE_OCTETS_MAX).unwrap_or(evidence).to_vec()
}

/// The cleaned forms of all links, each once.
fn distinct_uris(uris: &[Uri]) -> Vec<&[u8]> {
    let mut seen = BTreeSet::new();
    uris.iter().flat_map(|uri| &uri.cleaned).map(Vec::as_slice).filter(|uri| seen.insert(*uri)).collect()
}

#[cfg(test)]
mod tests;
