//! Can mail reach the sender's domain at all? MX, null MX (RFC 7505), address records; never a callout to the mail server
//! itself. At DATA the same is asked about the author's domain, as evidence only.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Domain, Score};

use crate::check::{Ask, Class, Finding, Group, OnData, OnMail, Outcome, RefusalKind, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::dns::{Question, Record, RecordKind, Resolver, Status, is_internal};
use crate::known::{Answer, Known};
use crate::panel::Hosting;
use crate::session::{Mail, Sender};
use crate::settings::ConfigError;
use crate::world::World;

/// Mail exchangers of one domain that are followed; a domain with more is not judged by them.
const EXCHANGERS_MAX: usize = 10;

/// What a domain that can have no sender weighs where the configuration does not let it refuse.
const IMPOSSIBLE: Score = Score::milli(3000);

static MISSING: Symbol = impossible("SENDER_DOMAIN_MISSING", "the sender's domain does not exist");
static NULL_MX: Symbol = impossible(
    "SENDER_DOMAIN_NULL_MX",
    "the sender's domain declares that it takes no mail, so no bounce could reach it",
);
static NO_HOST: Symbol =
    impossible("SENDER_DOMAIN_NO_HOST", "the sender's domain has neither mail exchanger nor address");
static INTERNAL_MX: Symbol = impossible(
    "SENDER_DOMAIN_INTERNAL_MX",
    "the mail exchangers of the sender's domain are private or loopback addresses",
);
static MX_WITHOUT_ADDRESS: Symbol = Symbol::evidence(
    "SENDER_MX_WITHOUT_ADDRESS",
    2000,
    Group::Alone,
    "no mail exchanger of the sender's domain has an address",
);
static AUTHOR_MISSING: Symbol =
    Symbol::evidence("AUTHOR_DOMAIN_MISSING", 2000, Group::Identity, "the author's domain does not exist");
static AUTHOR_UNREACHABLE: Symbol = Symbol::evidence(
    "AUTHOR_DOMAIN_UNREACHABLE",
    1000,
    Group::Identity,
    "no mail can reach the author's domain, so nobody could answer",
);

const fn impossible(name: &'static str, doc: &'static str) -> Symbol {
    let mut symbol = Symbol::refusal(name, RefusalKind::ImpossibleSender, doc);
    symbol.weight = IMPOSSIBLE;
    symbol
}

/// `[checks.sender_domain]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether a domain that can have no sender is refused; else it only adds points.
    pub refuse: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { refuse: true }
    }
}

/// The check.
pub struct Check {
    missing: Arc<Symbol>,
    null_mx: Arc<Symbol>,
    no_host: Arc<Symbol>,
    internal_mx: Arc<Symbol>,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let class = if config.refuse { Class::Refusal(RefusalKind::ImpossibleSender) } else { Class::Evidence };
        let symbol = |declared: &Symbol| Arc::new(declared.clone().with_class(class));
        Ok(Check {
            missing: symbol(&MISSING),
            null_mx: symbol(&NULL_MX),
            no_host: symbol(&NO_HOST),
            internal_mx: symbol(&INTERNAL_MX),
        })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let loaded = [&self.missing, &self.null_mx, &self.no_host, &self.internal_mx];
        let declared = [&MX_WITHOUT_ADDRESS, &AUTHOR_MISSING, &AUTHOR_UNREACHABLE];
        let loaded = loaded.into_iter().map(|symbol| SymbolRef::Loaded(Arc::clone(symbol)));
        loaded.chain(declared.into_iter().map(SymbolRef::Declared)).collect()
    }

    fn about_sender(&self, domain: &Domain, reach: Reach) -> Option<Finding> {
        let finding = match reach {
            Reach::Public => return None,
            Reach::Missing => Finding::loaded(&self.missing, domain.as_str()),
            Reach::NullMx => Finding::loaded(&self.null_mx, domain.as_str()),
            Reach::NoHost => Finding::loaded(&self.no_host, domain.as_str()),
            Reach::Internal(host) => Finding::loaded(&self.internal_mx, format!("{domain}: {host}")),
            Reach::Unresolved(host) => Finding::of(&MX_WITHOUT_ADDRESS, format!("{domain}: {host}")),
        };
        Some(finding)
    }
}

