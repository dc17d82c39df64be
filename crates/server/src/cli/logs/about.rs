//! Words about attackers and about what other servers say: what became of it and what to do, seen together with who is suspected.
//! Whoever is compromised gets no advice here that is meant for careless senders.

use tidegate_watch::api::report::{AttackerRow, Cause, ClearedRow, RefusalRow, Report, Suspect};

use super::case;
use super::shown::{self, LocalTime, counted, grouped};

/// Addresses of an attack that a report counts.
const ADDRESSES_COUNTED: u64 = 64;

/// Under the logins with many networks.
pub(super) const MANY_NETWORKS: &str = "telephones, offices and journeys make several, and that alone is no suspicion; about 8 or more together with 50 recipients on one day are one sign (a weak one where most of the mail comes from where it always does, or where it is usual), and a suspicion needs two";
/// Under the recipients that do not exist.
pub(super) const UNKNOWN_RECIPIENTS: &str =
    "a list that is looked after has 1 or 2 %; 8 % or more (of 25 or more on a day) are one sign";

/// The kind of an attacker in words.
pub(super) fn attack_in_words(kind: &str) -> &'static str {
    match kind {
        "guessing" => "guesses passwords",
        "slow_guessing" => "guesses passwords slowly",
        "spraying" => "tries many logins",
        "distributed" => "its password is guessed by many",
        "dictionary" => "looks for recipients",
        "relay" => "asks to relay",
        _ => "attacks",
    }
}

/// Addresses of which 64 are counted at the most.
pub(super) fn at_least(addresses: u64) -> String {
    if addresses < ADDRESSES_COUNTED { grouped(addresses) } else { format!("{ADDRESSES_COUNTED} or more") }
}

/// The same with their word.
pub(super) fn addresses(addresses: u64) -> String {
    if addresses < ADDRESSES_COUNTED {
        counted(addresses, "address")
    } else {
        format!("{ADDRESSES_COUNTED} addresses, and probably more that a report does not keep")
    }
}

