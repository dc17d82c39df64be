//! Rules as symbols: what each is capped with, and which are not counted because a check of ours says the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_mail::Score;
use tidegate_rules::{Basis, Hit, Matches, Rule, RuleId, RuleSet, SETTLED_RULE};

use crate::blocklists::{Catalogue, Kind};
use crate::check::{Class, Finding, Group, Symbol, SymbolRef};
use crate::checks::Name;

/// How deep metas are looked through for what they rest on.
const DEPTH_MAX: usize = 8;
/// Parts of a meta that its evidence names.
const PARTS_SHOWN: usize = 6;
/// Octets of each part's own evidence in that of its meta.
const PART_OCTETS_MAX: usize = 40;

/// Stock rules that say of the message's form, the client's name or the author's address what a symbol of ours says.
const SAME: &[(&str, &str)] = &[
    ("DATE_IN_FUTURE_96_Q", "DATE_IN_FUTURE"),
    ("DATE_IN_PAST_96_XX", "DATE_IN_PAST"),
    ("FREEMAIL_FORGED_REPLYTO", "REPLY_TO_ELSEWHERE"),
    ("INVALID_DATE", "BAD_DATE"),
    ("MISSING_MID", "MISSING_MESSAGE_ID"),
    ("NO_DNS_FOR_FROM", "SENDER_DOMAIN_MISSING"),
];

/// Ends of names of rules that hit when a DNS list answers that we may not ask, where the files do not say so by `dns_block_rule`.
const REFUSALS: [&str; 4] = ["_BLOCKED", "_BLOCKED_OPENDNS", "_NDBLOCKED", "_DBL_ERROR"];

/// A rule set and the symbol of each rule that can be found.
pub(super) struct Known {
    set: Arc<RuleSet>,
    /// Rules that say that a list refused to answer.
    refusals: BTreeSet<RuleId>,
    /// By the rule's place in the set; none for subtests and for rules that another check's symbol stands for.
    symbols: Vec<Option<Arc<Symbol>>>,
}

impl Known {
    /// Makes symbols for the rules of `set`. `declared` are the symbols of other checks, `lists` the DNS lists that they ask.
    pub(super) fn new(set: &Arc<RuleSet>, declared: &[(Name, SymbolRef)], lists: &Catalogue) -> Known {
        let taken: BTreeSet<&str> = declared.iter().map(|(_, symbol)| &*symbol.symbol().name).collect();
        let of_identity = [Name::spf, Name::dkim, Name::arc, Name::dmarc];
        let knows_identity = declared.iter().any(|(check, _)| of_identity.contains(check));
        let echoes = Echoes { set, lists, knows_identity, declared, of_metas: RefCell::default() };
        let refusals = refusals(set);
        let symbols = set.rules().iter().map(|rule| {
            // That a rule settled the matter is a symbol of ours.
            let is_own = !rule.is_subtest() && !taken.contains(&*rule.name) && *rule.name != *SETTLED_RULE;
            let echo = || set.id(&rule.name).and_then(|id| echoes.of(id, DEPTH_MAX));
            is_own.then(|| Arc::new(symbol(rule, class(&set.basis(rule)), echo())))
        });
        Known { set: Arc::clone(set), refusals, symbols: symbols.collect() }
    }

    pub(super) fn set(&self) -> &Arc<RuleSet> {
        &self.set
    }

    pub(super) fn symbols(&self) -> impl Iterator<Item = Arc<Symbol>> + '_ {
        self.symbols.iter().flatten().cloned()
    }

    pub(super) fn name(&self, id: RuleId) -> Option<&str> {
        self.set.rules().get(id.index()).map(|rule| &*rule.name)
    }

    /// The rules that hit, in the order of their names.
    pub(super) fn findings<'m>(&'m self, matches: &'m Matches) -> impl Iterator<Item = Finding> + 'm {
        let seen: BTreeMap<RuleId, &Hit> =
            matches.hits.iter().chain(&matches.subtests).map(|hit| (hit.rule, hit)).collect();
        let hits = matches.hits.iter().filter(|hit| !self.refusals.contains(&hit.rule));
        hits.filter_map(move |hit| {
            let symbol = self.symbols.get(hit.rule.index())?.as_ref()?;
            let evidence = if hit.evidence.is_empty() { self.parts(hit.rule, &seen) } else { shown(&hit.evidence) };
            Some(Finding::loaded(symbol, evidence).times(hit.count))
        })
    }

    /// The answers by which lists refused.
    pub(super) fn refused<'m>(&'m self, matches: &'m Matches) -> impl Iterator<Item = String> + 'm {
        let hits = matches.hits.iter().filter(|hit| self.refusals.contains(&hit.rule));
        hits.map(|hit| format!("{}: {}", self.name(hit.rule).unwrap_or_default(), shown(&hit.evidence)))
    }

    /// What a meta was made of: its parts that hit, each with what it saw.
    fn parts(&self, id: RuleId, seen: &BTreeMap<RuleId, &Hit>) -> String {
        let Some(Basis::Rules(parts)) = self.set.rules().get(id.index()).map(|rule| self.set.basis(rule)) else {
            return String::new();
        };
        let hits = parts.iter().filter_map(|part| Some((self.name(*part)?, *seen.get(part)?)));
        let told: Vec<String> = hits
            .take(PARTS_SHOWN)
            .map(|(name, hit)| match hit.evidence.get(..PART_OCTETS_MAX).unwrap_or(&hit.evidence) {
                [] => name.to_owned(),
                octets => format!("{name} `{}`", shown(octets)),
            })
            .collect();
        told.join(", ")
    }
}

