//! Proposes rules for mail that rules missed: groups messages that say the same, and finds for each group what its messages have in common and no good
//! message has. Pure: messages come in as [`Input`], rule text comes out; what a proposal hits is counted by the matcher itself, as it will be once the
//! rule is enabled. It enables nothing.
//!
//! ```text
//! missed ─► Sample (signs, sketch) ─► clusters ─► candidate signs, as subtests of one set
//! missed and good mail ─► which candidates each message has ─► conjunctions that no good message has ─► Proposal
//! ```

mod clusters;
mod signs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use tidegate_mail::Score;

use crate::compile::{CompileOptions, compile};
use crate::dns::Answers;
use crate::input::Input;
use crate::language::source::SourceFile;
use crate::language::{ParseOptions, no_includes, parse};
use crate::propose::clusters::Sketch;
use crate::propose::signs::{Kind, Sign};
use crate::ruleset::RuleSet;

/// Missed messages that are looked at; some kilobytes are kept of each.
pub const MISSED_MAX: usize = 5_000;
/// Fewer messages alike are no group: what two have in common may be chance.
const CLUSTER_MIN: usize = 3;
/// Groups that are looked at, the largest first.
const CLUSTERS_MAX: usize = 100;
/// Candidate signs of a group: as many as a word has bits.
const CANDIDATES_MAX: usize = 64;
/// Different sets of candidates in good mail that are kept for one group.
const HAM_MASKS_MAX: usize = 20_000;
/// Rules for one group: its messages may be of several kinds.
const RULES_MAX: usize = 4;
/// Conditions of one rule.
const CONJUNCTS_MIN: usize = 2;
const CONJUNCTS_MAX: usize = 3;
/// Of ten messages that a rule hits, it must still hit so many when another condition is added.
const KEPT_OF_TEN: usize = 9;
/// Examples named for each rule.
const EXAMPLES_MAX: usize = 3;
/// Points of a rule: tagging needs other signs as well.
const SCORE: Score = Score::milli(1500);
/// Points of a rule that hits so many messages at least, and of which no good message has even all conditions but one.
const CLEAR_MIN: usize = 10;
const SCORE_CLEAR: Score = Score::milli(2500);

/// What is kept of one missed message.
pub struct Sample {
    name: String,
    /// Of its Message-ID.
    id: Option<u64>,
    signs: Vec<Sign>,
    /// `None` if it says too little.
    sketch: Option<Sketch>,
}

impl Sample {
    /// Looks at a message; `name` says which it is.
    #[must_use]
    pub fn of(name: &str, input: &Input<'_>) -> Sample {
        let id = signs::header(input, "Message-ID").map(hash);
        Sample { name: name.to_owned(), id, signs: signs::of(input), sketch: Sketch::of(input) }
    }
}

/// Missed messages, before they are grouped.
#[derive(Default)]
pub struct Missed {
    samples: Vec<Sample>,
    known: BTreeSet<u64>,
    /// Messages beyond the limit, and those that say too little to be compared.
    pub left_out: usize,
}

impl Missed {
    /// Takes note of a message. One that came twice, by its Message-ID, counts once.
    pub fn add(&mut self, sample: Sample) {
        if self.samples.len() >= MISSED_MAX || sample.sketch.is_none() {
            self.left_out += 1;
        } else if sample.id.is_none_or(|id| self.known.insert(id)) {
            self.samples.push(sample);
        }
    }

    /// Groups them, and finds what those of a group have in common.
    #[must_use]
    pub fn draft(self) -> Draft {
        let sketches: Vec<&Sketch> = self.samples.iter().filter_map(|sample| sample.sketch.as_ref()).collect();
        let mut groups = clusters::of(&sketches);
        groups.retain(|group| group.len() >= CLUSTER_MIN);
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group.first().copied()));
        groups.truncate(CLUSTERS_MAX);
        let clusters = groups.iter().map(|group| Cluster::new(group, &self.samples)).collect();
        Draft::new(clusters)
    }
}

/// Messages that say the same.
struct Cluster {
    /// The names of its messages.
    names: BTreeSet<String>,
    candidates: Vec<Sign>,
}

/// What messages have of the candidates of one group.
#[derive(Clone, Default)]
struct Count {
    /// Of its own messages, by their names.
    missed: BTreeMap<String, u64>,
    /// Of good messages, each set of candidates once.
    ham: BTreeSet<u64>,
    /// Good messages had more sets than are kept.
    is_overfull: bool,
}

