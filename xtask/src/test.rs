//! Runs everything that must hold, and counts: passed, failed, skipped, with the reason of each skip.
//!
//! A test that is marked as ignored because it `runs as a child of` another one is a part of that and is not counted.
//! A test that cannot run here prints `skipped: NAME: REASON` and passes. With the shared material at hand nothing may be
//! skipped, so that no reader takes a run without it for a whole one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::{cargo, docs, no_arguments, shared, tidy};

/// How the reason begins for which a part of another test is ignored.
const CHILD: &str = "runs as a child of";
/// Why any other ignored test did not run.
const IGNORED: &str = "marked as ignored";

/// How many lines of failures are told again.
const COMPLAINTS_MAX: usize = 400;

/// What was counted.
#[derive(Debug, Default)]
struct Count {
    passed: u32,
    failed: Vec<String>,
    /// Name and reason.
    skipped: BTreeMap<String, String>,
    /// What those said that failed, told again at the end: what scrolls away or is cut in the middle would take it along.
    complaints: Vec<String>,
    /// In the list of failures at the end of a test program's output.
    in_failures: bool,
}

/// `cargo xtask test`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    let mut count = Count::default();
    count.step("format", cargo(&["fmt", "--all", "--check"]));
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    count.step("lints", cargo(&lints));
    let tidied = tidy::run(&[]);
    count.note("tidy", tidied.map_err(|error| error.to_string()));
    // The end-to-end tests start the program itself.
    count.step("build", cargo(&["build", "--package", "tidegate"]));
    let reference = docs::run(&["--check".to_owned()]);
    count.note("reference pages", reference.map_err(|error| error.to_string()));
    count.tests(cargo(&["test", "--workspace", "--no-fail-fast", "--", "--show-output"]))?;
    count.report()
}

impl Count {
    fn step(&mut self, name: &str, mut command: Command) {
        println!("== {name}");
        let done = match command.stdin(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.note(name, done);
    }

    fn note(&mut self, name: &str, done: Result<(), String>) {
        match done {
            Ok(()) => self.passed += 1,
            Err(error) => self.failed.push(format!("{name}: {error}")),
        }
    }

    fn tests(&mut self, mut command: Command) -> anyhow::Result<()> {
        println!("== tests");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("running cargo test")?;
        let output = child.stdout.take().context("cargo test has no output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            self.line(line.trim_end());
        }
        let status = child.wait()?;
        // Tests that did not compile or died are in no count.
        if !status.success() && self.failed.is_empty() {
            self.failed.push(format!("cargo test: {status}"));
        }
        Ok(())
    }

    /// Reads one line of libtest's output.
    fn line(&mut self, line: &str) {
        if let Some((name, reason)) = line.strip_prefix("skipped: ").and_then(|rest| rest.split_once(": ")) {
            self.skipped.insert(name.to_owned(), reason.to_owned());
        }
        self.in_failures = line == "failures:" || self.in_failures && !line.starts_with("test result: ");
        if self.in_failures && self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(line.to_owned());
        }
        let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return;
        };
        match result.split_once(", ").unwrap_or((result, "")) {
            ("ok", _) => self.passed += 1,
            ("FAILED", _) => self.failed.push(name.to_owned()),
            ("ignored", reason) if reason.starts_with(CHILD) => {}
            ("ignored", _) => _ = self.skipped.insert(name.to_owned(), IGNORED.to_owned()),
            _ => {}
        }
    }

    fn report(self) -> anyhow::Result<()> {
        if !self.complaints.is_empty() {
            println!("== failures");
            self.complaints.iter().for_each(|line| println!("{line}"));
        }
        println!("== result");
        for name in &self.failed {
            println!("failed: {name}");
        }
        for (name, reason) in &self.skipped {
            println!("skipped: {name}: {reason}");
        }
        let skipped = self.skipped.len();
        // A test that says that it was skipped was counted as passed by libtest.
        let counted = self.skipped.values().filter(|reason| *reason != IGNORED).count();
        let passed = usize::try_from(self.passed)?.saturating_sub(counted);
        let must_run = shared().is_some() && skipped > 0;
        if must_run {
            println!("the shared material is at hand, so nothing may be skipped");
        }
        println!("{passed} passed, {} failed, {skipped} skipped", self.failed.len());
        ensure!(self.failed.is_empty(), "{} failed", self.failed.len());
        ensure!(!must_run, "{skipped} skipped although the shared material is at hand");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_libtest_are_counted() {
        let mut count = Count::default();
        for line in [
            "running 5 tests",
            "test a::b ... ok",
            "test src/lib.rs - c (line 3) ... ok",
            "test d ... FAILED",
            "test e ... ignored, slow",
            "test f ... ignored, runs as a child of `a`",
            "skipped: a::b: shared material is absent",
            "failures:",
            "---- d stdout ----",
            "assertion failed",
            "failures:",
            "    d",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored",
            "running 0 tests",
        ] {
            count.line(line);
        }
        assert_eq!((count.passed, count.failed), (2, vec!["d".to_owned()]));
        assert_eq!(count.complaints, ["failures:", "---- d stdout ----", "assertion failed", "failures:", "    d"]);
        let reasons: Vec<_> = count.skipped.into_iter().collect();
        let expected = [("a::b", "shared material is absent"), ("e", IGNORED)];
        assert_eq!(reasons, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
    }
}
