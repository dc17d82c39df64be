//! `cargo xtask bench rules`: the CPU time that one message takes in SpamAssassin's `spamd -L`, in rspamd without its look-ups, and
//! here, the library alone and the daemon, over the same messages in one run, all in a network namespace of their own.
//!
//! Each system is started twice, without and with what it keeps from a former start, and then judges the messages in turns with the
//! others. CPU time is that of all its processes (`/proc/PID/stat`), in ticks of 10 ms: quick systems judge the messages several times.
//! What a peer is told to leave out stands beside its start below. A peer that is not installed is named, and nothing else.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench starts programs and talks to them")]

mod client;
mod process;
mod report;
mod systems;

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use tidegate_e2e::Namespace;
use tidegate_e2e::dns::{Dns, Zone};

use report::{Round, Row};
use systems::{Prepared, System};

/// Messages of the material that are judged, unless `--count` says otherwise.
const MESSAGES: usize = 300;
/// Turns, unless `--turns` says otherwise; the median counts.
const TURNS: usize = 3;
/// At how many connections.
const CONNECTIONS: [usize; 2] = [1, 4];
/// CPU seconds that a turn should take at least, so that a tick is below one hundredth.
const TURN_SECONDS_MIN: f64 = 1.5;
/// Most passes over the messages in one turn.
const PASSES_MAX: usize = 20;
/// Messages that each system judges before anything counts.
const WARM_UP: usize = 60;

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The program that serves the rules alone: `crates/rules/examples/judge.rs`.
    judge: PathBuf,
    /// The daemon.
    daemon: PathBuf,
    /// How both were built.
    profile: String,
    /// The shared material: messages and rules.
    material: PathBuf,
    /// A folder of messages instead of the material's.
    messages: Option<PathBuf>,
    count: usize,
    turns: usize,
    json: Option<PathBuf>,
    /// Names of systems to leave out all others; empty for all.
    only: Vec<String>,
    /// Further systems: name, address, command.
    with: Vec<(String, String, String)>,
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::read(std::env::args().skip(1))?;
    let namespace = Namespace::enter_new()?;
    // Some of rspamd's symbols ask DNS even so: no name exists here, and that is said at once.
    let _dns = Dns::serve(Zone::default())?;
    let prepared = Prepared::new(&plan, namespace.name())?;
    let messages = prepared.messages(&plan)?;
    let octets: usize = messages.iter().map(Vec::len).sum();
    println!(
        "{} messages, {} octets on average; Tidegate built with profile {}; {}",
        messages.len(),
        octets / messages.len(),
        plan.profile,
        tidegate_e2e::machine()
    );
    let mut rows = Vec::new();
    let mut running = Vec::new();
    for system in prepared.systems(&plan) {
        if !plan.only.is_empty() && !plan.only.contains(&system.name) {
            continue;
        }
        match system.start_twice() {
            Ok((run, start)) => {
                println!("{}", start.show(&system.name));
                rows.push(Row::new(&system, start));
                running.push((system, run));
            }
            Err(why) => println!("{}: not in this run: {why:#}", system.name),
        }
    }
    ensure!(!running.is_empty(), "no system is left to be measured");
    let mut passes = Vec::new();
    for (system, run) in &running {
        passes.push(passes_for(system, run, &messages)?);
    }
    for turn in 0..plan.turns {
        for connections in CONNECTIONS {
            for ((row, (system, run)), passes) in rows.iter_mut().zip(&running).zip(&passes) {
                let round = Round::measure(system, run, &messages, connections, *passes)?;
                println!("turn {} {:12} {}", turn + 1, system.name, round.show());
                row.rounds.push(round);
            }
        }
    }
    report::show(&rows);
    if let Some(path) = &plan.json {
        std::fs::write(path, report::json(&rows, &plan.profile, messages.len(), octets))
            .with_context(|| path.display().to_string())?;
    }
    drop(running);
    Ok(())
}

/// Warms the system up, and says how often it must judge all messages for its CPU time to be measured well.
fn passes_for(system: &System, run: &process::Running, messages: &[Vec<u8>]) -> anyhow::Result<usize> {
    let warm_up = messages.get(..WARM_UP.min(messages.len())).unwrap_or_default();
    let once = Round::measure(system, run, warm_up, 1, 1)?;
    let seconds = (once.cpu_ms * messages.len() as f64 / 1000.0).max(0.01);
    let passes = (1..PASSES_MAX).find(|passes| *passes as f64 * seconds >= TURN_SECONDS_MIN).unwrap_or(PASSES_MAX);
    if passes > 1 {
        // What is made on first need is there after this, in each of a server's processes and threads.
        for connections in CONNECTIONS {
            Round::measure(system, run, messages, connections, 2)?;
        }
    }
    Ok(passes)
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Plan> {
        let mut plan = Plan { count: MESSAGES, turns: TURNS, ..Plan::default() };
        plan.judge = arguments.next().context("the path of the judge")?.into();
        plan.daemon = arguments.next().context("the path of the daemon")?.into();
        plan.profile = arguments.next().context("the profile they were built with")?;
        plan.material = arguments.next().context("the folder of the material")?.into();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--messages" => plan.messages = Some(value()?.into()),
                "--count" => plan.count = value()?.parse().context("--count wants a number")?,
                "--turns" => plan.turns = value()?.parse().context("--turns wants a number")?,
                "--json" => plan.json = Some(value()?.into()),
                "--only" => plan.only = value()?.split(',').map(str::to_owned).collect(),
                "--with" => plan.with.push((value()?, value()?, value()?)),
                other => bail!(
                    "`{other}` is not known; there are --count N, --turns N, --messages FOLDER, --only NAME,…, --json FILE and \
                     --with NAME ADDRESS COMMAND (a server with spamd's protocol on HOST:PORT or a socket's path)"
                ),
            }
        }
        ensure!(plan.count > 0 && plan.turns > 0, "--count and --turns want at least 1");
        Ok(plan)
    }
}
