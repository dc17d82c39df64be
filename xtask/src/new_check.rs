//! A new check with all its parts, each of which says what is still to be written: code, page, case and the line in the list. What the
//! parts are is told in CONTRIBUTING.md. Changes nothing that is there but the list.

use std::fs;

use anyhow::{Context, bail, ensure};

use crate::checks::{self, BLANK, CASES, FOLDER, LIST, listed};
use crate::root;

/// A stage: its name, the trait, its method, and the facts it is given.
const STAGES: [(&str, &str, &str, &str); 5] = [
    ("Connect", "OnConnect", "connect", "Connect"),
    ("Helo", "OnHelo", "helo", "Greeting"),
    ("Mail", "OnMail", "mail", "Sender"),
    ("Rcpt", "OnRcpt", "rcpt", "Rcpt"),
    ("Data", "OnData", "data", "Mail"),
];
/// Names that are something else already: words of Rust, keys of `[checks]`, and the folder of cases about the engine.
const TAKEN: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl in \
     let loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof \
     unsafe unsized use virtual where while yield off on_unavailable policy";
/// How names of shipped rules begin.
const OF_RULES: &str = "TG_";
const USAGE: &str = "cargo xtask new-check NAME STAGE… [--symbol SYMBOL], such as `new-check generic_rdns Connect`; the symbol is called like \
                     the check if nothing else is said";
/// The check that stands last in the list, whatever comes.
const LAST: &str = "rules";
const CODE: &str = include_str!("new_check/code.rs.txt");
const PAGE: &str = include_str!("new_check/page.md");
const CASE: &str = include_str!("new_check/case.toml");
const MESSAGE: &str = include_str!("new_check/message.eml");

/// `cargo xtask new-check NAME STAGE… [--symbol SYMBOL]`.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Wanted { name, symbol, stages } = wanted(arguments)?;
    let list = fs::read_to_string(root().join(LIST)).context(LIST)?;
    let listed = listed(&list);
    ensure!(!listed.contains(name), "there is a check `{name}` already");
    for check in &listed {
        ensure!(
            !checks::symbols(check)?.contains(&symbol),
            "{symbol} is a symbol of `{check}` already; give another by --symbol"
        );
    }
    let case = format!("{CASES}/{name}/first");
    let mut files = vec![
        (format!("{FOLDER}/{name}.rs"), code(name, &symbol, &stages)),
        (format!("{FOLDER}/{name}.md"), filled(PAGE, name, &symbol)),
        (format!("{case}.toml"), filled(CASE, name, &symbol).replace("@STAGE@", furthest(&stages))),
    ];
    if furthest(&stages) == "data" {
        files.push((format!("{case}.eml"), MESSAGE.to_owned()));
    }
    for (file, _) in &files {
        ensure!(!root().join(file).exists(), "{file} is there already");
    }
    let list = with_line(&list, name, &stages).with_context(|| format!("no place was found in {LIST}"))?;
    files.push((LIST.to_owned(), list));
    fs::create_dir_all(root().join(CASES).join(name))?;
    for (file, text) in &files {
        fs::write(root().join(file), text).with_context(|| file.clone())?;
        println!("{file}");
    }
    println!(
        "\nEach says {BLANK} where something is: tidy finds what is left. The case fails until the check finds something:\n\
         cargo test -p tidegate-filter --test judgement\n\
         The line in the list stands with its stage; move it, if it belongs elsewhere in a session. CONTRIBUTING.md tells the rest."
    );
    Ok(())
}

/// What is asked for.
struct Wanted<'a> {
    name: &'a str,
    symbol: String,
    stages: Vec<Stage>,
}

