//! Messages from files, matched by several workers, results in the order of the files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Context;
use tidegate_rules::language::Parsed;
use tidegate_rules::language::rule::{Test, TextKind, matching_glob};
use tidegate_rules::{Hit, Input};

use super::{Ended, shown};
use crate::cli::check::{files, progress};

/// How much of the text around a match is shown on each side.
const AROUND_OCTETS_MAX: usize = 40;

/// Largest file that is taken for a message; Exim takes 50 MB unless told otherwise.
const OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// Files that cannot be read are named up to so many; the others are counted.
const UNREAD_SHOWN: usize = 10;
/// How packed files begin, and by what they were packed.
const PACKED: [(&[u8], &str); 4] =
    [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz")];

/// The messages of files and folders.
///
/// # Errors
/// There are none.
pub(super) fn named(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let files = files(paths)?;
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    anyhow::ensure!(!files.is_empty(), "there are no messages in {}", names.join(", "));
    Ok(files)
}

/// Calls `work` on the octets of each file, on all processors, and `take` on each result, in the order of the files. What cannot be read
/// is told on standard error and left out.
pub(super) fn each<T: Send>(
    files: &[PathBuf],
    work: impl Fn(&Path, &[u8]) -> T + Sync,
    mut take: impl FnMut(&Path, T) -> anyhow::Result<()>,
) -> anyhow::Result<Unread> {
    let bar = progress(files.len());
    let next = AtomicUsize::new(0);
    let (results, finished) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let mut unread = Unread::default();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (results, next, work) = (results.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(number) else { return };
                    let result = read(file).map(|octets| work(file, &octets));
                    if results.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut waiting = BTreeMap::new();
        let mut in_order = files.iter();
        let mut awaited = 0;
        for (number, result) in finished {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&awaited) {
                let Some(file) = in_order.next() else { break };
                awaited += 1;
                bar.inc(1);
                bar.suspend(|| match result {
                    Ok(result) => take(file, result),
                    Err(error) => {
                        unread.add(&error);
                        Ok(())
                    }
                })?;
            }
        }
        bar.finish_and_clear();
        unread.tell();
        Ok(unread)
    })
}

/// Files that were left out because they could not be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unread {
    count: usize,
    /// Mailboxes are in use: their servers rename and delete messages all the time.
    gone: usize,
}

impl Unread {
    pub(super) fn add(&mut self, error: &anyhow::Error) {
        let cause = error.root_cause().downcast_ref::<std::io::Error>();
        if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound) {
            self.gone += 1;
            return;
        }
        self.count += 1;
        if self.count <= UNREAD_SHOWN {
            eprintln!("tidegate: left out: {error:#}");
        }
    }

    pub(super) fn and(self, other: Unread) -> Unread {
        Unread { count: self.count + other.count, gone: self.gone + other.gone }
    }

    /// Says how many there were besides those that were named.
    pub(super) fn tell(self) {
        if self.count > UNREAD_SHOWN {
            eprintln!("tidegate: left out: {} messages more", self.count - UNREAD_SHOWN);
        }
        if self.gone > 0 {
            eprintln!("tidegate: left out: {} messages that were moved or deleted meanwhile", self.gone);
        }
    }

    /// How a verb ends that would have ended well: what was not read is not known.
    pub(super) fn or(self, ended: Ended) -> Ended {
        if self.count > 0 && ended == Ended::Done { Ended::BadInput } else { ended }
    }
}

/// The octets of a message; `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let octets = octets(file).with_context(|| format!("cannot read {}", file.display()))?;
    if let Some(packer) = PACKED.iter().find(|(start, _)| octets.starts_with(start)) {
        anyhow::bail!("{} is packed by {}; unpack it first", file.display(), packer.1);
    }
    if is_mbox(&octets) {
        anyhow::bail!(
            "{} is an mbox with several messages; make one file of each first, for example with `formail -s` or `git mailsplit`",
            file.display()
        );
    }
    Ok(octets)
}

