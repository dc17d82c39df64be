//! The extension point: one trait a stage, and what a check may say. A check concludes from facts; it never decides, never
//! writes, and never sees what other checks said.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, Score, needs_spelling};

use crate::known::{Answer, Unavailable};
use crate::session::{Connect, Greeting, Mail, Rcpt, Sender};
use crate::store::Write;
use crate::world::World;

/// What a check is given: the facts of the stage and the outside.
#[derive(Clone, Copy)]
pub struct Ask<'a, F> {
    /// The facts of this stage, which own those of the stages before.
    pub facts: &'a F,
    /// The outside.
    pub world: &'a World,
    /// The moment at which the stage began: the same for all its checks.
    pub now: Timestamp,
}

/// A check that can conclude something when a client connects.
pub trait OnConnect: Send + Sync {
    /// Concludes from the client alone.
    fn connect<'a>(&'a self, ask: &'a Ask<'a, Connect>) -> Answer<'a, Outcome>;
}

/// A check that can conclude something at EHLO or HELO.
pub trait OnHelo: Send + Sync {
    /// Concludes from the greeting.
    fn helo<'a>(&'a self, ask: &'a Ask<'a, Greeting>) -> Answer<'a, Outcome>;
}

/// A check that can conclude something at MAIL FROM.
pub trait OnMail: Send + Sync {
    /// Concludes from the reverse-path and the login.
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome>;
}

/// A check that can conclude something about one recipient.
pub trait OnRcpt: Send + Sync {
    /// Concludes about one recipient; its findings count for that recipient alone.
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome>;
}

/// A check that can conclude something from the complete message.
pub trait OnData: Send + Sync {
    /// Concludes from the message; its findings count for every recipient.
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome>;
}

/// What a check has to say. Findings and gaps may stand side by side: three of five lists may have answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What it concluded.
    pub findings: Vec<Finding>,
    /// What it could not know.
    pub unavailable: Vec<Unavailable>,
    /// What shall be remembered, depending on what becomes of the message.
    pub remember: Vec<Remember>,
}

impl Outcome {
    /// Nothing to say.
    pub fn nothing() -> Outcome {
        Outcome::default()
    }

    /// One finding.
    pub fn found(finding: Finding) -> Outcome {
        Outcome { findings: vec![finding], ..Outcome::default() }
    }

    /// Only a gap.
    pub fn unavailable(unavailable: Unavailable) -> Outcome {
        Outcome { unavailable: vec![unavailable], ..Outcome::default() }
    }
}

impl Outcome {
    /// Adds all of `other`.
    pub fn extend(&mut self, other: Outcome) {
        self.findings.extend(other.findings);
        self.unavailable.extend(other.unavailable);
        self.remember.extend(other.remember);
    }
}

impl FromIterator<Finding> for Outcome {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Outcome {
        Outcome { findings: findings.into_iter().collect(), ..Outcome::default() }
    }
}

/// A kind of finding: declared as a `static` in a check, in a rule file, or made from a configuration table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Name in capitals, unique in the product.
    pub name: Cow<'static, str>,
    /// Points, unless `[weights]` says otherwise.
    pub weight: Score,
    /// What it can do.
    pub class: Class,
    /// Findings of one group say much the same and are capped together.
    pub group: Group,
    /// What it means, as a sentence for the person who reads the verdict.
    pub doc: Cow<'static, str>,
}

impl Symbol {
    /// A symbol that only adds `milli` thousandths of a point.
    pub const fn evidence(name: &'static str, milli: i32, group: Group, doc: &'static str) -> Symbol {
        Symbol {
            name: Cow::Borrowed(name),
            weight: Score::milli(milli),
            class: Class::Evidence,
            group,
            doc: Cow::Borrowed(doc),
        }
    }

    /// A symbol that may refuse alone.
    pub const fn refusal(name: &'static str, kind: RefusalKind, doc: &'static str) -> Symbol {
        Symbol {
            name: Cow::Borrowed(name),
            weight: Score::ZERO,
            class: Class::Refusal(kind),
            group: Group::Alone,
            doc: Cow::Borrowed(doc),
        }
    }

    /// The same symbol in another class; for symbols that the configuration strengthens or weakens.
    #[must_use]
    pub const fn with_class(mut self, class: Class) -> Symbol {
        self.class = class;
        self
    }
}

/// What a symbol can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Adds points and nothing else: no evidence alone may refuse (the lint proves it).
    Evidence,
    /// May refuse alone.
    Refusal(RefusalKind),
    /// The sender has not waited yet; the policy greylists if the score is in the suspicious band.
    Waiting,
    /// The administrator trusts the sender: evidence does not count. Does not lift a refusal for malware or a limit.
    Allow,
}

/// The closed list of reasons for which one finding may refuse alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The administrator's own block list.
    BlockList,
    /// A blocklist's code that the configuration marks `refuse = true`.
    DnsBlockList,
    /// The message claims a domain hosted here and nothing vouches for it.
    Forgery,
    /// The client breaks the protocol in a way no mail server does.
    Protocol,
    /// The recipient does not exist here.
    UnknownRecipient,
    /// The sender cannot exist (null MX, no address at all).
    ImpossibleSender,
    /// A malware signature, not a heuristic.
    Malware,
    /// A configured limit is exceeded; the reply is temporary.
    Limit,
    /// The login may not send as this author.
    SendAs,
}

