//! cPanel: `/etc/exim.conf` is built by `buildeximconf` from a template of cPanel's and `/etc/exim.conf.local`, which alone
//! survives upcp. Its section `@CONFIG@` takes settings and macros, one `key = value` a line, in which an ACL option takes the
//! place of cPanel's own; `@BEGINACL@` and `@ROUTERSTART@` take text. Our ACLs stand around cPanel's, whose names are read from
//! the file that was built last.

use std::path::Path;

use anyhow::Context;

use super::{MAIN, file, places, present};
use crate::installer::Change;
use crate::installer::blocks::{block, without_blocks};
use crate::installer::options::{
    ACLS, EARLY_TALK, as_acl, fuller_log_selector, is_settable, main_option, own_macros, setting,
};

pub(super) const BUILDER: &str = "/usr/local/cpanel/scripts/buildeximconf";
pub(super) const CONF: &str = "/etc/exim.conf";
pub(super) const LOCAL: &str = "/etc/exim.conf.local";

const ACL: &str = include_str!("../../../../../packaging/exim/layouts/cpanel/acl.conf");
const ROUTER: &str = include_str!("../../../../../packaging/exim/layouts/cpanel/router.conf");

/// Every section of `exim.conf.local`. Where the file is not there, none of them is in use.
const SECTIONS: [&str; 25] = [
    "@AUTH@",
    "@BEGINACL@",
    "@CONFIG@",
    "@DIRECTOREND@",
    "@DIRECTORMIDDLE@",
    "@DIRECTORSTART@",
    "@ENDACL@",
    "@POSTMAILCOUNT@",
    "@PREDOTFORWARD@",
    "@PREFILTER@",
    "@PRELOCALUSER@",
    "@PRENOALIASDISCARD@",
    "@PREROUTERS@",
    "@PREVALIASNOSTAR@",
    "@PREVALIASSTAR@",
    "@PREVIRTUALUSER@",
    "@RETRYEND@",
    "@RETRYSTART@",
    "@REWRITE@",
    "@ROUTEREND@",
    "@ROUTERMIDDLE@",
    "@ROUTERSTART@",
    "@TRANSPORTEND@",
    "@TRANSPORTMIDDLE@",
    "@TRANSPORTSTART@",
];

pub(super) fn changes(root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
    let built = present(root, CONF)?;
    anyhow::ensure!(!built.is_empty(), "{CONF} is not there; run {BUILDER} first");
    let local = present(root, LOCAL)?;
    Ok(vec![file(LOCAL, tied_in(&local, &built, socket).with_context(|| format!("in {LOCAL}"))?)])
}

fn tied_in(local: &str, built: &str, socket: &Path) -> anyhow::Result<String> {
    let others = if local.trim().is_empty() {
        SECTIONS.map(|section| format!("{section}\n\n")).concat()
    } else {
        without_strays(&without_blocks(local), |name| is_settable(MAIN, name))
    };
    let config = config_section(&others, built, socket);
    let mut text = others;
    for (section, ours) in [("@CONFIG@", config.as_str()), ("@BEGINACL@", ACL), ("@ROUTERSTART@", ROUTER)] {
        text = with_section(&text, section, ours)?;
    }
    Ok(text)
}

/// `text` with `ours` at the start of `section`.
fn with_section(text: &str, section: &str, ours: &str) -> anyhow::Result<String> {
    let is_head = |line: &&str| line.trim_end() == section;
    let count = text.lines().filter(is_head).count();
    anyhow::ensure!(count <= 1, "there are {count} sections {section}, not one");
    if count == 0 {
        let end_of_line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        // The head has to go again with the rest.
        return Ok(format!("{text}{end_of_line}{}", block(&format!("{section}\n{ours}"))));
    }
    let lines = text.split_inclusive('\n').map(|line| match is_head(&line) {
        true => format!("{section}\n{}", block(ours)),
        false => line.to_owned(),
    });
    Ok(lines.collect())
}

