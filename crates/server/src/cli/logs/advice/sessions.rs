//! Ending what is connected already, since a locked login keeps nobody out who has logged in, and seeing what came after the case.

use tidegate_watch::api::report::Suspect;

use super::queue::{self, Mta};
use super::{FEW, Step, is_harmless};
use crate::cli::logs::case;
use crate::cli::logs::from_where;
use crate::cli::logs::shown::{counted, grouped};

/// Only what sent so much of the case, in percent, is a filter that overlooks little.
const FILTER_PERCENT_MIN: u64 = 90;
const PORTS: &str = "( sport = :25 or sport = :465 or sport = :587 )";

/// Ends the sessions that are open.
pub(super) fn end(suspect: &Suspect, name: &str) -> Step {
    let ranges = from_where::to_block(suspect);
    let (kept, _) = from_where::kept(suspect);
    let all = suspect.case.recipients;
    let is_filter = (1..=FEW).contains(&ranges.len())
        && ranges.iter().all(|range| is_harmless(range))
        && suspect.case.are_networks_known
        && !suspect.case.has_more_clients
        && kept * 100 >= all * FILTER_PERCENT_MIN;
    let there = |range: &String| if range.contains(':') { format!("dst [{range}]") } else { format!("dst {range}") };
    let (which, command) = if is_filter {
        let there: Vec<String> = ranges.iter().map(there).collect();
        let which = format!(
            "The second command shows those from the addresses that sent {} of the {}, with their processes; nothing shown means none from there, not that none is open (`ss -tnp '{PORTS}'` shows all)",
            grouped(kept),
            counted(all, "recipient")
        );
        (which, format!("ss -tnp '{PORTS} and ( {} )'", there.join(" or ")))
    } else {
        let known = format!(
            "The second command shows all that are open, of all mailboxes, with their processes; end those whose far end (`Peer`) stands under “{}”",
            from_where::HEADING
        );
        let part = match (kept, all) {
            (0, _) | (_, 0) => String::new(),
            _ if kept * 100 >= all * FILTER_PERCENT_MIN => String::new(),
            _ => format!(
                ", and those that nobody here knows: the addresses there sent only {} of the {}",
                grouped(kept),
                counted(all, "recipient")
            ),
        };
        (format!("{known}{part}"), format!("ss -tnp '{PORTS}'"))
    };
    Step::new(format!(
        "End the sessions that are open. An SMTP connection that has logged in goes on sending until it ends. {which}. End a process with `kill` and its number (`pid`)."
    ))
    .run("IMAP and POP3", &[name], || format!("doveadm kick {name}"))
    .run("SMTP", &[name], || command)
}

/// Who sent after the case, where the report cannot tell whether that was the owner.
pub(super) fn later(suspect: &Suspect, login: &str, mta: Mta) -> Option<Step> {
    let unclear = case::unclear(suspect);
    let ended = suspect.case.ended.as_deref().and_then(|ended| ended.parse::<jiff::civil::DateTime>().ok())?;
    if unclear == 0 || suspect.case.at_end != "quiet" {
        return None;
    }
    let step = Step::new(format!(
        "See whether the intruder went on: {} on days that are not suspect may be the intruder's. Compare with “{}” from where each came; one from there, or from where the owner was not, is the intruder's.",
        counted(unclear, "recipient"),
        from_where::HEADING
    ));
    if mta != Mta::Exim {
        return Some(step);
    }
    Some(step.run("shows time and address of each message after the case from Exim's log", &[login], || {
        format!(
            r#"zgrep -hE ' <= .* A=[^ :]*:{}( |$)' /var/log/exim4/mainlog* /var/log/exim_mainlog* 2>/dev/null | awk '$0 >= "{}"' | sed -nE 's/ P=.*//; s/ I=\[[^ ]*//; s/^([^ ]+ [^ ]+) .*\[([0-9a-fA-F.:]+)\](:[0-9]+)?$/\1 \2/p' | sort"#,
            queue::pattern(login),
            ended.strftime("%Y-%m-%d %H:%M")
        )
    }))
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{Client, Report};

    use super::super::against;
    use super::*;

    fn mailbox(kept: u64, all: u64) -> Suspect {
        let mut suspect = Suspect { kind: "mailbox", name: "info@site.example".to_owned(), ..Suspect::default() };
        suspect.case.clients = vec![Client { name: "203.0.113.7".to_owned(), times: kept, ..Client::default() }];
        (suspect.case.recipients, suspect.case.are_networks_known) = (all, true);
        (suspect.case.at_end, suspect.case.ended) = ("quiet", Some("2026-02-20T00:00:00".to_owned()));
        suspect
    }

    /// An empty answer does not look like none, and no filter hides most of what is open.
    #[test]
    fn a_filter_is_used_only_where_it_sees_nearly_all() {
        let one = |kept, all| {
            let step = end(&mailbox(kept, all), "info@site.example");
            (step.text, step.commands.last().expect("a command").1.clone())
        };
        let (text, command) = one(141, 962);
        assert!(
            command.ends_with(":587 )'") && text.contains("sent only 141 of the 962 recipients"),
            "{text} {command}"
        );
        let (text, command) = one(420, 427);
        assert!(command.ends_with("and ( dst 203.0.113.7 )'"), "{command}");
        assert!(text.contains("sent 420 of the 427 recipients") && text.contains("not that none is open"), "{text}");
    }

    #[test]
    fn what_came_later_is_looked_at_where_it_is_unclear() {
        let mut suspect = mailbox(9, 9);
        let mut report = Report::default();
        report.programs.exim = 1;
        let is_later = |command: &str| command.contains(r#"| awk '$0 >= "2026-02-20 00:00"' |"#);
        let found = |suspect: &Suspect| {
            against(suspect, &report).iter().flat_map(|step| &step.commands).any(|(_, command)| is_later(command))
        };
        assert!(!found(&suspect));
        suspect.case.usual_recipients = 5;
        assert!(found(&suspect));
        suspect.case.usual_apart = 5;
        assert!(!found(&suspect), "all of it is from elsewhere");
    }
}
