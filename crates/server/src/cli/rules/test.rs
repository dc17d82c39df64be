//! `tidegate rules test`: which rules hit messages, where, and on which text. The JSON form is documented in docs/reference/json.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tidegate_mail::Score;
use tidegate_rules::{Answers, Context, Hit, Input, RuleId, SETTLED_RULE};

use super::messages::{self, Seen, seen};
use super::{Ended, Loaded};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Rule files or folders, several times if need be; what the daemon reads if none is named.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// Messages: files, folders (with all below), or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Subtests (`__NAME`) as well.
    #[arg(long)]
    subtests: bool,
    /// One JSON object a message.
    #[arg(long)]
    json: bool,
}

/// Runs without DNS and without a classifier: rules that need them do not hit.
pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let loaded = Loaded::read(config, &arguments.rules)?;
    let errors = loaded.errors();
    for error in &errors {
        eprintln!("tidegate: {error}; not tried, see `tidegate rules check`");
    }
    let files = messages::named(&arguments.paths)?;
    let work = |file: &Path, octets: &[u8]| report(&loaded, file, octets);
    let unread = messages::each(&files, work, |_, report| {
        if arguments.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{}", report.shown(arguments.subtests));
        }
        Ok(())
    })?;
    // What was not tried cannot have missed.
    Ok(unread.or(if errors.is_empty() { Ended::Done } else { Ended::BadInput }))
}

#[derive(Serialize)]
struct Report {
    file: String,
    score: Score,
    hits: BTreeMap<String, Score>,
    subtests: BTreeMap<String, u32>,
    #[serde(rename = "where")]
    seen: BTreeMap<String, Place>,
    /// Rules whose pattern reached a limit: whether they match is unknown.
    limits: Vec<String>,
}

#[derive(Serialize)]
struct Place {
    at: String,
    text: String,
}

fn report(loaded: &Loaded, file: &Path, octets: &[u8]) -> Report {
    let set = &loaded.set;
    let input = Input::from_octets(octets, &Context::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    let name = |id: RuleId| set.rules().get(id.index()).map_or_else(String::new, |rule| rule.name.to_string());
    let both = || matches.hits.iter().chain(&matches.subtests);
    let hit: BTreeSet<String> = both().map(|hit| name(hit.rule)).collect();
    let place = |hit_: &Hit| {
        let rule = name(hit_.rule);
        if let Some(settled) = matches.settled.filter(|_| rule == SETTLED_RULE) {
            return (rule, Place { at: format!("settled by {}", name(settled.rule)), text: String::new() });
        }
        let Seen { at, text } = seen(&rule, hit_, &loaded.parsed, &input, &|part| hit.contains(part));
        (rule, Place { at, text })
    };
    Report {
        file: file.display().to_string(),
        score: matches.score(),
        hits: matches.hits.iter().map(|hit| (name(hit.rule), hit.score)).collect(),
        subtests: matches.subtests.iter().map(|hit| (name(hit.rule), hit.count)).collect(),
        seen: both().map(place).collect(),
        limits: matches.limits.iter().map(|id| name(*id)).collect(),
    }
}

impl Report {
    fn shown(&self, with_subtests: bool) -> String {
        let mut text = format!("{}: score {}\n", super::shown(self.file.as_bytes()), self.score);
        let mut push = |points: String, name: &str| {
            text.push_str(&format!("{points:>8}  {name}"));
            if let Some(Place { at, text: seen }) = self.seen.get(name).filter(|place| !place.at.is_empty()) {
                text.push_str(&format!("  {at}"));
                if !seen.is_empty() {
                    text.push_str(&format!(": {seen}"));
                }
            }
            text.push('\n');
        };
        self.hits.iter().for_each(|(name, score)| push(score.to_string(), name));
        if with_subtests {
            self.subtests.iter().for_each(|(name, count)| push(format!("{count} x"), name));
        }
        for name in &self.limits {
            text.push_str(&format!("       ?  {name}  its pattern reached a limit\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use tidegate_rules::language::source::SourceFile;

    use super::*;

    const RULES: &str = "body PILLS /cheap\\s+pills/i\nheader __FROM From =~ /seller/\nmeta BOTH PILLS && __FROM\nscore BOTH 2.5\n\
                         uri LINK /shop\\.example\\.com/\n";
    const MESSAGE: &str = "From: seller@shop.example\nSubject: Hello\n\nBuy our\ncheap \x1bpills, cheap  pills\nhttp://shop.example.com/now\n";

    /// A rule that could not be read is told of and ends with bad input: a message it was never tried on was not missed by it.
    #[test]
    fn a_rule_that_cannot_be_read_is_no_miss() {
        let folder = tempfile::tempdir().unwrap();
        let (rules, message) = (folder.path().join("a.cf"), folder.path().join("a.eml"));
        std::fs::write(&rules, "body BROKEN /(/\nbody GOOD /x/\n").unwrap();
        std::fs::write(&message, MESSAGE).unwrap();
        let mut arguments =
            Arguments { rules: vec![rules.clone()], paths: vec![message], subtests: false, json: false };
        let config = folder.path().join("none.toml");
        assert_eq!(run(&config, &arguments).unwrap(), Ended::BadInput);
        let loaded = Loaded::read(&config, &arguments.rules).unwrap();
        let error = loaded.errors().into_iter().map(ToString::to_string).collect::<String>();
        assert!(error.contains("a.cf:1:6: ") && error.contains("at octet 1 of the pattern"), "{error}");
        std::fs::write(&rules, "body GOOD /x/\n").unwrap();
        arguments.json = true;
        assert_eq!(run(&config, &arguments).unwrap(), Ended::Done);
    }

    #[test]
    fn what_settled_the_matter_is_told() {
        let text = "loadplugin Mail::SpamAssassin::Plugin::Shortcircuit\nbody PILLS /cheap/\nshortcircuit PILLS spam\nbody LATE /now/\n";
        let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() }]);
        let shown = report(&loaded, Path::new("m"), MESSAGE.as_bytes()).shown(false);
        let expected = "m: score 101.0\n     1.0  PILLS  body, paragraph 1: Buy our «cheap» \\u{1b}pills, cheap pills http://shop.example\n   100.0  SHORTCIRCUIT  settled by PILLS\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_hit_says_where_and_on_which_text() {
        let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text: RULES.as_bytes().to_vec() }]);
        let report = report(&loaded, Path::new("a\u{1b}.eml"), MESSAGE.as_bytes());
        let text = report.shown(true);
        assert!(!text.contains('\u{1b}'), "{text}");
        for expected in [
            "score 4.5",
            "2.5  BOTH  rules: PILLS __FROM",
            "1.0  PILLS  body, paragraph 1: ",
            "«cheap pills»",
            "1.0  LINK  link: http://shop.example.com/now",
            "1 x  __FROM  header From: seller",
        ] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!((value["hits"]["BOTH"].as_f64(), value["subtests"]["__FROM"].as_u64()), (Some(2.5), Some(1)));
    }
}
