//! When a rule settles the matter: what would not have run is taken away.

use tidegate_mail::Score;

use super::{Hit, Matches};
use crate::language::shortcircuit::Shortcircuit;
use crate::rule::RuleId;
use crate::ruleset::RuleSet;
use crate::shortcircuit::{SETTLED_RULE, Settled, Stages};

/// Points of `shortcircuit NAME spam` and `ham`, unless `shortcircuit_spam_score` and `shortcircuit_ham_score` say otherwise.
const SPAM_POINTS: f64 = 100.0;
const HAM_POINTS: f64 = -100.0;

impl RuleSet {
    /// Takes away what would not have run, if a rule that hit settles the matter, and lets the rule `SHORTCIRCUIT` hit.
    pub(crate) fn settle(&self, mut matches: Matches) -> Matches {
        let Some(stages) = &self.stages else { return matches };
        let Some(settled) = self.settled(stages, &matches) else { return matches };
        let last = stages.of_rule(settled.rule);
        let has_run = |id: &RuleId| stages.of_rule(*id) <= last;
        matches.hits.retain(|hit| has_run(&hit.rule));
        matches.subtests.retain(|hit| has_run(&hit.rule));
        matches.limits.retain(has_run);
        matches.unavailable.retain(|(id, _)| has_run(id));
        if let Some(rule) = self.id(SETTLED_RULE) {
            let evidence = self.rules.get(settled.rule.index()).map(|rule| rule.name.as_bytes().to_vec());
            let hit = Hit { rule, count: 1, score: settled.score, evidence: evidence.unwrap_or_default() };
            matches.hits.retain(|hit| hit.rule != rule);
            matches.hits.push(hit);
            matches.hits.sort_by_key(|hit| hit.rule);
        }
        matches.settled = Some(settled);
        matches
    }

    /// What settles the matter first: a rule, or the sum of the points so far. Where SpamAssassin's order is a matter of chance, that of
    /// the names counts.
    fn settled(&self, stages: &Stages, matches: &Matches) -> Option<Settled> {
        let mut hits: Vec<&Hit> = matches.hits.iter().chain(&matches.subtests).collect();
        hits.sort_by_key(|hit| (stages.of_rule(hit.rule), hit.rule));
        let mut sum = Score::ZERO;
        hits.into_iter().find_map(|hit| {
            let rule = self.rules.get(hit.rule.index())?;
            if let Some(how) = rule.shortcircuit {
                return Some(Settled { rule: hit.rule, how, score: self.points(how) });
            }
            sum += hit.score;
            stages.enough(sum).map(|score| Settled { rule: hit.rule, how: Shortcircuit::Stop, score })
        })
    }

