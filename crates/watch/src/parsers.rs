//! From a line to an [`Event`]: the time, the program and the process in front, then the program's own grammar.
//!
//! Times may stand in Exim's form (`2026-03-02 10:11:12`, with or without milliseconds, zone and `[pid]`), in either form
//! of syslog, as TAI64N, or be missing.

mod dovecot;
mod exim;
mod postfix;
mod webmail;

use std::borrow::Cow;

use self::exim::folder::{self, Folders, OwnLine, Standing};
use crate::event::{Arrival, Event, Kind, Leftover, Recipients, Source};
use crate::scan;
use crate::time::{self, DAY_MS, SECOND_MS, Timestamp};

/// Octets of a line that are read; the rest is left out. Exim cuts its lines at 8192, Postfix at some 2000.
pub const LINE_OCTETS_MAX: usize = 16 * 1024;

pub use self::exim::folder::AHEAD_OCTETS;

/// Reads the lines of one log, one after the other. What it keeps from line to line is whose line came last, so that the
/// rest of a message logged over several lines is known for what it is, and which fields the log has at all.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Milliseconds by which the log's local time is ahead of UTC.
    offset_ms: i64,
    /// A time after which no line can have been written, for lines without a year.
    latest: Option<Timestamp>,
    /// Whether the MTA takes a HELO that is no host name.
    takes_any_helo: bool,
    last: Source,
    habits: Habits,
    folders: Folders,
    /// Of the line that was read last.
    standing: Standing,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            offset_ms: 0,
            latest: None,
            takes_any_helo: true,
            last: Source::Other,
            habits: Habits::default(),
            folders: Folders::default(),
            standing: Standing::Sure,
        }
    }
}

impl Reader {
    /// A reader for a log in UTC of a server that takes any HELO.
    #[must_use]
    pub fn new() -> Reader {
        Reader::default()
    }

    /// For a log whose times, where they name no zone, are `seconds` ahead of UTC.
    #[must_use]
    pub fn with_zone(mut self, seconds: i32) -> Reader {
        self.offset_ms = i64::from(seconds) * SECOND_MS;
        self
    }

    /// For a log without years whose last line is not later than `time`, such as the time of the file's last change.
    #[must_use]
    pub fn with_latest(mut self, time: Timestamp) -> Reader {
        self.latest = Some(time);
        self
    }

    /// For a server that refuses a HELO that is no host name, as Exim does without `helo_accept_junk_hosts`. Fewer lines
    /// can then be read in two ways.
    #[must_use]
    pub fn with_strict_helo(mut self) -> Reader {
        self.takes_any_helo = false;
        self
    }

