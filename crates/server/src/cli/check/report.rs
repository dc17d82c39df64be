//! What `tidegate check` says of one message. The JSON form is documented in docs/reference/json.md.

use serde::Serialize;
use std::collections::BTreeMap;
use tidegate_filter::check::Class;
use tidegate_filter::judgement::Judgement;
use tidegate_filter::verdict::{Action, HeaderEdit};
use tidegate_mail::{Score, spelt_out};

use crate::cli::explain::explain;

/// One message's result.
pub(super) struct Report {
    pub(super) file: String,
    pub(super) label: Option<String>,
    pub(super) judgement: Judgement,
    pub(super) cpu_ms: f64,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    action: Action,
    score: Score,
    threshold: Option<Score>,
    symbols: BTreeMap<&'a str, Symbol<'a>>,
    unavailable: Vec<String>,
    headers: Vec<String>,
    cpu_ms: f64,
}

#[derive(Serialize)]
struct Symbol<'a> {
    weight: Score,
    #[serde(skip_serializing_if = "Option::is_none")]
    refuses: Option<bool>,
    evidence: String,
    #[serde(skip)]
    seen: Vec<&'a str>,
}

impl Report {
    pub(super) fn is_spam(&self) -> bool {
        self.action().is_spam()
    }

    /// The harshest action over the recipients: a corpus is judged by what a message deserves, not by its mildest reader.
    fn action(&self) -> Action {
        let verdict = &self.judgement.verdict;
        verdict.recipients.iter().map(|r| r.action).max().unwrap_or(verdict.action)
    }

    fn score(&self) -> Score {
        self.judgement.verdict.recipients.iter().map(|r| r.score).max().unwrap_or_default()
    }

    pub(super) fn shown(&self, json: bool, explained: bool) -> anyhow::Result<String> {
        if json {
            return Ok(serde_json::to_string(&self.line())?);
        }
        let mut text = format!("{}: {} score={}", spelt_out(&self.file), self.action(), self.score());
        if explained {
            text.push('\n');
            text.push_str(&explain(&self.judgement.brief, &self.judgement.verdict));
        } else {
            let line = self.line();
            let names: Vec<&str> = line.symbols.keys().copied().collect();
            text.push_str(&format!(" {}", names.join(",")));
        }
        Ok(text)
    }

    fn line(&self) -> Line<'_> {
        let brief = &self.judgement.brief;
        let mut symbols: BTreeMap<&str, Symbol<'_>> = BTreeMap::new();
        for finding in brief.findings.iter().chain(brief.recipients.iter().flat_map(|r| &r.findings)) {
            let refuses = matches!(finding.class, Class::Refusal(_)).then_some(true);
            let symbol = symbols.entry(&finding.symbol).or_insert_with(|| Symbol {
                weight: Score::ZERO,
                refuses,
                evidence: String::new(),
                seen: Vec::new(),
            });
            let evidence = finding.evidence.as_str();
            if symbol.seen.contains(&evidence) {
                continue;
            }
            symbol.weight += finding.weight;
            symbol.seen.push(evidence);
            symbol.evidence = symbol.seen.join("; ");
        }
        let headers = self.judgement.edits.iter().filter_map(|edit| match edit {
            HeaderEdit::Add { name, value } | HeaderEdit::PutBack { name, value } => Some(format!("{name}: {value}")),
            HeaderEdit::RemoveAll { .. } | HeaderEdit::AddFor { .. } => None,
        });
        Line {
            file: &self.file,
            label: self.label.as_deref(),
            action: self.action(),
            score: self.score(),
            threshold: brief.recipients.first().and_then(|r| r.thresholds.tag),
            symbols,
            unavailable: brief.gaps.iter().map(|gap| format!("{}: {}", gap.check, gap.cause)).collect(),
            headers: headers.collect(),
            cpu_ms: self.cpu_ms,
        }
    }
}
