//! DirectAdmin: `/etc/exim.conf` is written by `da build exim_conf`, and includes files of the administrator's, which survive.
//! There is one at the head of four of its ACLs. What ours puts there gives the rest of that ACL a name, so that ours can stand
//! around it. The stages connect, MAIL and AUTH have no such file; what happens there is judged with the next stage, from the
//! facts that each ask carries.

use std::path::Path;

use anyhow::ensure;

use super::{file, places, present};
use crate::installer::Change;
use crate::installer::blocks::{block, without_blocks};
use crate::installer::options::{EARLY_TALK, early_talk, main_option};

pub(super) const HOME: &str = "/usr/local/directadmin";
pub(super) const CONF: &str = "/etc/exim.conf";
pub(super) const REMARK: &str = "DirectAdmin leaves no place for ours at connect, MAIL and AUTH: these are judged with the stage \
                                 that follows. log_selector stands in /etc/exim.conf itself and was left as it is";

const MAIN: &str = include_str!("../../../../../packaging/exim/layouts/directadmin/main.conf");
const ACL: &str = include_str!("../../../../../packaging/exim/layouts/directadmin/acl.conf");
const ROUTER: &str = include_str!("../../../../../packaging/exim/layouts/directadmin/router.conf");

/// Files at the end of the main section; the first one that is included is taken.
const MAIN_FILES: [&str; 2] = ["/etc/exim.variables.conf.post", "/etc/exim.strings.conf.custom"];
/// The files at the head of ACLs, with our name of the stage.
const ACL_FILES: [(&str, &str); 4] = [
    ("/etc/exim.acl_check_helo.pre.conf", "helo"),
    ("/etc/exim.acl_check_recipient.pre.conf", "rcpt"),
    ("/etc/exim.acl_check_message.pre.conf", "data"),
    ("/etc/exim.acl_script.pre.conf", "not_smtp"),
];
const ROUTER_FILE: &str = "/etc/exim.routers.pre.conf";

pub(super) fn changes(root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
    let conf = present(root, CONF)?;
    let main = MAIN_FILES.into_iter().find(|path| includes(&conf, path));
    let main = main.ok_or_else(|| anyhow::anyhow!("{CONF} includes neither of {}", MAIN_FILES.join(", ")))?;
    let early_talk = match main_option(&conf, EARLY_TALK.0) {
        None => early_talk(),
        Some(_as_they_want) => String::new(),
    };
    let mut changes = vec![first_in(root, main, &format!("{}{MAIN}{early_talk}", places(socket)))?];
    for (number, (path, stage)) in ACL_FILES.into_iter().enumerate() {
        ensure!(includes(&conf, path), "{CONF} does not include {path}; `da build exim_conf` writes one that does");
        // ACLs of our own can only be declared between two others, and the first of these files comes first.
        let own = if number == 0 { ".include TIDEGATE_DIR/acls.conf\n\n" } else { "" };
        let text = format!("{}{own}tidegate_panel_{stage}:\n", ACL.replace("@STAGE@", stage));
        changes.push(first_in(root, path, &text)?);
    }
    ensure!(includes(&conf, ROUTER_FILE), "{CONF} does not include {ROUTER_FILE}");
    changes.push(first_in(root, ROUTER_FILE, ROUTER)?);
    Ok(changes)
}

/// Ours, then what others have in that file.
fn first_in(root: &Path, path: &str, ours: &str) -> anyhow::Result<Change> {
    Ok(file(path, format!("{}{}", block(ours), without_blocks(&present(root, path)?))))
}

fn includes(conf: &str, path: &str) -> bool {
    conf.lines().any(|line| {
        let named = line.trim().strip_prefix(".include_if_exists").or_else(|| line.trim().strip_prefix(".include"));
        named.is_some_and(|named| named.trim() == path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commented_include_is_none() {
        assert!(includes("  .include_if_exists /etc/a.conf\n", "/etc/a.conf"));
        assert!(includes(".include /etc/a.conf\n", "/etc/a.conf"));
        assert!(!includes("#.include_if_exists /etc/a.conf\n", "/etc/a.conf"));
        assert!(!includes(".include_if_exists /etc/a.conf.custom\n", "/etc/a.conf"));
    }
}
