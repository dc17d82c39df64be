//! Tags: what captures of some rules hold for the patterns of others (`%{NAME}`), and for names asked of DNS (`_NAME_`).

use std::borrow::Cow;

use super::wanted::template_tags;
use super::{Run, Tally};
use crate::pattern::{Limit, Pattern};
use crate::template::{TagTemplate, Template, is_tag_name, mark_of, replace_all};

/// How many values one tag holds.
const TAG_VALUES_MAX: usize = 100;
/// How many octets values may add to a pattern: who writes a message chooses them. The engine takes patterns of some 32,000.
const FILLED_OCTETS_MAX: usize = 16 << 10;
/// What is looked for of a value, and in how many octets in all, before its pattern is compiled.
const LOOKED_FOR_OCTETS_MAX: usize = 16;
const LOOKED_THROUGH_OCTETS_MAX: usize = 4 << 20;

impl Run<'_> {
    /// The names that a template with tags (`_dmarc._AUTHORDOMAIN_`) gives; none when a tag has no value.
    pub(super) fn fill(&self, template: &str) -> Vec<String> {
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

    /// The pattern to match with: tags filled with alternatives. `None` when a tag has no value, and when the values are too long for
    /// a pattern, which `tally` says; the rule does not run then.
    pub(super) fn filled<'t>(&mut self, template: &'t Template, tally: &mut Tally) -> Option<Cow<'t, Pattern>> {
        let Some(tags) = &template.tags else {
            return Some(Cow::Borrowed(&template.pattern));
        };
        let filled = self.filled_source(tags).and_then(|source| {
            let Some(source) = source else { return Ok(None) };
            if !self.work.take_filled(source.len()) {
                return Err(Limit);
            }
            Pattern::compile(&source, tags.modifiers).map(Some).map_err(|_| Limit)
        });
        tally.is_limited |= filled.is_err();
        filled.ok().flatten().map(Cow::Owned)
    }

    /// The source with values in the places of tags, quoted; `None` when a tag has no value.
    fn filled_source(&self, tags: &TagTemplate) -> Result<Option<Vec<u8>>, Limit> {
        let mut source = tags.source.clone();
        let octets_max = source.len() + FILLED_OCTETS_MAX;
        for name in &tags.names {
            let values: Vec<Vec<u8>> = self.tag_values(name).into_iter().filter(|value| !value.is_empty()).collect();
            if values.is_empty() {
                return Ok(None);
            }
            let mark = mark_of(name);
            let places = memchr::memmem::find_iter(&source, &mark).count();
            let octets: usize = values.iter().map(Vec::len).sum();
            if octets.saturating_mul(places) > FILLED_OCTETS_MAX {
                return Err(Limit);
            }
            let quoted: Vec<Vec<u8>> = values.iter().map(|value| quote(value)).collect();
            let alternatives = [b"(?:".as_slice(), &quoted.join(&b'|'), b")"].concat();
            if source.len().saturating_add(alternatives.len().saturating_mul(places)) > octets_max {
                return Err(Limit);
            }
            source = replace_all(&source, &mark, &alternatives);
        }
        Ok(Some(source))
    }

    /// Whether a match needs a tag of which no value stands in any of the texts. To compile a pattern takes longer than to look.
    pub(super) fn lacks_tag(&self, template: &Template, texts: &[&[u8]]) -> bool {
        let Some(required) = template.tags.as_ref().and_then(|tags| tags.required.as_deref()) else {
            return false;
        };
        let values = self.tag_values(required);
        let octets: usize = texts.iter().map(|text| text.len()).sum();
        if octets.saturating_mul(values.len()) > LOOKED_THROUGH_OCTETS_MAX {
            return false;
        }
        let is_there = |value: &Vec<u8>| {
            let value = value.get(..LOOKED_FOR_OCTETS_MAX).unwrap_or(value);
            let Some(first) = value.first() else { return true };
            let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
            let is_at = |text: &[u8], at: usize| {
                text.get(at..at + value.len()).is_some_and(|place| place.eq_ignore_ascii_case(value))
            };
            texts.iter().any(|text| memchr::memchr2_iter(lower, upper, text).any(|at| is_at(text, at)))
        };
        !values.iter().any(is_there)
    }

    /// Keeps what named groups matched, for the tags of other rules.
    pub(super) fn keep_captures(&mut self, pattern: &Pattern, text: &[u8]) {
        for (name, value) in pattern.named_captures(text).unwrap_or_default() {
            if !is_tag_name(name) || value.is_empty() {
                continue;
            }
            let values = self.tags.entry(name.to_owned()).or_default();
            if values.len() < TAG_VALUES_MAX && !values.iter().any(|known| known == value) {
                values.push(value.to_vec());
            }
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
