//! The schema and the program agree: about every example that anyone may copy, and about what is wrong.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Config, schema};

/// The least that a file must say.
const LEAST: &str = "[server]\nhostname = \"mx.example.org\"\n";

#[test]
fn every_example_fits() {
    let schema = schema();
    let examples = examples();
    assert!(examples.len() > 20, "the examples are no longer found: {}", examples.len());
    for (place, text) in examples {
        Config::parse(&text, Path::new(&place)).unwrap();
        assert_eq!(faults(&value(&text), &schema, ""), [""; 0], "{place}");
    }
}

/// Every key there is, with its default.
#[test]
fn the_whole_configuration_fits() {
    let config = Config::parse(LEAST, Path::new("t.toml")).unwrap();
    let shown = toml::to_string(&config).unwrap();
    assert_eq!(faults(&value(&shown), &schema(), ""), [""; 0]);
}

#[test]
fn what_does_not_read_does_not_fit() {
    let schema = schema();
    for (wrong, fault) in [
        ("", ": `server` is missing"),
        ("[server]\nhostname = 1", "server.hostname: is no string"),
        ("[server]\nhostname = \"mx\"\nhostnam = \"mx\"", "server: `hostnam` is unknown"),
        ("[dns]\ntimeout_ms = \"1s\"", "dns.timeout_ms: is no integer"),
        ("[checks]\noff = [\"spff\"]", "checks.off.0: is none of its values"),
        ("[checks.on_unavailable]\nspf = \"reject\"", "checks.on_unavailable.spf: is nothing that may stand there"),
        ("[policy.caps]\nrulez = 1.0", "policy.caps.rulez: is nothing that may stand there"),
        ("[policy.server.inbound]\ntag = \"never\"", "policy.server.inbound.tag: is nothing that may stand there"),
        ("[panel]\nroot = \"/\"", "panel: is nothing that may stand there"),
        ("[panel]\nkind = \"plesk\"", "panel: is nothing that may stand there"),
        ("[journal]\nkeep_days = -1", "journal.keep_days: is too small"),
        ("[journal]\nkeep_days = 70000", "journal.keep_days: is too large"),
        ("[weights]\nSPF_FAIL = true", "weights.SPF_FAIL: is no number"),
        (
            "[blocklists.\"zen.example\"]\nkind = \"good\"",
            "blocklists.zen.example.kind: is nothing that may stand there",
        ),
    ] {
        let text = if wrong.is_empty() || wrong.starts_with("[server]") {
            wrong.to_owned()
        } else {
            format!("{LEAST}{wrong}")
        };
        assert!(Config::parse(&text, Path::new("t.toml")).is_err(), "{text}");
        assert_eq!(faults(&value(&text), &schema, ""), [fault], "{text}");
    }
}

/// Place and text of each example: whole files, and the blocks of TOML in what people read.
fn examples() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![top.join("README.md")];
    for folder in ["docs/guide", "crates/filter/src/checks"] {
        let entries = std::fs::read_dir(top.join(folder)).unwrap();
        pages.extend(
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md")),
        );
    }
    pages.sort();
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let packaged = read(&top.join("packaging/tidegate.toml"));
    let mut examples = vec![
        ("packaging".to_owned(), with_suggestions(&packaged)),
        ("packaging".to_owned(), packaged),
        ("e2e".to_owned(), read(&top.join("e2e/src/tidegate.toml")).replace("@LAB@", "/lab")),
    ];
    for page in &pages {
        let text = read(page);
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let whole =
            blocks.map(|block| if block.contains("[server]") { block.to_owned() } else { format!("{LEAST}{block}") });
        examples.extend(whole.map(|block| (page.display().to_string(), block)));
    }
    examples
}

/// The file with what it only suggests: tables and keys behind a `#`.
fn with_suggestions(text: &str) -> String {
    let is_suggestion = |line: &&str| line.starts_with('[') || line.contains(" = ");
    text.lines()
        .map(|line| line.strip_prefix("# ").filter(is_suggestion).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn value(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

/// What is wrong with `value`, each with its place; nothing if it fits `schema`. Knows the words of JSON Schema that ours has, and panics at
/// others, so that none is passed over.
fn faults(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let Value::Object(words) = schema else { panic!("{place}: {schema}") };
    let at = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    let fits = |schema: &&Value| faults(value, schema, place).is_empty();
    let fault = |what: &str| vec![format!("{place}: {what}")];
    let mut all = Vec::new();
    for (word, said) in words {
        all.extend(match word.as_str() {
            "type" if !is_of_type(value, said.as_str().unwrap()) => fault(&format!("is no {}", said.as_str().unwrap())),
            "const" if value != said => fault("is another value"),
            "enum" if !said.as_array().unwrap().contains(value) => fault("is none of its values"),
            "anyOf" if !said.as_array().unwrap().iter().any(|schema| fits(&schema)) => {
                fault("is nothing that may stand there")
            }
            "oneOf" if said.as_array().unwrap().iter().filter(fits).count() != 1 => {
                fault("is nothing that may stand there")
            }
            "minimum" if value.as_f64().is_some_and(|number| Some(number) < said.as_f64()) => fault("is too small"),
            "maximum" if value.as_f64().is_some_and(|number| Some(number) > said.as_f64()) => fault("is too large"),
            "required" => {
                let missing = said.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none());
                missing.flat_map(|key| fault(&format!("`{}` is missing", key.as_str().unwrap()))).collect()
            }
            "properties" => {
                let known =
                    said.as_object().unwrap().iter().filter_map(|(key, schema)| Some((key, schema, value.get(key)?)));
                known.flat_map(|(key, schema, value)| faults(value, schema, &at(key))).collect()
            }
            "additionalProperties" => {
                let is_known = |key: &str| words.get("properties").is_some_and(|known| known.get(key).is_some());
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !is_known(key));
                others
                    .flat_map(|(key, value)| match said {
                        Value::Bool(_) => fault(&format!("`{key}` is unknown")),
                        schema => faults(value, schema, &at(key)),
                    })
                    .collect()
            }
            "propertyNames" => {
                let keys = value.as_object().into_iter().flatten().map(|(key, _)| key);
                keys.flat_map(|key| faults(&Value::from(key.as_str()), said, &at(key))).collect()
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.flat_map(|(index, item)| faults(item, said, &at(&index.to_string()))).collect()
            }
            "type" | "const" | "enum" | "anyOf" | "oneOf" | "minimum" | "maximum" => Vec::new(),
            "$schema" | "title" | "description" | "default" | "format" | "uniqueItems" => Vec::new(),
            other => panic!("{place}: `{other}` is not understood here"),
        });
    }
    all
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("`{other}` is not understood here"),
    }
}
