//! Who is probably compromised, and why. A suspicion needs two signals that do not depend on each other, within one day;
//! a large newsletter, an invoice run or a journey gives one at most.

use super::Settings;
use super::basis::Basis;
use super::case;
use super::day::{date, days, past};
use super::guess::{Guessed, Guesses};
use super::ledger::{Actor, Ledger, distinct};
use super::signs::{LOG_DAYS_MIN, Signal, is_suspect, signals_by_day, volume, weight};
use super::target::Entry;
use crate::api::report as api;

/// Hours of a timeline.
const TIMELINE_MAX: usize = 48;

/// Suspects, the gravest first.
pub(super) fn suspects(basis: &Basis<'_>, rows: usize) -> Vec<api::Suspect> {
    let mut list: Vec<api::Suspect> =
        basis.ledgers.of_account(basis.settings).filter_map(|(actor, ledger)| suspect(actor, ledger, basis)).collect();
    list.sort_by(|a, b| b.score.cmp(&a.score).then(b.recipients.cmp(&a.recipients)).then_with(|| a.name.cmp(&b.name)));
    list.truncate(rows);
    list
}

/// Days on which somebody sent far more than ever before; not suspicious by itself.
pub(super) fn unusual(basis: &Basis<'_>, rows: usize) -> Vec<api::UnusualRow> {
    let mut list = Vec::new();
    let (settings, log_begins) = (basis.settings, basis.first_day());
    for (actor, ledger) in basis.ledgers.of_account(settings) {
        let days = days(ledger);
        for (at, day) in days.iter().enumerate() {
            let past = past(&days, at);
            let Some(evidence) = volume(day, &past, day.day >= log_begins + LOG_DAYS_MIN) else { continue };
            list.push(api::UnusualRow {
                kind: actor.kind(),
                name: actor.name().to_owned(),
                account: actor.account(settings),
                day: date(day.day),
                recipients: u64::from(day.sum.volume()),
                most_before: u64::from(past.most_a_day),
                evidence: evidence.evidence,
            });
        }
    }
    list.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.name.cmp(&b.name)));
    list.truncate(rows);
    list
}

fn suspect(actor: &Actor, ledger: &Ledger, basis: &Basis<'_>) -> Option<api::Suspect> {
    let mut bad: Vec<(u32, Vec<Signal>)> = signals_by_day(actor, ledger, basis);
    bad.retain(|(_, signals)| is_suspect(signals));
    let bad_days: Vec<u32> = bad.iter().map(|(day, _)| *day).collect();
    // The first of the heaviest.
    let (worst_day, signals) = bad.iter().rev().max_by_key(|(_, signals)| weight(signals))?;
    let days = days(ledger);
    let since = bad_days.first().copied();
    let recipients = days.iter().filter(|day| Some(day.day) >= since).map(|day| u64::from(day.sum.volume())).sum();
    Some(api::Suspect {
        kind: actor.kind(),
        name: actor.name().to_owned(),
        account: actor.account(basis.settings),
        domains: domains(&actor.account(basis.settings), basis.settings),
        local_user: match actor {
            Actor::Script { user, .. } | Actor::User(user) => Some(user.to_string()),
            _ => None,
        },
        score: weight(signals),
        worst_day: date(*worst_day),
        since: since.map(date),
        until: bad_days.last().copied().map(date),
        recipients,
        entered_by: entered_by(actor, &basis.guesses),
        entered_from: match actor {
            Actor::Mailbox(user) => basis.guesses.of(user).map(|guessed| guessed.ip.to_string()),
            _ => None,
        },
        case: case::of(actor, ledger, &bad_days, signals, basis),
        signals: signals.iter().map(|s| api::Signal { name: s.name, evidence: s.evidence.clone() }).collect(),
        by_day: days.iter().map(|day| api::Count { name: date(day.day), times: u64::from(day.sum.volume()) }).collect(),
        timeline: timeline(ledger, since.unwrap_or(*worst_day)),
        samples: ledger.samples.clone(),
        refusals: ledger.heard(),
    })
}

/// Domains of an account.
fn domains(account: &str, settings: &Settings) -> Vec<String> {
    const DOMAINS_MAX: usize = 5;
    let owned = settings.owners.iter().filter(|(_, owner)| *owner == account);
    let mut domains: Vec<String> = owned.map(|(domain, _)| domain.clone()).collect();
    domains.sort();
    domains.truncate(DOMAINS_MAX);
    domains
}

/// How the intruder came in, as far as the log tells.
fn entered_by(actor: &Actor, guesses: &Guesses<'_>) -> String {
    match actor {
        Actor::Mailbox(user) => match guesses.of(user) {
            Some(guessed) => {
                let Guessed { time, ip, .. } = guessed;
                let failures = guessed.failures_in_words();
                // A mail server logs no logins, only what is sent after them.
                let came = match guessed.entry {
                    Entry::Login => format!("{ip} logged in at {time}"),
                    Entry::Message => format!("{ip} got in, at the latest with the message accepted at {time}"),
                };
                format!("its password was guessed: after {failures} within two days, {came}")
            }
            None => "somebody else has its password; these logs do not show how they got it".to_owned(),
        },
        Actor::Script { script, user } => {
            format!("by a program in {script}, run as {user}; a mail log cannot show how it got there")
        }
        Actor::User(user) => format!("by a program run as {user}; the log does not say where it lies"),
        Actor::Forwarder(address) => format!("spam sent to {address} is forwarded"),
        Actor::Relay(ip) => format!("{ip} may relay through this server without a login"),
    }
}

fn timeline(ledger: &Ledger, from_day: u32) -> Vec<api::TimelineHour> {
    let since = from_day.saturating_sub(1) * 24;
    let hours = ledger.hours();
    let hours = hours.iter().filter(|hour| hour.hour >= since).take(TIMELINE_MAX);
    hours
        .map(|hour| api::TimelineHour {
            hour: super::flow::name(i64::from(hour.hour)),
            recipients: u64::from(hour.volume()),
            failed: u64::from(hour.failed),
            networks: u64::from(distinct(hour.networks)),
        })
        .collect()
}
