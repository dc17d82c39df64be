//! The demo is what the README tells people to run first: it comes up, and says what the README shows.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a demo that breaks is to fail loudly")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::why_not;

const README: &str = include_str!("../../README.md");
/// Scenes that the README shows.
const SHOWN: usize = 3;

/// Of each scene, by its title: codes of replies, and findings with their points. The rest changes from run to run.
fn scenes(text: &str) -> BTreeMap<&str, Vec<String>> {
    let mut scenes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut title = None;
    for line in text.lines() {
        if line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok()) {
            title = Some(line);
        }
        let said = line.strip_prefix("   < ").and_then(|reply| Some(reply.get(..3)?.to_owned()));
        let seen = line.strip_prefix("   | ").and_then(|said| said.split_once(": ")).map(|(finding, _)| finding);
        let seen = seen.filter(|finding| finding.starts_with("   ") && !finding.contains('('));
        let line = said.or_else(|| Some(seen?.split_whitespace().collect::<Vec<_>>().join(" ")));
        if let (Some(title), Some(line)) = (title, line) {
            scenes.entry(title).or_default().push(line);
        }
    }
    scenes
}

/// Who has seen enough of a demo ends it by a signal, as may happen to any process: what it has set up does not outlive it.
#[test]
fn a_killed_demo_leaves_nothing_behind() {
    if let Some(reason) = why_not() {
        println!("skipped: a_killed_demo_leaves_nothing_behind: {reason}");
        return;
    }
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--keep")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let name = format!("tidegate-{}-0", demo.id());
    let folder = std::env::temp_dir().join(&name);
    let left = [folder.clone(), Path::new("/etc/netns").join(&name), Path::new("/run/netns").join(&name)];
    until("the daemon listens", || folder.join("run/exim.sock").exists());
    assert!(left.iter().all(|path| path.exists()));
    demo.kill().unwrap();
    demo.wait().unwrap();
    until("all is gone", || left.iter().all(|path| !path.exists()));
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not in time");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_says_what_the_readme_shows() {
    if let Some(reason) = why_not() {
        println!("skipped: the_demo_says_what_the_readme_shows: {reason}");
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let (said, shown) = (scenes(&said), scenes(README));
    assert_eq!(shown.len(), SHOWN);
    for (title, lines) in shown {
        assert!(lines.len() > 5, "{title}: {lines:?}");
        assert_eq!(said.get(title), Some(&lines), "{title}");
    }
}
