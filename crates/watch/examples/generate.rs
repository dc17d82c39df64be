//! Writes a made-up log to standard output.
//!
//! `cargo run --release -p tidegate-watch --example generate -- SEED ACCOUNTS DAYS VOLUME [COMPROMISE]`; a compromise is a
//! number from 0 to 10, and the name that a report has to find goes to standard error.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of a command line are small")]

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::io::{BufWriter, Write};

use generator::{Compromise, Plan};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |default: f64| args.next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(default);
    let (seed, accounts, days, volume) = (number(1.0), number(500.0), number(30.0), number(1.0));
    let compromise = Compromise::ALL.get(number(99.0) as usize).copied();
    let plan = Plan { seed: seed as u64, accounts: accounts as usize, days: days as u32, volume, compromise };
    if let Some(kind) = compromise {
        eprintln!("{kind:?}: {}", generator::culprit(&plan));
    }
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut failed = Ok(());
    generator::write(&plan, |line| {
        if failed.is_ok() {
            failed = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
        }
    });
    failed.and_then(|()| out.flush())
}
