//! Reads the small text files in which panels keep what they know. Some of them lie in folders of the panel's customers, who may
//! put anything there: only ordinary files of bounded size are read, and no link is followed to them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::panel::Account;
use tidegate_mail::{Address, Domain};

/// Most that is read of one file; a line of a domain list is some 20 octets, so this is a million domains.
const FILE_OCTETS_MAX: u64 = 32 * 1024 * 1024;
/// Fields of a line in passwd(5).
const PASSWD_FIELDS: usize = 7;

/// Where the files of a panel lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Root {
    /// Where the files are looked for; `/` on a real server.
    pub root: PathBuf,
}

impl Default for Root {
    fn default() -> Root {
        Root { root: PathBuf::from("/") }
    }
}

/// The text of the file at `path`; nothing if there is none. Octets that are no UTF-8 are replaced.
///
/// # Errors
/// There is one, and it cannot be read: no right to, not an ordinary file, or too long.
pub(super) fn optional(path: &Path) -> io::Result<String> {
    match required(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// As [`optional`], but a file that is not there is an error.
pub(super) fn required(path: &Path) -> io::Result<String> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    // Without O_NONBLOCK, opening a named pipe waits for somebody to write to it.
    let flags = OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(flags.cast_signed()).open(path).map_err(named)?;
    let metadata = file.metadata().map_err(named)?;
    if !metadata.is_file() || metadata.len() > FILE_OCTETS_MAX {
        return Err(named(io::Error::new(io::ErrorKind::InvalidData, "is no ordinary file, or too long")));
    }
    let mut text = Vec::new();
    file.take(FILE_OCTETS_MAX).read_to_end(&mut text).map_err(named)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The domains of a file with one a line.
pub(super) fn domains(text: &str) -> impl Iterator<Item = Domain> {
    let names = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    names.filter_map(|name| Domain::parse(name).ok())
}

/// The lines `left: right`, as they are. A line without a colon is none.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.map(|(left, right)| (left.trim().trim_matches('"'), right.trim())).filter(|(left, _)| !left.is_empty())
}

/// The lines `domain: account`.
pub(super) fn owners(text: &str) -> BTreeMap<Domain, Account> {
    let pairs = pairs(text).filter(|(_, owner)| !owner.is_empty());
    pairs.filter_map(|(name, owner)| Some((Domain::parse(name).ok()?, Account(owner.to_owned())))).collect()
}

/// A line of passwd(5).
pub(super) struct User<'a> {
    pub name: &'a str,
    pub uid: u32,
    pub home: &'a str,
}

/// The users of a passwd(5) file.
pub(super) fn users(text: &str) -> impl Iterator<Item = User<'_>> {
    text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, uid, _, _, home, _] if fields.len() == PASSWD_FIELDS => {
                Some(User { name, uid: uid.parse().ok()?, home })
            }
            _ => None,
        }
    })
}

/// Where an alias leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// Addresses that it forwards to.
    pub to: Vec<Address>,
    /// It also ends here: in a mailbox, a program, a file, or nowhere.
    pub ends_here: bool,
    /// It refuses (`:fail:`): there is nobody.
    pub refuses: bool,
}

impl Target {
    /// Reads the right-hand side of an alias: addresses, local users, `|program`, `/file`, `:blackhole:`, `:fail: text`,
    /// separated by commas.
    pub(super) fn parse(text: &str) -> Target {
        let text = text.trim();
        let mut target = Target { refuses: unquoted(text).starts_with(":fail:"), ..Target::default() };
        if target.refuses {
            return target;
        }
        // A program's arguments may have commas in them, but none of the pieces is an address of ours then.
        for item in text.split(',').map(unquoted).filter(|item| !item.is_empty()) {
            match Address::parse(item) {
                Ok(address) if !item.starts_with(['|', '/', ':']) => target.to.push(address),
                _ => target.ends_here = true,
            }
        }
        target
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches('"').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_lead_somewhere() {
        let address = |text: &str| Address::parse(text).unwrap();
        let target = |to: &[&str], ends_here, refuses| Target {
            to: to.iter().map(|text| address(text)).collect(),
            ends_here,
            refuses,
        };
        for (text, expected) in [
            ("a@b.test", target(&["a@b.test"], false, false)),
            ("a@b.test, \"c@d.test\"", target(&["a@b.test", "c@d.test"], false, false)),
            ("shopuser", target(&[], true, false)),
            ("a@b.test,shopuser", target(&["a@b.test"], true, false)),
            ("\"|/usr/bin/autorespond info@shop.test /home/u\"", target(&[], true, false)),
            ("/home/u/mail/x", target(&[], true, false)),
            (":blackhole:", target(&[], true, false)),
            (":fail: No such user", target(&[], false, true)),
            ("\":fail: a@b.test\"", target(&[], false, true)),
            ("", target(&[], false, false)),
        ] {
            assert_eq!(Target::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn only_ordinary_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        let pipe = path("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(optional(&path("file")).unwrap(), "text");
        assert_eq!(optional(&path("absent")).unwrap(), "");
        assert!(required(&path("absent")).is_err());
        for odd in ["link", "pipe", "."] {
            assert!(optional(&path(odd)).is_err(), "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_a_file_is_read(text in ".{0,300}") {
            Target::parse(&text);
            domains(&text).count();
            owners(&text);
            users(&text).count();
        }
    }
}
