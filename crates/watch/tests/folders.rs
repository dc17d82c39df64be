//! Line ends in the names of folders, as a real Exim wrote them, and real logs beside them.
//!
//! A case is a `#` line that says why, and a log of which each line has in front how it was taken: `F` part of a folder's name, `?`
//! doubtful, `.` as it stands. In a `forged:` case nothing that stands may name the victim; in a `real:` case every line stands.
//! `UPDATE_EXPECT=1` writes the marks anew; read the difference before you keep it.

#![allow(clippy::disallowed_methods, reason = "tests read and write their own cases")]

use std::path::Path;

use tidegate_watch::api::EventRow;
use tidegate_watch::{Kind, Leftover, Reader};

/// In every forged line.
const VICTIM: &str = "boss";

fn marks(log: &[u8]) -> Vec<(char, String)> {
    let mut reader = Reader::new();
    let mut behind = log;
    let mut marks = Vec::new();
    for line in log.split(|b| *b == b'\n') {
        behind = behind.get(line.len() + 1..).unwrap_or_default();
        let text = Reader::text(line);
        let event = reader.read_before(&text, behind);
        let row = EventRow::new("", 1, &event);
        let mark = match event.kind {
            Kind::Leftover(Leftover::Folder) => 'F',
            _ if row.doubtful => '?',
            _ => '.',
        };
        marks.push((mark, serde_json::to_string(&row).expect("a row is JSON")));
    }
    marks
}

#[test]
fn invented_lines_accuse_nobody() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lines/folders.txt");
    let cases = std::fs::read_to_string(&path).expect("the cases are there");
    let (mut written, mut wrong, mut forged) = (String::new(), Vec::new(), 0);
    for case in cases.trim_end_matches('\n').split("\n\n") {
        let (why, lines) = case.split_once('\n').expect("a case has lines");
        let lines: Vec<(&str, &str)> = lines.split('\n').map(|line| line.split_at(2)).collect();
        let log: Vec<&str> = lines.iter().map(|(_, line)| *line).collect();
        let marks = marks(log.join("\n").as_bytes());
        forged += usize::from(why.starts_with("# forged:"));
        written.push_str(why);
        for ((mark, row), (expected, line)) in marks.iter().zip(&lines) {
            written.push_str(&format!("\n{mark} {line}"));
            if why.starts_with("# forged:") && row.contains(VICTIM) && !line.contains("cwd=") {
                wrong.push(format!("{why}: accuses\n  {line}\n  {row}"));
            }
            if why.starts_with("# real:") && *mark != '.' {
                wrong.push(format!("{why}: loses\n  {mark} {line}"));
            }
            if !expected.starts_with(*mark) {
                wrong.push(format!("{why}: expected {expected}\n  {mark} {line}"));
            }
        }
        written.push_str("\n\n");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, written.trim_end_matches('\n').to_owned() + "\n").expect("the cases can be written");
    }
    assert!(forged > 20, "{forged} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
