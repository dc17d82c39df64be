//! How this server stands with others: what they answer, how often, from when to when, and who hold its own address for bad.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::ledger::Ledgers;
use super::named::Named;
use super::provider::{self, Provider, Saying};
use super::{Settings, day, is_remote};
use crate::api::report as api;
use crate::event::{Delivery, Outcome};
use crate::time::{DAY_MS, Timestamp};

/// Own addresses that are remembered of one provider's complaints.
const ADDRESSES_MAX: usize = 4;
/// Days of which it is known what each provider took; older ones make room.
const DAYS_MAX: usize = 400;
/// The last days of a log, which say how it stands now.
const LATELY_DAYS: u32 = 7;
/// Who causes so much is named, if it is a fair share.
const CAUSES_MAX: usize = 3;
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
    /// By local day, counted from 1970.
    by_day: BTreeMap<u32, Day>,
}

/// What became of mail for one provider on one day.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    /// For bad reputation.
    refused: u32,
    deferred: u32,
    served: u32,
}

impl Served {
    fn on(&mut self, day: u32) -> &mut Day {
        if self.by_day.len() >= DAYS_MAX && !self.by_day.contains_key(&day) {
            self.by_day.pop_first();
        }
        self.by_day.entry(day).or_default()
    }

    /// What became of it on these days, of which the log has so many.
    fn part(&self, days: std::ops::Range<u32>) -> api::Part {
        let mut part = api::Part { days: u64::from(days.end.saturating_sub(days.start)), ..api::Part::default() };
        for (_, day) in self.by_day.iter().filter(|(day, _)| days.contains(day)) {
            part.refused += u64::from(day.refused);
            part.deferred += u64::from(day.deferred);
            part.delivered += u64::from(day.served);
        }
        part
    }
}

/// The days of a log, counted from 1970 in local time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
    /// The first day of the first case.
    pub(super) case: Option<u32>,
    /// The last day of the last case.
    pub(super) case_ends: Option<u32>,
}

/// Everything that other servers answered.
#[derive(Debug, Default)]
pub(super) struct Standing {
    said: HashMap<(Provider, Saying), Said>,
    named: Named,
    served: [Served; PROVIDERS],
}

