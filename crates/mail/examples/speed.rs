//! Times the reading of messages, step by step: `cargo run --release --example speed -p tidegate-mail -- CORPUS.tar.gz...`.
//! Prints microseconds of processor time a message, mean and 99th percentile, and the slowest messages.
#![allow(clippy::disallowed_methods, reason = "a measurement needs files")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate_mail::{Limits, Message};

const STEPS: [&str; 5] = ["parse", "received, addresses", "text", "urls", "attachments, defects"];
const SLOWEST: usize = 3;

type Messages = Vec<(String, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    for archive in std::env::args().skip(1) {
        let messages = unpack(&archive)?;
        let octets: usize = messages.iter().map(|(_, raw)| raw.len()).sum();
        let mut times: Vec<Vec<u128>> = vec![Vec::new(); STEPS.len()];
        let mut totals = Vec::new();
        for (path, raw) in messages {
            let steps = time(raw.into());
            totals.push((steps.iter().sum::<u128>(), path));
            for (all, step) in times.iter_mut().zip(steps) {
                all.push(step);
            }
        }
        println!("{archive}: {} messages, {octets} octets", totals.len());
        for (name, all) in STEPS.iter().zip(&mut times) {
            report(name, all);
        }
        totals.sort_unstable();
        report("sum", &mut totals.iter().map(|(time, _)| *time).collect::<Vec<_>>());
        for (time, path) in totals.iter().rev().take(SLOWEST) {
            println!("    {time:>8} {path}");
        }
    }
    Ok(())
}

fn unpack(archive: &str) -> Result<Messages, Box<dyn Error>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(archive)?));
    let mut messages = Vec::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut raw = Vec::new();
            entry.read_to_end(&mut raw)?;
            messages.push((entry.path()?.to_string_lossy().into_owned(), raw));
        }
    }
    Ok(messages)
}

fn time(raw: Arc<[u8]>) -> [u128; STEPS.len()] {
    let start = now();
    let message = Message::parse(raw, &Limits::default());
    let parsed = now();
    let _ = (message.received().len(), message.from().len());
    let addressed = now();
    let _ = message.views().len();
    let viewed = now();
    let _ = message.urls().len();
    let found = now();
    let _ = message.all_defects();
    let done = now();
    [parsed - start, addressed - parsed, viewed - addressed, found - viewed, done - found].map(|time| time.as_micros())
}

/// Processor time of this thread: other work on the machine does not count.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn report(name: &str, times: &mut [u128]) {
    times.sort_unstable();
    let count = u128::try_from(times.len()).unwrap_or(1).max(1);
    let mean = times.iter().sum::<u128>() / count;
    let high = times.get(times.len().saturating_sub(1 + times.len() / 100)).copied().unwrap_or_default();
    println!("  {name:<22} mean {mean:>6} us, 99th percentile {high:>6} us");
}