    /// The line as text. Octets that are no UTF-8 become U+FFFD; nothing is copied where there are none.
    #[must_use]
    pub fn text(line: &[u8]) -> Cow<'_, str> {
        // Checking first is several times faster than looking for what to replace.
        match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(line),
        }
    }

    /// Reads one line, given without its line end. Never fails: a line in no known form is [`Kind::Unknown`].
    pub fn read<'a>(&mut self, line: &'a str) -> Event<'a> {
        self.read_before(line, b"")
    }

    /// As [`Reader::read`]. `behind` is what follows the line and its end in the log, at least [`AHEAD_OCTETS`] where there is so much:
    /// only with it can those lines be known that a local user wrote into Exim's log by the name of a folder ([`Leftover::Folder`]).
    pub fn read_before<'a>(&mut self, line: &'a str, behind: &[u8]) -> Event<'a> {
        self.standing = self.folders.next();
        let event = self.read_again(line);
        if let Kind::Command(_) = event.kind
            && let Some(own) = self.own_line(line)
        {
            let mut folders = std::mem::take(&mut self.folders);
            folders.command(self, own, behind);
            self.folders = folders;
        }
        event
    }

    /// Reads the line that was read last once more, after [`Reader::with_zone`].
    pub fn read_again<'a>(&mut self, line: &'a str) -> Event<'a> {
        if self.standing == Standing::Forged {
            let kind = Kind::Leftover(Leftover::Folder);
            return Event { time: None, source: Source::Exim, pid: None, id: None, kind };
        }
        let mut event = self.as_it_stands(line);
        if self.standing == Standing::Doubtful {
            folder::doubt(&mut event);
        }
        event
    }

    fn as_it_stands<'a>(&mut self, line: &'a str) -> Event<'a> {
        let end = (0..=LINE_OCTETS_MAX.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let line = line.get(..end).unwrap_or(line).trim_end_matches(['\r', '\n']);
        let Some(prefix) = self.prefix(line) else {
            return Event { time: None, source: self.last, pid: None, id: None, kind: self.without_time(line) };
        };
        let event = match prefix.program {
            Program::Exim => {
                let mut event = self.exim(&prefix);
                if let Kind::Arrival(arrival) = &mut event.kind
                    && self.standing == Standing::Sure
                {
                    self.habits.check(arrival);
                }
                event
            }
            Program::Postfix(service) => {
                let (id, kind) = postfix::read(service, prefix.rest);
                Event { time: prefix.time, source: Source::Postfix, pid: prefix.pid, id, kind }
            }
            Program::Dovecot(tag) => {
                let kind = dovecot::read(tag, prefix.rest);
                Event { time: prefix.time, source: Source::Dovecot, pid: prefix.pid, id: None, kind }
            }
            Program::Webmail => {
                let (id, kind) = webmail::read(prefix.rest);
                Event { time: prefix.time, source: Source::Webmail, pid: prefix.pid, id, kind }
            }
            Program::Other => {
                Event { time: prefix.time, source: Source::Other, pid: prefix.pid, id: None, kind: Kind::Foreign }
            }
        };
        self.last = event.source;
        event
    }

    /// When `line` was written, without reading the rest of it; `None` if it has no time of its own. For putting lines of several
    /// files in order.
    #[must_use]
    pub fn time(&self, line: &str) -> Option<Timestamp> {
        if self.folders.is_next_forged() {
            return None;
        }
        self.prefix(line)?.time
    }

    /// A line of a log that Exim writes itself; not one of syslog, where each part of a text has a time and a number of its own.
    fn own_line<'a>(&self, line: &'a str) -> Option<OwnLine<'a>> {
        /// Of the blank behind the date.
        const BLANK_AT: usize = 10;
        if line.as_bytes().get(BLANK_AT) != Some(&b' ') {
            return None;
        }
        let prefix = self.prefix(line)?;
        matches!(prefix.program, Program::Exim).then(|| own_line(&prefix))
    }

    fn exim<'a>(&self, prefix: &Prefix<'a>) -> Event<'a> {
        let OwnLine { pid, id, text: rest } = own_line(prefix);
        let kind = exim::Grammar { takes_any_helo: self.takes_any_helo }.kind(rest, id.is_some());
        Event { time: prefix.time, source: Source::Exim, pid, id, kind }
    }

    fn without_time<'a>(&self, line: &'a str) -> Kind<'a> {
        if line.is_empty() {
            return Kind::Empty;
        }
        match self.last {
            // Only Exim writes messages over several lines. A header cannot look like a line of its own, since its first
            // line begins with a type letter or blank and the folded ones begin with white space.
            Source::Exim if exim::is_logged_header(line) => Kind::Leftover(Leftover::Header),
            Source::Exim => Kind::Leftover(Leftover::Continuation),
            _ => Kind::Unknown,
        }
    }

    fn prefix<'a>(&self, line: &'a str) -> Option<Prefix<'a>> {
        if let Some((day, rest)) = time::iso_date(line) {
            return self.after_iso_date(day, rest);
        }
        if let Some((month, day, rest)) = time::month_and_day(line) {
            let (ms, rest) = time::clock(rest)?;
            let local = Timestamp::from_civil(self.year(month, day), month, day, 0, 0, 0).plus_millis(ms);
            return Some(syslog(Some(local.plus_millis(-self.offset_ms)), rest.strip_prefix(' ')?));
        }
        if let Some(rest) = line.strip_prefix('[')
            && let Some((time, rest)) = self.php_time(rest)
        {
            return Some(Prefix { time: Some(time), pid: None, program: Program::Webmail, rest });
        }
        if let Some((time, rest)) = tai64n(line) {
            return Some(syslog(Some(time), rest));
        }
        // A journal export without times: `host exim[123]: 2026-03-02 10:11:12 …`.
        let (_, after_host) = scan::word(line);
        let (tag, pid, rest) = syslog_tag(after_host)?;
        let Program::Exim = program(tag) else { return None };
        let (day, rest) = time::iso_date(rest)?;
        let prefix = self.after_iso_date(day, rest)?;
        Some(Prefix { pid: prefix.pid.or(pid), ..prefix })
    }

    fn after_iso_date<'a>(&self, day: i64, rest: &'a str) -> Option<Prefix<'a>> {
        let is_rfc3339 = rest.starts_with('T');
        let (ms, rest) = time::clock(rest.strip_prefix(['T', ' '])?)?;
        let local = Timestamp::from_millis(day * DAY_MS + ms);
        if is_rfc3339 {
            let (east, rest) = time::zone(rest).unwrap_or((self.offset_ms, rest));
            return Some(syslog(Some(local.plus_millis(-east)), rest.strip_prefix(' ')?));
        }
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
        let (east, rest) = match time::zone(rest) {
            Some((east, after)) if after.starts_with(' ') => (east, after.trim_start_matches(' ')),
            _ => (self.offset_ms, rest),
        };
        let time = Some(local.plus_millis(-east));
        Some(own_log(time, rest))
    }

    /// `24-Jan-2022 04:12:21 +0100]: text` as PHP programs write it; a zone by name is taken for the log's own.
    fn php_time<'a>(&self, text: &'a str) -> Option<(Timestamp, &'a str)> {
        let (day, month_and_on) = text.split_at_checked(2)?;
        let (year, rest) = scan::number(month_and_on.strip_prefix('-')?.get(3..)?.strip_prefix('-')?)?;
        let month = month_and_on.get(1..4)?;
        let (month, day, _) =
            time::month_and_day(&format!("{month} {day} ")).map(|(month, day, _)| (month, day, ()))?;
        let (ms, rest) = time::clock(rest.strip_prefix(' ')?)?;
        let (zone, rest) = rest.split_once(']')?;
        let east = time::zone(zone.trim_start_matches(' ')).map_or(self.offset_ms, |(east, _)| east);
        let local = Timestamp::from_civil(i32::try_from(year).ok()?, month, day, 0, 0, 0).plus_millis(ms);
        Some((local.plus_millis(-east), rest.trim_start_matches([':', ' '])))
    }

    /// The year of a date without one: the last in which it is not after the latest time.
    fn year(&self, month: u32, day: u32) -> i32 {
        /// Clocks differ a little: the new year may begin in the log before it does here.
        const NEW_YEAR_GRACE_MS: i64 = 10 * 60 * SECOND_MS;
        /// The log may be one of another zone than is thought.
        const ZONE_GRACE_MS: i64 = DAY_MS / 2;
        let Some(latest) = self.latest else { return 1970 };
        let latest = latest.plus_millis(self.offset_ms);
        let (year, ..) = latest.civil();
        let begins = |year| Timestamp::from_civil(year, month, day, 0, 0, 0);
        if begins(year + 1) <= latest.plus_millis(NEW_YEAR_GRACE_MS) {
            return year + 1;
        }
        if begins(year) <= latest.plus_millis(ZONE_GRACE_MS) { year } else { year - 1 }
    }
}

