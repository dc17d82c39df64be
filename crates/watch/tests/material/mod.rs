//! The shared material, read if it is there.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::io::Read;
use std::path::PathBuf;

/// The bytes of a file of the shared material, unpacked if its name ends in `.gz`; `None`, with a word, if it is absent.
pub(crate) fn read(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("TIDEGATE_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let Ok(bytes) = std::fs::read(root.join("material").join(path)) else {
        println!("skipped: {test}: shared material is absent");
        return None;
    };
    if !path.ends_with(".gz") {
        return Some(bytes);
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).expect("the material unpacks");
    Some(unpacked)
}

/// The lines of a file without line ends.
#[allow(dead_code, reason = "not every test wants lines")]
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
