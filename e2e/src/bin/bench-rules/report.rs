//! What was measured, as a table and as JSON.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::{Value, json};

use crate::client;
use crate::process::Running;
use crate::systems::{Start, System};

/// One turn of one system over the messages.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    connections: usize,
    pub(crate) cpu_ms: f64,
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    rss_mb: f64,
    pss_mb: f64,
}

/// A system and all its turns.
#[derive(Debug)]
pub(crate) struct Row {
    name: String,
    what: String,
    start: Start,
    pub(crate) rounds: Vec<Round>,
}

impl Row {
    pub(crate) fn new(system: &System, start: Start) -> Row {
        Row { name: system.name.clone(), what: system.what.clone(), start, rounds: Vec::new() }
    }

    fn median(&self, connections: usize, figure: fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> =
            self.rounds.iter().filter(|round| round.connections == connections).map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn connections(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.rounds.iter().map(|round| round.connections).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Round {
    /// Lets `system` judge `messages` so many times over, from so many connections at once.
    pub(crate) fn measure(
        system: &System,
        run: &Running,
        messages: &[Vec<u8>],
        connections: usize,
        passes: usize,
    ) -> anyhow::Result<Round> {
        let (next, total) = (AtomicUsize::new(0), messages.len() * passes);
        let (times, faults) = (Mutex::new(Vec::with_capacity(total)), Mutex::new(Vec::new()));
        let before = run.cpu_seconds();
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(message) = messages.get(number % messages.len()).filter(|_| number < total) else {
                            return;
                        };
                        let begun = Instant::now();
                        match client::ask(system.protocol, &system.address, message) {
                            Ok(()) => times.lock().expect("no thread panics").push(begun.elapsed()),
                            Err(fault) => faults.lock().expect("no thread panics").push(fault),
                        }
                    }
                });
            }
        });
        let took = begun.elapsed();
        // What a process does after its answer belongs to the message too.
        thread::sleep(Duration::from_millis(300));
        let cpu = run.cpu_seconds() - before;
        let faults = faults.into_inner()?;
        if let Some(fault) = faults.first() {
            bail!("{}: {} of {total} messages failed: {fault:#}", system.name, faults.len());
        }
        let mut times: Vec<f64> = times.into_inner()?.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let at =
            |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).copied().unwrap_or(f64::NAN);
        let (rss_mb, pss_mb) = run.memory_mb();
        let cpu_ms = cpu * 1000.0 / total as f64;
        let per_s = total as f64 / took.as_secs_f64();
        Ok(Round { connections, cpu_ms, per_s, p50_ms: at(50), p99_ms: at(99), max_ms: at(100), rss_mb, pss_mb })
    }

    pub(crate) fn show(&self) -> String {
        format!(
            "{} connections: {:.3} ms CPU a message, {:.1} messages/s, p50 {:.2} ms, p99 {:.2} ms",
            self.connections, self.cpu_ms, self.per_s, self.p50_ms, self.p99_ms
        )
    }
}

/// Prints the medians of all turns.
pub(crate) fn show(rows: &[Row]) {
    println!("\n| system | connections | CPU ms a message | messages/s | p50 ms | p99 ms | max ms | RSS MB | PSS MB |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        for connections in row.connections() {
            let figures = [
                format!("{:.3}", row.median(connections, |round| round.cpu_ms)),
                format!("{:.1}", row.median(connections, |round| round.per_s)),
                format!("{:.2}", row.median(connections, |round| round.p50_ms)),
                format!("{:.2}", row.median(connections, |round| round.p99_ms)),
                format!("{:.1}", row.median(connections, |round| round.max_ms)),
                format!("{:.0}", row.median(connections, |round| round.rss_mb)),
                format!("{:.0}", row.median(connections, |round| round.pss_mb)),
            ];
            println!("| {} | {connections} | {} |", row.name, figures.join(" | "));
        }
    }
    println!("\n| system | what it is | cold start s (CPU s) | warm start s (CPU s) |");
    println!("| --- | --- | --- | --- |");
    for row in rows {
        let Start { cold, warm } = &row.start;
        println!(
            "| {} | {} | {:.2} ({:.2}) | {:.2} ({:.2}) |",
            row.name, row.what, cold.answers_s, cold.cpu_s, warm.answers_s, warm.cpu_s
        );
    }
    let cpu = |row: &Row| row.median(1, |round| round.cpu_ms);
    for own in rows.iter().filter(|row| row.name.starts_with("tidegate")) {
        for peer in rows.iter().filter(|row| !row.name.starts_with("tidegate")) {
            println!(
                "{}: {:.1} times less CPU a message than {}, {:.3} of it",
                own.name,
                cpu(peer) / cpu(own),
                peer.name,
                cpu(own) / cpu(peer)
            );
        }
    }
}

/// The same as JSON.
pub(crate) fn json(rows: &[Row], profile: &str, messages: usize, octets: usize) -> String {
    let systems: Vec<Value> = rows.iter().map(system_json).collect();
    let runs: Vec<Value> =
        rows.iter().flat_map(|row| row.rounds.iter().map(|round| round_json(&row.name, round))).collect();
    let report = json!({
        "machine": tidegate_e2e::machine(),
        "profile": profile,
        "messages": messages,
        "octets": octets,
        "systems": systems,
        "runs": runs,
    });
    format!("{report:#}\n")
}

fn system_json(row: &Row) -> Value {
    json!({
        "name": row.name,
        "what": row.what,
        "cpu_ms": row.median(1, |round| round.cpu_ms),
        "per_s": row.median(1, |round| round.per_s),
        "p50_ms": row.median(1, |round| round.p50_ms),
        "p99_ms": row.median(1, |round| round.p99_ms),
        "rss_mb": row.median(1, |round| round.rss_mb),
        "pss_mb": row.median(1, |round| round.pss_mb),
        "cold_start_s": row.start.cold.answers_s,
        "cold_start_cpu_s": row.start.cold.cpu_s,
        "warm_start_s": row.start.warm.answers_s,
        "warm_start_cpu_s": row.start.warm.cpu_s,
    })
}

fn round_json(name: &str, round: &Round) -> Value {
    json!({
        "name": name,
        "connections": round.connections,
        "cpu_ms": round.cpu_ms,
        "per_s": round.per_s,
        "p50_ms": round.p50_ms,
        "p99_ms": round.p99_ms,
        "max_ms": round.max_ms,
        "rss_mb": round.rss_mb,
        "pss_mb": round.pss_mb,
    })
}
