//! From lines of a log to counts, pictures and alerts, and over restarts.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_filter::store::Store;
use tidegate_filter::tables;
use tidegate_watch::detectors::{AlertKind, Holder, Limit, Limits};

use super::status::Status;
use super::watcher::Watcher;
use super::{Config, Outside};
use crate::panels;
use crate::stores::embedded::Embedded;

struct Scene {
    folder: tempfile::TempDir,
    store: Arc<Embedded>,
    status: Arc<Mutex<Status>>,
    limits: Limits,
    watcher: Option<Watcher>,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(&folder.path().join("store.redb"), tables::ALL).unwrap());
        let mut scene = Scene { folder, store, status: Arc::default(), limits: Limits::default(), watcher: None };
        scene.start();
        scene
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("mainlog")
    }

    fn config(&self) -> Config {
        Config { files: vec![self.log()], ..Config::default() }
    }

    fn start(&mut self) {
        let outside = Outside {
            limits: self.limits.clone(),
            panel: Arc::new(panels::Snapshot::default()),
            spool: self.folder.path().join("spool"),
            quarantine: self.folder.path().join("quarantine"),
        };
        self.watcher = Some(Watcher::new(self.config(), outside, Arc::clone(&self.store), Arc::clone(&self.status)));
    }

    /// Everything that was not stored is gone.
    fn kill(&mut self) {
        self.watcher = None;
        self.start();
    }

    fn store(&mut self) {
        self.watcher.as_mut().unwrap().store(Timestamp::now());
    }

    fn look(&mut self) -> Status {
        let watcher = self.watcher.as_mut().unwrap();
        while watcher.look(Timestamp::now()) {}
        watcher.look(Timestamp::now());
        self.status.lock().unwrap().clone()
    }

    /// Writes lines that begin with the local time now.
    fn write(&self, lines: &[String]) {
        append(&self.log(), lines);
    }
}

fn append(path: &Path, lines: &[String]) {
    let now = TimeZone::system().to_datetime(Timestamp::now());
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    for line in lines {
        let time = now.strftime("%Y-%m-%d %H:%M:%S");
        file.write_all(format!("{time} {line}\n").as_bytes()).unwrap();
    }
}

fn failures(count: usize) -> Vec<String> {
    let line =
        "login authenticator failed for (x) [192.0.2.7]: 535 Incorrect authentication data (set_id=a@example.org)";
    vec![line.to_owned(); count]
}

#[test]
fn a_guesser_is_told_and_recorded_once_whatever_is_killed() {
    let mut scene = Scene::new();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    scene.write(&failures(3));
    scene.look();
    scene.store();
    scene.write(&failures(4));
    assert_eq!(scene.look().files.first().unwrap().counts.lines, 7);
    // The last four lines were not stored, and are read again.
    scene.kill();
    let status = scene.look();
    assert_eq!(status.files.first().unwrap().counts.lines, 7);
    scene.store();
    scene.kill();
    let status = scene.look();
    let kinds: Vec<_> = status.alerts.iter().map(|noted| (noted.alert.kind, noted.is_fresh)).collect();
    assert_eq!(kinds, [(AlertKind::Guessing, true)]);
    // Strangers attack every server all day.
    assert_eq!(status.alarms, Vec::<String>::new());
    let rows = futures_util::FutureExt::now_or_never(scene.store.scan(
        &tables::LOG_ALERTS,
        b"",
        None,
        usize::MAX,
        Timestamp::now(),
    ));
    assert_eq!(rows.unwrap().unwrap().len(), 1);
}

#[test]
fn a_message_is_one_picture_over_a_restart() {
    let mut scene = Scene::new();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    let id = "1vx2Ab-0005xY-Qr";
    scene.write(&[format!(
        "{id} <= a@example.org H=mx.example.net [192.0.2.9] P=esmtp S=400 id=x@example.net from <a@example.org> for b@example.com"
    )]);
    assert_eq!(scene.look().open_messages, 1);
    scene.store();
    scene.kill();
    assert_eq!(scene.look().open_messages, 1);
    scene.write(&[
        format!("{id} => b@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.10] C=\"250 OK\""),
        format!("{id} Completed"),
    ]);
    let status = scene.look();
    assert_eq!((status.open_messages, status.losses.orphans), (0, 0));
}

