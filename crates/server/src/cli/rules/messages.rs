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

use super::shown;
use crate::cli::check::progress;

/// How much of the text around a match is shown on each side.
const AROUND_OCTETS_MAX: usize = 40;

/// Calls `work` on the octets of each file, on all processors, and `take` on each result, in the order of the files.
pub(super) fn each<T: Send>(
    files: &[PathBuf],
    work: impl Fn(&Path, &[u8]) -> T + Sync,
    mut take: impl FnMut(&Path, T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bar = progress(files.len());
    let next = AtomicUsize::new(0);
    let (results, finished) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
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
                bar.suspend(|| take(file, result?))?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    })
}

/// The octets of a message; `-` is standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut octets = Vec::new();
        std::io::stdin().read_to_end(&mut octets).context("cannot read standard input")?;
        return Ok(octets);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
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
