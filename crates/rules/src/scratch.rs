//! Tables that matching a message needs, kept for the next message: to fill them with zeros anew would take as long as a third of the
//! rules.

use std::sync::{Mutex, PoisonError};

use crate::metas::Due;
use crate::needs::Needed;
use crate::prefilter::network::Counters;

/// How many are kept: more threads than this match at once only on the largest machines.
const KEPT_MAX: usize = 64;

/// What one message writes to. Between messages all of it is zero, but for what numbers itself.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The value of each rule in meta expressions: 0 for no hit.
    pub(crate) values: Vec<f64>,
    /// Matches so far of each pattern that is tried together with others.
    pub(crate) counts: Vec<u32>,
    /// Whether it is not tried again.
    pub(crate) given_up: Vec<bool>,
    pub(crate) counters: Counters,
    pub(crate) candidates: Vec<u32>,
    pub(crate) due: Due,
    pub(crate) needed: Needed,
}

/// Scratch that no message uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// One for so many rules and patterns.
    pub(crate) fn take(&self, rules: usize, patterns: usize) -> Scratch {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = kept.unwrap_or_default();
        scratch.values.resize(rules, 0.0);
        scratch.counts.resize(patterns, 0);
        scratch.given_up.resize(patterns, false);
        scratch
    }

    /// Keeps it, all zero again.
    pub(crate) fn give_back(&self, scratch: Scratch) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.push(scratch);
        }
    }
}