fn wanted(arguments: &[String]) -> anyhow::Result<Wanted<'_>> {
    let mut words = Vec::new();
    let mut symbol = None;
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "--symbol" => symbol = Some(rest.next().context(USAGE)?.to_owned()),
            option if option.starts_with('-') => bail!("{USAGE}"),
            word => words.push(word),
        }
    }
    let (name, stages) = words.split_first().filter(|(_, stages)| !stages.is_empty()).context(USAGE)?;
    ensure!(is_name(name), "`{name}` is no name of a check; write it as generic_rdns");
    let is_taken = TAKEN.split_whitespace().any(|taken| taken == *name);
    ensure!(!is_taken, "`{name}` means something else already; find another name");
    let symbol = symbol.unwrap_or_else(|| name.to_uppercase());
    ensure!(is_symbol(&symbol), "`{symbol}` is no name of a symbol; write it as GENERIC_RDNS");
    let is_of_rule = symbol.starts_with(OF_RULES);
    ensure!(
        !is_of_rule,
        "{symbol}: names that begin with {OF_RULES} are kept for shipped rules; give another by --symbol"
    );
    Ok(Wanted { name, symbol, stages: stages_of(stages)? })
}

type Stage = &'static (&'static str, &'static str, &'static str, &'static str);

/// The stages named, in the order of a session.
fn stages_of(names: &[&str]) -> anyhow::Result<Vec<Stage>> {
    for name in names {
        let known = STAGES.map(|(stage, ..)| stage).join(", ");
        ensure!(STAGES.iter().any(|(stage, ..)| stage == name), "`{name}` is no stage; there are {known}");
    }
    Ok(STAGES.iter().filter(|(stage, ..)| names.contains(stage)).collect())
}

fn is_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_word)
}

fn is_symbol(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(is_word)
}

/// How far a case has to go to reach all stages.
fn furthest(stages: &[Stage]) -> &'static str {
    if stages.iter().any(|(stage, ..)| *stage == "Data") { "data" } else { "rcpt" }
}

fn filled(blank: &str, name: &str, symbol: &str) -> String {
    blank.replace("@NAME@", name).replace("@SYMBOL@", symbol).replace("@BLANK@", BLANK)
}

fn code(name: &str, symbol: &str, stages: &[Stage]) -> String {
    let (head, of_stage) = CODE.split_once("@STAGE@\n").unwrap_or((CODE, ""));
    let words = |pick: fn(Stage) -> &'static str| {
        let mut words: Vec<&str> = stages.iter().map(|stage| pick(stage)).collect();
        words.sort_unstable();
        words
    };
    let traits = words(|stage| stage.1).join(", ");
    let facts = match words(|stage| stage.3).as_slice() {
        [only] => (*only).to_owned(),
        several => format!("{{{}}}", several.join(", ")),
    };
    let mut text = head.replace("@TRAITS@", &traits).replace("@FACTS@", &facts);
    for (_, implemented, method, facts) in stages {
        let block = of_stage.replace("@TRAIT@", implemented).replace("@METHOD@", method);
        text.push_str(&block.replace("@FACTS@", facts));
    }
    filled(&text, name, symbol)
}

