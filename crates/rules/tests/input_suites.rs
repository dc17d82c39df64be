//! SpamAssassin's own checks of its readers: `Received` headers, the trust boundary, links in text.
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests read files, and a broken file may panic"
)]

mod material;

use serde_json::Value;
use tidegate_rules::input::{Context, Input};
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{CompileOptions, Pattern, RuleSet, compile};

/// Cases that differ on purpose: suite, the text by which the case is known, and why.
const DIFFERENCES: &[(&str, &str, &str)] = &[];

fn cases(folder: &std::path::Path, name: &str) -> Vec<Value> {
    let text = std::fs::read(folder.join("suites/sa-rules").join(name)).expect("the suite is there");
    match serde_json::from_slice(&text).expect("the suite is JSON") {
        Value::Array(cases) => cases,
        other => panic!("{name}: no list but {other}"),
    }
}

fn text<'c>(case: &'c Value, name: &str) -> &'c str {
    case[name].as_str().expect("a text")
}

fn rules(texts: &[&str]) -> RuleSet {
    let file = |text: &&str| SourceFile { name: "test.cf".to_owned(), text: text.as_bytes().to_vec() };
    let files: Vec<SourceFile> = texts.iter().map(file).collect();
    let parsed = parse(&files, &ParseOptions::default(), &no_includes);
    compile(parsed, CompileOptions { network: false, classifier: false }).0
}

/// Fails with the list of cases that are neither right nor explained; an explained one that is right fails too.
fn check(suite: &str, count: usize, wrong: &[(String, String)]) {
    let is_explained = |name: &str| DIFFERENCES.iter().any(|(known, mark, _)| *known == suite && name.contains(mark));
    let unexplained: Vec<&(String, String)> = wrong.iter().filter(|(name, _)| !is_explained(name)).collect();
    let list: Vec<String> = unexplained.iter().map(|(name, what)| format!("{name}\n    {what}")).collect();
    assert!(unexplained.is_empty(), "{suite}: {} of {count} wrong\n{}", list.len(), list.join("\n"));
    for (known, mark, _) in DIFFERENCES.iter().filter(|(known, _, _)| *known == suite) {
        assert!(
            wrong.iter().any(|(name, _)| name.contains(mark)),
            "{known}: {mark} is listed as different, but is right"
        );
    }
}

#[test]
fn received_headers() {
    let Some(folder) = material::folder("received_headers") else { return };
    let rules = rules(&["trusted_networks 127.0.0.1\n"]);
    let cases = cases(&folder, "received-parse.json");
    let mut wrong = Vec::new();
    for case in &cases {
        let header = text(case, "received");
        let message = format!("Received: {header}\n\nx\n");
        let input = Input::from_octets(message.as_bytes(), &Context::default(), rules.settings());
        let relays = [input.relays.trusted_text.as_slice(), input.relays.untrusted_text.as_slice()].concat();
        // The suite's lines are older than the field that tells internal relays.
        let found = String::from_utf8_lossy(&relays).replace("intl=0 ", "").replace("intl=1 ", "");
        if found != text(case, "expected").replace("intl=0 ", "") {
            wrong.push((header.to_owned(), format!("wanted {}\n    found  {found}", text(case, "expected"))));
        }
    }
    check("received", cases.len(), &wrong);
}

#[test]
fn trust_boundary() {
    let Some(folder) = material::folder("trust_boundary") else { return };
    let cases = cases(&folder, "trust-path.json");
    let mut wrong = Vec::new();
    for case in &cases {
        let (mut settings, mut header) = (String::new(), String::new());
        for line in text(case, "input").lines() {
            // Continuations are indented further than the first line of a header.
            match line.strip_prefix("  ").unwrap_or(line) {
                line if line.starts_with([' ', '\t']) => header.push_str(&format!("{line}\n")),
                line if line.split(' ').next().is_some_and(|word| word.ends_with(':')) => {
                    header.push_str(&format!("{line}\n"))
                }
                line => settings.push_str(&format!("{line}\n")),
            }
        }
        let rules = rules(&[
            "originating_ip_headers X-Yahoo-Post-IP X-Originating-IP X-Apparently-From X-SenderIP\n",
            &settings,
        ]);
        let message = format!("{header}\nx\n");
        let input = Input::from_octets(message.as_bytes(), &Context::default(), rules.settings());
        let shown = |name: &str, text: &[u8]| format!("{name}: {}", String::from_utf8_lossy(text)).trim().to_owned();
        let found =
            [shown("Trusted", &input.relays.trusted_text), shown("Untrusted", &input.relays.untrusted_text)].join("\n");
        // Warnings about networks are the parser's.
        let wanted: Vec<&str> = text(case, "expected").lines().filter(|line| line.contains("rusted:")).collect();
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        if squeezed(&found) != squeezed(&wanted.join("\n")) {
            wrong.push((text(case, "input").to_owned(), format!("wanted {}\n    found  {found}", wanted.join(" "))));
        }
    }
    check("trust", cases.len(), &wrong);
}

#[test]
fn links_in_text() {
    let Some(folder) = material::folder("links_in_text") else { return };
    let suffixes = material::stock_rules(&folder).into_iter().filter(|file| file.name.ends_with("20_aux_tlds.cf"));
    let parsed = parse(&suffixes.collect::<Vec<_>>(), &ParseOptions::default(), &no_includes);
    let rules = compile(parsed, CompileOptions { network: false, classifier: false }).0;
    let cases = cases(&folder, "uri-text.json");
    let mut wrong = Vec::new();
    for case in &cases {
        let shown = text(case, "text").replace("{ESC}", "\x1b");
        let message = format!("Content-Type: text/plain; charset=utf-8\n\n{shown}\n");
        let input = Input::from_octets(message.as_bytes(), &Context::default(), rules.settings());
        let uris: Vec<&[u8]> = input.uris.iter().flat_map(|uri| &uri.cleaned).map(Vec::as_slice).collect();
        let pattern = Pattern::parse(format!("m{{{}}}", text(case, "pattern")).as_bytes()).expect("a pattern");
        let is_match = uris.iter().any(|uri| pattern.is_match(uri) == Ok(true));
        if is_match != case["match"].as_bool().expect("a flag") {
            wrong.push((
                text(case, "text").to_owned(),
                format!("{} {} {:?}", text(case, "pattern"), case["match"], String::from_utf8_lossy(&uris.join(&b' '))),
            ));
        }
    }
    check("links", cases.len(), &wrong);
}
