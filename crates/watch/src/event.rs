//! What one log line says. Values borrow from the line; text that a sender wrote stays as it was written and is hostile.

use crate::reply::Reply;
use std::net::IpAddr;

use crate::Timestamp;
use crate::scan;

/// One line of a mail log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// When the line was written; `None` if the line has no time of its own.
    pub time: Option<Timestamp>,
    /// Whose line it is.
    pub source: Source,
    /// Process id, from `[pid]` of Exim's `+pid` or from the syslog tag.
    pub pid: Option<u32>,
    /// Queue id: Exim's 16 or 23 characters, or Postfix's.
    pub id: Option<&'a str>,
    /// What it says.
    pub kind: Kind<'a>,
}

impl Event<'_> {
    /// When the message that the line names began to come in, to the second: Exim writes it into the id, in UTC whatever the log's own
    /// times are. `None` for lines of other programs, and where Exim has to do with fewer digits (base 36, on systems that take file
    /// names in any case), which no mail server does.
    #[must_use]
    pub fn born(&self) -> Option<Timestamp> {
        const SECONDS_DIGITS: usize = 6;
        let id = self.id.filter(|_| self.source == Source::Exim)?;
        let mut seconds = 0_i64;
        for digit in id.bytes().take(SECONDS_DIGITS) {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                b'a'..=b'z' => digit - b'a' + 36,
                _ => return None,
            };
            seconds = seconds * 62 + i64::from(value);
        }
        Some(Timestamp::from_millis(seconds * 1000))
    }
}

