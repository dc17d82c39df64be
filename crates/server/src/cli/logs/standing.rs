//! Who holds this server's own address for bad, in sentences: the side effect of a compromise that hurts everybody on the server.

use tidegate_watch::api::report::{BlockRow, Part};

use super::about;
use super::shown::{self, LocalTime, counted, grouped, percent};

/// What one provider does, from when to when, and whether still.
pub(super) fn sentence(row: &BlockRow, local: LocalTime) -> String {
    let who = shown::provider(row.provider);
    let holds = if row.provider == "others" { "hold" } else { "holds" };
    let what = match row.addresses.as_slice() {
        [] => "this server".to_owned(),
        addresses => addresses.join(", "),
    };
    let mut times = Vec::new();
    if row.refused > 0 {
        let all = row.refused + row.delivered;
        let share = share(row.refused, all);
        times.push(format!("{} of {} refused ({share})", grouped(row.refused), counted(all, "recipient")));
    }
    if row.deferred > 0 {
        times.push(format!("{} put off", counted(row.deferred, "attempt")));
    }
    let (first, last) = (local.minute_or_dash(row.first.as_ref()), local.minute_or_dash(row.last.as_ref()));
    format!("{who} {holds} {what} for a bad sender: {}, first {first}, last {last}", times.join(", "))
}

/// How many of these were refused: with a decimal where little is.
fn share(part: u64, whole: u64) -> String {
    let thousandths = part.saturating_mul(2000).checked_div(whole).map_or(0, |doubled| doubled.div_ceil(2));
    match thousandths {
        0 if part > 0 => "less than 0.1 %".to_owned(),
        1..100 => format!("{}.{} %", thousandths / 10, thousandths % 10),
        _ => percent(part, whole),
    }
}

/// Whether it is still so at the end of the log, and what is taken nevertheless.
pub(super) fn at_end(row: &BlockRow) -> String {
    let still = if row.is_at_end { "still so" } else { "not seen" };
    let taken = row.lately.filter(|lately| lately.refused + lately.delivered > 0).map(|lately| {
        let all = lately.refused + lately.delivered;
        let rest = match lately.refused * 2 {
            0 => ": all was taken",
            refused if refused < all => ": most was taken",
            _ => "",
        };
        let days = counted(lately.days, "day");
        format!(
            "; in the last {days} {} of {} refused ({}){rest}",
            grouped(lately.refused),
            counted(all, "recipient"),
            share(lately.refused, all)
        )
    });
    format!("{still} on the last day of the log{}", taken.unwrap_or_default())
}

/// Whether it began before the case: then the case did not start it.
pub(super) fn around_case(row: &BlockRow) -> Option<String> {
    let around = row.around_case.as_ref()?;
    let times = |part: &Part| {
        let share = share(part.refused, part.refused + part.delivered);
        format!(
            "{} refused ({share}), {} put off on {}",
            grouped(part.refused),
            grouped(part.deferred),
            counted(part.days, "day")
        )
    };
    let (before, since) = (times(&around.before), times(&around.since));
    if !is_older(row) {
        return Some(format!("nothing of it before the case began on {}; since then {since}", around.day));
    }
    let older = if row.is_from_begin { ", perhaps before this log as well" } else { "" };
    Some(format!(
        "it began before the case of {}{older}: the suspect did not start it; before {before}, since {since}",
        around.day
    ))
}

/// Whether it was said before the case began.
fn is_older(row: &BlockRow) -> bool {
    row.around_case.as_ref().is_some_and(|around| around.before.refused + around.before.deferred > 0)
}

