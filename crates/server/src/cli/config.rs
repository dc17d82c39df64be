//! `tidegate config check|show|symbols|schema`.

use std::path::Path;

use clap::Subcommand;
use tidegate_filter::check::Class;
use tidegate_filter::engine::Engine;
use tidegate_mail::Score;

use super::Ended;
use crate::config::{self, Config};
use crate::installer;
use crate::rules::Loaded;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Reads the configuration and the own lists, and proves that no evidence alone refuses.
    Check,
    /// Shows the configuration with every default written out.
    Show,
    /// Lists every symbol with its points, class and meaning: what refuses or allows does so alone, and evidence only adds points.
    Symbols {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Prints the JSON schema of the configuration, by which editors complete and check it. Reads no file.
    Schema,
}

pub(super) fn run(path: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    match verb {
        Verb::Check => return check(path),
        Verb::Show => print!("{}", toml::to_string_pretty(&read(path)?.0)?),
        Verb::Symbols { json } => symbols(&read(path)?.2, *json),
        Verb::Schema => println!("{:#}", config::schema()),
    }
    Ok(Ended::Done)
}

/// What the file at `path` says, the rules it names, and the engine that both make.
fn read(path: &Path) -> anyhow::Result<(Config, Loaded, Engine)> {
    let config = Config::read(path)?;
    let rules = config.look_at_rules();
    let engine = config.engine(path, Some(&rules))?;
    Ok((config, rules, engine))
}

fn check(path: &Path) -> anyhow::Result<Ended> {
    let (config, rules, engine) = read(path)?;
    for name in engine.idle_weights() {
        println!("note: [weights] {name} waits: its check or list is off, or no rules are read");
    }
    let most = config.deadlines.envelope_ms;
    if config.dns.timeout_ms.get() >= most {
        println!(
            "note: [dns] timeout_ms = {} is no shorter than a stage ([deadlines] envelope_ms = {most}): what takes as long counts as unknown",
            config.dns.timeout_ms
        );
    }
    let late = installer::late_deadlines(&config.exim.program, &config.deadlines);
    if !late.is_empty() {
        late.iter().for_each(|late| println!("! {late}"));
        return Ok(Ended::BadInput);
    }
    let unknown: Vec<&str> = engine.unknown_weights().collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        println!(
            "{}: `tidegate serve` would go on, but [weights] names what nothing declares: {names}",
            path.display()
        );
        println!("`tidegate config symbols` lists those there are");
        return Ok(Ended::BadInput);
    }
    let limits = match config.limits()?.count() {
        0 => String::new(),
        count => format!(", {count} limits"),
    };
    let errors = rules.errors();
    if !errors.is_empty() {
        println!("{}: good, but the rule files are not:", path.display());
        errors.iter().for_each(|error| println!("! {error}"));
        return Ok(Ended::BadInput);
    }
    println!("{}: good, {} rules{limits}", path.display(), rules.live());
    Ok(Ended::Done)
}

fn symbols(engine: &Engine, json: bool) {
    for (check, symbol) in engine.symbols() {
        let weight = engine.weight(symbol);
        if json {
            let line = serde_json::json!({
                "symbol": symbol.name, "check": check, "weight": weight,
                "class": symbol.class, "group": symbol.group, "meaning": symbol.doc,
            });
            println!("{line}");
        } else {
            let class = match symbol.class {
                Class::Evidence => "evidence",
                Class::Refusal(_) => "refuses",
                Class::Waiting => "waits",
                Class::Allow => "allows",
            };
            // What decides by itself has no points, unless it is given some.
            let points = match symbol.class {
                Class::Refusal(_) | Class::Allow if weight == Score::ZERO => "-".to_owned(),
                _ => weight.to_string(),
            };
            println!("{:<32} {points:>7} {class:<8} {:<14} {}", symbol.name, check.as_str(), symbol.doc);
        }
    }
}
