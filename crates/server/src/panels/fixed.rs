//! A panel that is written down in the configuration: for servers without one, and for tests.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::Account;
use tidegate_mail::{Address, Domain};

use super::Snapshot;

/// `[panel]` with `kind = "static"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Domains by the way their mail goes.
    pub domains: BTreeMap<Domain, HostedDomain>,
    /// SMTP logins and the accounts they belong to.
    pub logins: BTreeMap<String, Account>,
    /// System users (by uid, as text) and the accounts they belong to.
    pub users: BTreeMap<String, Account>,
}

/// One hosted domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostedDomain {
    /// The account it belongs to.
    pub account: Option<Account>,
    /// Another server delivers its mail.
    pub relayed: bool,
    /// Local parts that have a mailbox; if absent, nobody knows which exist.
    pub mailboxes: Option<BTreeSet<String>>,
    /// Local parts that forward, and where to.
    pub forwards: BTreeMap<String, Vec<Address>>,
}

impl Config {
    pub(super) fn read(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            logins: self.logins.clone().into_iter().collect(),
            uids: self.users.iter().filter_map(|(uid, owner)| Some((uid.parse().ok()?, owner.clone()))).collect(),
            ..Snapshot::default()
        };
        for (domain, hosted) in &self.domains {
            let domains = if hosted.relayed { &mut snapshot.relayed } else { &mut snapshot.local };
            domains.insert(domain.clone(), hosted.account.clone());
            let address = |local: &String| Address::from_parts(&local.to_lowercase(), domain.clone()).ok();
            match &hosted.mailboxes {
                Some(mailboxes) => snapshot.mailboxes.extend(mailboxes.iter().filter_map(address)),
                None => {
                    snapshot.unlisted.insert(domain.clone());
                }
            }
            let forwards = hosted.forwards.iter().filter_map(|(local, to)| Some((address(local)?, to.clone())));
            snapshot.forwards.extend(forwards);
        }
        snapshot
    }
}
