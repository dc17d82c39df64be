//! The configuration file: composed of what each module owns, read with errors that name file, line and column and show the
//! line. Nothing is guessed: an unknown key is an error.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tidegate_filter::blocklists::{self, Catalogue, Changes};
use tidegate_filter::checks::{self, lists};
use tidegate_filter::engine::{self, Engine};
use tidegate_filter::policy;
use tidegate_filter::settings::{ConfigError, Deadlines, ServerIdentity};
use tidegate_mail::Score;
use tidegate_watch::detectors::Limits;

use crate::rules::{Cache, Loaded};
use crate::{dns, frontends, journal, limits, log_watch, panels, quarantine, rules};

mod schema;

pub use schema::schema;

/// Where the configuration lies unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/tidegate/tidegate.toml";

/// What Tidegate is told in its configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "tidegate.toml")]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who we are.
    pub server: ServerIdentity,
    /// Where state is kept.
    #[serde(default)]
    pub state: State,
    /// The front-end for Exim.
    #[serde(default)]
    pub exim: frontends::exim::config::Config,
    /// The front-end for clients of SpamAssassin's spamd.
    #[serde(default)]
    pub spamd: frontends::spamd::config::Config,
    /// Name resolution.
    #[serde(default)]
    pub dns: dns::Config,
    /// How long verdicts are remembered.
    #[serde(default)]
    pub journal: journal::Config,
    /// What is kept back, and how long.
    #[serde(default)]
    pub quarantine: quarantine::Config,
    /// The mail logs that are watched while they are written.
    #[serde(default)]
    pub logs: log_watch::Config,
    /// What accounts, mailboxes and scripts may send.
    #[serde(default)]
    pub limits: limits::Config,
    /// What the hosting panel knows.
    #[serde(default)]
    pub panel: panels::Config,
    /// Rule files.
    #[serde(default)]
    pub rules: rules::Config,
    /// How long a stage may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// What the administrator wants.
    #[serde(default)]
    pub policy: policy::Config,
    /// What each check lets one set.
    #[serde(default)]
    pub checks: checks::Config,
    /// Points of single symbols.
    #[serde(default)]
    pub weights: BTreeMap<String, Score>,
    /// Changes of the catalogue of DNS lists.
    #[serde(default)]
    pub blocklists: Changes,
}

/// `[state]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// The folder of store, journal, quarantine and lists; owned by the daemon's user. An absolute path, since the command line is
    /// used in any folder.
    #[serde(deserialize_with = "absolute")]
    pub folder: PathBuf,
}

impl Default for State {
    fn default() -> State {
        State { folder: PathBuf::from("/var/lib/tidegate") }
    }
}

impl State {
    /// The socket on which the command line speaks to the daemon.
    pub fn control_socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }
}

