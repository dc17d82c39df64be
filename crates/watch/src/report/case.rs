//! How a compromise stands at the end of the log: from when to when it sent, what became of it, whether it goes on, how sure it is
//! and what of it is a conclusion.

use std::net::IpAddr;

use super::history::Hour;
use super::ledger::{Actor, Ledger};
use super::suspicion::{Basis, Signal, weight};
use crate::api::report as api;

/// An hour belongs to the campaign from this share of its busiest hour on, in percent …
const HOUR_PERCENT_MIN: u32 = 10;
/// … also outside suspect days, if no longer pause lies between.
const PAUSE_HOURS_MAX: u32 = 2;
/// It goes on if the log ends at most so many hours after its last hour began.
const ACTIVE_HOURS: u32 = 3;

/// The state of the case of `actor`, which is suspect on `bad_days`, the worst of them with `signals`.
pub(super) fn of(actor: &Actor, ledger: &Ledger, bad_days: &[u32], signals: &[Signal], basis: &Basis<'_>) -> api::Case {
    let hours = ledger.hours();
    let (began, last) = campaign(&hours, bad_days);
    let is_part = |hour: &Hour| bad_days.contains(&(hour.hour / 24)) || (began..=last).contains(&hour.hour);
    let mut part = Hour::default();
    let mut usual = 0_u64;
    for hour in hours.iter().filter(|hour| bad_days.first().is_some_and(|day| hour.hour >= day * 24)) {
        if !is_part(hour) {
            usual += u64::from(hour.volume());
        }
    }
    hours.iter().filter(|hour| is_part(hour)).for_each(|hour| part.add(hour));
    // Of many hours the counts of sixteen bits may be full; the sum of the parts is exact.
    let failed: u64 = hours.iter().filter(|hour| is_part(hour)).map(|hour| u64::from(hour.failed)).sum();
    let waiting: Vec<bool> = basis
        .joiner
        .open()
        .filter(|message| Actor::of(message).as_ref() == Some(actor))
        .map(|message| message.is_frozen)
        .collect();
    let log_ends = basis.last_hour();
    let quiet = log_ends.saturating_sub(last);
    let at_end = if quiet < ACTIVE_HOURS {
        "active"
    } else if bad_days.len() > 1 && bad_days.last().is_some_and(|day| day + 1 >= log_ends / 24) {
        "recurring"
    } else {
        "quiet"
    };
    let begin = bad_days.first().map_or(0, |day| day * 24).min(began);
    let (clients, usual_clients, has_more_clients) = clients(actor, bad_days, begin, basis);
    let name = |hour: u32| super::flow::name(i64::from(hour));
    api::Case {
        certainty: certainty(signals),
        began: Some(name(began)),
        ended: Some(name(last + 1)),
        recipients: u64::from(part.volume()),
        delivered: u64::from(part.remote).saturating_sub(failed),
        failed,
        usual_recipients: usual,
        waiting: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
        frozen: u64::try_from(waiting.iter().filter(|is_frozen| **is_frozen).count()).unwrap_or(u64::MAX),
        at_end,
        quiet_hours: u64::from(quiet.saturating_sub(1)),
        inferred: inferred(actor, basis),
        guessing: match actor {
            Actor::Mailbox(login) => basis.attackers.guessing(login, basis.last),
            _ => None,
        },
        clients,
        usual_clients,
        has_more_clients,
    }
}

/// Addresses of a mailbox on its busiest suspect day: of networks that are new since the hour `begin`, and the others. The owner goes on
/// writing from where he always does; nobody is to block him.
fn clients(actor: &Actor, bad_days: &[u32], begin: u32, basis: &Basis<'_>) -> (Vec<api::Count>, Vec<api::Count>, bool) {
    let Actor::Mailbox(login) = actor else { return (Vec::new(), Vec::new(), false) };
    let (clients, has_more) = basis.clients.of(login, |day| bad_days.contains(&day));
    let is_usual = |ip: IpAddr| basis.ledgers.network_since(login, ip).is_some_and(|since| since < begin);
    let (usual, new): (Vec<_>, Vec<_>) = clients.into_iter().partition(|(ip, _)| is_usual(*ip));
    let counts = |list: Vec<(IpAddr, u32)>| -> Vec<api::Count> {
        list.iter().map(|(ip, times)| api::Count { name: ip.to_string(), times: u64::from(*times) }).collect()
    };
    (counts(new), counts(usual), has_more)
}

/// First and last hour of the campaign.
fn campaign(hours: &[Hour], bad_days: &[u32]) -> (u32, u32) {
    let is_bad = |hour: &Hour| bad_days.contains(&(hour.hour / 24));
    let peak = hours.iter().filter(|hour| is_bad(hour)).map(Hour::peak).max().unwrap_or(0);
    let is_hot = |hour: &Hour| hour.peak() * 100 >= peak.max(1) * HOUR_PERCENT_MIN;
    let mut hot = hours.iter().filter(|hour| is_hot(hour));
    let within: Vec<u32> = hours.iter().filter(|hour| is_bad(hour) && is_hot(hour)).map(|hour| hour.hour).collect();
    let (Some(mut began), Some(mut last)) = (within.first().copied(), within.last().copied()) else {
        return hot.next().map_or((0, 0), |hour| (hour.hour, hour.hour));
    };
    // It may begin before midnight, and go on after it on a day that is too short to be suspect by itself.
    for hour in hours.iter().rev().filter(|hour| is_hot(hour)) {
        if hour.hour < began && began - hour.hour <= PAUSE_HOURS_MAX {
            began = hour.hour;
        }
    }
    for hour in hot {
        if hour.hour > last && hour.hour - last <= PAUSE_HOURS_MAX {
            last = hour.hour;
        }
    }
    (began, last)
}

fn certainty(signals: &[Signal]) -> &'static str {
    match (signals.len(), weight(signals)) {
        (4.., 9..) => "very_sure",
        (3.., 6..) => "sure",
        _ => "probable",
    }
}

/// What is concluded: the log does not say it.
fn inferred(actor: &Actor, basis: &Basis<'_>) -> Vec<String> {
    let mut list = Vec::new();
    match actor {
        Actor::Mailbox(login) if basis.attackers.guessed(login).is_some() => list.push(
            "that this login was the intruder's: it came from a network from which this password had failed before; \
             the log shows no passwords"
                .to_owned(),
        ),
        Actor::Mailbox(_) => list.push(
            "that somebody else has the password, from how the mailbox is used; how they got it is not in these logs"
                .to_owned(),
        ),
        Actor::Script { .. } | Actor::User(_) => list.push(
            "that a program was put there or is abused, from what it sends; who calls it is not in a mail log"
                .to_owned(),
        ),
        Actor::Forwarder(_) => {
            list.push("that the mail is spam, from what the servers it is forwarded to answer".to_owned());
        }
        Actor::Relay(_) => list.push("that this host is not meant to send this, from what it sends".to_owned()),
    }
    list.push("begin and end, from the hours in which it sent a tenth or more of its busiest hour".to_owned());
    list
}
