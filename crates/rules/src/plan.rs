//! In which order and how the rules of a set are tried: pattern rules together, by the texts they see; all others one by one.

use crate::analysis::{Analyses, Analysis};
use crate::language::rule::TextKind;
use crate::pattern::Pattern;
use crate::prefilter::network::{self, Network};
use crate::prefilter::relaxed::Relaxed;
use crate::prefilter::screen::{self, Screen};
use crate::rule::{Flags, Matcher, Rule, RuleId};
use crate::template::Template;
use crate::template::{mark_of, replace_all};

/// How often one rule may hit in a message. SpamAssassin knows no such limit but for `mimeheader`, where it is the same.
pub(crate) const HITS_MAX: u32 = 1000;
/// With fewer patterns than this over one kind of text, each is tried: the pass over the text would cost more.
const TOGETHER_MIN: usize = 6;

/// What the tree of a pattern reads as anything at all.
const ANYTHING: &[u8] = br"\R";

/// How a set is tried.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) network: Network,
    /// For each group with such, its patterns that have no literals but a sequence of classes.
    pub(crate) screens: Vec<Option<Screen>>,
    /// Patterns that are tried together; the network knows them by their place here.
    pub(crate) slots: Vec<Slot>,
    /// Body, raw body, whole message, links, then each header.
    pub(crate) groups: Vec<Group>,
    /// Rules that are tried one by one, those that fill tags first.
    pub(crate) single: Vec<RuleId>,
}

/// One pattern rule.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) rule: RuleId,
    /// Its place in [`Plan::groups`].
    pub(crate) group: usize,
    /// Nothing says on which texts it may match.
    pub(crate) is_always: bool,
    /// It hits where its pattern does not match.
    pub(crate) is_negated: bool,
    /// The rule is tried on its own, for its pattern has tags; what is known of the pattern says only where that is worth it.
    pub(crate) is_hint: bool,
    /// How many hits count.
    pub(crate) limit: u32,
    /// The first text is left out.
    pub(crate) no_subject: bool,
    /// An automaton that must match first, for a large pattern that nothing else guards.
    pub(crate) guard: Option<Relaxed>,
}

/// The pattern rules that see the same texts.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Whether the network knows any of them.
    pub(crate) is_filtered: bool,
    /// Patterns to try on each text.
    pub(crate) always: Vec<u32>,
    /// Patterns that must not match.
    pub(crate) negated: Vec<u32>,
    /// Headers: rules that ask whether the header is there.
    pub(crate) exists: Vec<RuleId>,
    /// Headers: what hits when the header is absent, and how often.
    pub(crate) absent: Vec<(u32, u32)>,
}

/// The place of the group of body, raw body, whole message or links.
pub(crate) fn text_group(kind: TextKind) -> usize {
    match kind {
        TextKind::Body => 0,
        TextKind::RawBody => 1,
        TextKind::Full => 2,
        TextKind::Uri => 3,
    }
}

/// What kind of text the patterns of a group see; `None` for headers.
pub(crate) fn pattern_kind(group: usize) -> Option<TextKind> {
    [TextKind::Body, TextKind::RawBody, TextKind::Full, TextKind::Uri].get(group).copied()
}

/// The number of the header whose group this is.
pub(crate) fn field_of(group: usize) -> usize {
    group.saturating_sub(4)
}

/// The place of the group of the header with this number.
pub(crate) fn field_group(field: usize) -> usize {
    4 + field
}

/// How many hits of a rule with these flags count.
pub(crate) fn hits_max(flags: &Flags) -> u32 {
    if flags.multiple { flags.hits_max.unwrap_or(HITS_MAX).min(HITS_MAX) } else { 1 }
}

impl Plan {
    /// The plan for `rules`; `order` names those to be tried, `fields` is the number of headers that they ask for.
    pub(crate) fn new(rules: &[Rule], order: &[RuleId], fields: usize, analyses: &mut Analyses) -> Plan {
        let mut plan = Plan::default();
        plan.groups.resize_with(field_group(fields), Group::default);
        let mut sizes = vec![0usize; plan.groups.len()];
        let together = |rule: &Rule| -> Option<(usize, bool)> {
            let (group, template, is_negated) = match &rule.matcher {
                Matcher::Header { field, pattern, is_negated, .. } => (field_group(*field), pattern, *is_negated),
                Matcher::Text { kind, pattern } => (text_group(*kind), pattern, false),
                _ => return None,
            };
            (template.tags.is_none() && !template.captures).then_some((group, is_negated))
        };
        for rule in order.iter().filter_map(|id| rules.get(id.index())) {
            if let Some(size) = together(rule).and_then(|(group, _)| sizes.get_mut(group)) {
                *size += 1;
            }
        }
        let mut builders = Builders { analyses, network: network::Builder::default(), screens: Vec::new() };
        builders.screens.resize_with(sizes.len(), Default::default);
        for &id in order {
            let Some(rule) = rules.get(id.index()) else { continue };
            match together(rule) {
                Some((group, is_negated)) => {
                    let is_filtered = sizes.get(group).is_some_and(|size| *size >= TOGETHER_MIN);
                    plan.add(&mut builders, id, rule, group, is_negated, is_filtered);
                }
                None => {
                    plan.single.push(id);
                    if let Matcher::HeaderExists { field } = rule.matcher
                        && let Some(group) = plan.groups.get_mut(field_group(field))
                    {
                        group.exists.push(id);
                    }
                    plan.hint(&mut builders, id, rule, &sizes);
                }
            }
        }
        plan.network = builders.network.build();
        plan.screens = builders.screens.into_iter().map(|screen| screen.map(screen::Builder::build)).collect();
        plan
    }

