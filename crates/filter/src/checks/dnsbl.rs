//! DNS blocklists of client addresses (RFC 5782). Asks every enabled list of kind `block` in the catalogue and reports each
//! code it knows. Whether a list can be relied on is `blocklists`' concern; whether a listing refuses is policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocklists::{Kind, List, about_client};
use crate::check::{Ask, OnConnect, Outcome, SymbolRef};
use crate::checks::Parts;
use crate::known::Answer;
use crate::session::Connect;
use crate::settings::ConfigError;

/// `[checks.dnsbl]`: nothing to set; the lists themselves are in `[blocklists]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The check.
pub struct Check {
    lists: Vec<List>,
}

impl Check {
    /// Builds the check from the catalogue of lists.
    ///
    /// # Errors
    /// A list whose zone cannot be asked.
    pub fn build(_config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        Ok(Check { lists: List::of_kind(parts.blocklists, Kind::Block, "dnsbl")? })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        self.lists.iter().flat_map(List::symbols).map(SymbolRef::Loaded).collect()
    }
}

impl OnConnect for Check {
    fn connect<'a>(&'a self, ask: &'a Ask<'a, Connect>) -> Answer<'a, Outcome> {
        Box::pin(about_client(&self.lists, ask))
    }
}
