//! How a compromise stands at the end of the log: from when to when it sent, what became of it, whether it goes on, how sure it is
//! and what of it is a conclusion.

use std::net::IpAddr;

use super::basis::Basis;
use super::clients::Client;
use super::day::{date, day_of};
use super::history::Hour;
use super::ledger::{Actor, Ledger, bit_of, network_of};
use super::signs::{NETWORKS_KNOWN_AFTER_DAYS, Signal, weight};
use crate::api::report as api;
use crate::time::{HOUR_MS, MINUTE_MS, Timestamp};

/// An hour belongs to the campaign from this share of its busiest hour on, in percent …
const HOUR_PERCENT_MIN: u32 = 10;
/// … also outside suspect days, if no longer pause lies between.
const PAUSE_HOURS_MAX: u32 = 2;
/// It goes on if the log ends at most so many hours after its last hour began.
const ACTIVE_HOURS: u32 = 3;
/// Hours of a day come again if they did on so many days …
const PATTERN_DAYS_MIN: usize = 3;
/// … of all from the first to the last, in percent …
const PATTERN_PERCENT_MIN: usize = 80;
/// … and were at most so many.
const PATTERN_HOURS_MAX: u32 = 3;
/// Of a case with more networks than this, in marks of which there are 32, a mark that comes again says nothing.
const NETWORKS_TELL_MAX: u32 = 4;
/// Other mailboxes that are named.
const OTHERS_MAX: usize = 10;

/// The state of the case of `actor`, which is suspect on `bad_days`, the worst of them with `signals`.
pub(super) fn of(actor: &Actor, ledger: &Ledger, bad_days: &[u32], signals: &[Signal], basis: &Basis<'_>) -> api::Case {
    let hours = ledger.hours();
    let (began, last) = campaign(&hours, bad_days);
    let is_part = |hour: &Hour| bad_days.contains(&(hour.hour / 24)) || (began..=last).contains(&hour.hour);
    let mut part = Hour::default();
    hours.iter().filter(|hour| is_part(hour)).for_each(|hour| part.add(hour));
    let since = bad_days.first().map_or(u32::MAX, |day| day * 24);
    let usual: Vec<&Hour> = hours.iter().filter(|hour| hour.hour >= since && !is_part(hour)).collect();
    let strange = strange_networks(actor, &part, bad_days, began.min(since), basis);
    let apart = usual.iter().filter(|hour| strange.is_some_and(|bits| hour.networks & bits == 0));
    let is_alike =
        |hour: &&&Hour| strange.is_some_and(|bits| bits.count_ones() <= NETWORKS_TELL_MAX && hour.networks & bits != 0);
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
    let name = |hour: u32| super::flow::name(i64::from(hour));
    let case = api::Case {
        certainty: certainty(signals),
        began: Some(name(began)),
        ended: Some(name(last + 1)),
        first_message: minutes_of(&hours, began).map(|(first, _)| minute_name(began, first)),
        last_message: minutes_of(&hours, last).map(|(_, minute)| minute_name(last, minute)),
        recipients: u64::from(part.volume()),
        delivered: u64::from(part.remote).saturating_sub(failed),
        failed,
        usual_apart: apart.map(|hour| u64::from(hour.volume())).sum(),
        usual_alike: usual.iter().filter(is_alike).map(|hour| u64::from(hour.volume())).sum(),
        usual_recipients: usual.iter().map(|hour| u64::from(hour.volume())).sum(),
        waiting: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
        frozen: u64::try_from(waiting.iter().filter(|is_frozen| **is_frozen).count()).unwrap_or(u64::MAX),
        at_end,
        pattern: pattern(&hours, began, last, log_ends),
        quiet_hours: u64::from(quiet.saturating_sub(1)),
        inferred: inferred(actor, basis),
        guessing: match actor {
            Actor::Mailbox(login) => basis.attackers.guessing(login, basis),
            _ => None,
        },
        are_networks_known: begin >= (basis.first_day() + NETWORKS_KNOWN_AFTER_DAYS) * 24,
        ..api::Case::default()
    };
    match actor {
        Actor::Mailbox(login) => {
            let case = api::Case { forwards: forwards(login, basis), ..case };
            with_clients(case, login, bad_days, begin, (began, last), basis)
        }
        _ => case,
    }
}