/// Which of the fields behind the message-id the log has. The log selector says so for all lines alike, but is not known here;
/// a message-id that ends in ` for a@b` or ` T="x"` would forge recipients or a subject where the log has none.
#[derive(Clone, Copy, Debug, Default)]
struct Habits {
    recipients: i8,
    subject: i8,
    raw_sender: i8,
}

impl Habits {
    /// Counts what this arrival has, and takes away what arrivals of this log do not have.
    fn check(&mut self, arrival: &mut Arrival<'_>) {
        // Of a line with two readings the message-id may be left out already.
        let has_id = arrival.message_id.is_some() || arrival.is_doubtful;
        let mut is_odd = false;
        if habit(&mut self.recipients, !arrival.recipients.is_empty()) && has_id {
            arrival.recipients = Recipients::default();
            is_odd = true;
        }
        if habit(&mut self.subject, arrival.subject.is_some()) && has_id {
            arrival.subject = None;
            is_odd = true;
        }
        if habit(&mut self.raw_sender, arrival.raw_sender.is_some()) && has_id {
            arrival.raw_sender = None;
            is_odd = true;
        }
        if is_odd {
            // What was taken away belongs to the message-id, which is therefore not known.
            arrival.message_id = None;
            arrival.is_doubtful = true;
        }
    }
}

