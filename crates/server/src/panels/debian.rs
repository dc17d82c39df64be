//! Plain Debian Exim: domains from `/etc/exim4/update-exim4.conf.conf` and `/etc/mailname`, users from `/etc/passwd`, aliases
//! from `/etc/aliases`. All local domains share the same users, as Debian's routers do.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::Account;
use tidegate_mail::Domain;

use super::Snapshot;
use super::files::{Root, optional};

/// Human users begin here (Debian policy section 9.2.2); mail to system users is delivered as well.
const SHELL_FIELDS: usize = 7;

/// `[panel]` with `kind = "debian-exim"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Config(pub Root);

const SETTINGS: &str = "etc/exim4/update-exim4.conf.conf";
const MAILNAME: &str = "etc/mailname";
const PASSWD: &str = "etc/passwd";
const ALIASES: &str = "etc/aliases";

impl Config {
    pub(super) fn files(&self) -> Vec<PathBuf> {
        [SETTINGS, MAILNAME, PASSWD, ALIASES].iter().map(|file| self.0.root.join(file)).collect()
    }

    pub(super) fn read(&self) -> io::Result<Snapshot> {
        let settings = std::fs::read_to_string(self.0.root.join(SETTINGS))?;
        let mut snapshot = Snapshot::default();
        let mailname = optional(&self.0.root.join(MAILNAME))?;
        let local = setting(&settings, "dc_other_hostnames").into_iter().chain(mailname.lines());
        // `*` and lookups are for Exim's eyes; what is no name here is left to Exim.
        snapshot.local.extend(local.filter_map(|name| Some((Domain::parse(name.trim()).ok()?, None))));
        let relayed = setting(&settings, "dc_relay_domains").into_iter();
        snapshot.relayed.extend(relayed.filter_map(|name| Some((Domain::parse(name.trim()).ok()?, None))));
        snapshot.relayed.retain(|domain, _| !snapshot.local.contains_key(domain));
        read_passwd(&std::fs::read_to_string(self.0.root.join(PASSWD))?, &mut snapshot);
        snapshot.everywhere.extend(alias_names(&optional(&self.0.root.join(ALIASES))?));
        Ok(snapshot)
    }
}

/// The colon list of `name='a:b'` in a file of shell assignments.
fn setting<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    let value = value.unwrap_or_default().trim().trim_matches(['\'', '"']);
    value.split([':', ';']).map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn read_passwd(text: &str, snapshot: &mut Snapshot) {
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _password, uid, ..] = fields.as_slice() else { continue };
        let Ok(uid) = uid.parse::<u32>() else { continue };
        if fields.len() == SHELL_FIELDS {
            snapshot.everywhere.insert(name.to_ascii_lowercase());
            snapshot.uids.insert(uid, Account((*name).to_owned()));
            snapshot.logins.insert((*name).to_owned(), Account((*name).to_owned()));
        }
    }
}

/// Left-hand sides of an aliases file (aliases(5)): continuation lines begin with white space.
fn alias_names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    let names = lines.filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().trim_matches('"'));
    names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_filter::panel::{Hosting, Mailbox, Panel};
    use tidegate_mail::Address;

    #[test]
    fn a_debian_box_is_read() {
        let root = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put(
            SETTINGS,
            "# comment\ndc_eximconfig_configtype='internet'\ndc_other_hostnames='good.test : mx.good.test'\ndc_relay_domains='backup.test'\n",
        );
        put(MAILNAME, "good.test\n");
        put(PASSWD, "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:,,,:/home/anna:/bin/sh\nbroken\n");
        put(ALIASES, "# aliases\npostmaster: root\n\tcontinued: x\nInfo: anna, bob@example.com\n");
        let snapshot = Config(Root { root: root.path().to_owned() }).read().unwrap();
        let domain = |text: &str| Domain::parse(text).unwrap();
        let address = |text: &str| Address::parse(text).unwrap();
        assert_eq!(snapshot.hosting(&domain("good.test")), Hosting::Local(None));
        assert_eq!(snapshot.hosting(&domain("backup.test")), Hosting::Relayed(None));
        assert_eq!(snapshot.hosting(&domain("else.test")), Hosting::Foreign);
        assert_eq!(snapshot.recipient(&address("anna+x@good.test")), Mailbox::Exists);
        assert_eq!(snapshot.recipient(&address("INFO@good.test")), Mailbox::Exists);
        assert_eq!(snapshot.recipient(&address("nobody@good.test")), Mailbox::Unknown);
        assert_eq!(snapshot.owner_of_uid(1000), Some(Account("anna".into())));
    }
}
