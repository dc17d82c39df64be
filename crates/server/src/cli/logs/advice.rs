//! What to do about a compromise, step by step: first what ends the sending, then what finds and closes the way in. Commands are
//! given only with names that a shell takes as they are: a name from a log may have been chosen so that it runs something.

use tidegate_watch::api::report::{Report, Suspect};

use super::from_where;
use super::shown::{counted, grouped};
use queue::Mta;

mod programs;
mod queue;
mod sessions;
mod shared;

/// Octets of a name in a command.
const NAME_OCTETS_MAX: usize = 120;
/// Days before the first suspect day from which on files are looked at: they are put there before they send.
const DAYS_BEFORE: i64 = 7;
/// So many addresses stand within a command; of more there is one list for all commands of a step.
const FEW: usize = 3;
/// Whoever blocks addresses that sent less than this share of a day, in percent, keeps hardly anything out.
const BLOCK_PERCENT_MIN: u64 = 25;

/// For whom a command on Exim's file of passwords is.
const EXIM_PASSWORDS: &str = "Debian, passwords in /etc/exim4/passwd";

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// A sentence.
    pub(super) text: String,
    /// Commands that do what it says, each with the system for which it is; empty for all.
    pub(super) commands: Vec<(&'static str, String)>,
}

impl Step {
    fn new(text: impl Into<String>) -> Step {
        Step { text: text.into(), commands: Vec::new() }
    }

    /// Adds a command for `system`, if all `names` in it are harmless.
    fn run(mut self, system: &'static str, names: &[&str], command: impl FnOnce() -> String) -> Step {
        if names.iter().all(|name| is_harmless(name)) {
            self.commands.push((system, command()));
        }
        self
    }

    /// The same for cPanel, which has Exim.
    fn cpanel(self, mta: Mta, system: &'static str, names: &[&str], command: impl FnOnce() -> String) -> Step {
        if mta == Mta::Exim { self.run(system, names, command) } else { self }
    }
}

/// Whether a shell takes `name` as it is, and no program takes it for an option.
fn is_harmless(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@._+/:-".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.len() <= NAME_OCTETS_MAX && name.chars().all(is_plain)
}

/// Steps against a compromise, the most urgent first.
pub(super) fn against(suspect: &Suspect, report: &Report) -> Vec<Step> {
    let mta = Mta::of(report);
    let name = suspect.name.as_str();
    match suspect.kind {
        "mailbox" => mailbox(suspect, name, mta),
        "script" => script(suspect, name, mta),
        "forwarder" => forwarder(name, mta),
        "relay" => vec![
            Step::new("Keep it out until it is clear what it sends (where Tidegate guards this server; else in the firewall).")
                .run("", &[name], || format!("tidegate list add block {name} --until 30d")),
            Step::new(
                "If this host is yours, find out what on it sends, and have it log in. If not, take it out of the hosts that may relay: `relay_from_hosts` or `dc_relay_nets` of Exim, `mynetworks` of Postfix.",
            ),
        ],
        _ => user(suspect, name, mta),
    }
}

