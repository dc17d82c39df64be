//! Does the recipient exist here, by the panel's facts? Unknown ones are refused at RCPT, so that no bounce to a forged
//! sender is ever born here. Asks nobody: no callouts.

use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, Group, OnRcpt, Outcome, RefusalKind, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::known::Answer;
use crate::panel::{Hosting, Mailbox};
use crate::session::Rcpt;
use crate::settings::ConfigError;

static UNKNOWN_RECIPIENT: Symbol =
    Symbol::refusal("UNKNOWN_RECIPIENT", RefusalKind::UnknownRecipient, "there is no such mailbox here");
static RELAY_ATTEMPT: Symbol = Symbol::evidence(
    "RELAY_ATTEMPT",
    0,
    Group::Alone,
    "the client has not logged in and asks for delivery to a domain that is not hosted here; the MTA refuses it",
);

/// `[checks.recipient]`: nothing to set; the facts come from the panel.
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
        vec![SymbolRef::Declared(&UNKNOWN_RECIPIENT), SymbolRef::Declared(&RELAY_ATTEMPT)]
    }
}

impl OnRcpt for Check {
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome> {
        let Rcpt { sender, recipient, .. } = ask.facts;
        let symbol = match (&recipient.hosting, &recipient.mailbox) {
            (Hosting::Local(_), Mailbox::Unknown) => Some(&UNKNOWN_RECIPIENT),
            (Hosting::Foreign, _) if !sender.submits() => Some(&RELAY_ATTEMPT),
            _ => None,
        };
        let outcome = symbol.map(|symbol| Finding::of(symbol, recipient.address.to_string())).into_iter().collect();
        Box::pin(ready(outcome))
    }
}
