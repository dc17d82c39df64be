//! The message as it lies in Exim's spool. Only files below the configured spool folder, named by a well-formed message id,
//! are opened, and no link is followed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tidegate_wire::exim::{Ask, Mail};

/// Largest body that is read into memory; what is beyond is not judged, and the message says so.
pub(super) const BODY_OCTETS_MAX: u64 = 100 * 1024 * 1024;

/// Longest first line of a body's file: an id and `-D`.
const LINE_OCTETS_MAX: usize = 64;
/// Room for the empty line behind the header block, and to see that the file has ended.
const SPARE_OCTETS: usize = 64;

/// Why a message cannot be read from the spool.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("the ask names no well-formed message id")]
    NoId,
    #[error("Exim's spool folder is `{asked}`, but [exim] spool is `{configured}`")]
    OtherSpool { asked: String, configured: PathBuf },
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: PathBuf, cause: io::Error },
}

/// The whole message: header block, empty line, body; line ends are LF as Exim has them.
pub(super) fn read_message(spool: &Path, ask: &Ask, mail: &Mail) -> Result<Vec<u8>, SpoolError> {
    let id = ask.transaction.id.as_deref().filter(|id| is_message_id(id)).ok_or(SpoolError::NoId)?;
    if let Some(asked) = ask.content.spool.as_deref().filter(|asked| Path::new(asked) != spool) {
        return Err(SpoolError::OtherSpool { asked: asked.to_owned(), configured: spool.to_owned() });
    }
    if ask.content.is_in_scan_file {
        let path = spool.join("scan").join(id).join(format!("{id}.eml"));
        let mut text = Vec::new();
        let mut file = open(&path)?;
        read_to_end(&mut file, &path, &mut text)?;
        return Ok(without_envelope_lines(&text).to_vec());
    }
    let (path, mut file) = open_body(spool, ask.content.queue.as_deref(), id)?;
    let unreadable = |cause| SpoolError::Unreadable { path: path.clone(), cause };
    // The first line names the file.
    let mut line = Vec::with_capacity(LINE_OCTETS_MAX);
    (&mut file).take(u64::try_from(LINE_OCTETS_MAX).unwrap_or(0)).read_until(b'\n', &mut line).map_err(unreadable)?;
    let body_octets = usize::try_from(ask.content.body_octets.unwrap_or(0).min(BODY_OCTETS_MAX)).unwrap_or(0);
    // Large messages are not to be moved to a larger place while they are read.
    let mut message = Vec::with_capacity(mail.headers.len() + body_octets + SPARE_OCTETS);
    message.extend_from_slice(&mail.headers);
    if !message.ends_with(b"\n") {
        message.push(b'\n');
    }
    message.push(b'\n');
    read_to_end(&mut file, &path, &mut message)?;
    Ok(message)
}

/// Both places in which Exim may keep the body: `input/ID-D`, or with split_spool_directory `input/X/ID-D`, where X is the
/// sixth character of the id.
fn open_body(spool: &Path, queue: Option<&str>, id: &str) -> Result<(PathBuf, BufReader<File>), SpoolError> {
    let is_plain =
        |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let base = queue.filter(is_plain).map_or_else(|| spool.to_owned(), |queue| spool.join(queue)).join("input");
    let flat = base.join(format!("{id}-D"));
    match open(&flat) {
        Err(SpoolError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            let split = base.join(id.get(5..6).unwrap_or_default()).join(format!("{id}-D"));
            open(&split).map(|file| (split, file))
        }
        opened => opened.map(|file| (flat, file)),
    }
}

fn open(path: &Path) -> Result<BufReader<File>, SpoolError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty());
    let file = file.map_err(|errno| SpoolError::Unreadable { path: path.to_owned(), cause: errno.into() })?;
    Ok(BufReader::new(File::from(file)))
}

fn read_to_end(file: &mut BufReader<File>, path: &Path, text: &mut Vec<u8>) -> Result<(), SpoolError> {
    let read = file.take(BODY_OCTETS_MAX).read_to_end(text);
    read.map(drop).map_err(|cause| SpoolError::Unreadable { path: path.to_owned(), cause })
}

/// 16 characters up to Exim 4.96, 23 from 4.97 on: base-62 groups joined by hyphens.
pub(super) fn is_message_id(id: &str) -> bool {
    matches!(id.len(), 16 | 23) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The scan file begins with an mbox line and the envelope as two pseudo fields.
fn without_envelope_lines(text: &[u8]) -> &[u8] {
    let mut rest = text;
    for prefix in [b"From ".as_slice(), b"X-Envelope-From:", b"X-Envelope-To:"] {
        if rest.starts_with(prefix) {
            rest = after_field(rest);
        }
    }
    rest
}

fn after_field(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        let end = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        rest = rest.get(end..).unwrap_or_default();
        if !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
            return rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_spool_are_refused() {
        assert!(is_message_id("1xVdnW-0001HE-0H") && is_message_id("1vx2Ab-00000005xYz-1QrS"));
        for id in ["", "../../etc/passwd", "1xVdnW-0001HE-0/", "1xVdnW-0001HE-0H0"] {
            assert!(!is_message_id(id), "{id}");
        }
    }

    #[test]
    fn the_scan_file_loses_its_envelope() {
        let text = b"From a Mon\nX-Envelope-From: <a>\nX-Envelope-To: b,\n c\nSubject: x\n\nbody";
        assert_eq!(without_envelope_lines(text), b"Subject: x\n\nbody");
    }
}
