//! What the hosting panel knows, read from its files into a snapshot that is swapped whole when they change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::{Account, Hosting, Mailbox, Panel};
use tidegate_mail::{Address, Domain};

use self::files::{Target, users};

mod cpanel;
mod debian;
mod directadmin;
mod files;
mod fixed;

/// `[panel]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum Config {
    /// Plain Debian Exim: `dc_other_hostnames` and `dc_relay_domains` of update-exim4.conf, /etc/aliases, system users.
    DebianExim(debian::Config),
    /// cPanel: its domain lists, forwarders, and the mailboxes in each account's home folder.
    #[serde(rename = "cpanel")]
    CPanel(cpanel::Config),
    /// DirectAdmin: what lies below `/etc/virtual`.
    #[serde(rename = "directadmin")]
    DirectAdmin(directadmin::Config),
    /// Everything written down in the configuration itself.
    Static(fixed::Config),
}

impl Default for Config {
    fn default() -> Config {
        Config::DebianExim(debian::Config::default())
    }
}

/// What a panel knows, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Domains delivered here, with their owner.
    pub local: BTreeMap<Domain, Option<Account>>,
    /// Domains hosted here that another server delivers.
    pub relayed: BTreeMap<Domain, Option<Account>>,
    /// Mailboxes, in lower case.
    pub mailboxes: BTreeSet<Address>,
    /// Local parts that exist in every domain delivered here (system users and aliases of plain Exim).
    pub everywhere: BTreeSet<String>,
    /// Forwarders, in lower case.
    pub forwards: BTreeMap<Address, Vec<Address>>,
    /// Domains delivered here that take mail for every local part, and where it goes; nowhere else if that is empty.
    pub catch_alls: BTreeMap<Domain, Vec<Address>>,
    /// Domains delivered here whose mailboxes are not known.
    pub unlisted: BTreeSet<Domain>,
    /// Owners of SMTP logins.
    pub logins: HashMap<String, Account>,
    /// Owners of system users.
    pub uids: HashMap<u32, Account>,
}

impl Panel for Snapshot {
    fn hosting(&self, domain: &Domain) -> Hosting {
        if let Some(owner) = self.local.get(domain) {
            return Hosting::Local(owner.clone());
        }
        self.relayed.get(domain).map_or(Hosting::Foreign, |owner| Hosting::Relayed(owner.clone()))
    }

    fn recipient(&self, address: &Address) -> Mailbox {
        let address = without_suffix(&address.to_lowercase());
        if let Some(to) = self.forwards.get(&address) {
            return Mailbox::Forwards { to: to.clone(), keeps_copy: self.mailboxes.contains(&address) };
        }
        if self.mailboxes.contains(&address) || self.everywhere.contains(address.local()) {
            return Mailbox::Exists;
        }
        match self.catch_alls.get(address.domain()) {
            Some(to) if to.is_empty() => Mailbox::Exists,
            Some(to) => Mailbox::Forwards { to: to.clone(), keeps_copy: false },
            None if self.unlisted.contains(address.domain()) => Mailbox::NotListed,
            None => Mailbox::Unknown,
        }
    }

    fn owner_of_login(&self, login: &str) -> Option<Account> {
        self.logins.get(login).cloned()
    }

    fn owner_of_uid(&self, uid: u32) -> Option<Account> {
        self.uids.get(&uid).cloned()
    }
}

impl Snapshot {
    /// A mailbox of `owner`'s, who can log in by its address.
    fn add_mailbox(&mut self, local: &str, domain: &Domain, owner: &Account) {
        if let Ok(address) = Address::from_parts(&local.to_lowercase(), domain.clone()) {
            self.logins.insert(address.to_string(), owner.clone());
            self.mailboxes.insert(address);
        }
    }

    /// An alias of `domain`; `*` is the one for all that are not there.
    fn add_alias(&mut self, local: &str, domain: &Domain, target: Target) {
        if target.refuses || (target.to.is_empty() && !target.ends_here) {
            return;
        }
        if local == "*" {
            self.catch_alls.insert(domain.clone(), target.to);
            return;
        }
        let Ok(address) = Address::from_parts(&local.to_lowercase(), domain.clone()) else { return };
        if target.ends_here {
            self.mailboxes.insert(address.clone());
        }
        if !target.to.is_empty() {
            self.forwards.insert(address, target.to);
        }
    }

    /// The system users in `passwd` that are accounts.
    fn set_users<'a>(&mut self, passwd: &str, accounts: impl Iterator<Item = &'a Account>) {
        let accounts: BTreeSet<&str> = accounts.map(|account| account.0.as_str()).collect();
        for user in users(passwd).filter(|user| accounts.contains(user.name)) {
            self.uids.insert(user.uid, Account(user.name.to_owned()));
            self.logins.insert(user.name.to_owned(), Account(user.name.to_owned()));
        }
    }
}

/// `user+detail@…` reaches `user@…` (RFC 5233) on all panels that have suffixes at all.
fn without_suffix(address: &Address) -> Address {
    match address.local().split_once('+') {
        Some((user, _)) if !user.is_empty() => {
            Address::from_parts(user, address.domain().clone()).unwrap_or_else(|_| address.clone())
        }
        _ => address.clone(),
    }
}

/// A panel whose snapshot can be swapped while sessions run.
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
}

impl Live {
    /// Begins with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Live {
        Live { snapshot: ArcSwap::from_pointee(snapshot) }
    }

    /// Replaces what is known.
    pub fn swap(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }
}

impl Panel for Live {
    fn hosting(&self, domain: &Domain) -> Hosting {
        self.snapshot.load().hosting(domain)
    }
    fn recipient(&self, address: &Address) -> Mailbox {
        self.snapshot.load().recipient(address)
    }
    fn owner_of_login(&self, login: &str) -> Option<Account> {
        self.snapshot.load().owner_of_login(login)
    }
    fn owner_of_uid(&self, uid: u32) -> Option<Account> {
        self.snapshot.load().owner_of_uid(uid)
    }
}

impl Config {
    /// Reads what the panel knows now.
    ///
    /// # Errors
    /// A file that must be there cannot be read; the last good snapshot should be kept then.
    pub fn read(&self) -> Result<Snapshot, std::io::Error> {
        match self {
            Config::DebianExim(config) => config.read(),
            Config::CPanel(config) => config.read(),
            Config::DirectAdmin(config) => config.read(),
            Config::Static(config) => Ok(config.read()),
        }
    }

    /// The files that, when they change, call for reading again.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        match self {
            Config::DebianExim(config) => config.files(),
            Config::CPanel(config) => config.files(),
            Config::DirectAdmin(config) => config.files(),
            Config::Static(_) => Vec::new(),
        }
    }
}
