//! `tidegate reference FOLDER`: the reference pages, made from what the program is: checks, symbols, tables, configuration and
//! command line. Hidden, since it is for packagers; `cargo xtask docs` calls it.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use tidegate_filter::check::Class;
use tidegate_filter::{checks, tables};

use super::{Cli, Ended};
use crate::config::{self, Config};

/// What no configuration says: what applies then is what the pages show.
const LEAST: &str = "[server]\nhostname = \"mx.example.org\"\n";

pub(super) fn run(folder: &Path) -> anyhow::Result<Ended> {
    let config = Config::parse(LEAST, Path::new("tidegate.toml"))?;
    let pages = [
        ("checks.md", checks_page()),
        ("symbols.md", symbols_page(&config)?),
        ("tables.md", tables_page()),
        ("config.md", config_page(&config)?),
        ("config.schema.json", format!("{:#}\n", config::schema())),
        ("cli.md", cli_page()),
    ];
    std::fs::create_dir_all(folder)?;
    for (name, text) in pages {
        put(&folder.join(name), text.as_bytes())?;
    }
    let man = folder.join("man");
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    Ok(Ended::Done)
}

fn put(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn checks_page() -> String {
    let mut page =
        "# Checks\n\nIn the order of an SMTP session. Made by `cargo xtask docs` from the pages beside the code.\n"
            .to_owned();
    for entry in checks::ALL {
        let stages: Vec<String> = entry.stages.iter().map(ToString::to_string).collect();
        // Each page is a document of its own, with a heading of the first level.
        let text = entry.page.trim_end().replace("\n#", "\n##");
        let _infallible = write!(page, "\n#{text}\n\nRuns at: {}.\n", stages.join(", "));
    }
    page
}

fn symbols_page(config: &Config) -> anyhow::Result<String> {
    let engine = config.engine(Path::new("tidegate.toml"), None)?;
    let mut page = "# Symbols\n\nEvery finding there can be, with what applies when the configuration says nothing. `refuse` decides alone, `allow` lets in.\n\n\
                    | symbol | points | check | group | meaning |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    for (check, symbol) in engine.symbols() {
        let points = match symbol.class {
            Class::Evidence | Class::Waiting => engine.weight(symbol).to_string(),
            Class::Refusal(_) => "refuse".to_owned(),
            Class::Allow => "allow".to_owned(),
        };
        let group = serde_json::to_value(symbol.group)?;
        let group = group.as_str().unwrap_or_default();
        let _infallible =
            writeln!(page, "| {} | {points} | {} | {group} | {} |", symbol.name, check.as_str(), symbol.doc);
    }
    Ok(page)
}

fn tables_page() -> String {
    let mut page = "# Stored tables\n\nAll state that lasts, by table. A row ends by itself when it was not written for its time to live.\n\n\
                    | table | time to live |\n| --- | --- |\n"
        .to_owned();
    for table in tables::ALL {
        let hours = table.ttl.as_secs() / 3600;
        let _infallible = writeln!(page, "| {} | {} d {} h |", table.name, hours / 24, hours % 24);
    }
    page
}

fn config_page(config: &Config) -> anyhow::Result<String> {
    let text = toml::to_string_pretty(config)?;
    Ok(format!(
        "# Configuration\n\nEvery key with its default, as `tidegate config show` writes it. What each key means, and what may stand there, \
         is in [config.schema.json](config.schema.json), which is what `tidegate config schema` prints.\n\n```toml\n{text}```\n"
    ))
}

fn cli_page() -> String {
    let mut page = "# Command line\n".to_owned();
    push_command(&mut page, &mut Cli::command(), "tidegate");
    page
}

fn push_command(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_long_help();
    let _infallible = write!(page, "\n## {name}\n\n```\n{}\n```\n", help.to_string().trim_end());
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        push_command(page, sub, &name);
    }
}
