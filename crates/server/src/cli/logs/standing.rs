//! Who holds this server's own address for bad, in sentences: the side effect of a compromise that hurts everybody on the server.

use tidegate_watch::api::report::BlockRow;

use super::about;
use super::shown::{self, LocalTime, counted, grouped};

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
        times.push(format!("{} of {} refused", grouped(row.refused), counted(all, "recipient")));
    }
    if row.deferred > 0 {
        times.push(format!("{} put off", counted(row.deferred, "attempt")));
    }
    let (first, last) = (local.minute_or_dash(row.first.as_ref()), local.minute_or_dash(row.last.as_ref()));
    format!("{who} {holds} {what} for a bad sender: {}, first {first}, last {last}", times.join(", "))
}

/// Whether it is still so at the end of the log.
pub(super) fn at_end(row: &BlockRow) -> String {
    let taken = match row.delivered_since {
        Some(0) => "; nothing was taken there since the last one".to_owned(),
        Some(count) => format!("; {} taken there since the last one", counted(count, "recipient")),
        None => String::new(),
    };
    if row.is_at_end {
        format!("still so on the last day of the log{taken}")
    } else {
        format!("not seen on the last day of the log{taken}")
    }
}

/// What to do: lifted before its cause is gone, a block comes back.
pub(super) fn advice(row: &BlockRow, is_suspect: impl Fn(&str, &str) -> bool) -> String {
    let first = match row.caused_by.as_slice() {
        [] => "no sender causes a tenth of it; if it hinders mail,",
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
    use tidegate_watch::api::report::Cause;

    use super::*;

    #[test]
    fn a_block_is_told_with_dates_and_whether_it_lasts() {
        let row = BlockRow {
            provider: "Microsoft",
            addresses: vec!["192.0.2.1".to_owned()],
            refused: 45,
            delivered: 955,
            delivered_since: Some(12),
            first: Some("2026-02-18T06:10:00Z".to_owned()),
            last: Some("2026-02-26T11:03:00Z".to_owned()),
            is_at_end: true,
            ask: Some("olcsupport.office.com".to_owned()),
            ..BlockRow::default()
        };
        let local = LocalTime::default();
        assert_eq!(
            sentence(&row, local),
            "Microsoft holds 192.0.2.1 for a bad sender: 45 of 1 000 recipients refused, first 2026-02-18 06:10, last 2026-02-26 11:03"
        );
        assert_eq!(at_end(&row), "still so on the last day of the log; 12 recipients taken there since the last one");
        let causes = |row: BlockRow| {
            let cause =
                Cause { kind: "mailbox", name: "anna@site.example".to_owned(), account: String::new(), times: 9 };
            BlockRow { caused_by: vec![cause], ..row }
        };
        for (row, is_suspect, said) in [
            (row.clone(), true, "no sender causes a tenth of it; if it hinders mail, ask at olcsupport.office.com"),
            (causes(row.clone()), true, "end what the suspect sends first, then ask at olcsupport.office.com"),
            (causes(row.clone()), false, "look at what these send first, then ask at olcsupport.office.com"),
        ] {
            assert_eq!(advice(&row, |_, _| is_suspect), said);
        }
        let slow = BlockRow { refused: 0, deferred: 3, is_at_end: false, ask: None, ..row };
        assert!(sentence(&slow, local).contains("bad sender: 3 attempts put off, first"));
        assert!(at_end(&slow).starts_with("not seen on the last day"));
    }
}
