//! HestiaCP: its own template in the place of Debian's (`exim4.conf.template`, not split). It sets ACL options itself, so
//! those lines give way to ours, which call the ACLs they named. An upgrade of HestiaCP writes the template anew.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{debian, file, places};
use crate::installer::blocks::{block, instead_of, without_blocks};
use crate::installer::options::{
    ACLS, EARLY_TALK, LOG_SELECTOR, as_acl, early_talk, fuller_log_selector, main_section, setting,
};
use crate::installer::{Change, below};

pub(super) const HOME: &str = "/usr/local/hestia";
pub(super) const REMARK: &str = "an upgrade of HestiaCP writes its template anew: run `tidegate exim install` after it \
                                 (`tidegate status` tells when ours is missing)";

const ACL: &str = ".include TIDEGATE_DIR/acls.conf\n";
const ROUTER: &str = ".include TIDEGATE_DIR/router.conf\n";

pub(super) fn changes(root: &Path, socket: &Path) -> anyhow::Result<Vec<Change>> {
    let path = below(root, Path::new(debian::TEMPLATE));
    let template = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(vec![file(debian::TEMPLATE, tied_in(&without_blocks(&template), socket)?)])
}

fn tied_in(template: &str, socket: &Path) -> anyhow::Result<String> {
    let main = main_section(template);
    let rest = template.get(main.len()..).unwrap_or_default();
    let mut own = format!("{}.include TIDEGATE_DIR/main.conf\n", places(socket));
    let mut text = String::with_capacity(template.len());
    let mut set = Vec::new();
    for line in main.split_inclusive('\n') {
        let found = replacement(line.trim_end())?;
        set.extend(found.as_ref().map(|(option, _)| *option));
        match found.and_then(|(_, ours)| ours) {
            Some(ours) => text.push_str(&instead_of(line.trim_end_matches('\n'), &ours)),
            None => text.push_str(line),
        }
    }
    let options = ACLS.map(|(option, _, ours)| (option, ours));
    for (option, value) in options.into_iter().chain([("log_selector", LOG_SELECTOR)]) {
        if !set.contains(&option) {
            own.push_str(&format!("{option} = {value}\n"));
        }
    }
    if !set.contains(&EARLY_TALK.0) {
        own.push_str(&early_talk());
    }
    debian::with_sections(&format!("{}{text}{rest}", block(&own)), ACL, ROUTER)
}

/// Which option of ours a line sets, and what is to stand in its place, if it cannot stay.
fn replacement(line: &str) -> anyhow::Result<Option<(&'static str, Option<String>)>> {
    for (option, next, ours) in ACLS {
        if let Some(value) = setting(line, option) {
            ensure!(!value.ends_with('\\'), "{}: `{option}` has a value of several lines", debian::TEMPLATE);
            return Ok(Some((option, Some(format!("{next} = {}\n{option} = {ours}\n", as_acl(value))))));
        }
    }
    if let Some(value) = setting(line, "log_selector") {
        // A value of several lines is the administrator's own; `tidegate status` tells what it lacks.
        let fuller = (!value.ends_with('\\')).then(|| fuller_log_selector(value)).flatten();
        return Ok(Some(("log_selector", fuller.map(|fuller| format!("log_selector = {fuller}\n")))));
    }
    Ok(setting(line, EARLY_TALK.0).map(|_as_they_want| (EARLY_TALK.0, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "#SPAM = yes\nacl_smtp_mail = acl_check_mail\nacl_smtp_mime = acl_check_mime\n\
                            log_selector = +tls_sni\n\nacl_not_smtp = acl_not_smtp\n\nbegin acl\n\nacl_not_smtp:\n  accept\n\n\
                            begin routers\nr:\n";

    #[test]
    fn the_panels_acls_are_called_by_ours() {
        let text = tied_in(TEMPLATE, Path::new("/s")).unwrap();
        assert!(
            text.contains("\nTIDEGATE_NEXT_MAIL = acl_check_mail\nacl_smtp_mail = tidegate_check_mail\n"),
            "{text}"
        );
        assert!(text.contains("\nTIDEGATE_NEXT_LOCAL = acl_not_smtp\n"), "{text}");
        assert!(text.contains("\nlog_selector = +tls_sni +all_parents"), "{text}");
        assert_eq!(text.matches("\nacl_smtp_mail = ").count(), 1);
        assert_eq!(text.matches("\nlog_selector = ").count(), 1);
        assert!(text.contains("\nacl_smtp_mime = acl_check_mime\n"), "none of our business");
        assert_eq!(without_blocks(&text), TEMPLATE);
        assert_eq!(tied_in(&without_blocks(&text), Path::new("/s")).unwrap(), text);
    }
}
