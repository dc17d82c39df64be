//! A real Exim in the lab: configuration, daemon, queue, mailboxes, log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::layout::Layout;
use crate::namespace::{Namespace, run};

/// The user and group that Debian's Exim runs as.
const EXIM_USER: &str = "Debian-exim";
/// A message that Exim delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Whom it was delivered for (`Envelope-to`).
    pub recipient: String,
    /// All of it, as it stands in the mailbox.
    pub message: Vec<u8>,
}

impl Delivered {
    /// The values of all fields of `name`, unfolded, in order.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.message);
        let head = text.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    }
}

/// A running Exim.
#[derive(Debug)]
pub struct Exim {
    folder: PathBuf,
    daemon: Option<Child>,
}

impl Exim {
    /// Writes the configuration into the namespace's `/etc` and starts the daemon. `settings` are lines for the main
    /// section that stand before Tidegate's own.
    ///
    /// # Errors
    /// When Exim does not like its configuration, or does not come up in time.
    pub fn start(namespace: &mut Namespace, folder: &Path, layout: Layout, settings: &str) -> anyhow::Result<Exim> {
        for made in ["spool", "log", "mail"] {
            fs::create_dir_all(folder.join(made))?;
            run("chown", &[&format!("{EXIM_USER}:{EXIM_USER}"), &folder.join(made).to_string_lossy()])?;
        }
        layout.write(namespace, folder, settings)?;
        let mut exim = Exim { folder: folder.to_owned(), daemon: None };
        exim.spawn(namespace)?;
        Ok(exim)
    }

    /// Ends the daemon and starts it again, so that it reads its configuration anew.
    ///
    /// # Errors
    /// As [`Exim::start`].
    pub fn restart(&mut self, namespace: &Namespace) -> anyhow::Result<()> {
        self.end();
        self.spawn(namespace)
    }

    fn spawn(&mut self, namespace: &Namespace) -> anyhow::Result<()> {
        let checked = namespace.command("exim4").arg("-bV").output()?;
        let said = [checked.stdout, checked.stderr].concat();
        ensure!(checked.status.success(), "exim4 -bV: {}", String::from_utf8_lossy(&said));
        let log = fs::File::create(self.folder.join("exim.err"))?;
        let daemon = namespace
            .command("exim4")
            .args(["-bdf", "-oP", &self.folder.join("exim.pid").to_string_lossy()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting exim4")?;
        self.daemon = Some(daemon);
        self.wait_until_up()
    }

    fn end(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
            let _ = fs::remove_file(self.folder.join("exim.pid"));
        }
    }

    fn wait_until_up(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !fs::exists(self.folder.join("exim.pid"))? {
            let said = fs::read_to_string(self.folder.join("exim.err")).unwrap_or_default();
            ensure!(begun.elapsed() < Duration::from_secs(30), "exim4 did not come up: {said}");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Runs Exim once with `arguments`, such as `-qff`, and gives what it said.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn once(&self, namespace: &Namespace, arguments: &[&str]) -> anyhow::Result<Output> {
        namespace.command("exim4").args(arguments).stdin(Stdio::null()).output().context("running exim4")
    }

    /// Tries to deliver everything in the queue now, and waits until it was tried.
    ///
    /// # Errors
    /// When Exim cannot be started.
    pub fn run_queue(&self, namespace: &Namespace) -> anyhow::Result<()> {
        self.once(namespace, &["-qf"]).map(drop)
    }

    /// The messages delivered so far.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn delivered(&self) -> anyhow::Result<Vec<Delivered>> {
        let folder = self.folder.join("mail/new");
        let mut delivered = Vec::new();
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let message = fs::read(entry?.path())?;
            let mut one = Delivered { recipient: String::new(), message };
            one.recipient = one.header("Envelope-to").into_iter().next().unwrap_or_default();
            delivered.push(one);
        }
        delivered.sort_by(|a, b| a.recipient.cmp(&b.recipient));
        Ok(delivered)
    }

    /// Forgets what was delivered so far.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn empty_mailbox(&self) -> anyhow::Result<()> {
        for entry in fs::read_dir(self.folder.join("mail/new")).into_iter().flatten() {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Waits until `count` messages are delivered, and a moment longer for one too many.
    ///
    /// # Errors
    /// When there are more, or fewer after a minute.
    pub fn wait_delivered(&self, count: usize) -> anyhow::Result<Vec<Delivered>> {
        let begun = Instant::now();
        loop {
            let delivered = self.delivered()?;
            if delivered.len() >= count {
                ensure!(delivered.len() == count, "{} messages were delivered, not {count}", delivered.len());
                return Ok(delivered);
            }
            let log = self.log();
            ensure!(begun.elapsed() < Duration::from_secs(60), "{} of {count} delivered:\n{log}", delivered.len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the main log holds `text`, and gives all of the log.
    ///
    /// # Errors
    /// When it does not within a minute.
    pub fn wait_log(&self, text: &str) -> anyhow::Result<String> {
        let begun = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return Ok(log);
            }
            ensure!(begun.elapsed() < Duration::from_secs(60), "`{text}` is not in the log:\n{log}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The main log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.folder.join("log/mainlog")).map(|l| String::from_utf8_lossy(&l).into_owned()).unwrap_or_default()
    }

    /// What Exim thinks that it must not go unseen; empty on a good day.
    #[must_use]
    pub fn panic_log(&self) -> String {
        fs::read_to_string(self.folder.join("log/paniclog")).unwrap_or_default()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        self.end();
    }
}