    fn points(&self, how: Shortcircuit) -> Score {
        let points = |name: &str, default: f64| {
            let configured = self.settings.last(name).and_then(|value| value.trim().parse().ok());
            Score::from_points(configured.unwrap_or(default))
        };
        match how {
            Shortcircuit::Stop => Score::ZERO,
            Shortcircuit::Spam => points("shortcircuit_spam_score", SPAM_POINTS),
            Shortcircuit::Ham => points("shortcircuit_ham_score", HAM_POINTS),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_mail::Score;

    use super::Shortcircuit;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};
    use crate::{Answers, CompileOptions, Context, Input, Matches, RuleSet, compile};

    const PLUGIN: &str = "loadplugin Mail::SpamAssassin::Plugin::Shortcircuit\n";

    fn matched(text: &str) -> (RuleSet, Matches) {
        let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        let (set, _) = compile(parsed, CompileOptions { network: true, classifier: false });
        let message = b"Subject: a b c\n\nbody\n";
        let matches =
            set.matches(&Input::from_octets(message, &Context::default(), set.settings()), &Answers::default());
        (set, matches)
    }

    fn hits(text: &str) -> Vec<String> {
        let (set, matches) = matched(text);
        matches.hits.iter().map(|hit| set.rules()[hit.rule.index()].name.to_string()).collect()
    }

    #[test]
    fn rules_of_a_later_priority_are_left_out() {
        let rules = "header A Subject =~ /a/\npriority A -100\nheader B Subject =~ /b/\nheader C Subject =~ /c/\npriority C -200\n";
        assert_eq!(hits(&format!("{PLUGIN}{rules}")), ["A", "B", "C"]);
        assert_eq!(hits(&format!("{PLUGIN}{rules}shortcircuit A on")), ["A", "C", "SHORTCIRCUIT"]);
        assert_eq!(hits(&format!("{PLUGIN}{rules}shortcircuit A off")), ["A", "B", "C"]);
        assert_eq!(hits(&format!("{rules}shortcircuit A on")), ["A", "B", "C"], "the plugin is not loaded");
    }

    #[test]
    fn spam_and_ham_have_points_of_their_own() {
        let rule = "header A Subject =~ /a/\n";
        let settled =
            |line: &str| matched(&format!("{PLUGIN}{rule}{line}")).1.settled.map(|s| (s.how, s.score.to_string()));
        assert_eq!(settled("shortcircuit A spam"), Some((Shortcircuit::Spam, "100.0".to_owned())));
        let ham = "shortcircuit A ham\nshortcircuit_ham_score -5";
        assert_eq!(settled(ham), Some((Shortcircuit::Ham, "-5.0".to_owned())));
        assert_eq!(settled(""), None);
    }

    /// SpamAssassin's manual has it so; the program itself sees it at the next rule that hits.
    #[test]
    fn the_sum_of_points_settles_the_matter() {
        let rules = format!(
            "{PLUGIN}header A Subject =~ /a/\nheader B Subject =~ /b/\nbody C /body/\nheader D Subject =~ /c/\npriority D -1\n"
        );
        for (lines, expected, why) in [
            ("shortcircuit_max_spam_score 1.5", &["A", "B", "D", "SHORTCIRCUIT"][..], "the first two make 2"),
            ("shortcircuit_max_spam_score 2", &["A", "B", "D", "SHORTCIRCUIT"], "as much is not more"),
            ("shortcircuit_max_spam_score 1\npriority B 1", &["A", "D", "SHORTCIRCUIT"], "B is not come to"),
            ("shortcircuit_min_ham_score -1\nscore D -2", &["D", "SHORTCIRCUIT"], "for good mail"),
            ("shortcircuit_max_spam_score 20\nshortcircuit_min_ham_score -20", &["A", "B", "C", "D"], "not enough"),
            ("shortcircuit_max_spam_score x", &["A", "B", "C", "D"], "no number"),
        ] {
            assert_eq!(hits(&format!("{rules}{lines}")), expected, "{why}");
        }
        let high = matched(&format!("{rules}shortcircuit_max_spam_score 1.5")).1;
        assert_eq!((high.settled.unwrap().how, high.score()), (Shortcircuit::Stop, Score::milli(3001)));
        let low = matched(&format!("{rules}shortcircuit_min_ham_score -1\nscore D -2")).1;
        assert_eq!(low.score(), Score::milli(-2001));
    }

    #[test]
    fn lines_that_say_nothing_are_told() {
        let text = format!(
            "{PLUGIN}shortcircuit\nshortcircuit A\nshortcircuit A maybe\nshortcircuit A on off\nheader A Subject =~ /a/"
        );
        let file = SourceFile { name: "t.cf".to_owned(), text: text.into_bytes() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        let said: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        let needs = "error: `shortcircuit` needs a rule name and one of on, off, spam and ham";
        let expected = [
            format!("t.cf:2:13: {needs}"),
            format!("t.cf:3:14: {needs}"),
            "t.cf:4:14: error: `maybe` is none of on, off, spam and ham".to_owned(),
            format!("t.cf:5:14: {needs}"),
        ];
        assert_eq!(said, expected);
        assert!(compile(parsed, CompileOptions::default()).0.stages.is_none());
    }
}
