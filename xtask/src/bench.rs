//! Measures, with optimised builds. What a figure means is said by the program that prints it.

use anyhow::bail;

use crate::{cargo, run as run_command, setup};

/// `cargo xtask bench NAME …`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "exim" => through_exim(rest),
        _ => bail!("there is `bench exim [COUNT]`"),
    }
}

fn through_exim(arguments: &[String]) -> anyhow::Result<()> {
    setup::run(&[])?;
    let packages = ["--package", "tidegate", "--package", "tidegate-e2e"];
    run_command(cargo(&["build", "--quiet", "--release", "--bins"]).args(packages))?;
    let mut bench = cargo(&["run", "--quiet", "--release", "--package", "tidegate-e2e", "--bin", "bench-exim", "--"]);
    run_command(bench.args(arguments))
}