fn mailbox(suspect: &Suspect, name: &str, mta: Mta) -> Vec<Step> {
    let (local, domain) = name.rsplit_once('@').unwrap_or((name, ""));
    let owner = owner(suspect, domain);
    let uri = name.replace('@', "%40");
    const LOCK: &str = "Lock the login, so that nothing more goes out; where no command here fits, give it a password that nobody knows.";
    let mut lock = Step::new(LOCK)
        .cpanel(mta, "cPanel", &[name, domain], || format!("uapi --user={owner} Email suspend_login email={uri}"));
    let pattern = queue::pattern(name);
    if mta == Mta::Exim {
        lock = lock
            .run(EXIM_PASSWORDS, &[name], || format!(r"sed -i '\|^{pattern}:!|!s|^{pattern}:|&!|' /etc/exim4/passwd"));
    }
    let mut steps = vec![lock, sessions::end(suspect, name)];
    steps.extend(queue::steps(suspect, mta));
    let mut password =
        Step::new("Set a password that was never used before and that nobody guesses; the old one is known. Only then unlock the login.")
            .cpanel(mta, "cPanel, makes one and shows it", &[local, domain], || {
                format!(
                    "p=$(openssl rand -hex 16); echo \"$p\"; uapi --user={owner} Email passwd_pop email={local} domain={domain} password=\"$p\""
                )
            })
            .cpanel(mta, "cPanel, unlocks", &[name, domain], || {
                format!("uapi --user={owner} Email unsuspend_login email={uri}")
            });
    if mta == Mta::Exim {
        password = password.run("Debian, asks for the new one and unlocks", &[name], || {
            // Without a hash, as after two entries that differ, the file stays as it is: an empty one might let anybody in.
            format!(
                r#"h=$(openssl passwd -6); case "$h" in '$6$'*) sed -i "s|^{pattern}:.*|{name}:$h|" /etc/exim4/passwd;; *) echo 'nothing changed: the entries differ';; esac"#
            )
        });
    }
    steps.push(password);
    let is_guessed = suspect.case.guessing.as_ref().is_some_and(|guessing| guessing.succeeded.is_some());
    let how = if is_guessed {
        ""
    } else {
        " Ask where the password was used or typed in (phishing, the same one elsewhere), and have the computer scanned."
    };
    steps.push(Step::new(format!(
        "Tell the owner: the new password (by telephone, not by mail); that a stranger could read all the mail in the mailbox and write under the owner's name; that passwords elsewhere which are reset by mail to this address may be known by now, so change those too.{how}"
    )));
    steps.extend(sessions::later(suspect, name, mta));
    steps.extend(block(suspect, name, mta));
    let forwards = suspect.case.forwards.as_ref().map_or_else(
        || "Nothing shown is well.".to_owned(),
        |forwards| {
            format!(
                "One forwards: this log has {} of it, the last on {}. See to where, and take it out if it is not the owner's; a new password does not end it.",
                counted(forwards.recipients, "recipient"),
                forwards.last
            )
        },
    );
    steps.push(
        Step::new(format!("Look for filters and forwarders that the intruder left: what the commands show has to be the owner's. {forwards}"))
            .cpanel(mta, "cPanel", &[local, domain], || {
                format!(
                    "grep -n '^{}:' /etc/valiases/{domain}; cat /etc/vfilters/{domain} /home*/*/etc/{domain}/{local}/filter.yaml 2>/dev/null",
                    queue::pattern(name)
                )
            })
            .run("Dovecot with Sieve", &[name], || {
                format!("doveadm sieve list -u {name} | sed 's/ ACTIVE$//' | while read -r s; do echo \"$s\"; doveadm sieve get -u {name} \"$s\"; done")
            }),
    );
    steps
}

