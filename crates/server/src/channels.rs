//! Channels of rules as `sa-update` has them: DNS tells the newest version and where the mirrors are listed, a mirror has the archive, its
//! digest and its signature. What is not signed by the channel's key, does not unpack whole, or does not read as rules is never enabled.
//!
//! Nothing here runs by itself: `tidegate rules update` does, from a timer if one wants it.

use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher13;
use tidegate_filter::dns::{Question, Record, RecordKind, Resolver};
use tidegate_rules::language::source::{Severity, SourceFile};
use tidegate_rules::language::{ParseOptions, parse};
use tidegate_rules::{CompileOptions, compile};
use ureq::tls::RootCerts;

mod archive;
mod http;
mod proof;
mod shelf;

pub use shelf::Shelf;

/// The version of SpamAssassin that this program is to channels, with its parts reversed as they are asked for (4.0.1).
const LANGUAGE_REVERSED: &str = "1.0.4";
/// Mirrors of a channel that are read.
const MIRRORS_MAX: usize = 50;
/// Mirrors that are tried before giving up.
const MIRRORS_TRIED_MAX: usize = 5;
/// Largest archive that is fetched.
const ARCHIVE_OCTETS_MAX: u64 = 32 << 20;
/// Largest list of mirrors, digest or signature.
const TEXT_OCTETS_MAX: u64 = 1 << 20;

/// A channel's name: a domain in lower case, which is also the name of its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel(String);

impl std::str::FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Channel, String> {
        let name = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && label.len() < 64
        };
        if name.len() < 250 && name.contains('.') && name.split('.').all(is_label) {
            Ok(Channel(name))
        } else {
            Err(format!("`{}` is no channel; it is a domain such as updates.spamassassin.org", text.escape_debug()))
        }
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why nothing was changed. Shown as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// DNS or the mirrors gave no answer.
    #[error("{0}")]
    Unavailable(String),
    /// What came is not what the channel signed, is cut, or leaves its folder.
    #[error("{0}; nothing was changed")]
    Untrusted(String),
    /// It is signed, but does not read as rules.
    #[error("the rules of version {version} do not read, so the former ones stay: {first}")]
    Broken {
        /// The version.
        version: u64,
        /// The first error.
        first: String,
    },
    /// The folder of rules or the key cannot be used.
    #[error("{0}")]
    Local(String),
}

/// What came of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The newest version is the one that is enabled.
    Unchanged(u64),
    /// The channel offers an older version than the one that is enabled: somebody may be replaying it.
    Older {
        /// What is enabled.
        enabled: u64,
        /// What is offered.
        offered: u64,
    },
    /// A person went back from this version; it is not enabled again.
    Reverted(u64),
    /// A version was enabled.
    Enabled {
        /// Which one.
        version: u64,
        /// How many rules it has.
        rules: usize,
    },
}

/// What a channel says in DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The newest version.
    pub version: u64,
    /// Where the mirrors are listed.
    pub mirrored_by: String,
}

/// Asks DNS what `channel` offers.
///
/// # Errors
/// [`Error::Unavailable`] without an answer, or with one that is none.
pub async fn offer(dns: &dyn Resolver, channel: &Channel) -> Result<Offer, Error> {
    let version = text_of(dns, &format!("{LANGUAGE_REVERSED}.{channel}")).await?;
    let is_number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    let version = version.parse().ok().filter(|_| is_number);
    let version =
        version.ok_or_else(|| Error::Unavailable(format!("{channel} tells no version for rules of 4.0.1")))?;
    let mirrored_by = text_of(dns, &format!("mirrors.{channel}")).await?;
    Ok(Offer { version, mirrored_by })
}

async fn text_of(dns: &dyn Resolver, name: &str) -> Result<String, Error> {
    let question = Question::new(name, RecordKind::Txt);
    let reply = dns.lookup(&question).await.map_err(|gap| Error::Unavailable(format!("DNS: {name}: {}", gap.cause)))?;
    let text = reply.records.iter().find_map(|record| match record {
        Record::Txt(text) => Some(String::from_utf8_lossy(text).trim().to_owned()),
        _ => None,
    });
    text.ok_or_else(|| Error::Unavailable(format!("DNS: there is no text at {name}")))
}

/// Brings the shelf of a channel to the version that it offers. `keys` is the file with its public keys, armored or not; `host` only
/// spreads hosts over the mirrors.
///
/// # Errors
/// Why nothing was changed.
pub fn update(offer: &Offer, shelf: &Shelf, keys: &Path, host: &str) -> Result<Outcome, Error> {
    // The web's own certificates are built in.
    update_with(&http::agent(RootCerts::WebPki), offer, shelf, keys, host)
}

