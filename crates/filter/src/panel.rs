//! What the hosting panel knows: hosted domains, accounts, mailboxes, forwarders. A snapshot in memory, swapped whole
//! when the panel's files change, so asking costs a look-up and cannot fail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, Domain};

/// Facts about what is hosted here.
pub trait Panel: Send + Sync {
    /// How mail for `domain` is handled by this server.
    fn hosting(&self, domain: &Domain) -> Hosting;

    /// What stands behind `address`, whose domain is delivered here.
    fn recipient(&self, address: &Address) -> Mailbox;

    /// Who owns the SMTP login `login`, as the authenticator names it.
    fn owner_of_login(&self, login: &str) -> Option<Account>;

    /// Who owns the system user `uid`.
    fn owner_of_uid(&self, uid: u32) -> Option<Account>;
}

/// How mail for a domain is handled by this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// Delivered into mailboxes here; owned by the account, if the panel has accounts.
    Local(Option<Account>),
    /// Hosted here, but its mail is delivered by another server (remote MX, or we are its secondary MX).
    Relayed(Option<Account>),
    /// Not ours.
    Foreign,
}

/// What stands behind an address of a domain that is delivered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mailbox {
    /// A mailbox.
    Exists,
    /// Forwards to other addresses, some of which leave this server.
    Forwards {
        /// Where to.
        to: Vec<Address>,
        /// Whether a copy stays in a mailbox here.
        keeps_copy: bool,
    },
    /// Nobody; mail must be refused.
    Unknown,
    /// The panel does not keep mailboxes in a form we read: nobody knows.
    NotListed,
}

/// A hosting account: the panel's name of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Account(pub String);
