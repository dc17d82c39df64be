//! `shortcircuit`: a rule that settles the matter. SpamAssassin then leaves out all rules of a later priority; here all are matched at
//! once, and the hits of those that would not have run are taken away again.

use tidegate_mail::Score;

use crate::matching::Matches;
use crate::ruleset::{RuleId, RuleSet};

/// Points of `shortcircuit NAME spam` and `ham`, unless `shortcircuit_spam_score` and `shortcircuit_ham_score` say otherwise.
const SPAM_POINTS: f64 = 100.0;
const HAM_POINTS: f64 = -100.0;

/// What follows when the rule hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcircuit {
    /// Rules of a later priority do not run.
    Stop,
    /// The same, and the message is spam.
    Spam,
    /// The same, and the message is no spam.
    Ham,
}

impl Shortcircuit {
    /// Reads the second word of a `shortcircuit` line; `None` for `off` and for what is no such word.
    pub(crate) fn read(text: &str) -> Option<Shortcircuit> {
        match text.trim() {
            "on" => Some(Shortcircuit::Stop),
            "spam" => Some(Shortcircuit::Spam),
            "ham" => Some(Shortcircuit::Ham),
            _ => None,
        }
    }
}

/// The rule that settled the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which rule.
    pub rule: RuleId,
    /// How.
    pub how: Shortcircuit,
    /// Points for the verdict itself; zero for [`Shortcircuit::Stop`].
    pub score: Score,
}

impl RuleSet {
    /// Takes away what would not have run, if a rule that hit settles the matter. Of several, the one of the first priority does.
    pub(crate) fn settle(&self, mut matches: Matches) -> Matches {
        let hits = matches.hits.iter().chain(&matches.subtests);
        let settling = hits.filter_map(|hit| {
            let rule = self.rules.get(hit.rule.index())?;
            Some((rule.priority, hit.rule, rule.shortcircuit?))
        });
        let Some((priority, rule, how)) = settling.min_by_key(|(priority, rule, _)| (*priority, *rule)) else {
            return matches;
        };
        let has_run = |id: &RuleId| self.rules.get(id.index()).is_some_and(|rule| rule.priority <= priority);
        matches.hits.retain(|hit| has_run(&hit.rule));
        matches.subtests.retain(|hit| has_run(&hit.rule));
        matches.limits.retain(has_run);
        matches.unavailable.retain(|(id, _)| has_run(id));
        let points = |name: &str, default: f64| {
            let configured = self.settings.last(name).and_then(|value| value.trim().parse().ok());
            Score::from_points(configured.unwrap_or(default))
        };
        let score = match how {
            Shortcircuit::Stop => Score::ZERO,
            Shortcircuit::Spam => points("shortcircuit_spam_score", SPAM_POINTS),
            Shortcircuit::Ham => points("shortcircuit_ham_score", HAM_POINTS),
        };
        matches.settled = Some(Settled { rule, how, score });
        matches
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(hits(&format!("{PLUGIN}{rules}shortcircuit A on")), ["A", "C"]);
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
}
