//! `tidegate why` and `tidegate log`: what was judged and why, from the journal. Neither needs the daemon.

use std::path::Path;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tidegate_filter::check::Evidence;
use tidegate_filter::session::Direction;
use tidegate_filter::verdict::Action;
use tidegate_mail::spelt_out;

use super::Ended;
use super::explain::explain;
use super::moment::{self, second};
use crate::config::Config;
use crate::journal::{Entry, Query, Reader, Record, Repeats};

#[derive(Args)]
pub(super) struct Why {
    /// A record's id (as in an SMTP reply, or the X-Tidegate-Id field), with or without brackets, Exim's id of a message, a Message-ID, an address, a domain, a
    /// client's address, or a login.
    what: String,
    /// At most so many records, newest first; one that stands for several refusals has the place of the last.
    #[arg(long, default_value_t = 5)]
    limit: usize,
    /// Make each verdict again from its record, and say whether it is the same; with --json in a field `verified`.
    #[arg(long)]
    verify: bool,
    /// One JSON object a record.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Log {
    /// Only about this: as for `why`.
    about: Option<String>,
    /// Only where this happened, to the message or to one recipient.
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Option<Action>,
    /// Only with a recipient of this direction.
    #[arg(long, value_name = "DIRECTION", value_parser = direction)]
    direction: Option<Direction>,
    /// Only where this was found, such as DMARC_WOULD_REFUSE.
    #[arg(long, value_name = "SYMBOL")]
    symbol: Option<String>,
    /// Only verdicts that Exim never heard, because it had stopped waiting.
    #[arg(long, conflicts_with = "action")]
    unheard: bool,
    /// Only from this time on: a time, or how long ago (`2h`, `7d`).
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    since: Option<Timestamp>,
    /// Only up to this time.
    #[arg(long, value_name = "TIME", value_parser = moment::past)]
    until: Option<Timestamp>,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// One JSON object a record.
    #[arg(long)]
    json: bool,
}

fn action(text: &str) -> Result<Action, String> {
    let all = [
        Action::Accept,
        Action::Tag,
        Action::Greylist,
        Action::Defer,
        Action::Quarantine,
        Action::Reject,
        Action::Drop,
    ];
    let known = || all.map(|action| action.to_string()).join(", ");
    all.into_iter().find(|action| action.to_string() == text).ok_or_else(|| format!("use one of {}", known()))
}

fn direction(text: &str) -> Result<Direction, String> {
    let all = [Direction::Inbound, Direction::Submission, Direction::Forwarded];
    let known = || all.map(|direction| direction.to_string()).join(", ");
    all.into_iter().find(|direction| direction.to_string() == text).ok_or_else(|| format!("use one of {}", known()))
}

pub(super) fn why(config_path: &Path, why: &Why) -> anyhow::Result<Ended> {
    let entries = find(config_path, &Query::newest(why.limit).about(&why.what))?;
    if entries.is_empty() {
        eprintln!("tidegate: nothing is recorded about {}", Evidence::from(why.what.as_str()));
        return Ok(Ended::Found);
    }
    let mut ended = Ended::Done;
    for entry in &entries {
        let again = why.verify.then(|| entry.record.verify());
        if matches!(again, Some(Err(_))) {
            ended = Ended::Found;
        }
        if why.json {
            println!("{}", serde_json::to_string(&Whole { entry, verified: again.map(|again| again.is_ok()) })?);
            continue;
        }
        println!("{}\n{}", heading(entry), explain(&entry.record.brief, &entry.record.verdict));
        match again {
            Some(Ok(())) => println!("verified: the record gives the same verdict again ({})", entry.record.engine),
            Some(Err(other)) => println!("not the same: this version would say {} ({})", other.action, other.reply),
            None => {}
        }
    }
    Ok(ended)
}

/// A record for programs.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

pub(super) fn log(config_path: &Path, log: &Log) -> anyhow::Result<Ended> {
    let mut query = Query::newest(log.limit);
    if let Some(about) = &log.about {
        query = query.about(about);
    }
    if let Some(action) = log.action {
        query = query.action(action);
    }
    if log.unheard {
        query = query.unheard();
    }
    if let Some(direction) = log.direction {
        query = query.direction(direction);
    }
    if let Some(symbol) = &log.symbol {
        query = query.symbol(symbol);
    }
    if let Some(since) = log.since {
        query = query.since(since);
    }
    if let Some(until) = log.until {
        query = query.until(until);
    }
    for entry in find(config_path, &query)? {
        if log.json {
            println!("{}", json_line(&entry));
        } else {
            println!("{}", line(&entry));
        }
    }
    Ok(Ended::Done)
}