/// The program that wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Exim: mainlog, rejectlog, paniclog or syslog.
    Exim,
    /// One of Postfix's daemons.
    Postfix,
    /// Dovecot's login and authentication processes.
    Dovecot,
    /// Roundcube, or another PHP program that writes in its form.
    Webmail,
    /// Another program, or nobody that can be told.
    Other,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'a> {
    /// A message came into the queue (`<=`).
    Arrival(Box<Arrival<'a>>),
    /// A recipient was served, deferred or given up (`=>`, `==`, `**`).
    Delivery(Box<Delivery<'a>>),
    /// Nothing more to do for this message.
    Completed,
    /// A command, message or connection was refused by policy.
    Rejection(Box<Rejection<'a>>),
    /// A login with wrong credentials.
    AuthFailure(AuthFailure<'a>),
    /// A login that succeeded.
    Login(Login<'a>),
    /// A client came, left or broke the protocol.
    Session(Session<'a>),
    /// A command was run with this directory (`cwd=`).
    Command(Command<'a>),
    /// The queue was changed or run.
    Queue(Queue),
    /// Something of the MTA's own does not work: TLS, DNS, files, scanners.
    Trouble(Trouble),
    /// A fact about a message that its checks wrote: DKIM, SPF, scores.
    Reputation(Reputation<'a>),
    /// Part of a message that was logged over several lines.
    Leftover(Leftover),
    /// Start, stop, reload and other messages of a daemon about itself.
    Daemon,
    /// Text that the administrator's own configuration wrote (`logwrite`, `log_message`).
    Note(&'a str),
    /// Debugging output.
    Trace,
    /// A whole line of a program that is not read here.
    Foreign,
    /// An empty line.
    Empty,
    /// A line in no known form.
    Unknown,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Host name found by reverse DNS and confirmed.
    pub name: Option<&'a str>,
    /// What the client said in HELO; hostile.
    pub helo: Option<&'a str>,
    /// Its address. `None` if there was none, or if the line can be read in two ways.
    pub ip: Option<IpAddr>,
    /// Its port, if logged.
    pub port: Option<u16>,
    /// Address and port of our end, as logged (`[192.0.2.1]:25`).
    pub interface: Option<&'a str>,
    /// `U=`: login name of a local caller, or what an ident server said.
    pub ident: Option<&'a str>,
}

/// A login, as an accepted message or a rejection names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Name of the authenticator or SASL mechanism.
    pub mechanism: &'a str,
    /// Who logged in.
    pub id: Option<&'a str>,
    /// The `AUTH=` parameter of MAIL, if logged.
    pub sender: Option<&'a str>,
}

/// A message that came into the queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrival<'a> {
    /// Envelope sender, empty for `<>`; `None` where a line of Postfix tells another part of the arrival.
    pub sender: Option<&'a str>,
    /// Whether the client was told that the message is refused (`(=`).
    pub is_fake_reject: bool,
    /// Queue id of the message to which this is a bounce or a reply (`R=`).
    pub bounce_of: Option<&'a str>,
    /// From where.
    pub peer: Peer<'a>,
    /// `local`, `esmtp`, `esmtpsa` …
    pub protocol: Option<&'a str>,
    /// Who had logged in.
    pub auth: Option<Auth<'a>>,
    /// TLS version and cipher.
    pub tls: Option<&'a str>,
    /// Octets.
    pub size: Option<u64>,
    /// Domain of a valid DKIM signature.
    pub dkim: Option<&'a str>,
    /// Name of the queue, if not the default one.
    pub queue: Option<&'a str>,
    /// Message-ID without angle brackets; hostile.
    pub message_id: Option<&'a str>,
    /// Subject, with `\"` and non-printing characters still escaped; hostile.
    pub subject: Option<&'a str>,
    /// Envelope sender as the client gave it, before rewriting.
    pub raw_sender: Option<&'a str>,
    /// Envelope recipients, if the log selector names them.
    pub recipients: Recipients<'a>,
    /// Number of recipients, where the log says only that.
    pub recipient_count: Option<u32>,
    /// Uid of a local caller (Postfix's pickup).
    pub uid: Option<u32>,
    /// Whether another reading of the line is possible as well. Then the sender imitates log fields, and nothing may
    /// be held against anybody because of this line.
    pub is_doubtful: bool,
}

/// Envelope recipients, in the order of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recipients<'a>(pub(crate) &'a str);

impl<'a> Recipients<'a> {
    /// One address after the other.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            rest = rest.trim_start_matches(' ');
            let (address, after) = scan::address(rest);
            rest = after;
            (!address.is_empty()).then_some(address)
        })
    }

    /// Whether the log names none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Handed over.
    Delivered,
    /// Will be tried again.
    Deferred,
    /// Given up; a bounce follows.
    Failed,
    /// Accepted and thrown away on purpose (`:blackhole:`, a discarding filter).
    Discarded,
}

/// One delivery attempt to one recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery<'a> {
    /// What became of it.
    pub outcome: Outcome,
    /// Address, file or command to which it went.
    pub address: &'a str,
    /// The recipient from which `address` was made by aliases or forwarding.
    pub original: Option<&'a str>,
    /// Envelope sender (`F=`), or return path (`P=`), if logged.
    pub sender: Option<&'a str>,
    /// Router that chose the way.
    pub router: Option<&'a str>,
    /// Transport that carried it.
    pub transport: Option<&'a str>,
    /// Host to which it went.
    pub host: Peer<'a>,
    /// TLS version and cipher.
    pub tls: Option<&'a str>,
    /// Octets, if logged.
    pub size: Option<u64>,
    /// What the other side said, or why it failed; hostile.
    pub text: Option<&'a str>,
    /// Reply code of the other side within `text`.
    pub reply: Option<Reply<'a>>,
}

/// At which point of a session something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the SMTP commands and hooks themselves")]
pub enum Stage {
    Connect,
    Helo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Header,
    Mime,
    LocalScan,
    NotSmtp,
    Vrfy,
    Expn,
    Etrn,
    Other,
}

/// A refusal by policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection<'a> {
    /// Where.
    pub stage: Stage,
    /// Whether the client may come again (4xx).
    pub is_temporary: bool,
    /// Whether the client was told that all is well and the mail was thrown away.
    pub is_discard: bool,
    /// Who.
    pub peer: Peer<'a>,
    /// Who had logged in.
    pub auth: Option<Auth<'a>>,
    /// Envelope sender; `None` if not known at this stage, empty for `<>`.
    pub sender: Option<&'a str>,
    /// The recipient refused.
    pub recipient: Option<&'a str>,
    /// What was said, partly hostile.
    pub text: &'a str,
    /// Why, as far as the words tell.
    pub cause: Failing,
    /// Whether another reading of the line is possible as well.
    pub is_doubtful: bool,
}

/// What is wrong with a client, sender or recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failing {
    /// No such mailbox.
    UnknownRecipient,
    /// Neither end is ours.
    Relay,
    /// The sender address does not exist or cannot be checked.
    SenderUnverified,
    /// The client is on a blocklist.
    Blocklisted,
    /// The content is malware.
    Malware,
    /// The content is spam.
    Spam,
    /// No reverse DNS, or one that does not fit.
    ReverseDns,
    /// HELO is missing, malformed or forged.
    Helo,
    /// The client was told to come later (greylisting, rate).
    TryLater,
    /// The message or command is not as the RFCs want it.
    Protocol,
    /// A limit of size, rate or number.
    Limit,
    /// Everything else.
    Other,
}