/// Keeping out from where it was used, without the owner's own addresses.
fn block(suspect: &Suspect, login: &str, mta: Mta) -> Option<Step> {
    let ranges = from_where::to_block(suspect);
    if ranges.is_empty() {
        return None;
    }
    if !suspect.case.are_networks_known {
        let text = format!(
            "Keep out the addresses that are neither the owner's nor this server's, in Tidegate or in the firewall; the log begins too late to tell them apart. They stand under “{}”; each with `tidegate list add block ADDRESS --until 30d`, `csf -d ADDRESS` or `whmapi1 create_cphulk_record list_name=black ip=ADDRESS`.",
            from_where::HEADING
        );
        return Some(Step::new(text));
    }
    let names: Vec<&str> = ranges.iter().map(String::as_str).collect();
    let is_list = names.len() > FEW;
    let (kept, of_day) = from_where::kept(suspect);
    let sent =
        format!("“{}” sent {} of that day's {}", from_where::HEADING, grouped(kept), counted(of_day, "recipient"));
    if suspect.case.has_more_clients && is_list && kept * 100 < of_day * BLOCK_PERCENT_MIN {
        return Some(Step::new(format!(
            "Blocking addresses helps little here: there were too many. Those that stand under {sent}. What keeps the others out as well is the new password."
        )));
    }
    let mut text = "Keep out from where it was sent. Each command does the same with another program: run the one whose program this server has. Neither the owner's usual addresses nor this server's own are among them.".to_owned();
    if is_list {
        text.push_str(" Put the list into the shell first, then run one of the others in the same shell.");
    }
    if suspect.case.has_more_clients {
        text.push_str(&format!(
            " There were more addresses than a report keeps: those that stand under {sent}. The new password keeps the others out as well."
        ));
    }
    let (v6, v4): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains(':'));
    let mut step = Step::new(text);
    if is_list {
        let lists = [("v4", &v4), ("v6", &v6)].into_iter().filter(|(_, list)| !list.is_empty());
        let lists: Vec<String> = lists.map(|(name, list)| format!("{name}='{}'", list.join(" "))).collect();
        step = step.run("the list, first", &names, || lists.join("; "));
    }
    let each = |before: &str, after: &str| match names.as_slice() {
        [one] => format!("{before}{one}{after}"),
        few if !is_list => format!("for ip in {}; do {before}\"$ip\"{after}; done", few.join(" ")),
        _ => {
            let lists: Vec<&str> = [("$v4", &v4), ("$v6", &v6)]
                .into_iter()
                .filter(|(_, list)| !list.is_empty())
                .map(|(name, _)| name)
                .collect();
            format!("for ip in {}; do {before}\"$ip\"{after}; done", lists.join(" "))
        }
    };
    let step = step
        .run("Tidegate", &names, || each("tidegate list add block ", " --until 30d"))
        .run("csf", &names, || each("csf -d ", ""))
        .run("cPHulk, logins only", &names, || each("whmapi1 create_cphulk_record list_name=black ip=", ""))
        .run("nft; gone after a reboot, and undone by nft delete table inet mailblock", &names, || {
            nft(&v4, &v6, is_list)
        });
    Some(if suspect.case.has_more_clients { all_of_them(step, suspect, login, mta) } else { step })
}

/// Shows every address of the days of the case, where Exim's log tells.
fn all_of_them(step: Step, suspect: &Suspect, login: &str, mta: Mta) -> Step {
    if mta != Mta::Exim {
        return step;
    }
    let days = programs::dates(suspect).iter().map(jiff::civil::Date::to_string).collect::<Vec<_>>().join("|");
    step.run("shows all addresses of these days from Exim's log with the number of messages, the owner's among them", &[login], || {
        format!(
            r"zgrep -hE '^({days}) .* <= .* A=[^ :]*:{}( |$)' /var/log/exim4/mainlog* /var/log/exim_mainlog* 2>/dev/null | sed -nE 's/ P=.*//; s/ I=\[[^ ]*//; s/.*\[([0-9a-fA-F.:]+)\](:[0-9]+)?$/\1/p' | sort | uniq -c | sort -rn",
            queue::pattern(login)
        )
    })
}

/// A table of its own that drops packets from there.
fn nft(v4: &[&str], v6: &[&str], is_list: bool) -> String {
    let rule = |family: &str, name: &str, list: &[&str]| match list {
        [] => String::new(),
        _ if is_list => {
            format!("; add rule inet mailblock incoming {family} saddr {{ $(echo ${name} | tr ' ' ,) }} drop")
        }
        list => format!("; add rule inet mailblock incoming {family} saddr {{ {} }} drop", list.join(", ")),
    };
    let rules = format!("{}{}", rule("ip", "v4", v4), rule("ip6", "v6", v6));
    format!(
        "nft \"add table inet mailblock; add chain inet mailblock incoming {{ type filter hook input priority -10; }}{rules}\""
    )
}

