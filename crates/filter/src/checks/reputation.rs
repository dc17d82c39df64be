//! What we have seen of this sender before: the record of the client's address, else of its network, and of each domain that
//! SPF or DKIM vouches for. Evidence of few points. What reputation itself brought about is not counted again: the engine
//! sees to that.

use futures_util::future::join;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use crate::check::{Ask, Finding, Group, OnData, OnMail, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::known::{Answer, Known};
use crate::party::Party;
use crate::reputation::{Record, Standing, Subject, lessons, record};
use crate::session::{Mail, Sender};
use crate::settings::ConfigError;
use crate::store::Store;

static REPUTATION_GOOD: Symbol =
    Symbol::evidence("REPUTATION_GOOD", -1000, Group::Reputation, "hardly any mail of this sender was spam");
static REPUTATION_BAD: Symbol =
    Symbol::evidence("REPUTATION_BAD", 2000, Group::Reputation, "most mail of this sender was spam");
static REPUTATION_BAD_NETWORK: Symbol = Symbol::evidence(
    "REPUTATION_BAD_NETWORK",
    1000,
    Group::Reputation,
    "the client is new, and most mail of its network was spam",
);

/// `[checks.reputation]`: nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The check.
pub struct Check;

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(_config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        Ok(Check)
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        [&REPUTATION_GOOD, &REPUTATION_BAD, &REPUTATION_BAD_NETWORK].into_iter().map(SymbolRef::Declared).collect()
    }
}

impl OnMail for Check {
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let sender = ask.facts;
            // Whoever submits here is known by login or user, and judged by that.
            let Some(ip) = sender.greeting.connect.client.ip().filter(|_| !sender.submits()) else {
                return Outcome::nothing();
            };
            let (address, net) = (Subject::Address(ip), Subject::network_of(ip));
            let store = &*ask.world.store;
            let records = join(record(&address, store, ask.now), record(&net, store, ask.now)).await;
            let mut outcome = match records {
                (Ok(own), Ok(of_network)) => about_client((&address, own), (&net, of_network)),
                (Err(gap), _) | (_, Err(gap)) => return Outcome::unavailable(gap),
            };
            outcome.remember.extend([&address, &net].into_iter().flat_map(lessons));
            if let Some(Party::Domain(domain)) = Party::by_spf(sender) {
                let of_domain = about_domain(domain, store, ask.now).await;
                outcome.extend(of_domain.unwrap_or_else(Outcome::unavailable));
            }
            outcome
        })
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let sender = &ask.facts.envelope.sender;
            let party = Party::by_dkim(ask.facts).filter(|_| !sender.submits());
            match party.filter(|party| Some(party) != Party::by_spf(sender).as_ref()) {
                Some(Party::Domain(domain)) => {
                    about_domain(domain, &*ask.world.store, ask.now).await.unwrap_or_else(Outcome::unavailable)
                }
                _ => Outcome::nothing(),
            }
        })
    }
}

fn about_client((address, own): (&Subject, Record), (net, of_network): (&Subject, Record)) -> Outcome {
    match (own.standing(), of_network.standing()) {
        (Standing::Good, _) => Outcome::found(Finding::of(&REPUTATION_GOOD, format!("{address}: {own}"))),
        (Standing::Bad, _) => Outcome::found(Finding::of(&REPUTATION_BAD, format!("{address}: {own}"))),
        (Standing::Unknown, Standing::Bad) => {
            Outcome::found(Finding::of(&REPUTATION_BAD_NETWORK, format!("{net}: {of_network}")))
        }
        (Standing::Unknown, _) => Outcome::nothing(),
    }
}

async fn about_domain(domain: Domain, store: &dyn Store, now: jiff::Timestamp) -> Known<Outcome> {
    let subject = Subject::Domain(domain);
    let record = record(&subject, store, now).await?;
    let evidence = || format!("{subject}: {record}");
    let mut outcome = match record.standing() {
        Standing::Good => Outcome::found(Finding::of(&REPUTATION_GOOD, evidence())),
        Standing::Bad => Outcome::found(Finding::of(&REPUTATION_BAD, evidence())),
        Standing::Unknown => Outcome::nothing(),
    };
    outcome.remember.extend(lessons(&subject));
    Ok(outcome)
}
