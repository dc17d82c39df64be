//! Reads the shared test material. A test that does not find it says so and passes.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read their material from disk")]

use std::io::Read;
use std::path::PathBuf;

/// The shared folder, or `None` with a line on standard output that names `test`.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("TIDEGATE_SHARED").map_or_else(|| default.into(), PathBuf::from);
    if shared.join("material").is_dir() {
        return Some(shared);
    }
    println!("skipped: {test}: shared material is absent");
    None
}

/// All files of a `.tar.gz`, with their paths, in the order of the archive.
pub(crate) fn unpack(archive: &PathBuf) -> Vec<(String, Vec<u8>)> {
    let file = std::fs::File::open(archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.push((path, content));
        }
    }
    files
}

/// The content of a file.
pub(crate) fn read(path: &PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
