//! Commands as pages, packaged files and the program's own messages write them: each is one that the command line takes, since a
//! person types them as they stand there.
#![allow(clippy::disallowed_methods, reason = "tests read files, and a broken file may panic")]

use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;
use tidegate::cli::Cli;

/// Where commands are written, below the workspace's root.
const PLACES: &[&str] =
    &["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs", "packaging", "crates", "data"];
/// What is made from the command line itself shows its usage, not commands.
const GENERATED: &str = "docs/reference/cli.md";
/// What stands before a command outside of backticks: a literal of the source, a pipe, a loop, a unit of systemd.
const STARTS: &[&str] = &["\"tidegate ", "| tidegate ", "do tidegate ", "=/usr/bin/tidegate "];

#[test]
fn every_written_command_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = Vec::new();
    PLACES.iter().for_each(|place| texts(&root.join(place), &mut paths));
    let mut count = 0;
    let mut refused = Vec::new();
    for path in paths.iter().filter(|path| !path.ends_with(GENERATED) && !path.ends_with("tests/commands/main.rs")) {
        let text = std::fs::read_to_string(path).expect("a text can be read");
        for (line, command) in commands(&text) {
            for words in alternatives(&words(&command)) {
                count += 1;
                if let Some(error) = refusal(&words) {
                    refused.push(format!("{}:{line}: {}: {error}", path.display(), words.join(" ")));
                }
            }
        }
    }
    assert!(count > 150, "only {count} commands were found: the places have moved");
    assert!(refused.is_empty(), "{} of {count} are not taken:\n{}", refused.len(), refused.join("\n"));
}

/// Commands that nobody should write are told apart: the test above can fail.
#[test]
fn a_wrong_command_is_seen() {
    for wrong in ["tidegate list add block client 192.0.2.7", "tidegate lists", "tidegate logs --jsn", "tidegate why"] {
        let found = commands(&format!("Type `{wrong}`."));
        let [(1, command)] = found.as_slice() else { panic!("{wrong} is one command, not {found:?}") };
        let error = refusal(&words(command));
        // A verb named without what it is about is how prose speaks of it.
        assert_eq!(error.is_some(), wrong != "tidegate why", "{wrong}: {error:?}");
    }
}

fn texts(place: &Path, into: &mut Vec<PathBuf>) {
    if place.is_dir() {
        let entries = std::fs::read_dir(place).expect("a folder can be read");
        entries.for_each(|entry| texts(&entry.expect("an entry can be read").path(), into));
        return;
    }
    let kind = place.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
    if ["md", "rs", "toml", "service", "timer", "conf", "cf"].contains(&kind) {
        into.push(place.to_owned());
    }
}

/// The commands of a text with the number of their line: between backticks, as a line of a fenced block, and after [`STARTS`].
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    for (line, number) in text.lines().zip(1..) {
        // Comments of the source have such blocks too.
        let bare = line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim_start();
        if bare.starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            let typed = bare.trim_start_matches(['$', '#']).trim_start();
            if typed.starts_with("tidegate ") {
                found.push((number, typed.to_owned()));
            }
        } else {
            let spans = line.split('`').skip(1).filter(|span| span.starts_with("tidegate "));
            found.extend(spans.map(|span| (number, span.to_owned())));
            for start in STARTS {
                let rests = line.match_indices(start).filter_map(|(at, _)| line.get(at + start.len()..));
                let ends = rests.map(|rest| rest.split(['`', '"']).next().unwrap_or_default());
                found.extend(ends.map(|rest| (number, format!("tidegate {rest}"))));
            }
        }
    }
    found
}

/// The words of a command up to where the shell's own language goes on, without what a page marks as optional or repeated.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut is_optional = false;
    for word in unquoted(&command.replace('…', " ")).split_whitespace() {
        let ends = matches!(word, "|" | "&&" | "||" | "#" | "\\" | "2>&1" | "&");
        if ends || word.starts_with(['>', '<', '#']) {
            break;
        }
        is_optional |= word.starts_with('[');
        let plain = word.trim_matches([';', ',']);
        if !is_optional && !plain.is_empty() {
            words.push(plain.to_owned());
        }
        is_optional &= !word.ends_with(']');
        if word.ends_with(';') {
            break;
        }
    }
    words
}

/// The command with one word in place of each quoted text.
fn unquoted(command: &str) -> String {
    let pieces = command.split(['"', '\'', '\\']).zip(0..);
    pieces.map(|(piece, number)| if number % 2 == 0 { piece.to_owned() } else { "quoted".to_owned() }).collect()
}

/// `list add|remove|show` is three commands.
fn alternatives(words: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for word in words {
        let each: Vec<&str> = word.split('|').collect();
        all = all
            .iter()
            .flat_map(|before| each.iter().map(|one| [before.as_slice(), &[(*one).to_owned()]].concat()))
            .collect();
    }
    all
}

/// Why the command line does not take the words; what prose leaves out is no reason, nor is a placeholder where a value stands.
fn refusal(words: &[String]) -> Option<String> {
    if words.get(1).is_some_and(|verb| verb.starts_with('{')) {
        return None; // A line that begins with the program's name.
    }
    let error = Cli::command().try_get_matches_from(words).err()?;
    let is_placeholder = |word: &String| {
        let is_name = word.len() > 1 && word.chars().all(|char| char.is_ascii_uppercase() || "-_.".contains(char));
        is_name || word.contains(['{', '$'])
    };
    let is_taken = match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::ValueValidation => words.iter().any(is_placeholder),
        ErrorKind::InvalidValue => {
            words.iter().any(is_placeholder) || words.last().is_some_and(|word| word.starts_with("--"))
        }
        _ => false,
    };
    (!is_taken).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}
