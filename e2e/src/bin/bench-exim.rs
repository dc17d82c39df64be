//! `cargo xtask bench exim`: how much longer a client of a real Exim waits because of Tidegate, command by command. The same
//! transactions go in turns to an Exim with Tidegate and to one without; mail is queued and not delivered meanwhile.

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
/// The first ones fill caches and are not counted.
const WARM_UP: usize = 20;
const STAGES: [&str; 6] = ["connect", "helo", "mail", "rcpt", "data", "end of data"];

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no bench here: {reason}");
    }
    let count = std::env::args().nth(1).map_or(Ok(TRANSACTIONS), |count| count.parse()).context("a number")?;
    let settings = "queue_only = true\nsmtp_accept_queue = 0\n".to_owned();
    let plan = |layout| Plan { dns: DNS.to_owned(), exim: settings.clone(), layout };
    let bare = Lab::start(&plan(Layout::Bare))?;
    let with = Lab::start(&plan(Layout::Panel))?;
    let _daemon = Daemon::start(&with, CONFIG)?;
    let mut times = [vec![Vec::new(); STAGES.len()], vec![Vec::new(); STAGES.len()]];
    for (lab, times) in [&bare, &with].into_iter().zip(&mut times) {
        lab.namespace().enter()?;
        for number in 0..WARM_UP {
            transaction(lab, number, times)?;
        }
        times.iter_mut().for_each(Vec::clear);
    }
    for turn in 0..count.div_ceil(TURN) {
        for (lab, times) in [&bare, &with].into_iter().zip(&mut times) {
            lab.namespace().enter()?;
            for number in 0..TURN {
                transaction(lab, turn * TURN + number, times)?;
            }
        }
    }
    report(&mut times);
    Ok(())
}

/// One message; notes how long each reply took.
fn transaction(lab: &Lab, number: usize, times: &mut [Vec<Duration>]) -> anyhow::Result<()> {
    let message = format!(
        "From: a@good.test\nTo: b@exim.test\nSubject: number {number}\nDate: Wed, 25 Nov 2026 12:00:00 +0000\n\
         Message-ID: <{number}@good.test>\n\n{}",
        "Some ordinary words in a line of an ordinary length.\n".repeat(30)
    );
    let mut begun = Instant::now();
    let (mut client, greeting) = lab.client("203.0.113.10")?;
    let mut note = |stage: usize, reply: &Reply| -> anyhow::Result<()> {
        if reply.code >= 400 {
            bail!("{}: {}", STAGES.get(stage).unwrap_or(&""), reply.text);
        }
        times.get_mut(stage).context("a stage")?.push(begun.elapsed());
        begun = Instant::now();
        Ok(())
    };
    note(0, &greeting)?;
    let commands = ["EHLO mail.good.test", "MAIL FROM:<a@good.test>", "RCPT TO:<b@exim.test>", "DATA"];
    for (stage, command) in commands.into_iter().enumerate() {
        note(stage + 1, &client.say(command)?)?;
    }
    note(5, &client.say_bytes(&tidegate_e2e::smtp::framed(message.as_bytes()))?)?;
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

/// Median and 99th percentile in milliseconds.
fn percentiles(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    let at = |hundredth: usize| times.get(times.len().saturating_sub(1) * hundredth / 100);
    [50, 99].map(|hundredth| at(hundredth).map_or(0.0, |time| time.as_secs_f64() * 1000.0))
}
