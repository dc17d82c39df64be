//! What waits in the queue of a suspect: hold it, look at it, remove it. Exim's spool says who put a message there, whatever the
//! sender's address is; Postfix lists senders only.

use tidegate_watch::api::report::{Report, Suspect};

use super::Step;
use crate::cli::logs::shown::counted;

/// Whose logs were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mta {
    Exim,
    Postfix,
}

impl Mta {
    pub(super) fn of(report: &Report) -> Mta {
        if report.programs.postfix > report.programs.exim { Mta::Postfix } else { Mta::Exim }
    }
}

/// `name` as a regular expression that fits nothing else. Only for names that are harmless.
pub(super) fn pattern(name: &str) -> String {
    name.replace('.', "[.]").replace('+', "[+]")
}

/// Holding and removing what a login or a local user put into the queue.
pub(super) fn steps(suspect: &Suspect, mta: Mta) -> Vec<Step> {
    let name = suspect.name.as_str();
    let user = suspect.local_user.as_deref().unwrap_or(name);
    let is_mailbox = suspect.kind == "mailbox";
    let (who, list) = match mta {
        Mta::Exim if is_mailbox => (name, exim("-rliE", "auth_id", name)),
        Mta::Exim => (user, exim("-rlE", "ident", user)),
        Mta::Postfix if is_mailbox => (name, postfix(&format!("$7 == \"{name}\""))),
        Mta::Postfix => (user, postfix(&format!("$7 ~ \"^{}@\"", pattern(user)))),
    };
    if suspect.case.waiting == 0 && suspect.case.at_end == "quiet" {
        return vec![
            Step::new(format!(
                "None of it waited in the queue at the end of the log. See whether any does by now; {}.",
                one_by_one(mta)
            ))
            .run("", &[who], || list),
        ];
    }
    let waited = match suspect.case.waiting {
        0 => "none waited at the end of the log".to_owned(),
        count => format!("{} waited at the end of the log", counted(count, "message")),
    };
    let shared = if is_mailbox || user == suspect.account {
        String::new()
    } else {
        format!(" {user} may run the pages of others as well: look at each.")
    };
    hold_and_remove(
        &format!("Hold what waits in the queue ({waited}); nothing is lost by it.{shared}"),
        who,
        &list,
        mta,
    )
}

/// The same for what is addressed to `name`.
pub(super) fn steps_to(name: &str, mta: Mta) -> Vec<Step> {
    match mta {
        Mta::Exim => hold_and_remove(
            "Hold what waits to be forwarded; nothing is lost by it.",
            name,
            &format!("exiqgrep -i -r '^{}$'", pattern(name)),
            mta,
        ),
        Mta::Postfix => Vec::new(),
    }
}

/// What is done with the few that are found.
fn one_by_one(mta: Mta) -> &'static str {
    match mta {
        Mta::Exim => "`exim -Mvh ID` and `exim -Mvb ID` show one, `exim -Mf ID` holds it, `exim -Mrm ID` removes it",
        Mta::Postfix => "`postcat -q ID` shows one, `postsuper -h ID` holds it, `postsuper -d ID` removes it",
    }
}

fn hold_and_remove(text: &str, who: &str, list: &str, mta: Mta) -> Vec<Step> {
    let (hold, show, look, remove, thaw) = match mta {
        Mta::Exim => (
            "xargs -r exim -Mf",
            "exim -Mvh \"$id\" | grep -iE '^[0-9]+. (From|To|Subject):'",
            "`exim -Mvb ID`",
            ("`exim -Mrm ID`", "xargs -r exim -Mrm"),
            "xargs -r exim -Mt",
        ),
        Mta::Postfix => (
            "postsuper -h -",
            "postcat -qh \"$id\" | grep -iE '^(From|To|Subject):'",
            "`postcat -q ID`",
            ("`postsuper -d ID`", "postsuper -d -"),
            "postsuper -H -",
        ),
    };
    vec![
        Step::new(text).run("", &[who], || format!("{list} | {hold}")),
        Step::new(format!("Look at sender and subject of all that is held, at the text with {look}.")).run(
            "",
            &[who],
            || format!("{list} | while read -r id; do echo \"$id\"; {show}; done"),
        ),
        Step::new(format!(
            "Remove what is spam, each with {}; all at once only if you saw nothing else. Then let the rest go.",
            remove.0
        ))
        .run("only if all of it is spam", &[who], || format!("{list} | {}", remove.1))
        .run("lets go what is left", &[who], || format!("{list} | {thaw}")),
    ]
}

/// Ids of messages whose envelope file in the spool of cPanel or Debian has this value.
fn exim(options: &str, field: &str, value: &str) -> String {
    // In newer versions a second hyphen marks what came from outside; the name of a lookup in parentheses may follow.
    let line = format!("^--?([(][^)]*[)])?{field} {}$", pattern(value));
    format!("grep {options} --include='*-H' '{line}' /var/spool/exim*/input | sed 's|.*/||; s|-H$||'")
}

/// Ids of messages in Postfix's queue whose entry fits.
fn postfix(condition: &str) -> String {
    format!("postqueue -p | tail -n +2 | awk 'BEGIN {{ RS = \"\" }} {condition} {{ print $1 }}' | tr -d '*!'")
}
