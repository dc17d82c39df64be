//! A follower that is killed again and again while its log is written, rotated in every way and deleted: what it made of each line is
//! in the store once.
//!
//! The writer does as Exim does: it appends whole lines, keeps the file open for a while, and goes on in the new file when the
//! name leads elsewhere. A rotation by copying loses, by itself, what is written between the copy and the truncation; here
//! the writer pauses for that moment, so that every line that is missing in the end is the follower's fault.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "files, processes and time are what is tested, and what fails shall fail the test"
)]

mod deleted;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::follower::{Follower, POLL_OCTETS_MAX, State};
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::{Store, Table, Write};

static POSITION: Table = Table { name: "position", ttl: Duration::from_secs(86_400) };
static LINES: Table = Table { name: "lines", ttl: Duration::from_secs(86_400) };
static TABLES: [&Table; 2] = [&POSITION, &LINES];

const FOLDER: &str = "TIDEGATE_TEST_FOLLOWER";
/// Rotations of both namings together.
const ROTATIONS: u64 = 1_000;
/// A file that the follower removes when it has read all, and a kill takes nothing away that is in no file.
const ASK: &str = "ask";
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rotated files that are kept: enough for the time that the follower is down.
const KEPT: u64 = 150;
/// A kill after so many rotations; every second one is followed by another at once. The store commits every 0.2 s, so a
/// follower that is always killed earlier would never get on.
const ROTATIONS_PER_KILL: u64 = 20;
/// From one rotation to the next.
const ROTATION_PAUSE: Duration = Duration::from_millis(20);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// The process to be killed: reads, and stores in one unit what it read and where it stands.
#[test]
#[ignore = "runs as a child of the tests below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let store = Embedded::open(&folder.join("state.redb"), &TABLES).unwrap();
    runtime().block_on(follow(&folder, &store));
}

