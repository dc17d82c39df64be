//! `tidegate rules propose`: rules for mail that was missed. Here are the files, the journal that says which messages were nearly found, and the file
//! that is written; how rules are found is in `tidegate_rules::propose`. Nothing is enabled: a person does that.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{Access, access};
use serde::Serialize;
use tidegate_filter::verdict::Action;
use tidegate_mail::Score;
use tidegate_rules::propose::{Counts, Draft, Missed, Proposal, Sample};
use tidegate_rules::{Context, Input, Settings};

use super::messages::Unread;
use super::trial::LABELS_NAME;
use super::{Ended, messages};
use crate::cli::check::{self, files};
use crate::config::Config;
use crate::journal::{Query, Reader, Record};
use crate::rules;

/// Good messages below which nothing is proposed: what is in none of a few proves little.
const HAM_MIN: usize = 50;
/// Records of the journal that are looked at for near misses, newest first, and how far back.
const RECORDS_MAX: usize = 10_000;
const NEAR_DAYS: i64 = 30;
/// How far below the threshold is near.
const NEAR: Score = Score::points(1);
/// The name of the file in the state folder that proposals are written to.
const FILE_NAME: &str = "proposed.cf";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Mail that was missed: files, folders, or Maildirs.
    #[arg(long, value_name = "PATH", required_unless_present = "near")]
    missed: Vec<PathBuf>,
    /// Mailboxes: their messages count as missed that the journal records as accepted at most one point below the tag threshold
    /// within 30 days.
    #[arg(long, value_name = "PATH")]
    near: Vec<PathBuf>,
    /// Good mail of these weeks: files, folders, or Maildirs. No proposal hits any of it.
    #[arg(long, value_name = "PATH", required = true)]
    ham: Vec<PathBuf>,
    /// The file to write; `proposed.cf` in the state folder if none is named. It must not be there yet, nor be one that the daemon reads.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object a proposal.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let config = check::config(config)?;
    let out = arguments.out.clone().unwrap_or_else(|| config.state.folder.join(FILE_NAME));
    ensure_can_be_made(&config, &out)?;
    let named = mail(&arguments.missed)?;
    let ham = mail(&arguments.ham)?;
    ensure!(ham.len() >= HAM_MIN, "{} good messages prove too little; name at least {HAM_MIN} with --ham", ham.len());
    let good: HashSet<FileId> = ham.iter().filter_map(|file| id(file)).collect();
    let is_good = |file: &PathBuf| id(file).is_some_and(|id| good.contains(&id));
    if let Some(first) = named.iter().find(|file| is_good(file)) {
        let count = named.iter().filter(|file| is_good(file)).count();
        bail!(
            "{} is named both as missed and as good mail, {count} files in all; name folders with --ham that hold no missed mail",
            first.display()
        );
    }
    ensure!(!named.is_empty() || !arguments.near.is_empty(), "there are no messages in what --missed names");
    let mut near = near(&config, &arguments.near)?;
    near.retain(|file| !is_good(file));
    let missed: Vec<PathBuf> = named.into_iter().chain(near.iter().cloned()).collect();
    ensure!(
        !missed.is_empty(),
        "there is no missed mail: no near miss in what --near names, or all of them are good mail as well"
    );
    let read = read(&missed, &ham)?;
    ensure!(read.missed > 0, "none of the missed messages could be read");
    ensure!(
        read.ham >= HAM_MIN,
        "only {} of the files that --ham names are messages; name at least {HAM_MIN} good ones",
        read.ham
    );
    let (proposals, without) = read.draft.proposals(&read.counts);
    let said = Said {
        missed: read.missed,
        near: near.len(),
        ham: read.ham,
        left_out: read.left_out,
        groups: read.draft.groups(),
        without,
    };
    let text = said.file(&proposals);
    if !proposals.is_empty() {
        write(&out, &text)?;
        eprintln!("tidegate: written to {}; nothing is enabled", out.display());
    } else if !arguments.json {
        eprintln!("tidegate: there is no rule to propose, so no file is written");
    }
    if arguments.json {
        for proposal in &proposals {
            println!("{}", serde_json::to_string(&Line::of(proposal))?);
        }
    } else {
        print!("{text}");
    }
    Ok(read.unread.or(Ended::Done))
}

