//! Runs a fuzz target under libFuzzer with the stable compiler: fuzz/README.md.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::{cargo, root, run as run_command};

const TARGETS: [&str; 4] = ["log_line", "message", "rules_match", "rules_parse"];
const SECONDS: u32 = 60;
/// Built for a named platform, so that build scripts are not instrumented.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";
/// LLVM's coverage as libFuzzer reads it: edges counted, comparisons seen. Debug assertions stay on.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// `cargo xtask fuzz TARGET [SECONDS]`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (target, seconds) = match arguments {
        [target] => (target, SECONDS),
        [target, seconds] => (target, seconds.parse().context("so many seconds")?),
        _ => bail!("fuzz TARGET [SECONDS]; targets are {}", TARGETS.join(", ")),
    };
    ensure!(TARGETS.contains(&target.as_str()), "there is no target `{target}`; there are {}", TARGETS.join(", "));
    let fuzz = root().join("fuzz");
    let (corpus, artifacts) = (fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let built = fuzz.join("target");
    let mut build = cargo(&["build", "--release", "--target", PLATFORM, "--bin", target]);
    run_command(build.current_dir(&fuzz).env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &built))?;
    let mut fuzzer = Command::new("nice");
    fuzzer.args(["-n", "19"]).arg(built.join(PLATFORM).join("release").join(target)).arg(&corpus);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzzer.args(["-rss_limit_mb=2048", "-timeout=60", "-max_len=16384", "-print_final_stats=1"]);
    if target.starts_with("rules_") {
        fuzzer.arg(format!("-dict={}", fuzz.join("rules.dict").display()));
    }
    run_command(&mut fuzzer)
}
