//! Asks Exim itself whether the configuration is good: builds it, reads it (`-bV`), and holds a session (`-bh`) that ends before it
//! could deliver anything.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::options::fuller_log_selector;
use super::{Layout, Plan};

/// A documentation address (RFC 5737): no real client.
const CLIENT: &str = "192.0.2.1";

pub(super) fn prove(plan: &Plan, exim: &Path) -> anyhow::Result<()> {
    rebuild(plan)?;
    if plan.is_rehearsal() {
        return Ok(());
    }
    let version = Command::new(exim).arg("-bV").output().with_context(|| format!("cannot run {}", exim.display()))?;
    let said = String::from_utf8_lossy(&[version.stdout, version.stderr].concat()).into_owned();
    ensure!(version.status.success(), "Exim does not read the configuration:\n{said}");
    smoke_test(exim)
}

/// A session from a made-up client: it must be greeted, and no ACL may fail to expand.
fn smoke_test(exim: &Path) -> anyhow::Result<()> {
    let mut child = Command::new(exim)
        .args(["-bh", CLIENT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("a pipe")?.write_all(b"EHLO smoke.test\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n")?;
    let output = child.wait_with_output()?;
    let replies = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(replies.contains("220 "), "Exim does not greet a client:\n{replies}{said}");
    ensure!(!said.contains("failed to expand"), "an ACL does not expand:\n{said}");
    ensure!(
        !replies.contains("\n451 Temporary local problem"),
        "Exim has a problem with its configuration:\n{replies}{said}"
    );
    Ok(())
}

/// Has the panel build the file that Exim reads.
pub(super) fn rebuild(plan: &Plan) -> anyhow::Result<()> {
    if plan.is_rehearsal() {
        return Ok(());
    }
    plan.layout.builders().iter().try_for_each(|command| run(command))
}

pub(super) fn restart(layout: Layout) -> anyhow::Result<()> {
    run(layout.restarter()).context("Exim was not restarted")
}

fn run(command: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("a command has a name")?;
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{}: {said}", command.join(" "));
    Ok(())
}

/// What Exim's log selector lacks of what `tidegate logs` needs; `None` also when Exim does not tell.
pub(super) fn missing_in_log(exim: &Path) -> Option<String> {
    let present = setting(exim, "log_selector")?;
    fuller_log_selector(&present).map(|fuller| fuller.trim_start_matches(present.as_str()).trim().to_owned())
}

/// How long Exim waits by the macro of this name; `None` when Exim does not tell (only root is told), or not in seconds.
pub(super) fn wait(exim: &Path, name: &str) -> Option<Duration> {
    let output = Command::new(exim).args(["-bP", "macro", name]).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let seconds = said.trim().strip_prefix(name)?.trim().strip_prefix('=')?.trim().strip_suffix('s')?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// The value of one of Exim's main options, as it runs; `None` when Exim does not tell.
pub(super) fn setting(exim: &Path, option: &str) -> Option<String> {
    let output = Command::new(exim).args(["-bP", option]).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(said.trim().strip_prefix(option)?.trim().strip_prefix('=')?.trim().to_owned())
}