/// Said before the work begins, which may take minutes: the file must be made anew, where nothing reads it.
fn ensure_can_be_made(config: &Config, out: &Path) -> anyhow::Result<()> {
    let shown = out.display();
    ensure!(
        !rules::would_read(&config.rules, out),
        "{shown} is read by the daemon, so rules there would be in use at once; name another file with --out"
    );
    ensure!(!out.is_dir(), "{shown} is a folder; name a file with --out");
    ensure!(
        out.symlink_metadata().is_err(),
        "{shown} is there already, and somebody may still need it; move it away, or name another file with --out"
    );
    let folder = out.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("{shown} cannot be written; name another file with --out"))
}

/// Which file it is, by whatever name: device and inode.
type FileId = (u64, u64);

fn id(file: &Path) -> Option<FileId> {
    std::fs::metadata(file).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The messages of files, folders and Maildirs: of what lies in a Maildir only what is in its `cur` and `new`, not the indexes and notes of a
/// mail server; nor a table of labels.
fn mail(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = files(paths)?;
    files.retain(|file| file.file_name().is_none_or(|name| name != LABELS_NAME));
    let in_maildir = |file: &Path| {
        let folder = file.parent()?;
        folder.file_name().is_some_and(|name| name == "cur" || name == "new").then_some(())?;
        Some(folder.parent()?.to_owned())
    };
    let maildirs: HashSet<PathBuf> = files.iter().filter_map(|file| in_maildir(file)).collect();
    let is_message = |file: &PathBuf| {
        in_maildir(file).is_some() || !file.ancestors().skip(1).any(|folder| maildirs.contains(folder))
    };
    Ok(files.into_iter().filter(is_message).collect())
}

/// The messages of `mailboxes` that the journal knows as near misses. It keeps no text, so the text comes from the mailboxes.
fn near(config: &Config, mailboxes: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    if mailboxes.is_empty() {
        return Ok(Vec::new());
    }
    let since = Timestamp::now() - SignedDuration::from_hours(24 * NEAR_DAYS);
    let folder = config.journal_folder();
    let found = Reader::new(&folder).find(&Query::newest(RECORDS_MAX).since(since))?;
    for gap in &found.gaps {
        eprintln!("tidegate: near misses may be lacking: {gap}");
    }
    let records = found.entries.iter().map(|entry| &entry.record).filter(|record| is_near(record));
    let ids: HashSet<&str> = records.filter_map(|record| record.message_id.as_deref()).collect();
    if ids.is_empty() {
        eprintln!("tidegate: the journal in {} knows no near miss of the last {NEAR_DAYS} days", folder.display());
    }
    let files = mail(mailboxes)?;
    let mut near = Vec::new();
    let id = |_: &Path, octets: &[u8]| {
        let input = message(octets)?;
        let field = input.headers.iter().find(|field| field.name.eq_ignore_ascii_case(b"message-id"));
        field.map(|field| String::from_utf8_lossy(&field.decoded).trim().trim_matches(['<', '>']).to_owned())
    };
    messages::each(&files, id, |file, id| {
        near.extend(id.filter(|id| ids.contains(id.as_str())).map(|_| file.to_owned()));
        Ok(())
    })?;
    Ok(near)
}

/// Whether a message was let in for somebody, just below what tags.
fn is_near(record: &Record) -> bool {
    let recipients = record.brief.recipients.iter().zip(&record.verdict.recipients);
    recipients
        .filter(|(_, ruled)| ruled.action == Action::Accept)
        .any(|(brief, ruled)| brief.thresholds.tag.is_some_and(|tag| (tag - NEAR..tag).contains(&ruled.score)))
}

/// What reading all mail came to.
struct Read {
    draft: Draft,
    counts: Counts,
    /// Messages that were read; a file without a header field is none.
    missed: usize,
    ham: usize,
    /// Messages that say too little.
    left_out: usize,
    unread: Unread,
}

/// Reads all mail: the missed twice, once to find what it has in common and once to count, the good once.
fn read(missed: &[PathBuf], ham: &[PathBuf]) -> anyhow::Result<Read> {
    let name = |file: &Path| file.display().to_string();
    let mut all = Missed::default();
    let mut read = 0;
    let sample = |file: &Path, octets: &[u8]| message(octets).map(|input| Sample::of(&name(file), &input));
    let unread_missed = messages::each(missed, sample, |_, sample| {
        if let Some(sample) = sample {
            read += 1;
            all.add(sample);
        }
        Ok(())
    })?;
    let left_out = all.left_out;
    let draft = all.draft();
    let mut counts = Counts::new(&draft);
    let see = |_: &Path, octets: &[u8]| message(octets).map(|input| draft.see(&input));
    messages::each(missed, see, |file, seen| {
        if let Some(seen) = &seen {
            counts.missed(&draft, &name(file), seen);
        }
        Ok(())
    })?;
    let mut good = 0;
    let unread = messages::each(ham, see, |_, seen| {
        if let Some(seen) = &seen {
            good += 1;
            counts.ham(seen);
        }
        Ok(())
    })?;
    Ok(Read { draft, counts, missed: read, ham: good, left_out, unread: unread.and(unread_missed) })
}

/// What rules see of a message; a file without a header field is none, and proves nothing.
fn message(octets: &[u8]) -> Option<Input<'_>> {
    let input = Input::from_octets(octets, &Context::default(), &Settings::default());
    (!input.headers.is_empty()).then_some(input)
}

