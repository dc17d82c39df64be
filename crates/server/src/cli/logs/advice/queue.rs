//! What waits in the queue of a suspect: hold it, look at it, remove it. Exim's spool says who put a message there, whatever the
//! sender's address is; Postfix lists senders only.

use tidegate_watch::api::report::{Report, Suspect};

use super::{NAME_OCTETS_MAX, Step, is_harmless, shared};
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
    if suspect.kind != "mailbox" && shared::is_shared(suspect) {
        return of_shared(suspect, user, mta);
    }
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
    hold_and_remove(
        &format!("Hold what waits in the queue ({}); nothing is lost by it.", waited(suspect)),
        who,
        &list,
        mta,
    )
}

fn waited(suspect: &Suspect) -> String {
    match suspect.case.waiting {
        0 => "none waited at the end of the log".to_owned(),
        count => format!("{} waited at the end of the log", counted(count, "message")),
    }
}

/// What a user put there who runs the sites of many: only what has a sender or a subject of the case is held or removed.
fn of_shared(suspect: &Suspect, user: &str, mta: Mta) -> Vec<Step> {
    let called = shared::called(user);
    let warning = format!(
        "Careful: every site that runs as {called} sends as {called}. To hold or remove all of {called}'s mail would hit all customers"
    );
    let (senders, subjects) = (senders(suspect, user), subjects(suspect));
    let Some((which, list)) = narrowed((&senders, &subjects), user, mta) else {
        let list = match mta {
            Mta::Exim => exim("-rlE", "ident", user),
            Mta::Postfix => postfix(&format!("$7 ~ \"^{}@\"", pattern(user))),
        };
        return vec![
            Step::new(format!(
                "Look at what waits in the queue ({}). {warning}, and the examples do not tell the case's apart. So the command only lists; take what has the subjects of the examples, one by one: {}.",
                waited(suspect),
                one_by_one(mta)
            ))
            .run("only lists, the mail of all these sites", &[user], || list),
        ];
    };
    let mut names = senders.clone();
    names.push(user);
    if suspect.case.waiting == 0 && suspect.case.at_end == "quiet" {
        return vec![
            Step::new(format!(
                "None of it waited in the queue at the end of the log. See whether any does by now: the command lists only what has {which}; the program may have used others. {warning}. {}.",
                one_by_one(mta)
            ))
            .run("", &names, || list),
        ];
    }
    let text = format!(
        "Hold what waits in the queue and has {which} ({} of all that {called} sent); nothing is lost by it. The program may have used others as well. {warning}.",
        waited(suspect)
    );
    hold_and_remove_all(&text, &names, &list, mta)
}

/// What tells the mail of the case from that of the user's other programs, and a command that lists it.
fn narrowed((senders, subjects): (&[&str], &[String]), user: &str, mta: Mta) -> Option<(&'static str, String)> {
    // The third line of an envelope file is the sender; names of these files are Exim's own.
    let only = |by: String| {
        format!(
            "grep -rlE --include='*-H' '{}' /var/spool/exim*/input | xargs -r grep -lE '{by}' | sed 's|.*/||; s|-H$||'",
            line("ident", user)
        )
    };
    let any = senders.iter().map(|sender| pattern(sender)).collect::<Vec<_>>().join("|");
    const SENDER: &str = "a sender of the examples";
    match mta {
        Mta::Postfix if senders.is_empty() => None,
        Mta::Postfix => Some((SENDER, postfix(&format!("$7 ~ \"^({any})$\"")))),
        Mta::Exim if !senders.is_empty() => Some((SENDER, only(format!("^<({any})>$")))),
        Mta::Exim if subjects.is_empty() => None,
        Mta::Exim => Some((
            "a subject like those of the examples",
            only(format!("^[0-9]+. +Subject: ({})$", subjects.join("|"))),
        )),
    }
}

/// Subjects of the examples as regular expressions, in which numbers may differ and a dot stands for all that is neither letter nor
/// number; a few, and none that is so short that others have it as well.
fn subjects(suspect: &Suspect) -> Vec<String> {
    const SUBJECTS_MAX: usize = 5;
    const LETTERS_MIN: usize = 8;
    let mut list: Vec<String> = Vec::new();
    for sample in suspect.samples.iter().filter(|sample| sample.subject.len() <= NAME_OCTETS_MAX) {
        let mut pattern = String::new();
        for c in sample.subject.chars() {
            match c {
                c if c.is_ascii_digit() && pattern.ends_with("[0-9]+") => {}
                c if c.is_ascii_digit() => pattern.push_str("[0-9]+"),
                c if c.is_ascii_alphabetic() => pattern.push(c),
                _ => pattern.push('.'),
            }
        }
        let letters = sample.subject.chars().filter(char::is_ascii_alphabetic).count();
        if sample.subject.is_ascii() && letters >= LETTERS_MIN && !list.contains(&pattern) {
            list.push(pattern);
        }
    }
    list.truncate(SUBJECTS_MAX);
    list
}

/// Senders of the examples that are not what every program of `user` has; a few.
fn senders<'s>(suspect: &'s Suspect, user: &str) -> Vec<&'s str> {
    const SENDERS_MAX: usize = 5;
    let mut list: Vec<&str> = suspect.samples.iter().map(|sample| sample.sender.as_str()).collect();
    list.sort_unstable();
    list.dedup();
    list.retain(|sender| {
        let local = sender.split_once('@').map_or("", |(local, _)| local);
        is_harmless(sender) && !local.is_empty() && local != user && local != "root"
    });
    list.truncate(SENDERS_MAX);
    list
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
    hold_and_remove_all(text, &[who], list, mta)
}

fn hold_and_remove_all(text: &str, names: &[&str], list: &str, mta: Mta) -> Vec<Step> {
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
        Step::new(text).run("", names, || format!("{list} | {hold}")),
        Step::new(format!("Look at sender and subject of all that is held, at the text with {look}.")).run(
            "",
            names,
            || format!("{list} | while read -r id; do echo \"$id\"; {show}; done"),
        ),
        Step::new(format!(
            "Remove what is spam, each with {}; all at once only if you saw nothing else. Then let the rest go.",
            remove.0
        ))
        .run("only if all of it is spam", names, || format!("{list} | {}", remove.1))
        .run("lets go what is left", names, || format!("{list} | {thaw}")),
    ]
}

/// Ids of messages whose envelope file in the spool of cPanel or Debian has this value.
fn exim(options: &str, field: &str, value: &str) -> String {
    let line = line(field, value);
    format!("grep {options} --include='*-H' '{line}' /var/spool/exim*/input | sed 's|.*/||; s|-H$||'")
}

fn line(field: &str, value: &str) -> String {
    // In newer versions a second hyphen marks what came from outside; the name of a lookup in parentheses may follow.
    format!("^--?([(][^)]*[)])?{field} {}$", pattern(value))
}

/// Ids of messages in Postfix's queue whose entry fits.
fn postfix(condition: &str) -> String {
    format!("postqueue -p | tail -n +2 | awk 'BEGIN {{ RS = \"\" }} {condition} {{ print $1 }}' | tr -d '*!'")
}
