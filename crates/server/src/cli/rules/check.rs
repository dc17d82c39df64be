//! `tidegate rules check`: what is wrong with rule files, with the line itself.

use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use clap::Args;
use tidegate_mail::spelt_out;
use tidegate_rules::language::source::Severity;

use super::lint::{Remark, remarks};
use super::{Ended, Loaded};

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Rule files, or folders with `.pre` and `.cf` files; what the daemon reads if none is named.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Also what works, but is worth knowing.
    #[arg(long)]
    notes: bool,
    /// One JSON object a remark.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let loaded = Loaded::read(config, &arguments.paths)?;
    let remarks = remarks(&loaded);
    let is_wanted = |remark: &&Remark| arguments.notes || arguments.json || remark.severity > Severity::Note;
    for remark in remarks.iter().filter(is_wanted) {
        if arguments.json {
            println!("{}", line(remark));
        } else {
            println!("{}\n", snippet(remark, &loaded));
        }
    }
    let count = |severity| remarks.iter().filter(|remark| remark.severity == severity).count();
    if !arguments.json {
        let files = loaded.sources.iter().filter(|source| source.name != "built-in.pre").count();
        let rules = loaded.set.rules().len();
        let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
        let hint = if arguments.notes || notes == 0 { "" } else { " (shown with --notes)" };
        println!("files: {files}, rules: {rules}, errors: {errors}, warnings: {warnings}, notes: {notes}{hint}");
    }
    Ok(if count(Severity::Error) > 0 { Ended::Found } else { Ended::Done })
}

fn line(remark: &Remark) -> String {
    serde_json::json!({
        "file": &*remark.place.file, "line": remark.place.line, "column": remark.place.column,
        "severity": remark.severity.to_string(), "about": remark.about.as_str(), "rule": remark.rule,
        "message": remark.message,
    })
    .to_string()
}

/// The remark with file, line, column and the line itself.
fn snippet(remark: &Remark, loaded: &Loaded) -> String {
    let place = &remark.place;
    let level = match remark.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let index = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
    let source = loaded.sources.iter().find(|source| *source.name == *place.file);
    let text = source.and_then(|source| source.text.split(|octet| *octet == b'\n').nth(index)).unwrap_or_default();
    // Only this line is handed over, under its own number: files are octets and may be large.
    let before = usize::try_from(place.column).unwrap_or(1).saturating_sub(1).min(text.len());
    let (head, tail) = text.split_at_checked(before).unwrap_or((text, &[]));
    let (head, tail) = (printable(head), printable(tail));
    let span = head.len()..head.len() + tail.trim_end().len();
    let line = format!("{head}{tail}");
    let title = format!("{} [{}]", remark.message, remark.about.as_str());
    let snippet = Snippet::source(line.as_str())
        .path(&*place.file)
        .line_start(usize::try_from(place.line).unwrap_or(1))
        .annotation(AnnotationKind::Primary.span(span));
    Renderer::plain().render(&[level.primary_title(title.as_str()).element(snippet)])
}

/// The octets as text in which each character is seen and has a width.
fn printable(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets).replace(['\t', '\r'], " ");
    spelt_out(&text)
}

#[cfg(test)]
mod tests {
    use tidegate_rules::language::source::SourceFile;

    use super::*;

    #[test]
    fn a_line_shows_what_nobody_sees() {
        assert_eq!(printable("body\tA /Pay\u{200b}Pal\u{1b}/\r".as_bytes()), "body A /Pay\\u{200b}Pal\\u{1b}/ ");
    }

    #[test]
    fn a_remark_shows_its_line() {
        let text = b"# first\nbody\tA\t/a(/\n".to_vec();
        let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text }]);
        let remarks = remarks(&loaded);
        let error = remarks.iter().find(|remark| remark.severity == Severity::Error).unwrap();
        let shown = snippet(error, &loaded);
        assert!(shown.starts_with("error: rule A:"), "{shown}");
        assert!(shown.contains("t.cf:2:6") && shown.contains("body A /a(/"), "{shown}");
        let value: serde_json::Value = serde_json::from_str(&line(error)).unwrap();
        assert_eq!((value["line"].as_u64(), value["about"].as_str()), (Some(2), Some("rule")));
    }

    #[test]
    fn a_place_beyond_its_file_is_shown_as_well() {
        let loaded = Loaded::of(vec![SourceFile { name: "t.cf".to_owned(), text: b"if true\xff".to_vec() }]);
        for remark in remarks(&loaded) {
            assert!(!snippet(&remark, &loaded).is_empty());
        }
    }
}