/// Whoever reads the file has all of it or none.
fn write(out: &Path, text: &str) -> anyhow::Result<()> {
    let new = out.with_extension(format!("new-{}", std::process::id()));
    let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, out));
    if written.is_err() {
        // What is left of a disk that is full had better stay free.
        let _ = std::fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {}; name another file with --out", out.display()))
}

/// What was looked at.
struct Said {
    missed: usize,
    near: usize,
    ham: usize,
    left_out: usize,
    groups: usize,
    without: Vec<usize>,
}

impl Said {
    /// The file with all proposals.
    fn file(&self, proposals: &[Proposal]) -> String {
        let Said { missed, near, ham, left_out, groups, without } = self;
        let mut text = format!(
            "# Proposed by `tidegate rules propose` from {missed} missed messages ({near} of them near misses of the journal), held against {ham} good ones.\n\
             # {groups} groups of messages say the same; {} of them have nothing in common that no good message has.\n\
             # {left_out} messages say too little to be compared, or are too many; of several with one Message-ID, one counts.\n\
             # Not in use. Read each rule, try it on more good mail (`tidegate rules try`), then move the file to where the daemon reads rules.\n",
            without.len()
        );
        for Proposal { name, group, hits, ham, examples, text: rule, .. } in proposals {
            text.push_str(&format!("\n# {hits} of {group} messages of its group, 0 of {ham} good ones.\n"));
            for example in examples {
                text.push_str(&format!("# test: {name} hits {}\n", super::shown(example.as_bytes())));
            }
            text.push_str(rule);
        }
        text
    }
}

#[derive(Serialize)]
struct Line<'a> {
    rule: &'a str,
    score: Score,
    group: usize,
    hits: usize,
    ham: usize,
    ham_hits: usize,
    examples: &'a [String],
    text: &'a str,
}

