//! The protocol between spamc and spamd (SPAMC 1.0 to 1.5, SPAMD 1.1), as spamc, amavis and Exim's `spam =` speak it.
//!
//! A request is a line `METHOD SPAMC/version`, from version 1.1 on header lines and an empty line, and then the message.
//! An answer is a line `SPAMD/1.1 code NAME`, header lines, an empty line, and a body that depends on the method. Clients are
//! old and many: which header lines an answer has depends on the version that asked, exactly as in SpamAssassin 4.0.
//!
//! Not here: reading the socket, unpacking zlib, and what the body says.

use std::fmt;

/// Longest head of a request: its first line and header lines. SpamAssassin's clients send a tenth of it.
pub const HEAD_OCTETS_MAX: usize = 8_192;

/// Longest name of a user that is taken over; Exim and spamc send a login or an address.
const USER_OCTETS_MAX: usize = 320;
/// Longest piece of a request that an error repeats.
const SHOWN_OCTETS_MAX: usize = 60;

/// What a client wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The score alone.
    Check,
    /// The names of what was found.
    Symbols,
    /// A report for people.
    Report,
    /// A report if it is spam, else nothing.
    ReportIfSpam,
    /// The message, with the verdict in its header.
    Process,
    /// The header of that message.
    Headers,
    /// Whether anybody is there.
    Ping,
    /// Nothing: the client has changed its mind.
    Skip,
    /// Learn the message, or forget it.
    Tell,
}

impl Method {
    fn parse(word: &[u8]) -> Option<Method> {
        Some(match word {
            b"CHECK" => Method::Check,
            b"SYMBOLS" => Method::Symbols,
            b"REPORT" => Method::Report,
            b"REPORT_IFSPAM" => Method::ReportIfSpam,
            b"PROCESS" => Method::Process,
            b"HEADERS" => Method::Headers,
            b"PING" => Method::Ping,
            b"SKIP" => Method::Skip,
            b"TELL" => Method::Tell,
            _ => return None,
        })
    }

    /// Whether a message follows the head.
    pub fn has_message(self) -> bool {
        !matches!(self, Method::Ping | Method::Skip)
    }
}

/// A version of the protocol, `1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot.
    pub major: u16,
    /// After it.
    pub minor: u16,
}

impl Version {
    const HAS_HEADER: Version = Version { major: 1, minor: 1 };
    const HEARS_LENGTH: Version = Version { major: 1, minor: 2 };
    const HEARS_SEVERAL_FIELDS: Version = Version { major: 1, minor: 3 };
    const PINGS_WITH_HEADER: Version = Version { major: 1, minor: 5 };

    fn parse(word: &[u8]) -> Option<Version> {
        let word = std::str::from_utf8(word.strip_prefix(b"SPAMC/")?).ok()?;
        let (major, minor) = word.split_once('.')?;
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// All that stands before the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// What is wanted.
    pub method: Method,
    /// Which version the client speaks.
    pub version: Version,
    /// Octets of the message as sent; `None`: it ends where the client stops writing.
    pub length: Option<usize>,
    /// Whose settings are meant; hostile text.
    pub user: Option<String>,
    /// Whether the message is packed with zlib (RFC 1950).
    pub is_compressed: bool,
}

/// Why a request cannot be answered. Shown as it stands in the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line that is no part of the protocol.
    #[error("Bad header line: {0}")]
    BadLine(String),
    /// `Content-length` and the message differ.
    #[error("Bad header line: (Content-Length mismatch: Expected {expected} bytes, got {got} bytes)")]
    LengthMismatch {
        /// What was announced.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// This cannot be done now, or not here.
    #[error("Service Unavailable: {0}")]
    Unavailable(String),
    /// The client did not go on.
    #[error("Timeout: ({0} second timeout while trying to read the message)")]
    Timeout(u64),
}

impl Fault {
    /// The answer to the client.
    pub fn encode(&self) -> Vec<u8> {
        // Codes of sysexits.h, as spamd has them.
        let code = match self {
            Fault::Unavailable(_) => 69,
            Fault::BadLine(_) | Fault::LengthMismatch { .. } => 76,
            Fault::Timeout(_) => 79,
        };
        format!("SPAMD/1.0 {code} {self}\r\n").into_bytes()
    }
}

/// A head that has been read, with the octets it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The head.
    pub head: Head,
    /// Where the message begins.
    pub octets: usize,
}

