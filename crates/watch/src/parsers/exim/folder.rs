//! Line ends in the name of a folder.
//!
//! With `+arguments` Exim logs the folder in which it was started, and does not escape it. Who may start Exim can so write whole lines:
//! in a folder `a⏎2026-… <= …⏎b` the log gets `… cwd=/tmp/a`, the invented line, and `b 3 args: /usr/sbin/exim4 -t -i`. What bounds it:
//! Exim writes the text at once, so nothing stands in between; it is no longer than Exim's log buffer; it ends with the number of
//! arguments; and it is a path, of which no name is longer than file systems allow. So what may be invented is found by looking
//! from a `cwd=` line at the lines behind it. See `docs/decisions/log-lines-with-two-readings.md` for what cannot be found.

use std::cell::Cell;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::invocations;
use crate::event::{Arrival, Delivery, Event, Kind, Leftover, Outcome, Peer};
use crate::parsers::Reader;
use crate::scan;

/// Octets that a reader wants to see of what follows a line: a text that may be forged, and as much behind it, which tells.
pub const AHEAD_OCTETS: usize = 2 * TEXT_OCTETS_MAX;
/// Size of Exim's log buffer (`LOG_BUFFER_SIZE`). Of a longer text it says only that it was too long.
const TEXT_OCTETS_MAX: usize = 8192;
/// Lines that are looked at to find out whether those behind one `cwd=` line are real.
const LOOKED_AT_MAX: u32 = 128;
/// Characters of one name in a path, on all usual file systems.
const NAME_CHARS_MAX: usize = 255;
/// Started programs that are remembered.
const STARTED_MAX: usize = 1024;

/// What Exim itself wrote on a line of its own log.
#[derive(Clone, Copy)]
pub(in crate::parsers) struct OwnLine<'a> {
    pub(in crate::parsers) pid: Option<u32>,
    pub(in crate::parsers) id: Option<&'a str>,
    pub(in crate::parsers) text: &'a str,
}

/// Whether a line says what it seems to say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::parsers) enum Standing {
    #[default]
    Sure,
    /// It may be part of a folder's name.
    Doubtful,
    /// It is part of a folder's name.
    Forged,
}

/// What is known of the lines to come, each as a number of lines.
#[derive(Clone, Debug, Default)]
pub(in crate::parsers) struct Folders {
    forged: usize,
    /// May belong to the folder of the newest `cwd=` line.
    doubtful: usize,
    /// May belong to the folder of an older one.
    doubtful_before: usize,
    /// The line that tells of the message that the newest command brought in.
    own: Option<usize>,
    /// Processes and messages of the newest `cwd=` lines. Each has one such line only.
    started: VecDeque<u64>,
}

impl Folders {
    /// How the next line stands.
    pub(in crate::parsers) fn next(&mut self) -> Standing {
        if self.forged == 0 && self.doubtful == 0 && self.doubtful_before == 0 {
            return Standing::Sure;
        }
        let is_own = self.own == Some(1);
        let standing = match (self.forged, self.doubtful, self.doubtful_before) {
            (1.., ..) => Standing::Forged,
            (0, 0, 0) => Standing::Sure,
            (0, _, 0) if is_own => Standing::Sure,
            _ => Standing::Doubtful,
        };
        self.forged = self.forged.saturating_sub(1);
        self.doubtful = self.doubtful.saturating_sub(1);
        self.doubtful_before = self.doubtful_before.saturating_sub(1);
        self.own = self.own.map(|lines| lines.saturating_sub(1));
        standing
    }

    /// Whether the next line is known to be forged.
    pub(in crate::parsers) fn is_next_forged(&self) -> bool {
        self.forged > 0
    }

    /// Looks behind a `cwd=` line, of which `text` follows time and process.
    pub(in crate::parsers) fn command(&mut self, reader: &Reader, line: OwnLine<'_>, behind: &[u8]) {
        if let Some(cwd) = line.text.strip_prefix("cwd=")
            && may_be_anybodys(cwd)
        {
            let survey = Survey { reader, started: &self.started, looks_left: Cell::new(LOOKED_AT_MAX) };
            let behind = behind.get(..AHEAD_OCTETS).unwrap_or(behind);
            let found = survey.behind(line, cwd, behind);
            self.doubtful_before = self.doubtful_before.max(self.doubtful);
            self.forged = self.forged.max(found.forged);
            self.doubtful = found.doubtful;
            self.own = found.own;
        }
        for key in keys(line).into_iter().flatten() {
            if self.started.len() >= STARTED_MAX {
                self.started.pop_front();
            }
            self.started.push_back(key);
        }
    }
}

