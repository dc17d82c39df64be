//! How a case stands at the end of the log, in sentences: what the top of a report says of each suspect.

use tidegate_watch::api::report::{Report, Suspect};

use super::shown::{LocalTime, counted, grouped, local_minute};

/// A line of the state of a case.
pub(super) struct Line {
    /// A word or two.
    pub(super) label: &'static str,
    /// A sentence.
    pub(super) text: String,
    /// Whether it says that somebody has to act at once.
    pub(super) is_urgent: bool,
}

fn line(label: &'static str, text: String) -> Line {
    Line { label, text, is_urgent: false }
}

/// The state of a case.
pub(super) fn state(suspect: &Suspect, report: &Report, local: LocalTime) -> Vec<Line> {
    let case = &suspect.case;
    let began = case.began.as_deref().map_or_else(|| "?".to_owned(), local_minute);
    let ended = case.ended.as_deref().map_or_else(|| "?".to_owned(), local_minute);
    let mut lines = vec![
        line("it sent", sent(suspect, &began, &ended) + several(suspect, local)),
        line("recipients", recipients(suspect)),
    ];
    // What passes through is not kept in the queue under its name.
    if !matches!(suspect.kind, "forwarder" | "relay") {
        lines.push(line("queue", queue(suspect)));
    }
    lines.push(going_on(suspect, report, local, &ended));
    lines.extend(forwards(suspect).map(|(text, is_urgent)| Line { label: "forwards", text, is_urgent }));
    lines.extend(guessing(suspect, local));
    lines.extend(would_tell_more(suspect, report).map(|text| line("more", text.to_owned())));
    lines.push(open(suspect));
    lines
}

/// From when to when, as exactly as it is known; where it came each day at the same time, that.
fn sent(suspect: &Suspect, began: &str, ended: &str) -> String {
    let Some(pattern) = &suspect.case.pattern else {
        let case = &suspect.case;
        return match (case.first_message.as_deref(), case.last_message.as_deref()) {
            (Some(first), Some(last)) => {
                let (first, last) = (local_minute(first), local_minute(last));
                format!("from {first} (first message) to {last} (last message)")
            }
            (Some(first), None) => format!("from {} (first message) to {ended}, by the hour", local_minute(first)),
            _ => format!("from {began} to {ended}, counted by the hour"),
        };
    };
    let (day, last) = (began.get(..10).unwrap_or(began), ended.get(..10).unwrap_or(ended));
    let first = suspect.case.first_message.as_deref();
    let first = first.map_or_else(String::new, |first| format!("; the first message came at {}", local_minute(first)));
    format!(
        "each day {:02}:00-{:02}:00, on {} of {} from {day} to {last}: a timed job{first}",
        pattern.from_hour,
        pattern.until_hour,
        grouped(pattern.days),
        counted(pattern.of_days, "day")
    )
}

/// Why the first message may be older than the login that is named: another one had the password before.
fn several(suspect: &Suspect, local: LocalTime) -> &'static str {
    let entered = suspect.case.guessing.as_ref().and_then(|guessing| guessing.succeeded.as_deref());
    match (&suspect.case.first_message, entered) {
        (Some(first), Some(entered)) if local_minute(first) < local.minute(entered) => {
            "; the first came before the login named above and from another address, so several had the password"
        }
        _ => "",
    }
}

fn recipients(suspect: &Suspect) -> String {
    let case = &suspect.case;
    let rest = case.recipients.saturating_sub(case.delivered).saturating_sub(case.failed);
    let mut text = format!(
        "{} on suspect days: {} delivered, {} given up",
        grouped(case.recipients),
        grouped(case.delivered),
        grouped(case.failed)
    );
    if rest > 0 {
        text.push_str(&format!(", {} here, still waiting or not told", grouped(rest)));
    }
    let owners: u64 = case.usual_clients.iter().map(|client| client.times).sum();
    if owners > 0 && case.are_networks_known {
        text.push_str(&format!(
            ". Among them are {} from networks that were known before, so probably the owner's",
            grouped(owners)
        ));
    }
    if case.usual_recipients > 0 {
        let usual = grouped(case.usual_recipients);
        text.push_str(&format!("; {usual} more since on days that are not suspect{}", from_whom(suspect)));
    }
    text
}

