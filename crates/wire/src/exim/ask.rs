//! One request of an Exim ACL: the stage, and every fact that Exim knows by then. Reading it is in `read.rs`, writing in
//! `write.rs`.

use std::net::SocketAddr;

use super::address::{ExactAddress, split_recipients};

/// Longest text value that is kept, in octets; the rest is cut, with a defect. The longest honest one is a working
/// directory (Linux: 4,096).
pub const TEXT_OCTETS_MAX: usize = 4096;

/// When in the life of a connection or a message Exim asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A client has connected; no byte was read from it.
    Connect,
    /// HELO or EHLO. May come again within a connection.
    Helo,
    /// AUTH was sent; whether it succeeds is not known yet.
    Auth,
    /// MAIL FROM.
    Mail,
    /// One RCPT TO.
    Rcpt,
    /// The message is there, over SMTP.
    Data,
    /// The message is there, from a local program and not over SMTP.
    NotSmtp,
    /// The connection ended by QUIT.
    End,
    /// The connection ended otherwise; [`Ask::why`] says how.
    Lost,
    /// Our router holds a recipient whose message was offered to the quarantine: keep it now, before it is discarded.
    Keep,
    /// Exim tells what became of a message or a recipient; [`Ask::event`] says what. Nothing is asked.
    Event,
}

/// Each stage and its word.
pub(super) const STAGES: [(&str, Stage); 11] = [
    ("connect", Stage::Connect),
    ("helo", Stage::Helo),
    ("auth", Stage::Auth),
    ("mail", Stage::Mail),
    ("rcpt", Stage::Rcpt),
    ("data", Stage::Data),
    ("not_smtp", Stage::NotSmtp),
    ("end", Stage::End),
    ("lost", Stage::Lost),
    ("keep", Stage::Keep),
    ("event", Stage::Event),
];

impl Stage {
    /// The word of the protocol: `connect`, `helo`, … `keep`, `event`.
    #[must_use]
    pub fn word(self) -> &'static str {
        STAGES.iter().find(|(_, stage)| *stage == self).map_or("", |(word, _)| word)
    }

    /// Whether a sender was given by then, so that an empty one is the null reverse-path.
    #[must_use]
    pub fn has_sender(self) -> bool {
        matches!(self, Stage::Mail | Stage::Rcpt | Stage::Data | Stage::NotSmtp | Stage::Event)
    }
}

/// Where a connection or a local message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An SMTP client over the network.
    Remote {
        /// The client's address and port; port 0 when Exim had none.
        client: SocketAddr,
        /// Our own address and port that it spoke to.
        interface: Option<SocketAddr>,
        /// Its name by reverse DNS, which Exim confirmed forwards, if Exim had looked it up by then. Never the HELO name.
        host: Option<String>,
        /// What an ident server (RFC 1413) said.
        ident: Option<String>,
    },
    /// A program on this machine: `sendmail -t`, `-bs` or `-bS`.
    Local {
        /// The real uid of the caller.
        uid: Option<u32>,
        /// The real gid of the caller.
        gid: Option<u32>,
        /// The login name of that uid.
        user: Option<String>,
        /// Where the caller stood when it called.
        cwd: Option<String>,
    },
    /// The ask does not say it in a form that can be read. Must never be trusted as local.
    Unknown,
}

/// TLS of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Cipher suite as Exim names it, such as `TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256`.
    pub cipher: String,
    /// The server name that the client asked for.
    pub sni: Option<String>,
}

/// Who logged in, or tried to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The account that is logged in (`$authenticated_id`).
    pub account: Option<String>,
    /// The authenticator by which it did, or, at stage auth, the mechanism asked for.
    pub mechanism: Option<String>,
    /// The account of the last login that failed on this connection.
    pub failed_account: Option<String>,
}

/// How the RCPT commands of the transaction fared so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// RCPT commands seen, the present one included.
    pub asked: u32,
    /// Recipients that Exim accepted before the present one.
    pub accepted: u32,
    /// Recipients refused for good.
    pub refused: u32,
    /// Recipients refused for now.
    pub deferred: u32,
}

/// The facts of one mail transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Exim's own id of the message, from DATA on: 16 characters to Exim 4.96, 23 from 4.97 on.
    pub id: Option<String>,
    /// The reverse-path, from MAIL on; an empty text is the null path.
    pub sender: Option<ExactAddress>,
    /// Octets: what SIZE announced, and the true size once the message is there.
    pub size: Option<u64>,
    /// The recipient asked or told about, at stages rcpt, keep and event.
    pub recipient: Option<ExactAddress>,
    /// The RCPT commands so far.
    pub counts: Counts,
}

