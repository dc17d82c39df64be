//! The folder in which commands run: small logs written by hand, a made-up one with a compromise in it, damaged ones.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::generator::{self, Compromise, Plan};

const MAINLOG_1: &str = include_str!("files/mainlog.1");
const MAINLOG: &str = include_str!("files/mainlog");
const REJECTLOG: &str = include_str!("files/rejectlog");
const MAIL_LOG: &str = include_str!("files/mail.log");
const ROUNDCUBE: &str = include_str!("files/errors.log");
const HOSTILE: &str = include_str!("files/hostile");

/// 2026-03-03: when the logs were last written to, which tells the year of lines without one.
const MODIFIED: Duration = Duration::from_secs(1_772_496_000);

/// Makes everything.
pub(super) fn make(folder: &Path) {
    put(folder, "tidegate.toml", CONFIG.replace("@FOLDER@", &folder.to_string_lossy()).as_bytes());
    // One server's logs at their usual places.
    put(folder, "root/var/log/exim4/mainlog", MAINLOG.as_bytes());
    // Rotated in two steps: two members in one file.
    let (first, second) = MAINLOG_1.split_at(MAINLOG_1.len() / 2);
    put(folder, "root/var/log/exim4/mainlog.1.gz", &[packed(first), packed(second)].concat());
    put(folder, "root/var/log/exim4/rejectlog", REJECTLOG.as_bytes());
    put(folder, "root/var/log/mail.log", MAIL_LOG.as_bytes());
    put(folder, "root/var/log/roundcube/errors.log", ROUNDCUBE.as_bytes());
    put(folder, "hostile", HOSTILE.as_bytes());
    put(folder, "compromised", made_up(&plan(Some(Compromise::GuessedPassword))).as_bytes());
    // Damaged ones, and what is none.
    let whole = packed(&MAINLOG_1.repeat(50));
    put(folder, "cut.gz", whole.get(..whole.len() * 2 / 3).unwrap());
    put(folder, "log.xz", b"\xfd7zXZ\0 and so on");
    // In a folder, what has the name of a log is told of, and what has not is left out.
    put(folder, "packed/mainlog.2.bz2", b"BZh9 and so on");
    put(folder, "packed/btmp.1.bz2", b"BZh9 and so on");
    put(folder, "passwd", b"root:x:0:0:root:/root:/bin/bash\n");
    put(folder, "dpkg.log", b"2026-03-02 10:00:00 status installed man-db:amd64 2.11.2-2\n");
    put(folder, "empty", b"");
    put(folder, "journal.export", b"__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1772440000000000\nMESSAGE=x\n");
    put(folder, "journal.json", br#"{"__REALTIME_TIMESTAMP":"1772440000000000","MESSAGE":"x"}"#);
    put(folder, "odd", b"2026-03-02 10:00:00 Start queue run: pid=1\n2026-03-02 10:00:01 what \x1b[2J is this\r\n");
    let long = format!("2026-03-02 10:00:02 1vwaaa-0000000000A-0001 => {}@b.example\n", "a".repeat(20_000));
    put(folder, "long", long.as_bytes());
    fs::create_dir_all(folder.join("none")).unwrap();
}

/// Domains with their owners; state in a folder of its own.
const CONFIG: &str = r#"
[server]
hostname = "mx.example.org"
[state]
folder = "@FOLDER@/state"
[panel]
kind = "static"
[panel.domains."site.example"]
account = "siteuser"
"#;

/// A small server, for ten days.
pub(super) fn plan(compromise: Option<Compromise>) -> Plan {
    Plan { seed: 109, accounts: 20, days: 10, volume: 0.15, compromise, ..Plan::default() }
}

/// The whole log of a plan.
pub(super) fn made_up(plan: &Plan) -> String {
    let mut log = String::new();
    generator::write(plan, |line| {
        log.push_str(line);
        log.push('\n');
    });
    log
}

pub(super) fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Writes a file whose time of change is always the same.
pub(super) fn put(folder: &Path, name: &str, octets: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(octets).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + MODIFIED).unwrap();
}
