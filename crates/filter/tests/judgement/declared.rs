//! How symbols are declared and pages written: names and meanings that an administrator can rely on.

use tidegate_filter::blocklists::Catalogue;
use tidegate_filter::check::SymbolRef;
use tidegate_filter::checks::{self, ByStage, Name, Parts};
use tidegate_filter::settings::{Deadlines, ServerIdentity};
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{CompileOptions, compile, shipped};

/// How names of shipped rules begin, and of nothing else: a symbol of the same name would silently stand in the rule's place.
const OF_RULES: &str = "TG_";

/// The symbols that the code of checks declares, without those of lists and rule files.
fn declared() -> Vec<(Name, SymbolRef)> {
    let parts = Parts {
        identity: &ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() },
        lists: &[],
        blocklists: &Catalogue::default(),
        rules: None,
        deadlines: Deadlines::default(),
        declared: &[],
    };
    let built = ByStage::build(&checks::Config::default(), &parts).map_err(|error| error.to_string()).unwrap();
    assert!(!built.symbols.is_empty(), "no symbol is declared");
    built.symbols
}

/// Fails with one line for each fault.
fn tell(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n\n{}\n", faults.join("\n"));
}

#[test]
fn each_symbol_is_declared_once() {
    let all = declared();
    let twice = all.iter().enumerate().filter_map(|(at, (check, symbol))| {
        let (first, _) = all[..at].iter().find(|(_, other)| other == symbol)?;
        let (name, first, check) = (&symbol.symbol().name, first.as_str(), check.as_str());
        Some(format!("{name} is declared twice, by {first} and by {check}: give one of them another name"))
    });
    tell(twice);
}

#[test]
fn names_are_in_capitals_and_none_is_that_of_a_rule() {
    tell(declared().iter().filter_map(|(check, symbol)| {
        name_fault(&symbol.symbol().name)
            .map(|fault| format!("{} of {}: {fault}", symbol.symbol().name, check.as_str()))
    }));
}

fn name_fault(name: &str) -> Option<&'static str> {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(is_word) {
        return Some("a symbol is written in capitals, digits and underscores, such as GENERIC_RDNS");
    }
    name.starts_with(OF_RULES).then_some("names that begin with TG_ are kept for shipped rules (data/rules)")
}

#[test]
fn each_shipped_rule_is_called_as_such() {
    let (set, _) = compile(
        parse(&shipped::files(), &ParseOptions::default(), &no_includes),
        CompileOptions { network: true, classifier: false },
    );
    assert!(!set.rules().is_empty(), "rules are shipped");
    let strange = set.rules().iter().filter(|rule| !rule.name.trim_start_matches('_').starts_with(OF_RULES));
    tell(strange.map(|rule| format!("{}: names of shipped rules begin with TG_ ({})", rule.name, rule.place)));
}

#[test]
fn meanings_can_be_read_after_because() {
    tell(declared().iter().filter_map(|(_, symbol)| {
        let symbol = symbol.symbol();
        meaning_fault(&symbol.doc).map(|fault| format!("{} means \"{}\": {fault}", symbol.name, symbol.doc))
    }));
}

fn meaning_fault(meaning: &str) -> Option<&'static str> {
    let first = meaning.split(' ').next().unwrap_or_default();
    // SPF, HELO, From: names of the field keep their capitals, an ordinary word has none.
    let is_abbreviation = first.len() > 1 && !first.contains(|c: char| c.is_ascii_lowercase());
    if first.is_empty() {
        return Some("it says nothing");
    }
    if first.starts_with(char::is_uppercase) && !is_abbreviation {
        return Some("people read it after \"because\", so it begins with a small letter");
    }
    meaning.ends_with('.').then_some("people read it within a sentence, so it does not end with a full stop")
}

#[test]
fn each_page_has_its_title_and_its_symbols() {
    let mut faults = Vec::new();
    for entry in checks::ALL {
        let name = entry.name.as_str();
        let page = format!("crates/filter/src/checks/{name}.md");
        let title = entry.page.lines().next().unwrap_or_default();
        if title.strip_prefix(&format!("# {name}: ")).is_none_or(|about| about.trim().is_empty()) {
            faults.push(format!("{page}: the first line is not `# {name}: what it is about` but `{title}`"));
        }
        for (_, symbol) in declared().iter().filter(|(check, _)| *check == entry.name) {
            let symbol = &symbol.symbol().name;
            if !entry.page.contains(&format!("`{symbol}`")) {
                faults.push(format!("{page}: says nothing of `{symbol}`"));
            }
        }
    }
    tell(faults);
}

#[test]
fn faults_are_seen() {
    for (name, is_fine) in [
        ("SPF_FAIL", true),
        ("TOO_MANY_2", true),
        ("spf_fail", false),
        ("Spf", false),
        ("_X", false),
        ("2X", false),
        ("A-B", false),
        ("", false),
        ("TG_ODD", false),
        ("TGIF", true),
    ] {
        assert_eq!(name_fault(name).is_none(), is_fine, "{name}");
    }
    for (meaning, is_fine) in [
        ("the client has no name", true),
        ("SPF does not pass", true),
        ("a list says so", true),
        ("The client has no name", false),
        ("A list says so", false),
        ("the client has no name.", false),
        ("", false),
    ] {
        assert_eq!(meaning_fault(meaning).is_none(), is_fine, "{meaning}");
    }
}
