//! The page for a browser: attackers write into logs, and nothing of theirs may become markup.

use super::{scene, tidegate};

fn page(log: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    scene::make(folder.path());
    let output = tidegate(folder.path()).args(["logs", log, "--html", "page.html"]).output().unwrap();
    assert_eq!(output.stdout, b"", "the page goes to its file only");
    let path = folder.path().join("page.html");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "who wrote to whom is nobody else's business");
    std::fs::read_to_string(path).unwrap()
}

/// Start tags without their attributes, in order; end tags with their slash.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .map(|tag| tag.split(['>', ' ', '\n']).next().unwrap_or(""))
        .filter(|tag| !tag.starts_with('!'))
        .collect()
}

/// Every element is one that this program writes, closed where it must be.
#[test]
fn nothing_from_a_log_becomes_markup() {
    const KNOWN: [&str; 37] = [
        "html", "head", "meta", "title", "style", "body", "main", "header", "div", "h1", "h2", "h3", "b", "section",
        "ul", "li", "ol", "br", "code", "svg", "g", "rect", "line", "text", "span", "i", "table", "tr", "th", "td",
        "p", "footer", "nav", "a", "details", "summary", "pre",
    ];
    for log in ["hostile", "compromised", "root/var/log/exim4", "empty"] {
        let page = page(log);
        let mut open = Vec::new();
        for tag in tags(&page) {
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{log}: {name} is closed"),
                None => {
                    assert!(KNOWN.contains(&tag), "{log}: <{tag}>");
                    if !matches!(tag, "meta" | "br" | "rect" | "line") {
                        open.push(tag);
                    }
                }
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "{log}");
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{log}");
        for never in ["javascript:", "http:", "https:", "src=", "onload=\"", "url("] {
            assert!(!page.contains(never), "{log}: {never}");
        }
        // Links lead to parts of the page itself.
        for link in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or("")) {
            let id = link.strip_prefix('#').expect("a link within the page");
            assert!(page.contains(&format!("id=\"{id}\"")), "{log}: {link} leads nowhere");
        }
    }
    let hostile = page("hostile");
    assert!(hostile.contains("&lt;script&gt;alert(2)&lt;/script&gt;@x"), "{hostile}");
    assert!(hostile.contains("\\u{1b}[2J&lt;/title&gt;"), "{hostile}");
}

/// The top says what an administrator asks first; attackers who got in are not among those who failed.
#[test]
fn the_page_begins_with_the_state_of_the_case() {
    let page = page("compromised");
    let plan = scene::plan(Some(super::generator::Compromise::GuessedPassword));
    let culprit = super::generator::culprit(&plan);
    let top = page.split("<nav>").next().unwrap();
    for said in [
        format!(
            "Compromised: <b>{culprit}</b><div>Mailbox of domain site000.example: its password was guessed"
        ),
        "<th>how sure</th><td>sure: 3 signs".to_owned(),
        "<th>it sent</th><td>from 2026-02-03 05:02 (first message) to 2026-02-03 11:58 (last message)</td>".to_owned(),
        "<td>420 on suspect days: 388 delivered, 32 given up; 1 more since on days that are not suspect, from none of the networks from which the case was sent</td>".to_owned(),
        "<th>going on?</th><td>NO: nothing like it after 2026-02-03 12:00".to_owned(),
        "161 failed logins in all, the first 2026-02-03 01:03: 0 before, 160 in the two days before it succeeded (2026-02-03 05:02:08), 1 since, the last 2026-02-05 21:07".to_owned(),
        "treat the mailbox as open until it was changed".to_owned(),
        "No refusal names a public blocklist (Spamhaus, SpamCop, Barracuda, SORBS and the like)".to_owned(),
        "<b>Microsoft takes 192.0.2.1 for a bad sender and refuses mail for that</b><table class=\"case\"><tr><th>refused now?</th><td>hardly: ".to_owned(),
        "<th>in this log</th><td>4 of ".to_owned(),
        "<td>3 refused, 1 put off in the whole log: 75 % of all refusals; what remains without that: 1 refused, 19 put off</td>".to_owned(),
        "it is older than the case, which began on 2026-02-03: the suspect did not start it, but 75 % of all refusals are the suspect&#39;s. All senders together: before the case 8 put off".to_owned(),
        "This page was made 2".to_owned(),
        "<b>This log ends 2026-02-06, ".to_owned(),
        "<th>whose list</th><td>Microsoft&#39;s own, private judgement (“block list” in the answer)".to_owned(),
        "then ask Microsoft to lift it: olcsupport.office.com".to_owned(),
    ] {
        assert!(top.contains(&said), "{said}\n{top}");
    }
    let attackers = page.split("id=\"attackers\"").nth(1).unwrap();
    assert!(attackers.contains(&format!("the password of {culprit} was guessed and used, see above")), "{attackers}");
    let row = attackers.split("<tr").skip(1).find(|row| row.contains(&culprit)).unwrap();
    assert!(row.starts_with(" class=\"mine\"") && row.contains("SUCCEEDED 2026-02-03 05:02, see above"), "{row}");
    assert!(!row.contains("nothing to block"), "no advice against the verdict");
}

