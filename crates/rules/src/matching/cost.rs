//! What each rule takes on one message: for people who want to know which of their rules cost most. Matching itself does not ask.

use crate::dns::Answers;
use crate::input::Input;
use crate::matching::{Matches, Run};
use crate::rule::RuleId;
use crate::ruleset::RuleSet;

/// How the rules of a set are tried while their time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// As [`RuleSet::hits`] does: a pattern is started only where its literals say that it may match and a rule with points needs it.
    Together,
    /// As [`RuleSet::matches_plainly`] does: each pattern on each text, as if the rule stood alone.
    Alone,
}

/// What one rule took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// In the unit of the clock.
    pub time: u64,
    /// How often the clock was read for it, beside the first time: that is in `time` as well.
    pub readings: u32,
    /// On how many texts its pattern was started; functions, metas and other rules without a pattern of their own: how often they ran.
    pub starts: u32,
}

impl RuleSet {
    /// Which rules hit, and what each took, in the order of [`RuleSet::rules`]. `clock` tells a time that never goes back. What rules share is
    /// nobody's: the search for literals, headers that are joined, and if they are tried together what metas take. What evals share is the first one's.
    #[must_use]
    pub fn measured(
        &self,
        input: &Input<'_>,
        answers: &Answers,
        trial: Trial,
        clock: &dyn Fn() -> u64,
    ) -> (Matches, Vec<Cost>) {
        let mut run = Run::new(self, input, answers);
        run.meter = Some(Meter { clock, costs: vec![Cost::default(); self.rules.len()] });
        match trial {
            Trial::Together => run.as_needed(),
            Trial::Alone => run.plainly(),
        }
        let costs = run.meter.take().map(|meter| meter.costs).unwrap_or_default();
        (run.finish(), costs)
    }
}

/// Takes the time of rules.
pub(super) struct Meter<'a> {
    clock: &'a dyn Fn() -> u64,
    costs: Vec<Cost>,
}

impl Run<'_> {
    /// The time at which something begins; any, if nobody asks.
    pub(super) fn now(&self) -> u64 {
        self.meter.as_ref().map_or(0, |meter| (meter.clock)())
    }

    /// What began then for the rule `id` is over.
    pub(super) fn took(&mut self, id: RuleId, began: u64, starts: u32) {
        let Some(meter) = &mut self.meter else { return };
        let time = (meter.clock)().saturating_sub(began);
        if let Some(cost) = meter.costs.get_mut(id.index()) {
            cost.time = cost.time.saturating_add(time);
            cost.readings = cost.readings.saturating_add(1);
            cost.starts = cost.starts.saturating_add(starts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{CompileOptions, compile};
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};
    use std::cell::Cell;

    /// A pattern is started on those texts alone that hold its literal, but on all of them if it stands alone; the hits are the same.
    #[test]
    fn only_what_may_match_is_started() {
        let words = ["apple", "banana", "cherry", "damson", "elder", "figs", "grape"];
        let rules: String = words.iter().map(|word| format!("body R_{word} /{word} (?:is|are) ripe/\n")).collect();
        let text = format!("{rules}meta M R_figs && R_grape\n").into_bytes();
        let parsed = parse(&[SourceFile { name: "t.cf".to_owned(), text }], &ParseOptions::default(), &no_includes);
        let (set, _) = compile(parsed, CompileOptions::default());
        let body = ["subject", "figs are ripe", "grape is ripe", "nothing"];
        let input = Input { body: body.map(|text| text.as_bytes().to_vec()).to_vec(), ..Input::default() };
        let ticks = Cell::new(0);
        let clock = || {
            ticks.set(ticks.get() + 1);
            ticks.get()
        };
        let (together, costs) = set.measured(&input, &Answers::default(), Trial::Together, &clock);
        let (alone, plain) = set.measured(&input, &Answers::default(), Trial::Alone, &clock);
        assert_eq!(together.hits, alone.hits);
        assert_eq!(together.hits, set.hits(&input, &Answers::default()).hits);
        let of = |costs: &[Cost], name: &str| costs[set.id(name).unwrap().index()];
        assert_eq!(of(&costs, "R_figs"), Cost { time: 1, readings: 1, starts: 1 });
        assert_eq!(of(&costs, "R_apple"), Cost::default());
        assert_eq!((of(&plain, "R_apple").readings, of(&plain, "M").starts), (1, 1));
    }
}
