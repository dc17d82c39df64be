//! `tidegate rules try`: what new rules would hit on labelled mail, before they are enabled. Good mail comes first: a hit there is what
//! speaks against a rule.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use tidegate_mail::Score;
use tidegate_rules::{Analyses, Answers, Context as MessageContext, Input};

use super::messages::{self, Seen, seen};
use super::{Ended, Loaded, claims, shown, sources};
use crate::cli::check::files;
use crate::cli::check::labels::Labels;
use crate::rules;

/// The table of labels that a folder of messages may hold.
pub(super) const LABELS_NAME: &str = "labels.tsv";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// The file with the new rules.
    file: PathBuf,
    /// Messages: a file or folder (with all below), several times if need be. Their labels are in `--labels`, in the folder's own
    /// `labels.tsv`, or the names of the folders `ham` and `spam`.
    #[arg(long, required = true, value_name = "DIR")]
    on: Vec<PathBuf>,
    /// A table with the label of each message, as `tidegate check` reads it.
    #[arg(long, value_name = "TSV")]
    labels: Option<PathBuf>,
    /// The rules beside which the new ones run: files or folders; what the daemon reads if none is named.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// How many hits of each rule are shown on good mail, and on spam.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    show: usize,
    /// Subtests (`__NAME`) of the file as well.
    #[arg(long)]
    subtests: bool,
    /// One JSON object a rule.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let loaded = load(config, arguments)?;
    let names = new_rules(&loaded, &arguments.file, arguments.subtests);
    ensure!(!names.is_empty(), "{} defines no rule that can be tried", arguments.file.display());
    let labelled = labelled(arguments)?;
    let mut trials: Vec<Trial> = names.iter().map(|name| Trial::new(&loaded, name)).collect();
    let mut totals = Totals::default();
    let files: Vec<PathBuf> = labelled.iter().map(|(file, _)| file.clone()).collect();
    let labels: HashMap<&Path, Label> = labelled.iter().map(|(file, label)| (file.as_path(), *label)).collect();
    let work = |_: &Path, octets: &[u8]| hits(&loaded, &names, octets);
    let unread = messages::each(&files, work, |file, found| {
        let label = *labels.get(file).context("each file has a label")?;
        totals.add(label);
        for (index, place) in found {
            if let Some(trial) = trials.get_mut(index) {
                trial.add(label, file, place);
            }
        }
        Ok(())
    })?;
    let mut ended = Ended::Done;
    for trial in &trials {
        if !trial.ham.is_empty() && trial.score > Score::ZERO {
            ended = Ended::Found;
        }
        if arguments.json {
            println!("{}", serde_json::to_string(&trial.line(&totals, arguments.show))?);
        } else {
            print!("{}", trial.shown(&totals, arguments.show));
        }
    }
    if !arguments.json {
        println!("tried on {} ham and {} spam; {} without a label", totals.ham, totals.spam, totals.unlabelled);
    }
    Ok(unread.or(ended))
}

/// The rules beside and the new ones, which come last and so replace what has the same name.
fn load(config: &Path, arguments: &Arguments) -> anyhow::Result<Loaded> {
    let mut sources = sources(config, &arguments.rules)?;
    let new = rules::read_named(std::slice::from_ref(&arguments.file))?;
    sources.retain(|source| new.iter().all(|new| new.name != source.name));
    sources.extend(new);
    let loaded = Loaded::with(sources, claims(config), &mut Analyses::default());
    let file = arguments.file.display().to_string();
    if let Some(error) = loaded.errors().into_iter().find(|error| *error.place.file == *file) {
        anyhow::bail!("{error}; see `tidegate rules check`");
    }
    Ok(loaded)
}

fn new_rules(loaded: &Loaded, file: &Path, with_subtests: bool) -> Vec<String> {
    let file = file.display().to_string();
    let is_new = |name: &str, from: &str| from == file && (with_subtests || !name.starts_with("__"));
    let rules = loaded.set.rules().iter().filter(|rule| is_new(&rule.name, &rule.place.file));
    rules.map(|rule| rule.name.to_string()).collect()
}

