//! Servers of hosting panels: a folder that stands over `/etc`, `/usr/local`, `/home` and Exim's `/var/lib/exim4`, so that the
//! installer finds there what it finds on such a server, and does there what it does on such a server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::namespace::{Namespace, run};

/// The panels' own files.
const ROOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/roots");

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Panel {
    Cpanel,
    DirectAdmin,
    Hestia,
}

impl Panel {
    fn folder(self) -> &'static str {
        match self {
            Panel::Cpanel => "cpanel",
            Panel::DirectAdmin => "directadmin",
            Panel::Hestia => "hestia",
        }
    }
}

/// Makes the server's folder below `folder` and puts it over the system's for all that `namespace` starts. `settings` are
/// lines for Exim's main section.
pub(crate) fn lay(panel: Panel, namespace: &mut Namespace, folder: &Path, settings: &str) -> anyhow::Result<()> {
    let root = folder.join("root");
    fs::create_dir_all(root.join("etc"))?;
    // Folders of other labs come and go meanwhile.
    let copy = format!("for f in /etc/*; do [ $f = /etc/netns ] || cp -a $f {}/etc/ || exit 1; done", root.display());
    run("sh", &["-c", &copy])?;
    fs::copy(format!("{}/resolv.conf", namespace.etc()), root.join("etc/resolv.conf")).context("resolv.conf")?;
    if panel == Panel::Hestia {
        fs::remove_dir_all(root.join("etc/exim4")).context("Debian's own configuration")?;
    }
    run("cp", &["-a", &format!("{ROOTS}/{}/.", panel.folder()), &root.to_string_lossy()])?;
    run("chown", &["-R", "root:root", &root.to_string_lossy()])?;
    for file in files_below(&root)? {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        if text.contains("@MAIL@") || text.contains("@LAB@") {
            let lab = folder.to_string_lossy();
            fs::write(&file, text.replace("@MAIL@", &format!("{lab}/mail")).replace("@LAB@", &lab))?;
        }
    }
    if panel != Panel::Hestia {
        // Debian's Exim reads this file, the panels' reads /etc/exim.conf.
        let lab = folder.display();
        let around = format!(
            "primary_hostname = mx.exim.test\nspool_directory = {lab}/spool\nlog_file_path = {lab}/log/%slog\n\
             daemon_smtp_ports = 25\nkeep_environment =\nadd_environment = PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             {settings}\n.include /etc/exim.conf\n"
        );
        fs::write(root.join("etc/exim4/exim4.conf"), around)?;
    }
    namespace.put_over(root);
    match panel {
        Panel::Cpanel => build(namespace, "/usr/local/cpanel/scripts/buildeximconf"),
        Panel::Hestia => build(namespace, "update-exim4.conf"),
        Panel::DirectAdmin => Ok(()),
    }
}

fn build(namespace: &Namespace, program: &str) -> anyhow::Result<()> {
    let output = namespace.command(program).output().with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    anyhow::ensure!(output.status.success(), "{program}: {said}");
    Ok(())
}

/// Every file below `folder` that is no link, in order.
///
/// # Errors
/// When a folder cannot be read.
pub fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