/// Octets of a message as text; a line end at an edge says nothing.
fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_matches('\n').to_owned()
}

/// Rules over DNS lists that hit when the list refuses.
fn refusals(set: &RuleSet) -> BTreeSet<RuleId> {
    let named: BTreeSet<&str> =
        set.settings().lines("dns_block_rule").iter().filter_map(|line| line.split_whitespace().next()).collect();
    let is_refusal = |rule: &Rule| {
        let is_list = matches!(set.basis(rule), Basis::ClientList(_) | Basis::DomainList(_));
        is_list && (named.contains(&*rule.name) || REFUSALS.iter().any(|end| rule.name.ends_with(end)))
    };
    set.rules().iter().filter(|rule| is_refusal(rule)).filter_map(|rule| set.id(&rule.name)).collect()
}

/// Whom the administrator trusts by a list in the rule files is let in if the sender is proven; an address alone anyone can write.
fn class(basis: &Basis) -> Class {
    match basis {
        Basis::Welcome { is_proven: true } => Class::Allow,
        _ => Class::Evidence,
    }
}

fn symbol(rule: &Rule, class: Class, echo: Option<Echo>) -> Symbol {
    // Recipients may read it, and where files lie on this server is not for them; `tidegate rules explain` tells.
    let doc = rule.description.clone().unwrap_or_else(|| "a rule without a description".to_owned());
    let (weight, group, doc) = match echo {
        None => (rule.score, Group::Rules, doc),
        Some(Echo { said_by: None, group }) => (rule.score, group, doc),
        Some(Echo { said_by: Some(check), group }) => {
            (Score::ZERO, group, format!("{doc} (not counted: {check} says it)"))
        }
    };
    Symbol { name: rule.name.to_string().into(), weight, class, group, doc: doc.into() }
}

/// A rule that looks at what one of our checks looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Echo {
    /// The check that says the same, if it does.
    said_by: Option<&'static str>,
    /// What the rule is capped with.
    group: Group,
}

struct Echoes<'a> {
    set: &'a RuleSet,
    lists: &'a Catalogue,
    /// Whether a check of ours tells who vouches.
    knows_identity: bool,
    declared: &'a [(Name, SymbolRef)],
    /// What was found out of metas: many stand in many others.
    of_metas: RefCell<BTreeMap<RuleId, Option<Echo>>>,
}

impl Echoes<'_> {
    fn of(&self, id: RuleId, depth: usize) -> Option<Echo> {
        let rule = self.set.rules().get(id.index())?;
        if let Some((_, name)) = SAME.iter().find(|(known, _)| *known == &*rule.name)
            && let Some((_, symbol)) = self.declared.iter().find(|(_, symbol)| symbol.symbol().name == *name)
        {
            return Some(Echo { said_by: Some(name), group: symbol.symbol().group });
        }
        match self.set.basis(rule) {
            Basis::Identity => {
                let said_by = self.knows_identity.then_some("one of the checks spf, dkim, arc and dmarc");
                Some(Echo { said_by, group: Group::Identity })
            }
            Basis::ClientList(zone) => Some(self.list(&zone, Group::ClientLists)),
            Basis::DomainList(zone) => Some(self.list(&zone, Group::DomainLists)),
            Basis::Rules(parts) if depth > 0 => {
                if let Some(known) = self.of_metas.borrow().get(&id) {
                    return *known;
                }
                let echo = self.of_parts(&parts, depth - 1);
                self.of_metas.borrow_mut().insert(id, echo);
                echo
            }
            _ => None,
        }
    }

    /// A meta echoes if all its parts do: what it adds is only how they are joined.
    fn of_parts(&self, parts: &[RuleId], depth: usize) -> Option<Echo> {
        let parts: Vec<Echo> = parts.iter().map(|part| self.of(*part, depth)).collect::<Option<_>>()?;
        let first = *parts.first()?;
        let is_said = parts.iter().all(|part| part.said_by.is_some());
        Some(if is_said { first } else { Echo { said_by: None, ..first } })
    }

    fn list(&self, zone: &str, group: Group) -> Echo {
        let asked = self.lists.iter().find(|(known, list)| list.enabled && is_of(zone, known.as_str()));
        let said_by = asked.map(|(_, list)| match list.kind {
            Kind::Block => "the check dnsbl",
            Kind::Allow => "the check dnswl",
            Kind::Domain => "the check urlbl",
        });
        Echo { said_by, group }
    }
}

/// Whether `zone` is the list `known` or a part of it.
fn is_of(zone: &str, known: &str) -> bool {
    zone == known || zone.strip_suffix(known).is_some_and(|front| front.ends_with('.'))
}
