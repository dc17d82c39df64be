//! What the DKIM signatures of a message are worth (RFC 6376). A broken signature is weak evidence: mailing lists break them. What
//! a valid one vouches for is used elsewhere (`dmarc`, `lists`, `greylist`).

use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, Group, OnData, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::identity::{DkimResult, DkimSignature};
use crate::known::Answer;
use crate::session::Mail;
use crate::settings::ConfigError;

static NONE: Symbol = Symbol::evidence("DKIM_NONE", 300, Group::Identity, "the message is not signed");
static FAIL: Symbol = Symbol::evidence("DKIM_FAIL", 800, Group::Identity, "no signature of the message is valid");
static UNUSABLE: Symbol =
    Symbol::evidence("DKIM_UNUSABLE", 500, Group::Identity, "no signature of the message can be evaluated or counts");
static BODY_OPEN: Symbol = Symbol::evidence(
    "DKIM_BODY_OPEN",
    1500,
    Group::Identity,
    "a signature leaves out the end of the body, where anybody may have added something",
);

/// `[checks.dkim]`: nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The check.
pub struct Check;

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(_config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        Ok(Check)
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        [&NONE, &FAIL, &UNUSABLE, &BODY_OPEN].into_iter().map(SymbolRef::Declared).collect()
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let mail = ask.facts;
        let outcome = if mail.envelope.sender.submits() { Outcome::nothing() } else { judge(&mail.identity.dkim) };
        Box::pin(ready(outcome))
    }
}

fn judge(signatures: &[DkimSignature]) -> Outcome {
    let mut outcome = Outcome::nothing();
    for signature in signatures {
        if let DkimResult::Unavailable(unavailable) = &signature.result
            && !outcome.unavailable.contains(unavailable)
        {
            outcome.unavailable.push(unavailable.clone());
        }
    }
    let open = signatures.iter().find(|signature| signature.left_out > 0);
    outcome.findings.extend(open.map(|signature| Finding::of(&BODY_OPEN, shown(signature))));
    // One valid signature speaks for the message; what else is in the header came from other hands on the way.
    let is_open_question = |s: &DkimSignature| matches!(s.result, DkimResult::Pass | DkimResult::Unavailable(_));
    if signatures.iter().any(is_open_question) || open.is_some() {
        return outcome;
    }
    let broken = signatures.iter().find(|signature| matches!(signature.result, DkimResult::Fail(_)));
    outcome.findings.push(match (broken, signatures.first()) {
        (Some(signature), _) => Finding::of(&FAIL, shown(signature)),
        (None, Some(signature)) => Finding::of(&UNUSABLE, shown(signature)),
        (None, None) => Finding::of(&NONE, ""),
    });
    outcome
}

fn shown(signature: &DkimSignature) -> String {
    let domain = signature.domain.as_ref().map_or("?", |domain| domain.as_str());
    match &signature.result {
        DkimResult::Pass => domain.to_owned(),
        DkimResult::Fail(why) | DkimResult::PermError(why) | DkimResult::Policy(why) => format!("{domain}: {why}"),
        DkimResult::Unavailable(unavailable) => format!("{domain}: {unavailable}"),
    }
}
