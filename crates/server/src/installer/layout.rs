//! Ways in which an Exim is configured, and which files tie Tidegate into each.

use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;

use super::{Change, PIECES_FOLDER, below};

const MAIN: &str = include_str!("../../../../packaging/exim/layouts/debian/main.conf");
const ACL: &str = include_str!("../../../../packaging/exim/layouts/debian/acl.conf");
const ROUTER: &str = include_str!("../../../../packaging/exim/layouts/debian/router.conf");

/// Marks what is ours in a file that is not.
const BEGIN: &str = "# BEGIN tidegate: this block is kept by `tidegate exim install`\n";
const END: &str = "# END tidegate\n";

/// What an administrator should find in the main log, and `tidegate logs` needs.
const LOG_SELECTOR: &str = "+all_parents +arguments +incoming_interface +incoming_port +lost_incoming_connection \
                            +received_recipients +received_sender +smtp_confirmation +smtp_protocol_error \
                            +smtp_syntax_error +subject +tls_cipher +pid";

/// A way in which an Exim is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Debian's many small files (`dc_use_split_config='true'`).
    DebianSplit,
    /// Debian's one template (`dc_use_split_config='false'`).
    DebianWhole,
}

const SETTINGS: &str = "/etc/exim4/update-exim4.conf.conf";
const TEMPLATE: &str = "/etc/exim4/exim4.conf.template";

impl Layout {
    /// The layout below `root`, if it is a known one.
    pub fn find(root: &Path) -> Option<Layout> {
        // A configuration of the administrator's own stands before Debian's and would not see our pieces.
        if below(root, Path::new("/etc/exim4/exim4.conf")).exists() {
            return None;
        }
        let settings = std::fs::read_to_string(below(root, Path::new(SETTINGS))).ok()?;
        let is_split = settings.lines().any(|line| {
            let value = line.trim().strip_prefix("dc_use_split_config=");
            value.is_some_and(|value| value.trim_matches(['\'', '"']) == "true")
        });
        Some(if is_split { Layout::DebianSplit } else { Layout::DebianWhole })
    }

    pub(super) fn changes(self, root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
        let main = main_section(socket);
        match self {
            Layout::DebianSplit => Ok(vec![
                file("/etc/exim4/conf.d/main/000_tidegate", main),
                file("/etc/exim4/conf.d/acl/01_tidegate", ACL.to_owned()),
                file("/etc/exim4/conf.d/router/050_tidegate", ROUTER.to_owned()),
            ]),
            Layout::DebianWhole => {
                let path = below(root, Path::new(TEMPLATE));
                let template =
                    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(vec![file(TEMPLATE, with_blocks(&without_blocks(&template), &main)?)])
            }
        }
    }
}

fn file(path: &str, text: String) -> Change {
    Change { path: path.into(), text }
}

fn main_section(socket: &Path) -> String {
    let main = MAIN.replace("@DIR@", PIECES_FOLDER);
    let selector = format!(".ifndef MAIN_LOG_SELECTOR\nMAIN_LOG_SELECTOR = {LOG_SELECTOR}\n.endif\n");
    format!("TIDEGATE_SOCKET = {}\n{selector}{main}", socket.display())
}

fn with_blocks(template: &str, main: &str) -> anyhow::Result<String> {
    for section in ["\nbegin acl\n", "\nbegin routers\n"] {
        let count = template.matches(section).count();
        ensure!(count == 1, "{TEMPLATE} has {count} lines `{}`, not one", section.trim());
    }
    let text = template
        .replace("\nbegin acl\n", &format!("\nbegin acl\n{BEGIN}{ACL}{END}"))
        .replace("\nbegin routers\n", &format!("\nbegin routers\n{BEGIN}{ROUTER}{END}"));
    Ok(format!("{BEGIN}{main}{END}{text}"))
}

/// The text without blocks of ours, so that installing twice is installing once.
pub(super) fn without_blocks(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, block)) = rest.split_once(BEGIN) {
        kept.push_str(before);
        rest = block.split_once(END).map_or("", |(_, after)| after);
    }
    kept + rest
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
