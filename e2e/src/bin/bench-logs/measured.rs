//! A program that runs to its end: its output, its time on the processor and its most memory.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Memory is looked at so often. What is read is a maximum, so only what the last moment adds is missed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: f64 = 100.0;

/// What a program took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) cpu_s: f64,
    pub(crate) peak_mb: f64,
}

impl Measured {
    /// Runs `command`. Exit code 1 is a finding, and no failure.
    pub(crate) fn run(command: &mut Command) -> anyhow::Result<(Measured, Vec<u8>)> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = child.stdout.take().context("the output of a program")?;
        let reader = thread::spawn(move || {
            let mut output = Vec::new();
            stdout.read_to_end(&mut output).map(|_| output)
        });
        let pid = Pid::from_raw(i32::try_from(child.id())?).context("a process id")?;
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let mut peak_mb: f64 = 0.0;
        while waitid(WaitId::Pid(pid), ended)?.is_none() {
            peak_mb = peak_mb.max(peak_of(child.id()).unwrap_or(0.0));
            thread::sleep(LOOK_EVERY);
        }
        // Its times can still be read as long as nobody has taken its end.
        let cpu_s = cpu_of(child.id()).context("the time of a program")?;
        let status = child.wait()?;
        ensure!(matches!(status.code(), Some(0 | 1)), "{:?}: {status}", command.get_program());
        let output = reader.join().map_err(|_panic| anyhow::anyhow!("reading the output failed"))??;
        Ok((Measured { cpu_s, peak_mb }, output))
    }
}

/// Most resident memory so far, in MB.
fn peak_of(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// User and system seconds of all its threads.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = fields.get(11..13)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    Some(ticks / TICKS_PER_SECOND)
}
