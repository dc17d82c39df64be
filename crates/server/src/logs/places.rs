//! Where mail logs usually lie: Debian, Red Hat, cPanel, DirectAdmin, Hestia, Exim as its authors ship it.

use std::path::{Path, PathBuf};

/// Folders below the root, and how the names of logs in them begin; rotated ones go on with `.` or `-`.
const PLACES: [(&str, &str); 12] = [
    // Debian, Hestia.
    ("var/log/exim4", "mainlog"),
    // cPanel.
    ("var/log", "exim_mainlog"),
    // DirectAdmin, FreeBSD.
    ("var/log/exim", "mainlog"),
    // Red Hat.
    ("var/log/exim", "main.log"),
    ("var/log/exim", "exim_main.log"),
    // Exim's own default.
    ("var/spool/exim/log", "mainlog"),
    // Postfix and Dovecot by syslog: Debian, Red Hat.
    ("var/log", "mail.log"),
    ("var/log", "maillog"),
    // Dovecot with a log of its own: Hestia and others.
    ("var/log", "dovecot.log"),
    ("var/log/dovecot", "dovecot.log"),
    // Roundcube.
    ("var/log/roundcube", "errors.log"),
    ("var/log/roundcubemail", "errors.log"),
];

/// Files that are looked at in one folder.
const ENTRIES_MAX: usize = 10_000;

/// Logs at the usual places below `root`. Reject and panic logs are left out: what they say stands in the main log.
pub fn usual(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (folder, name) in PLACES {
        found.extend(files_in(&root.join(folder)).into_iter().filter(|path| is_log_name(path, name)));
    }
    found
}

/// Logs at the usual places below `root` that are written now, rotated ones left out.
pub fn written(root: &Path) -> Vec<PathBuf> {
    PLACES.iter().map(|(folder, name)| root.join(folder).join(name)).filter(|path| path.is_file()).collect()
}

/// The folders and names, for a message.
pub fn names() -> String {
    PLACES.map(|(folder, name)| format!("/{folder}/{name}*")).join(", ")
}

/// Files directly in `folder`, by name; none if it cannot be read.
pub(super) fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.take(ENTRIES_MAX).filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

/// Whether a file is called as logs usually are, a rotated one perhaps.
pub(super) fn is_usual_name(path: &Path) -> bool {
    PLACES.iter().any(|(_, name)| is_log_name(path, name))
}

fn is_log_name(path: &Path, name: &str) -> bool {
    let Some(file) = path.file_name().and_then(|file| file.to_str()) else { return false };
    file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_belong_to_their_log() {
        for (name, is_it) in [
            ("mainlog", true),
            ("mainlog.1", true),
            ("mainlog.10.gz", true),
            ("mainlog-20260301", true),
            ("mainlogger", false),
            ("rejectlog", false),
        ] {
            assert_eq!(is_log_name(Path::new(name), "mainlog"), is_it, "{name}");
        }
    }
}
