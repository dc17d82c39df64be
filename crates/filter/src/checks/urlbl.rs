//! DNS blocklists of domains (RFC 5782 section 3), asked about the domains that a message leads to. Asks every enabled list
//! of kind `domain` in the catalogue about a bounded number of domains, the most prominent ones first. Each symbol is found
//! once a message, however many domains it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Domain, UrlForm, UrlPlace};

use crate::blocklists::{Kind, List, Listing, ask_domains};
use crate::check::{Ask, Finding, OnData, Outcome, SymbolRef};
use crate::checks::Parts;
use crate::known::Answer;
use crate::panel::Hosting;
use crate::session::Mail;
use crate::settings::ConfigError;
use crate::world::World;

/// Domains of one message that lists are asked about.
const DOMAINS_MAX: usize = 16;
/// Domains named in the evidence of one symbol.
const DOMAINS_SHOWN: usize = 3;

/// Domains that no list lists and that much mail leads to: asking about them is a waste. One a line, `#` begins a comment.
const SHIPPED_EXEMPT: &str = include_str!("../../../../data/lists/url_exempt.txt");

/// `[checks.urlbl]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Domains that are not asked about, besides the shipped ones and those hosted here.
    pub exempt: Vec<Domain>,
    /// Whether the author's domain and that of the envelope sender are asked about as well.
    pub senders: bool,
    /// Whether the client's HELO name is asked about as well.
    pub helo: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config { exempt: Vec::new(), senders: true, helo: false }
    }
}

/// The check.
pub struct Check {
    lists: Vec<List>,
    exempt: BTreeSet<Domain>,
    config: Config,
}

impl Check {
    /// Builds the check from the catalogue of lists.
    ///
    /// # Errors
    /// A list whose zone cannot be asked.
    pub fn build(config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let lists = List::of_kind(parts.blocklists, Kind::Domain, "urlbl")?;
        let exempt = config.exempt.iter().cloned().chain(shipped_exempt()).collect();
        Ok(Check { lists, exempt, config: config.clone() })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        self.lists.iter().flat_map(List::symbols).map(SymbolRef::Loaded).collect()
    }

    /// The registrable domains that the message leads to, most prominent first, at most [`DOMAINS_MAX`].
    fn domains(&self, mail: &Mail, world: &World) -> Vec<Domain> {
        let mut ranked: BTreeMap<Domain, (u8, usize)> = BTreeMap::new();
        let mut see = |domain: &Domain, rank: u8, position: usize| {
            if let Some(domain) = domain.registrable() {
                let seen = ranked.entry(domain).or_insert((rank, position));
                *seen = (*seen).min((rank, position));
            }
        };
        for (position, url) in mail.message.urls().iter().enumerate() {
            // Addresses in the header are those of senders and recipients: not where the message leads to.
            let is_correspondent = url.place == UrlPlace::Header && url.address.is_some();
            if let Some(domain) = url.domain().filter(|_| !is_correspondent) {
                see(domain, rank(url.place, url.form), position);
            }
        }
        if self.config.senders {
            let sender = &mail.envelope.sender;
            let author = mail.message.author().and_then(|author| author.address.as_ref());
            let both = author.map(|author| author.domain()).into_iter().chain(sender.path.domain());
            both.for_each(|domain| see(domain, SENDER_RANK, 0));
        }
        if let Some(helo) = mail.envelope.sender.greeting.helo.as_ref().filter(|_| self.config.helo) {
            helo.domain().iter().for_each(|domain| see(domain, SENDER_RANK, 1));
        }
        let is_asked =
            |domain: &Domain| !self.exempt.contains(domain) && world.panel.hosting(domain) == Hosting::Foreign;
        let mut ordered: Vec<((u8, usize), Domain)> =
            ranked.into_iter().filter(|(domain, _)| is_asked(domain)).map(|(domain, rank)| (rank, domain)).collect();
        ordered.sort();
        ordered.into_iter().take(DOMAINS_MAX).map(|(_, domain)| domain).collect()
    }
}

/// Senders come behind what a reader can click, and before what only loads or is hidden.
const SENDER_RANK: u8 = 2;

/// How prominent a URL is: what a reader is led to counts first, so that hidden ones cannot push it out of the bounded number.
fn rank(place: UrlPlace, form: UrlForm) -> u8 {
    match (place, form) {
        (UrlPlace::Link | UrlPlace::Form, _) => 0,
        (UrlPlace::Text, UrlForm::Full | UrlForm::Www) => 1,
        (UrlPlace::Text, _) => 3,
        (UrlPlace::Image | UrlPlace::Other, _) => 4,
        _ => 5,
    }
}

fn shipped_exempt() -> impl Iterator<Item = Domain> {
    let lines = SHIPPED_EXEMPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).filter_map(|line| Domain::parse(line).ok())
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            if self.lists.is_empty() {
                return Outcome::nothing();
            }
            let domains = self.domains(ask.facts, ask.world);
            let answers = join_all(self.lists.iter().map(|list| ask_domains(list, &domains, ask))).await;
            let mut outcome = Outcome::nothing();
            for (list, answer) in self.lists.iter().zip(answers) {
                outcome.findings.extend(findings(list, &answer.listings, &domains));
                outcome.unavailable.extend(answer.gap);
                outcome.remember.extend(answer.remember);
            }
            outcome
        })
    }
}

/// One finding a symbol, with the domains it is about.
fn findings(list: &List, listings: &[Listing], domains: &[Domain]) -> Vec<Finding> {
    let mut seen: Vec<(&Listing, Vec<&str>)> = Vec::new();
    for listing in listings {
        let domain = domains.get(listing.about).map(Domain::as_str).unwrap_or_default();
        match seen.iter_mut().find(|(first, _)| Arc::ptr_eq(&first.symbol, &listing.symbol)) {
            Some((_, domains)) => domains.push(domain),
            None => seen.push((listing, vec![domain])),
        }
    }
    let found = seen.into_iter().map(|(first, domains)| {
        let shown = domains.get(..DOMAINS_SHOWN).unwrap_or(&domains).join(", ");
        let more = if domains.len() > DOMAINS_SHOWN { ", …" } else { "" };
        Finding::loaded(&first.symbol, format!("{} {} {shown}{more}", list.zone, first.code))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_line_is_a_registrable_domain() {
        let lines = SHIPPED_EXEMPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let domains: BTreeSet<Domain> = shipped_exempt().collect();
        assert_eq!(domains.len(), lines.len(), "a line is no domain, or stands twice");
        for domain in domains {
            assert_eq!(domain.registrable().as_ref(), Some(&domain), "{domain} would never be compared");
        }
    }
}
