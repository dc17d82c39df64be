//! One network namespace: a loopback with whole test networks on it. Every process and thread of a lab is in one.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Networks any address of which can be bound and connected to: those for documentation (RFC 5737, RFC 3849).
const NETWORKS: [&str; 4] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"];
/// How long processes may take to end before they are killed.
const END_WAIT: Duration = Duration::from_secs(3);
/// Each namespace is called this, the process id, and a number.
const PREFIX: &str = "tidegate";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A network namespace of its own name. Dropping it ends every process in it and takes it away.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// The folder that stands over the system's own, if one does.
    over: Option<PathBuf>,
}

impl Namespace {
    /// Makes one and moves the calling thread into it; threads and processes that it starts are in it as well.
    ///
    /// # Errors
    /// When `ip` fails: not root, or no namespaces in this kernel.
    pub fn enter_new() -> anyhow::Result<Namespace> {
        remove_leftovers();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace { name: format!("{PREFIX}-{}-{number}", std::process::id()), over: None };
        run("ip", &["netns", "add", &namespace.name])?;
        run("ip", &["-n", &namespace.name, "link", "set", "lo", "up"])?;
        for network in NETWORKS {
            run("ip", &["-n", &namespace.name, "route", "add", "local", network, "dev", "lo"])?;
        }
        fs::create_dir_all(namespace.etc()).context("making a folder in /etc/netns")?;
        fs::write(format!("{}/resolv.conf", namespace.etc()), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")?;
        namespace.enter()?;
        // IPv4 binds any address of a local route, IPv6 only with this.
        fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").context("allowing any IPv6 source address")?;
        Ok(namespace)
    }

    /// Moves the calling thread into this namespace.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn enter(&self) -> anyhow::Result<()> {
        let file = File::open(format!("/run/netns/{}", self.name)).context("opening the namespace")?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).context("entering the namespace")
    }

    /// Its name, as `ip netns` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder whose entries stand over those of `/etc` for every process started by [`Namespace::command`].
    #[must_use]
    pub fn etc(&self) -> String {
        format!("/etc/netns/{}", self.name)
    }

    /// Has the folders in `folder` stand over the system's own for every process started from now on.
    pub(crate) fn put_over(&mut self, folder: PathBuf) {
        self.over = Some(folder);
    }

    /// A command that will run in the namespace.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        if let Some(over) = &self.over {
            // `ip netns exec` gives each process mounts of its own.
            let mounts = "for d in etc usr/local home var/lib/exim4; do \
                          if [ -d \"$0/$d\" ]; then mount --rbind \"$0/$d\" \"/$d\" || exit 1; fi; done; exec \"$@\"";
            command.args(["sh", "-c", mounts]).arg(over);
        }
        command.arg(program);
        command
    }

    /// The other processes whose first thread is in the namespace.
    fn processes(&self) -> Vec<Pid> {
        let inode = |path: String| fs::metadata(path).ok().map(|m| m.ino());
        let Some(own) = inode(format!("/run/netns/{}", self.name)) else {
            return Vec::new();
        };
        let names =
            fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
        let this = i32::try_from(std::process::id()).unwrap_or(0);
        let pids = names.filter_map(|name| name.parse::<i32>().ok()).filter(|pid| *pid != this);
        pids.filter(|pid| inode(format!("/proc/{pid}/ns/net")) == Some(own)).filter_map(Pid::from_raw).collect()
    }

    fn end_processes(&self) {
        for signal in [Signal::TERM, Signal::KILL] {
            for pid in self.processes() {
                let _ = kill_process(pid, signal);
            }
            let begun = Instant::now();
            while !self.processes().is_empty() && begun.elapsed() < END_WAIT {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.end_processes();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
        let _ = fs::remove_dir_all(self.etc());
    }
}

/// Takes away namespaces and folders of labs whose processes were killed before they could.
pub fn remove_leftovers() {
    let folders = [PathBuf::from("/etc/netns"), std::env::temp_dir()];
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let mut words = name.split('-');
        let owner = match (words.next(), words.next(), words.next(), words.next()) {
            (Some(PREFIX), Some(pid), Some(_number), None) => pid.parse::<u32>().ok(),
            _ => None,
        };
        if owner.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            let folder = std::env::temp_dir().join(&name);
            drop(Namespace { name, over: None });
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("running {program}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), error.trim());
    Ok(())
}
