//! How this server stands with others: what they answer, how often, from when to when, and who hold its own address for bad.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::ledger::Ledgers;
use super::provider::{self, Provider, Saying};
use super::{Settings, is_remote};
use crate::api::report as api;
use crate::event::{Delivery, Outcome};
use crate::time::{DAY_MS, Timestamp};

/// Own addresses that are remembered of one provider's complaints.
const ADDRESSES_MAX: usize = 4;
/// Who causes less than this share of an answer, in percent, is not named for it.
const CAUSE_PERCENT_MIN: u64 = 10;

/// How many there are; each has its place in the order of the type.
const PROVIDERS: usize = Provider::Other as usize + 1;

/// How often something was said.
#[derive(Debug, Default)]
struct Said {
    refused: u64,
    deferred: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The first refusal, else the first deferral.
    example: String,
    /// What it names of this server.
    addresses: Vec<IpAddr>,
}

impl Said {
    fn times(&self) -> u64 {
        self.refused + self.deferred
    }
}

/// What one provider took.
#[derive(Debug, Default)]
struct Served {
    all: u64,
    /// After it last spoke of bad reputation.
    since: u64,
}

/// Everything that other servers answered.
#[derive(Debug, Default)]
pub(super) struct Standing {
    said: HashMap<(Provider, Saying), Said>,
    served: [Served; PROVIDERS],
}

impl Standing {
    /// Counts what became of a recipient, with what was said of it.
    pub(super) fn feed(&mut self, delivery: &Delivery<'_>, said: Option<(Provider, Saying)>, time: Option<Timestamp>) {
        if delivery.outcome == Outcome::Delivered && is_remote(delivery) {
            let provider = provider::whose(delivery.host.name.unwrap_or(""));
            if let Some(served) = self.served.get_mut(provider as usize) {
                served.all += 1;
                served.since += 1;
            }
        }
        let Some((provider, saying)) = said else { return };
        let said = self.said.entry((provider, saying)).or_default();
        let is_first = match delivery.outcome {
            Outcome::Deferred => {
                said.deferred += 1;
                said.times() == 1
            }
            _ => {
                said.refused += 1;
                said.refused == 1
            }
        };
        said.first = said.first.or(time);
        said.last = time.or(said.last);
        let text = delivery.text.unwrap_or("");
        if is_first {
            text.clone_into(&mut said.example);
        }
        if saying == Saying::Reputation {
            if let Some(served) = self.served.get_mut(provider as usize) {
                served.since = 0;
            }
            if said.addresses.len() < ADDRESSES_MAX
                && let Some(ip) = provider::addresses_in(text).next()
                && !said.addresses.contains(&ip)
            {
                said.addresses.push(ip);
            }
        }
    }

    /// What was said, most often first; what asks for nothing comes last, however often it was said.
    pub(super) fn rows(&self, ledgers: &Ledgers, settings: &Settings, rows: usize) -> Vec<api::RefusalRow> {
        let row = |((provider, saying), said): (&(Provider, Saying), &Said)| api::RefusalRow {
            provider: provider.name(),
            kind: saying.name(),
            meaning: saying.words(),
            advice: saying.advice(),
            refused: said.refused,
            deferred: said.deferred,
            first: said.first.map(|time| time.to_string()),
            last: said.last.map(|time| time.to_string()),
            example: said.example.clone(),
            caused_by: causes(ledgers, (*provider, *saying), said, settings),
        };
        let wanted = self.said.iter().filter(|(key, _)| is_wanted(ledgers, **key, settings));
        let mut list: Vec<api::RefusalRow> = wanted.map(row).collect();
        let order =
            |row: &api::RefusalRow| (row.advice == Saying::Greylist.advice(), Reverse(row.refused + row.deferred));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.example.cmp(&b.example)));
        list.truncate(rows);
        list
    }

    /// Who holds this server's own address for bad, those first that refuse most.
    pub(super) fn blocks(
        &self,
        ledgers: &Ledgers,
        settings: &Settings,
        until: Option<Timestamp>,
    ) -> Vec<api::BlockRow> {
        let is_late = |last: Timestamp| until.is_some_and(|end| end.as_millis() - last.as_millis() <= DAY_MS);
        let mut list = Vec::new();
        for ((provider, saying), said) in &self.said {
            let key = (*provider, *saying);
            if *saying != Saying::Reputation || !is_wanted(ledgers, key, settings) {
                continue;
            }
            let served = self.served.get(*provider as usize);
            list.push(api::BlockRow {
                provider: provider.name(),
                addresses: said.addresses.iter().map(IpAddr::to_string).collect(),
                refused: said.refused,
                deferred: said.deferred,
                delivered: served.map_or(0, |served| served.all),
                // Many servers are in that group, and one taking mail says nothing of another.
                delivered_since: served.filter(|_| *provider != Provider::Other).map(|served| served.since),
                first: said.first.map(|time| time.to_string()),
                last: said.last.map(|time| time.to_string()),
                is_at_end: said.last.is_some_and(is_late),
                ask: provider::ask(*provider, &said.example),
                example: said.example.clone(),
                caused_by: causes(ledgers, key, said, settings),
            });
        }
        list.sort_by_key(|row| (Reverse((row.refused, row.deferred)), row.provider));
        list
    }
}

/// Who causes a fair share of an answer.
fn causes(
    ledgers: &Ledgers,
    (provider, saying): (Provider, Saying),
    said: &Said,
    settings: &Settings,
) -> Vec<api::Cause> {
    let mut causes = ledgers.causes(provider, saying, settings);
    causes.retain(|cause| cause.times * 100 >= said.times() * CAUSE_PERCENT_MIN);
    causes
}

/// An account hears only what it caused; others are not named to it.
fn is_wanted(ledgers: &Ledgers, (provider, saying): (Provider, Saying), settings: &Settings) -> bool {
    settings.account.is_none() || !ledgers.causes(provider, saying, settings).is_empty()
}
