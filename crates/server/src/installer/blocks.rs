//! Marked blocks of ours in files that are not ours: put in, found again, and taken out without a trace.

use std::collections::HashSet;

/// Begins a block.
const BEGIN: &str = "# BEGIN tidegate: this block is kept by `tidegate exim install`\n";
/// Ends a block.
const END: &str = "# END tidegate\n";
/// Precedes, within a block, a line that the block took the place of.
const WAS: &str = "# WAS ";

/// `text` as a block.
pub(super) fn block(text: &str) -> String {
    let end_of_line = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{BEGIN}{text}{end_of_line}{END}")
}

/// A block with `text` in the place of `line`.
pub(super) fn instead_of(line: &str, text: &str) -> String {
    block(&format!("{WAS}{line}\n{text}"))
}

/// The text without blocks of ours and with the lines back that they took the place of, so that installing twice is
/// installing once.
pub(super) fn without_blocks(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some((before, block)) = rest.split_once(BEGIN) {
        kept.push_str(before);
        let (block, after) = block.split_once(END).unwrap_or((block, ""));
        for line in block.split_inclusive('\n') {
            kept.push_str(line.strip_prefix(WAS).unwrap_or_default());
        }
        rest = after;
    }
    kept + rest
}

/// Whether `present` holds all that is ours in `wanted`, whatever others wrote around it. Comments do not count: a panel
/// that writes the file anew may drop them.
pub(super) fn holds(present: &str, wanted: &str) -> bool {
    let others = without_blocks(wanted);
    let is_setting = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut ours = wanted.lines().map(str::trim).filter(is_setting);
    ours.all(|line| {
        let times = |text: &str| text.lines().filter(|other| other.trim() == line).count();
        times(&others) >= times(wanted) || times(present) >= times(wanted)
    })
}

/// `text` without the settings that `written` brought over `former`: they may stand outside of any block by now.
pub(super) fn without_settings(text: &str, written: &str, former: &str) -> String {
    let was_there: HashSet<&str> = former.lines().map(str::trim).collect();
    let ours = written.lines().map(str::trim).filter(|line| !line.is_empty() && !was_there.contains(line));
    let ours: HashSet<&str> = ours.collect();
    text.split_inclusive('\n').filter(|line| !ours.contains(line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_out_leaves_what_was_there() {
        let before = "one\nacl_smtp_rcpt = acl_check_rcpt\nthree";
        let line = "acl_smtp_rcpt = acl_check_rcpt";
        let after = before.replace(&format!("{line}\n"), &instead_of(line, "acl_smtp_rcpt = ours"));
        assert!(after.contains("\nacl_smtp_rcpt = ours\n# END"), "{after}");
        assert_eq!(without_blocks(&after), before);
        assert_eq!(without_blocks(&format!("{}{before}", block("MAIN"))), before);
    }

    #[test]
    fn a_block_without_an_end_goes_to_the_end_of_the_file() {
        assert_eq!(without_blocks(&format!("one\n{BEGIN}ours\n")), "one\n");
    }

    #[test]
    fn settings_go_wherever_they_stand() {
        let written = "a = 1\nlog_selector = +subject +pid\nb = 2\n\n";
        let present = "b = 2\nc = 3\n\nlog_selector = +subject +pid\na = 1\n";
        assert_eq!(without_settings(present, written, "a = 1\nb = 2\n\n"), "b = 2\nc = 3\n\na = 1\n");
    }

    #[test]
    fn ours_is_found_among_what_others_wrote() {
        let wanted = format!("@CONFIG@\n{}", block("A = 1\n# why\nB = 2\n"));
        assert!(holds("B = 2\nc = 3\nA = 1\n", &wanted), "order and comments are the panel's business");
        assert!(!holds("A = 1\nB = 3\n", &wanted));
        assert!(!holds("", &wanted));
    }
}
