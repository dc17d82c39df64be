//! `cargo xtask bench envelope`: how long the daemon takes for the asks of one envelope, all checks on, DNS answers warm, at 1, 16
//! and 128 connections. The load is `crates/server/examples/envelope_load.rs`, since it needs nothing of Exim.

#![allow(clippy::disallowed_methods, reason = "a bench starts programs")]

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.0/24 -all
mail.good.test A 203.0.113.10
*.113.0.203.in-addr.arpa PTR mail.good.test
2.0.0.127.bl.test A 127.0.0.2
";
/// The shipped lists are not in the lab's DNS; one of the lab's own stands for them. The load comes from one network.
const CONFIG: &str = "
[blocklists.\"bl.test\"]
codes = { \"127.0.0.2\" = { refuse = true } }
[checks.rate]
connections_per_minute = 60000
connections_burst = 10000000
sessions_max = 100000
";
const SECONDS: &str = "5";
/// Rows in the store beforehand.
const GREYLISTED: &str = "1000000";

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no bench here: {reason}");
    }
    let load = std::env::args().nth(1).context("the path of envelope_load")?;
    let lab = Lab::start(&Plan { dns: DNS.to_owned(), ..Plan::default() })?;
    let mut daemon = Daemon::start(&lab, CONFIG)?;
    daemon.kill();
    let store = lab.folder().join("state/store.redb");
    let filled = Command::new(&load).arg("fill").arg(&store).arg(GREYLISTED).status()?;
    ensure!(filled.success(), "filling the store ended with {filled}");
    let begun = Instant::now();
    daemon.spawn(&lab)?;
    println!("{GREYLISTED} greylisted senders; started in {:.2?}", begun.elapsed());
    for connections in ["1", "16", "128"] {
        let status = Command::new(&load).arg(lab.socket()).args([connections, SECONDS]).status()?;
        ensure!(status.success(), "the load ended with {status}");
    }
    println!("resident {} MB", daemon.resident_kb()? / 1024);
    Ok(())
}
