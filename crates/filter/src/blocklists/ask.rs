//! Asking one list about an address or a domain (RFC 5782 sections 2.1, 2.4 and 3).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tidegate_mail::Domain;

use super::List;
use super::code::codes;
use super::health::{self, Health};
use crate::check::{Ask, Finding, Outcome, Remember, Symbol, When};
use crate::dns::{is_internal, reversed};
use crate::known::{Known, Service, Unavailable};
use crate::session::Connect;

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
    let known = match health::stored(list, ask.world, ask.now).await {
        Ok(known) => known.filter(|health| health.stands(ask.now)),
        Err(unavailable) => return ListAnswer { gap: Some(unavailable), ..ListAnswer::default() },
    };
    // Whoever is off is not asked: that would cost this client a wait.
    if let Some(cause) = known.as_ref().and_then(Health::off_because) {
        return ListAnswer { gap: Some(switched_off(list, cause)), ..ListAnswer::default() };
    }
    let answers = join_all(names.iter().map(|name| codes(name, ask.world)));
    let mut answer = ListAnswer::default();
    let (known, answers) = match known {
        Some(known) => (known, answers.await),
        None => {
            let (probed, answers) = join(health::probe(list, ask.world, ask.now), answers).await;
            match probed {
                Ok(probed) => {
                    answer.remember.push(health_row(list, &probed));
                    (probed, answers)
                }
                Err(unavailable) => return ListAnswer { gap: Some(unavailable), ..answer },
            }
        }
    };
    if let Some(cause) = known.off_because() {
        answer.gap = Some(switched_off(list, cause));
        return answer;
    }
    answer.remember.extend(heard(&known, &answers, ask.now).map(|health| health_row(list, &health)));
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

/// What is known of a list that was good, if its answers change that: whether it was silent again, or speaks again.
fn heard(known: &Health, answers: &[Known<Vec<Ipv4Addr>>], now: Timestamp) -> Option<Health> {
    let Health::Good { at, silence } = known else { return None };
    match (answers.iter().any(Result::is_ok), silence) {
        (true, None) => None,
        (true, Some(_)) => Some(Health::Good { at: *at, silence: None }),
        (false, before) => Some(Health::unanswered(*before, *at, now)),
    }
}

fn switched_off(list: &List, cause: &str) -> Unavailable {
    Unavailable::new(Service::Dns, format!("list {} is switched off: {cause}", list.zone))
}

fn health_row(list: &List, health: &Health) -> Remember {
    Remember { when: When::Always, write: health::row(list, health) }
}
