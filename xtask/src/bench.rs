//! Measures, with optimised builds. What a figure means is said by the program that prints it.

use anyhow::{Context, bail};

use crate::{cargo, run as run_command, setup, shared, target};

/// `cargo xtask bench NAME …`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "exim" => through_exim(rest),
        Some((name, [])) if name == "envelope" => envelope(),
        Some((name, rest)) if name == "rules" => rules(rest),
        Some((name, rest)) if name == "logs" => logs(rest),
        _ => bail!(
            "there are `bench exim [COUNT]`, `bench envelope`, `bench logs [GIGABYTES …] [--json FILE]` and `bench rules [--json FILE] …`"
        ),
    }
}

fn through_exim(arguments: &[String]) -> anyhow::Result<()> {
    setup::run(&[])?;
    let packages = ["--package", "tidegate", "--package", "tidegate-e2e"];
    run_command(cargo(&["build", "--quiet", "--release", "--bins"]).args(packages))?;
    let mut bench = cargo(&["run", "--quiet", "--release", "--package", "tidegate-e2e", "--bin", "bench-exim", "--"]);
    run_command(bench.args(arguments))
}

fn envelope() -> anyhow::Result<()> {
    setup::run(&[])?;
    let packages = ["--package", "tidegate", "--package", "tidegate-e2e"];
    run_command(cargo(&["build", "--quiet", "--release", "--bins", "--example", "envelope_load"]).args(packages))?;
    let mut bench =
        cargo(&["run", "--quiet", "--release", "--package", "tidegate-e2e", "--bin", "bench-envelope", "--"]);
    run_command(bench.arg(target().join("release/examples/envelope_load")))
}

/// Lines alone, then the whole report of the command line over made-up logs of 500 accounts.
fn logs(arguments: &[String]) -> anyhow::Result<()> {
    let examples = ["--example", "throughput", "--example", "generate"];
    run_command(cargo(&["build", "--quiet", "--release", "--package", "tidegate-watch"]).args(examples))?;
    run_command(&mut cargo(&["build", "--quiet", "--release", "--package", "tidegate", "--bin", "tidegate"]))?;
    let mut bench = cargo(&["run", "--quiet", "--release", "--package", "tidegate-e2e", "--bin", "bench-logs", "--"]);
    for program in ["tidegate", "examples/generate", "examples/throughput"] {
        bench.arg(target().join("release").join(program));
    }
    run_command(bench.args(arguments))
}

/// The peers are measured where they are installed: `apt-get install spamassassin spamd rspamd`.
fn rules(arguments: &[String]) -> anyhow::Result<()> {
    let material =
        shared().context("the shared material is absent: messages and rules come from there")?.join("material");
    // What is measured is built as what is shipped.
    let build = |package: &[&str]| run_command(cargo(&["build", "--quiet", "--profile", "dist"]).args(package));
    build(&["--package", "tidegate-rules", "--example", "judge"])?;
    build(&["--package", "tidegate", "--bins"])?;
    let mut bench = cargo(&["run", "--quiet", "--release", "--package", "tidegate-e2e", "--bin", "bench-rules", "--"]);
    let programs = [target().join("dist/examples/judge"), target().join("dist/tidegate")];
    run_command(bench.args(programs).arg("dist").arg(material).args(arguments))
}
