//! Who is probably compromised, and why. A suspicion needs two signals that do not depend on each other, within one day;
//! a large newsletter, an invoice run or a journey gives one at most.

use super::attack::Attackers;
use super::clients::Clients;
use super::guess::{Guessed, Guesses};
use super::habits::{self, Habits};
use super::history::Hour;
use super::ledger::{Actor, Ledger, Ledgers, distinct};
use super::{Settings, case};
use crate::api::report as api;
use crate::time::{HOUR_MS, Timestamp};
use crate::transaction::Joiner;

/// A suspect has at least this many signals …
const SIGNALS_MIN: usize = 2;
/// … of at least this weight together.
const WEIGHT_MIN: u32 = 4;
/// Days that are looked back upon as an actor's own past.
const PAST_DAYS: u32 = 35;
/// Below so many days of log nobody is called new.
const LOG_DAYS_MIN: u32 = 3;
/// Below so many no network is called new: a weekend is none of the days on which most are used.
pub(super) const NETWORKS_KNOWN_AFTER_DAYS: u32 = 5;
/// Hours of a timeline.
const TIMELINE_MAX: usize = 48;

/// What a judgement is made from.
pub(super) struct Basis<'c> {
    pub(super) ledgers: &'c Ledgers,
    pub(super) attackers: &'c Attackers,
    pub(super) guesses: Guesses<'c>,
    pub(super) habits: Habits,
    pub(super) clients: &'c Clients,
    pub(super) joiner: &'c Joiner,
    pub(super) settings: &'c Settings,
    /// Times of the first and the last line.
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

impl Basis<'_> {
    /// The local day on which the log begins, counted from 1970.
    pub(super) fn first_day(&self) -> u32 {
        day_of(self.first, self.settings)
    }

    /// The local hour in which it ends, counted from 1970.
    pub(super) fn last_hour(&self) -> u32 {
        let hour = self.last.map(|time| self.settings.offsets.local(time).hour());
        hour.and_then(|hour| u32::try_from(hour).ok()).unwrap_or(0)
    }
}

/// One reason, with its weight and a sentence of evidence.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) name: &'static str,
    pub(super) weight: u32,
    pub(super) evidence: String,
}

/// One day of an actor, with the busiest hour in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Day {
    pub(super) day: u32,
    pub(super) sum: Hour,
    peak: u32,
    /// Recipients between midnight and five.
    night: u32,
    active_hours: u32,
}

/// What an actor did before a day.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    days: u32,
    most_a_day: u32,
    most_an_hour: u32,
    widest: u16,
    foreign: u32,
    recipients: u32,
    night: u32,
    /// Days with many networks and much mail.
    roaming_days: u32,
}

/// Suspects, the gravest first.
pub(super) fn suspects(basis: &Basis<'_>, rows: usize) -> Vec<api::Suspect> {
    let mut list: Vec<api::Suspect> =
        basis.ledgers.of_account(basis.settings).filter_map(|(actor, ledger)| suspect(actor, ledger, basis)).collect();
    list.sort_by(|a, b| b.score.cmp(&a.score).then(b.recipients.cmp(&a.recipients)).then_with(|| a.name.cmp(&b.name)));
    list.truncate(rows);
    list
}

/// The signals of each day of an actor on which there are any.
pub(super) fn signals_by_day(actor: &Actor, ledger: &Ledger, basis: &Basis<'_>) -> Vec<(u32, Vec<Signal>)> {
    let days = days(ledger);
    let judged = days.iter().enumerate().map(|(at, day)| (day.day, signals(actor, day, &past(&days, at), basis)));
    judged.filter(|(_, signals)| !signals.is_empty()).collect()
}