/// Logins from many networks that are no sign, as a sentence.
pub(super) fn without_sign(report: &Report, top: usize) -> Option<String> {
    let rows = report.many_networks.iter().filter(|row| !row.is_sign);
    let (suspects, rows): (Vec<_>, Vec<_>) = rows.partition(|row| is_suspect(report, "mailbox", &row.login));
    let named: Vec<&str> = rows.iter().take(top).map(|row| row.login.as_str()).collect();
    let more = if rows.len() > named.len() { ", …" } else { "" };
    let others = rows
        .first()
        .map(|most| format!("no sign, with up to {} networks a day: {}{more}", most.networks_a_day, named.join(", ")));
    let suspects: Vec<&str> = suspects.iter().map(|row| row.login.as_str()).collect();
    let suspects =
        (!suspects.is_empty()).then(|| format!("compromised for other reasons, see above: {}", suspects.join(", ")));
    let all: Vec<String> = others.into_iter().chain(suspects).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Why recipients of a suspect were given up, and by whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct GivenUp {
    /// The one that refused most first.
    pub(super) providers: Vec<&'static str>,
    /// Reason, refusals of each of these, of all, and attempts put off.
    pub(super) rows: Vec<(&'static str, Vec<u64>, u64, u64)>,
}

/// The answers to a suspect by reason and provider; nothing where there were none.
pub(super) fn answers(suspect: &Suspect) -> Option<GivenUp> {
    let mut table = GivenUp::default();
    let refused_by = |provider: &str| -> u64 {
        suspect.refusals.iter().filter(|row| row.provider == provider).map(|row| row.refused).sum()
    };
    for row in &suspect.refusals {
        if row.refused > 0 && !table.providers.contains(&row.provider) {
            table.providers.push(row.provider);
        }
    }
    table.providers.sort_by_key(|provider| std::cmp::Reverse(refused_by(provider)));
    for row in &suspect.refusals {
        if table.rows.iter().any(|(meaning, ..)| *meaning == row.meaning) {
            continue;
        }
        let same = || suspect.refusals.iter().filter(|other| other.meaning == row.meaning);
        let by = |provider: &&'static str| same().filter(|other| other.provider == *provider).map(|o| o.refused).sum();
        let each: Vec<u64> = table.providers.iter().map(by).collect();
        let all = same().map(|other| other.refused).sum();
        table.rows.push((row.meaning, each, all, same().map(|other| other.deferred).sum()));
    }
    table.rows.sort_by_key(|(_, _, all, deferred)| std::cmp::Reverse((*all, *deferred)));
    (!table.rows.is_empty()).then_some(table)
}

/// Of which time these answers are.
pub(super) fn answers_when(suspect: &Suspect) -> String {
    let all: u64 = suspect.refusals.iter().map(|row| row.refused).sum();
    match suspect.case.failed {
        failed if failed == all => "All that was given up was so on the suspect days".to_owned(),
        failed => format!(
            "In the whole log; {} of the {} given up were so on the suspect days",
            grouped(failed),
            grouped(all)
        ),
    }
}

/// The same as lines of text.
pub(super) fn given_up(suspect: &Suspect) -> Vec<String> {
    let Some(table) = answers(suspect) else { return Vec::new() };
    let line = |(meaning, each, all, deferred): &(&'static str, Vec<u64>, u64, u64)| {
        let named = table.providers.iter().zip(each).filter(|(_, times)| **times > 0);
        let named: Vec<String> =
            named.map(|(provider, times)| format!("{} {}", shown::provider(provider), grouped(*times))).collect();
        let by = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
        format!("{meaning}: {}{by}", times(*all, *deferred))
    };
    table.rows.iter().map(line).chain([answers_when(suspect)]).collect()
}

/// What somebody is who was looked at and is not suspected.
pub(super) fn class(row: &ClearedRow) -> &'static str {
    match row.class {
        "runs" => "newsletter or other mass mail",
        "month_end" => "month-end run",
        "forwarder" => "forwarder",
        "roaming" => "on the move",
        "steady" if row.kind == "relay" => "relay",
        "steady" => "script",
        _ if row.kind == "mailbox" => "mailbox",
        _ => row.kind,
    }
}

/// What became of an attack.
pub(super) fn result(row: &AttackerRow, local: LocalTime) -> String {
    match (&row.succeeded, &row.login) {
        (Some(time), _) if row.is_suspect => format!("SUCCEEDED {}, see above", local.minute(time)),
        (Some(time), _) => format!("a login from there {}; nothing odd was sent", local.minute(time)),
        (None, Some(login)) => format!("took part in guessing {login}, see above"),
        _ if matches!(row.kind, "dictionary" | "relay") => "refused".to_owned(),
        _ => "guessing tried, failed".to_owned(),
    }
}

/// What became of all attacks that are listed: how many passwords, not how many rows.
pub(super) fn attacks_in_short(rows: &[AttackerRow]) -> String {
    let mut entered: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| row.is_suspect && row.succeeded.is_some()) {
        let login = row.login.as_deref().unwrap_or(&row.who);
        if !entered.contains(&login) {
            entered.push(login);
        }
    }
    let others = rows.iter().filter(|row| !row.is_suspect).count() as u64;
    let others = match others {
        0 => "no others".to_owned(),
        others => format!("{} that did no harm that is seen", counted(others, "other attack")),
    };
    match entered.as_slice() {
        [] => format!("no password is seen to have been guessed; {others}"),
        [one] => format!("the password of {one} was guessed and used, see above; {others}"),
        many => format!("{} passwords were guessed and used, see above; {others}", grouped(many.len() as u64)),
    }
}

/// What is to be thought of somebody who is not suspected and is of the same account as a suspect.
pub(super) fn near(row: &ClearedRow, report: &Report) -> Option<String> {
    let name = row.same_account_as.as_ref()?;
    let suspect = report.suspects.iter().find(|suspect| suspect.name == *name)?;
    Some(match suspect.kind {
        "mailbox" if row.kind == "mailbox" => format!(
            "Of the same domain as {name}, see above: nothing odd was sent from here, but ask the owner whether both have the same password, or change this one too"
        ),
        "script" | "user" => format!(
            "Of the same account as {name}, see above: nothing odd was sent from here, but that program could read what lies in the account; change the password here too"
        ),
        _ => format!("Of the same account as {name}, see above; nothing odd was sent from here"),
    })
}

