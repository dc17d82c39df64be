//! Where the suites are.

use std::path::{Path, PathBuf};

/// The text of a file of the shared test material; `None`, with a line that says so, where the material is absent.
pub(crate) fn shared(test: &str, path: &str) -> Option<String> {
    let bytes = shared_bytes(test, path)?;
    Some(String::from_utf8(bytes).unwrap_or_else(|error| error.into_bytes().iter().map(|b| char::from(*b)).collect()))
}

/// The octets of a file of the shared test material.
pub(crate) fn shared_bytes(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = root();
    if !root.is_dir() {
        println!("skipped: {test}: shared material is absent");
        return None;
    }
    Some(std::fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

fn root() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("TIDEGATE_SHARED").map_or_else(beside, PathBuf::from).join("material/suites")
}
