//! The programs of a folder from which mail is sent: taking them out of use and giving them back, who calls them, and how they came.
//! A folder may hold the site's pictures as well, so its own mode stays as it is.

use tidegate_watch::api::report::Suspect;

use super::Step;
use super::queue::{self, Mta};
use crate::cli::logs::case;

/// What is a program by its name.
const BY_NAME: &str = r"-iname '*.ph*' -o -iname '*.cgi' -o -iname '*.p[ly]'";
/// Names in which a line may end would put lines of an intruder's into what is kept.
const ON_ONE_LINE: &str = "! -name '*[[:cntrl:]]*'";
/// Calls as `18/Feb/2026 02:00:01 203.0.113.7 - - POST /x.php HTTP/1.1`, whatever stands before the time in the log.
const CALLS: &str = r#"sed -nE 's/^([^[]*) \[([^]:]*):([^] ]*)[^]]*\] "([^"]*)".*/\2 \3 \1 \4/p'"#;
/// These in the order of time.
const IN_ORDER: &str = "sort -k1.8,1.11n -k1.4,1.6M -k1.1,1.2n -k2,2";
/// Days of a case whose calls are looked at.
const DAYS_MAX: usize = 7;

/// The file that keeps mode and time of what is taken out of use.
pub(super) fn kept(account: &str) -> String {
    format!("/root/programs-{account}.txt")
}

/// What the first step says: an empty answer stopped nothing.
pub(super) fn stop_text(account: &str, is_odd: bool) -> String {
    let then = if is_odd {
        "the program has another ending, or lies elsewhere. Then look at what lies there, the newest first; the last command takes the whole folder out of use, its pictures as well, and keeps its mode (give that back with `chmod`)"
    } else {
        "the program has another ending, or lies elsewhere. Then look at what lies there and below it, the newest first"
    };
    let sub = if is_odd { " and the folders in it" } else { "" };
    format!(
        "Stop the sending: the command takes the right to be read and run from the programs in this folder{sub}, by their usual endings, and prints each. If nothing was printed now or before (`{}` is empty), nothing was stopped: {then}.",
        kept(account)
    )
}

/// Takes the programs of the folder out of use, after it has kept their modes and times: a changed mode changes the time. What does
/// not belong anywhere near is looked for in its folders as well; of a site's own folder that would be the whole site.
pub(super) fn take_out(step: Step, folder: &str, account: &str, is_odd: bool) -> Step {
    let which = which(folder);
    let depth = depth(is_odd);
    let kept = kept(account);
    let system = match case::is_served(folder) {
        true if !is_odd => "anywhere, takes the programs of this folder, so its pages, off the web",
        _ => "anywhere, takes the programs of this folder out of use",
    };
    let step = step.run(system, &[folder, account], || {
        format!(
            r"find {folder} {depth}-type f {which} -perm /777 {ON_ONE_LINE} -printf '%m %C+ %p\n' | tee -a {kept}; find {folder} {depth}-type f {which} -exec chmod 000 {{}} +"
        )
    });
    let step = step.run("if nothing was printed, shows what lies there", &[folder], || {
        format!(r"find {folder} -type f {ON_ONE_LINE} -printf '%C+ %u %m %p\n' | sort -r | head -40")
    });
    if !is_odd {
        return step;
    }
    step.run("only if nothing was printed, takes the whole folder out of use", &[folder, account], || {
        format!("[ -s {kept} ] || {{ stat -c '%a %n' {folder} | tee /root/folder-{account}.txt; chmod 000 {folder}; }}")
    })
}

fn depth(is_odd: bool) -> &'static str {
    if is_odd { "" } else { "-maxdepth 1 " }
}

/// Gives the modes back, with no more rights than the account has: in its folders it may put a link in the place of a file.
pub(super) fn give_back(step: Step, folder: &str, account: &str) -> Step {
    step.run("gives them back", &[folder, account], || {
        format!(
            "runuser -u {account} -- sh -c 'while read -r mode time file; do chmod \"$mode\" \"$file\"; done' < {}",
            kept(account)
        )
    })
}

