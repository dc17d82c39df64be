//! What SpamAssassin 4.0.1 itself said of each message, and how far these rules agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Input, RuleSet, compile};

/// The corpora with recorded hits.
pub const CORPORA: &[&str] = &[
    "kernel-lists-a",
    "newsletters-2023",
    "phishing-pot-to-2024",
    "redacted-spam-2026",
    "spamassassin-public",
    "transactional-ham",
];

/// Rules with captured tags: they did not fire in the recorded runs of four corpora, though they do when SpamAssassin runs again.
const NOT_RECORDED: &str = "GB_CUSTOM_HTM_URI";
const RECORDED_WRONGLY: &[&str] =
    &["kernel-lists-a", "newsletters-2023", "phishing-pot-to-2024", "spamassassin-public"];

/// Rules that ask whether a part is quoted-printable, and how long its lines are. The recording program read messages with Perl's record
/// separator undefined, so that `chomp` left the line end on the encoding's name and SpamAssassin did not know it; `golden.cf` says
/// `mime_encoding_checks 0` for that. What SpamAssassin says of them from the shell is in `tests/data/retaken.tsv`.
pub const RECORDED_WITHOUT_CHOMP: &[&str] = &[
    "MIME_QP_LONG_LINE",
    "PDS_BAD_THREAD_QP_64",
    "__MIME_QP",
    "__MIME_QPC",
    "__PDS_QP_64",
    "__PDS_QP_128",
    "__PDS_QP_512",
    "__PDS_QP_1024",
    "__T_PDS_MSG_512",
];

/// The hits of one message: scored rules, and subtests with their counts.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub scored: BTreeSet<String>,
    pub subtests: BTreeMap<String, u32>,
}

/// The recorded hits of a corpus with the stock rules, by path.
pub fn recorded(material: &Path, corpus: &str) -> BTreeMap<String, Recorded> {
    let mut messages: BTreeMap<String, Recorded> = BTreeMap::new();
    for line in super::gz_lines(&material.join(format!("golden/{corpus}.hits.tsv.gz"))).iter().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        messages.entry(fields[0].to_owned()).or_default().scored = scored(fields.get(3).unwrap_or(&""));
    }
    for line in super::gz_lines(&material.join(format!("golden/{corpus}.subtests.tsv.gz"))).iter().skip(1) {
        let (path, names) = line.split_once('\t').unwrap_or((line, ""));
        messages.entry(path.to_owned()).or_default().subtests = subtests(names);
    }
    messages
}

/// The recorded hits with the KAM rules added: corpus and path to hits.
pub fn recorded_kam(material: &Path) -> BTreeMap<(String, String), Recorded> {
    let lines = super::gz_lines(&material.join("golden/kam-subset.hits.tsv.gz"));
    let hits = lines.iter().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let (corpus, path) = fields[0].split_once('/').expect("the path begins with the corpus");
        let recorded =
            Recorded { scored: scored(fields.get(2).unwrap_or(&"")), subtests: subtests(fields.get(3).unwrap_or(&"")) };
        ((corpus.to_owned(), path.to_owned()), recorded)
    });
    hits.collect()
}

fn scored(hits: &str) -> BTreeSet<String> {
    let names = hits.split(',').filter(|hit| !hit.is_empty() && *hit != "none");
    names.map(|hit| hit.split('=').next().unwrap_or_default().to_owned()).collect()
}

fn subtests(names: &str) -> BTreeMap<String, u32> {
    let names = names.split(',').filter(|name| !name.is_empty() && *name != "none");
    names
        .map(|name| match name.split_once('(') {
            Some((name, count)) => (name.to_owned(), count.trim_end_matches(')').parse().expect("a count")),
            None => (name.to_owned(), 1),
        })
        .collect()
}

/// The rules of these files, as the recorded runs had them: no DNS, no classifier.
pub fn rule_set(files: &[SourceFile]) -> RuleSet {
    let options = ParseOptions { local_tests_only: true, ..ParseOptions::default() };
    compile(parse(files, &options, &no_includes), CompileOptions::default()).0
}

/// How far two sets of hits agree, over (message, rule).
#[derive(Default)]
pub struct Agreement {
    pub both: usize,
    pub either: usize,
    /// Rule to messages.
    pub misses: BTreeMap<String, Vec<String>>,
    pub extras: BTreeMap<String, Vec<String>>,
}