/// What a message is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Ham,
    Spam,
    Unknown,
}

/// All messages with their labels.
fn labelled(arguments: &Arguments) -> anyhow::Result<Vec<(PathBuf, Label)>> {
    let given = arguments.labels.as_deref().map(Labels::read).transpose()?;
    let mut labelled = Vec::new();
    for path in &arguments.on {
        let beside = path.join(LABELS_NAME);
        let own = if given.is_none() && beside.is_file() { Some(Labels::read(&beside)?) } else { None };
        for file in files(std::slice::from_ref(path))? {
            if file == beside {
                continue;
            }
            let table = given.as_ref().or(own.as_ref());
            let word = table.and_then(|labels| labels.of(&file)).and_then(|row| row.label.as_deref());
            let label = match word.or_else(|| folder_label(&file)) {
                Some("ham") => Label::Ham,
                Some("spam") => Label::Spam,
                _ => Label::Unknown,
            };
            labelled.push((file, label));
        }
    }
    let is_known = labelled.iter().any(|(_, label)| *label != Label::Unknown);
    ensure!(is_known, "no message has a label; name a table with --labels, or put them into folders `ham` and `spam`");
    Ok(labelled)
}

/// `ham` or `spam`, where a folder on the way to the file is named so.
fn folder_label(file: &Path) -> Option<&'static str> {
    let names = file.parent()?.iter().rev();
    names.into_iter().find_map(|name| ["ham", "spam"].into_iter().find(|label| name == *label))
}

/// Which of the rules `names` hit, by place in the list, and on what.
fn hits(loaded: &Loaded, names: &[String], octets: &[u8]) -> Vec<(usize, Seen)> {
    let set = &loaded.set;
    let input = Input::from_octets(octets, &MessageContext::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    let name = |hit: &tidegate_rules::Hit| set.rules().get(hit.rule.index()).map(|rule| rule.name.clone());
    let both = || matches.hits.iter().chain(&matches.subtests);
    let has_hit = |part: &str| both().any(|hit| name(hit).is_some_and(|name| *name == *part));
    both()
        .filter_map(|hit| {
            let name = name(hit)?;
            let index = names.iter().position(|new| **new == *name)?;
            Some((index, seen(&name, hit, &loaded.parsed, &input, &has_hit)))
        })
        .collect()
}

#[derive(Default)]
struct Totals {
    ham: usize,
    spam: usize,
    unlabelled: usize,
}

impl Totals {
    fn add(&mut self, label: Label) {
        match label {
            Label::Ham => self.ham += 1,
            Label::Spam => self.spam += 1,
            Label::Unknown => self.unlabelled += 1,
        }
    }
}

/// What one rule hit so far.
struct Trial {
    name: String,
    score: Score,
    ham: Vec<HitOn>,
    spam: Vec<HitOn>,
}

#[derive(Clone, Serialize)]
struct HitOn {
    file: String,
    at: String,
    text: String,
}

#[derive(Serialize)]
struct Line<'a> {
    rule: &'a str,
    score: Score,
    ham: usize,
    ham_hits: usize,
    spam: usize,
    spam_hits: usize,
    hits: BTreeMap<&'static str, Vec<&'a HitOn>>,
}

impl Trial {
    fn new(loaded: &Loaded, name: &str) -> Trial {
        let score = loaded.set.rule(name).map_or(Score::ZERO, |rule| rule.score);
        Trial { name: name.to_owned(), score, ham: Vec::new(), spam: Vec::new() }
    }

    fn add(&mut self, label: Label, file: &Path, Seen { at, text }: Seen) {
        let hit = HitOn { file: file.display().to_string(), at, text };
        match label {
            Label::Ham => self.ham.push(hit),
            Label::Spam => self.spam.push(hit),
            Label::Unknown => {}
        }
    }

