//! `cargo xtask bench logs`: how long and in how much memory `tidegate logs` makes its report, over made-up logs of the size asked for
//! with a compromise hidden in each, and how long the reading of lines alone takes.
//!
//! Each log is written to a file, read by the program as an administrator calls it, and deleted. What counts is the time on the
//! processor and the most memory of that process, as `/proc` tells: the clock says nothing on a busy machine.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench starts programs and reads their output"
)]

mod measured;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use measured::Measured;

/// Days of 500 accounts that make a gigabyte.
const DAYS_A_GIGABYTE: u64 = 24;
const ACCOUNTS: &str = "500";
/// Compromises, as `generate` counts them: one of each run, another for each size.
const COMPROMISES: u64 = 11;

/// What the command line asks for: the three programs, then sizes and options.
struct Plan {
    tidegate: PathBuf,
    generate: PathBuf,
    throughput: PathBuf,
    gigabytes: Vec<u64>,
    folder: PathBuf,
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let plan = Plan::read(std::env::args().skip(1))?;
    println!("{}", tidegate_e2e::machine());
    let mut systems = vec![parse_alone(&plan.throughput)?];
    for gigabytes in &plan.gigabytes {
        systems.push(report(&plan, *gigabytes)?);
    }
    if let Some(path) = &plan.json {
        let report = json!({ "machine": tidegate_e2e::machine(), "systems": systems, "runs": [] });
        fs::write(path, format!("{report:#}\n")).with_context(|| path.display().to_string())?;
    }
    let missed = systems.iter().any(|system| system.get("culprit") != system.get("named_first"));
    ensure!(!missed, "a compromise was not named first");
    Ok(())
}

/// Lines alone, from memory.
fn parse_alone(throughput: &Path) -> anyhow::Result<Value> {
    let output = Command::new(throughput).output().with_context(|| throughput.display().to_string())?;
    ensure!(output.status.success(), "{}: {}", throughput.display(), output.status);
    let text = String::from_utf8(output.stdout)?;
    print!("lines alone: {text}");
    let seconds = text.trim_end().rsplit_once("1 GiB in ").and_then(|(_, rest)| rest.strip_suffix(" s"));
    let seconds: f64 = seconds.and_then(|s| s.parse().ok()).context("the figure of the reading of lines")?;
    Ok(json!({ "name": "lines alone", "octets": 1_u64 << 30, "cpu_ms": seconds * 1000.0 }))
}

/// The whole report over a log of this size.
fn report(plan: &Plan, gigabytes: u64) -> anyhow::Result<Value> {
    let log = plan.folder.join(format!("tidegate-bench-{gigabytes}.log"));
    let result = report_over(plan, gigabytes, &log);
    // A file of ten gigabytes must not stay, whatever went wrong.
    let removed = fs::remove_file(&log).with_context(|| log.display().to_string());
    result.and_then(|report| removed.map(|()| report))
}

fn report_over(plan: &Plan, gigabytes: u64, log: &Path) -> anyhow::Result<Value> {
    let days = (DAYS_A_GIGABYTE * gigabytes).to_string();
    let compromise = (gigabytes % COMPROMISES).to_string();
    let generated = Command::new(&plan.generate)
        .args([gigabytes.to_string().as_str(), ACCOUNTS, &days, "1.0", &compromise])
        .stdout(File::create(log).with_context(|| log.display().to_string())?)
        .stderr(Stdio::piped())
        .output()?;
    ensure!(generated.status.success(), "{}: {}", plan.generate.display(), generated.status);
    let hidden = String::from_utf8(generated.stderr)?;
    let (kind, culprit) = hidden.trim_end().split_once(": ").context("what was hidden in the log")?;
    let octets = fs::metadata(log)?.len();
    let (measured, output) = Measured::run(Command::new(&plan.tidegate).args(["logs", "--json"]).arg(log))?;
    let report: Value = serde_json::from_slice(&output).context("the report")?;
    let suspects = report.get("suspects").and_then(Value::as_array).into_iter().flatten();
    let named: Vec<&str> = suspects.filter_map(|suspect| suspect.get("name")?.as_str()).collect();
    let lines = report.pointer("/totals/lines").and_then(Value::as_u64).context("the lines of the report")?;
    let per_gigabyte = measured.cpu_s * 1e9 / octets as f64;
    println!(
        "tidegate logs: {:.2} GB, {lines} lines in {:.2} s of CPU ({per_gigabyte:.2} s a GB), {:.0} MB of memory at most; hidden was {kind} {culprit}, named were {named:?}",
        octets as f64 / 1e9,
        measured.cpu_s,
        measured.peak_mb,
    );
    Ok(json!({
        "name": format!("tidegate logs, {gigabytes} GB"), "octets": octets, "lines": lines,
        "cpu_ms": measured.cpu_s * 1000.0, "cpu_ms_per_gb": per_gigabyte * 1000.0, "peak_rss_mb": measured.peak_mb,
        "hidden": kind, "culprit": culprit, "named_first": named.first(), "suspects": named.len(),
    }))
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Plan> {
        let mut program =
            || arguments.next().map(PathBuf::from).context("the paths of tidegate, generate and throughput");
        let (tidegate, generate, throughput) = (program()?, program()?, program()?);
        let mut plan =
            Plan { tidegate, generate, throughput, gigabytes: Vec::new(), folder: std::env::temp_dir(), json: None };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--json" => plan.json = Some(value()?.into()),
                "--folder" => plan.folder = value()?.into(),
                number => match number.parse() {
                    Ok(gigabytes @ 1..=1000) => plan.gigabytes.push(gigabytes),
                    _ => bail!(
                        "`{number}` is not known; there are GIGABYTES …, --folder FOLDER (for the logs) and --json FILE"
                    ),
                },
            }
        }
        if plan.gigabytes.is_empty() {
            plan.gigabytes.push(1);
        }
        Ok(plan)
    }
}