fn octets(file: &Path) -> std::io::Result<Vec<u8>> {
    let too_large = || {
        let message = format!("it is larger than {} MB, so it is no single message", OCTETS_MAX >> 20);
        std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)
    };
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let opened = std::fs::File::open(file)?;
        if opened.metadata()?.len() > OCTETS_MAX {
            return Err(too_large());
        }
        Box::new(opened)
    };
    let mut octets = Vec::new();
    reader.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).is_ok_and(|len| len <= OCTETS_MAX) { Ok(octets) } else { Err(too_large()) }
}

/// Whether the file begins as mailboxes do and holds a second message. One message with such a first line is what some programs deliver.
fn is_mbox(octets: &[u8]) -> bool {
    const SEPARATOR: &[u8] = b"\nFrom ";
    if !octets.starts_with(b"From ") {
        return false;
    }
    memchr::memmem::find_iter(octets, SEPARATOR).any(|at| {
        let before = octets.get(..at).unwrap_or_default();
        let mut lines = octets.get(at + 1..).unwrap_or_default().split(|octet| *octet == b'\n');
        let (line, next) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        (before.ends_with(b"\n") || before.ends_with(b"\n\r")) && has_time(line) && begins_field(next)
    })
}

/// `12:30` is in the line.
fn has_time(line: &[u8]) -> bool {
    line.windows(5)
        .any(|part| matches!(part, [a, b, b':', c, d] if [a, b, c, d].iter().all(|octet| octet.is_ascii_digit())))
}

fn begins_field(line: &[u8]) -> bool {
    let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
    !name.is_empty() && name.len() < line.len() && name.iter().all(u8::is_ascii_graphic)
}

/// Where a rule hit, and on which text; both are safe to show.
pub(super) struct Seen {
    pub(super) at: String,
    pub(super) text: String,
}

/// What a hit was found on. `has_hit` says of the parts of metas whether they hit.
pub(super) fn seen(name: &str, hit: &Hit, parsed: &Parsed, input: &Input<'_>, has_hit: &dyn Fn(&str) -> bool) -> Seen {
    let evidence = hit.evidence.as_slice();
    let seen = |at: &str| Seen { at: at.to_owned(), text: shown(evidence) };
    match parsed.rules.get(name).map(|definition| &definition.test) {
        Some(Test::Header { request, is_negated, .. }) if *is_negated || evidence.is_empty() => {
            Seen { at: format!("header {}", request.name), text: String::new() }
        }
        Some(Test::Header { request, .. } | Test::HeaderExists(request)) => seen(&format!("header {}", request.name)),
        Some(Test::Text(kind, _)) => in_text(*kind, evidence, input),
        Some(Test::MimeHeader { field, .. }) => seen(&format!("header {field} of a part")),
        Some(Test::UriDetail(_)) => seen("link"),
        Some(Test::Eval { function, .. }) => seen(function),
        Some(Test::AskDns { .. }) => seen("DNS"),
        Some(Test::Meta(expression)) => {
            let mut parts: Vec<&str> = Vec::new();
            expression.names(&mut |part: &String| {
                if matching_glob(part).is_none() && has_hit(part) && !parts.contains(&part.as_str()) {
                    parts.push(part);
                }
            });
            Seen { at: "rules".to_owned(), text: parts.join(" ") }
        }
        Some(Test::Empty) | None => seen(""),
    }
}

fn in_text(kind: TextKind, evidence: &[u8], input: &Input<'_>) -> Seen {
    let find = |texts: &[Vec<u8>]| -> Option<(usize, String)> {
        texts.iter().enumerate().find_map(|(index, text)| Some((index, around(text, evidence)?)))
    };
    let unknown = || (None, shown(evidence));
    let (number, text) = match kind {
        TextKind::Body => find(&input.body).map_or_else(unknown, |(index, text)| (Some(index), text)),
        TextKind::RawBody => find(&input.rawbody).map_or_else(unknown, |(index, text)| (Some(index), text)),
        TextKind::Full => around(&input.pristine, evidence).map_or_else(unknown, |text| (None, text)),
        TextKind::Uri => {
            let mut links = input.uris.iter().flat_map(|uri| &uri.cleaned);
            let link = links.find(|link| around(link, evidence).is_some());
            link.map_or_else(unknown, |link| (None, shown(link)))
        }
    };
    let at = match (kind, number) {
        (TextKind::Body, Some(0)) => "subject".to_owned(),
        (TextKind::Body, Some(number)) => format!("body, paragraph {number}"),
        (TextKind::Body, None) => "body".to_owned(),
        (TextKind::RawBody, Some(number)) => format!("raw body, chunk {}", number + 1),
        (TextKind::RawBody, None) => "raw body".to_owned(),
        (TextKind::Full, _) => "whole message".to_owned(),
        (TextKind::Uri, _) => "link".to_owned(),
    };
    Seen { at, text }
}

