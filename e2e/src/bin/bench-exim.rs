//! `cargo xtask bench exim`: how much longer a client of a real Exim waits because of Tidegate, command by command. The same
//! transactions go in turns to an Exim with Tidegate and to one without; mail is queued and not delivered meanwhile. A second round
//! tells how long the processes themselves ran, which is the same on a machine that is busy with other things.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and its arguments")]

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tidegate_e2e::smtp::Reply;
use tidegate_e2e::{Daemon, Lab, Layout, Plan, why_not};

const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.0/24 -all
mail.good.test A 203.0.113.10
*.113.0.203.in-addr.arpa PTR mail.good.test
2.0.0.127.bl.test A 127.0.0.2
";
/// All transactions come from one network, which is not to be slowed down here.
const CONFIG: &str = "
[blocklists.\"bl.test\"]
codes = { \"127.0.0.2\" = { refuse = true } }
[checks.rate]
connections_per_minute = 60000
connections_burst = 100000
sessions_max = 1000
";
/// Transactions of each kind, unless the first argument says otherwise.
const TRANSACTIONS: usize = 2000;
/// Transactions of one kind in a row.
const TURN: usize = 50;
/// One of so many transactions is made once more for the time on a processor.
const RAN_SHARE: usize = 4;
/// How long what follows a reply may take.
const SETTLE: Duration = Duration::from_millis(1);
/// The first ones fill caches and are not counted.
const WARM_UP: usize = 20;
const STAGES: [&str; 6] = ["connect", "helo", "mail", "rcpt", "data", "end of data"];

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no bench here: {reason}");
    }
    let count = std::env::args().nth(1).map_or(Ok(TRANSACTIONS), |count| count.parse()).context("a number")?;
    // The greeting names the process that answers.
    let settings = "queue_only = true\nsmtp_accept_queue = 0\nsmtp_banner = ready $pid\n".to_owned();
    let plan = |layout| Plan { dns: DNS.to_owned(), exim: settings.clone(), layout };
    let bare = Lab::start(&plan(Layout::Bare))?;
    let with = Lab::start(&plan(Layout::Panel))?;
    let daemon = Daemon::start(&with, CONFIG)?;
    let mut times = [vec![Vec::new(); STAGES.len()], vec![Vec::new(); STAGES.len()]];
    for (lab, times) in [&bare, &with].into_iter().zip(&mut times) {
        lab.namespace().enter()?;
        for number in 0..WARM_UP {
            transaction(lab, number, &mut Noted::waited(times))?;
        }
        times.iter_mut().for_each(Vec::clear);
    }
    for turn in 0..count.div_ceil(TURN) {
        for (lab, times) in [&bare, &with].into_iter().zip(&mut times) {
            lab.namespace().enter()?;
            for number in 0..TURN {
                transaction(lab, turn * TURN + number, &mut Noted::waited(times))?;
            }
        }
    }
    report(&mut times);
    times.iter_mut().flatten().for_each(Vec::clear);
    let mut of_daemon = vec![Vec::new(); STAGES.len()];
    let pid = daemon.pid().context("the daemon does not run")?;
    for turn in 0..count.div_ceil(TURN * RAN_SHARE) {
        for (lab, times) in [&bare, &with].into_iter().zip(&mut times) {
            lab.namespace().enter()?;
            for number in 0..TURN {
                let of_daemon = std::ptr::eq(lab, &with).then_some((pid, &mut of_daemon));
                transaction(lab, turn * TURN + number, &mut Noted::ran(times, of_daemon))?;
            }
        }
    }
    report_ran(&mut times, &mut of_daemon);
    Ok(())
}

/// Where the times of one transaction go.
struct Noted<'a> {
    times: &'a mut [Vec<Duration>],
    of: Of<'a>,
}

