//! Rules ready to be matched: immutable, shared between threads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::field::FieldRequest;
use crate::metas::Metas;
use crate::needs::Needs;
use crate::plan::Plan;
use crate::rule::{Rule, RuleId};
use crate::scratch::Scratches;
use crate::settings::Settings;
use crate::shortcircuit::Stages;

/// Rules ready to be matched.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) by_name: HashMap<Arc<str>, RuleId>,
    /// The headers that rules ask for, each once.
    pub(crate) fields: Vec<FieldRequest>,
    /// Rules that are no metas, those that fill tags first.
    pub(crate) order: Vec<RuleId>,
    pub(crate) metas: Metas,
    /// When each rule runs, if some rule may settle the matter.
    pub(crate) stages: Option<Stages>,
    pub(crate) plan: Plan,
    pub(crate) needs: Needs,
    pub(crate) settings: Arc<Settings>,
    pub(crate) scratches: Scratches,
}

impl RuleSet {
    /// The rule of this name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.by_name.get(name).and_then(|id| self.rules.get(id.index()))
    }

    /// The id of the rule of this name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<RuleId> {
        self.by_name.get(name).copied()
    }

    /// All rules, sorted by name.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Rules whose pattern is tried on each text, because nothing is known that a text must hold for it. They are what costs most.
    pub fn unguarded(&self) -> impl Iterator<Item = &Rule> {
        let slots = self.plan.groups.iter().filter(|group| group.is_filtered).flat_map(|group| &group.always);
        slots
            .filter_map(|slot| self.plan.slots.get(*slot as usize))
            .filter_map(|slot| self.rules.get(slot.rule.index()))
    }

    /// What the rule files configure besides rules.
    #[must_use]
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }
}