impl Cluster {
    fn new(group: &[usize], samples: &[Sample]) -> Cluster {
        let members: Vec<&Sample> = group.iter().filter_map(|index| samples.get(*index)).collect();
        let mut support: BTreeMap<&Sign, usize> = BTreeMap::new();
        for sample in &members {
            for sign in &sample.signs {
                *support.entry(sign).or_default() += 1;
            }
        }
        let mut common: Vec<(&Sign, usize)> = support.into_iter().filter(|(_, times)| *times >= CLUSTER_MIN).collect();
        common.sort_by_key(|(sign, times)| (std::cmp::Reverse((*times, sign.weight())), *sign));
        // Phrases that overlap say the same twice.
        let mut taken = BTreeSet::new();
        let mut candidates = Vec::new();
        for (sign, _) in common {
            let pairs = sign.word_pairs();
            if candidates.len() < CANDIDATES_MAX && pairs.iter().all(|pair| !taken.contains(pair)) {
                taken.extend(pairs);
                candidates.push(sign.clone());
            }
        }
        Cluster { names: members.iter().map(|sample| sample.name.clone()).collect(), candidates }
    }
}

/// Groups with what may make a rule of them, to be held against missed and good mail.
pub struct Draft {
    clusters: Vec<Cluster>,
    set: RuleSet,
    /// Group and candidate of each rule of `set`.
    places: Vec<Option<(usize, u32)>>,
}

/// Which candidates of which groups a message has: a set of bits each.
pub type Seen = Vec<(usize, u64)>;

impl Draft {
    fn new(clusters: Vec<Cluster>) -> Draft {
        let mut text = String::new();
        let mut names = BTreeMap::new();
        for (number, cluster) in clusters.iter().enumerate() {
            for (place, sign) in (0u32..).zip(&cluster.candidates) {
                let name = format!("__CANDIDATE_{number}_{place}");
                text.push_str(&sign.rule(&name));
                names.insert(name, (number, place));
            }
        }
        let file = SourceFile { name: "candidates.cf".to_owned(), text: text.into_bytes() };
        let (set, _) = compile(parse(&[file], &ParseOptions::default(), &no_includes), CompileOptions::default());
        let places = set.rules().iter().map(|rule| names.get(&*rule.name).copied()).collect();
        Draft { clusters, set, places }
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.clusters.len()
    }

    /// What a message has.
    #[must_use]
    pub fn see(&self, input: &Input<'_>) -> Seen {
        let matches = self.set.matches(input, &Answers::default());
        let mut seen = BTreeMap::new();
        // A pattern whose limit was reached may match: it counts as if it did, so that no good message goes unseen.
        let hits = matches.subtests.iter().map(|hit| hit.rule).chain(matches.limits.iter().copied());
        for (number, place) in hits.filter_map(|rule| self.places.get(rule.index()).copied().flatten()) {
            *seen.entry(number).or_insert(0) |= 1u64 << place;
        }
        seen.into_iter().collect()
    }

    /// The proposals, the one with the most hits first, and the groups for which there is none: so many messages each.
    #[must_use]
    pub fn proposals(&self, counts: &Counts) -> (Vec<Proposal>, Vec<usize>) {
        let (mut proposals, mut without) = (Vec::new(), Vec::new());
        for (cluster, count) in self.clusters.iter().zip(&counts.groups) {
            let found = cluster.proposals(count, counts.ham);
            if found.is_empty() {
                without.push(cluster.names.len());
            }
            proposals.extend(found);
        }
        proposals.sort_by(|a: &Proposal, b| b.hits.cmp(&a.hits).then_with(|| a.name.cmp(&b.name)));
        proposals.dedup_by(|a, b| a.name == b.name);
        (proposals, without)
    }
}

/// What the messages that were looked at have.
pub struct Counts {
    groups: Vec<Count>,
    ham: usize,
}

impl Counts {
    /// Nothing yet.
    #[must_use]
    pub fn new(draft: &Draft) -> Counts {
        Counts { groups: vec![Count::default(); draft.clusters.len()], ham: 0 }
    }

    /// Counts a missed message, under the name by which it was added.
    pub fn missed(&mut self, draft: &Draft, name: &str, seen: &Seen) {
        for (number, mask) in seen {
            if let (Some(cluster), Some(count)) = (draft.clusters.get(*number), self.groups.get_mut(*number))
                && cluster.names.contains(name)
            {
                count.missed.insert(name.to_owned(), *mask);
            }
        }
    }