fn find(config_path: &Path, query: &Query) -> anyhow::Result<Vec<Entry>> {
    let config = Config::read(config_path)?;
    let found = Reader::new(&config.journal_folder()).find(query)?;
    for gap in &found.gaps {
        eprintln!("tidegate: the answer may lack something: {gap}");
    }
    Ok(found.entries)
}

/// The facts of a record, some lines.
fn heading(entry: &Entry) -> String {
    let record = &entry.record;
    let shown = |text: &Option<String>| text.as_deref().map(|text| Evidence::from(text).to_string());
    let client = record.client.map_or_else(|| "this server".to_owned(), |ip| ip.to_string());
    let mut text = format!("{} at {} from {client}", record.id, second(record.at));
    for (name, value) in [
        ("helo", shown(&record.helo)),
        ("login", shown(&record.login)),
        ("sender", record.sender.as_ref().map(|sender| Evidence::from(sender.to_string()).to_string())),
    ] {
        text.extend(value.map(|value| format!(", {name} {value}")));
    }
    for (name, value) in [
        ("subject", shown(&record.subject)),
        ("message-id", shown(&record.message_id)),
        ("exim id", shown(&record.mta_id)),
    ] {
        text.extend(value.map(|value| format!("\n{name:<12}{value}")));
    }
    text.extend(entry.repeats.as_ref().map(|repeats| repeated(record, repeats)));
    if record.unheard {
        text.push_str("\nunheard     Exim had stopped waiting and never heard this: it went on without a verdict");
    }
    text
}

/// What is known of the refusals that were added to a record.
fn repeated(record: &Record, repeats: &Repeats) -> String {
    let Repeats { count, last, recipients, .. } = repeats;
    let mut text = format!("\nrepeated    {count} more like it, until {}; each reply had this id", second(*last));
    let named: Vec<String> = record.recipients().chain(recipients).map(ToString::to_string).collect();
    if named.len() > record.recipients().count() {
        let rest = if repeats.names_all() { "" } else { " and perhaps others" };
        let named = spelt_out(&named.join(", "));
        text.push_str(&format!("\n            for {named}{rest}"));
    }
    text
}

pub(super) fn line(entry: &Entry) -> String {
    let record = &entry.record;
    let Record { id, at, client, sender, verdict, .. } = record;
    let client = client.map_or_else(|| "local".to_owned(), |ip| ip.to_string());
    let sender = sender.as_ref().map(ToString::to_string).unwrap_or_default();
    let recipients: Vec<String> = record.recipients().map(ToString::to_string).collect();
    let score = verdict.recipients.iter().map(|r| r.score).max().unwrap_or_default();
    // The line stands where its last refusal belongs, so that is the time it shows.
    let first = at.strftime("%Y-%m-%d %H:%M:%S");
    let repeats = entry.repeats.as_ref().map(|r| format!(" (and {} more since {first})", r.count)).unwrap_or_default();
    let unheard = if record.unheard { " (Exim never heard this)" } else { "" };
    let parties = Evidence::from(format!("{sender} -> {}", recipients.join(", ")));
    let last = entry.last().strftime("%Y-%m-%d %H:%M:%S");
    format!("{last} {id} {:<10} {score:>6} {client} {parties}{unheard}{repeats}", verdict.action)
}

pub(super) fn json_line(entry: &Entry) -> serde_json::Value {
    let record = &entry.record;
    let symbols = record.brief.findings.iter().chain(record.brief.recipients.iter().flat_map(|r| &r.findings));
    json!({
        "id": record.id,
        "time": record.at,
        "client_ip": record.client,
        "helo": record.helo,
        "login": record.login,
        "sender": record.sender,
        "recipients": record.recipients().collect::<Vec<_>>(),
        "message_id": record.message_id,
        "subject": record.subject,
        "stage": record.verdict.stage,
        "action": record.verdict.action,
        "score": record.verdict.recipients.iter().map(|r| r.score).max(),
        "symbols": symbols.map(|finding| &finding.symbol).collect::<Vec<_>>(),
        "unheard": record.unheard,
        "repeats": entry.repeats.as_ref().map_or(0, |repeats| repeats.count),
    })
}