async fn follow(folder: &Path, store: &Embedded) {
    let state = store.get(&POSITION, b"log", Timestamp::now()).await.unwrap();
    let state: Option<State> = state.map(|octets| serde_json::from_slice(&octets).unwrap());
    let mut follower = Follower::new(&folder.join("mainlog"), state);
    let mut commits = 0_u64;
    let mut quiet_looks = 0;
    loop {
        let now = Timestamp::now();
        let is_asked = folder.join(ASK).exists();
        let mut numbers = Vec::new();
        let polled = follower.poll(now.as_millisecond(), POLL_OCTETS_MAX, |line| {
            let text = std::str::from_utf8(line.octets).unwrap();
            let number: u64 = text.split(' ').next().unwrap().parse().unwrap();
            numbers.extend(number.to_be_bytes());
        });
        if polled.lines > 0 || commits == 0 {
            commits += 1;
            let key = [now.as_nanosecond().to_be_bytes().as_slice(), &commits.to_be_bytes()].concat();
            let value = serde_json::to_vec(&follower.state()).unwrap();
            let unit = [
                Write::Put { table: &LINES, key, value: numbers },
                Write::Put { table: &POSITION, key: b"log".to_vec(), value },
            ];
            store.write(&unit, now).await.unwrap();
            if !folder.join("seen").exists() {
                store.flush().await.unwrap();
                File::create(folder.join("seen")).unwrap();
            }
        }
        if follower.is_endangered() {
            store.flush().await.unwrap();
            follower.is_on_disk();
        }
        let has_read_all = polled.lines == 0 && follower.state().looked_ms == now.as_millisecond();
        // A look may find out only that the file was emptied and filled again; the next one reads it.
        quiet_looks = if has_read_all && is_asked { quiet_looks + 1 } else { 0 };
        if quiet_looks >= 2 {
            std::fs::remove_file(folder.join(ASK)).unwrap();
        } else if has_read_all && folder.join("end").exists() && follower.lag_octets() == 0 {
            store.flush().await.unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// What writer and rotation share.
struct Log {
    folder: PathBuf,
    /// Held for as long as lines must not be written.
    pause: Mutex<()>,
    written: AtomicU64,
    /// The file that is open was deleted.
    is_deleted: AtomicBool,
    is_over: AtomicBool,
}

impl Log {
    fn base(&self) -> PathBuf {
        self.folder.join("mainlog")
    }

    /// Appends numbered lines until told to end.
    fn write(&self) {
        let mut open: Option<File> = None;
        while !self.is_over.load(Ordering::Relaxed) {
            let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
            let number = self.written.load(Ordering::Relaxed) + 1;
            if number.is_multiple_of(20) {
                let named = std::fs::metadata(self.base()).ok().map(|metadata| metadata.ino());
                open = open.filter(|file| file.metadata().ok().map(|metadata| metadata.ino()) == named);
            }
            if self.is_deleted.swap(false, Ordering::Relaxed) {
                // Exim looks before each line whether its log is still there.
                open = None;
            }
            let mut file =
                open.take().unwrap_or_else(|| OpenOptions::new().append(true).create(true).open(self.base()).unwrap());
            let rest = "x".repeat(usize::try_from(number * 31 % 200).unwrap());
            file.write_all(format!("{number} {rest}\n").as_bytes()).unwrap();
            self.written.store(number, Ordering::Relaxed);
            open = Some(file);
            drop(pause);
            if number.is_multiple_of(8) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Appends the next line, and returns the file.
    fn append_one(&self) -> File {
        let number = self.written.load(Ordering::Relaxed) + 1;
        let mut file = OpenOptions::new().append(true).create(true).open(self.base()).unwrap();
        file.write_all(format!("{number} the last one\n").as_bytes()).unwrap();
        self.written.store(number, Ordering::Relaxed);
        file
    }

    fn wait_until_all_is_read(&self) {
        let until = Instant::now() + PATIENCE;
        File::create(self.folder.join(ASK)).unwrap();
        while self.folder.join(ASK).exists() {
            assert!(Instant::now() < until, "the follower has not read all");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn rotate(&self, number: u64, target: &Path) {
        // Each kind comes before a kill now and then.
        match (number + number / ROTATIONS_PER_KILL) % 5 {
            0 => std::fs::rename(self.base(), target).unwrap(),
            1 => {
                std::fs::rename(self.base(), target).unwrap();
                drop(OpenOptions::new().append(true).create(true).open(self.base()).unwrap());
            }
            2 => {
                let _pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
                std::fs::copy(self.base(), target).unwrap();
                OpenOptions::new().write(true).open(self.base()).unwrap().set_len(0).unwrap();
            }
            3 => {
                let _pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
                // A file that is not open anywhere is gone with what was not read of it.
                self.wait_until_all_is_read();
                // Nothing is read of a file that was empty until it is known to be no copy, which takes one of its name.
                let has_some = std::fs::metadata(self.base()).is_ok_and(|base| base.len() > 0);
                let last = has_some.then(|| self.append_one());
                std::fs::remove_file(self.base()).unwrap();
                drop(last);
                self.wait_until_all_is_read();
                drop(OpenOptions::new().append(true).create(true).open(self.base()).unwrap());
                self.is_deleted.store(true, Ordering::Relaxed);
            }
            _ => {
                std::fs::rename(self.base(), target).unwrap();
                // A program that compresses at once loses late lines; like logrotate's `sharedscripts` with a reload of the
                // writer, it waits until the writer has let go.
                let written = self.written.load(Ordering::Relaxed);
                while self.written.load(Ordering::Relaxed) < written + 40 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                pack(target);
            }
        }
    }
}

fn pack(path: &Path) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let packed =
        File::create(path.with_extension(format!("{}.gz", path.extension().unwrap().to_str().unwrap()))).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(BufWriter::new(packed), flate2::Compression::fast());
    std::io::copy(&mut File::open(path).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap().into_inner().unwrap().set_modified(modified).unwrap();
    std::fs::remove_file(path).unwrap();
}

/// Makes room as logrotate does, and returns the name for the next rotated file.
fn next_name(folder: &Path, number: u64, is_dated: bool) -> PathBuf {
    let packed_or_not = |name: String| [folder.join(&name), folder.join(format!("{name}.gz"))];
    if is_dated {
        if let Some(oldest) = number.checked_sub(KEPT) {
            for old in packed_or_not(format!("mainlog.{}", 20_260_000 + oldest)) {
                let _absent = std::fs::remove_file(old);
            }
        }
        return folder.join(format!("mainlog.{}", 20_260_000 + number));
    }
    for n in (1..=KEPT).rev() {
        for (from, to) in packed_or_not(format!("mainlog.{n}")).iter().zip(packed_or_not(format!("mainlog.{}", n + 1)))
        {
            if n == KEPT {
                let _absent = std::fs::remove_file(from);
            } else {
                let _absent = std::fs::rename(from, to);
            }
        }
    }
    folder.join("mainlog.1")
}

/// How often each line was counted, by number.
fn counted(folder: &Path) -> Vec<u32> {
    let store = Embedded::open(&folder.join("state.redb"), &TABLES).unwrap();
    assert_eq!(store.health().set_aside, vec![], "nothing is damaged");
    let rows = runtime().block_on(store.scan(&LINES, b"", None, usize::MAX, Timestamp::now())).unwrap();
    let mut times = Vec::new();
    for row in rows {
        for number in row.value.as_chunks::<8>().0 {
            let number = usize::try_from(u64::from_be_bytes(*number)).unwrap();
            times.resize(times.len().max(number + 1), 0);
            times[number] += 1;
        }
    }
    times
}

fn torture(is_dated: bool, rotations: u64) {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(Log {
        folder: folder.path().to_owned(),
        pause: Mutex::new(()),
        written: AtomicU64::new(0),
        is_deleted: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    });
    File::create(log.base()).unwrap();
    let mut child = spawn(folder.path());
    // What was put away before the log is seen for the first time stays unread.
    while !folder.path().join("seen").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let writer = {
        let log = Arc::clone(&log);
        std::thread::spawn(move || log.write())
    };
    let mut kills = 0;
    for number in 1..=rotations {
        let name = next_name(folder.path(), number, is_dated);
        while !log.base().exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        log.rotate(number, &name);
        std::thread::sleep(ROTATION_PAUSE);
        if number.is_multiple_of(ROTATIONS_PER_KILL) || number % (2 * ROTATIONS_PER_KILL) == 2 {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            child = spawn(folder.path());
        }
    }
    log.is_over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    File::create(folder.path().join("end")).unwrap();
    assert!(child.wait().unwrap().success());
    let times = counted(folder.path());
    let written = log.written.load(Ordering::Relaxed);
    // The first of each stretch of lines that were counted as often.
    let mut odd: Vec<_> = (1..=usize::try_from(written).unwrap())
        .map(|number| (number, times.get(number).copied().unwrap_or(0)))
        .collect();
    odd.dedup_by_key(|(_, times)| *times);
    odd.retain(|(number, times)| *times != 1 || *number != 1);
    println!("{rotations} rotations, {kills} kills, {written} lines");
    assert_eq!(odd, [], "each of {written} lines is counted once");
}

#[test]
fn numbered_rotation_under_load_and_kill() {
    torture(false, ROTATIONS / 2);
}

#[test]
fn dated_rotation_under_load_and_kill() {
    torture(true, ROTATIONS / 2);
}
