//! In which order rules are tried: by priority, and metas after all that they depend on.

use std::collections::BTreeMap;

use tidegate_mail::Score;

use crate::language::source::{Diagnostic, Severity};
use crate::metas::Metas;
use crate::plan::template_of;
use crate::rule::{Matcher, RuleId};
use crate::ruleset::RuleSet;

/// Rules that are no metas, by priority; those that fill tags run before all others.
pub(super) fn order_tests(set: &RuleSet, priorities: &BTreeMap<String, i32>) -> Vec<RuleId> {
    let ids = (0..).zip(&set.rules).filter(|(_, rule)| !matches!(rule.matcher, Matcher::Meta(_) | Matcher::Never));
    let mut keyed: Vec<((bool, i32), RuleId)> = ids
        .map(|(index, rule)| {
            let captures = template_of(&rule.matcher).is_some_and(|template| template.captures);
            ((!captures, priorities.get(&*rule.name).copied().unwrap_or(0)), RuleId(index))
        })
        .collect();
    keyed.sort();
    keyed.into_iter().map(|(_, id)| id).collect()
}

/// How far the order of one meta is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Puts metas in order. SpamAssassin leaves out a meta that depends on itself, and never comes to one that depends on a meta without
/// points.
pub(super) fn order_metas(set: &mut RuleSet, remarks: &mut Vec<Diagnostic>) {
    let dependencies: Vec<Vec<usize>> = set
        .rules
        .iter()
        .map(|rule| {
            let mut ids = Vec::new();
            if let Matcher::Meta(expression) = &rule.matcher {
                expression.names(&mut |id| ids.push(id.index()));
            }
            ids
        })
        .collect();
    let is_meta: Vec<bool> = set.rules.iter().map(|rule| matches!(rule.matcher, Matcher::Meta(_))).collect();
    let mut marks = vec![Mark::New; set.rules.len()];
    let mut is_circular = vec![false; set.rules.len()];
    let mut order = Vec::new();
    for start in 0..set.rules.len() {
        visit(start, &dependencies, &is_meta, &mut marks, &mut is_circular, &mut order);
    }
    let mut is_never = vec![false; set.rules.len()];
    for &index in &order {
        let Some(rule) = set.rules.get_mut(index) else { continue };
        let of = |table: &[bool], index: usize| table.get(index).copied().unwrap_or_default();
        let needs = dependencies.get(index).map_or(&[][..], Vec::as_slice);
        let circular = of(&is_circular, index) || needs.iter().any(|need| of(&is_circular, *need));
        let never = rule.score == Score::ZERO || (!circular && needs.iter().any(|need| of(&is_never, *need)));
        if circular {
            let message = format!("rule {}: it depends on itself; it never hits", rule.name);
            remarks.push(Diagnostic { place: rule.place.clone(), severity: Severity::Warning, message });
        } else if never && rule.score != Score::ZERO {
            let message = format!("rule {}: it depends on a meta rule with score 0; it never hits", rule.name);
            remarks.push(Diagnostic { place: rule.place.clone(), severity: Severity::Warning, message });
        }
        if let Some(flag) = is_circular.get_mut(index) {
            *flag = circular;
        }
        if let Some(flag) = is_never.get_mut(index) {
            *flag = never;
        }
        if circular || never {
            rule.matcher = Matcher::Never;
        }
    }
    let is_alive = |index: &usize| set.rules.get(*index).is_some_and(|rule| matches!(rule.matcher, Matcher::Meta(_)));
    let alive = order.iter().filter(|index| is_alive(index));
    let order = alive.filter_map(|index| u32::try_from(*index).ok().map(RuleId)).collect();
    set.metas = Metas::new(&set.rules, order);
}

/// Depth-first, without recursion: a chain of metas may be long. A way back to an open rule makes the rule circular.
fn visit(
    start: usize,
    dependencies: &[Vec<usize>],
    is_meta: &[bool],
    marks: &mut [Mark],
    is_circular: &mut [bool],
    order: &mut Vec<usize>,
) {
    let mut path = vec![(start, 0)];
    while let Some((index, next)) = path.last_mut() {
        let index = *index;
        if !is_meta.get(index).copied().unwrap_or_default() || (*next == 0 && marks.get(index) != Some(&Mark::New)) {
            path.pop();
            continue;
        }
        if let Some(mark) = marks.get_mut(index) {
            *mark = Mark::Open;
        }
        let Some(&need) = dependencies.get(index).and_then(|needs| needs.get(*next)) else {
            if let Some(mark) = marks.get_mut(index) {
                *mark = Mark::Done;
            }
            order.push(index);
            path.pop();
            continue;
        };
        *next += 1;
        match marks.get(need) {
            Some(Mark::Open) => {
                if let Some(flag) = is_circular.get_mut(need) {
                    *flag = true;
                }
            }
            Some(Mark::New) => path.push((need, 0)),
            _ => {}
        }
    }
}