/// What explains and lists is folded and found from the top; the day of the case is marked; addresses can be copied, one a line.
#[test]
fn the_page_is_short_and_marks_the_case() {
    let page = page("compromised");
    for part in ["refusals", "attackers", "senders", "queue", "words"] {
        assert!(page.contains(&format!("<details id=\"{part}\"><summary>")), "{part} is folded");
    }
    assert!(page.contains("<a href=\"#cleared\">") && page.contains("<h2 id=\"cleared\">"), "who was cleared is found");
    // One day of ten in the picture of the whole server, seven hours in that of the case.
    assert_eq!(page.matches("<rect class=\"band\"").count(), 1 + 7);
    assert!(page.contains("<a href=\"#habits\">") && page.contains("<h3>From where</h3>"));
    assert!(page.contains("<li>20 addresses both guessed and sent: 141.98.10.0, "), "who guessed and sent is said");
    let guessers = page.split("<pre>").nth(2).and_then(|rest| rest.split("</pre>").next()).unwrap();
    let addresses: Vec<&str> = guessers.lines().collect();
    assert_eq!(addresses.len(), 20);
    assert!(addresses.iter().all(|address| address.parse::<std::net::IpAddr>().is_ok()), "{addresses:?}");
    assert!(page.contains("all times are the server&#39;s, UTC+00:00") && page.contains("Not read:"));
}

/// Whoever has to act reads every step to its end, and no step needs another's file.
#[test]
fn no_step_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let plan =
        super::generator::Plan { accounts: 5, ..scene::plan(Some(super::generator::Compromise::UploadedMailer)) };
    scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
    scene::put(folder.path(), "mainlog", scene::made_up(&plan).as_bytes());
    let output = tidegate(folder.path()).args(["logs", "mainlog", "--html", "page.html"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "somebody is compromised");
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    let steps = page.split("<ol class=\"steps\">").nth(1).and_then(|rest| rest.split("</ol>").next()).unwrap();
    assert!(!steps.contains('…'), "{steps}");
    assert!(steps.contains("If nothing fits, look into the logs of FTP, SSH and the panel for that time."), "{steps}");
    let servers =
        page.split("<details id=\"refusals\">").nth(1).and_then(|rest| rest.split("</summary>").next()).unwrap();
    assert!(servers.contains("for this server&#39;s bad reputation, see “This"), "{servers}");
}

/// A timed job's days lie on each other: one column stands out, and it is that of its hour.
#[test]
fn a_timed_job_is_seen_at_its_hour() {
    let folder = tempfile::tempdir().unwrap();
    let plan = super::generator::Plan { accounts: 5, ..scene::plan(Some(super::generator::Compromise::NightCron)) };
    scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
    scene::put(folder.path(), "mainlog", scene::made_up(&plan).as_bytes());
    let output = tidegate(folder.path()).args(["logs", "mainlog", "--html", "page.html"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "somebody is compromised");
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    let chart = page.split("<h3>Hours of the day, all days from 2026-02-03 together").nth(1).unwrap();
    let chart = chart.split("</svg>").next().unwrap();
    let titles: Vec<&str> = chart.split("<title>").skip(1).map(|rest| rest.split("</title>").next().unwrap()).collect();
    assert_eq!(titles.len(), 24);
    let used: Vec<&&str> = titles.iter().filter(|title| title.contains("recipient")).collect();
    assert!(matches!(used.as_slice(), [one] if one.starts_with("03:00: 800 recipients, ")), "{used:?}");
}
