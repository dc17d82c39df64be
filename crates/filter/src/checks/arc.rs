//! The ARC chain of a message (RFC 8617): whether it is whole. Which sealers are believed is `dmarc`'s concern.

use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, Group, OnData, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::identity::ArcResult;
use crate::known::Answer;
use crate::session::Mail;
use crate::settings::ConfigError;

static BROKEN: Symbol =
    Symbol::evidence("ARC_BROKEN", 500, Group::Identity, "the message carries an ARC chain that does not verify");

/// `[checks.arc]`: nothing to set; trusted sealers are in `[checks.dmarc]`.
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
        vec![SymbolRef::Declared(&BROKEN)]
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let mail = ask.facts;
        let outcome = match &mail.identity.arc {
            _ if mail.envelope.sender.submits() => Outcome::nothing(),
            Ok(chain) => match &chain.result {
                ArcResult::Fail(why) => Outcome::found(Finding::of(&BROKEN, why.as_str())),
                ArcResult::None | ArcResult::Pass => Outcome::nothing(),
            },
            Err(unavailable) => Outcome::unavailable(unavailable.clone()),
        };
        Box::pin(ready(outcome))
    }
}
