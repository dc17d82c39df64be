//! cPanel: `/etc/{localdomains,remotedomains,secondarymx,userdomains,trueuserdomains}`, forwarders below `/etc/valiases`, domain
//! aliases below `/etc/vdomainaliases`, mailboxes in `etc/DOMAIN/passwd` below each account's home folder, Mailman's lists.
//! Where a file cannot be read, nobody knows which mailboxes of its domain exist, and none is called unknown.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::Account;
use tidegate_mail::{Address, Domain};

use super::Snapshot;
use super::files::{Root, Target, domains, optional, owners, pairs, required, users};

/// `[panel]` with `kind = "cpanel"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub Root);

const LOCAL: &str = "etc/localdomains";
const REMOTE: &str = "etc/remotedomains";
const SECONDARY: &str = "etc/secondarymx";
const OWNERS: &str = "etc/userdomains";
const MAIN_DOMAINS: &str = "etc/trueuserdomains";
const ALIASES: &str = "etc/valiases";
const DOMAIN_ALIASES: &str = "etc/vdomainaliases";
const PASSWD: &str = "etc/passwd";
const LISTS: &str = "usr/local/cpanel/3rdparty/mailman/lists";
/// Addresses that Mailman makes for each list.
const LIST_SUFFIXES: [&str; 10] =
    ["", "-admin", "-bounces", "-confirm", "-join", "-leave", "-owner", "-request", "-subscribe", "-unsubscribe"];

