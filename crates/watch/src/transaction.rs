//! One picture of a message: its arrival, its recipients and what became of them, joined by queue id over lines and files.
//!
//! Memory is bounded: when too many messages are open, the oldest is let go and counted. Who sent a message is told from the
//! login, else from the local caller and the directory in which the program was started, which Exim logs on a line of its own
//! that has the process id in common with the arrival.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::event::{Arrival, Command, Delivery, Event, Kind, Outcome, Queue, Source};
use crate::map::Map;
use crate::scan;
use crate::time::Timestamp;

/// Messages that may be open at once.
pub const OPEN_MESSAGES_MAX: usize = 100_000;
/// Started commands that wait for their message.
const COMMANDS_MAX: usize = 1024;
/// Scripts that wait for their message.
const SCRIPTS_MAX: usize = 1024;
/// How long a command waits for its message, where the log has no process ids.
const COMMAND_WAITS_MS: i64 = 2000;
/// Octets of a subject that are kept.
const SUBJECT_OCTETS_MAX: usize = 120;
/// Longest queue id: Exim's has 23 characters, Postfix's at most 22.
const ID_OCTETS: usize = 24;

/// Where a line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of the file, as the caller counts them.
    pub file: u32,
    /// Number of the line, from 1.
    pub line: u64,
}

/// A queue id, cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct QueueId([u8; ID_OCTETS]);

impl QueueId {
    /// The id written as `text`; `None` if that is longer than any queue id.
    #[must_use]
    pub fn new(text: &str) -> Option<QueueId> {
        let mut octets = [0; ID_OCTETS];
        octets.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(QueueId(octets))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(ID_OCTETS);
        self.0.get(..end).and_then(|octets| std::str::from_utf8(octets).ok()).unwrap_or("")
    }
}

impl From<QueueId> for String {
    fn from(id: QueueId) -> String {
        id.as_str().to_owned()
    }
}

impl TryFrom<String> for QueueId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<QueueId, &'static str> {
        QueueId::new(&text).ok_or("this is longer than any queue id")
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueueId({})", self.as_str())
    }
}

/// Who brought a message in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Somebody logged in.
    Login(Box<str>),
    /// A program of a local user, started in a known directory, or a named script.
    Script {
        /// Login name or uid.
        user: Box<str>,
        /// Directory, or the script itself where that is known.
        script: Box<str>,
    },
    /// A local user, by a program that is not known.
    Local(Box<str>),
    /// A bounce or other message of the MTA itself.
    Bounce,
    /// A client without login.
    Remote,
    /// The log does not say, or says it in two ways.
    Unknown,
}

/// A message on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Queue id.
    pub id: QueueId,
    /// When it arrived.
    pub arrived: Option<Timestamp>,
    /// The line of its arrival.
    pub place: Place,
    /// Who brought it in.
    pub origin: Origin,
    /// The script that the message's own header names (`X-PHP-Script` and the like), where the caller could read it. Whoever wrote the
    /// message may have written it: a hint for people, which decides nothing.
    #[serde(default)]
    pub script: Option<Box<str>>,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// Confirmed name of the client.
    pub host: Option<Box<str>>,
    /// Envelope sender; empty for `<>`.
    pub sender: Box<str>,
    /// Subject as logged, cut after 120 octets; hostile.
    pub subject: Box<str>,
    /// Octets.
    pub size: u64,
    /// Recipients named or counted at arrival; 0 if the log does not say.
    pub recipients: u32,
    /// Recipients served.
    pub delivered: u32,
    /// Attempts that were deferred.
    pub deferred: u32,
    /// Recipients given up.
    pub failed: u32,
    /// Whether it is on hold.
    pub is_frozen: bool,
    /// Whether its arrival can be read in two ways.
    pub is_doubtful: bool,
    is_announced: bool,
}

/// What happened to a message.
#[derive(Debug)]
pub enum Step<'m, 'e> {
    /// It came in.
    Arrived(&'m Message),
    /// Something became of one recipient.
    Outcome(&'m Message, &'m Delivery<'e>),
    /// Nothing more will happen.
    Finished(Message),
}

/// What could not be joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Messages let go because too many were open.
    pub evicted: u64,
    /// Lines about messages whose arrival is not in the log.
    pub orphans: u64,
}

/// Joins events to messages. It can be stored and read again, with all messages that are not finished.
#[derive(Debug, Serialize, Deserialize)]
pub struct Joiner {
    open: Map<QueueId, Message>,
    order: VecDeque<QueueId>,
    open_max: usize,
    commands: Commands,
    /// Scripts of messages that have not arrived yet.
    #[serde(default)]
    scripts: VecDeque<(QueueId, Box<str>)>,
    losses: Losses,
}

impl Default for Joiner {
    fn default() -> Joiner {
        Joiner::new(OPEN_MESSAGES_MAX)
    }
}

impl Joiner {
    /// A joiner that keeps at most `open_max` messages.
    #[must_use]
    pub fn new(open_max: usize) -> Joiner {
        Joiner {
            open: Map::default(),
            order: VecDeque::new(),
            open_max: open_max.max(1),
            commands: Commands::default(),
            scripts: VecDeque::new(),
            losses: Losses::default(),
        }
    }

