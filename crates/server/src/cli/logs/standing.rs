//! Who holds this server's own address for bad, in sentences: the side effect of a compromise that hurts everybody on the server.

use tidegate_watch::api::report::{AroundCase, BlockRow, BlocklistRow, Part, Report};

use super::about;
use super::shown::{self, LocalTime, counted, grouped, percent};

/// Under this share of recipients, in percent, hardly anything is refused; from the other on, most is.
const HARDLY_PERCENT: u64 = 5;
const MOSTLY_PERCENT: u64 = 50;
/// A case with less than this share of the answers, in percent, is not why there are any; from the other on, most are its.
const NOT_WHY_PERCENT: u64 = 25;
const NEARLY_ALL_PERCENT: u64 = 75;

/// Whether the whole server's standing belongs into a report: not into one on an account.
pub(super) fn is_shown(report: &Report, account: Option<&str>) -> bool {
    report.totals.lines > 0 && (!report.blocks.is_empty() || account.is_none())
}

/// One provider, each thing with a word or two that say what it is; every figure once.
pub(super) fn lines(row: &BlockRow, report: &Report, local: LocalTime) -> Vec<(&'static str, String)> {
    let mut lines = vec![("refused now?", now(row))];
    lines.extend(whose_list(row).map(|text| ("whose list", text)));
    lines.push(("in this log", in_all(row, local) + &other_reasons(row, report)));
    lines.extend(of_suspects(row).map(|text| ("to the suspect", text)));
    lines.extend(around_case(row).map(|text| ("since when", text)));
    let causes = row.caused_by.iter().map(|cause| (cause.clone(), about::is_suspect(report, cause.kind, &cause.name)));
    let causes = causes.map(|cause| about::cause(&cause)).collect::<Vec<_>>().join(", ");
    if !causes.is_empty() {
        lines.push((
            "to others",
            format!("each of these got a tenth of these answers or more, over the whole log: {causes}"),
        ));
    }
    lines.push(("what to do", advice(row, report)));
    lines
}

/// That a provider's own list is none of those that anybody can look up.
fn whose_list(row: &BlockRow) -> Option<String> {
    if row.provider == "others" || row.refused == 0 {
        return None;
    }
    let name = shown::provider(row.provider);
    let answer = row.example.to_lowercase();
    let said = ["block list", "blocklist", "blacklist"].into_iter().find(|word| answer.contains(word));
    let said = said.map_or_else(String::new, |word| format!(" (“{word}” in the answer)"));
    Some(format!(
        "{name}'s own, private judgement{said}. It is none of the public blocklists: nobody else can look it up or lift it"
    ))
}

/// Who holds which address for bad.
pub(super) fn heading(row: &BlockRow) -> String {
    let who = shown::provider(row.provider);
    let plural = if row.provider == "others" { "" } else { "s" };
    let what = match row.addresses.as_slice() {
        [] => "this server".to_owned(),
        addresses => addresses.join(", "),
    };
    match row.refused {
        0 => format!("{who} slow{plural} {what} down for its reputation, without refusing mail for that"),
        _ => format!("{who} take{plural} {what} for a bad sender and refuse{plural} mail for that"),
    }
}

/// Whether a public list was named: what somebody wants to know whose mail is refused at night.
pub(super) fn blocklists(report: &Report, local: LocalTime) -> Vec<String> {
    if report.blocklists.is_empty() {
        return vec![
            "No refusal names a public blocklist (Spamhaus, SpamCop, Barracuda, SORBS and the like). That a list has this server and no answer says so, a log cannot show: ask at check.spamhaus.org".to_owned(),
        ];
    }
    report.blocklists.iter().map(|row| blocklist(row, local)).collect()
}

fn blocklist(row: &BlocklistRow, local: LocalTime) -> String {
    let (first, last) = (local.minute_or_dash(row.first.as_ref()), local.minute_or_dash(row.last.as_ref()));
    let times = about::times(row.refused, row.deferred);
    let ask = row.ask.map_or_else(String::new, |ask| format!("; ask at {ask}"));
    let what = match (row.holds, row.addresses.as_slice()) {
        ("domains", _) => "names in the mail, not this server's address",
        (_, []) => "this server",
        (_, [address, ..]) => address.as_str(),
    };
    format!("The public blocklist {} is named for {what}: {times}, first {first}, last {last}{ask}", row.name)
}

