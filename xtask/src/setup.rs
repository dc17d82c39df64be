//! Installs from Debian what tests and demo run beside Tidegate. Changes nothing when all is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::no_arguments;

/// Debian packages, each with what it is for.
const PACKAGES: [(&str, &str); 12] = [
    ("exim4-daemon-heavy", "the mail server, with content scanning"),
    ("exim4-config", "Debian's own configuration of it, which we tie into"),
    ("iproute2", "network namespaces"),
    ("procps", "kill: signals to programs"),
    ("spamc", "a client of spamd, for which Tidegate stands in"),
    ("pflogsumm", "whose counts of Postfix's log ours are held against"),
    ("gpg", "signatures of rule channels, made"),
    ("gpg-agent", "keys for them"),
    ("gpgv", "signatures of rule channels, checked"),
    ("openssl", "a mirror of rule channels with TLS"),
    ("util-linux", "setpriv: programs as other users"),
    ("gcc", "the linker, and the C parts of some libraries"),
];
/// With this in place, Debian starts no service that it installs.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// `cargo xtask setup`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    let missing: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        println!("setup: everything is there");
        return Ok(());
    }
    ensure!(is_root(), "not installed: {}; run `cargo xtask setup` as root", missing.join(" "));
    if !Path::new(POLICY).exists() {
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").context("keeping services from starting")?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
    }
    for arguments in [&["update"][..], &[&["install", "-y", "--no-install-recommends"], &missing[..]].concat()] {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        crate::run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]).output();
    query.is_ok_and(|output| output.stdout == b"installed")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