impl Agreement {
    /// Hits that both have, in parts of those that either has.
    pub fn share(&self) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).expect("fewer than four thousand million hits"));
        if self.either == 0 { 1.0 } else { number(self.both) / number(self.either) }
    }

    fn add(&mut self, message: &str, theirs: &BTreeSet<String>, ours: &BTreeSet<String>) {
        self.both += theirs.intersection(ours).count();
        self.either += theirs.union(ours).count();
        for rule in theirs.difference(ours) {
            self.misses.entry(rule.clone()).or_default().push(message.to_owned());
        }
        for rule in ours.difference(theirs) {
            self.extras.entry(rule.clone()).or_default().push(message.to_owned());
        }
    }

    /// The rules that differ most, with a message each.
    pub fn report(&self, limit: usize) -> String {
        let mut lines = String::new();
        for (kind, table) in [("miss", &self.misses), ("extra", &self.extras)] {
            let mut rules: Vec<_> = table.iter().collect();
            rules.sort_by_key(|(name, messages)| (std::cmp::Reverse(messages.len()), (*name).clone()));
            for (name, messages) in rules.into_iter().take(limit) {
                lines += &format!("  {kind:5} {:5} {name} ({})\n", messages.len(), messages[0]);
            }
        }
        lines
    }
}

/// The differences of which the cause is known, as [`Report::differences`] tells them; `rules` is `stock` or `kam`.
pub fn explained(rules: &str) -> BTreeSet<String> {
    let rows = include_str!("../data/explained.tsv").lines().filter(|line| !line.starts_with('#')).skip(1);
    let of_rules = rows.filter_map(|row| row.strip_prefix(rules)?.strip_prefix('\t'));
    of_rules.filter_map(|row| Some(row.rsplit_once('\t')?.0.to_owned())).collect()
}

/// The agreement of scored rules and of subtests.
#[derive(Default)]
pub struct Report {
    pub messages: usize,
    pub scored: Agreement,
    pub subtests: Agreement,
    /// Subtests that both have with different counts.
    pub counts: BTreeMap<String, Vec<String>>,
    /// Patterns that reached their limit.
    pub limits: BTreeMap<String, Vec<String>>,
}

impl Report {
    /// Judges one message and compares.
    pub fn add(&mut self, set: &RuleSet, corpus: &str, path: &str, message: &[u8], theirs: &Recorded) {
        let input = Input::from_octets(message, &Context::default(), set.settings());
        let matches = set.matches(&input, &Answers::default());
        let name_of = |id: tidegate_rules::RuleId| set.rules()[id.index()].name.to_string();
        let is_wrong = |name: &String| name.contains(NOT_RECORDED) && RECORDED_WRONGLY.contains(&corpus);
        let ours: BTreeSet<String> =
            matches.hits.iter().map(|hit| name_of(hit.rule)).filter(|name| !is_wrong(name)).collect();
        let counts: BTreeMap<String, u32> = matches.subtests.iter().map(|hit| (name_of(hit.rule), hit.count)).collect();
        let our_subtests: BTreeSet<String> = counts.keys().filter(|name| !is_wrong(name)).cloned().collect();
        let their_subtests: BTreeSet<String> = theirs.subtests.keys().filter(|name| !is_wrong(name)).cloned().collect();
        let their_scored: BTreeSet<String> = theirs.scored.iter().filter(|name| !is_wrong(name)).cloned().collect();
        let place = format!("{corpus}/{path}");
        self.messages += 1;
        self.scored.add(&place, &their_scored, &ours);
        self.subtests.add(&place, &their_subtests, &our_subtests);
        for (name, count) in &theirs.subtests {
            if let Some(our_count) = counts.get(name).filter(|our_count| *our_count != count) {
                self.counts.entry(name.clone()).or_default().push(format!("{place} {our_count} not {count}"));
            }
        }
        for id in matches.limits {
            self.limits.entry(name_of(id)).or_default().push(place.clone());
        }
    }

    /// Each difference: kind, rule and message, between tabs.
    pub fn differences(&self) -> BTreeSet<String> {
        let both = [&self.scored, &self.subtests];
        let misses = both.iter().flat_map(|agreement| &agreement.misses).map(|row| ("miss", row));
        let extras = both.iter().flat_map(|agreement| &agreement.extras).map(|row| ("extra", row));
        let rows = misses.chain(extras);
        rows.flat_map(|(kind, (rule, places))| places.iter().map(move |place| format!("{kind}\t{rule}\t{place}")))
            .collect()
    }

    /// Two lines of figures, then what differs.
    pub fn show(&self, title: &str, limit: usize) -> String {
        let line = |kind: &str, agreement: &Agreement| {
            let Agreement { both, either, .. } = agreement;
            format!("{title}: {kind}: {both} of {either} agree, {:.4} %\n", agreement.share() * 100.0)
        };
        let table = |kind: &str, table: &BTreeMap<String, Vec<String>>| -> String {
            let mut rules: Vec<_> = table.iter().collect();
            rules.sort_by_key(|(_, messages)| std::cmp::Reverse(messages.len()));
            let rows = rules.into_iter().take(limit);
            rows.map(|(name, places)| format!("  {kind} {:5} {name} ({})\n", places.len(), places[0])).collect()
        };
        [
            line("scored rules", &self.scored),
            line("subtests", &self.subtests),
            self.scored.report(limit),
            self.subtests.report(limit),
            table("count", &self.counts),
            table("limit", &self.limits),
        ]
        .concat()
    }
}
