//! The signs of a compromise on one day of an actor, each with its weight and a sentence of evidence.

use super::basis::Basis;
use super::day::{Day, Past, days, past};
use super::guess::{Guessed, Guesses};
use super::habits;
use super::ledger::{Actor, Ledger, distinct};

/// A suspect has at least this many signals …
const SIGNALS_MIN: usize = 2;
/// … of at least this weight together.
const WEIGHT_MIN: u32 = 4;
/// Below so many days of log nobody is called new.
pub(super) const LOG_DAYS_MIN: u32 = 3;
/// Below so many no network is called new: a weekend is none of the days on which most are used.
pub(super) const NETWORKS_KNOWN_AFTER_DAYS: u32 = 5;

/// One reason, with its weight and a sentence of evidence.
#[derive(Clone, Debug)]
pub(super) struct Signal {
    pub(super) name: &'static str,
    pub(super) weight: u32,
    pub(super) evidence: String,
}

/// The signals of each day of an actor on which there are any.
pub(super) fn signals_by_day(actor: &Actor, ledger: &Ledger, basis: &Basis<'_>) -> Vec<(u32, Vec<Signal>)> {
    let days = days(ledger);
    let judged = days.iter().enumerate().map(|(at, day)| (day.day, signals(actor, day, &past(&days, at), basis)));
    judged.filter(|(_, signals)| !signals.is_empty()).collect()
}

/// Days (since 1970, local time) on which an actor is suspect.
pub(super) fn bad_days(actor: &Actor, ledger: &Ledger, basis: &Basis<'_>) -> Vec<u32> {
    let judged = signals_by_day(actor, ledger, basis);
    judged.iter().filter(|(_, signals)| is_suspect(signals)).map(|(day, _)| *day).collect()
}

pub(super) fn is_suspect(signals: &[Signal]) -> bool {
    signals.len() >= SIGNALS_MIN && weight(signals) >= WEIGHT_MIN
}

pub(super) fn weight(signals: &[Signal]) -> u32 {
    signals.iter().map(|signal| signal.weight).sum()
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
        if day.is_from_everywhere() {
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
pub(super) fn volume(day: &Day, past: &Past, is_new_possible: bool) -> Option<Signal> {
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

/// `part` of `whole` in percent, rounded as everywhere in a report: halves go up.
pub(super) fn percent(part: u32, whole: u32) -> u64 {
    (u64::from(part) * 200).checked_div(u64::from(whole)).map_or(0, |doubled| doubled.div_ceil(2))
}
