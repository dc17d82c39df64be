//! The real daemon beside the lab's Exim: an ordinary user that is in Exim's group.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tidegate_wire::exim::{Ask, Stage};

use crate::lab::{Lab, Plan, why_not};
use crate::namespace::run;

/// The user that the daemon runs as: a number that no Debian system gives away.
const UID: u32 = 64_901;
/// The group that may read Exim's spool.
const GROUP: &str = "Debian-exim";
/// How long the daemon may take until it answers.
const START_WAIT: Duration = Duration::from_secs(20);

/// A running `tidegate serve`. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    program: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts the daemon in `lab`. `config` is TOML; `@LAB@` stands for the lab's folder. Where the lab is, the sections
    /// server, state, exim, dns and panel are already there.
    ///
    /// # Errors
    /// When the program is not built (`cargo build -p tidegate`), or does not answer in time.
    pub fn start(lab: &Lab, config: &str) -> anyhow::Result<Daemon> {
        let mut daemon = Daemon::prepare(lab, config)?;
        daemon.spawn(lab)?;
        Ok(daemon)
    }

    /// A lab and a daemon in it, for the test of this name; `None` where no lab can be, and then a line says why.
    ///
    /// # Errors
    /// As [`Lab::start`] and [`Daemon::start`].
    pub fn with_lab(test: &str, plan: &Plan, config: &str) -> anyhow::Result<Option<(Lab, Daemon)>> {
        if let Some(reason) = why_not() {
            println!("skipped: {test}: {reason}");
            return Ok(None);
        }
        let lab = Lab::start(plan)?;
        let daemon = Daemon::start(&lab, config)?;
        Ok(Some((lab, daemon)))
    }

    /// All that [`Daemon::start`] does but the start: for what the command line does alone.
    ///
    /// # Errors
    /// When the program is not built, or a file cannot be written.
    pub fn prepare(lab: &Lab, config: &str) -> anyhow::Result<Daemon> {
        let folder = lab.folder();
        for made in ["run", "state"] {
            fs::create_dir_all(folder.join(made))?;
            chown(folder.join(made), Some(UID), None)?;
        }
        let path = folder.join("tidegate.toml");
        // Not the logs of the machine that the lab is on.
        let logs = if config.contains("[logs]") { "" } else { "[logs]\nfiles = [\"@LAB@/log/mainlog\"]\n" };
        let text = format!("{}\n{logs}\n{config}\n", include_str!("tidegate.toml"));
        fs::write(&path, text.replace("@LAB@", &folder.to_string_lossy()))?;
        Ok(Daemon {
            program: program(folder)?,
            config: path,
            socket: lab.socket(),
            log: folder.join("tidegate.log"),
            child: None,
        })
    }

    /// Kills the daemon as no daemon can hinder (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, with the same configuration and state.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn spawn(&mut self, lab: &Lab) -> anyhow::Result<()> {
        self.spawn_only(as_service(lab, &self.program)?, Stdio::null())?;
        self.wait_until_up()
    }

    /// Starts it as systemd does by its socket: `listener` is handed over, and a word is sent to `notify` when it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_activated(&mut self, lab: &Lab, listener: &UnixListener, notify: &Path) -> anyhow::Result<()> {
        let handed_over = OwnedFd::from(listener.try_clone()?);
        // The variable names the process that is meant, which is known to itself only.
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec 3<&0 0</dev/null; exec \"$0\" \"$@\"";
        let mut command = as_service(lab, Path::new("sh"))?;
        command.args(["-c", script]).arg(&self.program).env("NOTIFY_SOCKET", notify);
        self.spawn_only(command, Stdio::from(handed_over))
    }

    fn spawn_only(&mut self, mut command: Command, stdin: Stdio) -> anyhow::Result<()> {
        let log = fs::File::options().create(true).append(true).open(&self.log)?;
        let child = command
            .arg("--config")
            .arg(&self.config)
            .arg("serve")
            .stdin(stdin)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting tidegate")?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it does not within twenty seconds.
    pub fn wait_until_up(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            ensure!(ended.is_none() && begun.elapsed() < START_WAIT, "tidegate did not come up:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whether an ask about nothing is answered. A socket alone says little: it may be there before the daemon is.
    fn answers(&self) -> bool {
        let Ok(mut stream) = UnixStream::connect(&self.socket) else { return false };
        let mut answer = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let asked = stream.write_all(&Ask::new(Stage::End).encode()).is_ok();
        asked && stream.read_to_end(&mut answer).is_ok() && answer.starts_with(b"a=")
    }

    /// Runs `tidegate` with `arguments` and the same configuration, as the same user.
    ///
    /// # Errors
    /// When it cannot be started; what it says and its exit code are in the output.
    pub fn command(&self, lab: &Lab, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = as_daemon(lab, &self.program);
        command.arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null());
        command.output().context("running tidegate")
    }

    /// Runs `tidegate` with `arguments` and the same configuration, as root: for what only the administrator may do.
    ///
    /// # Errors
    /// As [`Daemon::command`].
    pub fn command_as_root(&self, lab: &Lab, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = lab.namespace().command(&self.program.to_string_lossy());
        command.arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null());
        command.output().context("running tidegate")
    }

    /// How to call the program with this daemon's configuration.
    #[must_use]
    pub fn invocation(&self) -> String {
        format!("{} --config {}", self.program.display(), self.config.display())
    }

    /// Memory that it holds now, in KB (VmRSS of proc(5)).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_kb(&self) -> anyhow::Result<u64> {
        let pid = self.child.as_ref().context("the daemon is not running")?.id();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().context("VmRSS is a number")
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// Rewrites the configuration by `change`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn edit(&self, change: impl Fn(String) -> String) -> anyhow::Result<()> {
        Ok(fs::write(&self.config, change(fs::read_to_string(&self.config)?))?)
    }

    /// Rewrites the configuration by `change`, and makes the daemon read it again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn reconfigure(&self, change: impl Fn(String) -> String) -> anyhow::Result<()> {
        self.edit(change)?;
        let pid = self.child.as_ref().context("the daemon is not running")?.id();
        run("kill", &["-HUP", &pid.to_string()])
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn as_daemon(lab: &Lab, program: &Path) -> Command {
    let mut command = lab.namespace().command("setpriv");
    command.args([&format!("--reuid={UID}"), &format!("--regid={GROUP}"), "--clear-groups"]).arg(program);
    command
}