/// Why the configuration cannot be used. Shown as it is: it names the place and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A line does not read; the text shows it.
    #[error("{0}")]
    Text(String),
    /// Every line reads, but together they cannot work.
    #[error("{path}: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<ConfigError>,
    },
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it does not read.
    pub fn read(path: &Path) -> Result<Config, Error> {
        let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Config::parse(&text, path)
    }

    /// Reads `text`, which came from `path`.
    ///
    /// # Errors
    /// A line does not read.
    pub fn parse(text: &str, path: &Path) -> Result<Config, Error> {
        toml::from_str(text)
            .map_err(|error| Error::Text(shown(path, text, error.span().unwrap_or(0..0), error.message())))
    }

    /// All limits: those of the file that `[limits]` names, and those of the configuration itself.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it does not read.
    pub fn limits(&self) -> Result<Limits, Error> {
        let mut all = Limits::default();
        if let Some(path) = &self.limits.file {
            let unreadable = |cause| Error::Unreadable { path: path.clone(), cause };
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            let file: limits::File = toml::from_str(&text)
                .map_err(|error| Error::Text(shown(path, &text, error.span().unwrap_or(0..0), error.message())))?;
            if file.limits.file.is_some() {
                let nested = "this file is named by [limits] itself and cannot name a further one";
                return Err(Error::Text(shown(path, &text, 0..0, nested)));
            }
            file.limits.add_to(&mut all);
        }
        self.limits.add_to(&mut all);
        Ok(all)
    }

    /// Sections that are only read when the daemon is started, and are not what they are in `running`.
    pub fn sections_apart(&self, running: &Config) -> Vec<&'static str> {
        let sections = [
            ("state", self.state == running.state),
            ("exim", self.exim == running.exim),
            ("spamd", self.spamd == running.spamd),
            ("journal", self.journal == running.journal),
            ("quarantine", self.quarantine == running.quarantine),
            ("panel", self.panel == running.panel),
        ];
        sections.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
    }

    /// The file of the own lists.
    pub fn lists_path(&self) -> PathBuf {
        self.state.folder.join("lists")
    }

    /// The folder of the journal.
    pub fn journal_folder(&self) -> PathBuf {
        self.state.folder.join("journal")
    }

    /// The folder of the quarantine.
    pub fn quarantine_folder(&self) -> PathBuf {
        self.state.folder.join("quarantine")
    }

    /// The folder of copies of Exim's files as they were before Tidegate came.
    pub fn exim_snapshots(&self) -> PathBuf {
        self.state.folder.join("exim-snapshots")
    }

    /// Reads and compiles the rule files for the daemon, which keeps what was found out about patterns for its next start.
    pub fn load_rules(&self) -> Loaded {
        rules::load(&self.rules, &self.server.trusted_relays, Cache::Kept(&self.rules_cache()))
    }

    /// Reads and compiles the rule files, and writes nothing.
    pub fn look_at_rules(&self) -> Loaded {
        rules::load(&self.rules, &self.server.trusted_relays, Cache::Read(&self.rules_cache()))
    }

    fn rules_cache(&self) -> PathBuf {
        self.state.folder.join("rules.cache")
    }

    /// Builds the engine, with the own lists as they stand in their file, and with the rules that were loaded.
    ///
    /// # Errors
    /// An entry of the lists does not read, or the configuration cannot work.
    pub fn engine(&self, path: &Path, rules: Option<&Loaded>) -> Result<Engine, Error> {
        let lists = read_lists(&self.lists_path())?;
        let config = engine::Config {
            fingerprint: fingerprint(self, &lists, rules),
            identity: self.server.clone(),
            deadlines: self.deadlines,
            policy: self.policy.clone(),
            checks: self.checks.clone(),
            weights: self.weights.clone(),
            lists,
            blocklists: blocklists::changed(shipped_blocklists(), &self.blocklists),
            rules: rules.map(|loaded| Arc::clone(&loaded.set)),
        };
        let engine = Engine::new(config).map_err(|problems| Error::Problems { path: path.to_owned(), problems })?;
        for name in engine.unknown_weights() {
            tracing::warn!("[weights] names {name}, which no check and no rule declares; it counts nothing");
        }
        Ok(engine)
    }
}

/// The catalogue of DNS lists that comes with Tidegate.
fn shipped_blocklists() -> Catalogue {
    toml::from_str(blocklists::SHIPPED).expect("the shipped catalogue reads, as a test of it proves")
}

