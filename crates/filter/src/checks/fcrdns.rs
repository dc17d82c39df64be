//! Does the client's reverse name lead back to it ("iprev", RFC 8601 section 3)? Every mail server that wants its mail taken has such
//! a name; a line at home mostly has none of its own.

use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, Group, OnConnect, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::dns::is_internal;
use crate::identity::Fcrdns;
use crate::known::Answer;
use crate::session::Connect;
use crate::settings::ConfigError;

static NONE: Symbol = Symbol::evidence("RDNS_NONE", 1500, Group::ClientNames, "the client has no reverse name");
static UNCONFIRMED: Symbol = Symbol::evidence(
    "RDNS_UNCONFIRMED",
    1000,
    Group::ClientNames,
    "none of the client's reverse names leads back to its address",
);

/// `[checks.fcrdns]`: nothing to set.
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
        vec![SymbolRef::Declared(&NONE), SymbolRef::Declared(&UNCONFIRMED)]
    }
}

impl OnConnect for Check {
    fn connect<'a>(&'a self, ask: &'a Ask<'a, Connect>) -> Answer<'a, Outcome> {
        Box::pin(ready(judge(ask.facts)))
    }
}

fn judge(facts: &Connect) -> Outcome {
    let Some(ip) = facts.client.ip().filter(|ip| !facts.trusted && !is_internal(*ip)) else {
        return Outcome::nothing();
    };
    match &facts.fcrdns {
        Ok(Fcrdns::Confirmed(_)) => Outcome::nothing(),
        Ok(Fcrdns::None) => Outcome::found(Finding::of(&NONE, ip.to_string())),
        Ok(Fcrdns::Unconfirmed(names)) => {
            Outcome::found(Finding::of(&UNCONFIRMED, format!("{ip}: {}", names.first().map_or("", String::as_str))))
        }
        Err(unavailable) => Outcome::unavailable(unavailable.clone()),
    }
}