fn which(folder: &str) -> String {
    // What no site serves is run by a timed job or from a shell.
    let by_mode = if case::is_served(folder) { "" } else { " -o -perm /111" };
    format!(r"\( {BY_NAME}{by_mode} \)")
}

/// Who called the programs, and how they came: the request that put a file there went to another page, and before the file's time.
pub(super) fn calls(suspect: &Suspect, folder: &str, is_odd: bool, mta: Mta) -> Step {
    const CAME: &str = "Who calls the programs, and how they came, only the web server's access log can tell. The first command shows each call of a program in this folder, the very first on top. They came by another request, mostly to a plugin's page elsewhere on the site, and before that: the second shows what was sent to the site on the days of which the files are, by the times that step 1 kept, else by their present ones (a file's time changes also when its mode or owner does, as after a restored backup). If nothing fits, look into the logs of FTP, SSH and the panel for that time.";
    const CALLED: &str = "Who calls the program only the web server's access log can tell: the command counts who sent something to the pages of this folder on the days of the case.";
    const ELSEWHERE: &str = "No site serves this folder, so no access log names it: look into the logs of SSH, FTP and the panel for logins of the account before the first hour, and into the site's access log for whatever it called then.";
    let account = suspect.account.as_str();
    let Some(page) = case::page_of(folder) else {
        return Step::new(ELSEWHERE).run("", &[account], || format!("last -F {account}"));
    };
    let cpanel = format!("/usr/local/apache/domlogs/{account}/* /home*/{account}/logs/*.gz");
    let debian = "/var/log/apache2/*access*.log*";
    let page_name = if page.is_empty() { "/" } else { page };
    let page = queue::pattern(page);
    if !is_odd {
        let days = days(suspect);
        let count = |logs: &str| {
            format!(
                "zgrep -hE '\\[({days}):.*\"POST {page}/' {logs} | {CALLS} | cut -d' ' -f3- | sort | uniq -c | sort -rn | head -40"
            )
        };
        return Step::new(CALLED).cpanel(mta, "cPanel", &[page_name, account], || count(&cpanel)).run(
            "Debian",
            &[page_name],
            || count(debian),
        );
    }
    let called =
        |logs: &str| format!("zgrep -hE '\"[A-Z]+ {page}/[^ ?\"]*[.]ph' {logs} | {CALLS} | {IN_ORDER} | head -40");
    let sent = |logs: &str| {
        format!(
            "([ -s {0} ] && cat {0} || find {folder} -type f {1} {ON_ONE_LINE} -printf '%m %C+ %p\\n') | cut -d' ' -f2 | cut -c1-10 | sort -u | while read -r day; do zgrep -hE \"\\[$(LC_ALL=C date -d \"$day\" +%d/%b/%Y):.*\\\"(POST|PUT) \" {logs}; done | {CALLS} | {IN_ORDER}",
            kept(account),
            which(folder)
        )
    };
    Step::new(CAME)
        .cpanel(mta, "cPanel, who calls", &[page_name, account], || called(&cpanel))
        .cpanel(mta, "cPanel, how they came", &[page_name, account], || sent(&cpanel))
        .run("Debian, who calls", &[page_name], || called(debian))
        .run("Debian, how they came", &[page_name, account], || sent(debian))
}

/// The days of a case as an access log writes them, for a regular expression.
fn days(suspect: &Suspect) -> String {
    match dates(suspect) {
        dates if dates.is_empty() => "[^:]*".to_owned(),
        dates => dates.iter().map(|day| day.strftime("%d/%b/%Y").to_string()).collect::<Vec<_>>().join("|"),
    }
}

/// The first days of a case; none if it has no times.
pub(super) fn dates(suspect: &Suspect) -> Vec<jiff::civil::Date> {
    let time = |time: &Option<String>| time.as_deref().and_then(|time| time.parse::<jiff::civil::DateTime>().ok());
    let (Some(began), Some(ended)) = (time(&suspect.case.began), time(&suspect.case.ended)) else {
        return Vec::new();
    };
    let days = began.date().series(jiff::Span::new().days(1));
    // It ends with an hour: at midnight that is one of the day before.
    let days = days.take_while(|day| day.to_datetime(jiff::civil::Time::midnight()) < ended || *day == began.date());
    days.take(DAYS_MAX).collect()
}