/// Whether mail is refused now, by the last two days of the log.
fn now(row: &BlockRow) -> String {
    let Some(part) = &row.last_two_days else {
        let still = if row.is_at_end { "still said" } else { "not said any more" };
        return format!("{still} in the last 24 hours of the log; these are many servers, and each decides for itself");
    };
    let all = part.refused + part.delivered;
    let put_off = match part.deferred {
        0 => String::new(),
        deferred => format!(", {} put off", counted(deferred, "attempt")),
    };
    let when = "in the last two days of the log";
    if all == 0 {
        return match part.deferred {
            0 => format!("not known: no mail went there {when}"),
            _ => format!("YES: {when} nothing was taken{put_off}"),
        };
    }
    let recipients = counted(all, "recipient");
    if part.refused == 0 {
        let slow = if part.deferred > 0 { ", but slowly" } else { "" };
        return format!("no: {when} nothing was refused for reputation ({recipients} taken){slow}{put_off}");
    }
    let word = match part.refused * 100 {
        refused if refused < all * HARDLY_PERCENT => "hardly",
        refused if refused < all * MOSTLY_PERCENT => "partly",
        _ => "YES",
    };
    let share = share(part.refused, all);
    let trend = trend(row, part);
    format!("{word}: {when} {} of {recipients} refused ({share}){put_off}{trend}", grouped(part.refused))
}

/// Where as much is refused in the last two days as in the case, a small share must not sound as if it were over.
fn trend(row: &BlockRow, part: &Part) -> String {
    let Some(around) = row.around_case.as_ref().filter(|around| around.after.days >= part.days) else {
        return String::new();
    };
    let of_case = during(around);
    let all = |part: &Part| part.refused + part.delivered;
    if of_case.refused > 0 && part.refused * all(&of_case) >= of_case.refused * all(part) {
        return format!(
            "; that is no less than during the case ({}): it did NOT get better",
            share(of_case.refused, all(&of_case))
        );
    }
    String::new()
}

/// What this provider refused for another reason that is held against the sender: it is no answer about reputation.
fn other_reasons(row: &BlockRow, report: &Report) -> String {
    let same = report.refusals.iter().filter(|other| other.provider == row.provider);
    let others = same.filter(|other| matches!(other.kind, "spam" | "policy" | "malware"));
    match others.map(|other| other.refused).sum() {
        0 => String::new(),
        refused => {
            format!("; it refused {} as spam or by a rule besides, see “What other servers say”", grouped(refused))
        }
    }
}

/// All of it, and from when to when.
fn in_all(row: &BlockRow, local: LocalTime) -> String {
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
    format!("{}, first {first}, last {last}", times.join(", "))
}

/// What of it the suspects had, and what remains without them.
fn of_suspects(row: &BlockRow) -> Option<String> {
    let (refused, deferred) = (row.refused_of_suspects, row.deferred_of_suspects);
    if refused + deferred == 0 {
        let is_asked = row.around_case.is_some();
        return is_asked.then(|| "none of these answers: this case is not why".to_owned());
    }
    let (part, whole, what) = main(row);
    let verdict = if is_theirs(row) { "" } else { ", so this case is not why" };
    let share = share(part, whole);
    let rest = about::times(row.refused.saturating_sub(refused), row.deferred.saturating_sub(deferred));
    Some(format!(
        "{} in the whole log: {share} of {what}{verdict}; what remains without that: {rest}",
        about::times(refused, deferred)
    ))
}

/// The suspects' and all refusals, or where nothing is refused, what is put off.
fn main(row: &BlockRow) -> (u64, u64, &'static str) {
    match row.refused {
        0 => (row.deferred_of_suspects, row.deferred, "all that was put off"),
        refused => (row.refused_of_suspects, refused, "all refusals"),
    }
}

