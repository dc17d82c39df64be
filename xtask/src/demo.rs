//! Brings up a real Exim with Tidegate beside it and sends messages through it. The work is done by the program `demo` of
//! the end-to-end crate; this builds it and the daemon.

use anyhow::ensure;

use crate::{cargo, run as run_command, setup};

/// `cargo xtask demo [--keep]`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let keeps = arguments == ["--keep"];
    ensure!(keeps || arguments.is_empty(), "demo takes `--keep` or nothing");
    setup::run(&[])?;
    run_command(&mut cargo(&["build", "--quiet", "--package", "tidegate", "--package", "tidegate-e2e", "--bins"]))?;
    let mut demo = cargo(&["run", "--quiet", "--package", "tidegate-e2e", "--bin", "demo", "--"]);
    run_command(demo.args(arguments))
}