/// The panel's user: the account, or where only the domain is known, what the panel says of it.
fn owner(suspect: &Suspect, domain: &str) -> String {
    if suspect.account != domain && is_harmless(&suspect.account) {
        return suspect.account.clone();
    }
    format!("\"$(/usr/local/cpanel/scripts/whoowns {domain})\"")
}

fn script(suspect: &Suspect, name: &str, mta: Mta) -> Vec<Step> {
    let user = suspect.local_user.as_deref().unwrap_or("");
    let is_odd = suspect.signals.iter().any(|signal| signal.name == "odd_place");
    let is_shared = shared::is_shared(suspect);
    let mut stop = Step::new(programs::stop_text(suspect.account.as_str(), is_odd));
    // What a shared user sends does not count as the account's for the panel.
    if !is_shared {
        stop = stop.cpanel(mta, "cPanel, holds all mail of the account", &[user], || {
            format!("whmapi1 hold_outgoing_email user={user}")
        });
    }
    let account = suspect.account.as_str();
    let kept = programs::kept(account);
    let stop = programs::take_out(stop, name, account, is_odd);
    let mut steps = vec![stop];
    let timed = timed_job(suspect, user, name);
    let is_timed = suspect.case.pattern.is_some();
    if is_timed {
        steps.push(timed.clone());
    }
    steps.push(if is_shared { shared::running(user) } else { running(user) });
    steps.extend(queue::steps(suspect, mta));
    let since = days_before(suspect.since.as_deref());
    let home = home(name);
    steps.push(
        Step::new(format!("Find the program: what lies in the folder, then every PHP file, server setting and program of the account whose content, owner or mode changed since a week before it began. Of those whose mode step 1 changed, the times from before it stand in `{kept}`."))
            .run("", &[name], || format!("ls -lac {name}"))
            .run("", &[home, &since], || {
                format!(r"find {home} -xdev -type f \( -name '*.ph*' -o -name '.ht*' -o -perm /111 \) -newerct {since} -ls")
            }),
    );
    if !is_timed {
        steps.push(timed);
    }
    if is_shared {
        steps.push(shared::elsewhere(suspect, user));
    }
    steps.push(Step::new("Look for keys with which somebody logs in over SSH; take out those that nobody knows.").run(
        "",
        &[home],
        || format!("ls -la {home}/.ssh; cat {home}/.ssh/authorized_keys"),
    ));
    steps.push(programs::calls(suspect, name, is_odd, mta));
    let form =
        if is_odd { "" } else { " If it is a form that mails anybody: give it a fixed recipient and a captcha." };
    let clean = Step::new(format!(
        "Move what you found away and keep it; do not only delete it.{form} Update the site and its plugins, change the passwords of panel, FTP and database. Then delete from `{kept}` the lines of all that does not belong there: the command gives every program that is still listed the mode back that step 1 took from it. One that it may not change is not the account's: look at it once more."
    ));
    steps.push(programs::give_back(clean, name, account));
    if !is_shared {
        steps.push(Step::new("Look at the queue once more as above; then let the account's mail go again.").cpanel(
            mta,
            "cPanel",
            &[user],
            || format!("whmapi1 release_outgoing_email user={user}"),
        ));
    }
    steps
}

/// What of the user runs now, kept before it is ended.
fn running(user: &str) -> Step {
    Step::new("See what of the user still runs (PHP, IMAP and the like are usual). Write down what a process is before you end it with `kill` and its number. That nothing runs now does not mean that nothing is there.")
        .run("", &[user], || format!("ps -o pid,lstart,cmd -u {user}"))
        .run("", &[user], || format!("for p in $(pgrep -u {user}); do ls -l /proc/$p/exe /proc/$p/cwd; done"))
}