/// Days on which somebody sent far more than ever before; not suspicious by itself.
pub(super) fn unusual(ledgers: &Ledgers, settings: &Settings, rows: usize) -> Vec<api::UnusualRow> {
    let mut list = Vec::new();
    for (actor, ledger) in ledgers.of_account(settings) {
        let days = days(ledger);
        for (at, day) in days.iter().enumerate() {
            let past = past(&days, at);
            let Some(evidence) = volume(day, &past, false) else { continue };
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

/// Days (since 1970, local time) on which an actor is suspect.
pub(super) fn bad_days(actor: &Actor, ledger: &Ledger, basis: &Basis<'_>) -> Vec<u32> {
    let judged = signals_by_day(actor, ledger, basis);
    judged.iter().filter(|(_, signals)| is_suspect(signals)).map(|(day, _)| *day).collect()
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

pub(super) fn is_suspect(signals: &[Signal]) -> bool {
    signals.len() >= SIGNALS_MIN && weight(signals) >= WEIGHT_MIN
}

pub(super) fn weight(signals: &[Signal]) -> u32 {
    signals.iter().map(|signal| signal.weight).sum()
}

/// How the intruder came in, as far as the log tells.
fn entered_by(actor: &Actor, guesses: &Guesses<'_>) -> String {
    match actor {
        Actor::Mailbox(user) => match guesses.of(user) {
            Some(guessed) => {
                let Guessed { time, ip, .. } = guessed;
                format!(
                    "its password was guessed: after {} within two days, {ip} got in at {time}",
                    guessed.failures_in_words()
                )
            }
            None => "somebody else has its password; these logs do not show how they got it".to_owned(),
        },
        Actor::Script { script, user } => {
            format!("by a program that {user} runs in {script}; a mail log cannot show how it got there")
        }
        Actor::User(user) => format!("by a program that {user} runs; the log does not say where it lies"),
        Actor::Forwarder(address) => format!("spam sent to {address} is forwarded"),
        Actor::Relay(ip) => format!("{ip} may relay through this server without a login"),
    }
}

fn signals(actor: &Actor, day: &Day, past: &Past, basis: &Basis<'_>) -> Vec<Signal> {
    let log_begins = basis.first_day();
    let is_new_possible = day.day >= log_begins + LOG_DAYS_MIN;
    let is_mailbox = matches!(actor, Actor::Mailbox(_));
    let mut found: Vec<Signal> = [
        unknown_recipients(day),
        spam_refusals(actor, day),
        volume(day, past, is_new_possible),
        width(day, past),
        night(day, past),
    ]
    .into_iter()
    .flatten()
    .collect();
    if is_mailbox {
        let are_known = day.day >= log_begins + NETWORKS_KNOWN_AFTER_DAYS;
        if habits::is_from_everywhere(day) {
            found.push(from_everywhere(actor, day, past, basis, are_known));
        } else {
            found.extend(new_network(day, are_known));
        }
        found.extend(foreign_senders(day, past));
        found.extend(guessed(actor, day, &basis.guesses));
    }
    found.extend(odd_place(actor, day));
    found
}

/// Recipients that do not exist: nobody who writes to people has many, nor does a list that is looked after.
fn unknown_recipients(day: &Day) -> Option<Signal> {
    const UNKNOWN_MIN: u32 = 25;
    const PERCENT_MIN: u32 = 8;
    let (unknown, volume) = (u32::from(day.sum.unknown), day.sum.volume().max(1));
    let percent = unknown * 100 / volume;
    (unknown >= UNKNOWN_MIN && percent >= PERCENT_MIN).then(|| Signal {
        name: "unknown_recipients",
        weight: 3,
        evidence: format!(
            "{unknown} of {volume} recipients of the day do not exist ({} %)",
            self::percent(unknown, volume)
        ),
    })
}

fn spam_refusals(actor: &Actor, day: &Day) -> Option<Signal> {
    const REFUSED_MIN: u32 = 10;
    const PERCENT_MIN: u32 = 5;
    /// A forwarder passes on some of everybody's spam.
    const FORWARDER_PERCENT_MIN: u32 = 25;
    let (spam, volume) = (u32::from(day.sum.spam), day.sum.volume().max(1));
    let percent = spam * 100 / volume;
    let percent_min = if matches!(actor, Actor::Forwarder(_)) { FORWARDER_PERCENT_MIN } else { PERCENT_MIN };
    (spam >= REFUSED_MIN && percent >= percent_min).then(|| Signal {
        name: "refused_as_spam",
        weight: 2,
        evidence: format!(
            "{spam} of {volume} recipients of the day were refused as spam, by a rule or for bad reputation ({} %)",
            self::percent(spam, volume)
        ),
    })
}

/// Far more than ever before. `is_new_possible` says that the log is long enough to call somebody new.
fn volume(day: &Day, past: &Past, is_new_possible: bool) -> Option<Signal> {
    const RECIPIENTS_MIN: u32 = 100;
    const TIMES_MIN: u32 = 5;
    const PAST_DAYS_MIN: u32 = 3;
    const NEW_RECIPIENTS_MIN: u32 = 150;
    let volume = day.sum.volume();
    let signal = |evidence| Some(Signal { name: "volume", weight: 2, evidence });
    if past.days == 0 && is_new_possible && volume >= NEW_RECIPIENTS_MIN {
        return signal(format!("{volume} recipients on its first day"));
    }
    if past.days < PAST_DAYS_MIN || volume < RECIPIENTS_MIN {
        return None;
    }
    if volume >= TIMES_MIN * past.most_a_day {
        return signal(format!("{volume} recipients in a day, never more than {} before", past.most_a_day));
    }
    if day.peak >= RECIPIENTS_MIN && day.peak >= TIMES_MIN * past.most_an_hour {
        return signal(format!("{} recipients in an hour, never more than {} before", day.peak, past.most_an_hour));
    }
    None
}

/// Many recipients in one message, where that was not the habit.
fn width(day: &Day, past: &Past) -> Option<Signal> {
    const WIDE: u16 = 40;
    let is_wide = day.sum.widest >= WIDE && past.widest < WIDE / 2 && past.days > 0 && day.sum.volume() >= 200;
    is_wide.then(|| Signal {
        name: "many_in_one_message",
        weight: 1,
        evidence: format!("up to {} recipients in one message, never more than {} before", day.sum.widest, past.widest),
    })
}

fn night(day: &Day, past: &Past) -> Option<Signal> {
    const RECIPIENTS_MIN: u32 = 60;
    let is_odd = day.night >= RECIPIENTS_MIN && past.night * 10 <= past.recipients && past.days > 0;
    is_odd.then(|| Signal {
        name: "night",
        weight: 1,
        evidence: format!("{} recipients between midnight and five, against its habit", day.night),
    })
}

/// Used from many networks. Who travels does that as well: it weighs little where most of the mail goes on coming from where it
/// always does, where the mailbox has the habit, or where many here have it.
fn from_everywhere(actor: &Actor, day: &Day, past: &Past, basis: &Basis<'_>, are_known: bool) -> Signal {
    /// Less than this share of the mail from new networks is what a journey adds, in percent.
    const FRESH_PERCENT_MIN: u32 = 25;
    const WEIGHT: u32 = 3;
    const WEIGHT_OF_JOURNEYS: u32 = 1;
    // The estimate ends where every bit is set.
    let about = match day.sum.networks {
        u32::MAX => "100 or more".to_owned(),
        bits => format!("about {}", distinct(bits)),
    };
    let (volume, fresh) = (day.sum.volume(), u32::from(day.sum.fresh));
    let usual = if are_known && fresh.saturating_mul(100) < volume.saturating_mul(FRESH_PERCENT_MIN) {
        Some(format!("but only {fresh} of {volume} recipients from networks that are new"))
    } else if past.roaming_days >= habits::HABIT_DAYS_MIN && past.roaming_days * 3 >= past.days {
        Some(format!("as on {} of its {} days before", past.roaming_days, past.days))
    } else {
        basis.habits.roaming_of_others(actor).map(|share| format!("as others here do: {share}"))
    };
    let weight = if usual.is_some() { WEIGHT_OF_JOURNEYS } else { WEIGHT };
    let usual = usual.map_or_else(String::new, |usual| format!(", {usual}"));
    Signal { name: "many_networks", weight, evidence: format!("logged in from {about} networks in a day{usual}") }
}

/// Much from new networks: on the first days of a log every network is new.
fn new_network(day: &Day, are_known: bool) -> Option<Signal> {
    const RECIPIENTS_MIN: u32 = 50;
    let (fresh, volume) = (u32::from(day.sum.fresh), day.sum.volume());
    (are_known && fresh >= RECIPIENTS_MIN && fresh * 2 >= volume).then(|| Signal {
        name: "new_network",
        // A first campaign comes from a new place as well: with the volume alone it is no suspicion.
        weight: 1,
        evidence: format!("{fresh} of {volume} recipients were sent from networks not used before"),
    })
}

fn foreign_senders(day: &Day, past: &Past) -> Option<Signal> {
    const MESSAGES_MIN: u32 = 30;
    let foreign = u32::from(day.sum.foreign);
    let is_odd = foreign >= MESSAGES_MIN && foreign * 2 >= day.sum.messages && past.foreign * 10 <= past.recipients;
    is_odd.then(|| Signal {
        name: "foreign_sender",
        weight: 2,
        evidence: format!("{foreign} of {} messages under a sender that is not of its domain", day.sum.messages),
    })
}

/// The login followed on many failures, some from the same network.
fn guessed(actor: &Actor, day: &Day, guesses: &Guesses<'_>) -> Option<Signal> {
    const RECIPIENTS_MIN: u32 = 50;
    let guessed = guesses.of(actor.name())?;
    let Guessed { time, ip, .. } = guessed;
    let on = u32::try_from(time.day()).ok()?;
    (day.day.abs_diff(on) <= 1 && day.sum.volume() >= RECIPIENTS_MIN).then(|| Signal {
        name: "guessed_password",
        weight: 3,
        evidence: format!("logged in from {ip} after {}{}", guessed.failures_in_words(), guessed.usual_in_words()),
    })
}

/// Folders from which no honest program sends, and users that own nothing.
fn odd_place(actor: &Actor, day: &Day) -> Option<Signal> {
    const RECIPIENTS_MIN: u32 = 50;
    const FOLDERS: [&str; 9] =
        ["/uploads", "/images", "/img/", "/tmp", "/cache", "/.", "/dev/shm", "/var/tmp", "/fonts"];
    const NOBODIES: [&str; 5] = ["nobody", "www-data", "apache", "httpd", "www"];
    if day.sum.volume() < RECIPIENTS_MIN {
        return None;
    }
    let (user, script) = match actor {
        Actor::Script { user, script } => (user, Some(script)),
        Actor::User(user) => (user, None),
        _ => return None,
    };
    if let Some(script) = script
        && FOLDERS.iter().any(|folder| script.contains(folder))
    {
        let evidence = format!("programs do not belong into {script}");
        return Some(Signal { name: "odd_place", weight: 2, evidence });
    }
    NOBODIES.contains(&&**user).then(|| Signal {
        name: "nobody",
        weight: 1,
        evidence: format!("sent by {user}, whom no account owns"),
    })
}

pub(super) fn days(ledger: &Ledger) -> Vec<Day> {
    ledger
        .hours()
        .chunk_by(|a, b| a.hour / 24 == b.hour / 24)
        .map(|hours| {
            let mut day = Day { day: hours.first().map_or(0, |hour| hour.hour / 24), ..Day::default() };
            for hour in hours {
                day.sum.add(hour);
                day.peak = day.peak.max(hour.peak());
                day.active_hours += 1;
                if hour.hour % 24 < 5 {
                    day.night += hour.volume();
                }
            }
            day
        })
        .collect()
}

fn past(days: &[Day], at: usize) -> Past {
    let mut past = Past::default();
    let Some(today) = days.get(at) else { return past };
    for day in days.iter().take(at).filter(|day| today.day - day.day <= PAST_DAYS) {
        past.days += 1;
        past.most_a_day = past.most_a_day.max(day.sum.volume());
        past.most_an_hour = past.most_an_hour.max(day.peak);
        past.widest = past.widest.max(day.sum.widest);
        past.foreign += u32::from(day.sum.foreign);
        past.recipients = past.recipients.saturating_add(day.sum.volume());
        past.night += day.night;
        past.roaming_days += u32::from(habits::is_from_everywhere(day));
    }
    past
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

/// The local day of a time, counted from 1970.
pub(super) fn day_of(time: Option<Timestamp>, settings: &Settings) -> u32 {
    time.and_then(|time| u32::try_from(settings.offsets.local(time).day()).ok()).unwrap_or(0)
}

/// `part` of `whole` in percent, rounded as everywhere in a report: halves go up.
pub(super) fn percent(part: u32, whole: u32) -> u64 {
    (u64::from(part) * 200).checked_div(u64::from(whole)).map_or(0, |doubled| doubled.div_ceil(2))
}

/// The day, counted from 1970, of `2026-03-02` or of a time on it.
pub(super) fn day_named(time: &str) -> Option<u32> {
    let mut parts = time.get(..10)?.split('-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    u32::try_from(Timestamp::from_civil(year, month, day, 0, 0, 0).day()).ok()
}

/// `2026-03-02` of a day counted from 1970.
pub(super) fn date(day: u32) -> String {
    let (year, month, day) = Timestamp::from_millis(i64::from(day) * 24 * HOUR_MS).civil();
    format!("{year:04}-{month:02}-{day:02}")
}