/// Which program and configuration judge, in a few characters: the same for the same version, configuration, lists and rules.
fn fingerprint(config: &Config, lists: &[lists::Entry], rules: Option<&Loaded>) -> String {
    use std::hash::Hasher;
    let mut hasher = SipHasher13::new();
    // Maps are sorted, so the text is the same for the same configuration.
    hasher.write(toml::to_string(config).unwrap_or_default().as_bytes());
    lists.iter().for_each(|entry| hasher.write(entry.to_string().as_bytes()));
    hasher.write_u64(rules.map_or(0, |loaded| loaded.hash));
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// Reads the own lists at `path`; no file means no entries.
///
/// # Errors
/// The file cannot be read, or a line is no entry.
pub fn read_lists(path: &Path) -> Result<Vec<lists::Entry>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(Error::Unreadable { path: path.to_owned(), cause }),
    };
    let mut entries = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let entry = line.trim();
        if !entry.is_empty() && !entry.starts_with('#') {
            let parsed = entry.parse::<lists::Entry>();
            let span = offset..offset + line.trim_end().len();
            entries.push(parsed.map_err(|error| Error::Text(shown(path, &text, span, &error.to_string())))?);
        }
        offset += line.len();
    }
    Ok(entries)
}

fn absolute<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(serde::de::Error::custom("this path has to be absolute: daemon and command line begin in different folders"))
}

/// How the libraries name the numbers that they expect, at the end of a message, and what they are for an administrator.
const NUMBERS: [(&str, &str); 9] = [
    ("a nonzero u8", "a whole number from 1 to 255"),
    ("a nonzero u16", "a whole number from 1 to 65535"),
    ("a nonzero u32", "a whole number from 1 to 4294967295"),
    ("a nonzero u64", "a whole number above 0"),
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number, 0 or more"),
    ("usize", "a whole number, 0 or more"),
];

