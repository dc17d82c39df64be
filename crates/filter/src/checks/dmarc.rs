//! Is the author who he says he is (RFC 9989)? Mail that claims a domain delivered here, against that domain's own DMARC, is refused:
//! for no domain do we know better who may use it. All else is evidence.

use std::future::ready;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use crate::check::{Ask, Class, Finding, Group, OnData, Outcome, RefusalKind, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::identity::{ArcResult, DkimResult, DkimSignature, Dmarc, DmarcPolicy};
use crate::known::Answer;
use crate::panel::{Hosting, Panel};
use crate::session::Mail;
use crate::settings::ConfigError;

static FORGED_HOSTED: Symbol = Symbol::refusal(
    "DMARC_FORGED_HOSTED",
    RefusalKind::Forgery,
    "the message claims a domain of this server, whose own DMARC forbids it",
);
static UNPROVEN_HOSTED: Symbol = Symbol::evidence(
    "DMARC_UNPROVEN_HOSTED",
    4000,
    Group::Identity,
    "the message claims a domain that is hosted here, and nothing vouches for it",
);
static WOULD_REFUSE: Symbol = Symbol::evidence(
    "DMARC_WOULD_REFUSE",
    0,
    Group::Identity,
    "would be refused with `refuse_hosted_without_policy` in [checks.dmarc]",
);
static REJECT: Symbol = Symbol::evidence(
    "DMARC_REJECT",
    3500,
    Group::Identity,
    "nothing vouches for the author, whose domain asks to refuse such mail",
);
static QUARANTINE: Symbol = Symbol::evidence(
    "DMARC_QUARANTINE",
    2000,
    Group::Identity,
    "nothing vouches for the author, whose domain asks to suspect such mail",
);
static FAIL: Symbol = Symbol::evidence(
    "DMARC_FAIL",
    500,
    Group::Identity,
    "nothing vouches for the author, whose domain has a DMARC record that asks for nothing",
);
static BY_LIST: Symbol = Symbol::evidence(
    "DMARC_FAIL_BY_LIST",
    1000,
    Group::Identity,
    "nothing vouches for the author, but a mailing list has signed the message",
);
static BY_SEALER: Symbol = Symbol::evidence(
    "DMARC_FAIL_BY_SEALER",
    0,
    Group::Identity,
    "nothing vouches for the author any more, but trusted forwarders have seen that something did",
);

/// `[checks.dmarc]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether mail that claims a domain delivered here is refused when nothing vouches for it, although the domain has no DMARC
    /// policy that asks for it.
    pub refuse_hosted_without_policy: bool,
    /// Domains whose ARC seals are believed. Every sealer of a chain must be among them.
    pub trusted_sealers: Vec<Domain>,
}

/// The check.
pub struct Check {
    refuse_without_policy: bool,
    trusted_sealers: Vec<Domain>,
    unproven_hosted: Arc<Symbol>,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let refusal = Class::Refusal(RefusalKind::Forgery);
        let class = if config.refuse_hosted_without_policy { refusal } else { Class::Evidence };
        Ok(Check {
            refuse_without_policy: config.refuse_hosted_without_policy,
            trusted_sealers: config.trusted_sealers.clone(),
            unproven_hosted: Arc::new(UNPROVEN_HOSTED.clone().with_class(class)),
        })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let declared = [&FORGED_HOSTED, &WOULD_REFUSE, &REJECT, &QUARANTINE, &FAIL, &BY_LIST, &BY_SEALER];
        let loaded = SymbolRef::Loaded(Arc::clone(&self.unproven_hosted));
        declared.into_iter().map(SymbolRef::Declared).chain([loaded]).collect()
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let outcome = match &ask.facts.identity.dmarc {
            // Whether our own users may write as this author is another check's question.
            _ if ask.facts.envelope.sender.submits() => Outcome::nothing(),
            Ok(dmarc) => self.judge(dmarc, ask.facts, &*ask.world.panel),
            Err(unavailable) => Outcome::unavailable(unavailable.clone()),
        };
        Box::pin(ready(outcome))
    }
}