impl OnMail for Check {
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let Some(domain) = ask.facts.path.domain().filter(|domain| is_asked(domain, ask.facts, ask.world)) else {
                return Outcome::nothing();
            };
            match reach(domain, &*ask.world.dns).await {
                Ok(reach) => self.about_sender(domain, reach).into_iter().collect(),
                Err(gap) => Outcome::unavailable(gap),
            }
        })
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let sender = &ask.facts.envelope.sender;
            let author = ask.facts.message.author().and_then(|author| author.address.as_ref());
            let domain = author.map(|author| author.domain()).filter(|domain| Some(*domain) != sender.path.domain());
            let Some(domain) = domain.filter(|domain| is_asked(domain, sender, ask.world)) else {
                return Outcome::nothing();
            };
            match reach(domain, &*ask.world.dns).await {
                Ok(Reach::Public) => Outcome::nothing(),
                Ok(Reach::Missing) => Outcome::found(Finding::of(&AUTHOR_MISSING, domain.as_str())),
                Ok(_) => Outcome::found(Finding::of(&AUTHOR_UNREACHABLE, domain.as_str())),
                Err(gap) => Outcome::unavailable(gap),
            }
        })
    }
}

/// Domains hosted here are not asked: inside, their mail servers may well have internal addresses. What our own users
/// claim is not judged here either.
fn is_asked(domain: &Domain, sender: &Sender, world: &World) -> bool {
    !domain.is_literal() && !sender.submits() && world.panel.hosting(domain) == Hosting::Foreign
}

/// Whether mail can reach a domain from outside.
#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// At least one mail exchanger has a public address.
    Public,
    /// The domain does not exist.
    Missing,
    /// It takes no mail (RFC 7505).
    NullMx,
    /// It has neither mail exchanger nor address.
    NoHost,
    /// Only internal addresses; the first such host.
    Internal(String),
    /// No mail exchanger has an address; the first one.
    Unresolved(String),
}

/// `Err` when DNS gave no answer to something that could have shown a public address.
async fn reach(domain: &Domain, dns: &dyn Resolver) -> Known<Reach> {
    let reply = dns.lookup(&Question::new(domain.as_str(), RecordKind::Mx)).await?;
    if reply.status == Status::NxDomain {
        return Ok(Reach::Missing);
    }
    let mut exchangers: Vec<(u16, String)> = Vec::new();
    for record in reply.records {
        if let Record::Mx(preference, host) = record {
            exchangers.push((preference, host));
        }
    }
    match exchangers.as_slice() {
        // Without MX the domain itself is its mail exchanger (RFC 5321 section 5.1).
        [] => match host_reach(domain.as_str(), dns).await? {
            HostReach::Public => Ok(Reach::Public),
            HostReach::Internal => Ok(Reach::Internal(domain.to_string())),
            HostReach::NoAddress => Ok(Reach::NoHost),
        },
        [(_, host)] if host.is_empty() => Ok(Reach::NullMx),
        _ => exchangers_reach(exchangers, dns).await,
    }
}

/// Asks the exchangers one by one, best first, until one is public: mostly the first one is.
async fn exchangers_reach(mut exchangers: Vec<(u16, String)>, dns: &dyn Resolver) -> Known<Reach> {
    if exchangers.len() > EXCHANGERS_MAX {
        return Ok(Reach::Public);
    }
    exchangers.sort();
    let first = exchangers.first().map(|(_, host)| host.clone()).unwrap_or_default();
    let (mut internal, mut gap) = (None, None);
    for (_, host) in exchangers {
        match host_reach(&host, dns).await {
            Ok(HostReach::Public) => return Ok(Reach::Public),
            Ok(HostReach::Internal) => internal = internal.or(Some(host)),
            Ok(HostReach::NoAddress) => {}
            Err(unavailable) => gap = gap.or(Some(unavailable)),
        }
    }
    match (gap, internal) {
        (Some(unavailable), _) => Err(unavailable),
        (None, Some(host)) => Ok(Reach::Internal(host)),
        (None, None) => Ok(Reach::Unresolved(first)),
    }
}

enum HostReach {
    Public,
    Internal,
    NoAddress,
}

async fn host_reach(host: &str, dns: &dyn Resolver) -> Known<HostReach> {
    // Names that mean the asking host itself (RFC 6761 section 6.3) are not sent to DNS.
    if host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost") {
        return Ok(HostReach::Internal);
    }
    let mut reach = HostReach::NoAddress;
    for kind in [RecordKind::A, RecordKind::Aaaa] {
        let reply = dns.lookup(&Question::new(host, kind)).await?;
        if reply.addresses().any(|ip| !is_internal(ip)) {
            return Ok(HostReach::Public);
        }
        if reply.addresses().next().is_some() {
            reach = HostReach::Internal;
        }
    }
    Ok(reach)
}
