//! From files to a compiled set, with all that was remarked on the way.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use ipnet::IpNet;
use jiff::Timestamp;
use siphasher::sip::SipHasher13;
use tidegate_rules::language::source::{Diagnostic, Severity, SourceFile};
use tidegate_rules::language::{ParseOptions, conditions, parse};
use tidegate_rules::settings::NetEntry;
use tidegate_rules::{Analyses, CompileOptions, RuleSet, compile_with, shipped};

use super::Config;
use super::files::{self, Stamps};

/// Largest file that is read; KAM's, the largest known, has 1 MB.
const FILE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// Errors of one file that are named.
const ERRORS_NAMED_MAX: usize = 10;

/// What rule files came to.
pub struct Loaded {
    /// The compiled set.
    pub set: Arc<RuleSet>,
    /// The files that were read, in order.
    pub names: Vec<String>,
    /// Files that others included, also those that are not there.
    pub included: Vec<PathBuf>,
    /// The files as they were just before they were read.
    pub stamps: Stamps,
    /// Files that are named but cannot be read, and claims that are none.
    pub unreadable: Vec<String>,
    /// Remarks of parser and compiler.
    pub remarks: Vec<Diagnostic>,
    /// Stands for all texts and for how they were compiled.
    pub hash: u64,
    /// When it was ready.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub load_ms: u64,
}

impl Loaded {
    /// What is broken: files that cannot be read, and lines that were left out. Of each file the first few are named and the others
    /// counted: a file that is none of rules has a thousand.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = self.unreadable.clone();
        let mut left_out: Vec<(&str, usize)> = Vec::new();
        let (mut file, mut named) = ("", 0_usize);
        for remark in self.remarks.iter().filter(|remark| remark.severity == Severity::Error) {
            if file != &*remark.place.file {
                (file, named) = (&remark.place.file, 0);
            }
            named += 1;
            if named <= ERRORS_NAMED_MAX {
                errors.push(format!("{}: {}", remark.place, remark.message));
            } else {
                match left_out.iter_mut().find(|(known, _)| *known == file) {
                    Some((_, count)) => *count += 1,
                    None => left_out.push((file, 1)),
                }
            }
        }
        errors.extend(left_out.iter().map(|(file, count)| format!("{file}: and {count} more lines that are no rules")));
        errors
    }

    /// What works otherwise than its author may think.
    pub fn warnings(&self) -> Vec<String> {
        self.shown(Severity::Warning)
    }

    fn shown(&self, severity: Severity) -> Vec<String> {
        let wanted = self.remarks.iter().filter(|remark| remark.severity == severity);
        wanted.map(|remark| format!("{}: {}", remark.place, remark.message)).collect()
    }

    /// Scored rules that can hit.
    pub fn live(&self) -> usize {
        self.set.rules().iter().filter(|rule| !rule.is_subtest() && rule.can_hit()).count()
    }
}

/// A file that holds what was found out about patterns: with it, loading takes a tenth of the time.
#[derive(Clone, Copy, Debug)]
pub enum Cache<'a> {
    /// It is read, and written when something new was found out: the daemon's way.
    Kept(&'a Path),
    /// It is read only: who just looks leaves nothing behind.
    Read(&'a Path),
}

impl<'a> Cache<'a> {
    fn path(self) -> &'a Path {
        match self {
            Cache::Kept(path) | Cache::Read(path) => path,
        }
    }
}

