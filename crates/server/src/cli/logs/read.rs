//! What was not read, and what a reader therefore does not learn.

use tidegate_watch::api::report::Report;

use crate::logs::{FileRow, LogKind};

/// Logs that are not among what was read, each with what it would tell.
pub(super) fn missing(report: &Report, files: &[FileRow]) -> Vec<&'static str> {
    let programs = &report.programs;
    let mut list = Vec::new();
    if programs.exim == 0 && programs.postfix == 0 {
        list.push("the log of the mail server: who sent what");
    }
    if programs.dovecot == 0 {
        list.push("Dovecot's log: guessing and logins over IMAP and POP3");
    }
    if programs.webmail == 0 {
        list.push("the webmail's log: guessing and logins over the web");
    }
    if programs.exim > 0 && !files.iter().any(|file| file.kind == LogKind::EximReject) {
        list.push("Exim's reject log: nothing is missing by it, its lines stand in the main log as well");
    }
    list.push("the web server's access log: who called a script, and how it got there");
    list
}

/// The first lines that were not understood, each with its place.
pub(super) fn not_understood(files: &[FileRow]) -> Vec<String> {
    let lines = files.iter().flat_map(|file| file.first_unknown.iter().map(move |line| (&file.file, line)));
    lines.map(|(file, line)| format!("{file}:{}: {}", line.line, line.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_depends_on_what_was_read() {
        let mut report = Report::default();
        report.programs.exim = 5;
        let found = missing(&report, &[]);
        assert_eq!(found.len(), 4, "{found:?}");
        report.programs.dovecot = 5;
        report.programs.webmail = 5;
        let found = missing(&report, &[]);
        assert!(found.iter().all(|missing| !missing.contains("Dovecot") && !missing.contains("webmail")), "{found:?}");
        assert!(found.iter().any(|missing| missing.contains("access log")), "no mail log tells how a script got there");
    }
}