/// Adds the addresses of a mailbox on its busiest suspect day: of networks that are new since the hour `begin`, and the others. The
/// owner goes on writing from where he always does; nobody is to block him.
///
/// Where they are known, the case lasts from the first message of theirs to the last one, within the hours `span`.
fn with_clients(
    mut case: api::Case,
    login: &str,
    bad_days: &[u32],
    begin: u32,
    span: (u32, u32),
    basis: &Basis<'_>,
) -> api::Case {
    let used = basis.clients.of(login, |day| bad_days.contains(&day));
    let is_usual = |ip: IpAddr| basis.ledgers.network_since(login, ip).is_some_and(|since| since < begin);
    let (own, others): (Vec<Client>, Vec<Client>) = used.clients.iter().partition(|client| basis.ours.has(client.ip));
    let (usual, new): (Vec<Client>, Vec<Client>) = others.iter().partition(|client| is_usual(client.ip));
    let rows = |list: &[Client]| -> Vec<api::Client> { list.iter().map(|client| client.row(used.day)).collect() };
    if case.are_networks_known {
        let day = used.day;
        let minutes = new.iter().map(|client| client.minutes());
        let minutes = minutes.filter(|(first, last)| day * 24 + first / 60 >= span.0 && day * 24 + last / 60 <= span.1);
        let first = minutes.clone().map(|(first, _)| first).min().filter(|first| day * 24 + first / 60 == span.0);
        let last = minutes.map(|(_, last)| last).max().filter(|last| day * 24 + last / 60 == span.1);
        let name = |minute: u32| minute_name(day * 24 + minute / 60, u8::try_from(minute % 60).unwrap_or(0));
        case.first_message = first.map(name).or(case.first_message);
        case.last_message = last.filter(|_| !used.has_more).map(name).or(case.last_message);
    }
    let addresses: Vec<IpAddr> = new.iter().map(|client| client.ip).collect();
    let is_wanted = |login: &str| Actor::Mailbox(login.into()).is_wanted(basis.settings);
    let others = basis.clients.others(login, &addresses).into_iter().filter(|(other, _)| is_wanted(other));
    let count = |(name, times): (&str, u32)| api::Count { name: name.to_owned(), times: u64::from(times) };
    api::Case {
        clients: rows(&new),
        usual_clients: rows(&usual),
        own_clients: rows(&own),
        is_entry_own: basis.guesses.of(login).is_some_and(|guessed| basis.ours.has(guessed.ip)),
        has_more_clients: used.has_more,
        also_used: others.take(OTHERS_MAX).map(count).collect(),
        tried_others: basis.attackers.tried_others(login, addresses.iter().copied()),
        ..case
    }
}

/// What is forwarded from the address of a mailbox.
fn forwards(login: &str, basis: &Basis<'_>) -> Option<api::Forwards> {
    let ledger = basis.ledgers.by_actor.get(&Actor::Forwarder(login.into()))?;
    let day = |time: Option<Timestamp>| time.map_or_else(String::new, |time| date(day_of(Some(time), basis.settings)));
    let recipients = u64::from(ledger.total().volume());
    (recipients > 0).then(|| api::Forwards { recipients, since: day(ledger.first), last: day(ledger.last) })
}

/// Bits of the networks that were used in the case and are not known as the owner's; nothing of one that has no networks.
fn strange_networks(actor: &Actor, part: &Hour, bad_days: &[u32], begin: u32, basis: &Basis<'_>) -> Option<u32> {
    let Actor::Mailbox(login) = actor else { return None };
    let is_usual = |ip: IpAddr| basis.ledgers.network_since(login, ip).is_some_and(|since| since < begin);
    let used = basis.clients.of(login, |day| bad_days.contains(&day));
    let (usual, new): (Vec<&Client>, Vec<&Client>) = used.clients.iter().partition(|client| is_usual(client.ip));
    let bits = |list: &[&Client]| list.iter().fold(0, |bits, client| bits | bit_of(network_of(client.ip)));
    // A bit may stand for several networks: it is the owner's only if none of the others has it.
    Some(part.networks & !(bits(&usual) & !bits(&new)))
}

/// The minutes of the first and the last message of an hour.
fn minutes_of(hours: &[Hour], at: u32) -> Option<(u8, u8)> {
    hours.iter().find(|hour| hour.hour == at).and_then(Hour::minutes)
}

fn minute_name(hour: u32, minute: u8) -> String {
    let at = Timestamp::from_millis(i64::from(hour) * HOUR_MS + i64::from(minute) * MINUTE_MS);
    at.to_string().trim_end_matches('Z').to_owned()
}

/// The hours of the day that come again, if the campaign from `began` to `last` is made of such.
fn pattern(hours: &[Hour], began: u32, last: u32, log_ends: u32) -> Option<api::Pattern> {
    let peak = hours.iter().filter(|hour| (began..=last).contains(&hour.hour)).map(Hour::peak).max()?;
    let is_hot =
        |hour: &&Hour| (began..=last).contains(&hour.hour) && hour.peak() * 100 >= peak.max(1) * HOUR_PERCENT_MIN;
    let hot: Vec<u32> = hours.iter().filter(is_hot).map(|hour| hour.hour).collect();
    let from = began % 24;
    let days: Vec<&[u32]> = hot.chunk_by(|a, b| a / 24 == b / 24).collect();
    let is_same = |day: &&&[u32]| {
        let (first, last) = (day.first().copied().unwrap_or(0), day.last().copied().unwrap_or(0));
        first % 24 == from && last - first < PATTERN_HOURS_MAX
    };
    let same: Vec<&[u32]> = days.iter().filter(is_same).copied().collect();
    let of_days = usize::try_from(last / 24 - began / 24 + 1).ok()?;
    if same.len() < PATTERN_DAYS_MIN || same.len() * 100 < of_days.max(days.len()) * PATTERN_PERCENT_MIN {
        return None;
    }
    let until_hour = same.iter().filter_map(|day| day.last()).map(|hour| hour % 24 + 1).max()?;
    let next = (last / 24 + 1) * 24 + from;
    Some(api::Pattern {
        from_hour: from,
        until_hour,
        days: u64::try_from(same.len()).ok()?,
        of_days: u64::try_from(of_days).ok()?,
        next: (next >= log_ends).then(|| super::flow::name(i64::from(next))),
    })
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
        Actor::Mailbox(login) if basis.guesses.of(login).is_some() => list.push(
            "that this login was the intruder's: it came from a network from which logins to this mailbox had failed shortly \
             before; the log shows no passwords"
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
    list.push(
        "which hours belong to it: those in which it sent a tenth or more of its busiest hour; the times of the first and the last \
         message in them are the log's own"
            .to_owned(),
    );
    list
}
