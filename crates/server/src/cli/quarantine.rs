//! `tidegate quarantine list|show|release|delete`: works on the quarantine's folder, whether the daemon runs or not; a release
//! needs the daemon and Exim.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tidegate_wire::exim::ExactAddress;

use super::Ended;
use crate::config::Config;
use crate::quarantine::{Filter, Handed, Item, Outcome, Quarantine, State};

/// Messages that `list` shows unless told otherwise.
const LIMIT: usize = 50;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Lists messages that are kept back, newest first.
    List(List),
    /// Shows one message: why it is kept, for whom, and with --raw the message itself.
    Show {
        /// The message's id, as `list` shows it.
        id: String,
        /// The message as it was received.
        #[arg(long)]
        raw: bool,
        /// One JSON object.
        #[arg(long, conflicts_with = "raw")]
        json: bool,
    },
    /// Gives a message back to Exim, for all its recipients or for some.
    Release(Which),
    /// Deletes a message, for all its recipients or for some.
    Delete(Which),
}

#[derive(Args)]
pub(super) struct List {
    /// Only for this recipient, or this recipient domain.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    rcpt: Option<String>,
    /// Only from this sender, or this sender domain.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    from: Option<String>,
    /// Also what has been released or deleted or has expired.
    #[arg(long)]
    all: bool,
    /// At most so many.
    #[arg(long, default_value_t = LIMIT)]
    limit: usize,
    /// Only what will be deleted soon and has not been shown in this way before, the next one first. The alarm in `tidegate
    /// status` is off then.
    #[arg(long, conflicts_with_all = ["rcpt", "from", "all", "limit", "json"])]
    expiring: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Which {
    /// The message's id, as `list` shows it.
    id: String,
    /// For this recipient only; may stand several times.
    #[arg(long, value_name = "ADDRESS")]
    rcpt: Vec<String>,
}

pub(super) fn run(config_path: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    let config = Config::read(config_path)?;
    let folder = config.quarantine_folder();
    if !folder.is_dir() {
        // Nothing was ever kept. Made by root, the folder would not be the daemon's.
        return Ok(match verb {
            Verb::List(_) => Ended::Done,
            Verb::Show { id, .. } => unknown(id),
            Verb::Release(which) | Verb::Delete(which) => unknown(&which.id),
        });
    }
    let quarantine = Quarantine::open(&folder, config.quarantine)?;
    match verb {
        Verb::List(list) => list.run(&quarantine),
        Verb::Show { id, raw, json } => show(&quarantine, id, *raw, *json),
        Verb::Release(which) => {
            each(&quarantine, which, "released", |recipient| release(&quarantine, &config, &which.id, recipient))
        }
        Verb::Delete(which) => each(&quarantine, which, "deleted", |recipient| {
            let done = quarantine.delete(&which.id, Some(recipient), Timestamp::now())?;
            Ok(if done > 0 { Outcome::Released } else { Outcome::NotKept })
        }),
    }
}

impl List {
    fn run(&self, quarantine: &Quarantine) -> anyhow::Result<Ended> {
        let soon = quarantine.expiring(Timestamp::now())?;
        if self.expiring {
            soon.iter().for_each(|item| print_line(item, true));
            quarantine.noticed(&soon)?;
            return Ok(Ended::Done);
        }
        let is_soon = |item: &Item| soon.iter().any(|other| other.id == item.id);
        let filter = Filter {
            recipient: self.rcpt.clone(),
            sender: self.from.clone(),
            closed: self.all,
            limit: self.limit,
            ..Filter::default()
        };
        for item in quarantine.list(&filter)? {
            if self.json {
                println!("{}", serde_json::to_string(&item)?);
            } else {
                print_line(&item, is_soon(&item));
            }
        }
        Ok(Ended::Done)
    }
}

fn print_line(item: &Item, expires_soon: bool) {
    let recipients: Vec<&str> = item.recipients.iter().map(|held| held.address.as_str()).collect();
    let score = item.recipients.iter().map(|held| held.score).max().unwrap_or_default();
    let received = item.received.strftime("%Y-%m-%d %H:%M");
    let sender = if item.sender.is_empty() { "<>" } else { &item.sender };
    let subject = shown(item.subject.as_deref().unwrap_or_default());
    let end =
        if expires_soon { item.expires.strftime("  (deleted at %Y-%m-%d %H:%M)").to_string() } else { String::new() };
    let recipients = shown(&recipients.join(", "));
    println!("{}  {received}  {score:>6}  {} -> {recipients}  {subject}{end}", item.id, shown(sender));
}

fn show(quarantine: &Quarantine, id: &str, raw: bool, json: bool) -> anyhow::Result<Ended> {
    let Some(item) = quarantine.show(id)? else { return Ok(unknown(id)) };
    if raw {
        let Some(mut message) = quarantine.message(id)? else { return Ok(unknown(id)) };
        io::copy(&mut message, &mut io::stdout().lock())?;
    } else if json {
        println!("{}", serde_json::to_string(&item)?);
    } else {
        print_line(&item, false);
        println!("record {}, {} octets, expires {}", item.record, item.octets, item.expires);
        for held in &item.recipients {
            println!(
                "  {} {:?} since {}: score {}, {}",
                shown(&held.address),
                held.state,
                held.since,
                held.score,
                held.reason
            );
        }
    }
    Ok(Ended::Done)
}

fn unknown(id: &str) -> Ended {
    eprintln!("tidegate: there is no message {} in the quarantine", shown(id));
    Ended::Found
}

/// Does `act` for each recipient that was named, or for all that are kept.
fn each(
    quarantine: &Quarantine,
    which: &Which,
    done: &str,
    act: impl Fn(&ExactAddress) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Ended> {
    let Some(item) = quarantine.show(&which.id)? else { return Ok(unknown(&which.id)) };
    let named =
        |address: &str| which.rcpt.is_empty() || which.rcpt.iter().any(|rcpt| rcpt.eq_ignore_ascii_case(address));
    let chosen: Vec<_> = item.recipients.iter().filter(|held| named(&held.address)).collect();
    ensure!(!chosen.is_empty(), "{} has no such recipient", item.id);
    let mut ended = Ended::Done;
    for held in chosen {
        if which.rcpt.is_empty() && held.state != State::Kept {
            continue;
        }
        let address = shown(&held.address);
        match act(&ExactAddress::new(held.address.clone()))? {
            Outcome::Released => println!("{done} for {address}"),
            Outcome::Already => println!("released for {address} before"),
            Outcome::Busy => println!("someone else is releasing it for {address}"),
            Outcome::NotKept => {
                println!("not kept for {address}");
                ended = Ended::Found;
            }
        }
    }
    Ok(ended)
}

fn release(quarantine: &Quarantine, config: &Config, id: &str, recipient: &ExactAddress) -> anyhow::Result<Outcome> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root may give mail back to Exim under its own sender; use sudo"
    );
    quarantine.release(id, recipient, Timestamp::now(), |handed| inject(&config.exim.program, handed))?
}

/// Hands the message to Exim as a local submission. Exim has it when it exits with success.
fn inject(exim: &Path, mut handed: Handed) -> anyhow::Result<()> {
    let mut message = Vec::new();
    handed.message.read_to_end(&mut message)?;
    let mut child = Command::new(exim)
        .args(["-i", "-f", if handed.sender.as_str().is_empty() { "<>" } else { handed.sender.as_str() }, "--"])
        .arg(handed.recipient.as_str())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", exim.display()))?;
    let mut pipe = child.stdin.take().context("a pipe")?;
    let written = pipe.write_all(format!("{}\n", handed.header).as_bytes()).and_then(|()| pipe.write_all(&message));
    drop(pipe);
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "Exim did not take the message back: {}", shown(said.trim()));
    written.context("Exim did not read the whole message")
}

/// Hostile text, harmless in a terminal.
fn shown(text: &str) -> String {
    tidegate_filter::check::Evidence::from(text).to_string()
}
