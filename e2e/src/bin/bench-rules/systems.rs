//! The servers that are compared: where they come from, and what they are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::Plan;
use crate::client::{self, Protocol};
use crate::process::Running;

/// Judged by each server to see that it is up.
const FIRST_MESSAGE: &[u8] =
    b"From: a@b.test\r\nTo: c@d.test\r\nSubject: hi\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <x@b.test>\r\n\r\nhello\r\n";
/// What SpamAssassin and the rules alone are told besides their rules.
const LOCAL_CF: &str = "use_bayes 0\nuse_bayes_rules 0\n";
/// Plugins of rspamd that ask DNS or other servers, or keep a state: `spamd -L` has none of that.
const RSPAMD_WITHOUT: [&str; 16] = [
    "rbl",
    "surbl",
    "spf",
    "dkim",
    "dmarc",
    "arc",
    "mx_check",
    "emails",
    "fuzzy_check",
    "rspamd_update",
    "asn",
    "phishing",
    "ratelimit",
    "greylist",
    "replies",
    "dkim_signing",
];
/// What the daemon is told: the same rules, and no more of DNS than the others ask. Identity is checked and each message recorded.
const DAEMON: &str = r#"
[server]
hostname = "mx.bench.test"
[state]
folder = "@FOLDER@/daemon/state"
[exim]
socket = "@FOLDER@/daemon/exim.sock"
spool = "@FOLDER@/daemon/spool"
[dns]
servers = ["127.0.0.1:53"]
timeout_ms = 500
[panel]
kind = "static"
[logs]
files = []
[rules]
shipped = false
files = [@RULES@]
dns = false
[spamd]
listen = ["127.0.0.1:18787"]
[blocklists]
"bl.spamcop.net" = { enabled = false }
"psbl.surriel.com" = { enabled = false }
"dnsbl-1.uceprotect.net" = { enabled = false }
"list.dnswl.org" = { enabled = false }
"#;
const RSPAMD_OPTIONS: &str = "dns { nameserver = [\"127.0.0.1\"]; timeout = 1s; retransmits = 1; }\nneighbours = {};\n";

/// One server.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) protocol: Protocol,
    pub(crate) address: String,
    command: Vec<String>,
    /// What it keeps for its next start.
    kept: Option<PathBuf>,
    log: PathBuf,
}

/// How a start went, once without and once with what a former one left.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) cold: Timing,
    pub(crate) warm: Timing,
}

#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// Seconds until the first answer.
    pub(crate) answers_s: f64,
    /// CPU seconds until its processes rest.
    pub(crate) cpu_s: f64,
}

impl System {
    /// Starts it, ends it, and starts it again; the second one stays.
    pub(crate) fn start_twice(&self) -> anyhow::Result<(Running, Start)> {
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        ensure!(is_installed(program), "{program} is not installed");
        if let Some(kept) = &self.kept {
            empty(kept)?;
        }
        let (running, cold) = self.start()?;
        drop(running);
        let (running, warm) = self.start()?;
        Ok((running, Start { cold, warm }))
    }

    fn start(&self) -> anyhow::Result<(Running, Timing)> {
        let (program, arguments) = self.command.split_first().context("a command")?;
        let mut command = Command::new(program);
        command.args(arguments);
        let answers = || client::ask(self.protocol, &self.address, FIRST_MESSAGE).is_ok();
        let (running, took) = Running::start(command, &self.log, answers)?;
        running.rest();
        let timing = Timing { answers_s: took.as_secs_f64(), cpu_s: running.cpu_seconds() };
        Ok((running, timing))
    }
}

impl Start {
    pub(crate) fn show(&self, name: &str) -> String {
        let Start { cold, warm } = self;
        format!(
            "{name}: answers after {:.2} s ({:.2} s CPU until it rests), started again after {:.2} s ({:.2} s)",
            cold.answers_s, cold.cpu_s, warm.answers_s, warm.cpu_s
        )
    }
}

/// A folder with messages, rules and the servers' files. It goes with the value.
#[derive(Debug)]
pub(crate) struct Prepared {
    folder: PathBuf,
}