    /// What could not be joined so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The message with this queue id, if it is not finished.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Message> {
        QueueId::new(id).and_then(|id| self.open.get(&id))
    }

    /// Messages that are not finished.
    pub fn open(&self) -> impl Iterator<Item = &Message> {
        self.open.values()
    }

    /// The header of message `id`, which was born here, names this script. May come before the message's arrival.
    pub fn script_is(&mut self, id: &str, script: &str) {
        let Some(id) = QueueId::new(id) else { return };
        if let Some(message) = self.open.get_mut(&id) {
            message.script = is_born_here(&message.origin).then(|| script.into());
            return;
        }
        if self.scripts.len() >= SCRIPTS_MAX {
            self.scripts.pop_front();
        }
        self.scripts.push_back((id, script.into()));
    }

    /// Whether the script of message `id` was told.
    #[must_use]
    pub fn knows_script(&self, id: &str) -> bool {
        let Some(id) = QueueId::new(id) else { return false };
        let is_open = self.open.get(&id).is_some_and(|message| message.script.is_some());
        is_open || self.scripts.iter().any(|(known, _)| *known == id)
    }

    /// What was told of `id` before it arrived.
    fn take_script(&mut self, id: QueueId, origin: &Origin) -> Option<Box<str>> {
        let at = self.scripts.iter().rposition(|(known, _)| *known == id)?;
        self.scripts.remove(at).map(|(_, script)| script).filter(|_| is_born_here(origin))
    }

    /// Takes one event and tells each step that follows from it.
    pub fn feed<'e>(&mut self, event: &Event<'e>, place: Place, mut each: impl FnMut(Step<'_, 'e>)) {
        if let Kind::Command(command) = &event.kind {
            self.commands.started(event, command);
            return;
        }
        let Some(id) = event.id.and_then(QueueId::new) else { return };
        match &event.kind {
            Kind::Arrival(arrival) => self.arrived(id, event, arrival, place, &mut each),
            Kind::Delivery(delivery) => {
                let Some(message) = self.open.get_mut(&id) else {
                    self.losses.orphans += 1;
                    return;
                };
                match delivery.outcome {
                    Outcome::Delivered | Outcome::Discarded => message.delivered += 1,
                    Outcome::Deferred => message.deferred += 1,
                    Outcome::Failed => message.failed += 1,
                }
                each(Step::Outcome(message, delivery));
            }
            Kind::Queue(Queue::Frozen) => self.hold(id, true),
            Kind::Queue(Queue::Unfrozen) => self.hold(id, false),
            Kind::Completed | Kind::Queue(Queue::Removed) => {
                if let Some(message) = self.open.remove(&id) {
                    each(Step::Finished(message));
                }
            }
            _ => {}
        }
    }

    fn hold(&mut self, id: QueueId, is_frozen: bool) {
        if let Some(message) = self.open.get_mut(&id) {
            message.is_frozen = is_frozen;
        }
    }

    fn arrived<'e>(
        &mut self,
        id: QueueId,
        event: &Event<'e>,
        arrival: &Arrival<'e>,
        place: Place,
        each: &mut impl FnMut(Step<'_, 'e>),
    ) {
        if event.source == Source::Postfix {
            self.postfix_piece(id, event, arrival, place, each);
            return;
        }
        let origin = self.origin(event, arrival);
        let named = u32::try_from(arrival.recipients.iter().count()).unwrap_or(u32::MAX);
        // The MTA itself may say how many there are where no line names them.
        let recipients = if named > 0 { named } else { arrival.recipient_count.unwrap_or(0) };
        let script = self.take_script(id, &origin);
        let message = Message { origin, script, recipients, is_announced: true, ..message(id, event, arrival, place) };
        each(Step::Arrived(&message));
        self.insert(message, each);
    }

    fn insert<'e>(&mut self, message: Message, each: &mut impl FnMut(Step<'_, 'e>)) {
        self.order.push_back(message.id);
        if let Some(former) = self.open.insert(message.id, message) {
            each(Step::Finished(former));
        }
        while self.open.len() > self.open_max {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(message) = self.open.remove(&oldest) {
                self.losses.evicted += 1;
                each(Step::Finished(message));
            }
        }
        if self.order.len() > 2 * self.open.len() + COMMANDS_MAX {
            let open = &self.open;
            self.order.retain(|id| open.contains_key(id));
        }
    }

    /// Postfix tells an arrival in pieces: the client, the message-id, then sender and number of recipients.
    fn postfix_piece<'e>(
        &mut self,
        id: QueueId,
        event: &Event<'e>,
        arrival: &Arrival<'e>,
        place: Place,
        each: &mut impl FnMut(Step<'_, 'e>),
    ) {
        if !self.open.contains_key(&id) {
            let origin = match arrival.uid {
                Some(uid) => Origin::Local(format!("uid {uid}").into()),
                None => Origin::Unknown,
            };
            self.insert(Message { origin, ..message(id, event, arrival, place) }, each);
        }
        let Some(message) = self.open.get_mut(&id) else { return };
        if let Some(user) = arrival.auth.and_then(|auth| auth.id) {
            message.origin = Origin::Login(user.into());
        } else if arrival.peer.ip.is_some() && message.origin == Origin::Unknown {
            message.origin = Origin::Remote;
        }
        message.ip = message.ip.or(arrival.peer.ip);
        if let Some(sender) = arrival.sender {
            message.sender = sender.into();
        }
        if let Some(count) = arrival.recipient_count {
            message.recipients = count;
            message.size = arrival.size.unwrap_or(0);
            if !message.is_announced {
                message.is_announced = true;
                each(Step::Arrived(message));
            }
        }
    }

    fn origin(&mut self, event: &Event<'_>, arrival: &Arrival<'_>) -> Origin {
        if let Some(user) = arrival.auth.and_then(|auth| auth.id) {
            return Origin::Login(user.into());
        }
        if arrival.is_doubtful {
            return Origin::Unknown;
        }
        let is_local = arrival.protocol.is_some_and(|protocol| protocol.starts_with("local"));
        if !is_local {
            return Origin::Remote;
        }
        let Some(user) = arrival.peer.ident else { return Origin::Unknown };
        let sender = arrival.sender.unwrap_or("");
        if sender.is_empty() && arrival.bounce_of.is_some() {
            return Origin::Bounce;
        }
        match self.commands.of(event, user, sender) {
            Some(script) => Origin::Script { user: user.into(), script },
            None => Origin::Local(user.into()),
        }
    }
}