/// Whether what came on the other days was the intruder's as well, as far as networks tell.
fn from_whom(suspect: &Suspect) -> String {
    let (usual, apart) = (suspect.case.usual_recipients, suspect.case.usual_apart);
    match suspect.kind {
        "mailbox" if apart >= usual => ", from none of the networks from which the case was sent".to_owned(),
        "mailbox" => {
            let unclear = match suspect.case.usual_alike {
                0 => {
                    "networks do not tell (too many were used on the days of the case), so the log cannot tell whether the owner sent these or the intruder went on"
                }
                _ => {
                    "they came in hours with a network that looks like the case's (a report keeps networks as one of 32 marks, so it may be chance): the intruder may have gone on"
                }
            };
            match apart {
                0 => format!(": {unclear}"),
                apart => format!(
                    ": {} from networks that the case did not use, so probably the owner's; of the other {}: {unclear}",
                    grouped(apart),
                    grouped(usual - apart)
                ),
            }
        }
        "script" => ", by the same folder".to_owned(),
        _ => String::new(),
    }
}

/// Recipients on days that are not suspect which may be the intruder's.
pub(super) fn unclear(suspect: &Suspect) -> u64 {
    match suspect.kind {
        "mailbox" => suspect.case.usual_recipients.saturating_sub(suspect.case.usual_apart),
        _ => 0,
    }
}

fn queue(suspect: &Suspect) -> String {
    match (suspect.case.waiting, suspect.case.frozen) {
        (0, _) => "nothing of it waits or is on hold at the end of the log".to_owned(),
        (waiting, frozen) => {
            format!("{} wait at the end of the log, {} of them on hold", counted(waiting, "message"), grouped(frozen))
        }
    }
}

/// Whether it goes on: the question that decides about the next minutes.
fn going_on(suspect: &Suspect, report: &Report, local: LocalTime, ended: &str) -> Line {
    let end = local.minute_or_dash(report.until.as_ref());
    let text = match suspect.case.at_end {
        "active" => format!("YES: it still sent when the log ends ({end})"),
        "recurring" => {
            let days = suspect.until.as_deref().unwrap_or("?");
            let next = suspect.case.pattern.as_ref().and_then(|pattern| pattern.next.as_deref());
            match next {
                Some(next) => {
                    format!("EXPECT IT AGAIN {}: the last time was on {days}; the log ends {end}", local_minute(next))
                }
                None => {
                    format!("EXPECT IT AGAIN: it came on several days, the last time on {days}; the log ends {end}")
                }
            }
        }
        _ => {
            let quiet = format!(
                "nothing like it after {ended}; the log goes on for {} until {end}",
                counted(suspect.case.quiet_hours, "hour")
            );
            match unclear(suspect) {
                0 => format!("NO: {quiet}"),
                unclear => format!(
                    "THE MASS SENDING HAS ENDED: {quiet}. But {} on other days may be the intruder's, see “recipients”: use in a small way may go on",
                    counted(unclear, "recipient")
                ),
            }
        }
    };
    Line { label: "going on?", text, is_urgent: suspect.case.at_end != "quiet" }
}

/// That mail to the mailbox goes to somebody elsewhere, and whether that began with the case: a new password does not end it.
fn forwards(suspect: &Suspect) -> Option<(String, bool)> {
    let forwards = suspect.case.forwards.as_ref()?;
    let began = suspect.case.began.as_deref().and_then(|began| began.get(..10)).unwrap_or("");
    let is_older = forwards.since.as_str() < began;
    let since = match forwards.since.as_str() {
        "" => String::new(),
        since if is_older => format!(" from {since} on, so since before the case (in this log)"),
        since => format!(" from {since} on, so SINCE THE CASE BEGAN"),
    };
    let text = format!(
        "mail to this address is forwarded to elsewhere: {}{since}, the last on {}. Whoever receives that reads on after a new password: ask the owner whether it is theirs",
        counted(forwards.recipients, "recipient"),
        forwards.last
    );
    Some((text, !is_older))
}