    /// Counts a good message.
    pub fn ham(&mut self, seen: &Seen) {
        self.ham += 1;
        for (number, mask) in seen {
            let Some(count) = self.groups.get_mut(*number) else { continue };
            if count.ham.len() < HAM_MASKS_MAX {
                count.ham.insert(*mask);
            } else if !count.ham.contains(mask) {
                count.is_overfull = true;
            }
        }
    }
}

/// A rule that somebody may enable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its name: it stands for its conditions, so that the same ones have the same name.
    pub name: String,
    /// Its points.
    pub score: Score,
    /// Messages of its group.
    pub group: usize,
    /// How many of them it hits.
    pub hits: usize,
    /// Good messages of which it hits none.
    pub ham: usize,
    /// Some messages that it hits.
    pub examples: Vec<String>,
    /// The rule, as lines of a file.
    pub text: String,
}

impl Cluster {
    fn proposals(&self, count: &Count, ham: usize) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        if count.is_overfull {
            return proposals;
        }
        let mut left: BTreeMap<&String, u64> = count.missed.iter().map(|(name, mask)| (name, *mask)).collect();
        while proposals.len() < RULES_MAX {
            let missed: Vec<u64> = left.values().copied().collect();
            let Some(conjunction) = self.conjunction(&missed, &count.ham) else { break };
            let mask = conjunction.iter().fold(0, |mask, place| mask | 1u64 << place);
            let has_all = |other: &u64| other & mask == mask;
            let hits: Vec<&String> =
                count.missed.iter().filter(|(_, own)| has_all(own)).map(|(name, _)| name).collect();
            left.retain(|_, own| !has_all(own));
            // Not even a good message with all conditions but one.
            let is_alone = count.ham.iter().all(|own| (own & mask).count_ones() + 1 < mask.count_ones());
            let signs: Vec<&Sign> =
                conjunction.iter().filter_map(|place| self.candidates.get(*place as usize)).collect();
            let score = if is_alone && hits.len() >= CLEAR_MIN { SCORE_CLEAR } else { SCORE };
            proposals.push(self.proposal(&signs, &hits, ham, score));
        }
        proposals
    }

    /// The candidates that together hit most of `missed` and no good message; `None` if there are none that hit enough.
    fn conjunction(&self, missed: &[u64], ham: &BTreeSet<u64>) -> Option<Vec<u32>> {
        let mut chosen: Vec<u32> = Vec::new();
        let mut mask = 0u64;
        let hits = |mask: u64, masks: &mut dyn Iterator<Item = u64>| masks.filter(|own| own & mask == mask).count();
        let mut before = (missed.len(), usize::MAX);
        while chosen.len() < CONJUNCTS_MAX {
            let enough = if chosen.len() < CONJUNCTS_MIN {
                CLUSTER_MIN
            } else {
                (before.0 * KEPT_OF_TEN).div_ceil(10).max(CLUSTER_MIN)
            };
            let kinds: BTreeSet<Kind> =
                chosen.iter().filter_map(|place| self.candidates.get(*place as usize)).map(Sign::kind).collect();
            let rated = (0u32..).zip(&self.candidates).filter(|(place, _)| !chosen.contains(place));
            let rated = rated.filter_map(|(place, sign)| {
                let with = mask | 1u64 << place;
                let of_missed = hits(with, &mut missed.iter().copied());
                let of_ham = hits(with, &mut ham.iter().copied());
                (of_missed >= enough).then(|| {
                    let is_new_kind = !kinds.contains(&sign.kind());
                    // Good mail comes first, then as many as possible; of equal ones another kind, and what says more.
                    (
                        (std::cmp::Reverse(of_ham), of_missed, is_new_kind, sign.weight(), std::cmp::Reverse(place)),
                        place,
                    )
                })
            });
            let Some((rating, place)) = rated.max() else { break };
            before = (rating.1, rating.0.0);
            mask |= 1u64 << place;
            chosen.push(place);
        }
        (chosen.len() >= CONJUNCTS_MIN && before.1 == 0).then_some(chosen)
    }

    fn proposal(&self, signs: &[&Sign], hits: &[&String], ham: usize, score: Score) -> Proposal {
        let conditions: String = signs.iter().map(|sign| sign.rule("")).collect();
        let name = format!("PROPOSED_{:08X}", hash(conditions.as_bytes()) & 0xffff_ffff);
        let mut text = String::new();
        let subtests: Vec<String> = (1..=signs.len()).map(|number| format!("__{name}_{number}")).collect();
        for (sign, subtest) in signs.iter().zip(&subtests) {
            text.push_str(&sign.rule(subtest));
        }
        let said = signs
            .iter()
            .max_by_key(|sign| (sign.is_phrase(), sign.weight()))
            .map(|sign| sign.said())
            .unwrap_or_default();
        let _ = writeln!(text, "meta     {name} {}", subtests.join(" && "));
        let _ = writeln!(text, "describe {name} Like mail that was missed: {said}");
        let _ = writeln!(text, "score    {name} {score}");
        let examples: Vec<String> = hits.iter().take(EXAMPLES_MAX).map(|name| (*name).clone()).collect();
        Proposal { name, score, group: self.names.len(), hits: hits.len(), ham, examples, text }
    }
}

