//! Lines that stand in several files count once, whatever the files are called and wherever they begin and end.

use std::path::Path;
use std::process::Stdio;

use super::generator::{Compromise, Plan};
use super::order::without_places;
use super::{scene, tidegate};

/// The report over these files without what it says of them, and how many lines of each were left out.
fn report(folder: &Path, names: &[&str]) -> (String, Vec<u64>) {
    let output = tidegate(folder).args(["logs", "--json"]).args(names).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = report["files"].as_array().unwrap();
    let repeated = files.iter().map(|file| file["repeated"].as_u64().unwrap()).collect();
    (without_places(report), repeated)
}

/// A made-up log in which somebody guessed a password, which gives every doubled failure a chance to accuse somebody else.
fn log() -> String {
    scene::made_up(&Plan { accounts: 5, days: 5, ..scene::plan(Some(Compromise::GuessedPassword)) })
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
    folder
}

#[test]
fn a_copy_and_overlapping_pieces_add_nothing() {
    let folder = folder();
    let log = log();
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let piece = |from: usize, until: usize| lines[lines.len() * from / 10..lines.len() * until / 10].concat();
    let put = |name: &str, text: &str| scene::put(folder.path(), name, text.as_bytes());
    put("mainlog", &log);
    put("mainlog.orig", &log);
    scene::put(folder.path(), "mainlog.2.gz", &scene::packed(&log));
    put("begin", &piece(0, 6));
    put("middle", &piece(3, 8));
    put("end", &piece(5, 10));
    put("newest", &piece(9, 10));
    let (whole, _) = report(folder.path(), &["mainlog"]);
    for names in [
        &["mainlog", "mainlog.orig"][..],
        &["mainlog.2.gz", "mainlog"],
        &["mainlog", "mainlog.2.gz", "mainlog.orig"],
        &["begin", "end"],
        &["end", "middle", "begin"],
        &["middle", "mainlog"],
        &["newest", "mainlog"],
    ] {
        let all: usize = names
            .iter()
            .map(|name| match *name {
                "begin" => piece(0, 6).lines().count(),
                "middle" => piece(3, 8).lines().count(),
                "end" => piece(5, 10).lines().count(),
                "newest" => piece(9, 10).lines().count(),
                _ => lines.len(),
            })
            .sum();
        let (found, repeated) = report(folder.path(), names);
        assert_eq!(found, whole, "{names:?}");
        assert_eq!(repeated.iter().sum::<u64>(), (all - lines.len()) as u64, "{names:?}");
    }
}

/// What Exim writes into its reject log, with the header of a message that was refused, adds nothing to the main log, whatever the
/// first line of it is about.
#[test]
fn a_reject_log_adds_nothing() {
    let odd = [
        "SMTP protocol synchronization error (input sent without waiting for greeting): rejected connection from H=[192.0.2.7] input=\"x\"",
        "SMTP call from [192.0.2.7] dropped: too many nonmail commands (last was \"RSET\")",
        "refused connection from [192.0.2.7] (host_reject_connection)",
        "dovecot_login authenticator failed for (x) [192.0.2.7]:5: 535 Incorrect authentication data (set_id=a@b.example)",
        "no host name found for IP address 192.0.2.7",
    ];
    for odd in odd {
        let folder = folder();
        let odd = format!("2026-01-20 00:00:01 {odd}\n");
        let log = log();
        let is_refusal = |line: &&str| line.contains(" rejected RCPT ") || line.contains("authenticator failed");
        let refused: String = log.split_inclusive('\n').filter(is_refusal).collect();
        assert!(refused.lines().count() > 50);
        scene::put(folder.path(), "mainlog", format!("{odd}{log}").as_bytes());
        let header =
            "Envelope-from: <a@b.example>\nEnvelope-to: <info@site.example>\nP Received: from x\n  Subject: won\n";
        scene::put(folder.path(), "rejectlog", format!("{odd}{refused}{header}").as_bytes());
        // The four lines of the header are lines all the same.
        let without_lines = |report: &str| {
            let mut report: serde_json::Value = serde_json::from_str(report).unwrap();
            report["totals"].as_object_mut().unwrap().remove("lines");
            report.as_object_mut().unwrap().remove("programs");
            report
        };
        let (alone, _) = report(folder.path(), &["mainlog"]);
        let (both, repeated) = report(folder.path(), &["rejectlog", "mainlog"]);
        assert_eq!(without_lines(&both), without_lines(&alone), "{odd}");
        assert_eq!(repeated.iter().sum::<u64>(), 1 + refused.lines().count() as u64, "{odd}");
    }
}

/// Two events of one second may look the same; a log in which they do is no copy of itself.
#[test]
fn equal_lines_of_one_file_all_count() {
    let folder = folder();
    let line = "2026-03-02 10:00:00 H=(x) [192.0.2.7] F=<a@b.example> rejected RCPT <c@d.example>: No such user here\n";
    let end = "2026-03-02 10:00:09 Start queue run: pid=1\n";
    scene::put(folder.path(), "mainlog", format!("{}{end}", line.repeat(3)).as_bytes());
    scene::put(folder.path(), "mainlog.orig", format!("{}{end}", line.repeat(5)).as_bytes());
    let refused = |names: &[&str]| {
        let report: serde_json::Value = serde_json::from_str(&report(folder.path(), names).0).unwrap();
        report["totals"]["refused"].as_u64().unwrap()
    };
    assert_eq!(refused(&["mainlog"]), 3);
    assert_eq!(refused(&["mainlog", "mainlog.orig"]), 5);
}

#[test]
fn standard_input_is_read_once() {
    let folder = folder();
    let log = log();
    scene::put(folder.path(), "mainlog", log.as_bytes());
    let input = std::fs::File::open(folder.path().join("mainlog")).unwrap();
    let child = tidegate(folder.path()).args(["logs", "--json", "-", "-"]).stdin(input).stdout(Stdio::piped()).spawn();
    let output = child.unwrap().wait_with_output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["files"].as_array().unwrap().len(), 1);
    assert_eq!(found["totals"]["lines"], log.lines().count());
}
