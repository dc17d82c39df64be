//! Two steps over one message: which DNS questions the rules have ([`RuleSet::wanted`]), and which rules hit ([`RuleSet::matches`]).

use std::collections::{BTreeMap, BTreeSet};

use tidegate_mail::Score;

use crate::dns::{Answer, Answers, DnsQuestion};
use crate::evals::{Arg, EvalContext, EvalFn, EvalResult, EvalTarget};
use crate::input::{Input, Part, Uri};
use crate::language::rule::{TextKind, UriKey};
use crate::pattern::{Limit, Pattern};
use crate::plan::{Slot, field_group, hits_max, pattern_of, text_group};
use crate::prefilter::network::Counters;
use crate::prefilter::screen::State;
use crate::ruleset::{Matcher, Rule, RuleId, RuleSet, Subtest, Template};
use crate::shortcircuit::Settled;

mod wanted;

use wanted::template_tags;

/// How much of a match is kept to be shown.
const EVIDENCE_OCTETS_MAX: usize = 200;
/// How many MIME parts `mimeheader` rules look at, as in SpamAssassin.
const PARTS_MAX: u32 = 1000;
/// How many values one tag holds.
const TAG_VALUES_MAX: usize = 100;

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
    /// Rules without (`__NAME`), in the order of their names.
    pub subtests: Vec<Hit>,
    /// Rules whose pattern reached its limit in this message: whether they match is unknown.
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
        for &id in &self.plan.single {
            run.test(id);
        }
        run.together();
        run.hit_together();
        run.metas();
        run.finish()
    }

    /// The same as [`RuleSet::matches`], with each pattern tried on each text: slow and simple, so that tests can compare.
    #[must_use]
    pub fn matches_plainly(&self, input: &Input<'_>, answers: &Answers) -> Matches {
        let mut run = Run::new(self, input, answers);
        for &id in &self.order {
            run.test(id);
        }
        run.metas();
        run.finish()
    }
}

