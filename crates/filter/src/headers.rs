//! Header fields that go with a message: Authentication-Results (RFC 8601) and our own X-Tidegate-* fields. Forged ones that
//! came with the message are removed (see forged.rs), foreign Authentication-Results are kept.

use std::fmt::Write;

use tidegate_mail::{Domain, Message};

use crate::identity::{ArcResult, DkimResult, DkimSignature, Dmarc, Fcrdns, Identity, Spf, SpfResult};
use crate::known::Known;
use crate::policy::Brief;
use crate::session::{Client, Mail};
use crate::settings::ServerIdentity;
use crate::verdict::{Action, HeaderEdit, Verdict};

pub(crate) mod forged;

use forged::{ForeignResults, OwnNames, RESULTS};

const STATUS: &str = "X-Tidegate-Status";
/// Octets that the symbols of a status may take; how many more there are is told.
const TESTS_OCTETS_MAX: usize = 800;
/// Octets of our Authentication-Results above which no further signature is told.
const SIGNATURES_OCTETS_MAX: usize = 4 << 10;

/// The edits for a judged message: none if nobody gets it.
pub(crate) fn edits(mail: &Mail, brief: &Brief, verdict: &Verdict, own: &ServerIdentity) -> Vec<HeaderEdit> {
    if verdict.action.is_refusal() {
        return Vec::new();
    }
    let mut edits = removals(&mail.message, &own.hostname);
    edits.extend(statuses(brief, verdict));
    edits.push(add(RESULTS, authentication_results(mail, &own.hostname)));
    edits
}

/// The edits of a judgement whose verdict is another one by now.
pub(crate) fn restate(edits: &mut Vec<HeaderEdit>, brief: &Brief, verdict: &Verdict) {
    let is_status = |edit: &HeaderEdit| match edit {
        HeaderEdit::Add { name, .. } | HeaderEdit::AddFor { name, .. } => name == STATUS,
        _ => false,
    };
    let Some(at) = edits.iter().position(is_status) else { return };
    edits.retain(|edit| !is_status(edit));
    edits.splice(at..at, statuses(brief, verdict));
}

fn add(name: &str, value: String) -> HeaderEdit {
    HeaderEdit::Add { name: name.to_owned(), value }
}

/// Removes what came in our name; foreign Authentication-Results that this removes as well are put back as far as they have room.
pub(crate) fn removals(message: &Message, authserv_id: &Domain) -> Vec<HeaderEdit> {
    let remove = |name: &str| HeaderEdit::RemoveAll { name: name.to_owned() };
    let mut edits: Vec<HeaderEdit> = OwnNames::of(message).removed.into_iter().map(remove).collect();
    if let Some(foreign) = ForeignResults::of(message, authserv_id) {
        edits.push(remove(RESULTS));
        let put_back = |value| HeaderEdit::PutBack { name: RESULTS.to_owned(), value };
        edits.extend(foreign.kept.into_iter().map(put_back));
    }
    edits
}

/// The status of the message, and where some recipients get it marked as spam and others do not, that of the others: who is not told
/// apart gets the stricter one, so that nobody's lenience is another's loss.
fn statuses(brief: &Brief, verdict: &Verdict) -> Vec<HeaderEdit> {
    let tests = tests(brief);
    let status = |action, score| format!("{action} score={score} tests={tests}");
    let of = |action| verdict.recipients.iter().filter(move |recipient| recipient.action == action);
    let highest = |action| of(action).map(|recipient| recipient.score).max();
    match (highest(Action::Tag), highest(Action::Accept)) {
        (Some(tagged), Some(accepted)) => {
            let recipients = of(Action::Accept).map(|recipient| recipient.address.clone()).collect();
            let value = status(Action::Accept, accepted);
            vec![
                add(STATUS, status(Action::Tag, tagged)),
                HeaderEdit::AddFor { name: STATUS.to_owned(), value, recipients },
            ]
        }
        (tagged, _) => {
            let score = verdict.recipients.iter().map(|recipient| recipient.score).max().unwrap_or_default();
            let action = if tagged.is_some() { Action::Tag } else { verdict.action };
            vec![add(STATUS, status(action, score))]
        }
    }
}

