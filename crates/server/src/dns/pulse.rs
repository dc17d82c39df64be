//! Whether most questions to DNS are answered at present: a suspicion only, since a client's own DNS may be as dead as it likes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is looked at: the present span and the one before.
const SPAN: Duration = Duration::from_secs(30);
/// Below so many questions without an answer nothing is suspected.
const UNANSWERED_MIN: u32 = 5;

/// Counts questions that were sent.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<Spans>>);

#[derive(Clone, Copy, Debug)]
struct Spans {
    began: Instant,
    present: Count,
    former: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    answered: u32,
    unanswered: u32,
}

impl Pulse {
    /// One question was answered, or was not.
    pub(super) fn note(&self, answered: bool, now: Instant) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut turned = turned(*spans, now);
        let count = if answered { &mut turned.present.answered } else { &mut turned.present.unanswered };
        *count = count.saturating_add(1);
        *spans = Some(turned);
    }

    /// Whether most questions of late were not answered.
    pub(super) fn is_weak(&self, now: Instant) -> bool {
        let spans = turned(*self.0.lock().unwrap_or_else(PoisonError::into_inner), now);
        let unanswered = spans.present.unanswered.saturating_add(spans.former.unanswered);
        let answered = spans.present.answered.saturating_add(spans.former.answered);
        unanswered >= UNANSWERED_MIN && unanswered > answered
    }
}

/// The spans as they are at `now`.
fn turned(spans: Option<Spans>, now: Instant) -> Spans {
    let fresh = Spans { began: now, present: Count::default(), former: Count::default() };
    match spans {
        Some(spans) if now.duration_since(spans.began) < SPAN => spans,
        Some(spans) if now.duration_since(spans.began) < SPAN * 2 => Spans { former: spans.present, ..fresh },
        _ => fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_weak_while_most_are_not_answered() {
        let (pulse, begin) = (Pulse::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        (0..4).for_each(|_| pulse.note(false, at(0)));
        assert!(!pulse.is_weak(at(0)), "too few to tell");
        pulse.note(false, at(1));
        assert!(pulse.is_weak(at(1)));
        (0..5).for_each(|_| pulse.note(true, at(2)));
        assert!(!pulse.is_weak(at(2)), "half are answered");
        pulse.note(false, at(31));
        assert!(pulse.is_weak(at(31)), "with the former span");
        assert!(!pulse.is_weak(at(100)), "long ago");
    }
}
