//! What SPF says about the envelope sender and the greeting (RFC 7208). A failed check is evidence, never more: forwarders break SPF
//! every day. What SPF vouches for is used elsewhere (`dmarc`, `lists`, `greylist`).

use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, Group, OnMail, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::identity::{Spf, SpfResult};
use crate::known::{Answer, Known};
use crate::session::{Client, Sender};
use crate::settings::ConfigError;

static FAIL: Symbol =
    Symbol::evidence("SPF_FAIL", 2000, Group::Identity, "the sender's domain says that the client may not use it");
static SOFTFAIL: Symbol =
    Symbol::evidence("SPF_SOFTFAIL", 800, Group::Identity, "the sender's domain doubts that the client may use it");
static NONE: Symbol =
    Symbol::evidence("SPF_NONE", 300, Group::Identity, "the sender's domain does not say who may use it");
static ALLOWS_EVERYONE: Symbol = Symbol::evidence(
    "SPF_ALLOWS_EVERYONE",
    1500,
    Group::Identity,
    "the sender's domain lets nearly any client use it, so its SPF counts as none",
);
static PERMERROR: Symbol = Symbol::evidence(
    "SPF_PERMERROR",
    500,
    Group::Identity,
    "the SPF record of the sender's domain cannot be evaluated",
);
static HELO_FAIL: Symbol =
    Symbol::evidence("SPF_HELO_FAIL", 2000, Group::Identity, "the client may not use the name that it greets with");

/// `[checks.spf]`: nothing to set.
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
        let all = [&FAIL, &SOFTFAIL, &NONE, &ALLOWS_EVERYONE, &PERMERROR, &HELO_FAIL];
        all.into_iter().map(SymbolRef::Declared).collect()
    }
}

impl OnMail for Check {
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome> {
        let sender = ask.facts;
        // Our own users send from anywhere, and a message born here has no client.
        let is_asked = !sender.submits() && matches!(sender.greeting.connect.client, Client::Remote(_));
        let outcome = if is_asked { judge(sender) } else { Outcome::nothing() };
        Box::pin(ready(outcome))
    }
}

fn judge(sender: &Sender) -> Outcome {
    let mut outcome = Outcome::nothing();
    let mut gap = |spf: &Known<Spf>| {
        if let Err(unavailable) = spf
            && !outcome.unavailable.contains(unavailable)
        {
            outcome.unavailable.push(unavailable.clone());
        }
    };
    gap(&sender.spf);
    gap(&sender.greeting.spf_helo);
    if let Ok(spf) = &sender.spf {
        outcome.findings.extend(about_sender(spf));
    }
    // For the null path both are the same question, and one finding is enough.
    let is_same = sender.path.address().is_none();
    if let Ok(spf) = &sender.greeting.spf_helo
        && spf.result == SpfResult::Fail
        && !is_same
    {
        outcome.findings.push(Finding::of(&HELO_FAIL, spf.because.as_str()));
    }
    outcome
}

fn about_sender(spf: &Spf) -> Option<Finding> {
    let domain = spf.domain.as_ref().map(ToString::to_string).unwrap_or_default();
    match spf.result {
        SpfResult::Pass if spf.allows_everyone => Some(Finding::of(&ALLOWS_EVERYONE, spf.because.as_str())),
        SpfResult::Pass | SpfResult::Neutral => None,
        SpfResult::Fail => Some(Finding::of(&FAIL, spf.because.as_str())),
        SpfResult::SoftFail => Some(Finding::of(&SOFTFAIL, spf.because.as_str())),
        SpfResult::None => Some(Finding::of(&NONE, domain)),
        SpfResult::PermError => Some(Finding::of(&PERMERROR, spf.because.as_str())),
    }
}