/// Takes from an event what would be held against somebody.
pub(in crate::parsers) fn doubt(event: &mut Event<'_>) {
    match &mut event.kind {
        Kind::Arrival(arrival) => {
            **arrival =
                Arrival { size: arrival.size, recipients: arrival.recipients, is_doubtful: true, ..Arrival::default() };
        }
        Kind::Rejection(rejection) => {
            (rejection.peer, rejection.auth, rejection.sender) = (Peer::default(), None, None);
            rejection.is_doubtful = true;
        }
        Kind::AuthFailure(failure) => {
            (failure.peer, failure.user) = (Peer::default(), None);
            failure.is_doubtful = true;
        }
        Kind::Session(session) => {
            session.peer = Peer::default();
            session.is_doubtful = true;
        }
        Kind::Reputation(reputation) => reputation.peer = Peer::default(),
        // It could be said of a message that somebody else really sent.
        Kind::Delivery(delivery) if is_failed(delivery) => event.kind = Kind::Leftover(Leftover::Folder),
        _ => {}
    }
}

fn is_failed(delivery: &Delivery<'_>) -> bool {
    delivery.outcome == Outcome::Failed
}

/// Whether somebody who is not the administrator can have made a folder whose path begins like this. A folder of which the name goes
/// on behind what is shown lies in the same folder as that.
fn may_be_anybodys(cwd: &str) -> bool {
    let folder = cwd.split_once(" args:").map_or(cwd, |(folder, _)| folder);
    let mut names = folder.trim_start_matches('/').splitn(3, '/');
    match (names.next(), names.next(), names.next()) {
        (_, None, _) => folder.len() == cwd.len(),
        (Some("root"), ..) => false,
        (Some(home), Some(_), None) if home.starts_with("home") => folder.len() == cwd.len(),
        _ => !folder.starts_with("/var/spool/exim"),
    }
}

/// What stands behind one `cwd=` line, each as a number of lines.
#[derive(Default)]
struct Found {
    forged: usize,
    doubtful: usize,
    own: Option<usize>,
    /// The text may go on behind what could be seen.
    is_cut: bool,
    looked_at: u32,
}

/// Looks for what folders may hide.
struct Survey<'a> {
    reader: &'a Reader,
    started: &'a VecDeque<u64>,
    /// Of [`LOOKED_AT_MAX`].
    looks_left: Cell<u32>,
}

impl Survey<'_> {
    /// What may belong to the folder that `first` names, whose path begins with `cwd`; `behind` follows that line.
    fn behind(&self, first: OwnLine<'_>, cwd: &str, behind: &[u8]) -> Found {
        let mut found = Found::default();
        let mut path = Path::default();
        if !path.goes_on(cwd.as_bytes()) {
            return found;
        }
        // Lines at which the text may end: their numbers, and what begins with them.
        let mut ends: Vec<(usize, &[u8])> = Vec::new();
        let mut is_open = invocations(cwd).next().is_none();
        let mut awaits_own = !is_open;
        let mut last_opener = 0;
        let text_max = TEXT_OCTETS_MAX.saturating_sub(cwd.len());
        let mut rest = behind;
        for number in 1.. {
            if rest.is_empty() || behind.len() - rest.len() >= text_max {
                // A text that is not seen to its end may be one.
                found.is_cut = rest.is_empty();
                break;
            }
            found.looked_at += 1;
            let (octets, after) = first_line(rest);
            let text = Reader::text(octets);
            let line = self.reader.own_line(&text);
            path.goes_on(b"\n");
            let end = invocations(&text).next().filter(|(before, _)| path.clone().goes_on(before.as_bytes()));
            if end.is_some() {
                ends.push((number, rest));
                // Exim never begins a line without a time, and a process has one such line only.
                let is_same = line.is_some_and(|line| is_command(line) && line.pid.is_some() && line.pid == first.pid);
                let is_bare = line.is_none() && last_opener == 0;
                if is_open || is_bare || is_same {
                    (found.forged, found.own) = (number, None);
                }
                // What follows may be the command's own message.
                (is_open, awaits_own) = (false, found.forged == number);
            } else if awaits_own && line.is_some_and(|line| is_own(line, first, found.forged > 0)) {
                (found.own, awaits_own) = (Some(number), false);
            }
            if opener(line).is_some() {
                last_opener = number;
            }
            if !path.goes_on(octets) {
                break;
            }
            rest = after;
        }
        let is_possible = |(_, from): &&(usize, &[u8])| !self.is_real(from);
        found.doubtful = ends.iter().rev().find(is_possible).map_or(0, |(number, _)| *number);
        found
    }

    fn can_look(&self, lines: u32) -> bool {
        let left = self.looks_left.get().checked_sub(lines);
        self.looks_left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Whether the line with which `from` begins was written by a process of its own, since a line behind it goes on with what it begins.
    /// Whoever forges cannot write behind the end of his text, other than with another text, which begins with a `cwd=` line again.
    fn is_real(&self, from: &[u8]) -> bool {
        let (end, mut rest) = first_line(from);
        let end = Reader::text(end);
        let Some(end) = self.reader.own_line(&end) else { return false };
        let Some(start) = Start::of(end) else { return false };
        if is_command(end) && keys(end).into_iter().flatten().any(|key| self.started.contains(&key)) {
            return false;
        }
        let mut doubtful = 0_usize;
        while !rest.is_empty() {
            if !self.can_look(1) {
                return false;
            }
            let (octets, after) = first_line(rest);
            let text = Reader::text(octets);
            let line = self.reader.own_line(&text);
            let is_sure = doubtful == 0;
            doubtful = doubtful.saturating_sub(1);
            if let Some(line) = line {
                if is_sure && start.goes_on_in(line) {
                    return true;
                }
                if let Some(cwd) = opener(Some(line)) {
                    let found = self.behind(line, cwd, after);
                    if found.is_cut || !self.can_look(found.looked_at) {
                        return false;
                    }
                    doubtful = doubtful.max(found.forged).max(found.doubtful);
                }
            }
            rest = after;
        }
        false
    }
}

