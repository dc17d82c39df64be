//! What the shipped rules do on the labelled corpora: spam found and good mail hit at 5 points, by corpus, then the good mail of each rule.
//! The rules are read from `data/rules` at run time, so that they can be changed without compiling.
//!
//! `shipped_figures [--every N] [--hits NAME] [--missed CORPUS] [--spam]`: with `--hits`, the messages that one rule hits; with `--missed`,
//! spam below 5 points, least first; with `--spam`, hits of each rule on spam as well.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "a tool for developers that reads files")]

#[path = "../tests/material/mod.rs"]
mod material;

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_mail::Score;
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Input, RuleSet, compile};

/// The corpora, and whether what is shipped may be derived from them.
const CORPORA: [(&str, bool); 7] = [
    ("kernel-lists-a", true),
    ("redacted-spam-2026", true),
    ("spamassassin-public", true),
    ("transactional-ham", true),
    ("transactional-ham-measure", false),
    ("newsletters-2023", false),
    ("phishing-pot-to-2024", false),
];
/// The score at which mail is taken for spam.
const SPAM_FROM: Score = Score::milli(5000);

/// One message, judged.
struct Judged {
    corpus: usize,
    path: String,
    is_spam: bool,
    score: Score,
    hits: Vec<(String, String)>,
}

fn main() {
    let Some(folder) = material::folder("shipped_figures") else { return };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).map(String::as_str)
    };
    let every: usize = value("--every").and_then(|value| value.parse().ok()).unwrap_or(1);
    let set = rule_set();
    let judged: Vec<Judged> = (0..CORPORA.len()).flat_map(|corpus| judge(&set, &folder, corpus, every)).collect();
    if let Some(rule) = value("--hits") {
        return show_hits(&judged, rule);
    }
    if let Some(corpus) = value("--missed") {
        return show_missed(&judged, corpus);
    }
    show_corpora(&judged);
    show_rules(&set, &judged, arguments.iter().any(|argument| argument == "--spam"));
}

fn rule_set() -> RuleSet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/rules");
    let mut files: Vec<SourceFile> = std::fs::read_dir(folder)
        .expect("data/rules is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cf"))
        .map(|path| SourceFile {
            name: path.file_name().expect("a name").to_string_lossy().into_owned(),
            text: std::fs::read(&path).expect("a readable file"),
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let parsed = parse(&files, &ParseOptions::default(), &no_includes);
    parsed.diagnostics.iter().for_each(|diagnostic| println!("{diagnostic}"));
    let (set, remarks) = compile(parsed, CompileOptions::default());
    remarks.iter().for_each(|remark| println!("{remark}"));
    set
}

fn judge(set: &RuleSet, folder: &Path, corpus: usize, every: usize) -> Vec<Judged> {
    let name = CORPORA[corpus].0;
    let messages: Vec<(String, Vec<u8>)> =
        material::corpus(folder, name).into_iter().filter(|(path, _)| !path.ends_with(".tsv")).step_by(every).collect();
    let labels = labels(folder, name);
    let half = messages.len().div_ceil(2).max(1);
    let one = |(path, text): &(String, Vec<u8>)| {
        let input = Input::from_octets(text, &Context::default(), set.settings());
        let matches = set.matches(&input, &Answers::default());
        let shown = |hit: &tidegate_rules::Hit| {
            (
                set.rules()[hit.rule.index()].name.to_string(),
                String::from_utf8_lossy(&hit.evidence).escape_debug().to_string(),
            )
        };
        let hits = matches.hits.iter().chain(&matches.subtests).map(shown).collect();
        let is_spam = labels.get(path).is_some_and(|label| label == "spam");
        Judged { corpus, path: path.clone(), is_spam, score: matches.score(), hits }
    };
    let one = &one;
    std::thread::scope(|scope| {
        let halves: Vec<_> =
            messages.chunks(half).map(|chunk| scope.spawn(move || chunk.iter().map(one).collect::<Vec<_>>())).collect();
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
    })
}

fn labels(folder: &Path, corpus: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder.join(format!("corpus/{corpus}.labels.tsv"))).expect("a table of labels");
    let rows = text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    rows.map(|row| (row[0].clone(), row[1].clone())).collect()
}

#[allow(clippy::cast_precision_loss, reason = "counts of messages are far below 2^52")]
fn share(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{part} of {whole}, {:.2} %", part as f64 * 100.0 / whole as f64) }
}

fn show_corpora(judged: &[Judged]) {
    println!("| corpus | spam at 5 | spam at 3 | spam with any hit | good mail at 5 | good mail at 3 |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (corpus, (name, _)) in CORPORA.iter().enumerate() {
        let of = |is_spam: bool| judged.iter().filter(move |j| j.corpus == corpus && j.is_spam == is_spam);
        let at =
            |is_spam: bool, score: Score| share(of(is_spam).filter(|j| j.score >= score).count(), of(is_spam).count());
        let three = Score::milli(3000);
        println!(
            "| {name} | {} | {} | {} | {} | {} |",
            at(true, SPAM_FROM),
            at(true, three),
            at(true, Score::milli(1)),
            at(false, SPAM_FROM),
            at(false, three)
        );
    }
}

fn show_rules(set: &RuleSet, judged: &[Judged], with_spam: bool) {
    let ham = judged.iter().filter(|j| !j.is_spam).count();
    println!("\n{ham} good messages; rules that hit any:");
    for rule in set.rules().iter().filter(|rule| !rule.is_subtest()) {
        let hit = |is_spam: bool| {
            let with =
                judged.iter().filter(|j| j.is_spam == is_spam && j.hits.iter().any(|(name, _)| **name == *rule.name));
            let mut by_corpus: BTreeMap<&str, usize> = BTreeMap::new();
            with.for_each(|j| *by_corpus.entry(CORPORA[j.corpus].0).or_default() += 1);
            by_corpus
        };
        let (good, spam) = (hit(false), hit(true));
        if !good.is_empty() || with_spam {
            let hits: usize = good.values().sum();
            println!("{:<32} {:>5} ham {} {good:?} spam {spam:?}", rule.name, rule.score, share(hits, ham));
        }
    }
}

fn show_hits(judged: &[Judged], rule: &str) {
    for j in judged.iter().filter(|j| CORPORA[j.corpus].1) {
        for (_, evidence) in j.hits.iter().filter(|(name, _)| name == rule) {
            let label = if j.is_spam { "spam" } else { "ham" };
            println!("{label} {}/{} {} {evidence}", CORPORA[j.corpus].0, j.path, j.score);
        }
    }
}

fn show_missed(judged: &[Judged], corpus: &str) {
    let mut missed: Vec<&Judged> =
        judged.iter().filter(|j| CORPORA[j.corpus] == (corpus, true) && j.is_spam && j.score < SPAM_FROM).collect();
    missed.sort_by_key(|j| j.score);
    for j in missed {
        let names: Vec<&str> = j.hits.iter().map(|(name, _)| name.as_str()).collect();
        println!("{} {} {}", j.score, j.path, names.join(" "));
    }
}
