//! Every case in `cases/<check>/` is judged and compared. A case is a `.toml` (and an `.eml` of the same name, where the
//! message matters); its world is complete: a DNS name that is asked but not given fails the case.
//!
//! `UPDATE_EXPECT=1 cargo test -p tidegate-filter` writes what was found into `[expect]`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod case;
mod catalogue;
mod dead_lists;
mod deadlines;
mod declared;
mod weights;
mod world;

use std::path::{Path, PathBuf};

#[test]
fn every_case_gives_what_it_expects() {
    let mut cases = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &mut cases);
    cases.sort();
    assert!(!cases.is_empty(), "there must be cases");
    // A folder of nobody's is told once, by its own test: without its check, all others would run.
    cases.retain(|path| is_known(case::folder_of(path)));
    let failures: Vec<String> = cases.iter().filter_map(|path| case::check_case(path).err()).collect();
    assert!(failures.is_empty(), "{} of {} cases failed:\n\n{}", failures.len(), cases.len(), failures.join("\n\n"));
}

/// Folders whose cases are about the engine itself; all checks run in them.
const ABOUT_ALL: [&str; 1] = ["policy"];

fn is_known(folder: &str) -> bool {
    ABOUT_ALL.contains(&folder) || tidegate_filter::checks::ALL.iter().any(|entry| entry.name.as_str() == folder)
}

#[test]
fn every_folder_of_cases_belongs_to_a_check() {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !is_known(&name) {
            faults.push(format!("tests/cases/{name}: no check is called `{name}`; is its line in src/checks.rs?"));
        }
    }
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

/// Each check in the registry has a folder of cases.
#[test]
fn every_check_has_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for entry in tidegate_filter::checks::ALL {
        let own = folder.join(entry.name.as_str());
        let has_case = std::fs::read_dir(&own).is_ok_and(|mut files| files.next().is_some());
        assert!(has_case, "check {} has no case in {}", entry.name.as_str(), own.display());
        assert!(!entry.page.trim().is_empty(), "check {} has an empty page", entry.name.as_str());
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|e| e == "toml") {
            into.push(path);
        }
    }
}
