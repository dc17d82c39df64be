//! Use by hour and day of every actor and account, and a limit that fits with headroom. Days on which an actor is suspect do not count.

use std::collections::BTreeMap;

use super::basis::Basis;
use super::history::Hour;
use super::signs::bad_days;
use crate::api::report as api;

/// Headroom over the most that was seen, in percent.
const HEADROOM_PERCENT: u64 = 50;
/// The least limits that make sense: an hour's and a day's.
const HOURLY_MIN: u64 = 30;
const DAILY_MIN: u64 = 100;

/// One row for each actor and one for each account, the busiest first.
pub(super) fn suggest(basis: &Basis<'_>) -> Vec<api::LimitRow> {
    let settings = basis.settings;
    let mut list = Vec::new();
    let mut accounts: BTreeMap<String, BTreeMap<u32, Hour>> = BTreeMap::new();
    for (actor, ledger) in basis.ledgers.of_account(settings) {
        let bad = bad_days(actor, ledger, basis);
        let good: Vec<Hour> = ledger.hours().into_iter().filter(|hour| !bad.contains(&hour.day())).collect();
        let account = actor.account(settings);
        let sums = accounts.entry(account.clone()).or_default();
        for hour in &good {
            sums.entry(hour.hour).or_insert(Hour::new(hour.hour)).add(hour);
        }
        let Some(mut row) = row_of(&good) else { continue };
        row.kind = actor.kind();
        actor.name().clone_into(&mut row.name);
        row.account = account;
        row.days_left_out = u64::try_from(bad.len()).unwrap_or(0);
        list.push(row);
    }
    for (account, hours) in accounts {
        let hours: Vec<Hour> = hours.into_values().collect();
        let Some(row) = row_of(&hours) else { continue };
        list.push(api::LimitRow { kind: "account", name: account.clone(), account, ..row });
    }
    list.sort_by(|a, b| b.day.most.cmp(&a.day.most).then_with(|| (a.kind, &a.name).cmp(&(b.kind, &b.name))));
    list
}

fn row_of(hours: &[Hour]) -> Option<api::LimitRow> {
    let single = hours.iter().filter(|hour| !hour.is_several());
    let by_hour: Vec<u64> = single.map(|hour| u64::from(hour.volume())).filter(|n| *n > 0).collect();
    let by_day: Vec<u64> = hours
        .chunk_by(|a, b| a.hour / 24 == b.hour / 24)
        .map(|day| day.iter().map(|hour| u64::from(hour.volume())).sum())
        .filter(|n| *n > 0)
        .collect();
    let (hour, day) = (spread(by_hour)?, spread(by_day)?);
    Some(api::LimitRow {
        hourly_limit: with_headroom(hour.most).max(HOURLY_MIN),
        daily_limit: with_headroom(day.most).max(DAILY_MIN),
        recipients_a_message: u64::from(hours.iter().map(|hour| hour.widest).max().unwrap_or(0)),
        active_days: u64::try_from(hours.chunk_by(|a, b| a.hour / 24 == b.hour / 24).count()).unwrap_or(0),
        hour,
        day,
        ..api::LimitRow::default()
    })
}

/// Percentiles over the hours or days in which anything was sent.
fn spread(mut values: Vec<u64>) -> Option<api::Spread> {
    values.sort_unstable();
    let most = *values.last()?;
    let at = |percent: usize| values.get((values.len() - 1) * percent / 100).copied().unwrap_or(most);
    Some(api::Spread { half: at(50), p95: at(95), p99: at(99), most })
}

/// Half as much again, rounded up to a number that is easy to read.
fn with_headroom(most: u64) -> u64 {
    let wanted = most.saturating_add(most.saturating_mul(HEADROOM_PERCENT) / 100);
    let step = match wanted {
        0..=100 => 10,
        101..=1000 => 50,
        _ => 500,
    };
    wanted.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_round_and_have_headroom() {
        for (most, limit) in [(0, 0), (10, 20), (60, 90), (67, 100), (200, 300), (801, 1500)] {
            assert_eq!(with_headroom(most), limit, "{most}");
        }
        let spread = spread((1..=100).collect()).unwrap();
        assert_eq!((spread.half, spread.p95, spread.p99, spread.most), (50, 95, 99, 100));
    }
}
