//! What to do about what a report found, step by step. Commands are given only with names that a shell takes as they are:
//! a name from a log may have been chosen so that it runs something.

use tidegate_watch::api::report::{AttackerRow, Suspect};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// A sentence.
    pub(super) text: String,
    /// A command that helps.
    pub(super) command: Option<String>,
}

fn step(text: &str) -> Step {
    Step { text: text.to_owned(), command: None }
}

/// A step with a command, if `name` is harmless in it.
fn run(text: &str, name: &str, command: impl FnOnce(&str) -> String) -> Step {
    Step { text: text.to_owned(), command: is_harmless(name).then(|| command(name)) }
}

/// Whether a shell takes `name` as it is, and no program takes it for an option.
fn is_harmless(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._+/:-".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.len() <= 200 && name.chars().all(is_plain)
}

/// Steps against a compromise, the most urgent first.
pub(super) fn against(suspect: &Suspect) -> Vec<Step> {
    let name = suspect.name.as_str();
    match suspect.kind {
        "mailbox" => mailbox(suspect, name),
        "script" => script(suspect, name),
        "forwarder" => vec![
            step(
                "Have this address deliver here, or forward only what is no spam: the spam that it passes on counts as yours.",
            ),
            step(
                "Tell the owner why mail to the other mailbox is refused; fetching it from here by IMAP or POP3 does no harm.",
            ),
            run("See what of it still waits.", name, |name| format!("exiqgrep -i -r {name}")),
        ],
        "relay" => vec![
            step(
                "If this host is yours, find out what on it sends, and have it log in. If not, take it out of the hosts that may relay: `relay_from_hosts` or `dc_relay_nets` of Exim, `mynetworks` of Postfix.",
            ),
            run("Keep it out until then.", name, |name| format!("tidegate list add block {name} --until 30d")),
        ],
        _ => vec![
            run("See what this user runs, and what is to run by itself.", name, |name| {
                format!("ps -fu {name}; crontab -l -u {name}")
            }),
            step("Look for the calls in the access logs of the web sites, at the times of the examples."),
            step(
                "Have Exim log where programs were started (`log_selector = +arguments`): then the script itself is named.",
            ),
        ],
    }
}

fn mailbox(suspect: &Suspect, name: &str) -> Vec<Step> {
    let mut steps = vec![
        step("Change its password now, to one that was never used before; the old one is known."),
        run("End the sessions that are open.", name, |name| format!("doveadm kick {name}")),
        run("Look at what still waits in the queue, and remove it.", name, |name| format!("exiqgrep -f {name}")),
    ];
    match &suspect.entered_from {
        Some(ip) => steps.push(run("Keep the address out from which it was guessed.", ip, |ip| {
            format!("tidegate list add block {ip} --until 30d")
        })),
        None => steps.push(step("Ask the owner where the password was used or typed in (phishing, the same one elsewhere), and have the computer scanned.")),
    }
    steps.push(step("Look into the mailbox for filters, forwarders and replies that the intruder left."));
    steps
}

fn script(suspect: &Suspect, name: &str) -> Vec<Step> {
    let since = suspect.since.clone().unwrap_or_default();
    let mut steps = vec![
        run("Find the program: files of this folder that are new or were changed lately.", name, |name| {
            format!("find {name} -type f -newermt {since} -ls")
        }),
        step(
            "Look for the calls in the access log of the site, at the times of the examples: they show who comes from where to which file.",
        ),
        step(
            "Move the file away and keep it; do not only delete it. A contact form that mails anybody needs a fixed recipient and a captcha.",
        ),
    ];
    if suspect.signals.iter().any(|signal| signal.name == "night") {
        steps.push(run("Look at what the account runs by itself.", &suspect.account, |user| {
            format!("crontab -l -u {user}")
        }));
    }
    steps.push(step(
        "Look for the way in: update the site and its plugins, change the passwords of panel, FTP and database.",
    ));
    steps
}

/// What to do about an attacker, in a few words.
pub(super) fn about_attacker(row: &AttackerRow) -> &'static str {
    match row.kind {
        "distributed" => "nothing to block: see that the password is strong and not used elsewhere",
        "spraying" => "block; see that no mailbox has a common password",
        "slow_guessing" => "block for long: it comes back",
        "dictionary" => "block; refuse unknown recipients at RCPT",
        "relay" => "nothing: it was refused",
        _ => "block",
    }
}

/// The kind of an attacker in words.
pub(super) fn attack_in_words(kind: &str) -> &'static str {
    match kind {
        "guessing" => "guesses passwords",
        "slow_guessing" => "guesses passwords slowly",
        "spraying" => "tries many logins",
        "distributed" => "login guessed from many addresses",
        "dictionary" => "looks for recipients",
        "relay" => "asks to relay",
        _ => "attacks",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_with_a_name_that_a_shell_would_run() {
        for name in ["$(reboot)@x", "a b", "`id`", "x;id", "-rf", "a\nb", "", "a'b", "~root", "a*"] {
            assert!(!is_harmless(name), "{name}");
            let suspect = Suspect {
                kind: "mailbox",
                name: name.to_owned(),
                account: name.to_owned(),
                score: 5,
                worst_day: String::new(),
                since: None,
                until: None,
                recipients: 0,
                entered_by: String::new(),
                entered_from: None,
                signals: Vec::new(),
                by_day: Vec::new(),
                timeline: Vec::new(),
                samples: Vec::new(),
            };
            for kind in ["mailbox", "script", "user", "forwarder", "relay"] {
                let steps = against(&Suspect { kind, ..suspect.clone() });
                assert!(steps.iter().all(|step| step.command.is_none()), "{name}: {steps:?}");
            }
        }
        assert!(is_harmless("anna.o-b+x@site.example") && is_harmless("/home/shop/public_html"));
    }
}
