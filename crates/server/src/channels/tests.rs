//! A whole channel on the loopback: a fake DNS, a fake mirror, and a key of our own that signs for it.
#![allow(clippy::indexing_slicing, reason = "tests may panic")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::*;
use crate::dns::zone::Zone;

const GOOD_RULES: &str = "body CHANNEL_A /cheap pills/\nscore CHANNEL_A 1\n";

/// A certificate for 127.0.0.1 of a certificate authority of our own.
const MAKE_CERTIFICATES: &str = "set -e
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=Test authority'
openssl req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj '/CN=mirror'
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > extensions
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem";

/// Files by path, served until the test ends.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

struct Fake {
    files: Files,
    port: u16,
    folder: tempfile::TempDir,
}

impl Fake {
    /// `None` after a line that says so where GnuPG is not there to sign with.
    fn new(test: &str) -> Option<Fake> {
        let is_there =
            |program: &str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
        if !is_there("gpg") || !is_there("gpgv") {
            println!("skipped: {test}: gpg or gpgv is absent");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let files = Files::default();
        let served = Arc::clone(&files);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                reader.read_line(&mut line).unwrap();
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                while line.trim_end() != "" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                let found = served.lock().unwrap().get(&path).cloned();
                let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
            }
        });
        let fake = Fake { files, port, folder: tempfile::tempdir().unwrap() };
        fake.make_key("channel");
        fake.put("/MIRRORED.BY", format!("# mirrors\n{} weight=10\n", fake.url("/m/")).into_bytes());
        Some(fake)
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn put(&self, path: &str, content: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), content);
    }

    /// Runs gpg with the keys of `name`, which has no passphrase.
    fn gpg(&self, name: &str, arguments: &[&str]) -> Vec<u8> {
        let home = self.folder.path().join(format!("gnupg-{name}"));
        std::fs::create_dir_all(&home).unwrap();
        let output = Command::new("gpg")
            .args(["--homedir", home.to_str().unwrap(), "--batch", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn make_key(&self, name: &str) {
        self.gpg(name, &["--quick-gen-key", &format!("{name}@example.org"), "ed25519", "sign", "never"]);
        std::fs::write(self.keys(name), self.gpg(name, &["--armor", "--export"])).unwrap();
    }

    fn keys(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.asc"))
    }

    /// Puts a version on the mirror, signed by the key `signer`.
    fn publish(&self, version: u64, archive: Vec<u8>, signer: &str) {
        let path = self.folder.path().join("archive");
        std::fs::write(&path, &archive).unwrap();
        let signature = self.gpg(signer, &["--armor", "--detach-sign", "--output", "-", path.to_str().unwrap()]);
        let digest = ring::digest::digest(&ring::digest::SHA512, &archive);
        let digest = format!("{}  {version}.tar.gz\n", data_encoding::HEXLOWER.encode(digest.as_ref()));
        self.put(&format!("/m/{version}.tar.gz"), archive);
        self.put(&format!("/m/{version}.tar.gz.sha512"), digest.into_bytes());
        self.put(&format!("/m/{version}.tar.gz.asc"), signature);
    }

    /// Serves the files by TLS as well, on another port, until the server is killed. `None` after a line that says so without openssl.
    fn tls(&self, test: &str) -> Option<(Server, u16)> {
        let folder = self.folder.path().join("tls");
        std::fs::create_dir_all(&folder).unwrap();
        let shell = Command::new("sh").args(["-c", MAKE_CERTIFICATES]).current_dir(&folder).output().unwrap();
        if !shell.status.success() {
            println!("skipped: {test}: openssl: {}", String::from_utf8_lossy(&shell.stderr));
            return None;
        }
        for (path, content) in self.files.lock().unwrap().iter() {
            let path = folder.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("openssl")
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", "cert.pem", "-key", "key.pem", "-WWW"])
            .current_dir(&folder)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .map(Server)
            .unwrap();
        let list = format!("https://127.0.0.1:{port}/m/\n");
        std::fs::write(folder.join("MIRRORED.BY"), list).unwrap();
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(30), "openssl does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some((server, port))
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.folder.path().join("state/rules/rules.example.org"))
    }

    /// Asks the fake DNS, then updates.
    fn update(&self, version: &str) -> Result<Outcome, Error> {
        let channel: Channel = "rules.example.org".parse().unwrap();
        let zone = self.folder.path().join("zone");
        let text = format!(
            "1.0.4.rules.example.org. 60 IN TXT \"{version}\"\nmirrors.rules.example.org. 60 IN TXT \"{}\"\n",
            self.url("/MIRRORED.BY")
        );
        std::fs::write(&zone, text).unwrap();
        let zone = Zone::read(&zone).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let offer = runtime.block_on(offer(&zone, &channel))?;
        update(&offer, &self.shelf(), &self.keys("channel"), "mx.example.org")
    }

    fn enabled_rules(&self) -> Option<String> {
        std::fs::read_to_string(self.shelf().current().join("10_a.cf")).ok()
    }
}

/// A program that ends with the test.
struct Server(std::process::Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // `set_path` refuses what a hostile archive would hold.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    gzipped(&tar.into_inner().unwrap())
}

fn gzipped(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn updates_are_enabled_kept_and_taken_back() {
    let Some(fake) = Fake::new("updates_are_enabled_kept_and_taken_back") else { return };
    fake.publish(5, packed(&[("10_a.cf", GOOD_RULES)]), "channel");
    assert_eq!(fake.update("5").unwrap(), Outcome::Enabled { version: 5, rules: 1 });
    assert_eq!(fake.enabled_rules().as_deref(), Some(GOOD_RULES));
    assert_eq!(fake.update("5").unwrap(), Outcome::Unchanged(5), "the same version again");
    assert_eq!(fake.update("4").unwrap(), Outcome::Older { enabled: 5, offered: 4 }, "a replay of an old answer");

    let newer = GOOD_RULES.replace("cheap", "free");
    fake.publish(7, packed(&[("./10_a.cf", &newer), ("v.pre", "")]), "channel");
    assert_eq!(fake.update("7").unwrap(), Outcome::Enabled { version: 7, rules: 1 });
    assert_eq!(fake.enabled_rules(), Some(newer));
    assert_eq!(fake.shelf().revert().unwrap(), (7, 5));
    assert_eq!(fake.enabled_rules().as_deref(), Some(GOOD_RULES));
    assert_eq!(fake.update("7").unwrap(), Outcome::Reverted(7), "what a person took back stays out");
    assert!(fake.shelf().revert().is_err(), "there is only one version before");
    fake.publish(8, packed(&[("10_a.cf", GOOD_RULES)]), "channel");
    assert_eq!(fake.update("8").unwrap(), Outcome::Enabled { version: 8, rules: 1 });
}

/// A mirror with TLS is taken if an authority that is trusted answers for it, and only then.
#[test]
fn mirrors_with_tls_must_prove_who_they_are() {
    let test = "mirrors_with_tls_must_prove_who_they_are";
    let Some(fake) = Fake::new(test) else { return };
    fake.publish(5, packed(&[("10_a.cf", GOOD_RULES)]), "channel");
    let Some((_server, port)) = fake.tls(test) else { return };
    let offer = Offer { version: 5, mirrored_by: format!("https://127.0.0.1:{port}/MIRRORED.BY") };
    let error = update(&offer, &fake.shelf(), &fake.keys("channel"), "mx.example.org").unwrap_err();
    assert!(matches!(&error, Error::Unavailable(why) if why.contains("UnknownIssuer")), "{error}");
    assert_eq!(fake.enabled_rules(), None);
    let authority = std::fs::read(fake.folder.path().join("tls/ca.pem")).unwrap();
    let authority = ureq::tls::Certificate::from_pem(&authority).unwrap().to_owned();
    let agent = http::agent(RootCerts::Specific(Arc::new(vec![authority])));
    let done = update_with(&agent, &offer, &fake.shelf(), &fake.keys("channel"), "mx.example.org");
    assert_eq!(done.unwrap(), Outcome::Enabled { version: 5, rules: 1 });
    assert_eq!(fake.enabled_rules().as_deref(), Some(GOOD_RULES));
}

#[test]
fn what_is_not_right_changes_nothing() {
    let Some(fake) = Fake::new("what_is_not_right_changes_nothing") else { return };
    fake.publish(5, packed(&[("10_a.cf", GOOD_RULES)]), "channel");
    fake.update("5").unwrap();
    fake.make_key("stranger");
    let good = packed(&[("10_a.cf", "body CHANNEL_B /x/\n")]);
    let whole = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5000);
        header.set_path("10_a.cf").unwrap();
        header.set_cksum();
        tar.append(&header, vec![b'#'; 5000].as_slice()).unwrap();
        tar.into_inner().unwrap()
    };
    let link = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "10_a.cf", "/etc/passwd").unwrap();
        gzipped(&tar.into_inner().unwrap())
    };
    for (why, archive, signer, expected) in [
        ("signed by a stranger", good.clone(), "stranger", "the signature is not good"),
        ("the tar is cut", gzipped(&whole[..2000]), "channel", "cut"),
        ("the gzip is cut", good[..good.len() - 10].to_vec(), "channel", "cut or broken"),
        ("it leaves its folder", packed(&[("../evil.cf", "#")]), "channel", "no plain file name"),
        ("it names a root", packed(&[("/etc/cron.d/x", "#")]), "channel", "no plain file name"),
        ("it holds a link", link, "channel", "no plain file name"),
        ("it does not read", packed(&[("10_a.cf", "body A /(/\n")]), "channel", "do not read"),
        ("it is empty", packed(&[]), "channel", "no rules"),
    ] {
        fake.publish(6, archive, signer);
        let error = fake.update("6").unwrap_err().to_string();
        assert!(error.contains(expected), "{why}: {error}");
        assert_eq!(fake.shelf().enabled().unwrap(), Some(5), "{why}");
        assert_eq!(fake.enabled_rules().as_deref(), Some(GOOD_RULES), "{why}");
    }
    fake.publish(6, good, "channel");
    fake.put("/m/6.tar.gz.sha512", b"00  6.tar.gz\n".to_vec());
    assert!(matches!(fake.update("6"), Err(Error::Unavailable(_))), "a wrong digest is a bad download");
    assert!(matches!(fake.update("9"), Err(Error::Unavailable(_))), "the mirror does not have it yet");
    assert!(matches!(fake.update("5x"), Err(Error::Unavailable(_))), "no version");
    assert!(!fake.folder.path().join("state/rules/evil.cf").exists());
    assert!(!Path::new("/etc/cron.d/x").exists());
}

#[test]
fn mirrors_are_spread_by_weight() {
    let list = "# comment\nhttp://a.example/ weight=9\nhttps://b.example/ weight=1\nftp://c.example/\n";
    let first = |host: u32| mirrors(list, &host.to_string(), 1)[0].clone();
    let a = (0..1000).filter(|host| first(*host) == "http://a.example/").count();
    assert!((800..970).contains(&a), "{a} of 1000");
    assert_eq!(mirrors(list, "x", 1).len(), 2);
}

#[test]
fn channels_are_domains() {
    assert_eq!("Updates.SpamAssassin.org".parse::<Channel>().unwrap().to_string(), "updates.spamassassin.org");
    for bad in ["", "..", "../x.org", "a..b", "x.org/y", "localhost", "x.org\u{1b}"] {
        assert!(bad.parse::<Channel>().is_err(), "{bad}");
    }
}
