//! The watch over the logs as a process that is killed just after its log was deleted or emptied: what it had read is in no file any
//! more, so it must be in the store before.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::log_watch::{Config, LogWatch, Outside};
use tidegate::panels::Snapshot;
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::Store as _;
use tidegate_filter::tables;
use tidegate_watch::detectors::Limits;

use super::runtime;

const FOLDER: &str = "TIDEGATE_TEST_DELETED";
/// How long a log is gone before the process is killed at the latest: less than from one regular storing to the next.
const GONE: Duration = Duration::from_millis(1_500);
/// How long the process may take to read what was written.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of one turn.
const LINES: u64 = 50;

/// The process to be killed. It tells how many lines it has read, and how many of them a kill cannot take away.
#[test]
#[ignore = "runs as a child of the test below"]
fn watcher() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = Arc::new(Embedded::open(&folder.join("state.redb"), tables::ALL).unwrap());
    let path = folder.join("mainlog");
    let config = Config { files: vec![path.clone()], ..Config::default() };
    let outside = Outside {
        limits: Limits::default(),
        panel: Arc::new(Snapshot::default()),
        spool: folder.join("spool"),
        quarantine: folder.join("quarantine"),
    };
    let _watch_and_status = LogWatch::start(&config, outside, &store).map(|watch| {
        let key = [b"file ".as_slice(), path.as_os_str().as_encoded_bytes()].concat();
        let mut told = (0, 0);
        loop {
            let read = watch.status().files.first().map_or(0, |file| file.counts.lines);
            // A row is in the file as soon as no row waits.
            let row = runtime().block_on(store.get(&tables::LOG_WATCH, &key, Timestamp::now())).unwrap();
            let kept = if store.health().pending == 0 { row.map_or(0, |row| lines_of(&row)) } else { told.1 };
            if (read, kept) != told {
                told = (read, kept);
                println!("told {read} {kept}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
}

/// The lines that were counted, of a stored row: a version, then JSON.
fn lines_of(row: &[u8]) -> u64 {
    let row: serde_json::Value = serde_json::from_slice(&row[1..]).unwrap();
    row["counts"]["lines"].as_u64().unwrap()
}

struct Watcher {
    child: Child,
    told: Receiver<(u64, u64)>,
}

impl Watcher {
    fn start(folder: &Path) -> Watcher {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["deleted::watcher", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let mut words = line.split(' ').skip_while(|word| *word != "told").skip(1).map(str::parse);
                if let (Some(Ok(read)), Some(Ok(kept))) = (words.next(), words.next()) {
                    let _the_test_is_over = sender.send((read, kept));
                }
            }
        });
        Watcher { child, told }
    }

    /// Waits until so many lines were read, and kept if need be; no longer than `patience`.
    fn wait(&self, lines: u64, is_to_be_kept: bool, patience: Duration) {
        let until = Instant::now() + patience;
        while let Ok((read, kept)) = self.told.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if read >= lines && (kept >= lines || !is_to_be_kept) {
                break;
            }
        }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Writes the lines of one turn behind `written` others.
fn append(path: &Path, written: &mut u64) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    let line = |n: u64| format!("2026-03-02 10:11:12 1vx2Ab-0005xY-Qr => a <a{n}@b.example> R=local T=maildir\n");
    let lines: String = (*written..*written + LINES).map(line).collect();
    file.write_all(lines.as_bytes()).unwrap();
    *written += LINES;
}

#[test]
fn what_was_read_of_a_log_that_is_gone_is_kept_over_a_kill() {
    type Turn = (&'static str, bool, fn(&Path));
    // How the log goes away, and whether all was read before; else only the open file still has it.
    let turns: [Turn; 6] = [
        ("deleted", true, |path| std::fs::remove_file(path).unwrap()),
        ("deleted unread", false, |path| std::fs::remove_file(path).unwrap()),
        ("deleted and begun anew", true, |path| {
            std::fs::remove_file(path).unwrap();
            File::create(path).unwrap();
        }),
        ("deleted unread and begun anew", false, |path| {
            std::fs::remove_file(path).unwrap();
            File::create(path).unwrap();
        }),
        ("emptied", true, |path| drop(File::create(path).unwrap())),
        ("replaced by another file", true, |path| {
            let other = path.with_file_name("other");
            File::create(&other).unwrap();
            std::fs::rename(other, path).unwrap();
        }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("mainlog");
    let mut written = 0;
    for (how, is_read, go) in turns {
        let watcher = Watcher::start(folder.path());
        append(&log, &mut written);
        // The lines that are at stake come right behind a regular storing.
        watcher.wait(written, true, PATIENCE);
        append(&log, &mut written);
        if is_read {
            watcher.wait(written, false, PATIENCE);
        }
        go(&log);
        watcher.wait(written, true, GONE);
        watcher.kill();
        let watcher = Watcher::start(folder.path());
        append(&log, &mut written);
        watcher.wait(written, true, PATIENCE);
        watcher.kill();
        let store = Embedded::open(&folder.path().join("state.redb"), tables::ALL).unwrap();
        let key = [b"file ".as_slice(), log.as_os_str().as_encoded_bytes()].concat();
        let row = runtime().block_on(store.get(&tables::LOG_WATCH, &key, Timestamp::now())).unwrap();
        assert_eq!(lines_of(&row.unwrap()), written, "{how}: each line counts once");
    }
}
