//! All parts of a lab together.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::Context;

use crate::dns::{Dns, Zone};
use crate::exim::Exim;
use crate::layout::Layout;
use crate::namespace::Namespace;
use crate::smtp::{Client, Reply};
use crate::stub::Stub;

/// Where Exim listens, over both protocols.
const SERVERS: [&str; 2] = ["192.0.2.25:25", "[2001:db8::25]:25"];

/// How a lab is to be.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Records of the lab's DNS, as [`Zone::parse`] takes them.
    pub dns: String,
    /// Lines for the main section of Exim's configuration.
    pub exim: String,
    /// Whose configuration it is.
    pub layout: Layout,
}

/// A mail server of its own. The thread that starts it, and all threads started from there, live in its network.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: first who may still write, then where.
    /// The mail server.
    pub exim: Exim,
    /// The DNS that everything in the lab asks.
    pub dns: Dns,
    namespace: Namespace,
    folder: Folder,
}

/// The folder with everything that the lab writes; it goes when the lab does.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    is_kept: bool,
}

/// Why no lab can be started here, if none can.
#[must_use]
pub fn why_not() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root");
    }
    if !Path::new("/usr/sbin/exim4").exists() {
        return Some("exim4 is not installed; run `cargo xtask setup`");
    }
    (!Path::new("/usr/sbin/ip").exists() && !Path::new("/sbin/ip").exists())
        .then_some("iproute2 is not installed; run `cargo xtask setup`")
}

impl Lab {
    /// A lab whose daemon is a [`Stub`], for the test of this name; `None` where no lab can be, and then a line says why.
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn with_stub(test: &str, plan: &Plan) -> anyhow::Result<Option<(Lab, Stub)>> {
        if let Some(reason) = why_not() {
            println!("skipped: {test}: {reason}");
            return Ok(None);
        }
        let lab = Lab::start(plan)?;
        let stub = Stub::serve(&lab.socket())?;
        Ok(Some((lab, stub)))
    }

    /// Brings up network, DNS and Exim. Nobody listens at [`Lab::socket`] yet.
    ///
    /// # Errors
    /// When one of them does not come up; [`why_not`] knows the usual reasons.
    pub fn start(plan: &Plan) -> anyhow::Result<Lab> {
        let mut namespace = Namespace::enter_new()?;
        let folder = Folder { path: std::env::temp_dir().join(namespace.name()), is_kept: false };
        fs::create_dir_all(&folder.path).context("making the lab's folder")?;
        fs::set_permissions(&folder.path, fs::Permissions::from_mode(0o755))?;
        fs::create_dir_all(folder.path.join("run"))?;
        let dns = Dns::serve(Zone::parse(&plan.dns)?)?;
        let exim = Exim::start(&mut namespace, &folder.path, plan.layout, &plan.exim)?;
        Ok(Lab { exim, dns, namespace, folder })
    }

    /// Has Exim read its configuration anew, by ending it and starting it again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart_exim(&mut self) -> anyhow::Result<()> {
        self.exim.restart(&self.namespace)
    }

    /// The socket at which Exim asks.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path.join("run/exim.sock")
    }

    /// The folder with everything that the lab writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// The network.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Leaves the folder when the lab goes, to look at it afterwards.
    pub fn keep_folder(&mut self) {
        self.folder.is_kept = true;
    }

    /// Connects a client whose address is `source`.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn client(&self, source: &str) -> anyhow::Result<(Client, Reply)> {
        let source: IpAddr = source.parse().context("the client's address")?;
        let [v4, v6] = SERVERS;
        let server: SocketAddr = if source.is_ipv4() { v4 } else { v6 }.parse()?;
        Client::connect(source, server)
    }

    /// Runs Exim's `sendmail` as another user, as a web script does, with `input` as what it reads.
    ///
    /// # Errors
    /// When it cannot be started; what it says and its exit code are in the output.
    pub fn sendmail(&self, user: &str, arguments: &[&str], input: &[u8]) -> anyhow::Result<Output> {
        let path = self.folder.path.join("input");
        fs::write(&path, input)?;
        self.namespace
            .command("setpriv")
            .args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "/usr/sbin/sendmail"])
            .args(arguments)
            .current_dir("/var")
            .stdin(Stdio::from(fs::File::open(&path)?))
            .output()
            .context("running sendmail")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
