//! `tidegate list add|remove|show`: the own allow and block lists. They are lines of a file; the daemon reads it again at once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde_json::Value;
use tidegate_filter::checks::lists::{Entry, Scope, Side, Subject};
use tidegate_filter::panel::Account;
use tidegate_mail::{Address, Domain};

use super::Ended;
use super::moment::{self, second};
use crate::config::{Config, read_lists};
use crate::control::{self, AskError, Request};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Adds an entry.
    Add(Add),
    /// Removes every entry about a subject.
    Remove {
        /// An address, network, domain or sender.
        subject: String,
        /// What kind it is, where its form does not tell.
        #[arg(long, value_name = "KIND", value_parser = KINDS)]
        kind: Option<String>,
    },
    /// Shows block entries that the record of a sender speaks for, each with what it sent and when the entry would end.
    Propose {
        /// Add them.
        #[arg(long)]
        apply: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Shows the entries.
    Show {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

const KINDS: [&str; 5] = ["client", "domain", "address", "helo", "rdns"];

#[derive(Args)]
pub(super) struct Add {
    /// Let it in, or keep it out.
    #[arg(value_parser = ["allow", "block"])]
    side: String,
    /// An address, network, domain or sender; with --kind also a HELO or reverse name.
    subject: String,
    /// What kind it is, where its form does not tell.
    #[arg(long, value_name = "KIND", value_parser = KINDS)]
    kind: Option<String>,
    /// For one mailbox only.
    #[arg(long, value_name = "ADDRESS", group = "scope")]
    mailbox: Option<Address>,
    /// For one domain only.
    #[arg(long, value_name = "DOMAIN", group = "scope")]
    domain: Option<Domain>,
    /// For one account only.
    #[arg(long, value_name = "NAME", group = "scope")]
    account: Option<String>,
    /// How long it holds: `7d`, `12h`, or a time such as 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment::future)]
    until: Option<Timestamp>,
    /// Why.
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
    comment: String,
    /// Who; the calling user if absent.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Also where the entry is about a large part of all addresses.
    #[arg(long)]
    force: bool,
}

/// Shortest prefixes of networks that are taken without `--force`: nobody owns more, and a slip of the finger would shut out the world.
const PREFIX_MIN: u8 = 8;
const PREFIX_MIN_V6: u8 = 16;

pub(super) fn run(config_path: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    let config = Config::read(config_path)?;
    match verb {
        Verb::Add(add) => {
            let entry = add.entry()?;
            let line = entry.to_string();
            change(&config, |entries| {
                let known = entries.contains(&entry);
                if !known {
                    entries.push(entry);
                }
                !known
            })?;
            println!("{line}");
        }
        Verb::Remove { subject, kind } => {
            let subject = self::subject(subject, kind.as_deref())?;
            let mut removed = Vec::new();
            change(&config, |entries| {
                removed = entries.extract_if(.., |entry| entry.subject == subject).collect();
                !removed.is_empty()
            })?;
            if removed.is_empty() {
                eprintln!("tidegate: no entry is about {subject}");
                return Ok(Ended::Found);
            }
            removed.iter().for_each(|entry| println!("removed: {entry}"));
        }
        Verb::Propose { apply, json } => return propose(&config, *apply, *json),
        Verb::Show { json } => print(&read_lists(&config.lists_path())?, *json),
    }
    Ok(Ended::Done)
}

/// What the daemon proposes, without what the administrator has decided already.
fn propose(config: &Config, apply: bool, json: bool) -> anyhow::Result<Ended> {
    let lines = match control::ask(&config.state.control_socket(), &Request::Proposals) {
        Ok(lines) => lines,
        Err(error @ AskError::Failed(_)) => return Err(error.into()),
        Err(error) => {
            eprintln!("tidegate: {error}");
            return Ok(Ended::Unavailable);
        }
    };
    let lines = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut proposed: Vec<Entry> = lines.map(str::parse).collect::<Result<_, _>>()?;
    let now = Timestamp::now();
    let decide = |entries: &[Entry], proposed: &mut Vec<Entry>| {
        let is_known = |entry: &Entry| {
            let same = entries.iter().filter(|other| other.subject == entry.subject);
            same.into_iter().any(|other| other.until.is_none_or(|until| until > now))
        };
        proposed.retain(|entry| !is_known(entry));
    };
    if apply {
        change(config, |entries| {
            decide(entries, &mut proposed);
            entries.extend(proposed.iter().cloned());
            !proposed.is_empty()
        })?;
    } else {
        decide(&read_lists(&config.lists_path())?, &mut proposed);
    }
    print(&proposed, json);
    Ok(Ended::Done)
}

fn print(entries: &[Entry], json: bool) {
    for entry in entries {
        if json {
            let line = serde_json::json!({
                "side": entry.side.to_string(), "subject": entry.subject.to_string(), "scope": entry.scope.to_string(),
                "author": entry.author, "until": entry.until, "comment": entry.comment,
            });
            println!("{line}");
        } else {
            println!("{entry}");
        }
    }
}

fn subject(text: &str, kind: Option<&str>) -> anyhow::Result<Subject> {
    Ok(match kind {
        Some(kind) => Subject::parse(kind, text)?,
        None => Subject::guess(text)?,
    })
}

impl Add {
    fn entry(&self) -> anyhow::Result<Entry> {
        let scope = match (&self.mailbox, &self.domain, &self.account) {
            (Some(mailbox), _, _) => Scope::Mailbox(mailbox.to_lowercase()),
            (_, Some(domain), _) => Scope::Domain(domain.clone()),
            (_, _, Some(account)) => Scope::Account(Account(account.clone())),
            _ => Scope::Server,
        };
        let author = self.author.clone().or_else(|| std::env::var("SUDO_USER").ok()).or_else(calling_user);
        let subject = subject(&self.subject, self.kind.as_deref())?;
        if let Subject::Client(network) = &subject {
            let shortest = if network.addr().is_ipv4() { PREFIX_MIN } else { PREFIX_MIN_V6 };
            ensure!(
                self.force || network.prefix_len() >= shortest,
                "{network} is a large part of all addresses; if that is what you mean, add --force"
            );
        }
        if let Some(until) = self.until {
            ensure!(until > Timestamp::now(), "the entry would have ended already, at {}", second(until));
        }
        Ok(Entry {
            side: if self.side == "allow" { Side::Allow } else { Side::Block },
            subject,
            scope,
            author: author.unwrap_or_default().split_whitespace().collect(),
            until: self.until,
            comment: self.comment.lines().collect::<Vec<_>>().join(" "),
        })
    }
}

/// The name of the user of this process, or its number. `USER` is not asked: it is not there under cron, and anybody may set it.
fn calling_user() -> Option<String> {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("uid{uid}")))
}

/// Changes the file of entries as one step, under a lock, and has the daemon read it; `edit` says whether it changed any.
fn change(config: &Config, edit: impl FnOnce(&mut Vec<Entry>) -> bool) -> anyhow::Result<()> {
    let path = config.lists_path();
    let folder = &config.state.folder;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.with_extension("lock"));
    let lock = lock.with_context(|| format!("cannot write in {}; are you root?", folder.display()))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let mut entries = read_lists(&path)?;
    if !edit(&mut entries) {
        return Ok(());
    }
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    keep_owner(folder, &fresh)?;
    std::fs::rename(&fresh, &path)?;
    reload(config)
}

/// The daemon must be able to read what root wrote in its folder.
fn keep_owner(folder: &Path, file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(folder)?;
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn reload(config: &Config) -> anyhow::Result<()> {
    match control::ask(&config.state.control_socket(), &Request::Reload) {
        Ok(_) => Ok(()),
        Err(error @ AskError::Failed(_)) => Err(error.into()),
        Err(error) => {
            eprintln!(
                "tidegate: {error}; the entry is written, and holds once the daemon has read it: at its next start or reload"
            );
            Ok(())
        }
    }
}