impl Check {
    fn judge(&self, dmarc: &Dmarc, mail: &Mail, panel: &dyn Panel) -> Outcome {
        let Some(author) = &dmarc.author else { return Outcome::nothing() };
        let hosting = hosting(author, panel);
        let is_hosted = hosting != Hosting::Foreign;
        let is_unproven = match dmarc.pass {
            Some(pass) => !pass,
            None => is_hosted && !may_be_vouched_for(author, mail),
        };
        if !is_unproven {
            return Outcome::nothing();
        }
        let evidence = shown(author, dmarc);
        let is_enforced = dmarc.policy >= DmarcPolicy::Quarantine && !dmarc.testing;
        if self.is_sealed(mail) {
            Outcome::found(Finding::of(&BY_SEALER, evidence))
        } else if let Some(list) = signed_list(mail) {
            Outcome::found(Finding::of(&BY_LIST, format!("{evidence}, list {list}")))
        } else if matches!(hosting, Hosting::Local(_)) && is_enforced {
            Outcome::found(Finding::of(&FORGED_HOSTED, evidence))
        } else if is_hosted {
            self.about_hosted(&hosting, &evidence)
        } else {
            let symbol = match dmarc.policy {
                DmarcPolicy::Reject => &REJECT,
                DmarcPolicy::Quarantine => &QUARANTINE,
                DmarcPolicy::None => &FAIL,
            };
            Outcome::found(Finding::of(symbol, evidence))
        }
    }

    /// A domain of ours that does not ask for refusal itself, or is delivered by another server, which may send for it.
    fn about_hosted(&self, hosting: &Hosting, evidence: &str) -> Outcome {
        match hosting {
            Hosting::Local(_) if self.refuse_without_policy => {
                Outcome::found(Finding::loaded(&self.unproven_hosted, evidence))
            }
            Hosting::Local(_) => {
                let points = Finding::loaded(&self.unproven_hosted, evidence);
                [points, Finding::of(&WOULD_REFUSE, evidence)].into_iter().collect()
            }
            Hosting::Relayed(_) | Hosting::Foreign => Outcome::found(Finding::of(&REJECT, evidence)),
        }
    }

    /// Whether trusted forwarders say that the author was vouched for when the message came to them. One sealer whom nobody trusts may
    /// have made up what stands before.
    fn is_sealed(&self, mail: &Mail) -> bool {
        let Ok(chain) = &mail.identity.arc else { return false };
        chain.result == ArcResult::Pass
            && chain.passed_at_origin
            && chain.sealers.iter().all(|sealer| self.trusted_sealers.contains(sealer))
    }
}

/// How the author's domain, or the nearest domain above it that is hosted here, is handled.
fn hosting(author: &Domain, panel: &dyn Panel) -> Hosting {
    let organization = author.registrable();
    let mut name = Some(author.clone());
    while let Some(domain) = name {
        let hosting = panel.hosting(&domain);
        if hosting != Hosting::Foreign {
            return hosting;
        }
        name = domain.parent().filter(|_| organization.as_ref().is_some_and(|top| domain != *top));
    }
    Hosting::Foreign
}

/// Whether SPF or DKIM vouches for a domain of the author's organization (what relaxed alignment would mean if there were a record),
/// or would, had DNS answered: not knowing is not no.
fn may_be_vouched_for(author: &Domain, mail: &Mail) -> bool {
    let sender = &mail.envelope.sender;
    let by_spf = match &sender.spf {
        Ok(spf) => spf.vouching_domain().cloned(),
        Err(_unavailable) => sender.spf_domain(),
    };
    let is_open_question = |s: &&DkimSignature| matches!(s.result, DkimResult::Pass | DkimResult::Unavailable(_));
    let by_dkim = mail.identity.dkim.iter().filter(is_open_question).filter_map(|signature| signature.domain.as_ref());
    by_spf.iter().chain(by_dkim).any(|domain| domain.is_same_organization(author))
}

/// The mailing list that the message says it comes from, if it is signed by the list's own domain.
fn signed_list(mail: &Mail) -> Option<String> {
    let id = mail.message.list_id()?;
    let is_list = mail.message.header("List-Post").or(mail.message.header("List-Unsubscribe")).is_some();
    let domain = Domain::parse(&id).ok().filter(|_| is_list)?;
    mail.identity.signers().any(|signer| signer.is_same_organization(&domain)).then_some(id)
}

fn shown(author: &Domain, dmarc: &Dmarc) -> String {
    let policy = match dmarc.policy {
        DmarcPolicy::None => "none",
        DmarcPolicy::Quarantine => "quarantine",
        DmarcPolicy::Reject => "reject",
    };
    match &dmarc.record_domain {
        Some(record) => {
            format!("{author}: policy {policy} of {record}{}", if dmarc.testing { ", in test" } else { "" })
        }
        None => format!("{author}: no DMARC record"),
    }
}
