//! Exim's main, reject and panic logs, 4.94 to 4.99. The grammar is in Exim's specification, chapter "Log files"; the forms
//! not described there were read off its test suite and real servers.

mod arrival;
mod delivery;
pub(super) mod folder;
mod peer;
mod phrases;
mod rejection;
mod session;

use crate::event::{Command, Kind, Leftover, Queue};
use crate::scan;

/// What depends on the server's configuration.
#[derive(Clone, Copy)]
pub(super) struct Grammar {
    /// Whether a HELO may hold anything, blanks and brackets included.
    pub(super) takes_any_helo: bool,
}

impl Grammar {
    /// What a line says. `text` stands behind time, pid and message id.
    pub(super) fn kind<'a>(self, text: &'a str, has_id: bool) -> Kind<'a> {
        let (first, rest) = scan::word(text);
        let marked = match first {
            "<=" | "(=" => arrival::read(self, first == "(=", rest).map(|arrival| Kind::Arrival(Box::new(arrival))),
            "=>" | "->" | ">>" | "*>" | "**" | "==" => {
                delivery::read(self, first, rest).map(|delivery| Kind::Delivery(Box::new(delivery)))
            }
            "Completed" => Some(Kind::Completed),
            _ => return self.words(text, has_id),
        };
        marked.unwrap_or(Kind::Unknown)
    }

    fn words<'a>(self, text: &'a str, has_id: bool) -> Kind<'a> {
        if text.starts_with("cwd=") {
            return command(text).map_or(Kind::Unknown, Kind::Command);
        }
        if let Some(kind) = rejection::read(self, text).or_else(|| session::read(self, text)) {
            return kind;
        }
        phrases::read(text, has_id)
    }
}

/// Exim's message id, 16 characters (`1vx2Ab-0005xY-Qr`) or since 4.97 23 (`1vx2Ab-00000005xYz-1QrS`), with the blank behind.
pub(super) fn message_id(text: &str) -> Option<(&str, &str)> {
    const LONG: (usize, usize) = (18, 23);
    const SHORT: (usize, usize) = (13, 16);
    let bytes = text.as_bytes();
    if bytes.get(6) != Some(&b'-') {
        return None;
    }
    let fits = |(hyphen, length): (usize, usize)| {
        if bytes.get(hyphen) != Some(&b'-') {
            return None;
        }
        let (id, rest) = text.split_at_checked(length)?;
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
        let groups = [bytes.get(..6)?, bytes.get(7..hyphen)?, bytes.get(hyphen + 1..length)?];
        groups.iter().all(|group| group.iter().all(u8::is_ascii_alphanumeric)).then_some((id, rest))
    };
    fits(LONG).or_else(|| fits(SHORT))
}

/// `cwd=<directory> <n> args: …`. The directory is not quoted and may hold blanks, also ` <n> args:`, so the last one that is followed by
/// as many arguments as it says is taken; of a long command line, which Exim logs in several lines, the last one.
fn command(text: &str) -> Option<Command<'_>> {
    let text = text.strip_prefix("cwd=")?;
    let mut last: Option<(Command<'_>, bool)> = None;
    for (before, args) in invocations(text) {
        let (cwd, count) = before.rsplit_once(' ')?;
        let is_right = count.parse() == Ok(arguments(args));
        if is_right || last.as_ref().is_none_or(|(_, was_right)| !was_right) {
            last = Some((Command { cwd, args: args.trim_start_matches(' ') }, is_right));
        }
    }
    // Without a number the name of the folder goes on in the next line.
    Some(last.map_or(Command { cwd: text, args: "" }, |(command, _)| command))
}

/// Where ` <n> args: ` stands in a text: everything in front of ` args:`, and what follows it.
fn invocations(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let has_count = |before: &str| before.rsplit_once(' ').is_some_and(|(_, count)| count.parse::<u32>().is_ok());
    scan::splits(text, " args:")
        .filter(move |(before, args)| (args.is_empty() || args.starts_with(' ')) && has_count(before))
}

/// How many arguments stand in `text`. Exim puts those with blanks in quotes.
fn arguments(text: &str) -> usize {
    let mut rest = text.trim_start_matches(' ');
    let mut count = 0;
    while !rest.is_empty() {
        count += 1;
        let end = match rest.strip_prefix('"') {
            Some(inside) => scan::positions(inside, "\" ").next().map(|at| at + 2),
            None => memchr::memchr(b' ', rest.as_bytes()),
        };
        rest = end.and_then(|end| rest.get(end..)).unwrap_or("").trim_start_matches(' ');
    }
    count
}

/// A line of the message header as the reject log shows it: a type letter or a blank, a blank, the field; the envelope in
/// front of it; or a folded line.
pub(super) fn is_logged_header(line: &str) -> bool {
    if line.starts_with(['\t']) || line.starts_with("Envelope-from: ") || line.starts_with("Envelope-to: ") {
        return true;
    }
    let mut bytes = line.bytes();
    let kind = bytes.next().unwrap_or(b'x');
    let is_typed = (kind == b' ' || kind == b'*' || kind.is_ascii_uppercase()) && bytes.next() == Some(b' ');
    is_typed
        && line.split_once(':').is_some_and(|(name, _)| !name.trim_start_matches(kind as char).trim().contains(' '))
        || line.starts_with("    ")
}

/// A part of a line that syslog cut.
pub(super) fn continuation(text: &str) -> Option<Kind<'_>> {
    // Syslog lines are cut: `[2\5] text`, or `[2/5] text` for the last one.
    let (numbers, _) = text.strip_prefix('[')?.split_once(']')?;
    let (part, total) = numbers.split_once(['\\', '/'])?;
    let is_part = part.parse::<u16>().is_ok() && total.parse::<u16>().is_ok();
    is_part.then_some(Kind::Leftover(Leftover::Continuation))
}

/// Queue actions by the first words of the text.
pub(super) const QUEUE_WORDS: [(&str, Queue); 24] = [
    ("Start queue run", Queue::RunStarted),
    ("Start ", Queue::RunStarted),
    ("End queue run", Queue::RunEnded),
    ("End ", Queue::RunEnded),
    ("Frozen", Queue::Frozen),
    ("frozen ", Queue::Frozen),
    ("Message is frozen", Queue::Frozen),
    ("*** Frozen", Queue::Frozen),
    ("Unfrozen", Queue::Unfrozen),
    ("unfrozen ", Queue::Unfrozen),
    ("removed by", Queue::Removed),
    ("cancelled by", Queue::Removed),
    ("Message removed", Queue::Removed),
    ("no immediate delivery", Queue::Queued),
    ("Spool file is locked", Queue::Queued),
    ("Retry time not yet reached", Queue::Queued),
    ("retry time not reached", Queue::Queued),
    ("addresses being delivered", Queue::Queued),
    ("original recipients ignored", Queue::Changed),
    ("Message timed out", Queue::Removed),
    ("Delivery attempt for message", Queue::Queued),
    ("expired host", Queue::Changed),
    ("moved from ", Queue::Changed),
    ("using queue ", Queue::Changed),
];
