//! Reading mail logs: a line becomes an [`Event`], events become pictures of messages, reports and offences.
//!
//! Bytes in, values out: no file, no clock, no socket. Following files, rotation and bans are the server's business.
//! Text that a sender can write (HELO, subject, login name, message-id, addresses) is never taken for a field: every
//! parser walks a line from left to right and accepts a reading only if the whole line fits it.
//!
//! ```
//! use tidegate_watch::detectors::{Detectors, Thresholds};
//! use tidegate_watch::report::{Collector, Settings};
//! use tidegate_watch::{Joiner, Place, Reader, api::EventRow};
//!
//! let log = b"2026-03-02 10:11:12 login authenticator failed for (x) [192.0.2.7]: 535 Incorrect authentication data";
//! // One reader for each file, one of everything else for the server.
//! let mut reader = Reader::new();
//! let (mut collector, mut joiner) = (Collector::new(Settings::default()), Joiner::default());
//! let mut detectors = Detectors::new(Thresholds::default());
//! for (line, octets) in (1..).zip(log.split(|b| *b == b'\n')) {
//!     let text = Reader::text(octets);
//!     let event = reader.read(&text);
//!     let place = Place { file: 0, line };
//!     let _json = EventRow::new("mainlog", line, &event); // `logs --events --json`
//!     collector.feed(&event, place); // `logs`, `limits suggest`
//!     let mut alerts = detectors.feed(&event); // the live watch
//!     joiner.feed(&event, place, |step| alerts.extend(detectors.step(&step)));
//! }
//! assert_eq!(collector.report().totals.auth_failures, 1);
//! ```

pub mod api;
pub mod detectors;
mod event;
mod failing;
mod map;
mod offence;
mod parsers;
mod reply;
pub mod report;
mod scan;
mod time;
mod transaction;

pub use event::{
    Arrival, Auth, AuthFailure, Command, Connection, Delivery, Event, Failing, Kind, Leftover, Login, Outcome, Peer,
    Queue, Recipients, Rejection, Reputation, Session, Source, Stage, Trouble,
};
pub use offence::{Offence, OffenceKind};
pub use parsers::{AHEAD_OCTETS, LINE_OCTETS_MAX, Reader};
pub use reply::Reply;
pub use time::{Offsets, Timestamp};
pub use transaction::{Joiner, Losses, Message, OPEN_MESSAGES_MAX, Origin, Place, QueueId, Step};