/// Which of several requests for one message this is. The others come first, the one with number 1 is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u16,
    /// How many there are.
    pub of: u16,
}

impl Part {
    /// All in one request.
    pub const WHOLE: Part = Part { number: 1, of: 1 };
}

/// Where the message lies and this request's piece of what travels in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Exim's `$spool_directory`. The body is in `input/ID-D` below it, after a first line that repeats the name.
    pub spool: Option<String>,
    /// The named queue that the message is in, if any; its folder stands between the spool folder and `input`.
    pub queue: Option<String>,
    /// Size of the body in octets (`$message_body_size`), which tells a torn spool file.
    pub body_octets: Option<u64>,
    /// Size of the header block as Exim can expand it, in octets.
    pub headers_octets: Option<u64>,
    /// The header block does not fit into an expansion of Exim (64 KB) and is to be read, as well as the body, from
    /// `scan/ID/ID.eml` below the spool folder. No headers travel in the requests then.
    pub is_in_scan_file: bool,
    /// The header block is cut and Exim has no means to hand over the rest.
    pub is_cut: bool,
    /// The ACL reads fields of the answer as quoted text (see [`super::Answer::encode_quoted`]); an older one only in base64.
    pub takes_quoted: bool,
    /// A piece of the header block: raw, lines ended by LF, Exim's own Received field on top.
    pub headers: Vec<u8>,
    /// A piece of the list of recipients; read it when all pieces are there (see [`split_recipients`]).
    pub recipients: Vec<u8>,
}

/// What Exim tells of a delivery (its "events", raised by `event_action`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryEvent {
    /// `$event_name`: `msg:delivery`, `msg:defer`, `msg:fail:delivery`, `msg:complete` …
    pub name: String,
    /// `$event_data`: what another server answered, or why it failed; hostile.
    pub text: Option<String>,
    /// The router that chose the way.
    pub router: Option<String>,
    /// The transport that carried it.
    pub transport: Option<String>,
    /// The name of the host to which it went.
    pub host: Option<String>,
    /// The address of that host.
    pub host_ip: Option<String>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// When Exim asks.
    pub stage: Stage,
    /// Which part of how many.
    pub part: Part,
    /// The name that an earlier answer gave to this connection.
    pub session: Option<String>,
    /// Where the connection comes from.
    pub origin: Origin,
    /// `$received_protocol`: `smtp`, `esmtpsa`, `local`, `local-bsmtp`, …
    pub protocol: Option<String>,
    /// TLS, if the connection has it.
    pub tls: Option<Tls>,
    /// What the client calls itself.
    pub helo: Option<String>,
    /// Who logged in, or tried to.
    pub login: Login,
    /// The transaction.
    pub transaction: Transaction,
    /// The message.
    pub content: Content,
    /// How a lost connection ended (`$smtp_notquit_reason`).
    pub why: Option<String>,
    /// What Exim tells, at stage event.
    pub event: Option<DeliveryEvent>,
    /// What could not be read as it stood.
    pub defects: Vec<Defect>,
}

/// Why a request is no ask at all. The daemon answers `a=accept` and counts it: mail must not stick by accident.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No word `st`.
    #[error("the request names no stage")]
    NoStage,
    /// A stage that this version does not know.
    #[error("the request names the unknown stage `{0}`")]
    UnknownStage(String),
}

/// Something in a request that was not as it should be. The rest of the request counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// The word it is about; empty for the whole line.
    pub word: &'static str,
    /// What is wrong.
    pub kind: DefectKind,
}

/// Kinds of defects of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefectKind {
    /// The word stands twice; the first one counts.
    Repeated,
    /// The value or the line is longer than its limit; what is beyond is not read.
    TooLong,
    /// More words than [`Ask::decode`] reads.
    TooManyWords,
    /// The value is no number, address or part number.
    Unreadable,
    /// The value is no base64; it counts as absent.
    BadBase64,
    /// The value is not UTF-8; odd octets are replaced.
    NotUtf8,
    /// The closing quote is missing.
    Unclosed,
}

impl Ask {
    /// An ask of `stage` that says nothing else.
    #[must_use]
    pub fn new(stage: Stage) -> Ask {
        Ask {
            stage,
            part: Part::WHOLE,
            session: None,
            origin: Origin::Unknown,
            protocol: None,
            tls: None,
            helo: None,
            login: Login::default(),
            transaction: Transaction::default(),
            content: Content::default(),
            why: None,
            event: None,
            defects: Vec::new(),
        }
    }
}

impl Content {
    /// The recipients in this piece, which must be the only one.
    #[must_use]
    pub fn all_recipients(&self) -> Vec<ExactAddress> {
        split_recipients(&self.recipients)
    }
}