/// The same on every machine and with every release.
fn hash(octets: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(octets);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Context;
    use crate::settings::Settings;

    /// Each message brings the same offer with other names and numbers.
    fn offers() -> Vec<(String, String)> {
        let one = |number: usize| {
            let text = format!(
                "From: Shop <a{number}@bad{number}.example>\nTo: hans.meier@here.example\nSubject: Your parcel {number} is waiting\n\n\
                 Hello Hans Meier,\n\nyour parcel number {number}77 could not be delivered yesterday evening.\n\n\
                 Please pay the missing customs fee of {number}.99 EUR at http://go{number}.example/track/customs.php?id={number}\n\n\
                 Our friendly service wishes you a very nice day, number {number}.\n"
            );
            (format!("{number}.eml"), text)
        };
        (1..=6).map(one).collect()
    }

    fn draft(missed: &[(String, String)], good: &[&str]) -> (Draft, Counts) {
        let read = |text: &'static str| Input::from_octets(text.as_bytes(), &Context::default(), &Settings::default());
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let mut all = Missed::default();
        missed.iter().for_each(|(name, text)| all.add(Sample::of(name, &read(leak(text)))));
        let draft = all.draft();
        let mut counts = Counts::new(&draft);
        for (name, text) in missed {
            counts.missed(&draft, name, &draft.see(&read(leak(text))));
        }
        good.iter().for_each(|text| counts.ham(&draft.see(&read(leak(text)))));
        (draft, counts)
    }

    fn proposals(missed: &[(String, String)], good: &[&str]) -> (Vec<Proposal>, Vec<usize>) {
        let (draft, counts) = draft(missed, good);
        draft.proposals(&counts)
    }

    #[test]
    fn a_group_gives_a_rule_of_several_conditions() {
        let found = proposals(&offers(), &["Subject: hello\n\nSee you tomorrow.\n"]).0;
        let first = found.first().unwrap();
        assert_eq!((first.hits, first.group, first.ham, first.score), (6, 6, 1, SCORE), "{first:?}");
        assert!(!first.text.to_lowercase().contains("meier"), "the recipient is in no rule: {}", first.text);
        assert!(first.text.contains(&format!("__{0}_1 && __{0}_2", first.name)), "{}", first.text);
        assert_eq!(found, proposals(&offers(), &["Subject: hello\n\nSee you tomorrow.\n"]).0);
    }

    /// The proposal is a rule file that compiles without a remark, and hits what it says.
    #[test]
    fn a_proposal_is_a_rule_file() {
        let text = proposals(&offers(), &[]).0.remove(0).text;
        let file = SourceFile { name: "p.cf".to_owned(), text: text.into_bytes() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        let (set, remarks) = compile(parsed, CompileOptions::default());
        assert_eq!(remarks, []);
        for (_, text) in offers() {
            let input = Input::from_octets(text.as_bytes(), &Context::default(), &Settings::default());
            assert_eq!(set.matches(&input, &Answers::default()).hits.len(), 1);
        }
    }

    /// Good mail that says the same word for word leaves nothing to ask for.
    #[test]
    fn what_good_mail_says_as_well_is_not_proposed() {
        let offers = offers();
        let good = offers.first().unwrap().1.replace("bad1", "good");
        assert_eq!(proposals(&offers, &[&good]), (Vec::new(), vec![6]));
    }

    #[test]
    fn two_are_no_group_and_one_that_came_twice_is_one() {
        assert_eq!(draft(offers().get(..2).unwrap(), &[]).0.groups(), 0);
        let same = |number: usize| {
            let (_, text) = offers().swap_remove(0);
            (format!("{number}"), format!("Message-ID: <1@a.example>\n{text}"))
        };
        assert_eq!(draft(&[same(1), same(2), same(3)], &[]).0.groups(), 0);
    }
}
