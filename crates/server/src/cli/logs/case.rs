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
        line("it sent", format!("from {began} to {ended} (by the hour)")),
        line("recipients", recipients(suspect)),
        line("queue", queue(suspect)),
        going_on(suspect, report, local, &ended),
    ];
    lines.extend(guessing(suspect, local));
    lines.push(open(suspect));
    lines
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
    if case.usual_recipients > 0 {
        text.push_str(&format!("; {} more on its usual days since", grouped(case.usual_recipients)));
    }
    text
}

fn queue(suspect: &Suspect) -> String {
    match (suspect.case.waiting, suspect.case.frozen) {
        _ if suspect.kind == "forwarder" || suspect.kind == "relay" => "not known by sender".to_owned(),
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
            format!("EXPECT IT AGAIN: it came on several days, the last time on {days}; the log ends {end}")
        }
        _ => format!(
            "NO: nothing more after {ended}; the log goes on for {} until {end}",
            counted(suspect.case.quiet_hours, "hour")
        ),
    };
    Line { label: "going on?", text, is_urgent: suspect.case.at_end != "quiet" }
}

fn guessing(suspect: &Suspect, local: LocalTime) -> Option<Line> {
    let guessing = suspect.case.guessing.as_ref()?;
    let first = local.minute_or_dash(guessing.first.as_ref());
    let last = local.minute_or_dash(guessing.last.as_ref());
    let failures = counted(guessing.failures, "failed login");
    let text = match &guessing.succeeded {
        None => format!("{failures} from {first} to {last}; none is followed by a login from the same network"),
        Some(time) if guessing.failures_since == 0 => {
            format!("{failures} from {first} to {last}; none after it succeeded {}", local.minute(time))
        }
        Some(time) => format!(
            "{failures} from {first} on; it succeeded {}; {} more since, the last {last}{}",
            local.minute(time),
            grouped(guessing.failures_since),
            if guessing.is_going_on { ": STILL TRIED" } else { "" }
        ),
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
        "forwarder" => "whether it still forwards cannot be seen after its last message: treat it as forwarding",
        _ => "whether it may still relay cannot be seen in a mail log: treat it as allowed until you have looked",
    };
    line("now", text.to_owned())
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
        "script" => Some(
            "The path is the working directory in which sendmail was called (`cwd=` in Exim's log): with PHP nearly always the folder of the script itself, but a program may change it. Which file it is and how it got there the mail log cannot show; the web server's access log can.",
        ),
        "user" => Some("The log names the user only, no folder and no file."),
        _ => None,
    }
}
