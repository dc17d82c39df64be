//! The alerts that a log from standard input gives, one JSON object a line; on standard error our own senders with signals of
//! two kinds, and when the second was raised.
//!
//! `cargo run --release -p tidegate-watch --example alerts < mainlog`

#![allow(clippy::disallowed_methods, reason = "an example reads standard input")]

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use tidegate_watch::detectors::{Alert, AlertKind, Detectors, Subject, Thresholds};
use tidegate_watch::{Joiner, Place, Reader, Timestamp};

fn main() -> std::io::Result<()> {
    let mut input = std::io::BufReader::with_capacity(1 << 20, std::io::stdin().lock());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut reader = Reader::new().with_latest(Timestamp::from_civil(2026, 12, 31, 0, 0, 0));
    let (mut joiner, mut detectors) = (Joiner::default(), Detectors::new(Thresholds::default()));
    let mut seen: BTreeMap<Subject, Vec<(AlertKind, Timestamp)>> = BTreeMap::new();
    let (mut line, mut count, mut buffer) = (0, 0_u64, Vec::new());
    loop {
        buffer.clear();
        if input.read_until(b'\n', &mut buffer)? == 0 {
            break;
        }
        line += 1;
        let text = Reader::text(&buffer);
        let event = reader.read(&text);
        let mut alerts: Vec<Alert> = detectors.feed(&event);
        joiner.feed(&event, Place { file: 0, line }, |step| alerts.extend(detectors.step(&step)));
        for alert in alerts {
            count += 1;
            serde_json::to_writer(&mut out, &alert)?;
            out.write_all(b"\n")?;
            let kinds = seen.entry(alert.subject).or_default();
            if kinds.iter().all(|(kind, _)| *kind != alert.kind) {
                kinds.push((alert.kind, alert.time));
            }
        }
    }
    eprintln!("{line} lines, {count} alerts");
    for (subject, kinds) in &seen {
        if let (false, Some((_, second))) = (matches!(subject, Subject::Ip(_) | Subject::Network(_)), kinds.get(1)) {
            let kinds: Vec<AlertKind> = kinds.iter().map(|(kind, _)| *kind).collect();
            eprintln!("two signals by {second}: {subject:?} {kinds:?}");
        }
    }
    Ok(())
}