/// What is held against this server's own address: it stands apart, and is told of where other answers are.
pub(super) fn of_reputation(report: &Report) -> Option<String> {
    let all = report.meanings.iter().find(|all| all.kind == "reputation")?;
    Some(format!(
        "{} for this server's bad reputation, see “This server's own reputation”",
        times(all.refused, all.deferred)
    ))
}

/// What to do about an attacker, in a few words.
pub(super) fn against_attacker(row: &AttackerRow) -> &'static str {
    match row.kind {
        _ if row.is_own => "no block: this is your own network; look in the log of the webmail, proxy or machine there",
        _ if row.is_suspect && row.kind == "distributed" => "what stands above",
        _ if row.is_suspect => "block, and what stands above",
        "distributed" if row.succeeded.is_some() => "ask the owner whether it was he",
        "distributed" => "see that its password is strong and not used elsewhere",
        "spraying" => "block; see that no mailbox has a common password",
        "slow_guessing" => "block for long: it comes back",
        "dictionary" => "block; refuse unknown recipients at RCPT",
        "relay" => "nothing",
        _ => "block",
    }
}

/// Answers of all providers that mean the same.
pub(super) struct Group<'r> {
    pub(super) meaning: &'static str,
    pub(super) refused: u64,
    pub(super) deferred: u64,
    /// The most frequent first.
    pub(super) rows: Vec<&'r RefusalRow>,
    /// Who causes a tenth of them or more.
    pub(super) causes: Vec<(Cause, bool)>,
    pub(super) advice: Vec<String>,
}

/// What other servers say, by cause, in the order of the report. What they hold against this server's own address stands apart
/// (see `standing`).
pub(super) fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in report.refusals.iter().filter(|row| row.kind != "reputation") {
        let at = groups.iter().position(|group| group.meaning == row.meaning);
        let group = match at.and_then(|at| groups.get_mut(at)) {
            Some(group) => group,
            None => {
                groups.push(Group {
                    meaning: row.meaning,
                    refused: 0,
                    deferred: 0,
                    rows: Vec::new(),
                    causes: Vec::new(),
                    advice: Vec::new(),
                });
                let Some(group) = groups.last_mut() else { continue };
                group
            }
        };
        group.rows.push(row);
    }
    for group in &mut groups {
        let kind = group.rows.first().map(|row| row.kind);
        if let Some(all) = report.meanings.iter().find(|all| Some(all.kind) == kind) {
            (group.refused, group.deferred) = (all.refused, all.deferred);
            let marked = |cause: &Cause| (cause.clone(), is_suspect(report, cause.kind, &cause.name));
            group.causes = all.caused_by.iter().map(marked).collect();
        }
        group.advice = advice(group);
    }
    groups
}

/// Whether this sender is among the suspects.
pub(super) fn is_suspect(report: &Report, kind: &str, name: &str) -> bool {
    report.suspects.iter().any(|suspect| suspect.kind == kind && suspect.name == name)
}

/// The busiest hour of a suspect, in local time.
pub(super) fn peak<'r>(report: &'r Report, kind: &str, name: &str) -> Option<&'r str> {
    let suspect = report.suspects.iter().find(|suspect| suspect.kind == kind && suspect.name == name)?;
    suspect.timeline.iter().rev().max_by_key(|hour| hour.recipients).map(|hour| hour.hour.as_str())
}

/// What to do, for each sort of those who cause it.
fn advice(group: &Group<'_>) -> Vec<String> {
    let Some(row) = group.rows.first() else { return Vec::new() };
    let mut list = Vec::new();
    if group.causes.iter().any(|(_, is_suspect)| *is_suspect) {
        list.push("for the compromised senders take the steps that are given for them above, and no others".to_owned());
    }
    let is_spam = matches!(row.kind, "spam" | "policy" | "malware");
    let has_forwarder = group.causes.iter().any(|(cause, is_suspect)| cause.kind == "forwarder" && !is_suspect);
    if is_spam && has_forwarder {
        list.push("for forwarders: filter spam before forwarding; their owners did nothing wrong".to_owned());
    }
    let has_others = group.causes.iter().any(|(cause, is_suspect)| cause.kind != "forwarder" && !is_suspect);
    if has_others || list.is_empty() {
        list.push(row.advice.to_owned());
    }
    list
}

/// A cause in words.
pub(super) fn cause((cause, is_suspect): &(Cause, bool)) -> String {
    let mark = if *is_suspect { format!(", {}", case::mark(cause.kind)) } else { String::new() };
    format!("{} {} ({}{mark})", cause.kind, cause.name, times(cause.refused, cause.deferred))
}