/// Whether the suspects had so much of it that it is to be looked for there: else a line says that they are not why.
fn is_theirs(row: &BlockRow) -> bool {
    let (part, whole, _) = main(row);
    part > 0 && part * 100 >= whole * NOT_WHY_PERCENT
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

/// Whether it began before the case: then the case did not start it. How much was refused before, then, and after it.
fn around_case(row: &BlockRow) -> Option<String> {
    let around = row.around_case.as_ref()?;
    let times = |part: &Part| {
        let share = share(part.refused, part.refused + part.delivered);
        let times = match (part.refused, part.deferred) {
            (0, 0) => "nothing".to_owned(),
            (0, deferred) => format!("{} put off", grouped(deferred)),
            (refused, 0) => format!("{} refused ({share})", grouped(refused)),
            (refused, deferred) => format!("{} refused ({share}), {} put off", grouped(refused), grouped(deferred)),
        };
        format!("{times} on {}", counted(part.days, "day"))
    };
    let (after, of_case) = (&around.after, during(around));
    let after = match after.days {
        0 => "; the log ends with it".to_owned(),
        _ => format!("; after it {}", times(after)),
    };
    if !is_older(row) {
        let case = times(&of_case);
        return Some(format!(
            "nothing of it before the case began on {}. All senders together: during the case {case}{after}",
            around.day
        ));
    }
    let older = if row.is_from_begin { ", perhaps before this log as well" } else { "" };
    let (part, whole, what) = main(row);
    let is_mostly_theirs = part * 100 >= whole * NEARLY_ALL_PERCENT;
    let joint = if is_mostly_theirs { ", and " } else { ", but " };
    let worse = if is_worse(&around.before, &of_case) {
        format!("{joint}during the case it became much worse")
    } else {
        String::new()
    };
    let who = if is_mostly_theirs {
        format!("the suspect did not start it, but {} of {what} are the suspect's", share(part, whole))
    } else {
        "the suspect did not start it".to_owned()
    };
    Some(format!(
        "it is older than the case, which began on {}{older}: {who}{worse}. All senders together: before the case {}; during it {}{after}",
        around.day,
        times(&around.before),
        times(&of_case)
    ))
}

/// What was from the first day of the first case to the last one of the last case.
fn during(around: &AroundCase) -> Part {
    let (since, after) = (&around.since, &around.after);
    Part {
        days: since.days.saturating_sub(after.days),
        refused: since.refused.saturating_sub(after.refused),
        deferred: since.deferred.saturating_sub(after.deferred),
        delivered: since.delivered.saturating_sub(after.delivered),
    }
}

/// Whether a far larger share was refused during the case than before it.
fn is_worse(before: &Part, of_case: &Part) -> bool {
    const REFUSED_MIN: u64 = 10;
    const TIMES_MIN: u64 = 3;
    let all = |part: &Part| (part.refused + part.delivered).max(1);
    of_case.refused >= REFUSED_MIN
        && of_case.refused.saturating_mul(all(before))
            >= before.refused.saturating_mul(all(of_case)).saturating_mul(TIMES_MIN)
}

/// Whether it was said before the case began.
fn is_older(row: &BlockRow) -> bool {
    row.around_case.as_ref().is_some_and(|around| around.before.refused + around.before.deferred > 0)
}

/// What to do: lifted before its cause is gone, a block comes back.
fn advice(row: &BlockRow, report: &Report) -> String {
    let is_over = report.suspects.iter().all(|suspect| suspect.case.at_end == "quiet");
    let suspect = if is_over {
        "the suspect's sending has ended: take the steps given for it, so that it does not begin again"
    } else {
        "end what the suspect sends first, by the steps given for it"
    };
    let before = match row.caused_by.as_slice() {
        [] => {
            "for what came before the case no single sender stands out, so look at what the whole server has in common: reverse DNS, SPF, DKIM, mail that is forwarded"
        }
        _ => "for what came before the case look at what those send who stand under “to others”",
    };
    let first = match row.caused_by.as_slice() {
        _ if is_theirs(row) && is_older(row) => format!("{suspect}; {before}; then"),
        _ if is_theirs(row) => format!("{suspect}; then"),
        [] => "no single sender was given a tenth of these answers; if it hinders mail,".to_owned(),
        _ => "look first at what those send who stand under “to others”, then".to_owned(),
    };
    match &row.ask {
        Some(page) if row.provider == "others" => format!("{first} ask at {page}"),
        Some(page) => format!("{first} ask {} to lift it: {page}", shown::provider(row.provider)),
        None => format!("{first} ask the postmaster of the server that said it"),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{Case, Cause, RefusalRow, Suspect};

    use super::*;

    fn row() -> BlockRow {
        BlockRow {
            provider: "Microsoft",
            addresses: vec!["192.0.2.1".to_owned()],
            refused: 45,
            delivered: 955,
            last_two_days: Some(Part { days: 2, refused: 1, deferred: 0, delivered: 199 }),
            first: Some("2026-02-18T06:10:00Z".to_owned()),
            last: Some("2026-02-26T11:03:00Z".to_owned()),
            is_at_end: true,
            ask: Some("olcsupport.office.com".to_owned()),
            example: "550 5.7.1 part of their network is on our block list (S3150).".to_owned(),
            ..BlockRow::default()
        }
    }

    fn said(row: &BlockRow) -> Vec<(&'static str, String)> {
        lines(row, &Report::default(), LocalTime::default())
    }

    #[test]
    fn a_block_is_told_with_dates_and_whether_it_lasts() {
        let row = row();
        assert_eq!(heading(&row), "Microsoft takes 192.0.2.1 for a bad sender and refuses mail for that");
        assert_eq!(
            said(&row),
            [
                ("refused now?", "hardly: in the last two days of the log 1 of 200 recipients refused (0.5 %)".to_owned()),
                (
                    "whose list",
                    "Microsoft's own, private judgement (“block list” in the answer). It is none of the public blocklists: nobody else can look it up or lift it"
                        .to_owned()
                ),
                (
                    "in this log",
                    "45 of 1 000 recipients refused (4.5 %), first 2026-02-18 06:10, last 2026-02-26 11:03".to_owned()
                ),
                (
                    "what to do",
                    "no single sender was given a tenth of these answers; if it hinders mail, ask Microsoft to lift it: olcsupport.office.com"
                        .to_owned()
                ),
            ]
        );
        let slow = BlockRow { refused: 0, deferred: 3, ask: None, ..row };
        assert!(in_all(&slow, LocalTime::default()).starts_with("3 attempts put off, first"));
        assert_eq!(heading(&slow), "Microsoft slows 192.0.2.1 down for its reputation, without refusing mail for that");
    }

    #[test]
    fn whether_mail_is_refused_now() {
        for ((refused, deferred, delivered), answer) in [
            ((0, 0, 0), "not known"),
            ((0, 9, 0), "YES"),
            (
                (0, 0, 90),
                "no: in the last two days of the log nothing was refused for reputation (90 recipients taken)",
            ),
            (
                (0, 9, 90),
                "no: in the last two days of the log nothing was refused for reputation (90 recipients taken), but slowly, 9 attempts put off",
            ),
            ((4, 0, 96), "hardly"),
            ((5, 0, 95), "partly"),
            ((50, 0, 50), "YES"),
        ] {
            let part = Part { days: 2, refused, deferred, delivered };
            let now = now(&BlockRow { last_two_days: Some(part), ..row() });
            assert!(now.starts_with(answer), "{now}");
        }
        assert!(now(&BlockRow { last_two_days: None, ..row() }).starts_with("still said"));
    }

    /// Nobody reads that it is over while as much is refused as ever, nor that everything is taken while other reasons are given.
    #[test]
    fn what_did_not_get_better_is_said() {
        let around = AroundCase {
            day: "2026-02-17".to_owned(),
            before: Part { days: 20, refused: 15, deferred: 0, delivered: 4985 },
            since: Part { days: 10, refused: 11, deferred: 0, delivered: 2000 },
            after: Part { days: 9, refused: 6, deferred: 0, delivered: 1300 },
        };
        let last_two_days = Some(Part { days: 2, refused: 4, deferred: 0, delivered: 509 });
        let mut row =
            BlockRow { last_two_days, around_case: Some(around), refused: 24, refused_of_suspects: 4, ..row() };
        let said = now(&row);
        assert!(said.ends_with("no less than during the case (0.7 %): it did NOT get better"), "{said}");
        let theirs = of_suspects(&row).expect("there were some");
        assert!(
            theirs.starts_with("4 refused in the whole log: 17 % of all refusals, so this case is not why"),
            "{theirs}"
        );
        row.last_two_days = Some(Part { days: 2, refused: 1, deferred: 0, delivered: 509 });
        assert!(!now(&row).contains("better"), "{}", now(&row));
        row.refused_of_suspects = 0;
        assert_eq!(of_suspects(&row).as_deref(), Some("none of these answers: this case is not why"));
        let spam = RefusalRow { provider: "Microsoft", kind: "spam", refused: 75, ..RefusalRow::default() };
        assert!(!is_theirs(&BlockRow { refused_of_suspects: 4, ..row.clone() }), "the advice agrees with that");
        let report = Report { refusals: vec![spam], ..Report::default() };
        assert!(other_reasons(&row, &report).contains("75 as spam or by a rule besides"));
        assert_eq!(other_reasons(&row, &Report::default()), "");
    }

    /// What is older than the case was not begun by it; what the suspect had is told apart from what remains without it.
    #[test]
    fn the_part_of_the_suspects() {
        let theirs = BlockRow { refused_of_suspects: 40, ..row() };
        assert_eq!(
            of_suspects(&theirs).as_deref(),
            Some("40 refused in the whole log: 89 % of all refusals; what remains without that: 5 refused")
        );
        let suspect = |at_end| Suspect { case: Case { at_end, ..Case::default() }, ..Suspect::default() };
        let report = |at_end| Report { suspects: vec![suspect(at_end)], ..Report::default() };
        let advice = |row: &BlockRow, at_end| advice(row, &report(at_end));
        assert_eq!(
            advice(&theirs, "active"),
            "end what the suspect sends first, by the steps given for it; then ask Microsoft to lift it: olcsupport.office.com"
        );
        // What has ended is not to be ended.
        assert!(advice(&theirs, "quiet").starts_with("the suspect's sending has ended: take the steps given for it"));
        let cause = Cause {
            kind: "mailbox",
            name: "anna@site.example".to_owned(),
            account: String::new(),
            times: 9,
            refused: 9,
            deferred: 0,
        };
        let others = BlockRow { caused_by: vec![cause], refused_of_suspects: 1, ..row() };
        assert_eq!(
            advice(&others, "quiet"),
            "look first at what those send who stand under “to others”, then ask Microsoft to lift it: olcsupport.office.com"
        );
        let around = AroundCase {
            day: "2026-02-17".to_owned(),
            before: Part { days: 20, refused: 4, deferred: 100, delivered: 796 },
            since: Part { days: 10, refused: 41, deferred: 0, delivered: 159 },
            after: Part { days: 9, refused: 1, deferred: 0, delivered: 149 },
        };
        let older = BlockRow { around_case: Some(around.clone()), is_from_begin: true, ..theirs.clone() };
        assert_eq!(
            around_case(&older).as_deref(),
            Some(
                "it is older than the case, which began on 2026-02-17, perhaps before this log as well: the suspect did not start it, but 89 % of all refusals are the suspect's, and during the case it became much worse. All senders together: before the case 4 refused (0.5 %), 100 put off on 20 days; during it 40 refused (80 %) on 1 day; after it 1 refused (0.7 %) on 9 days"
            )
        );
        // Where somebody had much of the rest there is a lead, else what it may be.
        assert!(advice(&older, "quiet").contains("no single sender stands out, so look at what the whole server has"));
        let led = BlockRow { caused_by: others.caused_by.clone(), ..older };
        assert!(advice(&led, "quiet").contains("before the case look at what those send who stand under “to others”"));
        let (before, after) = (Part { refused: 0, deferred: 0, ..around.before }, Part::default());
        let begun = BlockRow { around_case: Some(AroundCase { before, after, ..around }), ..theirs };
        let begun = around_case(&begun).expect("there was a case");
        assert!(
            begun.starts_with("nothing of it before the case") && begun.ends_with("the log ends with it"),
            "{begun}"
        );
    }

    #[test]
    fn whether_a_public_list_is_named() {
        let none = Report::default();
        assert!(
            blocklists(&none, LocalTime::default())[0].starts_with("No refusal names a public blocklist (Spamhaus")
        );
        let list = BlocklistRow {
            name: "Spamhaus",
            holds: "addresses",
            refused: 12,
            first: Some("2026-02-18T06:10:00Z".to_owned()),
            last: Some("2026-02-18T09:10:00Z".to_owned()),
            addresses: vec!["192.0.2.1".to_owned()],
            ask: Some("check.spamhaus.org"),
            ..BlocklistRow::default()
        };
        let report = Report { blocklists: vec![list], ..none };
        assert_eq!(
            blocklists(&report, LocalTime::default()),
            [
                "The public blocklist Spamhaus is named for 192.0.2.1: 12 refused, first 2026-02-18 06:10, last 2026-02-18 09:10; ask at check.spamhaus.org"
            ]
        );
    }
}
