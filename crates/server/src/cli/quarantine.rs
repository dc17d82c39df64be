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
use super::moment::second;
use crate::config::Config;
use crate::quarantine::{Filter, Handed, Held, Item, Outcome, Quarantine, State};

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
    Release {
        #[command(flatten)]
        which: Which,
        /// Also a copy of a message that Exim went on with itself, because it never heard that it should be kept back.
        #[arg(long)]
        again: bool,
    },
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
            Verb::Release { which, .. } | Verb::Delete(which) => unknown(&which.id),
        });
    }
    let quarantine = Quarantine::open(&folder, config.quarantine)?;
    match verb {
        Verb::List(list) => list.run(&quarantine),
        Verb::Show { id, raw, json } => show(&quarantine, id, *raw, *json),
        Verb::Release { which, again } => {
            let is_ready = |held| held == State::Kept || (*again && held == State::Unheard);
            each(&quarantine, which, State::Released, is_ready, |recipient, held| {
                release(&quarantine, &config, &which.id, recipient, held)
            })
        }
        Verb::Delete(which) => {
            let is_ready = |held| matches!(held, State::Kept | State::Unheard);
            each(&quarantine, which, State::Deleted, is_ready, |recipient, _held| {
                Ok(quarantine.delete(&which.id, Some(recipient), Timestamp::now())? > 0)
            })
        }
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
    let recipients: Vec<String> = item.recipients.iter().map(with_state).collect();
    let score = item.recipients.iter().map(|held| held.score).max().unwrap_or_default();
    let received = item.received.strftime("%Y-%m-%d %H:%M");
    let sender = if item.sender.is_empty() { "<>" } else { &item.sender };
    let subject = shown(item.subject.as_deref().unwrap_or_default());
    let end =
        if expires_soon { item.expires.strftime("  (deleted at %Y-%m-%d %H:%M)").to_string() } else { String::new() };
    let recipients = shown(&recipients.join(", "));
    println!("{}  {received}  {score:>6}  {} -> {recipients}  {subject}{end}", item.id, shown(sender));
}

/// The recipient, and what became of the message for it if that is not the usual.
fn with_state(held: &Held) -> String {
    let became = match held.state {
        State::Offered | State::Kept => return held.address.clone(),
        State::Releasing => "being released",
        State::Released => "released",
        State::Deleted => "deleted",
        State::Expired => "expired",
        State::Unheard => "a copy: Exim went on with it itself",
    };
    format!("{} ({became})", held.address)
}

fn show(quarantine: &Quarantine, id: &str, raw: bool, json: bool) -> anyhow::Result<Ended> {
    let Some(item) = quarantine.show(id)? else { return Ok(unknown(id)) };
    if raw {
        let Some(mut message) = quarantine.message(id)? else {
            eprintln!("tidegate: the text of {} is no longer kept: nobody needs it any more", shown(id));
            return Ok(Ended::Found);
        };
        io::copy(&mut message, &mut io::stdout().lock())?;
    } else if json {
        println!("{}", serde_json::to_string(&item)?);
    } else {
        print_line(&item, false);
        println!("record {}, {} octets, expires {}", item.record, item.octets, second(item.expires));
        for held in &item.recipients {
            let state = match held.state {
                State::Offered => "offered to Exim, which has not asked for it yet, since",
                State::Kept => "kept since",
                State::Releasing => "being released since",
                State::Released => "released at",
                State::Deleted => "deleted at",
                State::Expired => "expired at",
                State::Unheard => {
                    "a copy: Exim stopped waiting, never heard the verdict and went on with the message itself, at"
                }
            };
            // Most reasons begin with the score.
            let score =
                if held.reason.starts_with("score ") { String::new() } else { format!("score {}, ", held.score) };
            println!("  {} {state} {}: {score}{}", shown(&held.address), second(held.since), held.reason);
        }
    }
    Ok(Ended::Done)
}

fn unknown(id: &str) -> Ended {
    eprintln!("tidegate: there is no message {} in the quarantine", shown(id));
    Ended::Found
}