/// What to do: lifted before its cause is gone, a block comes back.
pub(super) fn advice(row: &BlockRow, is_suspect: impl Fn(&str, &str) -> bool) -> String {
    let first = match row.caused_by.as_slice() {
        [] => "no single sender was given a tenth of these answers; if it hinders mail,",
        causes if causes.iter().any(|cause| is_suspect(cause.kind, &cause.name)) && is_older(row) => {
            "end what the suspect sends first, look for what was the cause before it, then"
        }
        causes if causes.iter().any(|cause| is_suspect(cause.kind, &cause.name)) => {
            "end what the suspect sends first, then"
        }
        _ => "look at what these send first, then",
    };
    match &row.ask {
        Some(page) => format!("{first} ask at {page}"),
        None => format!("{first} ask the postmaster of the server that said it"),
    }
}

/// Who causes it, where somebody causes a tenth of it or more.
pub(super) fn causes(row: &BlockRow, is_suspect: impl Fn(&str, &str) -> bool) -> String {
    let causes = row.caused_by.iter().map(|cause| (cause.clone(), is_suspect(cause.kind, &cause.name)));
    causes.map(|cause| about::cause(&cause)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{AroundCase, Cause};

    use super::*;

    #[test]
    fn a_block_is_told_with_dates_and_whether_it_lasts() {
        let row = BlockRow {
            provider: "Microsoft",
            addresses: vec!["192.0.2.1".to_owned()],
            refused: 45,
            delivered: 955,
            lately: Some(Part { days: 7, refused: 1, deferred: 0, delivered: 199 }),
            first: Some("2026-02-18T06:10:00Z".to_owned()),
            last: Some("2026-02-26T11:03:00Z".to_owned()),
            is_at_end: true,
            ask: Some("olcsupport.office.com".to_owned()),
            ..BlockRow::default()
        };
        let local = LocalTime::default();
        assert_eq!(
            sentence(&row, local),
            "Microsoft holds 192.0.2.1 for a bad sender: 45 of 1 000 recipients refused (4.5 %), first 2026-02-18 06:10, last 2026-02-26 11:03"
        );
        assert_eq!(
            at_end(&row),
            "still so on the last day of the log; in the last 7 days 1 of 200 recipients refused (0.5 %): most was taken"
        );
        let causes = |row: BlockRow| {
            let cause = Cause {
                kind: "mailbox",
                name: "anna@site.example".to_owned(),
                account: String::new(),
                times: 9,
                refused: 9,
                deferred: 0,
            };
            BlockRow { caused_by: vec![cause], ..row }
        };
        for (row, is_suspect, said) in [
            (
                row.clone(),
                true,
                "no single sender was given a tenth of these answers; if it hinders mail, ask at olcsupport.office.com",
            ),
            (causes(row.clone()), true, "end what the suspect sends first, then ask at olcsupport.office.com"),
            (causes(row.clone()), false, "look at what these send first, then ask at olcsupport.office.com"),
        ] {
            assert_eq!(advice(&row, |_, _| is_suspect), said);
        }
        // What is older than the case was not begun by it.
        let around = AroundCase {
            day: "2026-02-17".to_owned(),
            before: Part { days: 20, refused: 40, deferred: 100, delivered: 760 },
            since: Part { days: 10, refused: 5, deferred: 0, delivered: 195 },
        };
        let older = BlockRow { around_case: Some(around.clone()), is_from_begin: true, ..causes(row.clone()) };
        assert_eq!(
            around_case(&older).as_deref(),
            Some(
                "it began before the case of 2026-02-17, perhaps before this log as well: the suspect did not start it; before 40 refused (5.0 %), 100 put off on 20 days, since 5 refused (2.5 %), 0 put off on 10 days"
            )
        );
        assert!(advice(&older, |_, _| true).contains("look for what was the cause before it"));
        let before = Part { refused: 0, deferred: 0, ..around.before };
        let begun = BlockRow { around_case: Some(AroundCase { before, ..around }), ..row.clone() };
        assert!(around_case(&begun).is_some_and(|said| said.starts_with("nothing of it before the case")));
        let slow = BlockRow { refused: 0, deferred: 3, is_at_end: false, ask: None, ..row };
        assert!(sentence(&slow, local).contains("bad sender: 3 attempts put off, first"));
        assert!(at_end(&slow).starts_with("not seen on the last day"));
    }
}
