//! One request of an Exim ACL: the stage, and every fact that Exim knows by then.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;

use super::address::ExactAddress;
use super::parts::PARTS_MAX;
use super::words::{self, WORDS_MAX, Word, push_bare, push_quoted};
use super::{REQUEST_OCTETS_MAX, split_recipients};

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
}

/// Each stage and its word.
const STAGES: [(&str, Stage); 10] = [
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
];

impl Stage {
    /// The word of the protocol: `connect`, `helo`, … `not_smtp`, `keep`.
    #[must_use]
    pub fn word(self) -> &'static str {
        STAGES.iter().find(|(_, stage)| *stage == self).map_or("", |(word, _)| word)
    }

    /// Whether a sender was given by then, so that an empty one is the null reverse-path.
    #[must_use]
    pub fn has_sender(self) -> bool {
        matches!(self, Stage::Mail | Stage::Rcpt | Stage::Data | Stage::NotSmtp)
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
    /// The recipient asked about, at stages rcpt and keep.
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
    /// A piece of the header block: raw, lines ended by LF, Exim's own Received field on top.
    pub headers: Vec<u8>,
    /// A piece of the list of recipients; read it when all pieces are there (see [`split_recipients`]).
    pub recipients: Vec<u8>,
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
            defects: Vec::new(),
        }
    }

    /// Reads one request, with or without its LF.
    ///
    /// # Errors
    /// [`AskError`] when the stage cannot be read; anything else that is wrong is a [`Defect`].
    pub fn decode(line: &[u8]) -> Result<Ask, AskError> {
        let mut reader = Reader::default();
        let cut = line.get(..REQUEST_OCTETS_MAX);
        if cut.is_some_and(|_| line.len() > REQUEST_OCTETS_MAX) {
            reader.note("", DefectKind::TooLong);
        }
        let mut words = words::split(cut.unwrap_or(line));
        for word in words.by_ref().take(WORDS_MAX) {
            reader.take(word);
        }
        if words.next().is_some() {
            reader.note("", DefectKind::TooManyWords);
        }
        reader.finish()
    }

    /// Writes the request as our ACL does, LF included: for tests, the bench and anything else that plays Exim.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut line = b"v=1".to_vec();
        push_quoted(&mut line, "st", self.stage.word().as_bytes());
        if self.part != Part::WHOLE {
            push_bare(&mut line, "part", self.part.number.to_string().as_bytes());
            push_bare(&mut line, "parts", self.part.of.to_string().as_bytes());
        }
        push_text(&mut line, "s", self.session.as_deref());
        self.push_origin(&mut line);
        push_text(&mut line, "proto", self.protocol.as_deref());
        push_text(&mut line, "tls", self.tls.as_ref().map(|t| t.cipher.as_str()));
        push_text(&mut line, "sni", self.tls.as_ref().and_then(|t| t.sni.as_deref()));
        push_text(&mut line, "helo", self.helo.as_deref());
        push_text(&mut line, "auth", self.login.account.as_deref());
        push_text(&mut line, "am", self.login.mechanism.as_deref());
        push_text(&mut line, "authfail", self.login.failed_account.as_deref());
        push_transaction(&mut line, &self.transaction);
        push_content(&mut line, &self.content);
        push_text(&mut line, "why", self.why.as_deref());
        line.push(b'\n');
        line
    }

    fn push_origin(&self, line: &mut Vec<u8>) {
        // Exim joins address and port by a colon and puts no brackets around IPv6.
        let joined = |address: &SocketAddr| format!("{}:{}", address.ip(), address.port());
        match &self.origin {
            Origin::Remote { client, interface, host, ident } => {
                push_bare(line, "ip", joined(client).as_bytes());
                if let Some(interface) = interface {
                    push_bare(line, "if", joined(interface).as_bytes());
                }
                push_text(line, "host", host.as_deref());
                push_text(line, "ident", ident.as_deref());
            }
            Origin::Local { uid, gid, user, cwd } => {
                push_bare(line, "ip", b":0");
                push_number(line, "uid", uid.map(u64::from));
                push_number(line, "gid", gid.map(u64::from));
                push_text(line, "ident", user.as_deref());
                push_text(line, "cwd", cwd.as_deref());
            }
            Origin::Unknown => {}
        }
    }
}

fn push_transaction(line: &mut Vec<u8>, transaction: &Transaction) {
    push_text(line, "id", transaction.id.as_deref());
    push_text(line, "from", transaction.sender.as_ref().map(ExactAddress::as_str));
    push_number(line, "size", transaction.size);
    push_text(line, "rcpt", transaction.recipient.as_ref().map(ExactAddress::as_str));
    let counts = transaction.counts;
    for (key, count) in [("rc", counts.asked), ("rn", counts.accepted), ("rf", counts.refused), ("rd", counts.deferred)]
    {
        push_bare(line, key, count.to_string().as_bytes());
    }
}

