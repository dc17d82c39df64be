//! The line protocol between the ACLs that Tidegate puts into Exim (`packaging/exim/`) and the daemon.
//!
//! One request a connection: one line of `word=value` pairs ended by LF, written by one `${readsocket}` of Exim. The
//! daemon answers with one line without LF and closes. Values are bare (letters, digits, `_-.` and what an address needs) or quoted
//! by Exim's `${quote:}`; lists and header blocks travel in base64. Order is free and unknown words are ignored, so an
//! ACL may be newer or older than its daemon.
//!
//! Every request carries all facts that Exim knows so far: a daemon that was restarted rebuilds the session from any of
//! them. What does not fit into one request comes in further ones, see [`Assembly`].
//!
//! Not here: reading the socket, checking who the peer is, opening the spool file.

mod address;
mod answer;
mod ask;
mod parts;
mod read;
mod words;
mod write;

pub use address::{ExactAddress, split_recipients};
pub use answer::{Action, Answer, AnswerError, HeaderLine, HeaderLineError, OwnField, Position};
pub use ask::{
    Ask, AskError, Content, Counts, Defect, DefectKind, DeliveryEvent, Login, Origin, Part, Stage, TEXT_OCTETS_MAX,
    Tls, Transaction,
};
pub use parts::{Assembly, HEADERS_OCTETS_MAX, Mail, PARTS_MAX, PartError, RECIPIENTS_OCTETS_MAX};

/// Longest request in octets, LF included. Exim 4.96 hangs past its own time limit when a request is larger than the
/// socket buffer and the daemon does not read, so the ACL keeps every request below this.
pub const REQUEST_OCTETS_MAX: usize = 65_536;
