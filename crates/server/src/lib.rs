//! All sockets, disk and processes of the product: front-ends, stores, journal, quarantine, panels, and the command line.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "time, files, environment and sockets are this crate's job; everything below gets them as values"
)]

pub mod channels;
pub mod cli;
pub mod conclude;
pub mod config;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod dns;
pub mod follower;
pub mod frontends;
pub mod installer;
pub mod journal;
pub mod limits;
pub mod log_watch;
pub mod logs;
pub mod panels;
pub mod quarantine;
pub mod room;
pub mod rules;
pub mod sessions;
pub mod stores;
mod traces;
mod upkeep;
