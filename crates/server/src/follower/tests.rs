//! A log is written, rotated in every way, cut, and followed by somebody who forgets all that was not stored: every line
//! comes once, in order.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{Follower, LINE_OCTETS_MAX, LINGER_MS, PAUSE_MS_MAX, State};

const SECOND_MS: i64 = 1000;

/// How rotated files are named and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Numbers,
    Dates,
    NumbersPacked,
    DatesPacked,
    /// The newest rotated file stays plain, as with logrotate's `delaycompress`.
    NumbersPackedLater,
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Long,
    Begin,
    End,
    Rename {
        recreate: bool,
    },
    CopyAndTruncate,
    /// Empties the file, once all was read and stored.
    Truncate,
    /// Removes the file and makes another, once all was read and stored.
    Replace,
    Poll,
    Store,
    Restart,
    Wait(u16),
}

/// A writer, its rotation, and a reader.
struct Scene {
    folder: tempfile::TempDir,
    style: Style,
    number: u64,
    rotations: u64,
    partial: Option<String>,
    written: Vec<String>,
    now_ms: i64,
    follower: Follower,
    read: Vec<String>,
    stored: (State, Vec<String>),
}

impl Scene {
    fn new(style: Style) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainlog");
        File::create(&path).unwrap();
        let now_ms = 1_800_000_000_000;
        let mut follower = Follower::new(&path, None);
        follower.poll(now_ms, 1, |_| panic!("nothing was written"));
        let stored = (follower.state(), Vec::new());
        Scene {
            folder,
            style,
            number: 0,
            rotations: 0,
            partial: None,
            written: Vec::new(),
            now_ms,
            follower,
            read: Vec::new(),
            stored,
        }
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("mainlog")
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.base()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        self.number += 1;
        format!("{} {}", self.number, "x".repeat(usize::try_from(self.number * 37 % 150).unwrap()))
    }

    fn write(&mut self) {
        self.end_line();
        let line = self.line();
        self.append(&format!("{line}\n"));
        self.written.push(line);
    }

    fn begin_line(&mut self) {
        self.end_line();
        let line = self.line();
        self.append(&line);
        self.partial = Some(line);
    }

    fn end_line(&mut self) {
        if let Some(line) = self.partial.take() {
            self.append(" end\n");
            self.written.push(format!("{line} end"));
        }
    }

    /// The file goes away with a line that has no end: nothing else will ever come.
    fn break_line(&mut self) {
        self.written.extend(self.partial.take());
    }

    /// Makes room for another rotated file and returns its name.
    fn make_room(&mut self) -> PathBuf {
        self.rotations += 1;
        let folder = self.folder.path();
        if matches!(self.style, Style::Dates | Style::DatesPacked) {
            return folder.join(format!("mainlog-{}", 20_260_000 + self.rotations));
        }
        for n in (1..self.rotations).rev() {
            for packed in ["", ".gz"] {
                let from = folder.join(format!("mainlog.{n}{packed}"));
                if from.exists() {
                    std::fs::rename(from, folder.join(format!("mainlog.{}{packed}", n + 1))).unwrap();
                }
            }
        }
        if self.style == Style::NumbersPackedLater && folder.join("mainlog.2").exists() {
            pack(&folder.join("mainlog.2"));
        }
        folder.join("mainlog.1")
    }

    fn rotate(&mut self, by: impl FnOnce(&Path, &Path)) {
        // An empty file has nothing by which it could be known again after a restart; logrotate leaves it (`notifempty`).
        if std::fs::metadata(self.base()).map_or(0, |base| base.len()) == 0 {
            return;
        }
        self.break_line();
        let target = self.make_room();
        by(&self.base(), &target);
        if matches!(self.style, Style::NumbersPacked | Style::DatesPacked) {
            pack(&target);
        }
    }

    fn poll(&mut self, octets_max: u64) -> bool {
        self.now_ms += SECOND_MS / 10;
        let Scene { follower, read, now_ms, .. } = self;
        let polled = follower.poll(*now_ms, octets_max, |line| {
            read.push(String::from_utf8_lossy(line.octets).into_owned());
        });
        assert_eq!(follower.health().trouble, None);
        polled.lines > 0 || polled.has_more
    }

    fn store(&mut self) {
        self.stored = (self.follower.state(), self.read.clone());
    }

    fn drain(&mut self) {
        while self.poll(u64::MAX) {}
        // The look that finds the log in another file, and the one that reads it.
        while self.poll(u64::MAX) {}
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Write(lines) => (0..*lines).for_each(|_| self.write()),
            Step::Long => {
                self.end_line();
                let line = format!("{} {}", self.line(), "y".repeat(LINE_OCTETS_MAX * 5));
                self.append(&format!("{line}\n"));
                self.written.push(line.get(..LINE_OCTETS_MAX).unwrap().to_owned());
            }
            Step::Begin => self.begin_line(),
            Step::End => self.end_line(),
            Step::Rename { recreate } => self.rotate(|base, target| {
                std::fs::rename(base, target).unwrap();
                if *recreate {
                    File::create(base).unwrap();
                }
            }),
            Step::CopyAndTruncate => self.rotate(|base, target| {
                std::fs::copy(base, target).unwrap();
                OpenOptions::new().write(true).open(base).unwrap().set_len(0).unwrap();
            }),
            Step::Truncate | Step::Replace => {
                self.end_line();
                self.drain();
                self.store();
                if matches!(step, Step::Truncate) {
                    File::create(self.base()).unwrap();
                } else if self.base().exists() {
                    std::fs::remove_file(self.base()).unwrap();
                    File::create(self.base()).unwrap();
                }
            }
            Step::Poll => {
                self.poll(1);
            }
            Step::Store => self.store(),
            Step::Restart => {
                self.follower = Follower::new(&self.base(), Some(self.stored.0.clone()));
                self.read = self.stored.1.clone();
            }
            Step::Wait(seconds) => self.now_ms += i64::from(*seconds) * SECOND_MS,
        }
    }
}

