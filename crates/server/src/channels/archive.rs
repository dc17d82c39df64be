//! The archive of a channel: plain files beside each other. A name that leads elsewhere, or anything that is no file, makes the whole archive
//! worthless: whoever signs such a thing is not to be trusted with the rest.

use std::io::Read;

/// Files in one archive.
const FILES_MAX: usize = 5000;
/// Octets of all files together, unpacked.
const OCTETS_MAX: u64 = 256 << 20;
/// Longest name.
const NAME_OCTETS_MAX: usize = 100;

/// Name and content of each file; the error is for people.
pub(super) fn unpack(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    // One octet more than allowed, so that the limit shows.
    let mut octets = Vec::new();
    let mut plain = flate2::read::GzDecoder::new(archive).take(OCTETS_MAX + 1);
    plain.read_to_end(&mut octets).map_err(|error| format!("the archive is cut or broken: {error}"))?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > OCTETS_MAX {
        return Err(format!("the archive unpacks to more than {OCTETS_MAX} octets"));
    }
    let mut files = Vec::new();
    let mut tar = tar::Archive::new(octets.as_slice());
    for entry in tar.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        let name = entry.path_bytes().into_owned();
        if entry.header().entry_type().is_dir() && matches!(name.as_slice(), b"." | b"./") {
            continue;
        }
        let name = name.strip_prefix(b"./").unwrap_or(&name);
        if !entry.header().entry_type().is_file() || !is_plain(name) {
            return Err(format!("the archive holds {}, which is no plain file name", name.escape_ascii()));
        }
        if files.len() >= FILES_MAX {
            return Err(format!("the archive holds more than {FILES_MAX} files"));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|error| broken(&error))?;
        if u64::try_from(content.len()).unwrap_or(0) != entry.header().size().unwrap_or(u64::MAX) {
            return Err("the archive is cut".to_owned());
        }
        files.push((String::from_utf8_lossy(name).into_owned(), content));
    }
    Ok(files)
}

fn broken(error: &std::io::Error) -> String {
    format!("the archive is cut or broken: {error}")
}

fn is_plain(name: &[u8]) -> bool {
    let is_fit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= NAME_OCTETS_MAX && !name.starts_with(b".") && name.iter().all(is_fit)
}
