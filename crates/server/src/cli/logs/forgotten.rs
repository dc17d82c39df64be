//! What a report does not know because memory is bounded, in words.

use tidegate_watch::api::report::Forgotten;

use super::shown::grouped;

/// Days of which a report knows every hour where there is room.
const HOURLY_DAYS: u32 = 31;

/// A sentence for each thing of which figures are at least what is shown.
pub(super) fn sentences(forgotten: &Forgotten) -> Vec<String> {
    let mut list = Vec::new();
    for (count, what) in [
        (
            forgotten.senders,
            "senders that sent least were left out, since there are more than fit into memory; the figures of one who came back later are too low",
        ),
        (
            forgotten.hosts,
            "hosts that sent here least were left out, since there are more than fit into memory; the figures of one that came back later are too low",
        ),
        (
            forgotten.addresses,
            "addresses with the fewest misdeeds were left out, since there are more than fit into memory; the figures of one that came back later are too low",
        ),
        (
            forgotten.logins,
            "names that were tried least were left out, since there are more than fit into memory; the figures of one that was tried again later are too low",
        ),
    ] {
        if count > 0 {
            list.push(format!("{} {what}", grouped(count)));
        }
    }
    if forgotten.hourly_days < HOURLY_DAYS {
        list.push(format!(
            "senders are so many that each one's hours are known of its last {} days, and its days of its last {}",
            forgotten.hourly_days, forgotten.daily_days
        ));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_forgotten_is_said() {
        let whole = Forgotten { hourly_days: 31, daily_days: 400, ..Forgotten::default() };
        assert!(sentences(&whole).is_empty());
        let said = sentences(&Forgotten { addresses: 12_345, hourly_days: 7, ..whole });
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().any(|said| said.starts_with("12 345 addresses")), "{said:?}");
    }
}
