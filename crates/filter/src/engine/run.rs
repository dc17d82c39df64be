//! Runs all checks of one stage at once, all under the stage's deadline and with its panics caught. Findings stand in
//! registry order, never in order of completion; silence, delay and panic become one thing: a gap.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::Engine;
use crate::check::{Finding, Outcome, Remember};
use crate::checks::{Listed, Name};
use crate::known::{Answer, Known, Service, Unavailable};
use crate::patience::Deadline;
use crate::policy::{Gap, Weighed};
use crate::session::Stage;

/// What all checks of a stage said.
#[derive(Default)]
pub(super) struct StageOutcome {
    pub(super) findings: Vec<(Name, Finding)>,
    pub(super) gaps: Vec<Gap>,
    pub(super) remember: Vec<Remember>,
}

impl Engine {
    /// Runs `checks`, each started by `start`, until `deadline`.
    pub(super) async fn run<'a, C: ?Sized>(
        &self,
        stage: Stage,
        deadline: Deadline,
        checks: &'a [Listed<C>],
        start: impl Fn(&'a C) -> Answer<'a, Outcome>,
    ) -> StageOutcome {
        let answers = checks.iter().map(|listed| guarded(deadline, start(&listed.check)));
        let outcomes = join_all(answers).await;
        let mut all = StageOutcome::default();
        for (listed, outcome) in checks.iter().zip(outcomes) {
            all.findings.extend(outcome.findings.into_iter().map(|finding| (listed.name, finding)));
            all.gaps.extend(outcome.unavailable.into_iter().map(|gap| self.gap(listed.name, stage, gap)));
            all.remember.extend(outcome.remember);
        }
        all
    }

    /// A finding as the policy reads it.
    pub(super) fn weigh(&self, check: Name, stage: Stage, finding: &Finding) -> Weighed {
        let once = self.weight(finding.symbol());
        let weight = (0..finding.count()).map(|_| once).sum();
        Weighed::new(check.as_str(), stage, finding, weight)
    }

    fn gap(&self, check: Name, stage: Stage, gap: Unavailable) -> Gap {
        Gap {
            check: check.as_str().to_owned(),
            stage,
            service: gap.service,
            cause: gap.cause,
            on_unavailable: self.on_unavailable.get(&check).copied().unwrap_or_default(),
        }
    }
}

/// A fact, or a gap if it was not known in time.
pub(super) async fn fact<T>(deadline: Deadline, fact: impl Future<Output = Known<T>>) -> Known<T> {
    tokio::time::timeout_at(deadline.until(), fact).await.unwrap_or_else(|_elapsed| Err(overrun(deadline)))
}

async fn guarded(deadline: Deadline, answer: Answer<'_, Outcome>) -> Outcome {
    // A check keeps no state that a panic could leave half changed: it only reads.
    match tokio::time::timeout_at(deadline.until(), AssertUnwindSafe(answer).catch_unwind()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Outcome::unavailable(Unavailable::new(Service::Check, "the check panicked")),
        Err(_elapsed) => Outcome::unavailable(overrun(deadline)),
    }
}

fn overrun(deadline: Deadline) -> Unavailable {
    Unavailable::new(Service::Check, deadline.overrun())
}
