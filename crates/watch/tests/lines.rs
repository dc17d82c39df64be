//! Lines of all kinds and what they say, as programs get it.
//!
//! A case is a `#` line that says why, the log line, and the JSON of the event. `UPDATE_EXPECT=1` writes the JSON anew; read
//! the difference before you keep it.

#![allow(clippy::disallowed_methods, reason = "tests read and write their own cases")]

use std::path::Path;

use tidegate_watch::api::EventRow;
use tidegate_watch::{Reader, Timestamp};

fn check_lines(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lines").join(name);
    let cases = std::fs::read_to_string(&path).expect("the cases are there");
    let mut reader = Reader::new().with_latest(Timestamp::from_civil(2026, 3, 3, 0, 0, 0));
    let (mut written, mut wrong) = (String::new(), Vec::new());
    for (number, block) in cases.split("\n\n").enumerate() {
        let lines: Vec<&str> = block.lines().collect();
        let &[why, line, ref expected @ ..] = lines.as_slice() else { panic!("case {number}: {block}") };
        let event = reader.read(line);
        let json = serde_json::to_string(&EventRow::new("", 1, &event)).expect("a row is JSON");
        if !expected.contains(&json.as_str()) {
            wrong.push(format!("{why}\n{line}\n  is   {json}\n  want {}", expected.join("")));
        }
        let separator = if written.is_empty() { "" } else { "\n\n" };
        written.push_str(&format!("{separator}{why}\n{line}\n{json}"));
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        written.push('\n');
        std::fs::write(&path, written).expect("the cases can be written");
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn exim() {
    check_lines("exim.txt");
}

#[test]
fn postfix() {
    check_lines("postfix.txt");
}

#[test]
fn dovecot() {
    check_lines("dovecot.txt");
}

/// What a real Exim wrote while a client sent imitations at every stage.
#[test]
fn hostile() {
    check_lines("hostile.txt");
}
