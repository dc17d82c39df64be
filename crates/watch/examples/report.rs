//! The report over a log from standard input, as JSON, with time and peak memory on standard error.
//!
//! `cargo run --release -p tidegate-watch --example report < mainlog`

#![allow(clippy::disallowed_methods, reason = "a measurement needs a clock and the process's own figures")]

use std::io::BufRead;
use std::time::Instant;

use tidegate_watch::report::{Collector, Settings};
use tidegate_watch::{Place, Reader, Timestamp};

fn main() -> std::io::Result<()> {
    let start = Instant::now();
    let mut input = std::io::BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let mut reader = Reader::new().with_latest(Timestamp::from_civil(2026, 12, 31, 0, 0, 0));
    let mut collector = Collector::new(Settings::default());
    let (mut line, mut octets, mut buffer) = (0, 0, Vec::new());
    loop {
        buffer.clear();
        let read = input.read_until(b'\n', &mut buffer)?;
        if read == 0 {
            break;
        }
        (line, octets) = (line + 1, octets + read);
        let text = Reader::text(&buffer);
        collector.feed(&reader.read(&text), Place { file: 0, line });
    }
    let read_in = start.elapsed().as_secs_f64();
    let report = collector.report();
    let all = start.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&report)?);
    let cpu = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let cpu = cpu.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    eprintln!(
        "{} MiB, {line} lines in {read_in:.2} s, report after {all:.2} s, {cpu:.2} s of CPU, {peak}",
        octets >> 20
    );
    for suspect in &report.suspects {
        let signals: Vec<&str> = suspect.signals.iter().map(|signal| signal.name).collect();
        eprintln!("suspect: {} {} score {} {}", suspect.kind, suspect.name, suspect.score, signals.join(" "));
    }
    Ok(())
}