fn guessing(suspect: &Suspect, local: LocalTime) -> Option<Line> {
    let guessing = suspect.case.guessing.as_ref()?;
    let first = local.minute_or_dash(guessing.first.as_ref());
    let last = local.minute_or_dash(guessing.last.as_ref());
    let failures = counted(guessing.failures, "failed login");
    let text = match &guessing.succeeded {
        None => format!("{failures} from {first} to {last}; no login looks as if they had guessed it"),
        Some(time) => {
            let (shortly, since) = (guessing.failures_shortly_before, guessing.failures_since);
            let before = guessing.failures.saturating_sub(shortly).saturating_sub(since);
            let after = match since {
                0 => "none since".to_owned(),
                _ if guessing.is_going_on => format!("{} since, the last {last}: STILL TRIED", grouped(since)),
                _ => format!("{} since, the last {last}", grouped(since)),
            };
            format!(
                "{failures} in all, the first {first}: {} before, {} in the two days before it succeeded ({}), {after}",
                grouped(before),
                grouped(shortly),
                local.second(time)
            )
        }
    };
    Some(line("guessing", text))
}

fn open(suspect: &Suspect) -> Line {
    let text = match suspect.kind {
        "mailbox" => {
            "no change of a password can be seen in a mail log: treat the mailbox as open until it was changed"
        }
        "script" | "user" => {
            "whether the program is still there cannot be seen in a mail log: treat it as there until you have looked"
        }
        "forwarder" => "it forwards until somebody changes that: a mail log does not show the setting",
        _ => "whether it may still relay cannot be seen in a mail log: treat it as allowed until you have looked",
    };
    line("now", text.to_owned())
}

/// What it is and how it is used, under its name at the top.
pub(super) fn headline(suspect: &Suspect, local: LocalTime) -> String {
    let whose = whose(suspect);
    match (suspect.kind, suspect.local_user.as_deref()) {
        // The name is the folder already, and mostly the account's user runs it.
        ("script", Some(user)) if user != suspect.account => {
            format!("A program in this folder of {whose}, run as {user}; how it got there a mail log cannot show")
        }
        ("script", _) => format!("A program in this folder of {whose}; how it got there a mail log cannot show"),
        _ => format!("{} of {whose}: {}", kind(suspect), local.sentence(&suspect.entered_by)),
    }
}

/// What a suspect is, at the beginning of a sentence.
pub(super) fn kind(suspect: &Suspect) -> &'static str {
    match suspect.kind {
        "mailbox" => "Mailbox",
        "script" => "Script",
        "forwarder" => "Forwarding address",
        "relay" => "Host",
        _ => "Local user",
    }
}

/// What is said of somebody with such a case, at the beginning of a sentence.
pub(super) fn verdict(suspect: &Suspect) -> &'static str {
    let is_sure = matches!(suspect.case.certainty, "very_sure" | "sure");
    match suspect.kind {
        "forwarder" if is_sure => "Passes on spam",
        "forwarder" => "Probably passes on spam",
        "relay" if is_sure => "Abused to relay",
        "relay" => "Probably abused to relay",
        _ if is_sure => "Compromised",
        _ => "Probably compromised",
    }
}

/// The same of one who stands in a list.
pub(super) fn mark(kind: &str) -> &'static str {
    match kind {
        "forwarder" => "passes on spam, see above",
        "relay" => "abused to relay, see above",
        _ => "compromised, see above",
    }
}

/// Whose it is: an account with its domains where they are known, else a domain.
pub(super) fn whose(suspect: &Suspect) -> String {
    if matches!(suspect.kind, "mailbox" | "forwarder") && suspect.name.ends_with(&format!("@{}", suspect.account)) {
        return format!("domain {}", suspect.account);
    }
    let domains: Vec<&str> =
        suspect.domains.iter().map(String::as_str).filter(|domain| *domain != suspect.account).collect();
    match domains.as_slice() {
        [] => format!("account {}", suspect.account),
        domains => format!("account {} ({})", suspect.account, domains.join(", ")),
    }
}

