//! `tidegate rules update`: fetches, proves and enables the newest rules of channels, or goes back to those before.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::Ended;
use crate::channels::{self, Channel, Error, Outcome, Shelf};
use crate::cli::check;
use crate::dns::Dns;
use crate::dns::zone::Zone;

/// Where the public keys of channels lie, as `CHANNEL.asc` or `CHANNEL.gpg`.
const KEYS_FOLDER: &str = "/etc/tidegate/rules/keys";

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Channels, such as updates.spamassassin.org.
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<Channel>,
    /// The file with the channel's public keys, armored or not; else CHANNEL.asc or CHANNEL.gpg in /etc/tidegate/rules/keys.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Go back to the rules before; the version that was enabled is then left out by updates.
    #[arg(long)]
    revert: bool,
    /// Only say what is offered and what is enabled.
    #[arg(long, conflicts_with = "revert")]
    dry_run: bool,
    /// A master file (RFC 1035) that answers all of DNS.
    #[arg(long, value_name = "ZONEFILE")]
    dns: Option<PathBuf>,
    /// One JSON object a channel.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config_path: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let config = check::config(config_path)?;
    as_owner_of(&config.state.folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut ended = Ended::Done;
    for channel in &arguments.channels {
        let shelf = Shelf::new(channels::folder(&config.state.folder, channel));
        let offer = || -> Result<channels::Offer, Error> {
            let local = |error: anyhow::Error| Error::Local(format!("{error:#}"));
            runtime.block_on(async {
                match &arguments.dns {
                    Some(zone) => channels::offer(&Zone::read(zone).map_err(local)?, channel).await,
                    None => {
                        let dns = Dns::new(&config.dns).map_err(|error| Error::Local(error.to_string()))?;
                        channels::offer(&dns, channel).await
                    }
                }
            })
        };
        let result = if arguments.revert {
            shelf.revert().map(|(from, to)| Told::Reverted { from, to })
        } else if arguments.dry_run {
            let enabled = shelf.enabled();
            offer().and_then(|offer| Ok(Told::Offered { offered: offer.version, enabled: enabled? }))
        } else {
            let keys = arguments.keys.clone().map_or_else(|| default_keys(channel), Ok);
            keys.and_then(|keys| channels::update(&offer()?, &shelf, &keys, config.server.hostname.as_str()))
                .map(Told::Done)
        };
        let told = tell(channel, &shelf, result);
        println!("{}", if arguments.json { told.json(channel) } else { format!("{channel}: {}", told.text) });
        ended = worse(ended, told.ended);
    }
    Ok(ended)
}

/// Goes on as the owner of the folder if root asks: what root put there, the daemon's user could not change, and its timer would fail.
/// Before any other thread is there, so that all have this user.
fn as_owner_of(folder: &Path) -> anyhow::Result<()> {
    let Ok(folder) = std::fs::metadata(folder) else { return Ok(()) };
    if !rustix::process::geteuid().is_root() || folder.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()));
    set_thread_groups(&[group])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// What came of one channel.
enum Told {
    Reverted { from: u64, to: u64 },
    Offered { offered: u64, enabled: Option<u64> },
    Done(Outcome),
}

/// The same in words, with the word for programs.
struct Line {
    word: &'static str,
    version: Option<u64>,
    text: String,
    ended: Ended,
}

impl Line {
    fn json(&self, channel: &Channel) -> String {
        let Line { word, version, text, .. } = self;
        let object = serde_json::json!({
            "channel": channel.to_string(), "result": word, "version": version, "text": text,
        });
        object.to_string()
    }
}

fn tell(channel: &Channel, shelf: &Shelf, result: Result<Told, Error>) -> Line {
    let line = |word, version, text, ended| Line { word, version, text, ended };
    match result {
        Ok(Told::Reverted { from, to }) => {
            let text = format!("back from version {from} to {to}; updates leave {from} out");
            line("reverted", Some(to), text, Ended::Done)
        }
        Ok(Told::Offered { offered, enabled }) => {
            let enabled = enabled.map_or_else(|| "nothing".to_owned(), |version| format!("version {version}"));
            line("offered", Some(offered), format!("version {offered} is offered, {enabled} is enabled"), Ended::Done)
        }
        Ok(Told::Done(Outcome::Unchanged(version))) => {
            line("unchanged", Some(version), format!("version {version} is the newest"), Ended::Done)
        }
        Ok(Told::Done(Outcome::Older { enabled, offered })) => {
            let text = format!("version {offered} is offered, older than {enabled}; nothing was changed");
            line("older", Some(enabled), text, Ended::Found)
        }
        Ok(Told::Done(Outcome::Reverted(version))) => {
            let text = format!("version {version} is the newest, but it was taken back; nothing was changed");
            line("left-out", Some(version), text, Ended::Done)
        }
        Ok(Told::Done(Outcome::Enabled { version, rules })) => {
            let text = format!("version {version} with {rules} rules is enabled in {}", shelf.current().display());
            line("enabled", Some(version), text, Ended::Done)
        }
        Err(error @ Error::Unavailable(_)) => line("unavailable", None, error.to_string(), Ended::Unavailable),
        Err(error @ (Error::Untrusted(_) | Error::Broken { .. })) => {
            tracing::error!(%channel, %error, "an update of rules was refused");
            line("refused", None, error.to_string(), Ended::Found)
        }
        Err(error @ Error::Local(_)) => line("failed", None, error.to_string(), Ended::BadInput),
    }
}

/// Of several channels, the worst end counts.
fn worse(a: Ended, b: Ended) -> Ended {
    let rank = |ended| match ended {
        Ended::Done => 0,
        Ended::Found => 1,
        Ended::Unavailable => 2,
        Ended::BadInput => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

fn default_keys(channel: &Channel) -> Result<PathBuf, Error> {
    let places = ["asc", "gpg"].map(|ending| Path::new(KEYS_FOLDER).join(format!("{channel}.{ending}")));
    places.into_iter().find(|place| place.exists()).ok_or_else(|| {
        Error::Local(format!(
            "there is no public key of the channel: put it into {KEYS_FOLDER} as {channel}.asc or {channel}.gpg, or name its file \
             with --keys"
        ))
    })
}
