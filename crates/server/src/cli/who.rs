//! `tidegate who`: who sent this, how, how much, and since when, on one screen, from the logs and from the journal.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tidegate_filter::check::Evidence;
use tidegate_watch::api::report::{Answer, Count};
use tidegate_watch::report::{self, Search};

use super::logs::shown::{LocalTime, counted, grouped, picture};
use super::logs::source;
use super::{Ended, printed, why};
use crate::config::{Config, DEFAULT_PATH};
use crate::journal::{self, Entry};
use crate::logs::FileRow;

/// Rows of each list on the screen.
const ROWS: usize = 5;
/// Rows of each list for programs.
const ROWS_JSON: usize = 50;

#[derive(Args)]
pub(super) struct Arguments {
    /// A login, an envelope sender, an address of the internet, a script or folder, a local user, an account, a Message-ID, or the MTA's
    /// id of a message.
    #[arg(value_name = "USER|IP|SCRIPT|MESSAGE-ID")]
    what: String,
    /// Logs, as for `logs`. None: the usual places.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The same: logs.
    #[arg(long = "log", value_name = "FILE", num_args = 1..)]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    span: source::Span,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Whole<'a> {
    asked: &'a str,
    #[serde(flatten)]
    answer: &'a Answer,
    records: Vec<serde_json::Value>,
    files: &'a [FileRow],
}

pub(super) fn run(config_path: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    if arguments.what.trim().is_empty() {
        bail!("whom or what to look for is empty: name a login, an address, a script, an account or an id");
    }
    let config = source::configured(config_path)?;
    let records = records(config_path, arguments)?;
    let named: Vec<PathBuf> = arguments.files.iter().chain(&arguments.logs).cloned().collect();
    // Without any log the journal may still know.
    let opened = match arguments.span.open(&named) {
        Ok(opened) => Some(opened),
        Err(error) if records.is_empty() => return Err(error),
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            None
        }
    };
    let (mut answer, mut files, mut local) = (Answer::default(), Vec::new(), LocalTime::default());
    if let Some(opened) = opened {
        let rows = if arguments.json { ROWS_JSON } else { ROWS };
        let settings = arguments.span.settings(config.as_ref(), &opened, None, rows);
        local.offsets = settings.offsets;
        let mut search = Search::new(report::Query::parse(&arguments.what), settings);
        files = opened.read(|event, place, _| {
            search.feed(event, place);
            Ok(())
        })?;
        answer = search.answer();
    }
    let is_known = answer.messages + answer.logins + answer.offences > 0 || !records.is_empty();
    if arguments.json {
        let records = records.iter().map(why::json_line).collect();
        let whole = Whole { asked: &arguments.what, answer: &answer, records, files: &files };
        printed(writeln!(io::stdout().lock(), "{}", serde_json::to_string(&whole)?))?;
    } else if is_known {
        let text = screen(&arguments.what, &answer, &records, &files, local);
        printed(io::stdout().lock().write_all(text.as_bytes()))?;
    } else {
        eprintln!("tidegate: nothing is known about {}", Evidence::from(arguments.what.as_str()));
    }
    if source::tell_troubles(&files) {
        return Ok(Ended::BadInput);
    }
    Ok(if is_known { Ended::Done } else { Ended::Found })
}

/// The newest records of the journal; none if Tidegate is not set up here.
fn records(config_path: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Entry>> {
    if config_path == Path::new(DEFAULT_PATH) && !config_path.exists() {
        return Ok(Vec::new());
    }
    let rows = if arguments.json { ROWS_JSON } else { ROWS };
    let query = arguments.span.within(journal::Query::newest(rows).about(&arguments.what));
    let found = journal::Reader::new(&Config::read(config_path)?.journal_folder()).find(&query)?;
    for gap in &found.gaps {
        eprintln!("tidegate: the answer may lack something: {gap}");
    }
    Ok(found.entries)
}

/// Labels to the left, facts to the right.
struct Screen(String);

impl Screen {
    fn fact(&mut self, label: &str, fact: &str) {
        let _infallible = writeln!(self.0, "{label:<10}{fact}");
    }

    fn facts(&mut self, label: &str, facts: impl IntoIterator<Item = String>) {
        for (i, fact) in facts.into_iter().enumerate() {
            self.fact(if i == 0 { label } else { "" }, &fact);
        }
    }
}

fn screen(what: &str, answer: &Answer, records: &[Entry], files: &[FileRow], local: LocalTime) -> String {
    let mut screen = Screen(String::new());
    let first = local.minute_or_dash(answer.first.as_ref());
    let last = local.minute_or_dash(answer.last.as_ref());
    screen.fact("asked", &Evidence::from(what).to_string());
    let (messages, recipients) = (counted(answer.messages, "message"), counted(answer.recipients, "recipient"));
    if answer.messages == 0 {
        screen.fact("sent", "nothing");
    } else {
        screen.fact("sent", &format!("{messages} to {recipients}, {first} to {last}"));
    }
    if answer.messages > 0 {
        screen.fact(
            "outcome",
            &format!(
                "{} served, {} deferred, {} given up, {} refused as spam or for bad reputation",
                grouped(answer.delivered),
                grouped(answer.deferred),
                grouped(answer.failed),
                grouped(answer.spam_refusals)
            ),
        );
    }
    screen.facts("how", answer.ways.iter().map(count));
    screen.facts("from", answer.clients.iter().map(count));
    if answer.logins + answer.offences > 0 {
        let logins = counted(answer.logins, "login");
        screen.fact(
            "logins",
            &format!("{logins} to read mail; {} failed logins and other misdeeds", grouped(answer.offences)),
        );
    }
    days(&mut screen, &answer.by_day);
    let examples = answer.examples.iter().take(ROWS).map(|sample| {
        let file = usize::try_from(sample.file).ok().and_then(|at| files.get(at)).map_or("?", |row| row.file.as_str());
        let time = local.minute_or_dash(sample.time.as_ref());
        let ip = sample.client_ip.as_deref().unwrap_or("local");
        let (id, sender, subject, line) = (&sample.id, &sample.sender, &sample.subject, sample.line);
        Evidence::from(format!("{time} {id} from {ip}, sender {sender} \"{subject}\" ({file}:{line})")).to_string()
    });
    screen.facts("first", examples);
    screen.facts("verdicts", records.iter().map(why::line));
    screen.0
}

fn days(screen: &mut Screen, days: &[Count]) {
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        let busiest = days.iter().max_by_key(|day| day.times).unwrap_or(last);
        screen.fact("days", &format!("{} {} {}", first.name, picture(days), last.name));
        screen.fact("", &format!("most on {}: {}", busiest.name, counted(busiest.times, "recipient")));
    }
}

fn count(count: &Count) -> String {
    format!("{} ({})", Evidence::from(count.name.as_str()), grouped(count.times))
}
