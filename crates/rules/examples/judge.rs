//! The rules alone, in a process of their own, to be measured: rule files of folders over messages of a folder, or over those that
//! come to a socket in spamd's protocol (`SYMBOLS` only). No DNS, no classifier, as `spamd -L`.
//!
//! `judge RULES… --over FOLDER [--rounds N] [--only read|match]` or `judge RULES… --listen ADDRESS`; RULES are folders with `.pre` and
//! `.cf` files. `--cache FILE` keeps what is found out about patterns. `cargo xtask bench rules` calls it, and so does callgrind: docs/decisions/rule-matching.md.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool for developers that reads files and the clock"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Analyses, Answers, CompileOptions, Context, Input, RuleSet, compile_with};

/// Largest message that is read.
const MESSAGE_OCTETS_MAX: usize = 64 << 20;
/// Threads that serve: as many as the peers' processes.
const WORKERS: usize = 2;

fn main() -> io::Result<()> {
    let mut folders = Vec::new();
    let (mut listen, mut over, mut rounds, mut only, mut cache) = (None, None, 1, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| io::Error::other(format!("{argument} wants a value")));
        match argument.as_str() {
            "--listen" => listen = Some(value()?),
            "--over" => over = Some(PathBuf::from(value()?)),
            "--rounds" => rounds = value()?.parse().map_err(io::Error::other)?,
            "--cache" => cache = Some(PathBuf::from(value()?)),
            "--only" => only = Some(value()?),
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    let begun = Instant::now();
    let mut files = Vec::new();
    for folder in &folders {
        files.extend(rule_files(folder)?);
    }
    let read = begun.elapsed();
    let options = ParseOptions { local_tests_only: true, ..ParseOptions::default() };
    let parsed = parse(&files, &options, &no_includes);
    let parsing = begun.elapsed() - read;
    let mut analyses = read_cache(cache.as_deref());
    let (set, _) = compile_with(parsed, CompileOptions::default(), &mut analyses);
    if let Some(path) = cache.filter(|_| analyses.is_changed()) {
        std::fs::write(path, analyses.write())?;
    }
    drop(analyses);
    let compiling = begun.elapsed() - read - parsing;
    eprintln!("{} files: read {read:.1?}, parsed {parsing:.1?}, compiled {compiling:.1?}", files.len());
    match (listen, over) {
        (Some(address), _) => serve(&set, &address),
        (_, Some(folder)) => judge_all(&set, &folder, rounds, only.as_deref()),
        _ => Err(io::Error::other("what to do? --listen ADDRESS or --over FOLDER")),
    }
}

/// An absent file, and one that cannot be used, are as good as none.
fn read_cache(path: Option<&Path>) -> Analyses {
    let octets = path.and_then(|path| std::fs::read(path).ok());
    octets.and_then(|octets| Analyses::read(&octets).ok()).unwrap_or_default()
}

/// Plugins first, then rules, each by name: the order of SpamAssassin.
fn rule_files(folder: &Path) -> io::Result<Vec<SourceFile>> {
    let mut paths = paths_below(folder)?;
    let extension = |path: &Path| path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    paths.retain(|path| matches!(&*extension(path), "pre" | "cf"));
    paths.sort_by_key(|path| (extension(path) == "cf", path.clone()));
    let read = |path: &PathBuf| Ok(SourceFile { name: path.display().to_string(), text: std::fs::read(path)? });
    paths.iter().map(read).collect()
}

fn paths_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
        }
    }
    paths.sort();
    Ok(paths)
}

fn judge_all(set: &RuleSet, folder: &Path, rounds: u32, only: Option<&str>) -> io::Result<()> {
    let messages: Vec<Vec<u8>> = paths_below(folder)?.iter().map(std::fs::read).collect::<io::Result<_>>()?;
    for _ in 1..rounds {
        judge_each(set, &messages, only);
    }
    let (reading, matching, hits) = last_round(set, &messages, only);
    let count = f64::from(u32::try_from(messages.len()).unwrap_or(u32::MAX));
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / count;
    println!(
        "{} messages, {hits} hits; wall ms a message: reading {:.3}, matching {:.3}",
        messages.len(),
        each(reading),
        each(matching)
    );
    Ok(())
}

/// Apart from the rounds before, so that callgrind can be told to count only here (`--toggle-collect`).
#[inline(never)]
fn last_round(set: &RuleSet, messages: &[Vec<u8>], only: Option<&str>) -> (Duration, Duration, usize) {
    judge_each(set, messages, only)
}

fn judge_each(set: &RuleSet, messages: &[Vec<u8>], only: Option<&str>) -> (Duration, Duration, usize) {
    let (mut reading, mut matching, mut hits) = (Duration::ZERO, Duration::ZERO, 0);
    for message in messages {
        let begun = Instant::now();
        let input = Input::from_octets(message, &Context::default(), set.settings());
        reading += begun.elapsed();
        if only != Some("read") {
            let begun = Instant::now();
            let matches = set.hits(&input, &Answers::default());
            matching += begun.elapsed();
            hits += matches.hits.len() + matches.subtests.len();
        }
    }
    (reading, matching, hits)
}

fn serve(set: &RuleSet, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Ok((stream, _)) = listener.accept() {
                    // A client that goes away is its own affair.
                    let _ = answer(set, stream);
                }
            });
        }
    });
    Ok(())
}

fn answer(set: &RuleSet, stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut message = vec![0; length.min(MESSAGE_OCTETS_MAX)];
    reader.read_exact(&mut message)?;
    let input = Input::from_octets(&message, &Context::default(), set.settings());
    let matches = set.hits(&input, &Answers::default());
    let names: Vec<&str> =
        matches.hits.iter().filter_map(|hit| Some(&*set.rules().get(hit.rule.index())?.name)).collect();
    let body = format!("{}\r\n", names.join(","));
    let length = body.len();
    let reply = format!(
        "SPAMD/1.1 0 EX_OK\r\nContent-length: {length}\r\nSpam: False ; {} / 5.0\r\n\r\n{body}",
        matches.score()
    );
    (&stream).write_all(reply.as_bytes())
}
