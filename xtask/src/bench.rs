//! Measures, with optimised builds. What a figure means is said by the program that prints it.

use anyhow::bail;

use crate::{cargo, root, run as run_command, setup};

/// `cargo xtask bench NAME …`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "exim" => through_exim(rest),
        Some((name, [])) if name == "envelope" => envelope(),
        _ => bail!("there are `bench exim [COUNT]` and `bench envelope`"),
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
    run_command(bench.arg(root().join("target/release/examples/envelope_load")))
}