/// Settings and macros, one a line: no `.include` and no `.ifdef`, which are no settings.
fn config_section(others: &str, built: &str, socket: &Path) -> String {
    let is_built_with_ours = main_option(built, "TIDEGATE_DIR").is_some();
    let is_set = |name: &str| others.lines().any(|line| setting(line, name).is_some());
    let mut lines = vec![];
    let mut put = |name: &str, value: &str| {
        // What the administrator set stays as it is.
        if !is_set(name) {
            lines.push(format!("{name} = {value}"));
        }
    };
    for line in places(socket).lines() {
        if let Some((name, value)) = line.split_once(" = ") {
            put(name, value);
        }
    }
    for (name, value) in own_macros(MAIN) {
        // cPanel's Exim has content scanning.
        if name != "TIDEGATE_SOCKET" && (name != "TIDEGATE_SCAN_FILE" || !is_set("TIDEGATE_WITHOUT_SCAN")) {
            put(name, value);
        }
    }
    for (option, next, ours) in ACLS {
        let panels = others.lines().find_map(|line| setting(line, option)).map(str::to_owned);
        let panels = panels.or_else(|| main_option(built, option)).filter(|value| value != ours);
        // Built with ours already: what stood there before is in our own macro.
        if let Some(panels) = panels.or_else(|| main_option(built, next)) {
            put(next, &as_acl(&panels));
        }
        put(option, ours);
    }
    put(EARLY_TALK.0, EARLY_TALK.1);
    let selector = main_option(built, "log_selector").unwrap_or_default();
    match fuller_log_selector(&selector) {
        Some(fuller) => put("log_selector", &fuller),
        // Full because of us, so it has to stay.
        None if is_built_with_ours => put("log_selector", &selector),
        None => {}
    }
    lines.join("\n") + "\n"
}

/// The text without lines of ours that are in no block any more, as when the panel's editor wrote the file anew without its
/// comments. Macros for which `is_kept` holds stay: an administrator may have set them.
pub(super) fn without_strays(text: &str, is_kept: impl Fn(&str) -> bool) -> String {
    let is_stray = |line: &str| {
        let Some((name, value)) = line.split_once('=') else {
            return line.trim_start().starts_with(".include TIDEGATE_DIR/");
        };
        let name = name.trim();
        let is_macro = name.starts_with("TIDEGATE_") && !is_kept(name);
        is_macro || (name.starts_with("acl_") && value.trim().starts_with("tidegate_check_"))
    };
    text.split_inclusive('\n').filter(|line| !is_stray(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installer::blocks::holds;

    const BUILT: &str =
        "log_selector = +subject\nacl_smtp_rcpt = acl_smtp_rcpt\nacl_not_smtp = acl_not_smtp\nbegin acl\n";

    fn tied(local: &str, built: &str) -> String {
        tied_in(local, built, Path::new("/run/tidegate/exim.sock")).unwrap()
    }

    #[test]
    fn every_section_is_there_where_there_was_no_file() {
        let text = tied("", BUILT);
        assert!(text.contains("\nTIDEGATE_NEXT_RCPT = acl_smtp_rcpt\nacl_smtp_rcpt = tidegate_check_rcpt\n"), "{text}");
        assert!(text.contains("\nlog_selector = +subject +all_parents"), "{text}");
        assert_eq!(text.matches("\nTIDEGATE_SOCKET = ").count(), 1);
        for section in SECTIONS {
            assert_eq!(text.lines().filter(|line| *line == section).count(), 1, "{section}");
        }
        let config = text.split("@CONFIG@\n").nth(1).unwrap().split("# END").next().unwrap();
        let is_setting = |line: &str| line.starts_with('#') || line.contains(" = ");
        assert!(config.lines().all(is_setting), "one setting a line: {config}");
    }

    #[test]
    fn installing_again_on_what_was_built_with_ours_changes_nothing() {
        let once = tied("@CONFIG@\nmessage_size_limit = 50M\n", BUILT);
        let built = format!("{once}\nbegin acl\n");
        assert_eq!(tied(&once, &built), once);
        assert_eq!(without_blocks(&once), "@CONFIG@\nmessage_size_limit = 50M\n");
    }

    #[test]
    fn what_the_administrator_set_stays() {
        let local =
            "@CONFIG@\nTIDEGATE_ON_FAIL_RCPT = defer\nlog_selector = +all\n\n@ROUTERSTART@\nown:\n  driver = accept\n";
        let text = tied(local, BUILT);
        assert_eq!(text.matches("TIDEGATE_ON_FAIL_RCPT").count(), 1);
        assert_eq!(text.matches("log_selector").count(), 1);
        assert!(
            text.find("TIDEGATE_DIR/router.conf").unwrap() < text.find("own:").unwrap(),
            "ours is the first router"
        );
    }

    #[test]
    fn a_file_that_lost_its_comments_is_still_known() {
        let once = tied("@CONFIG@\nmessage_size_limit = 50M\n", BUILT);
        let shaken: String =
            once.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        assert!(holds(&shaken, &tied(&shaken, BUILT)), "all that is wanted is there");
        let cleared = without_strays(&without_blocks(&shaken), |_| false);
        assert!(!cleared.contains("idegate") && !cleared.contains("TIDEGATE"), "{cleared}");
        assert!(cleared.contains("message_size_limit = 50M"), "{cleared}");
    }
}
