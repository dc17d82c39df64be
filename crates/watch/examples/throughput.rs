//! How fast lines are read: makes a log in memory and reads it, with parsing alone.
//!
//! `cargo run --release -p tidegate-watch --example throughput -- [MEGABYTES]`

#![allow(clippy::disallowed_methods, reason = "a measurement needs a clock")]

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::time::Instant;

use generator::Plan;
use tidegate_watch::{Kind, Reader};

/// A log of this size is made and read as often as it takes.
const SAMPLE_OCTETS: usize = 64 << 20;

fn main() {
    let megabytes: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1024);
    let log = sample();
    let (mut lines, mut octets, mut unknown, mut arrivals) = (0_u64, 0_usize, 0_u64, 0_u64);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    while octets < megabytes << 20 {
        let mut reader = Reader::new();
        let mut rest = log.as_slice();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.split_first().map_or(&[], |(_, after)| after);
            let text = Reader::text(line);
            let event = reader.read_before(&text, rest);
            unknown += u64::from(event.kind == Kind::Unknown);
            arrivals += u64::from(matches!(event.kind, Kind::Arrival(_)));
            lines += 1;
        }
        octets += log.len();
    }
    let wall = start.elapsed().as_secs_f64();
    // On a busy machine only the time on the processor says anything.
    let seconds = cpu_seconds() - cpu;
    let megabytes = octets as f64 / f64::from(1 << 20);
    println!(
        "{megabytes:.0} MiB, {lines} lines ({arrivals} arrivals, {unknown} unknown) in {seconds:.2} s of CPU ({wall:.2} s by the clock): {:.0} MiB/s, {:.0} ns a line; 1 GiB in {:.2} s",
        megabytes / seconds,
        seconds * 1e9 / lines as f64,
        1024.0 * seconds / megabytes
    );
}

/// Time on the processor so far (Linux: the first number of schedstat, in nanoseconds).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn sample() -> Vec<u8> {
    let mut log = Vec::with_capacity(SAMPLE_OCTETS + 4096);
    let plan = Plan { seed: 1, accounts: 500, days: 60, volume: 1.0, compromise: None, ..Plan::default() };
    generator::write(&plan, |line| {
        if log.len() < SAMPLE_OCTETS {
            log.extend_from_slice(line.as_bytes());
            log.push(b'\n');
        }
    });
    log
}
