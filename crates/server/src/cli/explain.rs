//! A verdict in words, for people: what happened to each recipient and why, every finding with its points, and what could not
//! be known. All hostile text was made harmless when the evidence was made.

use std::fmt::Write;

use tidegate_filter::check::Class;
use tidegate_filter::policy::{Brief, Weighed};
use tidegate_filter::verdict::{RecipientVerdict, Verdict};

/// The explanation, several lines.
pub(super) fn explain(brief: &Brief, verdict: &Verdict) -> String {
    let mut text = String::new();
    let _infallible = writeln!(text, "verdict     {} at {}: {}", verdict.action, verdict.stage, verdict.reply);
    for recipient in &verdict.recipients {
        push_recipient(&mut text, recipient);
    }
    let own = brief.recipients.iter().flat_map(|r| r.findings.iter().map(|f| (Some(&r.address), f)));
    let findings: Vec<_> = brief.findings.iter().map(|f| (None, f)).chain(own).collect();
    if findings.is_empty() {
        text.push_str("findings    none\n");
    }
    for (recipient, finding) in findings {
        let whom = recipient.map(|r| format!(" [{r}]")).unwrap_or_default();
        push_finding(&mut text, finding, &whom);
    }
    for gap in &brief.gaps {
        let _infallible = writeln!(text, "unknown     {} at {}: {} ({})", gap.check, gap.stage, gap.cause, gap.service);
    }
    text
}

fn push_recipient(text: &mut String, recipient: &RecipientVerdict) {
    let RecipientVerdict { address, direction, policy, score, action, reason, until } = recipient;
    let _infallible = writeln!(text, "recipient   {address} ({direction}): {action}, score {score}, policy {policy}");
    let _infallible = writeln!(text, "            because {reason}");
    if let Some(until) = until {
        let _infallible = writeln!(text, "            accepted again from {until}");
    }
}

fn push_finding(text: &mut String, finding: &Weighed, whom: &str) {
    let Weighed { symbol, weight, evidence, doc, check, stage, .. } = finding;
    let points = match finding.class {
        Class::Evidence | Class::Waiting => format!("{weight:>9}"),
        Class::Refusal(_) => "   refuse".to_owned(),
        Class::Allow => "    allow".to_owned(),
    };
    let _infallible = writeln!(text, "{points}   {symbol}{whom}: {doc}");
    if !evidence.as_str().is_empty() {
        let _infallible = writeln!(text, "            {evidence}");
    }
    let _infallible = writeln!(text, "            (check {check}, at {stage})");
}
