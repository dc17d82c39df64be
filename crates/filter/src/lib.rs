//! The judgement: facts of an SMTP session in, findings and a verdict out.
//!
//! The straight line: [`engine`] opens a [`Session`](engine::Session) and computes the facts of each stage
//! ([`session`], [`identity`]); the [`checks`] conclude findings from facts; the [`policy`] alone decides. Deterministic,
//! given a [`World`](world::World): the same engine and the same answers give the same verdict, bit for bit.

pub mod aside;
pub mod blocklists;
pub mod check;
pub mod checks;
pub mod dns;
pub mod engine;
mod headers;
pub mod identity;
pub mod judgement;
pub mod known;
pub mod panel;
pub mod party;
mod patience;
pub mod policy;
pub mod reputation;
pub mod session;
pub mod settings;
pub mod store;
pub mod tables;
pub mod verdict;
pub mod world;