impl<'a> Line<'a> {
    fn of(proposal: &'a Proposal) -> Line<'a> {
        let Proposal { name, score, group, hits, ham, examples, text } = proposal;
        Line { rule: name, score: *score, group: *group, hits: *hits, ham: *ham, ham_hits: 0, examples, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_PATH;

    fn arguments(folder: &Path) -> Arguments {
        let put = |path: String, text: String| {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for number in 0..4 {
            let text = "\n\nPlease confirm the unpaid customs fee of your waiting parcel before tomorrow evening.\n";
            put(format!("box/cur/{number}:2,S"), format!("Subject: Parcel {number}{text}"));
        }
        put("box/dovecot.index.log".to_owned(), "index".to_owned());
        put("good/labels.tsv".to_owned(), "path\tlabel\n".to_owned());
        (0..HAM_MIN).for_each(|number| put(format!("good/{number}"), format!("Subject: {number}\n\nHello.\n")));
        Arguments {
            missed: vec![folder.join("box")],
            near: Vec::new(),
            ham: vec![folder.join("good")],
            out: Some(folder.join("proposed.cf")),
            json: false,
        }
    }

    #[test]
    fn what_is_proposed_can_be_read_and_hits() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(folder.path());
        assert_eq!(mail(&arguments.missed).unwrap().len(), 4, "the index of the mail server is no message");
        let all = mail(&[folder.path().to_owned()]).unwrap();
        assert_eq!(all.len(), 4 + HAM_MIN, "a Maildir beside other folders takes nothing from them");
        assert_eq!(run(Path::new(DEFAULT_PATH), &arguments).unwrap(), Ended::Done);
        let loaded = super::super::Loaded::read(Path::new(DEFAULT_PATH), &[folder.path().join("proposed.cf")]).unwrap();
        assert!(loaded.errors().is_empty());
        let rules: Vec<&str> =
            loaded.set.rules().iter().filter(|rule| !rule.is_subtest()).map(|rule| &*rule.name).collect();
        assert!(matches!(rules[..], [name] if name.starts_with("PROPOSED_")), "{rules:?}");
    }

    /// Each is told before anything is read or written.
    #[test]
    fn mistakes_at_three_in_the_morning_are_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let say = |change: &dyn Fn(&mut Arguments)| {
            let mut arguments = arguments(folder.path());
            change(&mut arguments);
            format!("{:#}", run(Path::new(DEFAULT_PATH), &arguments).unwrap_err())
        };
        std::fs::create_dir(at("empty")).unwrap();
        std::fs::write(at("mine.cf"), "body MINE /x/\n").unwrap();
        for (change, said) in [
            (&(|it: &mut Arguments| it.missed = vec![at("none")]) as &dyn Fn(&mut Arguments), "cannot read "),
            (&|it| it.missed = vec![at("empty")], "there are no messages in what --missed names"),
            (&|it| it.out = Some(at("empty")), "is a folder; name a file with --out"),
            (&|it| it.missed = vec![at("mine.cf")], "none of the missed messages could be read"),
            (&|it| it.ham.push(at("box")), "is named both as missed and as good mail, 4 files in all"),
            (&|it| it.out = Some(at("mine.cf")), "is there already"),
            (&|it| it.out = Some(at("none/a.cf")), "cannot be written; name another file with --out: No such file"),
        ] {
            let error = say(change);
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(std::fs::read(at("mine.cf")).unwrap(), b"body MINE /x/\n");
        let pictures = say(&|_| {
            (0..HAM_MIN).for_each(|number| std::fs::write(at(&format!("good/{number}")), [0; 40]).unwrap());
        });
        assert!(pictures.starts_with("only 0 of the files that --ham names are messages"), "{pictures}");
        assert!(!at("proposed.cf").exists());
    }

    #[test]
    fn little_good_mail_and_a_file_in_use_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let few = arguments(folder.path());
        let few = Arguments { ham: vec![folder.path().join("good/1")], ..few };
        assert!(run(Path::new(DEFAULT_PATH), &few).unwrap_err().to_string().starts_with("1 good messages prove"));
        let config = folder.path().join("tidegate.toml");
        let files = folder.path().join("*.cf").display().to_string();
        let text =
            format!("[server]\nhostname = \"a.example\"\n[panel]\nkind = \"static\"\n[rules]\nfiles = [{files:?}]\n");
        std::fs::write(&config, text).unwrap();
        let error = run(&config, &arguments(folder.path())).unwrap_err().to_string();
        assert!(error.contains("would be in use at once"), "{error}");
    }
}
