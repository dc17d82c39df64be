//! `tidegate limits suggest`: use by hour and day of each account, mailbox and script, and a limit that fits.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tidegate_watch::api::report::LimitRow;
use tidegate_watch::report::Collector;

use super::logs::shown::{counted, grouped};
use super::logs::source;
use super::table::Table;
use super::{Ended, printed};

/// Shorter logs may lack what comes once a month.
const MONTH_DAYS: i64 = 28;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Reads weeks of logs and suggests limits with headroom over what was used; days on which somebody is suspect do not count.
    Suggest(Suggest),
}

#[derive(Args)]
pub(super) struct Suggest {
    /// Logs, as for `logs`. None: the usual places.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    span: source::Span,
    /// Only this account.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Rows of the table, the busiest first.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = source::rows())]
    top: usize,
    /// All as a file that `[limits] file` of the configuration can name.
    #[arg(long, conflicts_with = "json")]
    toml: bool,
    /// One JSON object an account, mailbox or script.
    #[arg(long)]
    json: bool,
}

pub(super) fn suggest(config_path: &Path, arguments: &Suggest) -> anyhow::Result<Ended> {
    let config = source::configured(config_path)?;
    let opened = arguments.span.open(&arguments.files)?;
    let settings = arguments.span.settings(config.as_ref(), &opened, arguments.account.as_deref(), arguments.top);
    let mut collector = Collector::new(settings);
    let files = opened.read(|event, place, _| {
        collector.feed(event, place);
        Ok(())
    })?;
    let rows = collector.limits();
    let days = collector.report().days;
    if rows.is_empty() {
        let whose = arguments.account.as_ref().map_or("nobody here", |_| "nobody of this account");
        eprintln!("tidegate: {whose} sent anything in these logs: no limit to suggest");
    } else if days < MONTH_DAYS {
        eprintln!(
            "tidegate: these logs are of {}: read a month at least, since newsletters and invoices come once",
            in_days(days)
        );
    }
    let text = if arguments.json {
        let lines: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
        lines?.into_iter().map(|line| line + "\n").collect()
    } else if arguments.toml {
        as_toml(&rows, days)
    } else {
        as_table(&rows, days, arguments.top)
    };
    // An empty table tells less than the line above.
    let text = if rows.is_empty() { String::new() } else { text };
    printed(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(if source::tell_troubles(&files) { Ended::BadInput } else { Ended::Done })
}

fn in_days(days: i64) -> String {
    counted(u64::try_from(days).unwrap_or(0), "day")
}

fn as_table(rows: &[LimitRow], days: i64, top: usize) -> String {
    let mut text = format!(
        "Recipients within {}: usual (half of the active hours and days had no more), 95 of 100, and the most.\n\n",
        in_days(days)
    );
    let heads = [
        "kind",
        "name",
        "#usual/h",
        "#95%/h",
        "#most/h",
        "#usual/d",
        "#95%/d",
        "#most/d",
        "#a message",
        "#limit/h",
        "#limit/d",
        "#left out",
    ];
    let mut table = Table::new(heads);
    for row in rows.iter().take(top) {
        table.row([
            &row.kind,
            &row.name,
            &grouped(row.hour.half),
            &grouped(row.hour.p95),
            &grouped(row.hour.most),
            &grouped(row.day.half),
            &grouped(row.day.p95),
            &grouped(row.day.most),
            &grouped(row.recipients_a_message),
            &grouped(row.hourly_limit),
            &grouped(row.daily_limit),
            &row.days_left_out,
        ]);
    }
    let _infallible = write!(text, "{table}");
    if rows.len() > top {
        let _infallible = writeln!(text, "  and {} more (--top {})", rows.len() - top, rows.len());
    }
    text.push_str("\nA limit is half as much again as the most that was used, rounded up; days on which somebody is suspect are left out.\n");
    text
}

/// A table for each kind, with names quoted as TOML wants it: they come from a log.
fn as_toml(rows: &[LimitRow], days: i64) -> String {
    let mut text =
        format!("# Suggested from {} of logs: recipients. To be named by `file` in [limits].\n", in_days(days));
    for row in rows {
        let _infallible = write!(
            text,
            "\n[limits.{}.{}]\nper_hour = {}\nper_day = {}\nper_message = {}\n",
            row.kind,
            quoted(&row.name),
            row.hourly_limit,
            row.daily_limit,
            row.recipients_a_message.max(RECIPIENTS_A_MESSAGE_MIN)
        );
    }
    text
}

/// Where the log does not name recipients, the most of one message is not known.
const RECIPIENTS_A_MESSAGE_MIN: u64 = 20;

/// A basic string of TOML, with every control character escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _infallible = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_from_a_log_stays_one_key() {
        let name = "a\"]\n[x]\u{7f}\\";
        let row = LimitRow { kind: "mailbox", name: name.to_owned(), hourly_limit: 30, ..LimitRow::default() };
        let table: toml::Table = toml::from_str(&as_toml(&[row], 3)).unwrap();
        assert_eq!(table["limits"]["mailbox"][name]["per_hour"].as_integer(), Some(30));
        assert_eq!(table.len(), 1);
    }
}