impl Head {
    /// Reads the head at the beginning of `octets`; `None` if more has to come.
    ///
    /// # Errors
    /// What came is no request.
    pub fn read(octets: &[u8]) -> Result<Option<Read>, Fault> {
        let mut lines = Lines { octets, at: 0 };
        let Some(first) = lines.next() else { return unfinished(octets) };
        let mut head = Head::first_line(first)?;
        let has_header = match head.method {
            Method::Ping | Method::Skip => head.version >= Version::PINGS_WITH_HEADER,
            _ => head.version >= Version::HAS_HEADER,
        };
        if has_header {
            loop {
                match lines.next() {
                    None => return unfinished(octets),
                    Some([]) => break,
                    Some(line) => head.field(line)?,
                }
            }
        }
        Ok(Some(Read { head, octets: lines.at }))
    }

    fn first_line(line: &[u8]) -> Result<Head, Fault> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let method = words.next().and_then(Method::parse);
        let version = words.next().and_then(Version::parse);
        match (method, version, words.next()) {
            (Some(method), Some(version), None) => {
                Ok(Head { method, version, length: None, user: None, is_compressed: false })
            }
            _ => Err(Fault::BadLine(shown(line))),
        }
    }

    /// Takes in one header line; one that is not known is nothing to us.
    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        let colon = line.iter().position(|octet| *octet == b':');
        let Some((name, value)) = colon.and_then(|at| line.split_at_checked(at)) else {
            return Err(Fault::BadLine("(header not in 'Name: value' format)".into()));
        };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"Content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let Some(length) = digits.and_then(|digits| digits.parse().ok()) else {
                return Err(Fault::BadLine("(Content-Length contains non-numeric bytes)".into()));
            };
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case(b"Compress") {
            if !value.eq_ignore_ascii_case(b"zlib") {
                return Err(Fault::BadLine("(compression type not supported)".into()));
            }
            self.is_compressed = true;
        } else if name.eq_ignore_ascii_case(b"User") {
            let user = value.get(..USER_OCTETS_MAX).unwrap_or(value);
            self.user = Some(String::from_utf8_lossy(user).into_owned());
        }
        Ok(())
    }
}

fn unfinished(octets: &[u8]) -> Result<Option<Read>, Fault> {
    if octets.len() < HEAD_OCTETS_MAX {
        return Ok(None);
    }
    Err(Fault::BadLine(format!("(no message after {HEAD_OCTETS_MAX} octets)")))
}

/// The beginning of a line of a client, printable: it goes back to it and into logs.
fn shown(line: &[u8]) -> String {
    let short = line.get(..SHOWN_OCTETS_MAX).unwrap_or(line);
    short.iter().map(|octet| if octet.is_ascii_graphic() { char::from(*octet) } else { ' ' }).collect()
}

/// Lines that end with LF, with or without CR before it.
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.octets.get(self.at..)?;
        let end = rest.iter().take(HEAD_OCTETS_MAX).position(|octet| *octet == b'\n')?;
        self.at += end + 1;
        let line = rest.get(..end)?;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// What was made of a message: whether it is spam, and its points. In thousandths, shown with one digit after the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether it is spam.
    pub is_spam: bool,
    /// Its points, in thousandths.
    pub score: i32,
    /// From how many points on a message is spam, in thousandths.
    pub required: i32,
}

impl Summary {
    /// `7.5 / 5.0`
    fn points(self) -> String {
        format!("{} / {}", Points(self.score), Points(self.required))
    }
}

/// Points in thousandths, shown as SpamAssassin shows them, `-0.1`: one digit after the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points(pub i32);

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (i64::from(self.0) + if self.0 < 0 { -50 } else { 50 }) / 100;
        let sign = if tenths < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{}", (tenths / 10).abs(), (tenths % 10).abs()))
    }
}

/// The answer to `head`: what was made of the message, and the `body` that the method asks for. Which header lines it has follows from
/// the client's version.
pub fn answer(head: &Head, summary: Summary, body: &[u8]) -> Vec<u8> {
    let word = match (head.method, summary.is_spam) {
        (Method::ReportIfSpam, true) => "Yes",
        (Method::ReportIfSpam, false) => "No",
        (_, true) => "True",
        (_, false) => "False",
    };
    let rewrites = matches!(head.method, Method::Process | Method::Headers);
    let hears_length = match head.method {
        Method::Check => false,
        _ if rewrites => head.version >= Version::HEARS_LENGTH,
        _ => head.version >= Version::HEARS_SEVERAL_FIELDS,
    };
    let hears_summary = !rewrites || head.version >= Version::HEARS_SEVERAL_FIELDS;
    let mut answer = b"SPAMD/1.1 0 EX_OK\r\n".to_vec();
    if hears_length {
        answer.extend_from_slice(format!("Content-length: {}\r\n", body.len()).as_bytes());
    }
    if hears_summary {
        answer.extend_from_slice(format!("Spam: {word} ; {}\r\n", summary.points()).as_bytes());
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);
    answer
}

/// The answer to [`Method::Ping`].
pub const PONG: &[u8] = b"SPAMD/1.5 0 PONG\r\n";
