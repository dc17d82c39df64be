//! DirectAdmin: `/etc/virtual/domains` and `domainowners`, and for each domain its folder below `/etc/virtual` with `passwd`
//! (mailboxes), `aliases`, `autoresponder.conf` and Majordomo's lists. Where a file cannot be read, nobody knows which
//! mailboxes of its domain exist, and none is called unknown.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::Account;
use tidegate_mail::Domain;

use super::Snapshot;
use super::files::{Root, Target, domains, optional, owners, pairs, required};

/// `[panel]` with `kind = "directadmin"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub Root);

const VIRTUAL: &str = "etc/virtual";
const LOCAL: &str = "etc/virtual/domains";
const OWNERS: &str = "etc/virtual/domainowners";
const PASSWD: &str = "etc/passwd";
/// Files of a domain that name its mailboxes.
const MAILBOXES: &str = "passwd";
const ALIASES: &str = "aliases";
/// Files of a domain whose lines begin with a name that takes mail, too.
const OTHERS: [&str; 3] = ["autoresponder.conf", "majordomo/list.aliases", "majordomo/private.aliases"];

impl Config {
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = [LOCAL, OWNERS, PASSWD].iter().map(|file| self.0.root.join(file)).collect();
        for domain in domains(&optional(&self.0.root.join(LOCAL)).unwrap_or_default()) {
            let folder = self.0.root.join(VIRTUAL).join(domain.as_str());
            files.extend([MAILBOXES, ALIASES].iter().chain(&OTHERS).map(|file| folder.join(file)));
        }
        files
    }

    pub(super) fn read(&self) -> io::Result<Snapshot> {
        let local: BTreeSet<Domain> = domains(&required(&self.0.root.join(LOCAL))?).collect();
        if local.is_empty() {
            // The server's own name is always in it; an empty file is one that is being written.
            let message = format!("{}: no domain in it", self.0.root.join(LOCAL).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let owners = owners(&optional(&self.0.root.join(OWNERS))?);
        let mut snapshot = Snapshot::default();
        snapshot.local.extend(local.into_iter().map(|domain| (domain.clone(), owners.get(&domain).cloned())));
        // A customer's domain that is not delivered here has its mail elsewhere.
        let elsewhere = owners.iter().filter(|(domain, _)| !snapshot.local.contains_key(domain));
        snapshot.relayed.extend(elsewhere.map(|(domain, owner)| (domain.clone(), Some(owner.clone()))));
        snapshot.set_users(&optional(&self.0.root.join(PASSWD))?, owners.values());
        for (domain, owner) in snapshot.local.clone() {
            let is_read = owner.is_some_and(|owner| self.read_domain(&mut snapshot, &domain, &owner).is_ok());
            if !is_read {
                // The server's own name has system users; a file that cannot be read says nothing of any mailbox.
                snapshot.unlisted.insert(domain);
            }
        }
        Ok(snapshot)
    }

    fn read_domain(&self, snapshot: &mut Snapshot, domain: &Domain, owner: &Account) -> io::Result<()> {
        // The folder of a domain pointer is a link to that of its target.
        let folder = self.0.root.join(VIRTUAL).join(domain.as_str());
        for (local, _) in pairs(&required(&folder.join(MAILBOXES))?) {
            snapshot.add_mailbox(local, domain, owner);
        }
        for (local, right) in pairs(&optional(&folder.join(ALIASES))?) {
            snapshot.add_alias(local, domain, Target::parse(right));
        }
        for file in OTHERS {
            for (local, _) in pairs(&optional(&folder.join(file))?) {
                snapshot.add_alias(local, domain, Target { ends_here: true, ..Target::default() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_filter::panel::{Hosting, Mailbox, Panel};
    use tidegate_mail::Address;

    fn server() -> (tempfile::TempDir, Config) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            (LOCAL, "mx.host.test\nshop.test\nclub.test\nlocked.test\n"),
            (OWNERS, "shop.test: shopuser\nclub.test: shopuser\nlocked.test: shopuser\nelsewhere.test: shopuser\n"),
            (PASSWD, "shopuser:x:1005:1005::/home/shopuser:/bin/bash\n"),
            ("etc/virtual/shop.test/passwd", "anna:{CRYPT}x:1005:12::/home/shopuser/imap/shop.test/anna:/bin/false\n"),
            (
                "etc/virtual/shop.test/aliases",
                "shopuser: shopuser\ninfo: anna, far@away.test\n*: :fail: no such address\n",
            ),
            ("etc/virtual/shop.test/autoresponder.conf", "holiday: \n"),
            ("etc/virtual/shop.test/majordomo/list.aliases", "news: \"|/etc/virtual/majordomo/wrapper resend news\"\n"),
            ("etc/virtual/club.test/passwd", ""),
            ("etc/virtual/club.test/aliases", "*: shopuser\n"),
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let config = Config(Root { root: root.path().to_owned() });
        (root, config)
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_directadmin_server_is_read() {
        let (_root, config) = server();
        let snapshot = config.read().unwrap();
        let owner = Some(Account("shopuser".into()));
        let hosting = |text: &str| snapshot.hosting(&Domain::parse(text).unwrap());
        assert_eq!(hosting("shop.test"), Hosting::Local(owner.clone()));
        assert_eq!(hosting("elsewhere.test"), Hosting::Relayed(owner.clone()));
        assert_eq!(hosting("away.test"), Hosting::Foreign);
        for (recipient, expected) in [
            ("anna@shop.test", Mailbox::Exists),
            ("info@shop.test", Mailbox::Forwards { to: vec![address("far@away.test")], keeps_copy: true }),
            ("shopuser@shop.test", Mailbox::Exists),
            ("holiday@shop.test", Mailbox::Exists),
            ("news@shop.test", Mailbox::Exists),
            ("nobody@shop.test", Mailbox::Unknown),
            ("whoever@club.test", Mailbox::Exists),
            ("whoever@locked.test", Mailbox::NotListed),
            ("root@mx.host.test", Mailbox::NotListed),
        ] {
            assert_eq!(snapshot.recipient(&address(recipient)), expected, "{recipient}");
        }
        assert_eq!(snapshot.owner_of_login("anna@shop.test"), owner);
        assert_eq!(snapshot.owner_of_uid(1005), owner);
    }

    #[test]
    fn an_empty_list_is_not_believed() {
        let (root, config) = server();
        std::fs::write(root.path().join(LOCAL), "\n").unwrap();
        assert!(config.read().is_err());
    }
}