/// Moves `count` towards what this line has; says whether it has something that most lines before had not.
fn habit(count: &mut i8, has: bool) -> bool {
    const LINES: i8 = 64;
    let is_odd = has && *count < 0;
    *count = if has { count.saturating_add(1).min(LINES) } else { count.saturating_sub(1).max(-LINES) };
    is_odd
}

/// What stands in front of a program's own text.
struct Prefix<'a> {
    time: Option<Timestamp>,
    pid: Option<u32>,
    program: Program<'a>,
    rest: &'a str,
}

enum Program<'a> {
    Exim,
    /// The daemon: `smtpd`, `qmgr` …
    Postfix(&'a str),
    /// The tag: `imap-login`, `auth` …
    Dovecot(&'a str),
    Webmail,
    Other,
}

/// Text behind the time of a log that a program writes itself: Exim's, or Dovecot's.
fn own_log(time: Option<Timestamp>, rest: &str) -> Prefix<'_> {
    // Exim's own lines begin with a process or message id.
    if rest.starts_with(|c: char| c == '[' || c.is_ascii_digit()) {
        return Prefix { time, pid: None, program: Program::Exim, rest };
    }
    // A host and an `exim[pid]:` tag may stand here when syslog was set to Exim's form of time.
    let (_, after_host) = scan::word(rest);
    if after_host.starts_with("exim")
        && let Some((_, pid, rest)) = syslog_tag(after_host)
    {
        return Prefix { time, pid, program: Program::Exim, rest };
    }
    if let Some((tag, pid, rest)) = syslog_tag(rest)
        && let Program::Dovecot(tag) = program(tag)
        && is_dovecot_level(rest)
    {
        return Prefix { time, pid, program: Program::Dovecot(tag), rest };
    }
    Prefix { time, pid: None, program: Program::Exim, rest }
}

/// Text behind the time of syslog: `host tag[pid]: text`, or in Dovecot's own log `tag: text`.
fn syslog(time: Option<Timestamp>, rest: &str) -> Prefix<'_> {
    let (first, after_first) = scan::word(rest);
    let has_no_host = first.ends_with(':');
    let tagged = if has_no_host { syslog_tag(rest) } else { syslog_tag(after_first) };
    let Some((tag, pid, rest)) = tagged else { return Prefix { time, pid: None, program: Program::Other, rest } };
    let program = program(tag);
    let mut prefix = Prefix { time, pid, program, rest };
    if let Program::Exim = prefix.program
        && let Some((_, after)) = time::iso_date(rest)
        && let Some((_, after)) = after.strip_prefix(' ').and_then(time::clock)
    {
        // Exim writes its own time as well unless `syslog_timestamp` is off.
        prefix.rest = after.trim_start_matches(' ');
    }
    prefix
}