/// What begins by itself: the user's entries, the account's if that is another one, the system's, `at`, timers of systemd.
fn timed_job(suspect: &Suspect, user: &str, place: &str) -> Step {
    let mut users = vec![user];
    if suspect.kind == "script" && suspect.account != user {
        users.insert(0, suspect.account.as_str());
    }
    let whose = users.iter().map(|user| shared::called(user)).collect::<Vec<_>>().join(" and ");
    let text = match &suspect.case.pattern {
        Some(pattern) => format!(
            "It comes at {:02}:00 each day: find the timed job that starts it. Keep a copy of the entry, then take it out (of `at` with `atrm`, a timer with `systemctl disable --now`).",
            pattern.from_hour
        ),
        None => format!("Look at what {whose} runs by itself."),
    };
    let mut step = Step::new(text);
    for user in &users {
        step = step.run("keeps a copy", &[user], || format!("crontab -l -u {user} | tee /root/crontab-{user}"));
    }
    let mut names = users.clone();
    names.push(place);
    let patterns: Vec<String> = names.iter().map(|name| queue::pattern(name)).collect();
    step = step.run("the system's", &names, || {
        format!("grep -rsE '{}' /etc/crontab /etc/cron*/; atq; systemctl list-timers --all", patterns.join("|"))
    });
    for user in users.iter().filter(|_| suspect.case.pattern.is_some()) {
        step = step.run("takes the entry out", &[user], || format!("crontab -e -u {user}"));
    }
    step
}

fn forwarder(name: &str, mta: Mta) -> Vec<Step> {
    let domain = name.rsplit_once('@').map_or("", |(_, domain)| domain);
    let mut steps = vec![
        Step::new("Have the address deliver here instead of forwarding, until its mail is filtered: the spam that it passes on counts as yours.")
            .cpanel(mta, "cPanel, shows where it goes", &[name, domain], || {
                format!("grep -n '^{}:' /etc/valiases/{domain}", queue::pattern(name))
            }),
    ];
    steps.extend(queue::steps_to(name, mta));
    steps.push(Step::new(
        "Filter spam before forwarding: refuse or keep here what looks like spam, and forward the rest.",
    ));
    steps.push(Step::new(
        "Tell the owner why the other side refuses; fetching the mail from here by IMAP or POP3 does no harm. Nobody has to change a password for this.",
    ));
    steps
}

fn user(suspect: &Suspect, name: &str, mta: Mta) -> Vec<Step> {
    let is_shared = shared::is_shared(suspect);
    let stop = if is_shared {
        Step::new(format!(
            "Find out whose program it is: {} runs the sites of many, so there is no account to stop. The senders and subjects of the examples tell the site.",
            shared::called(name)
        ))
    } else {
        Step::new("Stop the sending of the whole account.")
            .cpanel(mta, "cPanel", &[name], || format!("whmapi1 hold_outgoing_email user={name}"))
    };
    let runs = if is_shared { shared::running(name) } else { running(name) };
    let mut steps = vec![stop, timed_job(suspect, name, name), runs];
    steps.extend(queue::steps(suspect, mta));
    steps.push(Step::new(
        "Look for the calls in the access logs of the account's web sites, at the times of the examples: a mail log does not show them.",
    ));
    if mta == Mta::Exim {
        steps.push(Step::new(
            "Have Exim log where programs are started (`log_selector = +arguments`): then the folder of the script is named.",
        ));
    }
    steps
}

/// The home folder in which `path` lies, else the path.
fn home(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/home") else { return path };
    let mut ends = rest.match_indices('/').map(|(at, _)| at + "/home".len());
    match (ends.next(), ends.next()) {
        (Some(_), Some(end)) => path.get(..end).unwrap_or(path),
        _ => path,
    }
}