/// Symbols that say much the same about one message. The cap of each group is configuration (`[policy.caps]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Says something of its own.
    Alone,
    /// Blocklists and allow lists about the client's address.
    ClientLists,
    /// Blocklists about domains in the message.
    DomainLists,
    /// SPF, DKIM, DMARC and ARC: views of who vouches.
    Identity,
    /// Names of the client: reverse DNS, HELO.
    ClientNames,
    /// Form of the message: missing, repeated and broken header fields.
    Form,
    /// What we saw of this sender before.
    Reputation,
    /// Rules over the text of the message, from rule files.
    Rules,
}

impl fmt::Display for Group {
    /// As the configuration names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Group::Alone => "alone",
            Group::ClientLists => "client-lists",
            Group::DomainLists => "domain-lists",
            Group::Identity => "identity",
            Group::ClientNames => "client-names",
            Group::Form => "form",
            Group::Reputation => "reputation",
            Group::Rules => "rules",
        })
    }
}

/// A declared symbol: a `static` of a check, or one loaded from rules or configuration.
#[derive(Clone, Debug)]
pub enum SymbolRef {
    /// Declared in a check.
    Declared(&'static Symbol),
    /// Loaded from a rule file or a configuration table.
    Loaded(Arc<Symbol>),
}

impl SymbolRef {
    /// The symbol itself.
    pub fn symbol(&self) -> &Symbol {
        match self {
            SymbolRef::Declared(symbol) => symbol,
            SymbolRef::Loaded(symbol) => symbol,
        }
    }
}

impl PartialEq for SymbolRef {
    fn eq(&self, other: &SymbolRef) -> bool {
        self.symbol().name == other.symbol().name
    }
}

impl Eq for SymbolRef {}

/// One conclusion of a check: a declared symbol with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    symbol: SymbolRef,
    evidence: Evidence,
    times: u32,
    until: Option<Timestamp>,
    recipient: Option<Address>,
}

impl Finding {
    /// A finding of a symbol declared in a check.
    pub fn of(symbol: &'static Symbol, evidence: impl Into<Evidence>) -> Finding {
        Finding {
            symbol: SymbolRef::Declared(symbol),
            evidence: evidence.into(),
            times: 1,
            until: None,
            recipient: None,
        }
    }

    /// A finding of a symbol that was loaded.
    pub fn loaded(symbol: &Arc<Symbol>, evidence: impl Into<Evidence>) -> Finding {
        Finding {
            symbol: SymbolRef::Loaded(Arc::clone(symbol)),
            evidence: evidence.into(),
            times: 1,
            until: None,
            recipient: None,
        }
    }

    /// The same finding, which counts `times` over.
    #[must_use]
    pub fn times(mut self, times: u32) -> Finding {
        self.times = times;
        self
    }

    /// The same finding, which ends at `until`: when a greylisted sender will be let in, or a limit ends.
    #[must_use]
    pub fn until(mut self, until: Timestamp) -> Finding {
        self.until = Some(until);
        self
    }

    /// The same finding, which counts for `recipient` alone although the whole message was looked at.
    #[must_use]
    pub fn only_for(mut self, recipient: Address) -> Finding {
        self.recipient = Some(recipient);
        self
    }

    /// The one recipient the finding counts for, if it does not count for all.
    pub fn recipient(&self) -> Option<&Address> {
        self.recipient.as_ref()
    }

    /// How often its points count.
    pub fn count(&self) -> u32 {
        self.times
    }

    /// The symbol.
    pub fn symbol(&self) -> &Symbol {
        self.symbol.symbol()
    }

    /// What was seen, and where.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// When the finding ends by itself, if it does.
    pub fn ends(&self) -> Option<Timestamp> {
        self.until
    }
}

/// What was seen and where, as text for people. Made from hostile text: control characters and those that nobody sees are shown as
/// `\u{..}`, and the length is bounded, when the evidence is made; so it is safe in a terminal and in a log line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Evidence(String);

/// Longest evidence, in bytes; what is longer ends in an ellipsis.
const EVIDENCE_OCTETS_MAX: usize = 300;

impl Evidence {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Evidence {
    fn from(text: &str) -> Evidence {
        let mut shown = String::with_capacity(text.len().min(EVIDENCE_OCTETS_MAX));
        for c in text.chars() {
            if shown.len() >= EVIDENCE_OCTETS_MAX {
                shown.push('…');
                break;
            }
            if needs_spelling(c) {
                shown.extend(c.escape_unicode());
            } else {
                shown.push(c);
            }
        }
        Evidence(shown)
    }
}

impl From<String> for Evidence {
    fn from(text: String) -> Evidence {
        Evidence::from(text.as_str())
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Something to be written to the store, if the message ends as `when` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    /// The condition.
    pub when: When,
    /// The write.
    pub write: Write,
}

/// What became of the message, or of the recipient the check looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// The reply was a temporary refusal by greylisting.
    Greylisted,
    /// The message was accepted for someone.
    Accepted,
    /// The verdict was spam: tagged, quarantined or refused.
    Spam,
    /// The message was accepted as it is.
    Ham,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_spelt_out() {
        for (text, shown) in [
            ("Pay\u{200b}Pal", "Pay\\u{200b}Pal"),
            ("a\u{ad}b\u{feff}", "a\\u{ad}b\\u{feff}"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("\u{e0041}", "\\u{e0041}"),
            ("Grüße, 你好 \u{1f469}", "Grüße, 你好 \u{1f469}"),
        ] {
            assert_eq!(Evidence::from(text).as_str(), shown);
        }
    }

    #[test]
    fn evidence_cannot_carry_terminal_codes() {
        assert_eq!(Evidence::from("a\x1b[31mb\u{202e}").as_str(), "a\\u{1b}[31mb\\u{202e}");
        assert!(Evidence::from("x".repeat(10_000)).as_str().len() < 310);
    }
}
