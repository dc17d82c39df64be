//! `tidegate rules`: SpamAssassin rule files checked, explained and tried on messages, without a running daemon.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tidegate_filter::check::Evidence;
use tidegate_rules::language::conditions::Claims;
use tidegate_rules::language::source::{Diagnostic, Severity, SourceFile};
use tidegate_rules::language::{ParseOptions, Parsed, parse};
use tidegate_rules::{Analyses, CompileOptions, RuleSet, compile_with};

use super::{Ended, check as check_mail};
use crate::rules;

mod bench;
mod check;
mod explain;
mod lint;
mod messages;
mod propose;
mod test;
mod trial;
mod update;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Finds mistakes in rule files; exit code 1 if there are errors.
    Check(check::Arguments),
    /// Shows which rules hit messages, where, and on which text.
    Test(test::Arguments),
    /// Explains one rule: what it tests, what guards it, what needs it.
    Explain(explain::Arguments),
    /// Tries new rules on labelled mail before they are enabled: what they would hit, good mail first.
    Try(trial::Arguments),
    /// Measures which rules cost most on your mail.
    Bench(bench::Arguments),
    /// Proposes rules for mail that was missed. They are written to a file that is not in use.
    Propose(propose::Arguments),
    /// Fetches, proves and enables the newest rules of sa-update channels, or goes back to those before.
    Update(update::Arguments),
}

pub(super) fn run(config: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::Check(arguments) => check::run(config, arguments),
        Verb::Test(arguments) => test::run(config, arguments),
        Verb::Explain(arguments) => explain::run(config, arguments),
        Verb::Try(arguments) => trial::run(config, arguments),
        Verb::Bench(arguments) => bench::run(config, arguments),
        Verb::Propose(arguments) => propose::run(config, arguments),
        Verb::Update(arguments) => update::run(config, arguments),
    }
}

/// Rule files, read and compiled.
struct Loaded {
    /// The texts, those of `include` lines among them.
    sources: Vec<SourceFile>,
    parsed: Parsed,
    set: RuleSet,
    /// What compiling had to remark.
    remarks: Vec<Diagnostic>,
}

impl Loaded {
    /// Reads files and folders; if none is named, what the daemon reads.
    fn read(config: &Path, paths: &[PathBuf]) -> anyhow::Result<Loaded> {
        Ok(Loaded::with(sources(config, paths)?, claims(config), &mut Analyses::default()))
    }

    /// What the texts say by themselves.
    #[cfg(test)]
    fn of(sources: Vec<SourceFile>) -> Loaded {
        Loaded::with(sources, Claims::default(), &mut Analyses::default())
    }

    /// Sooner if `analyses` holds what was found out about the patterns before.
    fn with(mut sources: Vec<SourceFile>, claims: Claims, analyses: &mut Analyses) -> Loaded {
        if !sources.iter().any(|source| source.name.ends_with(".pre")) {
            sources.insert(0, rules::every_plugin());
        }
        let included = RefCell::new(Vec::new());
        let include = |name: &str, from: &str| {
            let (_, file) = rules::included(name, from);
            included.borrow_mut().extend(file.clone());
            file
        };
        let parsed = parse(&sources, &ParseOptions { claims, ..ParseOptions::default() }, &include);
        sources.append(&mut included.into_inner());
        let (set, remarks) = compile_with(parsed.clone(), CompileOptions::default(), analyses);
        Loaded { sources, parsed, set, remarks }
    }

    /// Lines that could not be read: their rules are not in the set.
    fn errors(&self) -> Vec<&Diagnostic> {
        let remarks = self.parsed.diagnostics.iter().chain(&self.remarks);
        remarks.filter(|remark| remark.severity == Severity::Error).collect()
    }

    /// The line that a place is in, as written, without white space around it.
    fn line(&self, file: &str, line: u32) -> String {
        let text = self.sources.iter().find(|source| source.name == file).map_or(&[][..], |source| &source.text);
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let line = text.split(|octet| *octet == b'\n').nth(index).unwrap_or_default();
        String::from_utf8_lossy(line).trim().to_owned()
    }
}

/// The texts of the files and folders named; if none is, those of `[rules]` in the configuration.
fn sources(config: &Path, paths: &[PathBuf]) -> anyhow::Result<Vec<SourceFile>> {
    if !paths.is_empty() {
        return rules::read_named(paths);
    }
    let (sources, unreadable) = rules::read(&check_mail::config(config)?.rules);
    match unreadable.first() {
        Some(error) => anyhow::bail!("{error}; name the files, or mend `[rules] files`"),
        None => Ok(sources),
    }
}

/// What the configuration claims for conditions; files may be checked where there is none.
fn claims(config: &Path) -> Claims {
    check_mail::config(config).map(|config| config.rules.claimed().0).unwrap_or_default()
}

/// Octets of a message as one line that no terminal obeys.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let text: Vec<&str> = text.split_whitespace().collect();
    Evidence::from(text.join(" ")).as_str().to_owned()
}
