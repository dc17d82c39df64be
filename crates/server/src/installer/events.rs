//! Exim's own events: a setting in the main section and one in each transport, so that Exim tells what became of each message.
//! Put in only when asked for: it changes the transports' own files. What an administrator set stays, and is told.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::blocks::{block, without_blocks};
use super::layout::Layout;
use super::{Change, Plan, below};

/// Where Debian keeps its transports, split and whole.
const SPLIT_TRANSPORTS: &str = "/etc/exim4/conf.d/transport";
const SPLIT_MAIN: &str = "/etc/exim4/conf.d/main";
const TEMPLATE: &str = "/etc/exim4/exim4.conf.template";
/// The setting. Where Exim has no events, or our macros are gone, it is not there.
const SETTING: &str = ".ifdef TIDEGATE_EVENT\nevent_action = TIDEGATE_EVENT\n.endif\n";
/// The line of the main section behind which our macros are known.
const MAIN_INCLUDE: &str = ".include TIDEGATE_DIR/main.conf\n";
/// The option.
const OPTION: &str = "event_action";

/// Whether the events were put in before.
pub(super) fn are_in(root: &Path, layout: Layout) -> bool {
    let files = transport_files(root, layout).unwrap_or_default();
    files.iter().any(|path| std::fs::read_to_string(below(root, path)).is_ok_and(|text| text.contains(SETTING)))
}

/// Adds the events to `plan`.
///
/// # Errors
/// The layout has no place for them, or a file cannot be read.
pub(super) fn add(plan: &mut Plan) -> anyhow::Result<()> {
    let files = transport_files(&plan.root, plan.layout)?;
    add_to_main(plan)?;
    for path in files {
        let place = plan.place(&path);
        let at = plan.changes.iter().position(|change| change.path == path);
        let present = match at.and_then(|at| plan.changes.get(at)) {
            Some(change) => change.text.clone(),
            None => without_blocks(&std::fs::read_to_string(&place).with_context(|| place.display().to_string())?),
        };
        let (text, own) = with_events(&present, plan.layout != Layout::DebianSplit);
        for transport in own {
            plan.remarks.push(format!("transport {transport} in {} has an {OPTION} of its own, which stays: what becomes of its mail is known from the log alone", path.display()));
        }
        match at.and_then(|at| plan.changes.get_mut(at)) {
            Some(change) => change.text = text,
            None if text != present => plan.changes.push(Change { path, text }),
            None => {}
        }
    }
    Ok(())
}

fn transport_files(root: &Path, layout: Layout) -> anyhow::Result<Vec<PathBuf>> {
    match layout {
        Layout::DebianSplit => files_in(root, SPLIT_TRANSPORTS),
        Layout::DebianWhole | Layout::Hestia => Ok(vec![TEMPLATE.into()]),
        Layout::CPanel | Layout::DirectAdmin => {
            bail!(
                "this panel writes its transports itself; packaging/exim/README.md says how to have Exim tell its events by hand"
            )
        }
    }
}

/// Files directly in `folder`, as Exim names them, in the order of their names.
fn files_in(root: &Path, folder: &str) -> anyhow::Result<Vec<PathBuf>> {
    let place = below(root, Path::new(folder));
    let entries = std::fs::read_dir(&place).with_context(|| place.display().to_string())?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    // Debian leaves out names with a dot, such as those of packages' new versions.
    let mut files: Vec<PathBuf> =
        names.filter(|name| !name.to_string_lossy().contains('.')).map(|name| Path::new(folder).join(name)).collect();
    files.sort();
    Ok(files)
}