    fn add(
        &mut self,
        builders: &mut Builders<'_>,
        id: RuleId,
        rule: &Rule,
        group: usize,
        is_negated: bool,
        is_filtered: bool,
    ) {
        let (Some(pattern), Ok(slot)) = (pattern_of(&rule.matcher), u32::try_from(self.slots.len())) else {
            return;
        };
        let analysis = builders.analyses.of(pattern);
        let is_known = is_filtered && builders.add(group, slot, &analysis);
        // Also where literals are asked for: a text that holds them costs the engine far more than the automaton.
        let guard = analysis.is_large.then(|| Relaxed::of(pattern));
        let limit = if is_negated { 1 } else { hits_max(&rule.flags) };
        self.slots.push(Slot {
            rule: id,
            group,
            is_always: !is_known,
            is_negated,
            is_hint: false,
            limit,
            no_subject: rule.flags.no_subject,
            guard,
        });
        let Some(into) = self.groups.get_mut(group) else {
            return;
        };
        if let Matcher::Header { unset, .. } = &rule.matcher {
            let value = unset.as_deref().unwrap_or_default();
            let is_too_short = analysis.length_min > value.len();
            let matches = u32::from(!is_too_short && pattern.is_match(value).unwrap_or(false));
            let count = if is_negated { 1 - matches } else { matches };
            if count > 0 {
                into.absent.push((slot, count));
            }
        }
        into.is_filtered |= is_known;
        if is_negated {
            into.negated.push(slot);
        }
        if !is_known {
            into.always.push(slot);
        }
    }
}

impl Plan {
    /// Lets a pattern with tags be looked for with anything in their places.
    fn hint(&mut self, builders: &mut Builders<'_>, id: RuleId, rule: &Rule, sizes: &[usize]) {
        let Matcher::Text { kind, pattern: Template { tags: Some(tags), captures: false, .. } } = &rule.matcher else {
            return;
        };
        let group = text_group(*kind);
        let is_filtered = sizes.get(group).is_some_and(|size| *size >= TOGETHER_MIN);
        let Some(slot) = u32::try_from(self.slots.len()).ok().filter(|_| is_filtered) else { return };
        let open = |source: Vec<u8>, name: &String| replace_all(&source, &mark_of(name), ANYTHING);
        let source = tags.names.iter().fold(tags.source.clone(), open);
        let analysis = builders.analyses.of(&Pattern::known(&source, tags.modifiers));
        if !builders.add(group, slot, &analysis) {
            return;
        }
        self.slots.push(Slot {
            rule: id,
            group,
            is_always: false,
            is_negated: false,
            is_hint: true,
            limit: hits_max(&rule.flags),
            no_subject: rule.flags.no_subject,
            guard: None,
        });
        if let Some(group) = self.groups.get_mut(group) {
            group.is_filtered = true;
        }
    }
}

struct Builders<'a> {
    analyses: &'a mut Analyses,
    network: network::Builder,
    screens: Vec<Option<screen::Builder>>,
}

impl Builders<'_> {
    /// Adds a pattern to the network or to the screen of its group; false when neither can tell where it may match.
    fn add(&mut self, group: usize, slot: u32, analysis: &Analysis) -> bool {
        if let Some(formula) = &analysis.formula {
            return self.network.add(group, slot, formula);
        }
        match (&analysis.sequences, self.screens.get_mut(group)) {
            (Some(sequences), Some(screen)) => {
                screen.get_or_insert_default().add(slot, sequences.clone());
                true
            }
            _ => false,
        }
    }
}

pub(crate) fn pattern_of(matcher: &Matcher) -> Option<&Pattern> {
    template_of(matcher).map(|template| &template.pattern)
}

pub(crate) fn template_of(matcher: &Matcher) -> Option<&Template> {
    match matcher {
        Matcher::Header { pattern, .. } | Matcher::Text { pattern, .. } | Matcher::MimeHeader { pattern, .. } => {
            Some(pattern)
        }
        _ => None,
    }
}
