//! What goes wrong with the state folder of the real daemon: the disk is full, a file is damaged. Mail flows, what could not be
//! done is told, nothing is deleted, and all is well again when the cause is gone.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly; it waits, and has its own files"
)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::cast::{GOOD, HAM, LISTED, LISTING_WEIGHS, SPAM};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

/// What the listed client sends in the name of another domain is kept back; nothing is refused or asked to wait.
const POLICY: &str = "
[policy.server]
inbound = { greylist = \"off\", reject = \"off\", quarantine = 6.5 }
";
/// How long the daemon may take to notice that a cause is gone.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    daemon: Daemon,
    // Taken away before the folder that it lies in.
    _disk: Option<Disk>,
    lab: Lab,
}

/// A small disk in the place of the state folder.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, size: &str) -> Disk {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).status();
        assert!(done.unwrap().success());
        Disk(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Server {
    fn prepare(test: &str, disk_size: Option<&str>) -> Option<Server> {
        if let Some(reason) = why_not() {
            println!("skipped: {test}: {reason}");
            return None;
        }
        let lab = Lab::start(&Plan { dns: [GOOD, LISTED].concat(), ..Plan::default() }).unwrap();
        let disk = disk_size.map(|size| Disk::mount(&lab.folder().join("state"), size));
        let daemon = Daemon::prepare(&lab, &[LISTING_WEIGHS, POLICY].concat()).unwrap();
        Some(Server { daemon, _disk: disk, lab })
    }

    fn start(test: &str, disk_size: Option<&str>) -> Option<Server> {
        let mut server = Server::prepare(test, disk_size)?;
        server.daemon.spawn(&server.lab).unwrap();
        Some(server)
    }

    fn state(&self, file: &str) -> PathBuf {
        self.lab.folder().join("state").join(file)
    }

    /// Sends a message that is to be accepted by Exim.
    fn send(&self, source: &str, message: &[u8]) {
        let (mut client, _) = self.lab.client(source).unwrap();
        let (helo, sender) = match source {
            "203.0.113.10" => ("mail.good.test", "a@good.test"),
            _ => ("mail.bad.test", "a@good.test"),
        };
        client.envelope(helo, sender, &["b@exim.test"]).unwrap();
        let reply = client.data(message).unwrap();
        assert_eq!(reply.code, 250, "mail flows: {}\n{}", reply.text, self.daemon.log());
        client.expect("QUIT", 221).unwrap();
    }

    fn tidegate(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let output = self.daemon.command(&self.lab, arguments).unwrap();
        (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.code())
    }

    fn status(&self) -> String {
        self.tidegate(&["status"]).0
    }

    fn kept(&self) -> usize {
        let (listed, code) = self.tidegate(&["quarantine", "list", "--json"]);
        assert_eq!(code, Some(0), "{listed}");
        listed.lines().filter(|line| line.contains("\"kept\"")).count()
    }

    /// Waits until `is_so`, and fails with what the daemon says of itself.
    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what}\n{}\n{}", self.status(), self.daemon.log());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Fills the state's disk to the last octet.
    fn fill(&self) -> PathBuf {
        let path = self.state("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        path
    }

    /// The files in the state folder whose names say that they were set aside.
    fn set_aside(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.state(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.contains("damaged-")).collect()
    }
}

#[test]
fn a_full_disk() {
    let Some(server) = Server::start("a_full_disk", Some("24m")) else { return };
    server.send("203.0.113.10", HAM);
    server.send("203.0.113.66", SPAM);
    server.wait_until("kept while there is room", || server.kept() == 1);
    let filler = server.fill();

    server.send("203.0.113.66", SPAM);
    server.send("203.0.113.10", HAM);
    let delivered = server.lab.exim.wait_delivered(3).unwrap();
    let tagged = delivered.iter().filter(|mail| mail.header("X-Tidegate-Status").iter().any(|s| s.starts_with("tag")));
    let said: Vec<_> = delivered.iter().map(|mail| mail.header("X-Tidegate-Status")).collect();
    assert_eq!(tagged.count(), 1, "what cannot be kept back is delivered as spam: {said:?}");
    assert_eq!(server.kept(), 1);
    // Longer messages: rows and records that need more than what is left.
    for number in 0..40 {
        server.send("203.0.113.10", format!("Subject: {}\n\nx\n", format!("long {number} ").repeat(90)).as_bytes());
    }
    server.wait_until("the alarm names the disk", || {
        let (said, code) = server.tidegate(&["status"]);
        code == Some(1)
            && said.contains("the journal cannot be written")
            && said.contains("messages that could not be kept back and were delivered as spam, since the start: 1")
    });

    fs::remove_file(filler).unwrap();
    server.wait_until("all is written again", || {
        server.send("203.0.113.10", HAM);
        !server.status().contains("cannot be written")
    });
    server.send("203.0.113.66", SPAM);
    server.wait_until("and kept", || server.kept() == 2);
    let (said, code) = server.tidegate(&["log", "--json", "--limit", "1"]);
    assert!(code == Some(0) && said.contains("\"action\""), "{said}");
    assert_eq!(server.lab.exim.panic_log(), "");
}

#[test]
fn a_disk_that_is_full_from_the_start() {
    let Some(mut server) = Server::prepare("a_disk_that_is_full_from_the_start", Some("8m")) else { return };
    let filler = server.fill();
    server.daemon.spawn(&server.lab).unwrap();
    server.send("203.0.113.10", HAM);
    server.send("203.0.113.66", SPAM);
    let delivered = server.lab.exim.wait_delivered(2).unwrap();
    assert!(
        delivered.iter().all(|mail| mail.header("X-Tidegate-Status").len() == 1),
        "judged all the same: {delivered:?}"
    );
    let (said, code) = server.tidegate(&["status"]);
    assert!(code == Some(1) && said.contains("quarantine"), "{said}");

    fs::remove_file(filler).unwrap();
    server.wait_until("all works", || {
        server.send("203.0.113.66", SPAM);
        server.kept() > 0 && !server.status().contains("cannot be")
    });
}

/// Writes nonsense over `length` octets of a file from `from` on.
fn damage(path: &Path, from: u64, length: usize) {
    let mut file = File::options().read(true).write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let mut octets = vec![0; length];
    let read = file.read(&mut octets).unwrap();
    assert!(read > 0, "{} is shorter than {from}", path.display());
    octets.truncate(read);
    octets.iter_mut().for_each(|octet| *octet = !*octet);
    file.seek(SeekFrom::Start(from)).unwrap();
    file.write_all(&octets).unwrap();
}

#[test]
fn damaged_files() {
    let Some(mut server) = Server::start("damaged_files", None) else { return };
    server.send("203.0.113.66", SPAM);
    server.send("203.0.113.10", HAM);
    server.wait_until("kept", || server.kept() == 1);
    server.wait_until("recorded", || server.tidegate(&["log", "--json"]).0.lines().count() >= 2);
    server.daemon.kill();

    let day = fs::read_dir(server.state("journal")).unwrap().map(|entry| entry.unwrap().path());
    let day = day.filter(|path| path.extension().is_some_and(|extension| extension == "journal")).last();
    let day = day.expect("a day of the journal");
    damage(&server.state("store.redb"), 64, 8192);
    for file in [day.clone(), server.state("quarantine/index.db")] {
        // What SQLite has not moved into the main file yet is not to mend it.
        let mut name = file.clone().into_os_string();
        name.push("-wal");
        let _ = fs::remove_file(name);
        damage(&file, 0, 4096);
    }
    server.daemon.spawn(&server.lab).unwrap();

    server.send("203.0.113.10", HAM);
    server.send("203.0.113.66", SPAM);
    server.wait_until("the index was made again, and takes more", || server.kept() == 2);
    server.wait_until("told", || {
        let (said, code) = server.tidegate(&["status"]);
        code == Some(1)
            && said.contains("a damaged store was set aside")
            && said.contains("a damaged day of the journal was set aside")
    });
    for folder in ["", "journal", "quarantine"] {
        assert!(!server.set_aside(folder).is_empty(), "set aside, not deleted: state/{folder}");
    }
    server.wait_until("recorded again", || server.tidegate(&["log", "--json"]).0.lines().count() >= 2);
    let id = server.tidegate(&["quarantine", "list", "--json"]).0;
    let id = id.lines().last().unwrap().split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let output = server.daemon.command_as_root(&server.lab, &["quarantine", "release", &id]).unwrap();
    assert!(output.status.success(), "{output:?}");
    server.lab.exim.wait_log("Completed").unwrap();

    // While the daemon runs: whatever it meets, mail flows.
    for path in [server.state("store.redb"), day] {
        damage(&path, 64, 8192);
    }
    for _ in 0..20 {
        server.send("203.0.113.10", HAM);
    }
    server.wait_until("written again", || {
        server.send("203.0.113.10", HAM);
        !server.status().contains("cannot be written")
    });
    assert_eq!(server.lab.exim.panic_log(), "");
}

#[test]
fn files_cut_short() {
    let Some(mut server) = Server::start("files_cut_short", None) else { return };
    server.send("203.0.113.66", SPAM);
    server.wait_until("kept", || server.kept() == 1);
    for (file, left) in
        [("store.redb", 5000), ("store.redb", 0), ("quarantine/index.db", 3000), ("quarantine/index.db", 0)]
    {
        server.daemon.kill();
        // What is not in the main file yet is not to help it.
        let _ = fs::remove_file(server.state(&format!("{file}-wal")));
        File::options().write(true).open(server.state(file)).unwrap().set_len(left).unwrap();
        server.daemon.spawn(&server.lab).unwrap();
        server.send("203.0.113.10", HAM);
        assert_eq!(server.kept(), 1, "{file} cut to {left}\n{}", server.daemon.log());
    }
}
