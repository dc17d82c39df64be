//! URLs in plain text, held against SpamAssassin's suite: what must be found is found, what must not be is not, or it is
//! explained.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod material;

use std::collections::BTreeMap;

use tidegate_mail::{Limits, find_urls};

/// `text <TAB> pattern <TAB> why`.
const DIFFERENCES: &str = include_str!("data/url-differences.tsv");

#[test]
fn urls_of_the_suite_are_found() {
    let Some(shared) = material::shared("urls_of_the_suite_are_found") else { return };
    let suite = material::read(&shared.join("material/suites/sa-rules/uri-text.json"));
    let cases: serde_json::Value = serde_json::from_slice(&suite).unwrap();
    let mut explained: BTreeMap<(String, String), bool> = DIFFERENCES
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some(((fields.next()?.to_owned(), fields.next()?.to_owned()), false))
        })
        .collect();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for case in cases.as_array().unwrap() {
        let (text, pattern) = (case["text"].as_str().unwrap(), case["pattern"].as_str().unwrap());
        let found = found_in(&text.replace("{ESC}", "\u{1b}"));
        let regex = regex::RegexBuilder::new(pattern).case_insensitive(true).build().unwrap();
        let is_match = found.iter().any(|url| regex.is_match(url));
        if is_match == case["match"].as_bool().unwrap() {
            agreed += 1;
        } else if let Some(is_seen) = explained.get_mut(&(text.to_owned(), pattern.to_owned())) {
            *is_seen = true;
        } else {
            wrong.push(format!("{text}\t{pattern}\t{found:?}"));
        }
    }
    println!("{agreed} agree, {} differ and are explained, {} differ", explained.len(), wrong.len());
    assert!(wrong.is_empty(), "not explained:\n{}", wrong.join("\n"));
    let unseen: Vec<_> = explained.iter().filter(|(_, is_seen)| !**is_seen).collect();
    assert!(unseen.is_empty(), "explained, but not seen: {unseen:?}");
}

/// Each URL as SpamAssassin would list it: as written with a scheme in front, and as normalised.
fn found_in(text: &str) -> Vec<String> {
    let urls = find_urls(text, &Limits::default());
    urls.into_iter()
        .flat_map(|url| {
            let separator = if url.scheme == "mailto" { ":" } else { "://" };
            let has_scheme = url.written.to_ascii_lowercase().starts_with(&format!("{}:", url.scheme));
            let scheme = if has_scheme { String::new() } else { format!("{}{separator}", url.scheme) };
            [Some(format!("{scheme}{}", url.written)), url.normal]
        })
        .flatten()
        .collect()
}