/// What is noted.
enum Of<'a> {
    /// How long the client waited, since then.
    Waited(Instant),
    /// How long Exim's process ran, and the daemon with this process id.
    Ran { exim: Option<u32>, before: Duration, daemon: Option<(u32, Duration, &'a mut [Vec<Duration>])> },
}

impl<'a> Noted<'a> {
    fn waited(times: &'a mut [Vec<Duration>]) -> Noted<'a> {
        Noted { times, of: Of::Waited(Instant::now()) }
    }

    fn ran(times: &'a mut [Vec<Duration>], daemon: Option<(u32, &'a mut Vec<Vec<Duration>>)>) -> Noted<'a> {
        let daemon = daemon.map(|(pid, of_daemon)| (pid, ran(pid), of_daemon.as_mut_slice()));
        Noted { times, of: Of::Ran { exim: None, before: Duration::ZERO, daemon } }
    }

    fn note(&mut self, stage: usize, reply: &Reply) -> anyhow::Result<()> {
        if reply.code >= 400 {
            bail!("{}: {}", STAGES.get(stage).unwrap_or(&""), reply.text);
        }
        let times = self.times.get_mut(stage).context("a stage")?;
        match &mut self.of {
            Of::Waited(begun) => {
                times.push(begun.elapsed());
                *begun = Instant::now();
            }
            Of::Ran { exim, before, daemon } => {
                // What is done after the reply belongs to its stage as well.
                std::thread::sleep(SETTLE);
                if exim.is_none() {
                    *exim = reply.text.rsplit(' ').next().and_then(|pid| pid.trim().parse().ok());
                }
                let now = ran(exim.context("the greeting names no process")?);
                times.push(now.saturating_sub(*before));
                *before = now;
                if let Some((pid, before, of_daemon)) = daemon {
                    let now = ran(*pid);
                    of_daemon.get_mut(stage).context("a stage")?.push(now.saturating_sub(*before));
                    *before = now;
                }
            }
        }
        Ok(())
    }
}

/// How long all threads of a process ran (the first figure of schedstat, in nanoseconds); nothing for one that is gone.
fn ran(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let figures = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    let nanoseconds = figures.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok());
    Duration::from_nanos(nanoseconds.sum())
}

/// One message; every reply is noted.
fn transaction(lab: &Lab, number: usize, noted: &mut Noted<'_>) -> anyhow::Result<()> {
    let message = format!(
        "From: a@good.test\nTo: b@exim.test\nSubject: number {number}\nDate: Wed, 25 Nov 2026 12:00:00 +0000\n\
         Message-ID: <{number}@good.test>\n\n{}",
        "Some ordinary words in a line of an ordinary length.\n".repeat(30)
    );
    let (mut client, greeting) = lab.client("203.0.113.10")?;
    noted.note(0, &greeting)?;
    let commands = ["EHLO mail.good.test", "MAIL FROM:<a@good.test>", "RCPT TO:<b@exim.test>", "DATA"];
    for (stage, command) in commands.into_iter().enumerate() {
        noted.note(stage + 1, &client.say(command)?)?;
    }
    noted.note(5, &client.say_bytes(&tidegate_e2e::smtp::framed(message.as_bytes()))?)?;
    client.hang_up();
    Ok(())
}

fn report(times: &mut [Vec<Vec<Duration>>; 2]) {
    let count = times.iter().flatten().map(Vec::len).min().unwrap_or(0);
    println!("{count} transactions each; milliseconds until the reply");
    println!(
        "{:12} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "bare p50", "with p50", "added p50", "bare p99", "with p99"
    );
    let [bare, with] = times;
    for ((stage, bare), with) in STAGES.iter().zip(bare).zip(with) {
        let [bare50, bare99] = percentiles(bare);
        let [with50, with99] = percentiles(with);
        let added = with50 - bare50;
        println!("{stage:12} {bare50:10.2} {with50:10.2} {added:10.2} {bare99:10.2} {with99:10.2}");
    }
}

/// Medians, since a process that is moved between processors now and then takes longer.
fn report_ran(times: &mut [Vec<Vec<Duration>>; 2], of_daemon: &mut [Vec<Duration>]) {
    println!("milliseconds on a processor until the next command, p50");
    println!("{:12} {:>10} {:>10} {:>10} {:>10}", "", "Exim bare", "Exim with", "added", "Tidegate");
    let [bare, with] = times;
    for (((stage, bare), with), daemon) in STAGES.iter().zip(bare).zip(with).zip(of_daemon) {
        let [[bare, _], [with, _], [daemon, _]] = [percentiles(bare), percentiles(with), percentiles(daemon)];
        println!("{stage:12} {bare:10.3} {with:10.3} {:10.3} {daemon:10.3}", with - bare);
    }
}

/// Median and 99th percentile in milliseconds.
fn percentiles(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    let at = |hundredth: usize| times.get(times.len().saturating_sub(1) * hundredth / 100);
    [50, 99].map(|hundredth| at(hundredth).map_or(0.0, |time| time.as_secs_f64() * 1000.0))
}
