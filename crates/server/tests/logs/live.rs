//! A log that comes through a pipe while it is written, as of `tail -f`: each line is told soon, also one behind which another may
//! stand that a local user invented.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::tidegate;

/// How long a row may take. Alone on a machine it takes a second where it is waited for what follows, else nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// `tidegate logs --events -`, into which a test writes.
struct Live {
    child: Child,
    input: Option<ChildStdin>,
    rows: Receiver<Value>,
    _folder: tempfile::TempDir,
}

impl Live {
    fn start() -> Live {
        let folder = tempfile::tempdir().unwrap();
        super::scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
        let mut command = tidegate(folder.path());
        command.args(["logs", "--events", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, rows) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _the_test_is_over = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Live { input: child.stdin.take(), child, rows, _folder: folder }
    }

    fn write(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The kind of each of the next rows, with what is said of it.
    fn kinds(&self, count: usize) -> Vec<String> {
        let next = || self.rows.recv_timeout(PATIENCE).expect("a row comes while the pipe is open");
        (0..count).map(|_| next()).map(|row| said(&row)).collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.input = None;
        self.child.wait().unwrap();
    }
}

fn said(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    assert!(row["cwd"].is_string() || !row.to_string().contains("boss"), "nobody is accused: {row}");
    format!("{} {}{}", text("kind"), text("what"), if row["doubtful"] == true { "?" } else { "" }).trim().to_owned()
}

/// What a real Exim wrote for a folder with line ends in its name; the command's own message comes later.
const FORGED: &str = "\
2026-11-26 08:19:51 [2067] cwd=/srv/web/shop/p
2026-11-26 08:19:51 [4711] dovecot_login authenticator failed for (x) [203.0.113.1]:44: 535 Incorrect authentication data (set_id=boss@kunde.example)
/
2026-11-26 08:19:51 [4712] 1xWU00-000011-AA <= boss@kunde.example H=([10.0.0.9]) [203.0.113.9]:2000 P=esmtpsa A=dovecot_login:boss@kunde.example S=9 T=\"Buy\" for a@rem.test
q 3 args: /usr/sbin/exim4 -t -i
";
const OWN: &str = "2026-11-26 08:19:51 [2067] 1xWUhr-0000XL-1N <= www-data@mx.server.example U=www-data P=local S=360 T=\"s\" for max@kunde.example\n";
const COMPLETED: &str = "2026-11-26 08:19:51 [2083] 1xWUhr-0000XL-1N Completed\n";
const RUN: &str = "2026-11-26 08:19:52 Start queue run: pid=7\n";

#[test]
fn each_line_is_told_while_the_pipe_is_open() {
    let mut live = Live::start();
    live.write(RUN);
    assert_eq!(live.kinds(1), ["queue run_started"]);
    let began = Instant::now();
    live.write("2026-11-26 08:19:52 [8] cwd=/home/shop 3 args: /usr/sbin/exim4 -t -i\n");
    assert_eq!(live.kinds(1), ["command"]);
    assert!(began.elapsed() >= Duration::from_millis(500), "it is waited for what may follow");
    live.write(&format!("{OWN}{COMPLETED}"));
    assert_eq!(live.kinds(2), ["arrival", "completed"]);
}

#[test]
fn invented_lines_that_come_through_a_pipe_accuse_nobody() {
    let mut live = Live::start();
    let forged = ["command", "leftover folder", "leftover folder", "leftover folder", "leftover folder"];
    // At once, as Exim writes it; and as a pipe may cut it.
    live.write(FORGED);
    assert_eq!(live.kinds(5), forged);
    live.write(&format!("{OWN}{COMPLETED}"));
    assert_eq!(live.kinds(2), ["arrival", "completed"]);
    for at in [40, 60, 300] {
        live.write(&FORGED[..at]);
        live.write(&FORGED[at..]);
        assert_eq!(live.kinds(5), forged);
    }
}