/// A login with wrong credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthFailure<'a> {
    /// Where it came from.
    pub peer: Peer<'a>,
    /// The name that was tried; hostile.
    pub user: Option<&'a str>,
    /// Authenticator, mechanism or database.
    pub mechanism: Option<&'a str>,
    /// `smtp`, `imap`, `pop3` …
    pub service: &'static str,
    /// How many tries the line stands for.
    pub attempts: u32,
    /// Whether the server itself failed, so that nothing is to be held against the client.
    pub is_server_fault: bool,
    /// Whether another reading of the line is possible as well.
    pub is_doubtful: bool,
}

/// A login that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Login<'a> {
    /// From where.
    pub peer: Peer<'a>,
    /// Who.
    pub user: &'a str,
    /// Mechanism.
    pub mechanism: Option<&'a str>,
    /// `imap`, `pop3`, `sieve` …
    pub service: &'static str,
}

/// A client came, left or broke the protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct Session<'a> {
    /// What happened.
    pub what: Connection,
    /// Who.
    pub peer: Peer<'a>,
    /// Words of the line that say more, partly hostile.
    pub text: &'a str,
    /// Whether another reading of the line is possible as well.
    pub is_doubtful: bool,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// It was made.
    Opened,
    /// It ended as it should.
    Closed,
    /// It broke off.
    Lost,
    /// It timed out.
    TimedOut,
    /// It was refused for a limit or by host list.
    Refused,
    /// We ended it by policy (`drop`).
    Dropped,
    /// It ended without any message.
    NoMail,
    /// Input came before it was due.
    SyncError,
    /// A command that was malformed, out of order or not offered.
    ProtocolError,
    /// AUTH where it is not offered.
    AuthNotOffered,
    /// Too many errors or useless commands.
    TooManyErrors,
    /// TLS could not be agreed on.
    TlsError,
    /// No host name for the address.
    NoHostName,
    /// The host name has no address, or another one.
    HostNameMismatch,
    /// Spoke before the greeting, or hung up in a test.
    Pregreet,
    /// A limit on connections or commands was passed.
    RateLimit,
    /// It ended after logins that failed (Postfix's `auth=0/1`).
    ClosedAfterAuthFailure,
    /// It ended before a login was tried.
    NoAuth,
}

/// A command that was started (`cwd=… args: …`).
#[derive(Clone, Debug, PartialEq)]
pub struct Command<'a> {
    /// Working directory; may hold blanks.
    pub cwd: &'a str,
    /// The arguments in one text.
    pub args: &'a str,
}

/// A change of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// A run began.
    RunStarted,
    /// A run ended.
    RunEnded,
    /// The message is or was put on hold.
    Frozen,
    /// The message is no longer on hold.
    Unfrozen,
    /// The message was taken out by hand.
    Removed,
    /// The message waits in the queue.
    Queued,
    /// Something else was done to the message.
    Changed,
}

/// Something of the MTA's own does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// TLS: certificates, sessions, libraries.
    Tls,
    /// DNS.
    Dns,
    /// A remote host cannot be reached or answers with an error; the recipient's own line follows.
    RemoteHost,
    /// A content scanner.
    Scanner,
    /// Configuration or expansion.
    Configuration,
    /// Files, spool, database, processes.
    System,
}

/// A fact that a check wrote about a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Reputation<'a> {
    /// `DKIM`, `SPF`, `ARC`, `DMARC`, `SA`, `Warning` …
    pub check: &'a str,
    /// The words of the check.
    pub text: &'a str,
    /// The client, where the check names it.
    pub peer: Peer<'a>,
    /// Whether the check found spam.
    pub is_spam: bool,
}

/// Part of a message that was logged over several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leftover {
    /// A header or envelope line of Exim's reject log; hostile.
    Header,
    /// Another line that goes on from the one before.
    Continuation,
    /// Part of the name of a folder in which somebody started Exim, whatever it looks like; hostile.
    Folder,
}
