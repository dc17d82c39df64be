//! A verdict with everything that follows from it: what it was made of, changes of the header, what to remember.

use crate::headers;
use crate::policy::{self, Brief};
use crate::store::Write;
use crate::verdict::{HeaderEdit, Verdict};

/// A verdict with all that the server needs to carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What the policy read; with it the verdict can be made again.
    pub brief: Brief,
    /// What is to happen.
    pub verdict: Verdict,
    /// Changes of the header, in order; only at DATA and only if someone gets the message.
    pub edits: Vec<HeaderEdit>,
    /// What is to be written to the store once the reply has been sent.
    pub writes: Vec<Write>,
}

impl Judgement {
    /// The same findings judged again when the quarantine takes nothing: what would be kept back is tagged.
    #[must_use]
    pub fn without_quarantine(mut self) -> Judgement {
        self.brief.can_keep = false;
        self.verdict = policy::decide(&self.brief);
        // The message must not say of itself that it is kept back.
        headers::restate(&mut self.edits, &self.brief, &self.verdict);
        self
    }
}
