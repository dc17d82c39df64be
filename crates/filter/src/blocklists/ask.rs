//! Asking one list about an address or a domain (RFC 5782 sections 2.1, 2.4 and 3).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tidegate_mail::Domain;

use super::code::codes;
use super::{Health, List, health};
use crate::check::{Ask, Finding, Outcome, Remember, Symbol, When};
use crate::dns::{is_internal, reversed};
use crate::known::{Service, Unavailable};
use crate::session::Connect;
use crate::store::Write;
use crate::tables::LIST_HEALTH;

/// One meaning of an answer.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What it is found as.
    pub symbol: Arc<Symbol>,
    /// The code the list gave.
    pub code: Ipv4Addr,
    /// Position among those that were asked about.
    pub about: usize,
}

/// What a list said.
#[derive(Debug, Default)]
pub struct ListAnswer {
    /// Meanings of the codes it gave; empty when nothing is listed.
    pub listings: Vec<Listing>,
    /// Why the list could not be relied on.
    pub gap: Option<Unavailable>,
    /// What its probe has to remember.
    pub remember: Vec<Remember>,
}

/// What all of `lists` say about the client, asked at once. Trusted relays are not asked about.
pub async fn about_client(lists: &[List], ask: &Ask<'_, Connect>) -> Outcome {
    let Some(ip) = ask.facts.client.ip().filter(|_| !ask.facts.trusted) else {
        return Outcome::nothing();
    };
    let answers = join_all(lists.iter().map(|list| ask_address(list, ip, ask))).await;
    let mut outcome = Outcome::nothing();
    for (list, answer) in lists.iter().zip(answers) {
        let found = answer
            .listings
            .iter()
            .map(|listing| Finding::loaded(&listing.symbol, format!("{} {}", list.zone, listing.code)));
        outcome.findings.extend(found);
        outcome.unavailable.extend(answer.gap);
        outcome.remember.extend(answer.remember);
    }
    outcome
}

/// Asks `list` about the client `ip`. Internal addresses are on no list and are not asked about.
async fn ask_address<F>(list: &List, ip: IpAddr, ask: &Ask<'_, F>) -> ListAnswer {
    if !list.asks(ip) || is_internal(ip) {
        return ListAnswer::default();
    }
    ask_names(list, &[reversed(ip, list.zone.as_str())], ask).await
}

/// Asks `list` about all of `domains`.
pub async fn ask_domains<F>(list: &List, domains: &[Domain], ask: &Ask<'_, F>) -> ListAnswer {
    let names: Vec<String> = domains.iter().map(|domain| format!("{domain}.{}", list.zone)).collect();
    ask_names(list, &names, ask).await
}

async fn ask_names<F>(list: &List, names: &[String], ask: &Ask<'_, F>) -> ListAnswer {
    if names.is_empty() {
        return ListAnswer::default();
    }
    let answers = join_all(names.iter().map(|name| codes(name, ask.world)));
    let (health, answers) = join(health(list, ask.world, ask.now), answers).await;
    let (health, fresh) = match health {
        Ok(known) => known,
        Err(unavailable) => return ListAnswer { gap: Some(unavailable), ..ListAnswer::default() },
    };
    let mut answer = ListAnswer::default();
    if fresh {
        answer.remember.push(health_row(list, &health));
    }
    if let Health::Failing { cause, .. } = &health {
        answer.gap = Some(switched_off(list, cause));
        return answer;
    }
    // One error takes all listings back: whoever answers so cannot be relied on in the rest either.
    let all_codes = answers.iter().filter_map(|codes| codes.as_ref().ok()).flatten();
    if let Some(error) = all_codes.into_iter().find(|code| list.is_error(**code)) {
        let cause = format!("answered {error}, which is an error and no listing");
        answer.gap = Some(switched_off(list, &cause));
        answer.remember.push(health_row(list, &Health::Failing { cause, since: ask.now }));
        return answer;
    }
    for (about, codes) in answers.into_iter().enumerate() {
        match codes {
            Ok(codes) => answer.listings.extend(codes.into_iter().flat_map(|code| list.listings(about, code))),
            Err(gap) => answer.gap = answer.gap.or(Some(gap)),
        }
    }
    answer
}

fn switched_off(list: &List, cause: &str) -> Unavailable {
    Unavailable::new(Service::Dns, format!("list {} is switched off: {cause}", list.zone))
}

fn health_row(list: &List, health: &Health) -> Remember {
    let key = list.zone.as_str().as_bytes().to_vec();
    Remember { when: When::Always, write: Write::Put { table: &LIST_HEALTH, key, value: health.encode() } }
}
