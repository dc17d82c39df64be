//! Who stands out and is not suspected, each with the reason: newsletters, invoice runs, shops, forwarders, travellers. What a reader
//! would ask about next is answered here.

use std::cmp::Reverse;

use super::basis::Basis;
use super::day::{Day, MANY_NETWORKS, date, days};
use super::ledger::{Actor, Ledger};
use super::signs::{Signal, percent, signals_by_day, weight};
use crate::api::report as api;
use crate::time::{HOUR_MS, Timestamp};

/// Who sends most is looked at, so many of each kind.
const LARGEST_OF_KIND: usize = 6;
/// Whoever sent less in the whole log is not large.
const LARGE_RECIPIENTS_MIN: u32 = 50;
/// A day counts as a run from this many recipients on.
const RUN_RECIPIENTS_MIN: u32 = 50;
/// Logs of fewer days clear nobody.
const DAYS_MIN: u32 = 4;

/// Those who stand out, the largest first: whoever looks for a large one finds it.
pub(super) fn rows(basis: &Basis<'_>, suspects: &[api::Suspect], rows: usize) -> Vec<api::ClearedRow> {
    if basis.last_hour() / 24 + 1 < basis.first_day() + DAYS_MIN {
        return Vec::new();
    }
    let mut found: Vec<(u32, Looked<'_>)> = Vec::new();
    for (actor, ledger) in basis.ledgers.of_account(basis.settings) {
        let is_named = suspects.iter().any(|suspect| suspect.kind == actor.kind() && suspect.name == actor.name());
        if !is_named {
            let looked = Looked::at(actor, ledger, basis);
            found.push((looked.sign.as_ref().map_or(0, |(sign, _)| sign.weight), looked));
        }
    }
    found.sort_by_key(|(_, looked)| (Reverse(looked.volume), looked.actor));
    let large: Vec<&Actor> = found
        .iter()
        .filter(|(_, looked)| looked.volume >= LARGE_RECIPIENTS_MIN)
        .map(|(_, looked)| looked.actor)
        .collect();
    let is_large = |actor: &Actor| {
        let mut of_kind = large.iter().filter(|other| other.kind() == actor.kind()).take(LARGEST_OF_KIND);
        of_kind.any(|other| *other == actor)
    };
    found
        .iter()
        .filter(|(weight, looked)| *weight > 0 || looked.networks >= MANY_NETWORKS || is_large(looked.actor))
        .take(rows)
        .map(|(_, looked)| looked.row(basis, suspects))
        .collect()
}

/// What is seen of one actor.
struct Looked<'l> {
    actor: &'l Actor,
    ledger: &'l Ledger,
    volume: u32,
    networks: u32,
    unknown: u32,
    spam: u32,
    fresh: u32,
    /// The heaviest sign of any day, and the day.
    sign: Option<(Signal, u32)>,
}

impl<'l> Looked<'l> {
    fn at(actor: &'l Actor, ledger: &'l Ledger, basis: &Basis<'_>) -> Looked<'l> {
        let mut heaviest: Option<(u32, Signal, u32)> = None;
        for (day, signals) in signals_by_day(actor, ledger, basis) {
            let weight = weight(&signals);
            let Some(sign) = signals.into_iter().max_by_key(|signal| signal.weight) else { continue };
            if heaviest.as_ref().is_none_or(|(most, ..)| weight > *most) {
                heaviest = Some((weight, sign, day));
            }
        }
        let total = ledger.total();
        Looked {
            actor,
            ledger,
            volume: total.volume(),
            networks: ledger.most_networks_a_day(),
            unknown: u32::from(total.unknown),
            spam: u32::from(total.spam),
            fresh: u32::from(total.fresh),
            sign: heaviest.map(|(_, sign, day)| (sign, day)),
        }
    }

    fn row(&self, basis: &Basis<'_>, suspects: &[api::Suspect]) -> api::ClearedRow {
        let (class, mut reason) = self.habit();
        match &self.sign {
            Some((sign, day)) => {
                reason.push_str(&format!("; one sign, not two: {} ({})", sign.evidence, date(*day)));
            }
            None => reason.push_str("; no sign of abuse"),
        }
        let account = self.actor.account(basis.settings);
        let near = suspects.iter().find(|suspect| suspect.account == account);
        api::ClearedRow {
            kind: self.actor.kind(),
            name: self.actor.name().to_owned(),
            same_account_as: near.map(|suspect| suspect.name.clone()),
            account,
            class,
            recipients: u64::from(self.volume),
            reason,
        }
    }

    /// What it usually does, in a few words.
    fn habit(&self) -> (&'static str, String) {
        // Not kept of all that are looked at: few of them get a row.
        let days = days(self.ledger);
        let most = days.iter().map(|day| day.sum.volume()).max().unwrap_or(0);
        let active = days.len();
        let refused = format!(
            "{} % do not exist, {} % as spam",
            percent(self.unknown, self.volume),
            percent(self.spam, self.volume)
        );
        match self.actor {
            Actor::Forwarder(_) => ("forwarder", format!("up to {most} a day; {refused}")),
            Actor::Relay(_) => ("steady", format!("relays up to {most} a day on {active} days; {refused}")),
            Actor::Script { .. } | Actor::User(_) => {
                ("steady", format!("up to {most} recipients a day, on {active} days; {refused}"))
            }
            Actor::Mailbox(_) => self.mailbox_habit(&days, most, &refused),
        }
    }

    fn mailbox_habit(&self, days: &[Day], most: u32, refused: &str) -> (&'static str, String) {
        let runs: Vec<&Day> = days.iter().filter(|day| day.sum.volume() >= RUN_RECIPIENTS_MIN.max(most / 2)).collect();
        let is_known = u64::from(self.fresh) * 10 <= u64::from(self.volume);
        let from = if is_known { "from known networks" } else { "partly from new networks" };
        if runs.iter().any(|day| is_month_end(day.day)) && runs.iter().all(|day| is_month_end(day.day)) {
            let days: Vec<String> = runs.iter().map(|day| date(day.day)).collect();
            let days = days.join(" and ");
            return ("month_end", format!("up to {most} recipients on {days}, {from}; {refused}"));
        }
        match runs.len() {
            0 if self.networks >= MANY_NETWORKS => (
                "roaming",
                format!(
                    "used from about {} networks in a day, but never for more than {most} recipients; {refused}",
                    self.networks
                ),
            ),
            0 => ("usual", format!("never more than {most} recipients a day; {refused}")),
            1 => ("usual", format!("one day with {most} recipients, {from}; {refused}")),
            count => ("runs", format!("{count} runs of up to {most} recipients, {from}; {refused}")),
        }
    }
}

/// The last four days of a month and the first two.
fn is_month_end(day: u32) -> bool {
    let of_month = |day: u32| Timestamp::from_millis(i64::from(day) * 24 * HOUR_MS).civil().2;
    of_month(day) <= 2 || of_month(day + 4) <= 4
}