/// `A,B,+7`: the shared symbols, as many as have room, and how many more there are.
fn tests(brief: &Brief) -> String {
    if brief.findings.is_empty() {
        return "none".into();
    }
    // Two findings may say the same of two things: of the sender's domain and of its network.
    let mut symbols: Vec<&str> = Vec::new();
    for finding in &brief.findings {
        if !symbols.contains(&finding.symbol.as_str()) {
            symbols.push(&finding.symbol);
        }
    }
    let mut tests = String::new();
    for (index, symbol) in symbols.iter().enumerate() {
        let comma = if tests.is_empty() { "" } else { "," };
        if tests.len() + comma.len() + symbol.len() > TESTS_OCTETS_MAX {
            let _infallible = write!(tests, "{comma}+{}", symbols.len() - index);
            break;
        }
        tests.push_str(comma);
        tests.push_str(symbol);
    }
    tests
}

/// The value of our Authentication-Results field, on one line.
pub(crate) fn authentication_results(mail: &Mail, authserv_id: &Domain) -> String {
    let sender = &mail.envelope.sender;
    let greeting = &sender.greeting;
    let mut value = authserv_id.to_string();
    if let Some(login) = &sender.login {
        let _infallible = write!(value, "; auth=pass smtp.auth={}", token(&login.id));
    }
    if let Client::Remote(remote) = &greeting.connect.client {
        let _infallible = write!(value, "; iprev={} policy.iprev={}", iprev(&greeting.connect.fcrdns), remote.ip);
        if let Some(helo) = &greeting.helo {
            let _infallible = write!(value, "; spf={} smtp.helo={}", spf(&greeting.spf_helo), token(helo.as_str()));
        }
        let from = sender.path.address().map_or_else(|| "<>".to_owned(), ToString::to_string);
        let _infallible = write!(value, "; spf={} smtp.mailfrom={}", spf(&sender.spf), token(&from));
    }
    push_identity(&mut value, &mail.identity);
    value
}

fn push_identity(value: &mut String, identity: &Identity) {
    if identity.dkim.is_empty() {
        value.push_str("; dkim=none");
    }
    for signature in &identity.dkim {
        if value.len() < SIGNATURES_OCTETS_MAX {
            push_dkim(value, signature);
        }
    }
    push_dmarc(value, &identity.dmarc);
    let arc = match &identity.arc {
        Ok(chain) => match chain.result {
            ArcResult::None => return,
            ArcResult::Pass => "pass",
            ArcResult::Fail(_) => "fail",
        },
        Err(_) => "temperror",
    };
    let _infallible = write!(value, "; arc={arc}");
}

fn push_dkim(value: &mut String, signature: &DkimSignature) {
    let result = match signature.result {
        DkimResult::Pass => "pass",
        DkimResult::Fail(_) => "fail",
        DkimResult::PermError(_) => "permerror",
        DkimResult::Policy(_) => "policy",
        DkimResult::Unavailable(_) => "temperror",
    };
    let _infallible = write!(value, "; dkim={result}");
    if let Some(domain) = &signature.domain {
        let _infallible = write!(value, " header.d={domain}");
    }
    let _infallible = write!(value, " header.s={}", token(&signature.selector));
}

fn push_dmarc(value: &mut String, dmarc: &Known<Dmarc>) {
    let (result, author) = match dmarc {
        Ok(dmarc) => {
            let result = match dmarc.pass {
                None => "none",
                Some(true) => "pass",
                Some(false) => "fail",
            };
            (result, dmarc.author.as_ref())
        }
        Err(_) => ("temperror", None),
    };
    let _infallible = write!(value, "; dmarc={result}");
    if let Some(author) = author {
        let _infallible = write!(value, " header.from={author}");
    }
}

fn iprev(fcrdns: &Known<Fcrdns>) -> &'static str {
    match fcrdns {
        Ok(Fcrdns::Confirmed(_)) => "pass",
        Ok(Fcrdns::None | Fcrdns::Unconfirmed(_)) => "fail",
        Err(_) => "temperror",
    }
}

fn spf(spf: &Known<Spf>) -> &'static str {
    match spf {
        Ok(spf) => match spf.result {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::PermError => "permerror",
        },
        Err(_) => "temperror",
    }
}

/// Longest hostile text that is shown in a field of ours.
const TOKEN_OCTETS_MAX: usize = 320;

/// Hostile text as a header value: printable ASCII without the characters that structure the field, else `?`.
fn token(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_graphic() && !"();\"\\".contains(c) { c } else { '?' };
    text.chars().map(keep).take(TOKEN_OCTETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_add_results() {
        assert_eq!(token("a; dkim=pass (x)\r\nB: c"), "a??dkim=pass??x???B:?c");
    }
}