/// Compresses as gzip does: another file, with the time of the first.
fn pack(path: &Path) {
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let packed =
        File::create(path.with_file_name(format!("{}.gz", path.file_name().unwrap().to_str().unwrap()))).unwrap();
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    std::io::copy(&mut File::open(path).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap().set_modified(modified).unwrap();
    std::fs::remove_file(path).unwrap();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..30_u8).prop_map(Step::Write),
        1 => Just(Step::Long),
        2 => Just(Step::Begin),
        1 => Just(Step::End),
        3 => any::<bool>().prop_map(|recreate| Step::Rename { recreate }),
        3 => Just(Step::CopyAndTruncate),
        1 => Just(Step::Truncate),
        1 => Just(Step::Replace),
        6 => Just(Step::Poll),
        3 => Just(Step::Store),
        3 => Just(Step::Restart),
        1 => (1..1200_u16).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn styles() -> impl Strategy<Value = Style> {
    prop_oneof![
        Just(Style::Numbers),
        Just(Style::Dates),
        Just(Style::NumbersPacked),
        Just(Style::DatesPacked),
        Just(Style::NumbersPackedLater)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_line_comes_once(style in styles(), steps in steps()) {
        let mut scene = Scene::new(style);
        for step in &steps {
            scene.step(step);
        }
        scene.write();
        scene.drain();
        scene.now_ms += LINGER_MS;
        scene.drain();
        if steps.iter().any(|step| matches!(step, Step::Begin)) {
            // A line that never gets its end is handed out when nobody writes the file any more.
            scene.read.sort();
            scene.written.sort();
        }
        prop_assert_eq!(&scene.read, &scene.written);
        prop_assert_eq!(scene.follower.lag_octets(), 0);
        prop_assert_eq!(scene.follower.health().lost_files, 0);
    }
}

#[test]
fn late_lines_of_a_file_that_was_put_away_are_read() {
    let mut scene = Scene::new(Style::Numbers);
    scene.write();
    scene.drain();
    let mut late = OpenOptions::new().append(true).open(scene.base()).unwrap();
    scene.step(&Step::Rename { recreate: true });
    scene.write();
    scene.drain();
    late.write_all(b"late\n").unwrap();
    scene.drain();
    assert_eq!(scene.read.len(), 3);
    assert_eq!(scene.read.last().map(String::as_str), Some("late"));
    scene.step(&Step::Store);
    scene.step(&Step::Restart);
    late.write_all(b"later\n").unwrap();
    scene.drain();
    assert_eq!(scene.read.last().map(String::as_str), Some("later"));
}

#[test]
fn a_file_that_was_deleted_is_read_to_its_end_and_not_from_its_packed_form_as_well() {
    let mut scene = Scene::new(Style::NumbersPacked);
    (0..500).for_each(|_| scene.write());
    scene.poll(1);
    scene.step(&Step::Rename { recreate: true });
    scene.write();
    scene.drain();
    assert_eq!(scene.read, scene.written);
}

#[test]
fn what_was_written_during_a_long_pause_is_old_and_what_comes_then_is_fresh() {
    let mut scene = Scene::new(Style::Numbers);
    scene.write();
    scene.drain();
    scene.store();
    scene.write();
    scene.step(&Step::Rename { recreate: true });
    scene.write();
    scene.step(&Step::Restart);
    scene.now_ms += PAUSE_MS_MAX + 1;
    let mut fresh = Vec::new();
    scene.follower.poll(scene.now_ms, u64::MAX, |line| fresh.push(line.is_fresh));
    scene.write();
    scene.follower.poll(scene.now_ms + 1, u64::MAX, |line| fresh.push(line.is_fresh));
    assert_eq!(fresh, [false, false, true]);
}

#[test]
fn after_a_short_restart_lines_are_fresh() {
    let mut scene = Scene::new(Style::Numbers);
    scene.drain();
    scene.store();
    scene.write();
    scene.step(&Step::Restart);
    let mut fresh = Vec::new();
    scene.follower.poll(scene.now_ms + SECOND_MS, u64::MAX, |line| fresh.push(line.is_fresh));
    assert_eq!(fresh, [true]);
}

#[test]
fn a_log_that_comes_late_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mainlog");
    let mut follower = Follower::new(&path, None);
    follower.poll(1, u64::MAX, |_| panic!("there is no file"));
    assert_eq!(follower.health().missing_since_ms, Some(1));
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let mut lines = Vec::new();
    follower.poll(2, u64::MAX, |line| lines.push((line.octets.to_vec(), line.is_fresh)));
    assert_eq!(lines, [(b"one".to_vec(), true), (b"two".to_vec(), true)]);
    assert_eq!(follower.health().missing_since_ms, None);
}

#[test]
fn what_is_no_file_or_cannot_be_read_is_told_and_does_not_stop_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mainlog");
    std::fs::create_dir(&path).unwrap();
    let mut follower = Follower::new(&path, None);
    follower.poll(1, u64::MAX, |_| panic!("there is no file"));
    assert_eq!(follower.health().trouble.as_deref(), Some("this is no regular file"));
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "one\n").unwrap();
    let mut lines = 0;
    follower.poll(2, u64::MAX, |_| lines += 1);
    assert_eq!((lines, follower.health().trouble.clone()), (1, None));
}

#[test]
fn a_copy_made_before_the_last_lines_were_read_is_not_read_again() {
    let mut scene = Scene::new(Style::Numbers);
    (0..20).for_each(|_| scene.write());
    let target = scene.make_room();
    std::fs::copy(scene.base(), &target).unwrap();
    scene.write();
    scene.drain();
    // The last line is lost to whoever reads the copy, but not to us.
    OpenOptions::new().write(true).open(scene.base()).unwrap().set_len(0).unwrap();
    File::options().write(true).open(&target).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    scene.write();
    scene.drain();
    assert_eq!(scene.read, scene.written);
}

#[test]
fn a_log_that_grew_back_to_the_length_that_was_read_is_read() {
    let mut scene = Scene::new(Style::Numbers);
    scene.append("first\n");
    scene.drain();
    scene.step(&Step::CopyAndTruncate);
    scene.append("other\n");
    scene.drain();
    assert_eq!(scene.read, ["first", "other"]);
}
