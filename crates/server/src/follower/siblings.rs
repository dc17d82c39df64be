//! The files of one log: the one of its name, and those that rotation made of it (`.1`, `.2.gz`, `-20260301`, `.2026-03-01.zst`).

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::mark::MARK_OCTETS;
use super::packed::ENDINGS;

/// Digits from which on a suffix is a date and not a number.
const DATE_DIGITS_MIN: usize = 6;
/// Files of one log that are looked at; the oldest are left out.
const FILES_MAX: usize = 2_000;
/// How often a folder is listed until two lists agree: a rotation renames one file after the other.
const LISTINGS_MAX: u32 = 6;
/// Pause between two listings that did not agree.
const LISTING_PAUSE: Duration = Duration::from_millis(5);

/// Which file it is, whatever its name. The time of its making tells it from a later file that got its inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    device: u64,
    inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not know.
    born_ns: u64,
}

impl Id {
    pub(super) fn of(metadata: &Metadata) -> Id {
        let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born_ns = born.and_then(|born| u64::try_from(born.as_nanos()).ok()).unwrap_or(0);
        Id { device: metadata.dev(), inode: metadata.ino(), born_ns }
    }
}

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    pub(super) octets: u64,
    /// Milliseconds since 1970 of its last change.
    pub(super) modified_ms: i64,
    /// Whether it is compressed.
    pub(super) is_packed: bool,
    /// Whether it has the log's own name.
    pub(super) is_base: bool,
    age: Age,
}

/// How old a file is by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// The larger, the older.
    Number(std::cmp::Reverse<u64>),
    /// The digits of a date.
    Date(String),
}

/// When a file was changed, in milliseconds since 1970.
pub(super) fn modified_ms(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000)
}

/// The files of the log at `base`, oldest first. Empty when there is none of that name: a rotation is under way.
pub(super) fn list(base: &Path) -> io::Result<Vec<Entry>> {
    let mut former = once(base)?;
    for _ in 0..LISTINGS_MAX {
        let present = once(base)?;
        if names(&present) == names(&former) {
            return Ok(present);
        }
        former = present;
        std::thread::sleep(LISTING_PAUSE);
    }
    // The next look comes soon.
    Ok(Vec::new())
}

/// Whether the file begins as the one at `base` does, as a copy of it would.
pub(super) fn begin_alike(entry: &Entry, base: &Path) -> io::Result<bool> {
    if entry.is_packed || entry.octets == 0 {
        return Ok(false);
    }
    let mut starts = [[0; MARK_OCTETS]; 2];
    let mut octets = [0; 2];
    for ((path, start), octets) in [entry.path.as_path(), base].into_iter().zip(&mut starts).zip(&mut octets) {
        *octets = File::open(path)?.read_at(start, 0)?;
    }
    let [copied, own] = &starts;
    let length = octets.into_iter().min().unwrap_or(0);
    Ok(length > 0 && copied.get(..length) == own.get(..length))
}

/// Whether the files are those of a list made before. If not, what was found out with that list may be wrong.
pub(super) fn are_as_before(base: &Path, entries: &[Entry]) -> io::Result<bool> {
    Ok(names(&once(base)?) == names(entries))
}

/// What two listings must agree on.
fn names(entries: &[Entry]) -> Vec<(&Path, Id)> {
    entries.iter().map(|entry| (entry.path.as_path(), entry.id)).collect()
}

fn once(base: &Path) -> io::Result<Vec<Entry>> {
    let (Some(folder), Some(name)) = (base.parent(), base.file_name().and_then(|name| name.to_str())) else {
        return Err(io::Error::other("the path of a log names folder and file"));
    };
    let mut rotated = Vec::new();
    let mut own = None;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        let file_name = item.file_name();
        let Some(suffix) = file_name.to_str().and_then(|file| file.strip_prefix(name)) else { continue };
        let age = if suffix.is_empty() { Some((Age::Number(std::cmp::Reverse(0)), false)) } else { age(suffix) };
        let Some((age, is_packed)) = age else { continue };
        let path = folder.join(&file_name);
        // It may have been renamed since; then the lists do not agree.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let entry = Entry {
            path,
            id: Id::of(&metadata),
            octets: metadata.len(),
            modified_ms: modified_ms(&metadata),
            is_packed,
            is_base: suffix.is_empty(),
            age,
        };
        if entry.is_base { own = Some(entry) } else { rotated.push(entry) }
    }
    let Some(own) = own else { return Ok(Vec::new()) };
    rotated.retain(|entry| entry.id != own.id);
    sort(&mut rotated);
    rotated.drain(..rotated.len().saturating_sub(FILES_MAX));
    rotated.push(own);
    Ok(rotated)
}

/// Oldest first. Of a file and its compressed form the one that can be read at any place stays.
fn sort(entries: &mut Vec<Entry>) {
    let is_date = |entry: &Entry| matches!(entry.age, Age::Date(_));
    let is_mixed = entries.iter().any(is_date) && !entries.iter().all(is_date);
    if is_mixed {
        // Numbers and dates cannot be compared: after a change of the rotation's settings only times tell.
        entries.sort_by(|one, other| (one.modified_ms, &one.path).cmp(&(other.modified_ms, &other.path)));
    } else {
        entries.sort_by(|one, other| (&one.age, one.is_packed).cmp(&(&other.age, other.is_packed)));
    }
    entries.dedup_by(|later, earlier| later.age == earlier.age && later.is_packed && !earlier.is_packed);
}

/// What a suffix says, and whether it is that of a compressed file; `None` for files that are no rotated log.
fn age(suffix: &str) -> Option<(Age, bool)> {
    let packed = ENDINGS.iter().find_map(|ending| suffix.strip_suffix(ending));
    let (text, is_packed) = (packed.unwrap_or(suffix), packed.is_some());
    let text = text.strip_prefix(['.', '-', '_'])?;
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | 'T' | ':');
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(is_plain) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= DATE_DIGITS_MIN {
        return Some((Age::Date(digits), is_packed));
    }
    Some((Age::Number(std::cmp::Reverse(text.parse().ok()?)), is_packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_that_rotation_makes_are_known() {
        let number = |n| Some((Age::Number(std::cmp::Reverse(n)), false));
        assert_eq!(age(".1"), number(1));
        assert_eq!(age(".12.gz"), number(12).map(|(age, _)| (age, true)));
        assert_eq!(age(".12.zst"), age(".12.gz"));
        assert_eq!(age("-20260301"), Some((Age::Date("20260301".into()), false)));
        assert_eq!(age(".2026-03-01.gz"), Some((Age::Date("20260301".into()), true)));
        assert_eq!(age("-20260301-1772323200"), Some((Age::Date("202603011772323200".into()), false)));
        for other in [".old", ".1.bz2", "~", "s", ".", ".gz", ".1.tmp", "-2026x", "2"] {
            assert_eq!(age(other), None, "{other}");
        }
    }

    #[test]
    fn older_ones_come_first_and_the_log_itself_last() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["mainlog", "mainlog.1", "mainlog.2.gz", "mainlog.2", "mainlog.10.gz", "mainlog.tmp", "rejectlog.1"]
        {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let listed = list(&folder.path().join("mainlog")).unwrap();
        let names: Vec<_> = listed.iter().map(|entry| entry.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["mainlog.10.gz", "mainlog.2", "mainlog.1", "mainlog"]);
    }
}