    fn line(&self, totals: &Totals, show: usize) -> Line<'_> {
        Line {
            rule: &self.name,
            score: self.score,
            ham: totals.ham,
            ham_hits: self.ham.len(),
            spam: totals.spam,
            spam_hits: self.spam.len(),
            hits: [("ham", self.ham.iter().take(show).collect()), ("spam", self.spam.iter().take(show).collect())]
                .into(),
        }
    }

    fn shown(&self, totals: &Totals, show: usize) -> String {
        let mut text = format!(
            "{} (score {}): ham {}, spam {}\n",
            self.name,
            self.score,
            rate(self.ham.len(), totals.ham),
            rate(self.spam.len(), totals.spam)
        );
        for (label, hits) in [("ham", &self.ham), ("spam", &self.spam)] {
            for HitOn { file, at, text: seen } in hits.iter().take(show) {
                text.push_str(&format!("  {label:<5} {}  {at}: {seen}\n", shown(file.as_bytes())));
            }
            if hits.len() > show {
                text.push_str(&format!("  {label:<5} and {} more\n", hits.len() - show));
            }
        }
        text
    }
}

/// `3 of 4148 (0.072 %)`.
#[allow(clippy::cast_precision_loss, reason = "counts of messages are far below 2^52")]
fn rate(hits: usize, total: usize) -> String {
    if total == 0 {
        return "none to try".to_owned();
    }
    format!("{hits} of {total} ({:.3} %)", hits as f64 * 100.0 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_PATH;

    fn arguments(folder: &Path, rules: &str) -> Arguments {
        for (name, text) in [
            ("mail/ham/1.eml", "Subject: Pills\n\nThe doctor wrote of cheap pills.\n"),
            ("mail/ham/2.eml", "Subject: Hello\n\nSee you.\n"),
            ("mail/spam/3.eml", "Subject: Pills\n\nBuy cheap pills.\n"),
            ("mail/other/4.eml", "Subject: Pills\n\nBuy cheap pills.\n"),
        ] {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::write(folder.join("new.cf"), rules).unwrap();
        Arguments {
            file: folder.join("new.cf"),
            on: vec![folder.join("mail")],
            labels: None,
            rules: Vec::new(),
            show: 10,
            subtests: false,
            json: false,
        }
    }

    #[test]
    fn hits_on_good_mail_end_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let wide = arguments(folder.path(), "body PILLS /cheap pills/\n");
        assert_eq!(run(Path::new(DEFAULT_PATH), &wide).unwrap(), Ended::Found);
        let narrow = arguments(folder.path(), "body __BUY /buy/i\nmeta PILLS __BUY && 1\n");
        assert_eq!(run(Path::new(DEFAULT_PATH), &narrow).unwrap(), Ended::Done);
    }

    #[test]
    fn hits_are_counted_by_label() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = arguments(folder.path(), "body PILLS /cheap pills/\n");
        let loaded = load(Path::new(DEFAULT_PATH), &arguments).unwrap();
        let mut labels: Vec<Label> = labelled(&arguments).unwrap().into_iter().map(|(_, label)| label).collect();
        labels.dedup();
        assert_eq!(labels, [Label::Ham, Label::Unknown, Label::Spam]);
        let mut trial = Trial::new(&loaded, "PILLS");
        for (_, place) in hits(&loaded, &["PILLS".to_owned()], b"Subject: x\n\nBuy cheap pills") {
            trial.add(Label::Spam, Path::new("3.eml"), place);
        }
        let totals = Totals { ham: 2, spam: 1, unlabelled: 1 };
        let shown = trial.shown(&totals, 10);
        assert!(shown.starts_with("PILLS (score 1.0): ham 0 of 2 (0.000 %), spam 1 of 1 (100.000 %)\n"), "{shown}");
        assert!(shown.contains("  spam  3.eml  body, paragraph 1: Buy «cheap pills»"), "{shown}");
    }

    #[test]
    fn a_broken_file_is_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        for rules in ["body PILLS /cheap(/\n", "bodi PILLS /cheap/\n", "# nothing\n"] {
            assert!(run(Path::new(DEFAULT_PATH), &arguments(folder.path(), rules)).is_err(), "{rules}");
        }
    }
}
