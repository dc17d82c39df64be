//! Writes a made-up log to standard output.
//!
//! `cargo run --release -p tidegate-watch --example generate -- SEED ACCOUNTS DAYS VOLUME [COMPROMISE [GUESSING [INNOCENT]]]`; a
//! compromise is a number from 0 to 10 (99: none), and the name that a report has to find goes to standard error. GUESSING says how many
//! passwords are guessed at, as VOLUME how much mail there is (0: as fits it); an innocent who looks guilty is a number from 0 to 3.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of a command line are small")]

#[path = "../tests/generator/mod.rs"]
mod generator;

use std::io::{BufWriter, Write};

use generator::{Compromise, Innocent, Plan};

fn main() -> std::io::Result<()> {
    let args: Result<Vec<f64>, _> = std::env::args().skip(1).map(|arg| arg.parse()).collect();
    let Ok(args) = args else {
        eprintln!("generate SEED ACCOUNTS DAYS VOLUME [COMPROMISE [GUESSING [INNOCENT]]]: each is a number");
        std::process::exit(2);
    };
    let mut args = args.into_iter();
    let mut number = |default: f64| args.next().unwrap_or(default);
    let (seed, accounts, days, volume) = (number(1.0), number(500.0), number(30.0), number(1.0));
    let compromise = Compromise::ALL.get(number(99.0) as usize).copied();
    let guessing = Some(number(0.0)).filter(|guessing| *guessing > 0.0);
    let innocent = Innocent::ALL.get(number(99.0) as usize).copied();
    let (seed, accounts, days) = (seed as u64, accounts as usize, days as u32);
    let plan = Plan { seed, accounts, days, volume, compromise, guessing, innocent };
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