/// One message on its way through a set.
struct Run<'a> {
    set: &'a RuleSet,
    input: &'a Input<'a>,
    answers: &'a Answers,
    /// The value of each rule in meta expressions: 0 for no hit.
    values: Vec<f64>,
    found: Vec<Found>,
    /// The joined values of each header asked for, once they are.
    fields: Vec<Option<Option<Vec<u8>>>>,
    /// What captures hold.
    tags: BTreeMap<String, Vec<Vec<u8>>>,
    limits: Vec<RuleId>,
    unavailable: Vec<(RuleId, &'static str)>,
    /// Matches so far of each pattern that is tried together with others.
    counts: Vec<u32>,
    /// Those with any, and what the first match covered.
    hit_slots: Vec<(u32, Vec<u8>)>,
    counters: Counters,
    screen_state: State,
    candidates: Vec<u32>,
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
        Run {
            set,
            input,
            answers,
            values: vec![0.0; set.rules.len()],
            found: Vec::new(),
            fields: vec![None; set.fields.len()],
            tags: BTreeMap::new(),
            limits: Vec::new(),
            unavailable: Vec::new(),
            counts: vec![0; set.plan.slots.len()],
            hit_slots: Vec::new(),
            counters: Counters::default(),
            screen_state: State::default(),
            candidates: Vec::new(),
        }
    }

    fn test(&mut self, id: RuleId) {
        let Some(rule) = self.set.rules.get(id.index()) else {
            return;
        };
        let mut tally = Tally::default();
        match &rule.matcher {
            Matcher::Header { field, pattern, is_negated, unset } => {
                self.header(rule, *field, pattern, *is_negated, unset.as_deref(), &mut tally);
            }
            Matcher::HeaderExists { field } => tally.count = u32::from(self.field(*field).is_some()),
            Matcher::Text { kind, pattern } => self.text(rule, *kind, pattern, &mut tally),
            Matcher::MimeHeader { .. } => self.mime_header(rule, &mut tally),
            Matcher::UriDetail(clauses) => self.uri_detail(clauses, &mut tally),
            Matcher::Eval { target, function, arguments } => return self.eval(id, rule, *target, function, arguments),
            Matcher::AskDns { template, record, subtest } => {
                let questions = self.fill(template).into_iter().map(|name| DnsQuestion { name, record: *record });
                self.ask_dns(questions.collect(), subtest.as_ref(), &mut tally);
            }
            Matcher::Meta(_) | Matcher::Never => {}
        }
        if tally.is_limited && tally.count == 0 {
            self.limits.push(id);
        }
        if tally.is_unknown && tally.count == 0 {
            self.unavailable.push((id, "DNS"));
        }
        self.hit(id, tally.count, f64::from(tally.count), tally.evidence);
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
                TextKind::Uri => self.texts(group, distinct_uris(&input.uris).into_iter()),
            }
        }
        for field in 0..self.set.fields.len() {
            let group = field_group(field);
            match self.field(field).cloned() {
                Some(value) => self.texts(group, [value.as_slice()].into_iter()),
                None => self.absent(group),
            }
        }
    }

    fn texts<'t>(&mut self, group: usize, texts: impl Iterator<Item = &'t [u8]>) {
        let plan = &self.set.plan;
        let Some(rules) = plan.groups.get(group) else {
            return;
        };
        for (number, text) in texts.enumerate() {
            let mut candidates = std::mem::take(&mut self.candidates);
            candidates.clear();
            candidates.extend_from_slice(&rules.always);
            if rules.is_filtered {
                plan.network.candidates(group, text, &mut self.counters, &mut candidates);
                if let Some(Some(screen)) = plan.screens.get(group) {
                    screen.candidates(text, &mut self.screen_state, &mut candidates);
                    candidates.sort_unstable();
                    candidates.dedup();
                }
            }
            for &slot in &candidates {
                if !rules.negated.contains(&slot) {
                    self.verify(slot, number, text);
                }
            }
            for &slot in &rules.negated {
                self.verify_negated(slot, candidates.contains(&slot), text);
            }
            self.candidates = candidates;
        }
    }

    fn verify(&mut self, slot: u32, number: usize, text: &[u8]) {
        let set = self.set;
        let Some(Slot { rule: id, limit, no_subject, guard }) = set.plan.slots.get(slot as usize) else {
            return;
        };
        let before = self.counts.get(slot as usize).copied().unwrap_or_default();
        if before >= *limit
            || (*no_subject && number == 0)
            || guard.as_ref().is_some_and(|guard| !guard.may_match(text))
        {
            return;
        }
        let Some(pattern) = set.rules.get(id.index()).and_then(|rule| pattern_of(&rule.matcher)) else {
            return;
        };
        let mut tally = Tally { count: before, ..Tally::default() };
        count(pattern, text, *limit, &mut tally);
        if tally.is_limited && !self.limits.contains(id) {
            self.limits.push(*id);
        }
        if tally.count == before {
            return;
        }
        if let Some(count) = self.counts.get_mut(slot as usize) {
            *count = tally.count;
        }
        if before == 0 {
            self.hit_slots.push((slot, tally.evidence));
        }
    }

    fn verify_negated(&mut self, slot: u32, is_candidate: bool, text: &[u8]) {
        let Some(id) = self.set.plan.slots.get(slot as usize).map(|slot| slot.rule) else {
            return;
        };
        let pattern = self.set.rules.get(id.index()).and_then(|rule| pattern_of(&rule.matcher));
        match pattern.map_or(Ok(false), |pattern| if is_candidate { pattern.is_match(text) } else { Ok(false) }) {
            Ok(true) => {}
            Ok(false) => self.hit(id, 1, 1.0, Vec::new()),
            Err(Limit) => self.limits.push(id),
        }
    }

    fn absent(&mut self, group: usize) {
        let set = self.set;
        for (slot, count) in set.plan.groups.get(group).map_or(&[][..], |group| &group.absent) {
            if let Some(slot) = set.plan.slots.get(*slot as usize) {
                self.hit(slot.rule, *count, f64::from(*count), Vec::new());
            }
        }
    }

    /// The hits of rules that were tried together, now that all texts are seen.
    fn hit_together(&mut self) {
        for (slot, evidence) in std::mem::take(&mut self.hit_slots) {
            let count = self.counts.get(slot as usize).copied().unwrap_or_default();
            if let Some(id) = self.set.plan.slots.get(slot as usize).map(|slot| slot.rule) {
                self.hit(id, count, f64::from(count), evidence);
            }
        }
    }

    fn hit(&mut self, id: RuleId, count: u32, value: f64, evidence: Vec<u8>) {
        if count == 0 {
            return;
        }
        if let Some(slot) = self.values.get_mut(id.index()) {
            *slot = if value > 0.0 { value } else { 1.0 };
        }
        self.found.push(Found { rule: id, count, evidence });
    }

    fn metas(&mut self) {
        let set = self.set;
        for &id in &set.metas {
            self.meta(id);
        }
    }

    fn meta(&mut self, id: RuleId) {
        let Some(Matcher::Meta(expression)) = self.set.rules.get(id.index()).map(|rule| &rule.matcher) else {
            return;
        };
        let values = &self.values;
        let value = expression.eval(&mut |id: &RuleId| values.get(id.index()).copied().unwrap_or_default());
        if value != 0.0 {
            self.hit(id, 1, value, Vec::new());
        }
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

    fn header(
        &mut self,
        rule: &Rule,
        field: usize,
        template: &Template,
        is_negated: bool,
        unset: Option<&[u8]>,
        tally: &mut Tally,
    ) {
        let Some(pattern) = self.filled(template) else {
            return;
        };
        let present = self.field(field).map(Vec::as_slice);
        let is_absent = present.is_none();
        let value = present.or(unset).unwrap_or_default();
        if is_negated {
            match pattern.is_match(value) {
                Ok(is_match) => tally.count = u32::from(!is_match),
                Err(Limit) => tally.is_limited = true,
            }
            return;
        }
        let limit = hits_max(&rule.flags);
        count(&pattern, value, limit, tally);
        if is_absent {
            tally.evidence.clear();
        }
        if template.captures && tally.count > 0 {
            let value = value.to_vec();
            self.keep_captures(&pattern, &value);
        }
    }

    fn text(&mut self, rule: &Rule, kind: TextKind, template: &Template, tally: &mut Tally) {
        let Some(pattern) = self.filled(template) else {
            return;
        };
        let limit = hits_max(&rule.flags);
        let input = self.input;
        let skipped = usize::from(kind == TextKind::Body && rule.flags.no_subject);
        let texts: Vec<&[u8]> = match kind {
            TextKind::Body => input.body.iter().skip(skipped).map(Vec::as_slice).collect(),
            TextKind::RawBody => input.rawbody.iter().map(Vec::as_slice).collect(),
            TextKind::Full => vec![&input.pristine],
            TextKind::Uri => distinct_uris(&input.uris),
        };
        for text in texts {
            count(&pattern, text, limit, tally);
            if template.captures {
                self.keep_captures(&pattern, text);
            }
            if tally.count >= limit {
                break;
            }
        }
    }

    fn mime_header(&mut self, rule: &Rule, tally: &mut Tally) {
        let Matcher::MimeHeader { field, is_raw, pattern: template, is_negated, unset } = &rule.matcher else {
            return;
        };
        let Some(pattern) = self.filled(template) else {
            return;
        };
        let limit = hits_max(&rule.flags);
        let (first, last) = rule.flags.parts.unwrap_or((0, PARTS_MAX));
        let mut joined = Vec::new();
        for (number, part) in (1..).zip(&self.input.parts) {
            if number > last {
                break;
            }
            if number < first {
                continue;
            }
            let value = part_value(part, field, *is_raw).unwrap_or_else(|| unset.clone());
            if rule.flags.concat {
                joined.extend_from_slice(&value);
                if !value.ends_with(b"\n") {
                    joined.push(b'\n');
                }
                continue;
            }
            if self.mime_value(&pattern, template, &value, *is_negated, limit, tally) {
                return;
            }
        }
        if rule.flags.concat && self.mime_value(&pattern, template, &joined, *is_negated, limit, tally) {
            return;
        }
        tally.count = u32::from(*is_negated && !tally.is_limited);
    }

    /// Whether the value decides: a match does, for rules and for negated rules (which it makes miss).
    fn mime_value(
        &mut self,
        pattern: &Pattern,
        template: &Template,
        value: &[u8],
        is_negated: bool,
        limit: u32,
        tally: &mut Tally,
    ) -> bool {
        if is_negated {
            // A negated rule counts no matches in SpamAssassin, so that no part can make it miss.
            return false;
        }
        count(pattern, value, limit, tally);
        if template.captures && tally.count > 0 {
            self.keep_captures(pattern, value);
        }
        tally.count > 0
    }

    fn uri_detail(&mut self, clauses: &[(UriKey, bool, Pattern)], tally: &mut Tally) {
        for uri in &self.input.uris {
            let mut fulfils = true;
            for (key, is_negated, pattern) in clauses {
                let mut is_any = false;
                for text in uri_texts(uri, *key) {
                    match pattern.is_match(text) {
                        Ok(is_match) => is_any |= is_match != *is_negated,
                        Err(Limit) => tally.is_limited = true,
                    }
                }
                fulfils &= is_any;
            }
            if fulfils {
                tally.count = 1;
                tally.evidence = shorten(&uri.raw);
                return;
            }
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

    fn eval(&mut self, id: RuleId, rule: &'a Rule, target: EvalTarget, function: &EvalFn, arguments: &[Arg]) {
        match self.call(rule, target, function, arguments) {
            EvalResult::Miss => {}
            EvalResult::Hit { count, evidence } => self.hit(id, 1, f64::from(count), shorten(evidence.as_bytes())),
            EvalResult::Ask(_) => self.unavailable.push((id, "its DNS questions were not answered")),
            EvalResult::Unavailable(why) => self.unavailable.push((id, why)),
        }
    }

    fn ask_dns(&mut self, questions: Vec<DnsQuestion>, subtest: Option<&Subtest>, tally: &mut Tally) {
        for question in questions {
            let records = match self.answers.get(&question) {
                Some(Answer::Records(records)) => records,
                Some(Answer::Unavailable) => {
                    tally.is_unknown = true;
                    continue;
                }
                None => continue,
            };
            for record in records {
                if subtest.is_none_or(|subtest| fulfils(subtest, record)) {
                    tally.count = 1;
                    tally.evidence = shorten(format!("{} {record}", question.name).as_bytes());
                    return;
                }
            }
        }
    }

    /// The names that a template with tags (`_dmarc._AUTHORDOMAIN_`) gives; none when a tag has no value.
    fn fill(&self, template: &str) -> Vec<String> {
        let mut names = vec![template.to_owned()];
        for tag in template_tags(template) {
            let values = self.tag_values(tag);
            let marked = format!("_{tag}_");
            names = names
                .iter()
                .flat_map(|name| values.iter().map(|value| name.replace(&marked, &String::from_utf8_lossy(value))))
                .take(TAG_VALUES_MAX)
                .collect();
        }
        names
            .into_iter()
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect()
    }

    fn tag_values(&self, tag: &str) -> Vec<Vec<u8>> {
        match self.tags.get(tag) {
            Some(values) => values.clone(),
            None => self.input.tag(tag, &self.set.settings).into_iter().map(String::into_bytes).collect(),
        }
    }

    /// The pattern to match with: tags filled with alternatives. `None` when a tag has no value; the rule does not run then.
    fn filled<'t>(&self, template: &'t Template) -> Option<std::borrow::Cow<'t, Pattern>> {
        let Some(tags) = &template.tags else {
            return Some(std::borrow::Cow::Borrowed(&template.pattern));
        };
        let mut source = tags.source.clone();
        for name in &tags.names {
            let values: Vec<Vec<u8>> = self.tag_values(name).into_iter().filter(|value| !value.is_empty()).collect();
            if values.is_empty() {
                return None;
            }
            let quoted: Vec<Vec<u8>> = values.iter().map(|value| quote(value)).collect();
            let alternatives = [b"(?:".as_slice(), &quoted.join(&b'|'), b")"].concat();
            let mark = format!("%\\{{{name}\\}}");
            source = replace_all(&source, mark.as_bytes(), &alternatives);
        }
        Pattern::compile(&source, tags.modifiers).ok().map(std::borrow::Cow::Owned)
    }

    /// Keeps what named groups matched, for the tags of other rules.
    fn keep_captures(&mut self, pattern: &Pattern, text: &[u8]) {
        for (name, value) in pattern.named_captures(text).unwrap_or_default() {
            if !crate::compile::is_tag_name(name) || value.is_empty() {
                continue;
            }
            let values = self.tags.entry(name.to_owned()).or_default();
            if values.len() < TAG_VALUES_MAX && !values.iter().any(|known| known == value) {
                values.push(value.to_vec());
            }
        }
    }

    fn finish(mut self) -> Matches {
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
fn count(pattern: &Pattern, text: &[u8], limit: u32, tally: &mut Tally) {
    let mut at = 0;
    while tally.count < limit {
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

fn uri_texts(uri: &Uri, key: UriKey) -> Vec<&[u8]> {
    match key {
        UriKey::Raw => vec![&uri.raw],
        UriKey::Type => uri.sources.iter().map(|source| source.name().as_bytes()).collect(),
        UriKey::Cleaned => uri.cleaned.iter().map(Vec::as_slice).collect(),
        UriKey::Text => uri.anchor_texts.iter().map(Vec::as_slice).collect(),
        UriKey::Domain => uri.domains.iter().map(String::as_bytes).collect(),
        UriKey::Host => uri.hosts.iter().map(String::as_bytes).collect(),
    }
}

/// The last header of this name in a part, or all of them as text.
fn part_value(part: &Part<'_>, field: &str, is_raw: bool) -> Option<Vec<u8>> {
    let value = |field: &crate::input::Field<'_>| {
        if is_raw { field.raw.to_vec() } else { [field.decoded.as_slice(), b"\n"].concat() }
    };
    if field == "ALL" {
        return Some(
            part.headers.iter().flat_map(|field| [&field.name, b": ".as_slice(), &value(field)].concat()).collect(),
        );
    }
    part.headers.iter().rev().find(|other| other.name.eq_ignore_ascii_case(field.as_bytes())).map(value)
}

fn fulfils(subtest: &Subtest, record: &str) -> bool {
    match subtest {
        Subtest::Text(text) => record == text,
        Subtest::Pattern(pattern) => pattern.is_match(record.as_bytes()).unwrap_or(false),
        Subtest::Bits { mask, low, high } => {
            let number = record.parse::<std::net::Ipv4Addr>().map(u32::from).or_else(|_| record.parse());
            number.is_ok_and(|number| {
                let masked = number & mask;
                if mask == low && low == high { masked != 0 } else { (*low..=*high).contains(&masked) }
            })
        }
    }
}

/// As Perl's `quotemeta` over octets.
fn quote(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len() * 2);
    for &octet in text {
        if !octet.is_ascii_alphanumeric() && octet != b'_' && octet.is_ascii() {
            quoted.push(b'\\');
        }
        quoted.push(octet);
    }
    quoted
}

fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, from) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{CompileOptions, compile};
    use crate::input::Field;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, parse};
    use std::borrow::Cow;

    fn set(text: &str) -> RuleSet {
        let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &|_, _| None);
        assert_eq!(parsed.diagnostics, []);
        let (set, remarks) = compile(parsed, CompileOptions { network: true, classifier: false });
        assert_eq!(remarks, []);
        set
    }

    fn input() -> Input<'static> {
        let field = |name: &'static str, value: &str| Field {
            name: Cow::Borrowed(name.as_bytes()),
            raw: Cow::Owned(format!(" {value}\n").into_bytes()),
            decoded: value.as_bytes().to_vec(),
        };
        Input {
            headers: vec![field("Subject", "cheap cheap"), field("X-A", "1"), field("x-a", "2")],
            body: ["cheap cheap", "buy cheap pills", "at CHEAP.example"].map(|text| text.as_bytes().to_vec()).to_vec(),
            uris: vec![Uri {
                raw: b"u".to_vec(),
                cleaned: vec![b"http://u/".to_vec(), b"http://u/".to_vec()],
                ..Uri::default()
            }],
            ..Input::default()
        }
    }

    fn hits(text: &str) -> Vec<String> {
        let set = set(text);
        let matches = set.matches(&input(), &Answers::default());
        let show = |hit: &Hit| format!("{}={}", set.rules()[hit.rule.index()].name, hit.count);
        matches.hits.iter().chain(&matches.subtests).map(show).collect()
    }

    #[test]
    fn counts_follow_the_flags() {
        assert_eq!(hits("body A /cheap/i"), ["A=1"]);
        assert_eq!(hits("body A /cheap/i\ntflags A multiple"), ["A=4"]);
        assert_eq!(hits("body A /cheap/i\ntflags A multiple maxhits=3"), ["A=3"]);
        assert_eq!(hits("body A /cheap/i\ntflags A multiple nosubject"), ["A=2"]);
        assert_eq!(hits("uri A /u/\ntflags A multiple"), ["A=1"]);
    }

    #[test]
    fn an_absent_header_is_empty_text() {
        assert_eq!(hits("header A X-None =~ /^$/"), ["A=1"]);
        assert_eq!(hits("header A X-None !~ /x/"), ["A=1"]);
        assert_eq!(hits("header A X-None =~ /y/ [if-unset: y]"), ["A=1"]);
        assert_eq!(hits("header A exists:X-None\nheader B exists:X-A"), ["B=1"]);
    }

    #[test]
    fn values_of_one_name_are_joined() {
        assert_eq!(hits("header A X-A =~ /1\\s+2/"), ["A=1"]);
    }

    #[test]
    fn metas_count_and_subtests_have_no_points() {
        let rules = "body __A /cheap/i\ntflags __A multiple\nmeta B __A > 3\nmeta C __A - 4\nscore B 2.5";
        assert_eq!(hits(rules), ["B=1", "__A=4"]);
        let set = set(rules);
        assert_eq!(set.matches(&input(), &Answers::default()).score(), Score::milli(2500));
    }

    #[test]
    fn captures_fill_tags() {
        assert_eq!(
            hits("header __S Subject =~ /^(?<WORD>\\w+)/\nbody B /buy %{WORD} pills/\nbody C /%{OTHER}/"),
            ["B=1", "__S=1"]
        );
    }

    #[test]
    fn headers_fill_tags() {
        assert_eq!(
            hits("header B Subject =~ /^cheap %{HEADER(X-Word)}$/\nbody C /%{HEADER(X-None)}/"),
            Vec::<String>::new()
        );
        assert_eq!(hits("body B /at %{HEADER(Subject)}|%{HEADER(X-A)}/\nheader C X-A =~ /^%{HEADER(x-a)}/"), ["C=1"]);
        assert_eq!(template_tags("_HEADER(List-Id)_.x.example"), ["HEADER(List-Id)"]);
    }

    #[test]
    fn askdns_asks_then_hits() {
        let set = set("askdns A x.example TXT /^v=1/\ntflags A net");
        let question = DnsQuestion { name: "x.example".to_owned(), record: crate::dns::RecordType::Txt };
        assert_eq!(set.wanted(&input()), std::slice::from_ref(&question));
        let mut answers = Answers::default();
        answers.insert(question, Answer::Records(vec!["v=1 a".to_owned()]));
        assert_eq!(set.matches(&input(), &answers).hits.len(), 1);
    }

    #[test]
    fn a_limit_is_no_miss() {
        let set = set("body A /^(?:a|aa)+$/");
        let text = [vec![b'a'; 200], b"!".to_vec()].concat();
        let input = Input { body: vec![text], ..Input::default() };
        assert_eq!(set.matches(&input, &Answers::default()).limits, [RuleId(0)]);
    }
}