/// The match with some text around it, itself between « and ».
fn around(text: &[u8], evidence: &[u8]) -> Option<String> {
    let at = memmem(text, evidence)?;
    let end = at + evidence.len();
    let from = at.saturating_sub(AROUND_OCTETS_MAX);
    let to = end.saturating_add(AROUND_OCTETS_MAX).min(text.len());
    let piece = |from, to| shown_as_is(text.get(from..to).unwrap_or_default());
    Some(format!("{}«{}»{}", piece(from, at), piece(at, end), piece(end, to)))
}

/// Like [`shown`], but a space at an end stays: words must not grow together with the marks.
fn shown_as_is(octets: &[u8]) -> String {
    let space = |is_there: bool| if is_there { " " } else { "" };
    let inner = shown(octets);
    let is_space = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_whitespace);
    if inner.is_empty() {
        return space(!octets.is_empty()).to_owned();
    }
    format!("{}{inner}{}", space(is_space(octets.first())), space(is_space(octets.last())))
}

fn memmem(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return None;
    }
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_single_message_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let message = "From: a@good.example\nSubject: t\n\nFrom here to 12:30 there\n";
        let line = "From a@good.example Wed Nov 25 12:30:00 2026\n";
        for (name, octets, said, why) in [
            ("a.eml", message.into(), None, "a message"),
            ("b.eml", [line, message].concat(), None, "a message as it is delivered into an mbox"),
            ("c.eml", [line, message, "\nFrom here\nThere: at 12:30"].concat(), None, "a line of its text"),
            ("mbox", [line, message, "\n", line, message].concat(), Some("is an mbox"), "two"),
            ("crlf", [line, message, "\n", line, message].concat().replace('\n', "\r\n"), Some("is an mbox"), "CRLF"),
            ("1,Z", "\u{1f}".to_owned(), None, "one octet"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, octets).unwrap();
            let error = read(&path).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), said.is_some(), "{why}: {error:?}");
            assert!(said.is_none_or(|said| error.unwrap().contains(said)), "{why}");
        }
        let packed = folder.path().join("2,Z");
        std::fs::write(&packed, b"\x1f\x8b\x08").unwrap();
        assert!(read(&packed).unwrap_err().to_string().ends_with("is packed by gzip; unpack it first"));
        let huge = folder.path().join("huge");
        std::fs::File::create(&huge).unwrap().set_len(2 << 30).unwrap();
        assert!(format!("{:#}", read(&huge).unwrap_err()).contains("larger than 64 MB"));
        let endless = format!("{:#}", read(Path::new("/dev/zero")).unwrap_err());
        assert!(endless.contains("larger than 64 MB"), "{endless}");
    }

    /// One message that cannot be read must not cost the work on all others.
    #[test]
    fn what_cannot_be_read_is_left_out_and_told_by_the_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a"), "a").unwrap();
        let files = [at("a"), at("gone"), folder.path().to_owned(), at("a")];
        let mut seen = Vec::new();
        let unread = each(
            &files,
            |_, octets| octets.to_vec(),
            |file, octets| {
                seen.push((file.to_owned(), octets));
                Ok(())
            },
        );
        assert_eq!(seen, [(at("a"), b"a".to_vec()), (at("a"), b"a".to_vec())]);
        let unread = unread.unwrap();
        assert_eq!((unread.count, unread.gone, unread.or(Ended::Done)), (1, 1, Ended::BadInput));
        assert_eq!(Unread { count: 0, gone: 9 }.or(Ended::Found), Ended::Found, "moved by the mail server meanwhile");
    }
}
