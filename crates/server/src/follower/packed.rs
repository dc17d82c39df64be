//! A rotated log that was compressed before all of it was read. It can only be read from its start on, so going back means
//! beginning again.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// Endings of the names of compressed files.
pub(super) const ENDINGS: [&str; 2] = [".gz", ".zst"];

/// Octets that are unpacked at once.
const STEP_OCTETS: usize = 64 * 1024;
/// Octets of one file that are unpacked at most: a log of this size was not written by an MTA.
const UNPACKED_OCTETS_MAX: u64 = 64 << 30;

/// A compressed file that is being read.
pub(super) struct Packed {
    path: PathBuf,
    decoder: Box<dyn Read + Send>,
    /// Octets unpacked so far; the last of them are kept.
    unpacked: u64,
    kept: Vec<u8>,
    is_end: bool,
}

impl Packed {
    pub(super) fn open(path: &Path, file: File) -> io::Result<Packed> {
        let is_zstd = path.extension().is_some_and(|ending| ending == "zst");
        let decoder: Box<dyn Read + Send> = match is_zstd {
            true => Box::new(zstd::Decoder::new(file)?),
            false => Box::new(MultiGzDecoder::new(BufReader::new(file))),
        };
        Ok(Packed { path: path.to_owned(), decoder, unpacked: 0, kept: Vec::new(), is_end: false })
    }

    /// Up to `octets_max` octets from `start` on; fewer only at the end.
    pub(super) fn window(&mut self, start: u64, octets_max: usize) -> io::Result<Vec<u8>> {
        if start < self.first_kept() {
            *self = Packed::open(&self.path, File::open(&self.path)?)?;
        }
        while self.unpacked < start && !self.is_end {
            // Nothing before `start` is wanted.
            self.kept.clear();
            self.unpack();
        }
        let behind = usize::try_from(start - self.first_kept()).unwrap_or(usize::MAX);
        self.kept.drain(..behind.min(self.kept.len()));
        while self.kept.len() < octets_max && !self.is_end {
            self.unpack();
        }
        Ok(self.kept.get(..octets_max).unwrap_or(&self.kept).to_vec())
    }

    fn first_kept(&self) -> u64 {
        self.unpacked.saturating_sub(u64::try_from(self.kept.len()).unwrap_or(u64::MAX))
    }

    /// Unpacks some more. A damaged file ends where the damage begins.
    fn unpack(&mut self) {
        let mut step = vec![0; STEP_OCTETS];
        match self.decoder.read(&mut step) {
            Ok(0) => self.is_end = true,
            Ok(octets) => {
                self.kept.extend_from_slice(step.get(..octets).unwrap_or(&step));
                self.unpacked = self.unpacked.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
                self.is_end = self.unpacked > UNPACKED_OCTETS_MAX;
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "a compressed log is damaged; its rest is not read");
                self.is_end = true;
            }
        }
    }
}
