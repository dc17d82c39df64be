//! Ways in which a server's Exim is configured, and how Tidegate is tied into each.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

use crate::namespace::{Namespace, run};
use crate::roots::{Panel, lay};

/// The pieces of configuration that a server with Tidegate gets.
const PIECES: [(&str, &str); 12] = [
    ("main.conf", include_str!("../../packaging/exim/main.conf")),
    ("acls.conf", include_str!("../../packaging/exim/acls.conf")),
    ("connect.conf", include_str!("../../packaging/exim/connect.conf")),
    ("helo.conf", include_str!("../../packaging/exim/helo.conf")),
    ("auth.conf", include_str!("../../packaging/exim/auth.conf")),
    ("mail.conf", include_str!("../../packaging/exim/mail.conf")),
    ("rcpt.conf", include_str!("../../packaging/exim/rcpt.conf")),
    ("data.conf", include_str!("../../packaging/exim/data.conf")),
    ("not_smtp.conf", include_str!("../../packaging/exim/not_smtp.conf")),
    ("quit.conf", include_str!("../../packaging/exim/quit.conf")),
    ("notquit.conf", include_str!("../../packaging/exim/notquit.conf")),
    ("router.conf", include_str!("../../packaging/exim/router.conf")),
];

const DEBIAN_MAIN: &str = include_str!("../../packaging/exim/layouts/debian/main.conf");
const DEBIAN_ACL: &str = include_str!("../../packaging/exim/layouts/debian/acl.conf");
const DEBIAN_ROUTER: &str = include_str!("../../packaging/exim/layouts/debian/router.conf");

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One file as a small panel might write it (`exim.conf` beside this file), with ours included. Delivers into the
    /// lab's own mailbox.
    #[default]
    Panel,
    /// The same server without Tidegate, to compare with.
    Bare,
    /// Debian's many small files. Delivers to the system's users, so accept nothing here that is not to be delivered.
    DebianSplit,
    /// Debian's one template. Delivers as [`Layout::DebianSplit`].
    DebianWhole,
    /// A server of cPanel's kind, without Tidegate: for the installer. Delivers into the lab's own mailbox.
    CPanel,
    /// A server of DirectAdmin's kind, as [`Layout::CPanel`].
    DirectAdmin,
    /// A server of HestiaCP's kind, as [`Layout::CPanel`].
    Hestia,
}

impl Layout {
    /// Writes a configuration of this kind into the namespace's `/etc/exim4`, with `settings` in its main section.
    pub(crate) fn write(self, namespace: &mut Namespace, folder: &Path, settings: &str) -> anyhow::Result<()> {
        match self {
            Layout::CPanel => return lay(Panel::Cpanel, namespace, folder, settings),
            Layout::DirectAdmin => return lay(Panel::DirectAdmin, namespace, folder, settings),
            Layout::Hestia => return lay(Panel::Hestia, namespace, folder, settings),
            _ => {}
        }
        let pieces = folder.join("pieces");
        fs::create_dir_all(&pieces)?;
        for (name, text) in PIECES {
            fs::write(pieces.join(name), text)?;
        }
        let etc = format!("{}/exim4", namespace.etc());
        fs::create_dir_all(&etc)?;
        let own = format!("TIDEGATE_SOCKET = {}/run/exim.sock\n{settings}\n", folder.display());
        let placed =
            |text: &str| text.replace("@DIR@", &pieces.to_string_lossy()).replace("@LAB@", &folder.to_string_lossy());
        match self {
            Layout::Panel => fs::write(format!("{etc}/exim4.conf"), placed(&panel(&own)))?,
            Layout::Bare => fs::write(format!("{etc}/exim4.conf"), placed(&bare(settings)))?,
            Layout::DebianSplit | Layout::DebianWhole => {
                run("cp", &["-a", "/etc/exim4/.", &etc])?;
                let places = "SPOOLDIR = @LAB@/spool\nlog_file_path = @LAB@/log/%slog\n";
                let main = placed(&format!("{own}{places}{DEBIAN_MAIN}"));
                if self == Layout::DebianSplit {
                    split(&etc, &main)?
                } else {
                    whole(&etc, &main)?
                }
                update(namespace, &etc, self == Layout::DebianSplit)?;
            }
            Layout::CPanel | Layout::DirectAdmin | Layout::Hestia => {}
        }
        Ok(())
    }
}

fn panel(own: &str) -> String {
    let main = include_str!("../../packaging/exim/layouts/include/main.conf");
    include_str!("exim.conf")
        .replace("@MAIN@", &format!("{own}TIDEGATE_NEXT_RCPT = panel_rcpt\n{main}"))
        .replace("@ACL@", ".include TIDEGATE_DIR/acls.conf")
        .replace("@ROUTERS@", ".include TIDEGATE_DIR/router.conf")
}

fn bare(settings: &str) -> String {
    let data = if settings.contains("acl_smtp_data") { "" } else { "acl_smtp_data = accept" };
    let main = format!("{settings}\nacl_smtp_rcpt = panel_rcpt\n{data}\n");
    include_str!("exim.conf").replace("@MAIN@", &main).replace("@ACL@", "").replace("@ROUTERS@", "")
}

fn split(etc: &str, main: &str) -> anyhow::Result<()> {
    for (path, text) in
        [("main/000_tidegate", main), ("acl/01_tidegate", DEBIAN_ACL), ("router/050_tidegate", DEBIAN_ROUTER)]
    {
        fs::write(format!("{etc}/conf.d/{path}"), text)?;
    }
    Ok(())
}

fn whole(etc: &str, main: &str) -> anyhow::Result<()> {
    let path = format!("{etc}/exim4.conf.template");
    let template = fs::read_to_string(&path)?;
    for section in ["\nbegin acl\n", "\nbegin routers\n"] {
        ensure!(template.matches(section).count() == 1, "Debian's template has no single `{}`", section.trim());
    }
    let text = template
        .replace("\nbegin acl\n", &format!("\nbegin acl\n{DEBIAN_ACL}"))
        .replace("\nbegin routers\n", &format!("\nbegin routers\n{DEBIAN_ROUTER}"));
    fs::write(&path, format!("{main}{text}"))?;
    Ok(())
}

/// Has Debian build its one configuration file out of the parts.
fn update(namespace: &Namespace, etc: &str, is_split: bool) -> anyhow::Result<()> {
    let answers = format!(
        "dc_eximconfig_configtype='internet'\ndc_other_hostnames='exim.test:hosted.test'\ndc_local_interfaces=''\n\
         dc_use_split_config='{is_split}'\ndc_localdelivery='mail_spool'\nCFILEMODE='644'\n"
    );
    fs::write(format!("{etc}/update-exim4.conf.conf"), answers)?;
    let output = namespace.command("update-exim4.conf").args(["-o", "/etc/exim4/exim4.conf"]).output();
    let output = output.context("running update-exim4.conf")?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "update-exim4.conf: {said}");
    Ok(())
}