impl Config {
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let fixed = [LOCAL, REMOTE, SECONDARY, OWNERS, MAIN_DOMAINS, PASSWD, ALIASES, DOMAIN_ALIASES, LISTS];
        let mut files: Vec<PathBuf> = fixed.iter().map(|file| self.0.root.join(file)).collect();
        let owners = owners(&optional(&self.0.root.join(OWNERS)).unwrap_or_default());
        let passwd = optional(&self.0.root.join(PASSWD)).unwrap_or_default();
        let homes = self.homes(&passwd);
        for domain in domains(&optional(&self.0.root.join(LOCAL)).unwrap_or_default()) {
            files.push(self.0.root.join(ALIASES).join(domain.as_str()));
            files.extend(owners.get(&domain).and_then(|owner| mailboxes(&homes, owner, &domain)));
        }
        files
    }

    pub(super) fn read(&self) -> io::Result<Snapshot> {
        let text = |file: &str| optional(&self.0.root.join(file));
        let local: BTreeSet<Domain> = domains(&required(&self.0.root.join(LOCAL))?).collect();
        if local.is_empty() {
            // The server's own name is always in it; an empty file is one that is being written.
            let message = format!("{}: no domain in it", self.0.root.join(LOCAL).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let owners = owners(&text(OWNERS)?);
        let passwd = text(PASSWD)?;
        let homes = self.homes(&passwd);
        let mut snapshot = Snapshot::default();
        let owned = |domain: Domain| (domain.clone(), owners.get(&domain).cloned());
        snapshot.local.extend(local.into_iter().map(owned));
        let elsewhere = [text(REMOTE)?, text(SECONDARY)?].concat();
        snapshot.relayed.extend(domains(&elsewhere).map(owned));
        snapshot.relayed.retain(|domain, _| !snapshot.local.contains_key(domain));
        snapshot.set_users(&passwd, owners.values());
        for (domain, owner) in snapshot.local.clone() {
            match owner {
                Some(owner) => self.read_domain(&mut snapshot, &domain, &owner, &homes),
                // The server's own name: system users and what the panel makes of them.
                None => _ = snapshot.unlisted.insert(domain),
            }
        }
        for (domain, owner) in pairs(&text(MAIN_DOMAINS)?) {
            // Each account has a mailbox of its own name in its main domain.
            let address = Domain::parse(domain).ok().and_then(|domain| Address::from_parts(owner, domain).ok());
            snapshot.mailboxes.extend(address);
        }
        self.read_lists(&mut snapshot);
        Ok(snapshot)
    }

    /// The home folders of all users.
    fn homes(&self, passwd: &str) -> HashMap<String, PathBuf> {
        let home = |home: &str| self.0.root.join(Path::new(home).strip_prefix("/").unwrap_or(Path::new(home)));
        users(passwd).map(|user| (user.name.to_owned(), home(user.home))).collect()
    }

    fn read_domain(&self, snapshot: &mut Snapshot, domain: &Domain, owner: &Account, homes: &HashMap<String, PathBuf>) {
        let aliases = optional(&self.0.root.join(ALIASES).join(domain.as_str()));
        let passwd = mailboxes(homes, owner, domain).map_or(Ok(String::new()), |path| optional(&path));
        let is_alias_domain = self.0.root.join(DOMAIN_ALIASES).join(domain.as_str()).exists();
        let (Ok(aliases), Ok(passwd), false) = (aliases, passwd, is_alias_domain) else {
            snapshot.unlisted.insert(domain.clone());
            return;
        };
        for (local, _) in pairs(&passwd) {
            snapshot.add_mailbox(local, domain, owner);
        }
        for (left, right) in pairs(&aliases) {
            let local = left.split_once('@').map_or(left, |(local, _)| local);
            snapshot.add_alias(local, domain, Target::parse(right));
        }
    }

    /// Folders named `list_domain`.
    fn read_lists(&self, snapshot: &mut Snapshot) {
        let folder = self.0.root.join(LISTS);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_may_not) => {
                snapshot.unlisted.extend(snapshot.local.keys().cloned());
                return;
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        for name in names {
            let Some((list, domain)) = name.rsplit_once('_') else { continue };
            let Ok(domain) = Domain::parse(domain) else { continue };
            let addresses = LIST_SUFFIXES.iter().map(|suffix| format!("{list}{suffix}").to_lowercase());
            let addresses = addresses.filter_map(|local| Address::from_parts(&local, domain.clone()).ok());
            snapshot.mailboxes.extend(addresses);
        }
    }
}

fn mailboxes(homes: &HashMap<String, PathBuf>, owner: &Account, domain: &Domain) -> Option<PathBuf> {
    Some(homes.get(&owner.0)?.join("etc").join(domain.as_str()).join("passwd"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_filter::panel::{Hosting, Mailbox, Panel};

    fn server() -> (tempfile::TempDir, Config) {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            (LOCAL, "mx.host.test\nshop.test\nclub.test\nparked.test\n"),
            (REMOTE, "elsewhere.test\nshop.test\n"),
            (SECONDARY, "backup.test\n"),
            (
                OWNERS,
                "shop.test: shopuser\nclub.test: shopuser\nparked.test: shopuser\nelsewhere.test: other\n*: nobody\n",
            ),
            (MAIN_DOMAINS, "shop.test: shopuser\n"),
            (PASSWD, "root:x:0:0::/root:/bin/sh\nshopuser:x:1005:1005::/home/shopuser:/bin/bash\n"),
            (
                "home/shopuser/etc/shop.test/passwd",
                "anna:x:1005:1005::/home/shopuser/mail/shop.test/anna:/home/shopuser\n",
            ),
            (
                "etc/valiases/shop.test",
                "info@shop.test: anna@shop.test, far@away.test\nsales@shop.test: anna@shop.test\nanna@shop.test: far@away.test\n*: \":fail: No Such User Here\"\n",
            ),
            ("etc/valiases/club.test", "*: anna@shop.test\n"),
            ("etc/vdomainaliases/parked.test", "parked.test: shop.test\n"),
            ("usr/local/cpanel/3rdparty/mailman/lists/news_shop.test/config.pck", ""),
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
    fn a_cpanel_server_is_read() {
        let (_root, config) = server();
        let snapshot = config.read().unwrap();
        let owner = Some(Account("shopuser".into()));
        let hosting = |text: &str| snapshot.hosting(&Domain::parse(text).unwrap());
        assert_eq!(hosting("shop.test"), Hosting::Local(owner.clone()), "local wins over remote");
        assert_eq!(hosting("mx.host.test"), Hosting::Local(None));
        assert_eq!(hosting("elsewhere.test"), Hosting::Relayed(Some(Account("other".into()))));
        assert_eq!(hosting("backup.test"), Hosting::Relayed(None));
        assert_eq!(hosting("away.test"), Hosting::Foreign);
        let forwards =
            |to: &[&str], keeps_copy| Mailbox::Forwards { to: to.iter().map(|to| address(to)).collect(), keeps_copy };
        for (recipient, expected) in [
            ("sales@shop.test", forwards(&["anna@shop.test"], false)),
            ("Info@Shop.test", forwards(&["anna@shop.test", "far@away.test"], false)),
            ("anna@shop.test", forwards(&["far@away.test"], true)),
            ("shopuser@shop.test", Mailbox::Exists),
            ("nobody@shop.test", Mailbox::Unknown),
            ("news@shop.test", Mailbox::Exists),
            ("news-request@shop.test", Mailbox::Exists),
            ("whoever@club.test", forwards(&["anna@shop.test"], false)),
            ("anna@parked.test", Mailbox::NotListed),
            ("root@mx.host.test", Mailbox::NotListed),
        ] {
            assert_eq!(snapshot.recipient(&address(recipient)), expected, "{recipient}");
        }
        assert_eq!(snapshot.owner_of_login("anna@shop.test"), owner);
        assert_eq!(snapshot.owner_of_login("shopuser"), owner);
        assert_eq!(snapshot.owner_of_uid(1005), owner);
        assert_eq!(snapshot.owner_of_uid(0), None, "no account");
    }

    #[test]
    fn a_file_that_cannot_be_read_makes_nobody_unknown() {
        let (root, config) = server();
        let passwd = root.path().join("home/shopuser/etc/shop.test/passwd");
        std::fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &passwd).unwrap();
        let snapshot = config.read().unwrap();
        assert_eq!(snapshot.recipient(&address("anna@shop.test")), Mailbox::NotListed);
    }

    #[test]
    fn an_empty_list_is_not_believed() {
        let (root, config) = server();
        std::fs::write(root.path().join(LOCAL), "").unwrap();
        assert!(config.read().unwrap_err().to_string().contains("localdomains: no domain in it"));
    }

    #[test]
    fn a_new_mailbox_is_seen() {
        let (root, config) = server();
        let files = config.files();
        for file in ["home/shopuser/etc/shop.test/passwd", "etc/valiases/club.test", LOCAL, ALIASES] {
            assert!(files.contains(&root.path().join(file)), "{file}");
        }
    }
}