/// Whether this date lies within the case.
pub(super) fn is_on(suspect: &Suspect, date: &str) -> bool {
    let begins = [suspect.case.began.as_deref(), suspect.since.as_deref()];
    let since = begins.into_iter().flatten().filter_map(|time| time.get(..10)).min();
    // It ends with an hour: at midnight that is one of the day before, which comes first in the order of text as well.
    let is_before_end = suspect.case.ended.as_deref().is_some_and(|ended| date < ended.trim_end_matches("T00:00:00"));
    let is_suspect_day = suspect.until.as_deref().is_some_and(|until| date <= until);
    since.is_some_and(|since| since <= date) && (is_before_end || is_suspect_day)
}

/// How sure it is, in words.
pub(super) fn certainty(suspect: &Suspect) -> String {
    let signs = suspect.signals.len();
    match suspect.case.certainty {
        "very_sure" => format!("very sure: {signs} signs that do not depend on each other"),
        "sure" => format!("sure: {signs} signs that do not depend on each other"),
        _ => format!("probable: {signs} signs, and at least two are needed; look before you act"),
    }
}

/// Over what says where it comes from: only of a mailbox it is known how somebody came in.
pub(super) fn entry_heading(suspect: &Suspect) -> &'static str {
    match suspect.kind {
        "mailbox" if suspect.entered_from.is_some() => "How the intruder came in",
        "mailbox" => "Who sends",
        "script" | "user" => "Where it is sent from",
        "forwarder" => "How the spam comes",
        _ => "Where it comes from",
    }
}

/// What is to be known of a path in a log.
pub(super) fn entry_note(suspect: &Suspect) -> Option<&'static str> {
    match suspect.kind {
        "script" if is_served(&suspect.name) => Some(
            "The path is the working directory in which sendmail was called (`cwd=` in Exim's log): with PHP nearly always the folder of the script itself, but a program may change it. Which file it is and how it got there the mail log cannot show; the web server's access log can.",
        ),
        "script" => Some(
            "The path is the working directory in which sendmail was called (`cwd=` in Exim's log); a program may change it. No site serves this folder, so no access log names it: what runs there was begun by a timed job, over SSH, or by a script that lies elsewhere.",
        ),
        "user" => Some("The log names the user only, no folder and no file."),
        _ => None,
    }
}

/// Names of folders whose content web servers serve.
const ROOTS: [&str; 8] = ["public_html", "www", "htdocs", "httpdocs", "html", "web", "webroot", "public"];

/// The part of a folder's path that a web address has behind the site's name; `None` if no site serves the folder.
pub(super) fn page_of(path: &str) -> Option<&str> {
    let (mut end, mut page) = (0, None);
    for part in path.split('/') {
        end += part.len() + 1;
        if page.is_none() && ROOTS.contains(&part) {
            // Behind the folder's name stands nothing, or a slash.
            page = Some(path.get(end - 1..).unwrap_or(""));
        } else if page.is_some() && part.starts_with('.') && part != ".well-known" {
            return None;
        }
    }
    page
}

/// Whether a site serves this folder.
pub(super) fn is_served(path: &str) -> bool {
    page_of(path).is_some()
}