fn push_content(line: &mut Vec<u8>, content: &Content) {
    push_text(line, "spool", content.spool.as_deref());
    push_text(line, "queue", content.queue.as_deref());
    push_number(line, "blen", content.body_octets);
    push_number(line, "hlen", content.headers_octets);
    if content.is_in_scan_file {
        push_bare(line, "eml", b"1");
    }
    if content.is_cut {
        push_bare(line, "cut", b"1");
    }
    for (key, bytes) in [("hdr", &content.headers), ("rcpts", &content.recipients)] {
        if !bytes.is_empty() {
            push_bare(line, key, BASE64.encode(bytes).as_bytes());
        }
    }
}

fn push_text(line: &mut Vec<u8>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        push_quoted(line, key, text.as_bytes());
    }
}

fn push_number(line: &mut Vec<u8>, key: &str, number: Option<u64>) {
    if let Some(number) = number {
        push_bare(line, key, number.to_string().as_bytes());
    }
}

/// The words as they come, until all are there and can be joined into values.
#[derive(Default)]
struct Reader {
    seen: BTreeSet<&'static str>,
    stage: Option<String>,
    session: Option<String>,
    client: Option<String>,
    interface: Option<String>,
    host: Option<String>,
    ident: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    cwd: Option<String>,
    protocol: Option<String>,
    cipher: Option<String>,
    sni: Option<String>,
    helo: Option<String>,
    login: Login,
    sender: Option<String>,
    transaction: Transaction,
    content: Content,
    part: Option<u16>,
    parts: Option<u16>,
    why: Option<String>,
    mechanism: Option<String>,
    defects: Vec<Defect>,
}

/// Every word of a request. An unknown one is for a newer daemon and no defect.
const KEYS: [&str; 36] = [
    "am", "auth", "authfail", "blen", "cut", "cwd", "eml", "from", "gid", "hdr", "helo", "hlen", "host", "id", "ident",
    "if", "ip", "mech", "part", "parts", "proto", "queue", "rc", "rcpt", "rcpts", "rd", "rf", "rn", "s", "size", "sni",
    "spool", "st", "tls", "uid", "why",
];

impl Reader {
    fn take(&mut self, word: Word<'_>) {
        let Some(key) = KEYS.iter().find(|k| **k == word.key).copied() else {
            return;
        };
        if !self.seen.insert(key) {
            return self.note(key, DefectKind::Repeated);
        }
        if !word.is_closed {
            self.note(key, DefectKind::Unclosed);
        }
        let value = word.value;
        match key {
            "st" => self.stage = self.text(key, value),
            "s" => self.session = self.text(key, value),
            "ip" => self.client = Some(self.exact_text(key, value)),
            "if" => self.interface = Some(self.exact_text(key, value)),
            "host" => self.host = self.text(key, value),
            "ident" => self.ident = self.text(key, value),
            "uid" => self.uid = self.number(key, &value),
            "gid" => self.gid = self.number(key, &value),
            "cwd" => self.cwd = self.text(key, value),
            "proto" => self.protocol = self.text(key, value),
            "tls" => self.cipher = self.text(key, value),
            "sni" => self.sni = self.text(key, value),
            "helo" => self.helo = self.text(key, value),
            "auth" => self.login.account = self.text(key, value),
            "am" => self.login.mechanism = self.text(key, value),
            "authfail" => self.login.failed_account = self.text(key, value).map(bare_account),
            "from" => self.sender = Some(self.exact_text(key, value)),
            "part" => self.part = self.number(key, &value),
            "parts" => self.parts = self.number(key, &value),
            "why" => self.why = self.text(key, value),
            "mech" => self.mechanism = self.text(key, value),
            _ => self.take_message(key, value),
        }
    }

    fn take_message(&mut self, key: &'static str, value: Vec<u8>) {
        match key {
            "id" => self.transaction.id = self.text(key, value),
            // Exim says -1 when MAIL announced no size.
            "size" if value == b"-1" => {}
            "size" => self.transaction.size = self.number(key, &value),
            "rcpt" => self.transaction.recipient = self.text(key, value).map(ExactAddress::new),
            "rc" => self.transaction.counts.asked = self.number(key, &value).unwrap_or(0),
            "rn" => self.transaction.counts.accepted = self.number(key, &value).unwrap_or(0),
            "rf" => self.transaction.counts.refused = self.number(key, &value).unwrap_or(0),
            "rd" => self.transaction.counts.deferred = self.number(key, &value).unwrap_or(0),
            "spool" => self.content.spool = self.text(key, value),
            "queue" => self.content.queue = self.text(key, value),
            "blen" => self.content.body_octets = self.number(key, &value),
            "hlen" => self.content.headers_octets = self.number(key, &value),
            "eml" => self.content.is_in_scan_file = value == b"1",
            "cut" => self.content.is_cut = value == b"1",
            "hdr" => self.content.headers = self.base64(key, &value),
            "rcpts" => self.content.recipients = self.base64(key, &value),
            _ => {}
        }
    }

