//! `[limits]`: what accounts, mailboxes and scripts may send, as `tidegate limits suggest --toml` proposes it. The watch over the logs
//! counts against it and tells who goes beyond; nothing is held here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_watch::detectors::{Holder, Limit, Limits};

/// `[limits]`: tables like `[limits.mailbox."anna@example.org"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A file with more such tables, as `tidegate limits suggest --toml` writes it. What the configuration itself says of somebody
    /// counts more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Of accounts, by name: all that is theirs together.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub account: BTreeMap<String, Limit>,
    /// Of logins.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mailbox: BTreeMap<String, Limit>,
    /// Of folders in which programs are started.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub script: BTreeMap<String, Limit>,
    /// Of local users by programs that are not known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, Limit>,
    /// Of addresses that forward.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub forwarder: BTreeMap<String, Limit>,
    /// Of hosts that send to elsewhere without a login.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub relay: BTreeMap<String, Limit>,
}

/// The file of limits: the same tables, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) limits: Config,
}

impl Config {
    /// Adds these limits to `all`, in place of former ones.
    pub(crate) fn add_to(&self, all: &mut Limits) {
        for (holder, table) in [
            (Holder::Account, &self.account),
            (Holder::Mailbox, &self.mailbox),
            (Holder::Script, &self.script),
            (Holder::User, &self.user),
            (Holder::Forwarder, &self.forwarder),
            (Holder::Relay, &self.relay),
        ] {
            table.iter().for_each(|(name, limit)| all.set(holder, name, *limit));
        }
    }
}