fn add_to_main(plan: &mut Plan) -> anyhow::Result<()> {
    let Some(at) = plan.changes.iter().position(|change| change.text.contains(MAIN_INCLUDE)) else {
        bail!("no file of this layout includes our settings");
    };
    if let Some(place) = main_setting(plan, at)? {
        plan.remarks.push(format!("{place} sets {OPTION} already, which stays: the end of a message, and failures without a transport, are known from the log alone"));
        return Ok(());
    }
    if let Some(change) = plan.changes.get_mut(at) {
        change.text = change.text.replacen(MAIN_INCLUDE, &format!("{MAIN_INCLUDE}{SETTING}"), 1);
    }
    Ok(())
}

/// The file in which the main section sets the option already.
fn main_setting(plan: &Plan, main: usize) -> anyhow::Result<Option<String>> {
    let is_set = |text: &str| super::options::main_option(&without_blocks(text), OPTION).is_some();
    if plan.layout == Layout::DebianSplit {
        for path in files_in(&plan.root, SPLIT_MAIN)? {
            if std::fs::read_to_string(plan.place(&path))
                .is_ok_and(|text| !text.contains(MAIN_INCLUDE) && is_set(&text))
            {
                return Ok(Some(path.display().to_string()));
            }
        }
        return Ok(None);
    }
    Ok(plan.changes.get(main).filter(|change| is_set(&change.text)).map(|change| change.path.display().to_string()))
}

/// `text` with the setting in each transport, and the transports that have one of their own. In a whole configuration,
/// transports stand in a section; else all of `text` is that section.
fn with_events(text: &str, is_whole: bool) -> (String, Vec<String>) {
    let own = own_settings(text, is_whole);
    let mut result = String::with_capacity(text.len());
    let mut is_section = !is_whole;
    let mut name = "";
    for line in text.split_inclusive('\n') {
        result.push_str(line);
        is_section = begins(line).map_or(is_section, |section| section == "transports");
        name = transport_name(line).unwrap_or(name);
        let is_driver = super::options::setting(line, "driver").is_some();
        if is_section && is_driver && !own.iter().any(|other| other == name) {
            if !line.ends_with('\n') {
                result.push('\n');
            }
            result.push_str(&block(SETTING));
        }
    }
    (result, own)
}

fn own_settings(text: &str, is_whole: bool) -> Vec<String> {
    let mut own = Vec::new();
    let mut is_section = !is_whole;
    let mut name = "";
    for line in text.lines() {
        is_section = begins(line).map_or(is_section, |section| section == "transports");
        name = transport_name(line).unwrap_or(name);
        if is_section && super::options::setting(line, OPTION).is_some() {
            own.push(name.to_owned());
        }
    }
    own
}

/// The section that a line begins.
fn begins(line: &str) -> Option<&str> {
    line.trim().strip_prefix("begin ").map(str::trim)
}

/// The name at the start of a transport: `remote_smtp:`.
fn transport_name(line: &str) -> Option<&str> {
    let name = line.trim_end().strip_suffix(':')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSPORTS: &str = "begin transports\n\nremote_smtp:\n  driver = smtp\n\nlocal:\n  driver = appendfile\n  event_action = ${own}\n\nbegin retry\n* * F,1h,1m\n";

    #[test]
    fn each_transport_tells_except_those_with_an_action_of_their_own() {
        let text = format!("begin routers\nr:\n  driver = accept\n{TRANSPORTS}");
        let (with, own) = with_events(&text, true);
        assert_eq!(own, ["local"]);
        assert_eq!(with.matches(SETTING).count(), 1);
        assert!(with.contains(&format!("remote_smtp:\n  driver = smtp\n{}", block(SETTING))));
        assert_eq!(without_blocks(&with), text, "taking it out leaves nothing");
        assert_eq!(with_events(&without_blocks(&with), true).0, with, "installing twice is installing once");
    }

    #[test]
    fn a_file_of_transports_needs_no_section() {
        let (with, _) =
            with_events("mail_spool:\n  debug_print = \"x\"\n  driver = appendfile\n  group = mail\n", false);
        assert!(with.contains(&format!("driver = appendfile\n{}  group = mail\n", block(SETTING))));
    }
}
