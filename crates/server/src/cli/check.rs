//! `tidegate check`: the whole judgement on messages that lie in files, one or a corpus, without a mail server.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tidegate_filter::dns::Resolver;
use tidegate_filter::engine::Engine;
use tidegate_filter::store::Memory;
use tidegate_filter::world::{Clock, World};
use tidegate_mail::Address;

use super::Ended;
use crate::config::Config;
use crate::daemon::SystemClock;
use crate::dns::Dns;
use crate::dns::zone::{Offline, Zone};

mod judge;
pub(super) mod labels;
mod report;

/// Messages from this many on show a progress bar.
const PROGRESS_FROM: usize = 20;

#[derive(Args)]
pub(super) struct Arguments {
    /// Messages: files, folders (with all below), or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The client's address; else the first hop of the Received chain that is not internal.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// What the client called itself.
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// The client's reverse name, taken as confirmed.
    #[arg(long, value_name = "NAME")]
    rdns: Option<String>,
    /// The envelope sender; `<>` for the null path. Else Return-Path.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// An envelope recipient; may stand several times. Else Delivered-To or To.
    #[arg(long, value_name = "ADDRESS")]
    rcpt: Vec<Address>,
    /// A master file (RFC 1035) that answers all of DNS; what it lacks does not exist.
    #[arg(long, value_name = "ZONEFILE", conflicts_with = "offline")]
    dns: Option<PathBuf>,
    /// Rule files, or folders with some, in place of those of the configuration; may stand several times.
    #[arg(long, value_name = "PATH")]
    rules: Vec<String>,
    /// Ask no DNS: identity is `none` unless given.
    #[arg(long)]
    offline: bool,
    /// A table with the recorded session of each message; its `ref_*` columns stand for identity results.
    #[arg(long, value_name = "TSV")]
    labels: Option<PathBuf>,
    /// One JSON object a message.
    #[arg(long)]
    json: bool,
    /// Every finding with its points and evidence.
    #[arg(long, conflicts_with = "json")]
    explain: bool,
}

pub(super) fn run(config_path: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let mut config = config(config_path)?;
    change_rules(&mut config.rules, arguments);
    let rules = config.look_at_rules();
    rules.errors().iter().for_each(|error| eprintln!("tidegate: {error}"));
    let is_lost = !rules.unreadable.is_empty() || rules.names.is_empty();
    anyhow::ensure!(arguments.rules.is_empty() || !is_lost, "--rules leads to no rules that can be read");
    let engine = Arc::new(config.engine(config_path, Some(&rules))?);
    let labels = arguments.labels.as_deref().map(labels::Labels::read).transpose()?;
    let files = files(&arguments.paths)?;
    let progress = progress(files.len());
    let next = AtomicUsize::new(0);
    let (results, finished) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let mut ended = Ended::Done;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        for _ in 0..workers {
            let (results, next, files, labels) = (results.clone(), &next, &files, labels.as_ref());
            let (engine, config) = (Arc::clone(&engine), &config);
            scope.spawn(move || work(arguments, config, &engine, labels, files, next, &results));
        }
        drop(results);
        ended = print_in_order(&finished, arguments, &progress)?;
        Ok(())
    })?;
    progress.finish_and_clear();
    Ok(ended)
}

/// What the flags say about rules: without DNS, SpamAssassin's scores for local tests apply.
fn change_rules(rules: &mut crate::rules::Config, arguments: &Arguments) {
    rules.dns &= !arguments.offline;
    if !arguments.rules.is_empty() {
        (rules.enabled, rules.shipped) = (true, false);
        rules.files.clone_from(&arguments.rules);
    }
}

type Numbered = (usize, anyhow::Result<report::Report>);

/// Takes one file after the other until none is left. Each worker has a runtime of its own: a message never waits for
/// another one's DNS.
fn work(
    arguments: &Arguments,
    config: &Config,
    engine: &Arc<Engine>,
    labels: Option<&labels::Labels>,
    files: &[PathBuf],
    next: &AtomicUsize,
    results: &mpsc::Sender<Numbered>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outside = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let dns = runtime.block_on(async { resolver(arguments, config) })?;
        Ok((runtime, dns))
    });
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = files.get(number) else { return };
        let report = match &outside {
            Ok((runtime, dns)) => {
                let judge = judge::Judge { arguments, config, engine, labels, dns };
                runtime.block_on(judge.judge(file))
            }
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        if results.send((number, report)).is_err() {
            return;
        }
    }
}

fn resolver(arguments: &Arguments, config: &Config) -> anyhow::Result<Arc<dyn Resolver>> {
    if arguments.offline {
        return Ok(Arc::new(Offline));
    }
    match &arguments.dns {
        Some(zone) => Ok(Arc::new(Zone::read(zone)?)),
        None => Ok(Arc::new(Dns::new(&config.dns)?)),
    }
}

/// Prints results in the order of the files, however they come in.
fn print_in_order(
    finished: &mpsc::Receiver<Numbered>,
    arguments: &Arguments,
    progress: &ProgressBar,
) -> anyhow::Result<Ended> {
    let mut waiting = std::collections::BTreeMap::new();
    let mut next = 0;
    let mut ended = Ended::Done;
    for (number, report) in finished {
        waiting.insert(number, report);
        while let Some(report) = waiting.remove(&next) {
            next += 1;
            progress.inc(1);
            let report = report?;
            if report.is_spam() && ended == Ended::Done {
                ended = Ended::Found;
            }
            let text = report.shown(arguments.json, arguments.explain)?;
            progress.suspend(|| println!("{text}"));
        }
    }
    Ok(ended)
}

pub(super) fn progress(files: usize) -> ProgressBar {
    if files < PROGRESS_FROM || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(files).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{pos}/{len} messages {wide_bar} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The configuration; without a file at the default place, what applies when nothing is said.
pub(super) fn config(path: &Path) -> anyhow::Result<Config> {
    if path == Path::new(crate::config::DEFAULT_PATH) && !path.exists() {
        return Ok(Config::parse("[server]\nhostname = \"localhost\"\n[panel]\nkind = \"static\"\n", path)?);
    }
    Ok(Config::read(path)?)
}

/// All files named or found, in a stable order.
///
/// # Errors
/// A path leads to nothing, or a folder cannot be listed.
pub(super) fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, &mut files)?;
        } else {
            // Said before the work on others begins.
            if path != Path::new("-") {
                std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
            }
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries: Vec<PathBuf> = Vec::new();
    let cannot = || format!("cannot list the folder {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot)? {
        entries.push(entry.with_context(cannot)?.path());
    }
    entries.sort();
    for entry in entries {
        // A link could lead out of the folder, or round in a circle.
        if entry.is_symlink() {
            continue;
        }
        if entry.is_dir() {
            collect(&entry, files)?;
        } else if entry.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

/// An outside of its own for each message: what one message teaches must not change the next one's verdict. `received` is
/// when a recorded session took place; else the message comes in now.
fn world(dns: &Arc<dyn Resolver>, panel: crate::panels::Snapshot, received: Option<Timestamp>) -> World {
    let clock: Arc<dyn Clock> = match received {
        Some(moment) => Arc::new(Recorded(moment)),
        None => Arc::new(SystemClock),
    };
    World { clock, dns: Arc::clone(dns), store: Arc::new(Memory::new()), panel: Arc::new(panel) }
}

/// The time of a recorded session: it stands.
struct Recorded(Timestamp);

impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        self.0
    }
}
