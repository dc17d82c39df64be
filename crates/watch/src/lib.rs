//! Reading mail logs: a line becomes an [`Event`], events become pictures of messages, reports and offences.
//!
//! Bytes in, values out: no file, no clock, no socket. Following files, rotation and bans are the server's business.
//! Text that a sender can write (HELO, subject, login name, message-id, addresses) is never taken for a field: every
//! parser walks a line from left to right and accepts a reading only if the whole line fits it.

pub mod api;
pub mod detectors;
mod event;
mod failing;
mod offence;
mod parsers;
pub mod report;
mod scan;
mod time;
mod transaction;

pub use event::{
    Arrival, Auth, AuthFailure, Command, Connection, Delivery, Event, Failing, Kind, Leftover, Login, Outcome, Peer,
    Queue, Recipients, Rejection, Reply, Reputation, Session, Source, Stage, Trouble,
};
pub use offence::{Offence, OffenceKind};
pub use parsers::Reader;
pub use time::Timestamp;
pub use transaction::{Joiner, Losses, Message, OPEN_MESSAGES_MAX, Origin, Place, QueueId, Step};