/// The date some days before `date`; empty if it is none.
fn days_before(date: Option<&str>) -> String {
    let date = date.and_then(|date| date.parse::<jiff::civil::Date>().ok());
    let before = date.and_then(|date| date.checked_sub(jiff::Span::new().days(DAYS_BEFORE)).ok());
    before.map(|date| date.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{Client, Pattern, Signal};

    use super::*;

    fn suspect(kind: &'static str, name: &str) -> Suspect {
        Suspect {
            kind,
            name: name.to_owned(),
            account: name.to_owned(),
            local_user: Some(name.to_owned()),
            entered_from: Some(name.to_owned()),
            since: Some("2026-02-18".to_owned()),
            ..Suspect::default()
        }
    }

    fn commands(suspect: &Suspect, report: &Report) -> Vec<String> {
        against(suspect, report).into_iter().flat_map(|step| step.commands).map(|(_, command)| command).collect()
    }

    #[test]
    fn no_command_with_a_name_that_a_shell_would_run() {
        for name in ["$(reboot)@x", "a b", "`id`", "x;id", "-rf", "a\nb", "", "a'b", "~root", "a*"] {
            assert!(!is_harmless(name), "{name}");
            for kind in ["mailbox", "script", "user", "forwarder", "relay"] {
                assert_eq!(commands(&suspect(kind, name), &Report::default()), Vec::<String>::new(), "{kind} {name}");
            }
        }
        assert!(is_harmless("anna.o-b+x@site.example") && is_harmless("/home/shop/public_html"));
    }

    /// What ends the sending stands before what looks for causes, and no command is another system's.
    #[test]
    fn contain_first() {
        let mut report = Report::default();
        report.programs.exim = 9;
        let mailbox = suspect("mailbox", "anna@site.example");
        let steps = against(&mailbox, &report);
        assert!(steps[0].text.starts_with("Lock the login"), "{steps:?}");
        let found = commands(&mailbox, &report);
        let lock = "uapi --user=anna@site.example Email suspend_login email=anna%40site.example";
        assert_eq!(found[0], lock, "the account is known, so nobody asks for it");
        assert!(found[4].starts_with("grep -rliE") && found[4].ends_with("xargs -r exim -Mf"), "{found:?}");
        // What is no spam goes on its way, and nothing is removed before it was looked at.
        let at = |end: &str| found.iter().position(|command| command.ends_with(end)).expect("a command");
        assert!(at("(From|To|Subject):'; done") < at("exim -Mrm") && at("exim -Mrm") < at("exim -Mt"), "{found:?}");
        assert!(at("suspend_login email=anna%40site.example") < at("exim -Mf"), "{found:?}");
        report.programs.postfix = 99;
        let found = commands(&mailbox, &report);
        assert!(found.iter().all(|command| !command.contains("exi") && !command.contains("uapi")), "{found:?}");
        assert!(found.iter().any(|command| command.ends_with("postsuper -h -")), "{found:?}");
    }

    #[test]
    fn a_script_is_looked_for_in_the_whole_account_from_before_it_sent() {
        let mut script = suspect("script", "/home/shop/public_html/wp-content/uploads/2026/02");
        script.account = "shop".to_owned();
        script.local_user = Some("shop".to_owned());
        script.case.began = Some("2026-02-18T02:00:00".to_owned());
        let found = commands(&script, &Report::default());
        assert_eq!(found[0], "whmapi1 hold_outgoing_email user=shop");
        let find = "find /home/shop -xdev -type f ";
        let since = |command: &&String| command.starts_with(find) && command.ends_with("-newerct 2026-02-11 -ls");
        assert!(found.iter().any(|command| since(&command)), "{found:?}");
        // Not in the hours of the case alone: the very first call, and what was sent elsewhere before that.
        script.signals = vec![Signal { name: "odd_place", evidence: String::new() }];
        let found = commands(&script, &Report::default());
        let calls = "zgrep -hE '\"[A-Z]+ /wp-content/uploads/2026/02/[^ ?\"]*[.]ph' /var/log/apache2/*access*.log* | ";
        assert!(found.iter().any(|command| command.starts_with(calls) && command.ends_with("| head -40")), "{found:?}");
        let sent = "([ -s /root/programs-shop.txt ] && cat /root/programs-shop.txt || find /home/shop/public_html/wp-content/uploads/2026/02 -type f ";
        assert!(found.iter().any(|command| command.starts_with(sent) && command.contains("(POST|PUT)")), "{found:?}");
        // The folder's pictures stay unless nothing else stops it, and what is taken out of use is given back.
        let mut folder = found.iter().filter(|command| command.contains("chmod 000 /home"));
        assert!(folder.all(|command| command.starts_with("[ -s /root/programs-shop.txt ] || {")), "{found:?}");
        let stops = "find /home/shop/public_html/wp-content/uploads/2026/02 -type f ";
        assert!(found.iter().any(|command| command.starts_with(stops) && command.contains("-exec chmod 000")));
        let gives = |command: &&String| command.starts_with("runuser -u shop -- sh -c 'while read -r mode time file;");
        assert!(found.iter().any(|command| gives(&command)), "{found:?}");
        script.signals = Vec::new();
        (script.case.began, script.case.ended) =
            (Some("2026-02-18T02:00:00".to_owned()), Some("2026-02-20T00:00:00".to_owned()));
        let found = commands(&script, &Report::default());
        assert!(found.iter().any(|command| command.contains("[(18/Feb/2026|19/Feb/2026):.*\"POST /wp-")), "{found:?}");
        script.local_user = Some("nobody".to_owned());
        assert!(
            commands(&script, &Report::default())[0].starts_with("find /home/shop/public_html"),
            "nobody's mail is not the account's"
        );
    }

    /// What comes each day is looked for among the timed jobs before anything else, and a folder that no site serves in no access log.
    #[test]
    fn a_timed_job_is_looked_for_first() {
        let mut script = suspect("script", "/home/shop/.cache/.x");
        (script.account, script.local_user) = ("shop".to_owned(), Some("shop".to_owned()));
        script.case.began = Some("2026-02-18T03:00:00".to_owned());
        script.case.pattern = Some(Pattern { from_hour: 3, until_hour: 4, days: 9, of_days: 9, next: None });
        let steps = against(&script, &Report::default());
        assert!(steps[1].text.starts_with("It comes at 03:00 each day"), "{steps:?}");
        assert_eq!(steps[1].commands[0].1, "crontab -l -u shop | tee /root/crontab-shop");
        assert!(steps.iter().all(|step| !step.text.contains("POST")), "{steps:?}");
        assert!(commands(&script, &Report::default()).iter().all(|command| !command.contains("POST")));
    }

    /// All at once and without the owner's addresses; none where the log cannot tell his from others.
    #[test]
    fn only_strangers_are_blocked() {
        let client = |name: &str| Client { name: name.to_owned(), times: 9, ..Client::default() };
        let mut mailbox = suspect("mailbox", "anna@site.example");
        mailbox.entered_from = Some("203.0.113.9".to_owned());
        mailbox.case.clients = vec![client("203.0.113.7"), client("203.0.113.9"), client("2001:db8:1:2::7")];
        mailbox.case.usual_clients = vec![client("198.51.100.2")];
        let is_block = |command: &String| ["list add", "csf", "cphulk", "nft"].iter().any(|by| command.contains(by));
        let all = "ss -tnp '( sport = :25 or sport = :465 or sport = :587 )'";
        let found = commands(&mailbox, &Report::default());
        assert!(!found.iter().any(is_block) && found.iter().any(|command| command == all), "the log is too short");
        mailbox.case.are_networks_known = true;
        let found = commands(&mailbox, &Report::default());
        let blocks: Vec<&String> = found.iter().filter(|command| is_block(command)).collect();
        let each = "for ip in 203.0.113.7 203.0.113.9 2001:db8:1:2::7; do";
        assert_eq!(
            blocks,
            [
                &format!("{each} tidegate list add block \"$ip\" --until 30d; done"),
                &format!("{each} csf -d \"$ip\"; done"),
                &format!("{each} whmapi1 create_cphulk_record list_name=black ip=\"$ip\"; done"),
                &"nft \"add table inet mailblock; add chain inet mailblock incoming { type filter hook input priority -10; }; add rule inet mailblock incoming ip saddr { 203.0.113.7, 203.0.113.9 } drop; add rule inet mailblock incoming ip6 saddr { 2001:db8:1:2::7 } drop\"".to_owned(),
            ]
        );
        let there = " and ( dst 203.0.113.7 or dst 203.0.113.9 or dst [2001:db8:1:2::7] )'";
        assert!(found.iter().any(|command| command.starts_with("ss ") && command.ends_with(there)), "{found:?}");
    }

    /// A botnet's addresses stand in one list, once; where they sent hardly anything of it, nobody is told to block them.
    #[test]
    fn many_addresses_are_listed_once() {
        let mut mailbox = suspect("mailbox", "anna@site.example");
        mailbox.case.are_networks_known = true;
        mailbox.case.has_more_clients = true;
        (mailbox.case.began, mailbox.case.ended) =
            (Some("2026-02-18T06:00:00".to_owned()), Some("2026-02-20T00:00:00".to_owned()));
        mailbox.entered_from = None;
        let client = |n: u32| Client {
            name: format!("203.0.{n}.7"),
            times: 5,
            first: "2026-02-18T06:00:00".to_owned(),
            ..Client::default()
        };
        mailbox.case.clients = (1..=60).map(client).collect();
        let count = |times| vec![tidegate_watch::api::report::Count { name: "2026-02-18".to_owned(), times }];
        mailbox.by_day = count(600);
        let mut report = Report::default();
        report.programs.exim = 9;
        let all = |mailbox: &Suspect| {
            let steps = against(mailbox, &report);
            let lines = |step: &Step| {
                let commands = step.commands.iter().map(|(_, command)| format!("\n{command}"));
                format!("{}{}", step.text, commands.collect::<String>())
            };
            steps.iter().map(lines).collect::<Vec<_>>().join("\n")
        };
        let said = all(&mailbox);
        assert_eq!(said.matches("203.0.33.7").count(), 1, "{said}");
        assert!(said.contains("\nv4='203.0.1.7 203.0.2.7 "), "{said}");
        assert!(said.contains("\nfor ip in $v4; do tidegate list add block \"$ip\" --until 30d; done\n"), "{said}");
        assert!(said.contains("ip saddr { $(echo $v4 | tr ' ' ,) } drop\""), "{said}");
        assert!(said.contains("“From where” sent 300 of that day's 600 recipients"), "{said}");
        assert!(
            said.contains("zgrep -hE '^(2026-02-18|2026-02-19) .* <= .* A=[^ :]*:anna@site[.]example( |$)'"),
            "{said}"
        );
        mailbox.by_day = count(6000);
        let said = all(&mailbox);
        assert!(!said.contains("203.0.33.7") && said.contains("Blocking addresses helps little here"), "{said}");
    }

    /// An empty queue needs no long commands, unless it is still being filled.
    #[test]
    fn an_empty_queue_is_one_step() {
        let mut report = Report::default();
        report.programs.exim = 9;
        let mut script = suspect("script", "/home/shop/public_html/uploads");
        (script.account, script.local_user) = ("shop".to_owned(), Some("shop".to_owned()));
        let of_queue = |script: &Suspect| {
            let all = commands(script, &report);
            all.into_iter().filter(|command| command.contains("/var/spool/exim")).collect::<Vec<_>>()
        };
        script.case.at_end = "active";
        assert_eq!(of_queue(&script).len(), 4);
        script.case.at_end = "quiet";
        // Also as newer versions write it.
        let list =
            "grep -rlE --include='*-H' '^--?([(][^)]*[)])?ident shop$' /var/spool/exim*/input | sed 's|.*/||; s|-H$||'";
        assert_eq!(of_queue(&script), [list]);
        script.case.waiting = 3;
        assert_eq!(of_queue(&script).len(), 4);
    }
}
