//! `cargo xtask bench envelope`: how long the daemon takes for the asks of one envelope, all checks on: DNS answers warm, at 1, 16
//! and 128 connections; the same while Exim brings one message of 50 MB after the other; and with DNS answers cold. With `large` behind
//! the path of the load, only 16 connections, alone, while another Exim receives such messages that nobody judges, and while ours does.
//! The load is `crates/server/examples/envelope_load.rs`, since it needs nothing of Exim.

#![allow(clippy::disallowed_methods, reason = "a bench starts programs")]

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use tidegate_e2e::{Daemon, Lab, Layout, Plan, why_not};

const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.0/24 -all
mail.good.test A 203.0.113.10
*.113.0.203.in-addr.arpa PTR mail.good.test
2.0.0.127.bl.test A 127.0.0.2
*.198.in-addr.arpa PTR mail.good.test
*.cold.test MX 10 mail.good.test
*.cold.test TXT v=spf1 ip4:198.0.0.0/8 -all
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
/// How often the part with large messages is measured.
const TURNS: usize = 3;
/// Octets of a large message.
const LARGE: usize = 50 << 20;

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no bench here: {reason}");
    }
    let load = std::env::args().nth(1).context("the path of envelope_load")?;
    // The part that is looked at most often, alone: with and without large messages, in turns.
    let is_about_large = std::env::args().nth(2).is_some_and(|part| part == "large");
    let bare = Lab::start(&Plan { dns: DNS.to_owned(), layout: Layout::Bare, ..Plan::default() })?;
    let lab = Lab::start(&Plan { dns: DNS.to_owned(), ..Plan::default() })?;
    let mut daemon = Daemon::start(&lab, CONFIG)?;
    daemon.kill();
    let store = lab.folder().join("state/store.redb");
    let filled = Command::new(&load).arg("fill").arg(&store).arg(GREYLISTED).status()?;
    ensure!(filled.success(), "filling the store ended with {filled}");
    let begun = Instant::now();
    daemon.spawn(&lab)?;
    println!("{GREYLISTED} greylisted senders; started in {:.2?}", begun.elapsed());
    if is_about_large {
        for _ in 0..TURNS {
            measure(&load, &lab, &["16", SECONDS])?;
            for (receiver, what) in [(&bare, "received"), (&lab, "received and judged")] {
                let judged = while_large_messages_come(receiver, || measure(&load, &lab, &["16", SECONDS]))?;
                println!("  {judged} messages of {} MB were {what} meanwhile", LARGE >> 20);
            }
        }
        return Ok(());
    }
    for connections in ["1", "16", "128"] {
        measure(&load, &lab, &[connections, SECONDS])?;
    }
    println!("while messages of {} MB are judged:", LARGE >> 20);
    let judged = while_large_messages_come(&lab, || {
        measure(&load, &lab, &["1", SECONDS])?;
        measure(&load, &lab, &["16", SECONDS])
    })?;
    println!("  {judged} of them were accepted meanwhile");
    for connections in ["1", "16"] {
        measure(&load, &lab, &[connections, SECONDS, "cold"])?;
    }
    println!("resident {} MB", daemon.resident_kb()? / 1024);
    Ok(())
}

fn measure(load: &str, lab: &Lab, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(load).arg(lab.socket()).args(arguments).status()?;
    ensure!(status.success(), "the load ended with {status}");
    Ok(())
}

/// Has a client send large messages through Exim while `work` runs; gives how many were accepted.
fn while_large_messages_come(lab: &Lab, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<u32> {
    let is_over = AtomicBool::new(false);
    let message = large_message();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> anyhow::Result<u32> {
            lab.namespace().enter()?;
            let mut accepted = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (mut client, _) = lab.client("203.0.113.10")?;
                client.envelope("mail.good.test", "large@good.test", &["b@exim.test"])?;
                let reply = client.data(&message)?;
                ensure!(reply.code == 250, "a large message was answered by {}", reply.text);
                accepted += 1;
            }
            Ok(accepted)
        });
        let worked = work();
        is_over.store(true, Ordering::Relaxed);
        let accepted = sender.join().map_err(|_| anyhow::anyhow!("the sender of large messages broke"))??;
        worked.map(|()| accepted)
    })
}

/// Ordinary text of many lines with an attachment, so that all of it is read.
fn large_message() -> Vec<u8> {
    let head = "From: a@good.test\nTo: b@exim.test\nSubject: large\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <large@good.test>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n";
    let mut message = head.as_bytes().to_vec();
    let lines = |message: &mut Vec<u8>, line: &[u8], octets: usize| {
        let end = message.len() + octets;
        while message.len() < end {
            message.extend_from_slice(line);
        }
    };
    lines(
        &mut message,
        b"Dear friends, the minutes of our meeting are below; see http://good.test/minutes for more.\n",
        LARGE / 10,
    );
    message.extend_from_slice(b"\n--b\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\n");
    let line = [&b"UEsDBBQAAAAIAGx0dVcAAAAAAAAAAAAAAAAIAAAAZmlsZS50eHTLSM3JyVcozy/K"[..], b"\n"].concat();
    lines(&mut message, &line, LARGE - LARGE / 10);
    message.extend_from_slice(b"\n--b--\n");
    message
}