fn is_born_here(origin: &Origin) -> bool {
    matches!(origin, Origin::Local(_) | Origin::Script { .. })
}

fn message(id: QueueId, event: &Event<'_>, arrival: &Arrival<'_>, place: Place) -> Message {
    let subject = arrival.subject.unwrap_or("");
    let end = (0..=SUBJECT_OCTETS_MAX.min(subject.len())).rev().find(|at| subject.is_char_boundary(*at)).unwrap_or(0);
    Message {
        id,
        arrived: event.time,
        place,
        origin: Origin::Unknown,
        script: None,
        ip: arrival.peer.ip,
        host: arrival.peer.name.map(Into::into),
        sender: arrival.sender.unwrap_or("").into(),
        subject: subject.get(..end).unwrap_or("").into(),
        size: arrival.size.unwrap_or(0),
        recipients: 0,
        delivered: 0,
        deferred: 0,
        failed: 0,
        is_frozen: false,
        is_doubtful: arrival.is_doubtful,
        is_announced: false,
    }
}

/// Commands that were started and wait for their message.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Commands {
    waiting: VecDeque<Started>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Started {
    time: Option<Timestamp>,
    pid: Option<u32>,
    cwd: Box<str>,
    args: Box<str>,
}

impl Commands {
    fn started(&mut self, event: &Event<'_>, command: &Command<'_>) {
        // Exim starts itself for deliveries and queue runs; those bring nothing in.
        const OWN: [&str; 8] = [" -Mc ", " -q", " -bd", " -MC", " -bp", " -odi -Mc", " -bV", " -t -oem -oi -f <>"];
        let args = command.args;
        let is_own = |at: usize| OWN.iter().any(|own| args.get(at..).is_some_and(|args| args.starts_with(own)));
        if scan::positions(args, " -").any(is_own) || command.cwd.starts_with("/var/spool/exim") {
            return;
        }
        if self.waiting.len() >= COMMANDS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Started {
            time: event.time,
            pid: event.pid,
            cwd: command.cwd.into(),
            args: args.into(),
        });
    }

    /// The directory of the command that brought in a message of `user`.
    fn of(&mut self, event: &Event<'_>, user: &str, sender: &str) -> Option<Box<str>> {
        let at = match event.pid {
            Some(pid) => self.waiting.iter().rposition(|started| started.pid == Some(pid)),
            None => None,
        };
        let at = at.or_else(|| self.waiting.iter().rposition(|started| fits(started, event, user, sender)))?;
        self.waiting.remove(at).map(|started| started.cwd)
    }
}

/// Without a process id in common: started just before, in a directory of that user or with that sender.
fn fits(started: &Started, event: &Event<'_>, user: &str, sender: &str) -> bool {
    if started.pid.is_some() && event.pid.is_some() {
        return false;
    }
    let (Some(start), Some(now)) = (started.time, event.time) else { return false };
    let waited = now.as_millis() - start.as_millis();
    if !(0..=COMMAND_WAITS_MS).contains(&waited) {
        return false;
    }
    let is_home = started.cwd.split('/').any(|part| part == user);
    let is_sender = !sender.is_empty() && started.args.split(' ').any(|arg| arg.trim_start_matches("-f") == sender);
    is_home || is_sender
}
