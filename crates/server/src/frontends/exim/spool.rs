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
/// Octets of a `-H` file that are looked at: Exim's `header_maxsize` is a megabyte, and the envelope stands in front.
const HEADER_OCTETS_MAX: u64 = 2 * 1024 * 1024;

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
    let (path, mut file) = open_part(spool, ask.content.queue.as_deref(), id, 'D')?;
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

/// The header block of a message that waits or is on its way, from its `-H` file; `None` if it is gone, may not be read, or is none.
pub(crate) fn header_in_spool(spool: &Path, queue: Option<&str>, id: &str) -> Option<Vec<u8>> {
    let (_, file) = is_message_id(id).then(|| open_part(spool, queue, id, 'H'))?.ok()?;
    let mut text = Vec::new();
    file.take(HEADER_OCTETS_MAX).read_to_end(&mut text).ok()?;
    header_of(&text)
}

/// The fields of a `-H` file: behind the envelope and an empty line, each with its length in octets, a letter for its type and a
/// blank in front (Exim's specification, "Format of the -H file"). Variables within the envelope may hold empty lines as well, so the
/// fields begin behind the first one from which on all reads as fields up to the end.
fn header_of(text: &[u8]) -> Option<Vec<u8>> {
    const EMPTY_LINES_MAX: usize = 1000;
    memchr::memmem::find_iter(text, b"\n\n").take(EMPTY_LINES_MAX).find_map(|at| fields_of(text.get(at + 2..)?))
}

fn fields_of(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut header = Vec::with_capacity(text.len());
    while !text.is_empty() {
        let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
        let length: usize = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
        let kind = *text.get(digits)?;
        if text.get(digits + 1) != Some(&b' ') {
            return None;
        }
        let (field, rest) = text.get(digits + 2..)?.split_at_checked(length)?;
        // A star marks a field that was removed or rewritten.
        if kind != b'*' {
            header.extend_from_slice(field);
        }
        text = rest;
    }
    (!header.is_empty()).then_some(header)
}

/// Both places in which Exim may keep a part of a message: `input/ID-D`, or with split_spool_directory `input/X/ID-D`, where X is the
/// sixth character of the id.
fn open_part(
    spool: &Path,
    queue: Option<&str>,
    id: &str,
    part: char,
) -> Result<(PathBuf, BufReader<File>), SpoolError> {
    let is_plain =
        |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let base = queue.filter(is_plain).map_or_else(|| spool.to_owned(), |queue| spool.join(queue)).join("input");
    let flat = base.join(format!("{id}-{part}"));
    match open(&flat) {
        Err(SpoolError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            let split = base.join(id.get(5..6).unwrap_or_default()).join(format!("{id}-{part}"));
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

    /// As Exim 4.96 writes it, with a variable that holds empty lines and what looks like a field.
    #[test]
    fn the_header_is_found_in_its_file() {
        let envelope = "1xVdnW-0001HE-0H-H\nshop 1001 1001\n<shop@mx.example>\n1772446272 0\n-ident shop\n-aclm _x 14\na\n\n003P X\n\n";
        let fields = "022P Received: from a by b\n013* Subject: old\n037  X-PHP-Originating-Script: 1001:a.php\n";
        let file = format!("{envelope}\nXX\n1\na@b.test\n\n{fields}");
        let header = header_of(file.as_bytes()).unwrap();
        assert_eq!(header, b"Received: from a by b\nX-PHP-Originating-Script: 1001:a.php\n");
        for broken in ["", "\n\n", "x\n\n022P Received", "x\n\n99999999999999999999P x", "x\n\n003Px"] {
            assert_eq!(header_of(broken.as_bytes()), None, "{broken:?}");
        }
    }

    #[test]
    fn a_header_lies_in_either_place() {
        let spool = tempfile::tempdir().unwrap();
        let text = "1xVdnW-0001HE-0H-H\n\n011  Subject: x\n";
        for place in ["input", "input/W", "second/input"] {
            let folder = spool.path().join(place);
            std::fs::create_dir_all(&folder).unwrap();
            let file = folder.join("1xVdnW-0001HE-0H-H");
            std::fs::write(&file, text).unwrap();
            let queue = place.strip_suffix("/input");
            assert!(header_in_spool(spool.path(), queue, "1xVdnW-0001HE-0H").is_some(), "{place}");
            std::fs::remove_file(&file).unwrap();
        }
        assert_eq!(header_in_spool(spool.path(), None, "../../../etc/passwd"), None);
    }
}