#[test]
fn old_lines_count_and_their_alerts_are_marked() {
    let mut scene = Scene::new();
    scene.write(&failures(9));
    let status = scene.look();
    let file = status.files.first().unwrap();
    assert_eq!((file.counts.lines, file.counts.old_lines), (9, 9));
    assert_eq!(status.alerts.iter().map(|noted| noted.is_fresh).collect::<Vec<_>>(), [false]);
}

#[test]
fn a_log_that_is_missing_is_an_alarm_after_a_while_only() {
    let mut scene = Scene::new();
    let status = scene.look();
    assert!(status.files.first().unwrap().missing_since.is_some());
    assert_eq!(status.alarms, Vec::<String>::new());
    let watcher = scene.watcher.as_mut().unwrap();
    watcher.look(Timestamp::now() + jiff::SignedDuration::from_mins(20));
    let alarms = scene.status.lock().unwrap().alarms.clone();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(alarms.first().is_some_and(|alarm| alarm.contains("mainlog is missing since")), "{alarms:?}");
}

#[test]
fn a_file_that_is_no_mail_log_is_an_alarm() {
    let mut scene = Scene::new();
    std::fs::write(scene.log(), "what is this\n".repeat(2_000)).unwrap();
    let alarms = scene.look().alarms;
    assert!(alarms.first().is_some_and(|alarm| alarm.contains("is it a mail log?")), "{alarms:?}");
}

const FOLDER: &str = "/home/shop/public_html";

/// Messages that a script in [`FOLDER`] sends, each to one recipient, as Exim logs them.
fn of_script(first: u32, count: u32) -> Vec<String> {
    let message = |n: u32| {
        [
            format!("[{n}] cwd={FOLDER} 4 args: /usr/sbin/sendmail -t -i"),
            format!(
                "[{n}] 1vx{n:03}-0005xY-Qr <= shop@mx.example.org U=shop P=local S=400 id=x@y from <shop@mx.example.org> for a@b.test"
            ),
        ]
    };
    (first..first + count).flat_map(message).collect()
}

/// The file is named by the header that lies in the spool, or by the ask that judged the message; a message that has left the
/// spool has none, and counts all the same.
#[test]
fn an_alert_names_the_script_behind_a_folder() {
    let mut scene = Scene::new();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    let input = scene.folder.path().join("spool/input");
    std::fs::create_dir_all(&input).unwrap();
    for n in 0..60 {
        let field = "X-PHP-Originating-Script: 1001:mailer.php\n";
        let text = format!("1vx{n:03}-0005xY-Qr-H\nshop 1001 1001\n\n{:03}  {field}", field.len());
        std::fs::write(input.join(format!("1vx{n:03}-0005xY-Qr-H")), text).unwrap();
    }
    for n in 60..80 {
        scene.watcher.as_mut().unwrap().script_is(&format!("1vx{n:03}-0005xY-Qr"), "shop.example/form.php");
    }
    scene.write(&of_script(0, 100));
    let status = scene.look();
    let [noted] = status.alerts.as_slice() else { panic!("{:?}", status.alerts) };
    assert_eq!(noted.alert.kind, AlertKind::ScriptBurst);
    let expected =
        "100 recipients within an hour from one script; 60 of 100 that day in mail whose header names mailer.php";
    assert_eq!(noted.alert.evidence, expected);
}

/// What an administrator releases from the quarantine is no burst of a script; what somebody else sends from there is.
#[test]
fn released_mail_is_no_burst() {
    let mut scene = Scene::new();
    scene.look();
    let folder = scene.folder.path().join("quarantine").display().to_string();
    let from_there = |first, user: &str| {
        let lines = of_script(first, 150).into_iter();
        lines.map(|line| line.replace(FOLDER, &folder).replace("U=shop", user)).collect::<Vec<_>>()
    };
    scene.write(&from_there(0, "U=root"));
    assert_eq!(scene.look().alerts.len(), 0);
    scene.write(&from_there(200, "U=shop"));
    assert_eq!(scene.look().alerts.len(), 1);
}

