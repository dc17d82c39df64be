//! `tidegate logs`: the report that an administrator wants, from the logs that lie there already.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use tidegate_watch::Kind;
use tidegate_watch::api::EventRow;
use tidegate_watch::api::report::Report;
use tidegate_watch::report::Collector;

use super::Ended;
use crate::logs::FileRow;
use shown::LocalTime;

mod about;
mod advice;
mod case;
mod forgotten;
mod from_where;
mod html;
mod read;
pub(super) mod shown;
pub(super) mod source;
mod standing;
mod text;

/// Rows of each list in the forms that are not read from top to bottom.
const ROWS_MIN: usize = 20;

#[derive(Args)]
pub(super) struct Arguments {
    /// Logs of Exim, Postfix, Dovecot or Roundcube in any order, plain, gz or zst; a folder stands for the logs in it, `-` for
    /// standard input. None: the usual places.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    span: source::Span,
    /// Only this account, in the lists of own senders; no other one is named.
    #[arg(long, value_name = "NAME", conflicts_with = "events")]
    account: Option<String>,
    /// Rows of each list.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = source::rows())]
    top: usize,
    /// Each event as one JSON object a line, instead of a report.
    #[arg(long, conflicts_with = "html")]
    events: bool,
    /// The report as one JSON object.
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Writes the report as one page with charts, which needs nothing else to be shown. Only the calling user may read the file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The report with what it was made of.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    report: &'a Report,
    files: &'a [FileRow],
}

pub(super) fn run(config_path: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let config = source::configured(config_path)?;
    let opened = arguments.span.open(&arguments.files)?;
    // Opened before anything is read: who waited for a report shall not hear that it cannot be written.
    let page = arguments.html.as_deref().map(open_page).transpose()?;
    let done = if arguments.events {
        events(opened)
    } else {
        let rows = arguments.top.max(ROWS_MIN);
        let settings = arguments.span.settings(config.as_ref(), &opened, arguments.account.as_deref(), rows);
        let local = LocalTime { offsets: settings.offsets };
        let mut collector = Collector::new(settings);
        let mut files = opened.read(|event, place, _| {
            collector.feed(event, place);
            Ok(())
        })?;
        if arguments.account.is_some() {
            // Nobody knows whom such a line names.
            files.iter_mut().for_each(|file| file.first_unknown.clear());
        }
        let report = collector.report();
        if let (Some(path), Some(page)) = (&arguments.html, page) {
            let account = arguments.account.as_deref();
            write_page(
                path,
                page,
                &html::page(&report, &files, local, jiff::Timestamp::now(), (account, arguments.top)),
            )?;
        }
        show(&report, &files, local, arguments).map(|found| (files, found))
    };
    let (files, found) = match done {
        Ok(done) => done,
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Ended::Done),
        Err(error) => return Err(error.into()),
    };
    if source::tell_troubles(&files) {
        return Ok(Ended::BadInput);
    }
    Ok(found)
}

/// Prints each event.
fn events(opened: source::Opened) -> io::Result<(Vec<FileRow>, Ended)> {
    let out = Rc::new(RefCell::new(BufWriter::with_capacity(1 << 16, io::stdout().lock())));
    let waiting = Rc::clone(&out);
    // Who reads `tail -f` through a pipe sees at once what there is. A failure comes again with the next event.
    opened.before_waiting(move || drop(waiting.borrow_mut().flush()));
    let files = opened.read(|event, place, origin| {
        let mut row = EventRow::new(origin.file, place.line, event);
        if event.kind == Kind::Unknown {
            row.text = Some(origin.text);
        }
        let mut out = out.borrow_mut();
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")
    })?;
    out.borrow_mut().flush()?;
    Ok((files, Ended::Done))
}

/// Whoever may read the page may read who wrote to whom. What an earlier run wrote stays until the new page is there.
fn open_page(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

fn write_page(path: &Path, mut file: File, page: &str) -> anyhow::Result<()> {
    // A pipe or a terminal has no length.
    let is_plain = file.metadata().is_ok_and(|meta| meta.is_file());
    let emptied = if is_plain { file.set_len(0) } else { Ok(()) };
    emptied
        .and_then(|()| file.write_all(page.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("tidegate: {} is written; open it in a browser", path.display());
    Ok(())
}

fn show(report: &Report, files: &[FileRow], local: LocalTime, arguments: &Arguments) -> io::Result<Ended> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &Whole { report, files })?;
        out.write_all(b"\n")?;
    } else if arguments.html.is_none() {
        let has_colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let look = text::Look { local, account: arguments.account.clone(), top: arguments.top, has_colour };
        out.write_all(text::report(report, files, &look).as_bytes())?;
    }
    Ok(if report.suspects.is_empty() { Ended::Done } else { Ended::Found })
}
