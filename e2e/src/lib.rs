//! A mail server on one machine: a real Exim, an own DNS, a daemon beside it, and clients of any address, all in a
//! network namespace that has only a loopback, so that no packet can leave. For tests and for the demo.
//!
//! Needs root and the packages that `cargo xtask setup` installs. Everything lies in one folder below the system's
//! temporary folder and goes with the [`Lab`].

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this crate runs processes, sockets and files")]

pub mod cast;
mod daemon;
pub mod dns;
pub mod exim;
mod lab;
mod layout;
mod machine;
mod namespace;
pub mod roots;
pub mod smtp;
pub mod stub;

pub use daemon::Daemon;
pub use lab::{Lab, Plan, why_not};
pub use layout::Layout;
pub use machine::machine;
pub use namespace::{Namespace, remove_leftovers};
