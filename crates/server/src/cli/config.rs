//! `tidegate config check|show|symbols`.

use std::path::Path;

use clap::Subcommand;

use super::Ended;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Reads the configuration and the own lists, and proves that no evidence alone refuses.
    Check,
    /// Shows the configuration with every default written out.
    Show,
    /// Lists every symbol with its points, class and meaning.
    Symbols {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(path: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    let config = Config::read(path)?;
    let rules = config.look_at_rules();
    let engine = config.engine(path, Some(&rules))?;
    match verb {
        Verb::Check => {
            let errors = rules.errors();
            if !errors.is_empty() {
                println!("{}: good, but the rule files are not:", path.display());
                errors.iter().for_each(|error| println!("! {error}"));
                return Ok(Ended::BadInput);
            }
            println!("{}: good, {} rules", path.display(), rules.live());
        }
        Verb::Show => print!("{}", toml::to_string_pretty(&config)?),
        Verb::Symbols { json } => {
            for (check, symbol) in engine.symbols() {
                let weight = engine.weight(symbol);
                if *json {
                    let line = serde_json::json!({
                        "symbol": symbol.name, "check": check, "weight": weight,
                        "class": symbol.class, "group": symbol.group, "meaning": symbol.doc,
                    });
                    println!("{line}");
                } else {
                    println!("{:<32} {weight:>7} {:<14} {}", symbol.name, check.as_str(), symbol.doc);
                }
            }
        }
    }
    Ok(Ended::Done)
}
