//! The only automation of this repository. `cargo xtask` lists what it can do.

#![allow(clippy::disallowed_methods, reason = "automation runs programs and reads files")]

mod bench;
mod checks;
mod demo;
mod docs;
mod fuzz;
mod new_check;
mod setup;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};

type Task = fn(&[String]) -> anyhow::Result<()>;

/// What there is to do: name, what it does, how.
const TASKS: [(&str, &str, Task); 8] = [
    ("setup", "install what tests and demo need from Debian (as root)", setup::run),
    ("test", "format, lints, tidy, unit tests, conformance, a real Exim; prints what was skipped and why", test::run),
    ("demo", "a real Exim with Tidegate beside it, and some messages through it; --keep leaves it up", demo::run),
    (
        "bench",
        "measure: `bench exim [COUNT]` is what Tidegate adds to each SMTP command, `bench envelope` how long its asks take, \
         `bench rules` the CPU time of a message beside SpamAssassin and rspamd, `bench logs` how fast mail logs are read",
        bench::run,
    ),
    ("fuzz", "feed a parser what nobody would write: `fuzz TARGET [SECONDS]`, see fuzz/README.md", fuzz::run),
    ("docs", "make the reference pages in docs/reference; --check says whether they are up to date", docs::run),
    (
        "new-check",
        "begin a check: code, page, case and its line in the list, as `new-check NAME STAGE… [--symbol SYMBOL]`; see CONTRIBUTING.md",
        new_check::run,
    ),
    (
        "tidy",
        "what no compiler checks: floors, lengths of files, a page for each check and a case for each symbol",
        tidy::run,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        None => help(),
        Some((name, rest)) => match TASKS.iter().find(|(task, ..)| task == name) {
            Some((_, _, run)) => run(rest),
            None => help().and_then(|()| bail!("there is no task `{name}`")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> anyhow::Result<()> {
    println!("cargo xtask TASK");
    for (name, what, _) in TASKS {
        println!("  {name:10} {what}");
    }
    Ok(())
}

/// The top of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The folder of what cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The shared test material, if it is at hand: `$TIDEGATE_SHARED`, else `../shared`.
fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("TIDEGATE_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    path.join("material").is_dir().then_some(path)
}

/// The cargo that runs us, in the top folder.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command to its end, with its output shown.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("running {shown}"))?;
    ensure!(status.success(), "{shown} failed: {status}");
    Ok(())
}

/// Refuses arguments where a task takes none.
fn no_arguments(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.first() {
        Some(argument) => bail!("`{argument}` is one argument too many"),
        None => Ok(()),
    }
}