/// The list with a line for the check: before the first one that begins at a later stage, else before the last.
fn with_line(list: &str, name: &str, stages: &[Stage]) -> Option<String> {
    let order = |stage: &str| STAGES.iter().position(|(known, ..)| *known == stage);
    let own = order(stages.first()?.0)?;
    let block = list.find("\nchecks! {\n")? + "\nchecks! {\n".len();
    let mut at = block;
    let mut columns = (0, 0);
    for line in list.get(block..)?.split_inclusive('\n') {
        let Some((other, rest)) = line.split_once("=>") else {
            // A comment, or the end.
            if line.starts_with('}') {
                return None;
            }
            at += line.len();
            continue;
        };
        columns = (other.len(), line.find("//").unwrap_or_default());
        let first = rest.trim_start_matches([' ', '[']).split([',', ']']).next()?;
        if order(first)? > own || other.trim() == LAST {
            break;
        }
        at += line.len();
    }
    let named = format!("{:<width$}", format!("    {name} "), width = columns.0);
    let at_stages = stages.iter().map(|(stage, ..)| *stage).collect::<Vec<_>>().join(", ");
    let line = format!("{:<width$}// {BLANK}: a few words\n", format!("{named}=> [{at_stages}]; "), width = columns.1);
    Some(format!("{}{line}{}", list.get(..at)?, list.get(at..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "\nchecks! {\n    lists   => [Connect, Mail]; // own\n    spf     => [Mail];          // who\n    dkim    => [Data];          // signed\n    rules   => [Data];          // last\n}\n";

    fn placed(name: &str, stages: &[&str]) -> String {
        with_line(BEFORE, name, &stages_of(stages).unwrap()).unwrap()
    }

    #[test]
    fn a_line_stands_with_its_stage() {
        for (stages, before, after) in [
            (&["Connect"][..], "lists", "spf"),
            (&["Data", "Mail"], "spf", "dkim"),
            (&["Rcpt"], "spf", "dkim"),
            (&["Data"], "dkim", "rules"),
        ] {
            let list = placed("new", stages);
            let place = |name: &str| list.find(&format!("    {name} ")).unwrap();
            assert!(place(before) < place("new") && place("new") < place(after), "{list}");
            assert!(listed(&list).contains("new"));
        }
        assert!(
            placed("new", &["Data", "Mail"])
                .contains("    new     => [Mail, Data];    // TO BE WRITTEN: a few words\n")
        );
        assert!(
            placed("a_long_name", &["Connect", "Mail", "Data"])
                .contains("    a_long_name => [Connect, Mail, Data]; // TO BE")
        );
    }

    #[test]
    fn code_has_what_its_stages_need() {
        let stages = stages_of(&["Data", "Rcpt"]).unwrap();
        let code = code("new", "NEW_THING", &stages);
        for part in [
            "use crate::check::{Ask, Group, OnData, OnRcpt, Outcome, Symbol, SymbolRef};",
            "use crate::session::{Mail, Rcpt};",
            "impl OnRcpt for Check {\n    fn rcpt<'a>(&'a self, _ask: &'a Ask<'a, Rcpt>)",
            "impl OnData for Check {\n    fn data<'a>(&'a self, _ask: &'a Ask<'a, Mail>)",
            "static NEW_THING: Symbol",
            "\"NEW_THING\"",
            "`[checks.new]`",
        ] {
            assert!(code.contains(part), "{part}\n{code}");
        }
        assert!(!code.contains('@'), "{code}");
    }

    #[test]
    fn bad_names_and_stages_are_refused() {
        for (arguments, part) in [
            ("", "NAME STAGE"),
            ("new", "NAME STAGE"),
            ("--symbol NEW", "NAME STAGE"),
            ("new Data --symbol", "NAME STAGE"),
            ("new Data --help", "NAME STAGE"),
            ("Generic Data", "no name of a check"),
            ("generic-rdns Data", "no name of a check"),
            ("1st Data", "no name of a check"),
            ("../x Data", "no name of a check"),
            ("type Data", "something else"),
            ("self Data", "something else"),
            ("policy Data", "something else"),
            ("off Data", "something else"),
            ("new connect", "no stage"),
            ("new Data --symbol new", "no name of a symbol"),
            ("new Data --symbol TG_NEW", "shipped rules"),
            ("tg_new Data", "shipped rules"),
        ] {
            let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
            let error = wanted(&arguments).map(|wanted| wanted.symbol).unwrap_err().to_string();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn a_symbol_may_have_a_name_of_its_own() {
        for (arguments, symbol) in [
            ("subject_spoof Data", "SUBJECT_SPOOF"),
            ("subject_spoof Data Mail --symbol SUBJECT_INVISIBLE", "SUBJECT_INVISIBLE"),
            ("--symbol SUBJECT_INVISIBLE subject_spoof Data", "SUBJECT_INVISIBLE"),
        ] {
            let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
            let wanted = wanted(&arguments).unwrap();
            assert_eq!((wanted.name, wanted.symbol.as_str()), ("subject_spoof", symbol), "{arguments:?}");
        }
    }
}