/// `message` with file, line, column and the line itself.
fn shown(path: &Path, text: &str, span: Range<usize>, message: &str) -> String {
    let number = NUMBERS.iter().find_map(|(name, words)| {
        let before = message.trim_end().strip_suffix(name)?.strip_suffix("expected ")?;
        Some(format!("{before}expected {words}"))
    });
    let message = number.as_deref().unwrap_or(message);
    let path = path.display().to_string();
    let snippet = Snippet::source(text).path(path.as_str()).annotation(AnnotationKind::Primary.span(span));
    let report = [Level::ERROR.primary_title(message.trim_end()).element(snippet)];
    Renderer::plain().render(&report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_shows_its_line() {
        let text = "[server]\nhostname = \"mx.example.org\"\n\n[dns]\ntimeout = 5\n";
        let error = Config::parse(text, Path::new("t.toml")).unwrap_err().to_string();
        assert!(error.contains("t.toml:5:1"), "{error}");
        assert!(error.contains("timeout = 5"), "{error}");
    }

    /// What an administrator may write by mistake, each with the words that help.
    #[test]
    fn a_wrong_value_is_named_in_words() {
        for (lines, ought) in [
            ("[checks.greylist]\ndelay_s = -5", "integer `-5`, expected a whole number from 0 to 4294967295\n"),
            ("[checks.greylist]\ndelay_s = \"5\"", "string \"5\", expected a whole number from 0 to 4294967295\n"),
            ("[checks.greylist]\ndelay_s = 99999999999", "expected a whole number from 0 to 4294967295\n"),
            ("[dns]\ntimeout_ms = 0", "integer `0`, expected a whole number above 0\n"),
            (
                "[dns]\nservers = [\"ns.test\"]",
                "`ns.test` is no address of a resolver: write it as 127.0.0.1, 127.0.0.1:53",
            ),
            ("[dns]\nservers = [\"[::1]\"]", "`[::1]` is no address of a resolver"),
            ("[journal]\nkeep_days = 99999", "expected a whole number from 0 to 65535\n"),
            ("[state]\nfolder = \"state\"", "this path has to be absolute"),
            ("[policy.server.inbound]\ntag = nan", "invalid value: `nan`, expected a number of points"),
            ("[policy.server.inbound]\ntag = inf", "a score of more than two million points"),
            ("[weights]\nRDNS_NONE = -nan", "invalid value: `nan`, expected a number of points"),
            ("[weights]\nRDNS_NONE = 1e300", "a score of more than two million points"),
            ("[blocklists.\"bl..test\"]", "`bl..test`: the domain has nothing between two dots"),
        ] {
            let text = format!("[server]\nhostname = \"mx.example.org\"\n{lines}\n");
            let error = Config::parse(&text, Path::new("t.toml")).unwrap_err().to_string();
            assert!(error.contains(ought) && error.contains("t.toml:"), "{lines}: {error}");
        }
        let text = "[server]\nhostname = \"mx.example.org\"\n[policy.caps]\nform = 50\n";
        let engine = Config::parse(text, Path::new("t.toml")).unwrap().engine(Path::new("t.toml"), None);
        let error = engine.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("the cap 50.0 of group form reaches"), "{error}");
    }

    #[test]
    fn a_resolver_needs_no_port() {
        let text = "[server]\nhostname = \"mx.example.org\"\n[dns]\nservers = [\"127.0.0.1\", \"127.0.0.2:5353\", \"::1\", \"[::2]:54\"]\n";
        let servers = Config::parse(text, Path::new("t.toml")).unwrap().dns.servers;
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.1:53", "127.0.0.2:5353", "[::1]:53", "[::2]:54"]);
    }

    #[test]
    fn one_cap_leaves_the_others_as_they_are() {
        let text = "[server]\nhostname = \"mx.example.org\"\n[policy.caps]\nrules = 5.5\n";
        let caps = Config::parse(text, Path::new("t.toml")).unwrap().policy.caps;
        let shipped = policy::Config::default().caps;
        assert_eq!(caps.len(), shipped.len());
        let changed: Vec<_> = caps.iter().filter(|(group, cap)| shipped.get(group) != Some(cap)).collect();
        assert_eq!(changed, [(&tidegate_filter::check::Group::Rules, &Score::milli(5500))]);
    }

    #[test]
    fn the_least_configuration_works() {
        let config = Config::parse("[server]\nhostname = \"mx.example.org\"\n", Path::new("t.toml")).unwrap();
        assert!(config.engine(Path::new("t.toml"), None).is_ok());
    }
    /// What `limits suggest --toml` writes is taken as it is, in the file or beside it; a wrong line shows where it stands.
    #[test]
    fn limits_are_read_from_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("limits.toml");
        let text = format!("[server]\nhostname = \"mx.example.org\"\n[limits]\nfile = {file:?}\n");
        let config = Config::parse(&text, Path::new("t.toml")).unwrap();
        assert!(config.limits().unwrap_err().to_string().contains("limits.toml"), "the file is not there");
        for (written, expected) in [
            ("[limits.mailbox.\"a@b.example\"]\nper_hour = 30\nper_day = 100\nper_message = 20\n", Ok(1)),
            ("[limits.script.\"/home/a\"]\nper_day = 5\n[limits.account.a]\nper_day = 5\n", Ok(2)),
            ("", Ok(0)),
            ("[limits.mailbox.\"a@b.example\"]\nper_hour = 0\n", Err("limits.toml:2:12")),
            ("[limits.mailbox.\"a@b.example\"]\nper_hour = -4\n", Err("limits.toml:2:12")),
            ("[limits.mailbox.\"a@b.example\"]\nper_week = 5\n", Err("limits.toml:2:1")),
            ("\n[limits.mailbox.\"a@b.example\"]\nper_hour = 5\nper_day = 4\n", Err("limits.toml:2:1")),
            ("[limits.mailbox.\"a@b.example\"]\n", Err("this limits nothing")),
            ("[limits.postbox.\"a@b.example\"]\nper_hour = 5\n", Err("limits.toml:1:9")),
            ("[limits]\nfile = \"x\"\n", Err("cannot name a further one")),
            ("[server]\nhostname = \"x\"\n", Err("limits.toml:1:2")),
        ] {
            std::fs::write(&file, written).unwrap();
            match (config.limits().map(|limits| limits.count()), expected) {
                (Ok(count), Ok(expected)) => assert_eq!(count, expected, "{written}"),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{written}: {error}"),
                (found, _) => panic!("{written}: {found:?}"),
            }
        }
    }
}
