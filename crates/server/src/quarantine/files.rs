//! Messages as files: `YYYY-MM-DD/<id>.eml`, and beside it `<id>.json` with the envelope, from which a lost index can be
//! made again. A file is there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_wire::exim::ExactAddress;

use super::{Offer, QuarantineError, Reason};

/// Version of the form of the `.json` files.
const VERSION: u32 = 1;
/// Longest id of a message; Exim's have 16 or 23 characters.
const ID_OCTETS_MAX: usize = 64;
/// Longest subject kept, in octets.
const SUBJECT_OCTETS_MAX: usize = 500;

/// Where a message lies.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) item: i64,
    pub(super) mta_id: String,
    pub(super) day: String,
    pub(super) octets: u64,
}

/// What is written beside a message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    version: u32,
    pub(super) mta_id: String,
    pub(super) record: String,
    pub(super) received: Timestamp,
    pub(super) client: Option<IpAddr>,
    #[serde(with = "exact")]
    pub(super) sender: ExactAddress,
    pub(super) recipients: Vec<Reason>,
    pub(super) subject: Option<String>,
}

/// An address in the MTA's own text, as a string.
pub(super) mod exact {
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_wire::exim::ExactAddress;

    pub(in super::super) fn serialize<S: Serializer>(address: &ExactAddress, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(address.as_str())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExactAddress, D::Error> {
        Ok(ExactAddress::new(String::deserialize(deserializer)?))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> QuarantineError {
    move |error| QuarantineError::File(path.to_owned(), error)
}

/// Makes a folder that only we can read, durably.
pub(super) fn make_folder(folder: &Path) -> Result<(), QuarantineError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
    folder.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), QuarantineError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

/// The day whose folder holds a message.
pub(super) fn day(received: Timestamp) -> String {
    received.strftime("%Y-%m-%d").to_string()
}

/// The subject as it is kept.
pub(super) fn subject(offer: &Offer) -> Option<String> {
    offer.subject.as_ref().map(|subject| {
        let mut end = subject.len().min(SUBJECT_OCTETS_MAX);
        while !subject.is_char_boundary(end) {
            end -= 1;
        }
        subject.get(..end).unwrap_or_default().to_owned()
    })
}

/// Writes message and envelope; both are on disk when this returns.
pub(super) fn write(folder: &Path, offer: &Offer) -> Result<(), QuarantineError> {
    let is_id = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if offer.mta_id.is_empty() || offer.mta_id.len() > ID_OCTETS_MAX || !offer.mta_id.bytes().all(is_id) {
        return Err(QuarantineError::Id(offer.mta_id.chars().take(ID_OCTETS_MAX).collect()));
    }
    let folder = folder.join(day(offer.received));
    make_folder(&folder)?;
    let sidecar = Sidecar {
        version: VERSION,
        mta_id: offer.mta_id.clone(),
        record: offer.record.clone(),
        received: offer.received,
        client: offer.client,
        sender: offer.sender.clone(),
        recipients: offer.recipients.clone(),
        subject: subject(offer),
    };
    let sidecar = serde_json::to_vec(&sidecar).map_err(|error| at(&folder)(error.into()))?;
    put(&folder.join(format!("{}.eml", offer.mta_id)), &offer.message)?;
    put(&folder.join(format!("{}.json", offer.mta_id)), &sidecar)?;
    sync_folder(&folder)
}

/// Writes a file under another name first, so that under its own it is complete.
fn put(path: &Path, octets: &[u8]) -> Result<(), QuarantineError> {
    let unfinished = path.with_added_extension("new");
    let options = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let written = options().and_then(|mut file| {
        file.write_all(octets)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&unfinished, path)).map_err(|error| {
        // The disk may be full: the rest of a file helps nobody. If it stays, the next sweep takes it.
        let _ = fs::remove_file(&unfinished);
        at(path)(error)
    })
}

fn path(folder: &Path, place: &Place, extension: &str) -> PathBuf {
    folder.join(&place.day).join(format!("{}.{extension}", place.mta_id))
}

pub(super) fn exists(folder: &Path, place: &Place) -> bool {
    path(folder, place, "eml").is_file()
}

pub(super) fn open(folder: &Path, place: &Place) -> Result<Option<File>, QuarantineError> {
    let path = path(folder, place, "eml");
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path)(error)),
    }
}

/// Removes message and envelope, the envelope first: a message without one is rubbish for the sweep, an envelope without a
/// message would be made into an item again.
pub(super) fn remove(folder: &Path, place: &Place) -> Result<(), QuarantineError> {
    for extension in ["json", "eml"] {
        remove_file(&path(folder, place, extension))?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<(), QuarantineError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Folders of days, oldest first.
fn days(folder: &Path) -> Result<Vec<PathBuf>, QuarantineError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let is_day = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.parse::<jiff::civil::Date>().is_ok() && path.is_dir()
    };
    let mut days: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_day).collect();
    days.sort();
    Ok(days)
}

/// Every envelope there is with the size of its message, for a new index. One that does not read is left alone.
pub(super) fn sidecars(folder: &Path) -> Result<Vec<(Sidecar, u64)>, QuarantineError> {
    let mut found = Vec::new();
    for day in days(folder)? {
        for entry in fs::read_dir(&day).map_err(at(&day))?.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Ok(message) = fs::metadata(path.with_extension("eml")) else { continue };
            let text = fs::read(&path).map_err(at(&path))?;
            match serde_json::from_slice::<Sidecar>(&text) {
                Ok(sidecar) if sidecar.version == VERSION => found.push((sidecar, message.len())),
                Ok(sidecar) => tracing::warn!(path = %path.display(), version = sidecar.version, "unknown version"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "not an envelope of the quarantine"),
            }
        }
    }
    found.sort_by_key(|(sidecar, _)| sidecar.received);
    Ok(found)
}

/// What the index says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Its message is open for someone.
    Needed,
    /// Nobody needs its message any more; the process that said so was killed before it could remove the file.
    Done,
    /// It belongs to no message. The index is written after the file, so this may only be true yet.
    Unknown,
}

/// Removes files that nobody needs any more, those that belong to nothing once they are older than `age`, and folders that are
/// empty. Returns how many.
pub(super) fn sweep(
    folder: &Path,
    age: std::time::Duration,
    claim: impl Fn(&str, &str) -> Result<Claim, QuarantineError>,
) -> Result<u64, QuarantineError> {
    let mut removed = 0;
    for day in days(folder)? {
        let name = day.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        for entry in fs::read_dir(&day).map_err(at(&day))?.filter_map(Result::ok) {
            let path = entry.path();
            let id = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let id = id.split('.').next().unwrap_or_default();
            let is_old =
                || entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|e| e >= age));
            let is_unfinished = path.extension().is_some_and(|extension| extension == "new");
            let claim = if is_unfinished { Claim::Unknown } else { claim(&name, id)? };
            if claim == Claim::Done || (claim == Claim::Unknown && is_old()) {
                remove_file(&path)?;
                removed += 1;
            }
        }
        // Fails while the folder holds something, which is as it should be.
        let _ = fs::remove_dir(&day);
    }
    Ok(removed)
}