    /// A text; an empty one is how Exim says that it has none.
    fn text(&mut self, key: &'static str, value: Vec<u8>) -> Option<String> {
        Some(self.exact_text(key, value)).filter(|text| !text.is_empty())
    }

    fn exact_text(&mut self, key: &'static str, mut value: Vec<u8>) -> String {
        if value.len() > TEXT_OCTETS_MAX {
            value.truncate(TEXT_OCTETS_MAX);
            self.note(key, DefectKind::TooLong);
        }
        String::from_utf8(value).unwrap_or_else(|error| {
            self.note(key, DefectKind::NotUtf8);
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })
    }

    /// A number; an empty value is how Exim says that it has none.
    fn number<N: std::str::FromStr>(&mut self, key: &'static str, value: &[u8]) -> Option<N> {
        if value.is_empty() {
            return None;
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.note(key, DefectKind::Unreadable);
        }
        number
    }

    fn base64(&mut self, key: &'static str, value: &[u8]) -> Vec<u8> {
        BASE64.decode(value).unwrap_or_else(|_| {
            self.note(key, DefectKind::BadBase64);
            Vec::new()
        })
    }

    fn note(&mut self, word: &'static str, kind: DefectKind) {
        self.defects.push(Defect { word, kind });
    }

    fn finish(mut self) -> Result<Ask, AskError> {
        let word = self.stage.take().ok_or(AskError::NoStage)?;
        let stage = STAGES.iter().find(|(name, _)| *name == word).map(|(_, stage)| *stage);
        let stage = stage.ok_or(AskError::UnknownStage(word))?;
        let part = self.finish_part();
        let origin = self.finish_origin();
        self.transaction.sender = self.sender.filter(|_| stage.has_sender()).map(ExactAddress::new);
        let sni = self.sni;
        // At stage auth nobody is logged in by this mechanism yet, so Exim's own word for it is empty.
        self.login.mechanism = self.login.mechanism.or(self.mechanism);
        Ok(Ask {
            stage,
            part,
            session: self.session,
            origin,
            protocol: self.protocol,
            tls: self.cipher.map(|cipher| Tls { cipher, sni }),
            helo: self.helo,
            login: self.login,
            transaction: self.transaction,
            content: self.content,
            why: self.why,
            defects: self.defects,
        })
    }

    fn finish_part(&mut self) -> Part {
        match (self.part, self.parts) {
            (None, None) => Part::WHOLE,
            (Some(number), Some(of)) if (1..=of).contains(&number) && of <= PARTS_MAX => Part { number, of },
            _ => {
                self.note("part", DefectKind::Unreadable);
                self.content.is_cut = true;
                Part::WHOLE
            }
        }
    }

    fn finish_origin(&mut self) -> Origin {
        let Some(client) = self.client.take() else {
            return Origin::Unknown;
        };
        if client.is_empty() || client.starts_with(':') && !client.starts_with("::") {
            let (user, cwd) = (self.ident.take(), self.cwd.take());
            return Origin::Local { uid: self.uid, gid: self.gid, user, cwd };
        }
        let Some(client) = socket_address(&client) else {
            self.note("ip", DefectKind::Unreadable);
            return Origin::Unknown;
        };
        let interface = self.interface.take().and_then(|text| socket_address(&text));
        Origin::Remote { client, interface, host: self.host.take(), ident: self.ident.take() }
    }
}

/// Exim 4.96 keeps a failed account as it will stand in the log: ` (set_id=ACCOUNT)`.
fn bare_account(text: String) -> String {
    let bare = text.strip_prefix(" (set_id=").and_then(|t| t.strip_suffix(')'));
    bare.map_or_else(|| text.clone(), str::to_owned)
}

/// Reads `address:port` as Exim joins them; IPv6 comes without brackets, so the last colon splits.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address: IpAddr = address.parse().ok()?;
    // Exim says -1 for a port that it does not know.
    Some(SocketAddr::new(address.to_canonical(), port.parse().unwrap_or(0)))
}

impl Content {
    /// The recipients in this piece, which must be the only one.
    #[must_use]
    pub fn all_recipients(&self) -> Vec<ExactAddress> {
        split_recipients(&self.recipients)
    }
}
