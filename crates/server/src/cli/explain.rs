//! A verdict in words, for people: what happened to each recipient and why, every finding with its points, and what could not
//! be known. Hostile text in evidence was made harmless when the evidence was made; addresses, causes and what rules say are made so here.

use std::fmt::Write;

use tidegate_filter::check::Class;
use tidegate_filter::policy::{Brief, Weighed, held_back, second_after};
use tidegate_filter::verdict::{RecipientVerdict, Verdict};
use tidegate_mail::spelt_out;

/// The explanation, several lines.
pub(super) fn explain(brief: &Brief, verdict: &Verdict) -> String {
    let mut text = String::new();
    let reply = spelt_out(&verdict.reply.to_string());
    let _infallible = writeln!(text, "verdict     {} at {}: {reply}", verdict.action, verdict.stage);
    for recipient in &verdict.recipients {
        push_recipient(&mut text, recipient);
        for known in brief.recipients.iter().filter(|known| known.address == recipient.address).take(1) {
            for held in held_back(brief, known) {
                let _infallible = writeln!(text, "            {held}");
            }
        }
    }
    let own = brief.recipients.iter().flat_map(|r| r.findings.iter().map(|f| (Some(&r.address), f)));
    let findings: Vec<_> = brief.findings.iter().map(|f| (None, f)).chain(own).collect();
    if findings.is_empty() {
        text.push_str("findings    none\n");
    }
    for (recipient, finding) in findings {
        let whom = recipient.map(|r| spelt_out(&format!(" [{r}]"))).unwrap_or_default();
        push_finding(&mut text, finding, &whom);
    }
    for gap in &brief.gaps {
        let cause = spelt_out(&gap.cause);
        let _infallible = writeln!(text, "unknown     {} at {}: {cause} ({})", gap.check, gap.stage, gap.service);
    }
    text
}

fn push_recipient(text: &mut String, recipient: &RecipientVerdict) {
    let RecipientVerdict { address, direction, policy, score, action, reason, until } = recipient;
    let (address, reason) = (spelt_out(&address.to_string()), spelt_out(&reason.to_string()));
    let _infallible = writeln!(text, "recipient   {address} ({direction}): {action}, score {score}, policy {policy}");
    let _infallible = writeln!(text, "            because {reason}");
    if let Some(until) = until {
        let _infallible = writeln!(text, "            accepted again from {}", second_after(*until));
    }
}

fn push_finding(text: &mut String, finding: &Weighed, whom: &str) {
    let Weighed { symbol, weight, evidence, doc, check, stage, .. } = finding;
    let points = match finding.class {
        Class::Evidence | Class::Waiting => format!("{weight:>9}"),
        Class::Refusal(_) => "   refuse".to_owned(),
        Class::Allow => "    allow".to_owned(),
    };
    let _infallible = writeln!(text, "{points}   {symbol}{whom}: {}", spelt_out(doc));
    if !evidence.as_str().is_empty() {
        let _infallible = writeln!(text, "            {evidence}");
    }
    let _infallible = writeln!(text, "            (check {check}, at {stage})");
}

#[cfg(test)]
mod tests {
    use tidegate_filter::session::Direction;
    use tidegate_filter::verdict::Action;
    use tidegate_mail::{Address, Score};

    use super::*;

    #[test]
    fn an_address_hides_nothing() {
        let mut text = String::new();
        let recipient = RecipientVerdict {
            address: Address::parse("a\u{200b}b\u{202e}@example.org").unwrap(),
            direction: Direction::Inbound,
            policy: "server".to_owned(),
            score: Score::ZERO,
            action: Action::Accept,
            reason: "there was nothing".to_owned(),
            until: Some("2026-11-26T07:05:12.853277357Z".parse().unwrap()),
        };
        push_recipient(&mut text, &recipient);
        assert!(text.starts_with("recipient   a\\u{200b}b\\u{202e}@example.org (inbound): accept"), "{text}");
        // Whoever comes at that second must not be too early.
        assert!(text.ends_with("accepted again from 2026-11-26 07:05:13 UTC\n"), "{text}");
    }
}
