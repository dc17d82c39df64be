//! The checks as they lie in the tree: one word is the line in the list, the module, the page, the configuration and the folder of cases.
//! Says which check lacks a part, which symbol no case has ever found, and which file is not formatted. Reads text; that the parts fit
//! together is the compiler's, and what symbols and pages say is looked at by the tests of cases.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::root;
use crate::tidy::{shown, sources};

/// Where the checks are listed, and where their parts are.
pub(crate) const LIST: &str = "crates/filter/src/checks.rs";
pub(crate) const FOLDER: &str = "crates/filter/src/checks";
pub(crate) const CASES: &str = "crates/filter/tests/cases";

/// What stands where something is to be written.
pub(crate) const BLANK: &str = "TO BE WRITTEN";

/// What is missing: whatever has one part of a check has all, and each symbol is found by a case.
pub(crate) fn faults() -> anyhow::Result<Vec<String>> {
    let list = fs::read_to_string(root().join(LIST)).context(LIST)?;
    let listed = listed(&list);
    ensure!(!listed.is_empty(), "no check was found in {LIST}; tidy no longer understands the list");
    let mut faults = Vec::new();
    if list.contains(BLANK) {
        faults.push(format!("{LIST}: something is {BLANK}"));
    }
    let mut declared = 0;
    for name in &listed {
        for (path, what) in [
            (format!("{FOLDER}/{name}.rs"), "code"),
            (format!("{FOLDER}/{name}.md"), "page"),
            (format!("{CASES}/{name}"), "folder of cases"),
        ] {
            let file = root().join(&path);
            if !file.exists() {
                faults.push(format!("{path}: the check `{name}` has no {what}"));
            } else if file.is_file() && fs::read_to_string(&file)?.contains(BLANK) {
                faults.push(format!("{path}: something is {BLANK}"));
            }
        }
        let cases = cases(name)?;
        if cases.is_empty() {
            faults.push(format!("{CASES}/{name}: the check `{name}` has no case"));
        }
        if cases.iter().any(|case| case.contains(BLANK)) {
            faults.push(format!("{CASES}/{name}: in a case something is {BLANK}"));
        }
        let symbols = symbols(name)?;
        declared += symbols.len();
        let found = found(&cases)?;
        let missing = symbols.difference(&found);
        faults.extend(missing.map(|symbol| format!("{CASES}/{name}: no case makes the check find `{symbol}`")));
    }
    ensure!(declared > 0, "no symbol was found in {FOLDER}; tidy no longer understands how they are declared");
    for entry in fs::read_dir(root().join(FOLDER))? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !path.is_dir() && !listed.contains(stem) {
            faults.push(format!("{}: `{stem}` is not in the list of checks", shown(&path)));
        }
    }
    faults.extend(unformatted()?);
    Ok(faults)
}

/// Files of checks that are not formatted: `cargo fmt` does not find them, since a macro declares their modules.
fn unformatted() -> anyhow::Result<BTreeSet<String>> {
    let files = sources(&root().join(FOLDER))?;
    let output = Command::new("rustfmt").args(["--check", "-l"]).args(files).current_dir(root()).output();
    let output = output.context("running rustfmt")?;
    // A file that does not parse is named by the compiler, better than here.
    let named = String::from_utf8_lossy(&output.stdout);
    let files = named.lines().map(|file| shown(file.as_ref()));
    Ok(files.map(|file| format!("{file}: not formatted; `rustfmt {file}` does it")).collect())
}

/// The names in `checks! { name => [Stage, …]; }`.
pub(crate) fn listed(source: &str) -> BTreeSet<String> {
    let block = source.split("\nchecks! {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let entries = block.lines().filter_map(|line| line.trim().split_once("=>"));
    entries.map(|(name, _)| name.trim().to_owned()).collect()
}

/// The cases of a check, as text.
fn cases(name: &str) -> anyhow::Result<Vec<String>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(root().join(CASES).join(name)).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            cases.push(fs::read_to_string(&path).with_context(|| shown(&path))?);
        }
    }
    Ok(cases)
}

/// Names of the symbols that the code of a check declares.
pub(crate) fn symbols(name: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut files = vec![root().join(format!("{FOLDER}/{name}.rs"))];
    let folder = root().join(FOLDER).join(name);
    if folder.is_dir() {
        files.extend(sources(&folder)?);
    }
    let mut symbols = BTreeSet::new();
    for file in files.iter().filter(|file| file.exists()) {
        symbols.extend(declared(&fs::read_to_string(file).with_context(|| shown(file))?));
    }
    Ok(symbols)
}

/// The names in `static X: Symbol = …("NAME", …)`: the first text behind the equals sign.
fn declared(source: &str) -> Vec<String> {
    let declarations = source.split(": Symbol =").skip(1);
    declarations.filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned).collect()
}

/// The symbols that the cases say are found.
fn found(cases: &[String]) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for case in cases {
        let case: toml::Table = case.parse()?;
        let symbols =
            case.get("expect").and_then(|expect| expect.get("symbols")).and_then(|symbols| symbols.as_table());
        found.extend(symbols.into_iter().flat_map(|symbols| symbols.keys()).cloned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_checks_is_read() {
        let source = "macro_rules! checks {\n  ($($name:ident => x)) => {}\n}\n\nchecks! {\n    // first\n    lists  => [Connect, Mail];\n    dnsbl => [Connect]; // second\n}\n";
        assert_eq!(listed(source), BTreeSet::from(["lists".to_owned(), "dnsbl".to_owned()]));
    }

    #[test]
    fn declared_symbols_are_read() {
        let source = "static ONE: Symbol = Symbol::evidence(\n    \"ONE\",\n    1,\n    \"text\",\n);\npub(super) static TWO: Symbol =\n    breach(\"TWO\", \"text\");\nfn of(symbol: &Symbol) {}\n";
        assert_eq!(declared(source), ["ONE", "TWO"]);
    }

    #[test]
    fn a_case_says_what_is_found() {
        let cases = ["why = \"\"\n[expect.symbols]\nONE = \"x\"\n", "[expect]\nstage = \"rcpt\"\n"].map(str::to_owned);
        assert_eq!(found(&cases).unwrap(), BTreeSet::from(["ONE".to_owned()]));
    }
}
