//! A server that is measured: its processes, their CPU time and memory, as `/proc` tells.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it answers, and until its processes rest.
const START_WAIT: Duration = Duration::from_secs(120);
/// A server rests when it took no CPU time for so long.
const REST: Duration = Duration::from_secs(2);
const END_WAIT: Duration = Duration::from_secs(20);
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `command`, which stays in the foreground, and waits until the server `answers`.
    pub(crate) fn start(
        mut command: Command,
        log: &Path,
        mut answers: impl FnMut() -> bool,
    ) -> anyhow::Result<(Running, Duration)> {
        let shown = format!("{:?}", command.get_program());
        let output = fs::File::create(log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {shown}"))?;
        let mut running = Running { child };
        while !answers() {
            if begun.elapsed() > START_WAIT || running.child.try_wait()?.is_some() {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("{shown} does not answer: {}", said.lines().last().unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok((running, begun.elapsed()))
    }

    /// User and system seconds of all its processes, ended ones included.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        tree(self.child.id()).into_iter().filter_map(ticks).sum::<f64>() / TICKS_PER_SECOND
    }

    /// Resident megabytes: the sum of its processes, and the same with shared pages counted in parts.
    pub(crate) fn memory_mb(&self) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for pid in tree(self.child.id()) {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let kilobytes = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default()
            };
            sum = (sum.0 + kilobytes("Rss:") / 1024.0, sum.1 + kilobytes("Pss:") / 1024.0);
        }
        sum
    }

    /// Waits until what goes on after the start is done: rspamd compiles its patterns then.
    pub(crate) fn rest(&self) {
        let begun = Instant::now();
        let mut last = (self.cpu_seconds(), Instant::now());
        while begun.elapsed() < START_WAIT && last.1.elapsed() < REST {
            thread::sleep(Duration::from_millis(100));
            let now = self.cpu_seconds();
            if now > last.0 + 1.5 / TICKS_PER_SECOND {
                last = (now, Instant::now());
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < END_WAIT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process and all that descend from it.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let names =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for pid in names.filter_map(|name| name.parse::<u32>().ok()) {
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut all, mut open) = (Vec::new(), vec![root]);
    while let Some(pid) = open.pop() {
        all.push(pid);
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    all
}

/// The fields of `/proc/PID/stat` after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.get(text.rfind(')')? + 1..)?.split_whitespace().map(str::to_owned).collect())
}

/// utime, stime, cutime and cstime.
fn ticks(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    let times = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok());
    Some(times.sum())
}
