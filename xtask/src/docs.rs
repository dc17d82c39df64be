//! The reference pages in `docs/reference/`, made by the program itself; `--check` says whether they are as it would make them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::{cargo, root};

/// `cargo xtask docs [--check]`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let check = match arguments {
        [] => false,
        [word] if word == "--check" => true,
        _ => bail!("cargo xtask docs [--check]"),
    };
    let kept = root().join("docs/reference");
    if !check {
        return make(&kept);
    }
    let fresh = root().join("target/reference");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    make(&fresh)?;
    let stale: Vec<PathBuf> = files(&fresh)?.into_iter().filter(|file| differs(&fresh, &kept, file)).collect();
    ensure!(stale.is_empty(), "not as the program makes them: {stale:?}; run `cargo xtask docs`");
    Ok(())
}

fn make(folder: &Path) -> anyhow::Result<()> {
    let mut command = cargo(&["run", "--quiet", "--package", "tidegate", "--", "reference"]);
    let status = command.arg(folder).status().context("running tidegate")?;
    ensure!(status.success(), "tidegate reference: {status}");
    Ok(())
}

fn differs(fresh: &Path, kept: &Path, file: &Path) -> bool {
    let read = |folder: &Path| fs::read(folder.join(file)).unwrap_or_default();
    read(fresh) != read(kept)
}

/// Every file below `folder`, relative to it.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
