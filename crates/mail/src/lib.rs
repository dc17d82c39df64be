//! What was sent: hostile bytes become values. No I/O, no clock, no panic.
//!
//! Parsing never fails: a parser returns what could be read and a list of [`Defect`]s. Every count, depth and size has a
//! named limit in [`Limits`]; reaching one is a defect, not silence.

mod address;
mod domain;
mod score;

pub use address::{Address, AddressError, ReversePath};
pub use domain::{Domain, DomainError};
pub use score::{Score, ScoreError};
