//! What no compiler checks: which crate may use which, how long a file may be, and that each check has all its parts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::{checks, no_arguments, root};

/// The crates of the product and their floors. A crate uses lower floors only, and those of floor 1 never each other.
const FLOORS: [(&str, u8); 7] = [
    ("tidegate-mail", 0),
    ("tidegate-wire", 1),
    ("tidegate-watch", 1),
    ("tidegate-rules", 1),
    ("tidegate-classifier", 1),
    ("tidegate-filter", 2),
    ("tidegate", 3),
];
/// Names under which nothing ever finds its place.
const DRAWERS: [&str; 7] = ["common", "utils", "util", "helpers", "types", "misc", "prelude"];
/// Longest source file in lines: it should read in one sitting.
const FILE_LINES_MAX: usize = 800;

/// `cargo xtask tidy`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    no_arguments(arguments)?;
    println!("== tidy");
    let mut faults = Vec::new();
    floors(&mut faults)?;
    files(&mut faults)?;
    faults.extend(checks::faults()?);
    for fault in &faults {
        println!("{fault}");
    }
    ensure!(faults.is_empty(), "{} places are untidy", faults.len());
    Ok(())
}

fn floors(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(root().join("crates"))? {
        let path = entry?.path().join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let manifest: toml::Table = text.parse().with_context(|| path.display().to_string())?;
        faults.extend(floor_faults(&manifest).into_iter().map(|fault| format!("{}: {fault}", shown(&path))));
    }
    Ok(())
}

fn floor_faults(manifest: &toml::Table) -> Vec<String> {
    let name = manifest.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()).unwrap_or_default();
    let floor_of = |name: &str| FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor);
    let Some(floor) = floor_of(name) else {
        // `tidegate-privileged` stands alone, and so does anything that nobody gave a floor.
        let used = house_dependencies(manifest);
        return used.into_iter().map(|d| format!("`{name}` has no floor and may not use `{d}`")).collect();
    };
    let is_too_high = |dependency: &String| match floor_of(dependency) {
        Some(below) => below >= floor || (floor == 1 && below != 0),
        None => true,
    };
    let used = house_dependencies(manifest).into_iter().filter(is_too_high);
    used.map(|d| format!("`{name}` (floor {floor}) may not use `{d}`")).collect()
}

/// Dependencies of any kind that are crates of this house.
fn house_dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables.flat_map(|table| table.keys()).filter(|name| name.starts_with("tidegate")).cloned().collect()
}

fn files(faults: &mut Vec<String>) -> anyhow::Result<()> {
    for folder in ["crates", "xtask", "e2e"] {
        for path in sources(&root().join(folder))? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                faults.push(format!("{}: {lines} lines, more than {FILE_LINES_MAX}", shown(&path)));
            }
            let is_test = path.components().any(|part| part.as_os_str() == "tests");
            if !text.starts_with("//!") && !is_test {
                faults.push(format!("{}: the file does not say in its head what it is", shown(&path)));
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if DRAWERS.contains(&stem) {
                faults.push(format!("{}: `{stem}` is a drawer and no subject", shown(&path)));
            }
        }
    }
    Ok(())
}

/// Every file of Rust below `folder`, sorted.
pub(crate) fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `path` from the top of the repository.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_uses_lower_floors_only() {
        for (name, dependency, is_fine) in [
            ("tidegate-wire", "tidegate-mail", true),
            ("tidegate-wire", "tidegate-rules", false),
            ("tidegate-mail", "tidegate-wire", false),
            ("tidegate-filter", "tidegate-rules", true),
            ("tidegate-filter", "tidegate", false),
            ("tidegate", "tidegate-wire", true),
            ("tidegate", "tidegate-privileged", false),
            ("tidegate-privileged", "tidegate-mail", false),
            ("tidegate-wire", "regex", true),
        ] {
            let text = format!("[package]\nname = \"{name}\"\n[dev-dependencies]\n{dependency} = \"1\"\n");
            assert_eq!(floor_faults(&text.parse().unwrap()).is_empty(), is_fine, "{name} {dependency}");
        }
    }
}
