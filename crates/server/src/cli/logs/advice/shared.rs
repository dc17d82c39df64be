//! A user as whom the sites of many customers run: what it sends, runs and begins by itself is mostly others', and the web server's.

use tidegate_watch::api::report::Suspect;

use super::{Step, days_before, is_harmless};

/// As whom web servers run, and with some kinds of PHP every site.
const OF_ALL: [&str; 7] = ["nobody", "www-data", "apache", "httpd", "www", "nginx", "wwwrun"];

/// Programs of web servers where packages put them: only root writes there, so no intruder has such a path.
const SERVERS: &str = "/usr/sbin/apache2|/usr/sbin/httpd|/usr/local/apache/bin/httpd|/usr/sbin/nginx|/usr/sbin/php-fpm*|/opt/cpanel/ea-php*/root/usr/sbin/php-fpm|/usr/local/lsws/*";

/// Whether others' programs run as the user of this suspect.
pub(super) fn is_shared(suspect: &Suspect) -> bool {
    let user = suspect.local_user.as_deref().unwrap_or(&suspect.name);
    OF_ALL.contains(&user) || (suspect.kind == "script" && user != suspect.account)
}

/// The user in a sentence; not a name that may have been chosen to mislead.
pub(super) fn called(user: &str) -> &str {
    if is_harmless(user) { user } else { "this user" }
}

/// What of the user runs and is no web server.
pub(super) fn running(user: &str) -> Step {
    let called = called(user);
    Step::new(format!(
        "See what else runs as {called}. The web server itself and the pages of all sites may run as {called}: never end all of {called}'s processes, nor one of the web server's; that takes every site off the web. The command leaves out the web server's own programs and shows the others; nothing shown means that none ran at that moment. Write down what one is (`ps -o pid,lstart,cmd -p PID`) before you end it with `kill` and its number."
    ))
    .run("", &[user], || {
        format!(
            "for p in $(pgrep -u {user}); do case \"$(readlink /proc/$p/exe)\" in {SERVERS}) ;; *) ls -ld /proc/$p/exe /proc/$p/cwd;; esac; done"
        )
    })
}

/// Adds what says that the way in may lie in another account, and what may have been left there.
pub(super) fn elsewhere(suspect: &Suspect, user: &str) -> Step {
    let (since, called) = (days_before(suspect.since.as_deref()), called(user));
    Step::new(format!(
        "Look beyond this account: what runs as {called} could read the files of every site that does, passwords of databases among them, and may have come in through another one. The command shows what {called} itself wrote in any account since a week before it began; take that for the intruder's unless the site's owner knows it (caches and uploads are usual)."
    ))
    .run("", &[user, &since], || {
        format!(
            r"find /home* /var/www -xdev -type f -user {user} \( -name '*.ph*' -o -name '.ht*' -o -perm /111 \) -newerct {since} -ls 2>/dev/null"
        )
    })
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::{Report, Sample};

    use super::super::against;
    use super::*;

    fn script(user: &str, senders: &[&str]) -> Suspect {
        let sample = |sender: &&str| Sample { sender: (*sender).to_owned(), ..Sample::default() };
        Suspect {
            kind: "script",
            name: "/home/user035/public_html/images".to_owned(),
            account: "user035".to_owned(),
            local_user: Some(user.to_owned()),
            since: Some("2026-02-17".to_owned()),
            samples: senders.iter().map(sample).collect(),
            ..Suspect::default()
        }
    }

    fn report() -> Report {
        let mut report = Report::default();
        report.programs.exim = 9;
        report
    }

    /// All customers' web mail is nobody's: it is neither held nor removed.
    #[test]
    fn only_the_mail_of_the_case_is_touched() {
        for user in ["nobody", "www-data", "apache"] {
            let mut script = script(user, &["prize@site.example", "x;reboot@site.example"]);
            for (at_end, touching) in [("active", 3), ("quiet", 0)] {
                script.case.at_end = at_end;
                let commands: Vec<String> =
                    against(&script, &report()).into_iter().flat_map(|step| step.commands).map(|(_, c)| c).collect();
                let queue: Vec<&String> = commands.iter().filter(|command| command.contains("/var/spool")).collect();
                assert!(!queue.is_empty(), "{commands:?}");
                for command in &queue {
                    let narrowed = " | xargs -r grep -lE '^<(prize@site[.]example)>$' | ";
                    assert!(command.contains(narrowed), "{command}");
                }
                let touches = |command: &&&String| ["-Mf", "-Mrm", "-Mt"].iter().any(|by| command.ends_with(by));
                assert_eq!(queue.iter().filter(touches).count(), touching, "{queue:?}");
            }
        }
        // What every site has as its sender says nothing; the subjects do, whatever they try in a shell.
        let mut one = script("nobody", &["nobody@mx.example.org"]);
        one.samples[0].subject = "You've won 96 '$(reboot)'".to_owned();
        let commands: Vec<String> =
            against(&one, &report()).into_iter().flat_map(|step| step.commands).map(|(_, c)| c).collect();
        let narrowed = " | xargs -r grep -lE '^[0-9]+. +Subject: (You.ve.won.[0-9]+....reboot..)$' | ";
        assert!(commands.iter().any(|command| command.contains(narrowed)), "{commands:?}");
        assert!(commands.iter().all(|command| !command.contains("$(reboot)")), "{commands:?}");
        // Where nothing tells it apart, nothing is given that touches the queue.
        for senders in [&[][..], &["nobody@mx.example.org"]] {
            let mut script = script("nobody", senders);
            script.case.at_end = "active";
            let steps = against(&script, &report());
            assert!(steps.iter().any(|step| step.text.contains("would hit all customers")), "{steps:?}");
            let mut commands = steps.iter().flat_map(|step| &step.commands);
            assert!(commands.all(|(_, command)| !command.contains("exim -M")), "{steps:?}");
        }
    }

    #[test]
    fn the_web_server_is_not_killed() {
        let steps = against(&script("nobody", &[]), &report());
        let step = steps.iter().find(|step| step.text.contains("kill")).expect("processes are looked at");
        assert!(step.text.contains("that takes every site off the web"), "{step:?}");
        assert!(step.commands.iter().all(|(_, command)| command.contains("/usr/sbin/apache2|")), "{step:?}");
        let mut commands = steps.iter().flat_map(|step| &step.commands);
        assert!(commands.all(|(_, command)| !command.contains("-u nobody; ") && !command.ends_with("-u nobody")));
    }

    /// The account's own jobs are looked at, not nobody's alone.
    #[test]
    fn both_users_jobs_are_looked_at() {
        let steps = against(&script("nobody", &[]), &report());
        let commands: Vec<&str> = steps.iter().flat_map(|step| &step.commands).map(|(_, c)| c.as_str()).collect();
        for user in ["user035", "nobody"] {
            let keeps = format!("crontab -l -u {user} | tee /root/crontab-{user}");
            assert!(commands.contains(&keeps.as_str()), "{commands:?}");
        }
        assert!(commands.iter().any(|command| command.starts_with("find /home* /var/www -xdev -type f -user nobody ")));
    }
}
