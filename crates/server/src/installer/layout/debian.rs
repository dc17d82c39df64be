//! Debian's two layouts. Its configuration names its ACLs by macros, so ours stand around them without a change to its files.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{Layout, file};
use crate::installer::blocks::{block, without_blocks};
use crate::installer::options::LOG_SELECTOR;
use crate::installer::{Change, PIECES_FOLDER, below};

const MAIN: &str = include_str!("../../../../../packaging/exim/layouts/debian/main.conf");
const ACL: &str = include_str!("../../../../../packaging/exim/layouts/debian/acl.conf");
const ROUTER: &str = include_str!("../../../../../packaging/exim/layouts/debian/router.conf");

const SETTINGS: &str = "/etc/exim4/update-exim4.conf.conf";
pub(super) const TEMPLATE: &str = "/etc/exim4/exim4.conf.template";

pub(super) fn find(root: &Path) -> Option<Layout> {
    let settings = std::fs::read_to_string(below(root, Path::new(SETTINGS))).ok()?;
    let is_split = settings.lines().any(|line| {
        let value = line.trim().strip_prefix("dc_use_split_config=");
        value.is_some_and(|value| value.trim_matches(['\'', '"']) == "true")
    });
    Some(if is_split { Layout::DebianSplit } else { Layout::DebianWhole })
}

pub(super) fn split(socket: &Path) -> Vec<Change> {
    vec![
        file("/etc/exim4/conf.d/main/000_tidegate", main_section(socket)),
        file("/etc/exim4/conf.d/acl/01_tidegate", ACL.to_owned()),
        file("/etc/exim4/conf.d/router/050_tidegate", ROUTER.to_owned()),
    ]
}

pub(super) fn whole(root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
    let path = below(root, Path::new(TEMPLATE));
    let template = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        template.contains("MAIN_ACL_CHECK_RCPT"),
        "{TEMPLATE} is not Debian's: it names no ACL by MAIN_ACL_CHECK_RCPT; `tidegate exim print` shows what to put where"
    );
    Ok(vec![file(TEMPLATE, with_blocks(&without_blocks(&template), &main_section(socket))?)])
}

fn main_section(socket: &Path) -> String {
    let main = MAIN.replace("@DIR@", PIECES_FOLDER);
    let selector = format!(".ifndef MAIN_LOG_SELECTOR\nMAIN_LOG_SELECTOR = {LOG_SELECTOR}\n.endif\n");
    format!("TIDEGATE_SOCKET = {}\n{selector}{main}", socket.display())
}

fn with_blocks(template: &str, main: &str) -> anyhow::Result<String> {
    Ok(format!("{}{}", block(main), with_sections(template, ACL, ROUTER)?))
}

/// `template` with ours right after the beginnings of its ACLs and routers.
pub(super) fn with_sections(template: &str, acl: &str, router: &str) -> anyhow::Result<String> {
    let mut text = template.to_owned();
    for (section, ours) in [("\nbegin acl\n", acl), ("\nbegin routers\n", router)] {
        let count = text.matches(section).count();
        ensure!(count == 1, "{TEMPLATE} has {count} lines `{}`, not one", section.trim());
        text = text.replace(section, &format!("{section}{}", block(ours)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_installing_once_and_taking_out_leaves_nothing() {
        let template = "# Debian\nbegin acl\nacl_check_rcpt:\n\nbegin routers\nr:\n";
        let once = with_blocks(&without_blocks(template), "MAIN\n").unwrap();
        let twice = with_blocks(&without_blocks(&once), "MAIN\n").unwrap();
        assert_eq!(once, twice);
        assert_eq!(without_blocks(&twice), template);
    }

    #[test]
    fn an_odd_template_is_refused() {
        assert!(with_blocks("begin acl", "").is_err());
    }
}
