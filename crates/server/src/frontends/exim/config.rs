//! What the front-end for Exim is told: where it listens, and where Exim keeps what it asks about.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[exim]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The socket that Exim's ACLs ask on.
    pub socket: PathBuf,
    /// Exim's user: who may ask besides root.
    pub user: String,
    /// Exim's spool folder: no file outside of it is opened for a message.
    pub spool: PathBuf,
    /// Exim's program, for releasing mail from the quarantine.
    pub program: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            socket: PathBuf::from("/run/tidegate/exim.sock"),
            user: "Debian-exim".into(),
            spool: PathBuf::from("/var/spool/exim4"),
            program: PathBuf::from("/usr/sbin/exim4"),
        }
    }
}