impl Prepared {
    /// Unpacks the material and writes configurations into a folder of this name below the system's temporary one.
    pub(crate) fn new(plan: &Plan, name: &str) -> anyhow::Result<Prepared> {
        let prepared = Prepared { folder: std::env::temp_dir().join(name) };
        let folder = &prepared.folder;
        for made in ["corpus", "stock", "kam", "cache"] {
            fs::create_dir_all(folder.join(made))?;
        }
        for (archive, into) in [("spamassassin-4.0.1", "stock"), ("kam-2026-08", "kam")] {
            unpack(&plan.material.join(format!("rules/{archive}.tar.gz")), &folder.join(into))?;
        }
        fs::write(folder.join("stock/zz_local.cf"), LOCAL_CF)?;
        if plan.messages.is_none() {
            for entry in fs::read_dir(plan.material.join("corpus"))? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "gz") {
                    unpack(&path, &folder.join("corpus"))?;
                }
            }
        }
        prepared.spamassassin("sa", false)?;
        prepared.spamassassin("sa-kam", true)?;
        prepared.rspamd()?;
        prepared.daemon()?;
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(folder))?;
        Ok(prepared)
    }

    /// The messages: all `.eml` files by path, and of these as many as asked for, evenly spaced.
    pub(crate) fn messages(&self, plan: &Plan) -> anyhow::Result<Vec<Vec<u8>>> {
        let corpus = self.folder.join("corpus");
        let paths = eml_files(plan.messages.as_deref().unwrap_or(&corpus))?;
        ensure!(!paths.is_empty(), "there is no .eml file");
        let count = plan.count.min(paths.len());
        let chosen = (0..count).filter_map(|number| paths.get(number * paths.len() / count));
        chosen.map(|path| fs::read(path).with_context(|| path.display().to_string())).collect()
    }

    /// All servers, SpamAssassin first.
    pub(crate) fn systems(&self, plan: &Plan) -> Vec<System> {
        let system = |name: &str, what: &str, protocol, address: &str, command: Vec<String>| System {
            name: name.to_owned(),
            what: what.to_owned(),
            protocol,
            address: address.to_owned(),
            command,
            kept: None,
            log: self.folder.join(format!("{name}.log")),
        };
        let at = |name: &str| self.folder.join(name).display().to_string();
        let spamd = |folder: &str, port: &str| {
            let site = format!("--siteconfigpath={}", at(&format!("{folder}/etc")));
            let home = at(&format!("{folder}/home"));
            let words =
                ["/usr/sbin/spamd", "-L", "-x", "-u", "debian-spamd", "-H", &home, "-i", "127.0.0.1", "-p", port];
            let children = ["-m", "2", "--min-children=2", "--max-spare=2", "--min-spare=1", "-s", "stderr", &site];
            words.into_iter().chain(children).map(str::to_owned).collect::<Vec<String>>()
        };
        let judge = |folders: &[&str], port: &str| {
            let mut words = vec![plan.judge.display().to_string()];
            words.extend(folders.iter().map(|folder| at(folder)));
            words.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
            words.extend(["--cache".to_owned(), at(&format!("cache/{}", folders.len()))]);
            words
        };
        let mut systems = vec![
            system(
                "spamassassin",
                "Debian's spamd -L, stock rules, no Bayes",
                Protocol::Spamd,
                "127.0.0.1:18783",
                spamd("sa", "18783"),
            ),
            system(
                "spamassassin+kam",
                "the same with KAM's rules",
                Protocol::Spamd,
                "127.0.0.1:18784",
                spamd("sa-kam", "18784"),
            ),
            system(
                "rspamd",
                "Debian's rspamd without DNS and state",
                Protocol::Rspamd,
                "127.0.0.1:18333",
                self.rspamd_command(),
            ),
            system(
                "tidegate",
                "the library alone, stock rules",
                Protocol::Spamd,
                "127.0.0.1:18785",
                judge(&["stock"], "18785"),
            ),
            system(
                "tidegate+kam",
                "the same with KAM's rules",
                Protocol::Spamd,
                "127.0.0.1:18786",
                judge(&["stock", "kam"], "18786"),
            ),
            system(
                "tidegate-daemon",
                "the daemon as spamd, stock rules: identity, all checks, a record of each message",
                Protocol::Spamd,
                "127.0.0.1:18787",
                vec![
                    // As its service unit has it.
                    "env".to_owned(),
                    "MALLOC_ARENA_MAX=2".to_owned(),
                    plan.daemon.display().to_string(),
                    "--config".to_owned(),
                    at("daemon/tidegate.toml"),
                    "serve".to_owned(),
                ],
            ),
        ];
        for system in &mut systems {
            system.kept = match system.name.as_str() {
                "rspamd" => Some(self.folder.join("rspamd/db")),
                "tidegate" | "tidegate+kam" => Some(self.folder.join("cache")),
                "tidegate-daemon" => Some(self.folder.join("daemon/state")),
                _ => None,
            };
        }
        systems.extend(plan.with.iter().map(|(name, address, command)| {
            let words = ["sh", "-c", &format!("exec {command}")].map(str::to_owned);
            system(name, command, Protocol::Spamd, address, words.to_vec())
        }));
        systems
    }

    fn rspamd_command(&self) -> Vec<String> {
        let folder = self.folder.join("rspamd");
        let mut words: Vec<String> =
            ["rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", "/etc/rspamd/rspamd.conf"]
                .map(str::to_owned)
                .to_vec();
        for (variable, name) in [("DBDIR", "db"), ("LOGDIR", "log"), ("RUNDIR", "run"), ("LOCAL_CONFDIR", "etc")] {
            words.push(format!("--var={variable}={}", folder.join(name).display()));
        }
        words
    }

    /// The daemon takes the folders that hold rules, not those above them.
    fn daemon(&self) -> anyhow::Result<()> {
        let folder = self.folder.join("daemon");
        for made in ["state", "spool"] {
            fs::create_dir_all(folder.join(made))?;
        }
        let mut rules: Vec<String> = folders_below(&self.folder.join("stock"))?;
        rules.sort();
        let config = DAEMON.replace("@FOLDER@", &self.folder.to_string_lossy()).replace("@RULES@", &rules.join(", "));
        fs::write(folder.join("tidegate.toml"), config).context("writing the daemon's configuration")
    }

    fn spamassassin(&self, name: &str, with_kam: bool) -> anyhow::Result<()> {
        let folder = self.folder.join(name);
        fs::create_dir_all(folder.join("home"))?;
        if !Path::new("/etc/spamassassin").is_dir() {
            return Ok(());
        }
        run(Command::new("cp").args(["-a", "/etc/spamassassin"]).arg(folder.join("etc")))?;
        // What SpamAssassin compiles for itself is another product's figure.
        let _ = fs::remove_file(folder.join("etc/sa-compile.pre"));
        fs::write(folder.join("etc/local.cf"), LOCAL_CF)?;
        if with_kam {
            for entry in fs::read_dir(self.folder.join("kam/kam-2026-08"))? {
                let path = entry?.path();
                fs::copy(&path, folder.join("etc").join(path.file_name().unwrap_or_default()))?;
            }
        }
        owned_by("debian-spamd", &folder.join("home"))
    }

    fn rspamd(&self) -> anyhow::Result<()> {
        let folder = self.folder.join("rspamd");
        for made in ["etc/local.d", "etc/override.d", "db", "log", "run"] {
            fs::create_dir_all(folder.join(made))?;
        }
        let local = folder.join("etc/local.d");
        fs::write(local.join("worker-normal.inc"), "bind_socket = \"127.0.0.1:18333\";\ncount = 2;\n")?;
        fs::write(local.join("worker-controller.inc"), "enabled = false;\n")?;
        fs::write(local.join("worker-proxy.inc"), "enabled = false;\n")?;
        fs::write(local.join("worker-fuzzy.inc"), "enabled = false;\n")?;
        fs::write(local.join("options.inc"), RSPAMD_OPTIONS)?;
        for plugin in RSPAMD_WITHOUT {
            fs::write(local.join(format!("{plugin}.conf")), "enabled = false;\n")?;
        }
        ["db", "log", "run"].iter().try_for_each(|name| owned_by("_rspamd", &folder.join(name)))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_installed(program: &str) -> bool {
    let is_file = |path: PathBuf| path.is_file();
    if program.contains('/') {
        return is_file(program.into());
    }
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| is_file(folder.join(program))))
}

fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<()> {
    run(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(folder))
}

/// Without this user its server is not installed, and nothing has to be done.
fn owned_by(user: &str, folder: &Path) -> anyhow::Result<()> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    if users.lines().any(|line| line.split(':').next() == Some(user)) {
        run(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(folder))?;
    }
    Ok(())
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(())
}

/// `folder` and all folders in it, each as a TOML string.
fn folders_below(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = vec![format!("{:?}", folder.display().to_string())];
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(folders_below(&path)?);
        }
    }
    Ok(found)
}

fn eml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut paths, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "eml") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("running {shown}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {}", said.lines().last().unwrap_or_default());
    Ok(())
}