/// `9 refused, 2 put off`, without what there was none of.
pub(super) fn times(refused: u64, deferred: u64) -> String {
    match (refused, deferred) {
        (refused, 0) => format!("{} refused", grouped(refused)),
        (0, deferred) => format!("{} put off", grouped(deferred)),
        _ => format!("{} refused, {} put off", grouped(refused), grouped(deferred)),
    }
}

/// `Gmail 129 refused (2026-02-01 to 2026-02-26)`.
pub(super) fn by_provider(row: &RefusalRow, local: LocalTime) -> String {
    let (first, last) = (local.day_or_dash(row.first.as_ref()), local.day_or_dash(row.last.as_ref()));
    let when = if first == last { first } else { format!("{first} to {last}") };
    format!("{} {} ({when})", shown::provider(row.provider), times(row.refused, row.deferred))
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{HeardRow, MeaningRow, NetworksRow};

    use super::*;

    fn refusal(
        provider: &'static str,
        kind: &'static str,
        meaning: &'static str,
        causes: &[(&'static str, &str, u64)],
    ) -> RefusalRow {
        let cause = |(kind, name, times): &(&'static str, &str, u64)| Cause {
            kind,
            name: (*name).to_owned(),
            account: String::new(),
            times: *times,
            refused: *times,
            deferred: 0,
        };
        RefusalRow {
            provider,
            kind,
            meaning,
            advice: "have those with many dead addresses clean their lists",
            refused: 100,
            deferred: 0,
            first: Some("2026-02-01T00:00:00Z".to_owned()),
            last: Some("2026-02-26T00:00:00Z".to_owned()),
            example: String::new(),
            caused_by: causes.iter().map(cause).collect(),
        }
    }

    fn report(refusals: Vec<RefusalRow>) -> Report {
        let suspect = Suspect { kind: "mailbox", name: "info@site.example".to_owned(), ..Suspect::default() };
        let mut meanings: Vec<MeaningRow> = Vec::new();
        for row in &refusals {
            match meanings.iter_mut().find(|all| all.kind == row.kind) {
                Some(all) => all.refused += row.refused,
                None => meanings.push(MeaningRow {
                    kind: row.kind,
                    refused: row.refused,
                    deferred: row.deferred,
                    caused_by: row.caused_by.clone(),
                }),
            }
        }
        Report { suspects: vec![suspect], refusals, meanings, ..Report::default() }
    }

    /// The same answer of two providers is one group; who is compromised is not told to clean a list.
    #[test]
    fn answers_are_grouped_and_no_advice_is_against_the_verdict() {
        let thief = ("mailbox", "info@site.example", 60);
        let report = report(vec![
            refusal("Gmail", "unknown_recipient", "the recipient does not exist", &[thief]),
            refusal("Yahoo", "unknown_recipient", "the recipient does not exist", &[thief]),
            refusal("Microsoft", "reputation", "this server's address is blocked", &[thief]),
        ]);
        let groups = groups(&report);
        assert_eq!(groups.len(), 1, "what is held against the server's own address stands elsewhere");
        assert_eq!((groups[0].refused, groups[0].rows.len()), (200, 2));
        let named: Vec<String> = groups[0].causes.iter().map(cause).collect();
        assert_eq!(named, ["mailbox info@site.example (60 refused, compromised, see above)"]);
        assert!(groups[0].advice.iter().all(|advice| !advice.contains("clean")), "{:?}", groups[0].advice);
        assert_eq!(
            by_provider(groups[0].rows[1], LocalTime::default()),
            "Yahoo 100 refused (2026-02-01 to 2026-02-26)"
        );
    }

    #[test]
    fn forwarders_are_told_to_filter_and_others_what_helps_them() {
        let spam = "the mail was taken for spam";
        let forwarder = ("forwarder", "info@other.example", 50);
        let only = report(vec![refusal("Gmail", "spam", spam, &[forwarder])]);
        let advice = groups(&only)[0].advice.join("; ");
        assert!(advice.starts_with("for forwarders: filter spam") && !advice.contains("lists"), "{advice}");
        let both = report(vec![refusal("Gmail", "spam", spam, &[forwarder, ("mailbox", "a@b.example", 40)])]);
        assert_eq!(groups(&both)[0].advice.len(), 2);
    }

    /// No suspect stands among those of whom nothing is to be thought.
    #[test]
    fn no_suspect_is_called_no_sign() {
        let row = |login: &str, networks_a_day| NetworksRow {
            login: login.to_owned(),
            networks_a_day,
            ..NetworksRow::default()
        };
        let mut report = report(Vec::new());
        report.many_networks = vec![row("info@site.example", 5), row("anna@other.example", 4)];
        assert_eq!(
            without_sign(&report, 10).as_deref(),
            Some(
                "no sign, with up to 4 networks a day: anna@other.example; compromised for other reasons, see above: info@site.example"
            )
        );
        report.suspects.clear();
        assert_eq!(
            without_sign(&report, 1).as_deref(),
            Some("no sign, with up to 5 networks a day: info@site.example, …")
        );
    }

    /// By whom and why, with what has no reason that is known.
    #[test]
    fn what_a_suspect_was_answered_is_one_table() {
        let heard = |provider, meaning, refused, deferred| HeardRow { provider, kind: "", meaning, refused, deferred };
        let mut suspect = Suspect { kind: "mailbox", ..Suspect::default() };
        assert!(given_up(&suspect).is_empty());
        suspect.case.failed = 12;
        suspect.refusals = vec![
            heard("Gmail", "it is spam", 5, 0),
            heard("others", "nobody there", 4, 0),
            heard("Gmail", "nobody there", 3, 0),
            heard("Yahoo", "come later", 0, 7),
        ];
        let table = answers(&suspect).expect("there are some");
        assert_eq!(table.providers, ["Gmail", "others"]);
        assert_eq!(
            table.rows,
            [("nobody there", vec![3, 4], 7, 0), ("it is spam", vec![5, 0], 5, 0), ("come later", vec![0, 0], 0, 7)]
        );
        assert_eq!(
            given_up(&suspect),
            [
                "nobody there: 7 refused (Gmail 3, Other servers 4)",
                "it is spam: 5 refused (Gmail 5)",
                "come later: 7 put off",
                "All that was given up was so on the suspect days"
            ]
        );
        suspect.case.failed = 9;
        assert!(answers_when(&suspect).contains("9 of the 12"));
    }

    #[test]
    fn an_attack_that_succeeded_says_so() {
        let row = AttackerRow {
            kind: "distributed",
            who: "info@site.example".to_owned(),
            times: 270,
            names: 1,
            hours: 0,
            addresses: 64,
            first: None,
            last: None,
            succeeded: Some("2026-02-18T06:00:00Z".to_owned()),
            login: Some("info@site.example".to_owned()),
            is_suspect: true,
            is_own: false,
        };
        let local = LocalTime::default();
        assert_eq!(result(&row, local), "SUCCEEDED 2026-02-18 06:00, see above");
        assert_eq!(against_attacker(&row), "what stands above");
        let owner = AttackerRow { is_suspect: false, ..row.clone() };
        // The botnet and the one of it that got in are one guess.
        let came = AttackerRow { kind: "guessing", who: "203.0.113.7".to_owned(), ..row.clone() };
        let rows = [row.clone(), came, AttackerRow { login: None, ..owner.clone() }];
        assert_eq!(
            attacks_in_short(&rows),
            "the password of info@site.example was guessed and used, see above; 1 other attack that did no harm that is seen"
        );
        assert_eq!(attacks_in_short(&[]), "no password is seen to have been guessed; no others");
        let webmail = AttackerRow { kind: "spraying", is_own: true, ..owner.clone() };
        assert!(against_attacker(&webmail).starts_with("no block"), "nobody blocks the own webmail");
        assert_eq!(result(&owner, local), "a login from there 2026-02-18 06:00; nothing odd was sent");
        let failed = AttackerRow { succeeded: None, login: None, ..owner.clone() };
        assert_eq!(result(&failed, local), "guessing tried, failed");
        let helper = AttackerRow { kind: "guessing", succeeded: None, is_suspect: true, ..row };
        assert_eq!(result(&helper, local), "took part in guessing info@site.example, see above");
        assert_eq!((at_least(63), at_least(64)), ("63".to_owned(), "64 or more".to_owned()));
    }
}