/// A line without its end, and what follows it.
fn first_line(octets: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', octets) {
        Some(end) => (octets.get(..end).unwrap_or_default(), octets.get(end + 1..).unwrap_or_default()),
        None => (octets, b""),
    }
}

/// The folder and all behind it of a line with which a forged text can begin.
fn opener(line: Option<OwnLine<'_>>) -> Option<&str> {
    line?.text.strip_prefix("cwd=").filter(|cwd| may_be_anybodys(cwd))
}

fn is_command(line: OwnLine<'_>) -> bool {
    line.text.starts_with("cwd=")
}

fn is_local_arrival(line: OwnLine<'_>) -> bool {
    line.id.is_some() && line.text.starts_with("<= ") && line.text.contains(" P=local")
}

/// Whether `line` can tell of the message that the process of `first` brought in. Behind a text that is forged only the same
/// process is believed.
fn is_own(line: OwnLine<'_>, first: OwnLine<'_>, is_strict: bool) -> bool {
    let is_same = match (line.pid, first.pid) {
        (Some(own), Some(first)) => own == first,
        _ => !is_strict,
    };
    is_same && is_local_arrival(line)
}

/// What a line begins that other lines go on with.
enum Start<'a> {
    /// The delivery of a message (`-Mc`), by this process if the log names it.
    Delivery(&'a str, Option<u32>),
    /// A process that may bring in a message.
    Submission(u32),
    /// Something about a message.
    Message(&'a str),
    /// Something else of a process.
    Process(u32),
}

impl<'a> Start<'a> {
    fn of(line: OwnLine<'a>) -> Option<Start<'a>> {
        if is_command(line) {
            return match delivered(line) {
                Some(id) => Some(Start::Delivery(id, line.pid)),
                None => line.pid.map(Start::Submission),
            };
        }
        line.id.map(Start::Message).or(line.pid.map(Start::Process))
    }

    fn goes_on_in(&self, line: OwnLine<'_>) -> bool {
        match *self {
            Start::Delivery(id, pid) => line.id == Some(id) && (pid.is_none() || pid == line.pid),
            Start::Submission(pid) => line.pid == Some(pid) && is_local_arrival(line),
            Start::Message(id) => line.id == Some(id),
            Start::Process(pid) => line.pid == Some(pid),
        }
    }
}

/// The message that a command delivers.
fn delivered(line: OwnLine<'_>) -> Option<&str> {
    let (_, id) = invocations(line.text).last()?.1.split_once(" -Mc ")?;
    Some(scan::word(id).0)
}

/// What a command is known by: its process, and the message that it delivers.
fn keys(line: OwnLine<'_>) -> [Option<u64>; 2] {
    fn hash(value: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
    [line.pid.map(hash), delivered(line).map(hash)]
}

/// Goes along a text for as long as it can be the path of a folder, as the system names it.
#[derive(Clone, Default)]
struct Path {
    name_chars: usize,
    is_broken: bool,
    is_at_slash: bool,
}

impl Path {
    fn goes_on(&mut self, octets: &[u8]) -> bool {
        let mut rest = octets;
        while !self.is_broken {
            let end = memchr::memchr(b'/', rest);
            let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            // Some file systems count characters. What is no UTF-8 counts less than it is, which is on the safe side.
            self.name_chars += name.iter().filter(|b| **b & 0xC0 != 0x80).count();
            self.is_at_slash &= name.is_empty();
            let Some(end) = end else {
                self.is_broken = self.name_chars > NAME_CHARS_MAX;
                break;
            };
            self.is_broken = self.name_chars > NAME_CHARS_MAX || self.is_at_slash;
            (self.name_chars, self.is_at_slash) = (0, true);
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        !self.is_broken
    }
}