/// Does `act`, which makes a message that `is_ready` for it one that is `wanted` and tells whether it did, for each recipient that was
/// named, or for all.
fn each(
    quarantine: &Quarantine,
    which: &Which,
    wanted: State,
    is_ready: impl Fn(State) -> bool,
    act: impl Fn(&ExactAddress, State) -> anyhow::Result<bool>,
) -> anyhow::Result<Ended> {
    let Some(item) = quarantine.show(&which.id)? else { return Ok(unknown(&which.id)) };
    let named =
        |address: &str| which.rcpt.is_empty() || which.rcpt.iter().any(|rcpt| rcpt.eq_ignore_ascii_case(address));
    let chosen: Vec<_> = item.recipients.iter().filter(|held| named(&held.address)).collect();
    ensure!(!chosen.is_empty(), "{} has no such recipient", item.id);
    let done = if wanted == State::Released { "released" } else { "deleted" };
    let (mut is_any_done, mut is_any_refused) = (false, false);
    for held in chosen {
        if is_ready(held.state) && act(&ExactAddress::new(held.address.clone()), held.state)? {
            is_any_done = true;
            println!("{done} for {}", shown(&held.address));
            continue;
        }
        // Someone else may have been quicker.
        let now = quarantine.show(&which.id)?;
        let now = now.iter().flat_map(|item| &item.recipients).find(|other| other.address == held.address);
        is_any_refused |= !tell_why_not(now.unwrap_or(held), wanted);
    }
    // Of all recipients, one for whom nothing is left to do is told; that it failed is only said of one that was named.
    let is_fine = !is_any_refused || (is_any_done && which.rcpt.is_empty());
    Ok(if is_fine { Ended::Done } else { Ended::Found })
}

/// Says why nothing was done for a recipient. Returns whether what was wanted is the case anyway.
fn tell_why_not(held: &Held, wanted: State) -> bool {
    let (address, since) = (shown(&held.address), second(held.since));
    let lost =
        if wanted == State::Released { "nothing is left to be released" } else { "nothing is left to be deleted" };
    match held.state {
        State::Released if wanted == State::Released => println!("released for {address} at {since}; nothing to do"),
        State::Deleted if wanted == State::Deleted => println!("deleted for {address} at {since}; nothing to do"),
        State::Released => eprintln!("tidegate: released for {address} at {since}: {lost}"),
        State::Deleted => eprintln!("tidegate: deleted for {address} at {since}: {lost}"),
        State::Expired => eprintln!("tidegate: expired for {address} at {since}: {lost}"),
        State::Releasing => eprintln!("tidegate: someone else is releasing it for {address} since {since}"),
        State::Unheard if wanted == State::Released => eprintln!(
            "tidegate: for {address} Exim went on with the message itself at {since}, as a rule by delivering it, since it never heard \
             that it should be kept back; to give it the copy all the same: release --again"
        ),
        State::Offered | State::Kept | State::Unheard => {
            eprintln!("tidegate: not kept for {address}: Exim has not asked for it yet, or the file is gone");
        }
    }
    held.state == wanted
}

fn release(
    quarantine: &Quarantine,
    config: &Config,
    id: &str,
    recipient: &ExactAddress,
    held: State,
) -> anyhow::Result<bool> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root may give mail back to Exim under its own sender; use sudo"
    );
    let outcome = quarantine.release(id, recipient, held, Timestamp::now(), |handed| inject(config, handed))??;
    Ok(outcome == Outcome::Released)
}

/// Hands the message to Exim as a local submission. Exim has it when it exits with success. It is started in the quarantine's folder: the
/// log then says where the mail came from, and whoever watches the log does not take it for that of a script of root's.
fn inject(config: &Config, mut handed: Handed) -> anyhow::Result<()> {
    let exim = &config.exim.program;
    let mut message = Vec::new();
    handed.message.read_to_end(&mut message)?;
    let mut child = Command::new(exim)
        .args(["-i", "-f", if handed.sender.as_str().is_empty() { "<>" } else { handed.sender.as_str() }, "--"])
        .arg(handed.recipient.as_str())
        .current_dir(config.quarantine_folder())
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
