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
            "senders that sent least were left out to save memory: one who came back later is judged by what came then, so its past may be missing in a verdict; who floods is not among them",
        ),
        (
            forgotten.hosts,
            "strangers' hosts that sent here least were left out to save memory; no attacker is hidden and no verdict changed by that: they would stand only in the list of strangers that send most, and far below",
        ),
        (
            forgotten.addresses,
            "addresses with the fewest misdeeds were left out to save memory. An attacker who comes seldom may be missing among the attackers or have too few attempts; no verdict about a sender depends on it",
        ),
        (
            forgotten.logins,
            "names that were tried least were left out to save memory: of one that was tried again later a part of the failures is missing, so a password that was guessed slowly may not be said to be guessed; what was sent with it is judged all the same",
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

    /// Of each it is said whether it can hide an attacker or change a verdict.
    #[test]
    fn what_it_means_is_said() {
        let all = Forgotten { senders: 1, hosts: 1, addresses: 1, logins: 1, hourly_days: 31, daily_days: 400 };
        for (sentence, meaning) in sentences(&all).iter().zip([
            "may be missing in a verdict",
            "no attacker is hidden and no verdict changed",
            "no verdict about a sender depends on it",
            "may not be said to be guessed",
        ]) {
            assert!(sentence.contains(meaning), "{sentence}");
        }
    }

    #[test]
    fn only_what_was_forgotten_is_said() {
        let whole = Forgotten { hourly_days: 31, daily_days: 400, ..Forgotten::default() };
        assert!(sentences(&whole).is_empty());
        let said = sentences(&Forgotten { addresses: 12_345, hourly_days: 7, ..whole });
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().any(|said| said.starts_with("12 345 addresses")), "{said:?}");
    }
}
