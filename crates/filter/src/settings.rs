//! What the whole judgement is set up with: who we are and how long we may take; and why a configuration cannot work.

use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use crate::policy;
use crate::session::Stage;

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerIdentity {
    /// Our host name; also the authserv-id of Authentication-Results (RFC 8601 section 2.5).
    pub hostname: Domain,
    /// Relays whose mail counts as submitted here.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub trusted_relays: Vec<IpNet>,
}

/// How long a stage may take before what is missing counts as unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deadlines {
    /// CONNECT to RCPT, in milliseconds.
    pub envelope_ms: u64,
    /// DATA, in milliseconds.
    pub data_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        // Exim's ACL waits 3 s and 20 s; an answer has to be written within that.
        Deadlines { envelope_ms: 1500, data_ms: 15_000 }
    }
}

impl Deadlines {
    /// How long `stage` may take.
    pub fn of(&self, stage: Stage) -> Duration {
        Duration::from_millis(if stage == Stage::Data { self.data_ms } else { self.envelope_ms })
    }
}

/// Why an engine cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Two checks, rules or tables declare the same symbol.
    #[error("symbol {0} is declared twice ({1} and {2}); give one of them another name")]
    DuplicateSymbol(String, &'static str, &'static str),
    /// Evidence could decide alone.
    #[error(transparent)]
    Unsafe(#[from] policy::LintError),
    /// A check cannot work with its configuration.
    #[error("[checks.{check}] {problem}")]
    Check {
        /// The check.
        check: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}
