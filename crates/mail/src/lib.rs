//! What was sent: hostile bytes become values. No I/O, no clock, no panic.
//!
//! Parsing never fails: a parser returns what could be read and a list of [`Defect`]s. Every count, depth and size has a
//! named limit in [`Limits`]; reaching one is a defect, not silence.

mod address;
mod attachment;
mod charset;
mod date;
mod defect;
mod domain;
mod header;
mod html;
mod invisible;
mod limits;
mod mailbox;
mod message;
mod octets;
mod parameter;
mod part;
mod received;
mod score;
mod sniff;
mod structure;
mod text;
mod transfer;
mod url;
mod words;

pub use address::{Address, AddressError, ReversePath};
pub use attachment::Attachment;
pub use date::parse_date;
pub use defect::{Defect, Defects, Sighting};
pub use domain::{Domain, DomainError};
pub use header::HeaderField;
pub use html::{Form, HiddenText, Hiding, Html, Image, Link};
pub use invisible::{is_invisible, needs_spelling, spelt_out};
pub use limits::Limits;
pub use mailbox::{Mailbox, parse_mailboxes};
pub use message::Message;
pub use octets::Survey;
pub use parameter::{ContentType, Parameter, Parametrized};
pub use part::Part;
pub use received::{Received, first_foreign};
pub use score::{Score, ScoreError};
pub use sniff::{FileClass, FileKind};
pub use text::View;
pub use transfer::TransferEncoding;
pub use url::{FoundUrl, UrlForm, UrlHost, UrlPlace, find_urls};