/// What would tell more, where it is not known how somebody came in.
pub(super) fn would_tell_more(suspect: &Suspect, report: &Report) -> Option<&'static str> {
    let is_unknown = suspect.kind == "mailbox" && suspect.entered_from.is_none();
    match (report.programs.dovecot, report.programs.webmail) {
        _ if !is_unknown => None,
        (0, _) => Some(
            "Dovecot's log may tell how: run again with it beside the mail server's log, `tidegate logs /var/log/exim_mainlog* /var/log/maillog*` (cPanel) or `tidegate logs /var/log/exim4/mainlog* /var/log/mail.log*` (Debian)",
        ),
        (_, 0) => Some("the webmail's log may tell how: run again with it, on Debian `/var/log/roundcube/errors.log`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{Case, Client, Forwards, Guessing, Pattern};

    use super::*;

    fn suspect(kind: &'static str, at_end: &'static str) -> Suspect {
        let case = Case {
            began: Some("2026-02-17T22:00:00".to_owned()),
            ended: Some("2026-02-20T00:00:00".to_owned()),
            recipients: 594,
            delivered: 480,
            failed: 91,
            usual_recipients: 45,
            at_end,
            quiet_hours: 9,
            ..Case::default()
        };
        let (since, until) = (Some("2026-02-18".to_owned()), Some("2026-02-18".to_owned()));
        Suspect { kind, since, until, case, ..Suspect::default() }
    }

    fn said(suspect: &Suspect) -> String {
        let lines = state(suspect, &Report::default(), LocalTime::default());
        lines.iter().map(|line| format!("{}: {}\n", line.label, line.text)).collect()
    }

    #[test]
    fn the_state_is_said_for_each_kind() {
        let quiet = said(&suspect("script", "quiet"));
        assert!(
            quiet.contains("594 on suspect days: 480 delivered, 91 given up, 23 here, still waiting or not told"),
            "{quiet}"
        );
        assert!(quiet.contains("; 45 more since on days that are not suspect, by the same folder"), "{quiet}");
        assert!(quiet.contains("NO: nothing like it after 2026-02-20 00:00; the log goes on for 9 hours"), "{quiet}");
        assert!(quiet.contains("treat it as there until you have looked"), "{quiet}");
        assert!(said(&suspect("mailbox", "active")).contains("YES: it still sent"));
        assert!(said(&suspect("script", "recurring")).contains("EXPECT IT AGAIN"));
        let forwarder = said(&suspect("forwarder", "quiet"));
        assert!(!forwarder.contains("queue:") && !forwarder.contains("password"), "{forwarder}");
    }

    /// Whose the mail of the other days was, is said as far as networks tell.
    #[test]
    fn what_came_on_other_days_is_told_apart() {
        let mut mailbox = suspect("mailbox", "quiet");
        assert!(said(&mailbox).contains("not suspect: networks do not tell (too many were used"), "{}", said(&mailbox));
        // No answer denies what the line above it leaves open.
        let going_on = "going on?: THE MASS SENDING HAS ENDED: nothing like it after 2026-02-20 00:00; the log goes on for 9 hours until -. But 45 recipients on other days may";
        assert!(said(&mailbox).contains(going_on), "{}", said(&mailbox));
        (mailbox.case.usual_apart, mailbox.case.usual_alike) = (40, 5);
        assert!(
            said(&mailbox)
                .contains("so probably the owner's; of the other 5: they came in hours with a network that looks"),
            "{}",
            said(&mailbox)
        );
        mailbox.case.usual_apart = 45;
        assert!(said(&mailbox).contains("not suspect, from none of the networks from which"), "{}", said(&mailbox));
        assert!(said(&mailbox).contains("going on?: NO: nothing like it"), "{}", said(&mailbox));
    }

    /// What is forwarded stays with the intruder whatever the password is.
    #[test]
    fn a_forwarder_on_the_mailbox_is_said() {
        let mut mailbox = suspect("mailbox", "quiet");
        assert!(!said(&mailbox).contains("forwards:"));
        for (since, when) in [("2026-02-01", "since before the case"), ("2026-02-18", "SINCE THE CASE BEGAN")] {
            let (since, last) = (since.to_owned(), "2026-02-26".to_owned());
            mailbox.case.forwards = Some(Forwards { recipients: 37, since, last });
            let said = said(&mailbox);
            assert!(
                said.contains("forwarded to elsewhere: 37 recipients from 2026-02-") && said.contains(when),
                "{said}"
            );
        }
    }

    /// One figure says what the other one leaves out.
    #[test]
    fn what_the_owner_sent_meanwhile_is_told_apart() {
        let mut mailbox = suspect("mailbox", "quiet");
        mailbox.case.usual_clients = vec![Client { times: 7, ..Client::default() }];
        assert!(!said(&mailbox).contains("Among them are"), "the log is too short");
        mailbox.case.are_networks_known = true;
        assert!(said(&mailbox).contains("Among them are 7 from networks that were known before"), "{}", said(&mailbox));
    }

    /// No heading doubts what the line under it is sure of.
    #[test]
    fn the_verdict_is_as_sure_as_the_signs() {
        let mut mailbox = suspect("mailbox", "quiet");
        for (certainty, verdict_said, said) in [
            ("very_sure", "Compromised", "very sure: 0 signs"),
            ("sure", "Compromised", "sure: 0 signs"),
            ("probable", "Probably compromised", "probable: 0 signs"),
        ] {
            mailbox.case.certainty = certainty;
            assert_eq!(verdict(&mailbox), verdict_said);
            assert!(super::certainty(&mailbox).starts_with(said));
        }
    }

    #[test]
    fn what_comes_each_day_is_said_with_its_next_time() {
        let mut job = suspect("script", "recurring");
        job.case.pattern = Some(Pattern {
            from_hour: 3,
            until_hour: 4,
            days: 10,
            of_days: 10,
            next: Some("2026-02-27T03:00:00".to_owned()),
        });
        let said = said(&job);
        assert!(said.contains("it sent: each day 03:00-04:00, on 10 of 10 days from 2026-02-17"), "{said}");
        assert!(said.contains("EXPECT IT AGAIN 2026-02-27 03:00: "), "{said}");
    }

    #[test]
    fn folders_that_a_site_serves() {
        for (path, page) in [
            ("/home/shop/public_html", Some("")),
            ("/home/shop/public_html/wp-content/uploads", Some("/wp-content/uploads")),
            ("/var/www/shop/images", Some("/shop/images")),
            ("/home/user082/.cache/.x", None),
            ("/home/shop/public_html/.x", None),
            ("/tmp", None),
        ] {
            assert_eq!(page_of(path), page, "{path}");
        }
    }

    /// No time contradicts another one without a word.
    #[test]
    fn a_first_message_before_the_login_is_explained() {
        let mut mailbox = suspect("mailbox", "quiet");
        let succeeded = Some("2026-02-18T06:04:35Z".to_owned());
        mailbox.case.guessing = Some(Guessing { succeeded, ..Guessing::default() });
        mailbox.case.first_message = Some("2026-02-18T06:04:00".to_owned());
        assert!(!said(&mailbox).contains("several had the password"), "{}", said(&mailbox));
        mailbox.case.first_message = Some("2026-02-18T06:03:00".to_owned());
        assert!(said(&mailbox).contains("several had the password"), "{}", said(&mailbox));
    }

    #[test]
    fn guessing_that_goes_on_is_said_aloud() {
        let mut mailbox = suspect("mailbox", "quiet");
        let guessing = Guessing { failures: 272, first: None, last: None, is_going_on: true, ..Guessing::default() };
        mailbox.case.guessing = Some(Guessing {
            succeeded: Some("2026-02-18T06:00:00Z".to_owned()),
            failures_since: 3,
            failures_shortly_before: 260,
            ..guessing.clone()
        });
        let sum = "272 failed logins in all, the first -: 9 before, 260 in the two days before it succeeded (2026-02-18 06:00:00), 3 since, the last -: STILL TRIED";
        assert!(said(&mailbox).contains(sum), "{}", said(&mailbox));
        mailbox.case.guessing = Some(guessing);
        assert!(said(&mailbox).contains("no login looks as if they had guessed it"));
    }

    /// From the evening before to the midnight at its end, whatever single days are suspect by themselves.
    #[test]
    fn days_of_a_case() {
        let suspect = suspect("script", "quiet");
        let days = ["2026-02-16", "2026-02-17", "2026-02-18", "2026-02-19", "2026-02-20"];
        assert_eq!(days.map(|day| is_on(&suspect, day)), [false, true, true, true, false]);
    }
}