impl Standing {
    /// Counts what became of a recipient, with what was said of it.
    pub(super) fn feed(
        &mut self,
        delivery: &Delivery<'_>,
        said: Option<(Provider, Saying)>,
        time: Option<Timestamp>,
        day: Option<u32>,
    ) {
        if delivery.outcome == Outcome::Delivered && is_remote(delivery) {
            let provider = provider::whose(delivery.host.name.unwrap_or(""));
            if let Some(served) = self.served.get_mut(provider as usize) {
                served.all += 1;
                served.since += 1;
                if let Some(day) = day {
                    served.on(day).served += 1;
                }
            }
        }
        self.named.feed(delivery, time);
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
                if let Some(day) = day {
                    let on = served.on(day);
                    let count = if delivery.outcome == Outcome::Deferred { &mut on.deferred } else { &mut on.refused };
                    *count = count.saturating_add(1);
                }
            }
            if said.addresses.len() < ADDRESSES_MAX
                && let Some(ip) = provider::addresses_in(text).next()
                && !said.addresses.contains(&ip)
            {
                said.addresses.push(ip);
            }
        }
    }

    /// Public blocklists that were named; no account hears of them, since nobody counts who was told.
    pub(super) fn blocklists(&self, settings: &Settings) -> Vec<api::BlocklistRow> {
        if settings.account.is_some() { Vec::new() } else { self.named.rows() }
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
            caused_by: {
                let is_it = |by, what| (by, what) == (*provider, *saying);
                causes(ledgers.causes(is_it, settings), said.refused, said.deferred)
            },
        };
        let wanted = self.said.iter().filter(|(key, _)| is_wanted(ledgers, **key, settings));
        let mut list: Vec<api::RefusalRow> = wanted.map(row).collect();
        let order =
            |row: &api::RefusalRow| (row.advice == Saying::Greylist.advice(), Reverse(row.refused + row.deferred));
        list.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.example.cmp(&b.example)));
        list.truncate(rows);
        list
    }

    /// The same answers of all servers together, the most frequent first.
    pub(super) fn meanings(&self, ledgers: &Ledgers, settings: &Settings) -> Vec<api::MeaningRow> {
        let mut sums: BTreeMap<Saying, (u64, u64)> = BTreeMap::new();
        for ((_, saying), said) in self.said.iter().filter(|(key, _)| is_wanted(ledgers, **key, settings)) {
            let sum = sums.entry(*saying).or_default();
            (sum.0, sum.1) = (sum.0 + said.refused, sum.1 + said.deferred);
        }
        let row = |(saying, (refused, deferred)): (Saying, (u64, u64))| api::MeaningRow {
            kind: saying.name(),
            refused,
            deferred,
            caused_by: causes(ledgers.causes(|_, what| what == saying, settings), refused, deferred),
        };
        let mut list: Vec<api::MeaningRow> = sums.into_iter().map(row).collect();
        list.sort_by_key(|row| (Reverse(row.refused + row.deferred), row.kind));
        list
    }

    /// Who holds this server's own address for bad, those first that refuse most.
    pub(super) fn blocks(
        &self,
        ledgers: &Ledgers,
        settings: &Settings,
        (until, span): (Option<Timestamp>, Span),
        suspects: &[api::Suspect],
    ) -> Vec<api::BlockRow> {
        let is_late = |last: Timestamp| until.is_some_and(|end| end.as_millis() - last.as_millis() <= DAY_MS);
        let mut list = Vec::new();
        for ((provider, saying), said) in &self.said {
            let key = (*provider, *saying);
            if *saying != Saying::Reputation || !is_wanted(ledgers, key, settings) {
                continue;
            }
            let served = self.served.get(*provider as usize);
            // Many servers are in that group, and one taking mail says nothing of another.
            let known = served.filter(|_| *provider != Provider::Other);
            let end = span.last + 1;
            let first_day = said.first.map(|_| day::day_of(said.first, settings));
            let mut all_causes = ledgers.causes(|by, what| (by, what) == key, settings);
            let (refused_of_suspects, deferred_of_suspects) = of_suspects(&all_causes, suspects);
            all_causes.retain(|cause| !is_among(cause, suspects));
            list.push(api::BlockRow {
                provider: provider.name(),
                addresses: said.addresses.iter().map(IpAddr::to_string).collect(),
                refused: said.refused,
                deferred: said.deferred,
                delivered: served.map_or(0, |served| served.all),
                delivered_since: known.map(|served| served.since),
                around_case: known.zip(span.case).map(|(served, day)| api::AroundCase {
                    day: day::date(day),
                    before: served.part(span.first..day.max(span.first)),
                    since: served.part(day..end),
                    after: span.case_ends.map_or_else(api::Part::default, |last| served.part(last + 1..end)),
                }),
                last_two_days: known.map(|served| served.part(end.saturating_sub(2).max(span.first)..end)),
                refused_of_suspects,
                deferred_of_suspects,
                lately: known.map(|served| served.part(end.saturating_sub(LATELY_DAYS).max(span.first)..end)),
                is_from_begin: first_day == Some(span.first),
                first: said.first.map(|time| time.to_string()),
                last: said.last.map(|time| time.to_string()),
                is_at_end: said.last.is_some_and(is_late),
                ask: provider::ask(*provider, &said.example),
                example: said.example.clone(),
                caused_by: causes(all_causes, said.refused, said.deferred),
            });
        }
        list.sort_by_key(|row| (Reverse((row.refused, row.deferred)), row.provider));
        list
    }
}

/// How many of the refusals and deferrals are the suspects'.
fn of_suspects(causes: &[api::Cause], suspects: &[api::Suspect]) -> (u64, u64) {
    let theirs = causes.iter().filter(|cause| is_among(cause, suspects));
    theirs.fold((0, 0), |(refused, deferred), cause| (refused + cause.refused, deferred + cause.deferred))
}

fn is_among(cause: &api::Cause, suspects: &[api::Suspect]) -> bool {
    suspects.iter().any(|suspect| suspect.kind == cause.kind && suspect.name == cause.name)
}

/// Who causes a fair share of the refusals, or of the deferrals.
fn causes(mut causes: Vec<api::Cause>, refused: u64, deferred: u64) -> Vec<api::Cause> {
    let is_fair = |part: u64, whole: u64| part > 0 && part * 100 >= whole * CAUSE_PERCENT_MIN;
    causes.retain(|cause| is_fair(cause.refused, refused) || is_fair(cause.deferred, deferred));
    causes.truncate(CAUSES_MAX);
    causes
}

/// An account hears only what it caused; others are not named to it.
fn is_wanted(ledgers: &Ledgers, (provider, saying): (Provider, Saying), settings: &Settings) -> bool {
    settings.account.is_none() || !ledgers.causes(|by, what| (by, what) == (provider, saying), settings).is_empty()
}
