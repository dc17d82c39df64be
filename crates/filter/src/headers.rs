//! Header fields that go with a message: Authentication-Results (RFC 8601) and our own X-Tidegate-* fields. Forged ones that
//! came with the message are removed, foreign Authentication-Results are kept.

use std::fmt::Write;

use tidegate_mail::{Domain, HeaderField};

use crate::identity::{ArcResult, DkimResult, DkimSignature, Dmarc, Fcrdns, Identity, Spf, SpfResult};
use crate::known::Known;
use crate::policy::Brief;
use crate::session::{Client, Mail};
use crate::settings::ServerIdentity;
use crate::verdict::{Action, HeaderEdit, Verdict};

const RESULTS: &str = "Authentication-Results";
const STATUS: &str = "X-Tidegate-Status";
/// Every field of our own begins so; such fields in a message from outside are forged.
const OWN_PREFIX: &str = "x-tidegate-";

/// The edits for a judged message: none if nobody gets it.
pub(crate) fn edits(mail: &Mail, brief: &Brief, verdict: &Verdict, own: &ServerIdentity) -> Vec<HeaderEdit> {
    if verdict.action.is_refusal() {
        return Vec::new();
    }
    let mut edits = removals(mail, &own.hostname);
    edits.push(add(STATUS, status(brief, verdict)));
    edits.push(add(RESULTS, authentication_results(mail, &own.hostname)));
    edits
}

/// The edits of a judgement whose verdict is another one by now.
pub(crate) fn restate(edits: &mut [HeaderEdit], brief: &Brief, verdict: &Verdict) {
    let present = status(brief, verdict);
    for edit in edits {
        match edit {
            HeaderEdit::Add { name, value } if name == STATUS => value.clone_from(&present),
            _ => {}
        }
    }
}

fn add(name: &str, value: String) -> HeaderEdit {
    HeaderEdit::Add { name: name.to_owned(), value }
}

/// Removes our own names, and Authentication-Results if one claims to be ours; then the foreign ones are put back.
fn removals(mail: &Mail, authserv_id: &Domain) -> Vec<HeaderEdit> {
    let mut edits: Vec<HeaderEdit> = Vec::new();
    for field in mail.message.headers() {
        let name = field.name();
        let forged = name.to_ascii_lowercase().starts_with(OWN_PREFIX);
        let known =
            edits.iter().any(|e| matches!(e, HeaderEdit::RemoveAll { name: n } if n.eq_ignore_ascii_case(name)));
        if forged && !known {
            edits.push(HeaderEdit::RemoveAll { name: name.to_owned() });
        }
    }
    let results: Vec<String> = mail.message.headers_named(RESULTS).map(one_line).collect();
    let claims_us = |value: &String| authserv_id_of(value).eq_ignore_ascii_case(authserv_id.as_str());
    if results.iter().any(claims_us) {
        edits.push(HeaderEdit::RemoveAll { name: RESULTS.to_owned() });
        let foreign = results.into_iter().filter(|value| !claims_us(value));
        edits.extend(foreign.map(|value| add(RESULTS, value)));
    }
    edits
}

/// A foreign field's value on one line; a control character would let it add fields of its own.
fn one_line(field: &HeaderField) -> String {
    let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
    value.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The authserv-id of an Authentication-Results value: its first token, comments skipped (RFC 8601 section 2.2).
fn authserv_id_of(value: &str) -> &str {
    let mut rest = value.trim_start();
    while let Some(comment) = rest.strip_prefix('(') {
        rest = comment.split_once(')').map_or("", |(_, after)| after).trim_start();
    }
    let end = rest.find(|c: char| c == ';' || c.is_whitespace()).unwrap_or(rest.len());
    rest.get(..end).unwrap_or(rest).trim_matches('"')
}

/// `accept score=1.5 tests=A,B`: the mildest action and highest score over the recipients, and the shared symbols.
fn status(brief: &Brief, verdict: &Verdict) -> String {
    let score = verdict.recipients.iter().map(|r| r.score).max().unwrap_or_default();
    let action = if verdict.recipients.iter().all(|r| r.action == Action::Tag) { Action::Tag } else { verdict.action };
    let symbols: Vec<&str> = brief.findings.iter().map(|f| f.symbol.as_str()).collect();
    let tests = if symbols.is_empty() { "none".to_owned() } else { symbols.join(",") };
    format!("{action} score={score} tests={tests}")
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
        push_dkim(value, signature);
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
    fn the_authserv_id_is_the_first_token() {
        for (value, id) in [
            ("mx.example.org; spf=pass", "mx.example.org"),
            (" (a comment) mx.example.org 1; none", "mx.example.org"),
            ("\"mx.example.org\"; none", "mx.example.org"),
            ("", ""),
        ] {
            assert_eq!(authserv_id_of(value), id, "{value}");
        }
    }

    #[test]
    fn hostile_text_cannot_add_results() {
        assert_eq!(token("a; dkim=pass (x)\r\nB: c"), "a??dkim=pass??x???B:?c");
    }
}