/// `tag[pid]: text` or `tag: text`, also `auth(user,ip)<session>: text`.
fn syslog_tag(text: &str) -> Option<(&str, Option<u32>, &str)> {
    let end = text.find([' ', '[', ':', '('])?;
    let (tag, rest) = text.split_at_checked(end)?;
    if let Some(rest) = rest.strip_prefix(':') {
        return (!tag.is_empty()).then_some((tag, None, rest.trim_start_matches(' ')));
    }
    if let Some(rest) = rest.strip_prefix('[') {
        let (pid, rest) = rest.split_once(']')?;
        return Some((tag, pid.parse().ok(), rest.strip_prefix(':')?.trim_start_matches(' ')));
    }
    // Dovecot puts process or session data between the tag and the colon; its parser reads them.
    let has_data = rest.starts_with('(') && rest.contains(": ") && matches!(program(tag), Program::Dovecot(_));
    has_data.then_some((tag, None, rest))
}

fn program(tag: &str) -> Program<'_> {
    if tag.starts_with("exim") {
        return Program::Exim;
    }
    if tag.starts_with("postfix") {
        return Program::Postfix(tag.rsplit_once('/').map_or(tag, |(_, service)| service));
    }
    if tag.starts_with("roundcube") {
        return Program::Webmail;
    }
    const DOVECOT: [&str; 14] = [
        "dovecot",
        "dovecot-auth",
        "auth",
        "auth-worker",
        "imap-login",
        "pop3-login",
        "managesieve-login",
        "submission-login",
        "imap",
        "pop3",
        "lmtp",
        "lda",
        "managesieve",
        "master",
    ];
    if DOVECOT.contains(&tag) { Program::Dovecot(tag) } else { Program::Other }
}

/// What Exim wrote behind the time.
fn own_line<'a>(prefix: &Prefix<'a>) -> OwnLine<'a> {
    let (pid, rest) = match process_id(prefix.rest) {
        Some((own, after)) => (Some(own), after),
        None => (prefix.pid, prefix.rest),
    };
    match exim::message_id(rest) {
        Some((id, text)) => OwnLine { pid, id: Some(id), text },
        None => OwnLine { pid, id: None, text: rest },
    }
}

fn is_dovecot_level(rest: &str) -> bool {
    let levels = ["Info: ", "Warning: ", "Error: ", "Fatal: ", "Debug: ", "Panic: "];
    levels.iter().any(|level| rest.starts_with(level) || rest.starts_with('('))
}

/// `[123] ` as Exim's `+pid` writes it.
fn process_id(text: &str) -> Option<(u32, &str)> {
    let (pid, rest) = scan::number(text.strip_prefix('[')?)?;
    Some((u32::try_from(pid).ok()?, rest.strip_prefix("] ")?))
}

/// TAI64N as multilog writes it: `@`, 16 hex digits of seconds since 1970 in TAI plus 2^62, 8 of nanoseconds.
fn tai64n(line: &str) -> Option<(Timestamp, &str)> {
    const EPOCH: u64 = 1 << 62;
    /// TAI was ten seconds ahead of UTC in 1972, and software that writes these stamps adds just those.
    const TAI_AHEAD_S: i64 = 10;
    let (stamp, rest) = line.strip_prefix('@')?.split_once(' ')?;
    let (seconds, nanos) = stamp.split_at_checked(16)?;
    let seconds = u64::from_str_radix(seconds, 16).ok()?.checked_sub(EPOCH)?;
    let ms = u32::from_str_radix(nanos, 16).ok()? / 1_000_000;
    let seconds = i64::try_from(seconds).ok()?.checked_sub(TAI_AHEAD_S)?;
    Some((Timestamp::from_millis(seconds.checked_mul(SECOND_MS)?.checked_add(i64::from(ms))?), rest))
}