/// A limit is compared with what the log tells, over a kill; the alert is told once and says that nothing is held.
#[test]
fn who_goes_beyond_a_limit_is_told() {
    let mut scene = Scene::new();
    scene.limits.set(Holder::Script, FOLDER, Limit { per_hour: std::num::NonZeroU32::new(5), ..Limit::default() });
    scene.kill();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    scene.write(&of_script(0, 5));
    let status = scene.look();
    assert_eq!((status.limits, status.alerts.len()), (1, 0));
    scene.store();
    scene.kill();
    scene.write(&of_script(5, 2));
    let status = scene.look();
    let said: Vec<_> = status.alerts.iter().map(|noted| (noted.alert.kind, noted.alert.evidence.as_str())).collect();
    assert_eq!(said, [(AlertKind::OverLimit, "6 recipients within an hour, and the limit is 5; nothing is held")]);
    let [alarm] = status.alarms.as_slice() else { panic!("{:?}", status.alarms) };
    assert!(alarm.contains(FOLDER) && alarm.contains("6 recipients within an hour"), "{alarm}");
    // After a day it is no alarm any more.
    scene.watcher.as_mut().unwrap().look(Timestamp::now() + jiff::SignedDuration::from_hours(25));
    assert!(!scene.status.lock().unwrap().alarms.iter().any(|alarm| alarm.contains("sender of this server")));
}

/// What Exim writes for a command that is started in a folder with line ends in its name: the lines `invented` are part of that name.
/// The command only looks at the queue, so nothing follows.
fn in_folder(pid: u32, invented: &[String]) -> String {
    let now = TimeZone::system().to_datetime(Timestamp::now()).strftime("%Y-%m-%d %H:%M:%S").to_string();
    let lines: String = invented.iter().map(|line| format!("{now} {line}\n/\n")).collect();
    format!("[{pid}] cwd=/tmp/a\n{lines}b 3 args: /usr/sbin/exim4 -bp -v")
}

/// Somebody with a shell account writes failed logins, and a flood of the boss's mail, into the log; while it is followed nobody is
/// accused of them, whether they come at once, one command after the other, or half of a text before the rest. The same lines, if Exim
/// wrote them, raise alerts: the test can fail.
#[test]
fn invented_lines_accuse_nobody_while_the_log_is_followed() {
    let guess = "[9] login authenticator failed for (x) [203.0.113.66]: 535 Incorrect authentication data (set_id=boss@example.org)";
    let mail = |n: usize| {
        format!(
            "[9] 1vx{n:03}-0005xY-Qr <= boss@example.org H=(x) [198.51.100.77] P=esmtpa A=login:boss@example.org S=400 id=x@y for a{n}@b.test"
        )
    };
    let invented: Vec<String> = (0..300).flat_map(|n| [guess.to_owned(), mail(n)]).collect();
    let alerts = |scene: &mut Scene| scene.look().alerts.len();

    let mut scene = Scene::new();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    scene.write(&invented);
    assert!(alerts(&mut scene) > 0, "as real lines they are seen");

    let mut scene = Scene::new();
    std::fs::write(scene.log(), "").unwrap();
    scene.look();
    let texts: Vec<String> = (100..).zip(invented.chunks(10)).map(|(pid, lines)| in_folder(pid, lines)).collect();
    let (at_once, one_by_one) = texts.split_at(20);
    scene.write(at_once);
    assert_eq!(alerts(&mut scene), 0);
    for text in one_by_one {
        // Half of the text first: reading waits for the rest of it, once.
        let (first, rest) = text.split_at(text.len() / 2);
        let mut log = std::fs::OpenOptions::new().append(true).open(scene.log()).unwrap();
        let now = TimeZone::system().to_datetime(Timestamp::now());
        write!(log, "{} {first}", now.strftime("%Y-%m-%d %H:%M:%S")).unwrap();
        scene.watcher.as_mut().unwrap().look(Timestamp::now());
        writeln!(log, "{rest}").unwrap();
        assert_eq!(alerts(&mut scene), 0, "{text}");
    }
    let status = scene.look();
    let counts = status.files.first().unwrap().counts;
    assert_eq!((status.outcomes.messages, status.open_messages), (0, 0), "no message came in");
    assert_eq!(counts.unknown_lines, 0);
    // Every line was read, and nothing of it waits.
    assert_eq!(counts.lines, (texts.len() * 2 + invented.len() * 2) as u64);
}
