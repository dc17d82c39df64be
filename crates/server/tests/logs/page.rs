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
    const KNOWN: [&str; 32] = [
        "html", "head", "meta", "title", "style", "body", "main", "header", "div", "h1", "h2", "h3", "b", "section",
        "ul", "li", "ol", "br", "code", "svg", "g", "rect", "line", "text", "span", "i", "table", "tr", "th", "td",
        "p", "footer",
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
        for never in ["javascript:", "http:", "https:", "src=", "href=", "onload=\"", "url("] {
            assert!(!page.contains(never), "{log}: {never}");
        }
    }
    let hostile = page("hostile");
    assert!(hostile.contains("&lt;script&gt;alert(2)&lt;/script&gt;@x"), "{hostile}");
    assert!(hostile.contains("\\u{1b}[2J&lt;/title&gt;"), "{hostile}");
}

#[test]
fn the_page_names_the_culprit_and_the_way_in() {
    let page = page("compromised");
    let plan = scene::plan(Some(super::generator::Compromise::GuessedPassword));
    let culprit = super::generator::culprit(&plan);
    let banner = format!("Probably compromised: <b>{culprit}</b><div>Mailbox: its password was guessed");
    assert!(page.contains(&banner), "{banner}");
}
