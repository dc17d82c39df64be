//! The command line over logs: transcripts of what a person types and sees. `UPDATE_EXPECT=1` writes them anew.
//!
//! A transcript begins with `# ` and why it is there. `$ ` is a command, run in a folder that holds what `scene` makes; its output
//! follows, then lines of standard error behind `! `, then `? ` and the exit code unless that is 0.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test that breaks is to fail loudly; it has its own files"
)]

mod copies;
#[path = "../../../watch/tests/generator/mod.rs"]
mod generator;
mod journal;
mod live;
mod order;
mod page;
mod peers;
mod scene;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs/cases").join(name).with_extension("txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    scene::make(folder.path());
    let mut found = String::new();
    for line in text.lines() {
        if found.is_empty() && line.starts_with("# ") {
            let _infallible = writeln!(found, "{line}");
        } else if let Some(command) = line.strip_prefix("$ ") {
            let _infallible = write!(found, "\n$ {command}\n{}", run(folder.path(), command));
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(text, found, "{name}: UPDATE_EXPECT=1 writes it anew");
}

/// What a command says, in the form of a transcript.
fn run(folder: &Path, command: &str) -> String {
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("tidegate"), "{command}");
    let output = tidegate(folder).args(words).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let _infallible = writeln!(text, "! {line}");
    }
    if let Some(code @ 1..) = output.status.code() {
        let _infallible = writeln!(text, "? {code}");
    }
    text
}

/// The program in `folder`, without anything of the machine around it.
fn tidegate(folder: &Path) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_tidegate")));
    command.current_dir(folder).env("TZ", "UTC").args(["--config", "tidegate.toml"]);
    command
}

#[test]
fn report() {
    check("report");
}

#[test]
fn report_for_programs() {
    check("report_for_programs");
}

#[test]
fn events() {
    check("events");
}

#[test]
fn compromise() {
    check("compromise");
}

#[test]
fn bad_input() {
    check("bad_input");
}

#[test]
fn who() {
    check("who");
}

#[test]
fn limits() {
    check("limits");
}
