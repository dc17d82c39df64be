//! Ways in which an Exim is configured, and which files tie Tidegate into each.

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;

use super::{Change, PIECES_FOLDER, below, blocks};

mod cpanel;
mod debian;
mod directadmin;
mod hestia;

/// The piece for the main section.
const MAIN: &str = include_str!("../../../../packaging/exim/main.conf");

/// A way in which an Exim is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// cPanel: /etc/exim.conf is built from /etc/exim.conf.local.
    #[value(name = "cpanel")]
    CPanel,
    /// DirectAdmin: /etc/exim.conf includes files of the administrator's.
    #[value(name = "directadmin")]
    DirectAdmin,
    /// HestiaCP: a template of its own in the place of Debian's.
    Hestia,
    /// Debian's many small files (`dc_use_split_config='true'`).
    DebianSplit,
    /// Debian's one template (`dc_use_split_config='false'`).
    DebianWhole,
}

impl Layout {
    /// The layout below `root`, if it is a known one.
    pub fn find(root: &Path) -> Option<Layout> {
        let is_there = |path: &str| below(root, Path::new(path)).exists();
        if is_there(cpanel::BUILDER) {
            return Some(Layout::CPanel);
        }
        if is_there(directadmin::HOME) && is_there(directadmin::CONF) {
            return Some(Layout::DirectAdmin);
        }
        // A configuration of the administrator's own stands before Debian's and would not see our pieces.
        if is_there("/etc/exim4/exim4.conf") {
            return None;
        }
        if is_there(hestia::HOME) && is_there(debian::TEMPLATE) {
            return Some(Layout::Hestia);
        }
        debian::find(root)
    }

    /// Its name, as `--layout` takes it.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(super) fn changes(self, root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
        match self {
            Layout::CPanel => cpanel::changes(root, socket),
            Layout::DirectAdmin => directadmin::changes(root, socket),
            Layout::Hestia => hestia::changes(root, socket),
            Layout::DebianSplit => Ok(debian::split(socket)),
            Layout::DebianWhole => debian::whole(root, socket),
        }
    }

    /// What makes the file that Exim reads out of the files that are changed, one call after the other.
    pub(super) fn builders(self) -> &'static [&'static [&'static str]] {
        match self {
            Layout::CPanel => &[&[cpanel::BUILDER, "--acl_dry_run"], &[cpanel::BUILDER]],
            Layout::DirectAdmin => &[],
            Layout::Hestia | Layout::DebianSplit | Layout::DebianWhole => &[&["update-exim4.conf"]],
        }
    }

    /// What restarts Exim.
    pub(super) fn restarter(self) -> &'static [&'static str] {
        match self {
            Layout::CPanel => &["/usr/local/cpanel/scripts/restartsrv_exim"],
            Layout::DirectAdmin => &["systemctl", "restart", "exim"],
            Layout::Hestia | Layout::DebianSplit | Layout::DebianWhole => &["service", "exim4", "restart"],
        }
    }

    /// The file that the panel builds for Exim, in which ours must be found again.
    pub(super) fn built(self) -> Option<&'static Path> {
        match self {
            Layout::CPanel => Some(Path::new(cpanel::CONF)),
            Layout::DirectAdmin | Layout::Hestia | Layout::DebianSplit | Layout::DebianWhole => None,
        }
    }

    /// What has to be known about this layout by who installs, if anything.
    pub fn remark(self) -> Option<&'static str> {
        match self {
            Layout::DirectAdmin => Some(directadmin::REMARK),
            Layout::Hestia => Some(hestia::REMARK),
            Layout::CPanel | Layout::DebianSplit | Layout::DebianWhole => None,
        }
    }
}

/// What others wrote in a file that ours stands in.
pub(super) fn without_ours(path: &Path, text: &str) -> String {
    let text = blocks::without_blocks(text);
    if path.ends_with(Path::new(cpanel::LOCAL).file_name().unwrap_or_default()) {
        return cpanel::without_strays(&text, |_macro| false);
    }
    text
}

fn file(path: &str, text: String) -> Change {
    Change { path: path.into(), text }
}

/// The file as it is; nothing if there is none.
fn present(root: &Path, path: &str) -> anyhow::Result<String> {
    match std::fs::read_to_string(below(root, Path::new(path))) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        other => other.with_context(|| format!("cannot read {path}")),
    }
}

/// The first lines of a main section: where everything is.
fn places(socket: &Path) -> String {
    format!("TIDEGATE_SOCKET = {}\nTIDEGATE_DIR = {PIECES_FOLDER}\n", socket.display())
}
