//! Which logins were guessed. On a large server everybody's password is guessed at all day, so that some failures come before each
//! login: a mailbox's are weighed against what the other mailboxes of the log get, and against its own on other days.

use std::net::IpAddr;

use super::spread::{Counts, quantile};
use super::target::{DISTINCT_MAX, Entry, FAILURES_MIN, Guess, Target};
use crate::map::Map;
use crate::time::Timestamp;

/// A guessed mailbox has so many times the usual failures.
const TIMES_USUAL: u32 = 3;
/// This share of the others' days, in percent, has no more than what is called usual …
const OTHERS_PERCENT: u64 = 90;
/// … if there are so many such days.
const OTHERS_DAYS_MIN: u64 = 20;
/// Its own days are weighed by their middle, if there are so many.
const OWN_DAYS_MIN: u64 = 5;

/// A login that succeeded from where it had failed before, more often than others fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guessed<'a> {
    pub(super) time: Timestamp,
    pub(super) entry: Entry,
    pub(super) ip: IpAddr,
    /// On the day of the last failure and the one before.
    pub(super) failures: u32,
    /// In the whole log until then.
    pub(super) failures_until: u32,
    /// Who failed on these days, up to twice [`DISTINCT_MAX`].
    pub(super) guessers: &'a [IpAddr],
    /// What nine in ten other mailboxes that fail at all do not exceed in two days.
    pub(super) usual: Option<u32>,
}

impl Guessed<'_> {
    /// `160 failed logins from 20 addresses`.
    pub(super) fn failures_in_words(&self) -> String {
        let failures = self.failures;
        match self.guessers.len() {
            ..=1 => format!("{failures} failed logins"),
            many if many < DISTINCT_MAX => format!("{failures} failed logins from {many} addresses"),
            _ => format!("{failures} failed logins from at least {DISTINCT_MAX} addresses"),
        }
    }

    /// What others get, as the end of a sentence; nothing where too few are attacked.
    pub(super) fn usual_in_words(&self) -> String {
        self.usual.map_or_else(String::new, |usual| {
            format!("; nine in ten other mailboxes at which logins fail have {usual} at most")
        })
    }
}

/// The guessed logins of a log.
#[derive(Debug)]
pub(super) struct Guesses<'a> {
    by_name: Map<&'a str, Guessed<'a>>,
    background: Counts,
}

impl<'a> Guesses<'a> {
    /// Judges what is known so far.
    pub(super) fn among(targets: impl Iterator<Item = (&'a str, &'a Target)> + Clone) -> Guesses<'a> {
        let mut guesses = Guesses { by_name: Map::default(), background: Counts::default() };
        // Names that nobody has are tried once and never again, or all day; they tell nothing of a mailbox.
        for (_, target) in targets.clone().filter(|(_, target)| target.is_used()) {
            for (sum, count) in guesses.background.iter_mut().zip(target.spread().counts()) {
                *sum = sum.saturating_add(count);
            }
        }
        for (name, target) in targets.filter(|(_, target)| !target.guesses.is_empty()) {
            let usual = guesses.usual(target);
            let bar = bar(target, usual);
            let is_guessed = |guess: &&Guess| guess.is_plain || guess.failures >= bar;
            if let Some(guess) = target.guesses.iter().find(is_guessed) {
                let Guess { time, entry, ip, failures, failures_until, .. } = *guess;
                let guessers = &guess.guessers;
                guesses.by_name.insert(name, Guessed { time, entry, ip, failures, failures_until, guessers, usual });
            }
        }
        guesses
    }

    /// How the password of `user` was guessed, if it was.
    pub(super) fn of(&self, user: &str) -> Option<Guessed<'a>> {
        self.by_name.get(user).copied()
    }

    /// What nine in ten days of the other mailboxes do not exceed, where enough of them are attacked.
    pub(super) fn usual(&self, target: &Target) -> Option<u32> {
        let mut others = self.background;
        if target.is_used() {
            for (sum, own) in others.iter_mut().zip(target.spread().counts()) {
                *sum = sum.saturating_sub(own);
            }
        }
        quantile(&others, OTHERS_PERCENT, OTHERS_DAYS_MIN)
    }

    /// Whether a name is attacked harder and from more addresses than others.
    pub(super) fn is_singled_out(&self, target: &Target) -> bool {
        self.usual(target).is_none_or(|usual| {
            let bar = usual.saturating_mul(TIMES_USUAL);
            // Addresses are counted by the day, and not all of them.
            let addresses = usize::try_from(bar / 2).unwrap_or(DISTINCT_MAX).min(DISTINCT_MAX);
            target.worst_failures >= bar
                && usize::try_from(target.worst_addresses).is_ok_and(|worst| worst >= addresses)
        })
    }
}

/// Failures in two days from which on a login was guessed.
fn bar(target: &Target, usual: Option<u32>) -> u32 {
    let own = quantile(&target.spread().counts(), 50, OWN_DAYS_MIN);
    let most = usual.unwrap_or(0).max(own.unwrap_or(0));
    most.saturating_mul(TIMES_USUAL).max(FAILURES_MIN)
}