fn update_with(agent: &ureq::Agent, offer: &Offer, shelf: &Shelf, keys: &Path, host: &str) -> Result<Outcome, Error> {
    let _lock = shelf.lock()?;
    let Offer { version, mirrored_by } = offer;
    match shelf.enabled()? {
        Some(enabled) if enabled == *version => return Ok(Outcome::Unchanged(enabled)),
        Some(enabled) if enabled > *version => return Ok(Outcome::Older { enabled, offered: *version }),
        _ => {}
    }
    if shelf.is_reverted(*version)? {
        return Ok(Outcome::Reverted(*version));
    }
    let list = http::get(agent, mirrored_by, TEXT_OCTETS_MAX).map_err(Error::Unavailable)?;
    let mirrors = mirrors(&String::from_utf8_lossy(&list), host, *version);
    let mut trouble = format!("{} lists no mirror", mirrored_by.escape_debug());
    for mirror in mirrors.iter().take(MIRRORS_TRIED_MAX) {
        match fetch(agent, mirror, *version) {
            Ok(fetched) => return enable(&fetched, *version, shelf, keys),
            Err(error) => trouble = error,
        }
    }
    Err(Error::Unavailable(trouble))
}

/// What a mirror gave.
struct Fetched {
    archive: Vec<u8>,
    signature: Vec<u8>,
}

/// The archive with its signature; its digest must be right, so that a cut download is tried at the next mirror.
fn fetch(agent: &ureq::Agent, mirror: &str, version: u64) -> Result<Fetched, String> {
    let base = format!("{}/{version}.tar.gz", mirror.trim_end_matches('/'));
    let archive = http::get(agent, &base, ARCHIVE_OCTETS_MAX)?;
    let digest = http::get(agent, &format!("{base}.sha512"), TEXT_OCTETS_MAX)
        .or_else(|_| http::get(agent, &format!("{base}.sha256"), TEXT_OCTETS_MAX))?;
    if !proof::has_digest(&archive, &digest) {
        return Err(format!("{base} does not have the digest that lies beside it; it may be cut"));
    }
    let signature = http::get(agent, &format!("{base}.asc"), TEXT_OCTETS_MAX)?;
    Ok(Fetched { archive, signature })
}

fn enable(fetched: &Fetched, version: u64, shelf: &Shelf, keys: &Path) -> Result<Outcome, Error> {
    proof::check_signature(&fetched.archive, &fetched.signature, keys, &shelf.workplace()?)?;
    let files = archive::unpack(&fetched.archive).map_err(Error::Untrusted)?;
    let rules = read_as_rules(version, &files)?;
    shelf.enable(version, &files)?;
    Ok(Outcome::Enabled { version, rules })
}

/// How many rules the files hold; an error in them is one of ours to explain, not to enable.
fn read_as_rules(version: u64, files: &[(String, Vec<u8>)]) -> Result<usize, Error> {
    let is_rules = |name: &str| name.ends_with(".cf") || name.ends_with(".pre");
    let mut sources: Vec<SourceFile> = files
        .iter()
        .filter(|(name, _)| is_rules(name))
        .map(|(name, text)| SourceFile { name: name.clone(), text: text.clone() })
        .collect();
    sources.sort_by_key(|source| (source.name.ends_with(".cf"), source.name.clone()));
    let include = |name: &str, _: &str| {
        let found = sources.iter().find(|source| source.name == name).cloned();
        found.ok_or_else(|| format!("{name}: the channel has no such file"))
    };
    let parsed = parse(&sources, &ParseOptions::default(), &include);
    let read = parsed.diagnostics.clone();
    let (set, remarks) = compile(parsed, CompileOptions::default());
    if let Some(error) = read.iter().chain(&remarks).find(|remark| remark.severity == Severity::Error) {
        return Err(Error::Broken { version, first: error.to_string() });
    }
    if set.rules().is_empty() {
        return Err(Error::Broken { version, first: "there are no rules in it".to_owned() });
    }
    Ok(set.rules().len())
}

/// The mirrors of a list, the one for this host first. A line is `http://host/path/ weight=5`; the weight says how often a mirror is to be the
/// first.
fn mirrors(list: &str, host: &str, version: u64) -> Vec<String> {
    use std::hash::Hasher;
    let mut ranked: Vec<(f64, String)> = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(url) = words.next().filter(|url| url.starts_with("http://") || url.starts_with("https://")) else {
            continue;
        };
        let weight = words.find_map(|word| word.strip_prefix("weight=")?.parse::<u32>().ok()).unwrap_or(1);
        let mut hasher = SipHasher13::new();
        hasher.write(format!("{host} {version} {url}").as_bytes());
        // Weighted rendezvous: the greatest -weight / ln(u) is first, with u evenly spread between 0 and 1.
        #[allow(clippy::cast_precision_loss, reason = "a hash made a fraction; its last bits do not matter")]
        let even = (hasher.finish() as f64 + 1.0) / (u64::MAX as f64 + 2.0);
        ranked.push((-f64::from(weight.max(1)) / even.ln(), url.to_owned()));
        if ranked.len() >= MIRRORS_MAX {
            break;
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().map(|(_, url)| url).collect()
}

/// The folder of a channel's rules below `state`, and what to name in `[rules] files`.
#[must_use]
pub fn folder(state: &Path, channel: &Channel) -> PathBuf {
    state.join("rules").join(&channel.0)
}

#[cfg(test)]
mod tests;
