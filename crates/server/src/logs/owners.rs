//! Whose a domain is: from the configured panel, else from the files in which panels keep it. Without any, a domain is its own
//! account.

use std::collections::HashMap;
use std::path::Path;

use crate::config::Config;

/// Octets of a panel's file that are read.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// Account of each domain, in lower case.
pub fn read(config: Option<&Config>, root: &Path) -> HashMap<String, String> {
    let mut owners = HashMap::new();
    // cPanel (`domain: user`), DirectAdmin (the same).
    for file in ["etc/userdomains", "etc/virtual/domainowners"] {
        pairs(&root.join(file), &mut owners);
    }
    hestia(&root.join("etc/exim4/domains"), &mut owners);
    if let Some(snapshot) = config.and_then(|config| config.panel.read().ok()) {
        for (domain, owner) in snapshot.local.into_iter().chain(snapshot.relayed) {
            if let Some(owner) = owner {
                owners.insert(domain.as_str().to_ascii_lowercase(), owner.0);
            }
        }
    }
    owners
}

fn pairs(file: &Path, owners: &mut HashMap<String, String>) {
    let is_fit = std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_OCTETS_MAX);
    let Some(text) = is_fit.then(|| std::fs::read_to_string(file).ok()).flatten() else { return };
    for line in text.lines() {
        if let Some((domain, user)) = line.split_once(':')
            && !domain.contains('*')
        {
            // cPanel may add the owner's details behind `==`.
            let user = user.split("==").next().unwrap_or(user).trim();
            owners.insert(domain.trim().to_ascii_lowercase(), user.to_owned());
        }
    }
}

/// Hestia: `/etc/exim4/domains/DOMAIN` leads to `/home/USER/conf/mail/DOMAIN`.
fn hestia(folder: &Path, owners: &mut HashMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let parts: Vec<&str> = target.iter().filter_map(|part| part.to_str()).collect();
        let home = parts.iter().position(|part| part.starts_with("home"));
        if let (Some(user), Some(domain)) =
            (home.and_then(|at| parts.get(at + 1)), entry.file_name().to_str().map(str::to_ascii_lowercase))
        {
            owners.insert(domain, (*user).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_tell_whose_a_domain_is() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/exim4/domains")).unwrap();
        std::fs::write(
            root.path().join("etc/userdomains"),
            "Shop.example: shop\n*: nobody\nx.example: y==root==main\n",
        )
        .unwrap();
        std::os::unix::fs::symlink("/home/anna/conf/mail/a.example", root.path().join("etc/exim4/domains/a.example"))
            .unwrap();
        let owners = read(None, root.path());
        let mut found: Vec<(&str, &str)> = owners.iter().map(|(d, u)| (d.as_str(), u.as_str())).collect();
        found.sort_unstable();
        assert_eq!(found, [("a.example", "anna"), ("shop.example", "shop"), ("x.example", "y")]);
    }
}