/// As [`as_daemon`], with the capabilities that the packaged unit gives, and no others to be had.
fn as_service(lab: &Lab, program: &Path) -> anyhow::Result<Command> {
    let unit = include_str!("../../packaging/systemd/tidegate.service");
    let told = |key: &str| -> anyhow::Result<String> {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let given = line.with_context(|| format!("tidegate.service has no {key}"))?.to_lowercase();
        let names = given.split_whitespace().map(|name| format!(",+{}", name.trim_start_matches("cap_")));
        Ok(format!("-all{}", names.collect::<String>()))
    };
    let (bounding, ambient) = (told("CapabilityBoundingSet")?, told("AmbientCapabilities")?);
    let mut command = lab.namespace().command("setpriv");
    command.args([&format!("--reuid={UID}"), &format!("--regid={GROUP}"), "--clear-groups", "--no-new-privs"]);
    command.args([
        &format!("--inh-caps={ambient}"),
        &format!("--ambient-caps={ambient}"),
        &format!("--bounding-set={bounding}"),
    ]);
    command.arg(program);
    Ok(command)
}

/// `tidegate`, as cargo put it beside our own program, at a place in the lab: its user may not be able to walk down to a
/// target folder below a home folder.
fn program(folder: &Path) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let near = own.ancestors().skip(1).take(2).map(|folder| folder.join("tidegate")).find(|path| path.is_file());
    let near = near.context("the program tidegate is not built; run `cargo build --package tidegate`")?;
    let placed = folder.join("tidegate");
    if !placed.exists() && fs::hard_link(&near, &placed).is_err() {
        fs::copy(&near, &placed).context("copying the program tidegate")?;
    }
    Ok(placed)
}
