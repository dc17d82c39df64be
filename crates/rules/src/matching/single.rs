//! Rules that are tried one by one: those with captures or tags, MIME headers, links with clauses, functions, DNS.

use super::{Run, Tally, count, shorten};
use crate::dns::{Answer, DnsQuestion};
use crate::evals::{Arg, EvalFn, EvalResult, EvalTarget};
use crate::input::{Part, Uri};
use crate::language::rule::{TextKind, UriKey};
use crate::pattern::{Limit, Pattern};
use crate::plan::hits_max;
use crate::rule::{Matcher, Rule, RuleId, Subtest};
use crate::template::Template;

/// How many MIME parts `mimeheader` rules look at, as in SpamAssassin.
const PARTS_MAX: u32 = 1000;

impl<'a> Run<'a> {
    pub(super) fn test(&mut self, id: RuleId) {
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

    fn header(
        &mut self,
        rule: &Rule,
        field: usize,
        template: &Template,
        is_negated: bool,
        unset: Option<&[u8]>,
        tally: &mut Tally,
    ) {
        let Some(pattern) = self.filled(template, tally) else {
            return;
        };
        let mut work = self.work;
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
        count(&pattern, value, limit, tally, &mut work);
        if is_absent {
            tally.evidence.clear();
        }
        let captured = if template.captures && tally.count > 0 { value.to_vec() } else { Vec::new() };
        self.work = work;
        if !captured.is_empty() {
            self.keep_captures(&pattern, &captured);
        }
    }

    fn text(&mut self, rule: &Rule, kind: TextKind, template: &Template, tally: &mut Tally) {
        let limit = hits_max(&rule.flags);
        let input = self.input;
        let skipped = usize::from(kind == TextKind::Body && rule.flags.no_subject);
        let texts: Vec<&[u8]> = match kind {
            TextKind::Body => input.body.iter().skip(skipped).map(Vec::as_slice).collect(),
            TextKind::RawBody => input.rawbody.iter().map(Vec::as_slice).collect(),
            TextKind::Full => vec![&input.pristine],
            TextKind::Uri => self.uris.clone(),
        };
        if self.lacks_tag(template, &texts) {
            return;
        }
        let Some(pattern) = self.filled(template, tally) else {
            return;
        };
        for text in texts {
            count(&pattern, text, limit, tally, &mut self.work);
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
        let Some(pattern) = self.filled(template, tally) else {
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
        count(pattern, value, limit, tally, &mut self.work);
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

    fn eval(&mut self, id: RuleId, rule: &'a Rule, target: EvalTarget, function: &EvalFn, arguments: &[Arg]) {
        match self.call(rule, target, function, arguments) {
            EvalResult::Miss => {}
            EvalResult::Hit { count, evidence } => self.hit(id, 1, f64::from(count), shorten(evidence.as_bytes())),
            EvalResult::Ask(_) => self.unavailable.push((id, "its DNS questions were not answered")),
            EvalResult::Unavailable(why) => self.unavailable.push((id, why)),
            EvalResult::Limit => self.limits.push(id),
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
                match subtest {
                    None => tally.count = 1,
                    Some(Subtest::Text(text)) => tally.count = u32::from(record == text),
                    Some(Subtest::Pattern(pattern)) => count(pattern, record.as_bytes(), 1, tally, &mut self.work),
                    Some(Subtest::Bits { mask, low, high }) => {
                        tally.count = u32::from(has_bits(record, *mask, *low, *high));
                    }
                }
                if tally.count > 0 {
                    tally.evidence = shorten(format!("{} {record}", question.name).as_bytes());
                    return;
                }
            }
        }
    }
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

/// Whether the record, an address or a number, has one of the bits of `mask` or lies within the range below it.
fn has_bits(record: &str, mask: u32, low: u32, high: u32) -> bool {
    let number = record.parse::<std::net::Ipv4Addr>().map(u32::from).or_else(|_| record.parse());
    number.is_ok_and(|number| {
        let masked = number & mask;
        if mask == low && low == high { masked != 0 } else { (low..=high).contains(&masked) }
    })
}
