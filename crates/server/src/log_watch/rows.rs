//! The stored forms of the watch over the logs; see the tables `log_watch` and `log_alerts`. Each value begins with a version.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_filter::store::Write;
use tidegate_filter::tables;

use super::counts::Counts;
use super::picture::{Noted, Picture};
use crate::follower::State;

/// Version of all forms.
const VERSION: u8 = 1;
/// Level of compression of the picture: it is stored often, and mostly repeats itself.
const LEVEL: i32 = 1;
/// Octets of an unpacked picture: far more than its limits allow.
const PICTURE_OCTETS_MAX: u64 = 512 << 20;
/// Key of the picture.
const PICTURE: &[u8] = b"picture";

/// One log: where reading stands, and what was counted up to there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRow {
    pub(super) state: State,
    pub(super) counts: Counts,
}

impl FileRow {
    pub(super) fn key(path: &Path) -> Vec<u8> {
        [b"file ".as_slice(), path.as_os_str().as_encoded_bytes()].concat()
    }

    pub(super) fn write(&self, path: &Path) -> Option<Write> {
        Some(put(FileRow::key(path), encoded(self)?))
    }

    pub(super) fn decode(value: &[u8]) -> Option<FileRow> {
        decoded(value)
    }
}

/// The key of the row of the picture.
pub(super) fn picture_key() -> &'static [u8] {
    PICTURE
}

pub(super) fn write_picture(picture: &Picture) -> Option<Write> {
    let mut packed = zstd::Encoder::new(vec![VERSION], LEVEL).ok()?;
    serde_json::to_writer(&mut packed, picture).ok()?;
    Some(put(PICTURE.to_vec(), packed.finish().ok()?))
}

pub(super) fn decode_picture(value: &[u8]) -> Option<Picture> {
    let (version, packed) = value.split_first()?;
    if *version != VERSION {
        return None;
    }
    let unpacked = std::io::Read::take(zstd::Decoder::new(packed).ok()?, PICTURE_OCTETS_MAX);
    serde_json::from_reader(std::io::BufReader::new(unpacked)).ok()
}

/// An alert as a row of its own. The same alert, found again after a kill, is the same row.
pub(super) fn write_alert(noted: &Noted) -> Option<Write> {
    let alert = &noted.alert;
    let mut key = alert.time.as_millis().max(0).to_be_bytes().to_vec();
    key.extend(serde_json::to_vec(&(alert.kind, &alert.subject)).ok()?);
    Some(Write::Put { table: &tables::LOG_ALERTS, key, value: encoded(noted)? })
}

fn put(key: Vec<u8>, value: Vec<u8>) -> Write {
    Write::Put { table: &tables::LOG_WATCH, key, value }
}

fn encoded(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut octets = vec![VERSION];
    serde_json::to_writer(&mut octets, value).ok()?;
    Some(octets)
}

fn decoded<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    let (version, text) = value.split_first()?;
    (*version == VERSION).then(|| serde_json::from_slice(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as the first version wrote it reads for ever.
    #[test]
    fn an_old_row_reads() {
        let old = b"\x01{\"state\":{\"positions\":[{\"id\":{\"device\":1,\"inode\":2,\"born_ns\":3},\"offset\":4,\
            \"start\":{\"octets\":4,\"hash\":5},\"end\":{\"octets\":4,\"hash\":5},\"modified_ms\":6,\
            \"is_within_line\":false,\"is_history\":false}],\"looked_ms\":7,\"is_without_history\":true},\
            \"counts\":{\"lines\":1,\"unknown_lines\":0,\"cut_lines\":0,\"old_lines\":0,\"repeated_lines\":0}}";
        let row = FileRow::decode(old).unwrap();
        assert_eq!((row.state.positions.len(), row.counts.lines), (1, 1));
        let Some(Write::Put { value, .. }) = row.write(Path::new("/l")) else { panic!("a row is written") };
        assert_eq!(value, old);
        assert_eq!(FileRow::decode(b"\x02{}"), None, "an unknown version is absent");
    }
}