/// Reads and compiles the rules of `config`. `trusted` are the networks of relays that count as ours, unless the files name some. Takes
/// half a second with SpamAssassin's stock rules, so it is no work for a thread that answers. Never fails: what cannot be read is in
/// [`Loaded::errors`].
pub fn load(config: &Config, trusted: &[IpNet], cache: Cache<'_>) -> Loaded {
    let began = Instant::now();
    // Before the texts are read: a file that changes meanwhile is then seen to have changed.
    let stamps = Stamps::of(config, &[]);
    let (mut sources, mut unreadable) = read(config);
    let (claims, wrong) = config.claimed();
    unreadable.extend(wrong);
    let names = sources.iter().map(|source| source.name.clone()).collect();
    if !sources.iter().any(|source| source.name.ends_with(".pre")) {
        sources.insert(0, every_plugin());
    }
    let included = RefCell::new(Vec::new());
    let include = |name: &str, from: &str| {
        let (path, source) = self::included(name, from);
        let text = source.as_ref().map_or_else(|_| Vec::new(), |source| source.text.clone());
        included.borrow_mut().push((path, text));
        source
    };
    let options = ParseOptions { local_tests_only: !config.dns, claims, ..ParseOptions::default() };
    let mut parsed = parse(&sources, &options, &include);
    if parsed.settings.networks.trusted.is_empty() && parsed.settings.networks.internal.is_empty() {
        parsed.settings.networks.trusted =
            trusted.iter().map(|net| NetEntry { net: *net, is_excluded: false }).collect();
    }
    let mut remarks = std::mem::take(&mut parsed.diagnostics);
    let mut analyses = read_cache(cache.path());
    let options = CompileOptions { network: config.dns, classifier: false };
    let (set, more) = compile_with(parsed, options, &mut analyses);
    if let Cache::Kept(path) = cache
        && analyses.is_changed()
        && config.enabled
    {
        // Without the file the next start takes longer, and that is all.
        let _ = write_cache(path, &analyses);
    }
    remarks.extend(more);
    let included = included.into_inner();
    let texts = sources.iter().map(|source| source.text.as_slice());
    let hash = hash(config, trusted, texts.chain(included.iter().map(|(_, text)| text.as_slice())));
    let included: Vec<PathBuf> = included.into_iter().map(|(path, _)| path).collect();
    Loaded {
        set: Arc::new(set),
        names,
        stamps: if included.is_empty() { stamps } else { Stamps::of(config, &included) },
        included,
        unreadable,
        remarks,
        hash,
        at: Timestamp::now(),
        load_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// What an earlier start found out. A file that is absent, damaged or of another version is as good as none.
fn read_cache(path: &Path) -> Analyses {
    let octets = read_file(path).map(|file| file.text).unwrap_or_default();
    Analyses::read(&octets).unwrap_or_default()
}

/// Replaces the file as a whole: whoever reads it meanwhile has the old one.
fn write_cache(path: &Path, analyses: &Analyses) -> std::io::Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    std::fs::write(&new, analyses.write())?;
    std::fs::rename(&new, path)
}

/// All texts in order, and what cannot be read.
pub(crate) fn read(config: &Config) -> (Vec<SourceFile>, Vec<String>) {
    if !config.enabled {
        return (Vec::new(), Vec::new());
    }
    let mut sources = if config.shipped { shipped::files() } else { Vec::new() };
    let (found, mut unreadable) = files::found(config);
    for path in found {
        match read_file(&path) {
            Ok(source) => sources.push(source),
            Err(error) => unreadable.push(format!("{}: {error}", path.display())),
        }
    }
    (sources, unreadable)
}

/// The texts of files and folders that somebody names by hand, in the order in which they are read.
///
/// # Errors
/// One of them cannot be read, or is a folder without rules.
pub(crate) fn read_named(paths: &[PathBuf]) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        let found = files::of_path(path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(!found.is_empty(), "{} holds no .cf or .pre file", path.display());
        files.extend(found);
    }
    let read = |path: PathBuf| {
        let source = if paths.contains(&path) { read_text(&path) } else { read_file(&path) };
        source.with_context(|| format!("cannot read {}", path.display()))
    };
    files::plugins_first(files).into_iter().map(read).collect()
}

/// What an `include` line in the file `from` names, and its text or why it cannot be read; relative names begin in that file's folder.
pub(crate) fn included(name: &str, from: &str) -> (PathBuf, Result<SourceFile, String>) {
    let path = Path::new(from).parent().unwrap_or(Path::new("")).join(name);
    let source = read_file(&path).map_err(|error| format!("{}: {error}", path.display()));
    (path, source)
}

/// Reads a file that nobody watches being read: what is no file could keep the daemon waiting, or never end.
fn read_file(path: &Path) -> std::io::Result<SourceFile> {
    let kind = std::fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() { "it is a folder" } else { "it is no file but a pipe, socket or device" };
        return Err(std::io::Error::other(what));
    }
    read_text(path)
}

/// Reads what somebody names by hand, who may well name a pipe (`<(…)`).
fn read_text(path: &Path) -> std::io::Result<SourceFile> {
    let mut text = Vec::new();
    std::fs::File::open(path)?.take(FILE_OCTETS_MAX + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).map_or(true, |len| len > FILE_OCTETS_MAX) {
        let message = format!("it is larger than {} MB, so it is no rule file", FILE_OCTETS_MAX >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    Ok(SourceFile { name: path.display().to_string(), text })
}

/// Rules behind this plugin ask other sites where a short link leads, which nothing here does; the stock set has rules in their place for
/// where it is not loaded.
const ASKS_OTHER_SITES: &str = "Mail::SpamAssassin::Plugin::DecodeShortURLs";

/// Where no `.pre` file says which plugins are loaded, all are that do their work here.
pub(crate) fn every_plugin() -> SourceFile {
    let loaded = conditions::plugins().filter(|plugin| plugin != ASKS_OTHER_SITES);
    let lines: Vec<String> = loaded.map(|plugin| format!("loadplugin {plugin}\n")).collect();
    SourceFile { name: "built-in.pre".to_owned(), text: lines.concat().into_bytes() }
}

fn hash<'t>(config: &Config, trusted: &[IpNet], texts: impl Iterator<Item = &'t [u8]>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write_u8(u8::from(config.dns));
    config.claims.iter().for_each(|claim| claim.hash(&mut hasher));
    trusted.iter().for_each(|net| hasher.write(net.to_string().as_bytes()));
    for text in texts {
        hasher.write_usize(text.len());
        hasher.write(text);
    }
    hasher.finish()
}
